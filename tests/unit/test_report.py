"""The report: what it says of records, that it is the same for the same, and that no name in it means anything."""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_greta import report as report_room
from pytest_greta.__main__ import main
from pytest_greta.binaries.lock import Entry, Key, LockFile
from pytest_greta.gates.model import Interval, Quantity
from pytest_greta.history.benchmark import stored_runs
from pytest_greta.records.model import Recorded, RecordedProblem, Summary
from pytest_greta.remedies import extra_text
from pytest_greta.report.contents import Sources, report_of
from pytest_greta.report.markdown import markdown, text
from pytest_greta.report.parts import Dots, Lines, Report, Section, Table
from pytest_greta.report.speed import exponent
from pytest_greta.report.words import beyond, number
from tests.unit import report_samples as samples

Output = pytest.CaptureFixture[str]


def section(report: Report, name: str) -> Section:
    return next(one for one in report.sections if one.name == name)


def cells(report: Report) -> set[str]:
    return {
        cell for one in report.sections for table in one.tables for row in table.rows for cell in row if cell
    }


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("history")
    samples.history(folder, runs=40, variants=("v6",))
    runs, problems = stored_runs(folder)
    assert not problems
    return Sources([samples.campaign()], runs)


@pytest.fixture(scope="module")
def report(sources: Sources) -> Report:
    return report_of(sources)


# -- what it says ----------------------------------------------------------------------------------------


def test_what_failed_comes_first_and_what_lies_farthest_beyond_its_limit_before_all(report: Report) -> None:
    assert report.title == "greta: 13 gates failed in 13 tests, 1 test blocked"
    first = report.sections[0].tables[0]
    assert list(first.rows[0]) == [
        "FAIL",
        "0.29 of the limit",
        "prefill v3",
        "4096",
        "speedup >= 1.20",
        "0.35x [0.34, 0.36]",
        "",
        "gates.yaml:54",
    ]
    assert [row[1] for row in first.rows[4:13:3]] == ["9.4 % above", "6.2 % above", "3.1 % above"]


@pytest.mark.parametrize(
    ("limits", "value", "said"),
    [
        ({"max": 64}, 70, "9.4 % above"),
        ({"max": 64}, 256, "4 times the limit"),
        ({"max": 0}, 128, "128 above"),
        ({"min": 1.2}, 1.1, "8.3 % below"),
        ({"min": 1.2}, 0.11, "0.092 of the limit"),
        ({"min": 1.2}, 0, "1.2 below"),
        ({"above": 0}, 0, "not above 0"),
        ({"equals": "flash_v2_naive"}, "v3_q_lds", "expected flash_v2_naive"),
        ({"equals": True}, False, "expected true"),
        ({"max": 1}, None, ""),
    ],
)
def test_by_how_much(limits: dict[str, object], value: object, said: str) -> None:
    assert beyond(samples.verdict("any", "any", value, "FAIL", **limits))[0] == said


def test_a_failed_test_without_a_failed_gate_is_a_failure() -> None:
    undecided = samples.verdict("speedup", "speedup >= 1.20", 1.2, "INCONCLUSIVE", min=1.2, reason="too few")
    run = samples.run("v3", 4096, 1.0, verdicts=[undecided], outcome="failed")
    for outcome, title in (("failed", "greta: 1 gate failed"), ("passed", "greta: nothing failed")):
        one = Summary(samples.session(exit_code=0), [dataclasses.replace(run, outcome=outcome)])
        assert report_of(Sources([one])).title == title


def test_a_session_that_failed_with_no_failed_gate_does_not_look_green() -> None:
    found = report_of(Sources([Summary(samples.session(exit_code=3))]))
    assert (found.title, found.is_failure) == ("greta: a session failed", True)
    assert "The session ended with exit code 3." in found.sections[0].notes


def test_a_test_that_was_blocked_is_listed_as_a_failure() -> None:
    blocked = samples.campaign().stopped
    told = "interrupted: 6 of 9 tests did not run to their end"
    found = report_of(Sources([Summary(samples.session(exit_code=2), [], blocked, notes=[told])]))
    assert found.title == "greta: 1 test blocked"
    assert list(found.sections[0].notes) == [told, "The session ended with exit code 2."]
    assert found.sections[0].tables[0].rows[0][0] == "BLOCKED"


