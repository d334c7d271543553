"""A user's mistake is one clear line and exit code 4; options reach what they are about."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import GATES, TESTS, Run, write_gates


def usage_error(result: pytest.RunResult) -> str:
    """The error lines of a run that was refused."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in (result.outlines + result.errlines) if line.startswith("ERROR:")]
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert lines
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--greta-ctx=abc", "--greta-ctx: 'abc' is not a context; expected a whole number from 1"),
        ("--greta-ctx=4096,,", "--greta-ctx: '' is not a context"),
        ("--greta-ctx=0", "--greta-ctx: 0 is not a context; expected a whole number from 1"),
        ("--greta-ctx=-5", "--greta-ctx: -5 is not a context"),
        ("--greta-ctx=4k", "--greta-ctx: '4k' is not a context"),
        ("--greta-variant=goood", "--greta-variant: unknown variant 'goood'; did you mean 'good'?"),
        ("--greta-variant=", "--greta-variant: '' has an empty name"),
        ("--greta-target=rtx4090", "--greta-target: 'rtx4090' is not a target; expected one like gfx942"),
        ("--greta-rounds=many", "--greta-rounds: 'many' is not a number of rounds"),
        ("--greta-rounds=4096:0", "--greta-rounds: 0 is not a number of rounds"),
        ("--greta-deadline=0", "--greta-deadline: '0' is not a time; expected seconds above 0"),
        ("--greta-deadline=nan", "--greta-deadline: 'nan' is not a time"),
        ("--greta-budget=-1", "--greta-budget: '-1' is not a time; expected seconds above 0"),
        ("--greta-seed=x", "--greta-seed: 'x' is not a seed"),
        ("--greta-gates=missing.yaml", "missing.yaml: there is no such file"),
        (
            "--greta-axis=heads",
            "--greta-axis: 'heads' is no axis; expected a name and its values, like heads=4,32",
        ),
        ("--greta-axis=context=4", "--greta-axis: the context is an option of its own: --greta-ctx"),
        ("--greta-axis=rows=4", "--greta-axis: unknown axis 'rows'; there is none"),
    ],
)
def test_a_bad_option_is_one_line(greta: Run, option: str, message: str) -> None:
    assert message in usage_error(greta(option))


