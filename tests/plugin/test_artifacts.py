"""Files built elsewhere, gated as a user sees it: by name and target, with what is missing never passing."""

from __future__ import annotations

import pytest

from pytest_greta.binaries.kernels import read_file
from pytest_greta.records.model import load
from tests.plugin.conftest import Run, write_gates

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")

GATES = """\
version: 1
artifacts:
  lib:
    files: build/**/*.so
    gates:
      "*": {scratch_bytes: 0, vgprs: 256}
      "sums<200>": {scratch_bytes: {max: 0, expect: {max: SCRATCH, reason: "waits for a smaller tile"}}}
      "/sums<4>/": {vgprs: [{max: 64, targets: gfx942}, 128]}
"""


@pytest.fixture
def project_of_files(project: pytest.Pytester, library: bytes) -> pytest.Pytester:
    """A project without a kernel of its own: a gates file, a test, and a built library."""
    (project.path / "conftest.py").unlink()
    project.makepyfile(test_gates="def test_artifacts(greta_artifact):\n    greta_artifact.check()\n")
    (project.path / "build" / "deep").mkdir(parents=True)
    (project.path / "build" / "deep" / "libk.so").write_bytes(library)
    path = project.path / "build" / "deep" / "libk.so"
    scratch = {kernel.value("scratch_bytes") for kernel in read_file(path, path.name).kernels}
    write_gates(project, GATES.replace("SCRATCH", str(max(filter(None, scratch)))))
    return project


def test_every_kernel_is_held_against_the_gates_of_its_name(
    greta: Run, project_of_files: pytest.Pytester
) -> None:
    result = greta("-v", "--greta-summary=summary.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*test_artifacts?lib-build/deep/libk.so? PASSED*"])
    result.stdout.fnmatch_lines(
        [
            "gates.yaml:6 *2 kernels *scratch_bytes <= 0 *0 B (gfx942, gfx1100) *PASS",
            "gates.yaml:8 *sums<4> *vgprs <= 64 *(gfx942) *PASS",
            "gates.yaml:6 *2 kernels *vgprs <= 256 *(gfx942)*(gfx1100) *PASS",
            "gates.yaml:8 *sums<4> *vgprs <= 128 *(gfx1100) *PASS",
            "gates.yaml:7 *sums<200> *scratch_bytes <= 0 *(gfx942*) *EXPECTED FAILURE [[]1]",
        ]
    )
    records = load(project_of_files.path / "summary.json").measurements
    named = [("artifact", "lib", "build/deep/libk.so", target) for target in ("gfx1100", "gfx942")]
    assert sorted((one.kind, one.kernel, one.variant, str(one.target)) for one in records) == named
    # of each quantity the worst
    worst = max(
        verdict["value"] for one in records for verdict in one.verdicts if verdict["gate"] == "scratch_bytes"
    )
    assert max(one.quantities["scratch_bytes"].value or 0 for one in records) == worst > 0


def test_what_fails_says_which_kernel_gate_line_limit_and_value(
    greta: Run, project_of_files: pytest.Pytester
) -> None:
    write_gates(
        project_of_files, GATES.replace(', expect: {max: SCRATCH, reason: "waits for a smaller tile"}', "")
    )
    result = greta("--greta-target=gfx942")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["gates.yaml:7  sums<200> @ gfx942  scratch_bytes <= 0   measured * B   FAIL"]
    )
    assert "gfx1100" not in "".join(line for line in result.outlines if "FAIL" in line)


def test_what_is_missing_fails(greta: Run, project_of_files: pytest.Pytester) -> None:
    library = project_of_files.path / "build" / "deep" / "libk.so"
    content = library.read_bytes()
    library.unlink()
    result = greta()
    result.assert_outcomes(failed=1)
    folder = project_of_files.path
    result.stdout.fnmatch_lines(
        [f"gates.yaml:4:12: no file of artifact 'lib': looked for build/[*][*]/[*].so in {folder}"]
    )
    library.write_bytes(b"text")
    result = greta()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["build/deep/libk.so: is no binary with device code: it is text"])
    library.write_bytes(content)
    result = greta("--greta-target=gfx90a")
    result.assert_outcomes(skipped=1)
    told = "*NOT MEASURED*build/deep/libk.so holds code for gfx942, gfx1100, none for gfx90a"
    result.stdout.fnmatch_lines([told.replace("*NOT MEASURED*", "*")])


