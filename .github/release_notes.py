"""The notes of a release, from CHANGELOG.md: `python .github/release_notes.py v0.2.0 > notes.md`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def notes(tag: str, changes: str, version: str) -> str:
    """The section of a release. Raises SystemExit where there is none, or where the package is of another version."""
    if tag != f"v{version}":
        raise SystemExit(f"the tag is {tag}, and pytest_greta/__init__.py says {version}")
    heading = rf"^## {re.escape(version)}( \([\d-]+\))?\n"
    section = re.search(rf"{heading}(?P<text>.*?)(?=^## |\Z)", changes, re.MULTILINE | re.DOTALL)
    if section is None or not section["text"].strip():
        raise SystemExit(f"CHANGELOG.md has no section '## {version}': what is unreleased becomes that")
    return section["text"].strip() + "\n"


def version_of(module: str) -> str:
    """The version that the package's first module states: the one place."""
    found = re.search(r'^__version__ = "([^"]+)"$', module, re.MULTILINE)
    if found is None:
        raise SystemExit("pytest_greta/__init__.py states no version")
    return found[1]


if __name__ == "__main__":
    stated = version_of((ROOT / "pytest_greta/__init__.py").read_text(encoding="utf-8"))
    sys.stdout.write(notes(sys.argv[1], (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), stated))
