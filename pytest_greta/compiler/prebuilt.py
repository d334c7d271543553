"""Code that was compiled elsewhere: which targets a file holds, and the code for one of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from pytest_greta.compiler.bundles import COMPRESSED, PLAIN
from pytest_greta.compiler.codeobject import CodeObject, code_by_target, read_resources
from pytest_greta.compiler.targets import processor, runs_on
from pytest_greta.errors import CompileError, GretaError
from pytest_greta.gates.scopes import covers

_ELF = b"\x7fELF"
"""What a file begins with."""


def targets_in(path: Path) -> list[str]:
    """The targets that a file holds code for. Raises CompileError, one line, where it holds none."""
    with _reading(path):
        state = path.stat()
    return list(_targets(path, (state.st_mtime_ns, state.st_size)))


@lru_cache
def _targets(path: Path, _state: tuple[int, int]) -> tuple[str, ...]:
    """The same for one state of the file: every case of a variant asks."""
    return tuple(_held(path))


def is_held(targets: Collection[str], target: str) -> bool:
    """Whether code for these targets is for a device, or for a target of gates.yaml: `gfx90a` is for any `gfx90a:...`,
    and the other way round; `gfx9-4-generic` is for any `gfx942`.
    """
    return any(runs_on(held, target) or covers(target, held) for held in targets)


def prebuilt(path: Path, target: str) -> CodeObject:
    """The code in a file for a target, as it is. Of several that could run, what the runtime takes: code for the
    processor itself before a generic one's, and of that the one that names most features. Raises CompileError where
    there is none, or it cannot be read.
    """
    held = _held(path)
    own = processor(target)
    runs = [one for one in held if runs_on(one, target)]
    runs.sort(key=lambda one: (processor(one) != own, -one.count(":")))
    found = runs[:1] or [one for one in held if covers(target, one)]
    if not found:
        raise CompileError(f"{path.name} holds code for {', '.join(held)}, none for {target}")
    if len(found) > 1:
        several = f"{path.name} holds code for {' and '.join(found)}"
        raise CompileError(f"{several}: name one of them as the target, {target} may be each")
    code = held[found[0]]
    try:
        return CodeObject(target, code, read_resources(code), cached=True)
    except GretaError as error:
        raise CompileError(f"{path.name}: {error}") from error


def _held(path: Path) -> dict[str, bytes]:
    """The code objects in a file by target. What a bundle calls an entry must be what the code in it states."""
    with _reading(path):
        data = path.read_bytes()
        if not data.startswith((_ELF, PLAIN, COMPRESSED)):
            raise GretaError("is no code object: neither an ELF nor a clang offload bundle")
        held = code_by_target(data)
        if not data.startswith(_ELF):
            for label, code in held.items():
                (stated,) = code_by_target(code)
                refuse_other_code(label, stated)
        return held


def refuse_other_code(label: str, stated: str) -> None:
    """Raise GretaError where a bundle calls code for a target what the code in it states another target for."""
    if not is_held([stated], label):
        raise GretaError(f"has an entry for {label} that holds code for {stated}")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CompileError(f"{path.name} cannot be read: {error.strerror}") from error
    except GretaError as error:
        raise CompileError(f"{path.name}: {error}") from error
