"""What history keeps of a run, and how it is read again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from pytest_greta.history.family import changed, family_of
from pytest_greta.measure.executable import BASELINE, CANDIDATE, code_info, sha256_of
from pytest_greta.stats.runs import FEWEST_ROUNDS, HistoricRun

if TYPE_CHECKING:
    from pytest_greta.device import DeviceInfo
    from pytest_greta.kernel import Array, Kernel, Problem, Variant
    from pytest_greta.measure.run import Run


YOUNG = 10
"""With fewer accepted runs the spread between runs is hardly known, and an undecided gate is no fault."""


NO_HISTORY = "no accepted run of this kernel, variant, context and device yet"


Identity = tuple[str, str, int, str, str]
"""Kernel, variant, context, problem, device: what must be equal for two runs to be compared. Never a test's name."""


class PastRuns(Protocol):
    """What was stored, and what this session will store."""

    @property
    def commit(self) -> str:
        """The commit of the working tree."""

    @property
    def not_clean(self) -> str:
        """Why the commit does not say what runs here; empty where it does."""

    @property
    def is_saved(self) -> bool:
        """Whether this session's runs are stored."""

    @property
    def problems(self) -> Sequence[str]:
        """What of the past could not be read, a line each."""

    def unknown(self, required: bool) -> str:
        """Why nobody can tell which runs came before this checkout; empty where one can.

        A folder without version control is one line of runs, unless something is `required`.
        """

    def runs(self, identity: Identity) -> list[HistoricRun]:
        """The stored runs of one identity whose commits came before, oldest first."""

    def code(self, sha256: str) -> bytes | None:
        """The kept code of that SHA-256, if it is there and whole."""

    def keep_code(self, code: bytes) -> None:
        """Keep the code of an accepted run."""


def identity_of(kernel: Kernel, variant: Variant, problem: Problem, device: DeviceInfo) -> Identity:
    """What a run is compared by."""
    return kernel.name, variant.name, problem.context, str(problem), device.identity


def identity_of_run(run: Run) -> Identity:
    """What a run is compared by."""
    return identity_of(run.plan.kernel, run.plan.variant, run.plan.problem, run.device)


def info_of(run: Run) -> dict[str, Any]:
    """What history keeps of a run, so that `historic_run` can read it again."""
    kernel, variant, context, problem, device = identity_of_run(run)
    baseline = run.plan.counterparts.get(BASELINE)
    return {
        "kernel": kernel,
        "variant": variant,
        "context": context,
        "problem": problem,
        "device": device,
        "seconds": list(run.seconds),
        "timing": timing_of(run),
        "launches": {slot: run.manner.counts.get(slot, 1) for slot in (CANDIDATE, *run.plan.counterparts)},
        "warm_up": run.warm_up,
        "baseline": baseline.executable.name if baseline else None,
        "code": code_info(run.plan.candidate, run.buffers),
        "family": family_of(run.plan.kernel, run.buffers),
        "baseline_code": baseline_code_of(run),
        "baseline_seconds": list(run.baseline.seconds),
        "accepted_seconds": list(run.accepted.seconds),
        "baseline_orders": list(run.baseline.pairs.orders),
        "accepted_orders": list(run.accepted.pairs.orders),
        "accepted": False,
        "why_not": "its gates were not evaluated",
        "new_level": "",
        "keeps_code": False,
    }


