"""Kernels of a source that nobody has said anything of: their code is gated, what a run takes is left to fill in."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_greta.binaries.kernels import BuiltKernel, read_code
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.codeobject import KernelArgument, read_contents
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.names import qualified
from pytest_greta.errors import CompileError, ConfigError, shown_path
from pytest_greta.scaffold.draft import Draft, begun_or_new
from pytest_greta.scaffold.layout import Layout
from pytest_greta.scaffold.limits import comment, lines_of
from pytest_greta.scaffold.naming import classes, identifier, identifiers, numbered, plain, quoted, within
from pytest_greta.scaffold.placing import placed

MOST_KERNELS = 20
"""Of one source: each becomes a class to fill in."""
_INTEGERS = {1: "np.int8(0)", 2: "np.int16(0)", 4: "np.int32(0)", 8: "np.int64(0)"}

_HEAD = '''\
"""The kernels of {file}, for greta: gates.yaml says what their code may take.

To run them as well, say what goes in and what must come out, where the comments are, and add a test that asks for
`greta_run`. Every method is described in pytest_greta/kernel.py.
"""

import numpy as np

from pytest_greta import Array, Kernel, Launch, Variant

'''
_CLASS = """
class {title}(Kernel):
    name = {name}
    variants = [Variant({variant}, {source}, {entry})]

    # For a run:
    # def inputs(self, problem, rng):
    #     return {{"a": rng.standard_normal(problem.context, np.float32)}}
    #
    # def outputs(self, problem):
    #     return {{"b": Array((problem.context,), np.float32)}}
    #
    # def rows(self, problem):
    #     return (problem.context,)
    #
    # def reference(self, problem, inputs, row):
    #     return {{"b": inputs["a"][row].astype(np.float64)}}

    def workspaces(self, problem, variant):
        # Every pointer, until the methods above say which are inputs and outputs, and what they hold.
        return {{{arrays}}}

    def launch(self, problem, variant):
        # The largest block that the code is for. Grid, block and values are those of your own launch.
        return Launch((1, 1, 1), ({threads}, 1, 1), ({arguments}))

"""
_TAIL = """
def pytest_greta_kernels():
    return [{instances}]
"""
_TEST_HEAD = '"""What gates.yaml says of the kernels in conftest.py."""\n\nimport pytest\n'
_TEST = """

@pytest.mark.greta({name})
def {test}(greta_code):
    greta_code.check()
