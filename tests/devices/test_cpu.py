"""The cpu device: what it says of itself, its memory, its errors, and that it builds nothing twice."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest

from kernels.softmax.softmax import Softmax
from pytest_greta.compiler.cache import CodeCache
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.device import BoundLaunch, Work, run_once
from pytest_greta.device.cpu import CpuDevice, open_cpu
from pytest_greta.device.cpu_near import count_beyond
from pytest_greta.device.protocol import NEAR, BufferPlan
from pytest_greta.device.server import _Server
from pytest_greta.errors import DeviceFault
from tests.devices import near_cases
from tests.devices.near_cases import CASES, Case

SOFTMAX = Softmax()


def spirv(variant: str) -> bytes:
    """The SPIR-V of a softmax variant."""
    job = Job(SOFTMAX.source_path(SOFTMAX.variant(variant)), CPU_TARGET)
    return run_compiler(find_toolchain(CPU_TARGET), job)[0]


def test_the_device_says_what_it_is(cpu_device: CpuDevice) -> None:
    info = cpu_device.info
    assert info.kind == "cpu"
    assert info.name
    assert info.compute_units > 0
    assert info.cache_bytes > 0
    assert info.identity.startswith(f"cpu: {info.name}, spirv64, ")


def test_memory_is_filled_written_and_read_where_asked(cpu_device: CpuDevice) -> None:
    buffer = cpu_device.allocate(16)
    cpu_device.fill(buffer, 7, 0, 16)
    cpu_device.write(buffer, 4, memoryview(b"abcd"))
    cpu_device.copy(buffer, 4, buffer, 12, 2)
    into = bytearray(14)
    cpu_device.read(buffer, 2, memoryview(into))
    cpu_device.free(buffer)
    assert bytes(into) == b"\x07\x07abcd\x07\x07\x07\x07ab\x07\x07"


def test_a_digest_tells_every_byte_and_nothing_outside(cpu_device: CpuDevice) -> None:
    buffer = cpu_device.allocate(1000)
    cpu_device.fill(buffer, 7, 0, 1000)
    first, again, empty = cpu_device.digests([(buffer, 128, 700), (buffer, 128, 700), (buffer, 128, 0)])
    assert (len(first), first) == (8, again)
    assert first != empty
    for place in (128, 500, 827):
        cpu_device.fill(buffer, 6, place, 1)
        assert cpu_device.digests([(buffer, 128, 700)]) != [first]
        cpu_device.fill(buffer, 7, place, 1)
    cpu_device.fill(buffer, 0, 0, 128)
    cpu_device.fill(buffer, 0, 828, 172)
    assert cpu_device.digests([(buffer, 128, 700)]) == [first]


@pytest.mark.parametrize("size", [(1 << 15) + 8, 3 * (1 << 16) + 5])
def test_a_digest_of_many_bytes_tells_every_one_and_nothing_outside(cpu_device: CpuDevice, size: int) -> None:
    buffer = cpu_device.allocate(size + 256)
    data = np.random.default_rng(1).integers(0, 256, size + 256, np.uint8)
    cpu_device.write(buffer, 0, data.data)
    first, again = cpu_device.digests([(buffer, 128, size), (buffer, 128, size)])
    assert (len(first), first) == (8, again)
    for place in (128, 135, 136, 128 + (1 << 15), 128 + size // 2, 127 + size):
        cpu_device.write(buffer, place, memoryview(bytes([data[place] ^ 0x80])))
        assert cpu_device.digests([(buffer, 128, size)]) != [first]
        cpu_device.write(buffer, place, data[place : place + 1].data)
    cpu_device.write(buffer, 128, np.roll(data[128 : 128 + size].view(), 8).data)  # the same words elsewhere
    assert cpu_device.digests([(buffer, 128, size)]) != [first]
    cpu_device.write(buffer, 128, data[128 : 128 + size].data)
    cpu_device.fill(buffer, 0, 0, 128)
    cpu_device.fill(buffer, 0, 128 + size, 128)
    assert cpu_device.digests([(buffer, 128, size)]) == [first]


WORKS = """\
#include <hip/hip_runtime.h>
extern "C" __global__ __launch_bounds__(64) void works(float* y, int n) {
  float a = threadIdx.x;
  for (int i = 0; i < n; ++i) a = a * 0.999f + 0.1f;
  y[blockIdx.x * 64 + threadIdx.x] = a;
}
"""


BUSY = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


def seconds_on_one_core(device: CpuDevice, launch: BoundLaunch) -> float:
    """Of one of three launches."""
    device.begin([b""] * 3, 0, one_core=True)
    for _ in range(3):
        device.enqueue(Work([launch]))
    return statistics.median(device.result().seconds for _ in range(3))


def test_on_one_core_a_launch_takes_no_longer_while_others_have_their_turns(
    cpu_device: CpuDevice, tmp_path: Path
) -> None:
    (tmp_path / "works.hip").write_text(WORKS)
    code, _ = run_compiler(find_toolchain(CPU_TARGET), Job(tmp_path / "works.hip", CPU_TARGET))
    function = cpu_device.function(cpu_device.load(code), "works")
    buffer, cores = cpu_device.allocate(64 * 64 * 4), os.sched_getaffinity(0)
    launch = BoundLaunch(function, (64, 1, 1), (64, 1, 1), ((buffer, 0), np.int32(50_000)))
    try:
        alone = seconds_on_one_core(cpu_device, launch)
        (core,) = os.sched_getaffinity(0)
        busy = [subprocess.Popen([sys.executable, "-S", "-c", BUSY, str(core)]) for _ in range(2)]
        try:
            began = time.monotonic()
            beside = seconds_on_one_core(cpu_device, launch)
            wall = (time.monotonic() - began) / 3
        finally:
            for process in busy:
                process.kill()
                process.wait()
    finally:
        cpu_device.begin([], 0)
        cpu_device.free(buffer)
    assert beside < 1.5 * alone
    assert wall > 1.5 * beside  # they had turns
    assert os.sched_getaffinity(0) == cores


NOTHING = """\
#include <hip/hip_runtime.h>
extern "C" __global__ void nothing(int unused) {}
"""


@pytest.fixture
def nothing(cpu_device: CpuDevice, tmp_path: Path) -> BoundLaunch:
    """A launch that writes nothing."""
    (tmp_path / "nothing.hip").write_text(NOTHING)
    code, _ = run_compiler(find_toolchain(CPU_TARGET), Job(tmp_path / "nothing.hip", CPU_TARGET))
    function = cpu_device.function(cpu_device.load(code), "nothing")
    return BoundLaunch(function, (1, 1, 1), (64, 1, 1), (np.int32(0),))


def test_an_output_that_is_near_is_told_from_one_that_is_not(
    cpu_device: CpuDevice, nothing: BoundLaunch
) -> None:
    for case in CASES.values():
        near_cases.check(cpu_device, nothing, case)


def test_what_is_near_is_not_kept_in_the_place_of_what_is_not(
    cpu_device: CpuDevice, nothing: BoundLaunch
) -> None:
    near_cases.check_batch(cpu_device, nothing)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_elements_beyond_are_counted(case: Case) -> None:
    output, first, allowed = (
        one.reshape(-1).view(np.uint8) for one in (case.output, case.first, case.allowed)
    )
    assert count_beyond(output, first, allowed, case.near(None, None)) == case.beyond


def test_the_runtime_names_the_function(cpu_device: CpuDevice) -> None:
    module = cpu_device.load(spirv("wave"))
    assert cpu_device.function_name(cpu_device.function(module, "softmax_wave")) == "softmax_wave"


STRUCTS = """\
#include <hip/hip_runtime.h>
struct Inner { short a, b; };
struct Params { char kind; double scale; Inner inner[2]; };
extern "C" __global__ void k(Params p, float4 v, char2 c, float* y) {
  const float all[] = {float(p.kind), float(p.scale), float(p.inner[0].b), float(p.inner[1].a), v.y, v.w, float(c.y)};
  if (threadIdx.x < 7) y[threadIdx.x] = all[threadIdx.x];
}
"""


def test_structs_and_vectors_arrive_by_value(cpu_device: CpuDevice, tmp_path: Path) -> None:
    (tmp_path / "k.hip").write_text(STRUCTS)
    code, _ = run_compiler(find_toolchain(CPU_TARGET), Job(tmp_path / "k.hip", CPU_TARGET))
    inner = np.dtype([("a", "i2"), ("b", "i2")])
    params = np.dtype([("kind", "i1"), ("scale", "f8"), ("inner", inner, (2,))], align=True)
    struct = np.array((-3, 0.5, [(1, 2), (4, 5)]), params)[()]
    vectors = np.array([1, 2, 3, 4], np.float32), np.array([6, 7], np.int8)
    out = cpu_device.allocate(28)
    function = cpu_device.function(cpu_device.load(code), "k")
    for given in (struct, np.void(struct.tobytes())):
        cpu_device.fill(out, 0, 0, 28)
        run_once(cpu_device, [BoundLaunch(function, (1, 1, 1), (64, 1, 1), (given, *vectors, (out, 0)))])
        into = bytearray(28)
        cpu_device.read(out, 0, memoryview(into))
        assert np.frombuffer(into, np.float32).tolist() == [-3, 0.5, 2, 4, 2, 4, 7]
    short = np.void(struct.tobytes()[:-1])
    with pytest.raises(DeviceFault, match="argument 1 of k is of another size"):
        run_once(cpu_device, [BoundLaunch(function, (1, 1, 1), (64, 1, 1), (short, *vectors, (out, 0)))])


def test_what_is_wrong_is_a_fault_that_says_so(cpu_device: CpuDevice) -> None:
    module = cpu_device.load(spirv("wave"))
    with pytest.raises(DeviceFault, match="no kernel named 'gone'"):
        cpu_device.function(module, "gone")
    with pytest.raises(DeviceFault, match="allocating 1125899906842624 bytes"):
        cpu_device.allocate(1 << 50)


def test_what_does_not_fit_beside_leaves_nothing_behind(cpu_device: CpuDevice) -> None:
    server = _Server()
    server.device = cpu_device
    server.allocate({"y": BufferPlan(16, "candidate")})
    server.add({"a": BufferPlan(16, NEAR)})
    with pytest.raises(DeviceFault, match="allocating"):
        server.add({"b": BufferPlan(16, NEAR), "c": BufferPlan(1 << 50, NEAR)})
    assert set(server.buffers) == {"y", "a"}
    server.allocate({})


def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    code = spirv("wave")
    first = open_cpu(CodeCache(tmp_path))
    first.load(code)
    stored = list(tmp_path.glob("*.code"))
    assert len(stored) == 1
    written = stored[0].stat().st_ino
    time.sleep(0.01)
    second = open_cpu(CodeCache(tmp_path))
    assert second.function_name(second.function(second.load(code), "softmax_wave")) == "softmax_wave"
    assert stored[0].stat().st_ino == written


def test_what_another_process_is_building_is_waited_for(tmp_path: Path) -> None:
    code = spirv("wave")
    other, ours = CodeCache(tmp_path / "other"), CodeCache(tmp_path / "ours")
    device, waiting = open_cpu(other), open_cpu(ours)
    device.load(code)
    request = device.binary_request(code)
    binary = other.lookup(request)
    assert binary is not None
    with ThreadPoolExecutor(1) as pool, ours.lock(request):
        loaded = pool.submit(waiting.load, code)
        wait([loaded], timeout=0.3)
        assert not loaded.done()
        assert ours.lookup(request) is None
        ours.store(request, {}, {}, binary)
        (stored,) = ours.folder.glob("*.code")
        written = stored.stat().st_ino
    assert waiting.function_name(waiting.function(loaded.result(), "softmax_wave")) == "softmax_wave"
    assert stored.stat().st_ino == written


def test_what_another_runtime_built_is_built_anew(tmp_path: Path) -> None:
    code = spirv("wave")
    device = open_cpu(CodeCache(tmp_path))
    device.load(code)
    (stored,) = tmp_path.glob("*.files")
    CodeCache(tmp_path).store(device.binary_request(code), {}, {}, b"not a binary of this runtime")
    assert stored.exists()
    assert device.function_name(device.function(device.load(code), "softmax_wave")) == "softmax_wave"
