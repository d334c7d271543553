"""The device code of a HIP source, taken out of it: what is left when host functions go.

No parser of C++: braces, brackets, strings and comments are followed, and a definition at the top level (or in a
namespace) that has a body and neither `__global__` nor `__device__` nor `constexpr` is left out. Types, variables,
macros and directives stay.
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
    return "".join(kept)


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
            if said == "}" and depth == 0 and _is_function(chunk):
                yield chunk
                chunk = ""
        elif said == ";" and depth == 0:
            yield chunk
            chunk = ""
    if chunk.strip():
        yield chunk
