"""What a CI server is told: places of kernels, workflow commands, Code Quality."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.ci import github, gitlab
from pytest_greta.ci.marks import Mark, line_of_kernel, relative, repository_root, spots
from pytest_greta.compiler.diagnostics import Diagnostic, compile_error, first_error

REPOSITORY = Path(__file__).resolve().parents[2]


def mark(line: int = 7, file: str = "gates.yaml", **given: object) -> dict[str, object]:
    fields = {"gate": "vgprs", "subject": "k v3 @ gfx942", "text": f"v3 @ gfx942 {line}", "status": "FAIL"}
    return {"file": file, "line": line, "column": 3, **fields, **given}


# -- where a kernel is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "entry", "line"),
    [
        ('extern "C" __global__ void scale(float* x) {}', "scale", 1),
        ("\n__global__ __launch_bounds__(64, 2)\nvoid\nscale(float* x)\n{}", "scale", 4),
        ("template <int N>\n__global__ void scale(float* x) {}", "scale<4>", 2),
        ("namespace a {\n__global__ void fill(const float* x) {}\n}", "a::fill(const float*)", 2),
        ("__global__ void scale(float*);\n\n__global__ void scale(float* x) {}", "scale", 3),
        (
            "// __global__ void scale() {\n/* __global__ void scale() { */ __global__ void scale() {}",
            "scale",
            2,
        ),
        ('const char* s = "__global__ void scale() {";\n__global__ void scale() {}', "scale", 2),
        ("__global__ void rescale() {}", "scale", 0),
        ("__device__ void scale() {}\n__global__ void other() { scale(); }", "scale", 0),
        ("__global__ void scale(int) {}\n__global__ void scale(float) {}", "scale", 0),
        ("KERNEL(scale) {}", "scale", 0),
        ("", "scale<", 0),
        ("", "", 0),
    ],
)
def test_the_line_of_a_kernel_is_that_of_its_definition_or_none(source: str, entry: str, line: int) -> None:
    assert line_of_kernel(source, entry) == line


def test_every_kernel_of_this_repository_is_found() -> None:
    for path in sorted((REPOSITORY / "kernels").rglob("v*.hip")):
        text = path.read_text()
        names = re.findall(r"__global__[^;{}]*?\b(\w+)\s*\([^)]*\)\s*\{", text)
        assert names, path
        assert all(text.splitlines()[line_of_kernel(text, name) - 1].count(name) for name in names)


@given(st.text(alphabet="_globalx() {};/*\"'\n", max_size=60))
def test_no_source_is_too_strange(source: str) -> None:
    assert 0 <= line_of_kernel(source, "x") <= source.count("\n") + 1


# -- what a compiler says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("k.hip:8:45: error: no 'j'\n", Diagnostic("no 'j'", "k.hip", 8, 45)),
        (
            "/a b/k.hip:1:2: warning: w\n/a b/k.hip:3:4: error: e\nx:5:6: error: f",
            Diagnostic("e", "/a b/k.hip", 3, 4),
        ),
        ("k.hip:1:10: fatal error: 'x.h' file not found", Diagnostic("'x.h' file not found", "k.hip", 1, 10)),
        ("k.hip does not compile for gfx942: /a/k.hip:8:5: error: e", Diagnostic("e", "/a/k.hip", 8, 5)),
        ("ld.lld: error: undefined symbol: f", Diagnostic("undefined symbol: f")),
        ("error: unknown argument", Diagnostic("unknown argument")),
        ("good.hip has no kernel 'x' (__global__); there is good", None),
        ("", None),
    ],
)
def test_the_first_error_of_a_log_is_told_with_its_place(log: str, found: Diagnostic | None) -> None:
    assert first_error(log) == found


def test_an_error_of_anything_else_is_no_compilers() -> None:
    assert compile_error("k.hip does not compile for gfx942: k.hip:8:5: error: e") == Diagnostic(
        "e", "k.hip", 8, 5
    )
    assert compile_error("outputs() raised ValueError\nx: error: e") is None


# -- places ----------------------------------------------------------------------------------------------


def test_paths_are_relative_to_the_repository(tmp_path: Path) -> None:
    project = tmp_path / "repository/sub"
    project.mkdir(parents=True)
    workspace = {"GITHUB_WORKSPACE": str(tmp_path)}
    assert repository_root(project, {}) == project
    assert repository_root(project, workspace) == tmp_path
    (tmp_path / "repository/.git").write_text("gitdir: elsewhere")  # as of a worktree or a submodule
    assert repository_root(project, workspace) == tmp_path / "repository"
    assert relative(project / "gates.yaml", tmp_path / "repository") == "sub/gates.yaml"
    (tmp_path / "link").symlink_to(tmp_path / "repository")
    assert relative(tmp_path / "link/sub/gates.yaml", tmp_path / "repository") == "sub/gates.yaml"
    assert relative(Path("/usr/include/k.hip"), tmp_path) == ""
    assert relative(project / "gates/../../src/k.hip", tmp_path / "repository") == "src/k.hip"
    assert relative(project / "../../k.hip", tmp_path / "repository") == ""


def test_the_worst_comes_first_and_what_shares_a_place_is_one() -> None:
    found = spots([
        mark(1, distance=0.1),
        mark(2, distance=5.0, status="NOT MEASURED"),
        mark(3, distance=0.5),
        mark(3, gate="lds_bytes", distance=0.2),
    ])  # fmt: skip
    assert [(spot.line, spot.gates) for spot in found] == [
        (3, ["vgprs", "lds_bytes"]),
        (1, ["vgprs"]),
        (2, ["vgprs"]),
    ]


def test_marks_cross_from_a_process_of_xdist_to_another() -> None:
    made = Mark("k.hip", 3, 0, "vgprs", "k v3 @ gfx942", "v3", "FAIL", float("inf"))
    assert all(type(value) in (str, int, float) for value in made.plain().values())
    assert spots([made.plain()])[0].marks == [made]


# -- GitHub ----------------------------------------------------------------------------------------------


def test_a_command_says_where_what_failed() -> None:
    (command,) = github.commands(spots([mark(text="v3 @ gfx942   vgprs <= 60   measured 62   FAIL")]))
    assert command == (
        "::error file=gates.yaml,line=7,col=3,title=greta%3A vgprs::"
        "v3 @ gfx942   vgprs <= 60   measured 62   FAIL"
    )
    (command,) = github.commands(spots([mark(0, "", column=0)]))
    assert command == "::error title=greta%3A vgprs::v3 @ gfx942 0"


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_failed_is_one_line_that_reads_back(name: str, text: str) -> None:
    """By the rules of actions/toolkit, undone in the order in which the runner undoes them."""

    def undone(value: str, *more: tuple[str, str]) -> str:
        for escape, plain in (*more, ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            value = value.replace(escape, plain)
        return value

    assert undone(github.escaped(text)) == text
    assert undone(github.escaped_property(name), ("%3A", ":"), ("%2C", ",")) == name
    (command,) = github.commands(spots([mark(file=f"a{name}", text=text)]))
    assert not {"\r", "\n"} & set(command)
    given, _, message = command.removeprefix("::error ").partition("::")
    assert undone(message) == text
    assert (
        undone(dict(pair.split("=", 1) for pair in given.split(","))["file"], ("%3A", ":"), ("%2C", ","))
        == f"a{name}"
    )


def test_no_more_is_told_than_github_shows() -> None:
    assert len(github.commands(spots([mark(line) for line in range(1, 11)]))) == github.MOST
    told = github.commands(spots([mark(line) for line in range(1, 31)]))
    assert len(told) == github.MOST
    assert told[-1].startswith("::error title=greta::21 more at 21 places: ")
    (one,) = github.commands(spots([mark(text=f"text {number}") for number in range(50)]))
    assert one.endswith("%0Aand 30 more")


def test_the_summary_of_a_job_is_appended_to_unless_it_is_too_large(tmp_path: Path) -> None:
    summary, tables = tmp_path / "step.md", tmp_path / "summary.md"
    summary.write_text("# before\n")
    tables.write_text("# greta\n")
    assert github.append_summary(summary, tables) == ""
    assert summary.read_text() == "# before\n# greta\n\n"
    tables.write_text("x" * github.MOST_SUMMARY_BYTES)
    assert "larger" in github.append_summary(summary, tables)
    assert summary.read_text() == "# before\n# greta\n\n"
    assert "cannot be written" in github.append_summary(tmp_path / "gone/step.md", summary)


# -- GitLab ----------------------------------------------------------------------------------------------


def test_code_quality_has_what_gitlab_asks_for() -> None:
    several = [
        mark(),
        mark(text="v4"),
        mark(0, "", column=0, status="NOT MEASURED"),
        mark(text="\ud800 “v3”"),
    ]
    entries = json.loads(gitlab.code_quality(spots(several), "sub/gates.yaml").encode())
    assert len(entries) == len({entry["fingerprint"] for entry in entries}) == 4
    for entry in entries:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["severity"] in ("info", "minor", "major", "critical", "blocker")
    assert entries[-1]["location"] == {"path": "sub/gates.yaml", "lines": {"begin": 1}}
    assert json.loads(gitlab.code_quality([], "gates.yaml")) == []


def test_a_fingerprint_does_not_depend_on_line_or_value() -> None:
    one, other = (
        json.loads(gitlab.code_quality(spots([mark(line, text=text)]), ""))[0]["fingerprint"]
        for line, text in ((7, "measured 62"), (9, "measured 64"))
    )
    assert one == other
    (elsewhere,) = json.loads(gitlab.code_quality(spots([mark(gate="lds_bytes")]), ""))
    assert elsewhere["fingerprint"] != one