"""


@dataclass(frozen=True)
class _Found:
    """One kernel of the source, for all targets."""

    identifier: str
    variant: str
    """Named after the source, which tells variants of a kernel apart; of several kernels of one, after the kernel, as
    a line of a verdict says no more.
    """
    entry: str
    threads: int
    arguments: Sequence[KernelArgument]
    built: Sequence[BuiltKernel]


def from_source(layout: Layout, path: Path, targets: Sequence[str], taken: Collection[str] = ()) -> Draft:
    """A class for each kernel, gated by what it takes today. Raises CompileError, ToolMissing, and ConfigError where
    there is no kernel in it. `taken` are names of kernels that the project has.
    """
    codes, notes = _compiled(path, targets)
    kernels = list(_found(codes, path, notes))
    if not kernels:
        raise ConfigError(f"{shown_path(path)}: no kernel whose arguments are known")

    def draft(taken: Collection[str]) -> Draft:
        names = identifiers([one.identifier for one in kernels], taken)
        renamed = [replace(one, identifier=name) for one, name in zip(kernels, names, strict=True)]
        return _drafted(layout, path, renamed, list(codes), notes)

    return begun_or_new(draft, taken)


def _drafted(
    layout: Layout, path: Path, kernels: Sequence[_Found], targets: Sequence[str], notes: Sequence[str]
) -> Draft:
    titles = classes(one.identifier for one in kernels)

    def files(folder: Path) -> dict[str, str]:
        source = os.path.relpath(path.resolve(), folder.resolve())
        parts, tests = [_HEAD.format(file=within(path.name))], [_TEST_HEAD]
        for one, title in zip(kernels, titles, strict=True):
            parts.append(_class(one, title, source))
            test = layout.function(f"{one.identifier}_code")
            tests.append(_TEST.format(name=quoted(one.identifier), test=test))
        parts.append(_TAIL.format(instances=", ".join(f"{title}()" for title in titles)))
        return {"conftest.py": "".join(parts), layout.test_file(folder): "".join(tests)}

    lines = [*comment(path.name)]
    for one in kernels:
        lines += [
            f"  {plain(one.identifier)}:",
            f"    baseline: {plain(one.variant)}",
            "    gates:",
            '      "*":',
            *lines_of(one.built, " " * 8),
        ]
    folder, written = placed(layout, identifier(path.stem), files)
    names = [one.identifier for one in kernels]
    return Draft("kernels", names, "\n".join(lines) + "\n", folder, written, targets, notes)


def _compiled(path: Path, targets: Sequence[str]) -> tuple[Mapping[str, bytes], list[str]]:
    """Code by target, and for which it does not compile. Raises CompileError where it does for none."""
    codes, notes, last = {}, [], None
    with TemporaryDirectory() as folder:
        compiler = Compiler(Path(folder))
        compiler.submit(Job(path.absolute(), target) for target in targets)
        try:
            for target in targets:
                try:
                    codes[target] = compiler.compile(Job(path.absolute(), target)).code
                except CompileError as error:  # noqa: PERF203 - some targets are enough
                    last = error
                    notes.append(f"{path.name} does not compile for {target}, which is left out")
        finally:
            compiler.close()
    if last is not None and not codes:
        raise last
    return codes, notes


def _found(codes: Mapping[str, bytes], path: Path, notes: list[str]) -> Iterator[_Found]:
    file_name = shown_path(path)
    file = read_code(codes, file_name)
    by_symbol: dict[str, list[BuiltKernel]] = {}
    for kernel in file.kernels:
        by_symbol.setdefault(kernel.symbol, []).append(kernel)
    taken = {symbol: one for code in codes.values() for symbol, one in read_contents(code).kernels.items()}
    notes += file.notes
    if len(by_symbol) > MOST_KERNELS:
        notes.append(f"{file_name} has {len(by_symbol)} kernels; the first {MOST_KERNELS} are taken")
    known: list[str] = []
    for symbol, some in list(by_symbol.items())[:MOST_KERNELS]:
        arguments = taken[symbol].arguments
        if arguments is None:
            notes.append(f"{some[0].name} is left out: its code does not say what it takes")
            continue
        is_shared = sum(qualified(b[0].name) == qualified(some[0].name) for b in by_symbol.values()) > 1
        entry = symbol if is_shared else qualified(some[0].name)
        name = numbered(identifier(qualified(some[0].name)), known)
        known.append(name)
        variant = identifier(path.stem) if len(by_symbol) == 1 else name
        yield _Found(name, variant, entry, min(k.block_threads for k in some), arguments, some)


def _class(one: _Found, title: str, source: str) -> str:
    given, pointers = [], []
    for number, argument in enumerate(one.arguments, 1):
        if argument.is_pointer:
            pointers.append(f"p{number}")
            given.append(f'"p{number}"')
        else:
            given.append(_value(argument.size))
    arrays = ", ".join(f'"{name}": Array((1,), np.uint8)' for name in pointers)
    return _CLASS.format(
        title=title,
        name=quoted(one.identifier),
        variant=quoted(one.variant),
        source=quoted(source),
        entry=quoted(one.entry),
        arrays=arrays,
        threads=one.threads,
        arguments=", ".join(given) + ("," if len(given) == 1 else ""),
    )


def _value(size: int) -> str:
    """A value of so many bytes."""
    return _INTEGERS.get(size) or f"np.void(bytes({size}))"
