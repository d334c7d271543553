"""The HIP header compiles, links without undefined symbols, and hands launch bounds to the AMDGPU backend."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import pytest_greta
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.errors import CompileError
from tests.marks import crossing

AMD_TARGETS = ["gfx90a", "gfx942", "gfx1100", "gfx1201"]
TARGETS = [*AMD_TARGETS, CPU_TARGET]
# The toolchain with greta's header, also where ROCm is installed.
TOOLCHAIN = find_toolchain(CPU_TARGET)
ROOT = Path(__file__).resolve().parents[2]
INCLUDE = Path(pytest_greta.__file__).parent / "include"
HEADERS = sorted(p.name for p in INCLUDE.iterdir() if p.is_file()) + [
    f"hip/{p.name}" for p in sorted((INCLUDE / "hip").glob("*.h"))
]

UNARY = "exp exp2 exp10 expm1 log log2 log10 log1p sqrt rsqrt cbrt rcbrt sin cos tan sinpi cospi asin acos"
UNARY += " atan sinh cosh tanh asinh acosh atanh erf erfc fabs floor ceil trunc rint nearbyint round"
BINARY = "pow atan2 hypot fmod remainder fmin fmax copysign fdim"

MATH = """
#include <hip/hip_runtime.h>
#include <algorithm>
#include <cmath>
CALLS
extern "C" __global__ void k(float* f, double* d, int n) {
  int i = threadIdx.x;
  f[i] += ldexpf(f[i + 1], n) + lrintf(f[i]) + __expf(f[i]) + __logf(f[i]) + __sinf(f[i]);
  f[i] += __powf(f[i], 2.0f) + lgammaf(f[i]);
  d[i] += tgamma(d[i]);
  f[i] += __fdividef(f[i], 3.0f) + __frcp_rn(f[i]) + __fsqrt_rn(f[i]) + __saturatef(f[i]) + normcdff(f[i]);
  d[i] += ldexp(d[i + 1], n) + llround(d[i]) + max(n, 3) + min(f[i], d[i]) + std::max(d[0], d[1]) + abs(f[2]);
  sincosf(f[i], f, f + 1);
  sincos(d[i], d, d + 1);
}
"""
# Overloads that come to the same are called with the same, so that clang makes code of one.
CALLS = [f"f[i] += {n}f(x) + {n}(x); d[i] += {n}(y) + {n}(n);" for n in UNARY.split()]
CALLS += [
    f"f[i] += {n}f(x, 3.0f) + {n}(x, 3.0f); d[i] += {n}(y, 3.0) + {n}(n, 3.0f);" for n in BINARY.split()
]
FEW = """
extern "C" __global__ void kNUMBER(float* f, double* d, int n) {
  int i = threadIdx.x;
  float x = f[i + 1];
  double y = n;
CALLS
}
"""
# One kernel of them all would take half as long again.
KERNELS = [
    FEW.replace("NUMBER", str(first)).replace("CALLS", "\n".join(CALLS[first : first + 4]))
    for first in range(0, len(CALLS), 4)
]
MATH = MATH.replace("CALLS", "".join(KERNELS))

REST = """
#include <cstdint>
#include <type_traits>
#include <hip/hip_runtime.h>
#include <hip/hip_bf16.h>
#include <hip/hip_bfloat16.h>
#include <hip/hip_fp16.h>
__constant__ float table[4] = {1, 2, 3, 4};
template <typename T> __device__ __noinline__ T plus(T a, T b) { return a + b; }
__host__ __device__ __forceinline__ int twice(int x) { return 2 * x; }
extern "C" __global__ __launch_bounds__(256) void k(float* __restrict__ f, double* d,
    int* n,
    unsigned long long* u,
    __half* h, __half2* h2, __hip_bfloat16* b, __hip_bfloat162* b2, hip_bfloat16* c, float4* v) {
  extern __shared__ float dynamic[];
  __shared__ float4 tile[256];
  __shared__ __half halves[256];
  dim3 me = threadIdx;
  int i = blockIdx.x * blockDim.x + hipThreadIdx_x + gridDim.x + me.y;
  tile[threadIdx.x] = v[i];
  halves[threadIdx.x] = h[i];
  dynamic[threadIdx.x] = __ldg(f + i);
  __syncthreads();
  v[i] = 2.0f * tile[255 - threadIdx.x] + make_float4(1, 2, 3, 4) * dynamic[0];
  for (int o = warpSize / 2; o > 0; o >>= 1) {
    f[i] += __shfl_xor(f[i], o) + __shfl_down_sync(~0ull, d[i], o, 16);
  }
  u[i] = __ballot(i & 1) + __any(i) + __all(i) + __activemask();
  u[i] += __popcll(u[i]) + __umul64hi(u[i], 5) + __brevll(u[i]);
  n[i] = __syncthreads_count(i) + __syncthreads_or(i) + __syncthreads_and(i);
  n[i] += __lane_id() + __byte_perm(i, 3, 0x5410);
  __threadfence(); __threadfence_block(); __threadfence_system(); __syncwarp();
  atomicAdd(n, 1); atomicAdd(f, 1.0f); atomicAdd(d, 1.0); unsafeAtomicAdd(f + 1, 1.0f); atomicAdd(u, 1ull);
  atomicMax(f + 2, 3.0f); atomicCAS(n + 1, 2, 3); atomicExch(f + 3, 1.0f); atomicInc((unsigned*)n + 2, 9u);
  atomicAdd(&dynamic[0], 1.0f); atomicAdd(h2, __half2(h[0], h[1]));
  h[i] = halves[0] * h[1] + __hfma(h[2], h[3], h[4]) - hexp(h[5]) + __half(3) + (__half)f[i];
  if (h[i] > h[0]) f[i] += (float)h[i] + table[i & 3];
  h2[i] = __hfma2(h2[0], h2[1], h2[2]) + __hmax2(h2[3], __float22half2_rn(__half22float2(h2[4])));
  b[i] = b[0] * b[1] + __float2bfloat16(f[i]); b2[i] = b2[0] + b2[1]; c[i] = c[0] * c[1] + hip_bfloat16(f[i]);
  n[i] = plus(twice(n[i]), (int)std::is_same<std::uint32_t, uint>::value);
}
"""

LAYOUT = """
#include <cstdint>
#include <hip/hip_runtime.h>
#include <hip/hip_bf16.h>
#define CHECK(T, name) \\
  static_assert(sizeof(name##1) == sizeof(T) && alignof(name##1) == alignof(T)); \\
  static_assert(sizeof(name##2) == 2 * sizeof(T) && alignof(name##2) == 2 * sizeof(T)); \\
  static_assert(sizeof(name##3) == 3 * sizeof(T) && alignof(name##3) == alignof(T)); \\
  static_assert(sizeof(name##4) == 4 * sizeof(T) && alignof(name##4) == 4 * sizeof(T)); \\
  static_assert(make_##name##4(1, 2, 3, 4).w == 4 && (make_##name##2(5, 6) + (T)1).y == 7); \\
  static_assert(__is_trivially_copyable(name##4) && __is_trivially_constructible(name##4));
CHECK(char, char) CHECK(unsigned char, uchar) CHECK(short, short) CHECK(unsigned short, ushort)
CHECK(int, int) CHECK(unsigned, uint) CHECK(long, long) CHECK(unsigned long, ulong) CHECK(long long, longlong)
CHECK(unsigned long long, ulonglong) CHECK(float, float) CHECK(double, double)
static_assert(sizeof(half2) == 4 && alignof(half2) == 4 && sizeof(half) == 2);
static_assert(sizeof(__hip_bfloat162) == 4 && alignof(__hip_bfloat162) == 4 && sizeof(__hip_bfloat16) == 2);
static_assert(sizeof(dim3) == 12 && dim3(5).y == 1);
static_assert(__is_same(decltype(threadIdx.x), unsigned) && INT32_MAX == 2147483647 && sizeof(uint64_t) == 8);
"""


def compile_source(folder: Path, source: str, target: str) -> bytes:
    path = folder / "k.hip"
    path.write_text(source)
    return run_compiler(TOOLCHAIN, Job(path, target, dynamic_lds_bytes=1024))[0]


def clang(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*TOOLCHAIN.clang, "-std=c++17", *TOOLCHAIN.flags, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


SOURCES = {"math": MATH, "rest": REST, "layout": LAYOUT}
# The header's mathematics is one text for all generations of CDNA, and of RDNA.
CASES = [
    pytest.param(name, target, marks=crossing if name == "math" and target in ("gfx90a", "gfx1201") else [])
    for name in SOURCES
    for target in TARGETS
]


@pytest.mark.parametrize(("name", "target"), CASES)
def test_everything_compiles_and_nothing_is_undefined(tmp_path: Path, name: str, target: str) -> None:
    code = compile_source(tmp_path, SOURCES[name], target)
    if target == CPU_TARGET:
        assert code[:4] == b"\x03\x02#\x07"
    else:
        assert code[:4] == b"\x7fELF"  # linked with --no-undefined


CLANG_19 = ("clang-19", "-x", "hip", "-std=c++17", "--cuda-device-only", *TOOLCHAIN.flags)


@pytest.mark.skipif(shutil.which("clang-19") is None, reason="clang-19 is not installed")
@pytest.mark.parametrize(
    ("source", "output", "target"),
    [
        pytest.param(text, output, target, id=f"{name}-{target}", marks=crossing if is_crossing else [])
        for target in ("gfx942", "gfx1100")
        for name, text, output, is_crossing in (
            *(
                (name, text, ("-O3", "-S"), (name, target) == ("math", "gfx1100"))
                for name, text in SOURCES.items()
            ),
            # What a header can do to a kernel shows in the IR.
            *(
                (
                    path.stem,
                    path.read_text(),
                    ("-emit-llvm", "-S", f"-I{path.parent}"),
                    path.stem != "v6_turns",
                )
                for path in sorted(ROOT.glob("kernels/*/*.hip"))
            ),
        )
    ],
)
def test_clang_19_takes_the_header_too(
    tmp_path: Path, source: str, output: tuple[str, ...], target: str
) -> None:
    path = tmp_path / "k.hip"
    path.write_text(source)
    command = [*CLANG_19, *output, f"--offload-arch={target}", str(path), "-o", str(tmp_path / "k.s")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_symbol_that_is_undefined_is_seen_and_a_clang_that_crashes_of_it_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    source = """
    #include <hip/hip_runtime.h>
    extern "C" __device__ int elsewhere(int);
    extern "C" __global__ void k(int* p) { *p = elsewhere(*p); }"""
    for target in (CPU_TARGET, "gfx942"):
        with pytest.raises(CompileError) as raised:
            compile_source(tmp_path, source, target)
        (line,) = str(raised.value).splitlines()[1:]
        assert line.startswith("elsewhere: declared, called and defined nowhere.")
    assert list(temporary.iterdir()) == []


def test_launch_bounds_reach_the_backend(tmp_path: Path) -> None:
    path, assembly = tmp_path / "k.hip", tmp_path / "k.s"
    path.write_text(
        "#include <hip/hip_runtime.h>\n"
        'extern "C" __global__ void plain(int* p) { *p = 1; }\n'
        'extern "C" __global__ __launch_bounds__(64) void one(int* p) { *p = 1; }\n'
        'extern "C" __global__ void __launch_bounds__(4 * 64, 2) two(int* p) { *p = 1; }\n'
    )
    options = ("-x", "hip", "-O3", "--cuda-device-only", "--offload-arch=gfx942", "-emit-llvm")
    done = clang(*options, "-S", path, "-o", assembly)
    assert done.returncode == 0, done.stderr
    assert '"amdgpu-waves-per-eu"="2"' in assembly.read_text()
    done = clang(*options[:-1], "-S", path, "-o", assembly)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"\.max_flat_workgroup_size: (\d+)", assembly.read_text()) == ["1024", "64", "256"]


def test_a_kernel_of_64_threads_has_the_registers_of_64_threads(tmp_path: Path) -> None:
    # 160 live values need scratch within the 128 VGPRs of a block of 1024 threads, and none within 512.
    path, assembly = tmp_path / "k.hip", tmp_path / "k.s"
    path.write_text(
        "#include <hip/hip_runtime.h>\n"
        'extern "C" __global__ __launch_bounds__(BOUND) void k(const float* x, float* y, int n) {\n'
        "  float a[160];\n  for (int j = 0; j < 160; ++j) a[j] = 0;\n"
        "  for (int i = 0; i < n; ++i)\n"
        "    for (int j = 0; j < 160; ++j) a[j] += x[i * 160 + j + threadIdx.x];\n"
        "  for (int j = 0; j < 160; ++j) y[j * 64 + threadIdx.x] = a[j];\n}\n"
    )
    counts = {}
    for bound in (64, 1024):
        options = ("-x", "hip", "-O3", "--cuda-device-only", "--offload-arch=gfx942", f"-DBOUND={bound}")
        done = clang(*options, "-S", path, "-o", assembly)
        assert done.returncode == 0, done.stderr
        counts[bound] = int(re.findall(r"\.vgpr_count: +(\d+)", assembly.read_text())[0])
    assert counts[64] > 128 >= counts[1024]


@pytest.mark.parametrize("header", HEADERS)
def test_every_header_stands_alone(tmp_path: Path, header: str) -> None:
    # Without any include path of the host: the result must not depend on what is installed there.
    path = tmp_path / "k.hip"
    path.write_text(f"#include <{header}>\n#include <{header}>\n")
    done = clang(
        "-x", "hip", "--cuda-device-only", "--offload-arch=gfx942", "-nostdinc", "-fsyntax-only", path
    )
    assert done.returncode == 0, done.stderr


def test_matrix_instructions_stay_usable(tmp_path: Path) -> None:
    source = """
    #include <hip/hip_runtime.h>
    typedef float floats __attribute__((ext_vector_type(4)));
    typedef _Float16 halves __attribute__((ext_vector_type(4)));
    extern "C" __global__ __launch_bounds__(64) void k(const halves* a, floats* c) {
      c[threadIdx.x] = __builtin_amdgcn_mfma_f32_16x16x16f16(a[0], a[1], c[threadIdx.x], 0, 0, 0);
    }"""
    assert compile_source(tmp_path, source, "gfx942")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-x", "c++"), "clang compiling HIP"),
        (("-x", "hip", "--cuda-host-only"), "device code only"),
    ],
)
def test_a_host_compile_is_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    path = tmp_path / "k.hip"
    path.write_text("#include <hip/hip_runtime.h>\n")
    done = clang(*options, "-fsyntax-only", path)
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("target", ["gfx942", "gfx1100"])
def test_a_kernel_may_assert_more_than_once(tmp_path: Path, target: str) -> None:
    source = "#include <cassert>\n#include <hip/hip_runtime.h>\n"
    source += (
        'extern "C" __global__ void k(int* x) { assert(x[0] > 3); x[1] = x[2] / x[3]; assert(x[4] != 1); }\n'
    )
    assert compile_source(tmp_path, source + "int main() { assert(true); }\n", target)


def test_warnings_and_fast_math_are_for_the_author_alone(tmp_path: Path) -> None:
    path = tmp_path / "k.hip"
    path.write_text(
        "#include <hip/hip_fp8.h>\n#include <hip/hip_cooperative_groups.h>\n#include <cmath>\n"
        'extern "C" __global__ void k(float* x) { x[0] = expf(x[1]); }\n'
    )
    flags = (
        "-Wall",
        "-Wextra",
        "-Werror",
        "-ffast-math",
        "-std=c++20",
        "-mllvm",
        "-amdgpu-early-inline-all=true",
    )
    assert run_compiler(TOOLCHAIN, Job(path, "gfx942", flags=flags))


@pytest.mark.parametrize(
    ("target", "call", "message"),
    [
        ("gfx942", "*d = j0(*d);", "has no j0"),
        (CPU_TARGET, "*d = j0(*d);", "has no j0"),
        ("gfx942", "tex2D<float>(nullptr, 1.0f, 2.0f);", "textures and surfaces need ROCm"),
        ("gfx942", "cooperative_groups::this_grid().sync();", "need a cooperative launch"),
        ("gfx942", "static __managed__ int n;", "__managed__ variables need ROCm"),
        ("gfx942", "d = (double*)malloc(8);", "allocates nothing"),
        (CPU_TARGET, "*d = clock64();", "no cycle counter"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, target: str, call: str, message: str) -> None:
    source = "#include <hip/hip_runtime.h>\n#include <hip/hip_cooperative_groups.h>\n"
    source += f'extern "C" __global__ void k(double* d) {{ {call} }}\n'
    with pytest.raises(CompileError, match=message):
        compile_source(tmp_path, source, target)
