"""`init` in a project with gates, kernels, a conftest and benchmarks of its own: all of that stays, and all passes."""

from __future__ import annotations

import pytest

from pytest_greta.__main__ import main
from pytest_greta.scaffold import command
from pytest_greta.scaffold.layout import Layout
from tests.plugin.conftest import Run

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
BENCHMARK = """\
def test_mine(benchmark):
    benchmark.pedantic(sorted, ([2, 1],), rounds=1)
"""


def test_a_built_file_in_an_existing_project(
    project: pytest.Pytester,
    greta: Run,
    library: bytes,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ini = project.path / "pytest.ini"
    ini.write_text("[pytest]\ntestpaths = tests\n")
    (project.path / "tests").mkdir()
    mine = project.path / "tests" / "test_mine.py"
    mine.write_text(BENCHMARK)
    (project.path / "libk.so").write_bytes(library)
    conftest, gates = ((project.path / name).read_text() for name in ("conftest.py", "gates.yaml"))
    monkeypatch.setattr(command, "ask_pytest", lambda root: Layout(root, ini, ("tests",)))
    monkeypatch.setattr(command, "uncollected", lambda *_: "")
    assert main(["init", "--from", "libk.so"]) == 0
    assert "wrote  gates.yaml, with k below artifacts" in capsys.readouterr().out
    assert (project.path / "conftest.py").read_text() == conftest
    assert (project.path / "gates.yaml").read_text().startswith(gates.rstrip())
    result = greta()
    result.assert_outcomes(passed=2)
    assert result.ret == 0
    assert "gates.yaml" in result.stdout.str()
    assert mine.read_text() == BENCHMARK