def test_a_bad_choice_is_refused(greta: Run) -> None:
    result = greta("--greta-device=cuda")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--greta-device: invalid choice: 'cuda' (choose from*auto*hip*cpu*"])


def test_contradicting_devices_are_refused(greta: Run) -> None:
    text = usage_error(greta("--greta-device=cpu", "--greta-require=hip"))
    assert "--greta-require=hip contradicts --greta-device=cpu" in text


def test_all_mistakes_are_told_at_once(greta: Run) -> None:
    text = usage_error(greta("--greta-ctx=x", "--greta-rounds=y", "--greta-deadline=z"))
    assert all(option in text for option in ("--greta-ctx", "--greta-rounds", "--greta-deadline"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("vgprs", "vpgrs", "gates.yaml:12:9: unknown gate 'vpgrs' for every variant; did you mean 'vgprs'?"),
        ("vgprs: 128", "vgprs: many", "gates.yaml:12:16: "),
        ("vgprs: 128", "scratch_bytes: 1", "gates.yaml:12:9: "),
        ("    baseline: good\n", "", "baseline"),
        ("baseline: good", "baseline: goood", "did you mean 'good'?"),
        ("  faulty:", "  fawlty:", "did you mean 'faulty'?"),
        ("version: 1", "version: 9", "gates.yaml:1:10: "),
    ],
)
def test_a_mistake_in_the_gates_names_its_place(
    project: pytest.Pytester, greta: Run, old: str, new: str, message: str
) -> None:
    write_gates(project, GATES.replace(old, new))
    assert message in usage_error(greta("--greta-variant=good"))


def test_no_gates_file_is_an_error_not_a_pass(project: pytest.Pytester, greta: Run) -> None:
    (project.path / "gates.yaml").unlink()
    assert (
        f"gates.yaml: there is no such file (looked for {project.path}/gates.yaml); --greta-gates"
        in usage_error(greta())
    )


def test_under_xdist_mistakes_are_told_once_too(project: pytest.Pytester, greta_alone: Run) -> None:
    assert "unknown gate 'vpgrs'" not in usage_error(greta_alone("-n2", "--greta-ctx=x"))
    write_gates(project, GATES.replace("vgprs", "vpgrs"))
    text = usage_error(greta_alone("-n2"))
    assert text.count("unknown gate 'vpgrs'") == 1


def test_the_marker_takes_one_known_name(project: pytest.Pytester, greta: Run) -> None:
    for argument, message in [
        ("'fawlty'", "unknown kernel 'fawlty'; did you mean 'faulty'?"),
        ("kernel='faulty'", "takes the name of a kernel and nothing else, not (kernel='faulty')"),
        ("", "takes the name of a kernel and nothing else, not ()"),
    ]:
        project.makepyfile(test_gates=f"import pytest\npytestmark = pytest.mark.greta({argument})\n{TESTS}")
        text = usage_error(greta("--greta-variant=good"))
        places = [line for line, code in enumerate(TESTS.splitlines(), 3) if code.startswith("def test_")]
        for line in places:
            assert f"test_gates.py:{line}: @pytest.mark.greta" in text
        assert text.count(message) == len(places)


def test_ini_values_are_the_defaults_of_options(project: pytest.Pytester, greta: Run) -> None:
    project.makeini("[pytest]\ngreta_ctx = 64,32\ngreta_variant = good\ngreta_target = gfx90a,gfx1100\n")
    result = greta("--collect-only", "-q")
    assert [line.partition("::")[2] for line in result.outlines if "::" in line] == [
        "test_resources[good-gfx90a]",
        "test_resources[good-gfx1100]",
        "test_run[good-32]",
        "test_run[good-64]",
    ]
    result = greta("--collect-only", "-q", "--greta-ctx=128", "-k", "run")
    result.stdout.fnmatch_lines(["*test_run[[]good-128[]]"])


def test_a_bad_ini_value_is_named_as_such(project: pytest.Pytester, greta: Run) -> None:
    project.makeini("[pytest]\ngreta_rounds = lots\n")
    assert "greta_rounds: 'lots' is not a number of rounds" in usage_error(greta())


def test_help_shows_every_option(greta: Run) -> None:
    text = greta("--help").stdout.str()
    for option in (
        "ctx",
        "variant",
        "target",
        "device",
        "gates",
        "require",
        "rounds",
        "single-shot",
        "deadline",
    ):
        assert f"--greta-{option}" in text
        assert f"greta_{option.replace('-', '_')} (" in text


def test_a_single_shot_is_one_launch(greta: Run) -> None:
    result = greta(
        "--greta-variant=good", "--greta-single-shot", "-k", "test_run", "--benchmark-json=run.json"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*deterministic is true*NOT MEASURED*", "*a single shot has nothing to compare*"]
    )


@pytest.mark.parametrize(("rounds", "count"), [("7", 7), ("256:3,512:9", 3)])
def test_rounds_are_those_asked_for(project: pytest.Pytester, greta: Run, rounds: str, count: int) -> None:
    body = f"    greta_run.check()\n    assert len(greta_run.seconds) == {count}\n"
    project.makepyfile(test_gates=f"def test_run(greta_run):\n{body}")
    greta("--greta-variant=good", f"--greta-rounds={rounds}").assert_outcomes(passed=1)


def test_the_seed_of_a_run_is_shown_and_can_be_given(greta: Run) -> None:
    for seed in ("7", "8"):
        result = greta("--greta-variant=inaccurate", f"--greta-seed={seed}", "-k", "test_run")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([f"*--greta-seed={seed}*"])
