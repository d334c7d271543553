"""Machine code is cut into the instructions that the compiler's own assembler wrote."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.prefill.prefill import Prefill
from pytest_greta.compiler.codeobject import read_resources
from pytest_greta.compiler.flow import matrix_instructions
from pytest_greta.compiler.instructions import decode
from tests.marks import crossing
from tests.unit.assembler import assemble
from tests.unit.conftest import Compile

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("kernels/*/*.hip"))
MATRIX = re.compile(r"v_(mfma|smfmac|wmma|swmmac)_")
V6 = ROOT / "kernels/prefill/v6_turns.hip"
_LARGE = ("v5_matrix", "v7_split", "v8_lazy")
CASES = [
    pytest.param(
        source,
        target,
        marks=crossing if source.stem in _LARGE and (target, source.stem) != ("gfx942", "v7_split") else [],
    )
    for source in SOURCES
    for target in ("gfx942", "gfx1100")
] + [
    pytest.param(V6, target, marks=crossing if target != "gfx1201" else [])
    for target in ("gfx90a", "gfx950", "gfx1030", "gfx1201")
]


def mnemonics(assembly: str) -> list[str]:
    """Without s_nop, with which the assembler aligns loops too."""
    lines = [line.split(";")[0].strip() for line in assembly.splitlines()]
    found = [
        line.split()[0] for line in lines if line and not line.startswith(".") and not line.endswith(":")
    ]
    return [name for name in found if name != "s_nop"]


def expect_same(code: bytes, target: str, expected: list[str]) -> None:
    found = [i for i in decode(code, target) if code[i.offset + 2 : i.offset + 4] != b"\x80\xbf"]
    assert [i.is_matrix for i in found] == [bool(MATRIX.match(name)) for name in expected]


@pytest.mark.parametrize(("source", "target"), CASES, ids=lambda x: x.stem if isinstance(x, Path) else str(x))
def test_instructions_are_those_of_the_compilers_assembly(
    source: Path, target: str, tmp_path: Path, compiled: Compile
) -> None:
    name = re.findall(r'extern "C" __global__ .*?void (\w+)\(', source.read_text(), re.DOTALL)[0]
    body = compiled(source, target).assembly.partition(f"\n{name}:")[2].partition("\t.section")[0]
    expect_same(assemble(body, target, tmp_path), target, mnemonics(body))


SCALAR = """
s_mov_b32 s0, 1.0
s_mov_b32 s0, 0x12345678
s_mov_b64 s[0:1], 0x12345678
s_add_i32 s0, s1, s2
s_add_i32 s0, 0x12345678, s2
s_add_i32 s0, s1, 0x12345678
s_cmp_eq_u32 s0, s1
s_cmp_eq_u32 s0, 0x12345678
s_movk_i32 s0, 0x1234
s_setreg_imm32_b32 hwreg(HW_REG_MODE), 0x12345678
s_barrier
s_load_dwordx4 s[0:3], s[4:5], 0x10
v_mov_b32 v0, v1
v_mov_b32 v0, 0x12345678
v_add_f32 v0, v1, v2
v_add_f32 v0, 0x12345678, v2
v_cmp_lt_f32 vcc, v1, v2
v_cmp_lt_f32 vcc, 0x12345678, v2
v_fma_f32 v0, v1, v2, v3
v_mov_b32_dpp v0, v1 row_shr:1 row_mask:0xf bank_mask:0xf
ds_read_b128 v[0:3], v4
global_load_dwordx4 v[0:3], v[4:5], off
buffer_load_dword v0, off, s[0:3], 0
v_pk_fma_f16 v0, v1, v2, v3
"""
RDNA = (
    SCALAR.replace("vcc,", "vcc_lo,")
    + """
v_fma_f32 v0, v1, 0x12345678, v3
v_fma_f32 v0, v1, v2, 0x12345678
v_pk_fma_f16 v0, v1, v2, 0x12345678
v_mov_b32_dpp v0, v1 dpp8:[7,6,5,4,3,2,1,0]
v_fmaak_f32 v0, v1, v2, 0x12345678
v_fmamk_f32 v0, v1, 0x12345678, v2
v_fmamk_f16 v0, v1, 0x1234, v2
"""
)
RDNA3 = (
    RDNA.replace("s_barrier", "s_nop 0")
    + """
