"""The records of GRETA's prefill kernels (tests/records) replayed: what the gates of today say of them."""

from __future__ import annotations

import shutil

import pytest

from tests.plugin.conftest import DRAWING, REPOSITORY, Run

RECORDS = REPOSITORY / "tests" / "records"
CONFTEST = """\
import sys

sys.path.insert(0, {repository!r})


def pytest_greta_kernels():
    from kernels.prefill.prefill import Prefill

    return [Prefill()]
"""
FILES = ("2026-02-12.jsonl", "2026-02-14.csv", "resources.csv")
OPTIONS = ("--greta-columns=columns.yaml", "--greta-variant=baseline,v1,v2,v3,v4", "--greta-replay")


@pytest.fixture(autouse=True)
def campaign(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST.format(repository=str(REPOSITORY)))
    for path in RECORDS.iterdir():
        shutil.copy(path, project.path)


def test_each_incident_gets_the_verdict_that_it_should_have_had(greta: Run) -> None:
    result = greta("-v", *OPTIONS, *FILES)
    text = result.stdout.str()
    failed = {
        line.split("::")[1].split()[0] for line in text.splitlines() if "::" in line and " FAILED " in line
    }
    passed = {
        line.split("::")[1].split()[0] for line in text.splitlines() if "::" in line and " PASSED " in line
    }
    assert failed == {
        "test_run[v1-4096]",
        *("test_resources[v2-gfx942]", "test_run[v2-4096]"),
        *("test_run[v3-8192]", "test_run[v3-16384]", "test_run[v4-8192]", "test_run[v4-16384]"),
    }
    # One pair of 1.22x proves nothing, and is not called a pass: with --greta-require=hip this test fails too.
    assert passed == {
        *("test_run[baseline-4096]", "test_run[baseline-8192]", "test_run[baseline-16384]"),
        *("test_resources[v3-gfx942]", "test_run[v3-4096]"),
    }
    result.stdout.fnmatch_lines_random([
        "*v3 * speedup >= 1.20 * 1.22x (4096) * INCONCLUSIVE [[]*",
        "*v1 * speedup >= 1.00 * 0.11x (4096) * FAIL",
        "*v3 * speedup >= 1.20 * 0.11x (8192), 0.09x (16384)*FAIL",
        "*v4 * speedup >= 1.00 * 0.20x (8192), 0.16x (16384)*FAIL",
        "*v2 * scratch_bytes <= 0 * 128 B (gfx942) * FAIL",
        "*v2 * deadline_seconds <= 180 * 180.4 s (4096) * FAIL",
        "*v2 * no_fault is true * false (4096) * FAIL",
        # 5.0x and 20.6x the time at 4096
        "*baseline * scaling <= 2.40 * 2.33 (8192), 2.18 (16384) * PASS",
        "[[]*] 1 pair is too few",
        "note: prefill baseline @ 8192 took 114.265 s in 2026-02-12.jsonl and 403.26 s in *.csv, 3.53x apart: *",
        "note: 2026-02-12.jsonl does not say of which code it is",
        "[[]*] no record of the smallest context in the same session",
    ])  # fmt: skip


def test_one_measurement_promotes_nothing_where_something_is_required(greta: Run) -> None:
    result = greta(*OPTIONS, *FILES, "--greta-require=hip", "-k", "v3 and 4096")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["NOT MEASURED: prefill v3 @ 4096 in 2026-02-12.jsonl does not say of which code it is"]
    )


def test_zero_seconds_are_no_measurement(greta: Run) -> None:
    result = greta(*OPTIONS, "truncated.jsonl", "-k", "baseline and 16384")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["built-in*prefill_seconds > 0*measured 0 s*FAIL (a value of 0 or less is no measurement)"]
    )


def test_without_a_mapping_it_is_said_what_is_missing(greta: Run) -> None:
    result = greta("--greta-replay", "2026-02-14.csv")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([
        "ERROR: 2026-02-14.csv: neither a summary.json, *--greta-columns=FILE (form: rocprofv3 or llama-bench, *"
    ])  # fmt: skip


def test_the_closing_table_comes_out_of_the_report(project: pytest.Pytester, greta: Run) -> None:
    for name in DRAWING:
        pytest.importorskip(name, reason="a page needs the extra 'report'")
    greta(*OPTIONS, *FILES, "--greta-report=out")
    tables = (project.path / "out/summary.md").read_text()
    assert tables.startswith("# greta: 8 gates failed in 7 tests")
    for row in (
        "| context | baseline | v1 | v2 | v3 |",
        "| 4096 | 22.77 s | 206.70 s (0.11x) FAIL | not measured FAIL | 18.70 s (1.22x) |",
        "| context | baseline | v3 | v4 |",
        "| 8192 | 403.26 s | 3540.68 s (0.11x) FAIL | 2026.69 s (0.20x) FAIL |",
        "| 16384 | 1181.64 s | 13366.90 s (0.09x) FAIL | 7508.25 s (0.16x) FAIL |",
        "| v3 | 4096 | 1.22x | speedup >= 1.20 | INCONCLUSIVE | 1 pair is too few |",
    ):
        assert row in tables
