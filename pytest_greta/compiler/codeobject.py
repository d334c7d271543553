"""Read an AMDGPU code object: the resources each kernel takes, and its machine code.

The numbers are those of the code object's own metadata (ELF note `AMDGPU`, type 32, msgpack) and kernel descriptors,
the ones the driver itself goes by; no compiler text is parsed. Format: LLVM's "User Guide for AMDGPU Backend", sections
"Code Object Metadata" and "Kernel Descriptor".
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pytest_greta.compiler import lines
from pytest_greta.compiler.barriers import UnwaitedBarrier, unwaited_barriers
from pytest_greta.compiler.bundles import is_bundle, read_bundle
from pytest_greta.compiler.elf import FUNCTION, Elf, Symbol
from pytest_greta.compiler.flow import matrix_instructions
from pytest_greta.compiler.region import Region
from pytest_greta.compiler.targets import generation, has_unified_registers
from pytest_greta.errors import GretaError

_METADATA_NOTE = 32  # NT_AMDGPU_METADATA
_LONGEST_COMMENT = 4096
_MOST_ITEMS = 1 << 16
"""Of one list in the metadata: kernels, or arguments of a kernel."""


@dataclass(frozen=True)
class KernelArgument:
    """One argument of a kernel, as the code object's metadata state it."""

    offset: int
    """Where it lies among the arguments, in bytes."""
    size: int
    """Bytes."""
    kind: str
    """`global_buffer` and `dynamic_shared_pointer` are pointers, `by_value` a number, struct or vector."""

    @property
    def is_pointer(self) -> bool:
        """Whether it takes an address."""
        return self.kind in ("global_buffer", "dynamic_shared_pointer")


@dataclass(frozen=True)
class KernelResources:
    """What one kernel takes, by the code object's metadata. Registers are counted per work-item (lane)."""

    name: str
    scratch_bytes: int | None
    """Private (scratch) memory of one work-item; None where its stack grows as it runs, which nothing bounds."""
    vgprs: int
    """VGPRs used; on targets with a unified register file (gfx90a, gfx942) AGPRs are included."""
    agprs: int
    sgprs: int
    vgpr_spills: int
    sgpr_spills: int
    lds_bytes: int
    """Static LDS of one block."""
    code_bytes: int | None
    """Size of the kernel's function in `.text`; None where no symbol says it, as in some written in assembly."""
    max_block_threads: int
    """Largest block the kernel may be launched with."""
    wave_size: int
    allocated_vgprs: int = 0
    """VGPRs that the kernel descriptor has the hardware set aside, which may be more than are used."""
    allocated_sgprs: int = 0
    """The same of SGPRs; 0 where each wavefront gets all of them (gfx10 and later)."""
    is_cu_mode: bool = False
    """Whether a block stays on one compute unit of a WGP (gfx10 and later, `-mcumode`)."""
    address: int = 0
    """Where the kernel's function begins in the code object."""
    arguments: tuple[KernelArgument, ...] | None = field(default=None, repr=False)
    """What it is launched with, without what the runtime adds (`hidden_*`); None where the metadata do not say."""
    target: str = field(default="", repr=False)
    """What its machine code is for."""
    code: bytes = field(default=b"", repr=False)
    """Its machine code."""

    @cached_property
    def matrix_instructions(self) -> int | None:
        """Matrix instructions in the kernel's main loop; None where its encodings are not known."""
        return matrix_instructions(self.code, self.target) if self.code else None

    @cached_property
    def unwaited_barriers(self) -> tuple[UnwaitedBarrier, ...] | None:
        """Barriers that a wavefront can reach with a write to LDS under way; None where that cannot be told."""
        return unwaited_barriers(self.code, self.target) if self.code else None


@dataclass(frozen=True)
class CodeObject:
    """Machine code for one target, and where it came from."""

    target: str
    code: bytes
    """An AMDGPU ELF, or SPIR-V for the cpu device."""
    kernels: Mapping[str, KernelResources]
    """Resources by kernel name; empty for SPIR-V, which has none before the CPU runtime compiles it."""
    cached: bool = False


@dataclass(frozen=True)
class CodeContents:
    """What an AMDGPU ELF says of itself."""

    target: str
    """Empty where it states none: before version 4 of the format."""
    compiler: str
    """What made it, as it stands in its `.comment`: `clang version 22.1.0`; empty where that was stripped."""
    kernels: dict[str, KernelResources]


