"""The kernels that code holds, by the names that authors know: `seg<8>` for `_Z3segILi8EEvPf`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence

from pytest_greta.compiler.codeobject import read_resources
from pytest_greta.compiler.elf import AMDGPU, Elf
from pytest_greta.compiler.names import demangled, qualified
from pytest_greta.compiler.spirv import SETTER
from pytest_greta.compiler.spirv_module import entry_points, is_spirv
from pytest_greta.errors import CompileError, GretaError

_OBJECT = 1  # STT_OBJECT
_NOT_OF_A_SOURCE = re.compile(r"\.kd$|__hip_cuid|__greta_")
"""Descriptors of kernels, and what compilers and our headers add."""
_PTX_ENTRY = re.compile(rb"\.entry\s+([\w$]+)")
_MOST_NAMED = 20
"""Kernels that a message lists."""


def kernel_names(code: bytes) -> tuple[str, ...]:
    """The symbols of all kernels in code for a device; none where its form is not known."""
    if is_spirv(code):
        return tuple(name for name in entry_points(code) if not name.startswith(SETTER))
    if code.startswith(b"\x7fELF"):
        try:
            return tuple(read_resources(code))
        except GretaError:  # of another vendor
            return ()
    return tuple(dict.fromkeys(found.decode() for found in _PTX_ENTRY.findall(code)))


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
    return symbol_of(symbols, file, entry) if symbols else entry


def symbol_of(symbols: Collection[str], file: str, entry: str, what: str = "kernel") -> str:
    """The symbol of the kernel that an author calls `entry`: itself, or what it is demangled from.

    Raises CompileError, one line, where there is none or where there are several. `file` is what it calls the source,
    `what` says that it looks for something else than a kernel.
    """
    if entry in symbols:
        return entry
    names, not_demangled = demangled(symbols)
    wanted = _plain(entry)
    found = [symbol for symbol, name in names.items() if wanted in (_plain(name), _plain(qualified(name)))]
    if len(found) == 1:
        return found[0]
    if found:
        several = " and ".join(names[symbol] for symbol in found)
        raise CompileError(f"{file}: {entry!r} is each of {several}; write its arguments too")
    known = [qualified(name) for name in names.values()]
    raise CompileError(
        f"{file} has no {what} {entry!r}{' (__global__)' if what == 'kernel' else ''}; "
        f"{listing(known, entry)}{f' ({not_demangled})' if not_demangled else ''}"
    )


def constants_in(code: bytes, file: str, given: Mapping[str, bytes]) -> dict[str, bytes]:
    """What variables of code are to hold, by their symbols. Raises CompileError for a name or a size that is not so."""
    sizes, found = variables(code) if given else {}, {}
    is_listed = _is_known(code)
    for name, data in given.items():
        symbol = symbol_of(sizes, file, name, "__constant__ variable") if sizes or is_listed else name
        if symbol in sizes and len(data) != sizes[symbol]:
            raise CompileError(f"{file}: {name} holds {sizes[symbol]} bytes, and constants gives {len(data)}")
        found[symbol] = data
    return found


def listing(names: Sequence[str], wanted: str) -> str:
    """What is there, and what was meant, if that can be told."""
    near = difflib.get_close_matches(wanted, names, 1)
    guess = f"; did you mean {near[0]}?" if near else ""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"there is {', '.join(names[:_MOST_NAMED]) or 'none'}{more}{guess}"


def _plain(name: str) -> str:
    """A name by which two spellings of it are the same: no spaces but between words, no suffixes of numbers."""
    spaced = re.sub(r"\s*([^\w\s])\s*", r"\1", name.strip())
    return re.sub(r"\b(\d+)(?:[uU]?[lL]{0,2})\b", r"\1", spaced)
