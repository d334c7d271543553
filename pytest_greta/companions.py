"""The plugins that greta consists of besides its hooks: each registered where a session needs it, and imported then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_greta.options import read_options
from pytest_greta.stash import is_controller

if TYPE_CHECKING:
    import pytest


def register(config: pytest.Config) -> None:
    """Register those that this process of a session needs. What the summary knows is there before others ask it."""
    options, summary = read_options(config), None
    is_worker = hasattr(config, "workerinput")
    if options.is_recorded:
        from pytest_greta.recording import Recording

        config.pluginmanager.register(Recording(_subject_of), "greta-recording")
    if not is_worker:
        from pytest_greta.summary import Summary

        summary = Summary()
        config.pluginmanager.register(summary, "greta-summary")
        if options.report:
            from pytest_greta.reporting import Reporting

            config.pluginmanager.register(Reporting(summary), "greta-report")
    if is_controller(config) or is_worker or options.shard:  # several processes
        from pytest_greta import distribution

        distribution.register(config, summary)
    if options.is_marked:
        from pytest_greta.marking import Marking

        config.pluginmanager.register(Marking(), "greta-marking")


def _subject_of(item: Any, parameters: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """What a test is about; None of one that is about nothing of greta's, or stands for no case."""
    from pytest_greta.cases import ARTIFACT, AXES, PROGRAM, Mistaken, subject_of
    from pytest_greta.fixtures import NothingToTest

    ours = [parameters[name] for name in (ARTIFACT, PROGRAM, *AXES) if name in parameters]
    is_case = ours and not any(isinstance(value, (Mistaken, NothingToTest)) for value in ours)
    return subject_of(item, parameters) if is_case else None
