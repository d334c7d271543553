"""Resources are what independent readers see in the same code object, and occupancy is what the compiler computes."""

from __future__ import annotations

import contextlib
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kernels.prefill.prefill import Prefill
from pytest_greta.compiler.codeobject import (
    KernelResources,
    code_by_target,
    machine_code,
    read_resources,
    unbundle,
)
from pytest_greta.compiler.occupancy import occupancy
from pytest_greta.compiler.prebuilt import prebuilt, targets_in
from pytest_greta.errors import CompileError, GretaError
from tests.fuzz.code_objects import bundled, replace_note, run
from tests.marks import crossing
from tests.unit.conftest import Compile

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

TARGETS = ["gfx942", "gfx90a", "gfx1100", "gfx908", "gfx1030", "gfx1201"]
PREFILL = Prefill()
SOURCES = {v.name: PREFILL.source_path(v) for v in PREFILL.variants if v.name != "v7"}  # of one kernel each
# All variants for the targets of gates.yaml; for the others one that spills, one in scalars, one on matrix units.
CASES = [
    (variant, target)
    for target in TARGETS
    for variant in (
        SOURCES if target in TARGETS[:3] else ("v1", "v3", "v6") if target == "gfx908" else ("v1", "v3")
    )
]


def _is_large(case: tuple[str, str]) -> bool:
    return case[0] in ("v5", "v7", "v8") and case[1] != "gfx942"


Baseline = Callable[[str], bytes]


@pytest.fixture(scope="session")
def baseline(compiled: Compile) -> Baseline:
    """The code of the baseline for a target."""
    return lambda target: compiled(SOURCES["baseline"], target).code


def resources(code: bytes) -> KernelResources:
    (kernel,) = read_resources(code).values()
    return kernel


@pytest.mark.parametrize(
    ("variant", "target"),
    [
        pytest.param(*case, marks=crossing if _is_large(case) or case == ("v8", "gfx942") else [])
        for case in CASES
        if case[1] in TARGETS[:3]
    ],
)
def test_resources_equal_what_llvm_readelf_prints(
    compiled: Compile, variant: str, target: str, tmp_path: Path
) -> None:
    readelf = shutil.which("llvm-readelf")
    if readelf is None:
        pytest.skip("llvm-readelf is not installed")
    path = tmp_path / "code"
    code = compiled(SOURCES[variant], target).code
    path.write_bytes(code)
    printed = subprocess.run([readelf, "--notes", path], capture_output=True, text=True, check=True).stdout
    (kernel,) = yaml.safe_load(printed.partition("---\n")[2].partition("\n...")[0])["amdhsa.kernels"]
    expect_metadata(resources(code), kernel)


@pytest.mark.parametrize(
    ("variant", "target"),
    [
        pytest.param(
            *case, marks=crossing if case in (("v6", "gfx908"), ("v8", "gfx942")) or _is_large(case) else []
        )
        for case in CASES
    ],
)
def test_resources_equal_the_metadata_the_compiler_writes_as_text(
    compiled: Compile, variant: str, target: str
) -> None:
    made = compiled(SOURCES[variant], target)
    text = made.assembly.partition(".amdgpu_metadata\n---\n")[2].partition("\n...")[0]
    (kernel,) = yaml.safe_load(text)["amdhsa.kernels"]
    found = resources(made.code)
    expect_metadata(found, kernel)
    computed = re.search(r"Occupancy \[waves/SIMD\]: (\d+)", made.remarks)
    assert computed is not None
    blocks = int(computed[1]) * 4 * found.wave_size // found.max_block_threads  # of those waves, whole ones
    assert occupancy(found, target, found.max_block_threads) == -(
        -blocks * found.max_block_threads // found.wave_size // 4
    )


def expect_metadata(found: KernelResources, kernel: dict[str, object]) -> None:
    assert {
        ".private_segment_fixed_size": found.scratch_bytes,
        ".vgpr_count": found.vgprs,
        ".sgpr_count": found.sgprs,
        ".vgpr_spill_count": found.vgpr_spills,
        ".sgpr_spill_count": found.sgpr_spills,
        ".group_segment_fixed_size": found.lds_bytes,
        ".wavefront_size": found.wave_size,
        ".max_flat_workgroup_size": found.max_block_threads,
        ".name": found.name,
    }.items() <= kernel.items()
    assert found.agprs == kernel.get(".agpr_count", 0)
    assert found.code_bytes


