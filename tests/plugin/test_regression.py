"""The gate `regression`: held against accepted runs, whatever the test is called."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import CONFTEST, GATES, REPOSITORY, Run, write_gates

# `slow` does 16 times the work of `good`: the limit has room on both sides. Times are compared relative to the
# baseline, which a busy machine slows down as well. A launch of `slow` lasts milliseconds, of `good` a third of one.
LIMITS = GATES + "        regression: {max: 4, devices: cpu}\n"

KERNEL = """
from pathlib import Path

from pytest_greta import Variant
from tests.faulty import faulty


class Faulty(faulty.Faulty):
    variants = (Variant("base", "good.hip", "good"), Variant("v", "{source}.hip", "{source}"))
    folder = Path(faulty.__file__).parent
"""

OPTIONS = (
    "--greta-ctx=2048",
    "--greta-variant=v",
    "--benchmark-autosave",
    "-Wdefault",
)


@pytest.fixture
def measured(project: pytest.Pytester) -> pytest.Pytester:
    """A project with one variant `v`, and only tests that run it."""
    conftest = CONFTEST.format(repository=str(REPOSITORY))
    project.makeconftest(conftest.replace("from tests.faulty.faulty import", "from kernel import"))
    project.makepyfile(test_gates="def test_run(greta_run):\n    greta_run.check()\n")
    write_gates(project, LIMITS.replace("baseline: good", "baseline: base"))
    use(project, "good")
    return project


def use(project: pytest.Pytester, source: str) -> None:
    """Let the variant `v` run this source."""
    (project.path / "kernel.py").write_text(KERNEL.format(source=source))


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history of `begun`, once it has been made."""
    return tmp_path_factory.mktemp("history") / "kept"


@pytest.fixture
def begun(measured: pytest.Pytester, greta: Run, kept: Path) -> pytest.Pytester:
    """`measured` with one run that passed and is stored: the first test that begins with it makes it for all."""
    history = measured.path / ".benchmarks"
    if not kept.exists():
        greta(*OPTIONS).assert_outcomes(passed=1)
        shutil.copytree(history, kept)
    shutil.copytree(kept, history, dirs_exist_ok=True)
    return measured


@pytest.fixture
def old(begun: pytest.Pytester) -> pytest.Pytester:
    """`begun`, ten days ago."""
    ten_days_pass(begun)
    return begun


def ten_days_pass(project: pytest.Pytester) -> None:
    """The one entry ten times, as if it had been made on ten days: by then the spread of runs is known."""
    (path,) = project.path.glob(".benchmarks/*/*.json")
    data = json.loads(path.read_text())
    for day in range(2, 11):
        data["datetime"] = f"2026-01-{day:02}T00:00:00+00:00"
        path.with_name(f"{day:04}_copy.json").write_text(json.dumps(data))


def infos(project: pytest.Pytester) -> list[dict[str, Any]]:
    """`extra_info` of the one entry of every stored run, oldest first."""
    files = sorted(project.path.glob(".benchmarks/*/*.json"), key=lambda path: path.name)
    return [json.loads(path.read_text())["benchmarks"][0]["extra_info"] for path in files]


def verdict(project: pytest.Pytester) -> str:
    """What the last stored run says of the gate."""
    (line,) = [line for line in infos(project)[-1]["verdicts"] if "regression" in line]
    return str(line)


def test_a_run_is_held_against_accepted_runs_only(measured: pytest.Pytester, greta: Run) -> None:
    result = greta(*OPTIONS, "--greta-require-regression")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    nothing = "no accepted run of this kernel, variant, context and device yet: there is no earlier run"
    result.stdout.fnmatch_lines(
        [
            "*regression <= 4.000*NOT MEASURED*",
            f"*{nothing}",
            f"not compared: *: {nothing}; a first run, before any was accepted, goes without --greta-*",
        ]
    )
    for path in measured.path.glob(".benchmarks/*/*.json"):
        path.unlink()
    greta(*OPTIONS).assert_outcomes(passed=1)
    ten_days_pass(measured)
    result = greta(*OPTIONS, "-v", "--greta-require-regression")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "*regression <= 4.000*1.000x [[]1.000, 1.000[]] (2048)*PASS*",
            "[[]1[]] the code is that of commit *, byte for byte",
        ]
    )
    use(measured, "slow")
    for _ in range(2):  # the first slow run does not become the reference of the second
        result = greta(*OPTIONS)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ["*regression <= 4.000*FAIL (beside the accepted v of commit unversioned, * pairs)"]
        )
    found = infos(measured)
    assert [info["accepted"] for info in found[9:]] == [True, True, False, False]
    assert [info["why_not"] for info in found[9:]] == ["", "", "regressed", "regressed"]
    rounds = [len(info["seconds"]) for info in found[9:]]
    assert rounds[:2] == [50, 50]  # for what later runs need to know of this one
    assert max(rounds[2:]) < 50  # it has failed: no more rounds than that took
    use(measured, "good")
    greta(*OPTIONS).assert_outcomes(passed=1)


