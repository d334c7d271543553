"""What a compiler says is wrong: the first error of its log, with its place; and a line in place of a page, where the
cause is one that a user of greta meets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_greta.compiler.demangling import demangled
from pytest_greta.compiler.toolchain import CPU_TARGET

_ERROR = re.compile(
    r"^(?:.*? does not compile for [^:\s]+: ?)?"
    r"(?:(?P<file>[^\n]+?):(?P<line>\d+):(?P<column>\d+): |\S*: )?(?:fatal )?error: (?P<message>.+)$",
    re.MULTILINE,
)
"""As clang has it (and hiprtc, which is clang): `k.hip:8:45: error: use of undeclared identifier 'j'`; of a linker
`ld.lld: error: undefined symbol: f`."""


@dataclass(frozen=True)
class Diagnostic:
    """An error of a compiler. `file` is empty and `line` 0 where it has no place."""

    message: str
    file: str = ""
    line: int = 0
    column: int = 0


def compile_error(message: str) -> Diagnostic | None:
    """The first error in a message that says what does not compile; None of any other message."""
    return first_error(message) if " does not compile for " in message else None


def first_error(log: str) -> Diagnostic | None:
    """The first error in what a compiler printed; notes and warnings before it are none. None where there is none."""
    found = _ERROR.search(log)
    if found is None:
        return None
    return Diagnostic(
        found["message"].strip(), found["file"] or "", int(found["line"] or 0), int(found["column"] or 0)
    )


_ROCM_LIBRARIES = {
    "hipcub": "hipCUB", "rocprim": "rocPRIM", "thrust": "rocThrust", "rocwmma": "rocWMMA", "ck": "Composable Kernel",
    "hipblas": "hipBLAS", "hipblas-common": "hipBLAS", "hipblaslt": "hipBLASLt", "rocblas": "rocBLAS",
    "hipfft": "hipFFT", "rocfft": "rocFFT", "hiprand": "hipRAND", "rocrand": "rocRAND", "hipsparse": "hipSPARSE",
    "hipsparselt": "hipSPARSELt",
    "rocsparse": "rocSPARSE", "hipsolver": "hipSOLVER", "rocsolver": "rocSOLVER", "hiptensor": "hipTensor",
    "miopen": "MIOpen", "migraphx": "MIGraphX", "rccl": "RCCL", "roctracer": "ROCTracer", "rocm_smi": "ROCm SMI",
}  # fmt: skip
"""Libraries of ROCm by the folder of their headers."""
_NOT_FOUND = re.compile(
    r"^(?P<place>[^\n:]+:\d+:\d+): fatal error: '(?P<folder>[\w-]+)(?P<rest>/[^'\n]+)' file not found",
    re.MULTILINE,
)
_WHERE = re.compile(r"^([^\n:]+):\d+:\d+: (?:fatal )?error: ", re.MULTILINE)
_UNDEFINED = re.compile(r"undefined (?:hidden |protected )?symbol: ([^\n]+)|Unknown function in:.*@(\S+?),? ")

_NOT_ON_CPU = "is for AMD GPUs alone: leave what needs it out on the cpu device with #if !defined(__SPIRV__)"


def in_short(log: str, target: str) -> str:
    """The log, or one line in its place: a library of ROCm's that is missing, a function that is defined nowhere."""
    return _missing_library(log, target) or _undefined(log) or _in_library(log, target) or log


def _missing_library(log: str, target: str) -> str:
    found = _NOT_FOUND.search(log)
    library = _ROCM_LIBRARIES.get(found["folder"]) if found else None
    if found is None or library is None:
        return ""
    what = f"{found['place']}: <{found['folder']}{found['rest']}> is a header of {library}, which"
    if target == CPU_TARGET:
        return f"{what} {_NOT_ON_CPU}"
    return (
        f"{what} comes with ROCm and is not here: install ROCm (https://rocm.docs.amd.com), set ROCM_PATH to it, or "
        "name the folder that has the header in `include`"
    )


def _undefined(log: str) -> str:
    symbols = dict.fromkeys(plain or called for plain, called in _UNDEFINED.findall(log))
    if not symbols:
        return ""
    return (
        f"{', '.join(demangled(symbols)[0].values())}: declared, called and defined nowhere. One source is compiled, "
        "with what it includes: include the file that defines it"
    )


def _in_library(log: str, target: str) -> str:
    if target != CPU_TARGET:
        return ""
    folders = (folder for path in _WHERE.findall(log) for folder in path.split("/")[:-1])
    library = next((_ROCM_LIBRARIES[folder] for folder in folders if folder in _ROCM_LIBRARIES), None)
    return f"{library} {_NOT_ON_CPU}\n{log}" if library else ""
