"""How much of other people's HIP compiles here as it is: `python -m benchmarks.corpus FOLDER [FOLDER ...]`, no GPU.

Every HIP file of a checkout (one that includes a header of HIP's or has a kernel, and is not CUDA's) is compiled
through greta's own compile path for each target: as a whole, with its host code, and its device code taken out of it
(`device_code.py`). Folders of the checkout that hold a header which a file names are on its search path, as the
project's own build has them, and those of `--headers` behind them; where C++17 does not do, C++20 is tried. No cache
is used.

Printed are counts by target, and the first causes of what fails. What needs a header of another library, which is
neither in the checkout nor C++'s nor HIP's, or a function of another file, and fails, is counted apart. `--failures`
prints each message.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.device_code import device_code
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.directives import asked
from pytest_greta.compiler.includes import is_library
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.errors import CompileError

TARGETS = ("gfx942", "gfx90a", "gfx1100", "gfx1201", "cpu")
SOURCES = (".hip", ".cpp", ".cu", ".cc", ".cxx")
HEADERS = (".h", ".hpp", ".hh", ".cuh", ".hip", ".inc", ".inl", ".c", ".cpp")
_KERNEL = re.compile(r"\b__global__\b")
_CUDA = re.compile(r'^\s*#\s*include\s*[<"]cuda|\bcudaMalloc\b', re.MULTILINE)
_HIP = re.compile(r'^\s*#\s*include\s*[<"]hip/', re.MULTILINE)
_KNOWN = ("hip/", "cuda")
"""Of CUDA's too, which stand behind an #if."""
_ERROR = re.compile(r"(?:fatal )?error: (.*)")
_MISSING = re.compile(r"'([^']+)' file not found|<([^>]+)> is a header of")
_UNDEFINED = re.compile("declared, called and defined nowhere")


@dataclass(frozen=True)
class Attempt:
    """One compilation, and how it ended."""

    source: Path
    part: str
    """`whole` or `device`."""
    target: str
    error: str
    """Empty where it compiled."""
    needs_cxx20: bool = False
    lacks: str = ""
    """What it needs that is not in the checkout, if it failed."""


class Checkout:
    """A folder of sources, and where its headers are."""

    def __init__(self, folder: Path, libraries: tuple[Path, ...] = ()) -> None:
        self.folder = folder
        self.libraries = libraries
        """Folders with the headers of libraries that are installed."""
        self.headers: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix in HEADERS and path.is_file() and ".git" not in path.parts:
                self.headers.setdefault(path.name, []).append(path)

    def sources(self) -> list[Path]:
        """Its HIP files."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            if path.suffix in SOURCES and path.is_file():
                text = path.read_text(errors="replace")
                if not _CUDA.search(text) and (_HIP.search(text) or _KERNEL.search(text)):
                    found.append(path)
        return found

    def search_path(self, source: Path) -> tuple[Path, ...]:
        """The folders where the headers are that a source names, directly or not: the nearest of several."""
        folders: dict[Path, None] = {}
        new, seen = [source], set[Path]()
        while new:
            file = new.pop()
            seen.add(file)
            for header in sorted(asked(file.read_text(errors="replace")).headers, key=lambda one: one.name):
                if header.is_quoted and (file.parent / header.name).is_file():
                    place = file.parent / header.name
                elif found := self._nearest(source, header.name):
                    place, folder = found
                    folders[folder] = None
                else:
                    continue
                if place not in seen:
                    new.append(place)
        return tuple(folders)

    def has(self, name: str) -> bool:
        """Whether a header of this name is here."""
        return any(path.as_posix().endswith(f"/{name}") for path in self.headers.get(Path(name).name, ()))

    def missing(self, source: Path, text: str, is_deep: bool) -> list[str]:
        """The headers that a text in the place of `source` names, directly or not if `is_deep`, that are nowhere."""
        missing, new, seen = list[str](), [(source, text)], set[Path]()
        while new:
            file, content = new.pop()
            for header in sorted(asked(content).headers, key=lambda one: one.name):
                name, beside = header.name, file.parent / header.name
                if header.is_question or is_library(name) or name.startswith(_KNOWN):
                    continue
                found = (beside, beside.parent) if beside.is_file() else self._nearest(file, name)
                if found is None and not any((folder / name).is_file() for folder in self.libraries):
                    missing.append(name)
                elif is_deep and found and found[0] not in seen:
                    seen.add(found[0])
                    new.append((found[0], found[0].read_text(errors="replace")))
        return missing

    def _nearest(self, source: Path, name: str) -> tuple[Path, Path] | None:
        """A header, and the folder from which it is called `name`."""
        places = [
            path for path in self.headers.get(Path(name).name, ()) if path.as_posix().endswith(f"/{name}")
        ]
        if not places:
            return None

        def distance(path: Path) -> int:
            return -len(os.path.commonpath([path, source]))

        place = min(places, key=distance)
        return place, Path(place.as_posix().removesuffix(f"/{name}"))


def compile_whole(checkout: Checkout, source: Path, target: str) -> Attempt:
    """A file as it is."""
    done = _attempt(source, "whole", target, source, (*checkout.search_path(source), *checkout.libraries))
    return replace(done, lacks=lacking(checkout, done.error))


def compile_device(checkout: Checkout, folder: Path, source: Path, target: str) -> Attempt:
    """Its device code alone, with those includes that are found; where that lacks a header, whose own are found too."""
    done = _compile_device(checkout, folder, source, target, is_deep=False)
    return _compile_device(checkout, folder, source, target, is_deep=True) if done.lacks else done


def _compile_device(checkout: Checkout, folder: Path, source: Path, target: str, *, is_deep: bool) -> Attempt:
    include = (source.parent, *checkout.search_path(source), *checkout.libraries)
    missing = list[str]()

    def is_found(directive: str) -> bool:
        not_here = checkout.missing(source, directive, is_deep)
        missing.extend(not_here)
        return not not_here

    text = device_code(source.read_text(errors="replace"), is_found)
    taken = folder / f"{abs(hash((source, target, is_deep))):x}.hip"
    taken.write_text(f'#include <hip/hip_runtime.h>\n#line 1 "{source.name}"\n{text}')
    done = _attempt(source, "device", target, taken, include)
    return replace(done, lacks=done.error and (lacking(checkout, done.error) or ", ".join(missing)))


def _attempt(source: Path, part: str, target: str, file: Path, include: tuple[Path, ...]) -> Attempt:
    error = _compile(file, target, include, "-std=c++17")
    if not error or "file not found" in error:
        return Attempt(source, part, target, error)
    error = _compile(file, target, include, "-std=c++20")
    return Attempt(source, part, target, error, needs_cxx20=not error)


def _compile(file: Path, target: str, include: tuple[Path, ...], standard: str) -> str:
    """The compiler's message, or nothing where it compiles."""
    compiled_for = CPU_TARGET if target == "cpu" else target
    job = Job(file, compiled_for, flags=(standard,), include=include)
    try:
        run_compiler(find_toolchain(compiled_for), job)
    except CompileError as said:
        return str(said)
    return ""


