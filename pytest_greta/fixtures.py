"""The fixtures: the whole surface that a test sees. They measure when asked, inside the test's own call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_greta.stash import (
    BENCHMARK,
    CALIBRATED,
    LOCKED,
    NOTES,
    STOPPED,
    UNCHECKED,
    VERDICTS,
    get_clock,
    get_session,
    kernel_of,
)

if TYPE_CHECKING:
    from pytest_greta.binaries.artifacts import ArtifactResult
    from pytest_greta.binaries.kernels import BuiltKernel
    from pytest_greta.compiler.codeobject import CodeObject, KernelResources
    from pytest_greta.gates.model import Quantity
    from pytest_greta.kernel import Kernel, Problem, Variant
    from pytest_greta.measure.run import Run
    from pytest_greta.programs.result import ProgramResult, ProgramRun
    from pytest_greta.records.replay import ReplayedResult
    from pytest_greta.results import CodeResult, RunResult


T = TypeVar("T")


@dataclass(frozen=True)
class NothingToTest:
    """Stands for the cases of a test that were all left out, where that must not pass: its item fails."""

    why: str


class GatedCode:
    """A variant compiled for a target: what the fixture `greta_code` gives. Compiled when first asked."""

    def __init__(self, item: pytest.Item, compile_it: Callable[[], CodeResult | ReplayedResult]) -> None:
        self._item, self._compile = item, compile_it
        item.stash.setdefault(UNCHECKED, []).append("greta_code")

    @cached_property
    def _result(self) -> CodeResult | ReplayedResult:
        return _obtain(self._item, self._compile)

    @property
    def resources(self) -> Mapping[str, KernelResources]:
        """Registers, scratch, LDS and code size by kernel name, as the code object states them."""
        return self.code_object.kernels

    @property
    def code_object(self) -> CodeObject:
        """The code object itself: `.code` holds its bytes."""
        result = self._result
        return _obtain(self._item, lambda: result.code_object)

    def check(self) -> None:
        """Evaluate every gate that applies. The test fails if one of them does."""
        _judge(self._item, self._result, "greta_code")


class GatedRun:
    """A variant at a context on the device: what the fixture `greta_run` gives. Measured when first asked."""

    def __init__(
        self, item: pytest.Item, measure_it: Callable[[], ReplayedResult | RunResult], benchmark: Any
    ) -> None:
        self._item, self._measure, self._benchmark = item, measure_it, benchmark
        item.stash.setdefault(UNCHECKED, []).append("greta_run")

    @cached_property
    def _result(self) -> ReplayedResult | RunResult:
        from pytest_greta.results import RunResult

        result = _obtain(self._item, self._measure)
        run = result.run if isinstance(result, RunResult) else None
        if run:
            _store(self._item, self._benchmark, run)
        if run and run.worker_output:
            _show_output(self._item, "greta worker", run.worker_output)
        return result

    @property
    def seconds(self) -> list[float]:
        """Device seconds of every timed launch; none where the code failed a gate and was not launched."""
        return list(self._result.seconds)

    def check(self) -> None:
        """Evaluate every gate that applies. The test fails if one of them does."""
        _judge(self._item, self._result, "greta_run")


class GatedArtifact:
    """A file that was built elsewhere: what the fixture `greta_artifact` gives. Read when first asked."""

    def __init__(self, item: pytest.Item, read_it: Callable[[], ArtifactResult]) -> None:
        self._item, self._read = item, read_it
        item.stash.setdefault(UNCHECKED, []).append("greta_artifact")

    @cached_property
    def _result(self) -> ArtifactResult:
        return _obtain(self._item, self._read)

    @property
    def kernels(self) -> Sequence[BuiltKernel]:
        """Every kernel in the file: its names, its target, and `.value("vgprs")` and the like."""
        return self._result.file.kernels

    def check(self) -> None:
        """Evaluate every gate that applies. The test fails if one of them does."""
        _judge(self._item, self._result, "greta_artifact")


class GatedProgram:
    """A variant of a program at one problem: what the fixture `greta_program` gives. Run when first asked."""

    def __init__(
        self, item: pytest.Item, run_it: Callable[[], ProgramResult | ReplayedResult], benchmark: Any
    ) -> None:
        self._item, self._run, self._benchmark = item, run_it, benchmark
        item.stash.setdefault(UNCHECKED, []).append("greta_program")

    @cached_property
    def _result(self) -> ProgramResult | ReplayedResult:
        from pytest_greta.programs.result import ProgramResult

        result = _obtain(self._item, self._run)
        if isinstance(result, ProgramResult) and self._benchmark:
            _store(self._item, self._benchmark, result.run)
        if result.output:
            _show_output(self._item, "greta program", result.output)
        return result

    @property
    def seconds(self) -> list[float]:
        """Seconds of every run that counts, by the time that gates.yaml names."""
        return list(self._result.seconds)

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """What was measured of its runs and read of their output, by name."""
        return self._result.quantities

    @property
    def output(self) -> str:
        """Beginning and end of what the last run printed; nothing of one that was recorded elsewhere."""
        return self._result.printed

    def check(self) -> None:
        """Evaluate every gate that applies. The test fails if one of them does."""
        _judge(self._item, self._result, "greta_program")


@pytest.fixture
def greta_kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel family of this test: that of its marker `@pytest.mark.greta(NAME)`, or the only one there is."""
    return kernel_of(request.node)


