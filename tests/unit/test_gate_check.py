"""gates.yaml held against the kernels: what can never apply is a mistake, and code holds the gates of all it serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.contract import refusal
from pytest_greta.errors import ConfigError, KernelMistake
from pytest_greta.gates import file as gatefile
from pytest_greta.kernel import Kernel, Problem, Variant

NO_GATES = '{"*": {scratch_bytes: 0}}'

Write = Callable[..., gatefile.GateFile]


class Scale(Kernel):
    name = "scale"
    variants = (
        Variant("simple", "scale.hip", "scale"),
        Variant("other", "scale.hip", "scale", max_context=512),
    )
    sizes = {"rows": 16, "dtype": "fp32"}  # noqa: RUF012
    cpu_sizes = {"rows": 2}  # noqa: RUF012

    def refuses(self, problem: Problem, variant: Variant) -> str:
        return "no rows of 8" if variant.name == "simple" and problem["rows"] == 8 else ""


class Mistaken(Scale):
    def refuses(self, problem: Problem, variant: Variant) -> Any:
        return 1 / 0


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A gates.yaml of one kernel, read."""
    monkeypatch.chdir(tmp_path)

    def write(
        problems: str = "{hip: [1024, {context: 1024, rows: 8}], cpu: 256}",
        gates: str = NO_GATES,
        baseline: str = "simple",
    ) -> gatefile.GateFile:
        head = f"version: 1\ntargets: [gfx942]\nkernels:\n  scale:\n    baseline: {baseline}\n"
        body = f"    problems: {problems}\n" if problems else ""
        (tmp_path / "gates.yaml").write_text(f"{head}{body}    gates: {gates}\n")
        return gatefile.load("gates.yaml")

    return write


def refused(gates: gatefile.GateFile, kernel: type[Kernel] = Scale) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        gates.check([kernel()])
    return [problem.partition(": ")[2] for problem in caught.value.problems]


# -- where -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        ("max_error: {max: 1, where: {rows: 32}}", "rows 32 is in no problem of the kernel; there is 2, 8, 16"),
        ("vgprs: {max: 1, where: {rows: [8, 32]}}", "rows 32 is in no problem of the kernel; there is 8, 16"),
        # of the cpu alone; the device says which sizes count
        ("max_error: {max: 1, devices: cpu, where: {rows: 16}}", "rows 16 is in no problem of the kernel; there is 2"),
        ("vgprs: {max: 1, where: {rows: 2}}", "rows 2 is in no problem of the kernel; there is 8, 16"),
        ("vgprs: {max: 1, where: {dtype: bf61}}", "dtype bf61 is in no problem of the kernel; there is fp32"),
        ('vgprs: {max: 1, where: {rows: "8"}}', "axis 'rows' of kernel 'scale' is a number such as 16, not '8'"),
        ("max_error: {max: 1, where: {dtype: 32}}", "axis 'dtype' of kernel 'scale' is a text such as 'fp32', not 32"),
        (
            "max_error: {max: 1, contexts: 256, where: {rows: 8}}",
            "rows 8 is in no problem of the kernel; there is 2",
        ),
    ],
)  # fmt: skip
def test_a_where_that_no_problem_lies_in(write: Write, gate: str, problem: str) -> None:
    assert refused(write(gates=f'{{"*": {{{gate}}}}}')) == [f"where: {problem}"]


def test_a_where_that_no_problem_lies_in_as_a_whole(write: Write) -> None:
    problems = "{hip: [{context: 1024, rows: 8}, {context: 1024, dtype: bf16}]}"
    lines = refused(write(problems, '{"*": {vgprs: {max: 1, where: {rows: 8, dtype: bf16}}}}'))
    assert lines == ["where: no problem of the kernel has rows and dtype as it says at once"]


