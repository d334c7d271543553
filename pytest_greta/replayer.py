"""What a test takes in place of compiling and measuring, with `--greta-replay`: records, held against today's gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from pytest_greta.errors import NotRecorded, RecordedBlock, RecordedFailure, quote, suggestion
from pytest_greta.gates.evaluation import built_in_for_peak
from pytest_greta.gates.model import Gate, Measurement, Quantity
from pytest_greta.gates.programs import PROGRAM_GATES
from pytest_greta.kernel import Problem
from pytest_greta.measure.executable import BASELINE
from pytest_greta.programs import recipe
from pytest_greta.programs.contexts import over_contexts_of, scaling_of
from pytest_greta.programs.pairing import limits_of, speedup
from pytest_greta.programs.result import ProgramRun
from pytest_greta.records.digests import Digests, differing
from pytest_greta.records.model import Session
from pytest_greta.records.recordings import Found, Recordings, apart
from pytest_greta.records.replay import NOT_HELD, UNKNOWN, ReplayedResult, apart_from, pairs_of, quantities_of
from pytest_greta.results import GatedMeasurement

if TYPE_CHECKING:
    from pytest_greta.gates.file import GateFile
    from pytest_greta.kernel import Kernel, Variant
    from pytest_greta.programs.result import ProgramCase

FIRST = "first"
DETERMINISTIC = "deterministic"


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
            raise self._missing(kernel.name, variant.name, target)
        (found, notes), judged = self._of_this_code(found, self._by_source(kernel, variant)), []
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
                quantities.setdefault(gate.name, UNKNOWN)
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
            raise self._missing(kernel.name, variant.name, problem.id, f" on {self.kind}")
        baseline = self.gate_file.baseline_of(kernel, problem)
        bases = self.recordings.runs(kernel, baseline, problem, self.kind) if baseline else []
        firsts = self.recordings.runs(kernel, variant, smallest, self.kind)
        (found, notes), judged = self._of_this_code(found, self._by_source(kernel, variant)), list[_Judged]()
        beside: dict[tuple[str, int | None], dict[str, Found]] = {}
        for slot, several in ((BASELINE, bases), (FIRST, firsts)):
            for other in several:
                beside.setdefault(other.of, {})[slot] = other
        for one in found:
            for code in self.recordings.beside(one):
                target = str(code.recorded.target)
                judged += self._gated_code([code], kernel, variant, target, [problem])
            device = one.device
            peak = self.gate_file.peak_of(device.name, device.target)
            name = baseline.name if baseline else ""
            quantities = quantities_of(
                one, kernel, variant, problem, gates, beside.get(one.of, {}), name, peak
            )
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

    def program_result(
        self, case: ProgramCase, gates: Sequence[Gate], files: Mapping[str, str]
    ) -> ReplayedResult:
        """The recorded runs of a program: all of them are judged. `files` are the digests of what its command names, as
        far as that is here. Raises NotRecorded or RecordedFailure.
        """
        found = self.recordings.programs(case.program, case.variant, case.problem)
        if not found:
            raise self._missing(case.program, case.variant, case.problem.id)

        entry = self.gate_file.programs[case.program]

        @cache
        def today_beside(baseline: str) -> Mapping[str, str]:
            return recipe.recipe_of(entry, case.variant, case.problem, baseline)

        def today(one: Found) -> Mapping[str, str]:
            return today_beside(entry.baseline if one.recorded.baseline == entry.baseline else "")

        def other_code(one: Found) -> str:
            changed = [
                n for n, digest in one.recorded.digests.items() if digest and files.get(n, digest) != digest
            ]
            changed += recipe.changed(one.recorded.recipe, today(one))
            if changed:
                return f"is of other code: {' and '.join(changed)} changed since"
            same = {n for n in one.recorded.digests if n in files}
            if same and not one.recorded.recipe:
                return "does not say with which arguments and environment it ran"
            return "" if same else self._other_commit(one.session)

        found, notes = self._of_this_code(found, other_code)
        judged = [
            (one, self._gated_program(case, one, gates, recipe.no_longer(one.recorded.recipe, today(one))))
            for one in found
        ]
        return _replayed(judged, (*notes, *filter(None, [apart(found)])))

    def _gated_program(
        self, case: ProgramCase, one: Found, gates: Sequence[Gate], no_longer: Mapping[str, str]
    ) -> GatedMeasurement:
        """A record with the gates of today. `no_longer` are quantities that mean something else by now, with why."""
        whole, *each = ({**some} for some in (one.recorded.quantities, *one.recorded.each))
        output = self.gate_file.programs[case.program].output
        for some in (whole, *each):
            if output.processed in some:  # by the program's own name, in a record that others made
                some.setdefault("processed", some[output.processed])
        if limits_of(gates):
            self._hold_speedup(case, one, gates, whole)
        self._hold_over_contexts(case, one, gates, whole)
        for name, why in no_longer.items():
            for some in [some for some in (whole, *each) if name in some]:
                some[name] = _unknown(name, why)
        for some in (whole, *each):
            _hold_program(one.recorded.units, some, gates)
        whole_run, *runs = (
            Measurement(
                case.program,
                case.variant,
                some,
                problem=case.problem,
                device="program",
                untimed=one.recorded.untimed,
            )
            for some in (whole, *each)
        )
        return GatedMeasurement(whole_run, gates, each=runs)

    def _hold_speedup(
        self, case: ProgramCase, one: Found, gates: Sequence[Gate], whole: dict[str, Quantity]
    ) -> None:
        """Take the speedup anew, from the pairs with today's baseline; that beside another one is none."""
        recorded, limits = one.recorded, limits_of(gates)
        baseline = self.gate_file.programs[case.program].baseline
        if recorded.baseline != baseline and (recorded.baseline or any(recorded.orders)):
            then = recorded.baseline or "an unknown baseline"
            told = f"recorded against {then}, gates.yaml says {baseline or 'no baseline'}"
            whole["speedup"] = Quantity(None, reason=told)
        elif "speedup" in whole and whole["speedup"].value is None and any(recorded.orders):
            pass  # its pairs did not count when they were measured
        elif recorded.orders:
            whole["speedup"] = speedup(pairs_of(one, limits), limits, "")
        elif baseline:
            bases = self.recordings.programs(case.program, baseline, case.problem)
            beside = next((other for other in bases if other.of == one.of), None)
            whole.setdefault("speedup", apart_from(recorded.seconds, beside, baseline))

    def _hold_over_contexts(
        self, case: ProgramCase, found: Found, gates: Sequence[Gate], whole: dict[str, Quantity]
    ) -> None:
        """Take anew, from the records of the same session, what depends on other contexts."""
        own = ProgramRun(case.program, case.variant, case.problem, quantities=whole)
        shorter = [
            ProgramRun(case.program, case.variant, Problem(context), quantities={**other.recorded.quantities})
            for context, other in sorted(self.recordings.shorter(found).items())
        ]
        for gate in gates:
            if gate.limit.ratio is not None and gate.name in whole:
                whole[gate.quantity] = over_contexts_of(gate.name, [*shorter, own])
            elif gate.name == "scaling" and "seconds" in whole:
                timed = [one for one in shorter if "seconds" in one.quantities]
                alone = Quantity(None, reason="no record of the smallest context in the same session")
                whole["scaling"] = scaling_of(own, timed[0]) if timed else alone

    def _missing(
        self, kernel: str, variant: str, where: str, on: str = ""
    ) -> NotRecorded | RecordedFailure | RecordedBlock:
        """Why there is nothing to gate. `on` is the kind of device that it should be of, in words."""
        name = f"{kernel} {variant} @ {where}"
        for file, status, reason in self.recordings.stopped(kernel, variant, where):
            told = f"{name}: {status} when it was recorded in {file}: {reason}"
            stops: dict[str, type[NotRecorded | RecordedFailure | RecordedBlock]] = {
                "FAIL": RecordedFailure,
                "BLOCKED": RecordedBlock,
            }
            return stops.get(status, NotRecorded)(told)
        there = self.recordings.recorded_for(kernel, variant)
        of = f"; of {variant} there is {', '.join(there[:8])}" if there else f"; there is none of {variant}"
        told = f"no record of {name}{on} in {self.recordings.names}{of}"
        return NotRecorded("; ".join([told, *self.recordings.unfinished]))

    def _of_this_code(
        self, found: Sequence[Found], other_code: Callable[[Found], str]
    ) -> tuple[list[Found], tuple[str, ...]]:
        """The records that count, and what to know of them. Where something is required, one of other code is as none:
        raises NotRecorded where all are.
        """
        counting, notes, others = [], [], []
        for one in found:
            other = other_code(one)
            of = f"{one.recorded.name} in {one.file}"
            if other and self.is_required:
                others.append(f"{of} {other}")
                continue
            counting.append(one)
            if other:
                notes.append(f"{of if any(one.recorded.digests.values()) else one.file} {other}")
            notes += [one.where] if one.is_told else []
            if one.session.gates.get("sha256") not in ("", None, self.gates_sha256):
                notes.append(
                    f"{one.file} was recorded with other gates: those of {self.gate_file.path} today are held"
                )
        if not counting:
            raise NotRecorded("; ".join(others))
        return counting, tuple(dict.fromkeys([*others, *notes]))

    def _by_source(self, kernel: Kernel, variant: Variant) -> Callable[[Found], str]:
        return lambda found: self._other_code(found, kernel, variant)

    def _other_code(self, found: Found, kernel: Kernel, variant: Variant) -> str:
        """What tells a record from one of this checkout, in words; empty where nothing does."""
        recorded, session = found.recorded, found.session
        if recorded.digests.get("source"):
            changed = differing(recorded.digests, self.digests.of(kernel, variant), session.python)
            return f"is of other code: {' and '.join(changed)} changed since" if changed else ""
        return self._other_commit(session)

    def _other_commit(self, session: Session) -> str:
        """The same of a record that does not say its source: by the commit."""
        if session.commit is None:
            return "does not say of which code it is"
        if session.commit["dirty"]:
            return "is of a working tree with uncommitted changes"
        same = self.commit.startswith(str(session.commit["id"]))  # a short one of at least seven digits, too
        return "" if same else f"is of commit {str(session.commit['id'])[:12]}, this is {self.commit[:12]}"


