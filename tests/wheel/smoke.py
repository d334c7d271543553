"""The wheel, from an empty environment, without the clone: `python tests/wheel/smoke.py dist/*.whl --extra cpu`.

An environment is made with the Python that runs this, and the wheel is installed there. Then, in a folder that has
nothing of the clone: `greta doctor`, `greta explain`, `greta init` and pytest on what it wrote; with --main also the
gates of this repository's kernels, for what CI compiles and runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
KERNELS = ("kernels", "tests/gates", "gates.yaml", "conftest.py")
"""What this repository's own gates take of it."""
INI = "[pytest]\npythonpath = .\ntestpaths = tests/gates\naddopts = --import-mode=importlib\nfilterwarnings = error\n"
CARRIED = (
    "py.typed",
    "gates.schema.json",
    "summary.schema.json",
    "include/hip/hip_runtime.h",
    "device/queue.hip",
    "report/page.html.j2",
    "report/page.css",
    "scaffold/example/conftest.py-tpl",
)
CAN = {"": "", "compile": "code", "cpu": "code cpu"}
"""By extra, what a machine without ROCm can do."""


class Environment:
    """An empty environment with the wheel in it, and a folder to work in."""

    def __init__(self, root: Path, wheel: Path, extra: str, pytest: str) -> None:
        self.root, self.bin = root, root / "venv" / "bin"
        venv.create(root / "venv", with_pip=True)
        wanted = [f"{wheel}[{extra}]" if extra else str(wheel)]
        wanted += [] if pytest == "newest" else [f"pytest=={pytest}.*"]
        self.run(root, "python", "-m", "pip", "install", "-q", *wanted)

    def run(self, folder: Path, program: str, *arguments: str, code: int = 0) -> str:
        """What a program of the environment prints. Raises SystemExit where it ends with another code."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST_"))
        }
        command = [str(self.bin / program), *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=kept)
        told = f"$ {program} {' '.join(arguments)}"
        sys.stdout.write(f"{told}: {done.returncode}\n")
        sys.stdout.flush()
        if done.returncode != code:
            raise SystemExit(f"{told}: exit code {done.returncode}, not {code}\n{done.stdout}{done.stderr}")
        return done.stdout

    def folder(self, name: str) -> Path:
        """A new folder."""
        path = self.root / name
        path.mkdir()
        return path


def main() -> None:
    """Try the wheel. Ends with a line that says what was wrong, and exit code 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--extra", choices=list(CAN), default="")
    parser.add_argument("--pytest", default="newest", metavar="VERSION", help="for example 8.4 [newest]")
    parser.add_argument("--main", type=Path, metavar="XML", help="this repository's gates too, as JUnit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="greta-wheel-") as name:
        environment = Environment(Path(name), options.wheel.resolve(), options.extra, options.pytest)
        _carries(options.wheel)
        _is_the_wheels(environment)
        _works(environment, options.extra)
        if options.main:
            _main_job(environment, options.main.resolve())
    sys.stdout.write("the wheel works\n")


def _carries(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    missing = [name for name in CARRIED if f"pytest_greta/{name}" not in names]
    strange = [name for name in names if name.split("/")[0].partition("-")[0] != "pytest_greta"]
    if missing or strange:
        raise SystemExit(f"{wheel}: without {missing}, with {strange}")


def _is_the_wheels(environment: Environment) -> None:
    versions = "g.__version__, m.version('pytest-greta')"
    show = f"import importlib.metadata as m, pytest_greta as g; print(g.__file__, {versions})"
    file, version, stated = environment.run(environment.root, "python", "-c", show).split()
    if not file.startswith(str(environment.root)) or version != stated:
        raise SystemExit(f"{file} {version} is not what was installed, {stated}")
    if environment.run(environment.root, "greta", "--version").split() != ["pytest-greta", version]:
        raise SystemExit("greta --version says something else")


def _works(environment: Environment, extra: str) -> None:
    empty = environment.folder("empty")
    said = json.loads(environment.run(empty, "greta", "doctor", "--json", code=0 if CAN[extra] else 1))
    able = {name for name, is_able in said["can"].items() if is_able}
    if not set(CAN[extra].split()) <= able:
        raise SystemExit(f"with the extra {extra!r} this machine can {able}")
    environment.run(empty, "greta", "explain", "vgprs")
    environment.run(empty, "greta", "init")
    printed = environment.run(empty, "python", "-m", "pytest", "-Werror", "-rs")
    _outcomes(printed, passed=8 if "cpu" in able else 6 if "code" in able else 0, of=8)
    if "code" in able:
        other = environment.folder("other")
        shutil.copy(empty / "gpu" / "scale.hip", other / "mine.hip")
        environment.run(other, "greta", "init", "--from", "mine.hip")
        _outcomes(environment.run(other, "python", "-m", "pytest", "-Werror"), passed=3, of=3)


def _outcomes(printed: str, passed: int, of: int) -> None:
    counts = {
        what: int(count) for count, what in re.findall(r"(\d+) (passed|skipped)", printed.splitlines()[-1])
    }
    if counts.get("passed", 0) != passed or counts.get("skipped", 0) != of - passed:
        raise SystemExit(f"{passed} of {of} tests should have passed, the others been skipped:\n{printed}")


def _main_job(environment: Environment, xml: Path) -> None:
    project = environment.folder("project")
    for name in KERNELS:
        path = CLONE / name
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, project / name)
    (project / "pytest.ini").write_text(INI)
    printed = environment.run(project, "pytest", "--greta-require=cpu", f"--junitxml={xml}")
    sys.stdout.write(printed.splitlines()[-1] + "\n")


if __name__ == "__main__":
    main()
