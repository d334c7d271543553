"""Gates for a file that was built already, from what its kernels take today."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pytest_greta.binaries.kernels import BuiltKernel, read_file
from pytest_greta.compiler.names import qualified
from pytest_greta.errors import ConfigError, shown_path
from pytest_greta.scaffold.draft import GATES, Draft, begun_or_new
from pytest_greta.scaffold.layout import Layout
from pytest_greta.scaffold.limits import comment, lines_of
from pytest_greta.scaffold.naming import identifier, numbered, plain, quoted
from pytest_greta.scaffold.placing import placed

MOST_KERNELS = 100
"""That are named in gates.yaml; a lock file is for more."""
_LONGEST_KEY = 1000
"""Characters, with its escapes; YAML reads 1024 of a simple key."""
_TEST = '''\
"""What gates.yaml says of the kernels in files that were built elsewhere."""

import pytest


@pytest.mark.greta({name})
def {test}(greta_artifact):
    greta_artifact.check()
'''


def from_built(layout: Layout, path: Path, taken: Collection[str] = ()) -> Draft:
    """An artifact with a gate for each kernel; of more than `MOST_KERNELS`, gates for the worst of all.

    Raises BinaryProblem where the file holds no code of an AMD GPU, ConfigError where there is no kernel in it. `taken`
    are names of artifacts that the project has.
    """
    file = read_file(path, shown_path(path))
    if not file.kernels:
        raise ConfigError(f"{file.name}: no kernel")
    notes = list(file.notes)
    named = _by_name(file.kernels)
    if len(named) > MOST_KERNELS:
        named = {"*": list(file.kernels)}
        notes.append(
            f"{len(file.kernels)} kernels: {GATES} holds the worst; for each one: pytest --greta-lock"
        )
    files = glob.escape(os.path.relpath(path.resolve(), layout.root.resolve()))
    gates = [f"    files: {quoted(files)}", "    gates:"]
    for kernel, some in named.items():
        gates += [*_key(kernel), *lines_of(some, " " * 8)]
    name = identifier(_stem(path.name))
    return begun_or_new(lambda names: _drafted(layout, path, numbered(name, names), gates, notes), taken)


def _drafted(layout: Layout, path: Path, name: str, gates: Sequence[str], notes: Sequence[str]) -> Draft:
    def files(folder: Path) -> dict[str, str]:
        text = _TEST.format(name=quoted(name), test=layout.function("built"))
        return {layout.test_file(folder): text}

    folder, written = placed(layout, name, files)
    lines = [*comment(path.name), f"  {plain(name)}:", *gates]
    return Draft("artifacts", [name], "\n".join(lines) + "\n", folder, written, notes=notes)


def _key(kernel: str) -> list[str]:
    """A key of YAML, which is on a line of its own where it is too long for one before a colon."""
    text = quoted(kernel)
    return [f"      {text}:"] if len(text) <= _LONGEST_KEY else [f"      ? {text}", "      :"]


def _stem(name: str) -> str:
    """What a file is a file of: `blas` of `libblas.so.3`, the distribution of a wheel."""
    if name.endswith(".whl"):
        return name.partition("-")[0]
    stem, _, suffix = name.partition(".")
    return stem.removeprefix("lib") or stem if suffix.startswith(("so", "a")) else stem


def _by_name(kernels: tuple[BuiltKernel, ...]) -> Mapping[str, list[BuiltKernel]]:
    """Kernels by a pattern that is for them alone: a name without its types, with them where two share the former."""
    full: dict[str, set[str]] = {}
    for kernel in kernels:
        full.setdefault(qualified(kernel.name), set()).add(kernel.name)
    named: dict[str, list[BuiltKernel]] = {}
    for kernel in kernels:
        short = qualified(kernel.name)
        named.setdefault(short if len(full[short]) == 1 else kernel.name, []).append(kernel)
    return named