def test_what_was_not_measured_says_so() -> None:
    nothing = Summary(samples.session(exit_code=0, device=None, not_measured="no GPU: hipErrorNoDevice"))
    found = report_of(Sources([nothing]))
    said = {one.name: " ".join(one.notes) for one in found.sections}
    assert said["time"] == "Not measured: nothing was run."
    assert said["resources"] == "Not measured: no code was read."
    assert said["history"] == "There is no stored run of these kernels."
    assert "Not measured: no GPU: hipErrorNoDevice" in said["device"]
    assert "throttling: not measured" in said["device"]


def test_a_time_of_zero_is_told_and_not_drawn() -> None:
    runs = [samples.run("v3", 4096, 22.0), samples.run("v3", 8192, 0.0)]
    found = section(report_of(Sources([Summary(samples.session(), runs)])), "time")
    assert "prefill, v3 at 8192: a time of 0 s is not drawn" in found.notes
    assert [len(one.points) for one in found.charts[0].series] == [1]  # type: ignore[union-attr]


def test_the_closing_table_of_the_campaign_of_february() -> None:
    seconds = {8192: (403.26, 3540.68, 2026.69), 16384: (1181.64, 13366.90, 7508.25)}
    runs = []
    for context, times in seconds.items():
        for variant, value in zip(("baseline", "v3", "v4"), times, strict=True):
            one = samples.run(variant, context, value, verdicts=[])
            ratio = Quantity(None if variant == "baseline" else times[0] / value, Interval(0.08, 0.21))
            quantities = {**one.quantities, "speedup": ratio}
            runs.append(dataclasses.replace(one, quantities=quantities))
    table = markdown(report_of(Sources([Summary(samples.session(), runs)])))
    assert "| 8192 | 403.26 s | 3540.68 s (0.11x) | 2026.69 s (0.20x) |" in table
    assert "| 16384 | 1181.64 s | 13366.90 s (0.09x) | 7508.25 s (0.16x) |" in table


def test_what_was_recorded_in_several_places_stands_apart() -> None:
    places = ("recorded in monday.csv: ", "recorded in friday.csv: ")
    runs = [samples.run("v3", 4096, 60.0, baseline=None, recorded=place) for place in places]
    found = report_of(Sources([Summary(samples.session(), runs)]))
    assert [chart.title for chart in section(found, "speedup").charts] == [
        f"Speedup of prefill, recorded in {day}.csv over its baseline" for day in ("monday", "friday")
    ]


def test_a_program_has_the_tokens_that_it_processed() -> None:
    run = samples.run("v3", 16384, 10.0, kind="program", verdicts=[])
    printed = {"seconds": Quantity(10.0), "processed": Quantity(2048), "model_load_s": Quantity(21.865)}
    units = {"model_load_s": "s", "processed": "tokens"}
    run = dataclasses.replace(
        run, quantities={**printed, "attn_impl": Quantity("flash_v2_naive")}, units=units
    )
    found = section(report_of(Sources([Summary(samples.session(), [run])])), "time")
    assert "204.8" in found.tables[1].rows[0]
    assert list(found.tables[-1].rows[0]) == ["v3", "16384", "10", "2048 tokens", "21.86 s", "flash_v2_naive"]


def test_how_long_a_program_took_to_fail_is_no_time_of_it() -> None:
    good, hung = (samples.run("v3", context, 10.0, kind="program", verdicts=[]) for context in (4096, 8192))
    killed = {"exit_status": Quantity(None), "deadline_seconds": Quantity(0.4), "wall_seconds": Quantity(0.4)}
    bad = [samples.verdict("deadline_seconds", "deadline_seconds <= 0.4", 0.4, "FAIL")]
    for more in ({"seconds": Quantity(None)}, {}):
        one = dataclasses.replace(hung, quantities={**killed, **more}, verdicts=bad, seconds=())
        found = report_of(Sources([Summary(samples.session(), [good, one])]))
        time = section(found, "time")
        assert all(len(series.points) == 1 for chart in time.charts for series in chart.series)  # type: ignore[union-attr]
        assert list(time.tables[0].rows[1]) == ["8192", "not measured FAIL"]
        assert list(time.tables[1].rows[1][2:6]) == ["not measured", "", "", "not measured"]


def test_exponents_are_slopes() -> None:
    assert exponent([(n, 3e-9 * n**2) for n in samples.CONTEXTS]) == "2.00"
    assert exponent([(n, 0.1 * n) for n in samples.CONTEXTS]) == "1.00"
    assert exponent([(4096, 1.0), (8192, 0.0)]) == ""