@pytest.fixture
def greta_variant(request: pytest.FixtureRequest, greta_kernel: Kernel) -> Variant:
    """The variant under test. Parametrised: `--greta-variant`, else all variants of the kernel."""
    return greta_kernel.variant(_parameter(request))


@pytest.fixture
def greta_target(request: pytest.FixtureRequest) -> str:
    """The target under test, like `gfx942`. Parametrised: `--greta-target`, else the targets of gates.yaml."""
    return str(_parameter(request))


@pytest.fixture
def greta_problem(request: pytest.FixtureRequest) -> Problem:
    """The problem under test: a context and other sizes. Parametrised: those of gates.yaml for the device, narrowed or
    replaced by `--greta-ctx` and `--greta-axis`.
    """
    problem: Problem = _parameter(request).problem
    return problem


@pytest.fixture
def greta_context(greta_problem: Problem) -> int:
    """The context under test: that of `greta_problem`."""
    return greta_problem.context


@pytest.fixture
def greta_code(
    request: pytest.FixtureRequest, greta_kernel: Kernel, greta_variant: Variant, greta_target: str
) -> GatedCode:
    """The variant compiled for the target. `.resources` is what it takes; `.check()` evaluates its gates."""
    session = get_session(request.config)

    def compile_it() -> CodeResult | ReplayedResult:
        groups = session.code_problems(greta_kernel, greta_variant)
        return session.runner.code_result(greta_kernel, greta_variant, greta_target, groups)

    return GatedCode(request.node, compile_it)


@pytest.fixture
def greta_artifact(request: pytest.FixtureRequest) -> GatedArtifact:
    """A file of an artifact of gates.yaml. `.kernels` is what is in it; `.check()` evaluates its gates.

    Parametrised: the files that the globs find, of the artifact that the marker names or of all.
    """
    session, case = get_session(request.config), _parameter(request)
    return GatedArtifact(request.node, lambda: session.artifacts.judge(case, session.options.targets or ()))


@pytest.fixture
def greta_program(request: pytest.FixtureRequest) -> Iterator[GatedProgram]:
    """A variant of a program of gates.yaml, run for a problem. `.seconds`, `.quantities` and `.output` are what it came
    to; `.check()` evaluates its gates.

    Parametrised: variants and problems of the program that the marker names or of all, narrowed by `--greta-variant`,
    `--greta-ctx` and `--greta-axis`. Its times are stored in pytest-benchmark's history, where that is there.
    """
    from pytest_greta.history import benchmark as history

    session, case = get_session(request.config), _parameter(request)
    is_stored = history.takes(request.config) and session.runner.replayer is None
    benchmark = request.getfixturevalue("benchmark") if is_stored else None
    yield GatedProgram(request.node, lambda: session.program_result(case), benchmark)
    if benchmark and BENCHMARK not in request.node.stash:
        history.forgive(benchmark)


@pytest.fixture
def greta_run(
    request: pytest.FixtureRequest,
    greta_kernel: Kernel,
    greta_variant: Variant,
    greta_problem: Problem,
    benchmark: Any,
) -> Iterator[GatedRun]:
    """The variant measured for the problem. `.seconds` are its times; `.check()` evaluates its gates.

    The times are stored in pytest-benchmark's history whatever the gates say.
    """
    from pytest_greta.history import benchmark as history

    session = get_session(request.config)
    if session.options.calibrate:
        from pytest_greta import calibrate

        history.forgive(benchmark)
        path, lines = request.config.rootpath, request.config.stash.setdefault(CALIBRATED, [])
        found = calibrate.calibrate_variant(session, greta_kernel, greta_variant, greta_problem)
        _obtain(request.node, lambda: calibrate.keep_all(path / calibrate.FILE, found, lines))
        pytest.skip(f"calibrated, not tested: {lines[-1]}")
    measure_it = lambda: session.runner.run_result(greta_kernel, greta_variant, greta_problem)  # noqa: E731
    yield GatedRun(request.node, measure_it, benchmark)
    if BENCHMARK not in request.node.stash:
        history.forgive(benchmark)


def _store(item: pytest.Item, benchmark: Any, run: Run | ProgramRun) -> None:
    """Store the times of a run, whatever its gates will say: nothing measured is lost."""
    from pytest_greta.history import benchmark as history

    if run.seconds:
        history.record(item.config, benchmark, get_clock(item.config), run.seconds)
        history.add_run(benchmark, get_session(item.config).history(run))
        item.stash[BENCHMARK] = benchmark


