"""The example: a kernel in two variants, its gates, its tests."""

from __future__ import annotations

from pytest_greta.scaffold.draft import Draft, template
from pytest_greta.scaffold.layout import Layout

_SOURCES = ("scale.hip", "scale_wide.hip")


def example(layout: Layout) -> Draft:
    """What an empty project gets. Raises ConfigError."""
    files = {name: template(name) for name in ("conftest.py", *_SOURCES)}
    folder = layout.folder()
    tests = template("test.py")
    for what in ("resources", "run"):
        tests = tests.replace(f"test_{what}", layout.function(what))
    files[layout.test_file(folder)] = tests
    return Draft("kernels", ["scale"], template("entry.yaml"), folder, files)
