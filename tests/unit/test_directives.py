"""What a source asks the preprocessor for is found however it is written, and comments ask for nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.compiler.directives import Header, as_text, asked


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ('#include "a.h"', [Header("a.h", is_quoted=True)]),
        ("#include <sys/types.h>", [Header("sys/types.h")]),
        ("  #  include<a.h>", [Header("a.h")]),
        ("%:include <a.h>", [Header("a.h")]),
        ("#include \\\n <a.h>", [Header("a.h")]),
        ("#inc\\\r\nlude <a.h>", [Header("a.h")]),
        ("/* one\n */ #include <a.h> // two", [Header("a.h")]),
        ("#include /* why */ <a.h>", [Header("a.h")]),
        ("#include <a//b's.h>\n", [Header("a//b's.h")]),
        ("#import <a.h>", [Header("a.h")]),
        ('#embed "a.bin" limit(4)', [Header("a.bin", is_quoted=True)]),
        ("#include_next <a.h>", [Header("a.h", is_next=True)]),
        ("#if __has_include(<a.h>)", [Header("a.h", is_question=True)]),
        ('#elif defined(X) && __has_include ( "a.h" )', [Header("a.h", is_quoted=True, is_question=True)]),
        ("#if __has_include_next(<a.h>)", [Header("a.h", is_next=True, is_question=True)]),
        ("#if !__has_embed(<a.bin> limit(2))", [Header("a.bin", is_question=True)]),
        ("#define HAS(x) 1\n#if HAS(1) || __has_include(<a.h>)", [Header("a.h", is_question=True)]),
        ("#if 0\n#include <a.h>\n#endif", [Header("a.h")]),
        ("char q = '\"'; // '\n#include <a.h>", [Header("a.h")]),
        ('int n = 1\'000; const char* s = "/*";\n#include <a.h>', [Header("a.h")]),
        ("#error don't /* worry\n#include <a.h>", [Header("a.h")]),
        ('auto s = R"x( " /* )" )x";\n#include <a.h>', [Header("a.h")]),
        ("// #include <a.h>", []),
        ("// goes on \\\n#include <a.h>", []),
        ("/*\n#include <a.h>\n*/", []),
        ("/* no end\n#include <a.h>", []),
        ('const char* s = "#include <a.h>";', []),
        ("#ifdef __has_include\n#elifndef __has_embed\n#endif", []),
        ("#if defined __has_include && defined(__has_embed)", []),
        ("", []),
    ],
)
def test_what_is_asked_for(text: str, headers: list[Header]) -> None:
    found = asked(text)
    assert found.headers == set(headers)
    assert not found.made
    assert not found.is_in_assembly


def test_names_that_macros_make_may_be_any_on_the_line_of_a_directive() -> None:
    found = asked(
        '#define A "a.h"\n#define B(x) <b.h>\n#if WRAPPED(<c.h>)\n#include A\n#if __has_include(B(1))\n'
    )
    assert found.made == {"A", "B(1"}
    assert {header.name for header in found.possible} == {"a.h", "b.h", "c.h"}
    assert found.named == {"A"}
    assert found.named_otherwise == {"B"}
    assert asked("#define HAS __has_include\n").made == {""}


def test_the_command_line_reads_as_a_source() -> None:
    text = as_text([("TILE", "64")], ["-O3", '-DHEADER="a.h"', "-DFLAG", "-ffast-math"])
    assert text == '#define TILE 64\n#define HEADER "a.h"\n#define FLAG \n'
    assert asked(text).possible == {Header("a.h", is_quoted=True)}
    assert asked(text).named == {"HEADER"}


@pytest.mark.parametrize(
    "text", ['asm(".incbin \\"w.bin\\"");', 'asm(R"(\n.incbin "w.bin")");', "asm(\" .include 'a.s'\");"]
)
def test_what_the_assembler_reads_is_noticed(text: str) -> None:
    assert asked(text).is_in_assembly
    assert not asked(f"// {text}\nint include = x.include;").is_in_assembly or "\n" in text


WHOLE = [
    "int x = 1'000'000;\n",
    "float y = 0x1p-3f;\n",
    "char c = '\\'';\n",
    "auto d = u8'a';\n",
    "char q = '\"';\n",
    'const char* s = "/* \\" //";\n',
    'auto r = R"(#include "no.h" )";\n',
    "/* #include <no.h> */\n",
    "/* a \" b ' c\n#include <no.h>\n*/\n",
    "// it's #include <no.h>\n",
    "// goes on \\\n#include <no.h>\n",
    "#if A < B && C > 1'0\n#endif\n",
    "#define CONTINUED a \\\n b\n",
    "#ifdef NEVER\nit's \"prose\n#endif\n",
]
"""Each is whole by itself and asks for nothing."""
ASKING = [
    "#include <{}>\n",
    ' # include "{}" // x\n',
    "#import <{}>\n",
    "#include \\\n<{}>\n",
    "#if __has_include(<{}>)\n#endif\n",
]


@given(
    st.lists(st.one_of(st.sampled_from(WHOLE), st.tuples(st.sampled_from(ASKING), st.sampled_from("abcd"))))
)
def test_every_include_is_found_among_all_that_looks_like_one(parts: list[str | tuple[str, str]]) -> None:
    text = "".join(part if isinstance(part, str) else part[0].format(f"{part[1]}.h") for part in parts)
    wanted = {f"{part[1]}.h" for part in parts if not isinstance(part, str)}
    assert {header.name for header in asked(text).headers} == wanted


@given(st.one_of(st.text(), st.text("#includehas_ \\\n\"'<>/*()R%:")))
def test_no_text_is_refused(text: str) -> None:
    assert asked(text) == asked(text)
    assert asked(f"{text}\n/**/\n").made >= asked("").made
