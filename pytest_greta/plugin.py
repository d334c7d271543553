"""Every pytest hook of greta. Thin: what a session that uses no greta does not need is imported when used."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from pluggy import PluginValidationError

from pytest_greta import companions
from pytest_greta.cases import ARTIFACT, AXES, PROGRAM, UNUSED, Mistaken, parametrize, subject_of, timed_in
from pytest_greta.declaring import add_options
from pytest_greta.errors import as_lines
from pytest_greta.fixtures import (
    greta_artifact,
    greta_code,
    greta_context,
    greta_kernel,
    greta_problem,
    greta_program,
    greta_run,
    greta_target,
    greta_variant,
)
from pytest_greta.hookspec import HOOKS
from pytest_greta.options import any_given, read_options
from pytest_greta.paths import check_outputs, gates_path
from pytest_greta.stash import (
    BENCHMARK,
    COLLECTED,
    DEVICE,
    FAILED,
    HEADLINE,
    LEFT_OUT,
    LOCKED,
    NOTES,
    ON_TERMINAL,
    PROBLEMS,
    RECORDS,
    SESSION,
    SESSION_NOTES,
    SIGTERM,
    STOPPED,
    UNCHECKED,
    VERDICTS,
    forget,
    get_clock,
    get_device,
    get_session,
    is_controller,
    kernel_of,
    load_session,
    tell_controller,
)

if TYPE_CHECKING:
    from pytest_greta.compiler.clang import Job
    from pytest_greta.device.session_device import SessionDevice
    from pytest_greta.kernel import Problem
    from pytest_greta.session import Session

__all__ = [
    "greta_artifact",
    "greta_code",
    "greta_context",
    "greta_kernel",
    "greta_problem",
    "greta_program",
    "greta_run",
    "greta_target",
    "greta_variant",
]


# -- configuration ---------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare `--greta-*` and their ini twins."""
    add_options(parser, pluginmanager)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks of hookspec.py."""
    from pytest_greta import hookspec

    pluginmanager.add_hookspecs(hookspec)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; refuse bad option values before anything is collected."""
    config.addinivalue_line(
        "markers",
        "greta(name): the kernel family, the artifact or the program that this test's greta fixtures are about.",
    )
    config.stash[PROBLEMS] = []
    config.stash[LEFT_OUT] = []
    config.stash[COLLECTED] = {}
    config.stash[SESSION_NOTES] = []
    config.stash[ON_TERMINAL] = sys.stdout.isatty()
    _or_usage_error(lambda: read_options(config))
    _or_usage_error(lambda: check_outputs(config))
    companions.register(config)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Under xdist the controller collects nothing itself, so it reads the gates here: mistakes are told once."""
    config = session.config
    if is_controller(config) and (any_given(config) or gates_path(config).exists()):
        _or_usage_error(lambda: _look_at(config))


def _look_at(config: pytest.Config) -> None:
    greta = load_session(config)
    config.stash[HEADLINE] = greta.headline("one for each process")
    greta.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the worker and the compiler, on every way out."""
    _restore_sigterm(session.config)
    host, greta = session.config.stash.get(DEVICE, None), session.config.stash.get(SESSION, None)
    if host:
        host.close()
    if greta:
        greta.close()
    _tell_notes(session.config, host, greta)
    problems = session.config.stash[PROBLEMS]
    if problems and is_controller(session.config):
        lines = "\n".join(f"ERROR: {problem}" for problem in as_lines(problems))
        pytest.exit(lines, returncode=pytest.ExitCode.USAGE_ERROR)


def _tell_notes(config: pytest.Config, device: SessionDevice | None, session: Session | None) -> None:
    """What could not be kept, and what to know of the device, for the summary; a worker of xdist sends it on."""
    notes = config.stash[SESSION_NOTES]
    told = [device.cache_problem, device.lock_problem, device.waited_note] if device else []
    if session:
        told += [session.builder.compiler.cache.problem, session.runner.machine_note]
        told += [session.programs.journal.problem] if session.programs.has_run else []
    notes += dict.fromkeys(note for note in told if note and note not in notes)
    tell_controller(config, "greta_notes", list(notes))


def _or_usage_error(action: Callable[[], object]) -> None:
    from pytest_greta.errors import ConfigError

    try:
        action()
    except ConfigError as error:
        raise pytest.UsageError(*as_lines(error.problems)) from None


