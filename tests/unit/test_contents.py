"""Code objects are found in every kind of file that people have, as they were put in; what is damaged is one line."""

from __future__ import annotations

import builtins
import io
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.binaries.contents import BinaryProblem, Contents
from pytest_greta.compiler import bundles
from pytest_greta.compiler.codeobject import read_contents
from pytest_greta.compiler.prebuilt import targets_in
from pytest_greta.errors import CompileError
from tests.fuzz.code_objects import bundle as bundle_of
from tests.fuzz.code_objects import bundled
from tests.unit.binary_files import compressed, elf, fatbin, static_library

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
TARGETS = ("gfx942", "gfx1100")
BITCODE = b"BC\xc0\xde" + bytes(60)


@pytest.fixture(scope="module")
def bundle(built: dict[str, bytes]) -> bytes:
    return bundle_of({target.encode(): code for target, code in built.items()})


def found(path: Path, content: bytes) -> list[tuple[str, str, bytes]]:
    """Label, place without the file, and code of everything in a file of this content."""
    path.write_bytes(content)
    held = Contents(path, path.name).code_objects()
    return [(one.label, one.place.removeprefix(path.name), one.code) for one in held]


def problem(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(BinaryProblem) as caught:
        list(Contents(path, path.name).code_objects())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_code_object_is_itself(built: dict[str, bytes], tmp_path: Path) -> None:
    assert found(tmp_path / "k.hsaco", built["gfx942"]) == [("", "", built["gfx942"])]
    contents = read_contents(built["gfx942"])
    assert contents.target == "gfx942"
    assert contents.compiler.startswith("clang version")


@pytest.mark.parametrize("method", ["zlib", "zstd"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_of_a_compressed_bundle(
    built: dict[str, bytes], bundle: bytes, tmp_path: Path, version: int, method: str
) -> None:
    if method == "zstd":
        pytest.importorskip("zstandard", reason="zstd needs the extra 'binaries'")
    packed = compressed(bundle, version, method)
    expected = [(target, "", code) for target, code in built.items()]
    assert found(tmp_path / "k.co", packed) == expected
    assert targets_in(tmp_path / "k.co") == list(TARGETS)  # also as the code of a variant
    library = elf({b".text": b"x" * 100, b".hip_fatbin": fatbin([packed, bundle, packed])})
    at = [0, 4096 * -(-len(packed) // 4096)]
    at.append(at[1] + 4096 * -(-len(bundle) // 4096))
    places = [f": .hip_fatbin+{begin:#x}" for begin in at]
    assert found(tmp_path / "libk.so", library) == [
        (target, place, code) for place in places for target, code in built.items()
    ]


@pytest.mark.parametrize("bundler", ["clang-offload-bundler", "clang-offload-bundler-19"])
@pytest.mark.parametrize("options", [[], ["-compress"]])
def test_what_llvms_own_bundler_makes(
    built: dict[str, bytes], tmp_path: Path, bundler: str, options: list[str]
) -> None:
    if shutil.which(bundler) is None:
        pytest.skip(f"{bundler} is not installed")
    if options:
        pytest.importorskip("zstandard", reason="zstd needs the extra 'binaries'")
    (tmp_path / "host").write_bytes(b"")
    for target, code in built.items():
        (tmp_path / target).write_bytes(code)
    names = ",".join(["host-x86_64-unknown-linux-gnu-", *(f"hipv4-amdgcn-amd-amdhsa--{t}" for t in built)])
    inputs = [f"-input={tmp_path / name}" for name in ("host", *built)]
    command = [bundler, "-type=o", "-bundle-align=4096", f"-targets={names}", *inputs]
    subprocess.run([*command, f"-output={tmp_path / 'k'}", *options], check=True)
    made = (tmp_path / "k").read_bytes()
    assert made.startswith(bundles.COMPRESSED if options else bundles.PLAIN)
    assert found(tmp_path / "k.co", made) == [(target, "", code) for target, code in built.items()]


def test_what_llvms_own_packager_makes(built: dict[str, bytes], tmp_path: Path) -> None:
    packager = shutil.which("clang-offload-packager") or shutil.which("clang-offload-packager-19")
    if packager is None:
        pytest.skip("clang-offload-packager is not installed")
    images = []
    for target, code in built.items():
        (tmp_path / target).write_bytes(code)
        images.append(f"--image=file={tmp_path / target},triple=amdgcn-amd-amdhsa,arch={target},kind=hip")
    subprocess.run([packager, "-o", tmp_path / "k", *images], check=True)
    library = elf({b".llvm.offloading": (tmp_path / "k").read_bytes()})
    for content, place in ((library, ": .llvm.offloading+"), ((tmp_path / "k").read_bytes(), "+")):
        got = found(tmp_path / "k.o", content)
        assert [(label, code) for label, _, code in got] == list(built.items())
        assert all(where.startswith(place) for _, where, _ in got)


def test_objects_libraries_and_wheels(built: dict[str, bytes], bundle: bytes, tmp_path: Path) -> None:
    object_file = elf(
        {b".hip_fatbin": bundle, b"__CLANG_OFFLOAD_BUNDLE__hip-amdgcn-amd-amdhsa--gfx942": BITCODE}
    )
    named = {
        "a.o": object_file,
        "a_name_that_takes_the_long_form.o": object_file,
        "host.o": elf({}),
        "odd": b"x",
    }
    expected = [
        (target, f": {member}: .hip_fatbin+0x0", code)
        for member in list(named)[:2]
        for target, code in built.items()
    ]
    assert found(tmp_path / "libk.a", static_library(named)) == expected
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("k/__init__.py", "")
        wheel.writestr("k/k.co", compressed(bundle))
        wheel.writestr("k/libk.a", static_library(named))
    got = found(tmp_path / "k.whl", packed.getvalue())
    assert got[:2] == [(target, ": k/k.co", code) for target, code in built.items()]
    assert got[2:] == [(target, f": k/libk.a{place}", code) for target, place, code in expected]


def test_what_linkers_make(built: dict[str, bytes], bundle: bytes, tmp_path: Path) -> None:
    gcc, ar = shutil.which("gcc"), shutil.which("ar")
    if gcc is None or ar is None:
        pytest.skip("gcc is not installed")
    for name, content in (("one", compressed(bundle)), ("two", bundle)):
        (tmp_path / name).write_bytes(content)
    lines = [
        '.section .hip_fatbin,"a",@progbits',
        *(f'.p2align 12\n.incbin "{tmp_path / n}"' for n in ("one", "two")),
    ]
    (tmp_path / "k.s").write_text("\n".join([*lines, '.section .note.GNU-stack,"",@progbits', ""]))
    for command in (
        [gcc, "-c", "k.s", "-o", "an_object_of_a_long_name.o"],
        [gcc, "-shared", "-nostdlib", "k.s", "-o", "libk.so"],
        [ar, "rcs", "libk.a", "an_object_of_a_long_name.o"],
    ):
        subprocess.run(command, check=True, cwd=tmp_path)
    for name in ("an_object_of_a_long_name.o", "libk.so", "libk.a"):
        path = tmp_path / name
        held = list(Contents(path, path.name).code_objects())
        assert [(one.label, one.code) for one in held] == [*built.items()] * 2
        assert {one.member for one in held} == {"an_object_of_a_long_name.o" if name == "libk.a" else ""}


def test_an_object_of_more_sections_than_fit_into_its_header(
    built: dict[str, bytes], bundle: bytes, tmp_path: Path
) -> None:
    content = bytearray(elf({b".hip_fatbin": bundle}))
    (headers,) = struct.unpack_from("<Q", content, 0x28)
    count, names = struct.unpack_from("<HH", content, 0x3C)
    struct.pack_into("<HH", content, 0x3C, 0, 0xFFFF)
    struct.pack_into("<Q", content, headers + 32, count)
    struct.pack_into("<I", content, headers + 40, names)
    assert [code for _, _, code in found(tmp_path / "k.o", bytes(content))] == list(built.values())


def test_what_has_no_machine_code_yet_is_told(bundle: bytes, tmp_path: Path) -> None:
    name = b"hip-amdgcn-amd-amdhsa--gfx942"
    spirv = (b"hip-spirv64-amd-amdhsa--amdgcnspirv", struct.pack("<I", 0x07230203))
    contents = Contents(tmp_path / "k.co", "k.co")
    contents.path.write_bytes(bundled([(name, BITCODE), spirv]) + bundle)
    assert len(list(contents.code_objects())) == 2
    assert list(contents.skipped) == [
        "k.co: gfx942: LLVM bitcode, which has no machine code yet",
        "k.co: amdgcnspirv: SPIR-V, whose machine code is made where it is loaded",
    ]


def _digest(packed: bytes) -> bytes:
    return packed[:24] + bytes(8) + packed[32:]


def _size(packed: bytes) -> bytes:
    return packed[:16] + struct.pack("<Q", 10) + packed[24:]


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (
            lambda b: compressed(b, 3, size=1 << 50),
            f"claims to unpack to {1 << 50} bytes; {4 << 30} is the most",
        ),
        (lambda b: compressed(b, 2, size=1000), "is not what was compressed"),
        (lambda b: compressed(b, 2, size=len(b) + 1), "bytes and unpacks to "),
        (lambda b: compressed(b)[:-9], "claims"),
        (lambda b: _digest(compressed(b)), "is not what was compressed: its digest is another"),
        (lambda b: _size(compressed(b)), "is not what was compressed"),
        (b"CCOB\7\0" + bytes(60), "a compressed offload bundle of version 7; known are 1, 2, 3"),
        (b"CCOB\3\0\5\0" + struct.pack("<QQQ", 32, 9, 9), "is compressed by method 5"),
        (compressed(b"text"), "the compressed offload bundle holds none"),
        (lambda b: b + b"text", "what lies at 0x"),
        (lambda b: bundle_of({b"gfx942": compressed(b)}), "is an offload bundle in an offload bundle"),
        (lambda b: elf({b".hip_fatbin": b[:-1]}), "claim more bytes than there are"),
        (b"!<thin>\n" + bytes(60), "is a thin archive"),
        (static_library({"a.o": elf({})})[:-70], "static library"),
        (elf({b".text": b"x"}), "holds no machine code for an AMD GPU (no code object"),
        (b"", "is no binary with device code: it is empty"),
        (b"int main() {}\n", "is no binary with device code: it is text"),
        (b"MZ" + bytes(99), "is no binary with device code: it is a Windows library"),
        (b"\x7fELF\1\1" + bytes(99), "it is no ELF file of 64 bits"),
        (b"PK\3\4" + bytes(99), "not a zip file"),
        (b"\x10\xff\x10\xad" + bytes(99), "offload packager of version 0"),
    ],
)
def test_damage_is_one_line(
    bundle: bytes, tmp_path: Path, damage: Callable[[bytes], bytes] | bytes, text: str
) -> None:
    told = problem(tmp_path / "x", damage if isinstance(damage, bytes) else damage(bundle))
    assert told.startswith("x: ")
    assert text in told


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(BinaryProblem, match=f"{path.name}: cannot be read: "):
            list(Contents(path, path.name).code_objects())


def test_nothing_is_unpacked_beyond_a_bound(
    bundle: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_greta.binaries.contents.MOST_UNPACKED", len(bundle))
    path = tmp_path / "k.co"
    path.write_bytes(fatbin([compressed(bundle)] * 2))
    contents = Contents(path, "k.co", _left=len(bundle))
    with pytest.raises(BinaryProblem, match=rf"k\.co: \+0x.*: it unpacks to more than {len(bundle)} bytes"):
        list(contents.code_objects())


def test_zstd_names_the_extra_that_it_takes(
    bundle: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("zstandard", reason="zstd needs the extra 'binaries'")
    packed, real = compressed(bundle, 3, "zstd"), builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "zstandard":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    told = problem(tmp_path / "k.co", packed)
    assert told == f"k.co: the offload bundle is compressed with zstd, which takes {bundles.EXTRA}"
    with pytest.raises(CompileError, match="which takes python -m pip install"):
        targets_in(tmp_path / "k.co")
    assert len(found(tmp_path / "k.co", compressed(bundle, 3, "zlib"))) == 2  # the standard library's
