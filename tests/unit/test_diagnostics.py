"""A compiler's log is one line where its cause is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.diagnostics import in_short
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.errors import CompileError

NOT_ON_CPU = "is for AMD GPUs alone: leave what needs it out on the cpu device with #if !defined(__SPIRV__)"


def test_a_library_of_rocm_that_is_not_here_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sum.h").write_text("#include <hipcub/device/device_reduce.hpp>\n")
    source = tmp_path / "k.hip"
    source.write_text('#include "sum.h"\n')
    with pytest.raises(CompileError) as raised:
        run_compiler(find_toolchain(CPU_TARGET), Job(source, "gfx942"))
    first, line = str(raised.value).splitlines()
    assert first == "k.hip does not compile for gfx942:"
    place = f"{tmp_path / 'sum.h'}:1:10: <hipcub/device/device_reduce.hpp> is a header of hipCUB, which"
    assert line.startswith(f"{place} comes with ROCm and is not here")
    assert line.endswith("or name the folder that has the header in `include`")
    log = f"{tmp_path / 'sum.h'}:1:10: fatal error: 'hipcub/device/device_reduce.hpp' file not found"
    assert in_short(log, CPU_TARGET) == f"{place} {NOT_ON_CPU}"


def test_an_error_in_such_a_library_is_told_for_the_cpu_device_alone() -> None:
    log = "In file included from k.hip:2:\n/opt/rocm/include/rocprim/intrinsics/atomic.hpp:210:6: error: support for"
    assert in_short(log, CPU_TARGET) == f"rocPRIM {NOT_ON_CPU}\n{log}"
    assert in_short(log, "gfx942") == log


def test_functions_that_are_nowhere_are_named_once() -> None:
    lines = [
        f"ld.lld: error: undefined hidden symbol: {name}\n>>> referenced by k"
        for name in ("f(int)", "g", "g")
    ]
    assert in_short("\n".join(lines), "gfx942").startswith("f(int), g: declared, called and defined nowhere")


@pytest.mark.parametrize(
    "log", ["", "k.hip:1:10: fatal error: 'mine/x.h' file not found", "k.hip:3:1: error: no"]
)
def test_other_logs_stay(log: str) -> None:
    assert in_short(log, CPU_TARGET) == log
