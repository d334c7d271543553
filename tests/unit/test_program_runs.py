"""What several runs of a program say together, what is kept of them, and in which order they come."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.errors import ConfigError
from pytest_greta.gates import file as gatefile
from pytest_greta.gates.evaluation import evaluate, evaluate_runs
from pytest_greta.gates.model import Gate, Limit, Measurement, Quantity, Status, Verdict
from pytest_greta.gates.programs import PROGRAM_GATES, OutputSpec
from pytest_greta.gates.templates import fill, template_problems
from pytest_greta.kernel import Problem
from pytest_greta.problems import program_problems
from pytest_greta.programs.contexts import over_contexts_of, scaling_of
from pytest_greta.programs.execution import Execution, add_missing, missing, quantities_of
from pytest_greta.programs.gguf_file import context_limit
from pytest_greta.programs.journal import Journal, Round, key_of
from pytest_greta.programs.pairing import BASELINE, CANDIDATE, orders_after
from pytest_greta.programs.place import check_model, invocation_of
from pytest_greta.programs.result import ProgramRun
from pytest_greta.programs.vram import OWN

OUTPUT = OutputSpec("json_marker", "PERF_TIMING", {"t": "ms", "kv": "bytes"}, time="t", processed="n")
RUN = Execution(0, 2.0, 1.0, 100, None, {"t": 1500, "n": 8, "text": "a", "kv": 10})
GATES = """\
version: 1
programs:
  p:
    variants: {a: ["{variant}", "{context}"], b: [x, "{heads}"], c: {command: x, environment: {A: "{variant}"}}}
    problems: [{context: [8, 16], heads: [2, 4]}]
    baseline: a
    environment: {A: "1", B: "{context+2-heads}"}
    folder: "run/{variant}"
    output: {json_marker: PERF_TIMING, units: {t: ms}, time: t, processed: n}
    gates:
      "*": {speedup: 2, t: [{max: 5}, {max: 9, contexts: 16}, {max_ratio_over_contexts: 3}], text: "{variant}{{"}
      b: {t: {max: 7, where: {heads: 4}}, left_processes: 3, speedup: 4}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> gatefile.GateFile:
    path = tmp_path / "gates.yaml"
    path.write_text(GATES)
    return gatefile.load(path)


def problem(context: int, heads: int) -> Problem:
    return Problem(context, {"heads": heads}, {"heads": heads})


def test_which_gates_are_for_a_run(loaded: gatefile.GateFile) -> None:
    entry = loaded.programs["p"]

    def texts(variant: str, context: int, heads: int) -> list[str]:
        return [gate.text for gate in entry.gates_for(variant, problem(context, heads)) if gate.line]

    assert texts("a", 8, 2) == ["t <= 5", "t over contexts <= 3.00x", "text is a{"]
    assert texts("c", 16, 2) == ["speedup >= 2.00", "t <= 9", "t over contexts <= 3.00x", "text is c{"]
    # The whole entry of a variant takes the place of that of every variant; a ratio is a gate of its own.
    assert texts("b", 16, 2) == [
        "t over contexts <= 3.00x",
        "text is b{",
        "left_processes <= 3",
        "speedup >= 4.00",
    ]
    assert "t <= 7" in texts("b", 16, 4)
    names = [gate.name for gate in entry.gates_for("a", problem(8, 2)) if not gate.line]
    assert names == [
        "exit_status",
        "deadline_seconds",
        "left_processes",
        "no_errors",
        "readable",
        "processed",
        "seconds",
    ]
    assert "left_processes" not in [
        gate.name for gate in entry.gates_for("b", problem(8, 2)) if not gate.line
    ]


def test_templates_are_filled(loaded: gatefile.GateFile, tmp_path: Path) -> None:
    entry = loaded.programs["p"]
    found = invocation_of(entry, "a", problem(16, 4), tmp_path, serialize=True)
    assert found.words == ("a", "16")
    serial = {"HIP_LAUNCH_BLOCKING": "1", "AMD_SERIALIZE_KERNEL": "3"}
    assert found.environment == {"A": "1", "B": "14", **serial}
    assert found.folder == tmp_path / "run" / "a"
    assert invocation_of(entry, "c", problem(8, 2), tmp_path, serialize=False).environment == {
        "A": "c",
        "B": "8",
    }


