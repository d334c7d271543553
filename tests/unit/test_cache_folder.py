"""Compiled code is kept where no other user can have put any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_greta.compiler.cache_folder import cache_folder

OTHER = 54321
"""The id of another user."""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder for temporary files."""
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    """A folder of the project."""
    (tmp_path / "wanted").mkdir(mode=0o755)
    return tmp_path / "wanted"


def own(temporary: Path) -> Path:
    """The folder whose name everybody can guess."""
    return temporary / f"pytest-greta-{os.getuid()}"


def test_the_folder_that_is_wanted_is_taken(wanted: Path, temporary: Path) -> None:
    found = cache_folder(wanted, temporary)
    assert (found.path, found.note, found.is_kept) == (wanted, "", True)
    assert list(temporary.iterdir()) == []


def test_without_one_a_folder_of_this_user_is_made_and_taken_again(temporary: Path) -> None:
    old = os.umask(0)
    try:
        first = cache_folder(None, temporary)
    finally:
        os.umask(old)
    assert (first.path, first.note, first.is_kept) == (own(temporary), "", True)
    assert first.path.stat().st_mode & 0o777 == 0o700
    assert cache_folder(None, temporary) == first


def test_one_that_others_could_read_is_closed_to_them(temporary: Path) -> None:
    own(temporary).mkdir(mode=0o755)
    assert cache_folder(None, temporary).path == own(temporary)
    assert own(temporary).stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_user_is_not_taken(
    wanted: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: OTHER)
    if wanted.stat().st_uid == 0:  # root may write anywhere, and is trusted
        assert cache_folder(wanted, temporary).path == wanted
        os.chown(wanted, OTHER + 1, -1)
    found = cache_folder(wanted, temporary)
    assert found.path != wanted
    owner = wanted.stat().st_uid
    reason = f"compiled code is not kept in {wanted}, which belongs to another user (uid {owner})"
    assert found.note == reason or found.note.startswith("compiled code is kept for this session only: ")


def test_a_folder_that_everybody_can_write_to_is_not_taken(wanted: Path, temporary: Path) -> None:
    wanted.chmod(0o777)
    found = cache_folder(wanted, temporary)
    assert (found.path, found.is_kept) == (own(temporary), True)
    assert found.note == f"compiled code is not kept in {wanted}, which everybody can write to"


@pytest.mark.parametrize(
    ("prepared", "why"),
    [
        ("open", "can be written to by others"),
        ("open to a group", "can be written to by others"),
        ("link", "is a link"),
        ("file", "cannot be made (File exists)"),
        ("of another", f"belongs to another user (uid {OTHER})"),
    ],
)
def test_a_prepared_folder_is_not_taken(temporary: Path, tmp_path: Path, prepared: str, why: str) -> None:
    if prepared.startswith("open"):
        own(temporary).mkdir()
        own(temporary).chmod(0o770 if "group" in prepared else 0o757)
    elif prepared == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        own(temporary).symlink_to(tmp_path / "elsewhere")
    elif prepared == "file":
        own(temporary).write_text("")
    else:
        if os.getuid() != 0:
            pytest.skip("only root can give a folder away")
        own(temporary).mkdir(mode=0o700)
        os.chown(own(temporary), OTHER, -1)
    found = cache_folder(None, temporary)
    assert found.path.parent == temporary
    assert found.path != own(temporary)
    assert found.path.stat().st_mode & 0o777 == 0o700
    assert not found.is_kept
    assert found.note == f"compiled code is kept for this session only: {own(temporary)} {why}"
    assert cache_folder(None, temporary).path != found.path
