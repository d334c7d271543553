"""What is read of a program's output, however it comes: quantities, signs of failure, head and tail."""

from __future__ import annotations

import itertools
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.gates.programs import OutputSpec
from pytest_greta.programs import capture
from pytest_greta.programs.capture import LOST_DEVICE, SURE_SIGNS, Kept, Lines, Signs
from pytest_greta.programs.reading import Value, from_json, read_csv, reading_of
from pytest_greta.programs.written import before_run

MARKED = OutputSpec("json_marker", "PERF_TIMING")


def read(output: OutputSpec, text: bytes, *cuts: int) -> tuple[dict[str, Value], str]:
    """What is read of a text that comes in pieces."""
    reading = reading_of(output)
    lines = Lines(reading.look)
    ends = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for begin, end in itertools.pairwise(ends):
        lines.feed(text[begin:end])
    lines.close()
    return reading.result()


@pytest.mark.parametrize(
    ("output", "text", "values", "problem"),
    [
        (MARKED, 'load\nPERF_TIMING {"a": {"b": 1.5}, "c": "x", "d": true}', {"a.b": 1.5, "c": "x", "d": True}, ""),
        (MARKED, 'PERF_TIMING {"a": null, "b": [1], "c": NaN}\n', {"c": math.nan}, ""),
        (MARKED, "PERF_TIMING\n", {}, "line 1, behind PERF_TIMING: not valid JSON: Expecting value: *"),
        (MARKED, "\n\nPERF_TIMING [1]\n", {}, "line 3, behind PERF_TIMING: not a JSON object"),
        (MARKED, 'PERF_TIMING {"a": 1, "a": 2}', {}, "*not valid JSON: the name 'a' is there twice"),
        (MARKED, "a\nPERF_TIMING {}\nb\nPERF_TIMING {}\n", {}, "*twice, in line 2 and in line 4: which one counts?"),
        (MARKED, 'OLD_PERF_TIMING {"a": 1}\nPERF_TIMINGS {}\nPERF_TIMING{"a": 2}', {"a": 2}, ""),
        (MARKED, "", {}, "no line of the output has PERF_TIMING"),
        (OutputSpec("json_lines"), '{"a": 1}\nx\n {"a": 2, "b": 3}\n', {"a": 2, "b": 3}, ""),
        (OutputSpec("json_lines"), '{"a": 1}\n{"a": \n', {"a": 1}, "line 2: not valid JSON: *"),
        (OutputSpec("json_lines"), "none\n", {}, "no line of the output is a JSON object"),
        (OutputSpec("csv", "stdout"), "a, b\n1,x\n2,y\n", {"a": 2, "b": "y"}, ""),
        (OutputSpec("csv", "stdout"), "a,b\n1\n", {}, "the row of CSV has 1 fields, and there are 2 names"),
        (OutputSpec("csv", "stdout"), "a,b\n", {}, "the output has no row of CSV below one of names"),
        (OutputSpec("regex", r"t=(?P<t>[\d.e-]+)(?: n=(?P<n>\w+))?"), "t=1.5e-3\nt x n\n", {"t": 0.0015}, "*has n"),
        (OutputSpec("regex", r"(?P<t>\d+) s"), "at 4 s\nat 5 s\n", {"t": 5}, "t is there twice, in line 1 and in *"),
        (OutputSpec(), "anything", {}, ""),
    ],
)  # fmt: skip
def test_what_is_read(output: OutputSpec, text: str, values: dict[str, Value], problem: str) -> None:
    from fnmatch import fnmatchcase

    found, told = read(output, text.encode())
    assert str(found) == str(values)
    assert fnmatchcase(told, problem.replace("[", "[[]"))


TEXTS = st.lists(
    st.sampled_from(
        [b"\n", b"PERF_TIMING ", b'{"a": 1}', b"x", b"\xff", b"a,b", b"1,2", b"t=3", b"hipError", b" "]
    ),
    max_size=12,
).map(b"".join)


@given(TEXTS, st.lists(st.integers(0, 60), max_size=6))
def test_it_does_not_matter_how_an_output_is_cut(text: bytes, cuts: list[int]) -> None:
    for output in (
        MARKED,
        OutputSpec("json_lines"),
        OutputSpec("csv", "stdout"),
        OutputSpec("regex", "t=(?P<t>.)"),
    ):
        assert read(output, text, *cuts) == read(output, text)


@given(st.binary(max_size=80))
def test_whatever_stands_behind_a_marker_is_values_or_a_problem(text: bytes) -> None:
    values, problem = from_json(text)
    assert not (values and problem)


