"""What to do next: something for every verdict, and every page and option that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_greta.binaries.lock import NAME
from pytest_greta.binaries.locked import RECORD
from pytest_greta.gates import advice as data
from pytest_greta.gates.advice import FAILED, Advice, advice
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import CPU_TIMES, EMULATED_TIMES
from pytest_greta.gates.model import Status
from pytest_greta.history.commits import SHALLOW
from pytest_greta.history.records import NO_HISTORY
from pytest_greta.options import FLAGS, OPTIONS
from pytest_greta.programs.campaign import SERIALISED, SIDE_BY_SIDE
from pytest_greta.records.replay import NOT_HELD
from pytest_greta.table import Row, explained

REPOSITORY = Path(__file__).resolve().parents[2]
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def every() -> list[Advice]:
    by_reason = [one for some in data._BY_REASON.values() for _, one in some]
    return [*FAILED.values(), data._OF_PROGRAM, *by_reason, *data._STATUS.values()]


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_gate_of_the_catalogue_has_its_own() -> None:
    assert set(FAILED) == set(CATALOGUE)


@pytest.mark.parametrize("page", sorted({one.page for one in every()}))
def test_every_page_is_there_with_its_heading(page: str) -> None:
    file, _, anchor = page.partition("#")
    headings = [slug(heading) for heading in HEADING.findall((REPOSITORY / file).read_text())]
    assert not anchor or anchor in headings


def test_every_option_is_there() -> None:
    known = {option.flag for option in (*OPTIONS.values(), *FLAGS.values())}
    named = {flag for one in every() for flag in re.findall(r"--greta-[a-z-]+", one.text)}
    assert named <= known
    assert "--greta-budget" in named


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (CPU_TIMES, "AMD GPU"),
        (EMULATED_TIMES, "on a GPU"),
        ("pytest-xdist runs tests side by side, which disturbs their times", "-n"),
        (SERIALISED, "--greta-serialize"),
        ("a single shot has no baseline beside it", "--greta-single-shot"),
        (f"{NO_HISTORY}: ...; runs are kept with --benchmark-autosave", "--benchmark-autosave"),
        ("scaling takes a second, longer context in the same run", "--greta-ctx"),
        (SHALLOW, "fetch-depth"),
        (f"not in greta.lock: {RECORD} records it", "--greta-lock"),
        (NOT_HELD, "--greta-summary"),
        ("the moon is full", "the reason says"),
    ],
)
def test_what_was_not_measured_is_told_by_its_reason(reason: str, says: str) -> None:
    assert says in advice("speedup", Status.NOT_MEASURED, reason).text


def test_every_status_but_a_pass_has_some() -> None:
    for status in set(Status) - {Status.PASS, Status.EXPECTED_FAILURE}:
        assert advice("", status, "").text
    assert "--greta-budget" in advice("speedup", Status.INCONCLUSIVE, "the budget of 60 s is used up").text
    assert "accepted runs" in advice("regression", Status.INCONCLUSIVE, "with this history 1.02x fails").text
    assert "`expect`" in advice("vgprs", Status.FAIL, "it holds: delete its `expect`").text
    assert "--greta-resume" in advice("", Status.BLOCKED, "n1 cannot be reached").text
    assert "program" in advice("tokens_at_all", Status.FAIL, "").page


def test_a_failure_leads_where_it_can_be_mended() -> None:
    """Not to options and pages that are about something else."""
    told = "k.hip does not compile for {}: k.hip:8:5: error: {}"
    own = advice("compiles", Status.FAIL, told.format("gfx942", "expected ';' after expression"))
    assert (own.page, "--greta-target" in own.text) == ("docs/writing-kernels.md", True)
    on_cpu = advice("compiles", Status.FAIL, told.format("spirv64", "use of undeclared identifier 'total'"))
    assert (on_cpu.page, "--greta-target" in on_cpu.text) == ("docs/writing-kernels.md", False)
    for name in ("'hip/hip_bf16.h' file not found", "use of undeclared identifier '__hfma9'"):
        assert "hip-header" in advice("compiles", Status.FAIL, told.format("gfx942", name)).page
    died = "the worker process died of SIGSEGV during 'launch'"
    assert "--greta-serialize" not in advice("no_fault", Status.FAIL, died).text
    assert "--greta-serialize" in advice("no_fault", Status.FAIL, "hipErrorIllegalAddress").text
    assert "--greta-lock" in advice("vgprs", Status.FAIL, "", f"sub/{NAME}:12").text
    assert "--greta-lock" not in advice("vgprs", Status.FAIL, "", "gates.yaml:12").text
    assert "doctor" in advice("", Status.NOT_MEASURED, "libamdhip64.so is not found").text
    assert "devices.md" in advice("seconds", Status.NOT_MEASURED, SIDE_BY_SIDE).page


def test_what_is_alike_shares_a_line_and_fits() -> None:
    rows = [
        Row("k", variant, "", "", name, "", status, "", check=False, noted=False, name=name)
        for variant, name, status in (
            *(("v1", "vgprs", "FAIL"), ("v2", "vgprs", "FAIL"), ("v2", "speedup", "INCONCLUSIVE")),
            *(("v1", "lds_bytes", "PASS"), ("v1", "mfma", "EXPECTED FAILURE")),
        )
    ]
    lines = explained(rows, 60)
    assert [line for line in lines if not line.startswith(" ")] == [
        "FAIL  v1: vgprs; v2: vgprs",
        "INCONCLUSIVE  v2: speedup",
    ]
    assert max(map(len, lines)) <= 60
