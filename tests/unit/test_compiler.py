"""Compiling for real AMD targets and the cpu device, on any machine with the extra `cpu`."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_greta.compiler import clang
from pytest_greta.compiler import compiler as compiler_module
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.errors import CompileError, ToolMissing
from pytest_greta.remedies import install_extra

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

SOURCE = """\
#include <hip/hip_runtime.h>
#include "factor.h"
extern "C" __global__ __launch_bounds__(64) void scale(const float* x, float* y) {
  const int i = blockIdx.x * 64 + threadIdx.x;
  y[i] = FACTOR * x[i] + EXTRA;
}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "scale it.hip"
    path.write_text(SOURCE)
    (tmp_path / "factor.h").write_text("#define FACTOR 2.0f\n#ifndef EXTRA\n#define EXTRA 0.0f\n#endif\n")
    return path


@pytest.fixture
def compiler(tmp_path: Path) -> Iterator[Compiler]:
    made = Compiler(tmp_path / "cache", workers=2)
    yield made
    made.close()


def again(compiler: Compiler) -> Compiler:
    """A later session with the same cache."""
    return Compiler(compiler.cache.folder, workers=2)


@pytest.mark.parametrize("target", ["gfx942", "gfx90a", "gfx1100", "gfx1201"])
def test_code_for_amd_targets_is_an_elf_with_resources(compiler: Compiler, source: Path, target: str) -> None:
    made = compiler.compile(Job(source, target))
    assert made.code.startswith(b"\x7fELF")
    assert made.target == target
    kernel = made.kernels["scale"]
    assert kernel.scratch_bytes == 0
    assert 0 < kernel.vgprs < 32
    assert kernel.max_block_threads == 64
    assert kernel.wave_size == (64 if target.startswith("gfx9") else 32)


def test_code_for_the_cpu_is_spirv(compiler: Compiler, source: Path) -> None:
    made = compiler.compile(Job(source, CPU_TARGET))
    assert made.code[:4] == (0x07230203).to_bytes(4, "little")
    assert made.kernels == {}


def test_what_has_not_changed_is_not_compiled_again(compiler: Compiler, source: Path) -> None:
    job = Job(source, "gfx942")
    first = compiler.compile(job)
    assert not first.cached
    second = again(compiler).compile(job)
    assert second.cached
    assert second.code == first.code


