"""Gates for a file that was built already, from what its kernels take today."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from pytest_greta.binaries.kernels import BuiltKernel, read_file
from pytest_greta.compiler.names import qualified
from pytest_greta.errors import ConfigError, shown_path
from pytest_greta.scaffold.draft import GATES, Draft
from pytest_greta.scaffold.layout import Layout
from pytest_greta.scaffold.limits import comment, identifier, lines_of

MOST_KERNELS = 100
"""That are named in gates.yaml; a lock file is for more."""
_TEST = '''\
"""What gates.yaml says of the kernels in files that were built elsewhere."""

import pytest


@pytest.mark.greta({name})
def {test}(greta_artifact):
    greta_artifact.check()
'''


def from_built(layout: Layout, path: Path) -> Draft:
    """An artifact with a gate for each kernel; of more than `MOST_KERNELS`, gates for the worst of all.

    Raises BinaryProblem where the file holds no code of an AMD GPU, ConfigError where there is no kernel in it.
    """
    file = read_file(path, shown_path(path))
    if not file.kernels:
        raise ConfigError(f"{file.name}: no kernel")
    name = identifier(_stem(path.name))
    lines = [*comment(path.name), f"  {name}:"]
    lines += [f"    files: {json.dumps(os.path.relpath(path.resolve(), layout.root))}", "    gates:"]
    notes = list(file.notes)
    named = _by_name(file.kernels)
    if len(named) > MOST_KERNELS:
        named = {"*": list(file.kernels)}
        notes.append(
            f"{len(file.kernels)} kernels: {GATES} holds the worst; for each one: pytest --greta-lock"
        )
    for kernel, some in named.items():
        lines += [f"      {json.dumps(kernel)}:", *lines_of(some, " " * 8)]
    folder = layout.folder(name)
    files = {layout.test_file(folder): _TEST.format(name=json.dumps(name), test=layout.function("built"))}
    return Draft("artifacts", [name], "\n".join(lines) + "\n", folder, files, notes=notes)


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
