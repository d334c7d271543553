"""The example: a kernel in two variants, its gates, its tests."""

from __future__ import annotations

from pathlib import Path

from pytest_greta.scaffold.draft import Draft, template
from pytest_greta.scaffold.layout import Layout
from pytest_greta.scaffold.placing import placed

_SOURCES = ("scale.hip", "scale_wide.hip")


def example(layout: Layout) -> Draft:
    """What an empty project gets. Raises ConfigError."""
    tests = template("test.py")
    for what in ("resources", "run"):
        tests = tests.replace(f"test_{what}", layout.function(what))

    def files(folder: Path) -> dict[str, str]:
        made = {name: template(name) for name in ("conftest.py", *_SOURCES)}
        return {**made, layout.test_file(folder): tests}

    folder, written = placed(layout, "", files)
    return Draft("kernels", ["scale"], template("entry.yaml"), folder, written)
