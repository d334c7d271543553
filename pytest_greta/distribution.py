"""pytest-xdist with devices: what its controller and its workers tell each other. Registered where xdist is active.

xdist distributes. What is here is the order in which it finds the tests, and the runs for pytest-benchmark's history,
which the workers measure and the controller stores as a serial run would.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_greta import __version__, spreading
from pytest_greta.cases import ARTIFACT, AXES, PROGRAM, subject_of
from pytest_greta.device.places import expected_count
from pytest_greta.errors import GretaError, printable
from pytest_greta.options import any_given, read_options
from pytest_greta.paths import gates_path
from pytest_greta.progress import TOLD, send_event
from pytest_greta.spreading import Case
from pytest_greta.stash import (
    CUT,
    EXPECTED,
    HEADLINE,
    LEFT_OUT,
    ORDER,
    PROBLEMS,
    SESSION_NOTES,
    base_seed,
    get_session,
    is_controller,
    name_in_marker,
    sharing,
    tell_controller,
)

if TYPE_CHECKING:
    from pytest_greta.stats.runs import HistoricRun
    from pytest_greta.summary import Summary

Known = Mapping[tuple[str, str, str], float]
_BEGUN = "greta_begun"
"""The event by which a worker tells that a test begins."""


def register(config: pytest.Config, summary: Summary | None) -> None:
    """Add what this process does for others, or beside them. `summary` is that of the process with the terminal."""
    if summary is not None and read_options(config).shard:
        config.pluginmanager.register(Part(), "greta-part")
    if summary is not None and is_controller(config):
        config.pluginmanager.register(Controller(config, summary), "greta-controller")
        return
    config.pluginmanager.register(Order(), "greta-order")
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Worker(), "greta-worker")


class Controller:
    """In the process that has the terminal."""

    def __init__(self, config: pytest.Config, summary: Summary) -> None:
        self._config, self._summary = config, summary
        self._entries: dict[str, tuple[int, str]] = {}
        """Runs for the history by their key, with the place of their test in a serial run."""
        self._known: list[list[Any]] | None = None
        self._places: dict[str, int] = {}
        """Of tests in a serial run."""
        self._begun: dict[str, Mapping[str, Any]] = {}
        """What tests are about that began and did not end, as their workers told."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker what all must know alike: what tests cost before, for they find them in one order, and the seed
        of inputs, for the variants of a problem get the same.
        """
        if self._known is None:
            self._known = [[*key, seconds] for key, seconds in known_costs(self._config).items()]
        node.workerinput["greta_costs"] = self._known
        node.workerinput["greta_seed"] = base_seed(self._config)
        node.workerinput["greta_dist"] = self._config.getvalue("dist")
        node.process_from_remote = self._hearing(node.process_from_remote)

    def _hearing(self, pass_on: Callable[[Any], None]) -> Callable[[Any], None]:
        """What hears a worker's events: a line that it tells is shown at once, in the thread that receives it."""

        def hear(event: Any) -> None:
            if isinstance(event, tuple) and event[0] == _BEGUN:
                self._begun[event[1]["test"]] = event[1]
                return
            if not isinstance(event, tuple) or event[0] != TOLD:
                pass_on(event)
                return
            terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
            if terminal is not None:
                if (
                    self._config.get_terminal_writer().width_of_current_line
                ):  # of xdist's own, which no newline ends
                    terminal.line("")
                terminal.write_line(f"greta: {printable(event[1]['text'])}")
                terminal.flush()

        return hear

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """What is gated, on what: no process has told yet which device it has."""
        return [f"greta {__version__}: {line}" for line in config.stash.get(HEADLINE, [])]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Neighbours, which share inputs and references, in one process; one that has none left takes from others."""
        if config.getvalue("dist") != "load" or not (any_given(config) or gates_path(config).exists()):
            return None
        from xdist.scheduler import WorkStealingScheduling

        return WorkStealingScheduling(config, log)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear what a worker has refused, and what it has to tell."""
        stash, told = self._config.stash, getattr(node, "workeroutput", {})
        problems, left_out, notes = stash[PROBLEMS], stash[LEFT_OUT], stash[SESSION_NOTES]
        problems += [problem for problem in told.get("greta_problems", []) if problem not in problems]
        if told.get("greta_expected") is not None:
            stash[EXPECTED] = told["greta_expected"]
        if told.get("greta_cut"):
            stash[CUT] = told["greta_cut"]
        cases = [tuple(case) for case in told.get("greta_left_out", [])]
        left_out += [case for case in cases if case not in left_out]
        notes += [note for note in told.get("greta_notes", []) if note not in notes]

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """A test whose worker ended is one that failed, wherever failures are told."""
        told = self._begun.get(crashitem)
        if told is None:  # none of greta's
            return
        from pytest_greta.recording import carry_crash

        why, subject = str(report.longrepr), tuple(told["subject"])
        report.greta_order = told["order"]
        carry_crash(self._config, report, subject, why)
        report.greta_crash = told["file"], told["line"], subject, why

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep what a test measured: a report that comes later knows more of it."""
        if report.when == "teardown":
            self._begun.pop(report.nodeid, None)
        self._places[report.nodeid] = getattr(report, "greta_order", 0)
        for key, entry in getattr(report, "greta_entries", []):
            self._entries[key] = report.greta_order, entry

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, config: pytest.Config, output_json: dict[str, Any]) -> None:
        """Tell `merge` where entries stand."""
        _say_places(config, output_json, self._places)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Put all in the order of a serial run, and hand runs to pytest-benchmark before it stores them."""
        self._summary.put_in_order(self._places)
        if self._entries and session.config.pluginmanager.has_plugin("benchmark"):
            from pytest_greta.history import benchmark as history

            in_order = sorted(self._entries.items(), key=lambda pair: (pair[1][0], pair[0]))
            history.adopt(session.config, [entry for _, (_, entry) in in_order])
        return (yield)