def historic_run(info: Mapping[str, Any], commit: str, when: str) -> tuple[Identity, HistoricRun] | None:
    """A stored entry as a run with its identity; None for one that is not greta's, or holds no times.

    Raises ValueError where it is greta's and damaged: history can be edited by hand.
    """
    if "baseline_code" not in info or not info.get("seconds"):
        return None
    try:
        kernel, variant, context = str(info["kernel"]), str(info["variant"]), int(info["context"])
        seconds, paired = ([float(s) for s in info[name]] for name in ("seconds", "baseline_seconds"))
        time = datetime.fromisoformat(when)
        baseline, code, family = str(info["baseline_code"]), info.get("code"), info.get("family")
        if not all(0 < s < math.inf for s in (*seconds, *paired)):
            raise ValueError("a time that is no number above zero")
        if not FEWEST_ROUNDS <= len(paired) <= len(seconds):
            paired, baseline = [], ""
        kept = True in (info.get("keeps_code"), info.get("yardstick"))  # the latter in records of 0.1.0
        run = HistoricRun(
            commit=commit,
            when=time if time.tzinfo else time.replace(tzinfo=timezone.utc),
            device=str(info["device"]),
            seconds=seconds,
            baseline_seconds=paired,
            baseline=baseline,
            accepted=info["accepted"] is True,
            why_not=str(info["why_not"]),
            new_level=str(info["new_level"]),
            code=code if kept and isinstance(code, Mapping) else {},
            timing=str(info.get("timing", "")),
            test_seconds=_seconds_in(info.get("test_seconds")),
            family={str(k): str(v) for k, v in family.items()} if isinstance(family, Mapping) else {},
        )
        return (kernel, variant, context, str(info["problem"]), run.device), run
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise ValueError(str(error) if type(error) is ValueError else repr(error)) from error


def _seconds_in(value: object) -> float:
    """Seconds, or 0 where it says none."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value < math.inf else 0.0


def read_runs(
    files: Iterable[tuple[object, Any]],
) -> tuple[dict[Identity, list[HistoricRun]], list[str]]:
    """The runs in stored files (path, contents) by identity, oldest first, and what of them is damaged, a line each."""
    runs: dict[Identity, list[HistoricRun]] = {}
    problems = []
    for path, data in files:
        commit = str(_mapping(data, "commit_info").get("id") or "unknown")
        when = str(data.get("datetime")) if isinstance(data, Mapping) else ""
        entries = data.get("benchmarks") if isinstance(data, Mapping) else None
        for number, entry in enumerate(entries if isinstance(entries, list) else [], 1):
            try:
                found = historic_run(_mapping(entry, "extra_info"), commit, when)
            except ValueError as error:
                what = " ".join(str(error).split())[:200]
                problems.append(f"{path}: entry {number} is damaged and does not count: {what}")
                continue
            if found:
                runs.setdefault(found[0], []).append(found[1])
    for several in runs.values():
        several.sort(key=lambda run: run.when)
    return runs, problems


def _mapping(data: object, name: str) -> Mapping[str, Any]:
    """A part of a stored file that should be a mapping: files can be edited by hand."""
    part = data.get(name) if isinstance(data, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def timing_of(run: Run) -> str:
    """How a run was timed, as far as times depend on it: only equal ones are compared. Empty in records of 0.1.0, whose
    times hold some of the host's.
    """
    return f"held, caches {run.manner.name}"


def of_timing(runs: Sequence[HistoricRun], timing: str) -> tuple[list[HistoricRun], str]:
    """The runs but accepted ones that were timed in another way, and what to say of those; else empty."""
    others = [run for run in runs if run.accepted and run.timing != timing]
    return (
        [run for run in runs if run.timing == timing or not run.accepted],
        f"the accepted run of commit {others[-1].short_commit} was timed otherwise" if others else "",
    )


def of_family(
    runs: Sequence[HistoricRun], kernel: Kernel, buffers: Mapping[str, Array]
) -> tuple[list[HistoricRun], str]:
    """The runs of the same data as today's, and what has changed since the last of the others; else empty."""
    now = family_of(kernel, buffers)
    same = [run for run in runs if not changed(run.family, now)]
    others = [run for run in runs if run.accepted and changed(run.family, now)]
    if not others:
        return same, ""
    names = ", ".join(changed(others[-1].family, now))
    return (
        same,
        f"since the accepted run of commit {others[-1].short_commit} the family's data changed: {names}",
    )


def baseline_code_of(run: Run) -> str:
    """Identity of the code that ran as the baseline; empty where none did, or a wrong one."""
    baseline = run.plan.counterparts.get(BASELINE)
    return sha256_of(baseline.executable.code)[:16] if baseline and run.baseline.seconds else ""
