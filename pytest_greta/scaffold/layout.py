"""Where a project keeps its tests: pytest is asked, in a process of its own. There this is the plugin that answers."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.errors import ConfigError, shown_path

if TYPE_CHECKING:
    import pytest

_MARK = "greta-layout "
_COLLECTED = "pytest_greta.scaffold.collected"
_INI = ("testpaths", "python_files", "python_functions")
"""What of the configuration says where tests are, in the order of `Layout`."""
_USAGE_ERROR = 4
"""Exit code of pytest."""
_DEADLINE_SECONDS = 60.0
FOLDER = "gpu"
"""The folder of greta's tests."""


@dataclass(frozen=True)
class Layout:
    """A project as pytest sees it."""

    root: Path
    """Its folder."""
    ini: Path | None = None
    """The file that configures pytest; None where there is none."""
    testpaths: tuple[str, ...] = ()
    """Where tests are looked for; anywhere where there are none."""
    python_files: tuple[str, ...] = ("test_*.py", "*_test.py")
    python_functions: tuple[str, ...] = ("test",)

    @property
    def tests(self) -> Path:
        """The folder that tests are looked for in: the first of several. Raises ConfigError where it is outside."""
        found = [path for name in self.testpaths if (path := self.root / name).is_dir()]
        if not found:
            return self.root
        inside = next((path for path in map(self._inside, found) if path), None)
        if inside is None:
            where = f"testpaths has {found[0].resolve()}, outside of the project {self.root}"
            raise ConfigError(f"{where}: init writes nothing there; add a folder of the project to it")
        return inside

    def _inside(self, path: Path) -> Path | None:
        """A path below the root, with no `..` in it; None for one that leads elsewhere."""
        root, real, plain = self.root.resolve(), path.resolve(), Path(os.path.normpath(path))
        if not real.is_relative_to(root):
            return None
        return plain if plain.is_relative_to(self.root) else self.root / real.relative_to(root)

    @property
    def repository(self) -> Path:
        """The root of the git repository that the project lies in; the project's folder where it lies in none."""
        return next((path for path in (self.root, *self.root.parents) if (path / ".git").exists()), self.root)

    def function(self, what: str) -> str:
        """A name of a test, one that pytest collects: `check_run` where `python_functions` has `check_*`."""
        for pattern in (one for one in self.python_functions if one.count("*") <= 1):
            name = re.sub(
                "__+", "_", (pattern if "*" in pattern else f"{pattern}*").replace("*", f"_{what}_")
            )
            name = name.strip("_")
            if name.isidentifier() and (name.startswith(pattern) or fnmatch.fnmatchcase(name, pattern)):
                return name
        return f"test_{what}"

    def test_file(self, folder: Path) -> str:
        """A name of the file with the tests of a folder: one that pytest collects, and that no other folder has."""
        pattern = next((one for one in self.python_files if one.count("*") == 1), "test_*.py")
        return Path(pattern).name.replace("*", f"{folder.name}_gates")

    def folders(self, stem: str = "") -> list[Path]:
        """Where greta's tests may be put, the best first. Raises ConfigError."""
        return [self.tests / name for name in (FOLDER, *([f"{FOLDER}_{stem}"] if stem else []))]


def ask_pytest(root: Path) -> Layout:
    """The layout of the project in a folder. Raises ConfigError where pytest does not start there, or where the folder
    is a part of another project.
    """
    said, last = _asked(root, "--noconftest", "-p", __name__)
    if not said:  # an option of the configuration may be one that a conftest file declares
        said, last = _asked(root, "-p", __name__)
    if not said:
        raise ConfigError(f"pytest does not start in {root}: {last}")
    found = json.loads(said)
    ini = Path(found["ini"]) if found["ini"] else None
    if ini is not None and ini.parent != root:
        raise ConfigError(f"{root} is a part of the project that {ini} configures: run this in {ini.parent}")
    return Layout(root, ini, *(tuple(found[name]) for name in _INI))


def _asked(root: Path, *options: str) -> tuple[str, str]:
    """What the plugin says; nothing where pytest does not start, and the last line of what it says in its place."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options],
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_SECONDS,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {_DEADLINE_SECONDS:g} s"
    said = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    told = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    first = next((line for line in told if re.search("error: |^ERROR: ", line)), (told or [""])[-1])
    is_refused = done.returncode == _USAGE_ERROR
    return said[-1] if said and not is_refused else "", first.removeprefix("ERROR: ")


def uncollected(layout: Layout, path: Path) -> str:
    """Why a plain `pytest` runs no test of a file of the project, or does not start; empty where it runs them."""
    said, last = _asked(layout.root, "--collect-only", "-p", _COLLECTED)
    if not said:
        return f"pytest refuses the project: {last}"
    if str(path) in json.loads(said):
        return ""
    wanted = {name: getattr(layout, name) for name in _INI}
    told = [f"{name} = {' '.join(value) or '(none)'}" for name, value in wanted.items()]
    return f"pytest collects no test of {shown_path(path)}; the project has " + ", ".join(told)


def pytest_cmdline_main(config: pytest.Config) -> int:
    """Say what the configuration is, and run nothing."""
    found = {name: config.getini(name) for name in _INI}
    say({"ini": str(config.inipath) if config.inipath else "", **found})
    return 0


def say(found: object) -> None:
    """Answer, whatever captures what is printed."""
    os.write(1, f"\n{_MARK}{json.dumps(found)}\n".encode())
