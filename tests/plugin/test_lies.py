"""Every kernel of tests/faulty/lies is caught, with a line of its own that says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import pytest

from pytest_greta.measure.batches import Manner, Round
from pytest_greta.measure.bench import Bench
from pytest_greta.measure.timing import _EXCHANGE_SECONDS
from tests.faulty.lies.lies import LIES, VARYING
from tests.marks import crossing
from tests.plugin.conftest import CONFTEST, REPOSITORY, Run, write_gates

GATES = """\
version: 1
targets: [gfx942]
kernels:
  lies:
    baseline: right
    contexts: {cpu: [256], hip: [256]}
"""

EXPECTED = {name: text for names in LIES.values() for name, text in names.items()}


@pytest.fixture
def lies(project: pytest.Pytester, greta: Run) -> Run:
    project.makeconftest(conftest_of_lies(CONFTEST))
    write_gates(project, GATES)
    return greta


def conftest_of_lies(faulty: str) -> str:
    """The conftest of the faulty kernels, as one of the lies."""
    text = faulty.format(repository=str(REPOSITORY)).replace(
        "faulty.faulty import Faulty", "faulty.lies.lies import Lies"
    )
    return text.replace("[Faulty()]", "[Lies()]")


def test_there_are_lies_of_every_kind() -> None:
    assert set(LIES) == {"outputs", "launches", "memory"}
    assert len(EXPECTED) >= 40


def test_every_lie_is_caught_with_its_own_line(lies: Run) -> None:
    result = lies("-k", "test_run", "--greta-rounds=8")
    result.assert_outcomes(passed=1, failed=len(EXPECTED))  # the one that is right
    assert missed(result.stdout.str()) == {}


def add_lie(project: pytest.Pytester, name: str, lie: str) -> None:
    """One more variant of the family, beside the one that is right."""
    folder = REPOSITORY / "tests/faulty/lies"
    source = "".join(f'#include "{folder / header}"\n' for header in ("lie.h", "launch.h"))
    (project.path / f"{name}.hip").write_text(source + lie)
    more = "\n\nfrom pathlib import Path\n\nfrom pytest_greta import Variant\n"
    more += "from tests.faulty.lies.lies import Lies\n\n"
    more += f"lie = str(Path(__file__).parent / '{name}.hip')\n"
    more += f"Lies.variants = (*Lies.variants[:1], Variant('{name}', lie, '{name}'))\n"
    path = project.path / "conftest.py"
    path.write_text(path.read_text() + more)


BASELINES = {
    "wrong_head": "* in 'y' at row [17, *, over 1.00e-05",
    "wrong_element": "* in 'y' at row [16, 5], over 1.00e-05",
    "idle_from_fourth": "its error is * in 'y' at row *",
    "wrong_from_fourth": "its error is 3.33e-01 in 'y'*",
    "wrong_once": "* in 'y' at row [0, 9], over 1.00e-05",
    "noop": "8192 of 8192 elements of 'y' were not written*",
    "damages_input": "* bytes of 'x' were modified",
    # by its next output, or where its memory is looked at before that
    "damages_input_late": "*in 'y' at row [0, 3]* | * bytes of 'x' were modified*",
    "writes_past_end": "4 bytes past the end of 'y' (nearest: byte 0 past it) were overwritten",
    "writes_past_end_late": "4 bytes past the end of 'y' (nearest: byte 8 past it) were overwritten",
}


@pytest.mark.parametrize(
    ("baseline", "wrong"),
    [
        pytest.param(*item, marks=[] if number % 2 else crossing)
        for number, item in enumerate(BASELINES.items())
    ],
)
def test_a_baseline_that_lies_is_no_measure_and_the_candidate_is_not_blamed(
    lies: Run, project: pytest.Pytester, baseline: str, wrong: str
) -> None:
    gates = "    gates: {right: {speedup: {min: 0.001, devices: cpu}}}\n"
    write_gates(project, GATES.replace("baseline: right", f"baseline: {baseline}") + gates)
    result = lies("--greta-variant=right", "-k", "test_run", "--greta-rounds=12")
    result.assert_outcomes(passed=1)
    (line,) = (n for n in result.stdout.lines if "speedup >= 0.001" in n)
    assert "NOT MEASURED [1]" in line
    wanted = [escaped(f"[1] the baseline {baseline} is wrong: {one}") for one in wrong.split(" | ")]
    assert any(fnmatchcase(n, one) for n in result.stdout.lines for one in wanted), result.stdout.str()


def test_a_baseline_that_is_wrong_in_one_draw_leaves_no_draw_unchecked(
    lies: Run, project: pytest.Pytester
) -> None:
    write_gates(project, GATES.replace("baseline: right", "baseline: takes_larger_past_input"))
    result = lies("--greta-variant=right,wrong_element", "-k", "test_run", "--greta-rounds=4")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*wrong_element @ 256  max_error of y * FAIL (largest error in 'y' at row *",
            "note: right @ 256: the baseline takes_larger_past_input is wrong: *; 8192 of 8192 rows checked",
        ]
    )


def test_a_baseline_that_is_wrong_in_the_first_draw_alone_is_found(
    lies: Run, project: pytest.Pytester
) -> None:
    """In a row that covers nothing, and only where NaN lies behind the inputs: in the second draw it is right."""
    lie = "LIE(first_draw) { ELEMENT; RIGHT; if (at == all / 2 + 5 && x[all] != x[all]) y[at] += 1.0f; }\n"
    add_lie(project, "first_draw", lie)
    gates = "    gates: {right: {speedup: {min: 0.001, devices: cpu}}}\n"
    write_gates(project, GATES.replace("baseline: right", "baseline: first_draw") + gates)
    result = lies("--greta-variant=right", "-k", "test_run", "--greta-rounds=6")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*speedup >= 0.001 * NOT MEASURED [[]1[]]",
            "[[]1[]] the baseline first_draw is wrong: its error is * in 'y' at row [[]16, 5[]], over 1.00e-05",
        ]
    )


@pytest.mark.parametrize("variant", ["damages_input_late", "writes_past_end_late"])
def test_what_the_candidate_damages_is_no_fault_of_the_baseline(
    lies: Run, project: pytest.Pytester, variant: str
) -> None:
    """Where both change places in memory now and then."""
    write_gates(project, GATES + f"    gates: {{{variant}: {{speedup: {{min: 0.001, devices: cpu}}}}}}\n")
    result = lies(f"--greta-variant={variant}", "-k", "test_run", "--greta-rounds=24")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*the baseline right is wrong*")


def test_one_of_many_launches_between_two_events_that_hangs_is_killed_soon(
    lies: Run, project: pytest.Pytester
) -> None:
    """Not after as many deadlines as there are launches."""
    lie = (
        "LIE(hangs) { ELEMENT; LAUNCH; RIGHT; volatile int on = launch == 2000 && at == 0; while (on) {} }\n"
    )
    add_lie(project, "hangs", lie)
    gates = (
        "    caches: warm\n    gates: {hangs: {deadline_seconds: 1, speedup: {min: 0.001, devices: cpu}}}\n"
    )
    write_gates(project, GATES + gates)
    result = lies("--greta-variant=hangs", "-k", "test_run", "--greta-rounds=300")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no_fault is true * FAIL (killed: no answer to 'run' within 2 s)"])


WAIVED = GATES + '    gates: {"*": {deterministic: false}}\n'


@pytest.fixture
def varying(project: pytest.Pytester, greta: Run) -> Run:
    project.makeconftest(conftest_of_lies(CONFTEST).replace("Lies", "Varying"))
    write_gates(project, WAIVED)
    return lambda *options: greta("-k", "test_run", "--greta-rounds=40", "--junitxml=junit.xml", *options)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rounds were in each batch of what is measured from here on."""
    seen: list[int] = []
    launch = Bench.launch

    def counted(
        bench: Bench, rounds: Sequence[Round], manner: Manner | None = None
    ) -> list[dict[str, float]]:
        seen.append(len(rounds))
        return launch(bench, rounds, manner)

    monkeypatch.setattr(Bench, "launch", counted)
    return seen


