"""What goes into the code of a variant: for a target with clang, for a GPU with the compiler of its device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.compiler.builder import Builder, hiprtc_options, job_of
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.kernel import Kernel, Launch, Problem, Variant

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

PROBLEM = Problem(64)
SOURCE = """\
#include <hip/hip_runtime.h>
#include <tile.h>
extern "C" __global__ __launch_bounds__(64) void scale(float* x) { x[threadIdx.x] *= FACTOR * TILE; }
"""


class ClangAsHiprtc:
    """A GPU whose own compiler is the clang of the offline build, called with hiprtc's options."""

    kind = "hip"

    def __init__(self, folder: Path) -> None:
        self.folder, self.compiled = folder, 0

    def compiler_identity(self) -> tuple[str, ...]:
        return "gfx942", "clang"

    def compile(self, source: str, name: str, options: Sequence[str], deadline_seconds: float) -> bytes:
        self.compiled += 1
        path = self.folder / name  # hiprtc knows the text of a source, not its folder
        path.write_text(source)
        return run_compiler(find_toolchain("gfx942"), Job(path, "gfx942", flags=tuple(options)))[0]


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """A kernel with flags and folders, in `tmp_path/kernels`, whose header is in `tmp_path/common`."""
    for name in ("kernels", "common", "own"):
        (tmp_path / name).mkdir()
    (tmp_path / "kernels" / "scale.hip").write_text(SOURCE)
    (tmp_path / "common" / "tile.h").write_text("#define TILE 4\n")
    variants = [Variant("one", "scale.hip", "scale", flags=["-DFACTOR=3"], include=["../own"])]
    launch = lambda *_: Launch((1, 1, 1), (64, 1, 1), ("x",))  # noqa: E731
    members = {"folder": tmp_path / "kernels", "name": "scale", "variants": variants, "launch": launch}
    made: Kernel = type("Scale", (Kernel,), {**members, "flags": ("-O2",), "include": ("../common",)})()
    return made


@pytest.fixture
def device(tmp_path: Path) -> ClangAsHiprtc:
    (tmp_path / "elsewhere").mkdir()
    return ClangAsHiprtc(tmp_path / "elsewhere")


@pytest.fixture
def builder(tmp_path: Path, device: ClangAsHiprtc) -> Iterator[Builder]:
    compiler = Compiler(tmp_path / "cache", 2)
    yield Builder(compiler, device)
    compiler.close()


def test_flags_and_folders_of_the_kernel_come_before_those_of_the_variant(
    builder: Builder, kernel: Kernel, tmp_path: Path
) -> None:
    variant = kernel.variants[0]
    common, own = tmp_path / "common", tmp_path / "own"
    jobs = job_of(kernel, variant, PROBLEM, "gfx942"), builder.cpu_job(kernel, variant, PROBLEM)
    assert [job.flags for job in jobs] == [("-O2", "-DFACTOR=3")] * 2
    assert [job.include for job in jobs] == [(common, own)] * 2
    folders = [f"-I{folder}" for folder in (tmp_path / "kernels", common, own)]
    assert hiprtc_options(kernel, variant, PROBLEM) == ["-O3", "-std=c++17", *folders, "-O2", "-DFACTOR=3"]
    assert "scale" in builder.compiler.compile(jobs[0]).kernels
    assert builder.compiler.compile(jobs[1]).target == CPU_TARGET


def test_code_compiled_elsewhere_is_taken_as_it_is(
    builder: Builder, device: ClangAsHiprtc, kernel: Kernel, tmp_path: Path
) -> None:
    code = builder.compiler.compile(job_of(kernel, kernel.variants[0], PROBLEM, "gfx942")).code
    (tmp_path / "kernels" / "scale.hsaco").write_bytes(code)
    variant = Variant("elsewhere", code="scale.hsaco", entry="scale")
    found = builder.for_device(kernel, variant, PROBLEM)
    assert (found.code, found.target, list(found.kernels)) == (code, "gfx942", ["scale"])
    assert builder.for_target(kernel, variant, PROBLEM, "gfx942").code == code
    assert builder.notes(kernel, variant, PROBLEM, "gfx942") == ()
    assert device.compiled == 0
    assert list(builder.resource_history(kernel, variant, ["gfx942", "gfx1100"], PROBLEM)) == ["gfx942"]


def test_on_a_gpu_a_header_in_a_folder_is_a_dependency(
    builder: Builder, device: ClangAsHiprtc, kernel: Kernel, tmp_path: Path
) -> None:
    def build() -> Any:
        return builder.for_device(kernel, kernel.variants[0], PROBLEM)

    first = build()
    assert (first.cached, build().cached, device.compiled) == (False, True, 1)
    header = tmp_path / "common" / "tile.h"
    header.write_text("#define TILE 5\n")
    assert (build().cached, device.compiled) == (False, 2)
    header.write_text("#define TILE 4\n")
    assert build().code == first.code
    assert device.compiled == 2
