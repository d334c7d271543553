"""What a pytest session and its items carry for greta, and the one place that sets the session up."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_greta.errors import ConfigError, MarkerMistake
from pytest_greta.options import FLAGS, OPTIONS, read_options
from pytest_greta.paths import gates_digest, gates_path, journal_path, path_of, paths_of

if TYPE_CHECKING:
    from pytest_greta.binaries.lock import Entry, Key
    from pytest_greta.device.places import Sharing
    from pytest_greta.device.session_device import SessionDevice
    from pytest_greta.gates.file import GateFile
    from pytest_greta.gates.model import Verdict
    from pytest_greta.history.benchmark import DeviceClock
    from pytest_greta.history.records import PastRuns
    from pytest_greta.kernel import Kernel
    from pytest_greta.measure.budget import SessionBudget
    from pytest_greta.programs.campaign import Programs
    from pytest_greta.programs.journal import Journal
    from pytest_greta.progress import Progress
    from pytest_greta.records.model import Recorded
    from pytest_greta.records.recordings import Recordings
    from pytest_greta.replayer import Replayer
    from pytest_greta.session import Session

SESSION = pytest.StashKey["Session"]()
ON_TERMINAL = pytest.StashKey[bool]()
"""Whether standard output is a terminal; asked before pytest captures it."""
PROGRESS = pytest.StashKey["Progress"]()
DEVICE = pytest.StashKey["SessionDevice"]()
MISTAKE = pytest.StashKey[ConfigError]()
"""Why the session could not be set up."""
COLLECTED = pytest.StashKey[dict[str, "Kernel"]]()
"""The kernels of all tests that were collected, selected or not."""
EXPECTED = pytest.StashKey[list[Any]]()
"""The entries of gates.yaml that a whole session evaluates; not there where only a part was asked for."""
PROBLEMS = pytest.StashKey[list[str]]()
"""Mistakes found while collecting, told together afterwards."""
CLOCK = pytest.StashKey["DeviceClock"]()
VERDICTS = pytest.StashKey[list["Verdict"]]()
"""On an item: the verdicts of its gates."""
UNCHECKED = pytest.StashKey[list[str]]()
"""On an item: the fixtures it asked for and has not checked yet."""
FAILED = pytest.StashKey[list[str]]()
"""On an item: the failed gates, a line each. They have their own say about history."""
SIGTERM = pytest.StashKey[bool]()
"""Whether SIGTERM interrupts the session."""
STOPPED = pytest.StashKey[tuple[str, str]]()
"""On an item: the status and the reason of a measurement that could not be made."""
NOTES = pytest.StashKey[list[str]]()
"""On an item: what the summary tells of its code besides the verdicts."""
BENCHMARK = pytest.StashKey[Any]()
"""On an item: the pytest-benchmark fixture that holds its times."""
CACHE_FOLDER = pytest.StashKey[Path]()
"""Where compiled code is kept."""
HEADLINE = pytest.StashKey[list[str]]()
"""In xdist's controller: what the session gates, on what."""
SESSION_NOTES = pytest.StashKey[list[str]]()
"""What the summary tells of the session as a whole."""
LEFT_OUT = pytest.StashKey[list[tuple[str, str, str, str]]]()
"""Cases that are listed and not tested: kernel, variant, problem, and why."""
RECORDED = pytest.StashKey[Mapping["Key", "Entry"]]()
"""What the lock file held when the session began."""
LOCKED = pytest.StashKey[list[Any]]()
"""On an item: what its kernels take, as a lock file records it."""
RECORDINGS = pytest.StashKey["Recordings"]()
"""What `--greta-replay` names, read."""
RECORDS = pytest.StashKey[list["Recorded"]]()
"""On an item: what it measured, as records of summary.json."""
SEED = pytest.StashKey[int]()
"""What the seeds of inputs follow from."""
CUT = pytest.StashKey[str]()
"""A digest of how tests are put in parts, where `--greta-shard` runs one: equal where parts fit together."""
ORDER = pytest.StashKey[int]()
"""On an item: where it stands in a serial run."""
CALIBRATED = pytest.StashKey[list[str]]()
"""What this session found with `--greta-calibrate`, a line each."""


