"""What a pytest session and its items carry for greta, and the one place that sets the session up."""

from __future__ import annotations

import os
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_greta.options import OPTIONS, read_options

if TYPE_CHECKING:
    from pytest_greta.gates import Verdict
    from pytest_greta.history import DeviceClock
    from pytest_greta.host import Host
    from pytest_greta.kernel import Kernel
    from pytest_greta.progress import Progress
    from pytest_greta.session import Session

SESSION = pytest.StashKey["Session"]()
ON_TERMINAL = pytest.StashKey[bool]()
"""Whether standard output is a terminal; asked before pytest captures it."""
PROGRESS = pytest.StashKey["Progress"]()
HOST = pytest.StashKey["Host"]()
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
CALIBRATED = pytest.StashKey[list[str]]()
"""What this session found with `--greta-calibrate`, a line each."""


def get_session(config: pytest.Config) -> Session:
    """The session's state, set up when the first test asks. Raises ConfigError."""
    if SESSION not in config.stash:
        config.stash[SESSION] = load_session(config)
    return config.stash[SESSION]


def get_host(config: pytest.Config) -> Host:
    """The device of the session and its worker. Raises ConfigError."""
    from pytest_greta.host import Host

    if HOST not in config.stash:
        config.stash[HOST] = Host(read_options(config), _cache_folder(config), get_progress(config))
    return config.stash[HOST]


def get_progress(config: pytest.Config) -> Progress:
    """What shows how far a measurement is."""
    from pytest_greta.progress import Progress

    if PROGRESS not in config.stash:
        config.stash[PROGRESS] = Progress(config, config.stash[ON_TERMINAL])
    return config.stash[PROGRESS]


def get_clock(config: pytest.Config) -> DeviceClock:
    """The clock that shows pytest-benchmark the device times of this session."""
    from pytest_greta.history import DeviceClock

    return config.stash.setdefault(CLOCK, DeviceClock())


def load_session(config: pytest.Config) -> Session:
    """Options, gates and kernels, read and held against each other. Raises ConfigError."""
    from pytest_greta import gatefile, history
    from pytest_greta.session import Session

    gates = gatefile.load(gates_path(config))
    kernels = _registered_kernels(config)
    gates.check(kernels)
    return Session(
        options=read_options(config),
        gate_file=gates,
        kernels=kernels,
        host=get_host(config),
        cache_folder=_cache_folder(config),
        parallel=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1,
        progress=get_progress(config),
        past=history.Past(config),
    )


def _registered_kernels(config: pytest.Config) -> list[Kernel]:
    """What the conftest files register. Raises ConfigError, also for a hook that fails."""
    from pytest_greta.contract import registration_problems
    from pytest_greta.errors import ConfigError

    try:
        returned = config.hook.pytest_greta_kernels(config=config)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        raise ConfigError(f"pytest_greta_kernels failed: {what}") from error
    kernels: list[Kernel] = []
    for some in returned:
        if not isinstance(some, (list, tuple)):
            raise ConfigError(f"pytest_greta_kernels returns a list of kernels, not {some!r}")
        kernels += some
    problems = list(registration_problems(kernels))
    if problems:
        raise ConfigError(*problems)
    return kernels


def gates_path(config: pytest.Config) -> Path:
    """The gates file: `--greta-gates`, else gates.yaml in the root directory."""
    given = config.getoption(OPTIONS["gates"].ini) or config.getini(OPTIONS["gates"].ini)
    return config.invocation_params.dir / given if given else config.rootpath / "gates.yaml"


def kernel_of(item: Any) -> Kernel:
    """The kernel family that an item's `greta` marker names. Raises ConfigError."""
    from pytest_greta.errors import ConfigError

    session = get_session(item.config)
    marker = item.get_closest_marker("greta")
    if marker is None:
        return session.kernel(None)
    if marker.kwargs or len(marker.args) != 1 or not isinstance(marker.args[0], str):
        given = ", ".join([*map(repr, marker.args), *(f"{k}={v!r}" for k, v in marker.kwargs.items())])
        raise ConfigError(f"@pytest.mark.greta takes the name of a kernel and nothing else, not ({given})")
    return session.kernel(marker.args[0])


def _cache_folder(config: pytest.Config) -> Path:
    """In pytest's cache; in a temporary folder where that is switched off, read-only or full."""
    cache = getattr(config, "cache", None)
    if cache is not None:
        with suppress(OSError):
            return Path(cache.mkdir("greta-code"))
    return Path(tempfile.gettempdir()) / f"pytest-greta-{os.getuid()}"
