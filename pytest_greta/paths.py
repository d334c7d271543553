"""Where the files of a session are: those that options name, and those in pytest's cache."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.errors import ConfigError
from pytest_greta.options import OPTIONS

if TYPE_CHECKING:
    import pytest


def gates_path(config: pytest.Config) -> Path:
    """The gates file: that of the option `gates`, else gates.yaml in the root directory."""
    return path_of(config, "gates") or config.rootpath / "gates.yaml"


def gates_digest(config: pytest.Config) -> str:
    """SHA-256 of the gates file; empty where it cannot be read."""
    with suppress(OSError):
        return hashlib.sha256(gates_path(config).read_bytes()).hexdigest()
    return ""


def path_of(config: pytest.Config, option: str) -> Path | None:
    """The file that an option names: that of the command line, from where pytest was called; that of the ini file, from
    its folder.
    """
    return next(iter(paths_of(config, option)), None)


def paths_of(config: pytest.Config, option: str) -> list[Path]:
    """The files that an option names, of one that takes several."""
    folder, named = config.invocation_params.dir, config.getoption(OPTIONS[option].ini)
    if not named and OPTIONS[option].has_ini:
        folder = config.inipath.parent if config.inipath else config.rootpath
        named = config.getini(OPTIONS[option].ini)
    return [folder / str(one) for one in ([named] if isinstance(named, str) else named or ()) if one]


def check_outputs(config: pytest.Config) -> None:
    """Raises ConfigError where what is written at the end cannot be: before anything is measured for it."""
    problems = list[str]()
    for option in ("summary", "code-quality"):
        path = path_of(config, option)
        if path is None:
            continue
        from pytest_greta.compiler.cache import NO_FILE, is_special

        flag, path = OPTIONS[option].flag, path.resolve()
        if is_special(path):
            problems.append(f"{flag}: {path} {NO_FILE}")
        elif path in [one.resolve() for one in paths_of(config, "replay")]:
            problems.append(f"{flag}: {path} is a file of --greta-replay, which it would take the place of")
    folder = path_of(config, "report")
    if folder is not None and folder.exists() and not folder.is_dir():
        problems.append(f"{OPTIONS['report'].flag}: {folder} is no folder")
    if problems:
        raise ConfigError(*problems)


def journal_path(config: pytest.Config) -> Path | None:
    """Where finished runs of programs are kept; None where pytest's cache is switched off or cannot be written."""
    cache = getattr(config, "cache", None)
    with suppress(OSError):
        return None if cache is None else Path(cache.mkdir("greta-programs")) / "journal.jsonl"
    return None
