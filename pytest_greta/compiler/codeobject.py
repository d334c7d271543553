"""Read an AMDGPU code object: the resources each kernel takes, and the occupancy they allow.

The numbers are those of the code object's own metadata (ELF note `AMDGPU`, type 32, msgpack), the ones the
driver itself goes by; no compiler text is parsed. Format: LLVM's "User Guide for AMDGPU Backend", section
"Code Object Metadata".
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from pytest_greta.compiler.barriers import UnwaitedBarrier, unwaited_barriers
from pytest_greta.compiler.flow import matrix_instructions
from pytest_greta.errors import GretaError

_METADATA_NOTE = 32  # NT_AMDGPU_METADATA
_BUNDLE_MAGIC = b"__CLANG_OFFLOAD_BUNDLE__"
_COMPRESSED_MAGIC = b"CCOB"


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
    scratch_bytes: int
    """Private (scratch) memory of one work-item."""
    vgprs: int
    """VGPRs allocated; on targets with a unified register file (gfx90a, gfx942) AGPRs are included."""
    agprs: int
    sgprs: int
    vgpr_spills: int
    sgpr_spills: int
    lds_bytes: int
    """Static LDS of one block."""
    code_bytes: int
    """Size of the kernel's function in `.text`."""
    max_block_threads: int
    """Largest block the kernel may be launched with."""
    wave_size: int
    matrix_instructions: int | None = None
    """Matrix instructions in the kernel's main loop; None where its encodings are not known."""
    unwaited_barriers: tuple[UnwaitedBarrier, ...] | None = field(default=None, repr=False)
    """Barriers that a wavefront can reach with a write to LDS under way; None where that cannot be told."""
    address: int = 0
    """Where the kernel's function begins in the code object."""
    arguments: tuple[KernelArgument, ...] | None = field(default=None, repr=False)
    """What it is launched with, without what the runtime adds (`hidden_*`); None where the metadata do not say."""


@dataclass(frozen=True)
class CodeObject:
    """Machine code for one target, and where it came from."""

    target: str
    code: bytes
    """An AMDGPU ELF, or SPIR-V for the cpu device."""
    kernels: Mapping[str, KernelResources]
    """Resources by kernel name; empty for SPIR-V, which has none before the CPU runtime compiles it."""
    cached: bool = False


def read_resources(code: bytes) -> dict[str, KernelResources]:
    """Resources of every kernel in an AMDGPU code object (ELF, or a clang offload bundle around one).

    Raises GretaError when the bytes are not a code object or carry no metadata.
    """
    import msgpack
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    code = unbundle(code)
    try:
        elf = ELFFile(io.BytesIO(code))
        metadata = _metadata(elf, msgpack)
        functions, target = _functions(elf), _target(metadata)
        return {
            kernel[".name"]: _resources(kernel, elf, functions.get(kernel[".name"]), target)
            for kernel in metadata.get("amdhsa.kernels", ())
        }
    except (ELFError, ValueError, KeyError, AttributeError, TypeError, struct.error) as error:
        raise GretaError(f"not a readable AMDGPU code object: {error or type(error).__name__}") from error


def machine_code(code: bytes) -> dict[str, bytes]:
    """The machine code of every function in an AMDGPU code object, by name."""
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(unbundle(code)))
    return {name: _machine_code(elf, symbol) for name, symbol in _functions(elf).items()}


def unbundle(code: bytes) -> bytes:
    """The first device ELF inside a clang offload bundle; anything else is returned as it is."""
    if not code.startswith(_BUNDLE_MAGIC):
        return code
    for name, part in _bundled(code):
        if part and not name.startswith("host"):
            return part
    raise GretaError("the offload bundle holds no device code")


def code_by_target(code: bytes) -> dict[str, bytes]:
    """The code objects in an AMDGPU ELF or a clang offload bundle, by target (`gfx90a:xnack-`), in their order.

    Raises GretaError when there is none, or the bytes are of another kind.
    """
    from elftools.common.exceptions import ELFError

    if code.startswith(_COMPRESSED_MAGIC):
        raise GretaError("a compressed offload bundle: build it with --no-offload-compress")
    try:
        if code.startswith(_BUNDLE_MAGIC):
            # Entries are named kind, triple and target: hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-
            named = [(name, part) for name, part in _bundled(code) if "amdgcn" in name and "gfx" in name]
            found = {name[name.index("gfx") :]: part for name, part in named if part}
        else:
            found = {_stated_target(code): code}
    except (ELFError, ValueError, KeyError, AttributeError, TypeError, struct.error) as error:
        raise GretaError(f"not a readable AMDGPU code object: {error or type(error).__name__}") from error
    if not found:
        raise GretaError("the offload bundle holds no code for an AMD GPU")
    return found


