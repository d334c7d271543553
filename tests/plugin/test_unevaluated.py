"""What a whole session leaves out is listed, and fails where something is required."""

from __future__ import annotations

import json

import pytest

from pytest_greta.__main__ import main
from pytest_greta.binaries.changes import HELD
from pytest_greta.records.merge import with_parts_told
from pytest_greta.records.model import load
from tests.plugin.conftest import GATES, TESTS, Run, write_gates

GONE = "no test read any kernel of old, for which k of old.co for gfx942 is recorded; pytest --greta-lock drops it"
ONE_VARIANT = "\n\nfrom tests.faulty.faulty import Faulty\n\nFaulty.variants = Faulty.variants[:1]\n"


def test_entries_that_no_test_evaluated_are_listed_and_fail_where_something_is_required(
    project: pytest.Pytester, greta: Run
) -> None:
    project.makepyfile(test_gates="def test_resources(greta_code):\n    greta_code.check()\n")
    conftest = (project.path / "conftest.py").read_text()
    (project.path / "conftest.py").write_text(conftest + ONE_VARIANT)
    left = "max_error <= 1.00e-04 (gates.yaml:13), deadline_seconds <= 60 (gates.yaml:14)"
    told = f"not evaluated: no test evaluated these gates of 'faulty': {left}"
    result = greta()
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    never_run = "not evaluated: no test with greta_run runs kernel 'faulty': what it computes is not checked"
    result.stdout.fnmatch_lines([never_run, told])
    assert greta("--greta-require=cpu").ret == pytest.ExitCode.TESTS_FAILED
    for narrowed in (["-k", "resources"], ["--greta-variant=good"], ["test_gates.py"]):
        assert "not evaluated" not in greta(*narrowed, "--greta-require=cpu").stdout.str()
    assert greta("--greta-require=cpu", "--greta-shard=1/1").ret == pytest.ExitCode.TESTS_FAILED
    project.makepyfile(test_gates=TESTS)
    result = greta("--greta-require=cpu", "--greta-rounds=3")
    assert "not evaluated" not in result.stdout.str()
    assert result.ret == 0


def test_what_no_part_of_a_session_evaluated_is_told_where_they_are_merged(
    project: pytest.Pytester, greta: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    project.makepyfile(test_gates="def test_resources(greta_code):\n    greta_code.check()\n")
    conftest = (project.path / "conftest.py").read_text()
    (project.path / "conftest.py").write_text(conftest + ONE_VARIANT)
    key = {"of": "old", "in": "old.co", "target": "gfx942", "kernel": "k"}
    entry = json.dumps({**key, **dict.fromkeys(HELD, 0), "compiler": ""})
    greta("--greta-lock")
    held = (project.path / "greta.lock").read_text()
    (project.path / "greta.lock").write_text(f"{held}{entry}\n")
    for part, code in ((1, 0), (2, pytest.ExitCode.NO_TESTS_COLLECTED)):
        shard = f"--greta-shard={part}/2"
        result = greta(shard, "--greta-require=cpu", f"--greta-summary={part}.json")
        assert result.ret == code
        assert "not evaluated" not in result.stdout.str()
    greta(shard, "--greta-require=cpu").stdout.fnmatch_lines(["note: a gate that no part evaluates*merge*"])
    capsys.readouterr()
    left = "max_error <= 1.00e-04 (gates.yaml:13), deadline_seconds <= 60 (gates.yaml:14)"
    told = [
        "error: not evaluated: no test with greta_run runs kernel 'faulty': what it computes is not checked",
        f"error: not evaluated: no test evaluated these gates of 'faulty': {left}",
        f"error: greta.lock:3: {GONE}",
    ]
    for names in (["2.json", "1.json"], ["all.json", "1.json"]):
        assert main(["merge", *names, "-o", "all.json"]) == 1
        assert capsys.readouterr().err.splitlines() == told
    found = load(project.path / "all.json")
    assert [f"error: not evaluated: {line}" for line in reversed(found.unevaluated)] == told[:2]
    assert found.session.exit_code == 1  # and not 5, as of a part that has no test
    assert found.lock == [f"greta.lock:3: {GONE}"]
    parts = [load(project.path / f"{part}.json") for part in (1, 2)]
    assert with_parts_told(parts)[0].unevaluated == found.unevaluated  # as a report of them has it
    assert with_parts_told(parts[:1])[0].unevaluated[0].startswith("of the 2 parts cut as ")


def test_a_kernel_that_no_test_runs_is_told_without_a_gate_in_the_file(
    project: pytest.Pytester, greta: Run
) -> None:
    project.makepyfile(test_gates="def test_resources(greta_code):\n    greta_code.check()\n")
    write_gates(project, GATES.partition("        scratch_bytes")[0].replace('    gates:\n      "*":\n', ""))
    conftest = (project.path / "conftest.py").read_text()
    (project.path / "conftest.py").write_text(conftest + ONE_VARIANT)
    told = "not evaluated: no test with greta_run runs kernel 'faulty': what it computes is not checked"
    result = greta()
    assert result.ret == 0
    result.stdout.fnmatch_lines([told])
    result = greta("--greta-require=cpu")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_an_artifact_without_gates_that_no_test_reads_is_told(project: pytest.Pytester, greta: Run) -> None:
    (project.path / "conftest.py").unlink()
    project.makepyfile(test_gates="def test_plain(): pass")
    write_gates(project, "version: 1\nartifacts: {lib: x.co}\n")
    told = "not evaluated: no test reads artifact 'lib'"
    result = greta("--greta-require=cpu")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([told])
    result = greta("--greta-lock")
    result.stdout.fnmatch_lines([told, "greta.lock: nothing to record: no test read any kernel"])
    entry = {
        "of": "old",
        "in": "old.co",
        "target": "gfx942",
        "kernel": "k",
        **dict.fromkeys(HELD, 0),
        "compiler": "",
    }
    (project.path / "greta.lock").write_text(f'{{"greta_lock": 1}}\n{json.dumps(entry)}\n')
    gone = "greta.lock:2: no test read any kernel of old, for which k of old.co for gfx942 is recorded; *"
    greta("--greta-require=cpu").stdout.fnmatch_lines([told, gone])
    project.makepyfile(test_gates="def test_built(greta_artifact): greta_artifact.check()")
    assert "not evaluated" not in greta("--greta-require=cpu").stdout.str()


@pytest.mark.parametrize(
    "test",
    ["def test_plain(): pass", "import pytest\n\n@pytest.mark.skip\ndef test_run(greta_run):\n    pass"],
)
def test_a_session_that_gates_nothing_fails_where_something_is_required(
    project: pytest.Pytester, greta: Run, test: str
) -> None:
    project.makepyfile(test_gates=test)
    told = "not evaluated: no test evaluated these gates of 'faulty': *scratch_bytes <= 0 (gates.yaml:*"
    assert greta().ret == 0
    for options in ([], ["-n1"]):
        result = greta("--greta-require=cpu", *options)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines([told])
    assert greta("--greta-require=cpu", "test_gates.py").ret == 0
    (project.path / "gates.yaml").unlink()
    if "plain" in test:
        assert greta().ret == 0
    result = greta("--greta-require=cpu")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: gates.yaml: there is no such file *"])