def test_results_that_vary_within_the_tolerance_are_held_on_the_device(
    varying: Run, project: pytest.Pytester, batches: list[int]
) -> None:
    varying("--greta-variant=varies").assert_outcomes(passed=1)
    read, held = told = held_on_device(project, "y")
    assert 2 <= read <= 10
    assert held >= 25
    assert held_on_device(project, "rank, big") == told
    assert max(batches[-2:]) > 1


@pytest.mark.parametrize("baseline", ["right", "varies_late_too"])
def test_results_that_begin_to_vary_in_the_middle_of_a_batch_are_held_from_then_on(
    varying: Run, project: pytest.Pytester, batches: list[int], baseline: str
) -> None:
    write_gates(project, WAIVED.replace("baseline: right", f"baseline: {baseline}"))
    varying("--greta-variant=varies_late").assert_outcomes(passed=1)
    read, held = held_on_device(project, "y")
    assert 3 <= read <= 10
    assert held >= 25
    assert max(batches[-2:]) > 1


def test_without_a_baseline_launches_are_held_within_the_tolerance_of_the_first(
    varying: Run, project: pytest.Pytester
) -> None:
    write_gates(project, WAIVED.replace("baseline: right", "baseline: varies"))
    varying("--greta-variant=varies").assert_outcomes(passed=1)
    read, held = held_on_device(project, "y", " of the first")
    assert 2 <= read <= 10
    assert held >= 25