def _bundled(code: bytes) -> Iterator[tuple[str, bytes]]:
    """The entries of a clang offload bundle. struct.error where it is cut off.

    Format: clang documentation, "Clang Offload Bundler", section "Bundled Binary File Layout".
    """
    position = len(_BUNDLE_MAGIC) + 8
    (count,) = struct.unpack_from("<Q", code, len(_BUNDLE_MAGIC))
    for _ in range(count):
        offset, size, name_size = struct.unpack_from("<QQQ", code, position)
        name = code[position + 24 : position + 24 + name_size]
        position += 24 + name_size
        yield name.decode(errors="replace"), code[offset : offset + size]


def _stated_target(code: bytes) -> str:
    """The target that the metadata of an ELF states."""
    import msgpack
    from elftools.elf.elffile import ELFFile

    target = _target(_metadata(ELFFile(io.BytesIO(code)), msgpack))
    if not target:
        raise ValueError("its metadata states no target, which it does from code object version 4 on")
    return target


def _metadata(elf: Any, msgpack: Any) -> dict[str, Any]:
    for section in elf.iter_sections("SHT_NOTE"):
        for note in section.iter_notes():
            if note["n_name"] == "AMDGPU" and note["n_type"] == _METADATA_NOTE:
                metadata = msgpack.unpackb(note["n_descdata"])
                if isinstance(metadata, dict):
                    return metadata
    raise ValueError("it has no AMDGPU metadata note")


def _target(metadata: Mapping[str, Any]) -> str:
    """The target in the metadata; empty where they state none."""
    return str(metadata.get("amdhsa.target", "")).rpartition("--")[2]


def _functions(elf: Any) -> dict[str, Any]:
    """The symbols of all functions, by name."""
    symbols = elf.get_section_by_name(".dynsym").iter_symbols()
    return {symbol.name: symbol for symbol in symbols if symbol["st_info"]["type"] == "STT_FUNC"}


def _machine_code(elf: Any, symbol: Any) -> bytes:
    """The bytes of a function."""
    if symbol is None:
        return b""
    section = elf.get_section(symbol["st_shndx"])
    begin = symbol["st_value"] - section["sh_addr"]
    return bytes(section.data()[begin : begin + symbol["st_size"]])


def _resources(kernel: Mapping[str, Any], elf: Any, symbol: Any, target: str) -> KernelResources:
    code = _machine_code(elf, symbol)
    return KernelResources(
        name=kernel[".name"],
        scratch_bytes=kernel[".private_segment_fixed_size"],
        vgprs=kernel[".vgpr_count"],
        agprs=kernel.get(".agpr_count", 0),
        sgprs=kernel[".sgpr_count"],
        vgpr_spills=kernel.get(".vgpr_spill_count", 0),
        sgpr_spills=kernel.get(".sgpr_spill_count", 0),
        lds_bytes=kernel[".group_segment_fixed_size"],
        code_bytes=len(code),
        max_block_threads=kernel[".max_flat_workgroup_size"],
        wave_size=kernel[".wavefront_size"],
        matrix_instructions=matrix_instructions(code, target),
        unwaited_barriers=unwaited_barriers(code, target),
        address=symbol["st_value"] if symbol is not None else 0,
        arguments=_arguments(kernel),
    )


def _arguments(kernel: Mapping[str, Any]) -> tuple[KernelArgument, ...] | None:
    """The arguments of a kernel; None where it takes some and its metadata do not list them."""
    if ".args" not in kernel and kernel.get(".kernarg_segment_size", 0):
        return None
    stated = (KernelArgument(a[".offset"], a[".size"], a[".value_kind"]) for a in kernel.get(".args", ()))
    return tuple(argument for argument in stated if not argument.kind.startswith("hidden_"))


def source_lines(code: bytes) -> dict[int, str]:
    """The source line of every address that the line information of a code object names: `{6912: "v6.hip:40"}`.

    Empty where it has none, which is so unless the code was compiled with `-g` or `-gline-tables-only`.
    """
    from elftools.common.exceptions import DWARFError, ELFError
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(io.BytesIO(unbundle(code)))
        return dict(_line_rows(elf.get_dwarf_info())) if elf.has_dwarf_info() else {}
    except (DWARFError, ELFError, ValueError, KeyError, AttributeError, TypeError, IndexError, struct.error):
        return {}  # damaged line information costs the lines, not the finding


def _line_rows(dwarf: Any) -> Iterator[tuple[int, str]]:
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        first_file = 0 if program["version"] >= 5 else 1
        for entry in program.get_entries():
            if entry.state is not None and not entry.state.end_sequence:
                file = program["file_entry"][entry.state.file - first_file]
                yield entry.state.address, f"{PurePath(file.name.decode()).name}:{entry.state.line}"
