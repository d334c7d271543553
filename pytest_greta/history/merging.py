"""What several machines stored of one run with pytest-benchmark, as one machine would have stored it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_greta.compiler.cache import write_whole
from pytest_greta.errors import shown_path
from pytest_greta.history.benchmark import CODE_FOLDER, stored_as_next
from pytest_greta.measure.executable import sha256_of

PLACE = "place"
"""In `extra_info` of one part of a session: the place of a test in a serial run of all of it."""

Stored = Mapping[str, Any]
"""What pytest-benchmark has stored of a session."""

OF_A_MACHINE = ("node", "cpu", "release")
"""What of `machine_info` may differ between the nodes of one cluster."""


def newest(folder: Path) -> Path | None:
    """The file that was stored last in a folder of `--benchmark-storage`; None where there is none."""
    files = list(folder.glob("*/[0-9][0-9][0-9][0-9]_*.json"))
    return max(files, key=lambda file: (file.name, str(file)), default=None)


def merged(sessions: Sequence[Stored]) -> tuple[dict[str, Any], list[str]]:
    """One session of several, the same whatever their order, and what of them contradicts."""
    in_order = sorted(sessions, key=lambda one: (str(one.get("datetime")), json.dumps(one, sort_keys=True)))
    found: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    conflicts = list(_other_sessions(in_order))
    for session in in_order:
        for entry in session["benchmarks"]:
            text = json.dumps(entry, sort_keys=True)
            if text not in found and entry["fullname"] in names:
                conflicts.append(f"{entry['fullname']} has several results")
            found.setdefault(text, entry)
            names.add(entry["fullname"])
    first, last = in_order[0], in_order[-1]
    nodes = sorted({str(one["machine_info"].get("node")) for one in in_order})
    return {
        **first,
        "machine_info": {**first["machine_info"], "node": ", ".join(nodes)},
        "benchmarks": sorted(found.values(), key=_place),
        "datetime": last["datetime"],
    }, list(dict.fromkeys(conflicts))


def _place(entry: Mapping[str, Any]) -> int:
    """Where an entry stands in a serial run; the same for all whose part does not say."""
    info = entry.get("extra_info")
    place = info.get(PLACE) if isinstance(info, dict) else None
    return place if isinstance(place, int) else 0


def _other_sessions(sessions: Sequence[Stored]) -> Iterator[str]:
    """What must be equal of sessions that are one."""
    commits = {(str(s["commit_info"].get("id")), bool(s["commit_info"].get("dirty"))): None for s in sessions}
    if len(commits) > 1:
        names = sorted(name[:12] + (" with uncommitted changes" if dirty else "") for name, dirty in commits)
        yield f"the sessions are of different commits: {', '.join(names)}"
    machines = [{k: v for k, v in s["machine_info"].items() if k not in OF_A_MACHINE} for s in sessions]
    for name in sorted(set().union(*machines)):
        values = sorted({str(machine.get(name)) for machine in machines})
        if len(values) > 1:
            yield f"the machines differ in {name}: {'; '.join(values)}"


def read(folder: Path) -> Stored | str:
    """The newest session in a folder, or what is wrong with it."""
    file, shown = newest(folder), shown_path(folder)
    if file is None:
        return f"{shown}: holds no run of pytest-benchmark"
    try:
        data = json.loads(file.read_bytes())
        is_whole = all(isinstance(data[name], dict) for name in ("machine_info", "commit_info"))
        if is_whole and data["datetime"] and all(str(one["fullname"]) for one in data["benchmarks"]):
            return dict(data)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return f"{shown_path(file)}: is damaged, or not of pytest-benchmark"


def store(session: Stored, folders: Sequence[Path], into: Path) -> Path:
    """Store a merged session as the next one of a folder, with the accepted code of all of them. Raises OSError."""
    of = next(file for file in map(newest, folders) if file)
    for code in (code for folder in folders for code in (folder / CODE_FOLDER).glob("*.code")):
        target = into / CODE_FOLDER / code.name
        if not target.exists() and sha256_of(code.read_bytes()) == code.stem:
            write_whole(target, code.read_bytes())
    return stored_as_next(into, of.parent.name, session, of.stem.partition("_")[2])
