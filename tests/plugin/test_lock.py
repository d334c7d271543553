"""greta.lock, as a user sees it: recorded, held, updated, and never silently in vain."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugin.conftest import REPOSITORY, Run, write_gates

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")

GATES = """\
version: 1
targets: [gfx942]
kernels: {faulty: {baseline: good, contexts: {cpu: [256], hip: [4096]}}}
artifacts: {lib: build/*.so}
"""
TESTS = """\
def test_resources(greta_code):
    greta_code.check()


def test_artifacts(greta_artifact):
    greta_artifact.check()
"""
CONFTEST = """\
import sys

sys.path.insert(0, {repository!r})

def pytest_greta_kernels():
    from tests.faulty.faulty import Faulty

    Faulty.variants = [variant for variant in Faulty.variants if variant.name in ("good", "spills")]
    return [Faulty()]
"""


@pytest.fixture
def locked(project: pytest.Pytester, greta: Run, library: bytes) -> pytest.Pytester:
    """A project with two variants and a library, and its lock file."""
    project.makeconftest(CONFTEST.format(repository=str(REPOSITORY)))
    project.makepyfile(test_gates=TESTS)
    (project.path / "build").mkdir()
    (project.path / "build" / "libk.so").write_bytes(library)
    write_gates(project, GATES)
    result = greta("--greta-lock")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["greta.lock: recorded 8 kernels (8 new)"])
    return project


def entries(project: pytest.Pytester) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (project.path / "greta.lock").read_text().splitlines()[1:]]


def change(project: pytest.Pytester, symbol: str, **values: Any) -> None:
    """Another accepted past, for a kernel on every target."""
    lines = (project.path / "greta.lock").read_text().splitlines()
    changed = [json.loads(line) for line in lines]
    for entry in changed:
        if entry.get("kernel") == symbol:
            entry.update(values)
    (project.path / "greta.lock").write_text("".join(json.dumps(entry) + "\n" for entry in changed))


def test_what_is_recorded_holds_and_is_the_same_each_time(locked: pytest.Pytester, greta: Run) -> None:
    recorded = (locked.path / "greta.lock").read_text()
    assert [(one["of"], one["in"], one["target"]) for one in entries(locked)] == [
        *[("faulty", name, "gfx942") for name in ("good", "spills")],
        *[("lib", "build/libk.so", target) for target in ("gfx1100", "gfx942") for _ in range(3)],
    ]
    assert recorded.splitlines()[0] == '{"greta_lock": 1}'
    result = greta()
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["greta.lock *lib 3 kernels *1 check *held (gfx942, gfx1100) *PASS"])
    assert "note: greta.lock" not in result.stdout.str()
    result = greta("--greta-lock")
    result.stdout.fnmatch_lines(["greta.lock: recorded 8 kernels (nothing changed)"])
    assert (locked.path / "greta.lock").read_text() == recorded


def test_what_got_worse_fails_and_what_got_better_is_told(locked: pytest.Pytester, greta: Run) -> None:
    change(locked, "copies", vgprs=1)
    change(locked, "spills", scratch_bytes=100_000)
    change(locked, "good", occupancy=9, compiler="clang version 1.0")
    result = greta()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["greta.lock:?  lib copies @ gfx942  vgprs <= 1   measured * FAIL"])
    result.stdout.fnmatch_lines(["greta.lock:?  lib copies @ gfx1100  vgprs <= 1   measured * FAIL"])
    result.stdout.fnmatch_lines(
        ["note: greta.lock: lib build/libk.so: 2 kernels worse; pytest --greta-lock accepts it"]
    )
    better = "note: greta.lock: faulty spills: 1 kernel better: spills @ gfx942 (scratch_bytes 100000 -> *"
    result.stdout.fnmatch_lines([better])
    result.stdout.fnmatch_lines(
        [
            "greta.lock *faulty 1 kernel *locked is true *NOT MEASURED [[]?]",
            "[[]?] recorded of clang version 1.0, and this is of clang version *: pytest --greta-lock records it",
        ]
    )
    assert greta("--greta-require=cpu", "-k", "good").ret == pytest.ExitCode.TESTS_FAILED
    result = greta("--greta-lock")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["greta.lock: recorded 8 kernels (1 better, 3 worse, 1 by another compiler)"])
    assert greta().ret == 0


def test_entries_for_nothing_fail_a_whole_session(locked: pytest.Pytester, greta: Run) -> None:
    change(locked, "copies", kernel="copied")
    result = greta()
    result.assert_outcomes(passed=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    drop = "for gfx1100; pytest --greta-lock drops it"
    result.stdout.fnmatch_lines([f"greta.lock:?: no kernel copied of lib build/libk.so {drop}"])
    new = "note: greta.lock: lib build/libk.so: 2 kernels not recorded yet: copies @ gfx942, copies @ gfx1100; *"
    result.stdout.fnmatch_lines([new])
    assert greta("-k", "artifacts").ret == 0
    (locked.path / "build" / "libk.so").rename(locked.path / "build" / "other.so")
    result = greta("--greta-lock", "-k", "artifacts")
    kept = "8 of them as they were: not all tests ran"
    result.stdout.fnmatch_lines([f"greta.lock: recorded 14 kernels (6 new), {kept}"])
    assert greta().ret == pytest.ExitCode.TESTS_FAILED
    greta("--greta-lock").stdout.fnmatch_lines(["greta.lock: recorded 8 kernels (6 gone)"])
    assert greta().ret == 0


def test_damage_is_a_line_each_and_exit_code_4(locked: pytest.Pytester, greta: Run) -> None:
    path = locked.path / "greta.lock"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], "<<<<<<< HEAD", lines[2], lines[2], "text"]))
    result = greta()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: greta.lock:3: a merge conflict: keep one line for each kernel, then run pytest --greta-lock",
            "ERROR: greta.lock:5: the same kernel stands in line 4; mend the line, or delete the file and *",
            "ERROR: greta.lock:6: no JSON: 'text'; mend the line, or delete the file and run pytest --greta-lock",
        ]
    )


MEANWHILE = """
import json
from pathlib import Path

def record_elsewhere(**values):
    lines = [json.loads(line) for line in Path("greta.lock").read_text().splitlines()]
    (first,) = [line for line in lines if (line.get("of"), line.get("in")) == ("faulty", "good")]
    lines = [line for line in lines if "of" in values or line != first] + [{**first, **values}]
    Path("greta.lock").write_text("".join(json.dumps(line) + chr(10) for line in lines))

"""


def test_two_recordings_at_once_lose_nothing_and_what_is_unlike_is_told(
    locked: pytest.Pytester, greta: Run
) -> None:
    """As of another session, which records before this one does."""
    project, tests = locked, MEANWHILE + TESTS
    project.makepyfile(test_gates=tests + 'def test_meanwhile():\n    record_elsewhere(of="another")\n')
    result = greta("--greta-lock")
    result.stdout.fnmatch_lines(
        [
            "greta.lock: recorded 9 kernels (nothing changed), 1 of them by another session since this one began"
        ]
    )
    assert [one["of"] for one in entries(project)].count("another") == 1
    project.makepyfile(test_gates=tests + "def test_meanwhile():\n    record_elsewhere(vgprs=9)\n")
    before = [one for one in entries(project) if one["of"] != "faulty"]
    result = greta("--greta-lock")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "greta.lock: another session recorded good of faulty good for gfx942 otherwise since this one began: *"
        ]
    )
    assert [one for one in entries(project) if one["of"] != "faulty"] == before
    assert 9 in [one["vgprs"] for one in entries(project) if one["of"] == "faulty"]


def test_under_xdist_it_is_the_same(locked: pytest.Pytester, greta_alone: Run) -> None:
    recorded = (locked.path / "greta.lock").read_text()
    change(locked, "copies", kernel="copied")
    result = greta_alone("-n", "1", "--greta-lock")
    result.stdout.fnmatch_lines(["greta.lock: recorded 8 kernels (2 new, 2 gone)"])
    assert (locked.path / "greta.lock").read_text() == recorded
