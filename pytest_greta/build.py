"""From a variant to code: for a target with clang, or for the session's device with what that device takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta import contract
from pytest_greta.barriers import describe
from pytest_greta.catalogue import CATALOGUE
from pytest_greta.codeobject import CodeObject, KernelResources, occupancy, read_resources, source_lines
from pytest_greta.compiler import CPU_TARGET, Compiler, Job
from pytest_greta.errors import CompileError, DeviceFault, GretaError, KernelMistake, ToolMissing
from pytest_greta.gates import Quantity
from pytest_greta.includes import local_files
from pytest_greta.yamlnode import suggestion

if TYPE_CHECKING:
    from pytest_greta.host import Host
    from pytest_greta.kernel import Kernel, Launch, Variant

_COMPILE_SECONDS = 300.0


class Builder:
    """Builds code objects through the compiler, its cache, and the device's own compiler."""

    def __init__(self, compiler: Compiler, host: Host) -> None:
        self.compiler = compiler
        self._host = host

    def job(self, kernel: Kernel, variant: Variant, target: str) -> Job:
        """The compilation of a variant for an AMD target."""
        return Job(kernel.source_path(variant), target, _defines(variant))

    def cpu_job(self, kernel: Kernel, variant: Variant, context: int) -> Job:
        """The compilation of a variant for the cpu device, which needs the geometry of the launch."""
        launched = launches(kernel, variant, context, "cpu")
        blocks = {launch.block for launch in launched if launch.block[1:] != (1, 1)}
        if len(blocks) > 1:
            raise CompileError(
                f"{variant.source}: on the cpu device, launches of a variant share one block of several axes"
            )
        return Job(
            kernel.source_path(variant),
            CPU_TARGET,
            _defines(variant),
            dynamic_lds_bytes=max(launch.dynamic_lds_bytes for launch in launched),
            block=next(iter(blocks), (0, 1, 1)),
        )

    def for_device(self, kernel: Kernel, variant: Variant, context: int) -> CodeObject:
        """The code that runs on the session's device. Raises CompileError, ToolMissing or DeviceUnavailable."""
        if self._host.kind == "cpu":
            return self.compiler.compile(self.cpu_job(kernel, variant, context))
        return self._by_device(kernel.source_path(variant), hiprtc_options(kernel, variant))

    def _by_device(self, source: Path, options: Sequence[str]) -> CodeObject:
        """Compile with hiprtc, in the worker: a compiler belongs in a process that may die."""
        worker = self._host.worker()
        info, cache = worker.info, self.compiler.cache
        request = repr(
            ("hiprtc", info.target, info.runtime, info.driver, sorted(info.extra.items()), source, options)
        )
        code = cache.lookup(request)
        cached = code is not None
        if code is None:
            try:
                text = source.read_text()
                code = worker.compile(text, source.name, options, _COMPILE_SECONDS)
            except OSError as error:
                raise CompileError(f"{source.name} cannot be read: {error.strerror}") from error
            except DeviceFault as fault:
                raise CompileError(f"{source.name}: the device's compiler failed: {fault}") from fault
            except CompileError as error:
                raise CompileError(f"{source.name} does not compile for {info.target}:\n{error}") from error
            cache.store(request, local_files(source), code)
        return CodeObject(info.target, code, _resources_of(code), cached)

    def resource_history(
        self, kernel: Kernel, variant: Variant, targets: Sequence[str], context: int
    ) -> dict[str, dict[str, object]]:
        """What a variant takes on each target it compiles for."""
        found: dict[str, dict[str, object]] = {}
        for target in targets:
            with suppress(CompileError, ToolMissing):
                code_object = self.compiler.compile(self.job(kernel, variant, target))
                quantities = resource_quantities(kernel, variant, code_object, context)
                found[target] = {name: quantity.value for name, quantity in quantities.items()}
        return found


def hiprtc_options(kernel: Kernel, variant: Variant) -> list[str]:
    """What hiprtc is called with for a variant, the architecture aside."""
    folder = kernel.source_path(variant).parent
    return ["-O3", "-std=c++17", f"-I{folder}", *(f"-D{name}={value}" for name, value in _defines(variant))]


def launches(kernel: Kernel, variant: Variant, context: int, device: str) -> Sequence[Launch]:
    """The launches of a variant at a context. Raises KernelMistake."""
    return contract.launches(kernel, kernel.problem(context, device), variant)


def entries(kernel: Kernel, variant: Variant, context: int, device: str) -> list[str]:
    """The `__global__` functions a variant launches, in order of their first launch."""
    launched = launches(kernel, variant, context, device)
    return list(dict.fromkeys(launch.entry or variant.entry for launch in launched))


def resource_quantities(
    kernel: Kernel, variant: Variant, code_object: CodeObject, context: int
) -> dict[str, Quantity]:
    """What the kernels of a variant take, by gate: the worst of them where there are several.

    LDS is the static LDS of the code object and the dynamic LDS of the launch together.
    """
    found: dict[str, list[float | None]] = {}
    launched: list[KernelResources] = []
    for launch in launches(kernel, variant, min(context, variant.max_context or context), "hip"):
        taken = resources_of(variant, code_object, launch.entry or variant.entry)
        if taken not in launched:
            launched.append(taken)
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


def _unwaited_barriers(code_object: CodeObject, kernels: Sequence[KernelResources]) -> Quantity:
    """Those of all kernels together, and where they are."""
    found = [(kernel, barrier) for kernel in kernels for barrier in kernel.unwaited_barriers or ()]
    if not found and any(kernel.unwaited_barriers is None for kernel in kernels):
        reason = f"the machine code of {code_object.target} is not of a form known to greta"
        return Quantity(None, reason=reason, excused=True)  # nothing that the author could mend
    lines = source_lines(code_object.code) if found else {}

    def place(kernel: KernelResources, offset: int) -> str:
        line = lines.get(kernel.address + offset)
        return f"{kernel.name}+{offset:#x}" + (f" ({line})" if line else "")

    texts = [describe(barrier, partial(place, kernel)) for kernel, barrier in found]
    return Quantity(len(found), reason="; ".join(texts))


def resources_of(variant: Variant, code_object: CodeObject, entry: str) -> KernelResources:
    """The resources of one function. Raises CompileError where the code object has none of that name."""
    if entry not in code_object.kernels:
        known = suggestion(entry, code_object.kernels)
        raise CompileError(f'{variant.source} has no kernel {entry!r} (extern "C" __global__); {known}')
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


def _defines(variant: Variant) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in variant.defines.items()))


def _resources_of(code: bytes) -> dict[str, KernelResources]:
    try:
        return read_resources(code)
    except GretaError:  # a code object of another vendor, under HIP on CUDA
        return {}
