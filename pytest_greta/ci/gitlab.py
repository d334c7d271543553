"""GitLab's Code Quality report: a subset of the Code Climate format (GitLab Docs, "Code Quality report format")."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence

from pytest_greta.ci.marks import Mark, Spot

_SEVERITY = {"FAIL": "critical", "BLOCKED": "major", "INCONCLUSIVE": "minor", "NOT MEASURED": "minor"}


def code_quality(spots: Sequence[Spot], elsewhere: str) -> str:
    """The report as JSON: an entry for each failed gate of each test and place. What has no place is told at the first
    line of the file `elsewhere`.

    Fingerprints are of what failed where, not of lines or values: a merge request shows what is new in it, also where
    lines moved.
    """
    entries: dict[str, dict[str, object]] = {}
    for spot in spots:
        for mark in spot.marks:
            path = spot.file or elsewhere
            fingerprint = next(
                one for one in (_fingerprint(path, mark, n) for n in itertools.count()) if one not in entries
            )
            entries[fingerprint] = {
                "description": mark.text,
                "check_name": f"greta {mark.gate}",
                "fingerprint": fingerprint,
                "severity": _SEVERITY.get(mark.status, "major"),
                "location": {"path": path, "lines": {"begin": spot.line or 1}},
            }
    return json.dumps(list(entries.values()), indent=1) + "\n"


def _fingerprint(path: str, mark: Mark, number: int) -> str:
    """`number` tells gates of one name apart that fail at one place for one subject."""
    parts = "\0".join([path, mark.gate, mark.subject, str(number)])
    return hashlib.sha256(parts.encode(errors="replace")).hexdigest()