def is_controller(config: pytest.Config) -> bool:
    """Whether pytest-xdist's workers run the tests of this session."""
    return getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput")


def forget(item: pytest.Item, *keys: pytest.StashKey[Any]) -> None:
    """Drop what an item carries."""
    for key in keys:
        if key in item.stash:
            del item.stash[key]


def tell_controller(config: pytest.Config, name: str, value: object) -> None:
    """In a worker of xdist: send plain values to the controller, which reads them when the worker ends."""
    output: dict[str, object] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output[name] = value


def get_session(config: pytest.Config) -> Session:
    """The session's state, set up when the first test asks. Raises ConfigError, each time the same."""
    if MISTAKE in config.stash:
        raise config.stash[MISTAKE]
    if SESSION not in config.stash:
        try:
            config.stash[SESSION] = load_session(config)
        except ConfigError as error:
            config.stash[MISTAKE] = error
            raise
    return config.stash[SESSION]


def get_device(config: pytest.Config) -> SessionDevice:
    """The device of the session and its worker. Raises ConfigError."""
    from pytest_greta.device.session_device import SessionDevice

    if DEVICE not in config.stash and read_options(config).replay:
        from pytest_greta.records.device import RecordedDevice

        config.stash[DEVICE] = RecordedDevice(get_recordings(config), read_options(config).device)
    if DEVICE not in config.stash:
        options, progress = read_options(config), get_progress(config)
        wanted = options.require if options.device == "auto" and options.require else options.device
        config.stash[DEVICE] = SessionDevice(
            wanted,
            cache_folder(config),
            cache_bytes=options.cache_bytes,
            serialize=options.serialize,
            show=progress.show,
            waited=progress.waited,
            sharing=sharing(config),
            tell=progress.tell,
        )
        config.add_cleanup(config.stash[DEVICE].close)  # where no session begins, as with --markers
    return config.stash[DEVICE]


def sharing(config: pytest.Config) -> Sharing:
    """What of the machine's devices this process may take, and beside whom: a worker of xdist is one of several."""
    from pytest_greta.device.places import Sharing

    options, run = read_options(config), f"{os.getpid()} {time.time()}"
    given = getattr(config, "workerinput", None) or {"workercount": _workers(config)}
    number = re.sub(r"\D", "", given.get("workerid", ""))
    return Sharing(
        options.devices,
        options.wait_seconds,
        int(number or 0),
        int(given.get("workercount", 1)),
        given.get("testrunuid", run),
    )


def base_seed(config: pytest.Config) -> int:
    """What the seeds of inputs follow from: one for all processes of a run."""
    given: int | None = getattr(config, "workerinput", {}).get("greta_seed")
    return config.stash.setdefault(SEED, secrets.randbits(32) if given is None else given)


def _workers(config: pytest.Config) -> int:
    """How many processes xdist's controller starts: the device that it tells before they do is one of theirs."""
    if not (is_controller(config) and config.getvalue("tx")):
        return 1
    from xdist.workermanage import parse_tx_spec_config

    return len(parse_tx_spec_config(config))


def get_recordings(config: pytest.Config) -> Recordings:
    """The records that are gated in place of measuring. Raises ConfigError with all that is wrong with their files."""
    from pytest_greta.records.recordings import Recordings, kept
    from pytest_greta.records.sources import load_all

    if RECORDINGS not in config.stash:
        columns, allowed = path_of(config, "columns"), path_of(config, "allowed-signers")
        read = lambda: Recordings(*load_all(paths_of(config, "replay"), columns, allowed))  # noqa: E731
        config.stash[RECORDINGS] = kept(read)
    return config.stash[RECORDINGS]


