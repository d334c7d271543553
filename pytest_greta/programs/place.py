"""Where a program runs: its words, environment and folder for a problem, and what has to be there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_greta.device.session_device import SERIALIZED
from pytest_greta.errors import ProgramBlocked, ProgramMistake, quote
from pytest_greta.gates.programs import ProgramEntry
from pytest_greta.gates.templates import fill
from pytest_greta.kernel import Problem
from pytest_greta.programs.journal import digest_of


@dataclass(frozen=True)
class Invocation:
    """One command for one problem, with nothing left to fill in."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    """What is set besides what is inherited."""
    folder: Path
    on: str
    """`ssh://host`, or empty."""

    def identity(self) -> dict[str, Any]:
        """What tells it from others, but for what is in its files."""
        environment = dict(self.environment)
        return {"words": self.words, "environment": environment, "folder": str(self.folder), "on": self.on}

    def asked(self) -> dict[str, str]:
        """What the program is asked to do, whatever it is called and wherever it lies: readable, for history."""
        environment = " ".join(f"{name}={value}" for name, value in sorted(self.environment.items()))
        return {"arguments": " ".join(self.words[1:]), "environment": environment}

    def files(self) -> dict[str, str]:
        """The digests of the program and of every file that its words name; none on another node."""
        found = [shutil.which(self.words[0]) or self.words[0], *self.words[1:]]
        return (
            {} if self.on else {word: digest_of(self.folder / word) for word in found if self._is_file(word)}
        )

    def _is_file(self, word: str) -> bool:
        try:
            return (self.folder / word).is_file()
        except (OSError, ValueError):  # a word that is no path: too long, with a null character
            return False


def invocation_of(
    entry: ProgramEntry, variant: str, problem: Problem, base: Path, serialize: bool
) -> Invocation:
    """The command of a variant for a problem. `base` is the folder of the gates file."""
    values, command = entry.values(variant, problem), entry.variants[variant]
    environment = {**entry.environment, **command.environment}
    filled = {name: fill(text, values) for name, text in environment.items()}
    folder = fill(entry.folder, values)
    return Invocation(
        tuple(fill(word, values) for word in command.words),
        {**filled, **(SERIALIZED if serialize else {})},
        Path(folder) if entry.on else base / folder,
        entry.on,
    )


def check_here(invocation: Invocation, program: str) -> tuple[str, ...]:
    """The words with the program's own path. Raises ProgramBlocked where it, or its folder, is not there."""
    name, folder = invocation.words[0], invocation.folder
    if not folder.is_dir():
        raise ProgramBlocked(f"program {quote(program)}: there is no folder {folder}")
    if os.sep in name:
        path: Path | None = folder / name
        where = str(folder / name)
    else:
        search = invocation.environment.get("PATH", os.environ.get("PATH"))
        found = shutil.which(name, path=search)
        path, where = (Path(found) if found else None), f"{name} in PATH"
    if path is None or not path.is_file():
        raise ProgramBlocked(f"program {quote(program)} is missing: looked for {where}")
    if not os.access(path, os.X_OK):
        raise ProgramBlocked(f"program {quote(program)}: {path} may not be executed")
    return (str(path.absolute()), *invocation.words[1:])


def check_model(entry: ProgramEntry, variant: str, problem: Problem, base: Path) -> None:
    """Hold a model's own context limit against the context. Raises ProgramMistake where it is too short, ProgramBlocked
    where that cannot be known.
    """
    if not entry.model:
        return
    from pytest_greta.programs.gguf_file import context_limit

    path = base / fill(entry.model, entry.values(variant, problem))
    name, limit = context_limit(path)
    if problem.context > limit:
        raise ProgramMistake(
            f"{path.name} is made for a context of {limit} ({name}), and {problem.context} is asked for: it was not run"
        )
