"""A device that is emulated: verified as any other, and not timed."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import GATES, Run, write_gates

EMULATED = """
import dataclasses
from pytest_greta.device.session_device import SessionDevice

_open = SessionDevice._open


def _emulated(self, kind):
    worker = _open(self, kind)
    worker.info = dataclasses.replace(worker.info, emulated=True)
    return worker


SessionDevice._open = _emulated
"""
"""Says of the cpu device, in the test process, what the hip device says under AMD's emulator."""


@pytest.fixture
def emulated(greta_alone: Run, project: pytest.Pytester) -> Run:
    """Run the project on an emulated device."""
    project.makepyfile(emulated=EMULATED)
    return lambda *options: greta_alone("-p", "emulated", "-k", "test_run", *options)


def test_it_is_launched_three_times_and_beside_nothing(project: pytest.Pytester, emulated: Run) -> None:
    write_gates(
        project,
        GATES + "        speedup: {min: 0.9, devices: cpu}\n        regression: {max: 2, devices: cpu}\n",
    )
    result = emulated("--greta-variant=slow", "--benchmark-json=run.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*, emulated; targets:*", "*speedup >= 0.90 *NOT MEASURED [[]*", "*emulated GPU's times*"]
    )
    (entry,) = json.loads((project.path / "run.json").read_text())["benchmarks"]
    assert entry["stats"]["rounds"] == 1
    assert entry["extra_info"]["quantities"]["deterministic"] is True
    assert entry["extra_info"]["quantities"]["speedup"] is None


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("nondeterministic", "differ between two launches"),
        ("remembers", "max_error <= 1.00e-04"),
        ("half_written", "128 of 256 elements of 'out' were not written"),
    ],
)
def test_its_faults_are_found(emulated: Run, variant: str, message: str) -> None:
    result = emulated(f"--greta-variant={variant}")
    result.assert_outcomes(failed=1)
    assert message in result.stdout.str()
