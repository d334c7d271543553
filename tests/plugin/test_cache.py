"""Compiled code that cannot be kept, or not where it was wanted, is told once; what is kept has a limit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.conftest import PLUGINS, Run

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

FULL = """
import errno, os
from pytest_greta.compiler import cache


def full(path, payload):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


cache.write_whole = full
"""
TWO = ("-k", "resources", "--greta-variant=good,spills", "--greta-target=gfx942")


@pytest.fixture
def own_cache(project: pytest.Pytester) -> Path:
    """The project's folder of compiled code, its own and empty."""
    link = project.path / ".pytest_cache" / "d" / "greta-code"
    link.unlink()
    link.mkdir()
    return link


def told(result: pytest.RunResult) -> list[str]:
    """The notes of the summary."""
    return [line for line in result.outlines if line.startswith("note: ") and "__launch_bounds__" not in line]


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_a_full_disk_is_told_once(
    project: pytest.Pytester, own_cache: Path, greta_alone: Run, options: tuple[str, ...]
) -> None:
    with (project.path / "conftest.py").open("a") as file:
        file.write(FULL)
    result = greta_alone(*TWO, *options)
    assert told(result) == [
        f"note: the code cache {own_cache} cannot be written (No space left on device); code is compiled again"
    ]


def test_a_cache_that_works_is_not_told_of(own_cache: Path, greta: Run) -> None:
    assert told(greta(*TWO)) == []
    assert len(list(own_cache.glob("*.code"))) == 2


def test_a_folder_that_everybody_can_write_to_is_told_of(
    own_cache: Path, greta_alone: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    own_cache.chmod(0o777)
    result = greta_alone(*TWO)
    assert told(result) == [f"note: compiled code is not kept in {own_cache}, which everybody can write to"]
    assert list(own_cache.iterdir()) == []
    assert len(list((tmp_path / f"pytest-greta-{os.getuid()}").glob("*.code"))) == 2


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_a_prepared_folder_is_not_taken_and_what_takes_its_place_is_deleted(
    greta_alone: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    prepared = tmp_path / f"pytest-greta-{os.getuid()}"
    prepared.mkdir()
    prepared.chmod(0o777)
    result = greta_alone(*TWO, "-p", "no:cacheprovider", *options)
    why = f"{prepared} can be written to by others"
    assert told(result) == [f"note: compiled code is kept for this session only: {why}"]
    assert list(prepared.iterdir()) == []
    assert [path for path in tmp_path.glob("pytest-greta-*") if path != prepared] == []


def test_what_is_kept_has_a_limit(own_cache: Path, greta: Run) -> None:
    greta(*TWO, "--greta-cache-size=5K")
    assert sum(path.stat().st_size for path in own_cache.iterdir()) <= 6 * 1024
    greta(*TWO, "-o", "greta_cache_size=1M")
    assert len(list(own_cache.glob("*.code"))) == 2


@pytest.mark.parametrize("size", ["0", "-1", "5", "much", "5T", "1.5G", ""])
def test_a_size_that_is_none_is_refused(greta: Run, size: str) -> None:
    result = greta(f"--greta-cache-size={size}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    expected = "expected a whole number from 1 with K, M or G, like 500M"
    result.stderr.fnmatch_lines([f"ERROR: --greta-cache-size: {size!r} is not a size; {expected}"])


def test_sessions_that_share_a_small_cache_do_not_disturb_each_other(
    project: pytest.Pytester, own_cache: Path
) -> None:
    command = [sys.executable, "-m", "pytest", *PLUGINS, *TWO, "--greta-cache-size=5K"]
    for _ in range(2):
        runs = [
            subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        for run in runs:
            output, _ = run.communicate(timeout=120)
            assert "1 failed, 1 passed" in output  # `spills` does, on purpose
            assert not [
                n for n in output.splitlines() if n.startswith("note: ") and "__launch_bounds__" not in n
            ]
    assert own_cache.is_dir()
