"""`init`: what is written, what is kept, and which limits it begins with."""

from __future__ import annotations

import ast
import glob
import re
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_greta import kernel as interface
from pytest_greta.__main__ import main
from pytest_greta.binaries.kernels import BuiltKernel
from pytest_greta.compiler.cache import write_whole
from pytest_greta.compiler.codeobject import KernelArgument
from pytest_greta.errors import ConfigError
from pytest_greta.gates import file as gatefile
from pytest_greta.gates.model import Quantity
from pytest_greta.scaffold import built, command, draft, source
from pytest_greta.scaffold.command import run
from pytest_greta.scaffold.draft import Draft, added, template
from pytest_greta.scaffold.example import example
from pytest_greta.scaffold.layout import Layout, ask_pytest, uncollected
from pytest_greta.scaffold.limits import limit_of, lines_of
from pytest_greta.scaffold.naming import identifier, identifiers
from pytest_greta.scaffold.placing import placed
from tests.unit.binary_files import compiled_sums, library_of

Output = pytest.CaptureFixture[str]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pytest would answer in a project with an ini file."""
    monkeypatch.setattr(command, "ask_pytest", lambda root: Layout(root, root / "pytest.ini"))
    monkeypatch.setattr(command, "uncollected", lambda *_: "")


# -- what pytest is asked -------------------------------------------------------------------------------------


def test_pytest_itself_says_where_tests_are(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "conftest.py").write_text("raise RuntimeError('not loaded')\n")
    ini = tmp_path / "pyproject.toml"
    ini.write_text(
        '[tool.pytest.ini_options]\ntestpaths = ["checks"]\npython_files = ["check_*.py"]\n'
        'python_functions = ["check_*"]\nfilterwarnings = "error"\n'
    )
    found = ask_pytest(tmp_path)
    assert found == Layout(tmp_path, ini, ("checks",), ("check_*.py",), ("check_*",))
    assert found.folders() == [tmp_path / "checks" / "gpu"]
    assert found.test_file(found.folders()[0]) == "check_gpu_gates.py"
    with pytest.raises(
        ConfigError, match=r"is a part of the project that .*pyproject.toml configures: run this in"
    ):
        ask_pytest(tmp_path / "checks")


@pytest.mark.parametrize(
    ("patterns", "name"),
    [
        (("test",), "test_run"),
        (("check_*",), "check_run"),
        (("*_test",), "run_test"),
        (("should",), "should_run"),
        (("*a*b*", "it_*"), "it_run"),
        (("*",), "run"),
        ((), "test_run"),
    ],
)
def test_tests_are_called_what_the_project_collects(patterns: tuple[str, ...], name: str) -> None:
    assert Layout(Path(), python_functions=patterns).function("run") == name


def test_pytest_is_asked_whether_it_runs_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\npython_functions = check_*\n")
    layout = Layout(tmp_path, tmp_path / "pytest.ini", python_functions=("check_*",))
    written = draft.write(layout, example(layout))
    tests = tmp_path / "gpu" / "test_gpu_gates.py"
    assert f"wrote  {tests}" in written
    assert uncollected(layout, tests) == ""
    (tmp_path / "gates.yaml").write_text("version: 1\n")
    assert uncollected(layout, tests).startswith(
        "pytest refuses the project: gates.yaml:1:1: the file has no 'kernels'"
    )
    monkeypatch.setattr("pytest_greta.scaffold.layout._asked", lambda *_: ('["/a.py"]', ""))
    told = f"pytest collects no test of {tests}; the project has testpaths = (none), python_files = test_*.py *_test.py"
    assert uncollected(layout, tests) == f"{told}, python_functions = check_*"


def test_a_configuration_that_pytest_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    with pytest.raises(ConfigError, match="pytest does not start in "):
        ask_pytest(tmp_path)


def test_an_option_that_a_conftest_declares_is_known(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --mine=1\n")
    (tmp_path / "conftest.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--mine')\n")
    assert ask_pytest(tmp_path).ini == tmp_path / "pytest.ini"


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path) -> None:
    """But where `init` was stopped: one that is empty, or has some of what it would write."""

    def files(folder: Path) -> dict[str, str]:
        return {"a.py": f"# {folder.name}", "b.py": ""}

    layout, gpu, other = Layout(tmp_path, testpaths=("missing",)), tmp_path / "gpu", tmp_path / "gpu_k"
    gpu.mkdir()
    (gpu / "tmp1.part").write_text("#")
    assert placed(layout, "k", files)[0] == gpu
    (gpu / "a.py").write_text("# gpu")
    assert placed(layout, "k", files) == (gpu, {"a.py": "# gpu", "b.py": ""})
    (gpu / "c.py").write_text("")
    assert placed(layout, "k", files)[0] == other
    other.symlink_to("nothing")
    with pytest.raises(ConfigError, match="gpu_k is there already"):
        placed(layout, "k", files)


def test_tests_are_put_into_the_project_alone(tmp_path: Path) -> None:
    root = tmp_path / "project"
    for path in (root / "tests", tmp_path / "elsewhere"):
        path.mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "elsewhere")
    outside = (str(tmp_path / "elsewhere"), "../elsewhere", "link")
    for inside in ("tests", "./tests", "../project/tests", str(root / "tests")):
        assert Layout(root, testpaths=(*outside, inside)).tests == root / "tests"
    for one in outside:
        with pytest.raises(
            ConfigError, match=r"testpaths has .*/elsewhere, outside of the project .*/project: "
        ):
            Layout(root, testpaths=(one, "missing")).folders()


# -- files that are there -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("asked")
def test_nothing_is_written_over(tmp_path: Path, capsys: Output) -> None:
    workflow = tmp_path / draft.WORKFLOW
    workflow.parent.mkdir(parents=True)
    workflow.write_bytes(b"\xffmine")
    (tmp_path / "conftest.py").write_text("mine too")
    assert main(["init", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"kept   {workflow}, which is there already; let it run gpu too\n" in printed
    assert "todo" not in printed
    assert workflow.read_bytes() == b"\xffmine"
    assert (tmp_path / "conftest.py").read_text() == "mine too"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["init", str(tmp_path)]) == 0
    assert "gates.yaml is there: this project has gates" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("asked")
def test_a_part_of_a_repository_has_its_workflow_at_the_root(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / ".git").mkdir()
    workflow = tmp_path / draft.WORKFLOW
    assert main(["init", str(tmp_path / "a")]) == 0
    text = workflow.read_text()
    assert main(["init", str(tmp_path / "b")]) == 0
    assert f"kept   {workflow}, which is there already; let it run gpu too, in b\n" in capsys.readouterr().out
    assert workflow.read_text() == text
    assert not (tmp_path / "a" / ".github").exists()


@pytest.mark.usefixtures("asked")
def test_all_is_written_before_anything_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys.stdout, "writelines", closed)
    with pytest.raises(BrokenPipeError):  # `greta init | head`, which __main__.py ends without a word
        run(Namespace(folder=tmp_path, path=None, target=""), ArgumentParser())
    assert (tmp_path / draft.WORKFLOW).is_file()


@pytest.mark.parametrize("inside", [True, False])
def test_a_source_that_other_checkouts_lack_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    project, given = tmp_path / "project", tmp_path / "k.hip"
    made = Draft("kernels", ["k"], "", project / "gpu_k", {"test_k.py": ""})
    monkeypatch.setattr(command, "from_source", lambda *_: made)
    (tmp_path / ".git" if inside else project / ".git").mkdir(parents=True)
    told = f"todo   {given} lies outside of {project}: other checkouts and CI lack it; "
    told += f"copy it in, and name the copy in {project / 'gpu_k' / 'conftest.py'}"
    assert command._draft(Layout(project), given, ("gfx942",)).notes == (() if inside else [told])


ENTRY = Draft("kernels", ["k"], "  k:\n    baseline: b\n", Path(), {})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "version: 1\ntargets: gfx942\nkernels:\n    # mine\n    a: {baseline: b}\n",
            "version: 1\ntargets: gfx942\nkernels:\n    k:\n      baseline: b\n    # mine\n    a: {baseline: b}\n",
        ),
        (
            "version: 1\nartifacts: {x: k.so}",
            "version: 1\nartifacts: {x: k.so}\ntargets: [gfx942, gfx90a, gfx1100]\nkernels:\n  k:\n    baseline: b\n",
        ),
        (
            "\ufeffversion: 1\r\nkernels: # \u2028 \x85\r\n  a: {baseline: b} # b\r\n# end",
            "\ufeffversion: 1\r\nkernels: # \u2028 \x85\r\n  k:\r\n    baseline: b\r\n  a: {baseline: b} # b\r\n# end",
        ),
        ("version: 1\nkernels: {a: {baseline: b}}\n", ""),
        ("version: 1\nkernels:\n  k: {baseline: mine}\n", ""),
        ("version: 1\nkernels: [", ""),
    ],
    ids=["a block", "another section", "lines of Windows", "on one line", "a name that is there", "damaged"],
)
def test_an_entry_is_added_where_that_is_certain(text: str, wanted: str) -> None:
    assert added(text, ENTRY) == wanted


def test_what_cannot_be_added_is_shown(tmp_path: Path) -> None:
    gates = tmp_path / "gates.yaml"
    gates.write_text("version: 1\nkernels: {a: {baseline: b}}\n")
    lines = list(draft._gates(gates, ENTRY))
    assert lines == [f"kept   {gates}; add below its `kernels:`", "  k:", "    baseline: b"]
    assert gates.read_text() == "version: 1\nkernels: {a: {baseline: b}}\n"


def test_a_gates_file_outside_of_the_project_is_not_written_to(tmp_path: Path) -> None:
    gates, other = tmp_path / "project" / "gates.yaml", tmp_path / "other.yaml"
    text = "version: 1\r\ntargets: gfx942\r\nkernels:\r\n  a: {baseline: b}\r\n"
    other.write_text(text, newline="")
    gates.parent.mkdir()
    gates.symlink_to(other)
    told = f"kept   {gates}, a link to {other}, outside of the project; add below its `kernels:`"
    assert list(draft._gates(gates, ENTRY)) == [told, "  k:", "    baseline: b"]
    assert other.read_bytes() == text.encode()
    inside = other.rename(gates.with_name("mine.yaml"))
    gates.unlink()
    gates.symlink_to(inside)
    assert list(draft._gates(gates, ENTRY)) == [f"wrote  {gates}, with k below kernels"]
    assert inside.read_bytes() == text.replace("  a:", "  k:\r\n    baseline: b\r\n  a:").encode()
    assert list(draft._gates(gates, ENTRY)) == [f"kept   {gates}, which has k"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpu", "gpu is there already: move it, or add to it by hand"),
        (".github/workflows/greta.yml", ".github/workflows/greta.yml: is a link to nothing"),
        (".github/workflows", ".github/workflows: is a link to nothing"),
        ("gates.yaml", "gates.yaml: is a link to nothing"),
        (".github", ".github: leads to {0}/elsewhere, outside of {0}/project: init writes nothing there"),
        ("pytest.ini", "pytest.ini: is no regular file"),
        (
            "./.github/workflows",
            ".github/workflows: is no folder, and .github/workflows/greta.yml is to be written",
        ),
    ],
)
@pytest.mark.usefixtures("asked")
def test_what_is_in_the_way_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output, name: str, said: str
) -> None:
    project = tmp_path / "project"
    (project / name).parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(project)
    if name.startswith("./"):
        (project / name).write_text("")
    elif name == "pytest.ini":
        (project / name).mkdir()
    else:
        (project / name).symlink_to(tmp_path / ("elsewhere" if name == ".github" else "nothing"))
    before = sorted(tmp_path.rglob("*"))
    assert main(["init"]) == 2
    assert capsys.readouterr().err == f"error: {said.format(tmp_path)}\n"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["gates.yaml", "scale_wide.hip"])
@pytest.mark.usefixtures("asked")
def test_an_init_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output, name: str
) -> None:
    def full(path: Path, payload: bytes) -> None:
        if path.name == name:
            raise OSError(28, "No space left on device", str(path))
        write_whole(path, payload)

    with monkeypatch.context() as patch:
        patch.setattr(draft, "write_whole", full)
        assert main(["init", str(tmp_path)]) == 2
    path = tmp_path / ("." if name == "gates.yaml" else "gpu") / name
    assert capsys.readouterr().err == f"error: {path}: cannot be written: No space left on device\n"
    assert not (tmp_path / "gates.yaml").exists()
    assert main(["init", str(tmp_path)]) == 0
    assert f"wrote  {path}\n" in capsys.readouterr().out
    assert not (tmp_path / "gpu_scale").exists()
    workflow = tmp_path / draft.WORKFLOW
    text = workflow.read_text()
    workflow.unlink()
    assert main(["init", str(tmp_path)]) == 0
    assert workflow.read_text() == text


# -- what is written -----------------------------------------------------------------------------------------


def test_the_workflow_runs_the_tests_from_where_greta_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(layout: Layout) -> list[dict[str, Any]]:
        workflow = yaml.safe_load(draft.workflow(layout, layout.root / "tests/gpu"))
        *_, run, keep = workflow["jobs"]["gates"]["steps"]
        assert run["run"] == "python -m pytest tests/gpu --greta-require=cpu --junitxml=greta.xml"
        return [run, keep]

    run, keep = steps(Layout(tmp_path))
    assert "working-directory" not in run
    assert keep["with"]["path"] == "greta.xml"
    (tmp_path / ".git").mkdir()
    layout = Layout(tmp_path / "a: b/c")
    run, keep = steps(layout)
    assert run["working-directory"] == "a: b/c"
    assert keep["with"]["path"] == "a: b/c/greta.xml"

    odd = yaml.safe_load(draft.workflow(layout, layout.root / "PROJECT: a #b" / "gpu"))
    assert odd["jobs"]["gates"]["steps"][-2]["run"].split(" --")[0] == "python -m pytest 'PROJECT: a #b/gpu'"

    class Installed:
        def read_text(self, name: str) -> str:
            return '{"url": "https://example.org/greta.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'

    assert draft.source() == '"PATH/TO/pytest-greta[cpu]"'
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Installed())
    assert draft.source() == '"pytest-greta[cpu] @ git+https://example.org/greta.git@abc"'


def test_the_example_shows_every_method_that_its_author_writes() -> None:
    tree = ast.parse(template("conftest.py"))
    (family,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    written = {node.name for node in family.body if isinstance(node, ast.FunctionDef)}
    assert written == {"inputs", "outputs", "rows", "reference", "launch"}
    assert written < set(vars(interface.Kernel))


def kernel(target: str, **quantities: int) -> BuiltKernel:
    found = {name: Quantity(value) for name, value in quantities.items()}
    return BuiltKernel("k", "k", target, "", "", "", 256, found)


def test_limits_are_a_little_above() -> None:
    assert [limit_of("vgprs", n) for n in (62, 64, 0)] == [64, 72, 0]
    assert [limit_of("scratch_bytes", n) for n in (0, 816)] == [0, 816]
    same = kernel("gfx942", scratch_bytes=0, vgprs=62)
    assert lines_of([same, kernel("gfx1100", scratch_bytes=0, vgprs=60)], "") == [
        "scratch_bytes: 0",
        "vgprs: 64",
    ]
    other = kernel("gfx90a:xnack-", scratch_bytes=0, occupancy=4, vgprs=40)
    assert lines_of([same, other], "  ") == [
        "  scratch_bytes: 0",
        '  occupancy: {min: 4, targets: "gfx90a:xnack-"}',
        '  vgprs: [{max: 64, targets: gfx942}, {max: 40, targets: "gfx90a:xnack-"}]'.replace("40", "48"),
    ]
    worst = [kernel("gfx942", occupancy=4), kernel("gfx942", occupancy=2)]
    assert lines_of(worst, "") == ["occupancy: 2"]


@pytest.mark.parametrize(
    ("name", "wanted"), [("ns::scale<4, float>", "ns_scale_4_float"), ("3d", "k3d"), ("", "k"), ("a", "a")]
)
def test_names_of_python(name: str, wanted: str) -> None:
    assert identifier(name) == wanted
    assert wanted.isidentifier()


def test_a_class_launches_what_the_code_takes() -> None:
    takes = [
        KernelArgument(0, 8, "global_buffer"),
        KernelArgument(8, 4, "by_value"),
        KernelArgument(12, 24, "by_value"),
    ]
    text = source._class(source._Found("k_4", "fast", "k<4>", 128, takes, []), "K4", "../k.hip")
    ast.parse(text)
    assert 'Launch((1, 1, 1), (128, 1, 1), ("p1", np.int32(0), np.void(bytes(24))))' in text
    assert 'return {"p1": Array((1,), np.uint8)}' in text
    assert 'Variant("fast", "../k.hip", "k<4>")' in text


NAMES = [
    "launch",
    "variant",
    "kernel",
    "array",
    "none",
    "null",
    "y",
    "vecAdd",
    "vecadd",
    "vec_add",
    "vec__add",
    "add",
]


@settings(max_examples=60, deadline=None)
@given(
    kernels=st.lists(st.sampled_from(NAMES) | st.text(max_size=6), min_size=1, max_size=8),
    file=st.sampled_from(
        ["k\U0001f600.hip", 'a"""b.hip', "a\nb\\x.hip", "k\udcff.hip", "a\x85\u2028.hip", "{a}.cu"]
    )
    | st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=6).map("{}.hip".format),
)
def test_what_is_written_starts_whatever_names_there_are(kernels: list[str], file: str) -> None:
    taken = ["add"]
    names = identifiers(kernels, taken)
    takes = [KernelArgument(0, 8, "global_buffer")]
    found = [
        source._Found(name, identifier(file), entry, 64, takes, [kernel("gfx942", scratch_bytes=0)])
        for name, entry in zip(names, kernels, strict=True)
    ]
    root = Path("/nowhere")
    made = source._drafted(Layout(root), root / file, found, ["gfx90a:xnack-", "gfx942"], ())
    names_of_modules: dict[str, Any] = {"__file__": "/nowhere/gpu/conftest.py", "__name__": "conftest"}
    conftest, tests = (compile(text.encode(), "x.py", "exec") for text in made.files.values())
    exec(conftest, names_of_modules)
    families = names_of_modules["pytest_greta_kernels"]()
    assert [family.name for family in families] == names
    assert [family.variants[0].entry for family in families] == kernels
    assert {str((root / "gpu" / f.variants[0].source).resolve()) for f in families} == {
        str((root / file).resolve())
    }
    functions: dict[str, Any] = {}
    exec(tests, functions)
    assert sum(name.startswith("test_") for name in functions) == len(names)
    with TemporaryDirectory() as folder:
        path = Path(folder, "gates.yaml")
        assert list(draft._gates(path, made)) == [f"wrote  {path}"]
        read = gatefile.load(path)
        assert read.targets == ("gfx90a:xnack-", "gfx942")
        read.check(families)
        assert set(read.kernels) == set(names)
        assert not {*names} & {*taken}


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=40) | st.text("ab<,", min_size=1100, max_size=1200))
def test_a_kernel_of_any_name_is_a_key(name: str) -> None:
    text = "\n".join([*built._key(name), "        vgprs: 8"])
    assert yaml.safe_load(text) == {name: {"vgprs": 8}}


