"""What mangled names stand for, by LLVM's demangler, in bounded time and memory whatever a file calls its symbols.

A mangled name may refer back to its parts (`S0_`, `T_`) and repeat one for each of a pack (`Dp`), so that 250 letters
stand for gigabytes. Those that may stand for more than a page are given to a process of their own with little memory
and little time; a name at which that ends, or that is too long to be read, stays mangled.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from pytest_greta.compiler.bundles import EXTRA

LONGEST_MANGLED = 1 << 14
"""Longer names stay as they are: demanglers go a step deeper for each letter."""
LONGEST = 1 << 16
"""Letters of a name that anybody reads."""
NOT_DEMANGLED = f"names are not demangled: that takes {EXTRA}"
TOO_LONG = "{} of the names stay mangled: demangled, they are too long or take too long"

_BACK = re.compile(r"[ST][0-9A-Z]*_|TL")
_PACK = re.compile("Dp|sp")
_HARMLESS = 1 << 20
"""Letters that a demangler may write in this process."""
_MEGABYTES = 32
"""What that process may grow by."""
_SECONDS = 2.0
_SECONDS_EACH = 1e-3
_MOST_ENDED = 8
"""So many names may end their process; then those that may be like them stay mangled."""

_PROCESS = """
import sys
sys.path[:0] = [{folder!r}]
import pydemumble
try:
    import resource
    with open("/proc/self/statm") as pages:
        used = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + {memory}, used + {memory}))
except (ImportError, ValueError, OSError):
    pass  # time is bounded in any case
for symbol in sys.stdin.buffer.read().split(b"\\0"):
    try:
        name = pydemumble.demangle(symbol.decode()).encode()
    except (UnicodeError, MemoryError):
        name = b""
    sys.stdout.buffer.write(name[: {longest} + 1] + b"\\0")
    sys.stdout.buffer.flush()
"""


def demangled(symbols: Iterable[str]) -> tuple[dict[str, str], str]:
    """The names that symbols stand for, and why they are not demangled, if so.

    By LLVM's demangler, which says the same on every machine; that of a C++ library differs from one to another.
    """
    names = {symbol: symbol for symbol in symbols}
    mangled = [symbol for symbol in names if symbol.startswith("_Z") and len(symbol) <= LONGEST_MANGLED]
    demangle = _demangler()
    if demangle is None:
        return names, NOT_DEMANGLED if mangled else ""
    apart = [symbol for symbol in mangled if not _is_harmless(symbol)]
    answered = _demangled_apart(apart)
    answered |= {symbol: demangle(symbol) for symbol in set(mangled).difference(apart)}
    names.update({symbol: name for symbol, name in answered.items() if 0 < len(name) <= LONGEST})
    too_long = len(mangled) - sum(len(name) <= LONGEST for name in answered.values())
    return names, TOO_LONG.format(too_long) if too_long else ""


def _is_harmless(symbol: str) -> bool:
    """It may be demangled here. Each reference back ends in `_`: where there are few, nothing need be looked for."""
    few = _letters(
        len(symbol), symbol.count("_") + symbol.count("TL"), symbol.count("Dp") + symbol.count("sp")
    )
    return few <= _HARMLESS or may_stand_for(symbol) <= _HARMLESS


def may_stand_for(symbol: str) -> float:
    """Letters that a name has demangled, at most.

    Of k references back, those that are in one part multiply what they refer to: by 3^(k/3) where they are three
    in each of k/3 parts, and by less however else they are spread. A pack repeats a part for less than each letter. One
    letter stands for 16 at most (`Ss`).
    """
    return _letters(len(symbol), len(_BACK.findall(symbol)), len(_PACK.findall(symbol)))


def _letters(letters: int, back: int, packs: int) -> float:
    return 16 * letters * math.pow(3, min(back / 3, 300)) * math.pow(letters, min(packs, 20))


@lru_cache
def _demangler() -> Callable[[str], str] | None:
    try:
        import pydemumble
    except ModuleNotFoundError:
        return None
    demangle: Callable[[str], str] = pydemumble.demangle
    return demangle


@lru_cache
def _ended() -> set[str]:
    """The names of which a demangler died, or would have taken too long: no other is asked for these again."""
    return set()


def _demangled_apart(symbols: list[str]) -> dict[str, str]:
    """The names of these, demangled in a process that may die of one; those of which it does are not among them."""
    names, ended = dict[str, str](), _ended()
    left = [symbol for symbol in symbols if symbol not in ended]
    while left and len(ended) < _MOST_ENDED:
        answers = _answers(left)
        names.update(zip(left, answers, strict=False))
        ended.update(left[len(answers) : len(answers) + 1])
        left = left[len(answers) + 1 :]
    return names


def _answers(symbols: list[str]) -> list[str]:
    """The names of the first of these: up to that at which the process ended, if so."""
    found = find_spec("pydemumble")
    folder = str(Path(found.origin).parents[1]) if found and found.origin else ""
    code = _PROCESS.format(memory=_MEGABYTES << 20, folder=folder, longest=LONGEST)
    command = [sys.executable, "-I", "-S", "-c", code]
    text = "\0".join(symbols).encode(errors="replace")
    try:
        deadline = _SECONDS + _SECONDS_EACH * len(symbols)
        said = subprocess.run(command, input=text, capture_output=True, check=False, timeout=deadline).stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
    except OSError:
        return []
    return [name.decode(errors="replace") for name in said.split(b"\0")[:-1]]