def test_a_roof_is_what_the_peaks_allow(report: Report) -> None:
    found = section(report, "roofline")
    chart = found.charts[0]
    assert isinstance(chart, Lines)
    assert found.notes == ["prefill: peaks 1307 TFLOP/s and 5300 GB/s."]
    assert [round(point.y) for point in chart.guides[0].points[1:]] == [1307, 1307]
    assert math.isclose(chart.guides[0].points[1].x, 1307e3 / 5300)


def test_resources_stand_beside_their_limits_and_the_line_of_the_lock_file() -> None:
    entry = Entry({"vgprs": 60, "scratch_bytes": 0}, "clang 22", line=7)
    lock = LockFile(Path("greta.lock"), {Key("prefill", "v3 heads4", "gfx942", "v3"): entry})
    problem = RecordedProblem("4096-heads4", 4096, {"heads": 4})
    code = dataclasses.replace(samples.code("v3", "gfx942"), problem=problem)
    found = section(report_of(Sources([Summary(samples.session(), [code])], lock=lock)), "resources")
    rows = [list(row) for row in found.tables[1].rows]
    vgprs = ["vgprs", "62", "vgprs <= 64", "PASS", "60", "+2", "greta.lock:7"]
    assert ["prefill v3 heads4", "gfx942", *vgprs] in rows
    same = ["scratch_bytes", "0", "", "", "0", "the same", "greta.lock:7"]
    assert ["prefill v3 heads4", "gfx942", *same] in rows
    drawn = [chart.dots[0] for chart in found.charts if isinstance(chart, Dots) and chart.title == "vgprs"]
    assert (drawn[0].max, drawn[0].before) == (64, 60)


def test_history_has_accepted_and_rejected_runs_commits_and_steps(report: Report) -> None:
    found = section(report, "history")
    overview, runs = found.tables[0], found.tables[1]
    assert list(overview.rows[0][:4]) == ["prefill v6 @ context=4096", samples.DEVICE, "40", "27"]
    assert overview.rows[0][-1] == "4.0% slower since 2026-01-02, commit 1e1e1e1e1e"
    assert runs.rows[1][5:] == ["not accepted", "the working tree has uncommitted changes", ""]
    assert [row[0] for row in runs.rows if row[-1]] == ["30"]
    assert found.charts[0].marks == [29.5]  # type: ignore[union-attr]


def test_a_damaged_file_of_the_history_is_told(tmp_path: Path) -> None:
    samples.history(tmp_path, runs=2)
    (tmp_path / "Linux-CPython-3.11-64bit/0001_run.json").write_text("{")
    runs, problems = stored_runs(tmp_path)
    assert {len(some) for some in runs.values()} == {1}
    assert "0001_run.json" in problems[0]
    assert stored_runs(tmp_path / "none") == ({}, [])
    assert not (tmp_path / "none").exists()


def test_every_number_that_is_drawn_stands_in_a_table(report: Report) -> None:
    told = " ".join(cells(report))
    for one in report.sections:
        for chart in one.charts:
            assert chart.alt
            drawn = (
                [point.y for series in chart.series for point in series.points]
                if isinstance(chart, Lines)
                else [dot.value for dot in chart.dots]
            )
            missing = [value for value in drawn if number(value) not in told]
            assert not missing, f"{chart.title}: {missing}"


def test_large_records_are_cut_and_say_so() -> None:
    many = [samples.code(f"v{place}", "gfx942", vgprs=200) for place in range(400)]
    found = report_of(Sources([Summary(samples.session(), many)]))
    assert found.title == "greta: 400 gates failed in 400 tests"
    assert (len(found.sections[0].tables[0].rows), found.sections[0].tables[0].more) == (300, 100)
    assert "and 350 more" in markdown(found)
    assert section(found, "resources").charts[0].title == "vgprs (the first 40 of 300)"
    runs = [samples.run(f"v{place}", context, 9.0) for place in range(80) for context in samples.CONTEXTS]
    timed = section(report_of(Sources([Summary(samples.session(), runs)])), "time")
    assert timed.notes == ["prefill: runs (the first 300 of 320)"]
    assert len(timed.tables[1].rows) == 300


# -- Markdown --------------------------------------------------------------------------------------------


