"""From a variant to code: for a target with clang, or for the session's device with what that device takes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_greta import contract
from pytest_greta.compiler.cache import States
from pytest_greta.compiler.clang import Job, named_files
from pytest_greta.compiler.codeobject import CodeObject, KernelResources, read_resources
from pytest_greta.compiler.compiler import Compiler, recipe
from pytest_greta.compiler.directives import as_text
from pytest_greta.compiler.includes import BUILT_IN_HEADERS
from pytest_greta.compiler.inputs import follow, inputs
from pytest_greta.compiler.prebuilt import prebuilt
from pytest_greta.compiler.resources import resource_quantities
from pytest_greta.compiler.toolchain import CPU_TARGET
from pytest_greta.errors import CompileError, DeviceFault, GretaError, ToolMissing

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Problem, Variant

_COMPILE_SECONDS = 300.0


class CompilingDevice(Protocol):
    """What a builder asks of the session's device."""

    @property
    def kind(self) -> str:
        """`hip` or `cpu`."""

    def compiler_identity(self) -> tuple[str, ...]:
        """Its target, and what else its own compiler's code depends on. Raises DeviceUnavailable."""

    def header_folders(self) -> Sequence[Path]:
        """Where its own compiler looks for headers behind the author's folders."""

    def compile(self, source: str, name: str, options: Sequence[str], deadline_seconds: float) -> bytes:
        """Compile on the device's own compiler. Raises CompileError, DeviceFault or DeviceUnavailable."""


class Builder:
    """Builds code objects through the compiler, its cache, and the device's own compiler."""

    def __init__(self, compiler: Compiler, device: CompilingDevice) -> None:
        self.compiler = compiler
        self._device = device

    def for_target(self, kernel: Kernel, variant: Variant, problem: Problem, target: str) -> CodeObject:
        """The code of a variant for an AMD target. Raises CompileError or ToolMissing."""
        if variant.code:
            return prebuilt(kernel.source_path(variant), target)
        return self.compiler.compile(job_of(kernel, variant, problem, target))

    def notes(self, kernel: Kernel, variant: Variant, problem: Problem, target: str) -> tuple[str, ...]:
        """What a reader must know of a source although it compiles for a target."""
        return () if variant.code else self.compiler.hiprtc_notes(job_of(kernel, variant, problem, target))

    def cpu_job(self, kernel: Kernel, variant: Variant, problem: Problem) -> Job:
        """The compilation of a variant for the cpu device, which needs the geometry of the launch."""
        launched = contract.launches(kernel, problem, variant)
        blocks = {launch.block for launch in launched if launch.block[1:] != (1, 1)}
        if len(blocks) > 1:
            raise CompileError(
                f"{variant.file}: on the cpu device, launches of a variant share one block of several axes"
            )
        return replace(
            job_of(kernel, variant, problem, CPU_TARGET),
            dynamic_lds_bytes=max(launch.dynamic_lds_bytes for launch in launched),
            block=next(iter(blocks), (0, 1, 1)),
        )

    def for_device(self, kernel: Kernel, variant: Variant, problem: Problem) -> CodeObject:
        """The code that runs on the session's device. Raises CompileError, ToolMissing or DeviceUnavailable."""
        if variant.code:
            target = CPU_TARGET if self._device.kind == "cpu" else self._device.compiler_identity()[0]
            return prebuilt(kernel.source_path(variant), target)
        if self._device.kind == "cpu":
            return self.compiler.compile(self.cpu_job(kernel, variant, problem))
        return self._by_device(kernel, variant, problem)

    def _by_device(self, kernel: Kernel, variant: Variant, problem: Problem) -> CodeObject:
        """Compile with hiprtc, in the worker: a compiler belongs in a process that may die."""
        source, options = kernel.source_path(variant), hiprtc_options(kernel, variant, problem)
        cache, (target, *identity) = self.compiler.cache, self._device.compiler_identity()
        folders = (*hiprtc_folders(kernel, variant), *self._device.header_folders())
        request = repr(("hiprtc", recipe(), target, identity, source, options, folders))
        code = cache.lookup(request)
        cached = code is not None
        if code is None:
            with cache.lock(
                request
            ):  # held behind the device's own lock, always: nobody waits for a device in here
                code = cache.lookup(request) or self._compiled(source, target, request, folders, options)
        return CodeObject(target, code, _resources_of(code), cached)

    def _compiled(
        self, source: Path, target: str, request: str, folders: Sequence[Path], options: Sequence[str]
    ) -> bytes:
        """What hiprtc makes of a source, and keep it. Raises CompileError."""
        before = _hiprtc_inputs(source, folders, options)
        try:
            code = self._device.compile(source.read_text(), source.name, options, _COMPILE_SECONDS)
        except OSError as error:
            raise CompileError(f"{source.name} cannot be read: {error.strerror}") from error
        except DeviceFault as fault:
            raise CompileError(f"{source.name}: the device's compiler failed: {fault}") from fault
        except CompileError as error:
            raise CompileError(f"{source.name} does not compile for {target}:\n{error}") from error
        self.compiler.cache.store(request, before, _hiprtc_inputs(source, folders, options), code)
        return code

    def resource_history(
        self, kernel: Kernel, variant: Variant, targets: Sequence[str], problem: Problem
    ) -> dict[str, dict[str, object]]:
        """What a variant takes on each target it compiles for, without what the machine code is decoded for."""
        found: dict[str, dict[str, object]] = {}
        for target in targets:
            with suppress(CompileError, ToolMissing):
                code_object = self.for_target(kernel, variant, problem, target)
                quantities = resource_quantities(kernel, variant, code_object, [problem], asked=())
                found[target] = {name: quantity.value for name, quantity in quantities.items()}
        return found


def job_of(kernel: Kernel, variant: Variant, problem: Problem, target: str) -> Job:
    """The compilation of a variant for a target, as the problem needs it."""
    return Job(
        kernel.source_path(variant),
        target,
        contract.defines(kernel, problem, variant),
        flags=kernel.flags_of(variant),
        include=kernel.include_of(variant),
    )


def hiprtc_options(kernel: Kernel, variant: Variant, problem: Problem) -> list[str]:
    """What hiprtc is called with for a variant, the architecture aside.

    The machine's own headers are not for it: it understands few of them, and another machine has others.
    """
    include = [f"-I{folder}" for folder in hiprtc_folders(kernel, variant)]
    defines = [f"-D{name}={value}" for name, value in contract.defines(kernel, problem, variant)]
    return ["-O3", "-std=c++17", "-nostdinc", *include, *defines, *kernel.flags_of(variant)]


def hiprtc_folders(kernel: Kernel, variant: Variant) -> tuple[Path, ...]:
    """Where hiprtc finds headers of the author: beside the source, which it knows by its text alone, and as said."""
    return (kernel.source_path(variant).parent, *kernel.include_of(variant))


def _hiprtc_inputs(source: Path, folders: Sequence[Path], options: Sequence[str]) -> States | None:
    """What hiprtc's code depends on besides its request: hiprtc does not tell, so every `#include` is followed."""
    reading, is_all = follow(source, folders, as_text((), options), BUILT_IN_HEADERS)
    named = tuple(named_files(options, Path.cwd()))
    return inputs(replace(reading, besides=named)) if is_all else None


def _resources_of(code: bytes) -> dict[str, KernelResources]:
    try:
        return read_resources(code)
    except GretaError:  # a code object of another vendor, under HIP on CUDA
        return {}