@pytest.mark.parametrize(
    ("problems", "gate"),
    [
        ("", "vgprs: {max: 1, where: {rows: 32}}"),  # the file lists none
        ("{hip: 1024}", "max_error: {max: 1, where: {rows: 16}}"),
        ("{cpu: 256}", "max_error: {max: 1, where: {rows: 2}}"),
        ("{cpu: 256}", "vgprs: {max: 1, where: {rows: 16}}"),  # code is for a GPU
        ("{cpu: {context: 256, rows: 4}}", "vgprs: {max: 1, where: {rows: 4}}"),
        ("{cpu: 256}", 'max_error: {max: 1, where: {dtype: "fp32"}}'),
    ],
)
def test_a_where_that_some_problem_lies_in(write: Write, problems: str, gate: str) -> None:
    write(problems, f'{{"*": {{{gate}}}}}').check([Scale()])


def test_an_exception_with_such_a_where_is_one_line(write: Write) -> None:
    gate = "vgprs: {max: 1, where: {rows: 32}, expect: {max: 9, reason: x}}"
    assert len(refused(write(gates=f'{{"*": {{{gate}}}}}'))) == 1


def test_a_problem_of_another_kind(write: Write) -> None:
    lines = refused(write('{hip: [{context: 1024, rows: "8"}, {context: 1024, dtype: 16}]}'))
    assert lines == [
        "axis 'rows' of kernel 'scale' is a number such as 16, not '8'",
        "axis 'dtype' of kernel 'scale' is a text such as 'fp32', not 16",
    ]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ('{"*": {max_error: {max: 1, where: {context: 256}}}}', "write contexts: beside it"),
        ('{"*": {vgprs: {max: 1, where: {target: gfx942}}}}', "write targets: beside it"),
        ('{"*": {vgprs: {max: 1, where: {context: 256}}}}', "a gate on code cannot be narrowed to a context"),
        ('{"*": {max_error: {max: 1, where: {target: gfx942}}}}', "a gate cannot be narrowed to a target"),
    ],
)
def test_what_is_no_axis_has_advice_that_fits(write: Write, text: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=rf": where is for other axes; {advice}$"):
        write(gates=text)
    with pytest.raises(
        ConfigError, match=r": where is for other axes; a baseline cannot be narrowed to a context$"
    ):
        write(baseline="[{variant: simple, where: {context: 256}}, other]")


# -- code that serves several problems -------------------------------------------------------------------


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    "entries",
    [
        ["{max: 1, where: {rows: 8}}", "{max: 9, where: {rows: 16}}"],
        ["{max: 1, where: {rows: 8}}", "{max: 9, where: {rows: 16, dtype: fp32}}"],
        ["{max: 1, where: {rows: 8}}", "9"],
    ],
)
def test_code_holds_the_gates_of_every_problem_that_it_serves(
    write: Write, entries: list[str], swapped: bool
) -> None:
    given = reversed(entries) if swapped else entries
    file = write(gates=f'{{"*": {{vgprs: [{", ".join(given)}], sgprs: 5}}}}')
    problems = [Scale().problem(1024, "hip", {"rows": rows}) for rows in (16, 8)]
    found = file.code_gates("scale", "simple", "gfx942", problems)
    texts = {gate.text: [problem["rows"] for problem in served] for served, gates in found for gate in gates}
    assert texts == {
        "vgprs <= 1": [8],
        "vgprs <= 9": [16],
        "sgprs <= 5": [16, 8],
        "launchable is true": [16, 8],
        "unwaited_barriers <= 0": [16, 8],
    }
    assert {g.text for g in file.gates_for("scale", "simple", target="gfx942", problems=problems)} == set(
        texts
    )


def test_a_built_in_gate_stays_for_the_problems_that_have_no_entry(write: Write) -> None:
    file = write(gates='{"*": {unwaited_barriers: {max: 1, where: {rows: 8}}}}')
    problems = [Scale().problem(1024, "hip", {"rows": rows}) for rows in (16, 8)]
    found = file.code_gates("scale", "simple", "gfx942", problems)
    assert [([p["rows"] for p in served], [g.text for g in gates]) for served, gates in found] == [
        ([16, 8], ["launchable is true"]),
        ([16], ["unwaited_barriers <= 0"]),
        ([8], ["unwaited_barriers <= 1"]),
    ]


