"""Which commits came before the one that is checked out, as git knows."""

from __future__ import annotations

import subprocess
from functools import cache, cached_property
from pathlib import Path

UNVERSIONED = "unversioned"
"""What pytest-benchmark calls the commit of a folder without version control."""

SHALLOW = (
    "the checkout is shallow, so git cannot tell which runs came before it: fetch all of it (fetch-depth: 0)"
)


class Commits:
    """The commits of a checkout; `head` is what pytest-benchmark calls the one that is checked out."""

    def __init__(self, folder: Path, head: str) -> None:
        self._folder, self._head = folder, head
        self.is_before = cache(self._is_before)
        """Whether a commit is the one that is checked out, or an ancestor of it."""

    def _is_before(self, commit: str) -> bool:
        if commit == self._head or self._head == UNVERSIONED:
            return True
        return self._git("merge-base", "--is-ancestor", commit, "HEAD") == (0, "")

    @cached_property
    def is_shallow(self) -> bool:
        """Whether older commits are not there."""
        return self._git("rev-parse", "--is-shallow-repository") == (0, "true")

    def _git(self, *arguments: str) -> tuple[int, str]:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=self._folder, capture_output=True, text=True, check=False, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return 1, ""
        return done.returncode, done.stdout.strip()
