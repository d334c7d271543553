"""docs/ci.md, the action, the files for CI servers: what can be run here is run, the rest is held to schemas."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.marks import crossing
from tests.plugin.conftest import PLUGINS, REPOSITORY
from tests.plugin.test_docs import files

PAGE = (REPOSITORY / "docs/ci.md").read_text()
EXAMPLES = sorted((REPOSITORY / "docs/examples").glob("*.yml"))
ACTION: dict[str, Any] = yaml.safe_load((REPOSITORY / "action.yml").read_text())
STEPS = ACTION["runs"]["steps"]

RECORDER = """\
#!{python}
import json, os, sys
if sys.argv[1] == "-c":
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with open({file!r}, "a") as file:
    file.write(json.dumps([os.getcwd(), *sys.argv[1:]]) + "\\n")
if "--benchmark-autosave" in sys.argv and os.environ.get("GRETA_STORED"):
    folder = sys.argv[-1].partition("=")[2] + "/machine"
    os.makedirs(folder)
    with open(folder + "/0001_run.json", "w") as file:
        file.write(os.environ["GRETA_STORED"])
"""
"""Stands for a Python that has greta: writes down what it is asked for, and stores what the test says."""


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    """The project of the README."""
    for name, text in files("README.md").items():
        (tmp_path / name).write_text(text)
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run_step(name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the action as a runner does, with that environment in the place of its expressions."""
    (step,) = [step for step in STEPS if step.get("name") == name]
    assert set(environment) <= set(step["env"])
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    given = {**dict.fromkeys(step["env"], ""), "GITHUB_ACTION_PATH": str(REPOSITORY), **environment}
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **given}, capture_output=True, text=True, check=False
    )


# -- the action ------------------------------------------------------------------------------------------


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    path = tmp_path / "recorder"
    path.write_text(RECORDER.format(python=sys.executable, file=str(tmp_path / "asked")))
    path.chmod(0o755)
    return path


def asked(recorder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (recorder.parent / "asked").read_text().splitlines()]


def test_the_action_gives_pytest_what_it_is_told(tmp_path: Path, recorder: Path) -> None:
    done = run_step(
        "Gates",
        tmp_path,
        GRETA_PYTHON=str(recorder),
        GRETA_ARGUMENTS="tests -k 'a and not b'",
        GRETA_REQUIRE="cpu",
        GRETA_REPORT="out",
        GRETA_HISTORY="/history",
        GRETA_SAVE="yes",
    )
    assert done.returncode == 0, done.stderr
    (command,) = asked(recorder)
    assert command == [
        *(str(tmp_path), "-m", "pytest", "tests", "-k", "a and not b", "--greta-require=cpu"),
        *("--benchmark-autosave", "--benchmark-save-data", "--benchmark-storage=/history"),
        *("--greta-report=out", "--greta-summary=out/summary.json", "--junitxml=out/greta.xml"),
        "--greta-code-quality=out/quality.json",
    ]
    assert (tmp_path / "out").is_dir()


@pytest.fixture
def branched(tmp_path: Path) -> Path:
    """A repository on a branch that left main one commit ago."""
    folder = tmp_path / "repository"
    (folder / "sub").mkdir(parents=True)
    git(folder.parent, "init", "-q", "-b", "main", str(folder))
    for message in ("base", "later on main"):
        (folder / "sub/a").write_text(message)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", message)
    git(folder, "checkout", "-qb", "branch", "HEAD^")
    git(folder, "commit", "-q", "--allow-empty", "-m", "branch")
    return folder


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("", "its run stored nothing (exit code 0)"),
        ('{"accepted": false}', "none of its runs was accepted (exit code 0)"),
    ],
)
def test_a_pull_request_that_is_compared_with_nothing_fails(
    branched: Path, recorder: Path, monkeypatch: pytest.MonkeyPatch, stored: str, told: str
) -> None:
    monkeypatch.setenv("GRETA_STORED", stored)
    environment = {"GRETA_PYTHON": str(recorder), "GRETA_BASE": "main"}
    done = run_step("Gates", branched, **environment)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"greta: nothing was compared with the merge base: {told}, and why stands above")
    assert len(asked(recorder)) == 2  # the branch's own gates are evaluated
    done = run_step("Gates", branched, **environment, GRETA_BASE_MAY_FAIL="yes")
    assert done.returncode == 0
    assert told in done.stderr
    assert not [
        one for one in asked(recorder) if "--greta-require-regression" in one
    ]  # a second line says less


