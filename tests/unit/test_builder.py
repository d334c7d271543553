"""What goes into the code of a variant: for a target with clang, for a GPU with the compiler of its device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.compiler.builder import Builder, hiprtc_options, job_of
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.codeobject import CodeObject
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
        self.meanwhile: Callable[[], object] = lambda: None

    def compiler_identity(self) -> tuple[str, ...]:
        return "gfx942", "clang"

    def header_folders(self) -> Sequence[Path]:
        return (self.folder / "rocm",)

    def compile(self, source: str, name: str, options: Sequence[str], deadline_seconds: float) -> bytes:
        self.compiled += 1
        self.meanwhile()
        options = [*options, f"-I{self.folder / 'rocm'}"]
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
    assert hiprtc_options(kernel, variant, PROBLEM) == [
        "-O3",
        "-std=c++17",
        "-nostdinc",
        *folders,
        "-O2",
        "-DFACTOR=3",
    ]
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


Build = Callable[[], CodeObject]


@pytest.fixture
def build(builder: Builder, kernel: Kernel) -> Build:
    """Code for the GPU: compiled, or from the cache."""
    return lambda: builder.for_device(kernel, kernel.variants[0], PROBLEM)


def is_kept(build: Build) -> bool:
    """Whether code is compiled anew once, and not again."""
    return [build().cached, build().cached] == [False, True]


HOW = [
    "#include <tile.h>",
    '#include "tile.h"',
    "#import <tile.h>",
    "#include \\\n<tile.h>",
    "#define WHERE <tile.h>\n#include WHERE",
    "#if __has_include(<tile.h>)\n#include <tile.h>\n#endif",
]


@pytest.mark.parametrize("how", HOW)
def test_on_a_gpu_a_header_that_appears_in_front_is_seen(build: Build, tmp_path: Path, how: str) -> None:
    source = tmp_path / "kernels" / "scale.hip"
    source.write_text(SOURCE.replace("#include <tile.h>", how))
    assert is_kept(build)
    (tmp_path / "common" / "tile.h").write_text("#define TILE 5\n")
    assert is_kept(build)
    (tmp_path / "kernels" / "tile.h").write_text("#define TILE 6\n")
    assert is_kept(build)


def test_on_a_gpu_what_was_asked_for_in_vain_is_seen(build: Build, tmp_path: Path) -> None:
    source = tmp_path / "kernels" / "scale.hip"
    source.write_text("#if __has_include(<later.h>)\n#include <later.h>\n#endif\n" + SOURCE)
    assert is_kept(build)
    (tmp_path / "own" / "later.h").write_text('#include "deep.h"\n')
    (tmp_path / "own" / "deep.h").write_text("")
    assert is_kept(build)
    (tmp_path / "own" / "deep.h").write_text("// changed\n")
    assert is_kept(build)


def test_on_a_gpu_headers_of_rocm_are_dependencies(build: Build, tmp_path: Path) -> None:
    rocm = tmp_path / "elsewhere" / "rocm" / "hip"
    rocm.mkdir(parents=True)
    (rocm / "hip_more.h").write_text("")
    (rocm / "hip_runtime.h").write_text('#include "not_for_hiprtc.h"\n')
    (rocm / "not_for_hiprtc.h").write_text("")
    source = tmp_path / "kernels" / "scale.hip"
    source.write_text("#include <hip/hip_more.h>\n" + SOURCE)
    assert is_kept(build)
    (rocm / "not_for_hiprtc.h").write_text("// changed\n")
    assert build().cached  # hiprtc has its own hip_runtime.h
    (rocm / "hip_more.h").write_text("// changed\n")
    assert is_kept(build)


def test_on_a_gpu_code_is_not_kept_where_what_it_reads_is_not_known(build: Build, tmp_path: Path) -> None:
    source = tmp_path / "kernels" / "scale.hip"
    made = "#define TEXT(x) #x\n#define NAME(x) TEXT(x.h)\n#include NAME(tile)\n"
    source.write_text(SOURCE.replace("#include <tile.h>\n", made))
    assert [build().cached, build().cached] == [False, False]


def test_on_a_gpu_what_is_saved_while_it_compiles_is_compiled_again(
    build: Build, device: ClangAsHiprtc, tmp_path: Path
) -> None:
    header = tmp_path / "common" / "tile.h"
    device.meanwhile = lambda: header.write_text("#define TILE 5\n")
    assert not build().cached
    device.meanwhile = lambda: None
    assert is_kept(build)


def test_no_header_of_the_machine_is_for_hiprtc(kernel: Kernel) -> None:
    assert "-nostdinc" in hiprtc_options(kernel, kernel.variants[0], PROBLEM)