def test_results_so_far_apart_that_the_first_proves_nothing_are_read(
    varying: Run, project: pytest.Pytester, batches: list[int]
) -> None:
    varying("--greta-variant=varies_far").assert_outcomes(passed=1)
    assert held_on_device(project, "y") == (0, 0)
    assert set(batches[-15:]) == {1}


def test_what_varies_and_is_wrong_once_is_caught(varying: Run) -> None:
    result = varying(f"--greta-variant={','.join(VARYING)}")
    result.assert_outcomes(failed=len(VARYING))
    assert missed(result.stdout.str(), VARYING) == {}


@pytest.mark.parametrize(("baseline", "wrong"), [("varies", ""), *VARYING.items()])
def test_a_baseline_that_varies_is_held_on_the_device_as_well(
    varying: Run,
    project: pytest.Pytester,
    batches: list[int],
    monkeypatch: pytest.MonkeyPatch,
    baseline: str,
    wrong: str,
) -> None:
    monkeypatch.setitem(_EXCHANGE_SECONDS, "cpu", 0.0)  # where memory is exchanged a batch is one round
    gates = WAIVED.replace("baseline: right", f"baseline: {baseline}")
    write_gates(project, gates.replace("false}", "false, speedup: {min: 0.001, devices: cpu}}"))
    result = varying("--greta-variant=right")
    result.assert_outcomes(passed=1)
    (line,) = (n for n in result.stdout.lines if "speedup >= 0.001" in n)
    assert ("NOT MEASURED" in line) == bool(wrong)
    assert (f"the baseline {baseline} is wrong" in result.stdout.str()) == bool(wrong)
    assert max(batches[-3:]) > 1


def held_on_device(project: pytest.Pytester, check: str, of: str = "") -> tuple[int, int]:
    """How many launches were read, and how many held on the device, by the verdict of an error; 0, 0 if none."""
    text = (project.path / "junit.xml").read_text()
    (said,) = re.findall(rf'name="greta max_error" value="([^"]*max_error of {check} [^"]*)"', text)
    found = re.search(
        r"; measured in (\d+) launches that were read, (\d+) were held within the tolerance"
        rf"{of} on the device, \d+ had the same bits",
        said,
    )
    return (int(found[1]), int(found[2])) if found else (0, 0)


def missed(output: str, expected: Mapping[str, str] = EXPECTED) -> dict[str, str]:
    """The lies whose test does not say what was expected, with what it says."""
    failures = output[output.index("= FAILURES =") :].partition("\n= greta")[0]
    sections = re.split(r"^_+ test_run\[(\w+)-\d+\] _+$", failures, flags=re.MULTILINE)
    said = dict(zip(sections[1::2], sections[2::2], strict=True))
    return {
        name: said.get(name, "nothing")
        for name, text in expected.items()
        if not any(fnmatchcase(line, f"*{escaped(text)}*") for line in said.get(name, "").splitlines())
    }


def escaped(pattern: str) -> str:
    """The pattern with brackets as they are."""
    return pattern.replace("[", "[[]")
