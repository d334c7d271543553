"""Artifacts in a gates file: what is read of them, what is refused, and which entries are for a kernel."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pytest_greta.binaries.artifacts import Artifacts
from pytest_greta.binaries.contents import BinaryProblem
from pytest_greta.binaries.lock import LockFile
from pytest_greta.binaries.locked import Locking
from pytest_greta.errors import ConfigError
from pytest_greta.gates import file as gatefile


def loaded(folder: Path, artifacts: str) -> gatefile.GateFile:
    path = folder / "gates.yaml"
    path.write_text(f"version: 1\nartifacts:\n  {artifacts}\n")
    return gatefile.load(path)


def test_files_alone_and_with_gates(tmp_path: Path) -> None:
    found = loaded(
        tmp_path, 'lib: [a.so, b/**/*.so]\n  co: {files: k.co, gates: {"k*": {vgprs: 8}, "*": {vgprs: 9}}}'
    )
    assert found.kernels == {}
    assert found.folder == tmp_path
    assert [list(entry.files) for entry in found.artifacts.values()] == [["a.so", "b/**/*.so"], ["k.co"]]
    assert found.artifacts["co"].patterns == ("k*",)
    assert [gate.place for gate in found.artifacts["co"].gates] == [f"{found.path}:4"] * 2


def test_the_last_pattern_counts_and_every_kernel_last(tmp_path: Path) -> None:
    entry = loaded(
        tmp_path,
        """lib:
    files: k.so
    gates:
      a: {vgprs: 1, sgprs: [2, {max: 3, targets: gfx942}]}
      b: {vgprs: {max: 4, targets: gfx1100}}
      "*": {vgprs: 5, agprs: 6}
""",
    ).artifacts["lib"]

    def limits(*matching: str, target: str = "gfx942") -> dict[str, float | None]:
        return {gate.name: gate.limit.max for gate in entry.gates_of(matching, target)}

    assert limits() == {"vgprs": 5, "agprs": 6}
    assert limits("a") == {"vgprs": 1, "sgprs": 3, "agprs": 6}
    assert limits("a", target="gfx90a") == {"vgprs": 1, "sgprs": 2, "agprs": 6}
    # The whole entry of b takes the place of that of a, as the entry of a variant does.
    assert limits("a", "b") == {"sgprs": 3, "agprs": 6}
    assert limits("b", "a", target="gfx1100:xnack-") == {"vgprs": 4, "sgprs": 2, "agprs": 6}


@pytest.mark.parametrize(
    ("artifacts", "told"),
    [
        ("{}", "3:3: artifacts: the mapping is empty"),
        ("lib: []", "3:8: files: the list is empty"),
        ("lib: [a.so, a.so]", "3:15: files: 'a.so' is listed twice"),
        ("lib: 5", "3:8: files: expected a file or glob such as build/**/*.so, found the number 5"),
        ('lib: {gates: {"*": {vgprs: 1}}}', "3:3: artifact 'lib' has no 'files'"),
        ("lib: {files: a.so, gate: 1}", "3:22: unknown key 'gate' in artifact 'lib'; did you mean 'gates'?"),
        (
            "lib: {files: a.so, gates: {vgprs: 1}}",
            "3:30: 'vgprs' is a gate, not a kernel; *",
        ),
        (
            'lib: {files: a.so, gates: {"/(/": {vgprs: 1}}}',
            "3:30: /(/ is no regular expression: missing ), unterminated subpattern at position 0",
        ),
        (
            'lib: {files: a.so, gates: {"*": {speedup: 2}}}',
            "3:36: gate 'speedup' is not for artifacts, which are not launched; there is scratch_bytes, *",
        ),
        (
            'lib: {files: a.so, gates: {"*": {locked: true}}}',
            "3:36: gate 'locked' is built in where there is a greta.lock, and cannot be changed; there is *",
        ),
        (
            'lib: {files: a.so, gates: {"*": {vgpr: 2}}}',
            "3:36: unknown gate 'vgpr' for every kernel; did you mean 'vgprs'?",
        ),
        (
            'lib: {files: a.so, gates: {"*": {vgprs: {max: 1, where: {a: 1}}}}}',
            "3:52: unknown key 'where' in gate 'vgprs'; where narrow another kind of gate; there is min, max, *",
        ),
        (
            "k: a.so\nkernels: {k: {baseline: b}}",
            "3:3: 'k' is the name of a kernel too: call the artifact otherwise",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, artifacts: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, artifacts)
    (problem,) = caught.value.problems
    assert fnmatchcase(problem.partition("gates.yaml:")[2], told.replace("[", "[[]"))


def test_a_file_is_there_once_by_its_first_name(tmp_path: Path) -> None:
    found = loaded(tmp_path, 'lib: ["b*/**/*.so*", build/k.so, "*.whl", "no/*.so"]')
    (tmp_path / "build" / ".hidden").mkdir(parents=True)
    (tmp_path / "build" / "folder.so").mkdir()
    for name in ("build/k.so", "build/.hidden/k.so", "b.whl", "a.whl"):
        (tmp_path / name).touch()
    (tmp_path / "build" / "k.so.1").symlink_to("k.so")
    (tmp_path / "build" / "loop").symlink_to(".")
    no_lock = Locking(LockFile(tmp_path / "greta.lock", {}, is_there=False))
    artifacts = Artifacts(found.artifacts, found.folder, found.path, no_lock)
    cases = artifacts.cases("lib")
    assert [case.name for case in cases] == ["build/k.so", "a.whl", "b.whl", "no/*.so"]
    assert cases[-1].missing.endswith(f":3:45: no file of artifact 'lib': looked for no/*.so in {tmp_path}")
    found = loaded(tmp_path, 'lib: [build/, "~/k.so"]')
    folder, home = Artifacts(found.artifacts, found.folder, found.path, no_lock).cases("lib")
    assert folder.missing.endswith("; that finds folders alone: build/**/*.so is for what is in there")
    assert home.missing.endswith("; ~ is not expanded: write the folder out")
    with pytest.raises(BinaryProblem, match="looked for no"):
        artifacts.read(cases[-1])


def test_targets_of_artifacts_need_not_be_those_of_the_file(tmp_path: Path) -> None:
    text = 'lib: {files: a.so, gates: {"*": {vgprs: {max: 1, targets: gfx1250}}}}\ntargets: gfx942'
    (gate,) = loaded(tmp_path, text).artifacts["lib"].gates
    assert gate.targets == ("gfx1250",)
