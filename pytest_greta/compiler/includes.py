"""What a source includes: headers of its own, and those of a C or C++ library, which hiprtc has not.

The offline compilers and hipcc find such headers. hiprtc brings none, and does not get the machine's own, which it can
seldom read: it refuses them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pytest_greta.compiler.directives import asked

_INCLUDE = re.compile(
    r'^[ \t]*#[ \t]*(?:include|include_next|import)[ \t]*(?P<mark>[<"])(?P<name>[^>"]+)', re.MULTILINE
)
_LINE_MARKER = re.compile(r'# \d+ "(?P<file>[^"]*)"')
_IN_LOG = re.compile(r"'(?P<missing>[\w./]+)' file not found|/(?P<read>[\w.]+):\d+")

_C = """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg
stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype"""
_CXX = """algorithm any array atomic barrier bit bitset charconv chrono codecvt compare complex concepts
condition_variable coroutine deque exception execution expected filesystem format forward_list fstream functional
future generator initializer_list iomanip ios iosfwd iostream istream iterator latch limits list locale map mdspan
memory memory_resource mutex new numbers numeric optional ostream print queue random ranges ratio regex
scoped_allocator semaphore set shared_mutex source_location span spanstream sstream stack stacktrace stdexcept
stop_token streambuf string string_view strstream syncstream system_error thread tuple type_traits typeindex typeinfo
unordered_map unordered_set utility valarray variant vector version"""
LIBRARY_HEADERS = frozenset(
    [*(f"{name}.h" for name in _C.split()), *(f"c{name}" for name in _C.split()), *_CXX.split()]
)
"""The headers of the C and C++ standard libraries."""
_SYSTEM_FOLDERS = ("sys/", "bits/", "linux/", "asm/", "arpa/", "net/", "netinet/", "experimental/")

BUILT_IN_HEADERS = frozenset({"hip/hip_runtime.h", "hip/hip_fp16.h", "hip/hip_vector_types.h"})
"""Headers whose contents hiprtc has built in (HIP documentation, "Programming for HIP runtime compiler")."""

_WAY_OUT = "leave it out there with #if !defined(__HIPCC_RTC__)"


def mentions_library(files: Iterable[Path]) -> bool:
    """Some of these files may include a library header, in whatever `#if`."""
    texts = (path.read_text(errors="replace") for path in files)
    return any(is_library(header.name) for text in texts for header in asked(text).possible)


def is_library(name: str) -> bool:
    """Whether this is a header of the C or C++ library, or of the system's: `<cmath>`, `<sys/types.h>`."""
    return name in LIBRARY_HEADERS or name.startswith(_SYSTEM_FOLDERS)


def library_includes(preprocessed: str, files: Collection[Path]) -> dict[str, list[str]]:
    """The library headers that these files include, by path, from what `clang -E -dI` says of a source."""
    found: dict[str, list[str]] = {}
    current: Path | None = None
    for line in preprocessed.splitlines():
        if marker := _LINE_MARKER.match(line):
            path = Path(marker["file"])
            current = next((file for file in files if file in (path, path.resolve())), None)
        elif current and line.endswith("/* clang -E -dI */") and (include := _INCLUDE.match(line)):
            names = found.setdefault(str(current), [])
            if is_library(include["name"]) and include["name"] not in names:
                names.append(include["name"])
    return {path: names for path, names in found.items() if names}


def notes(includes: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """A line for each file that hiprtc will have difficulties with."""
    return tuple(
        f"{_shown(Path(path))} includes {', '.join(f'<{name}>' for name in names)}: this compiles here and with hipcc. "
        "hiprtc, which compiles it for a GPU through hip-python, has no C or C++ library headers and refuses it; "
        f"{_WAY_OUT}"
        for path, names in includes.items()
    )


def hint(log: str) -> str:
    """What to add to the log of a failed compilation by hiprtc: a line where a library header is what it names."""
    named = [found["missing"] or found["read"] for found in _IN_LOG.finditer(log)]
    library = next((name for name in named if is_library(name)), "")
    return f"\nhiprtc has no C or C++ library headers (<{library}>): {_WAY_OUT}" if library else ""


def _shown(path: Path) -> Path:
    path = Path(os.path.normpath(path))
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
