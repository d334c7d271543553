"""What the kernels of a variant take, as quantities for the gates on code."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pytest_greta import contract, contract_arrays
from pytest_greta.compiler.arguments import argument_problem
from pytest_greta.compiler.barriers import describe
from pytest_greta.compiler.codeobject import CodeObject, KernelResources, source_lines
from pytest_greta.compiler.entries import constants_in, symbol_of
from pytest_greta.compiler.names import called
from pytest_greta.compiler.occupancy import occupancy, target_limits
from pytest_greta.compiler.spirv import NO_DYNAMIC_LDS, TRAP
from pytest_greta.errors import CompileError
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.model import Quantity

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Launch, Problem, Variant


def entries(kernel: Kernel, variant: Variant, problem: Problem) -> list[str]:
    """The `__global__` functions a variant launches, in order of their first launch. Raises KernelMistake."""
    launched = contract.launches(kernel, problem, variant)
    return list(dict.fromkeys(launch.entry or variant.entry for launch in launched))


DECODED = ("mfma", "unwaited_barriers")
"""Quantities that the machine code has to be decoded for, which takes far longer than to read what it states."""


def resource_quantities(
    kernel: Kernel,
    variant: Variant,
    code_object: CodeObject,
    problems: Sequence[Problem],
    asked: Collection[str] = DECODED,
) -> dict[str, Quantity]:
    """What the kernels of a variant take, by gate: the worst of all launches for all problems.

    LDS is the static LDS of the code object and the dynamic LDS of the launch together. Of the quantities that the
    machine code is decoded for, those that are `asked` for.
    """
    found: dict[str, list[Quantity]] = {}
    launched = _launched(kernel, variant, code_object, problems)
    for launch, taken in launched:
        threads, lds_bytes = math.prod(launch.block), launch.dynamic_lds_bytes
        values = quantities_of(taken, code_object.target, threads, lds_bytes, asked)
        for gate, value in values.items():
            found.setdefault(gate, []).append(value)
    quantities = {gate: _worst(gate, values) for gate, values in found.items()}
    wrong = dict.fromkeys(_launch_problem(*one, code_object.target) for one in launched)
    wrong |= dict.fromkeys(_constant_problem(kernel, variant, code_object, problem) for problem in problems)
    quantities["launchable"] = Quantity(not any(wrong), reason="; ".join(filter(None, wrong)))
    if "unwaited_barriers" in asked:
        kernels = {taken.name: taken for _, taken in launched}
        quantities["unwaited_barriers"] = barriers_of(
            code_object.target, code_object.code, list(kernels.values())
        )
    return quantities


def quantities_of(
    taken: KernelResources,
    target: str,
    block_threads: int,
    dynamic_lds_bytes: int = 0,
    asked: Collection[str] = (),
) -> dict[str, Quantity]:
    """What one kernel takes, by gate, when it is launched with such blocks. `mfma` where it is `asked` for."""
    waves = occupancy(taken, target, block_threads, dynamic_lds_bytes)
    values = {
        "scratch_bytes": Quantity(taken.scratch_bytes, reason=_unbounded_scratch(taken)),
        "vgprs": Quantity(taken.vgprs),
        "agprs": Quantity(taken.agprs),
        "sgprs": Quantity(taken.sgprs),
        "vgpr_spills": Quantity(taken.vgpr_spills),
        "sgpr_spills": Quantity(taken.sgpr_spills),
        "lds_bytes": Quantity(taken.lds_bytes + dynamic_lds_bytes),
        "code_bytes": Quantity(taken.code_bytes, reason=_unknown_code(taken)),
        "occupancy": Quantity(waves, reason="" if waves is not None else _UNKNOWN),
    }
    if "mfma" in asked:
        count = taken.matrix_instructions
        reason = "" if count is not None else _unknown_code(taken) or _UNKNOWN
        values["mfma"] = Quantity(count, reason=reason)
    return values


def _launch_problem(launch: Launch, taken: KernelResources, target: str) -> str:
    """Why the code cannot be launched so; empty where it can."""
    threads, lds_bytes = math.prod(launch.block), taken.lds_bytes + launch.dynamic_lds_bytes
    limits = target_limits(target, taken.wave_size, taken.is_cu_mode)
    wrong = argument_problem(launch.args, taken.arguments) if taken.arguments is not None else ""
    if not wrong and threads > taken.max_block_threads:
        bound = f"compiled for at most {taken.max_block_threads} (__launch_bounds__)"
        wrong = f"launched with {threads} threads a block, {bound}"
    if not wrong and limits is not None and lds_bytes > limits.block_lds_bytes:
        wrong = f"a block takes {lds_bytes} bytes of LDS, where {target} gives it {limits.block_lds_bytes}"
    if not wrong and limits is not None and not occupancy(taken, target, threads, launch.dynamic_lds_bytes):
        wrong = f"a block of {threads} threads with {taken.vgprs} VGPRs does not fit on a compute unit of {target}"
    return f"{called(taken.name)}: {wrong}" if wrong else ""


def _constant_problem(kernel: Kernel, variant: Variant, code_object: CodeObject, problem: Problem) -> str:
    """Why what the kernel says of `__constant__` variables is not so for the code; empty where it is."""
    try:
        constants_in(code_object.code, variant.file, contract_arrays.constants(kernel, problem, variant))
    except CompileError as error:
        return str(error)
    return ""


def launch_notes(
    kernel: Kernel, variant: Variant, code_object: CodeObject, problems: Sequence[Problem]
) -> list[str]:
    """A line for each kernel that is launched with far smaller blocks than it is compiled for."""
    largest: dict[str, int] = {}
    compiled_for = {}
    for launch, taken in _launched(kernel, variant, code_object, problems):
        largest[taken.name] = max(largest.get(taken.name, 0), math.prod(launch.block))
        compiled_for[taken.name] = taken.max_block_threads
    return [
        f"{called(name)} is compiled for blocks of up to {compiled_for[name]} threads and launched with at most "
        f"{threads}: __launch_bounds__({threads}) leaves each thread more registers"
        for name, threads in largest.items()
        if compiled_for[name] == _UNBOUNDED and threads <= _FAR_SMALLER
    ]


def printing_notes(variant: Variant, code_object: CodeObject) -> list[str]:
    """A line where a source prints and nothing of that is in its code (`printf` in include/hip/greta/misc.h)."""
    if b"__greta_drops_printf" not in code_object.code:
        return []
    without = "takes are those without it; ROCm's compiler, where it is installed, makes it"
    return [
        f"{variant.file} calls printf, which is left out here for {code_object.target}: the resources it {without}"
    ]


def trap_notes(file: str, code: bytes, fault: str) -> list[str]:
    """A line where SPIR-V has a trap and its run ended as one does."""
    if "SIGSEGV" not in fault or TRAP.encode() not in code:
        return []
    return [f"{file} has a trap (__trap, abort or a failed assert), which the cpu device obeys by SIGSEGV"]


def dynamic_lds_notes(file: str, code: bytes) -> list[str]:
    """A line where SPIR-V uses dynamic LDS and its launches give it none."""
    if NO_DYNAMIC_LDS.encode() not in code:
        return []
    return [
        f"{file} uses dynamic LDS (extern __shared__), and its launches give it 0 bytes (dynamic_lds_bytes)"
    ]


def _launched(
    kernel: Kernel, variant: Variant, code_object: CodeObject, problems: Sequence[Problem]
) -> list[tuple[Launch, KernelResources]]:
    """Every launch for every problem, with the resources of its function."""
    launches = [launch for problem in problems for launch in contract.launches(kernel, problem, variant)]
    return [(one, resources_of(variant, code_object, one.entry or variant.entry)) for one in launches]


_UNBOUNDED = 1024
"""Threads of a block that clang compiles for without `__launch_bounds__`."""
_FAR_SMALLER = 256
"""In blocks of up to so many threads each can have more registers, on every target."""

_UNKNOWN = "not known for this target"


def _unbounded_scratch(taken: KernelResources) -> str:
    """Why scratch is not known, if so."""
    if taken.scratch_bytes is not None:
        return ""
    why = "it calls itself or through a pointer, or allocates on its stack"
    return f"the stack of {called(taken.name)} has no known size (.uses_dynamic_stack): {why}"


def _unknown_code(taken: KernelResources) -> str:
    """Why there is no machine code, if so."""
    return (
        "" if taken.code else f"no symbol of the code object says where the code of {called(taken.name)} ends"
    )


_TOLD = 8
"""Unwaited barriers that a reason names."""


def barriers_of(target: str, code: bytes, kernels: Sequence[KernelResources]) -> Quantity:
    """The unwaited barriers of kernels of a code object together, and where they are."""
    found = [(kernel, barrier) for kernel in kernels for barrier in kernel.unwaited_barriers or ()]
    if not found and any(kernel.unwaited_barriers is None for kernel in kernels):
        unknown = "is not of a form known to greta, calls a function or jumps to a computed address"
        missing = next((_unknown_code(kernel) for kernel in kernels if not kernel.code), "")
        reason = missing or f"the machine code of {target} {unknown}"
        return Quantity(None, reason=reason, excused=True)  # nothing that the author could mend
    lines = source_lines(code) if found else {}

    def place(kernel: KernelResources, offset: int) -> str:
        line = lines.get(kernel.address + offset)
        return f"{called(kernel.name)}+{offset:#x}" + (f" ({line})" if line else "")

    texts = [describe(barrier, partial(place, kernel)) for kernel, barrier in found[:_TOLD]]
    more = [f"and {len(found) - _TOLD} more such barriers"] if len(found) > _TOLD else []
    return Quantity(len(found), reason="; ".join([*texts, *more]))


def resources_of(variant: Variant, code_object: CodeObject, entry: str) -> KernelResources:
    """The resources of one function. Raises CompileError where the code object has none of that name."""
    return code_object.kernels[symbol_of(code_object.kernels, variant.file, entry)]


def attribute_quantities(attributes: Sequence[Mapping[str, int]]) -> dict[str, Quantity]:
    """What the runtime says of the functions of a variant, where their code is no AMDGPU code object."""
    names = ("scratch_bytes", "vgprs", "lds_bytes")
    found = {
        name: [Quantity(function.get(name), reason=_UNKNOWN) for function in attributes] for name in names
    }
    return {name: _worst(name, values) for name, values in found.items()}


def _worst(gate: str, quantities: Sequence[Quantity]) -> Quantity:
    """Of several launches the worst value, and none where one is not known."""
    values = [quantity.value for quantity in quantities if isinstance(quantity.value, int)]
    if len(values) < len(quantities):
        reasons = (quantity.reason for quantity in quantities if quantity.value is None)
        return Quantity(None, reason="; ".join(dict.fromkeys(reasons)))
    # Not every kernel of a variant multiplies matrices: the one that does is meant.
    worst = min if CATALOGUE[gate].better == "higher" and gate != "mfma" else max
    return Quantity(worst(values))