def test_a_source_is_gated_at_once(tmp_path: Path, code_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
    pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")
    sums = Path(__file__).with_name("sums.hip")
    monkeypatch.setattr(source, "TemporaryDirectory", lambda: _Kept(code_cache))
    made = source.from_source(Layout(tmp_path), sums, ["gfx942", "gfx1100"])
    assert made.names == ["sums_4", "sums_200", "copies"]
    ast.parse(made.files["conftest.py"])
    path = tmp_path / "gates.yaml"
    assert list(draft._gates(path, made)) == [f"wrote  {path}"]
    found = gatefile.load(path)
    assert found.targets == ("gfx942", "gfx1100")
    assert list(found.kernels) == list(made.names)
    baselines = [one["baseline"] for one in yaml.safe_load(path.read_text())["kernels"].values()]
    assert baselines == list(made.names)  # and not the source's, which is that of all three
    assert all(re.search(rf'"{name}"', made.files["test_gpu_gates.py"]) for name in made.names)


class _Kept:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> str:
        return str(self.path)

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("lib-1-py3-none-any.whl", "lib"),
        ("my_kernels-1.0-cp311-cp311-linux_x86_64.whl", "my_kernels"),
        ("libblas.so.3", "blas"),
        ("lib.so", "lib"),
        ("library.hsaco", "library"),
        ("k.co", "k"),
    ],
)
def test_an_artifact_is_called_what_its_file_is_called(name: str, wanted: str) -> None:
    assert built._stem(name) == wanted


