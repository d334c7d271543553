"""The plugins that greta consists of besides its hooks: each registered where a session needs it, and imported then."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

        config.pluginmanager.register(Recording(), "greta-recording")
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
