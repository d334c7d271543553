"""A content-addressed cache of compiled code that several runs may share.

An entry is found in two steps, like ccache's direct mode: the *request* (compiler, flags, source path) names
the list of files the compiler read last time; the contents of those files name the code. Editing a header and
undoing the edit therefore finds the first code again, and nothing is preprocessed to find out.

Every file is written under a temporary name and renamed, and carries a checksum: a damaged or half-written
entry reads as absent and is rebuilt. A cache that cannot be written (full disk, read-only) is reported, not
fatal.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_DIGEST_BYTES = hashlib.sha256().digest_size


class CodeCache:
    """Compiled code by what it was compiled from, in `folder` (created on first use)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem: str | None = None
        """Why the cache could not be written, if it could not."""

    def lookup(self, request: str) -> bytes | None:
        """The code stored for `request`, if every file it was compiled from still has the same contents."""
        listing = self._read(self._dependencies_path(request))
        if listing is None:
            return None
        try:
            dependencies = [Path(p) for p in json.loads(listing)]
        except (ValueError, TypeError):
            return None
        code_path = self._code_path(request, dependencies)
        return None if code_path is None else self._read(code_path)

    def store(self, request: str, dependencies: Iterable[Path], code: bytes) -> None:
        """Keep `code`, compiled for `request` from the files `dependencies` (the source among them)."""
        paths = sorted(set(dependencies))
        code_path = self._code_path(request, paths)
        if code_path is None:
            return  # a source vanished while it was compiled: nothing to find this by
        self._write(code_path, code)
        self._write(self._dependencies_path(request), json.dumps([str(p) for p in paths]).encode())

    @contextmanager
    def lock(self, request: str) -> Iterator[None]:
        """Hold the entry, so that two runs that need the same code compile it once."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(
                self._dependencies_path(request).with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644
            )
        except OSError as error:
            self._note(error)
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _dependencies_path(self, request: str) -> Path:
        return self.folder / f"{hashlib.sha256(request.encode()).hexdigest()}.files"

    def _code_path(self, request: str, dependencies: list[Path]) -> Path | None:
        digest = hashlib.sha256(request.encode())
        try:
            for path in dependencies:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            return None
        return self.folder / f"{digest.hexdigest()}.code"

    def _read(self, path: Path) -> bytes | None:
        try:
            stored = path.read_bytes()
        except OSError:
            return None
        checksum, payload = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        return payload if hashlib.sha256(payload).digest() == checksum else None

    def _write(self, path: Path, payload: bytes) -> None:
        try:
            write_whole(path, hashlib.sha256(payload).digest() + payload)
        except OSError as error:
            self._note(error)

    def _note(self, error: OSError) -> None:
        self.problem = (
            f"the code cache {self.folder} cannot be written ({error.strerror}); code is compiled again"
        )


def write_whole(path: Path, payload: bytes) -> None:
    """Write a file under a temporary name and rename it: it is there whole, or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
        temporary.chmod(0o644)  # others may read it: a history is shared
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
