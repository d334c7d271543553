"""What the text of a source asks the preprocessor for: the headers that it names, in whatever `#if`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_LINE_GOES_ON = re.compile(r"\\[ \t]*\r?\n")
_TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))
    | (?:include|include_next|import|embed)\b[ \t]*(?:\(\s*)?<[^>\n]*>  # where // and ' mean nothing
    | \b(?:u8|[uUL])?R"(?P<end>[^()\\\s]{0,16})\(.*?(?:\)(?P=end)"|\Z)
    | (?<=[0-9a-fA-F])'(?=[0-9a-fA-F])  # of a number
    | "(?:\\.|[^"\\\n])*"?
    | '(?:\\.|[^'\\\n])*'?
    """,
    re.VERBOSE | re.DOTALL,
)
_DIRECTIVE = re.compile(r"^[^\S\n]*(?:\#|%:)[^\S\n]*(?P<word>\w+)[^\S\n]*(?P<rest>[^\n]*)", re.MULTILINE)
_LITERAL = re.compile(r'<([^>\n]+)>|"([^"\n]+)"')
_QUESTION = re.compile(
    r"""(?:\bdefined\s*\(?|\b(?:el)?ifn?def)\s*__has_\w+
    | \b__has_(?P<word>include_next|include|embed)\b
      (?:\s*\(\s*(?:(?P<literal><[^>\n]+>|"[^"\n]+")|(?P<made>[^\n]*)))?""",
    re.VERBOSE,
)
_DEFINED = re.compile(r"""(?P<name>[A-Za-z_]\w*)(?P<literal>\s+(?:<[^>\n]+>|"[^"\n]+")\s*$)?""")
_IN_ASSEMBLY = re.compile(r'\.incbin\b|"\s*\.include\b')
_INCLUDES = ("include", "include_next", "import", "embed", "__include_macros")


@dataclass(frozen=True)
class Header:
    """A name as a source has it."""

    name: str
    is_quoted: bool = False
    """Looked for beside the file first."""
    is_next: bool = False
    """Looked for behind where the file itself was found."""
    is_question: bool = False
    """Only whether it is there is asked, as far as this goes."""


@dataclass(frozen=True)
class Asked:
    """What one text asks for. `#include`, `#import`, `#embed` and `__has_include` are all the same here."""

    headers: frozenset[Header]
    made: frozenset[str]
    """What stands in the place of a name where macros make it."""
    possible: frozenset[Header]
    """Every name on the line of a directive: what such macros may be."""
    named: frozenset[str]
    """Macros that are such a name and nothing else."""
    named_otherwise: frozenset[str]
    """Macros that are something else, here or there."""
    is_in_assembly: bool
    """It has the assembler read a file, which is not followed here."""


@lru_cache(maxsize=4096)
def asked(text: str) -> Asked:
    """What a text asks for, wherever it stands: no `#if` is evaluated, but comments are left out."""
    plain = _TOKEN.sub(lambda token: " " if token["comment"] else token[0], _LINE_GOES_ON.sub("", text))
    headers: set[Header] = set()
    possible: set[Header] = set()
    made: set[str] = set()
    named: set[str] = set()
    otherwise: set[str] = set()
    for directive in _DIRECTIVE.finditer(plain):
        word, rest = directive["word"], directive["rest"]
        possible.update(map(_header, _LITERAL.finditer(rest)))
        if word == "define" and (macro := _DEFINED.match(rest)):
            (named if macro["literal"] else otherwise).add(macro["name"])
        if word not in _INCLUDES:
            continue
        if literal := _LITERAL.match(rest):
            headers.add(_header(literal, word == "include_next"))
        elif rest.strip():
            made.add(rest.strip())
    for question in _QUESTION.finditer(plain):
        if question["literal"]:
            literal = _LITERAL.fullmatch(question["literal"])
            assert literal
            headers.add(_header(literal, question["word"] == "include_next", is_question=True))
        elif question["word"]:
            made.add((question["made"] or "").partition(")")[0].strip())
    sets = (frozenset(headers), frozenset(made), frozenset(possible), frozenset(named), frozenset(otherwise))
    return Asked(*sets, is_in_assembly=bool(_IN_ASSEMBLY.search(plain)))


def as_text(defines: Iterable[tuple[str, str]], flags: Iterable[str] = ()) -> str:
    """What is defined on the command line, as a source would say it."""
    given = [
        (name, value)
        for flag in flags
        if flag.startswith("-D")
        for name, _, value in [flag[2:].partition("=")]
    ]
    return "".join(f"#define {name} {value}\n" for name, value in (*defines, *given))


def _header(literal: re.Match[str], is_next: bool = False, is_question: bool = False) -> Header:
    return Header(literal[1] or literal[2], literal[2] is not None, is_next, is_question)
