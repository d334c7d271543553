"""`python -m pytest_greta merge`: several summary.json as one, or several histories: of the jobs of a CI matrix, of a
Slurm array.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_greta.binaries.names import counted
from pytest_greta.compiler.cache import NO_FILE, is_special, write_whole
from pytest_greta.errors import printable, shown_path
from pytest_greta.history import merging
from pytest_greta.kernel import Size
from pytest_greta.records.check import MOST_PROBLEMS
from pytest_greta.records.due import Due, united
from pytest_greta.records.model import Recorded, Session, Summary, tried

NO_TESTS = 5
"""What pytest ends with where there are none."""
FAILED, MISTAKE = 1, 2
"""Exit codes: files that contradict each other, or cannot be written; files that cannot be read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="written by --greta-summary, or merged; or folders of --benchmark-storage, of which the newest run counts",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="where the merged file goes, or the folder in which the merged run is stored as the next",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="merge also what contradicts: other commits, other gates files, another result of the same measurement; "
        "all of it is kept, and noted",
    )


def run(options: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Merge files. Gives the exit code."""
    if any(path.is_dir() for path in options.files):
        return _merge_histories(options.files, options.output, options.force)
    read = [tried(path) for path in options.files]
    problems = [problem for one in read if isinstance(one, list) for problem in one]
    if is_special(options.output.resolve()):
        problems.append(f"{shown_path(options.output)}: {NO_FILE}")
    if problems:
        return _told(problems, MISTAKE)
    merged, conflicts = merge([one for one in read if isinstance(one, Summary)], options.files)
    if conflicts and not options.force:
        return _told([*conflicts, "nothing was written; --force keeps all of it"], FAILED)
    merged = replace(merged, notes=sorted({*merged.notes, *conflicts}))
    try:
        write_whole(options.output, merged.text().encode())
    except OSError as error:
        return _told([f"{shown_path(options.output)}: cannot be written: {error.strerror or error}"], FAILED)
    told = f"{counted(len(merged.measurements), 'measurement')} of {counted(len(merged.sources), 'session')}"
    sys.stdout.write(f"{shown_path(options.output)}: {told}\n")
    return _told_due(merged.due) if merged.due else 0


def _told_due(due: Due) -> int:
    """Tell what no part evaluated, and what of greta.lock no kernel is. Gives the exit code."""
    lines = [f"not evaluated: {line}" for line in due.lines]
    if not due.is_required:
        sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
        lines = []
    return _told([*lines, *due.lock_lines], FAILED) if due.fails else 0


def _merge_histories(folders: Sequence[Path], into: Path, is_forced: bool) -> int:
    """Merge the newest runs of several folders. Gives the exit code."""
    found = merging.chosen(folders)
    problems = [f"{shown_path(folder)}: is no folder" for folder in folders if not folder.is_dir()]
    if into.exists() and not into.is_dir():
        problems.append(f"{shown_path(into)}: is no folder")
    problems = problems or [*found.problems]
    if problems:
        return _told(problems, MISTAKE)
    session, conflicts = merging.merged([run.stored for run in found.runs], len(found.notes))
    sys.stderr.writelines(f"note: {printable(note)}\n" for note in found.notes)
    if conflicts and not is_forced:
        return _told([*conflicts, "nothing was written; --force keeps all of it"], FAILED)
    try:
        path = merging.store(session, found.runs, folders, into)
    except OSError as error:
        return _told([f"{shown_path(into)}: cannot be written: {error.strerror or error}"], FAILED)
    told = f"{counted(len(session['benchmarks']), 'run')} of {counted(len(found.runs), 'session')}"
    sys.stdout.write(f"{shown_path(path)}: {told}\n")
    return 0


_NO_FILES: Mapping[str, str] = {}


def _told(lines: Sequence[str], code: int) -> int:
    sys.stderr.writelines(f"error: {printable(line)}\n" for line in lines)
    return code


def merge(summaries: Sequence[Summary], files: Sequence[Path] = ()) -> tuple[Summary, list[str]]:
    """One file of several, the same whatever their order, and what of them contradicts. Nothing is left out but what
    is there twice, and what one session could not measure and another did. Sessions of one second are told by `files`.
    """
    sources = _in_order(session for one in summaries for session in one.sources or [one.session])
    index = {_key_of(session): number for number, session in enumerate(sources)}
    found: dict[str, Recorded] = {}
    stopped: dict[str, dict[str, Any]] = {}
    for one in summaries:
        for recorded in one.measurements:
            moved = replace(recorded, source=index[_key_of(one.session_of(recorded))])
            found.setdefault(_text(moved.plain()), moved)
        for row in one.stopped:
            session = one.sources[row["source"]] if "source" in row else one.session
            moved_row = {**row, "source": index[_key_of(session)]}
            stopped.setdefault(_text(moved_row), moved_row)
    measurements = [
        found[key] for key in sorted(found, key=lambda key: (found[key].test, found[key].name, key))
    ]
    measurements, conflicts = _told_apart(measurements, sources, _files_of(summaries, files))
    measured = {one.test for one in measurements}
    due, unevaluated, lock = _owed(summaries)
    session = _common(sources)
    return Summary(
        session=replace(session, exit_code=max(session.exit_code, FAILED)) if due and due.fails else session,
        measurements=measurements,
        stopped=[
            row
            for _, row in sorted(stopped.items())
            if row["status"] == "FAIL" or row["test"] not in measured
        ],
        unevaluated=unevaluated,
        due=due,
        left_out=sorted(map(list, set.intersection(*({tuple(c) for c in s.left_out} for s in summaries)))),
        lock=lock,
        notes=sorted({note for one in summaries for note in one.notes}),
        sources=sources,
    ), [*_other_code(sources), *_missing_parts(sources), *conflicts]


def _owed(summaries: Sequence[Summary]) -> tuple[Due | None, list[str], list[str]]:
    """What the parts of a session among these owe together; all that was not evaluated, and all that is to be told of
    greta.lock. What one whole session did not evaluate, another may have.
    """
    parts = [one.due for one in summaries if one.due]
    due = united(parts) if parts else None
    whole = [set(one.unevaluated) for one in summaries if not one.due]
    lines = set.intersection(*whole) if whole else set()
    lock = {line for one in summaries if not one.due for line in one.lock}
    for one in summaries:
        if one.due:  # merged before, it says what its parts owed then
            lines |= {*one.unevaluated} - {*one.due.lines}
            lock |= {*one.lock} - {*one.due.lock_lines}
    if due:
        lines |= {*due.lines}
        lock |= {*due.lock_lines}
    return due, sorted(lines), sorted(lock)


def with_parts_told(summaries: Sequence[Summary]) -> list[Summary]:
    """Summaries of which those of parts, where all are there, say what they owe together as one merged file would; and
    where some are not, which.
    """
    parts = [one for one in summaries if one.due and not one.sources]
    if not parts:
        return list(summaries)
    due, lines, lock = _owed(parts)
    missing, first = list(_missing_parts([one.session for one in parts])), parts[0]
    if missing:
        told = replace(first, unevaluated=missing)
    else:
        code = max(first.session.exit_code, FAILED if due and due.fails else 0)
        told = replace(first, session=replace(first.session, exit_code=code), unevaluated=lines, lock=lock)
    return [told if one is first else one for one in summaries]


def conflicts_of(merged: Summary) -> list[str]:
    """What of a merged file contradicts: it was merged by force."""
    return [
        *_other_code(merged.sources),
        *_missing_parts(merged.sources),
        *_told_apart(merged.measurements, merged.sources)[1],
    ]


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, default=list)


def _key_of(session: Session) -> str:
    return _text(session.plain())


def _in_order(sessions: Iterable[Session]) -> list[Session]:
    """Sessions by time, each once."""
    unique = {_key_of(session): session for session in sessions}
    return [unique[key] for key in sorted(unique, key=lambda key: (_time(unique[key]), key))]


def _time(session: Session) -> datetime:
    return datetime.fromisoformat(session.started)


def _files_of(summaries: Sequence[Summary], files: Sequence[Path]) -> dict[str, str]:
    """The files that hold a session, by its key."""
    names: dict[str, set[str]] = {}
    for one, path in zip(summaries, files, strict=False):
        for session in one.sources or [one.session]:
            names.setdefault(_key_of(session), set()).add(shown_path(path))
    return {key: " and ".join(sorted(some)) for key, some in names.items()}


def _when(sources: Sequence[Session], files: Mapping[str, str]) -> str:
    """When sessions began; those of one second with the files that hold them."""
    times = [one.started for one in sources]
    of = [f" in {files[key]}" if times.count(one.started) > 1 and (key := _key_of(one)) in files else ""
          for one in sources]  # fmt: skip
    return ", ".join(dict.fromkeys(f"{time}{file}" for time, file in zip(times, of, strict=True)))


def _told_apart(
    measurements: Sequence[Recorded], sources: Sequence[Session], files: Mapping[str, str] = _NO_FILES
) -> tuple[list[Recorded], list[str]]:
    """Measurements but those whose result is there already, and where one has two results."""
    alike: dict[tuple[Any, ...], list[Recorded]] = {}
    for one in sorted(measurements, key=lambda one: one.source or 0):
        device = sources[one.source or 0].device if one.device_kind else None
        problem = one.problem and (one.problem.context, _items(one.problem.axes), _items(one.problem.sizes))
        key = one.test, one.kind, one.kernel, one.variant, one.target, problem, (device or {}).get("identity")
        alike.setdefault(key, []).append(one)
    kept = [_each_once(several) for several in alike.values()]
    conflicts, told = [several for several in kept if len(several) > 1], []
    for several in conflicts[:MOST_PROBLEMS]:
        times = _when([sources[one.source or 0] for one in several], files)
        told.append(f"{several[0].name} has {len(several)} results, of the sessions of {times}")
    more = len(conflicts) - MOST_PROBLEMS
    told += [f"and {more} more"] if more > 0 else []
    left = {id(one) for several in kept for one in several}
    return [one for one in measurements if id(one) in left], told


def _items(sizes: Mapping[str, Size] | None) -> tuple[tuple[str, Size], ...] | None:
    return None if sizes is None else tuple(sorted(sizes.items()))


def _each_once(several: Sequence[Recorded]) -> list[Recorded]:
    """Records of one measurement but those whose result is there already. Of other times is another result; only
    records of the same are looked at closer.
    """
    by_times: dict[Any, list[Recorded]] = {}
    for one in several:
        by_times.setdefault((*one.seconds, None, *one.baseline_seconds), []).append(one)
    return [
        first
        for same in by_times.values()
        for first in (same if len(same) == 1 else {_result(one): one for one in reversed(same)}.values())
    ]


def _result(one: Recorded) -> str:
    """What was found, and of which code; not when, nor what was said of it."""
    plain = one.plain()
    return _text(
        {name: plain[name] for name in ("quantities", "seconds", "baseline_seconds", "digests", "outcome")}
    )


def _other_code(sources: Sequence[Session]) -> Iterator[str]:
    """Sessions of other commits, or with other gates."""
    commits = {_commit(session): None for session in sources}
    if len(commits) > 1:
        yield f"the sessions are of different commits: {', '.join(sorted(commits))}"
    if len({session.gates["sha256"] for session in sources}) > 1:
        names = sorted({f"{session.gates['file']} {session.gates['sha256'][:12]}" for session in sources})
        yield f"the sessions had different gates: {', '.join(names)}"


_SHARD = "--greta-shard"
_PART = re.compile(r"(\d+)/(\d+), cut as (\w+)")


def part_text(number: int, count: int, cut: str) -> str:
    """What a session says that is one part of several: in its options, as `--greta-shard`."""
    return f"{number}/{count}, cut as {cut}"


def _missing_parts(sources: Sequence[Session]) -> Iterator[str]:
    """Parts of a session that are not there: parts that were cut in another way are no parts of it."""
    found: dict[tuple[int, str], set[int]] = {}
    for session in sources:
        part = _PART.fullmatch(str(session.options.get(_SHARD)))
        if part:
            found.setdefault((int(part[2]), part[3]), set()).add(int(part[1]))
    return merging.missing_parts(found)


def _commit(session: Session) -> str:
    if session.commit is None:
        return "none"
    return str(session.commit["id"])[:12] + (" with uncommitted changes" if session.commit["dirty"] else "")


def _is_empty_part(session: Session) -> bool:
    """Whether a session had no test because other parts have them."""
    return session.exit_code == NO_TESTS and _PART.fullmatch(str(session.options.get(_SHARD))) is not None


def _common(sources: Sequence[Session]) -> Session:
    """What sessions agree about; where they do not, nothing, or all of it."""

    def texts(name: str) -> str:
        return ", ".join(sorted({str(getattr(session, name)) for session in sources}))

    first, several = sources[0], len(sources) > 1
    options = {k: v for k, v in first.options.items() if all(s.options.get(k) == v for s in sources)}
    devices = {_text(session.device) for session in sources if session.device}
    not_measured = sorted({session.not_measured for session in sources} - {""})
    return Session(
        greta=texts("greta"),
        python=texts("python"),
        pytest=texts("pytest"),
        started=first.started,
        seconds=round(sum(session.seconds for session in sources), 3) if several else first.seconds,
        options=options,
        commit=first.commit if all(session.commit == first.commit for session in sources) else None,
        gates=first.gates
        if all(session.gates == first.gates for session in sources)
        else {"file": ", ".join(sorted({session.gates["file"] for session in sources})), "sha256": ""},
        device=next((session.device for session in sources if session.device), None)
        if len(devices) == 1
        else None,
        not_measured="several devices" if len(devices) > 1 else "" if devices else "; ".join(not_measured),
        targets=list(dict.fromkeys(target for session in sources for target in session.targets)),
        exit_code=max(0 if several and _is_empty_part(one) else one.exit_code for one in sources),
    )
