"""The two things clang's HIP-for-SPIR-V code needs before a CPU's OpenCL runtime runs it as a GPU would.

Both are edits of LLVM IR text, between the step that makes IR and the step that makes SPIR-V.
"""

from __future__ import annotations

import re

_KERNEL = re.compile(r"^(define [^\n]*\bspir_kernel\b[^\n]*?)(\s*\{)$", re.MULTILINE)
_DYNAMIC_LDS = re.compile(
    r"^(?P<name>@\S+) = external (?:hidden |protected )?(?:local_unnamed_addr |unnamed_addr )?"
    r"addrspace\(3\) global [^,\n]+(?P<rest>[^\n]*)$",
    re.MULTILINE,
)


def force_wavefront(ir: str, wave_size: int) -> str:
    """Make every kernel of a module that uses sub-group functions run with `wave_size` lanes in a wavefront.

    Modules that use none are left alone: the runtime then picks the vector width that suits the CPU best.
    """
    if "sub_group" not in ir:
        return ir
    number = 1 + max((int(n) for n in re.findall(r"^!(\d+) =", ir, re.MULTILINE)), default=-1)
    edited = _KERNEL.sub(rf"\1 !intel_reqd_sub_group_size !{number}\2", ir)
    return f"{edited}\n!{number} = !{{i32 {wave_size}}}\n"


def size_dynamic_lds(ir: str, size_bytes: int) -> str:
    """Give `extern __shared__` arrays, which alias one block of dynamic LDS, the size of the launch.

    On a GPU the launch decides that size; SPIR-V has no such thing, so it is compiled in.
    """
    names = [match["name"] for match in _DYNAMIC_LDS.finditer(ir)]
    if not names:
        return ir
    block = f"@greta.dynamic_lds = internal addrspace(3) global [{max(size_bytes, 1)} x i8] undef, align 16"
    edited = _DYNAMIC_LDS.sub("", ir)
    for name in names:
        edited = re.sub(rf"{re.escape(name)}(?![\w.$-])", "@greta.dynamic_lds", edited)
    # A global must be defined at module level; after the target lines is as good a place as any.
    return edited.replace("\n\n", f"\n\n{block}\n", 1)
