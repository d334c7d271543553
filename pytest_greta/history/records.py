"""What history keeps of a run, and how it is read again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from pytest_greta.measure.executable import BASELINE, code_info, sha256_of
from pytest_greta.stats.runs import HistoricRun

if TYPE_CHECKING:
    from pytest_greta.device import DeviceInfo
    from pytest_greta.kernel import Kernel, Problem, Variant
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

    def runs(self, identity: Identity) -> list[HistoricRun]:
        """The stored runs of one identity, oldest first."""

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
        "baseline": baseline.executable.name if baseline else None,
        "code": code_info(run.plan.candidate, run.buffers),
        "baseline_code": baseline_code_of(run),
        "baseline_seconds": list(run.baseline.seconds),
        "accepted_seconds": list(run.accepted.seconds),
        "accepted": False,
        "why_not": "its gates were not evaluated",
        "new_level": "",
        "keeps_code": False,
    }


def historic_run(info: Mapping[str, Any], commit: str, when: str) -> tuple[Identity, HistoricRun] | None:
    """A stored entry as a run with its identity; None for one that is not greta's, or holds no times."""
    try:
        kernel, variant, context = str(info["kernel"]), str(info["variant"]), int(info["context"])
        seconds, beside = [float(s) for s in info["seconds"]], [float(s) for s in info["baseline_seconds"]]
        time = datetime.fromisoformat(when)
        baseline = str(info["baseline_code"])
        if not seconds or min(*seconds, *beside, 1.0) <= 0:
            return None
        if len(beside) != len(seconds):
            beside, baseline = [], ""
        run = HistoricRun(
            commit=commit,
            when=time if time.tzinfo else time.replace(tzinfo=timezone.utc),
            device=str(info["device"]),
            seconds=seconds,
            baseline_seconds=beside,
            baseline=baseline,
            accepted=info["accepted"] is True,
            why_not=str(info["why_not"]),
            new_level=str(info["new_level"]),
            code=info["code"]
            if isinstance(info.get("code"), Mapping)
            and True in (info.get("keeps_code"), info.get("yardstick"))
            else {},
        )
        return (kernel, variant, context, str(info["problem"]), run.device), run
    except (KeyError, TypeError, ValueError):
        return None


def baseline_code_of(run: Run) -> str:
    """Identity of the code that ran as the baseline; empty where none did, or a wrong one."""
    baseline = run.plan.counterparts.get(BASELINE)
    return sha256_of(baseline.executable.code)[:16] if baseline and run.baseline.seconds else ""