@given(st.text())
@example("| a | b")
@example("`` ` ``")
@example("https://example.org")
@example("www.example.org")
@example("@someone")
@example("1. one")
@example("a\\|b")
def test_markdown_leaves_texts_alone(words: str) -> None:
    made = text(words)
    assert "\n" not in made
    if made != words:
        assert re.fullmatch(r"`[^`]*`", made)
        assert not re.search(r"(?<!\\)\|", made)
    else:
        assert not re.search(
            r"[`|<*\[\]~#@\\]", re.sub(r"(^| )\[[-\d.e+]+, (inf|[-\d.e+]+)\]| <=? ", "", made)
        )


def test_markdown_of_hostile_names_is_the_same_table() -> None:
    plain_ = Summary(samples.session(), list(samples.hostile()))
    rows = [line for line in markdown(report_of(Sources([plain_]))).splitlines() if line.startswith("|")]
    for line in rows:
        outside = re.sub(r"`[^`]*`", "", line)
        assert not re.search(r"[<@*]|javascript", outside.replace("<=", "").replace(">=", "")), line


# -- the page --------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, name: str) -> Iterator[str]:
        return (value or "" for _, attribute, value in self.attributes if attribute == name)


@pytest.fixture(scope="module")
def content(report: Report) -> str:
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    pytest.importorskip("matplotlib", reason="a page needs the extra 'report'")
    from pytest_greta.report.page import page

    return page(report)


def test_a_page_has_what_a_screen_reader_needs(content: str) -> None:
    found = Page(content)
    tags = found.tags
    assert [tags[name] for name in ("h1", "main", "nav", "header", "footer", "script")] == [1, 1, 1, 1, 1, 0]
    assert tags["h2"] == tags["section"]
    assert tags["table"] == tags["caption"]
    heads = [value for tag, name, value in found.attributes if (tag, name) == ("th", "scope")]
    assert len(heads) == tags["th"]
    assert tags["svg"] == list(found.all("role")).count("img") == tags["figcaption"] > 8
    names = Counter(found.all("id"))
    assert max(names.values()) == 1
    assert {link for link in found.all("href") if link.startswith("#")} <= {f"#{name}" for name in names}
    assert 'lang="en"' in content
    assert len(content) < 2_000_000


def test_a_page_asks_for_nothing(content: str) -> None:
    assert not re.search(r"(src|href|url\()\s*=?\s*[\"']?(https?:)?//", content)
    assert "default-src 'none'" in content


def test_a_page_stays_below_its_size_and_says_what_is_left_out() -> None:
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    pytest.importorskip("matplotlib", reason="a page needs the extra 'report'")
    from pytest_greta.report.page import MOST_BYTES, page

    table = Table.of("long", ("a", "b", "c", "d"), [["x" * 300] * 4] * 400)
    made = page(Report("long", True, [], [], [Section("long", "Long", tables=[table] * 8)]))
    assert len(made) < MOST_BYTES
    assert made.count("and 300 more, in the files that this is made of") == 8


def test_files_are_the_same_for_the_same() -> None:
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    pytest.importorskip("matplotlib", reason="a page needs the extra 'report'")
    from pytest_greta.report.page import page

    def made(make: Callable[[Report], str]) -> set[str]:
        few = [samples.code("v3", "gfx942"), samples.run("v3", 4096, 60.0)]
        return {make(report_of(Sources([Summary(samples.session(), few)]))) for _ in range(2)}

    assert (len(made(page)), len(made(markdown))) == (1, 1)


def test_hostile_names_are_texts() -> None:
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    pytest.importorskip("matplotlib", reason="a page needs the extra 'report'")
    from pytest_greta.report.page import page

    found = Page(page(report_of(Sources([Summary(samples.session(), list(samples.hostile()))]))))
    assert not found.tags.keys() & {"script", "img", "iframe", "b"}
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    words = "".join(found.words)
    for name in samples.HOSTILE[:4]:
        assert name in words
    assert "{{ 7 * 7 }}" in words
    assert "\x1b" not in words
    assert "\u202e" not in words


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks_for(scheme: int) -> None:
    style = (Path(report_room.__file__).parent / "page.css").read_text()
    names = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style.split(":root {")[1 + scheme]))
    for ground in ("paper", "raised"):
        for name in names.keys() - {"paper", "raised", "faint"}:
            bright, dark = sorted((_luminance(names[name]), _luminance(names[ground])), reverse=True)
            is_text = name in ("ink", "soft", "link", "pass", "fail", "open")
            assert (bright + 0.05) / (dark + 0.05) >= (4.5 if is_text else 3.0), (name, ground)


