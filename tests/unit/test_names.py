"""Names of kernels, as demanglers write them, are taken apart right; patterns match what they say."""

from __future__ import annotations

import builtins
import re
import resource
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_greta.binaries.names import matches, template
from pytest_greta.compiler import demangling, names
from pytest_greta.gates.patterns import pattern

NAMES = [  # whole, without types, template
    ("scale", "scale", "scale"),
    ("scale(float*)", "scale", "scale"),
    ("void gemm<float, 8>(float const*, int)", "gemm<float, 8>", "gemm<...>"),
    (
        "void ns::A<int>::run<ns::B<3>, true>(ns::B<3>)",
        "ns::A<int>::run<ns::B<3>, true>",
        "ns::A<...>::run<...>",
    ),
    (
        "void (anonymous namespace)::anon<V<int, 3>>(V<int, 3>)",
        "(anonymous namespace)::anon<V<int, 3>>",
        "(anonymous namespace)::anon<...>",
    ),
    ("decltype((fp.d)[0]) dt<2, false>(V<float, 2>)", "dt<2, false>", "dt<...>"),
    ("void app<main::'lambda0'(int)>(main::'lambda0'(int))", "app<main::'lambda0'(int)>", "app<...>"),
    ("void app<(Kind)1, (3 > 2), &A::operator->>(void (*)(int))", None, None),
    ("std::enable_if<(N < 4), void>::type few<2>(int (&) [2])", "few<2>", "few<...>"),
    ("void cub::f<unsigned long long>(a, b) [clone .kd]", "cub::f<unsigned long long>", "cub::f<...>"),
    ("(anonymous namespace)::plain", "(anonymous namespace)::plain", "(anonymous namespace)::plain"),
]


@pytest.mark.parametrize(("whole", "short", "of"), [row for row in NAMES if row[1]])
def test_a_name_without_types_and_its_template(whole: str, short: str, of: str) -> None:
    assert names.qualified(whole) == short
    assert template(whole) == of


@given(st.text(alphabet="ab:<>()[]{} ,*&-'", max_size=60))
def test_any_text_is_a_name(text: str) -> None:
    assert names.qualified(text) in text
    assert isinstance(template(text), str)


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("*", {0, 1, 2, 3}),
        ("gemm<*>", {1, 2}),
        ("gemm<float, ?>", {1}),
        ("gemm", set()),
        ("*::gemm<*>", {3}),
        ("void gemm<*half*>(*)", {2}),
        ("_Z4gemmIfLi8EEvPf", {1}),
        ("/gemm<(float|int)/", {1, 3}),
        ("/^gemm<.*half/", {2}),
        ("scal[e]", set()),
    ],
)
def test_patterns(text: str, hits: set[int]) -> None:
    kernels = [
        ("scale", "scale"),
        ("void gemm<float, 8>(float*)", "_Z4gemmIfLi8EEvPf"),
        ("void gemm<__half, 16>(__half*)", "_Z4gemm"),
        ("void ns::gemm<int, 8>(int*)", "_ZN2ns4gemm"),
    ]
    assert {n for n, kernel in enumerate(kernels) if matches(text, *kernel)} == hits


def test_an_expression_that_is_none() -> None:
    with pytest.raises(ValueError, match=re.escape("/gemm</(/ is no regular expression: missing )")):
        pattern("/gemm</(/")
    assert pattern("/").search("/")


SYMBOLS = [
    "scale",
    "_Z4gemmIfLi8EEvPf",
    "_ZN2ns1AIiE3runINS_1BILi3EEELb1EEEvT_",
    "_Znonsense",
    "_Z" + "x" * 20_000,
]


def test_demangled_as_llvm_does() -> None:
    pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")
    found, note = demangling.demangled(SYMBOLS)
    assert note == ""
    assert list(found.values())[1:3] == [NAMES[2][0].replace("float const*, int", "float*"), NAMES[3][0]]
    assert [symbol for symbol, name in found.items() if symbol == name] == [SYMBOLS[0], *SYMBOLS[3:]]
    llvm = shutil.which("llvm-cxxfilt")
    if llvm is None:
        return
    printed = subprocess.run([llvm], input="\n".join(SYMBOLS[:3]), capture_output=True, text=True, check=True)
    assert printed.stdout.split("\n")[:3] == list(found.values())[:3]


def test_without_the_demangler_names_stay_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pydemumble":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    demangling._demangler.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    assert demangling.demangled(SYMBOLS) == ({symbol: symbol for symbol in SYMBOLS}, demangling.NOT_DEMANGLED)
    assert demangling.demangled(["scale"]) == ({"scale": "scale"}, "")  # nothing is missed
    demangling._demangler.cache_clear()


def parts(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=1, max_size=4).map("".join)
    return st.one_of(
        st.builds("1{}I{}E".format, st.sampled_from("abc"), several),
        st.builds("S{}_I{}E".format, st.sampled_from(["", "0", "1", "2"]), several),
        st.builds("J{}E".format, several),
        st.builds("F{}E".format, several),
        st.builds("{}{}".format, st.sampled_from(["Dp", "P", "K"]), inner),
    )


LEAVES = st.sampled_from(["i", "Ss", "2ab", "S_", "S0_", "S1_", "S2_", "T_", "T0_", "DpT_"])
TYPES = st.lists(st.recursive(LEAVES, parts, max_leaves=8), min_size=1, max_size=4).map("".join)


@settings(max_examples=40)
@given(st.builds("_Z1fI{}Ev{}".format, TYPES, TYPES))
def test_what_a_name_may_stand_for_is_never_less_than_what_it_does(symbol: str) -> None:
    demangle = pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'").demangle
    assume(demangling.may_stand_for(symbol) < 1 << 22)
    assert len(demangle(symbol)) <= demangling.may_stand_for(symbol)


def test_a_name_that_stands_for_gigabytes_stays_mangled() -> None:
    """Each part has three of the part before: 250 letters for 3^26."""
    pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    hostile = "_Z1f1aIiE" + "".join(f"S_I{f'S{letters[part]}_' * 3}E" for part in range(26))
    long_but_honest = "_Z1fI" + "1aIiE" * 20 + "EvS1_" + "S1_" * 39
    symbols = [hostile, "_Z3segILi8EEvPf", long_but_honest]
    assert demangling.may_stand_for(long_but_honest) > 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, note = demangling.demangled(symbols)
    assert [name for name in symbols if found[name] == name] == [hostile]
    assert found[long_but_honest].count("a<int>") == 60
    assert note == demangling.TOO_LONG.format(1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 500_000


def test_messages_call_a_kernel_as_its_author_does() -> None:
    pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")
    assert names.called("_Z3segILi8EEvPf") == "seg<8>"
    assert names.called("plain") == "plain"