class Part:
    """In the process that has the terminal, where that is of one of several machines."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, config: pytest.Config, output_json: dict[str, Any]) -> None:
        """A stored run says of which part it is."""
        part = read_options(config).shard
        if part is not None and CUT in config.stash:
            from pytest_greta.history import merging

            number, count = part
            output_json[merging.PART] = merging.part_mark([number], (count, config.stash[CUT]))


class Order:
    """Which tests this process collects, and in which order."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        """Of tests in a serial run of the whole session."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """When all else has chosen."""
        result = yield
        _refuse_copies(config, items)
        for number, item in enumerate(items):
            item.stash[ORDER] = self._places[item.nodeid] = number
        take_part(config, items)
        arrange(config, items)
        if hasattr(config, "workerinput") and config.pluginmanager.has_plugin("benchmark"):
            from pytest_greta.history import benchmark as history

            history.quieten(config, items)
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, config: pytest.Config, output_json: dict[str, Any]) -> None:
        """Tell `merge` where entries stand."""
        _say_places(config, output_json, self._places)


class Worker:
    """In a process that runs tests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Say what a test is about, for the case that this process does not come to report it."""
        parameters: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        if not {AXES[0], ARTIFACT, PROGRAM} & set(parameters):
            return
        with suppress(GretaError):
            subject, (file, line, _) = list(subject_of(item, parameters)), item.location
            place = {"file": file, "line": (line or 0) + 1, "order": item.stash.get(ORDER, 0)}
            send_event(item.config, _BEGUN, test=item.nodeid, subject=subject, **place)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """A run that was measured travels with the reports of its test."""
        report = yield
        report.greta_order = item.stash.get(ORDER, 0)
        if call.when != "setup" and "greta_run" in getattr(item, "fixturenames", ()):
            from pytest_greta.history import benchmark as history

            report.greta_entries = history.entries_of(item)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Leave it to the controller to store runs."""
        if session.config.pluginmanager.has_plugin("benchmark"):
            from pytest_greta.history import benchmark as history

            history.store_nothing(session.config)
        return (yield)


