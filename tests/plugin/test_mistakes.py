"""Mistakes in gates.yaml, in registration and in an author's methods: one line each, told whatever is selected."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run, write_gates
from tests.plugin.test_options import usage_error
from tests.plugin.test_problems import KERNEL, SOURCE, TESTS

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

PLAIN = """\
version: 1
targets: [gfx942]
kernels:
  one:
    baseline: simple
    contexts: {cpu: [64], hip: [64]}
"""


def write_kernel(project: pytest.Pytester, change: str = "", folder: str = ".", name: str = "one") -> None:
    """A kernel in a folder's own conftest.py, with something else in its class, its source, and its tests."""
    path = project.path / folder
    path.mkdir(exist_ok=True)
    text = KERNEL.format(name=name.capitalize(), kernel=name, factor=3)
    (path / "conftest.py").write_text(text.replace("\n\ndef pytest_greta", f"\n{change}\n\ndef pytest_greta"))
    (path / f"{name}.hip").write_text(SOURCE.format(factor=3))
    (path / f"test_{name}.py").write_text(TESTS.format(kernel=name))


@pytest.fixture
def one(greta: Run, project: pytest.Pytester) -> Run:
    """A project with the kernel `one` in its root."""
    (project.path / "test_gates.py").unlink()
    write_kernel(project)
    write_gates(project, PLAIN)
    return greta


# -- whatever is selected --------------------------------------------------------------------------------

SELECTED = [
    ("-k", "simple"),
    ("-k", "nothing_of_that_name"),
    ("test_one.py::test_one[simple-64]",),
    ("--collect-only",),
]


@pytest.mark.parametrize("selected", SELECTED, ids=" ".join)
@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("gates", "gates.yaml:3:1: unknown key 'kernelz' in the file; did you mean 'kernels'?"),
        ("registration", "conftest.py: kernel 'one': sizes is None, not a mapping"),
        ("option", "--greta-variant: unknown variant 'simpel'; did you mean 'simple'?"),
        ("marker", "test_one.py:9: @pytest.mark.greta: unknown kernel 'uno'; there is one"),
    ],
)
def test_a_mistake_is_told_whatever_is_selected(
    one: Run, project: pytest.Pytester, mistake: str, message: str, selected: tuple[str, ...]
) -> None:
    if mistake == "gates":
        write_gates(project, PLAIN.replace("kernels:", "kernelz:"))
    if mistake == "registration":
        write_kernel(project, "    sizes = None\n")
    if mistake == "marker":
        (project.path / "test_one.py").write_text(TESTS.format(kernel="uno").replace("test_uno", "test_one"))
    if mistake == "option" and "::" in selected[0]:
        pytest.skip("pytest itself says that there is no such test")
    options = ["--greta-variant=simpel"] if mistake == "option" else []
    text = usage_error(one(*selected, *options))
    assert text.count(message) == 1


def test_a_session_without_tests_of_greta_hears_of_no_mistake(one: Run, project: pytest.Pytester) -> None:
    write_gates(project, "nonsense")
    project.makepyfile(test_plain="def test_plain(): pass")
    one("test_plain.py").assert_outcomes(passed=1)


def test_many_mistakes_are_not_all_printed(one: Run, project: pytest.Pytester) -> None:
    write_gates(project, PLAIN + "    gates:\n" + "".join(f"      v{n}: {{vgprs: 1}}\n" for n in range(70)))
    lines = usage_error(one()).splitlines()
    assert len(lines) == 51
    assert lines[-1] == "ERROR: and 20 more"


# -- registration ----------------------------------------------------------------------------------------


def test_a_kernel_that_is_registered_twice_is_told_with_both_files(
    one: Run, project: pytest.Pytester
) -> None:
    write_kernel(project, folder="b")
    text = usage_error(one())
    assert text == "ERROR: b/conftest.py: kernel 'one' is registered twice, first in conftest.py"


