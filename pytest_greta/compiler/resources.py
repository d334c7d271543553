"""What the kernels of a variant take, as quantities for the gates on code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pytest_greta import contract
from pytest_greta.compiler.arguments import argument_problem
from pytest_greta.compiler.barriers import describe
from pytest_greta.compiler.codeobject import CodeObject, KernelResources, source_lines
from pytest_greta.compiler.occupancy import occupancy
from pytest_greta.errors import CompileError, KernelMistake
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.model import Quantity
from pytest_greta.gates.nodes import suggestion

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Problem, Variant


def entries(kernel: Kernel, variant: Variant, problem: Problem) -> list[str]:
    """The `__global__` functions a variant launches, in order of their first launch. Raises KernelMistake."""
    launched = contract.launches(kernel, problem, variant)
    return list(dict.fromkeys(launch.entry or variant.entry for launch in launched))


def resource_quantities(
    kernel: Kernel, variant: Variant, code_object: CodeObject, problems: Sequence[Problem]
) -> dict[str, Quantity]:
    """What the kernels of a variant take, by gate: the worst of all launches for all problems.

    LDS is the static LDS of the code object and the dynamic LDS of the launch together.
    """
    found: dict[str, list[float | None]] = {}
    launched: list[KernelResources] = []
    for launch in (n for problem in problems for n in contract.launches(kernel, problem, variant)):
        taken = resources_of(variant, code_object, launch.entry or variant.entry)
        if taken not in launched:
            launched.append(taken)
        wrong = argument_problem(launch.args, taken.arguments) if taken.arguments is not None else ""
        if wrong:
            raise KernelMistake(f"kernel {kernel.name!r}, variant {variant.name!r}, {taken.name}: {wrong}")
        threads = launch.block[0] * launch.block[1] * launch.block[2]
        if threads > taken.max_block_threads:
            raise KernelMistake(
                f"kernel {kernel.name!r}, variant {variant.name!r}: launched with {threads} threads a block, "
                f"but compiled for {taken.max_block_threads} (__launch_bounds__)"
            )
        values: Mapping[str, float | None] = {
            "scratch_bytes": taken.scratch_bytes,
            "vgprs": taken.vgprs,
            "agprs": taken.agprs,
            "sgprs": taken.sgprs,
            "vgpr_spills": taken.vgpr_spills,
            "sgpr_spills": taken.sgpr_spills,
            "lds_bytes": taken.lds_bytes + launch.dynamic_lds_bytes,
            "code_bytes": taken.code_bytes,
            "occupancy": occupancy(taken, code_object.target, threads, launch.dynamic_lds_bytes),
            "mfma": taken.matrix_instructions,
        }
        for gate, value in values.items():
            found.setdefault(gate, []).append(value)
    quantities = {gate: _worst(gate, values) for gate, values in found.items()}
    return {**quantities, "unwaited_barriers": _unwaited_barriers(code_object, launched)}


_TOLD = 8
"""Unwaited barriers that a reason names."""


def _unwaited_barriers(code_object: CodeObject, kernels: Sequence[KernelResources]) -> Quantity:
    """Those of all kernels together, and where they are."""
    found = [(kernel, barrier) for kernel in kernels for barrier in kernel.unwaited_barriers or ()]
    if not found and any(kernel.unwaited_barriers is None for kernel in kernels):
        unknown = "is not of a form known to greta, calls a function or jumps to a computed address"
        reason = f"the machine code of {code_object.target} {unknown}"
        return Quantity(None, reason=reason, excused=True)  # nothing that the author could mend
    lines = source_lines(code_object.code) if found else {}

    def place(kernel: KernelResources, offset: int) -> str:
        line = lines.get(kernel.address + offset)
        return f"{kernel.name}+{offset:#x}" + (f" ({line})" if line else "")

    texts = [describe(barrier, partial(place, kernel)) for kernel, barrier in found[:_TOLD]]
    more = [f"and {len(found) - _TOLD} more such barriers"] if len(found) > _TOLD else []
    return Quantity(len(found), reason="; ".join([*texts, *more]))


def resources_of(variant: Variant, code_object: CodeObject, entry: str) -> KernelResources:
    """The resources of one function. Raises CompileError where the code object has none of that name."""
    if entry not in code_object.kernels:
        known = suggestion(entry, code_object.kernels)
        raise CompileError(f'{variant.file} has no kernel {entry!r} (extern "C" __global__); {known}')
    return code_object.kernels[entry]


def attribute_quantities(attributes: Sequence[Mapping[str, int]]) -> dict[str, Quantity]:
    """What the runtime says of the functions of a variant, where their code is no AMDGPU code object."""
    names = ("scratch_bytes", "vgprs", "lds_bytes")
    return {name: _worst(name, [function.get(name) for function in attributes]) for name in names}


def _worst(gate: str, values: Sequence[float | None]) -> Quantity:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Quantity(None, reason="not known for this target")
    # Not every kernel of a variant multiplies matrices: the one that does is meant.
    worst = min if CATALOGUE[gate].better == "higher" and gate != "mfma" else max
    return Quantity(worst(known))
