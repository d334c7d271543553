"""What a test takes in place of compiling and measuring, with `--greta-replay`: records, held against today's gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_greta.errors import NotRecorded, RecordedFailure
from pytest_greta.gates.evaluation import built_in_for_peak
from pytest_greta.gates.model import Gate, Measurement, Quantity
from pytest_greta.measure.executable import BASELINE
from pytest_greta.programs.pairing import limits_of, speedup
from pytest_greta.records.digests import Digests, differing
from pytest_greta.records.recordings import Found, Recordings, apart
from pytest_greta.records.replay import NOT_HELD, ReplayedResult, pairs_of, quantities_of
from pytest_greta.results import GatedMeasurement

if TYPE_CHECKING:
    from pytest_greta.gates.file import GateFile
    from pytest_greta.kernel import Kernel, Problem, Variant
    from pytest_greta.programs.result import ProgramCase

FIRST = "first"


@dataclass
class Replayer:
    """Finds the records of a test."""

    recordings: Recordings
    gate_file: GateFile
    gates_sha256: str
    commit: str
    """That of this checkout."""
    is_required: bool
    """Whether a record of other code is as none."""
    kind: str
    """Of device: `hip` or `cpu`."""
    digests: Digests = field(default_factory=Digests)

    def code_result(
        self, kernel: Kernel, variant: Variant, target: str, groups: Sequence[Sequence[Problem]]
    ) -> ReplayedResult:
        """The recorded code of a variant for a target. Raises NotRecorded or RecordedFailure."""
        found = self.recordings.codes(kernel.name, variant.name, target)
        if not found:
            raise self._missing(kernel, variant, target, is_run=False)
        notes, judged = self._notes(found, kernel, variant), []
        for session in _by_session(found):
            for problems in groups:
                judged += self._gated_code(session, kernel, variant, target, problems)
        return _replayed(judged, notes)

    def _gated_code(
        self,
        found: Sequence[Found],
        kernel: Kernel,
        variant: Variant,
        target: str,
        problems: Sequence[Problem],
    ) -> list[_Judged]:
        """The code that serves some problems, with its gates."""
        sizes = [dict(problem.sizes) for problem in problems]
        fitting = [one for one in found if one.recorded.problem and one.recorded.problem.sizes in sizes]
        fitting = fitting or [one for one in found if one.recorded.problem is None]
        gated = []
        for served, gates in self.gate_file.code_gates(kernel.name, variant.name, target, problems):
            quantities: dict[str, Quantity] = {}
            for one in fitting:  # what one record of the same code does not say, another may
                known = {
                    k: v
                    for k, v in one.recorded.quantities.items()
                    if v.value is not None or k not in quantities
                }
                quantities = {**known, **{k: v for k, v in quantities.items() if v.value is not None}}
            for gate in gates:
                quantities.setdefault(gate.name, Quantity(None, reason=NOT_HELD))
            measurement = Measurement(kernel.name, variant.name, quantities, target=target, problem=served[0])
            gated.append(((fitting or found)[0], GatedMeasurement(measurement, gates)))
        return gated

    def run_result(
        self, kernel: Kernel, variant: Variant, problem: Problem, gates: Sequence[Gate], smallest: Problem
    ) -> ReplayedResult:
        """The recorded runs of a variant for a problem: all of them are judged. `gates` are those of its run, and
        `smallest` is the problem that scaling is measured from. Raises NotRecorded or RecordedFailure.
        """
        found = self.recordings.runs(kernel, variant, problem, self.kind)
        if not found:
            raise self._missing(kernel, variant, problem.id, is_run=True)
        baseline = self.gate_file.baseline_of(kernel, problem)
        bases = self.recordings.runs(kernel, baseline, problem, self.kind) if baseline else []
        firsts = self.recordings.runs(kernel, variant, smallest, self.kind)
        notes, judged = self._notes(found, kernel, variant), list[_Judged]()
        for one in found:
            for code in self.recordings.beside(one):
                target = str(code.recorded.target)
                judged += self._gated_code([code], kernel, variant, target, [problem])
            beside: Mapping[str, Found] = {
                slot: other
                for slot, several in ((BASELINE, bases), (FIRST, firsts))
                for other in several
                if other.is_of(one)
            }
            device = one.device
            peak = self.gate_file.peak_of(device.name, device.target)
            name = baseline.name if baseline else ""
            quantities = quantities_of(one, kernel, variant, problem, gates, beside, name, peak)
            is_known = "impossible" in quantities and quantities["impossible"].value is not None
            peaks = [built_in_for_peak(kernel.name, variant.name)] if is_known else []
            measurement = Measurement(
                kernel.name,
                variant.name,
                quantities,
                problem=problem,
                device=one.recorded.device_kind or self.kind,
                untimed=one.recorded.untimed,
            )
            judged.append((one, GatedMeasurement(measurement, [*peaks, *gates])))
        return _replayed(judged, (*notes, *filter(None, [apart(found)])))

    def program_result(self, case: ProgramCase, gates: Sequence[Gate]) -> ReplayedResult:
        """The recorded runs of a program: all of them are judged. Raises NotRecorded."""
        found = self.recordings.programs(case.program, case.variant, case.problem)
        if not found:
            raise NotRecorded(
                f"no record of {case.program} {case.variant} @ {case.problem.id} in {self.recordings.names}"
            )
        judged, limits = list[_Judged](), limits_of(gates)
        for one in found:
            quantities = dict(one.recorded.quantities)
            if limits and one.recorded.orders:
                quantities["speedup"] = speedup(pairs_of(one, limits), limits, "")
            for gate in gates:
                quantities.setdefault(gate.quantity, Quantity(None, reason=NOT_HELD))
            measurement = Measurement(
                case.program,
                case.variant,
                quantities,
                problem=case.problem,
                device="program",
                untimed=one.recorded.untimed,
            )
            judged.append((one, GatedMeasurement(measurement, gates)))
        return _replayed(judged, tuple(dict.fromkeys(one.where for one in found if one.is_told)))

    def _missing(
        self, kernel: Kernel, variant: Variant, where: str, is_run: bool
    ) -> NotRecorded | RecordedFailure:
        """Why there is nothing to gate."""
        name = f"{kernel.name} {variant.name} @ {where}"
        for file, status, reason in self.recordings.stopped(kernel.name, variant.name, where):
            told = f"{name}: {status} when it was recorded in {file}: {reason}"
            return RecordedFailure(told) if status == "FAIL" else NotRecorded(told)
        there = self.recordings.recorded_for(kernel.name, variant.name)
        of = (
            f"; of {variant.name} there is {', '.join(there[:8])}"
            if there
            else f"; there is none of {variant.name}"
        )
        on = f" on {self.kind}" if is_run else ""
        return NotRecorded(f"no record of {name}{on} in {self.recordings.names}{of}")

    def _notes(self, found: Sequence[Found], kernel: Kernel, variant: Variant) -> tuple[str, ...]:
        """What to know of records. Raises NotRecorded for those of other code, where something is required."""
        notes = []
        for one in found:
            other = self._other_code(one, kernel, variant)
            if other and self.is_required:
                raise NotRecorded(f"{one.recorded.name} in {one.file} {other}")
            of = f"{one.recorded.name} in {one.file}" if one.recorded.digests.get("source") else one.file
            notes += [f"{of} {other}"] if other else []
            notes += [one.where] if one.is_told else []
            if one.session.gates.get("sha256") not in ("", None, self.gates_sha256):
                notes.append(
                    f"{one.file} was recorded with other gates: those of {self.gate_file.path} today are held"
                )
        return tuple(dict.fromkeys(notes))

    def _other_code(self, found: Found, kernel: Kernel, variant: Variant) -> str:
        """What tells a record from one of this checkout, in words; empty where nothing does."""
        recorded, session = found.recorded, found.session
        if recorded.digests.get("source"):
            changed = differing(recorded.digests, self.digests.of(kernel, variant), session.python)
            return f"is of other code: {' and '.join(changed)} changed since" if changed else ""
        if session.commit is None:
            return "does not say of which code it is"
        if session.commit["dirty"]:
            return "is of a working tree with uncommitted changes"
        same = self.commit.startswith(str(session.commit["id"]))  # a short one of at least seven digits, too
        return "" if same else f"is of commit {str(session.commit['id'])[:12]}, this is {self.commit[:12]}"


_Judged = tuple[Found, GatedMeasurement]
"""A record, and its measurement with the gates of today."""


def _replayed(judged: Sequence[_Judged], notes: tuple[str, ...]) -> ReplayedResult:
    records = [replace(one.recorded, recorded=one.where, source=None) for one, _ in judged]
    return ReplayedResult([gated for _, gated in judged], records, notes)


def _by_session(found: Sequence[Found]) -> list[list[Found]]:
    groups: list[list[Found]] = []
    for one in found:
        same = next((group for group in groups if group[0].is_of(one)), None)
        if same is None:
            groups.append([one])
        else:
            same.append(one)
    return groups
