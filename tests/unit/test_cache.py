"""The code cache: finds what has not changed, rebuilds what has or is damaged, survives a full disk."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from pytest_greta.compiler.cache import CodeCache


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "kernel.hip"
    path.write_text("int x;")
    return path


@pytest.fixture
def cache(tmp_path: Path) -> CodeCache:
    return CodeCache(tmp_path / "cache")


def test_what_was_stored_is_found(cache: CodeCache, source: Path) -> None:
    assert cache.lookup("request") is None
    cache.store("request", [source], b"code")
    assert cache.lookup("request") == b"code"
    assert cache.lookup("another request") is None


def test_a_changed_header_misses_and_its_undoing_hits_again(
    cache: CodeCache, source: Path, tmp_path: Path
) -> None:
    header = tmp_path / "kernel.h"
    header.write_text("one")
    cache.store("request", [source, header], b"first")
    header.write_text("two")
    assert cache.lookup("request") is None
    cache.store("request", [source, header], b"second")
    assert cache.lookup("request") == b"second"
    header.write_text("one")
    assert cache.lookup("request") == b"first"


def test_a_deleted_header_misses(cache: CodeCache, source: Path, tmp_path: Path) -> None:
    header = tmp_path / "kernel.h"
    header.write_text("one")
    cache.store("request", [source, header], b"code")
    header.unlink()
    assert cache.lookup("request") is None


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 40])
def test_damaged_files_read_as_absent(cache: CodeCache, source: Path, damage: bytes) -> None:
    cache.store("request", [source], b"code")
    stored = [p for p in cache.folder.iterdir() if p.suffix in (".code", ".files")]
    assert len(stored) == 2
    for path in stored:
        whole = path.read_bytes()
        path.write_bytes(damage)
        assert cache.lookup("request") is None
        path.write_bytes(whole)
    assert cache.lookup("request") == b"code"


def test_one_flipped_bit_is_noticed(cache: CodeCache, source: Path) -> None:
    cache.store("request", [source], b"code")
    (path,) = cache.folder.glob("*.code")
    stored = bytearray(path.read_bytes())
    stored[-1] ^= 1
    path.write_bytes(stored)
    assert cache.lookup("request") is None


def test_a_full_disk_is_reported_and_leaves_nothing_half_written(
    cache: CodeCache, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    cache.store("request", [source], b"code")
    monkeypatch.undo()
    assert cache.lookup("request") is None
    assert cache.problem is not None
    assert "No space left on device" in cache.problem
    assert list(cache.folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_reported(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = CodeCache(tmp_path / "file" / "cache")
    with cache.lock("request"):
        cache.store("request", [source], b"code")
    assert cache.lookup("request") is None
    assert cache.problem is not None


def test_the_lock_lets_one_in_at_a_time(cache: CodeCache) -> None:
    inside: list[int] = []
    seen: list[int] = []

    def enter() -> None:
        with CodeCache(cache.folder).lock("request"):
            inside.append(1)
            seen.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 8