@pytest.mark.parametrize(
    ("name", "most", "patterns"),
    [("libk.so", 100, ["sums<4>", "sums<200>", "copies"]), ('lib*k [1]"\U0001f600.so', 1, ["*"])],
)
def test_a_built_file_is_gated_by_the_names_of_its_kernels(
    tmp_path: Path,
    code_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    most: int,
    patterns: list[str],
) -> None:
    pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
    pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")
    (tmp_path / name).write_bytes(library_of(compiled_sums(code_cache)))
    monkeypatch.setattr(built, "MOST_KERNELS", most)
    made = built.from_built(Layout(tmp_path), tmp_path / name)
    assert any("pytest --greta-lock" in note for note in made.notes) == (most == 1)
    list(draft._gates(tmp_path / "gates.yaml", made))
    read = gatefile.load(tmp_path / "gates.yaml")
    (found,) = read.artifacts.values()
    assert [glob.glob(one, root_dir=read.folder) for one in found.files] == [[name]]  # noqa: PTH207
    assert list(dict.fromkeys(gate.variant for gate in found.gates)) == patterns


# -- mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "none.hip"], "error: none.hip: there is no such file\n"),
        (["--from", "text.so"], "error: text.so: is no binary with device code: it is text\n"),
        (
            ["--from", "."],
            "error: .: is a directory; --from takes a source (.hip, .cu) or a file with built kernels\n",
        ),
        (["text.hip"], "error: text.hip: is a file; init takes the project's root directory\n"),
        (["--target", "gfx942"], "error: --target is for sources\n"),
        (["--from", "text.hip", "--target", "gfx9?"], "error: --target: 'gfx9?' is not a target\n"),
    ],
)
@pytest.mark.usefixtures("asked")
def test_mistakes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("text.so", "text.hip"):
        (tmp_path / name).write_text("text\n")
    try:
        code = main(["init", *arguments])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2
    assert capsys.readouterr().err.endswith(said)
    assert not (tmp_path / "gates.yaml").exists()