def _hold_program(units: Mapping[str, str], found: dict[str, Quantity], gates: Sequence[Gate]) -> None:
    """Make of recorded quantities of a program, in some `units`, what gates of today can be held against."""
    outputs = [
        name.removeprefix(f"{DETERMINISTIC}:") for name in found if name.startswith(f"{DETERMINISTIC}:")
    ]
    for gate in gates:
        if gate.quantity not in found:
            found[gate.quantity] = _unknown(gate.name, NOT_HELD)
        now, then = gate.definition.unit, units.get(gate.quantity, "")
        if gate.name not in PROGRAM_GATES and gate.limit.ratio is None and then and then != now:
            reason = (
                f"recorded in {then}, and {f'its unit is {now}' if now else 'it has no unit'} in gates.yaml"
            )
            found[gate.quantity] = Quantity(None, reason=reason, excused=True)
        for output in gate.outputs if gate.name == DETERMINISTIC and outputs else ():
            reason = f"the output has no {quote(output)}; {suggestion(output, outputs)}"
            found.setdefault(f"{DETERMINISTIC}:{output}", Quantity(False, reason=reason))


def _unknown(name: str, reason: str) -> Quantity:
    """In the place of what a record does not say: no failure of the program, which would have to tell some of it."""
    definition = PROGRAM_GATES.get(name)
    return Quantity(None, reason=reason, excused=definition is None or definition.reported)


_Judged = tuple[Found, GatedMeasurement]
"""A record, and its measurement with the gates of today."""


def _replayed(judged: Sequence[_Judged], notes: tuple[str, ...]) -> ReplayedResult:
    return ReplayedResult([gated for _, gated in judged], [one for one, _ in judged], notes)


def _by_session(found: Sequence[Found]) -> list[list[Found]]:
    groups: dict[tuple[str, int | None], list[Found]] = {}
    for one in found:
        groups.setdefault(one.of, []).append(one)
    return [*groups.values()]
