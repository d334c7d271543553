"""The doctor says what is there, what is missing and what brings it, and never crashes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.__main__ import COMMANDS, main
from pytest_greta.device import hip_state, server
from pytest_greta.doctor import command, devices, machine
from pytest_greta.doctor.command import closing
from pytest_greta.doctor.finding import Finding, look
from pytest_greta.errors import DeviceUnavailable, ToolMissing
from pytest_greta.remedies import CLONE, fitting_hip_python, hip_runtime_command, install_extra

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    """What the probes find on this machine, but for a GPU that is opened."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        patch.setattr(machine, "TARGETS", ("gfx942",))
        probes = [(name, probe) for name, probe in command.PROBES.items() if name != devices.HIP]
        found = [one for name, probe in probes for one in look(name, probe)]
    assert len({one.name for one in found}) == len(found)
    return {one.name: one for one in found}


def test_every_part_is_told_of(findings: dict[str, Finding]) -> None:
    parts = {"Python", "pytest", "pytest-benchmark", "ROCm clang", "wheel clang", "targets", "GPU driver"}
    assert parts | {"hip-python", "amdsmi", "CPU device", "cache", "disk", "git"} <= set(findings)
    assert all(one.text and "\n" not in one.text for one in findings.values())


def test_what_is_there_is_true(findings: dict[str, Finding]) -> None:
    assert findings["pytest"].text == pytest.__version__
    pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
    assert findings["targets"] == Finding("targets", True, "a kernel compiles for gfx942")
    pytest.importorskip("pyopencl", reason="the cpu device needs the extra 'cpu'")
    assert "spirv64" in findings["CPU device"].text
    assert findings["CPU device"].text.endswith("opened, a kernel loaded")


def test_what_is_missing_has_the_words_of_a_session(findings: dict[str, Finding]) -> None:
    if "HIP runtime" not in findings or findings["HIP runtime"].is_there:
        pytest.skip("HIP's runtime is here, or hip-python is not")
    assert "libamdhip64.so" in findings["HIP runtime"].text
    assert hip_state.GPUS not in findings  # nobody could be asked


def test_the_example_of_the_docs_is_what_is_found(findings: dict[str, Finding]) -> None:
    page = (Path(__file__).parents[2] / "docs/getting-started.md").read_text()
    shown = page.partition("$ greta doctor\n")[2].partition("```")[0]
    lines = re.findall(r"^(?:yes|no ) {2}(.{17}) +(\S+ \S+)", shown, re.MULTILINE)
    assert len(lines) == 4
    for name, begins in lines:
        one = findings[name.strip()]
        assert one.text.startswith(begins) or one.is_there != (f"yes  {name}" in shown), name
    able = closing({machine.CODE: True, devices.HIP: False, devices.CPU: True})
    assert "\n".join(able).strip() in shown


# -- a doctor never crashes ------------------------------------------------------------------------------


def test_a_probe_that_fails_is_a_finding() -> None:
    def raises() -> Iterator[Finding]:
        yield Finding("first", True, "there")
        raise OSError("no\nsuch thing")

    assert list(look("second", raises)) == [
        Finding("first", True, "there"),
        Finding("second", False, "cannot be told: OSError: no such thing"),
    ]


@pytest.mark.parametrize("kind", [ToolMissing, DeviceUnavailable])
def test_what_is_missing_brings_its_command(kind: type[Any]) -> None:
    def raises() -> Iterator[Finding]:
        raise kind("a is missing", "install a")
        yield

    assert list(look("a", raises)) == [Finding("a", False, "a is missing", "install a")]


def test_the_command_comes_from_the_process_of_the_device() -> None:
    rebuilt = server._plain(DeviceUnavailable("no GPU", "sudo usermod"))
    assert isinstance(rebuilt, DeviceUnavailable)
    assert (str(rebuilt), rebuilt.command) == ("no GPU", "sudo usermod")


def test_a_module_in_the_place_of_a_real_one_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numpy.py").write_text("1 / 0\n")
    said = "cannot import what it needs: ZeroDivisionError: division by zero (numpy.py:1)"
    looked = f"(looked for {tmp_path / 'none.json'})"
    for path, lines in (("", []), (f"{tmp_path}{os.pathsep}", [f"error: merge {said}"])):
        done = subprocess.run(
            [sys.executable, "-m", "pytest_greta", "merge", "none.json", "-o", "all.json"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": path + os.environ.get("PYTHONPATH", str(ROOT))},
        )
        assert done.returncode == 2
        assert done.stderr.splitlines() == (lines or [f"error: none.json: there is no such file {looked}"])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "numpy", raising=False)
    monkeypatch.delitem(sys.modules, "pytest_greta.device.hip", raising=False)
    with pytest.raises(DeviceUnavailable, match=re.escape(f"the hip device {said}")):
        server._Server().addresses()


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGABRT)", "the process that asked ended with -6: "),
        ("import sys; sys.exit('munmap_chunk')", "the process that asked ended with 1: munmap_chunk"),
        ("import time; time.sleep(30)", "no answer within 1 s"),
    ],
)
def test_a_runtime_that_dies_or_hangs_is_told(
    monkeypatch: pytest.MonkeyPatch, program: str, ended: str
) -> None:
    said = json.dumps(["amdsmi", True, "7.0", ""])
    monkeypatch.setattr(devices, "_ASK", f"print('noise'); print({said!r}, flush=True); {program}")
    monkeypatch.setattr(devices, "_DEADLINE_SECONDS", 1.0)
    _, *found = devices.hip_parts()
    assert found == [Finding("hip-python", False, ended), Finding("amdsmi", True, "7.0")]