v_dual_mul_f32 v0, v1, v2 :: v_dual_mov_b32 v3, v4
v_dual_mul_f32 v0, 0x12345678, v2 :: v_dual_mov_b32 v3, v4
v_dual_mul_f32 v0, v1, v2 :: v_dual_mov_b32 v3, 0x12345678
v_dual_fmaak_f32 v0, v1, v2, 0x12345678 :: v_dual_mov_b32 v3, v4
v_fma_f32_e64_dpp v0, v1, v2, v3 row_shr:1 row_mask:0xf bank_mask:0xf
v_fma_f32_e64_dpp v0, v1, v2, v3 dpp8:[7,6,5,4,3,2,1,0]
image_sample v[0:3], [v0, v1], s[0:7], s[8:11] dmask:0xf dim:SQ_RSRC_IMG_2D
"""
)
WMMA = """
v_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7]
v_wmma_f32_16x16x16_bf16 v[0:7], v[8:15], v[16:23], v[0:7]
v_wmma_f16_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7]
v_wmma_i32_16x16x16_iu8 v[0:7], v[8:11], v[12:15], v[0:7]
v_wmma_i32_16x16x16_iu4 v[0:7], v[8:9], v[10:11], v[0:7]
"""
CDNA = (
    SCALAR
    + """
v_add_f32_sdwa v0, v1, v2 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:BYTE_0 src1_sel:DWORD
v_pk_fma_f32 v[0:1], v[2:3], v[4:5], v[6:7]
v_accvgpr_read_b32 v0, a0
v_accvgpr_write_b32 a0, v0
v_accvgpr_mov_b32 a0, a1
v_mfma_f32_32x32x8f16 a[0:15], v[0:1], v[2:3], a[0:15]
v_mfma_f32_32x32x8bf16_1k a[0:15], v[0:1], v[2:3], a[0:15]
v_mfma_f32_16x16x16f16 v[0:3], v[4:5], v[6:7], v[0:3]
v_mfma_f32_32x32x1f32 a[0:31], v0, v1, a[0:31]
v_mfma_f64_16x16x4f64 v[0:7], v[8:9], v[10:11], v[0:7]
"""
)
CDNA3 = (
    CDNA
    + """
v_mfma_i32_32x32x16_i8 v[0:15], v[16:17], v[18:19], v[0:15]
v_mfma_f32_32x32x16_fp8_fp8 v[0:15], v[16:17], v[18:19], v[0:15]
v_smfmac_f32_32x32x16_f16 v[0:15], v[16:17], v[18:21], v22
v_smfmac_f32_16x16x64_fp8_bf8 v[0:3], v[16:17], v[18:21], v22
"""
)
CDNA4 = (
    SCALAR
    + """
v_mfma_f32_16x16x32_f16 v[0:3], v[4:7], v[8:11], v[0:3]
v_mfma_f32_32x32x16_bf16 v[0:15], v[16:19], v[20:23], v[0:15]
v_mfma_i32_32x32x32_i8 v[0:15], v[16:19], v[20:23], v[0:15]
v_smfmac_f32_32x32x32_f16 v[0:15], v[16:19], v[20:27], v28
v_mfma_f32_16x16x128_f8f6f4 v[0:3], v[4:11], v[12:19], v[0:3]
v_prng_b32 v0, v1
v_bitop3_b32 v0, v1, v2, v3 bitop3:1
"""
)
RDNA4 = (
    RDNA3.replace("buffer_load_dword v0, off, s[0:3], 0", "buffer_load_b32 v0, off, s[0:3], null")
    .replace("s_load_dwordx4", "s_load_b128")
    .replace("ds_read_b128", "ds_load_b128")
    .replace("global_load_dwordx4", "global_load_b128")
    + "s_fmaak_f32 s0, s1, s2, 0x12345678\n"
    + """v_wmma_f32_16x16x16_f16 v[0:7], v[8:11], v[16:19], v[0:7]