def _show_output(item: pytest.Item, title: str, printed: str) -> None:
    """What kernels and programs printed belongs to their test: shown if it fails, and at once with `-s`."""
    from pytest_greta.errors import printable

    text = "\n".join(map(printable, printed.splitlines()))
    item.add_report_section("call", title, text)
    if item.config.getoption("capture") == "no":
        sys.stdout.write(f"\n{text}\n")


def _parameter(request: pytest.FixtureRequest) -> Any:
    """The value a test is parametrised with, which pytest can do only for names in a test's own signature."""
    if not hasattr(request, "param"):
        pytest.fail(
            f"name {request.fixturename} (or greta_code, greta_run) in the test's signature", pytrace=False
        )
    if isinstance(request.param, NothingToTest):
        pytest.fail(request.param.why, pytrace=False)
    return request.param


def _obtain(item: pytest.Item, make: Callable[[], T]) -> T:
    """What `make` returns; what stops it ends the test with one clear message."""
    from pytest_greta.binaries.contents import BinaryProblem
    from pytest_greta.errors import (
        CompileError,
        DeviceFault,
        DeviceUnavailable,
        KernelMistake,
        NoSuchDevice,
        NotForDevice,
        NotRecorded,
        ProgramBlocked,
        ProgramMistake,
        RecordedFailure,
        SkippedByKernel,
        ToolMissing,
    )

    status = "FAIL"
    try:
        return make()
    except NotForDevice as error:
        item.stash[STOPPED] = ("NOT MEASURED", str(error))
        pytest.skip(f"NOT MEASURED: {error}")
    except ProgramBlocked as error:
        status, message = "BLOCKED", str(error)
    except (DeviceUnavailable, NotRecorded, SkippedByKernel, ToolMissing) as error:
        status, message = status if isinstance(error, NoSuchDevice) else "NOT MEASURED", str(error)
    except (
        BinaryProblem,
        CompileError,
        DeviceFault,
        KernelMistake,
        ProgramMistake,
        RecordedFailure,
    ) as error:
        message = str(error)
    item.stash[STOPPED] = (status, _in_short(message))
    session = get_session(item.config)
    if status == "FAIL":
        pytest.fail(message, pytrace=False)
    is_lost = session.device.blocked  # on the way
    if status == "BLOCKED" or session.options.require or is_lost:
        pytest.fail(f"{status}: {message}", pytrace=False)
    pytest.skip(f"{status}: {message}")


def _in_short(message: str) -> str:
    """The first line of a message, and of what a compiler says its first error."""
    first, *lines = message.splitlines() or [""]
    error = next((line.strip() for line in lines if "error:" in line), "")
    return " ".join(filter(None, [first, error]))


def _judge(
    item: pytest.Item,
    result: ArtifactResult | CodeResult | ProgramResult | ReplayedResult | RunResult,
    fixture: str,
) -> None:
    """Evaluate the gates, keep the verdicts with the test, and fail it where one of them does."""
    from pytest_greta import table, tails
    from pytest_greta.binaries.locked import is_unrecorded
    from pytest_greta.gates.policy import failing
    from pytest_greta.history import benchmark as history
    from pytest_greta.programs.result import ProgramResult
    from pytest_greta.records.replay import ReplayedResult
    from pytest_greta.results import RunResult

    session = get_session(item.config)
    timed = ProgramResult, ReplayedResult, RunResult
    verdicts = result.verdicts()
    if fixture in item.stash[UNCHECKED]:  # checked for the first time
        item.stash.setdefault(VERDICTS, []).extend(verdicts)
        baseline = result.baseline if isinstance(result, timed) else ""
        item.user_properties += table.properties(verdicts, session.device.device_name(), baseline)
        if session.options.is_recorded:
            from pytest_greta.recording import keep

            keep(item, session, result)
    item.stash[UNCHECKED] = [name for name in item.stash[UNCHECKED] if name != fixture]
    if not isinstance(result, timed) and session.artifacts.locking.is_active:
        from pytest_greta.binaries import lock

        item.stash.setdefault(LOCKED, []).extend(lock.plain(result.held.entries))
    item.stash[NOTES] = list(result.notes)
    if isinstance(result, (ProgramResult, RunResult)):
        item.stash[NOTES] = [*session.runner.past.problems, *result.told]
        if BENCHMARK in item.stash and result.run:
            told = {"verdicts": [one.line() for one in verdicts]}
            history.add_info(item.stash[BENCHMARK], asdict(session.acceptance(result.run, verdicts)) | told)
            item.stash[NOTES] += history.not_stored(item.config, verdicts)
    failed = failing(verdicts, session.options.require, session.gate_file.inconclusive)
    if all(map(is_unrecorded, verdicts)) and not session.options.lock:
        none = f"no gate was evaluated: {session.gate_file.path} has none that applies"
        pytest.fail(f"{none}; pytest --greta-lock records what kernels take", pytrace=False)
    if failed:
        tails.fail(item, failed, result.notes)
