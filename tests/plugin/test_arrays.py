"""Arrays as authors give them: that start with something, with a reference of the whole, in a variant's own layout."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.plugin.conftest import REPOSITORY, TESTS, Run, write_gates

CONFTEST = f"""\
import sys

sys.path.insert(0, {str(REPOSITORY)!r})


def pytest_greta_kernels():
    from tests.faulty import {{module}}

    return [getattr({{module}}, name)() for name in {{names!r}}]
"""

GATES = """\
  {name}:
    baseline: {baseline}
    contexts: {{cpu: [{context}], hip: [4096]}}
    gates:
      "*": {{max_error: 1.0e-6}}
"""


def write_project(
    project: pytest.Pytester, module: str, families: dict[str, str], baselines: dict[str, str], context: int
) -> None:
    """The families (class by name) of a module of tests/faulty, their gates, and tests of their runs."""
    project.makeconftest(CONFTEST.format(module=module, names=list(families.values())))
    blocks = [GATES.format(name=name, baseline=baselines[name], context=context) for name in families]
    write_gates(project, "version: 1\ntargets: [gfx942]\nkernels:\n" + "".join(blocks))
    (project.path / "test_gates.py").unlink()
    for name in families:
        text = f"import pytest\n\npytestmark = pytest.mark.greta({name!r})\n\n\n{TESTS}"
        (project.path / f"test_{name}.py").write_text(text)


@pytest.fixture
def starting(project: pytest.Pytester, greta: Run) -> Run:
    """17000 elements: more than the 16384 that are written at once of an array that starts with a number."""
    families = {"starts": "Starts", "in_place": "InPlace", "whole": "Whole"}
    baselines = {"starts": "starts", "in_place": "triples", "whole": "triples"}
    write_project(project, "starting", families, baselines, 17000)
    return greta


def test_what_arrays_start_with_is_there_before_every_launch(starting: Run) -> None:
    result = starting("-k", "test_run and (triples or starts-)", "--greta-rounds=5")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines_random(
        [
            "built-in*starts*complete is true*PASS [[]*[]]",
            "built-in*triples*complete is true*NOT MEASURED [[]*[]]",
            "[[]*[]] not asked of 'y', 's', with its initial value",
            "[[]*[]] 'y': what starts with a value shows only by its error whether it was written",
        ]
    )
    starting("-k", "test_run and triples", "--greta-rounds=1", "--greta-require=cpu").assert_outcomes(
        passed=2
    )


def test_the_checks_are_honest_about_what_starts_with_something(starting: Run) -> None:
    result = starting("-k", "test_run and (idles or spoils)", "--greta-rounds=3")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "*idles @ 17000  max_error <= 1.00e-06 * FAIL (largest error in 'y' at row *",
            "*spoils_input @ 17000  inputs_unchanged is true * FAIL (* bytes of 'x' were modified*",
        ]
    )


def test_a_whole_reference_sees_the_one_element_that_is_wrong(starting: Run) -> None:
    result = starting(
        "test_whole.py", "test_in_place.py", "-k", "test_run and not idles", "--junitxml=junit.xml"
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["*max_error <= 1.00e-06 * FAIL (largest error in 'y' at row [[]3[]]; all 17000 elements checked)"]
    )
    said = [
        verdicts_in_junit("junit.xml", name)["greta max_error"] for name in ("test_whole", "test_in_place")
    ]
    assert said[0].endswith("; all 17000 elements checked)")
    assert re.search(r"; \d+ of 17000 rows checked\)$", said[1])


def verdicts_in_junit(path: str, module: str) -> dict[str, str]:
    """The properties of the run of `triples` in a module."""
    for case in ET.parse(path).getroot().iter("testcase"):
        if (case.attrib["classname"], case.attrib["name"]) == (module, "test_run[triples-17000]"):
            return {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
    raise LookupError(module)


REGRESSION = "{max_error: 1.0e-6, regression: {max: 50, devices: cpu}}"


def test_accepted_code_starts_with_the_same_again(starting: Run, project: pytest.Pytester) -> None:
    code = beside_accepted(project, starting, "starts")
    assert code["workspaces"] == {"counter": ["int32", [17000], ["int32", "00000000"]]}
    assert code["buffers"]["y"] == ["float32", [17000], "x"]


def beside_accepted(project: pytest.Pytester, greta: Run, variant: str) -> dict[str, Any]:
    """Run a variant, and again beside the accepted code of that run; gives what history keeps of the code."""
    gates = project.path / "gates.yaml"
    gates.write_text(gates.read_text().replace("{max_error: 1.0e-6}", REGRESSION))
    options = ("-k", f"test_run and {variant}-", "--benchmark-autosave", "-Wdefault")
    greta(*options).assert_outcomes(passed=1)
    (stored,) = project.path.glob(".benchmarks/*/*.json")
    entry = json.loads(stored.read_text())
    code: dict[str, Any] = entry["benchmarks"][0]["extra_info"]["code"]
    code["launches"][0]["dynamic_lds_bytes"] = 64  # so it is other code, which is verified and timed
    stored.write_text(json.dumps(entry))
    greta(*options).assert_outcomes(passed=1)
    assert f"(beside the accepted {variant} of commit" in verdicts(project)
    return code


@pytest.fixture
def layouts(project: pytest.Pytester, greta: Run) -> Run:
    """A family whose variants derive their inputs."""
    write_project(project, "layouts", {"layouts": "Layouts"}, {"layouts": "plain"}, 256)
    return greta


def test_variants_read_layouts_of_their_own_beside_a_baseline_without(
    layouts: Run, project: pytest.Pytester
) -> None:
    gates = project.path / "gates.yaml"
    gates.write_text(
        gates.read_text().replace("{max_error", "{speedup: {min: 0.01, devices: cpu}, max_error")
    )
    result = layouts("-k", "test_run", "--greta-variant=replaced,packed,in_workspace")
    result.assert_outcomes(passed=3)
    assert len(re.findall(r"speedup >= 0\.01 .* PASS", result.stdout.str())) == 3


def test_what_a_variant_derives_is_checked_as_inputs_are(layouts: Run) -> None:
    wrong = "not_replaced,spoils_packed,unknown,no_array"
    result = layouts("-k", "test_run", f"--greta-variant={wrong}", "--greta-rounds=2")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines_random(
        [
            "*not_replaced @ 256  max_error *FAIL (largest error in 'y' at row *; all 256 elements checked)",
            "*spoils_packed @ 256  inputs_unchanged is true * FAIL (* bytes of 'packed' were modified*",
            "kernel 'layouts', launch(): argument 1 is 'packed'; there is w, y",
            "kernel 'layouts', variant_inputs(): 'packed' is a list, not a numpy array",
        ]
    )


def test_accepted_code_reads_the_layout_of_its_variant(layouts: Run, project: pytest.Pytester) -> None:
    code = beside_accepted(project, layouts, "in_workspace")
    assert code["workspaces"] == {"sums": ["float32", [4, 256], "packed"]}
    assert list(code["buffers"]) == ["w", "packed", "y"]


def verdicts(project: pytest.Pytester) -> str:
    """The verdicts of the last stored run."""
    last = max(project.path.glob(".benchmarks/*/*.json"), key=lambda path: path.name)
    return str(json.loads(last.read_text())["benchmarks"][0]["extra_info"]["verdicts"])
