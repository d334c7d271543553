"""The hip device on real hardware: an AMD GPU, or an NVIDIA GPU under tests/hip_on_cuda.

Without one these tests skip and say what is missing; with GRETA_TEST_REQUIRE=hip they fail instead.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_greta.compiler.builder import hiprtc_options
from pytest_greta.compiler.cache import CodeCache
from pytest_greta.contract import refusal
from pytest_greta.device import BoundLaunch, run_once
from pytest_greta.device.hip import HipDevice, open_hip
from pytest_greta.device.hip_bindings import HipError
from pytest_greta.device.hip_handles import Buffer, Function
from pytest_greta.device.protocol import NUMBERS
from pytest_greta.doctor import devices as doctor
from pytest_greta.dtypes import dtype_of
from pytest_greta.errors import CompileError
from pytest_greta.gates.file import load
from pytest_greta.kernel import Kernel, Launch, Problem, Value, Variant
from pytest_greta.problems import problems_for
from tests.devices import near_cases
from tests.devices.sources import FILL

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]

SCALARS = """
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>
extern "C" __global__ void scalars(double* out, signed char a, double b, short c, unsigned long long d,
                                   __half e, bool f, float g, int h, unsigned char i) {
  out[0] = a; out[1] = b; out[2] = c; out[3] = (double)d; out[4] = __half2float(e);
  out[5] = f; out[6] = g; out[7] = h; out[8] = i;
}
"""

STRUCTS = """
#include <hip/hip_runtime.h>
struct Params { signed char kind; double scale; short pair[2]; };
extern "C" __global__ void structs(float* out, Params p, float4 v, int n) {
  out[0] = p.kind; out[1] = (float)p.scale; out[2] = p.pair[1]; out[3] = v.y; out[4] = v.w; out[5] = n;
}
"""

SPIN = """
#include <hip/hip_runtime.h>
extern "C" __global__ void spin(float* out, long long steps) {
  float x = out[0];
  for (long long i = 0; i < steps; ++i) x = x * 1.0000001f + 1e-7f;
  out[0] = x;
}
"""

LDS = """
#include <hip/hip_runtime.h>
extern "C" __global__ void lds(int* out, int n) {
  extern __shared__ int values[];
  for (int i = threadIdx.x; i < n; i += blockDim.x) values[i] = i;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x) out[i] = values[n - 1 - i];
}
"""

RESOURCES = """
#include <hip/hip_runtime.h>
extern "C" __global__ void resources(int* out, int n) {
  __shared__ int tile[256];
  int stack[512];  // too large for registers and indexed by values of run time: it lies in scratch memory
  for (int i = 0; i < 512; ++i) stack[(i * 7 + n) & 511] = out[i];
  tile[threadIdx.x] = stack[out[threadIdx.x] & 511];
  __syncthreads();
  out[threadIdx.x] = tile[255 - threadIdx.x];
}
"""

WAVE_SUM = """
#include <hip/hip_runtime.h>
extern "C" __global__ void wave_sum(int* out) {
  int sum = threadIdx.x;
  for (int distance = warpSize / 2; distance > 0; distance /= 2) sum += __shfl_xor(sum, distance);
  out[threadIdx.x] = sum;
}
"""

WILD = """
#include <hip/hip_runtime.h>
extern "C" __global__ void wild(int* out) { out[(size_t)1 << 40] = 1; }
"""


def build(device: HipDevice, source: str, entry: str) -> Function:
    """The function `entry` of a compiled and loaded source."""
    return device.function(device.load(device.compile(source, f"{entry}.hip", [])), entry)


def bound(
    function: Function,
    block: int,
    *args: tuple[Buffer, int] | Value,
    blocks: int = 1,
    lds_bytes: int = 0,
) -> BoundLaunch:
    """A launch of a one-dimensional grid."""
    return BoundLaunch(function, (blocks, 1, 1), (block, 1, 1), args, lds_bytes)


def read(
    device: HipDevice, buffer: Buffer, count: int, dtype: type[np.generic], offset_bytes: int = 0
) -> NDArray[Any]:
    """`count` values of a buffer."""
    out = np.empty(count, dtype)
    device.read(buffer, offset_bytes, out.data.cast("B"))
    return out


def test_the_device_says_what_it_is(device: HipDevice) -> None:
    info = device.info
    assert info.kind == "hip"
    assert info.target.startswith(("gfx", "sm_"))
    assert info.name
    assert info.wave_size in (32, 64)
    assert info.compute_units > 0
    assert info.memory_bytes > 1 << 30
    assert info.cache_bytes >= 1 << 20
    assert info.runtime.startswith("HIP ")
    assert info.driver
    assert info.extra["hip_python"][0].isdigit()


def test_memory_keeps_what_is_written_at_an_offset(device: HipDevice) -> None:
    buffer = device.allocate(1000)
    device.fill(buffer, 0xAB, 0, 1000)
    device.fill(buffer, 0xCD, 900, 100)
    data = np.arange(50, dtype=np.int32)
    device.write(buffer, 100, data.data.cast("B"))
    got = read(device, buffer, 1000, np.uint8)
    assert (got[:100] == 0xAB).all()
    assert (got[300:900] == 0xAB).all()
    assert (got[900:] == 0xCD).all()
    assert np.array_equal(got[100:300].view(np.int32), data)
    assert np.array_equal(read(device, buffer, 50, np.int32, 100), data)
    device.copy(buffer, 100, buffer, 500, 200)
    other = device.allocate(100)
    device.copy(buffer, 600, other, 0, 100)
    assert np.array_equal(read(device, other, 25, np.int32), data[25:])
    with pytest.raises(ValueError, match="outside a buffer of 100 bytes"):
        device.copy(buffer, 0, other, 1, 100)


def test_an_empty_range_is_allowed_and_one_outside_is_not(device: HipDevice) -> None:
    buffer = device.allocate(16)
    device.fill(buffer, 0, 16, 0)
    device.write(buffer, 16, memoryview(b""))
    for offset_bytes, size_bytes in ((0, 17), (16, 1), (-1, 4)):
        with pytest.raises(ValueError, match="outside a buffer of 16 bytes"):
            device.write(buffer, offset_bytes, memoryview(bytes(size_bytes)))


def test_scalars_of_every_width_arrive(device: HipDevice) -> None:
    values: list[np.generic] = [
        *(np.int8(-5), np.float64(1 / 3), np.int16(-1234), np.uint64(1 << 52), np.float16(0.333)),
        *(np.bool_(True), np.float32(2.5), np.int32(-7), np.uint8(200)),
    ]
    out = device.allocate(8 * len(values))
    run_once(device, [bound(build(device, SCALARS, "scalars"), 1, (out, 0), *values)])
    assert read(device, out, len(values), np.float64).tolist() == [float(v.item()) for v in values]


def test_structs_and_vectors_arrive_by_value(device: HipDevice) -> None:
    params = np.dtype([("kind", "i1"), ("scale", "f8"), ("pair", "i2", (2,))], align=True)
    struct, vector = np.array((-3, 0.5, (1, 2)), params)[()], np.array([1, 2, 3, 4], np.float32)
    out = device.allocate(6 * 4)
    run_once(device, [bound(build(device, STRUCTS, "structs"), 1, (out, 0), struct, vector, np.int32(7))])
    assert read(device, out, 6, np.float32).tolist() == [-3, 0.5, 2, 2, 4, 7]


def test_a_pointer_may_lie_inside_a_buffer(device: HipDevice) -> None:
    out = device.allocate(4 * 300)
    device.fill(out, 0, 0, out.size_bytes)
    run_once(device, [bound(build(device, FILL, "fill"), 128, (out, 400), np.int32(100), np.int32(9))])
    got = read(device, out, 300, np.int32)
    assert not got[:100].any()
    assert (got[100:200] == 9).all()
    assert not got[200:].any()


def test_launches_run_in_order(device: HipDevice) -> None:
    module = device.load(device.compile(FILL, "fill.hip", []))
    fill, add = device.function(module, "fill"), device.function(module, "add")
    out, n = device.allocate(4 * 4096), np.int32(4096)
    launches = [
        bound(f, 256, (out, 0), n, np.int32(v), blocks=16) for f, v in ((fill, 5), (add, 2), (add, 3))
    ]
    assert run_once(device, launches) > 0
    assert (read(device, out, 4096, np.int32) == 10).all()


def test_the_runtime_names_the_function(device: HipDevice) -> None:
    assert device.function_name(build(device, FILL, "add")) == "add"


def test_function_attributes_are_those_of_the_code(device: HipDevice) -> None:
    attributes = device.function_attributes(build(device, RESOURCES, "resources"))
    assert attributes["vgprs"] > 0
    assert attributes["lds_bytes"] == 1024
    assert attributes["scratch_bytes"] >= 2048
    assert attributes["max_threads"] >= 256
    assert device.function_attributes(build(device, FILL, "fill"))["scratch_bytes"] == 0


def test_definitions_reach_the_compiler(device: HipDevice) -> None:
    source = 'extern "C" __global__ void k(int* out) { out[0] = VALUE; }'
    out = device.allocate(4)
    module = device.load(device.compile(source, "k.hip", ["-DVALUE=42"]))
    run_once(device, [bound(device.function(module, "k"), 1, (out, 0))])
    assert read(device, out, 1, np.int32)[0] == 42


def test_a_compile_error_is_the_compilers_with_file_and_line(device: HipDevice) -> None:
    source = 'extern "C" __global__ void k(int* out) {\n  out[0] = missing;\n}\n'
    with pytest.raises(CompileError) as caught:
        device.compile(source, "broken.hip", [])
    text = str(caught.value)
    assert "missing" in text
    assert "broken.hip:2" in text or "broken.hip(2)" in text


def test_an_unknown_function_is_named(device: HipDevice) -> None:
    module = device.load(device.compile(FILL, "fill.hip", []))
    with pytest.raises(HipError, match=r"nothere.*hipErrorNotFound"):
        device.function(module, "nothere")


def test_a_damaged_code_object_is_refused(device: HipDevice) -> None:
    with pytest.raises(HipError, match="code object of 800 bytes") as caught:
        device.load(b"garbage!" * 100)
    assert caught.value.name in (
        "hipErrorInvalidImage",
        "hipErrorInvalidKernelFile",
        "hipErrorNoBinaryForGpu",
    )


def test_code_of_another_architecture_is_refused(device: HipDevice) -> None:
    others = ("sm_80", "sm_90") if device.info.target.startswith("sm_") else ("gfx90a", "gfx1100")
    other = next(o for o in others if not device.info.target.startswith(o))
    code = device.compile(FILL, "fill.hip", [f"--offload-arch={other}"])
    with pytest.raises(HipError, match="hipErrorNoBinaryForGpu"):
        device.load(code)


def test_a_block_that_is_too_large_is_refused_and_the_device_lives_on(device: HipDevice) -> None:
    fill = build(device, FILL, "fill")
    out = device.allocate(4096)
    with pytest.raises(HipError, match=r"fill, grid \(1, 1, 1\), block \(4096, 1, 1\)") as caught:
        run_once(device, [bound(fill, 4096, (out, 0), np.int32(4), np.int32(1))])
    assert caught.value.name in ("hipErrorInvalidValue", "hipErrorInvalidConfiguration")
    run_once(device, [bound(fill, 64, (out, 0), np.int32(64), np.int32(3))])
    assert (read(device, out, 64, np.int32) == 3).all()


def test_dynamic_lds_up_to_64_kib(device: HipDevice) -> None:
    n = 15 * 1024  # 60 KiB
    out = device.allocate(4 * n)
    run_once(device, [bound(build(device, LDS, "lds"), 256, (out, 0), np.int32(n), lds_bytes=4 * n)])
    assert np.array_equal(read(device, out, n, np.int32), np.arange(n - 1, -1, -1))


def test_too_much_lds_is_refused(device: HipDevice) -> None:
    out = device.allocate(4)
    with pytest.raises(HipError, match="1048576 bytes of LDS"):
        run_once(device, [bound(build(device, LDS, "lds"), 64, (out, 0), np.int32(1), lds_bytes=1 << 20)])


def test_out_of_memory_says_how_much_is_free(device: HipDevice) -> None:
    with pytest.raises(
        HipError, match=r"hipMalloc\(\d+ bytes; \d+ of \d+ bytes are free.*hipErrorOutOfMemory"
    ):
        device.allocate(1 << 46)
    device.free(device.allocate(1 << 20))


def test_errors_cross_a_process_boundary(device: HipDevice) -> None:
    with pytest.raises(HipError) as caught:
        device.allocate(1 << 46)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.name) == (HipError, str(caught.value), "hipErrorOutOfMemory")


def test_closing_frees_everything_and_may_be_repeated(device: HipDevice) -> None:
    before = device.memory_used_bytes()
    other = open_hip()
    assert isinstance(other, HipDevice)
    build(other, FILL, "fill")
    kept = other.allocate(2 << 30)
    other.fill(kept, 1, 0, kept.size_bytes)
    assert device.memory_used_bytes() - before > 1 << 30
    other.close()
    other.close()
    assert device.memory_used_bytes() - before < 1 << 30


def test_a_wavefront_exchanges_values(device: HipDevice) -> None:
    wave = device.info.wave_size
    out = device.allocate(4 * 2 * wave)
    run_once(device, [bound(build(device, WAVE_SUM, "wave_sum"), 2 * wave, (out, 0))])
    sums = np.arange(2 * wave).reshape(2, wave).sum(axis=1)
    assert np.array_equal(read(device, out, 2 * wave, np.int32), np.repeat(sums, wave))


@pytest.mark.parametrize("size", [1, 7, 8, 4099, 1 << 20, (1 << 22) + 5])
def test_a_digest_tells_every_byte_and_nothing_outside(device: HipDevice, size: int) -> None:
    buffer = device.allocate(size + 512)
    data = np.random.default_rng(size).integers(256, size=size + 512, dtype=np.uint8)
    device.write(buffer, 0, data.data)
    asked = (buffer, 256, size)
    first, again, empty = device.digests([asked, asked, (buffer, 256, 0)])
    assert (len(first), first) == (8, again)
    assert first != empty
    for place in {0, size // 2, size - 1}:
        old = data[256 + place].tobytes()
        device.fill(buffer, old[0] ^ 0x80, 256 + place, 1)
        assert device.digests([asked]) != [first]
        device.fill(buffer, old[0], 256 + place, 1)
    device.fill(buffer, 0, 0, 256)
    device.fill(buffer, 0, 256 + size, 256)
    assert device.digests([asked]) == [first]


def test_a_digest_tells_the_same_bytes_in_another_order(device: HipDevice) -> None:
    buffer = device.allocate(64)
    digests = set()
    for places in ((0, 1), (1, 0), (0, 7), (7, 0)):
        words = np.zeros(8, np.uint64)
        words[list(places)] = [1 << 63, 5]
        device.write(buffer, 0, words.data.cast("B"))
        digests |= set(device.digests([(buffer, 0, 64)]))
    assert len(digests) == 4


def test_an_output_that_is_near_is_told_from_one_that_is_not(device: HipDevice) -> None:
    out = device.allocate(4)
    nothing = bound(build(device, FILL, "fill"), 64, (out, 0), np.int32(0), np.int32(0))
    for case in near_cases.CASES.values():
        near_cases.check(device, nothing, case)


def test_what_is_near_is_not_kept_in_the_place_of_what_is_not(device: HipDevice) -> None:
    out = device.allocate(4)
    near_cases.check_batch(device, bound(build(device, FILL, "fill"), 64, (out, 0), np.int32(0), np.int32(0)))


@pytest.mark.parametrize("number", NUMBERS)
def test_one_element_of_a_large_output_that_is_beyond_is_found(device: HipDevice, number: str) -> None:
    rng = np.random.default_rng(5)
    first = (rng.random((3001, 701)) + 0.5).astype(dtype_of(number))
    output = (first.astype(np.float64) * (1 + 0.01 * rng.random(first.shape))).astype(first.dtype)
    distances = np.abs(output.astype(np.float64) - first.astype(np.float64)).max(axis=1)
    allowed = np.stack(
        [np.nextafter(distances.astype(np.float32), np.float32(9)), np.full(3001, 9, "f4")], axis=1
    )
    nothing = bound(build(device, FILL, "fill"), 64, (device.allocate(4), 0), np.int32(0), np.int32(0))
    for row in (None, 0, 1500, 3000):
        limits = allowed.copy()
        if row is not None:
            limits[row, 0] = distances[row] * 0.999
        case = near_cases.Case(number, first, output, limits, int(row is not None), row_elements=701)
        near_cases.check(device, nothing, case)


@pytest.mark.usefixtures("device")
def test_the_code_of_the_digest_is_compiled_once(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path)
    for _ in range(2):
        other = open_hip(cache=cache)
        other.digests([(other.allocate(8), 0, 8)])
        other.close()
    assert len(list(tmp_path.glob("*.code"))) == 1


def test_flushing_overwrites_as_much_as_the_caches_hold(device: HipDevice) -> None:
    before = device.memory_used_bytes()
    device.flush_caches()
    device.flush_caches()
    assert device.memory_used_bytes() - before >= device.info.cache_bytes // 2


def test_event_times_agree_with_the_wall_clock(device: HipDevice) -> None:
    """Within 1 % for a launch of over 100 ms, in the best of three measurements."""
    if device.info.emulated:
        pytest.skip("an emulated GPU: its times mean nothing")
    spin = build(device, SPIN, "spin")
    out = device.allocate(4)
    steps = 1_000_000
    seconds = run_once(device, [bound(spin, 1, (out, 0), np.int64(steps))])
    while seconds < 0.15:
        steps = int(steps * max(1.5, min(10, 0.25 / seconds)))
        seconds = run_once(device, [bound(spin, 1, (out, 0), np.int64(steps))])
    differences = []
    for _ in range(3):
        start = time.perf_counter()
        seconds = run_once(device, [bound(spin, 1, (out, 0), np.int64(steps))])
        wall = time.perf_counter() - start
        differences.append(abs(wall - seconds) / wall)
    assert min(differences) < 0.01, differences


def test_an_illegal_address_is_a_fault_of_that_process_only(device: HipDevice) -> None:
    program = (
        "import numpy as np\n"
        "from pytest_greta.device import BoundLaunch, run_once\n"
        "from pytest_greta.device.hip import open_hip\n"
        "from pytest_greta.device.hip_bindings import HipError\n"
        "device = open_hip()\n"
        f"code = device.compile({WILD!r}, 'wild.hip', [])\n"
        "out = device.allocate(64)\n"
        "wild = device.function(device.load(code), 'wild')\n"
        "launch = BoundLaunch(wild, (1, 1, 1), (1, 1, 1), ((out, 0),))\n"
        "try:\n"
        "    run_once(device, [launch])\n"
        "except HipError as error:\n"
        "    print(error.kind, error)\n"
        "device.close()\n"
        "print('CLOSED')\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, env=env, capture_output=True, text=True, timeout=120
    )
    # ROCm's runtime ends the process; the CUDA driver returns an error and keeps returning it.
    if done.returncode == 0:
        assert done.stdout.startswith("crash "), done.stderr
        assert "after wild" in done.stdout or "wild, grid" in done.stdout
        assert "hipErrorIllegalAddress" in done.stdout
        assert "CLOSED" in done.stdout
    else:
        assert done.returncode < 0, done.stderr
    out = device.allocate(256)
    run_once(device, [bound(build(device, FILL, "fill"), 64, (out, 0), np.int32(64), np.int32(1))])
    assert (read(device, out, 64, np.int32) == 1).all()


def _families() -> Iterator[Kernel]:
    """The kernels of this repository."""
    for path in sorted(ROOT.glob("kernels/*/*.py")):
        spec = importlib.util.spec_from_file_location(f"greta_test_{path.stem}", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Kernel) and kind.__module__ == spec.name:
                yield kind()


def _computed() -> Iterator[Any]:
    """Every variant of them, for every form of problem that gates.yaml lists, small."""
    listed = load(ROOT / "gates.yaml").kernels
    for kernel in _families():
        for problem in problems_for(kernel, listed[kernel.name], "cpu", "cpu", [333], {}):
            for variant in kernel.variants:
                if not refusal(kernel, problem, variant):
                    name = f"{kernel.name}-{variant.name}-{problem.id}"
                    yield pytest.param(kernel, variant, problem, id=name)


@pytest.mark.parametrize(("kernel", "variant", "problem"), list(_computed()))
def test_the_kernels_compute_what_their_references_do(
    device: HipDevice, kernel: Kernel, variant: Variant, problem: Problem
) -> None:
    inputs = kernel.inputs(problem, np.random.default_rng(7))
    outputs = {n: np.empty(a.shape, a.dtype) for n, a in kernel.outputs(problem).items()}
    scratch = {n: np.empty(a.shape, a.dtype) for n, a in kernel.workspaces(problem, variant).items()}
    buffers = {n: device.allocate(a.nbytes) for n, a in {**inputs, **outputs, **scratch}.items()}
    for n, buffer in buffers.items():
        device.fill(buffer, 0xFF, 0, buffer.size_bytes)  # NaN in every float
        if n in inputs:
            device.write(buffer, 0, np.ascontiguousarray(inputs[n]).view(np.uint8).data)
    source = kernel.source_path(variant)
    code = device.compile(source.read_text(), source.name, hiprtc_options(kernel, variant, problem))
    module = device.load(code)
    planned = kernel.launch(problem, variant)
    launches = [planned] if isinstance(planned, Launch) else list(planned)
    seconds = run_once(
        device,
        [
            BoundLaunch(
                device.function(module, launch.entry or variant.entry),
                launch.grid,
                launch.block,
                tuple((buffers[a], 0) if isinstance(a, str) else a for a in launch.args),
                launch.dynamic_lds_bytes,
            )
            for launch in launches
        ],
    )
    assert seconds > 0
    for n, out in outputs.items():
        device.read(buffers[n], 0, out.view(np.uint8).data)
        assert not np.isnan(out.astype(np.float64)).any()
    rows = kernel.rows(problem)
    for row in {(0,) * len(rows), tuple(r // 2 for r in rows), tuple(r - 1 for r in rows)}:
        for n, expected in kernel.reference(problem, inputs, row).items():
            found = kernel.decode(n, outputs[n][row]).astype(np.float64)
            tolerance = 2e-3 if outputs[n].dtype == np.float16 else 2e-2  # bf16 in 16 bits has 8 of them left
            np.testing.assert_allclose(found, expected.astype(np.float64), atol=tolerance, rtol=tolerance)


def test_the_doctor_finds_what_opens(device: HipDevice) -> None:
    parts = {one.name: one for one in doctor.hip_parts()}
    assert [
        name for name in ("hip-python", "HIP runtime", "hiprtc", "GPUs") if not parts[name].is_there
    ] == []
    assert device.info.name in parts["GPUs"].text
    opened, clock = doctor.hip_device()
    assert opened.is_there, opened.text
    assert device.info.target in opened.text
    assert clock.is_there == (device.info.clock_seconds > 0), clock.text
