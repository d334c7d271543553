"""Verdicts: on items, in the summary, in JUnit, under xdist; and what is not measured."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from pytest_greta.records.model import load
from tests.plugin.conftest import CONFTEST, GATES, REPOSITORY, Run, write_gates

SPEEDUP = "        speedup: {min: 2.0}\n"


def test_the_summary_is_one_table(greta: Run) -> None:
    result = greta("--greta-variant=good,noop")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "device cpu: *",
            "gate * variant * limit * measured * verdict",
            "gates.yaml:11  good * scratch_bytes <= 0 * 0 B (gfx942) * PASS",
            "built-in * good * 6 checks * held (256) * PASS",
            "built-in * noop * complete is true * false (256) * FAIL",
            "* PASS, * FAIL",
        ]
    )


def test_verbose_shows_every_check_and_the_headline_names_device_targets_and_gates(greta: Run) -> None:
    result = greta("--greta-variant=good", "-v")
    result.stdout.fnmatch_lines(
        [
            "greta 0.1.0: device: cpu: *; targets: gfx942; gates: gates.yaml",
            "built-in*good*canaries is true*true (256)*PASS",
        ]
    )


def test_junit_and_user_properties_hold_every_verdict(project: pytest.Pytester, greta: Run) -> None:
    greta("--greta-variant=noop", "--junitxml=junit.xml").assert_outcomes(passed=1, failed=1)
    suite = ET.parse(project.path / "junit.xml").getroot()[0]
    assert suite.attrib["failures"] == "1"
    cases = {case.attrib["name"]: case for case in suite.iter("testcase")}
    properties = {p.attrib["name"]: p.attrib["value"] for p in cases["test_run[noop-256]"].iter("property")}
    assert properties["greta complete"].startswith(
        "built-in  noop @ 256  complete is true   measured false   FAIL"
    )
    assert properties["greta prefill_seconds"].endswith("PASS (median of 5)")
    resources = {
        p.attrib["name"]: p.attrib["value"] for p in cases["test_resources[noop-gfx942]"].iter("property")
    }
    assert (
        resources["greta scratch_bytes"]
        == "gates.yaml:11  noop @ gfx942  scratch_bytes <= 0   measured 0 B   PASS"
    )


def test_a_gate_on_gpu_speed_is_not_measured_on_a_cpu_in_five_rounds(
    project: pytest.Pytester, greta: Run
) -> None:
    write_gates(project, GATES + SPEEDUP)
    result = greta("--greta-variant=slow", "-k", "test_run", "--benchmark-json=run.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*speedup >= 2.00*NOT MEASURED [[]1[]]", "*a cpu's times say nothing about a GPU's"]
    )
    assert rounds(project) == 5


def test_speed_is_compared_with_a_baseline_that_was_not_selected(
    project: pytest.Pytester, greta: Run
) -> None:
    write_gates(
        project,
        GATES.replace("baseline: good", "baseline: slow") + "        speedup: {min: 1.1, devices: cpu}\n",
    )
    result = greta("--greta-variant=good", "--greta-ctx=4096", "-k", "test_run", "--greta-rounds=7")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*good*speedup >= 1.10*x [[]*, *[]] (4096)*PASS"])


UNDECIDED = "        speedup: {min: 1.0, devices: cpu}\n"
"""The variant `limited` runs the baseline's own code: a ratio of 1 is neither above nor below this limit."""


@pytest.mark.parametrize(
    ("key", "require", "fails"),
    [
        ("", [], False),
        ("", ["--greta-require=cpu"], True),
        ("inconclusive: fail\n", [], True),
        ("inconclusive: warn\n", ["--greta-require=cpu"], False),
    ],
)
def test_what_inconclusive_means_is_up_to_the_gates_file(
    project: pytest.Pytester, greta: Run, key: str, require: list[str], fails: bool
) -> None:
    write_gates(project, GATES.replace("kernels:", key + "kernels:") + UNDECIDED)
    options = (
        "-k",
        "test_run",
        "--greta-rounds=5",
        "--greta-ctx=2048",
    )  # two couples: one hiccup decides nothing
    result = greta("--greta-variant=limited", *options, *require)
    result.assert_outcomes(**{"failed" if fails else "passed": 1})
    result.stdout.fnmatch_lines(["*limited*speedup >= 1.00*INCONCLUSIVE*"])


