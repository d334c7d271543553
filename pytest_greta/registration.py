"""The kernels of a session: what the conftest files below the root directory register, loaded by pytest yet or not."""

from __future__ import annotations

import fnmatch
import importlib.util
import inspect
import os
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.compiler.prebuilt import targets_in
from pytest_greta.contract import registration_problems
from pytest_greta.errors import CompileError, ConfigError

if TYPE_CHECKING:
    import pytest

    from pytest_greta.kernel import Kernel

HOOK = "pytest_greta_kernels"


def registered_kernels(config: pytest.Config) -> list[Kernel]:
    """What plugins and conftest files register. Raises ConfigError, also for a hook that fails.

    pytest loads the conftest.py of a folder when it collects there. gates.yaml names kernels of all folders, so those
    that pytest has not loaded yet, or will not in this session, are asked here.
    """
    try:
        returned = config.hook.pytest_greta_kernels(config=config)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        raise ConfigError(f"{HOOK} failed: {what}") from error
    kernels: list[Kernel] = []
    for some in [*returned, *_of_other_conftests(config)]:
        if not isinstance(some, (list, tuple)):
            raise ConfigError(f"{HOOK} returns a list of kernels, not {some!r}")
        kernels += some
    problems = list(registration_problems(kernels)) or list(_code_problems(kernels))
    if problems:
        raise ConfigError(*problems)
    return kernels


def _code_problems(kernels: list[Kernel]) -> Iterator[str]:
    """The files of code compiled elsewhere that cannot be read, a line each."""
    for kernel in kernels:
        for variant in kernel.variants:
            problem = _unreadable(kernel.source_path(variant)) if variant.code else ""
            if problem:
                yield f"kernel {kernel.name!r}: variant {variant.name!r}: {problem}"


def _unreadable(code: Path) -> str:
    try:
        targets_in(code)
    except CompileError as error:
        return str(error)
    return ""


def _of_other_conftests(config: pytest.Config) -> Iterator[object]:
    loaded = {str(getattr(plugin, "__file__", "")) for plugin in config.pluginmanager.get_plugins()}
    for path in _conftests(config.rootpath, config.getini("norecursedirs")):
        if str(path) in loaded:
            continue
        with suppress(Exception):  # pytest tells what is wrong with it when it collects there
            if HOOK not in path.read_text(encoding="utf-8"):
                continue
            spec = importlib.util.spec_from_file_location(f"greta_conftest_{abs(hash(path))}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            hook = getattr(module, HOOK)
            yield hook(**({"config": config} if inspect.signature(hook).parameters else {}))


def _conftests(root: Path, left_out: list[str]) -> Iterator[Path]:
    """Every conftest.py where pytest would collect: no hidden folder, no virtual environment, no `norecursedirs`."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(
            name
            for name in names
            if not any(fnmatch.fnmatch(name, pattern) for pattern in left_out)
            and not name.startswith((".", "__pycache__"))
            and not Path(folder, name, "pyvenv.cfg").exists()
        )
        if "conftest.py" in files:
            yield Path(folder, "conftest.py")