def test_a_conftest_that_cannot_be_imported_is_told_with_the_kernel_that_is_missing(
    one: Run, project: pytest.Pytester
) -> None:
    write_kernel(project, folder="b", name="two")
    write_gates(project, PLAIN + "  two: {baseline: simple}\n")
    conftest = project.path / "b" / "conftest.py"
    conftest.write_text("import no_such_module\n" + conftest.read_text())
    why = "b/conftest.py cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"
    text = usage_error(one("test_one.py"))
    assert text == f"ERROR: gates.yaml:7:3: unknown kernel 'two'; there is one; {why}"
    write_gates(project, PLAIN)
    one("test_one.py", "-k", "resources and simple").assert_outcomes(passed=1)


@pytest.mark.parametrize("folder", [".", "b"])
def test_a_hook_of_another_name_is_refused(one: Run, project: pytest.Pytester, folder: str) -> None:
    (project.path / "conftest.py").unlink()
    write_kernel(project, folder=folder)
    conftest = project.path / folder / "conftest.py"
    conftest.write_text(conftest.read_text().replace("pytest_greta_kernels", "pytest_greta_kernel"))
    text = usage_error(one())
    assert "unknown hook 'pytest_greta_kernel' in plugin <module 'conftest' from '" in text
    assert text.endswith("; the hook of greta is pytest_greta_kernels")


# -- the gates file --------------------------------------------------------------------------------------


def test_the_gates_of_an_ini_file_lie_beside_it_and_those_of_an_option_where_pytest_was_called(
    one: Run, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makeini("[pytest]\ngreta_gates = other.yaml\n")
    (project.path / "gates.yaml").rename(project.path / "other.yaml")
    below = project.path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    options = ("-k", "resources and simple", "--rootdir", str(project.path), "..")
    one(*options).assert_outcomes(passed=1)
    text = usage_error(one(*options, "--greta-gates=mine.yaml"))
    place = (
        f"mine.yaml: there is no such file (looked for {below / 'mine.yaml'}); --greta-gates names another"
    )
    assert text == f"ERROR: {place}"


# -- what authors write ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ('    def refuses(self, problem, variant):\n        return None if variant.name == "cdna" else ""\n',
         "kernel 'one', refuses(): it gives None, not a text: why it refuses, empty where it does not"),
        ('    def refuses(self, problem, variant):\n        return 1 // (variant.name != "cdna") * ""\n',
         "kernel 'one', refuses(): ZeroDivisionError: * (class One, *conftest.py:*)"),
        ('    def defines(self, problem, variant):\n        return None if variant.name == "cdna" else {}\n',
         "kernel 'one', defines(): defines is None, not a mapping"),
        ('    def defines(self, problem, variant):\n        return {"A B": 1} if variant.name == "cdna" else {}\n',
         "kernel 'one', defines(): defines has 'A B': 1, which is no macro with its value"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_method_fails_the_tests_of_its_variant(
    one: Run, project: pytest.Pytester, method: str, words: str
) -> None:
    write_kernel(project, method)
    gates = '    gates: {"*": {max_error: 1, speedup: {min: 1, devices: cpu}}}\n'
    write_gates(project, PLAIN.replace("simple", "[cdna, simple]") + gates)
    result = one("--greta-variant=simple,cdna", "-k", "resources or simple")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([words])
    assert "Traceback" not in result.stdout.str()


def test_what_refuses_every_problem_is_not_compiled(one: Run, project: pytest.Pytester) -> None:
    write_kernel(project, '    def refuses(self, problem, variant):\n        return "not yet\\n\\x1b[1m"\n')
    result = one("--greta-variant=simple")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["left out: one simple @ 64: not yet\\n\\x1b[[]1m"])


def test_a_kernel_that_has_nothing_to_test_fails_where_measurements_are_required(
    one: Run, project: pytest.Pytester
) -> None:
    write_kernel(project, '    targets = ["gfx94"]\n')
    result = one("-k", "resources")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    why = "kernel one is for gfx94; the targets here are gfx942"
    result.stdout.fnmatch_lines([f"left out: one simple, short, cdna @ gfx942: {why}"])
    required = one("-k", "resources", "--greta-require=cpu")
    required.assert_outcomes(errors=1)
    required.stdout.fnmatch_lines([f"all variants of kernel 'one' are left out: {why}"])
    # Those of other targets were not asked for.
    for option in ("--greta-target=gfx90a", "--greta-variant=gone"):
        assert one("-k", "resources", "--greta-require=cpu", option).ret != pytest.ExitCode.TESTS_FAILED


