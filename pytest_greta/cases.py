"""The cases of a test: what it is parametrised with, or what stands in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_greta.errors import ConfigError, MarkerMistake, shown_path
from pytest_greta.fixtures import NothingToTest
from pytest_greta.stash import COLLECTED, PROBLEMS, get_session, kernel_of, name_in_marker

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Variant
    from pytest_greta.session import Session

ARTIFACT = "greta_artifact"
PROGRAM = "greta_program"
AXES = ("greta_variant", "greta_target", "greta_problem")
UNUSED = "unused"
"""Stands for "no case of this test was asked for"; such items are deselected, not skipped."""


@dataclass(frozen=True)
class Mistaken:
    """Stands for the cases of a test that a mistake hides: told if the test is still there when `-k` and its kin have
    chosen, and then with exit code 4.
    """

    problems: tuple[str, ...]


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Parametrise a test over what it is about, as far as its fixtures say."""
    if ARTIFACT in metafunc.fixturenames:
        files = artifact_cases_of(metafunc.definition)
        metafunc.parametrize(ARTIFACT, files or [UNUSED], ids=str, indirect=True)
    if PROGRAM in metafunc.fixturenames:
        cases = program_cases_of(metafunc.definition)
        metafunc.parametrize(PROGRAM, cases or [UNUSED], ids=str, indirect=True)
    axes = [name for name in AXES if name in metafunc.fixturenames]
    if not axes:
        return
    parameters = [pytest.param(*case, id=id_of(case)) for case in cases_of(metafunc.definition, axes)]
    unused = pytest.param(*([UNUSED] * len(axes)), id=UNUSED)
    metafunc.parametrize(axes, parameters or [unused], indirect=True)


def cases_of(item: Any, axes: Sequence[str]) -> list[tuple[Any, ...]]:
    """The values of the axes for every case of a test.

    An exception here would be an error of one file. A mistake in the gates, the kernels or a marker is told whatever is
    selected; one in what is listed for a kernel takes the place of the cases that it hides.
    """
    try:
        kernel, session = kernel_of(item), get_session(item.config)
    except ConfigError as error:
        _tell(item, error)
        return []
    item.config.stash[COLLECTED][kernel.name] = kernel
    try:
        cases = list(dict.fromkeys(_cases_of(session, kernel, axes)))
    except ConfigError as error:
        hidden = Mistaken(error.problems)
        names = (
            [variant.name for variant in session.variants(kernel)] if "greta_variant" in axes else [hidden]
        )
        return [tuple(name if axis == "greta_variant" else hidden for axis in axes) for name in names]
    why = "" if cases else session.why_nothing(kernel)
    return [(NothingToTest(why),) * len(axes)] if why else cases


def artifact_cases_of(item: Any) -> list[Any]:
    """The files of every artifact, or of the one that a test's marker names."""
    return _told(item, lambda session, name: session.artifact_cases(name))


def program_cases_of(item: Any) -> list[Any]:
    """The variants and problems of every program, or of the one that a test's marker names."""
    return _told(item, lambda session, name: session.program_cases(name))


def _told(item: Any, cases: Callable[[Session, str | None], list[Any]]) -> list[Any]:
    """The cases of a test. A mistake is told whatever is selected."""
    try:
        return cases(get_session(item.config), name_in_marker(item))
    except ConfigError as error:
        _tell(item, error)
        return []


def _tell(item: Any, error: ConfigError) -> None:
    """Keep what is wrong for the end of collecting: a mistake of a test's own with its place."""
    problems, where = item.config.stash[PROBLEMS], ""
    if isinstance(error, MarkerMistake):
        path, line, _ = item.reportinfo()
        where = f"{shown_path(path)}:{(line or 0) + 1}: "
    problems += [told for problem in error.problems if (told := f"{where}{problem}") not in problems]


def _cases_of(session: Session, kernel: Kernel, axes: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    from pytest_greta.problems import ProblemParameter

    pairs: list[tuple[Variant, str]] = [(variant, "") for variant in session.variants(kernel)]
    if "greta_problem" in axes:
        pairs = [(variant, ProblemParameter.of(problem)) for variant, problem in session.cases(kernel)]
    targets: dict[str, Sequence[str]] = {}
    for variant, problem in pairs:
        if variant.name not in targets:
            targets[variant.name] = session.code_targets(kernel, variant) if "greta_target" in axes else [""]
        for target in targets[variant.name]:
            case = {"greta_variant": variant.name, "greta_target": target, "greta_problem": problem}
            yield tuple(case[axis] for axis in axes)


def timed_in(item: Any, parameters: Mapping[str, Any]) -> str:
    """What an item takes times of, `prefill @ 8192`; empty where of nothing. Raises ConfigError."""
    problem, case = getattr(parameters.get("greta_problem"), "problem", None), parameters.get(PROGRAM)
    if problem and "greta_run" in getattr(item, "fixturenames", ()):
        return f"{kernel_of(item).name} @ {problem.id}"
    return f"{case.program} @ {case.problem.id}" if case and hasattr(case, "program") else ""


def subject_of(item: Any, parameters: Mapping[str, Any]) -> tuple[str, str, str]:
    """What a test is about: the kernel, artifact or program, the variant or file, the target or problem."""
    program = parameters.get(PROGRAM)
    if program is not None:
        return program.program, program.variant, program.problem.id
    artifact = parameters.get(ARTIFACT)
    if artifact is not None:
        return artifact.artifact, artifact.name, ""
    variant, target, problem = (parameters.get(axis) for axis in AXES)
    return kernel_of(item).name, str(variant), str(target or problem or "")


def id_of(case: Sequence[Any]) -> str:
    """As in the name of the test."""
    if any(isinstance(value, NothingToTest) for value in case):
        return "left_out"
    return "-".join("mistaken" if isinstance(v, Mistaken) else str(v) for v in case)
