"""The table of kernels/README.md: what hiprtc's code takes beside the code of the wheel's clang.

FOLDER/python -m tests.rocm.resource_table
"""

from __future__ import annotations

import sys

from pytest_greta.compiler.builder import job_of
from pytest_greta.compiler.clang import run_compiler
from pytest_greta.compiler.codeobject import CodeObject, read_resources
from pytest_greta.compiler.resources import resource_quantities
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.kernel import Kernel, Problem, Variant
from tests.rocm import build_all

COLUMNS = {
    "VGPRs": "vgprs",
    "SGPRs": "sgprs",
    "VGPR spills": "vgpr_spills",
    "scratch bytes": "scratch_bytes",
    "waves per SIMD": "occupancy",
}
SHOWN = {
    "prefill": ["baseline", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"],
    "softmax": ["naive", "wave"],
}


def main() -> None:
    """Print the table: one number where both compilers agree, else hiprtc's, a slash, and the other one's."""
    from hip import hiprtc

    gates = build_all.gate_file()
    lines = ["| variant | target | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    families = {kernel.name: kernel for kernel in build_all.kernels()}
    for kernel, variant in [(families[f], families[f].variant(name)) for f in SHOWN for name in SHOWN[f]]:
        group = build_all.problems(kernel, variant, gates)[0]
        for target in build_all.TARGETS:
            codes = (
                build_all.build(hiprtc, kernel, variant, group[0], target),
                build_with_wheel(kernel, variant, group[0], target),
            )
            found = [resource_quantities(kernel, variant, code, group) for code in codes]
            cells = [
                " / ".join(dict.fromkeys(str(taken[gate].value) for taken in found))
                for gate in COLUMNS.values()
            ]
            lines.append(f"| `{variant.name}` | {target} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def build_with_wheel(kernel: Kernel, variant: Variant, problem: Problem, target: str) -> CodeObject:
    """A variant as it is compiled where there is no ROCm."""
    code, _ = run_compiler(find_toolchain(CPU_TARGET), job_of(kernel, variant, problem, target))
    return CodeObject(target, code, read_resources(code))


if __name__ == "__main__":
    main()