def test_a_known_exception_stands_in_the_summary_with_its_reason(
    project: pytest.Pytester, greta: Run
) -> None:
    known = GATES.replace(
        "max_error: 1.0e-4", "max_error: {max: 1.0e-9, expect: {max: 4.0e-7, reason: fp32 sums}}"
    )
    write_gates(project, known)
    result = greta("--greta-variant=good", "-k", "test_run", "--greta-seed=1", "--greta-require=cpu")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*max_error <= 1.00e-09*EXPECTED FAILURE [[]1[]]", "[[]1[]] fp32 sums", "* PASS, 1 EXPECTED FAILURE"]
    )
    write_gates(project, known.replace("4.0e-7", "1.0e-2"))
    result = greta("--greta-variant=good", "-k", "test_run", "--greta-seed=1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*better than its known exception (fp32 sums): tighten or delete its `expect`*"]
    )


def test_pairs_are_measured_until_the_limit_is_decided(project: pytest.Pytester, greta: Run) -> None:
    write_gates(project, GATES + "        speedup: {min: 0.9, devices: cpu}\n")
    options = ("-k", "test_run", "--benchmark-json=run.json", "--greta-ctx=4096")
    result = greta("--greta-variant=slow", *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*only ratios are gated on the cpu: launches ran on one core*"])
    assert rounds(project) in range(6, 40)  # a variant 16 times slower is decided at once
    write_gates(project, GATES + UNDECIDED)
    result = greta("--greta-variant=limited", *options[:-1], "--greta-budget=0.1")
    result.stdout.fnmatch_lines(["*undecided after * pairs (*budget*"])


def rounds(project: pytest.Pytester) -> int:
    """How many rounds the only entry of run.json has."""
    (entry,) = json.loads((project.path / "run.json").read_text())["benchmarks"]
    return int(entry["stats"]["rounds"])


def test_a_failed_scaling_stays_failed_when_it_runs_alone_or_first(
    project: pytest.Pytester, greta: Run
) -> None:
    write_gates(project, GATES + "        scaling: {max: 0.01, devices: cpu}\n")
    options = ("-k", "test_run", "--greta-variant=good", "--greta-ctx=1024,8192", "--greta-rounds=3")
    greta(*options).assert_outcomes(passed=1, failed=1)
    result = greta(*options, "--lf")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*good @ 8192  scaling <= 0.01 * FAIL (from 1024)"])
    tests = "def test_run(greta_run):\n    greta_run.check()\n"
    order = "def pytest_collection_modifyitems(items):\n    items.reverse()\n"
    (project.path / "conftest.py").write_text((project.path / "conftest.py").read_text() + "\n\n" + order)
    project.makepyfile(test_gates=tests)
    result = greta(*options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*good @ 8192  scaling <= 0.01 * FAIL (from 1024)"])


def test_scaling_is_measured_from_the_smallest_context(project: pytest.Pytester, greta: Run) -> None:
    write_gates(project, GATES + "        scaling: {max: 9, devices: cpu}\n")
    result = greta("--greta-variant=good", "--greta-ctx=8192,2048", "-k", "test_run", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_run[[]good-2048[]] PASSED*", "*test_run[[]good-8192[]] PASSED*"])
    result.stdout.fnmatch_lines(["*scaling <= 9.00*(8192)*PASS"])
    result = greta("--greta-variant=good", "--greta-ctx=2048", "-k", "test_run")
    result.stdout.fnmatch_lines(
        ["*scaling*NOT MEASURED*", "*takes a second, longer context in the same run*"]
    )


def test_require_hip_fails_where_no_gpu_is(greta: Run) -> None:
    result = greta("--greta-variant=good", "-k", "test_run", "--greta-require=hip")
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["NOT MEASURED: *"])


def test_a_device_that_is_not_there_skips_with_its_reason(greta: Run) -> None:
    result = greta("--greta-variant=good", "--greta-device=hip", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*NOT MEASURED: *"])


def test_require_cpu_leaves_gpu_speed_alone(project: pytest.Pytester, greta: Run) -> None:
    write_gates(project, GATES + SPEEDUP)
    greta("--greta-variant=slow", "--greta-require=cpu").assert_outcomes(passed=2)


@pytest.mark.parametrize("processes", ["0", "2"])
def test_verdicts_are_the_same_under_xdist(
    project: pytest.Pytester, greta: Run, greta_alone: Run, processes: str
) -> None:
    run = greta_alone if processes == "2" else greta
    options = (f"-n{processes}", "-Wdefault", "--greta-summary=summary.json")
    result = run("--greta-variant=good,noop,spills,skips_last_row", *options)
    result.assert_outcomes(passed=5, failed=3)
    records = load(project.path / "summary.json")
    assert sorted(
        (one.kind, one.variant, one.outcome) for one in records.measurements if one.variant != "good"
    ) == [
        *(("code", "noop", "passed"), ("code", "skips_last_row", "passed"), ("code", "spills", "failed")),
        *(("run", "noop", "failed"), ("run", "skips_last_row", "failed"), ("run", "spills", "passed")),
    ]
    assert records.session.device is not None
    assert (records.session.device["kind"], records.session.targets) == ("cpu", ["gfx942"])
    result.stdout.fnmatch_lines(["device cpu: *"])
    for line in (
        "*noop*complete is true*FAIL",
        "*spills*scratch_bytes <= 0*FAIL",
        "*skips_last*complete*FAIL",
    ):
        result.stdout.fnmatch_lines([line])


def test_variants_of_other_kernels_are_deselected_not_skipped(project: pytest.Pytester, greta: Run) -> None:
    project.makeconftest(
        (project.path / "conftest.py").read_text().replace("[Faulty()]", "[Faulty(), other()]")
        + "\n\ndef other():\n    from kernels.softmax.softmax import Softmax\n\n    return Softmax()\n"
    )
    gates = GATES + "  softmax:\n    baseline: naive\n    contexts: {cpu: [64]}\n"
    write_gates(project, gates)
    project.makepyfile(
        test_gates="""
        import pytest

        @pytest.mark.greta("faulty")
        def test_faulty(greta_run):
            greta_run.check()

        @pytest.mark.greta("softmax")
        def test_softmax(greta_run):
            greta_run.check()
        """
    )
    greta("--greta-variant=good").assert_outcomes(passed=1, deselected=1)
    greta("--greta-variant=good,wave").assert_outcomes(passed=2)


def test_last_failed_and_stop_at_first_work_as_anywhere(greta: Run) -> None:
    greta("--greta-variant=noop,good", "-k", "test_run").assert_outcomes(passed=1, failed=1)
    greta("--greta-variant=noop,good", "-k", "test_run", "--lf").assert_outcomes(failed=1)
    result = greta("--greta-variant=noop,good,returns_nan", "-k", "test_run", "-x")
    assert result.parseoutcomes()["failed"] == 1


def test_a_session_without_greta_needs_no_gates(project: pytest.Pytester, greta: Run) -> None:
    (project.path / "gates.yaml").unlink()
    project.makepyfile(test_gates="def test_plain(): pass\n")
    result = greta()
    result.assert_outcomes(passed=1)
    assert "greta 0.1.0" not in result.stdout.str()


@pytest.mark.parametrize("options", [(), ("-n1",)])
def test_code_that_hiprtc_will_refuse_is_noted_and_passes(
    project: pytest.Pytester, greta_alone: Run, options: tuple[str, ...]
) -> None:
    """One line in the summary for a source, however many tests compile it."""
    project.makeconftest(
        "import pathlib\n"
        "from pytest_greta import Kernel, Launch, Variant\n"
        "class One(Kernel):\n"
        "    name = 'faulty'\n"
        "    variants = [Variant('good', 'one.hip', 'one')]\n"
        "    def launch(self, problem, variant):\n"
        "        return Launch((1, 1, 1), (64, 1, 1), ('x',))\n"
        "def pytest_greta_kernels():\n"
        "    return [One()]\n"
    )
    (project.path / "one.hip").write_text(
        '#include <cmath>\nextern "C" __global__ __launch_bounds__(64) void one(float* x) { x[0] = INFINITY; }\n'
    )
    write_gates(project, GATES.replace("[gfx942]", "[gfx942, gfx1100]"))
    result = greta_alone(*options, "-k", "test_resources")
    result.assert_outcomes(passed=2)
    notes = [line for line in result.outlines if line.startswith("note: ")]
    assert len(notes) == 1
    assert notes[0].startswith("note: one.hip includes <cmath>: this compiles here and with hipcc. hiprtc, ")


def test_a_check_that_is_asked_for_twice_counts_once(project: pytest.Pytester, greta: Run) -> None:
    project.makepyfile(test_gates="def test_run(greta_run):\n    greta_run.check()\n    greta_run.check()\n")
    result = greta("--greta-variant=good", "--greta-rounds=3", "--junitxml=junit.xml")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["9 PASS"])
    properties = ET.parse(project.path / "junit.xml").getroot().iter("property")
    names = [one.get("name") for one in properties]
    assert len(names) == len(set(names)) == 11  # of them the kernel and the device
    project.makepyfile(
        test_gates="def test_run(greta_run):\n"
        "    try:\n        greta_run.check()\n    except BaseException:\n        greta_run.check()\n"
    )
    result = greta("--greta-variant=inaccurate", "--greta-rounds=3")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["8 PASS, 1 FAIL"])


def test_attempts_of_a_test_that_is_run_again_do_not_add_up(project: pytest.Pytester, greta: Run) -> None:
    pytest.importorskip("pytest_rerunfailures")
    project.makepyfile(
        test_gates="from pathlib import Path\n\n\n"
        "def test_run(greta_run):\n"
        "    greta_run.check()\n"
        "    before = Path('attempts').read_text() if Path('attempts').exists() else ''\n"
        "    Path('attempts').write_text(before + 'x')\n"
        "    assert len(before) == 2\n"
    )
    result = greta("--greta-variant=good", "--greta-rounds=3", "--reruns=3")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    flaky = "note: flaky: test_gates.py::test_run[[]good-256[]] passed after 2 failed attempts"
    result.stdout.fnmatch_lines(["9 PASS", flaky])


def test_a_full_disk_at_the_end_loses_no_verdict_and_all_that_is_lost_is_told(greta_alone: Run) -> None:
    stored = ("--benchmark-autosave", "--benchmark-json=/dev/full", "--greta-summary=conftest.py/s.json")
    result = greta_alone("--greta-variant=good", "-k", "test_run", "--greta-rounds=3", *stored)
    result.assert_outcomes(passed=1)
    lost = "ERROR: not all could be saved: No space left on device; the history was not saved"
    result.stdout.fnmatch_lines(
        ["9 PASS", lost, "ERROR: *conftest.py/s.json could not be saved: Not a directory"]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR


def test_what_a_kernel_prints_belongs_to_its_test_and_is_not_obeyed(
    project: pytest.Pytester, greta_alone: Run
) -> None:
    source = (REPOSITORY / "tests/faulty/prints.hip").read_text()
    assert '"greta: prints.hip, context %d\\n"' in source
    project.makeconftest(
        CONFTEST.format(repository=str(REPOSITORY))
        + "\n\nfrom pathlib import Path\n\nfrom pytest_greta import Variant\nfrom tests.faulty.faulty import Faulty\n\n"
        "here = str(Path(__file__).parent / 'prints.hip')\n"
        "Faulty.variants = (Variant('good', 'good.hip', 'good'), Variant('prints', here, 'prints'),\n"
        "                   Variant('inaccurate', 'inaccurate.hip', 'inaccurate'))\n"
    )
    wrong = source.replace("out[row] = total;", "out[row] = 2 * total;").replace("greta: ", "\\033[31mred: ")
    (project.path / "prints.hip").write_text(wrong)
    result = greta_alone("-k", "test_run", "--greta-rounds=2")
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    assert "\x1b[31mred" not in text
    prints, inaccurate = text.partition("test_run[inaccurate-256] _")[::2]
    assert "greta worker" in prints
    assert r"\x1b[31mred: prints.hip, context 256" in prints
    assert "red: prints.hip" not in inaccurate
    result = greta_alone("-k", "test_run and prints", "--greta-rounds=2", "-s")
    assert result.stdout.str().index(r"\x1b[31mred: prints.hip") < result.stdout.str().index("= FAILURES =")
