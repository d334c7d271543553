"""What several machines stored of one run with pytest-benchmark, as one machine would have stored it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_greta.compiler.cache import write_whole
from pytest_greta.errors import shown_path
from pytest_greta.history.benchmark import CODE_FOLDER, stored_as_next
from pytest_greta.history.whole import kept_whole
from pytest_greta.measure.executable import sha256_of

PLACE = "place"
"""In `extra_info` of one part of a session: the place of a test in a serial run of all of it."""

Stored = Mapping[str, Any]
"""What pytest-benchmark has stored of a session."""

OF_A_MACHINE = ("node", "cpu", "release")
"""What of `machine_info` may differ between the nodes of one cluster."""


PART = "greta_part"
"""In a stored run: that it is of one part of a session, or of several, and how that was cut."""

Cut = tuple[int, str]
"""Into how many parts a session was cut, and the digest that says how."""


@dataclass(frozen=True)
class Run:
    """A stored run."""

    file: Path
    stored: Stored
    when: datetime

    @property
    def cut(self) -> Cut | None:
        """How its session was cut; None of a whole one."""
        part = self.stored.get(PART)
        return (part["of"], part["cut"]) if part else None

    @property
    def session(self) -> tuple[Cut | None, str]:
        """What the parts of one session have in common."""
        return self.cut, str(self.stored["commit_info"].get("id"))


@dataclass(frozen=True)
class Chosen:
    """The runs of one session in several folders."""

    runs: Sequence[Run] = ()
    notes: Sequence[str] = ()
    """Of folders that hold none of it, a line each."""
    problems: Sequence[str] = ()
    """Why nothing can be merged."""


def part_mark(numbers: Iterable[int], cut: Cut) -> dict[str, Any]:
    """What a stored run says of the parts that it is of."""
    return {"parts": sorted(numbers), "of": cut[0], "cut": cut[1]}


def missing_parts(found: Mapping[Cut, Collection[int]], empty: int = 0) -> Iterator[str]:
    """Parts of a session that are not there, but for as many as are known to be empty: parts that were cut in another
    way are no parts of it.
    """
    for (count, cut), numbers in sorted(found.items()):
        missing = [one for one in range(1, count + 1) if one not in numbers]
        if len(missing) > empty:
            there = ", ".join(map(str, sorted(numbers)))
            yield (
                f"of the {count} parts cut as {cut} there is {there}, and not {', '.join(map(str, missing))}: "
                "parts fit together where all machines have the same tests and the same history"
            )


def chosen(folders: Sequence[Path]) -> Chosen:
    """Of each folder of `--benchmark-storage` what was stored last, if by the session that is merged: what lies in
    several folders came with them, and beside parts of a session no other run is of it.
    """
    files = {
        folder: sorted(folder.glob("*/[0-9][0-9][0-9][0-9]_*.json"))
        for folder in {folder.resolve(): folder for folder in folders}.values()
    }
    problems: list[str] = []
    digests = {file: _digest(file, problems) for some in files.values() for file in some}
    holders = Counter(one for some in files.values() for one in {digests[file] for file in some})
    own: dict[Path, list[Run]] = {}
    for folder, some in files.items():
        read = {file: _read(file) for file in some if holders[digests[file]] == 1}
        last = {
            file.parent: file for file in read
        }  # by number: what is damaged and older is of no session now
        problems += [one for file, one in read.items() if isinstance(one, str) and file in last.values()]
        own[folder] = [one for one in read.values() if isinstance(one, Run)]
    if not any(own.values()):
        problems = problems or [f"{shown_path(folder)}: {_none_of(some)}" for folder, some in files.items()]
    if problems:
        return Chosen(problems=problems)
    latest = max((run for some in own.values() for run in some), key=lambda run: (run.when, bool(run.cut)))
    runs: list[Run] = []
    notes = []
    for folder, own_runs in own.items():
        found = _of_session(own_runs, latest)
        runs += found
        if not found:
            what = _OTHER if own_runs else f"{_none_of(files[folder])}: left out"
            notes.append(f"{shown_path(folder)}: {what}")
    return Chosen(runs, sorted(notes))


_OTHER = "holds no run of this session, but an older one: left out"


def _none_of(files: Sequence[Path]) -> str:
    return "holds no run that is in no other folder" if files else "holds no run of pytest-benchmark"


def _of_session(runs: Sequence[Run], latest: Run) -> list[Run]:
    """The runs of a folder that are of the session of `latest`: of each part of it the last."""
    in_order = sorted(runs, key=lambda run: run.when)
    parts = {
        str(run.stored[PART]["parts"]): run for run in in_order if run.cut and run.session == latest.session
    }
    if parts:
        return list(parts.values())
    last = in_order[-1:]
    return [run for run in last if run.cut or not latest.cut]


def merged(sessions: Sequence[Stored], empty: int = 0) -> tuple[dict[str, Any], list[str]]:
    """One session of several, the same whatever their order, and what of them contradicts. So many folders hold none
    of it: of parts that timed nothing.
    """
    in_order = sorted(sessions, key=lambda one: (str(one.get("datetime")), json.dumps(one, sort_keys=True)))
    found: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    found_parts: dict[Cut, set[int]] = {}
    for part in filter(None, (session.get(PART) for session in in_order)):
        found_parts.setdefault((part["of"], part["cut"]), set()).update(part["parts"])
    conflicts = [*_other_sessions(in_order), *missing_parts(found_parts, empty)]
    for session in in_order:
        for entry in session["benchmarks"]:
            text = json.dumps(entry, sort_keys=True)
            if text not in found and entry["fullname"] in names:
                conflicts.append(f"{entry['fullname']} has several results")
            found.setdefault(text, entry)
            names.add(entry["fullname"])
    first, last = in_order[0], in_order[-1]
    nodes = sorted({str(one["machine_info"].get("node")) for one in in_order})
    incomplete = [(cut, numbers) for cut, numbers in found_parts.items() if len(numbers) + empty < cut[0]]
    mark = {PART: part_mark(incomplete[0][1], incomplete[0][0])} if incomplete else {}
    return {
        **{name: value for name, value in first.items() if name != PART},
        **mark,
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


def _digest(file: Path, problems: list[str]) -> str:
    try:
        return sha256_of(file.read_bytes())
    except OSError as error:
        problems.append(f"{shown_path(file)}: cannot be read: {error.strerror or error}")
        return str(file)


def _read(file: Path) -> Run | str:
    """A stored run, or what is wrong with the file."""
    try:
        data = json.loads(file.read_bytes())
        is_whole = all(isinstance(data[name], dict) for name in ("machine_info", "commit_info"))
        part = data.get(PART)
        is_whole &= part is None or (
            [int(one) for one in part["parts"]] == part["parts"]
            and (int(part["of"]), str(part["cut"])) == (part["of"], part["cut"])
        )
        when = datetime.fromisoformat(data["datetime"])
        if is_whole and all(str(one["fullname"]) for one in data["benchmarks"]):
            return Run(file, dict(data), when if when.tzinfo else when.replace(tzinfo=timezone.utc))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    return f"{shown_path(file)}: is damaged, or not of pytest-benchmark"


def store(session: Stored, runs: Sequence[Run], folders: Sequence[Path], into: Path) -> Path:
    """Store a merged session as the next one of a folder, with the accepted code of all of them. Raises OSError."""
    of = max(runs, key=lambda run: (run.when, str(run.file.parent.name), run.file.name)).file
    for code in (code for folder in folders for code in (folder / CODE_FOLDER).glob("*.code")):
        target = into / CODE_FOLDER / code.name
        if not target.exists() and sha256_of(code.read_bytes()) == code.stem:
            write_whole(target, code.read_bytes())
    with kept_whole(into):
        return stored_as_next(into, of.parent.name, session, of.stem.partition("_")[2])
