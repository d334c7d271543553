"""Which folder compiled code is kept in. It runs as the user who tests: no other user may have written it."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CacheFolder:
    """A folder for compiled code that is this user's."""

    path: Path
    note: str = ""
    """Why it is not the one that was wanted, for the user; empty where it is, or there was none."""
    is_kept: bool = True
    """False for one that is to be deleted at the end of the session."""


def cache_folder(wanted: Path | None, temporary: Path | None = None) -> CacheFolder:
    """The folder that is wanted, if nobody else could write it; else one of this user's among the `temporary` files;
    else a new one.
    """
    note = ""
    if wanted is not None:
        reason = _distrust(wanted)
        if not reason:
            return CacheFolder(wanted)
        note = f"compiled code is not kept in {wanted}, which {reason}"
    shared = temporary or Path(tempfile.gettempdir())
    own = shared / f"pytest-greta-{os.getuid()}"
    reason = _distrust_own(own)
    if not reason:
        return CacheFolder(own, note)
    note = f"compiled code is kept for this session only: {own} {reason}"
    return CacheFolder(Path(tempfile.mkdtemp(prefix="pytest-greta-", dir=shared)), note, is_kept=False)


def _distrust(folder: Path) -> str:
    """Why the code in a folder of the project may be another user's; empty where it is this user's, or root's."""
    try:
        about = folder.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if about.st_uid not in (os.getuid(), 0):
        return f"belongs to another user (uid {about.st_uid})"
    return "everybody can write to" if about.st_mode & stat.S_IWOTH else ""


def _distrust_own(folder: Path) -> str:
    """Why a folder with a name that everybody can guess may be another user's. It is made if it is not there."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
    except OSError as error:
        return f"cannot be made ({error.strerror})"
    if not stat.S_ISDIR(about.st_mode):
        return "is a link"
    if about.st_uid != os.getuid():
        return f"belongs to another user (uid {about.st_uid})"
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written to by others"
    folder.chmod(0o700)
    return ""