def read_contents(code: bytes) -> CodeContents:
    """Target, compiler and kernels of an AMDGPU code object (ELF, or a clang offload bundle around one).

    Raises GretaError when the bytes are not a code object or carry no metadata.
    """
    with _reading():
        elf = Elf(unbundle(code))
        metadata = _metadata(elf)
        kernels = _typed(metadata, "amdhsa.kernels", list, [])
        names = {name for kernel in kernels for name in (_name(kernel), _descriptor_name(kernel))}
        symbols, target = _symbols(elf, names), _target(metadata)
        found = {_name(kernel): _resources(kernel, elf, symbols, target) for kernel in kernels}
        return CodeContents(target, _compiler(elf), found)


def read_resources(code: bytes) -> dict[str, KernelResources]:
    """Resources of every kernel in an AMDGPU code object. Raises GretaError as `read_contents`."""
    return read_contents(code).kernels


def machine_code(code: bytes) -> dict[str, bytes]:
    """The machine code of every function in an AMDGPU code object, by name. Raises GretaError as `read_resources`."""
    with _reading():
        elf = Elf(unbundle(code))
        return {symbol.name: elf.content(symbol) for symbol in elf.symbols() if symbol.kind == FUNCTION}


def unbundle(code: bytes) -> bytes:
    """The first device ELF inside a clang offload bundle; anything else is returned as it is."""
    if not is_bundle(Region.of(code)):
        return code
    with _reading():
        for entry in read_bundle(Region.of(code)).entries:
            if entry.content.size and not entry.name.startswith("host"):
                return entry.content.read(0, entry.content.size)
    raise GretaError("the offload bundle holds no device code")


def code_by_target(code: bytes) -> dict[str, bytes]:
    """The code objects in an AMDGPU ELF or a clang offload bundle, by target (`gfx90a:xnack-`), in their order.

    Raises GretaError when there is none, or the bytes are of another kind; ToolMissing where a package is missing that
    unpacks them.
    """
    with _reading():
        if not is_bundle(Region.of(code)):
            return {_stated_target(code): code}
        found: dict[str, bytes] = {}
        for entry in read_bundle(Region.of(code)).entries:
            if not entry.target or not entry.content.size:
                continue
            if entry.target in found:
                raise GretaError(f"has two entries for {entry.target}")
            found[entry.target] = entry.content.read(0, entry.content.size)
        if not found:
            raise GretaError("the offload bundle holds no code for an AMD GPU")
        return found


@contextmanager
def _reading() -> Iterator[None]:
    """Whatever struct, msgpack and we make of bytes that anybody may have damaged is one error, of one line."""
    try:
        yield
    except GretaError:
        raise
    except Exception as error:  # which of them depends on the byte
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise GretaError(f"not a readable AMDGPU code object: {why}") from error


def _stated_target(code: bytes) -> str:
    """The target that the metadata of an ELF states."""
    target = _target(_metadata(Elf(code)))
    if not target:
        raise ValueError("its metadata states no target, which it does from code object version 4 on")
    return target


def _metadata(elf: Elf) -> dict[str, Any]:
    import msgpack

    for owner, kind, content in elf.notes():
        if owner == b"AMDGPU" and kind == _METADATA_NOTE:
            most = min(len(content), _MOST_ITEMS)
            metadata = msgpack.unpackb(content, max_array_len=most, max_map_len=most)
            if isinstance(metadata, dict):
                return metadata
    raise ValueError("it has no AMDGPU metadata note")


def _target(metadata: Mapping[str, Any]) -> str:
    """The target in the metadata; empty where they state none."""
    return str(_typed(metadata, "amdhsa.target", str, "")).rpartition("--")[2]


def _compiler(elf: Elf) -> str:
    """The compiler that an ELF names, without the linker; of several the first."""
    named = elf.content_of(b".comment")[:_LONGEST_COMMENT].split(b"\0")
    texts = (" ".join(name.decode(errors="replace").split()) for name in named)
    return next((text for text in texts if text and not text.startswith("Linker:")), "")


_REQUIRED: Any = object()


def _typed(stated: Mapping[str, Any], key: str, kind: type, default: Any = _REQUIRED) -> Any:
    """What metadata state under a key. Raises ValueError where it is missing or of another kind, or below 0."""
    value: Any = stated.get(key, default) if isinstance(stated, dict) else _REQUIRED
    if value is _REQUIRED:
        raise ValueError(f"its metadata state no {key}")
    is_negative = isinstance(value, int) and value < 0
    if type(value) is not kind or is_negative:
        raise ValueError(f"its metadata state {value!r} as {key}")
    return value