def test_times_of_unchanged_code_fail_no_kernel_and_are_one_note_on_the_machine(
    begun: pytest.Pytester, greta: Run
) -> None:
    ten_days_pass(begun)
    for path in begun.path.glob(".benchmarks/*/*.json"):
        data = json.loads(path.read_text())
        info = data["benchmarks"][0]["extra_info"]
        # No baseline, whose times would show that the machine was as slow for it.
        info.update(seconds=[s / 20 for s in info["seconds"]], baseline_seconds=[])
        path.write_text(json.dumps(data))
    result = greta(*OPTIONS)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*the code is that of commit *, byte for byte; against * accepted *: not the code, but what it runs on",
            "note: the machine: 1 of 1 runs is slower than its history by *%, and its code is the same *",
        ]
    )


def test_changed_code_is_timed_beside_the_accepted_code(begun: pytest.Pytester, greta: Run) -> None:
    # One run is no history of times, but later code is timed against its code.
    use(begun, "slow")
    result = greta(*OPTIONS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*regression <= 4.000*FAIL (beside the accepted v of commit unversioned, * pairs)"]
    )
    rounds = [len(infos(begun)[1][of]) for of in ("seconds", "baseline_seconds", "accepted_seconds")]
    assert 6 <= rounds[2] <= rounds[0]
    use(begun, "many_vgprs")  # other code that is hardly slower
    greta(*OPTIONS).assert_outcomes(passed=1)
    assert "(beside the accepted v of commit unversioned, " in verdict(begun)


def test_without_the_accepted_code_times_decide_and_say_so(begun: pytest.Pytester, greta: Run) -> None:
    (kept,) = begun.path.glob(".benchmarks/greta-accepted/*.code")
    use(begun, "many_vgprs")
    code = kept.read_bytes()
    kept.write_bytes(b"damaged")
    greta(*OPTIONS)
    assert "the code of the accepted v of commit unversioned is not kept beside the history" in verdict(begun)
    # On a busy machine the second run may be undecided, and the first is still the accepted one.
    kept.write_bytes(code)
    for file in begun.path.glob(".benchmarks/*/*.json"):
        data = json.loads(file.read_text())
        data["benchmarks"][0]["extra_info"]["code"]["launches"] = [{}]
        file.write_text(json.dumps(data))
    greta(*OPTIONS)
    assert "is described in a way that cannot be read" in verdict(begun)


def test_an_undecided_slowdown_is_not_timed_against(measured: pytest.Pytester, greta: Run) -> None:
    write_gates(measured, GATES.replace("good", "base") + "        regression: {max: 1, devices: cpu}\n")
    greta(*OPTIONS).assert_outcomes(passed=1)
    # The same kernel by another name: other code, as fast as the accepted one.
    text = (REPOSITORY / "tests/faulty/good.hip").read_text()
    (measured.path / "equal.hip").write_text(text.replace("void good(", "void equal("))
    kernel = (measured.path / "kernel.py").read_text()
    own = f'Variant("v", {str(measured.path / "equal.hip")!r}, "equal")'
    (measured.path / "kernel.py").write_text(kernel.replace('Variant("v", "good.hip", "good")', own))
    greta(*OPTIONS, "--greta-rounds=3")
    assert "INCONCLUSIVE" in verdict(measured)
    greta(*OPTIONS, "--greta-budget=0.1")  # the same code again is not held against itself
    assert "(beside the accepted v of commit unversioned, " in verdict(measured)


def test_accepted_code_that_fails_today_fails_no_test(begun: pytest.Pytester, greta: Run) -> None:
    use(begun, "many_vgprs")
    (file,) = begun.path.glob(".benchmarks/*/*.json")
    stored = file.read_text()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"workspaces": {"hoard": ["uint8", [1 << 50]]}}, "does not fit beside: "),
        ({"entry": "nowhere"}, "cannot be loaded any more: "),
        ({"buffers": {"x": ["float32", [8]]}}, "was made for other buffers: 'out' was not there"),
    ]
    for change, message in changes:
        data = json.loads(stored)
        data["benchmarks"][0]["extra_info"]["code"].update(change)
        if "buffers" in change:
            data["benchmarks"][0]["extra_info"]["code"]["launches"][0]["args"] = ["x"]
        file.write_text(json.dumps(data))
        greta(*OPTIONS, "--greta-rounds=3").assert_outcomes(passed=1)
        assert message in verdict(begun)
        for later in sorted(begun.path.glob(".benchmarks/*/*.json"))[1:]:
            later.unlink()
    data = json.loads(stored)
    (launch,) = data["benchmarks"][0]["extra_info"]["code"]["launches"]
    launch["grid"] = [1 << 24, 1, 1]  # far beyond its buffers, most of it at once
    launch["args"][2] = ["int32", "ffffff7f"]
    file.write_text(json.dumps(data))
    greta(*OPTIONS, "--greta-rounds=3").assert_outcomes(passed=1)
    assert "the accepted v of commit unversioned fails today: " in verdict(begun)