def test_a_line_that_never_ends_costs_no_memory_and_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MOST_LINE_BYTES", 100)
    reading = reading_of(MARKED)
    lines = Lines(reading.look)
    for _ in range(100):
        lines.feed(b"x" * 50)
        assert len(lines._rest) <= 100
    lines.feed(b'\nPERF_TIMING {"a": 1}\n')
    lines.close()
    assert reading.result() == ({"a": 1}, "")


@pytest.mark.parametrize("bar", [b"x", b"\r10 % "])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_the_end_of_a_long_line_is_looked_at(monkeypatch: pytest.MonkeyPatch, bar: bytes, end: bytes) -> None:
    monkeypatch.setattr(capture, "MOST_LINE_BYTES", 100)
    reading, signs = reading_of(MARKED), Signs("", SURE_SIGNS)
    lines = Lines(reading.look, signs.look)
    for chunk in (*[bar] * 300, b" hipErrorUnknown ", b'PERF_TIMING {"a"', b": 1}", end):
        lines.feed(chunk)
    lines.close()
    assert reading.result() == ({"a": 1}, "")
    assert "hipErrorUnknown" in signs.found


def test_head_and_tail_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "HEAD_BYTES", 5)
    monkeypatch.setattr(capture, "TAIL_BYTES", 3)
    kept = Kept()
    for chunk in (b"begi", b"n, middle", b"", b", en", b"d"):
        kept.feed(chunk)
    assert kept.text == "begin\n[... 10 bytes are left out ...]\nend"
    short = Kept()
    short.feed(b"a\xff")
    assert short.text == "a\ufffd"


@pytest.mark.parametrize(
    ("expression", "signs", "text", "found"),
    [
        ("", SURE_SIGNS, "ok\n a.cpp:8: hipErrorOutOfMemory \nlast\n", "a.cpp:8: hipErrorOutOfMemory"),
        ("", SURE_SIGNS, "hipErrorNotReady\n", ""),
        ("", SURE_SIGNS, "hipErrorNotReady\nhipErrorUnknown", "hipErrorUnknown"),
        (
            "",
            SURE_SIGNS,
            "while hipErrorNotReady: hipErrorUnknown\n",
            "while hipErrorNotReady: hipErrorUnknown",
        ),
        ("", SURE_SIGNS, "50 %\rROCm error: out of memory\r60 %\n", "ROCm error: out of memory"),
        ("", SURE_SIGNS, "Memory access fault by agent 1", "Memory access fault by agent 1"),
        ("", SURE_SIGNS, "Segmentation fault (core dumped)", "Segmentation fault (core dumped)"),
        ("", LOST_DEVICE, "x\nno ROCm-capable device is detected\n", "no ROCm-capable device is detected"),
        ("(?i)^bad", SURE_SIGNS, "good\nBad luck\nhipErrorUnknown\n", "Bad luck"),
    ],
)
def test_signs_of_failure(expression: str, signs: tuple[bytes, ...], text: str, found: str) -> None:
    looker = Signs(expression, signs)
    lines = Lines(looker.look)
    lines.feed(text.encode())
    lines.close()
    assert looker.found == found
    assert all(any(stem in sign.lower() for stem in capture.STEMS) for sign in signs)


def test_a_file_of_csv_is_that_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    text = "a,b\n1,\n2,x\n"
    assert read_csv(before_run(path)) == ({}, f"{path} cannot be read: No such file or directory")
    before = before_run(path)
    path.write_text(text)
    assert read_csv(before) == ({"a": 2, "b": "x"}, "")
    before = before_run(path)
    path.touch()  # a moment later, by a run that wrote nothing
    assert read_csv(before)[1] == f"{path} was not written by this run: it is as it was before"
    assert path.read_text() == text
    before = before_run(path)
    path.write_text(text)  # the same once more
    assert read_csv(before) == ({"a": 2, "b": "x"}, "")
    before = before_run(path)
    with path.open("a") as file:
        file.write("3,y\n")
    assert read_csv(before) == ({"a": 3, "b": "y"}, "")
    before = before_run(path)
    path.write_text(text)
    os.utime(path, (before.began - 60, before.began - 60))
    assert read_csv(before)[1] == f"{path} was not written by this run: it is older"


def test_numbers_and_texts_of_any_size_are_read() -> None:
    assert read(MARKED, b"PERF_TIMING " + json.dumps({"n": 10**400, "m": -(10**400)}).encode())[0] == {
        "n": math.inf,
        "m": -math.inf,
    }
    long = [read(OutputSpec("regex", "(?P<n>.+)"), b"1" * 5000 + end)[0]["n"] for end in (b"a", b"b", b"")]
    assert len(set(long)) == 3
    assert all(isinstance(one, str) and one.startswith("1" * 200 + "... (500") for one in long)
    names = b"".join(b'{"n%d": 1}\n' % number for number in range(10_001))
    assert read(OutputSpec("json_lines"), names) == ({}, "line 10001: more than 10000 names")
