"""HIP's own runtime compiler: source text to a code object, without a GPU."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from pytest_greta.compiler import includes
from pytest_greta.device import hip_missing
from pytest_greta.device.hip_bindings import HipError, call
from pytest_greta.errors import CompileError

EMPTY_HEADER = b"// built into hiprtc\n"  # hiprtc refuses a header of no bytes


def compile_source(hiprtc: Any, source: str, name: str, options: Sequence[str]) -> bytes:
    """Compile HIP source text with hiprtc and return the code object. CompileError carries hiprtc's log.

    hiprtc has HIP's device declarations built in and no file of that name: `#include <hip/hip_runtime.h>`, in the
    source or in a header of its own, finds an empty one here, so that a source that hipcc takes compiles unchanged.
    Other headers are looked for in ROCm's own folder.
    """
    headers = [header.encode() for header in sorted(includes.BUILT_IN_HEADERS)]
    folders = [folder for folder in hip_missing.header_folders(os.environ) if folder.is_dir()]
    options = [*options, *(f"-I{folder}" for folder in folders)]
    program = call(
        hiprtc.hiprtcCreateProgram,
        *(source.encode(), name.encode(), len(headers), [EMPTY_HEADER] * len(headers), headers),
        about=name,
    )
    try:
        flags = [o.encode() for o in options]
        try:
            call(
                hiprtc.hiprtcCompileProgram, program, len(flags), flags, about=f"{name}, {' '.join(options)}"
            )
        except HipError as error:
            log = _log(hiprtc, program, name)
            raise CompileError(f"{log}{includes.hint(log)}" if log else str(error)) from None
        code = bytearray(call(hiprtc.hiprtcGetCodeSize, program, about=name))
        call(hiprtc.hiprtcGetCode, program, code, about=name)
        return bytes(code)
    finally:
        call(hiprtc.hiprtcDestroyProgram, program.createRef())


def _log(hiprtc: Any, program: Any, name: str) -> str:
    log = bytearray(call(hiprtc.hiprtcGetProgramLogSize, program))
    if log:
        call(hiprtc.hiprtcGetProgramLog, program, log)
    text = log.rstrip(b"\0").decode(errors="replace").strip()
    # The compiler library works on a copy in a temporary folder.
    return re.sub(r"\S*/comgr-\w+/input/[^:\s]+", lambda _: name, text)
