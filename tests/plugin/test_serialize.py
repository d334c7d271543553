"""--greta-serialize reaches the environment of the worker, and only there."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from pytest_greta.device.session_device import SERIALIZED
from pytest_greta.stash import ON_TERMINAL, get_device


def serialization(pytester: pytest.Pytester, *options: str) -> dict[str, str]:
    """The variables that serialise kernels, as the worker of a session with these options was started with."""
    config = pytester.parseconfig("--greta-device=cpu", *options)
    config.stash[ON_TERMINAL] = False
    with closing(get_device(config)) as device:
        pid = device.worker()._process.pid
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if entry)
    environment = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    assert environment["PATH"] == os.environ["PATH"]  # the rest of the environment is there as well
    return {name: value for name, value in environment.items() if name in SERIALIZED}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SERIALIZED:
        monkeypatch.delenv(name, raising=False)


def test_the_option_sets_both_variables(pytester: pytest.Pytester) -> None:
    found = serialization(pytester, "--greta-serialize")
    assert found == {"HIP_LAUNCH_BLOCKING": "1", "AMD_SERIALIZE_KERNEL": "3"}
    assert not set(SERIALIZED) & set(os.environ)


def test_it_is_off_by_default(pytester: pytest.Pytester) -> None:
    assert serialization(pytester) == {}


def test_the_ini_twin_sets_them_too(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ngreta_serialize = true\n")
    assert serialization(pytester) == SERIALIZED


def test_what_the_user_set_stays(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_SERIALIZE_KERNEL", "1")
    assert serialization(pytester) == {"AMD_SERIALIZE_KERNEL": "1"}


def test_help_shows_every_flag(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--help")
    result.stdout.fnmatch_lines(["*--greta-single-shot*", "*--greta-serialize*", "*greta_serialize (bool)*"])


def test_a_flag_takes_no_value(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--greta-serialize=yes")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--greta-serialize: ignored explicit argument 'yes'*"])
