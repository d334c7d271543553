"""The kernels of a session: what the conftest files below the root directory register, loaded by pytest yet or not."""

from __future__ import annotations

import fnmatch
import importlib.util
import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.compiler.prebuilt import targets_in
from pytest_greta.contract_family import registration_problems
from pytest_greta.errors import CompileError, ConfigError, raised, shown
from pytest_greta.hookspec import HOOKS

if TYPE_CHECKING:
    import pytest

    from pytest_greta.kernel import Kernel

(HOOK,) = HOOKS


def registered_kernels(config: pytest.Config) -> tuple[list[Kernel], list[str]]:
    """What plugins and conftest files register, and which of these files cannot be imported, a text each. Raises
    ConfigError, also for a hook that fails.

    pytest loads the conftest.py of a folder when it collects there. gates.yaml names kernels of all folders, so those
    that pytest has not loaded yet, or will not in this session, are asked here.
    """
    kernels: dict[str, tuple[Kernel, str]] = {}
    problems: list[str] = []
    unread: list[str] = []
    for place, some in [*_of_plugins(config), *_of_other_conftests(config, unread)]:
        if not isinstance(some, (list, tuple)):
            problems.append(f"{place}: {HOOK} returns a list of kernels, not {shown(some)}")
            continue
        found = list(registration_problems(some)) or list(_code_problems(some))
        problems += (f"{place}: {problem}" for problem in found)
        for kernel in [] if found else some:
            if kernel.name in kernels:
                first = kernels[kernel.name][1]
                problems.append(f"{place}: kernel {kernel.name!r} is registered twice, first in {first}")
            kernels.setdefault(kernel.name, (kernel, place))
    if problems:
        raise ConfigError(*problems)
    return [kernel for kernel, _ in kernels.values()], unread


def _of_plugins(config: pytest.Config) -> Iterator[tuple[str, object]]:
    """What each plugin and loaded conftest file returns, and which one it is. Raises ConfigError."""
    manager = config.pluginmanager
    for hook in config.hook.pytest_greta_kernels.get_hookimpls():
        others = [plugin for plugin in manager.get_plugins() if plugin is not hook.plugin]
        place = _place(config, str(getattr(hook.plugin, "__file__", hook.plugin_name)))
        try:
            returned = manager.subset_hook_caller(HOOK, others)(config=config)
        except KeyboardInterrupt:
            raise
        except (
            BaseException
        ) as error:  # an exit of the process among them, or a skip, which would leave out all gates
            raise ConfigError(f"{place}: {HOOK} failed: {raised(error)}") from error
        yield from ((place, some) for some in returned)


def _place(config: pytest.Config, file: str) -> str:
    """A file below the root directory as messages show it."""
    return (
        str(Path(file).relative_to(config.rootpath)) if Path(file).is_relative_to(config.rootpath) else file
    )


def _code_problems(kernels: Sequence[Kernel]) -> Iterator[str]:
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


def _of_other_conftests(config: pytest.Config, unread: list[str]) -> Iterator[tuple[str, object]]:
    """What the conftest files return that pytest has not loaded. One that fails is `unread`: pytest tells what is wrong
    with it when it collects there.
    """
    loaded = {str(getattr(plugin, "__file__", "")) for plugin in config.pluginmanager.get_plugins()}
    for path in _conftests(config.rootpath, config.getini("norecursedirs")):
        if str(path) in loaded:
            continue
        place = _place(config, str(path))
        try:
            if HOOK not in path.read_text(encoding="utf-8"):
                continue
            spec = importlib.util.spec_from_file_location(f"greta_conftest_{abs(hash(path))}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            hook = getattr(module, HOOK)
            yield place, hook(**({"config": config} if inspect.signature(hook).parameters else {}))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            unread.append(f"{place} cannot be imported: {type(error).__name__}: {error}")


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