def get_progress(config: pytest.Config) -> Progress:
    """What shows how far a measurement is."""
    from pytest_greta.progress import Progress

    if PROGRESS not in config.stash:
        config.stash[PROGRESS] = Progress(config, config.stash[ON_TERMINAL])
        config.pluginmanager.register(config.stash[PROGRESS], "greta-progress")
    return config.stash[PROGRESS]


def get_clock(config: pytest.Config) -> DeviceClock:
    """The clock that shows pytest-benchmark the device times of this session."""
    from pytest_greta.history.benchmark import DeviceClock

    return config.stash.setdefault(CLOCK, DeviceClock())


def load_session(config: pytest.Config) -> Session:
    """Options, gates and kernels, read and held against each other. Raises ConfigError."""
    from pytest_greta.binaries import lock
    from pytest_greta.binaries.artifacts import Artifacts
    from pytest_greta.binaries.locked import Locking
    from pytest_greta.compiler.builder import Builder
    from pytest_greta.compiler.compiler import Compiler
    from pytest_greta.gates import file
    from pytest_greta.history.benchmark import History
    from pytest_greta.measure.budget import SessionBudget
    from pytest_greta.planner import Planner
    from pytest_greta.registration import registered_kernels
    from pytest_greta.runner import Runner
    from pytest_greta.session import Session

    key = path_of(config, "sign")
    if key is not None and not key.is_file():
        raise ConfigError(f"{OPTIONS['sign'].flag}: there is no key {key}")
    _check_root(config)
    _check_devices(config)
    gates = file.load(gates_path(config))
    kernels, unread = registered_kernels(config)
    gates.check(kernels, unread)
    options, device, progress, past = (
        read_options(config),
        get_device(config),
        get_progress(config),
        History(config),
    )
    locking = Locking(lock.load(gates.folder / lock.NAME), options.lock)
    config.stash.setdefault(RECORDED, locking.lock.entries)
    builder = Builder(Compiler(cache_folder(config), cache_bytes=options.cache_bytes), device)
    planner = Planner(options, gates, builder, device, past, base_seed=base_seed(config))
    budget = SessionBudget(options.session_budget_seconds / sharing(config).workers)
    replayer = _replayer(config, gates, {kernel.name for kernel in kernels}, past)
    runner = Runner(options, gates, builder, device, planner, past, progress, budget, replayer, locking)
    by_name = {kernel.name: kernel for kernel in kernels}
    artifacts = Artifacts(gates.artifacts, gates.folder, gates.path, locking)
    programs = _programs(config, gates, budget, past)
    return Session(
        options, gates, by_name, artifacts, programs, device, builder, planner, runner, progress, unread
    )


def _programs(config: pytest.Config, gates: GateFile, budget: SessionBudget, past: PastRuns) -> Programs:
    """The programs of gates.yaml, as this session runs them."""
    from pytest_greta.history.programs import regression_of_program
    from pytest_greta.programs.campaign import SIDE_BY_SIDE, Manner, Programs
    from pytest_greta.programs.devices import Devices

    options, progress = read_options(config), get_progress(config)
    manner = Manner(
        options.rounds_for if options.rounds_given else None,
        options.budget_seconds,
        options.single_shot,
        options.serialize,
        options.deadline_seconds,
        OPTIONS["deadline"].flag,
        SIDE_BY_SIDE if sharing(config).is_side_by_side else "",
    )
    journal, notes = _journal(config, bool(gates.programs)), config.stash.setdefault(SESSION_NOTES, [])
    against_past = partial(regression_of_program, past, options.require is not None)
    return Programs(
        gates.programs,
        gates.folder,
        manner,
        journal,
        budget,
        progress.show,
        progress.waited,
        progress.measuring,
        Devices(sharing(config), progress.tell, progress.waited, notes).held,
        against_past if config.pluginmanager.has_plugin("benchmark") else None,
        notes=notes,
    )


