"""Timings into pytest-benchmark's history. The only module that knows pytest-benchmark."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_greta.compiler.cache import write_whole
from pytest_greta.history.alone import alone
from pytest_greta.history.commits import SHALLOW, UNVERSIONED, Commits
from pytest_greta.history.parameters import complete_stored, with_problem
from pytest_greta.history.records import Identity, read_runs
from pytest_greta.measure.executable import sha256_of
from pytest_greta.stats.runs import HistoricRun

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from pytest_greta.gates.model import Verdict

CODE_FOLDER = "greta-accepted"
"""Beside the stored runs: the code of those that were accepted."""

Read = tuple[dict[Identity, list[HistoricRun]], list[str]]
"""Runs by identity, oldest first, and what could not be read, a line each."""


class DeviceClock:
    """A clock for pytest-benchmark that shows device times.

    pytest-benchmark reads its timer before and after each round; a round here only hands over the next measured
    time, so the difference of the two readings is that time, exactly.
    """

    def __init__(self) -> None:
        self._shown = 0.0

        def device_seconds() -> float:
            shown, self._shown = self._shown, 0.0
            return shown

        self.read: Callable[[], float] = device_seconds

    def show(self, seconds: float) -> None:
        """Show `seconds` at the next reading, and zero after it."""
        self._shown = seconds


def prepare(item: pytest.Item, clock: DeviceClock, group: str) -> None:
    """Make the item's `benchmark` fixture read device times, and group it with what it can be compared with."""
    given = item.get_closest_marker("benchmark")
    settings = {"group": group, **(given.kwargs if given else {}), "timer": clock.read}
    item.add_marker(pytest.mark.benchmark(**settings), append=False)


def record(
    config: pytest.Config, benchmark: BenchmarkFixture, clock: DeviceClock, seconds: Sequence[float]
) -> None:
    """Store measured device seconds as the rounds of this benchmark: in a worker of xdist too, where pytest-benchmark
    is off because a host's times mean nothing there.
    """
    remaining = iter(seconds)
    pedantic: Any = benchmark.pedantic
    benchmark.disabled &= is_switched_off(config) or not hasattr(config, "workerinput")
    # Where benchmarks are disabled (--benchmark-disable), pytest-benchmark calls it once and stores nothing.
    pedantic(lambda: clock.show(next(remaining)), rounds=len(seconds))