def test_without_hip_python_its_command_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hip", None)
    hip_state.main()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said[-1][:2] == ["hip-python", False]
    assert said[-1][3] == "python -m pip install hip-python"


def test_a_damaged_gates_file_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gates.yaml").write_text(
        "version: 1\ntargets: [gfx90a, gfx1100]\nkernels: {k: {baseline: b}}\n"
    )
    assert machine._asked_for() == (("gfx90a", "gfx1100"), " (of gates.yaml)")
    (tmp_path / "gates.yaml").write_text("version: 7\n")
    assert machine._asked_for() == (machine.TARGETS, " (gates.yaml cannot be read: pytest says why)")


# -- what is printed ------------------------------------------------------------------------------------

SAMPLES = [
    Finding("targets", True, "a kernel compiles for gfx942"),
    Finding("HIP runtime", False, "libamdhip64.so is not found " + "by anyone " * 20, "sudo apt install x"),
    Finding("GPU device", False, "libamdhip64.so is not found " + "by anyone " * 20, "sudo apt install x"),
]


def run(monkeypatch: pytest.MonkeyPatch, found: list[Finding], *arguments: str) -> int:
    monkeypatch.setattr(command, "PROBES", {"all": lambda: iter(found)})
    return main(["doctor", *arguments])


def test_a_table_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, SAMPLES) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "yes  targets            a kernel compiles for gfx942"
    assert lines[1].startswith("no   HIP runtime        libamdhip64.so is not found")
    assert [line.strip() for line in lines].count("$ sudo apt install x") == 1
    assert "no   GPU device         for the reason of HIP runtime, above" in lines
    assert max(map(len, lines)) <= command.WIDTH
    assert lines[-2:] == [
        "This machine can gate what kernels take (registers, scratch, LDS, occupancy).",
        "This machine cannot run and time kernels on a GPU; run kernels on the CPU, for correctness.",
    ]


def test_data_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, SAMPLES, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["can"] == {"code": True, "hip": False, "cpu": False}
    assert [one["command"] for one in data["findings"]] == ["", "sudo apt install x", "sudo apt install x"]


def test_where_nothing_compiles_or_runs_the_exit_code_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, SAMPLES[1:]) == 1
    assert "can be gated all the same" in capsys.readouterr().out


# -- commands ----------------------------------------------------------------------------------------------


def test_an_extra_is_brought_by_its_packages() -> None:
    brings = install_extra("report")
    assert brings.startswith("python -m pip install ")
    assert "jinja2>=3.1" in brings
    assert "matplotlib" in brings
    assert install_extra("none") == f"python -m pip install '{CLONE}[none]'"


def test_the_hip_python_of_an_installed_rocm_is_named(tmp_path: Path) -> None:
    assert fitting_hip_python(tmp_path) == ""
    (tmp_path / ".info").mkdir()
    (tmp_path / ".info/version").write_text("7.2.1-43\n")
    assert fitting_hip_python(tmp_path) == "python -m pip install 'hip-python==7.2.*'"


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ({"ID": "debian"}, "sudo apt install libamdhip64-dev"),  # testing and unstable
        ({"ID": "debian", "VERSION_ID": "12"}, ""),
        ({"ID": "debian", "VERSION_ID": "13"}, ""),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, ""),
        ({"ID": "almalinux", "ID_LIKE": "rhel fedora"}, ""),
        ({"ID": "fedora"}, "sudo dnf install rocm-hip-devel"),
        ({"ID": "arch"}, ""),
    ],
)
def test_the_runtime_is_the_distributions_where_that_brings_hiprtc(
    monkeypatch: pytest.MonkeyPatch, system: dict[str, str], said: str
) -> None:
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: system)
    assert hip_runtime_command() == said


def test_the_script_and_the_module_are_called_by_their_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for called, name in ((f"{os.sep}bin{os.sep}greta", "greta"), ("__main__.py", "python -m pytest_greta")):
        monkeypatch.setattr(sys, "argv", [called])
        with pytest.raises(SystemExit):
            main(["--help"])
        assert capsys.readouterr().out.startswith(f"usage: {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_the_terminal_and_calls_it_by_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["greta"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert f"\n`greta {name}`: " in printed
    assert "python -m" not in printed