def _replayer(
    config: pytest.Config, gates: GateFile, kernels: Collection[str], past: PastRuns
) -> Replayer | None:
    """What gives records in place of measuring; None where that is not asked for. Raises ConfigError."""
    options = read_options(config)
    if not options.replay:
        return None
    from pytest_greta.records.merge import conflicts_of
    from pytest_greta.replayer import Replayer

    recordings = get_recordings(config)
    _check_programs(recordings, gates.programs.keys() - kernels)
    merged = {file: one for file, one in recordings.files.items() if one.sources}
    told = [f"{file}: {line}" for file, one in merged.items() for line in conflicts_of(one)]
    config.stash.setdefault(SESSION_NOTES, []).extend(told)
    return Replayer(
        recordings,
        gates,
        gates_digest(config),
        past.commit,
        options.require is not None,
        get_device(config).kind,
    )


def _journal(config: pytest.Config, has_programs: bool) -> Journal:
    """Where finished runs are kept. Raises ConfigError where nothing can be resumed from there."""
    from pytest_greta.programs.journal import Journal

    resumes = read_options(config).resume
    journal = Journal(journal_path(config) if has_programs else None, resumes, get_progress(config).tell)
    if resumes and has_programs and journal.problem:
        raise ConfigError(f"{FLAGS['resume'].flag}: {journal.problem}")
    return journal


def _check_root(config: pytest.Config) -> None:
    """Raises ConfigError where pytest took the folder of a replayed file for the root, and no gates file is there: the
    value of an option that stands apart is an argument like any other to it.
    """
    path, here = gates_path(config), config.invocation_params.dir
    if (
        paths_of(config, "replay")
        and config.inipath is None
        and config.rootpath != here
        and not path.exists()
    ):
        why = "without an ini file pytest takes the folder of such a file for its root"
        raise ConfigError(
            f"{path}: there is no such file; {why}: write --greta-replay=FILE, or add --rootdir={here}"
        )


def _check_devices(config: pytest.Config) -> None:
    """Raises ConfigError for devices that are not there. xdist's controller, which has none, leaves it to workers."""
    if not (is_controller(config) or config.option.collectonly or read_options(config).replay):
        get_device(config).check()


def _check_programs(recordings: Recordings, programs: Collection[str]) -> None:
    """Raises ConfigError where rows of a program are taken for runs of a kernel."""
    wrong = {(f.file, f.recorded.kernel): None for f in recordings.all() if f.recorded.kind == "run"}
    problems = [
        f"{file}: {name!r} is a program of gates.yaml, and its rows are taken for runs of a kernel: "
        "write device: program in the file of --greta-columns"
        for file, name in wrong
        if name in programs
    ]
    if problems:
        raise ConfigError(*problems)


def kernel_of(item: Any) -> Kernel:
    """The kernel family that an item's `greta` marker names. Raises ConfigError."""
    return get_session(item.config).kernel(name_in_marker(item))


def name_in_marker(item: Any) -> str | None:
    """The kernel, artifact or program that an item's `greta` marker names; None without one. Raises ConfigError."""
    marker = item.get_closest_marker("greta")
    if marker is None:
        return None
    if marker.kwargs or len(marker.args) != 1 or not isinstance(marker.args[0], str):
        given = ", ".join([*map(repr, marker.args), *(f"{k}={v!r}" for k, v in marker.kwargs.items())])
        raise MarkerMistake(f"@pytest.mark.greta takes the name of a kernel and nothing else, not ({given})")
    return marker.args[0]


def cache_folder(config: pytest.Config) -> Path:
    """In pytest's cache; in a temporary folder where that is switched off, read-only, full or another user's."""
    from pytest_greta.compiler import cache_folder as places

    if CACHE_FOLDER not in config.stash:
        wanted, cache = None, getattr(config, "cache", None)
        if cache is not None:
            with suppress(OSError):
                wanted = Path(cache.mkdir("greta-code"))
        found = places.cache_folder(wanted)
        if not found.is_kept:
            config.add_cleanup(lambda: shutil.rmtree(found.path, ignore_errors=True))
        if found.note:
            config.stash.setdefault(SESSION_NOTES, []).append(found.note)
        config.stash[CACHE_FOLDER] = found.path
    return config.stash[CACHE_FOLDER]
