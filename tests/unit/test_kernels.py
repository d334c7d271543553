"""What is read of the kernels of a built library is what independent readers find in it."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import msgpack
import pytest
import yaml
from elftools.elf.elffile import ELFFile

from pytest_greta.binaries.contents import BinaryProblem
from pytest_greta.binaries.kernels import BinaryFile, badness, read_file
from pytest_greta.compiler.codeobject import machine_code
from tests.fuzz.code_objects import bundle as bundle_of
from tests.fuzz.code_objects import replace_note
from tests.unit.binary_files import NOTES

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")


def test_figures_are_those_that_llvm_readelf_prints(
    built: dict[str, bytes], library: BinaryFile, tmp_path: Path
) -> None:
    readelf = shutil.which("llvm-readelf")
    if readelf is None:
        pytest.skip("llvm-readelf is not installed")
    assert len(library.kernels) == 6
    for target, code in built.items():
        (tmp_path / target).write_bytes(code)
        command = [readelf, "--notes", str(tmp_path / target)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        (document,) = [yaml.safe_load(printed.partition("---\n")[2].partition("\n...")[0])]
        stated = {kernel[".name"]: kernel for kernel in document["amdhsa.kernels"]}
        found = {kernel.symbol: kernel for kernel in library.kernels if kernel.target == target}
        assert found.keys() == stated.keys()
        for symbol, kernel in found.items():
            for gate, key in NOTES.items():
                assert kernel.value(gate) == stated[symbol].get(key, 0), (symbol, gate)
            assert kernel.block_threads == stated[symbol][".max_flat_workgroup_size"]


def test_code_sizes_are_those_of_the_symbols(built: dict[str, bytes], library: BinaryFile) -> None:
    for kernel in library.kernels:
        code = built[kernel.target]
        symbols: Any = ELFFile(io.BytesIO(code)).get_section_by_name(".dynsym")
        (symbol,) = symbols.get_symbol_by_name(kernel.symbol)
        assert kernel.value("code_bytes") == symbol["st_size"] == len(machine_code(code)[kernel.symbol])


def test_what_else_is_known_of_a_kernel(library: BinaryFile) -> None:
    large = next(k for k in library.kernels if "Li200" in k.symbol and k.target == "gfx942")
    assert large.place == "libk.so: .hip_fatbin+0x0"
    assert large.compiler.startswith("clang version")
    assert large.value("occupancy") in range(1, 9)
    assert (large.value("scratch_bytes") or 0) > 0
    assert max(library.kernels, key=badness).symbol == large.symbol
    assert "mfma" not in large.quantities


def test_instructions_are_decoded_for_what_is_asked_alone(built: dict[str, bytes], tmp_path: Path) -> None:
    def asked(name: str, symbol: str, target: str) -> list[str]:
        assert symbol in name or symbol.startswith("_Z")
        assert target == "gfx942"
        return ["mfma", "unwaited_barriers"] if symbol == "copies" else []

    path = tmp_path / "k.hsaco"
    path.write_bytes(built["gfx942"])
    found = read_file(path, path.name, asked)
    decoded = {kernel.symbol for kernel in found.kernels if "mfma" in kernel.quantities}
    assert decoded == {"copies"}
    (copies,) = [kernel for kernel in found.kernels if kernel.symbol == "copies"]
    assert (copies.value("mfma"), copies.value("unwaited_barriers")) == (0, 0)


def test_a_target_that_is_none_is_refused(built: dict[str, bytes], tmp_path: Path) -> None:
    code = bytearray(built["gfx942"])
    place = code.index(b"AMDGPU\0\0")
    (size,) = struct.unpack_from("<I", code, place - 8)
    metadata = msgpack.unpackb(bytes(code[place + 8 : place + 8 + size]))
    path = tmp_path / "k.hsaco"
    for stated, told in (
        ("amdgcn-amd-amdhsa--\x1b[2Jgfx", r"its metadata state '\\x1b\[2Jgfx' as its target"),
        ("", "its metadata state no target, which they do from version 4 on"),
    ):
        metadata["amdhsa.target"] = stated
        changed = code.copy()
        replace_note(changed, msgpack.packb(metadata))
        path.write_bytes(changed)
        with pytest.raises(BinaryProblem, match=f"^k.hsaco: {told}$"):
            read_file(path, path.name)


def test_a_bundle_that_calls_code_by_another_target_is_refused(
    built: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "k.co"
    path.write_bytes(bundle_of({b"gfx942": built["gfx1100"]}))
    with pytest.raises(BinaryProblem, match=r"^k\.co: has an entry for gfx942 that holds code for gfx1100$"):
        read_file(path, path.name)
