"""What a pytest session and its items carry for greta, and the one place that sets the session up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_greta.options import OPTIONS, read_options

if TYPE_CHECKING:
    from pytest_greta.gates import Verdict
    from pytest_greta.history import DeviceClock
    from pytest_greta.host import Host
    from pytest_greta.kernel import Kernel
    from pytest_greta.session import Session

SESSION = pytest.StashKey["Session"]()
HOST = pytest.StashKey["Host"]()
PROBLEMS = pytest.StashKey[list[str]]()
"""Mistakes found while collecting, told together afterwards."""
CLOCK = pytest.StashKey["DeviceClock"]()
VERDICTS = pytest.StashKey[list["Verdict"]]()
"""On an item: the verdicts of its gates."""
BENCHMARK = pytest.StashKey[Any]()
"""On an item: the pytest-benchmark fixture that holds its times."""
CALIBRATED = pytest.StashKey[list[str]]()
"""What this session found with `--greta-calibrate`, a line each."""
FAILED_BY_GATES = pytest.StashKey[bool]()
"""On an item: it failed because of its verdicts, which have their own say about history."""


def get_session(config: pytest.Config) -> Session:
    """The session's state, set up when the first test asks. Raises ConfigError."""
    if SESSION not in config.stash:
        config.stash[SESSION] = load_session(config)
    return config.stash[SESSION]


def get_host(config: pytest.Config) -> Host:
    """The device of the session and its worker. Raises ConfigError."""
    from pytest_greta.host import Host
    from pytest_greta.progress import Progress

    if HOST not in config.stash:
        config.stash[HOST] = Host(read_options(config), _cache_folder(config), Progress(config))
    return config.stash[HOST]


def get_clock(config: pytest.Config) -> DeviceClock:
    """The clock that shows pytest-benchmark the device times of this session."""
    from pytest_greta.history import DeviceClock

    return config.stash.setdefault(CLOCK, DeviceClock())


def load_session(config: pytest.Config) -> Session:
    """Options, gates and kernels, read and held against each other. Raises ConfigError."""
    from pytest_greta import gatefile, history
    from pytest_greta.progress import Progress
    from pytest_greta.session import Session

    gates = gatefile.load(gates_path(config))
    kernels: list[Kernel] = []
    for some in config.hook.pytest_greta_kernels(config=config):
        kernels += some
    _check_kernels(kernels)
    gates.check(kernels)
    return Session(
        options=read_options(config),
        gate_file=gates,
        kernels=kernels,
        host=get_host(config),
        cache_folder=_cache_folder(config),
        parallel=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1,
        progress=Progress(config),
        past=history.Past(config),
    )


def _check_kernels(kernels: Sequence[Kernel]) -> None:
    """Raise ConfigError for families that cannot be told apart, or whose sources are not there."""
    from pytest_greta.errors import ConfigError

    problems, names = [], set()
    for kernel in kernels:
        where = f"kernel {kernel.name!r}"
        if kernel.name in names:
            problems.append(f"{where} is registered twice")
        names.add(kernel.name)
        variants = [v.name for v in kernel.variants]
        problems += [
            f"{where}: variant {n!r} is there twice" for n in sorted(set(variants)) if variants.count(n) > 1
        ]
        for variant in kernel.variants:
            if not kernel.source_path(variant).is_file():
                problems.append(f"{where}, variant {variant.name!r}: no source {kernel.source_path(variant)}")
    if problems:
        raise ConfigError(*problems)


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
    cache = getattr(config, "cache", None)
    if cache is not None:
        return Path(cache.mkdir("greta-code"))
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-greta"
    )  # -p no:cacheprovider
