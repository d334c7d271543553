"""The code cache: finds what has not changed, rebuilds what has or is damaged, survives a full disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_greta.compiler.cache import CodeCache, states, write_whole


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "kernel.hip"
    path.write_text("int x;")
    return path


@pytest.fixture
def cache(tmp_path: Path) -> CodeCache:
    return CodeCache(tmp_path / "cache")


def keep(cache: CodeCache, request: str, code: bytes, *paths: Path) -> None:
    """Store code as after a compile that read these paths, in which nothing happened to them."""
    found = states(map(str, paths))
    cache.store(request, found, found, code)


def test_what_was_stored_is_found(cache: CodeCache, source: Path) -> None:
    assert cache.lookup("request") is None
    keep(cache, "request", b"code", source)
    assert cache.lookup("request") == b"code"
    assert cache.lookup("another request") is None


def test_a_changed_header_misses_and_its_undoing_hits_again(
    cache: CodeCache, source: Path, tmp_path: Path
) -> None:
    header = tmp_path / "kernel.h"
    header.write_text("one")
    keep(cache, "request", b"first", source, header)
    header.write_text("two")
    assert cache.lookup("request") is None
    keep(cache, "request", b"second", source, header)
    assert cache.lookup("request") == b"second"
    header.write_text("one")
    assert cache.lookup("request") == b"first"


def test_a_deleted_header_misses(cache: CodeCache, source: Path, tmp_path: Path) -> None:
    header = tmp_path / "kernel.h"
    header.write_text("one")
    keep(cache, "request", b"code", source, header)
    header.unlink()
    assert cache.lookup("request") is None


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 40])
def test_damaged_files_read_as_absent(cache: CodeCache, source: Path, damage: bytes) -> None:
    keep(cache, "request", b"code", source)
    stored = [p for p in cache.folder.iterdir() if p.suffix in (".code", ".files")]
    assert len(stored) == 2
    for path in stored:
        whole = path.read_bytes()
        path.write_bytes(damage)
        assert cache.lookup("request") is None
        path.write_bytes(whole)
    assert cache.lookup("request") == b"code"


def test_one_flipped_bit_is_noticed(cache: CodeCache, source: Path) -> None:
    keep(cache, "request", b"code", source)
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
    keep(cache, "request", b"code", source)
    monkeypatch.undo()
    assert cache.lookup("request") is None
    assert "No space left on device" in cache.problem
    assert list(cache.folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_reported(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = CodeCache(tmp_path / "file" / "cache")
    with cache.lock("request"):
        keep(cache, "request", b"code", source)
    assert cache.lookup("request") is None
    assert cache.problem.startswith(f"the code cache {cache.folder} cannot be written (")


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


def test_a_path_that_was_looked_at_in_vain_counts(cache: CodeCache, source: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.h"
    keep(cache, "request", b"code", source, absent)
    assert cache.lookup("request") == b"code"
    absent.write_text("")
    assert cache.lookup("request") is None
    absent.unlink()
    absent.mkdir()
    assert cache.lookup("request") is None
    absent.rmdir()
    assert cache.lookup("request") == b"code"


def test_what_changed_while_it_was_compiled_is_not_kept(cache: CodeCache, source: Path) -> None:
    before = states([str(source)])
    source.write_text("int y;")
    for states_ in ((before, states([str(source)])), (None, before), (before, None), (None, None)):
        cache.store("request", *states_, b"code")
    assert cache.lookup("request") is None
    assert not cache.folder.exists()


def test_what_cannot_be_read_has_no_state(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert states([str(tmp_path / "loop")]) is None
    assert states(["zero\0byte"]) is None
    assert states([str(tmp_path)]) == {str(tmp_path): "folder ['loop']"}
    assert states([]) == {}


def test_exchanged_entries_read_as_absent(cache: CodeCache, source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.hip"
    other.write_text("other")
    keep(cache, "request", b"code", source)
    (first,) = cache.folder.glob("*.code")
    keep(cache, "another", b"other code", other)
    (second,) = set(cache.folder.glob("*.code")) - {first}
    first_bytes, second_bytes = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_bytes)
    second.write_bytes(first_bytes)
    assert cache.lookup("request") is None
    assert cache.lookup("another") is None
    keep(cache, "request", b"code", source)
    assert cache.lookup("request") == b"code"


def of_old_format(cache: CodeCache, request: str, source: Path, code: bytes) -> None:
    """An entry as it was written before names were in the checksum, and states in the key."""
    request_digest = hashlib.sha256(request.encode())
    digest = request_digest.copy()
    digest.update(hashlib.sha256(source.read_bytes()).digest())
    cache.folder.mkdir(exist_ok=True)
    for path, payload in (
        (f"{request_digest.hexdigest()}.files", json.dumps([str(source)]).encode()),
        (f"{digest.hexdigest()}.code", code),
    ):
        (cache.folder / path).write_bytes(hashlib.sha256(payload).digest() + payload)


def test_an_entry_of_the_old_format_is_rebuilt(cache: CodeCache, source: Path) -> None:
    of_old_format(cache, "request", source, b"old code")
    assert cache.lookup("request") is None
    keep(cache, "request", b"code", source)
    assert cache.lookup("request") == b"code"
    of_old_format(cache, "request", source, b"old code")  # by an older release, meanwhile
    assert cache.lookup("request") is None


@pytest.mark.parametrize("listing", [b"", b"null", b"3", b'{"a": 1}', b"[1, null]", b"[[]]", b"\xff"])
def test_a_listing_that_holds_something_else_reads_as_absent(
    cache: CodeCache, source: Path, listing: bytes
) -> None:
    keep(cache, "request", b"code", source)
    (path,) = cache.folder.glob("*.files")
    path.write_bytes(hashlib.sha256(path.name.encode() + b"\0" + listing).digest() + listing)
    assert cache.lookup("request") is None


def used_at(cache: CodeCache, seconds: float) -> None:
    """Every entry was last used at this time."""
    for path in cache.folder.iterdir():
        os.utime(path, (seconds, seconds))


def test_what_was_used_longest_ago_is_deleted_first(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path / "cache", limit_bytes=40_000)
    for number in range(3):
        keep(cache, f"request {number}", bytes(10_000))
        used_at(cache, 1e9 + number)
    assert cache.lookup("request 0") is not None  # which uses it
    for number in range(3, 5):
        keep(cache, f"request {number}", bytes(10_000))
    found = [number for number in range(5) if cache.lookup(f"request {number}") is not None]
    assert found == [0, 3, 4]
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= 40_000


def test_the_first_write_of_a_run_looks_at_what_there_is(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path / "cache")
    for number in range(5):
        keep(cache, f"request {number}", bytes(10_000))
    with cache.lock("request 0"):
        used_at(cache, 1e9)
    (cache.folder / "killed.part").write_bytes(bytes(10))
    used_at(cache, 1e9)
    (cache.folder / "now.part").write_bytes(bytes(10))
    (cache.folder / "of another").mkdir()
    small = CodeCache(cache.folder, limit_bytes=15_000)
    keep(small, "one more", bytes(10_000))
    assert small.lookup("one more") is not None
    assert [number for number in range(5) if small.lookup(f"request {number}") is not None] == []
    assert {path.name for path in cache.folder.iterdir() if path.suffix not in (".code", ".files")} == {
        *("now.part", "of another")
    }


def test_code_that_is_larger_than_the_limit_is_kept_alone(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path / "cache", limit_bytes=100)
    for number in range(2):
        keep(cache, f"request {number}", bytes(1000))
    assert cache.lookup("request 1") is None or cache.lookup("request 1") == bytes(1000)
    assert len(list(cache.folder.glob("*.code"))) <= 1


def test_a_file_that_another_run_deletes_is_absent(
    cache: CodeCache, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(cache, "request", b"code", source)
    read = Path.read_bytes

    def read_and_delete(path: Path) -> bytes:
        found = read(path)
        path.unlink()
        return found

    monkeypatch.setattr(Path, "read_bytes", read_and_delete)
    assert cache.lookup("request") == b"code"  # whole, though its file is gone
    monkeypatch.undo()
    assert cache.lookup("request") is None
    assert cache.problem == ""


HAMMER = """
import random, sys
from pathlib import Path
from pytest_greta.compiler.cache import CodeCache
cache, number = CodeCache(Path(sys.argv[1]), 30_000), random.Random(int(sys.argv[2]))
for _ in range(400):
    request = f"request {number.randrange(20)}"
    found = cache.lookup(request)
    assert found in (None, request.encode() * 300), request
    if found is None:
        with cache.lock(request):
            cache.store(request, {}, {}, request.encode() * 300)
assert not cache.problem, cache.problem
"""


def test_runs_that_write_and_delete_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HAMMER, str(tmp_path / "cache")]
    runs = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(4)]
    assert [run.communicate()[1] for run in runs] == [""] * 4
    assert [run.returncode for run in runs] == [0] * 4
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 2 * 30_000


def test_what_is_no_regular_file_stays_what_it_is(tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is no regular file"):
        write_whole(pipe, b"new")
    assert pipe.is_fifo()
    link.symlink_to(file)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert sorted(tmp_path.iterdir()) == [file, link, pipe]


def test_a_file_that_is_there_keeps_its_mode_and_an_error_names_it(tmp_path: Path) -> None:
    path, link = tmp_path / "gates.yaml", tmp_path / "link"
    path.write_bytes(b"mine")
    path.chmod(0o640)
    link.symlink_to(path)
    write_whole(link, b"longer")
    assert (path.read_bytes(), path.stat().st_mode & 0o777, link.is_symlink()) == (b"longer", 0o640, True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(OSError, match=f"File too large: '{path}'"):
            write_whole(link, bytes(1 << 17))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"longer"
    assert sorted(tmp_path.iterdir()) == [path, link]
