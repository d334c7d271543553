"""greta's options as pytest declares them: in groups, with their ini twins and what a shell completes behind them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pytest_greta.options import FLAGS, OPTIONS, Option

if TYPE_CHECKING:
    import pytest

_GROUPS = {
    "greta": "gates for GPU kernels (greta)",
    "greta-measuring": "gates for GPU kernels: how it is measured",
    "greta-records": "gates for GPU kernels: records, reports and CI",
}
"""The groups of options in `--help`, in their order."""
_GROUP_OF = {
    **dict.fromkeys(
        ("rounds", "budget", "session-budget", "deadline", "calibrate", "seed", "single-shot", "serialize"),
        "greta-measuring",
    ),
    **dict.fromkeys(
        ("replay", "columns", "allowed-signers", "sign", "summary", "report", "annotate", "code-quality"),
        "greta-records",
    ),
}
"""Where an option stands; those that are not here stand in the first group."""


def add_options(parser: pytest.Parser, manager: pytest.PytestPluginManager) -> None:
    """Declare the options and their ini twins."""
    after, groups = None, {}
    for group, title in _GROUPS.items():
        groups[group] = parser.getgroup(group, title, after)
        after = group
    for option in OPTIONS.values():
        kwargs: dict[str, Any] = (
            {"choices": option.choices} if option.choices else {"metavar": option.metavar}
        )
        if option.repeated:
            kwargs |= {"action": "extend", "nargs": "+"} if option.several else {"action": "append"}
        if "_ARGCOMPLETE" in os.environ and not option.choices:
            from pytest_greta.completion import action_of

            kwargs["action"] = action_of(option.name, option.metavar, option.repeated, manager)
        _add(groups, option, default=None, **kwargs)
        if option.has_ini:
            kind: Literal["linelist", "string"] = "linelist" if option.repeated else "string"
            parser.addini(option.ini, f"default of {option.flag}: {option.help}", type=kind)
    for flag in FLAGS.values():
        _add(groups, flag, action="store_true", default=None)
        if flag.has_ini:
            parser.addini(flag.ini, f"default of {flag.flag}: {flag.help}", type="bool")


def _add(groups: Mapping[str, pytest.OptionGroup], option: Option, **kwargs: Any) -> None:
    """Declare an option; its help begins like a sentence, as pytest's own does."""
    text = re.sub(r" \[([^\[\]]*)\]$", r" (default: \1)", option.help[0].upper() + option.help[1:])
    groups[_GROUP_OF.get(option.name, "greta")].addoption(option.flag, help=text, dest=option.ini, **kwargs)
