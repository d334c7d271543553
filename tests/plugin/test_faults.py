"""Every way a kernel can go wrong fails its own test, with a message that says what was found."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.plugin.conftest import GATES, Run, write_gates


def failure(result: pytest.RunResult) -> str:
    """The text of the one failing test."""
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str()
    return text[text.index("= FAILURES =") :]


FAULTY = {
    "noop": "complete is true   measured false   FAIL (256 of 256 elements of 'out' were not written",
    "skips_last_row": "FAIL (1 of 256 elements of 'out' were not written, the first at [255])",
    "half_written": "FAIL (128 of 256 elements of 'out' were not written",
    "writes_past_end": "past the end of 'out'",
    "writes_before_start": "before 'out'",
    "modifies_input": "bytes of 'x' were modified",
    "returns_nan": "gates.yaml:13  returns_nan @ 256  max_error <= 1.00e-04   measured inf   FAIL",
    "inaccurate": "gates.yaml:13  inaccurate @ 256  max_error <= 1.00e-04   measured",
    "nondeterministic": "elements of 'out' differ between two launches on equal inputs",
    "remembers": "gates.yaml:13  remembers @ 256  max_error <= 1.00e-04   measured",
    "crashes": "the worker process died of SIGSEGV during 'run'",
    "traps": "traps.hip has a trap (__trap, abort or a failed assert), which the cpu device obeys by SIGSEGV",
    "missing_entry": "not_in_good",
    "out_of_memory": "no_fault is true   measured false   FAIL (allocating 1125899906973696 bytes",
}


def test_a_faulty_kernel_fails_its_run(greta: Run) -> None:
    """All in one session: what one leaves behind must not show in the next."""
    result = greta(f"--greta-variant={','.join(FAULTY)}", "-k", "test_run")
    result.assert_outcomes(failed=len(FAULTY))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str()
    assert "Traceback" not in text
    failures = text[text.index("= FAILURES =") :].partition("\n=")[0]
    sections = re.split(r"^_+ test_run\[(\w+)-256\] _+$", failures, flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert set(found) == set(FAULTY)
    assert {variant: found[variant] for variant in FAULTY if FAULTY[variant] not in found[variant]} == {}


def test_an_answer_that_is_remembered_is_found_in_a_single_round(greta: Run) -> None:
    text = failure(greta("--greta-variant=remembers", "--greta-rounds=1", "-k", "test_run"))
    assert "max_error <= 1.00e-04   measured" in text


def test_a_kernel_that_drops_a_long_context_is_caught(greta: Run) -> None:
    greta("--greta-variant=truncates", "--greta-ctx=2048", "-k", "test_run").assert_outcomes(passed=1)
    text = failure(greta("--greta-variant=truncates", "--greta-ctx=4096", "-k", "test_run"))
    assert "max_error <= 1.00e-04" in text
    assert "--greta-seed=" in text


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("spills", "gates.yaml:11  spills @ gfx942  scratch_bytes <= 0   measured"),
        ("many_vgprs", "gates.yaml:12  many_vgprs @ gfx942  vgprs <= 128   measured"),
        ("does_not_compile", "does_not_compile.hip:"),
        ("missing_entry", "not_in_good"),
    ],
)
def test_what_the_code_object_shows_fails_without_a_device(greta: Run, variant: str, message: str) -> None:
    text = failure(greta(f"--greta-variant={variant}", "-k", "test_resources"))
    assert message in text
    assert "Traceback" not in text


def test_a_hang_is_killed_and_the_next_test_runs(greta: Run) -> None:
    result = greta("--greta-variant=endless,good", "--greta-deadline=2", "-k", "test_run", "-v")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*test_run[[]good-256[]] PASSED*", "*test_run[[]endless-256[]] FAILED*"])
    result.stdout.fnmatch_lines(["--greta-deadline  endless @ 256  deadline_seconds <= 2*FAIL*killed*"])


def test_the_deadline_of_gates_yaml_kills_too_and_its_line_is_named(
    project: pytest.Pytester, greta: Run
) -> None:
    write_gates(project, GATES.replace("deadline_seconds: 60", "deadline_seconds: 1.5"))
    text = failure(greta("--greta-variant=endless", "-k", "test_run"))
    assert "gates.yaml:14  endless @ 256  deadline_seconds <= 1.5" in text


def test_after_a_crash_the_next_test_gets_a_new_worker(greta: Run) -> None:
    result = greta("--greta-variant=crashes,good,noop", "-k", "test_run")
    result.assert_outcomes(failed=2, passed=1)


def test_one_variant_that_does_not_compile_fails_alone(greta: Run) -> None:
    result = greta("--greta-variant=does_not_compile,good")
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(["*does_not_compile.hip:*: error:*"])


def test_a_baseline_that_does_not_compile_leaves_the_variant_without_a_speedup(
    project: pytest.Pytester, greta: Run
) -> None:
    gates = (
        GATES.replace("baseline: good", "baseline: does_not_compile")
        + "        speedup: {min: 1, devices: cpu}\n"
    )
    write_gates(project, gates)
    result = greta("--greta-variant=good", "-k", "test_run")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*speedup*NOT MEASURED*", "*the baseline does_not_compile cannot be compiled*"]
    )


def test_a_wrong_baseline_is_not_timed_against(project: pytest.Pytester, greta: Run) -> None:
    gates = GATES.replace("baseline: good", "baseline: noop") + "        speedup: {min: 1, devices: cpu}\n"
    write_gates(project, gates)
    result = greta("--greta-variant=good", "-k", "test_run")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*the baseline noop is wrong: 256 of 256 elements*"])


def test_what_kernels_print_is_no_answer(greta: Run) -> None:
    greta("--greta-variant=prints", "-k", "test_run").assert_outcomes(passed=1)


def test_a_slow_kernel_fails_its_speedup_gate(project: pytest.Pytester, greta: Run) -> None:
    write_gates(project, GATES + "        speedup: {min: 0.9, devices: cpu}\n")
    result = greta("--greta-variant=slow", "--greta-ctx=4096", "-k", "test_run")
    text = failure(result)
    assert "gates.yaml:15  slow @ 4096  speedup >= 0.90   measured 0." in text


def test_a_test_that_checks_nothing_fails(project: pytest.Pytester, greta: Run) -> None:
    project.makepyfile(test_gates="def test_idle(greta_code): pass\ndef test_idle_run(greta_run): pass\n")
    result = greta("--greta-variant=good")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["*no gate of greta_code was evaluated: call .check()", "*no gate of greta_run was evaluated*"]
    )


def test_a_measurement_left_unchecked_fails_even_beside_one_that_was(
    project: pytest.Pytester, greta: Run
) -> None:
    project.makepyfile(test_gates="def test_both(greta_code, greta_run): greta_code.check()\n")
    result = greta("--greta-variant=good")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no gate of greta_run was evaluated: call .check()"])


def test_a_failed_gate_cannot_be_swallowed(project: pytest.Pytester, greta: Run) -> None:
    project.makepyfile(
        test_gates="""
        def test_run(greta_run):
            try:
                greta_run.check()
            except BaseException:
                pass
        """
    )
    result = greta("--greta-variant=noop")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["a failed gate was swallowed:", "*noop @ 256*complete*FAIL*"])


def test_a_run_that_did_not_happen_has_its_line_in_the_table(greta: Run) -> None:
    result = greta("--greta-variant=does_not_compile", "-k", "test_run")
    result.stdout.fnmatch_lines(
        ["does_not_compile.hip:8 *does_not_compile *compiles *use of undeclared identifier 'j' (256)*FAIL"]
    )
    result = greta("--greta-variant=good", "--greta-device=hip", "-k", "test_run")
    result.stdout.fnmatch_lines(["*good*all gates*(4096)*NOT MEASURED [[]1[]]"])


def test_a_baseline_that_breaks_its_inputs_is_not_timed_against(project: pytest.Pytester, greta: Run) -> None:
    for baseline, reason in [
        ("modifies_input", "bytes of 'x' were modified"),
        ("writes_past_end", "past the end"),
    ]:
        gates = GATES.replace("baseline: good", f"baseline: {baseline}")
        write_gates(project, gates + "        speedup: {min: 1, devices: cpu}\n")
        result = greta("--greta-variant=good", "-k", "test_run")
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(
            ["*speedup*NOT MEASURED*", f"*the baseline {baseline} is wrong: *{reason}*"]
        )


def test_no_process_outlives_the_session(greta_alone: Run, project: pytest.Pytester) -> None:
    greta_alone("--greta-variant=good,endless", "--greta-deadline=2", "-k", "test_run")
    marker = f"GRETA_LOCKS={project.path}"
    left = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                command = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if b"pytest_greta.device.worker" in command and marker.encode() in environment:
                left.append(command)
    assert left == []


def test_an_input_of_the_dtype_that_numpy_takes_by_itself_is_named(
    project: pytest.Pytester, greta: Run
) -> None:
    drawn = "    return {'x': rng.random(problem.context)}\n"
    hook = f"\n\ndef drawn(self, problem, rng):\n{drawn}\n\nfrom tests.faulty.faulty import Faulty\n\n"
    hook += "Faulty.inputs = drawn\n"
    path = project.path / "conftest.py"
    path.write_text(path.read_text() + hook)
    text = failure(greta("--greta-variant=good", "-k", "test_run", "--greta-rounds=2"))
    assert "'x' is float64, and good.hip has no double: does the kernel take float32?" in text
