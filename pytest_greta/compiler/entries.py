"""The kernels that code holds, by the names that authors know: `seg<8>` for `_Z3segILi8EEvPf`."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pytest_greta.compiler.codeobject import read_resources
from pytest_greta.compiler.demangling import demangled
from pytest_greta.compiler.elf import AMDGPU, Elf
from pytest_greta.compiler.names import qualified
from pytest_greta.compiler.spirv import SETTER
from pytest_greta.compiler.spirv_module import entry_points, is_spirv
from pytest_greta.errors import CompileError, GretaError

_OBJECT = 1  # STT_OBJECT
_NOT_OF_A_SOURCE = re.compile(r"\.kd$|__hip_cuid|__greta_")
"""Descriptors of kernels, and what compilers and our headers add."""
_PTX_ENTRY = re.compile(rb"\.entry\s+([\w$]+)")
_MOST_NAMED = 20
"""Kernels that a message lists."""


_FOLDED = (
    ". One that is static or in an anonymous namespace is folded into the code where nothing in the file sets it: "
    'declare it non-static or extern "C"'
)
NO_KERNEL = "no `__global__` function is in it; a template is there once it is instantiated or launched"


def kernel_names(code: bytes) -> tuple[str, ...] | None:
    """The symbols of all kernels in code for a device; None where its form is not known."""
    if is_spirv(code):
        return tuple(name for name in entry_points(code) if not name.startswith(SETTER))
    if code.startswith(b"\x7fELF"):
        try:
            return tuple(read_resources(code))
        except GretaError:  # of another vendor
            return None
    return tuple(dict.fromkeys(found.decode() for found in _PTX_ENTRY.findall(code))) or None


def variables(code: bytes) -> dict[str, int]:
    """The bytes of the variables of code that have a name for the host, by symbol; none where its form is not known."""
    if is_spirv(code):
        setters = (name.removeprefix(SETTER) for name in entry_points(code) if name.startswith(SETTER))
        return {symbol: int(size) for size, _, symbol in (setter.partition("_") for setter in setters)}
    if not _is_known(code):
        return {}
    try:
        found = {one.name: one.size for one in Elf(code).symbols() if one.kind == _OBJECT}
    except ValueError:  # damaged
        return {}
    return {name: size for name, size in found.items() if not _NOT_OF_A_SOURCE.search(name)}


def _is_known(code: bytes) -> bool:
    """Whether the variables of code are listed here: not of another vendor's."""
    try:
        return is_spirv(code) or Elf(code).machine == AMDGPU
    except ValueError:
        return False


def symbol_in(code: bytes, file: str, entry: str) -> str:
    """The same as `symbol_of` for what code holds; `entry` itself where its form is not known."""
    symbols = kernel_names(code)
    return entry if symbols is None else symbol_of(symbols, file, entry)


def symbol_of(symbols: Collection[str], file: str, entry: str, what: str = "kernel") -> str:
    """The symbol of the kernel that an author calls `entry`: itself, or what it is demangled from.

    Raises CompileError, one line, where there is none or where there are several. `file` is what it calls the source,
    `what` says that it looks for something else than a kernel.
    """
    if entry in symbols:
        return entry
    if not symbols and what == "kernel":
        raise CompileError(f"{file} has no kernel {entry!r}: {NO_KERNEL}")
    names, not_demangled = demangled(symbols)
    wanted = _plain(entry)
    found = [symbol for symbol, name in names.items() if wanted in map(_plain, _spellings(name))]
    if len(found) == 1:
        return found[0]
    if found:
        several = " and ".join(names[symbol] for symbol in found)
        raise CompileError(f"{file}: {entry!r} is each of {several}; write its arguments too")
    short = Counter(map(qualified, names.values()))
    known = [qualified(name) if short[qualified(name)] == 1 else name for name in names.values()]
    raise CompileError(
        f"{file} has no {what} {entry!r}{' (__global__)' if what == 'kernel' else ''}; "
        f"{listing(known, entry)}{f' ({not_demangled})' if not_demangled else ''}"
        f"{'' if what == 'kernel' else _FOLDED}"
    )


def constants_in(code: bytes, file: str, given: Mapping[str, bytes]) -> dict[str, bytes]:
    """What variables of code are to hold, by their symbols. Raises CompileError for a name or a size that is not so."""
    found: dict[str, bytes] = {}
    sizes, is_listed = (variables(code), _is_known(code)) if given else ({}, False)
    for name, data in given.items():
        symbol = symbol_of(sizes, file, name, "__constant__ variable") if is_listed else name
        if symbol in sizes and len(data) != sizes[symbol]:
            raise CompileError(f"{file}: {name} holds {sizes[symbol]} bytes, and constants gives {len(data)}")
        found[symbol] = data
    return found


def listing(names: Sequence[str], wanted: str) -> str:
    """What is there, and what was meant, if that can be told."""
    near = [name for name in names if name.endswith(f"::{wanted}")] or difflib.get_close_matches(
        wanted, names, 1
    )
    guess = f"; did you mean {near[0]}?" if near else ""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"there is {', '.join(names[:_MOST_NAMED]) or 'none'}{more}{guess}"


def _spellings(name: str) -> tuple[str, str, str]:
    """A demangled name whole, without its return type, and without its arguments too."""
    short = qualified(name)
    return name, name[max(name.find(f"{short}("), 0) :], short


_UNSIGNED = re.compile(r"\bunsigned\b(?! (?:int|char|short|long)\b)")
_CONST_FIRST = re.compile(
    r"(?<![\w>])const ((?:(?:unsigned|signed|long|short)(?: |\b))*(?:[\w:]+(?:<[^<>()]*>)?)?)(?<! )"
)


def _plain(name: str) -> str:
    """A name by which two spellings of it are the same: no spaces but between words, no suffixes of numbers, `const`
    behind the type that it is of.
    """
    spaced = re.sub(r"\s*([^\w\s])\s*", r"\1", " ".join(name.split()))
    numbers = re.sub(r"\b(\d+)(?:[uU]?[lL]{0,2})\b", r"\1", spaced)
    return _CONST_FIRST.sub(r"\1 const", _UNSIGNED.sub("unsigned int", numbers))
