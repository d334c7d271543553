"""The edits of LLVM IR text for the cpu device."""

from __future__ import annotations

import re

from pytest_greta.compiler.resources import dynamic_lds_notes, trap_notes
from pytest_greta.compiler.spirv import (
    NO_DYNAMIC_LDS,
    SETTER,
    TRAP,
    force_wavefront,
    make_constants_settable,
    obey_traps,
    saturate,
    size_dynamic_lds,
)
from pytest_greta.results import RunResult

IR = """\
target triple = "spirv64"

@s = external hidden local_unnamed_addr addrspace(3) global [0 x float], align 4
@s2 = external addrspace(3) global [0 x i32], align 16
@fixed = internal addrspace(3) global [8 x float] undef, align 4

define hidden spir_kernel void @f(ptr addrspace(1) noundef %0) local_unnamed_addr #0 {
  store float 1.0, ptr addrspace(3) @s, align 4
  store i32 1, ptr addrspace(3) @s2, align 4
  ret void
}

declare spir_func i32 @_Z22get_sub_group_local_idv()

!3 = !{i32 1}
"""


def test_dynamic_lds_arrays_share_one_block_of_the_launch_s_size() -> None:
    edited = size_dynamic_lds(IR, 512)
    assert "@greta.dynamic_lds = internal addrspace(3) global [512 x i8] undef, align 16" in edited
    assert "external" not in edited
    assert "store float 1.0, ptr addrspace(3) @greta.dynamic_lds," in edited
    assert "store i32 1, ptr addrspace(3) @greta.dynamic_lds," in edited
    assert "@fixed = internal" in edited


def test_dynamic_lds_of_no_bytes_is_told_by_its_name() -> None:
    assert f"@{NO_DYNAMIC_LDS} = internal addrspace(3) global [1 x i8]" in size_dynamic_lds(IR, 0)
    note = "k.hip uses dynamic LDS (extern __shared__), and its launches give it 0 bytes (dynamic_lds_bytes)"
    assert dynamic_lds_notes("k.hip", NO_DYNAMIC_LDS.encode()) == [note]
    assert dynamic_lds_notes("k.hip", b"greta.dynamic_lds") == []
    assert RunResult([], None, of_code=(note,)).told == (note,)


def test_a_trap_is_a_fault() -> None:
    ir = (
        "  tail call void @llvm.trap()\n  unreachable\n  call void @llvm.ubsantrap(i8 1)\n"
        "  call spir_func void @__greta_trap() #9\ndeclare spir_func void @__greta_trap() #1\n"
    )
    edited = obey_traps(ir)
    assert edited.count("call spir_func void @__greta_trap()") == 3
    assert "declare" not in edited
    assert "llvm" not in edited
    assert "store volatile i32 0, ptr addrspace(1) null" in edited
    assert obey_traps(IR) == IR
    assert trap_notes("k.hip", TRAP.encode(), "no fault of a trap") == []


def test_code_without_dynamic_lds_is_left_alone() -> None:
    plain = IR.replace("external", "internal").replace("global [0", "global [1")
    assert size_dynamic_lds(plain, 512) == plain


def test_a_wavefront_is_forced_only_where_sub_group_functions_are_used() -> None:
    edited = force_wavefront(IR, 64)
    assert "local_unnamed_addr #0 !intel_reqd_sub_group_size !4 {" in edited
    assert edited.endswith("\n!4 = !{i32 64}\n")
    plain = IR.replace("sub_group", "other")
    assert force_wavefront(plain, 64) == plain


def test_conversions_to_integers_are_written_out() -> None:
    ir = (
        "define spir_kernel void @k() {\n"
        "  %a = tail call i32 @llvm.fptosi.sat.i32.f32(float %x)\n"
        "  %b = call <2 x i16> @llvm.fptoui.sat.v2i16.v2f16(<2 x half> %y)\n"
        "}\n\n"
        "declare i32 @llvm.fptosi.sat.i32.f32(float) #1\n"
        "declare <2 x i16> @llvm.fptoui.sat.v2i16.v2f16(<2 x half>) #1\n"
    )
    edited = saturate(ir)
    assert "llvm.fpto" not in edited
    assert "declare" not in edited
    assert "  %a = tail call i32 @greta.fptosi.sat.i32.f32(float %x)\n" in edited
    assert "define internal spir_func i32 @greta.fptosi.sat.i32.f32(float %x)" in edited
    assert "%is_high = fcmp oge float %x, 0x41E0000000000000\n" in edited  # 2^31
    assert "select i1 %is_low, i32 -2147483648, i32 %capped" in edited
    assert "%x = fpext <2 x half> %half to <2 x float>" in edited
    assert "%is_high = fcmp oge <2 x float> %x, splat (float 0x40F0000000000000)" in edited  # 2^16
    assert saturate("define void @k() {}\n") == "define void @k() {}\n"


def test_a_variable_gets_a_kernel_that_fills_it() -> None:
    ir = (
        "%struct.P = type { i8, double, [3 x i16], %struct.Q }\n"
        "%struct.Q = type <{ i8, float }>\n\n"
        "@p = hidden addrspace(1) externally_initialized global %struct.P zeroinitializer, align 8\n"
        "@w = addrspace(1) externally_initialized global [3 x float] [float 1.0, float 2.0, float 3.0], align 4\n"
        "@v = addrspace(1) externally_initialized global <3 x float> undef, align 16\n"
        "@n = hidden local_unnamed_addr addrspace(1) externally_initialized global i32 -7, align 4\n"
        "@tile = internal addrspace(3) global [8 x float] undef, align 4\n"
        "@table = internal addrspace(1) constant [2 x i64] [i64 1, i64 2], align 8\n"
    )
    edited = make_constants_settable(ir)
    kernels = re.findall(r"^define spir_kernel void @(\w+)\(", edited, re.MULTILINE)
    assert kernels == [f"{SETTER}{name}" for name in ("32_p", "12_w", "16_v", "4_n")]
    assert "getelementptr i8, ptr addrspace(1) @p, i64 %i" in edited
    assert edited.count("declare spir_func i64 @_Z13get_global_idj(i32)") == 1
    assert make_constants_settable("define void @k() {\n") == "define void @k() {\n"