def test_history_does_not_depend_on_the_name_of_the_test(old: pytest.Pytester, greta: Run) -> None:
    (old.path / "test_gates.py").rename(old.path / "test_other.py")
    (old.path / "test_other.py").write_text("def test_renamed(greta_run):\n    greta_run.check()\n")
    use(old, "slow")
    greta(*OPTIONS).assert_outcomes(failed=1)


def test_a_deliberate_slowdown_is_accepted_with_its_reason(old: pytest.Pytester, greta: Run) -> None:
    use(old, "slow")
    result = greta(*OPTIONS, "--greta-accept=exact sums", "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*regression <= 4.000*PASS [[]1[]]",
            "[[]1[]] accepted: exact sums; beside the accepted v of commit unversioned, * pairs",
        ]
    )
    assert infos(old)[-1]["accepted"] is True
    assert infos(old)[-1]["new_level"] == "exact sums"
    assert any(
        "PASS (accepted: exact sums; beside the accepted " in line for line in infos(old)[-1]["verdicts"]
    )
    greta(*OPTIONS).assert_outcomes(passed=1)
    assert infos(old)[-1]["new_level"] == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--greta-accept=", "--benchmark-autosave"], "--greta-accept: the reason is empty"),
        (["--greta-accept=why"], "--greta-accept records a run: add --benchmark-autosave"),
    ],
)
def test_accepting_takes_a_reason_and_a_place(greta: Run, options: list[str], message: str) -> None:
    result = greta(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}*"])


def git(project: pytest.Pytester, *arguments: str) -> None:
    """Run git in the project."""
    name = ["-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run(["git", *name, *arguments], cwd=project.path, check=True, capture_output=True)


def test_a_run_of_uncommitted_changes_is_no_reference(measured: pytest.Pytester, greta: Run) -> None:
    git(measured, "init")
    git(measured, "add", "kernel.py", "conftest.py", "gates.yaml", "test_gates.py")
    git(measured, "commit", "-m", "first")
    greta(*OPTIONS).assert_outcomes(passed=1)
    use(measured, "slow")
    result = greta(*OPTIONS, "--greta-accept=meant")
    result.stdout.fnmatch_lines(["*not accepted: the working tree has uncommitted changes*"])
    use(measured, "many_vgprs")
    greta(*OPTIONS)
    assert [info["accepted"] for info in infos(measured)] == [True, False, False]
    assert infos(measured)[2]["why_not"] == "the working tree has uncommitted changes"
    git(measured, "commit", "-am", "second")
    greta(*OPTIONS)
    assert infos(measured)[3]["accepted"] is True


def test_where_something_is_required_a_past_must_be_told_and_a_new_benchmark_can_start(
    measured: pytest.Pytester, greta: Run
) -> None:
    result = greta(*OPTIONS, "--greta-require=cpu")
    result.assert_outcomes(failed=1)
    unknown = "this is no checkout of git, so nobody can tell which runs came before"
    result.stdout.fnmatch_lines([f"*regression <= 4.000 * NOT MEASURED ({unknown})"])
    git(measured, "init")
    git(measured, "add", "kernel.py", "conftest.py", "gates.yaml", "test_gates.py")
    git(measured, "commit", "-m", "first")
    greta(*OPTIONS, "--greta-require=cpu").assert_outcomes(passed=1)


def test_a_folder_that_git_refuses_is_told(measured: pytest.Pytester, greta: Run) -> None:
    git(measured, "init")
    (measured.path / ".git" / "HEAD").write_text("damaged")
    result = greta(*OPTIONS)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["[[]*[]] git does not tell which commit this is: *not a git repository*"])
    greta(*OPTIONS, "--greta-require=cpu").assert_outcomes(failed=1)
    assert {info["why_not"].partition(":")[0] for info in infos(measured)} == {"its commit is not known"}