def test_what_another_release_of_greta_compiled_is_compiled_again(
    compiler: Compiler, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler.compile(Job(source, "gfx942"))
    monkeypatch.setattr(compiler_module, "recipe", lambda: "another")
    assert not again(compiler).compile(Job(source, "gfx942")).cached


def test_a_changed_header_is_compiled_again(compiler: Compiler, source: Path) -> None:
    job = Job(source, "gfx942")
    first = compiler.compile(job)
    (source.parent / "factor.h").write_text("#define FACTOR 3.0f\n#define EXTRA 1.0f\n")
    second = again(compiler).compile(job)
    assert not second.cached
    assert second.code != first.code


def test_defines_are_part_of_the_request(compiler: Compiler, source: Path) -> None:
    plain = compiler.compile(Job(source, "gfx942"))
    defined = compiler.compile(Job(source, "gfx942", defines=(("EXTRA", "5.0f"),)))
    assert not defined.cached
    assert defined.code != plain.code


@pytest.mark.parametrize("target", ["gfx942", "gfx1100", CPU_TARGET])
def test_flags_and_folders_are_part_of_the_request(
    compiler: Compiler, source: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "shared.h").write_text(
        "#ifdef WITH\n#define EXTRA 9.0f\n#else\n#define EXTRA 7.0f\n#endif\n"
    )
    source.write_text(f"#include <shared.h>\n{SOURCE}")
    job = Job(source, target, include=(tmp_path / "common",))
    with pytest.raises(CompileError, match=r"shared\.h"):
        compiler.compile(Job(source, target))
    plain = compiler.compile(job)
    flagged = compiler.compile(dataclasses.replace(job, flags=("-O1", "-ffast-math", "-DWITH")))
    assert not flagged.cached
    assert flagged.code != plain.code
    (tmp_path / "common" / "shared.h").write_text("#define EXTRA 8.0f\n")
    changed = again(compiler).compile(job)
    assert not changed.cached
    assert changed.code != plain.code


def test_a_flag_that_changes_the_machine_reaches_the_assembler(compiler: Compiler, source: Path) -> None:
    job = Job(source, "gfx1100", flags=("-mllvm", "-amdgpu-early-inline-all", "-mwavefrontsize64"))
    assert compiler.compile(job).kernels["scale"].wave_size == 64


def test_a_damaged_cache_entry_is_rebuilt(compiler: Compiler, source: Path) -> None:
    job = Job(source, "gfx942")
    first = compiler.compile(job)
    for path in compiler.cache.folder.glob("*.code"):
        path.write_bytes(path.read_bytes()[:-100])
    second = again(compiler).compile(job)
    assert not second.cached
    assert second.code == first.code
    assert again(compiler).compile(job).cached


def test_errors_show_the_compilers_message_with_file_and_line(compiler: Compiler, source: Path) -> None:
    source.write_text("#include <hip/hip_runtime.h>\n\nint broken(;\n")
    with pytest.raises(
        CompileError, match=r"scale it\.hip does not compile for gfx942:\n.*scale it\.hip:3:\d+: error: "
    ):
        compiler.compile(Job(source, "gfx942"))


def test_an_undefined_function_is_an_error_not_a_code_object(compiler: Compiler, source: Path) -> None:
    source.write_text(
        '#include <hip/hip_runtime.h>\nextern "C" __device__ float missing(float);\n'
        'extern "C" __global__ void f(float* x) { x[0] = missing(x[1]); }\n'
    )
    with pytest.raises(CompileError, match="missing"):
        compiler.compile(Job(source, "gfx942"))


def test_a_target_that_clang_does_not_know_is_an_error(compiler: Compiler, source: Path) -> None:
    with pytest.raises(CompileError, match="gfx9999"):
        compiler.compile(Job(source, "gfx9999"))


def test_a_missing_source_is_an_error(compiler: Compiler, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"gone\.hip"):
        compiler.compile(Job(tmp_path / "gone.hip", "gfx942"))


def test_the_compiler_may_not_run_for_ever(
    compiler: Compiler, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clang, "_DEADLINE_SECONDS", 0.001)
    with pytest.raises(CompileError, match="did not finish"):
        compiler.compile(Job(source, "gfx942"))


def test_no_room_for_temporary_files_is_an_error(
    compiler: Compiler, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(CompileError, match="No such file or directory"):
        compiler.compile(Job(source, "gfx942"))


def test_without_a_compiler_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROCM_PATH", os.devnull)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    find_toolchain.cache_clear()
    with pytest.raises(
        ToolMissing, match=r"pip install .*\(the extra 'compile'\); or install ROCm"
    ) as missing:
        find_toolchain("gfx942")
    assert missing.value.command == install_extra("compile")
    with pytest.raises(ToolMissing, match=r"pip install .*intel-cmplr-lib-rt.*\(the extra 'cpu'\)$"):
        find_toolchain("spirv64")
    find_toolchain.cache_clear()


def test_two_compilers_that_share_a_cache_do_not_disturb_each_other(compiler: Compiler, source: Path) -> None:
    job = Job(source, "gfx942")
    others = [again(compiler) for _ in range(4)]
    for other in others:
        other.submit([job])
    made = [other.compile(job) for other in others]
    assert len({m.code for m in made}) == 1
    assert sum(not m.cached for m in made) == 1


def test_the_bundled_header_is_not_used_where_rocm_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clang = tmp_path / "llvm" / "bin" / "clang++"
    clang.parent.mkdir(parents=True)
    clang.symlink_to(shutil.which("true") or "/bin/true")
    (tmp_path / "include" / "hip").mkdir(parents=True)
    (tmp_path / "include" / "hip" / "hip_runtime.h").write_text("")
    monkeypatch.setenv("ROCM_PATH", str(tmp_path))
    find_toolchain.cache_clear()
    toolchain = find_toolchain("gfx942")
    find_toolchain.cache_clear()
    assert toolchain.clang == (str(clang),)
    assert f"--rocm-path={tmp_path}" in toolchain.flags
    assert not any("pytest_greta" in flag for flag in toolchain.flags)
