"""The entries of gates.yaml that a whole session should evaluate, and those that no test of it did."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytest_greta import contract
from pytest_greta.errors import ConfigError, GretaError
from pytest_greta.gates.model import Status
from pytest_greta.options import read_options
from pytest_greta.problems import is_not_for, program_problems
from pytest_greta.records.due import OF_EVERY_RUN, Entry
from pytest_greta.stash import EXPECTED, get_session, tell_controller

if TYPE_CHECKING:
    from pytest_greta.gates.model import Gate
    from pytest_greta.kernel import Kernel, Variant
    from pytest_greta.session import Session
    from pytest_greta.table import Row


def keep_expected(config: pytest.Config) -> None:
    """Keep what a whole session evaluates, of which this may be a part; a worker of xdist tells the controller."""
    session = get_session(config)
    if is_narrowed(config) or session.options.calibrate:
        return
    config.stash[EXPECTED] = expected(session)
    tell_controller(config, "greta_expected", [list(entry) for entry in config.stash[EXPECTED]])


def is_narrowed(config: pytest.Config) -> bool:
    """Whether only some of the tests were asked for, or of what they test: what other machines test was too."""
    options = read_options(config)
    pytests = ("keyword", "markexpr", "deselect", "lf", "stepwise", "collectonly", "setuponly", "setupplan")
    return (
        config.args_source is pytest.Config.ArgsSource.ARGS
        or any(config.getoption(name, None) for name in pytests)
        or bool(options.contexts or options.axes or options.variants or options.targets)
    )


def uncompared(rows: Sequence[Row], is_part: bool) -> str:
    """Why a session was compared with no accepted run, and what to do; empty where it was. A part of a session may have
    no gate `regression`.
    """
    found = [row for row in rows if row.name == "regression"]
    if any(row.status != Status.NOT_MEASURED.value for row in found) or (is_part and not found):
        return ""
    why = list(dict.fromkeys(row.reason for row in found))
    more = f" (and {len(why) - 1} more in the table)" if len(why) > 1 else ""
    if not found:
        return "no test evaluated a gate `regression`: gates.yaml has to ask for it (regression: 1.05)"
    return (
        f"no gate `regression` was held against an accepted run: {why[0]}{more}; a first run, before any was accepted, "
        "goes without --greta-require-regression"
    )


def is_due_without_tests(config: pytest.Config, problems: list[str]) -> bool:
    """Whether a session that requires something, or records, and has no test of greta should have some; what keeps that
    from being known is added to `problems`.
    """
    if is_narrowed(config):
        return False
    try:
        get_session(config)
    except ConfigError as error:
        problems += error.problems
    return not problems


def expected(session: Session) -> list[Entry]:
    """What the tests of all kernels evaluate on this device and for these targets, in the order of the file."""
    found: dict[Entry, int] = {}
    for kernel in session.kernels.values():
        if kernel.name in session.gate_file.kernels:
            gates = (gate for gate in _gates(session, kernel) if gate.line or gate.name == OF_EVERY_RUN)
            found |= {(kernel.name, gate.place, gate.text): gate.line for gate in gates}
    for artifact in session.gate_file.artifacts.values():
        found |= {(artifact.name, gate.place, gate.text): gate.line for gate in artifact.gates}
        if not artifact.gates:
            found[artifact.name, f"reads artifact {artifact.name!r}", ""] = artifact.position.line
    for name, program in session.gate_file.programs.items():
        of_cases = (
            gate
            for problem in program_problems(program, None, {})
            for variant in program.variants
            for gate in program.gates_for(variant, problem)
        )
        in_file = {(name, gate.place, gate.text): gate.line for gate in of_cases if gate.line}
        found |= in_file or {(name, f"runs program {name!r}", ""): program.position.line}
    return sorted(found, key=lambda entry: found[entry])


def left_of(wanted: Iterable[Entry], rows: Sequence[Row], subjects: Collection[str]) -> list[Entry]:
    """The entries that no row is about, and the kernels that no test runs. What a test could not evaluate, it says
    itself. `subjects` are the kernels, artifacts and programs that tests were about.
    """
    seen = {(row.kernel, row.place, row.gate) for row in rows}
    stopped = {row.kernel for row in rows if not row.place}
    return [
        (kernel, place, condition)
        for kernel, place, condition in wanted
        if not ((kernel, place, condition) in seen or kernel in stopped)
        and (condition or kernel not in subjects)
    ]


def _gates(session: Session, kernel: Kernel) -> Iterator[Gate]:
    try:
        problems = session.problems(kernel)
    except ConfigError:  # none is listed: a test of it says so
        problems = []
    for variant in kernel.variants:
        with suppress(GretaError):  # a mistake of the author, which the variant's own tests say
            yield from _gates_of_code(session, kernel, variant)
            if kernel.name not in session.runner.not_here:
                for problem in problems:
                    if not contract.refusal(kernel, problem, variant):
                        yield from session.planner.gates_of_kind(kernel, variant, problem)


def _gates_of_code(session: Session, kernel: Kernel, variant: Variant) -> Iterator[Gate]:
    for target in session.targets:
        if not is_not_for(kernel, variant, target):
            for group in session.code_problems(kernel, variant):
                yield from session.gate_file.gates_for(
                    kernel.name, variant.name, target=target, problems=group
                )
