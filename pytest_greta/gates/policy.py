"""What verdicts mean for a test: which of them fail it."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_greta.gates.model import Status, Verdict


def failing(verdicts: Sequence[Verdict], require: str | None, inconclusive: str = "") -> list[Verdict]:
    """The verdicts that fail a test: every FAIL, and with `--greta-require` what was not decided.

    `inconclusive` is what gates.yaml says of INCONCLUSIVE: `fail`, `warn`, or nothing: it fails where something is
    required. `--greta-require=hip` fails all that was not measured; `--greta-require=cpu` asks for what a CPU can
    decide, so gates on GPU speed stay NOT MEASURED there, but not those on a cpu's. A gate whose history is still short
    is excused: a new benchmark must be able to start. What a program has to tell is excused by the failure that kept it
    from that alone: where nothing else fails, it is required.
    """

    def is_required(verdict: Verdict) -> bool:
        decidable = not verdict.gate.definition.speed or verdict.gate.times_on("cpu")
        return require == "hip" or (require == "cpu" and decidable)

    def fails(verdict: Verdict) -> bool:
        if verdict.status is Status.INCONCLUSIVE:
            if verdict.measured.excused and not inconclusive:
                return False
            return inconclusive == "fail" or (not inconclusive and require is not None)
        if verdict.status is Status.NOT_MEASURED:
            return not verdict.measured.excused and is_required(verdict)
        return verdict.status is Status.FAIL

    passed = Status.PASS
    others = [one for one in verdicts if one.status is not passed]
    unknown = [one for one in others if one.status is Status.NOT_MEASURED and one.gate.definition.reported]
    return [one for one in others if fails(one)] or [one for one in unknown if is_required(one)]