v_wmma_bf16_16x16x16_bf16 v[0:3], v[8:11], v[16:19], v[0:3]
v_wmma_i32_16x16x16_iu8 v[0:7], v[8:9], v[12:13], v[0:7]
v_swmmac_f32_16x16x32_f16 v[0:7], v[8:11], v[12:19], v20
"""
)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("gfx900", SCALAR),
        ("gfx90a", CDNA),
        ("gfx942", CDNA3),
        ("gfx950", CDNA4),
        ("gfx1030", RDNA),
        ("gfx1100", RDNA3 + WMMA),
        ("gfx1201", RDNA4),
    ],
)
def test_every_form_of_an_instruction_has_its_length(target: str, text: str, tmp_path: Path) -> None:
    expect_same(assemble(text, target, tmp_path), target, mnemonics(text))


MFMA = "v_mfma_f32_32x32x8f16 v[0:15], v[16:17], v[18:19], v[0:15]\n"
OUTSIDE = f"{MFMA} s_endpgm\n"
ONE_BLOCK = f"{MFMA} loop: {MFMA * 3} s_cbranch_scc1 loop\n {MFMA} s_endpgm\n"
NESTED = f"""
outer: {MFMA * 5}
inner: {MFMA * 2} s_cbranch_scc0 inner
s_cbranch_scc1 outer
none: s_cbranch_scc1 none
s_endpgm
"""
OUT_OF_LINE = f"""
loop: s_cbranch_execz aside
{MFMA * 2}
back: {MFMA * 2}
s_cbranch_scc1 loop
s_endpgm
aside: {MFMA} s_branch back
"""
AFTER_ANOTHER = f"one: {MFMA} s_cbranch_scc0 one\n two: {MFMA * 4} s_cbranch_scc1 two\n s_endpgm\n"


@pytest.mark.parametrize(
    ("text", "count"),
    [(OUTSIDE, 0), (ONE_BLOCK, 3), (NESTED, 2), (OUT_OF_LINE, 5), (AFTER_ANOTHER, 4)],
    ids=["outside", "one block", "nested", "out of line", "after another"],
)
def test_matrix_instructions_of_the_main_loop(text: str, count: int, tmp_path: Path) -> None:
    assert matrix_instructions(assemble(text, "gfx942", tmp_path), "gfx942:sramecc+:xnack-") == count


@pytest.mark.parametrize(
    ("variant", "target", "count"),
    [
        ("v6", "gfx942", 64),
        pytest.param("v6", "gfx1030", 0, marks=crossing),
        ("v3", "gfx1030", 0),
        ("v4", "gfx942", 0),
    ],
)
def test_a_kernel_that_computes_in_scalars_has_none(
    variant: str, target: str, count: int, compiled: Compile
) -> None:
    kernel = Prefill()
    kernels = read_resources(compiled(kernel.source_path(kernel.variant(variant)), target).code).values()
    assert [k.matrix_instructions for k in kernels] == [count]


def test_code_that_cannot_be_read_is_not_made_up(tmp_path: Path) -> None:
    code = assemble(ONE_BLOCK, "gfx942", tmp_path)
    assert matrix_instructions(code[:-6], "gfx942") is None
    assert matrix_instructions(code, "gfx1250") is None
    assert matrix_instructions(code, "sm_90") is None
    assert matrix_instructions(b"\xff" * 8, "gfx942") is None


def test_any_depth_of_loops_is_looked_into(tmp_path: Path) -> None:
    depth = 300
    begins = "".join(f"b{n}: s_nop 0\n" for n in range(depth))
    matrix = "v_mfma_f32_32x32x8_f16 a[0:15], v[0:1], v[2:3], a[0:15]\n"
    ends = "".join(f"s_cbranch_scc0 b{n}\n" for n in reversed(range(depth)))
    code = assemble(f"{begins}{matrix}{ends}s_endpgm\n", "gfx942", tmp_path)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + depth // 2)  # fewer calls within calls than there are loops
    try:
        assert matrix_instructions(code, "gfx942") == 1
    finally:
        sys.setrecursionlimit(limit)


@given(st.binary(max_size=200), st.sampled_from(["gfx942", "gfx1030", "gfx1100", "gfx1201"]))
def test_any_bytes_give_a_count_or_none(code: bytes, target: str) -> None:
    count = matrix_instructions(code, target)
    assert count is None or 0 <= count <= len(code) // 8