# -- baselines -------------------------------------------------------------------------------------------


def test_a_baseline_counts_where_it_says_and_nowhere_else(write: Write) -> None:
    file = write(baseline="[{variant: simple, where: {rows: 16}}, {variant: other, where: {rows: 16}}]")
    there, elsewhere = (Scale().problem(1024, "hip", {"rows": rows}) for rows in (16, 8))
    assert file.baseline_of(Scale(), there) == Scale.variants[0]
    assert file.baseline_of(Scale(), elsewhere) is None


def test_of_the_baselines_the_first_that_can_run_it_counts(write: Write) -> None:
    file = write(baseline="[simple, other]")
    problems = [Scale().problem(*one) for one in ((512, "hip", {"rows": 8}), (1024, "hip", {"rows": 8}))]
    assert [file.baseline_of(Scale(), problem) for problem in problems] == [
        Scale.variants[1],
        Scale.variants[0],
    ]
    with pytest.raises(KernelMistake):
        refusal(Mistaken(), problems[0], Scale.variants[0])
    assert file.baseline_of(Mistaken(), problems[0]) == Scale.variants[0]


ITSELF = "is the baseline of every problem that it is for: speedup against itself says nothing"


@pytest.mark.parametrize(
    ("baseline", "gates", "problem"),
    [
        ("[simple, other]", "{simple: {speedup: 1}}", f"speedup: variant 'simple' {ITSELF}"),
        (
            "[other, simple]",
            "{other: {speedup: {min: 1, contexts: 256}}}",
            f"speedup: variant 'other' {ITSELF}",
        ),
        (
            "[{variant: other, where: {rows: 2}}, simple]",
            "{simple: {speedup: {min: 1, contexts: 1024}}}",
            f"speedup: variant 'simple' {ITSELF}",
        ),
        (
            "[{variant: other, where: {rows: 99}}, simple]",
            NO_GATES,
            "where: rows 99 is in no problem of the kernel; there is 2, 16",
        ),
    ],
)
def test_a_baseline_that_says_nothing_is_a_mistake(
    write: Write, baseline: str, gates: str, problem: str
) -> None:
    """`other` runs at most 512: at 1024 `simple` is the baseline."""
    assert refused(write("{hip: 1024, cpu: 256}", gates, baseline)) == [problem]


@pytest.mark.parametrize(
    ("problems", "baseline", "gates"),
    [
        ("{hip: 1024, cpu: 256}", "[simple, other]", "{other: {speedup: 1}}"),
        ("{hip: 1024, cpu: 256}", "[other, simple]", "{simple: {speedup: 1}}"),
        ("{hip: 1024, cpu: 256}", "[{variant: other, where: {rows: 2}}, simple]", "{simple: {speedup: 1}}"),
        ("{hip: 1024, cpu: 256}", "[simple, other]", '{"*": {speedup: 1}}'),
        ("", "[simple, other]", "{simple: {speedup: 1}}"),
    ],
)
def test_a_variant_that_is_the_baseline_somewhere_can_be_held_against_another(
    write: Write, problems: str, baseline: str, gates: str
) -> None:
    write(problems, gates, baseline).check([Scale()])


def test_a_family_that_cannot_say_what_it_refuses_is_no_mistake_of_the_file(write: Write) -> None:
    gates = '{other: {speedup: {min: 2, expect: {min: 1, reason: x}}}, "*": {max_error: 1}}'
    write("{hip: 1024, cpu: 256}", gates, "[simple, other]").check([Mistaken()])


@pytest.mark.parametrize("baseline", ["[simple, simple]", "[simple, {variant: simple}]"])
def test_a_baseline_is_listed_once(write: Write, baseline: str) -> None:
    with pytest.raises(ConfigError, match=r"5:\d+: baseline: 'simple' is there twice$"):
        write(baseline=baseline)


# -- names, and sizes of the file ------------------------------------------------------------------------