def test_a_branch_from_before_is_not_judged_by_what_was_accepted_since(
    measured: pytest.Pytester, greta: Run
) -> None:
    use(measured, "slow")
    git(measured, "init", "-b", "main")
    git(measured, "add", "kernel.py", "conftest.py", "gates.yaml", "test_gates.py")
    git(measured, "commit", "-m", "slow")
    git(measured, "branch", "docs")
    greta(*OPTIONS).assert_outcomes(passed=1)
    use(measured, "good")
    git(measured, "commit", "-am", "fast")
    greta(*OPTIONS).assert_outcomes(passed=1)
    git(measured, "checkout", "docs")
    git(measured, "commit", "--allow-empty", "-m", "words")
    greta(*OPTIONS).assert_outcomes(passed=1)  # as slow as its own past
    assert "1.000x" in verdict(measured)
    git(measured, "checkout", "main")
    use(measured, "slow")
    git(measured, "commit", "-am", "slow again")
    greta(*OPTIONS).assert_outcomes(failed=1)


def test_other_data_is_another_benchmark_and_is_named(begun: pytest.Pytester, greta: Run) -> None:
    path = begun.path / "kernel.py"
    drawn = (
        "    def inputs(self, problem, rng):\n        return {'x': rng.random(problem.context, 'float32')}\n"
    )
    path.write_text(path.read_text() + "\n" + drawn)
    result = greta(*OPTIONS)
    result.assert_outcomes(passed=1)
    changed = "since the accepted run of commit unversioned the family's data changed: inputs()"
    result.stdout.fnmatch_lines([f"[[]*[]] no accepted run of this kernel, *: {changed}"])


def test_a_damaged_entry_is_one_note_and_the_others_count(old: pytest.Pytester, greta: Run) -> None:
    files = sorted(old.path.glob(".benchmarks/*/*.json"))
    damages: list[Callable[[Any], object]] = [
        lambda data: data.update(commit_info="main"),
        lambda data: data["benchmarks"][0]["extra_info"].update(context=float("inf")),
        lambda data: data["benchmarks"][0]["extra_info"].update(seconds=[float("nan")] * 3),
        lambda data: data["benchmarks"][0]["extra_info"]["code"]["buffers"].update(x=["float32", [-4]]),
    ]
    for number, damage in enumerate(damages):
        data = json.loads(files[number].read_text())
        damage(data)
        files[number].write_text(json.dumps(data))
    result = greta(*OPTIONS)
    result.assert_outcomes(passed=1)
    notes = [line for line in result.stdout.lines if line.startswith("note: ") and "one core" not in line]
    assert [note.partition(": entry 1 is damaged")[1] for note in notes] == [": entry 1 is damaged"] * 2
    assert "Traceback" not in result.stdout.str()


def test_a_failed_run_is_no_reference(measured: pytest.Pytester, greta: Run) -> None:
    use(measured, "inaccurate")
    greta(*OPTIONS).assert_outcomes(failed=1)
    measured.makepyfile(test_gates="def test_run(greta_run):\n    greta_run.check()\n    assert False\n")
    use(measured, "good")
    greta(*OPTIONS).assert_outcomes(failed=1)
    measured.makepyfile(test_gates="def test_run(greta_run):\n    assert greta_run.seconds\n")
    greta(*OPTIONS).assert_outcomes(failed=1)
    assert [info["why_not"] for info in infos(measured)] == [
        "failed: max_error",
        "its test failed",
        "its test failed",
    ]
    measured.makepyfile(test_gates="def test_run(greta_run):\n    greta_run.check()\n")
    greta(*OPTIONS, "--greta-single-shot").assert_outcomes(passed=1)
    assert infos(measured)[-1]["why_not"] == "a single shot"
    result = greta(*OPTIONS)
    result.stdout.fnmatch_lines(["*device yet: none of * earlier runs was accepted; the last: a single shot"])


def test_under_xdist_the_gate_holds_and_the_controller_stores_the_run(
    old: pytest.Pytester, greta_alone: Run
) -> None:
    use(old, "slow")
    result = greta_alone(*OPTIONS, "-n1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*regression <= 4.000*FAIL (beside the accepted v of commit unversioned, *"])
    assert [info["accepted"] for info in infos(old)] == [True] * 10 + [False]
    assert infos(old)[-1]["why_not"] == "regressed"


@pytest.mark.usefixtures("measured")
def test_what_is_not_stored_is_told(greta: Run) -> None:
    result = greta("--greta-ctx=2048", "--greta-variant=v", "-Wdefault")
    result.stdout.fnmatch_lines(["*there is no earlier run; runs are kept with --benchmark-autosave"])


def test_junit_has_the_regression_as_a_failure(old: pytest.Pytester, greta: Run) -> None:
    use(old, "slow")
    greta(*OPTIONS, "--junitxml=junit.xml").assert_outcomes(failed=1)
    assert 'failures="1"' in (old.path / "junit.xml").read_text()