@pytest.mark.parametrize(("stored", "code"), [("", 1), ('{"accepted": true}', 0)])
def test_the_job_for_gitlab_fails_too_and_leaves_nothing_behind(
    branched: Path, recorder: Path, monkeypatch: pytest.MonkeyPatch, stored: str, code: int
) -> None:
    lines = yaml.safe_load((REPOSITORY / "docs/examples/gitlab-ci.yml").read_text())["regression"]["script"]
    (branched / ".venv/bin").mkdir(parents=True)
    shutil.copy(recorder, branched / ".venv/bin/pytest")
    scratch = branched.parent / "scratch"
    scratch.mkdir()
    for name, value in {
        "CI_PROJECT_DIR": str(branched),
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": git(branched, "rev-parse", "HEAD^"),
        "GRETA_BASE_MAY_FAIL": "",
        "GRETA_STORED": stored,
        "TMPDIR": str(scratch),
    }.items():
        monkeypatch.setenv(name, value)
    script = "\n".join(line for line in lines if not re.search(r"-m venv|bin/pip ", line))
    command = ["bash", "-eo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=branched, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert ("greta: nothing can be compared with" in done.stderr) is bool(code)
    assert ["--greta-require-regression" in one for one in asked(recorder)] == [False, True][: 2 - code]
    assert list(scratch.iterdir()) == []
    assert git(branched, "worktree", "list").count("\n") == 0


def test_a_pull_request_is_held_to_its_merge_base_and_writes_no_history(
    tmp_path: Path, branched: Path, recorder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRETA_STORED", '{"accepted": true}')
    folder, history = branched, tmp_path / "history"
    history.mkdir()
    (history / "run.json").write_text("{}")
    done = run_step(
        *("Gates", folder / "sub"), GRETA_PYTHON=str(recorder), GRETA_HISTORY=str(history), GRETA_SAVE="yes",
        GRETA_BASE="main",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"the merge base {git(folder, 'rev-parse', 'HEAD^')} is measured first" in done.stdout
    (first, *base), (second, *branch) = asked(recorder)
    assert first.endswith("/base/sub")
    assert not Path(first).exists()
    assert second == str(folder / "sub")
    assert "--benchmark-autosave" in base
    assert "--greta-require-regression" in {*branch} - {*base}
    assert "--greta-annotate=off" in base
    (storage,) = [argument for argument in branch if argument.startswith("--benchmark")]
    assert storage in base
    assert storage != f"--benchmark-storage={history}"
    assert [path.name for path in history.iterdir()] == ["run.json"]
    assert git(folder, "worktree", "list").count("\n") == 0


@crossing
def test_a_slower_branch_fails_against_its_merge_base(readme: Path) -> None:
    gates = (readme / "gates.yaml").read_text().replace("vgprs: 16", "regression: {max: 2, devices: cpu}")
    (readme / "gates.yaml").write_text(gates.replace("cpu: [4096]", "cpu: [262144]"))
    (readme / ".gitignore").write_text("__pycache__\n")
    git(readme, "init", "-q", "-b", "main")
    git(readme, "add", "-A")
    git(readme, "commit", "-qm", "base")
    git(readme, "checkout", "-qb", "branch")
    slow = "float t = x[i]; for (int k = 0; k < 200; ++k) t = t * 1.0001f + k; y[i] = 3.0f * x[i] + 0.0f * t;"
    source = readme / "scale.hip"
    source.write_text(source.read_text().replace("y[i] = 3.0f * x[i];", f"{{ {slow} }}"))
    git(readme, "commit", "-qam", "slower")
    done = run_step("Gates", readme, GRETA_PYTHON=sys.executable, GRETA_ARGUMENTS="-k run", GRETA_BASE="main")
    assert done.returncode == 1, done.stdout
    assert re.search(r"regression <= 2.000 .* FAIL \(beside the accepted simple of commit", done.stdout)


def test_every_input_of_the_action_is_explained_and_used() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .* \| ?(.*?) ?\|$", PAGE, re.MULTILINE))
    assert set(rows) == set(ACTION["inputs"])
    for name, given in ACTION["inputs"].items():
        assert f"inputs.{name}" in yaml.safe_dump(STEPS)
        if "${{" not in given["default"]:
            assert rows[name].strip("`") == given["default"]


def test_the_action_keeps_nothing_of_a_pull_request() -> None:
    """Whatever `save-history` says, and also of `pull_request_target`, which runs on the default branch."""
    (gates,) = [step for step in STEPS if step.get("name") == "Gates"]
    (save,) = [step for step in STEPS if step.get("uses", "").startswith("actions/cache/save@")]
    for condition in (gates["env"]["GRETA_SAVE"], save["if"]):
        assert "inputs.save-history == 'true' && !startsWith(github.event_name, 'pull_request')" in condition


def test_no_expression_of_the_action_stands_in_a_script() -> None:
    """What a workflow is told by strangers, such as the name of a branch, would be run there."""
    assert not [step for step in STEPS if "${{" in step.get("run", "")]


# -- files of CI servers ---------------------------------------------------------------------------------


def schema(name: str) -> Any:
    pytest.importorskip("check_jsonschema")
    from check_jsonschema.builtin_schemas import get_builtin_schema

    return get_builtin_schema(name)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("vendor.github-actions", REPOSITORY / "action.yml"),
        *(("vendor.github-workflows", p) for p in sorted((REPOSITORY / ".github/workflows").glob("*.yml"))),
        *(("vendor.gitlab-ci" if "gitlab" in p.name else "vendor.github-workflows", p) for p in EXAMPLES),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_files_are_what_their_server_takes(name: str, path: Path) -> None:
    from jsonschema.validators import validator_for

    loaded = yaml.safe_load(path.read_text())
    if True in loaded:  # YAML 1.1 reads the key `on` as true
        loaded["on"] = loaded.pop(True)
    found = schema(name)
    assert [error.message for error in validator_for(found)(found).iter_errors(loaded)] == []


def test_the_workflow_of_five_lines_has_five() -> None:
    (block,) = re.findall(
        r"^```yaml\n# \.github/workflows/gates\.yml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
    assert block.count("\n") == 5
    loaded, example = (
        yaml.safe_load(block),
        yaml.safe_load((REPOSITORY / "docs/examples/gates.yml").read_text()),
    )
    assert loaded[True] == example[True]
    assert loaded["jobs"] == example["jobs"]


def test_no_example_writes_history_for_a_branch() -> None:
    for path in EXAMPLES:
        loaded = yaml.safe_load(path.read_text())
        if "jobs" not in loaded:  # GitLab
            autosaving = [job for job in loaded.values() if "autosave" in str(job) and "HOME" in str(job)]
            assert [job["rules"][0]["if"].split(" && ")[0] for job in autosaving] == [
                "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"
            ]
        for job in loaded.get("jobs", {}).values():
            given = [step.get("with", {}) for step in job["steps"] if "pytest-greta" in step.get("uses", "")]
            if any(one.get("history") for one in given):
                assert loaded[True] == {"push": {"branches": ["main"]}}


# -- the page --------------------------------------------------------------------------------------------


def test_what_the_pages_show_of_the_readmes_kernel(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name, text in files("README.md").items():
        (pytester.path / name).write_text(text.replace("vgprs: 16", "vgprs: 2"))
    (pytester.path / ".git").mkdir()
    options = ("--greta-annotate=github", "--greta-explain", "-k", "resources")
    result = pytester.runpytest_inprocess(*PLUGINS, *options)
    shown = re.findall(r"^::error .*$", PAGE, re.MULTILINE)
    assert [line for line in result.outlines if line.startswith("::error")] == shown
    gates = (REPOSITORY / "docs/gates.md").read_text()
    (explained,) = re.findall(r"^\$ pytest --greta-explain\n(.*?)^```$", gates, re.MULTILINE | re.DOTALL)
    assert explained in result.stdout.str()
