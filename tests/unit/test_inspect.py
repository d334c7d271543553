"""`python -m pytest_greta inspect` says what is in a file, what became of it, and what is wrong with a command line."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.__main__ import main
from pytest_greta.binaries import inspect, views
from pytest_greta.binaries.changes import Change, changes, compare
from pytest_greta.binaries.columns import COLUMNS
from pytest_greta.binaries.kernels import BinaryFile, BuiltKernel
from pytest_greta.gates.model import Quantity
from tests.fuzz.code_objects import bundle
from tests.unit.binary_files import SUMS

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")
Output = pytest.CaptureFixture[str]


def printed(capsys: Output, *arguments: object, code: int = 0) -> str:
    assert main(["inspect", *map(str, arguments)]) == code
    return capsys.readouterr().out


def kernel(name: str, target: str = "gfx942", **values: int | None) -> BuiltKernel:
    known = {
        "scratch_bytes": 0,
        "vgprs": 32,
        "vgpr_spills": 0,
        "sgpr_spills": 0,
        "lds_bytes": 0,
        "occupancy": 8,
    }
    quantities = {gate: Quantity(value) for gate, value in {**known, **values}.items()}
    return BuiltKernel(name, name, target, "k.so", "", "clang 22", 256, quantities)


def test_the_table_has_the_worst_first_and_templates_as_one(capsys: Output, library_path: Path) -> None:
    lines = printed(capsys, library_path).splitlines()
    assert "libk.so: 6 kernels for gfx942 gfx1100, by clang version " in lines[0]
    assert lines[1].split() == ["target", *(column.header for column in COLUMNS.values()), "kernel"]
    assert lines[2].endswith("sums<...> x 4, worst: sums<200>")
    assert lines[3].endswith("copies x 2")
    assert lines[4] == "spills: VGPRs+SGPRs, scratch, LDS and code in bytes, occupancy in wavefronts per SIMD"
    assert len(lines) == 5


def test_what_is_shown_can_be_chosen(capsys: Output, library_path: Path) -> None:
    lines = printed(capsys, library_path, "--all", "--target", "gfx1100", "--sort", "kernel").splitlines()
    assert [line.split()[-1] for line in lines[2:5]] == ["copies", "sums<200>", "sums<4>"]
    lines = printed(
        capsys, library_path, "--kernel", "sums<?>", "--kernel", "/^cop/", "--limit", 1
    ).splitlines()
    assert lines[0].count("4 kernels") == 1
    assert lines[-1] == "and 2 kernels more in 1 line: --limit 0 shows all"
    lines = printed(capsys, library_path, "--all", "--sort", "occupancy", "--limit", 0).splitlines()
    found = [int(line.split()[7]) for line in lines[2:8]]
    assert found == sorted(found)
    assert main(["inspect", str(library_path), "--target", "gfx942,gfx906"]) == 0
    assert capsys.readouterr().err == "note: no kernel is for gfx906; there is gfx942, gfx1100\n"
    assert printed(capsys, library_path, "--barriers").splitlines()[1].split()[-2:] == ["barriers", "kernel"]


def test_a_source_is_compiled(monkeypatch: pytest.MonkeyPatch, capsys: Output, tmp_path: Path) -> None:
    lines = printed(capsys, SUMS, "--target", "gfx1100").splitlines()
    assert "sums.hip: 3 kernels for gfx1100, by clang" in lines[0]
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "empty.hip").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "src/empty.hip"]) == inspect.MISTAKE
    none = (
        "error: src/empty.hip: no kernel: no `__global__` function is in it; a template is there once it is"
    )
    assert capsys.readouterr().err.startswith(none)
    (tmp_path / "k.hip").write_text('extern "C" __global__ void k() { x = 1; }\n')
    assert main(["inspect", str(tmp_path / "k.hip")]) == inspect.MISTAKE
    error = capsys.readouterr().err
    assert error.startswith("error: k.hip does not compile for gfx942")
    assert "undeclared identifier 'x'" in error


def test_json_says_all_that_is_known(capsys: Output, library_path: Path, library: BinaryFile) -> None:
    said = json.loads(printed(capsys, library_path, "--json", "--target", "gfx942"))
    assert said["version"] == views.JSON_VERSION
    (file,) = said["files"]
    expected = [one for one in library.kernels if one.target == "gfx942"]
    assert [one["symbol"] for one in file["kernels"]] == [one.symbol for one in expected]
    for found, one in zip(file["kernels"], expected, strict=True):
        assert {name: found[name] for name in one.quantities} == {
            name: one.value(name) for name in one.quantities
        }
        assert (found["kernel"], found["block_threads"]) == (one.name, one.block_threads)


def test_what_became_of_kernels(
    capsys: Output, library_path: Path, built: dict[str, bytes], tmp_path: Path
) -> None:
    old = tmp_path / "old.co"
    old.write_bytes(bundle({b"gfx1100": built["gfx1100"]}))
    lines = printed(capsys, "--diff", old, library_path).splitlines()
    assert lines[:2] == ["0 got worse, 0 got better, 3 new, 0 gone, 3 unchanged", "new:"]
    assert printed(capsys, "--diff", library_path, old).splitlines()[1] == "gone:"
    said = json.loads(printed(capsys, "--diff", library_path, old, "--json"))
    assert (len(said["gone"]), said["new"], said["unchanged"]) == (3, [], 3)


OLD = [
    kernel("a"),
    kernel("b", scratch_bytes=16),
    kernel("c"),
    kernel("gone"),
    kernel("t<1>"),
    kernel("t<1>", vgprs=40),
]
NEW = [
    kernel("a", scratch_bytes=8, vgprs=30),
    kernel("b"),
    kernel("c", code_bytes=7),
    kernel("new|`x`"),
    kernel("t<1>", vgprs=40),
]


def test_worse_better_new_and_gone() -> None:
    found = compare(OLD, [replace(one, compiler="clang 23") for one in NEW])
    assert [(one.name, one.text) for one in found.worse] == [("a", "scratch_bytes 0 -> 8, vgprs 32 -> 30")]
    assert [(one.name, one.text) for one in found.better] == [("b", "scratch_bytes 16 -> 0")]
    assert [one.name for one in (*found.new, *found.gone)] == ["new|`x`", "gone"]
    assert found.unchanged == 2
    assert list(views.comparison(found, 20, None)) == [
        "1 got worse, 1 got better, 1 new, 1 gone, 2 unchanged",
        "another compiler: clang 22, now clang 23",
        *("worse:", "  gfx942  scratch_bytes 0 -> 8, vgprs 32 -> 30   a"),
        *("better:", "  gfx942  scratch_bytes 16 -> 0   b"),
        *("new:", "  gfx942  new|`x`", "gone:", "  gfx942  gone"),
    ]
    markdown = list(views.markdown_comparison(found, 20))
    assert markdown[0] == "**1 got worse, 1 got better, 1 new, 1 gone, 2 unchanged**"
    assert "| `a` | gfx942 | **scratch_bytes** | 0 | 8 |" in markdown
    assert "- `new\\|'x'` (gfx942)" in markdown
    assert markdown.count("</details>") == 4


@pytest.mark.parametrize(
    ("old", "new", "texts", "worse"),
    [
        ({"occupancy": 8}, {"occupancy": 4}, ["occupancy 8 -> 4"], True),
        ({"occupancy": None}, {"occupancy": 4}, ["occupancy ? -> 4"], False),
        ({"occupancy": 4}, {"occupancy": None}, [], False),
        ({"scratch_bytes": 16}, {"scratch_bytes": None}, ["scratch_bytes 16 -> ?"], True),
        ({"scratch_bytes": None}, {"scratch_bytes": 16}, ["scratch_bytes ? -> 16"], False),
        ({"sgprs": 1, "agprs": 1, "code_bytes": 1}, {"sgprs": 2, "agprs": 2, "code_bytes": 2}, [], False),
    ],
)
def test_what_is_worse(old: dict[str, Any], new: dict[str, Any], texts: list[str], worse: bool) -> None:
    found = changes(old, new)
    assert [change.text for change in found] == texts
    assert any(change.is_worse for change in found) is worse
    assert Change("vgprs", 3, 3).is_worse is False


def test_fail_is_for_what_got_worse(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    files = {"old": BinaryFile("old", tuple(OLD)), "new": BinaryFile("new", tuple(NEW))}
    monkeypatch.setattr(inspect, "_read", lambda path, *_: files[str(path)])
    assert "1 got worse" in printed(capsys, "--diff", "old", "new")
    assert "1 got worse" in printed(capsys, "--diff", "old", "new", "--fail", code=inspect.WORSE)
    assert "1 got better" in printed(capsys, "--diff", "old", "new", "--fail", "--kernel", "b", "--markdown")


def test_names_of_others_do_nothing_to_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    file = BinaryFile("\x1b[2Jk", (kernel("\x1b]0;title\x07|`name"), kernel("two\nlines")), ("note\x1b[m",))
    monkeypatch.setattr(inspect, "_read", lambda *_: file)
    for options in ([], ["--all"], ["--markdown"], ["--json"]):
        assert main(["inspect", "x", *options]) == 0
        out, error = capsys.readouterr()
        assert not any(sign in out + error for sign in "\x1b\x07")
        if not options:
            assert len(out.splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give files, or --diff OLD NEW"),
        (["k", "--diff", "a", "b"], "give files, or --diff OLD NEW"),
        (["k", "--fail"], "--fail is for --diff"),
        (["k", "--limit", "-1"], "--limit: -1 is not a number of lines"),
        (["k", "--sort", "vgpr"], "unknown column 'vgpr'; did you mean 'vgprs'?"),
        (["k", "--sort", "barriers"], "--sort barriers takes --barriers"),
        (["k", "--target", "mi300"], "--target: 'mi300' is not a target; expected one like gfx942"),
        (["k", "--kernel", "/(/"], "/(/ is no regular expression"),
        (["k", "--json", "--markdown"], "not allowed with argument"),
    ],
)
def test_a_command_line_that_makes_no_sense(capsys: Output, arguments: list[str], text: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["inspect", *arguments])
    assert caught.value.code == inspect.MISTAKE
    assert text in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--kernel", "sum<*>"], "error: no kernel matches sum<*>; did you mean 'sums<*>'?"),
        (["--kernel", "zzz"], "error: no kernel matches zzz; there is sums<*>, copies"),
        (["--target", "gfx90a"], "error: no kernel is for gfx90a; there is gfx942, gfx1100"),
    ],
)
def test_what_matches_nothing(capsys: Output, library_path: Path, options: list[str], text: str) -> None:
    assert main(["inspect", str(library_path), *options]) == inspect.MISTAKE
    assert capsys.readouterr().err == text + "\n"


def test_every_file_that_cannot_be_read_is_one_line(capsys: Output, tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(b"text")
    assert main(["inspect", str(tmp_path / "a.so"), str(tmp_path / "b.so")]) == inspect.MISTAKE
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition("/")[2].partition(": ")[0] for line in lines] == ["a.so", "b.so"]
    assert lines[0].endswith("is no binary with device code: it is text")
    assert lines[1].endswith("cannot be read: No such file or directory")
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe")):
        assert main(["inspect", path]) == inspect.MISTAKE
        assert capsys.readouterr().err == f"error: {path}: is no regular file\n"


@pytest.mark.parametrize(
    ("redirection", "why"), [(">/dev/full", "No space left on device"), (">&-", "standard output is closed")]
)
def test_output_that_cannot_be_written_is_one_line(library_path: Path, redirection: str, why: str) -> None:
    command = f"exec {shlex.join([sys.executable, '-m', 'pytest_greta', 'inspect', str(library_path)])} {redirection}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (
        inspect.MISTAKE,
        f"error: the output cannot be written: {why}\n",
    )


def test_a_reader_that_stops_is_no_fault(library_path: Path) -> None:
    command = [sys.executable, "-m", "pytest_greta", "inspect", str(library_path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(60)
    assert process.returncode == 141