def quieten(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """No warning that benchmarks are disabled under xdist where all of them are greta's."""
    session: Any = config._benchmarksession  # type: ignore[attr-defined]  # noqa: SLF001
    fixtures = [getattr(item, "fixturenames", ()) for item in items]
    others = any("benchmark" in one and "greta_run" not in one for one in fixtures)
    if hasattr(session, "xdist_benchmark_found"):  # before 5.2 it warns before it knows of any
        session.xdist_benchmark_found &= others


def entries_of(item: Any) -> list[tuple[str, str]]:
    """What an item's `benchmark` fixture would store, as JSON, under a key of this attempt at the test."""
    from pytest_benchmark.utils import safe_dumps

    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    if benchmark is None or not benchmark.stats:
        return []
    dumps: Any = safe_dumps
    key = f"{item.nodeid} {getattr(item, 'execution_count', 1)}"  # of pytest-rerunfailures
    return [(key, dumps(benchmark.stats.as_dict(include_data=True)))]


def store_nothing(config: pytest.Config) -> None:
    """In a worker of xdist: the controller stores what was measured here."""
    session: Any = config._benchmarksession  # type: ignore[attr-defined]  # noqa: SLF001
    session.benchmarks.clear()


def adopt(config: pytest.Config, entries: Sequence[str]) -> None:
    """Let pytest-benchmark show, compare and store what other processes measured, as if it had been done here."""
    from pytest_benchmark.stats import Metadata

    session: Any = config._benchmarksession  # type: ignore[attr-defined]  # noqa: SLF001
    make: Any = Metadata
    for entry in map(json.loads, entries):
        about = SimpleNamespace(**entry, has_error=False, cprofile_stats=None)
        found = make(about, iterations=entry["stats"]["iterations"], options=entry["options"])
        found.stats.data = entry["stats"]["data"]
        session.benchmarks.append(found)


def add_run(benchmark: BenchmarkFixture, info: Mapping[str, Any]) -> None:
    """Add what history keeps of a run, and its problem to what entries are grouped by."""
    add_info(benchmark, info)
    stats: Any = benchmark.stats  # None where nothing is stored
    if stats:
        stats.params = with_problem(stats.params, info)


def add_info(benchmark: BenchmarkFixture, info: Mapping[str, Any]) -> None:
    """Add to the entry's `extra_info`. What JSON cannot hold (NaN, infinity) is stored as None."""
    benchmark.extra_info.update({name: _plain(value) for name, value in info.items()})


def forgive(benchmark: BenchmarkFixture) -> None:
    """Nothing was measured, and the test has said why: no warning that the fixture went unused."""
    benchmark.skipped = True


def takes(config: pytest.Config) -> bool:
    """Whether pytest-benchmark is there, and runs benchmarks."""
    return config.pluginmanager.has_plugin("benchmark") and not config.getoption("benchmark_skip", False)


def compares(config: pytest.Config) -> bool:
    """Whether pytest-benchmark compares with an earlier run, and so asks for the machine before anything has run."""
    return bool(config.getoption("benchmark_compare", None))


def update_machine_info(machine_info: dict[str, Any], device: str) -> None:
    """Make the device part of the machine's identity, and drop from it what changes from minute to minute.

    pytest-benchmark compares machines by the whole of this as text; the momentary clock of CPU 0 is no identity.
    """
    machine_info["greta_device"] = device
    cpu = machine_info.get("cpu")
    if isinstance(cpu, dict):
        for name in ("hz_actual", "hz_actual_friendly"):
            cpu.pop(name, None)


class History:
    """What pytest-benchmark has stored of greta's runs, read when first asked, and what it will store."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.problems: list[str] = []
        """What could not be read, a line each."""

    @property
    def is_saved(self) -> bool:
        """Whether this session's runs are stored where later ones look for them."""
        return saves(self._config)

    @property
    def commit(self) -> str:
        """The commit of the working tree, as pytest-benchmark knows it; `unversioned` outside of a repository."""
        return str(self._commit_info.get("id") or "unknown")

    @property
    def not_clean(self) -> str:
        """Why the commit does not say what runs here; empty where it does, and outside of a repository."""
        if self._commit_info.get("error"):
            return f"its commit is not known: {self._refusal}"
        return "the working tree has uncommitted changes" if self._commit_info.get("dirty") else ""

    def unknown(self, required: bool) -> str:
        """Why nobody can tell which runs came before this checkout; empty where one can."""
        if self._commit_info.get("error"):
            return f"git does not tell which commit this is: {self._refusal}"
        if self.commit == UNVERSIONED:
            return "this is no checkout of git, so nobody can tell which runs came before" if required else ""
        return SHALLOW if self._runs and self._commits.is_shallow else ""

    @property
    def _refusal(self) -> str:
        """What git says, on one line: of a folder of another owner it says what to do."""
        return " ".join(str(self._commit_info["error"]).replace("\\n", " ").split())

    @cached_property
    def _commits(self) -> Commits:
        return Commits(Path.cwd(), self.commit)

    @cached_property
    def _commit_info(self) -> Mapping[str, Any]:
        if not self._config.pluginmanager.has_plugin(
            "benchmark"
        ):  # without it only what needs no history goes on
            return {}
        found: Mapping[str, Any] = self._config.hook.pytest_benchmark_generate_commit_info(
            config=self._config
        )
        return found

    def runs(self, identity: Identity) -> list[HistoricRun]:
        """The stored runs of one identity whose commits came before this one's, oldest first."""
        return [run for run in self._runs.get(identity, []) if self._commits.is_before(run.commit)]

    def all_runs(self) -> Mapping[Identity, list[HistoricRun]]:
        """All stored runs by identity, oldest first, of whatever commit."""
        return self._runs

    # The accepted code itself: where new code can be timed beside it, the spread between runs does not matter.

    def code(self, sha256: str) -> bytes | None:
        """The kept code of that SHA-256; None where it is not there, or damaged."""
        try:
            code = (self._code_folder / f"{sha256}.code").read_bytes()
        except (OSError, ValueError):
            return None
        return code if sha256_of(code) == sha256 else None

    def keep_code(self, code: bytes) -> None:
        """Keep the code of an accepted run beside the history, where this is stored in files.

        Where that fails, later runs say that they lack it: no reason to lose this one.
        """
        with suppress(OSError, ValueError):
            write_whole(self._code_folder / f"{sha256_of(code)}.code", code)

    @property
    def _code_folder(self) -> Path:
        """Raises ValueError where history is not stored in files."""
        from pytest_benchmark.storage.file import FileStorage

        if not isinstance(self._storage, FileStorage):
            raise ValueError("history is not stored in files")
        return Path(self._storage.path) / CODE_FOLDER

    @property
    def _storage(self) -> Any:
        return self._config._benchmarksession.storage  # type: ignore[attr-defined]  # noqa: SLF001

    @cached_property
    def _runs(self) -> dict[Identity, list[HistoricRun]]:
        runs, problems = _read(self._storage)
        self.problems += problems
        return runs


def _read(storage: Any) -> Read:
    """All runs of a storage."""
    from pytest_benchmark.storage.file import FileStorage

    # Files in all its folders: they are named after the interpreter, on which times do not depend.
    return read_runs(
        storage.load(*(["*/[0-9][0-9][0-9][0-9]_*"] if isinstance(storage, FileStorage) else []))
    )


def stored_runs(folder: Path) -> Read:
    """All runs that pytest-benchmark stored in a folder. One that is not there holds none, and is not made."""
    from pytest_benchmark.storage.file import FileStorage

    if not folder.is_dir():
        return {}, []
    told = _Told()
    storage: Any = FileStorage
    runs, problems = _read(storage(str(folder), told))
    return runs, [*told.lines, *problems]


def stored_as_next(folder: Path, machine: str, session: Mapping[str, Any], name: str) -> Path:
    """Store a session as pytest-benchmark does, under the next number. `machine` names its folder in there."""
    from pytest_benchmark.storage.file import FileStorage

    make: Any = FileStorage
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, _on_stderr, _on_stderr):
        storage = make(str(folder), _Told(), default_machine_id=machine)
        before = set(storage.query())
        storage.save(session, name)
        complete_stored(folder)
        return Path((set(storage.query()) - before).pop())


