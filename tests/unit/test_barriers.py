"""A barrier that a wavefront can reach with its own LDS write under way is found, and no other."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.prefill.prefill import Prefill
from pytest_greta.compiler.barriers import unwaited_barriers
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.codeobject import KernelResources, read_resources, source_lines
from pytest_greta.compiler.toolchain import find_toolchain
from tests.marks import crossing
from tests.unit.assembler import assemble

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/barriers.md"
TARGETS = ("gfx900", "gfx90a", "gfx942", "gfx950", "gfx1030", "gfx1100", "gfx1201")


def assembly(text: str, target: str) -> str:
    """The words below in the assembly of a generation."""
    gfx12 = target.startswith("gfx12")
    new = gfx12 or target.startswith("gfx11")
    lanes = 64 if target.startswith("gfx9") else 32
    pair, vcc, exec_ = ("s[4:5]", "vcc", "exec") if lanes == 64 else ("s4", "vcc_lo", "exec_lo")
    adds = "v_add_co_u32 v3, vcc, v4, v5" if lanes == 64 else "v_add_co_ci_u32 v3, vcc_lo, v4, v5, vcc_lo"
    words = {
        "WRITE": "ds_store_b32 v0, v1" if new else "ds_write_b32 v0, v1",
        "READ": "ds_load_b32 v2, v0" if new else "ds_read_b32 v2, v0",
        "ATOMIC": "ds_add_u32 v0, v1",
        "EXCHANGE": "ds_bpermute_b32 v2, v3, v4",
        "WAIT0": "s_wait_dscnt 0x0" if gfx12 else "s_waitcnt lgkmcnt(0)",
        "WAIT1": "s_wait_dscnt 0x1" if gfx12 else "s_waitcnt lgkmcnt(1)",
        "LOADS0": "s_wait_loadcnt 0x0" if gfx12 else "s_waitcnt vmcnt(0)",
        "ALL0": "s_wait_loadcnt_dscnt 0x0" if gfx12 else "s_waitcnt vmcnt(0) & lgkmcnt(0)",
        "CALL": "s_swappc_b64 s[0:1], s[2:3]",
        "CLEAR": f"s_mov_b{lanes} {pair}, 0",
        "SET": f"s_mov_b{lanes} {pair}, -1",
        "MASK_OFF": f"s_{'and_not1' if new else 'andn2'}_b{lanes} {vcc}, {exec_}, {pair}",
        "MASK_ON": f"s_and_b{lanes} {vcc}, {exec_}, {pair}",
        "NARROW": f"s_and_b{lanes} {exec_}, {exec_}, s[6:7]"
        if lanes == 64
        else f"s_and_b32 {exec_}, {exec_}, s6",
        "LOAD": "s_load_b64 s[4:5], s[2:3], 0x0" if new else "s_load_dwordx2 s[4:5], s[2:3], 0x0",
        "LANE": "v_readfirstlane_b32 s4, v1",
        "MASK_LANE": "v_readfirstlane_b32 vcc_lo, v1",
        "COMPARE": f"v_cmp_eq_u32 {vcc}, v0, v1",
        "CARRY": adds,
        "BARRIER": "s_barrier_signal -1\ns_barrier_wait -1" if gfx12 else "s_barrier",
    }
    for word, instruction in words.items():
        text = re.sub(rf"\b{word}\b", f"\n{instruction}\n", text)
    return text + "\ns_endpgm\n"


CASES = {
    "barrier alone": ("BARRIER", 0),
    "write": ("WRITE BARRIER", 1),
    "write, waited for": ("WRITE WAIT0 BARRIER", 0),
    "write, waited for with everything": ("WRITE ALL0 BARRIER", 0),
    "write, another counter waited for": ("WRITE LOADS0 BARRIER", 1),
    "atomic": ("ATOMIC BARRIER", 1),
    "read": ("READ BARRIER", 0),
    "exchange of lanes": ("EXCHANGE BARRIER", 0),
    "one newer operation may be under way": ("WRITE READ WAIT1 BARRIER", 0),
    "an exchange is such an operation": ("WRITE EXCHANGE WAIT1 BARRIER", 0),
    "the write itself may be under way": ("WRITE WAIT1 BARRIER", 1),
    "the second write may be under way": ("WRITE READ WRITE WAIT1 BARRIER", 1),
    "still under way at the second barrier": ("WRITE BARRIER BARRIER", 2),
    "after the last barrier": ("BARRIER WRITE", 0),
    "around a loop": ("WRITE WAIT0 loop: BARRIER READ WAIT0 WRITE s_cbranch_scc1 loop", 1),
    "barrier at the end of a loop": ("WRITE WAIT0 BARRIER loop: READ WAIT0 WRITE WAIT0 BARRIER s_cbranch_scc1 loop", 0),
    "one arm waits": ("WRITE s_cbranch_scc1 join\n WAIT0 join: BARRIER", 1),
    "both arms wait": ("WRITE s_cbranch_scc1 other\n WAIT0 s_branch join\n other: WAIT0 join: BARRIER", 0),
    "fewer newer operations on one arm": ("WRITE s_cbranch_scc1 join\n READ join: WAIT1 BARRIER", 1),
    "on a way that ends": ("s_cbranch_scc1 other\n WRITE s_endpgm\n other: BARRIER", 0),
    "a called function may hold a barrier": ("WRITE CALL BARRIER", None),
    "even where there is none here": ("CALL", None),
    "behind a call": ("CALL WRITE BARRIER", 1),
    "a way that a constant decides": ("CLEAR WRITE MASK_OFF s_cbranch_vccnz other\n BARRIER other: WAIT0", 0),
    "the constant comes after the write": ("WRITE CLEAR MASK_OFF s_cbranch_vccnz other\n BARRIER other: WAIT0", 0),
    "the other way of it": ("WRITE CLEAR MASK_OFF s_cbranch_vccz other\n WAIT0 other: BARRIER", 0),
    "a mask of no lanes": ("WRITE SET MASK_OFF s_cbranch_vccz other\n BARRIER other: WAIT0", 0),
    "a constant and an and": ("WRITE SET MASK_ON s_cbranch_vccnz other\n BARRIER other: WAIT0", 0),
    "that way is taken": ("WRITE SET MASK_OFF s_cbranch_vccnz other\n BARRIER other: WAIT0", 1),
    "the constant is overwritten": ("WRITE CLEAR LOAD MASK_OFF s_cbranch_vccnz other\n BARRIER other: WAIT0", 1),
    "by one lane": ("WRITE CLEAR LANE MASK_OFF s_cbranch_vccnz other\n BARRIER other: WAIT0", 1),
    "the mask is overwritten": ("WRITE CLEAR MASK_OFF COMPARE s_cbranch_vccnz other\n BARRIER other: WAIT0", 1),
    "a half of it by one lane": ("WRITE CLEAR MASK_OFF MASK_LANE s_cbranch_vccnz other\n BARRIER other: WAIT0", 1),
    "by a carry": ("WRITE CLEAR MASK_OFF CARRY s_cbranch_vccnz other\n BARRIER other: WAIT0", 1),
    "of one arm only": (
        "s_cbranch_scc1 over\n CLEAR over: WRITE MASK_OFF s_cbranch_vccnz other\n BARRIER other: WAIT0", 1
    ),
    "without lanes nothing is written": ("WRITE s_cbranch_execz other\n WAIT0 other: BARRIER", 0),
    "lanes may have been taken away": ("WRITE NARROW s_cbranch_execz other\n WAIT0 other: BARRIER", 1),
    "and the first write be under way": ("WRITE NARROW WRITE s_cbranch_execz other\n WAIT0 other: BARRIER", 1),
    "behind s_trap 2 nothing follows": ("WRITE s_trap 2\n BARRIER", 0),
    "behind s_trap 3 something does": ("WRITE s_trap 3\n BARRIER", 1),
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_every_case_on_every_generation(target: str, tmp_path: Path) -> None:
    for name, (text, count) in CASES.items():
        found = unwaited_barriers(assemble(assembly(text, target), target, tmp_path), target)
        assert (None if found is None else len(found)) == count, name


SPECIAL = [
    ("gfx900", "ds_write_b32 v0, v1 gds\n BARRIER", 0),
    ("gfx1100", "ds_store_b32 v0, v1 gds\n BARRIER", 0),
    ("gfx1030", "WRITE s_waitcnt_lgkmcnt null, 0x0\n BARRIER", 0),
    ("gfx1030", "WRITE s_waitcnt_lgkmcnt null, 0x1\n BARRIER", 1),
    ("gfx1030", "WRITE s_waitcnt_vmcnt null, 0x0\n BARRIER", 1),
    ("gfx1100", "WRITE s_waitcnt_lgkmcnt null, 0x0\n BARRIER", 0),
    ("gfx1100", "WRITE s_wait_idle\n BARRIER", 0),
    ("gfx1201", "s_barrier_signal -1\n WRITE s_barrier_wait -1", 0),
    ("gfx1201", "WRITE s_barrier_signal_isfirst -1\n s_barrier_wait -1", 1),
    ("gfx1201", "WRITE s_barrier_signal -2\n s_barrier_wait -2", 0),
    ("gfx1201", "WRITE s_wait_storecnt_dscnt 0x0\n BARRIER", 0),
    ("gfx1201", "WRITE s_waitcnt lgkmcnt(0)\n BARRIER", 0),
]


@pytest.mark.parametrize(("target", "text", "count"), SPECIAL)
def test_what_one_generation_has(target: str, text: str, count: int, tmp_path: Path) -> None:
    found = unwaited_barriers(assemble(assembly(text, target), target, tmp_path), target)
    assert found is not None
    assert len(found) == count


LOADS = [
    ("gfx900", "buffer_load_dword off, s[0:3], 0 lds\n"),
    ("gfx90a", "global_load_dword v[2:3], off lds\n"),
    ("gfx942", "buffer_load_dword off, s[0:3], 0 lds\n"),
    ("gfx942", "global_load_lds_dword v[0:1], off\n"),
    ("gfx950", "global_load_lds_dwordx4 v[0:1], off\n"),
    ("gfx1030", "buffer_load_dword off, s[0:3], 0 lds\n"),
]


@pytest.mark.parametrize(("target", "load"), LOADS)
def test_a_load_into_lds_counts_on_the_counter_of_loads(target: str, load: str, tmp_path: Path) -> None:
    def found(text: str) -> list[bool]:
        result = unwaited_barriers(assemble(assembly(text, target), target, tmp_path), target)
        assert result is not None
        return [barrier.is_load for barrier in result]

    assert found(f"{load} BARRIER") == [True]
    assert found(f"{load} WAIT0 BARRIER") == [True]
    assert found(f"{load} LOADS0 BARRIER") == []
    assert found(f"{load} s_waitcnt vmcnt(1)\n BARRIER") == []  # counted by hand
    assert found("global_load_dword v2, v[0:1], off\n BARRIER") == []


def test_the_places_are_told(tmp_path: Path) -> None:
    text = "WRITE WAIT0 loop: BARRIER READ WAIT0 WRITE s_cbranch_scc1 loop"
    (found,) = unwaited_barriers(assemble(assembly(text, "gfx942"), "gfx942", tmp_path), "gfx942") or ()
    assert (found.barrier, found.write, found.reads, found.writes) == (12, 28, (16,), (28,))


@pytest.mark.parametrize("target", ["gfx1250", "sm_90", "gfx6", ""])
def test_unknown_encodings_are_not_made_up(target: str, tmp_path: Path) -> None:
    assert unwaited_barriers(assemble("s_barrier\n", "gfx942", tmp_path), target) is None


def test_a_jump_to_a_computed_address_leaves_it_open(tmp_path: Path) -> None:
    code = assemble(assembly("WRITE BARRIER s_setpc_b64 s[0:1]", "gfx942"), "gfx942", tmp_path)
    assert unwaited_barriers(code, "gfx942") is None


@given(st.binary(max_size=400), st.sampled_from(TARGETS), st.integers(0, 40))
def test_any_bytes_give_barriers_or_none(code: bytes, target: str, at: int) -> None:
    barrier = {"gfx11": b"\0\0\xbd\xbf", "gfx12": b"\xc1\x4e\x80\xbe"}.get(target[:5], b"\0\0\x8a\xbf")
    code = code[: 4 * at] + barrier + code[4 * at :]
    found = unwaited_barriers(code, target)
    assert found is None or all(0 <= b.barrier < len(code) and 0 <= b.write < len(code) for b in found)


# -- what compilers make of sources -----------------------------------------------------------------------------------


def compiled(source: Path, target: str, *flags: str) -> tuple[KernelResources, bytes]:
    """The first kernel of a source, and the code object."""
    toolchain = find_toolchain(target)
    toolchain = dataclasses.replace(toolchain, flags=(*toolchain.flags, *flags))
    code, _ = run_compiler(toolchain, Job(source, target))
    return next(iter(read_resources(code).values())), code


def of_document(name: str, folder: Path) -> Path:
    """A source of docs/barriers.md."""
    text = DOCUMENT.read_text().partition(f"<!-- {name} -->\n```cpp\n")[2].partition("```")[0]
    assert text
    source = folder / name
    source.write_text(text)
    return source


@pytest.mark.parametrize("target", ["gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201"])
def test_the_wait_that_the_compiler_lost(target: str, tmp_path: Path) -> None:
    lost, _ = compiled(of_document("lost_wait.hip", tmp_path), target)
    assert len(lost.unwaited_barriers or ()) == 1
    kept, _ = compiled(of_document("kept_wait.hip", tmp_path), target)
    assert kept.unwaited_barriers == ()


ARMS = """#include <hip/hip_runtime.h>
extern "C" __global__ __launch_bounds__(256) void arms(const int* in, int* out, int n) {
  __shared__ int s[256];
  const int t = threadIdx.x;
  int a = in[t];
  s[t] = a;
  %s
  if (n > 1) {
    __syncthreads();
    a *= 2;
  } else {
    __syncthreads();
    a -= s[t ^ 2];
    %s
    s[255 - t] = a;
  }
  __syncthreads();
  out[t] = a + s[t ^ 3];
}
"""


@pytest.mark.parametrize("target", ["gfx90a", "gfx942", "gfx1030", "gfx1100", "gfx1201"])
@pytest.mark.parametrize(
    "parts", [("__syncthreads(); a += s[t ^ 1];", ""), ("a += __shfl_xor(a, 1);", "__syncthreads();")]
)
def test_one_arm_of_an_if_does_not_lead_into_the_other(
    target: str, parts: tuple[str, str], tmp_path: Path
) -> None:
    source = tmp_path / "arms.hip"
    source.write_text(ARMS % parts)
    assert compiled(source, target)[0].unwaited_barriers == ()


def test_source_lines_are_told_where_the_code_has_them(tmp_path: Path) -> None:
    source = of_document("lost_wait.hip", tmp_path)
    kernel, code = compiled(source, "gfx942", "-gline-tables-only")
    lines = source_lines(code)
    (found,) = kernel.unwaited_barriers or ()
    number, text = lines[kernel.address + found.write].removeprefix("lost_wait.hip:"), source.read_text()
    assert "tile[t] = next" in text.splitlines()[int(number) - 1]
    assert source_lines(compiled(source, "gfx942")[1]) == {}


def turned(variant: str, folder: Path) -> Path:
    """The source of a variant with its loop as it once was: one barrier at the top, none at the end."""
    text = Prefill().source_path(Prefill().variant(variant)).read_text()
    top = "    Weights weights;\n"
    left_early = {
        "for (int key = 0;; key += KEYS)": "for (int key = 0; key < end; key += KEYS)",
        "    if (key + KEYS >= end) break;\n    keys.finish": "    if (key + KEYS < end) keys.finish",
    }
    for now, then in {
        **(left_early if variant == "v6" else {}),
        "  __syncthreads();  // K has arrived\n": "",
        "    __syncthreads();  // the next K has arrived, V is no longer read\n": "",
        top: f"{top}    __syncthreads();\n",
    }.items():
        assert text.count(now) == 1
        text = text.replace(now, then)
    source = folder / f"{variant}.hip"
    source.write_text(text)
    for header in ("attention.h", "tile.h", "matrix.h"):
        (folder / header).write_text((ROOT / "kernels/prefill" / header).read_text())
    return source


@pytest.mark.parametrize("target", ["gfx942", pytest.param("gfx90a", marks=crossing), "gfx1100"])
@pytest.mark.parametrize("variant", ["v6", pytest.param("v8", marks=crossing)])
def test_v6_and_v8_with_the_barrier_at_the_top_of_the_loop(variant: str, target: str, tmp_path: Path) -> None:
    found = compiled(turned(variant, tmp_path), target)[0].unwaited_barriers or ()
    assert len(found) == 1
    assert found[0].reads
