"""A content-addressed cache of compiled code that several runs may share.

An entry is found in two steps, like ccache's direct mode: the *request* (compiler, flags, source path) names the list
of paths that the compiler looked at last time; what is there now names the code. Editing a header and undoing the edit
therefore finds the first code again, and nothing is preprocessed to find out. A path that was looked at in vain is in
the list too: a header that appears in front of another one is another state, as one that changes is. What was there is
taken before a compile and after it, and code is kept only if both are the same: nothing was saved meanwhile.

Every file is written under a temporary name and renamed, and carries a checksum over its name and what it holds: a
damaged, half-written or exchanged entry reads as absent and is rebuilt, as one that another release wrote. A cache that
cannot be written (full disk, read-only) is reported, not fatal. What was used longest ago is deleted when a limit is
passed; a file that another run deletes is absent.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

DEFAULT_CACHE_BYTES = 2 << 30

States = Mapping[str, str]
"""What is at each of several paths: a hash of it."""

NOTHING = "nothing"
NO_FILE = "is no regular file"

_DIGEST_BYTES = hashlib.sha256().digest_size
_SLICES = 16
"""The folder is looked through each time that so large a part of the limit was written, which it may be passed by."""
_ABANDONED_SECONDS = 3600.0
"""A temporary file that is older was left behind by a run that was killed."""


class CodeCache:
    """Compiled code by what it was compiled from, in `folder` (created on first use), at most `limit_bytes` of it."""

    def __init__(self, folder: Path, limit_bytes: int | None = None) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes or DEFAULT_CACHE_BYTES
        self.problem = ""
        """Why the cache could not be written, if it could not."""
        self._unseen_bytes = self.limit_bytes  # a run's first write looks at what there is

    def lookup(self, request: str) -> bytes | None:
        """The code stored for `request`, if all that it was compiled from is still the same."""
        listing = self._read(self._listing_path(request))
        if listing is None:
            return None
        try:
            found = states([str(path) for path in json.loads(listing)])
        except (ValueError, TypeError):
            return None
        return None if found is None else self._read(self._code_path(request, found))

    def store(self, request: str, before: States | None, after: States | None, code: bytes) -> None:
        """Keep `code`, compiled for `request`, with the states of all that it depends on before and after the compile.

        None stands for what cannot be known; the code is then compiled each time, as it is where the two differ.
        """
        if before is None or before != after:
            return
        self._write(self._code_path(request, before), code)
        self._write(self._listing_path(request), json.dumps(sorted(before)).encode())

    @contextmanager
    def lock(self, request: str) -> Iterator[None]:
        """Hold the entry, so that two runs that need the same code compile it once."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._listing_path(request).with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            self._note(error)
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _listing_path(self, request: str) -> Path:
        return self.folder / f"{hashlib.sha256(request.encode()).hexdigest()}.files"

    def _code_path(self, request: str, found: States) -> Path:
        key = json.dumps([request, sorted(found.items())])
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}.code"

    def _read(self, path: Path) -> bytes | None:
        try:
            stored = path.read_bytes()
        except OSError:
            return None
        checksum, payload = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        if _checksum(path, payload) != checksum:
            return None
        with contextlib.suppress(OSError):  # of another user, or deleted meanwhile
            os.utime(path)
        return payload

    def _write(self, path: Path, payload: bytes) -> None:
        try:
            write_whole(path, _checksum(path, payload) + payload)
        except OSError as error:
            self._note(error)
            return
        self._unseen_bytes += len(payload)
        if self._unseen_bytes > self.limit_bytes // _SLICES:
            self._unseen_bytes = 0
            self._evict(path)

    def _evict(self, kept: Path) -> None:
        """Delete what was used longest ago until the rest is within the limit, and what a killed run left behind."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # deleted meanwhile
                    if entry.name.endswith((".code", ".files", ".lock", ".part")):
                        about = entry.stat(follow_symlinks=False)
                        found.append((about.st_mtime, about.st_size, Path(entry.path)))
        left_bytes = sum(size for _, size, _ in found)
        for used_at, size, path in sorted(found):
            if path.suffix == ".part":
                is_too_much = used_at < time.time() - _ABANDONED_SECONDS
            else:
                is_too_much = left_bytes > self.limit_bytes and path != kept
            if is_too_much:
                with contextlib.suppress(OSError):
                    path.unlink()
                left_bytes -= size

    def _note(self, error: OSError) -> None:
        self.problem = (
            f"the code cache {self.folder} cannot be written ({error.strerror}); code is compiled again"
        )


def states(paths: Iterable[str]) -> dict[str, str] | None:
    """What is at each path: contents of a file, names in a folder, or nothing. None where one cannot be read."""
    found = {}
    for path in paths:
        state = _state(path)
        if state is None:
            return None
        found[path] = state
    return found


def _state(path: str) -> str | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    except IsADirectoryError:
        with contextlib.suppress(OSError):
            return f"folder {sorted(entry.name for entry in Path(path).iterdir())}"
        return None
    except (OSError, ValueError):  # no permission; a name with a zero byte
        return None


def _checksum(path: Path, payload: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + payload).digest()


def is_special(path: Path) -> bool:
    """Whether there is something that no file can take the place of: a device, a pipe, a folder."""
    mode = _mode(path)
    return mode is not None and not stat.S_ISREG(mode)


def _mode(path: Path) -> int | None:
    """Kind and mode of what is there, asked once, for others may delete it meanwhile; None where nothing is."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_whole(path: Path, payload: bytes) -> None:
    """Write a file under a temporary name and rename it: it is there whole, or not at all; where it is a link, the file
    that it leads to. One that is there keeps its mode. Raises OSError that names the file, also where what is there is
    no regular file.
    """
    path = path.resolve()
    mode = _mode(path)
    if mode is None:
        mode = stat.S_IFREG | 0o644  # others may read it: a history is shared
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _replace(path, payload, mode & 0o777)
    except OSError as error:  # of the temporary file, or of none
        raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(path: Path, payload: bytes, mode: int) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