def test_a_bundle_gives_its_device_code(baseline: Baseline) -> None:
    code = baseline("gfx942")
    entries = [(b"host-x86_64-unknown-linux-gnu-", b""), (b"hipv4-amdgcn-amd-amdhsa--gfx942", code)]
    bundle = bundled(entries)
    assert unbundle(bundle) == code
    assert read_resources(bundle) == read_resources(code)


def test_code_is_told_apart_by_target(baseline: Baseline) -> None:
    cdna, rdna = (baseline(target) for target in ("gfx942", "gfx1100"))
    assert code_by_target(cdna) == {"gfx942": cdna}
    bundle = bundled(
        [
            (b"host-x86_64-unknown-linux-gnu-", b""),
            (b"hip-amdgcn-amd-amdhsa--gfx942:sramecc+:xnack-", cdna),
            (b"hip-spirv64-amd-amdhsa--amdgcnspirv", b"spirv"),
            (b"hipv4-amdgcn-amd-amdhsa--gfx1100", rdna),
        ]
    )
    assert code_by_target(bundle) == {"gfx942:sramecc+:xnack-": cdna, "gfx1100": rdna}


def test_the_code_for_a_target_is_what_the_runtime_would_take(baseline: Baseline, tmp_path: Path) -> None:
    codes = {n: baseline(n) for n in ("gfx942", "gfx90a", "gfx1100")}
    names = ["gfx942", "gfx942:xnack-", "gfx90a:xnack+", "gfx90a:xnack-", "gfx1100"]
    parts = {name: codes[name.partition(":")[0]] + name.encode() for name in names}
    path = tmp_path / "code.hsaco"
    path.write_bytes(bundled([(f"hipv4-amdgcn-amd-amdhsa--{n}".encode(), parts[n]) for n in names]))
    assert targets_in(path) == names
    for target, taken in (
        ("gfx942", "gfx942"),
        ("gfx942:sramecc+:xnack-", "gfx942:xnack-"),
        ("gfx942:sramecc+:xnack+", "gfx942"),
        ("gfx90a:sramecc+:xnack+", "gfx90a:xnack+"),
        ("gfx1100", "gfx1100"),
    ):
        found = prebuilt(path, target)
        assert (found.target, found.code) == (target, parts[taken])
    with pytest.raises(
        CompileError, match=r"gfx90a:xnack\+ and gfx90a:xnack-: name one of them as the target"
    ):
        prebuilt(path, "gfx90a")
    with pytest.raises(CompileError, match=r"code\.hsaco holds code for gfx942, .*, none for spirv64"):
        prebuilt(path, "spirv64")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (b"", "is no code object: neither an ELF nor a clang offload bundle"),
        (b"garbage", "is no code object: neither an ELF nor a clang offload bundle"),
        (b"\x7fELF", "not a readable AMDGPU code object"),
        (b"__CLANG_OFFLOAD_BUNDLE__", "not a readable AMDGPU code object"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + b"\xff" * 8, "not a readable AMDGPU code object"),
        (
            b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<QQQQ", 1, 0, 2**63, 4) + b"host",
            "the entries of the offload bundle claim more bytes than there are",
        ),
        (
            b"__CLANG_OFFLOAD_BUNDLE__"
            + struct.pack("<Q", 3)
            + (struct.pack("<QQQ", 0, 90, 4) + b"host") * 3,
            "the entries of the offload bundle claim more bytes than there are",
        ),
        (
            bundled([(b"host-x86_64-unknown-linux-gnu-", b"x")]),
            "the offload bundle holds no code for an AMD GPU",
        ),
        (b"CCOB\0\0", "the offload bundle is cut off"),
        (Path(sys.executable).read_bytes(), "it has no AMDGPU metadata note"),
    ],
)
def test_a_file_that_is_no_code_is_one_line(code: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.hsaco"
    path.write_bytes(code)
    with pytest.raises(CompileError, match=problem) as caught:
        targets_in(path)
    assert str(caught.value).startswith("x.hsaco: ")
    assert "\n" not in str(caught.value)


def test_what_a_bundle_calls_its_entries_is_not_believed(baseline: Baseline, tmp_path: Path) -> None:
    cdna, rdna = (baseline(target) for target in ("gfx942", "gfx1100"))
    path, name = tmp_path / "x.hsaco", b"hipv4-amdgcn-amd-amdhsa--gfx942"
    for parts, problem in (
        ([rdna], "x.hsaco: has an entry for gfx942 that holds code for gfx1100"),
        ([cdna, cdna], "x.hsaco: has two entries for gfx942"),
        ([b"text"], "x.hsaco: not a readable AMDGPU code object"),
    ):
        path.write_bytes(bundled([(name, part) for part in parts]))
        for read in (targets_in, lambda path: prebuilt(path, "gfx942")):
            with pytest.raises(CompileError, match=problem):
                read(path)
    path.write_bytes(bundled([(name, cdna)]))
    assert targets_in(path) == ["gfx942"]


def test_a_file_of_code_is_read_again_only_where_it_changed(
    baseline: Baseline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.hsaco"
    reads: list[Path] = []
    read_bytes = Path.read_bytes

    def counted(self: Path) -> bytes:
        reads.append(self)
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", counted)
    for target, count in (("gfx942", 1), ("gfx1100", 2)):
        path.write_bytes(baseline(target))
        assert [targets_in(path), targets_in(path)] == [[target], [target]]
        assert reads.count(path) == count


NO_CODE = [
    *(b"", b"garbage", b"\x7fELF", b"\x7fELF" + b"\0" * 200, b"\x7fELF\2\1" + b"\0" * 200),
    *(b"__CLANG_OFFLOAD_BUNDLE__", b"__CLANG_OFFLOAD_BUNDLE__" + b"\xff" * 100),
]


@pytest.mark.parametrize("code", NO_CODE)
@pytest.mark.parametrize("reader", [read_resources, code_by_target, machine_code])
def test_what_is_no_code_object_is_refused(reader: Callable[[bytes], object], code: bytes) -> None:
    with pytest.raises(GretaError, match="not a readable AMDGPU code object"):
        reader(code)


@pytest.mark.parametrize("field", [0x20, 0x18])  # sh_size, sh_offset
@pytest.mark.parametrize("value", [2**63, 2**64 - 1, 10**6])
def test_a_section_that_claims_more_than_there_is_is_refused(
    baseline: Baseline, field: int, value: int
) -> None:
    code = bytearray(baseline("gfx942"))
    (table,) = struct.unpack_from("<Q", code, 0x28)
    for number in range(1, 8):
        damaged = code.copy()
        struct.pack_into("<Q", damaged, table + 64 * number + field, value)
        with pytest.raises(GretaError, match=r"claims? more bytes than there are"):
            read_resources(bytes(damaged))


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (".vgpr_count", None, "its metadata state None as .vgpr_count"),
        (".vgpr_count", -1, "its metadata state -1 as .vgpr_count"),
        (".sgpr_count", True, "its metadata state True as .sgpr_count"),
        (".wavefront_size", 0, "its metadata state 0 as .wavefront_size"),
        (".name", b"k", "its metadata state b'k' as .name"),
        (".args", {}, "its metadata state {} as .args"),
        (".args", [None], "its metadata state no .offset"),
    ],
)
def test_metadata_of_another_kind_are_refused(
    baseline: Baseline, key: str, value: object, problem: str
) -> None:
    code = bytearray(baseline("gfx942"))
    place = code.index(b"AMDGPU\0\0")
    (size,) = struct.unpack_from("<I", code, place - 8)
    metadata = msgpack.unpackb(bytes(code[place + 8 : place + 8 + size]))
    metadata["amdhsa.kernels"][0][key] = value
    replace_note(code, msgpack.packb(metadata))
    with pytest.raises(GretaError) as caught:
        read_resources(bytes(code))
    assert str(caught.value) == f"not a readable AMDGPU code object: {problem}"


@pytest.mark.parametrize("seed", [2, 3])
def test_any_damage_is_answered_or_refused(seed: int) -> None:
    """The long form is `python -m tests.fuzz.code_objects`."""
    outcomes = run(300, seed)
    assert outcomes["refused"] + outcomes["answered"] == 300
    assert min(outcomes["refused"], outcomes["answered"]) > 50


@given(st.data())
def test_damaged_code_objects_never_crash_the_reader(baseline: Baseline, data: st.DataObject) -> None:
    code = bytearray(baseline("gfx942"))
    for _ in range(data.draw(st.integers(1, 20))):
        code[data.draw(st.integers(0, len(code) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(GretaError):
        read_resources(bytes(code[: data.draw(st.integers(0, len(code)))]))