def test_a_compiler_error_stands_in_the_table(one: Run, project: pytest.Pytester) -> None:
    source = project.path / "one.hip"
    source.write_text(source.read_text().replace("int i", "it i"))
    result = one("--greta-variant=simple", "-k", "resources")
    result.stdout.fnmatch_lines(["one.hip:* *simple *compiles *unknown type name 'it' (gfx942) *FAIL"])


# -- problems --------------------------------------------------------------------------------------------


def test_no_problem_is_lost_by_its_name(one: Run, project: pytest.Pytester) -> None:
    write_kernel(project, '    sizes = {"rows": 2, "dtype": "fp32", "layout": "fp32"}\n')
    problems = "problems: {hip: 64, cpu: [{context: 64, dtype: x}, {context: 64, layout: x}, {context: 64, rows: 2}]}"
    write_gates(project, PLAIN.replace("contexts: {cpu: [64], hip: [64]}", problems))
    result = one("--greta-variant=simple", "-k", "test_one[", "--greta-device=cpu", "--greta-single-shot")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*checks *(64-dtype=x, 64-layout=x, 64-rows2)*PASS*"])


def test_code_that_only_a_cpu_runs_is_gated(one: Run, project: pytest.Pytester) -> None:
    write_kernel(
        project, '    def defines(self, problem, variant):\n        return {"ROWS": problem["rows"]}\n'
    )
    problems = "problems: {cpu: [64, {context: 64, rows: 4}]}"
    gates = '    gates: {"*": {vgprs: {max: 1, where: {rows: 4}}}}\n'
    write_gates(project, PLAIN.replace("contexts: {cpu: [64], hip: [64]}", problems) + gates)
    result = one("--greta-variant=simple", "-k", "resources")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["gates.yaml:7  simple @ gfx942 rows4  vgprs <= 1   measured *FAIL"])


def test_a_problem_that_no_baseline_is_for_has_none(one: Run, project: pytest.Pytester) -> None:
    gates = '    gates: {"*": {speedup: {min: 1, devices: cpu}}}\n'
    text = (
        PLAIN.replace("contexts: {cpu: [64], hip: [64]}", "problems: {cpu: [64, {context: 64, rows: 3}]}")
        + gates
    )
    write_gates(project, text.replace("simple", "[{variant: simple, where: {rows: 3}}]"))
    result = one("--greta-variant=short", "-k", "test_one[", "--greta-ctx=64")
    result.stdout.fnmatch_lines(
        ["*speedup >= 1.00*(64)*NOT MEASURED*", "*gates.yaml lists no baseline for it: each has a `where` *"]
    )


# -- skips and exits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["refuses", "launch", "defines", "outputs", "decode", "inputs"])
def test_a_method_that_skips_is_not_measured(one: Run, project: pytest.Pytester, method: str) -> None:
    write_kernel(
        project, f'    def {method}(self, *_):\n        import pytest\n        pytest.skip("not today")\n'
    )
    result = one("-k", "simple and not resources")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*all gates *NOT MEASURED*", "[[]1[]] not today"])
    result = one("-k", "simple and not resources", "--greta-require=cpu")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["NOT MEASURED: not today"])


@pytest.mark.parametrize("folder", [".", "sub"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ('pytest.importorskip("no_such_module")', "Skipped: could not *"),
    ],
)
def test_a_hook_that_ends_or_skips_the_session_is_a_mistake(
    one: Run, project: pytest.Pytester, body: str, words: str, folder: str
) -> None:
    (project.path / "sub").mkdir(exist_ok=True)
    path = project.path / folder / "conftest.py"
    path.write_text(f"import pytest\n\n\ndef pytest_greta_kernels():\n    {body}\n    return []\n")
    result = one()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    place = (path.relative_to(project.path), words)
    result.stderr.fnmatch_lines(
        ["ERROR: {}: pytest_greta_kernels failed: {} (*conftest.py:5)".format(*place)]
    )
    if folder == "sub":  # which pytest has not loaded, and nothing is missing
        assert one("test_one.py", "-k", "resources").ret == pytest.ExitCode.OK