# -- collection ------------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise over variant and target, or variant and problem; over the files of artifacts and over programs."""
    parametrize(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Of a test that is named and that a mistake hides, the mistake is told, and not only that it is not found. A hook
    by a name that greta has not is one too, not an internal error.
    """
    try:
        return (yield)
    except PluginValidationError as error:
        if "unknown hook 'pytest_greta_" not in str(error):
            raise
        raise pytest.UsageError(f"{error}; the hook of greta is {' and '.join(HOOKS)}") from None
    except pytest.UsageError as error:
        problems: list[str] = session.config.stash[PROBLEMS]
        told = as_lines(problems)
        if not told or list(error.args) == told:
            raise
        raise pytest.UsageError(*told, *error.args) from None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    """Send device times to pytest-benchmark; when `-k` and its kin have chosen, tell mistakes and drop what nobody
    asked for.
    """
    for item in items:
        about = timed_in(item, _parameters(item))
        if about and config.pluginmanager.has_plugin("benchmark"):
            from pytest_greta.history import benchmark as history

            history.prepare(item, get_clock(config), about)
    result = yield
    ours = [item for item in items if set(AXES) & set(_fixtures(item))]
    problems, collected = config.stash[PROBLEMS], config.stash[COLLECTED]
    hidden = [value for item in ours for value in _parameters(item).values() if isinstance(value, Mistaken)]
    problems += dict.fromkeys(problem for mistaken in hidden for problem in mistaken.problems)
    programs = [item for item in items if PROGRAM in _fixtures(item)]
    if (collected or programs) and not problems:
        problems += get_session(config).option_problems(list(collected.values()))
    if ours and not problems:
        used = {kernel.name: kernel for kernel in map(kernel_of, ours)}.values()
        problems += get_session(config).entry_problems([*used])
    problems += history_problems(config) if ours else []
    is_due = bool(ours or programs) or any(ARTIFACT in _fixtures(item) for item in items)
    if (read_options(config).require or read_options(config).lock) and not (is_due or problems):
        from pytest_greta.unevaluated import is_due_without_tests

        is_due = is_due_without_tests(config, problems)
    if problems:
        _refuse(config, items, problems)
    if problems or not is_due:
        return result
    _leave_out(config, get_session(config).left_out)
    from pytest_greta.unevaluated import keep_expected

    keep_expected(config)
    unused = [item for item in [*ours, *programs] if UNUSED in _parameters(item).values()]
    if get_session(config).options.calibrate:
        unused += [item for item in items if "greta_run" not in _fixtures(item)]
    if unused:
        items[:] = [item for item in items if item not in unused]
        config.hook.pytest_deselected(items=unused)
    return result


def _leave_out(config: pytest.Config, cases: Sequence[tuple[str, str, str, str]]) -> None:
    """Keep what the summary tells; a worker of xdist sends it to the controller when it ends."""
    config.stash[LEFT_OUT] += cases
    tell_controller(config, "greta_left_out", [list(case) for case in cases])


def _problem_of(item: pytest.Item) -> Problem | None:
    """The problem an item is about; None for one that is about none, or stands for no case."""
    problem: Problem | None = getattr(_parameters(item).get("greta_problem"), "problem", None)
    return problem


def history_problems(config: pytest.Config) -> list[str]:
    """What keeps runs from being measured or stored."""
    if not config.pluginmanager.has_plugin("benchmark"):
        return ["greta keeps its history with pytest-benchmark, which -p no:benchmark switches off"]
    skipping = [name for name in ("skip", "only") if config.getoption(f"benchmark_{name}")]
    if skipping and read_options(config).require:
        return [f"--benchmark-{skipping[0]} skips tests, which --greta-require does not allow"]
    return []


def _refuse(config: pytest.Config, items: list[pytest.Item], problems: list[str]) -> None:
    """Exit code 4 with a line for each problem; in a worker of xdist, leave that to the controller."""
    if not hasattr(config, "workeroutput"):
        raise pytest.UsageError(*as_lines(problems))
    tell_controller(config, "greta_problems", list(problems))
    items.clear()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Start compiling, in the background, all that the collected tests need."""
    greta = session.config.stash.get(SESSION, None)
    if greta is None or session.config.stash[PROBLEMS] or session.config.option.collectonly:
        return
    jobs = [job for item in session.items if set(AXES) & set(_fixtures(item)) for job in _jobs(greta, item)]
    _interrupt_on_sigterm(session.config)
    if not greta.device.is_side_by_side:  # under xdist every process collects all tests and runs a few
        greta.builder.compiler.submit(jobs)
    greta.device.release()


def _interrupt_on_sigterm(config: pytest.Config) -> None:
    """A cancelled CI job ends like Ctrl-C: with the summary, the history, and no worker left."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt("SIGTERM")

    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGTERM, interrupt)
        config.stash[SIGTERM] = True


def _restore_sigterm(config: pytest.Config) -> None:
    if config.stash.get(SIGTERM, False):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _jobs(session: Session, item: pytest.Item) -> list[Job]:
    name, target, _ = (_parameters(item).get(axis) for axis in AXES)
    if name is None:
        return []
    kernel, problem = kernel_of(item), _problem_of(item)
    if problem is not None:
        session.runner.planner.upcoming.add(kernel, name, problem)
    try:
        return session.jobs(kernel, kernel.variant(name), target, problem)
    except Exception:  # of the kernel's own Python code: the test that needs it will show it
        return []


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """The line that says what is gated, on what."""
    session = config.stash.get(SESSION, None)
    if session is None or config.option.collectonly:
        return []
    from pytest_greta import __version__

    headline: list[str] = []
    _or_usage_error(lambda: headline.extend(session.headline()))
    session.device.release()
    return [f"greta {__version__}: {line}" for line in headline]


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def _parameters(item: pytest.Item) -> dict[str, Any]:
    return dict(getattr(getattr(item, "callspec", None), "params", {}))


# -- running ---------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that is run again (pytest-rerunfailures) begins anew: its attempts do not add up."""
    forget(item, VERDICTS, UNCHECKED, FAILED, STOPPED, NOTES, BENCHMARK, LOCKED, RECORDS)
    item.user_properties[:] = [pair for pair in item.user_properties if not pair[0].startswith("greta ")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that asks for measurements and leaves one unchecked, or swallows a failed gate, fails all the same."""
    result = yield
    unchecked = item.stash.get(UNCHECKED, [])
    if unchecked:
        pytest.fail(f"no gate of {' and '.join(unchecked)} was evaluated: call .check()", pytrace=False)
    if item.stash.get(FAILED, []):
        pytest.fail("\n".join(["a failed gate was swallowed:", *item.stash[FAILED]]), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Between two tests, others may have the device."""
    try:
        return (yield)
    finally:
        device = item.config.stash.get(DEVICE, None)
        if device is not None:
            device.release()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Verdicts travel with the report of the call, as plain data that xdist passes on to its controller."""
    report = yield
    if call.when != "teardown" and {ARTIFACT, "greta_code"} & set(_fixtures(item)):
        report.greta_locked = item.stash.get(LOCKED, None)
    if call.when == "call" and (VERDICTS in item.stash or STOPPED in item.stash):
        from pytest_greta.recording import carry
        from pytest_greta.tails import shorten

        carry(item, report, subject_of(item, _parameters(item)))
        shorten(item, report)
    if BENCHMARK in item.stash:
        from pytest_greta.history import benchmark as history

        info: dict[str, object] = {"test_seconds": call.duration} if call.when == "call" else {}
        if report.failed and not item.stash.get(FAILED, []):
            info |= {"accepted": False, "why_not": "its test failed", "new_level": ""}
        history.add_info(item.stash[BENCHMARK], info)
    if call.when == "teardown":
        forget(item, VERDICTS, RECORDS)  # its reports have them, and an item lives as long as the session
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """The device is part of the machine that pytest-benchmark's history compares."""
    from pytest_greta.history import benchmark as history

    ran = SESSION in config.stash and bool(config.stash[COLLECTED])  # programs alone open no device
    summary: Any = config.pluginmanager.get_plugin("greta-summary")
    if is_controller(config) and summary.devices:  # of the workers
        history.update_machine_info(machine_info, "; ".join(sorted(summary.devices)))
    elif ran or (history.compares(config) and gates_path(config).is_file()):
        history.update_machine_info(machine_info, get_device(config).identity())
        get_device(config).release()
