"""What a shell completes behind greta's options, where argcomplete asks pytest for it.

pytest hands its parser to argcomplete, which looks for a `completer` on the options
(https://docs.pytest.org/en/stable/how-to/bash-completion.html). Nothing here is imported otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_greta.errors import GretaError

if TYPE_CHECKING:
    import pytest

    from pytest_greta.gates.file import GateFile

Completer = Callable[..., Iterable[str]]


def action_of(
    name: str, metavar: str | None, repeated: bool, manager: pytest.PytestPluginManager
) -> type[argparse.Action]:
    """The action of an option that stores its values, with what completes them."""
    completer = _completer(name, metavar, manager)

    class Completed(argparse.Action):
        def __call__(
            self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
        ) -> None:
            given = values if isinstance(values, list) else [values]
            before = getattr(namespace, self.dest, None) or []
            setattr(namespace, self.dest, [*before, *given] if repeated else values)

    Completed.completer = staticmethod(completer)  # type: ignore[attr-defined]
    return Completed


def _completer(name: str, metavar: str | None, manager: pytest.PytestPluginManager) -> Completer:
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    if name == "variant":
        return _listed(lambda given: _variants(manager.get_plugin("pytestconfig"), given))
    if name == "target":
        return _listed(lambda given: _targets(manager.get_plugin("pytestconfig"), given))
    of_files: Mapping[str | None, Completer] = {
        **dict.fromkeys(("FILE", "PATH", "KEY"), FilesCompleter()),
        "DIR": DirectoriesCompleter(),
    }
    return of_files.get(metavar, lambda **_: ())


def _listed(values: Callable[[Any], Iterator[str]]) -> Completer:
    """Completes the last of several names with commas between, by those that are not among them yet. `values` takes
    what stands in the command line so far.
    """

    def complete(prefix: str, parsed_args: Any = None, **_: Any) -> list[str]:
        before, comma, _last = prefix.rpartition(",")
        found: dict[str, None] = {}
        with suppress(
            Exception
        ):  # of a file of the user's: it is told when tests run, not into a command line
            for value in values(parsed_args):
                found[value] = None
        return [f"{before}{comma}{value}" for value in found if value not in before.split(",")]

    return complete


def _variants(config: Any, given: Any) -> Iterator[str]:
    """The variants of all programs and of all kernels that are registered."""
    for program in _gates(config, given).programs.values():
        yield from program.variants
    from pytest_greta.registration import registered_kernels

    for kernel in registered_kernels(config)[0]:
        yield from (variant.name for variant in kernel.variants)


def _targets(config: Any, given: Any) -> Iterator[str]:
    """The targets of the gates file, then those that share generic code with others."""
    from pytest_greta.compiler.targets import GENERIC

    with suppress(GretaError):
        yield from _gates(config, given).targets
    for generic, processors in GENERIC.items():
        yield from (*processors, generic)


def _gates(config: Any, given: Any) -> GateFile:
    from pytest_greta.gates.file import load

    named = getattr(given, "greta_gates", None) or config.getini("greta_gates") or "gates.yaml"
    return load(config.rootpath / named)
