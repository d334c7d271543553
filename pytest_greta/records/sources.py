"""Files of records, whatever wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_greta.errors import ConfigError, shown_path
from pytest_greta.records.model import Summary, tried


def load_all(paths: Sequence[Path]) -> Mapping[str, Summary]:
    """Files by what messages call them. Raises ConfigError with all that is wrong with them."""
    read = {shown_path(path): tried(path) for path in paths}
    problems = [problem for one in read.values() if isinstance(one, list) for problem in one]
    if problems:
        raise ConfigError(*problems)
    return {name: one for name, one in read.items() if isinstance(one, Summary)}