def test_an_unknown_kernel_comes_with_what_could_not_be_imported(write: Write) -> None:
    with pytest.raises(ConfigError) as caught:
        write().check([], ["b/conftest.py cannot be imported"])
    (line,) = caught.value.problems
    assert line.endswith("unknown kernel 'scale'; there is none; b/conftest.py cannot be imported")


def test_more_problems_than_anyone_runs_are_refused_at_once(write: Write) -> None:
    many = list(range(1, 301))
    with pytest.raises(
        ConfigError, match=r"6:28: problems: 27000001 of them; a kernel has at most 10000 for a device"
    ):
        write(f"{{hip: [1024, {{context: {many}, rows: {many}, cols: {many}}}]}}")
    write(f"{{hip: {{context: {list(range(1, 10_001))}}}}}")


def test_a_problem_that_is_there_twice_is_one_line(write: Write) -> None:
    with pytest.raises(ConfigError) as caught:
        write("{hip: [{context: [1, 2], rows: [4, 8]}, {rows: [8, 4], context: [2, 1, 3]}]}")
    (line,) = caught.value.problems
    assert line.endswith("problem: context 2, rows 8 is there twice, and 3 more of this entry are")


def test_aliases_that_stand_for_more_than_anyone_writes_are_refused_at_once(write: Write) -> None:
    lines = ["a0: &a0 {max: 1}", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))]
    aliases = "{" + ", ".join(lines) + ", v: {vgprs: *a1}}"
    with pytest.raises(ConfigError):
        write(gates=aliases)
    entry = "&g {vgprs: &e [" + ", ".join(["{max: 1, where: {rows: 1}}"] * 400) + "]}"
    gates = "{v0: " + entry + ", " + ", ".join(f"v{n}: *g" for n in range(1, 300)) + "}"
    with pytest.raises(
        ConfigError, match="more than 100000 entries, each alias counted with all that it stands for"
    ):
        write(gates=gates)


def test_a_gate_has_not_more_entries_than_can_be_compared(write: Write) -> None:
    entries = ", ".join(f"{{max: 1, where: {{rows: {n}}}}}" for n in range(1, 502))
    with pytest.raises(ConfigError, match="vgprs has 501 entries; a gate has at most 500"):
        write(gates=f'{{"*": {{vgprs: [{entries}]}}}}')


def test_one_mistake_is_one_line(write: Write) -> None:
    for problems, gates, line in (
        ("{gpu: 1024}", '{"*": {max_error: {max: 1, devices: hip}}}', "6:16: unknown device 'gpu'"),
        ("{hip: 1024}", '{"*": {max_error: {max: 1, where: 3}}}', "7:46: where: expected a mapping"),
    ):
        with pytest.raises(ConfigError) as caught:
            write(problems, gates)
        (found,) = caught.value.problems
        assert found.startswith(f"gates.yaml:{line}")


def test_peaks_of_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text("version: 1\npeaks: {gfx942: {}}\nkernels: {k: {baseline: b}}\n")
    with pytest.raises(ConfigError, match=r":2:17: peaks of 'gfx942': the mapping is empty$"):
        gatefile.load(path)


@pytest.mark.parametrize("gate", ["flops_of_peak", "bytes_of_peak"])
@pytest.mark.parametrize("limit", ["40", "{min: 40}"])
def test_a_share_of_a_peak_is_no_percentage(write: Write, gate: str, limit: str) -> None:
    with pytest.raises(
        ConfigError, match=f"{gate}: min 40 is above 1, which is the peak itself: 0.4 stands for 40 %"
    ):
        write(gates=f'{{"*": {{{gate}: {limit}}}}}')
    write(gates=f'{{"*": {{{gate}: {{min: 1, max: 2}}}}}}')


def test_whole_numbers_stay_whole(write: Write) -> None:
    (gate,) = write(gates=f'{{"*": {{vram_bytes: {2**53 + 1}}}}}').kernels["scale"].gates
    assert gate.limit.max == 2**53 + 1
    (gate,) = write(gates='{"*": {vram_bytes: 1.0e3}}').kernels["scale"].gates
    assert (gate.limit.max, type(gate.limit.max)) == (1000, int)