def _on_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")


class _Told:
    """A logger of pytest-benchmark's that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, text: str) -> None:
        """Keep a warning, which is about a file that cannot be read."""
        self.lines.append(text)

    def info(self, text: str) -> None:
        """Where something was stored is told elsewhere."""


def saves(config: pytest.Config) -> bool:
    """Whether pytest-benchmark stores this session."""
    return _is_asked_to_save(config) and not is_switched_off(config)


def _is_asked_to_save(config: pytest.Config) -> bool:
    asked = config.getoption("benchmark_save", None) or config.getoption("benchmark_autosave", None)
    return bool(asked)


def is_switched_off(config: pytest.Config) -> bool:
    """Whether a person switched benchmarks off, in `addopts` perhaps; not as pytest-benchmark does under xdist."""
    off = config.getoption("benchmark_disable", False) and not config.getoption("benchmark_enable", False)
    return bool(off)


def not_stored(config: pytest.Config, verdicts: Iterable[Verdict]) -> list[str]:
    """What to say where a run is not stored that somebody asked to save, or that the gate `regression` lacks."""
    if not is_switched_off(config):
        return []
    why = "--benchmark-disable (perhaps of addopts) switches pytest-benchmark off; add --benchmark-enable"
    if _is_asked_to_save(config):
        return [f"no run was stored, although saving was asked for: {why}"]
    is_lacking = any(one.gate.name == "regression" and one.measured.value is None for one in verdicts)
    return [f"no run can become a reference of `regression`: {why}"] if is_lacking else []


def storage_folder(config: pytest.Config) -> Path | None:
    """The folder in which this session is stored; None where it is not stored, or not in files."""
    from pytest_benchmark.storage.file import FileStorage

    storage = getattr(getattr(config, "_benchmarksession", None), "storage", None)
    return Path(storage.path) if isinstance(storage, FileStorage) and saves(config) else None


@contextmanager
def storing_alone(
    config: pytest.Config, tell: Callable[[str], None], note: Callable[[str], None]
) -> Iterator[None]:
    """Hold the folder of the history, so that sessions that end at once do not take one number for their files. Whoever
    keeps it for long is told, and in the end passed, which is noted.
    """
    from pytest_benchmark.storage.file import FileStorage

    benchmarks = getattr(config, "_benchmarksession", None)
    storage = benchmarks.storage if benchmarks and saves(config) else None
    is_here = isinstance(storage, FileStorage) and not hasattr(config, "workerinput")
    with alone(Path(storage.path), tell, note) if is_here and storage else nullcontext():
        yield
        if is_here and storage:
            complete_stored(Path(storage.path))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    json.dumps(value)
    return value
