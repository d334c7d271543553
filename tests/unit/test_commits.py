"""Which commits came before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_greta.history.commits import Commits


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, name: str) -> str:
    git(folder, "commit", "-q", "--allow-empty", "-m", name)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


def test_ancestors_came_before_and_those_of_other_branches_did_not(repository: Path) -> None:
    first = commit(repository, "first")
    git(repository, "checkout", "-q", "-b", "docs")
    docs = commit(repository, "docs")
    git(repository, "checkout", "-q", "main")
    second = commit(repository, "second")
    commits = Commits(repository, second)
    assert [commits.is_before(c) for c in (first, second, docs)] == [True, True, False]
    assert not commits.is_before("0" * 40)
    assert not commits.is_before("--all")
    assert not commits.is_shallow


def test_without_version_control_all_runs_are_one_line(tmp_path: Path) -> None:
    assert Commits(tmp_path, "unversioned").is_before("unversioned")


def test_a_shallow_checkout_is_told(repository: Path, tmp_path: Path) -> None:
    commit(repository, "first")
    second = commit(repository, "second")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", str(tmp_path / "shallow"))
    assert Commits(tmp_path / "shallow", second).is_shallow
