"""The code objects in a file, whatever it is: a code object itself, an offload bundle, a library, an executable, a
relocatable object, a static library, or a Python wheel of any of them.

Written for bytes that anybody may have damaged, as what it reads with is: nothing is read or unpacked beyond bounds,
and what is wrong is one line with the file and the place in it.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_greta.binaries import archive, packager
from pytest_greta.compiler.bundles import COMPRESSED, PLAIN, Bundle, is_bundle, read_bundles
from pytest_greta.compiler.elf import AMDGPU, Elf
from pytest_greta.compiler.region import Region
from pytest_greta.errors import GretaError

MOST_UNPACKED = 16 << 30
"""Bytes that all bundles and all members of a file together may unpack to."""

_ELF, _ZIP, _BITCODE, _SPIRV = b"\x7fELF", b"PK\3\4", b"BC\xc0\xde", b"\x03\x02\x23\x07"
_FATBIN, _OFFLOADING, _KPACK = b".hip_fatbin", b".llvm.offloading", b".rocm_kpack_ref"
_OTHER_KINDS = {
    b"MZ": "a Windows library or program, which is not read",
    b"\xcf\xfa\xed\xfe": "a macOS library or program",
    _BITCODE: "LLVM bitcode, which has no machine code yet",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it first",
    _SPIRV: "SPIR-V, whose machine code is made where it is loaded",
    b"\xed\xab\xee\xdb": "an RPM package: unpack it first",
}
"""What a file is that has no device code for us, by what it begins with."""


class BinaryProblem(GretaError):
    """A file that cannot be read: `libk.so: .hip_fatbin+0x1000: the offload bundle is cut off`."""


@contextmanager
def located(place: str) -> Iterator[None]:
    """Whatever we and the standard library make of damaged bytes is one error with the place: BinaryProblem."""
    try:
        yield
    except (BinaryProblem, OSError):
        raise
    except GretaError as error:
        raise BinaryProblem(f"{place}: {error}") from error
    except Exception as error:  # which of them depends on the byte
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise BinaryProblem(f"{place}: {why}") from error


@dataclass(frozen=True)
class HeldCode:
    """One code object of a file."""

    label: str
    """The target that a bundle calls it code for; empty where it lies in none."""
    place: str
    """Where it lies: `libk.so: .hip_fatbin+0x1000`."""
    member: str
    """The member of a wheel or static library that it lies in; empty where the file is none."""
    code: bytes = field(repr=False)


@dataclass
class Contents:
    """Walks through a file."""

    path: Path
    name: str
    """The file as messages show it."""
    skipped: dict[str, None] = field(default_factory=dict)
    """Device code that is there and has no machine code, a line each."""
    _left: int = MOST_UNPACKED
    _members: list[str] = field(default_factory=list)
    """Where the walk is: a member, and a member of that."""

    def code_objects(self) -> Iterator[HeldCode]:
        """Every code object. Raises BinaryProblem where there is none, or the file cannot be read."""
        found = False
        if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):
            raise BinaryProblem(f"{self.name}: is no regular file")  # a pipe would be waited for
        try:
            with open(self.path, "rb") as file:
                size = file.seek(0, 2)
                with located(self.name):
                    for held in self._file(Region(file, 0, size), self.name):
                        found = True
                        yield held
        except OSError as error:
            raise BinaryProblem(f"{self.name}: cannot be read: {error.strerror or error}") from error
        if not found:
            looked_for = "no code object, no offload bundle, no section .hip_fatbin or .llvm.offloading"
            nothing = f"{self.name}: holds no machine code for an AMD GPU ({looked_for})"
            raise BinaryProblem("; ".join([nothing, *self.skipped]))

    @contextmanager
    def _inside(self, member: str, place: str) -> Iterator[None]:
        """While a member is read, which lies at a place."""
        self._members.append(member)
        try:
            with located(place):
                yield
        finally:
            self._members.pop()

    def _held(self, label: str, place: str, content: Region) -> HeldCode:
        return HeldCode(label, place, ": ".join(self._members), content.read(0, content.size))

    def _unpacks(self, size: int) -> None:
        """Count what is unpacked. ValueError where it is too much."""
        self._left -= size
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED} bytes, which is the most that is read")

    def _file(self, region: Region, place: str) -> Iterator[HeldCode]:
        """A whole file, which may be one of many."""
        if region.starts_with(_ZIP):
            yield from self._wheel(region, place)
        elif region.starts_with(archive.MAGIC, archive.THIN):
            for member, content in archive.members(region):
                if content.starts_with(_ELF) or is_bundle(content):
                    where = f"{place}: {member}"
                    with self._inside(member, where):
                        yield from self._object(content, where)
                elif content.starts_with(_BITCODE):
                    self.skipped[f"{place}: {member}: {_OTHER_KINDS[_BITCODE]}"] = None
        elif region.starts_with(_ELF, packager.MAGIC) or is_bundle(region):
            yield from self._object(region, place)
        else:
            raise ValueError(f"is no binary with device code: {_kind(region)}")

    def _object(self, region: Region, place: str) -> Iterator[HeldCode]:
        """A file that is no collection of files."""
        if is_bundle(region):
            yield from self._bundles(region, place, "")
            return
        if region.starts_with(packager.MAGIC):
            yield from self._packaged(region, place)
            return
        elf = Elf(region)
        if elf.machine == AMDGPU:
            yield self._held("", place, region)
            return
        for section, content in elf.regions():
            where = f"{place}: {section.decode(errors='replace')}"
            with located(where):
                if section == _FATBIN:
                    yield from self._bundles(content, place, _FATBIN.decode())
                elif section == _OFFLOADING:
                    yield from self._packaged(content, where)
                elif section.startswith(PLAIN) and b"amdgcn" in section and content.size:
                    label = section[len(PLAIN) :].decode(errors="replace")
                    yield from self._code(content, _target_of(label), where)
                elif section == _KPACK:
                    self.skipped[f"{where}: its device code is kept in a .kpack file beside it"] = None

    def _bundles(self, region: Region, place: str, section: str) -> Iterator[HeldCode]:
        """Bundles that lie one after the other."""
        bundles = read_bundles(region)
        at = 0
        while True:
            with located(f"{place}: {section or 'offload bundle'} behind {at:#x}" if at else place):
                found = next(bundles, None)
            if found is None:
                return
            at, bundle = found
            where = f"{place}: {section}+{at:#x}" if section or at else place
            with located(where):
                self._unpacks(bundle.unpacked)
                yield from self._entries(bundle, where)

    def _entries(self, bundle: Bundle, place: str) -> Iterator[HeldCode]:
        for entry in bundle.entries:
            if entry.content.size and "amdgcn" in entry.name:
                with located(f"{place}: {entry.name}"):
                    yield from self._code(entry.content, entry.target, place)

    def _packaged(self, region: Region, place: str) -> Iterator[HeldCode]:
        for at, image in packager.images(region):
            if "amdgcn" in image.triple and image.content.size:
                where = f"{place}+{at:#x}"
                with located(where):
                    yield from self._code(image.content, image.target, where)

    def _code(self, content: Region, label: str, place: str) -> Iterator[HeldCode]:
        """What an entry for an AMD GPU holds: machine code, or what becomes of it elsewhere."""
        kind = next((kind for kind in (_BITCODE, _SPIRV) if content.starts_with(kind)), None)
        if kind is not None:
            self.skipped[f"{place}: {label or 'amdgcnspirv'}: {_OTHER_KINDS[kind]}"] = None
        elif is_bundle(content):
            raise ValueError("is an offload bundle in an offload bundle")
        else:
            yield self._held(label, place, content)

    def _wheel(self, region: Region, place: str) -> Iterator[HeldCode]:
        """The members of a wheel or zip file that may have device code; each lies on the disk while it is read."""
        with zipfile.ZipFile(region.file) as wheel:
            for info in wheel.infolist():
                where = f"{place}: {info.filename}"
                with located(where), wheel.open(info) as packed:
                    if not packed.read(24).startswith((_ELF, archive.MAGIC, PLAIN, COMPRESSED)):
                        continue
                inside = self._inside(info.filename, where)
                with inside, wheel.open(info) as packed, tempfile.TemporaryFile() as file:
                    self._unpacks(info.file_size)
                    shutil.copyfileobj(packed, file)
                    yield from self._file(Region(file, 0, file.tell()), where)


def _target_of(name: str) -> str:
    """The target in the name of a bundle's entry."""
    return name[name.index("gfx") :] if "gfx" in name else ""


def _kind(region: Region) -> str:
    """What a file is that is none of those that are read, in words."""
    begin = region.read(0, min(region.size, 512))
    for magic, kind in _OTHER_KINDS.items():
        if begin.startswith(magic):
            return f"it is {kind}"
    if not begin:
        return "it is empty"
    is_text = all(byte >= 0x20 or byte in b"\t\n\r" for byte in begin)
    return "it is text" if is_text else f"it begins with {begin[:8]!r}"