def _say_places(config: pytest.Config, output_json: dict[str, Any], places: Mapping[str, int]) -> None:
    """Put into the entries of one part of a session which place they have in a serial run of all of it."""
    from pytest_greta.history.merging import PLACE

    for entry in output_json["benchmarks"] if read_options(config).shard else ():
        if entry["fullname"] in places:
            entry["extra_info"][PLACE] = places[entry["fullname"]]


def _refuse_copies(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker of xdist: no test that measures runs in each of several processes, which report it by one name."""
    told: Mapping[str, Any] = getattr(config, "workerinput", {})
    if told.get("greta_dist") != "each" or told["workercount"] == 1:
        return
    if any("greta_run" in getattr(item, "fixturenames", ()) for item in items):
        why = f"--dist=each runs each test {told['workercount']} times, and history keeps one run of a test"
        tell_controller(config, "greta_problems", [why])
        items.clear()


def take_part(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what other machines test, where `--greta-shard` says that this is one of several."""
    part = read_options(config).shard
    if part is None:
        return
    (number, count), cases = part, [case_of(item) for item in items]
    split = spreading.parts(cases, spreading.costs_of(cases, _known(config)), count)
    names = [[items[one].nodeid for one in sorted(found)] for found in split]
    config.stash[CUT] = hashlib.sha256(repr(names).encode()).hexdigest()[:12]
    tell_controller(config, "greta_cut", config.stash[CUT])
    kept = set(split[number - 1])
    left = [item for number, item in enumerate(items) if number not in kept]
    items[:] = [item for number, item in enumerate(items) if number in kept]
    if left:
        config.hook.pytest_deselected(items=left)


def arrange(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker of xdist: the order in which work is shared out evenly, the same in all of them."""
    own = sharing(config)
    cases = [case_of(item) for item in items] if own.is_side_by_side else []
    if not any(case.needs_device for case in cases):
        return
    kind = read_options(config).require or read_options(config).device
    if kind == "auto":
        kind = get_session(config).device.kind
    devices = expected_count(kind, own, os.environ)
    order = spreading.arranged(cases, spreading.costs_of(cases, _known(config)), own.workers, devices)
    items[:] = [items[number] for number in order]


def case_of(item: pytest.Item) -> Case:
    """What a test will run, as far as its parameters say."""
    fixtures = getattr(item, "fixturenames", ())
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    program = parameters.get(PROGRAM)
    if program is not None and hasattr(program, "problem"):
        return Case(f"program {program.program}", program.variant, program.program, program.problem.id)
    problem = getattr(parameters.get("greta_problem"), "problem", None)
    if "greta_run" not in fixtures or problem is None:
        return Case()
    session = get_session(item.config)
    kernel = session.kernel(name_in_marker(item)).name
    form = ",".join(f"{name}={value}" for name, value in sorted(problem.sizes.items()))
    return Case(kernel, str(parameters.get("greta_variant")), form, str(problem))


def _known(config: pytest.Config) -> Known:
    """What tests cost before: by the controller's word in a worker of xdist."""
    told = getattr(config, "workerinput", {}).get("greta_costs")
    if told is None:
        return known_costs(config)
    return {(kernel, variant, problem): seconds for kernel, variant, problem, seconds in told}


def known_costs(config: pytest.Config) -> dict[tuple[str, str, str], float]:
    """Seconds of tests by kernel, variant and problem, of the run stored last, on whatever device. For one of several
    machines only of other commits: what the others store meanwhile must not change its part.
    """
    if not config.pluginmanager.has_plugin("benchmark"):
        return {}
    from pytest_greta.history.benchmark import History

    history = History(config)
    here = history.commit if read_options(config).shard else ""
    latest: dict[tuple[str, str, str], HistoricRun] = {}
    for (kernel, variant, _, problem, _), runs in history.all_runs().items():
        last = next((run for run in reversed(runs) if run.commit != here), None)
        before = latest.get((kernel, variant, problem))
        if last is not None and (before is None or before.when < last.when):
            latest[kernel, variant, problem] = last
    return {key: run.test_seconds or sum(run.seconds) for key, run in latest.items()}
