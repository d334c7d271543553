"""The device code of a HIP source, taken out of it: what is left when host functions go.

No parser of C++: braces, brackets, strings and comments are followed, and a definition at the top level (or in a
namespace) that has a body and neither `__global__` nor `__device__` nor `constexpr` is left out. So is a type or a
variable that nothing which stays names. Macros and directives stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_PIECE = re.compile(
    r"""
    (?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)
    | (?P<directive>^[ \t]*\#(?:\\\n|//[^\n]*|/\*.*?\*/|[^\n])*)
    | (?P<literal>R"(?P<end>[^()\\\s]{0,16})\(.*?\)(?P=end)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<word>[A-Za-z_]\w*|\d[\w'.]*)
    | (?P<space>\s+)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_OPENS = re.compile(r'^\s*(?:inline\s+)?(?:namespace\b[^;={]*|extern\s*"C(?:\+\+)?"\s*)$')
_TYPE = re.compile(
    r"^(?:template\s*<.*>\s*)?(?:typedef\s+)?(?:struct|class|union|enum)\b(?![^{]*\))", re.DOTALL
)
_NAMED_TYPE = re.compile(
    r"^\s*(?:template\s*<[^{]*>\s*)?(?:struct|class|union)\s+(?:alignas\([^)]*\)\s*)?(\w+)[^;{()]*\{"
)
_DECLARED = re.compile(r"\b([A-Za-z_]\w*)\s*(?=[=\[{,;])")
_ENDED = re.compile(r";\s*#[^\n]*$")
_WORD = re.compile(r"[A-Za-z_]\w*")
_ON_DEVICE = re.compile(r"\b__(?:global|device|constant|shared|managed)__\b")
_OF_DEVICE = re.compile(r"\b__(?:global|device)__\b|\bconstexpr\b|\b__constant__\b|\b__shared__\b")
_DEVICE_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[^\n]*__(?:device|global)__", re.MULTILINE)


def device_code(text: str, keep_directive: Callable[[str], bool] = lambda _: True) -> str:
    """A source without its host functions; a directive is kept where `keep_directive` says so of its text."""
    macros = _DEVICE_MACRO.findall(text)
    marked = re.compile("|".join([_OF_DEVICE.pattern, *(rf"\b{name}\b" for name in macros)]))
    kept = []
    for chunk in chunks(text):
        if chunk.lstrip().startswith("#"):
            kept.append(chunk if keep_directive(chunk) else "\n")
        elif not _is_function(chunk) or marked.search(chunk.partition("{")[0]):
            kept.append(chunk)
    return "".join(_named(kept))


def _named(chunks: list[str]) -> list[str]:
    """The chunks but for those types and variables of the host that no other chunk which stays names."""
    may_go = {at: names for at, chunk in enumerate(chunks) if (names := _names(chunk))}
    words = {word for at, chunk in enumerate(chunks) if at not in may_go for word in _WORD.findall(chunk)}
    while named := [at for at, names in may_go.items() if not names.isdisjoint(words)]:
        for at in named:
            words.update(_WORD.findall(chunks[at]))
            del may_go[at]
    return [chunk for at, chunk in enumerate(chunks) if at not in may_go]


def _names(chunk: str) -> frozenset[str]:
    """By which names others may call what a chunk defines for the host; none where it stays in any case."""
    plain = chunk.strip()
    is_whole = plain.endswith(";") or _ENDED.search(plain)
    if not is_whole or plain.startswith("#") or _ON_DEVICE.search(chunk):
        return frozenset()
    if found := _NAMED_TYPE.match(chunk):
        return frozenset([found[1], *_WORD.findall(chunk.rpartition("}")[2])])
    is_variable = "=" in plain and not re.match(r"(?:template|enum|typedef|using|friend|extern)\b", plain)
    return frozenset(_DECLARED.findall(plain.partition("=")[0] + "=")) if is_variable else frozenset()


def _is_function(chunk: str) -> bool:
    """Whether a chunk defines a function: a body behind an argument list, and no type or initialiser."""
    head, brace, _ = chunk.partition("{")
    if not brace or _TYPE.match(head.strip()) or not chunk.rstrip().endswith("}"):
        return False
    before = re.sub(r"\boperator\s*[=!<>+*/-]*=", "operator", head)
    while (without := re.sub(r"<[^<>]*>", "", before)) != before:  # defaults of templates
        before = without
    return ")" in before and "=" not in before.partition("(")[0]


def chunks(text: str) -> Iterator[str]:
    """Directives and declarations of the top level, in order; a namespace opens and ends by chunks of its own."""
    chunk, depth, spaces = "", 0, 0
    branches = list[int]()
    """How deep each #if within a chunk stands: both of its branches begin there."""
    for piece in _PIECE.finditer(text):
        kind, said = piece.lastgroup, piece[0]
        if kind == "end":  # the group inside a raw string
            kind = "literal"
        if kind == "comment":
            chunk += " " + "\n" * said.count("\n")
            continue
        if kind == "directive" and depth == 0 and not chunk.strip():
            yield chunk + said
            chunk = ""
            continue
        chunk += said
        if kind == "directive":
            word = said.strip(" \t#")
            if word.startswith("if"):
                branches.append(depth)
            elif branches and word.startswith("el"):
                depth = branches[-1]
            elif branches and word.startswith("endif"):
                branches.pop()
                if not branches and depth == 0 and _ENDED.search(chunk):
                    yield chunk
                    chunk = ""
        if kind != "sign":
            continue
        if said == "{" and depth == 0 and _OPENS.match(chunk[:-1].strip()):
            spaces += 1
            yield chunk
            chunk = ""
        elif said == "}" and depth == 0 and spaces:
            spaces -= 1
            yield chunk
            chunk = ""
        elif said in "{([":
            depth += 1
        elif said in "})]":
            depth = max(depth - 1, 0)
            if said == "}" and depth == 0 and not branches and _is_function(chunk):
                yield chunk
                chunk = ""
        elif said == ";" and depth == 0 and not branches:
            yield chunk
            chunk = ""
    if chunk.strip():
        yield chunk