def cause(error: str) -> str:
    """The first cause of a failure, without what is particular to one file."""
    found = _ERROR.search(error)
    first = found[1] if found else error.splitlines()[-1]
    if missing := _MISSING.search(first):
        return f"<{missing[1] or missing[2]}> is not there"
    return re.sub(r"\(aka .*?\)|; did you mean.*", "", first).strip()[:110]


def lacking(checkout: Checkout, error: str) -> str:
    """What is not in the checkout, if a file fails for want of it: a header of another library, or a function."""
    found = _ERROR.search(error)
    missing = _MISSING.search(found[1] if found else error)
    if missing is None:
        return "a function of another file" if _UNDEFINED.search(error) else ""
    name = missing[1] or missing[2]
    return "" if name.startswith("hip/") or checkout.has(name) else name


def counts(attempts: Iterable[Attempt], targets: Iterable[str]) -> str:
    """A table: compiled and tried, by target."""
    lines = [f"{'':10}{'whole files':>20}{'self-contained':>20}{'device code':>20}{'self-contained':>20}"]
    for target in targets:
        cells = ""
        for part in ("whole", "device"):
            group = [one for one in attempts if (one.part, one.target) == (part, target)]
            cells += f"{_share(group):>20}{_share([one for one in group if not one.lacks]):>20}"
        lines.append(f"{target:10}{cells}")
    return "\n".join(lines)


def _share(attempts: list[Attempt]) -> str:
    good = sum(not one.error for one in attempts)
    return f"{good} of {len(attempts)} ({good / max(len(attempts), 1):.0%})"


def causes(attempts: Iterable[Attempt]) -> str:
    """The first causes of failures, most frequent first, with the targets they are met on."""
    met: dict[tuple[str, str], list[Attempt]] = {}
    for one in attempts:
        if one.error:
            met.setdefault((one.part, cause(one.error)), []).append(one)
    lines = []
    for (part, text), group in sorted(met.items(), key=lambda item: -len({one.source for one in item[1]})):
        on = Counter(one.target for one in group)
        lines.append(f"{len({one.source for one in group}):4}  {part:8}{text}  [{', '.join(on)}]")
    return "\n".join(lines)


def main() -> None:
    """Compile, count, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--targets", default=",".join(TARGETS), help="comma separated")
    parser.add_argument("--part", choices=("whole", "device"), help="only this")
    parser.add_argument(
        "--headers", action="append", default=[], type=Path, help="a folder with headers of libraries"
    )
    parser.add_argument("--failures", action="store_true", help="print every failure")
    options = parser.parse_args()
    targets = options.targets.split(",")
    for folder in options.folders:
        checkout = Checkout(folder.resolve(), tuple(path.absolute() for path in options.headers))
        with tempfile.TemporaryDirectory() as taken, ThreadPoolExecutor(os.cpu_count()) as pool:
            whole, device = partial(compile_whole, checkout), partial(compile_device, checkout, Path(taken))
            work = []
            for source in checkout.sources():
                has_kernel = bool(_KERNEL.search(source.read_text(errors="replace")))
                for target in targets:
                    if options.part != "device":
                        work.append(pool.submit(whole, source, target))
                    if options.part != "whole" and has_kernel:
                        work.append(pool.submit(device, source, target))
            attempts = [one.result() for one in work]
        print(f"{folder}\n{counts(attempts, targets)}\n\n{causes(attempts)}\n")
        cxx20 = {one.source for one in attempts if one.needs_cxx20}
        print(f"{len(cxx20)} files need C++20\n")
        for one in attempts if options.failures else ():
            if one.error:
                print(
                    f"--- {one.source.relative_to(checkout.folder)} {one.part} {one.target}\n{one.error[:1500]}"
                )


if __name__ == "__main__":
    main()