def _name(kernel: Mapping[str, Any]) -> str:
    return str(_typed(kernel, ".name", str))


def _descriptor_name(kernel: Mapping[str, Any]) -> str:
    return str(_typed(kernel, ".symbol", str, f"{_name(kernel)}.kd"))


def _symbols(elf: Elf, names: Collection[str]) -> dict[str, Symbol]:
    """The symbols of these names."""
    return {symbol.name: symbol for symbol in elf.symbols() if symbol.name in names}


@dataclass(frozen=True)
class _Descriptor:
    """What the hardware is started with, from the kernel descriptor (64 bytes). All 0 where there is none."""

    vgprs: int = 0
    sgprs: int = 0
    is_cu_mode: bool = False
    uses_dynamic_stack: bool = False

    @staticmethod
    def of(content: bytes, target: str, wave_size: int) -> _Descriptor:
        """The descriptor in its bytes, for a target whose generation is known."""
        try:
            major = generation(target)
        except ValueError:
            return _Descriptor()
        (registers,) = struct.unpack_from("<I", content, 48)  # compute_pgm_rsrc1
        (properties,) = struct.unpack_from("<H", content, 56)
        vgpr_granule = 8 if has_unified_registers(target) or (major > 9 and wave_size == 32) else 4
        return _Descriptor(
            vgprs=((registers & 0x3F) + 1) * vgpr_granule,
            sgprs=((registers >> 6 & 0xF) // 2 + 1) * 16 if major == 9 else 0,
            is_cu_mode=major > 9 and not registers >> 29 & 1,
            uses_dynamic_stack=bool(properties >> 11 & 1),
        )


def _resources(
    kernel: Mapping[str, Any], elf: Elf, symbols: Mapping[str, Symbol], target: str
) -> KernelResources:
    name, wave_size = _name(kernel), _typed(kernel, ".wavefront_size", int)
    if wave_size not in (32, 64):
        raise ValueError(f"its metadata state {wave_size} as .wavefront_size")
    function, descriptor = symbols.get(name), symbols.get(_descriptor_name(kernel))
    code = elf.content(function) if function and function.kind == FUNCTION else b""
    set_up = _Descriptor.of(elf.content(descriptor), target, wave_size) if descriptor else _Descriptor()
    grows = set_up.uses_dynamic_stack or _typed(kernel, ".uses_dynamic_stack", bool, False)
    return KernelResources(
        name=name,
        scratch_bytes=None if grows else _typed(kernel, ".private_segment_fixed_size", int),
        vgprs=_typed(kernel, ".vgpr_count", int),
        agprs=_typed(kernel, ".agpr_count", int, 0),
        sgprs=_typed(kernel, ".sgpr_count", int),
        vgpr_spills=_typed(kernel, ".vgpr_spill_count", int, 0),
        sgpr_spills=_typed(kernel, ".sgpr_spill_count", int, 0),
        lds_bytes=_typed(kernel, ".group_segment_fixed_size", int),
        code_bytes=len(code) or None,
        max_block_threads=_typed(kernel, ".max_flat_workgroup_size", int),
        wave_size=wave_size,
        allocated_vgprs=set_up.vgprs,
        allocated_sgprs=set_up.sgprs,
        is_cu_mode=set_up.is_cu_mode,
        address=function.value if function else 0,
        arguments=_arguments(kernel),
        target=target,
        code=code,
    )


def _arguments(kernel: Mapping[str, Any]) -> tuple[KernelArgument, ...] | None:
    """The arguments of a kernel; None where it takes some and its metadata do not list them."""
    if ".args" not in kernel and _typed(kernel, ".kernarg_segment_size", int, 0):
        return None
    stated = (
        KernelArgument(
            _typed(argument, ".offset", int),
            _typed(argument, ".size", int),
            _typed(argument, ".value_kind", str),
        )
        for argument in _typed(kernel, ".args", list, [])
    )
    return tuple(argument for argument in stated if not argument.kind.startswith("hidden_"))


def source_lines(code: bytes) -> dict[int, str]:
    """The source line of every address that the line information of a code object names: `{6912: "v6.hip:40"}`.

    Empty where it has none, which is so unless the code was compiled with `-g` or `-gline-tables-only`.
    """
    try:
        return dict(lines.source_lines(Elf(unbundle(code))))
    except Exception:
        return {}  # damaged line information costs the lines, not the finding