def test_gates_that_are_for_no_kernel_fail_once(greta: Run, project_of_files: pytest.Pytester) -> None:
    (project_of_files.path / "build" / "second.so").write_bytes(
        (project_of_files.path / "build" / "deep" / "libk.so").read_bytes()
    )
    write_gates(
        project_of_files,
        """\
        version: 1
        artifacts:
          lib:
            files: build/**/*.so
            gates:
              "*": {vgprs: 256, sgprs: 128}
              "summs<*>": {vgprs: 128}
              "sums<*>": {lds_bytes: {max: 65536, targets: [gfx90a, gfx950]}, agprs: 64}
              "/s<4/": {agprs: 64}
              "/su.s<200/": {agprs: 64}
        """,
    )
    result = greta()
    result.assert_outcomes(passed=1, failed=1)
    for line, what, why in (
        (
            7,
            "summs<[*]> @ any target  vgprs <= 128",
            "matches no kernel of artifact 'lib'; did you mean 'sums<[*]>'?",
        ),
        (
            8,
            "sums<[*]> @ gfx90a, gfx950  lds_bytes <= 65536",
            "no kernel that it matches is for gfx90a or gfx950; there is gfx942, gfx1100",
        ),
        (
            8,
            "sums<[*]> @ any target  agprs <= 64",
            "other entries take its place for every kernel that it matches: delete it",
        ),
    ):
        result.stdout.fnmatch_lines([f"gates.yaml:{line}  {what}   FAIL ({why})"])
    result = greta("-k", "second", "--greta-target=gfx942")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["gates.yaml:7  summs<[*]> @ any target *did you mean 'sums<[*]>'?)"])


def test_instructions_are_gated_where_gates_ask(greta: Run, project_of_files: pytest.Pytester) -> None:
    write_gates(
        project_of_files,
        """\
        version: 1
        artifacts:
          lib:
            files: build/**/*.so
            gates:
              copies: {mfma: {min: 1, targets: gfx942}, unwaited_barriers: 0}
        """,
    )
    result = greta()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["gates.yaml:6  copies @ gfx942  mfma >= 1   measured 0   FAIL"])
    result.stdout.fnmatch_lines(["gates.yaml:6 *copies *unwaited_barriers <= 0 *0 (gfx942, gfx1100) *PASS"])


def test_tests_name_the_artifact_that_they_are_for(greta: Run, project_of_files: pytest.Pytester) -> None:
    project_of_files.makepyfile(
        test_gates="""
        import pytest

        @pytest.mark.greta("other")
        def test_other(greta_artifact):
            assert {kernel.symbol for kernel in greta_artifact.kernels} > {"copies"}
            assert any(kernel.value("scratch_bytes") for kernel in greta_artifact.kernels)
            greta_artifact.check()
        """
    )
    other = '  other: {files: [build/deep/libk.so], gates: {"*": {vgprs: 256}}}\n'
    write_gates(project_of_files, GATES.replace("SCRATCH", "4096") + other)
    result = greta()
    result.assert_outcomes(passed=1)
    left = "not evaluated: no test evaluated these gates of 'lib': scratch_bytes <= 0 (gates.yaml:6), *"
    result.stdout.fnmatch_lines([left])
    project_of_files.makepyfile(
        test_gates="""
        import pytest

        @pytest.mark.greta("libs")
        def test_lib(greta_artifact):
            greta_artifact.check()
        """
    )
    result = greta()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: test_*.py:*: @pytest.mark.greta: unknown artifact 'libs'; did you mean 'lib'?"]
    )


def test_a_test_that_checks_nothing_fails(greta: Run, project_of_files: pytest.Pytester) -> None:
    project_of_files.makepyfile(test_gates="def test_artifacts(greta_artifact):\n    pass\n")
    result = greta()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no gate of greta_artifact was evaluated: call .check()"])
    write_gates(project_of_files, "version: 1\nartifacts: {lib: build/**/*.so}\n")
    project_of_files.makepyfile(
        test_gates="def test_artifacts(greta_artifact):\n    greta_artifact.check()\n"
    )
    result = greta()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["no gate was evaluated: gates.yaml has none that applies; pytest --greta-lock *"]
    )