def test_numbers_at_the_ends_of_what_a_file_may_hold_are_drawn_or_told() -> None:
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    pytest.importorskip("matplotlib", reason="a page needs the extra 'report'")
    from pytest_greta.report.page import page

    times = (1e300, 5e-324, 0.0, -1.0, math.inf, math.nan)
    runs = [
        dataclasses.replace(
            samples.run("v3", 1, 1.0),
            problem=RecordedProblem("x", context),
            quantities={"seconds": Quantity(one)},
        )
        for context, one in zip((10**40, 1, 4096, 8192, 0, -5), times, strict=True)
    ]
    made = page(report_of(Sources([Summary(samples.session(), runs)])))
    assert all(told in made for told in ("1e+300 s", "4.941e-324 s", "inf s", "nan s"))
    assert made.count(" is not drawn") == 4


# -- the command -----------------------------------------------------------------------------------------


def test_the_command_writes_both_files(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
    pytest.importorskip("matplotlib", reason="a page needs the extra 'report'")
    monkeypatch.chdir(tmp_path)
    few = Summary(samples.session(), [samples.run("v3", 4096, 60.0)])
    paths = samples.write(tmp_path, few, few)
    assert main(["report", *map(str, paths), "-o", "out"]) == 0
    assert capsys.readouterr().out.splitlines() == ["out/report.html", "out/summary.md"]
    assert Path("out/summary.md").read_text().startswith("# greta: 2 gates failed in 1 test\n")
    assert Path("out/report.html").read_text().startswith("<!DOCTYPE html>")
    assert not Path(".benchmarks").exists()


def test_mistakes_are_lines_all_at_once(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("{")
    Path("greta.lock").write_text("[]\n")
    assert main(["report", "bad.json", "none.json"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in said[:2]] == [
        ["error", "bad.json:1:2"],
        ["error", "none.json"],
    ]
    assert "greta.lock:1" in said[2]
    with pytest.raises(SystemExit, match="2"):
        main(["report", "bad.json", "--history", "nowhere"])
    assert "--history: there is no nowhere" in capsys.readouterr().err


def test_without_the_extra_the_tables_are_written_and_a_line_says_what_to_install(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (path,) = samples.write(tmp_path, Summary(samples.session()))
    assert main(["report", str(path)]) == 2
    said = f"report.html needs jinja2 and matplotlib: {extra_text('report')}"
    assert capsys.readouterr().err == f"error: {said}\n"
    assert Path("summary.md").exists()
    assert not Path("report.html").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: Output) -> None:
    (path,) = samples.write(tmp_path, Summary(samples.session()))
    assert main(["report", str(path), "-o", str(path / "out")]) == 2
    assert "cannot be written: Not a directory" in capsys.readouterr().err
    (tmp_path / "taken/summary.md").mkdir(parents=True)
    assert main(["report", str(path), "-o", str(tmp_path / "taken")]) == 2
    assert capsys.readouterr().err.endswith("; nor is report.html written\n")


def test_what_programs_printed_takes_tables_that_a_screen_holds() -> None:
    runs = [
        Recorded(
            "program",
            "engine",
            "v3",
            {"attn_impl": Quantity("v3_q_lds"), **{f"q{n}": Quantity(float(n * context)) for n in range(8)}},
            problem=RecordedProblem(str(context), context),
            device_kind="program",
            units={"q7": "s"},
        )
        for context in (8, 16)
    ]
    found = report_of(Sources([Summary(samples.session(), runs)]))
    assert not {"speedup", "roofline", "resources"} & {one.name for one in found.sections}
    time = section(found, "time")
    tables = [one for one in time.tables if "printed" in one.caption or "same" in one.caption]
    alike, first, second = tables
    assert alike.rows == [["attn_impl", "v3_q_lds"], ["q0", "0"]]
    assert [column.title for column in first.columns] == [
        "variant",
        "problem",
        *(f"q{n}" for n in range(1, 7)),
    ]
    assert second.rows == [["v3", "8", "56 s"], ["v3", "16", "112 s"]]
    assert first.caption.endswith("was measured of them: q1 to q6")
    assert second.caption.endswith("was measured of them: q7")
