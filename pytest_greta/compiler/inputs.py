"""All that a compile takes from the machine's files: those that it reads, and those that it looks for in vain.

The preprocessor looks for a header in folders, in order: for one in quotes first beside the file that includes it. So
the same source is other code when a file changes, and when one appears in front of another, or where `__has_include`
asked for it. Here every name that a file which was read asks for is looked for as the preprocessor does, and what is
passed on the way is an input like what is found.

It rests on this. The folders are the same as long as compiler, flags and this release of greta are: the environment of
clang holds no others (`toolchain.py`), hiprtc is given all of its own (`builder.py`), and where clang chooses by what
is there, that is an input: folders that do not exist, versions of GCC. The C and C++ library that comes with a compiler
is the same as long as the compiler is: of its headers only the names count, as a header of such a name may appear in
front of them. A name that macros make is taken to be one that
stands on the line of a directive. One that `#` or `##` puts together does not: clang says what it read by it, but not
what it looked for in vain; what hiprtc reads by it is not known, and its code is not kept. Nor is code whose assembler
reads files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_greta.compiler.cache import NOTHING, States, states
from pytest_greta.compiler.directives import Asked, Header, asked


@dataclass(frozen=True)
class Reading:
    """What a compile reads, and where it looks."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    """Where headers are looked for, in order."""
    besides: tuple[Path, ...] = ()
    """Other files it takes, folders that do not exist, and folders whose names it chooses from."""
    defined: str = ""
    """What is defined on the command line, as a source would say it."""
    released: tuple[Path, ...] = ()
    """Folders whose contents change with the compiler alone."""

    def is_released(self, place: Path) -> bool:
        """Whether something came with the compiler."""
        return any(place.is_relative_to(folder) for folder in self.released)


def inputs(reading: Reading | None) -> States | None:
    """What is there, and what is not, of all that a compile depends on. None where that cannot be known."""
    if reading is None:
        return None
    files = [file for file in reading.files if not reading.is_released(file)]
    # First: names are read from the same contents, or newer ones.
    found = states({*map(str, files), *map(str, reading.besides)})
    texts = {file: _asked_by(file) for file in files}
    if found is None or any(text.is_in_assembly for text in texts.values()):
        return None
    if any(found[str(file)] == NOTHING for file in files):  # deleted meanwhile
        return None
    wanted = _wanted(texts, asked(reading.defined))
    for file in reading.files:  # by whatever name it was asked for
        inside = [folder for folder in reading.folders if file.is_relative_to(folder)]
        wanted |= {(None, Header(str(file.relative_to(folder)))) for folder in inside}
    places = {place for one in wanted for place in _passed(*one, reading.folders)}
    passed = states({str(place) for place in places if not reading.is_released(place)})
    return None if passed is None else {**passed, **found}


def follow(
    source: Path, folders: Sequence[Path], defined: str = "", built_in: Collection[str] = ()
) -> tuple[Reading, bool]:
    """The source and every header that it may include, directly or not, and whether that is all that it can read.

    No `#if` is evaluated. `built_in` are names in `<...>` that the compiler has contents of its own for.
    """
    command_line, texts, new = asked(defined), dict[Path, Asked](), {source}
    while new:
        texts.update({file: _asked_by(file) for file in sorted(new)})
        wanted = {
            (beside, header)
            for beside, header in _wanted(texts, command_line)
            if header.is_quoted or header.name not in built_in
        }
        new = {place for one in wanted for place in _found(*one, folders)} - set(texts)
    all_texts = [command_line, *texts.values()]
    named = {name for text in all_texts for name in text.named}
    named -= {name for text in all_texts for name in text.named_otherwise}
    is_all = all(text.made <= named and not text.is_in_assembly for text in all_texts)
    return Reading(tuple(texts), tuple(folders), defined=defined), is_all


def local_files(source: Path, folders: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The source and the headers of its own that it includes, directly or not."""
    return follow(source, folders)[0].files


_Wanted = tuple[Path | None, Header]
"""A header with the folder that it is looked for in first, if there is one."""


def _wanted(texts: Mapping[Path, Asked], command_line: Asked) -> set[_Wanted]:
    """Every header that files ask for."""

    def looked_for(file: Path, headers: Collection[Header]) -> set[_Wanted]:
        return {(file.parent if header.is_quoted else None, header) for header in headers}

    wanted = {one for file, text in texts.items() for one in looked_for(file, text.headers)}
    if command_line.made or any(text.made for text in texts.values()):
        possible = command_line.possible.union(*(text.possible for text in texts.values()))
        wanted |= {one for file in texts for one in looked_for(file, possible)}
    return wanted


def _passed(beside: Path | None, header: Header, folders: Sequence[Path]) -> Iterator[Path]:
    """The places where a compile looks for a header and finds none; and where it is, if that was asked."""
    for folder in (beside, *folders) if beside else folders:
        place = folder / header.name
        is_there = place.is_file()
        if header.is_question or not is_there:
            yield place
        if is_there and not header.is_next:
            return


def _found(beside: Path | None, header: Header, folders: Sequence[Path]) -> Iterator[Path]:
    """The files that a compile takes for a header: one, or those behind one another."""
    for folder in (beside, *folders) if beside else folders:
        place = folder / header.name
        if place.is_file():
            yield place
            if not header.is_next:
                return


def _asked_by(file: Path) -> Asked:
    """What a file asks for: nothing where it is no text, as what `#embed` takes."""
    try:
        contents = file.read_bytes()
    except OSError:
        return asked("")
    return asked("" if b"\0" in contents else contents.decode(errors="replace"))
