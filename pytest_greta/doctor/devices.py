"""The devices of this machine, opened as a session would: in a process that may hang or die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.device import hip_state
from pytest_greta.device.hip_identity import kernel_driver
from pytest_greta.device.hip_missing import driver_lack
from pytest_greta.device.places import Guard, Sharing
from pytest_greta.device.worker import Worker, worker_environment
from pytest_greta.doctor.finding import Finding, one_line
from pytest_greta.errors import CompileError, DeviceFault, DeviceUnavailable

if TYPE_CHECKING:
    from pytest_greta.device import DeviceInfo

DRIVER, HIP, CPU, CLOCK = "GPU driver", "GPU device", "CPU device", "event clock"
SOURCE = """\
#include <hip/hip_runtime.h>
extern "C" __global__ void greta_doctor(float* x) { x[threadIdx.x] += 1.0f; }
"""
"""The smallest kernel there is."""
ENTRY = "greta_doctor"
_DEADLINE_SECONDS = 60.0
_WAIT_SECONDS = 2.0
"""For a run that measures on every GPU: it is told, not disturbed."""
_ASK = """import sys
sys.path = [folder for folder in sys.path if folder]  # no module of the working folder in place of a real one
from pytest_greta.device.hip_state import main
main()"""


def hip_parts() -> Iterator[Finding]:
    """What the driver, hip-python, HIP's runtime, hiprtc and amdsmi say, each for itself."""
    yield _driver()
    known, ended = _said()
    for name in hip_state.NAMES:
        if name in known:
            yield known[name]
        elif ended:
            yield Finding(name, False, ended)
            ended = ""


def _driver() -> Finding:
    lack = driver_lack(os.environ)
    if lack is not None:
        return Finding(DRIVER, False, lack.text, lack.command)
    return Finding(
        DRIVER, True, f"{kernel_driver() or 'amdgpu'}: /dev/kfd and /dev/dri/renderD* can be opened"
    )


def _said() -> tuple[Mapping[str, Finding], str]:
    """What the process printed, by name, and how it ended, if not well."""
    ended = ""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_DEADLINE_SECONDS,
            check=False,
            env=worker_environment(),
        )
        printed = done.stdout
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            ended = f"the process that asked ended with {done.returncode}: {' '.join(last)}"
    except subprocess.TimeoutExpired as late:
        printed, ended = late.stdout or b"", f"no answer within {_DEADLINE_SECONDS:g} s"
    lines = [line for line in printed.decode(errors="replace").splitlines() if line.startswith('["')]
    found = [Finding(*json.loads(line)) for line in lines]
    return {one.name: one for one in found}, ended


def hip_device() -> Iterator[Finding]:
    """The GPU that a session would take: opened, a kernel compiled by its own compiler and loaded; and its clock."""
    try:
        yield from _hip_device()
    except DeviceUnavailable as error:
        yield Finding(HIP, False, one_line(error), error.command)
        yield Finding(CLOCK, False, "measured on a GPU, when one opens")


def _hip_device() -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="greta-") as folder, ExitStack() as stack:
        guard = Guard(Sharing(wait_seconds=_WAIT_SECONDS, run=f"doctor {os.getpid()}"))
        stack.callback(guard.release)
        worker = Worker("hip", Path(folder), guard=guard)
        stack.callback(worker.close)
        try:
            code = worker.compile(SOURCE, f"{ENTRY}.hip", [], _DEADLINE_SECONDS)
            info = worker.info
            yield _loaded(HIP, worker, code)
        except (CompileError, DeviceFault) as error:
            raise DeviceUnavailable(f"it opens, and runs no kernel: {error}") from error
    yield _clock(info)


def cpu_device() -> Iterator[Finding]:
    """The CPU through OpenCL: opened, a kernel compiled by clang and loaded."""
    toolchain = find_toolchain(CPU_TARGET)
    with tempfile.TemporaryDirectory(prefix="greta-") as folder:
        source = Path(folder, f"{ENTRY}.hip")
        source.write_text(SOURCE)
        worker = Worker("cpu", Path(folder))
        try:
            code, _ = run_compiler(toolchain, Job(source, CPU_TARGET))
            yield _loaded(CPU, worker, code)
        except (CompileError, DeviceFault) as error:
            raise DeviceUnavailable(f"it opens, and runs no kernel: {error}") from error
        finally:
            worker.close()


def _loaded(name: str, worker: Worker, code: bytes) -> Finding:
    worker.load(ENTRY, code, ENTRY, [])
    return Finding(name, True, f"{worker.info.identity}: opened, a kernel loaded")


def _clock(info: DeviceInfo) -> Finding:
    if info.emulated:
        return Finding(CLOCK, False, "an emulated GPU: its times mean nothing")
    tick, empty = info.clock_seconds * 1e6, info.empty_seconds * 1e6
    return Finding(
        CLOCK, tick > 0, f"steps of {tick:.3g} us; {empty:.3g} us around a kernel that does nothing"
    )