@given(st.text(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_any_text_is_a_template_of_itself_and_sums_are_added(text: str, context: int, batch: int) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    values = {"context": context, "batch": batch}
    assert list(template_problems(escaped, values)) == []
    assert fill(escaped, values) == text
    assert fill(f"{escaped}{{context + 2-batch}}", values) == f"{text}{context + 2 - batch}"


@given(st.text(alphabet="{}context+-2 _", max_size=12))
def test_a_template_without_a_mistake_can_be_filled(text: str) -> None:
    if not list(template_problems(text, {"context"})):
        fill(text, {"context": 7})


def test_options_take_the_place_of_what_is_listed(loaded: gatefile.GateFile) -> None:
    entry = loaded.programs["p"]
    assert [p.id for p in program_problems(entry, [32, 4], {"heads": ["4"]})] == ["4-heads4", "32-heads4"]
    assert [p.id for p in program_problems(entry, None, {"heads": ["8"]})] == ["8-heads8", "16-heads8"]
    assert [p.id for p in program_problems(replace(entry, problems=()), [5], {})] == ["5"]


def test_numbers_are_medians_memory_the_most_and_a_time_is_in_seconds() -> None:
    runs = [replace(RUN, values={**RUN.values, "t": t, "kv": t}, peak_bytes=t) for t in (1000, 3000, 2000)]
    found = quantities_of(runs, OUTPUT)
    assert found["seconds"].value == 2.0
    assert (found["t"].value, found["t"].unit, found["t"].reason) == (2000, "ms", "median of 3 runs")
    assert (found["kv"].value, found["peak_bytes"].value) == (3000, 3000)
    assert (found["vram_bytes"].value, found["vram_bytes"].reason) == (None, "nothing here measures it")
    told = [replace(RUN, vram_bytes=size, vram_how=OWN, vram_course=((0.0, size),)) for size in (5, 7)]
    assert quantities_of(told, OUTPUT)["vram_bytes"] == Quantity(
        7, reason=f"{OWN}; the most of 2 runs", unit="bytes"
    )
    assert Execution.of(json.loads(json.dumps(told[0].plain()))) == told[0]
    assert found["deterministic:text"].value is True
    assert found["deterministic:t"] == Quantity(False, reason="t: 1000, then 3000")
    alone = quantities_of([RUN], OUTPUT)
    assert alone["deterministic:text"].reason == "one run alone: nothing to compare"


@pytest.mark.parametrize(
    ("run", "why", "failed"),
    [
        (replace(RUN, status=3), "it exited with 3", {"exit_status"}),
        (replace(RUN, status="SIGSEGV"), "it died of SIGSEGV", {"exit_status"}),
        (replace(RUN, is_overdue=True, status="SIGKILL", wall_seconds=601),
         "it was killed at its deadline, after 601 s", {"deadline_seconds"}),
        (replace(RUN, error="bad"), "its output says that it failed: bad", {"no_errors"}),
        (replace(RUN, unreadable="no line", values={}), "no line", {"readable"}),
        (replace(RUN, values={**RUN.values, "n": 7}), "it processed 7 of 8 tokens", {"processed"}),
        (replace(RUN, values={**RUN.values, "t": 0}), "its time is 0.0", {"seconds"}),
        (replace(RUN, values={**RUN.values, "t": float("nan")}), "its time is nan", {"seconds"}),
        (replace(RUN, values={**RUN.values, "t": "0.5"}), 'its time is no number: "0.5"', {"seconds"}),
        (replace(RUN, values={**RUN.values, "t": True}), "its time is no number: true", {"seconds"}),
        (replace(RUN, values={"n": 8}), "its time is not in its output", {"seconds"}),
        (replace(RUN, left=("sleep (7)",)), "", {"left_processes"}),
        (RUN, "", set()),
    ],
)  # fmt: skip
def test_a_run_fails_by_one_gate_and_says_why(
    loaded: gatefile.GateFile, run: Execution, why: str, failed: set[str]
) -> None:
    assert run.problem(OUTPUT, 8) == why
    quantities = quantities_of([run], OUTPUT)
    gates = [gate for gate in loaded.programs["p"].gates_for("a", Problem(8, {"heads": 2})) if not gate.line]
    measurement = Measurement("p", "a", quantities, problem=Problem(8), device="program")
    verdicts = [evaluate(gate, measurement) for gate in gates]
    assert {verdict.gate.name for verdict in verdicts if verdict.status is Status.FAIL} == failed
    assert (quantities_of([RUN, run], OUTPUT)["wall_seconds"].value is None) == bool(
        run.failure or run.unreadable
    )


def test_what_was_not_printed_is_told_with_what_was() -> None:
    found = quantities_of([RUN], OUTPUT)
    assert missing("txt", found).reason == "the output has no 'txt'; did you mean 'text'?"
    assert missing("txt", quantities_of([replace(RUN, status=1)], OUTPUT)).excused
    gate = Gate(
        "deterministic",
        "p",
        "a",
        Limit(equals=True),
        outputs=("txt", "text"),
        own=PROGRAM_GATES["deterministic"],
    )
    two = quantities_of([RUN, RUN], OUTPUT)
    add_missing(two, [gate])
    verdict = evaluate(gate, Measurement("p", "a", two, problem=Problem(8), device="program"))
    assert (verdict.status, verdict.reason) == (Status.FAIL, "the output has no 'txt'; did you mean 'text'?")
    some = quantities_of([RUN, replace(RUN, values={"t": 1, "n": 8})], OUTPUT)
    assert some["text"].reason == "text: run 2 of 2 did not print it"


def test_several_runs_are_one_number_in_a_table_and_a_text_is_told_from_a_number() -> None:
    runs = [replace(RUN, values={"t": t, "n": "8"}) for t in (1000, 3000, 2000)]

    def verdict(gate: Gate) -> Verdict:
        every = [[*runs], *([one] for one in runs)]
        whole, *each = (
            Measurement("p", "a", quantities_of(some, OUTPUT), device="program") for some in every
        )
        return evaluate_runs(gate, whole, each)

    seconds = verdict(Gate("seconds", "p", "a", Limit(above=0.0), own=PROGRAM_GATES["seconds"]))
    assert (seconds.status, seconds.measured.value) == (Status.PASS, 2.0)
    tokens = verdict(Gate("processed", "p", "a", Limit(equals=8), own=PROGRAM_GATES["processed"]))
    assert (tokens.status, tokens.reason) == (Status.FAIL, "it is the text '8', and no number")
    text = quantities_of([replace(RUN, values={"t": "0.5"})], OUTPUT)
    assert text["seconds"].reason == 't: "0.5" is no number'


def run_at(context: int, **values: float) -> ProgramRun:
    one = replace(RUN, values={"n": context, **values})
    return ProgramRun(
        "p", "a", Problem(context), quantities=quantities_of([one], OUTPUT), runs=[one], seconds=[1.0]
    )


def test_what_takes_several_contexts() -> None:
    first, second = run_at(4096, t=22768, load=20), run_at(8192, t=114265, load=21)
    assert scaling_of(second, first).value == pytest.approx(2.327, abs=1e-3)
    assert scaling_of(second, first).reason == "5.02x the time of context 4096"
    found = over_contexts_of("load", [first, second])
    assert (found.value, found.reason) == (1.05, "21 at context 8192, 20 at 4096")
    assert over_contexts_of("load", [second]).value is None
    same = over_contexts_of("load", [run_at(1, t=1, load=5), run_at(2, t=1, load=5)])
    assert (same.value, same.reason) == (1, "5 at every context")
    assert over_contexts_of("load", [first, run_at(8192, t=1)]).reason.startswith("the output has no 'load'")
    assert over_contexts_of("load", [run_at(1, t=1, load=0), first]).reason == "0 at context 1"


def test_the_journal_has_every_round_of_the_last_campaign(tmp_path: Path) -> None:
    path, files = tmp_path / "journal", {CANDIDATE: {"x": "1"}, BASELINE: {"x": "1"}}
    run = replace(RUN, files={"x": "1"}, left=("a",))

    def write(session: Journal, number: int, *slots: str, one: Execution = run) -> None:
        for slot in slots:
            session.add("key", number, slot, 1, one, {"program": "p"})

    first = Journal(path, resumes=False)
    write(first, 0, CANDIDATE, BASELINE)
    write(first, 1, CANDIDATE)
    assert Journal(path, resumes=False).rounds("key", files) == []
    resumed = Journal(path, resumes=True)
    half = Round({CANDIDATE: run}, 1)
    assert resumed.rounds("key", files) == [Round({CANDIDATE: run, BASELINE: run}, 1), half]
    assert resumed.rounds("key", {CANDIDATE: {"x": "2"}, BASELINE: {"x": "1"}}) == []
    assert resumed.rounds("other", files) == []
    write(resumed, 1, BASELINE, CANDIDATE)
    with path.open("ab") as file:
        file.write(b'{"greta_journal": 1, "key": "k')  # cut short by a crash
    third = Journal(path, resumes=True)
    assert [len(one.runs) for one in third.rounds("key", files)] == [2, 2]
    write(third, 2, CANDIDATE, one=replace(run, status=1))
    assert len(Journal(path, resumes=True).rounds("key", files)) == 3
    write(Journal(path, resumes=False), 0, BASELINE, CANDIDATE)  # a campaign that began anew
    assert len(Journal(path, resumes=True).rounds("key", files)) == 1
    assert all(json.loads(line) for line in path.read_text().splitlines() if not line.endswith('"k'))


def test_a_journal_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    journal = Journal(tmp_path / "journal", tell=told.append)
    assert journal.problem == ""
    (tmp_path / "journal").mkdir()
    for number in range(2):
        journal.add("key", number, CANDIDATE, 0, RUN, {})
    assert (
        told == [journal.problem] == [f"finished runs cannot be kept in {tmp_path}/journal: Is a directory"]
    )
    for path in (None, tmp_path / "none" / "journal", tmp_path / "journal"):
        nowhere = Journal(path, resumes=True)
        assert nowhere.problem.startswith("finished runs are not kept: pytest's cache is switched off")
        nowhere.add("key", 0, CANDIDATE, 0, RUN, {})


def test_a_couple_that_was_begun_is_ended_in_reverse() -> None:
    slots = [CANDIDATE, BASELINE]
    for order, begins in ((1, [CANDIDATE, BASELINE]), (-1, [BASELINE, CANDIDATE])):
        coming = orders_after([Round({}, order)], slots)
        assert next(coming) == begins
        first, second = next(coming), next(coming)
        assert second == first[::-1]
    assert key_of([1, {"a": 2}]) == key_of([1, {"a": 2}]) != key_of([1, {"a": 3}])


def test_a_model_says_its_own_limit(tmp_path: Path, loaded: gatefile.GateFile) -> None:
    gguf = pytest.importorskip("gguf", reason="reading a model needs the extra 'gguf'")
    from pytest_greta.errors import ProgramBlocked, ProgramMistake

    writer = gguf.GGUFWriter(tmp_path / "m16.gguf", "mistral3")
    writer.add_context_length(2048)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert context_limit(tmp_path / "m16.gguf") == ("mistral3.context_length", 2048)
    entry = replace(loaded.programs["p"], model="m{context-4080}.gguf")
    check_model(replace(entry, model="m16.gguf"), "a", Problem(2048), tmp_path)
    with pytest.raises(ProgramMistake) as caught:
        check_model(entry, "a", Problem(4096), tmp_path)
    told = "m16.gguf is made for a context of 2048 (mistral3.context_length), and 4096 is asked for: it was not run"
    assert str(caught.value) == told
    whole = (tmp_path / "m16.gguf").read_bytes()
    for damaged in (b"", b"GGUF", b"x" * 100, whole[:40]):
        (tmp_path / "m16.gguf").write_bytes(damaged)
        with pytest.raises(ProgramBlocked, match=r"m16.gguf is no gguf file that can be read: "):
            check_model(entry, "a", Problem(4096), tmp_path)
    with pytest.raises(ProgramBlocked, match=r"the model .* is missing"):
        context_limit(tmp_path / "none.gguf")


MISTAKEN = r"""version: 1
programs:
  p:
    variants: {a: [""], b: [x, "\0"]}
    contexts: [8, 16]
    on: "ssh://x:99999"
    repeats: {8: 20000, 32: 1}
    output: {json_lines: true}
    gates: {"*": {t: {max_ratio_over_contexts: 0.5}}}
"""


def test_what_can_never_run_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(MISTAKEN)
    with pytest.raises(ConfigError) as told:
        gatefile.load(path)
    assert [problem.removeprefix(f"{path}:") for problem in told.value.problems] == [
        "4:20: the first word of a command is empty; it is the program",
        "4:32: a word of a command has a null character, which no program can be given",
        "6:9: 'ssh://x:99999' has no port; one is a number from 1 to 65535",
        "7:18: repeats: expected a whole number up to 10000, found the number 20000",
        "7:25: repeats: context 32 is not listed; there is 8, 16",
        "9:48: max_ratio_over_contexts of t: expected a number from 1, found the number 0.5",
    ]
