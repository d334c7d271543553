"""What clang's HIP-for-SPIR-V code needs before a CPU's OpenCL runtime runs it as a GPU would.

All are edits of LLVM IR text, between the step that makes IR and the step that makes SPIR-V.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping

_KERNEL = re.compile(r"^(define [^\n]*\bspir_kernel\b[^\n]*?)(\s*\{)$", re.MULTILINE)
_DYNAMIC_LDS = re.compile(
    r"^(?P<name>@\S+) = external (?:hidden |protected )?(?:local_unnamed_addr |unnamed_addr )?"
    r"addrspace\(3\) global [^,\n]+(?P<rest>[^\n]*)$",
    re.MULTILINE,
)
_SATURATING = re.compile(
    r"@llvm\.fpto(?P<sign>[su])i\.sat\.(?P<to>(?:v(?P<n>\d+))?i(?P<bits>\d+))\.(?:v\d+)?f(?P<from>16|32|64)\b"
)
NO_DYNAMIC_LDS = "greta.no_dynamic_lds"
"""What a module has that uses dynamic LDS, where its launches give it none."""
_FLOATS = {"16": "half", "32": "float", "64": "double"}


def force_wavefront(ir: str, wave_size: int) -> str:
    """Make every kernel of a module that uses sub-group functions run with `wave_size` lanes in a wavefront.

    Modules that use none are left alone: the runtime then picks the vector width that suits the CPU best.
    """
    if "sub_group" not in ir:
        return ir
    number = 1 + max((int(n) for n in re.findall(r"^!(\d+) =", ir, re.MULTILINE)), default=-1)
    edited = _KERNEL.sub(rf"\1 !intel_reqd_sub_group_size !{number}\2", ir)
    return f"{edited}\n!{number} = !{{i32 {wave_size}}}\n"


def size_dynamic_lds(ir: str, size_bytes: int) -> str:
    """Give `extern __shared__` arrays, which alias one block of dynamic LDS, the size of the launch.

    On a GPU the launch decides that size; SPIR-V has no such thing, so it is compiled in.
    """
    names = [match["name"] for match in _DYNAMIC_LDS.finditer(ir)]
    if not names:
        return ir
    name_of_block = "greta.dynamic_lds" if size_bytes else NO_DYNAMIC_LDS
    block = f"@{name_of_block} = internal addrspace(3) global [{max(size_bytes, 1)} x i8] undef, align 16"
    edited = _DYNAMIC_LDS.sub("", ir)
    for name in names:
        edited = re.sub(rf"{re.escape(name)}(?![\w.$-])", f"@{name_of_block}", edited)
    # A global must be defined at module level; after the target lines is as good a place as any.
    return edited.replace("\n\n", f"\n\n{block}\n", 1)


def saturate(ir: str) -> str:
    """Write conversions of floats to integers out: too large becomes the largest, too small the smallest, NaN 0.

    GPUs convert so. The CPU's runtime has OpenCL's saturating conversions, but not for 64 lanes at once.
    """
    found = {match[0]: match for match in _SATURATING.finditer(ir)}
    for name in found:
        ir = re.sub(rf"^declare [^\n]*{re.escape(name)}\([^\n]*\n", "", ir, flags=re.MULTILINE)
        ir = ir.replace(f"{name}(", f"{name.replace('@llvm.', '@greta.')}(")
    definitions = (_saturating(match).replace("@llvm.", "@greta.") for match in found.values())
    return "\n".join([ir, *definitions])


TRAP = "__greta_trap"
"""What a module has where its code can end with a fault (`trap` in include/hip/greta/builtins_spirv.h)."""
_OF_CLANG = re.compile(r"call void @llvm\.(?:trap|debugtrap|ubsantrap)\([^)]*\)")
_DECLARED = re.compile(rf"^declare [^\n]*@{TRAP}\(\)[^\n]*$", re.MULTILINE)
_FAULT = f"""
define internal spir_func void @{TRAP}() noinline {{
  store volatile i32 0, ptr addrspace(1) null
  ret void
}}"""


def obey_traps(ir: str) -> str:
    """Let a trap, as of `abort` or a failed `assert`, write to address 0: the CPU's runtime leaves LLVM's own out."""
    edited = _OF_CLANG.sub(f"call spir_func void @{TRAP}()", ir)
    return _DECLARED.sub("", edited) + _FAULT if f"@{TRAP}(" in edited else ir


SETTER = "greta_set_constant_"
"""What the kernels that `make_constants_settable` adds begin with; bytes and symbol of the constant follow."""
_CONSTANT = re.compile(
    r"^@(?P<name>[\w$.]+) = [^\n]*addrspace\(1\) externally_initialized (?:global|constant) (?P<kind>[^\n]+?)"
    r" (?:zeroinitializer|undef|poison|-?\d\S*|0x\w+|[\[{<c]\S*[^\n]*), align \d+$",
    re.MULTILINE,
)
_STRUCT = re.compile(r"^(?P<name>%[\w.:\"]+) = type (?P<fields><?\{.*\}>?)$", re.MULTILINE)
_SCALARS = {"i1": 1, "i8": 1, "i16": 2, "half": 2, "i32": 4, "float": 4, "i64": 8, "double": 8, "ptr": 8}


def make_constants_settable(ir: str) -> str:
    """Add a kernel for each `__constant__` and `__device__` variable, which copies a buffer into it, a byte a thread.

    OpenCL gives the host no way to a variable of a module.
    """
    structs = {found["name"]: found["fields"] for found in _STRUCT.finditer(ir)}
    setters = []
    for found in _CONSTANT.finditer(ir):
        size, _ = _size_and_alignment(found["kind"], structs)
        if size:
            setters.append(_SETTER.format(kernel=f"{SETTER}{size}_{found['name']}", name=found["name"]))
    if not setters:
        return ir
    declaration = "" if "@_Z13get_global_idj(" in ir else "\ndeclare spir_func i64 @_Z13get_global_idj(i32)\n"
    return "\n".join([ir, *setters]) + declaration


_SETTER = """
define spir_kernel void @{kernel}(ptr addrspace(1) %from) {{
  %i = call spir_func i64 @_Z13get_global_idj(i32 0)
  %source = getelementptr i8, ptr addrspace(1) %from, i64 %i
  %byte = load i8, ptr addrspace(1) %source
  %place = getelementptr i8, ptr addrspace(1) @{name}, i64 %i
  store i8 %byte, ptr addrspace(1) %place
  ret void
}}"""


def _size_and_alignment(kind: str, structs: Mapping[str, str]) -> tuple[int, int]:
    """Bytes of a type, and what its address is a multiple of (LLVM's layout for x86-64); 0 where it is not known."""
    kind = kind.strip()
    if kind in structs:
        kind = structs[kind]
    if kind.startswith("ptr"):
        return 8, 8
    if many := re.fullmatch(r"([\[<])(\d+) x (.+)[\]>]", kind):
        size, alignment = _size_and_alignment(many[3], structs)
        total = int(many[2]) * size
        return (total, alignment) if many[1] == "[" else (1 << (total - 1).bit_length(),) * 2
    if kind.startswith(("{", "<{")):
        is_packed = kind.startswith("<")
        end, largest = 0, 1
        for field in _fields(kind.strip("<>")[1:-1]):
            size, alignment = _size_and_alignment(field, structs)
            if not size:
                return 0, 1
            alignment = 1 if is_packed else alignment
            end, largest = -(-end // alignment) * alignment + size, max(largest, alignment)
        return -(-end // largest) * largest, largest
    return (_SCALARS.get(kind, 0),) * 2 if kind in _SCALARS else (0, 1)


def _fields(text: str) -> Iterator[str]:
    """The types between the commas of a struct's outer level."""
    depth, field = 0, ""
    for sign in text:
        depth += (sign in "[{<(") - (sign in "]}>)")
        if sign == "," and depth == 0:
            yield field
            field = ""
        else:
            field += sign
    if field.strip():
        yield field


def _saturating(name: re.Match[str]) -> str:
    """The definition of one such conversion, of a number or of a vector."""
    bits, is_signed = int(name["bits"]), name["sign"] == "s"
    smallest, largest = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)

    def kind(element: str) -> str:
        return f"<{name['n']} x {element}>" if name["n"] else element

    def constant(element: str, value: str) -> str:
        return f"splat ({element} {value})" if name["n"] else value

    is_half = name["from"] == "16"
    number, integer = "float" if is_half else _FLOATS[name["from"]], f"i{bits}"
    floats, integers, given = kind(number), kind(integer), kind(_FLOATS[name["from"]])
    low, high = (constant(number, _as_hexadecimal(float(bound))) for bound in (smallest, largest + 1))
    argument, widening = ("%half", f"  %x = fpext {given} %half to {floats}\n") if is_half else ("%x", "")
    return f"""
define internal spir_func {integers} {name[0]}({given} {argument}) alwaysinline {{
{widening}  %is_low = fcmp olt {floats} %x, {low}
  %is_high = fcmp oge {floats} %x, {high}
  %is_above = fcmp oge {floats} %x, {low}
  %is_below = fcmp olt {floats} %x, {high}
  %is_within = and {kind("i1")} %is_above, %is_below
  %within = select {kind("i1")} %is_within, {floats} %x, {floats} zeroinitializer
  %converted = fpto{name["sign"]}i {floats} %within to {integers}
  %capped = select {kind("i1")} %is_high, {integers} {constant(integer, str(largest))}, {integers} %converted
  %result = select {kind("i1")} %is_low, {integers} {constant(integer, str(smallest))}, {integers} %capped
  ret {integers} %result
}}"""


def _as_hexadecimal(value: float) -> str:
    """A float or double as LLVM writes it."""
    return f"0x{struct.pack('>d', value).hex().upper()}"
