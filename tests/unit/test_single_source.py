"""Sources as people have them: host code and the C++ library beside the kernels. Only device code is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.codeobject import read_resources
from pytest_greta.compiler.entries import kernel_names, listing, symbol_in, symbol_of
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.errors import CompileError

# The toolchain with greta's headers, also where ROCm is installed.
TOOLCHAIN = find_toolchain(CPU_TARGET)
PRODUCT = Path(__file__).resolve().parents[2] / "pytest_greta"

APPLICATION = r"""
#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <hip/hip_runtime.h>

#define CHECK(call) \
  if (hipError_t error = call; error != hipSuccess) { \
    std::cerr << hipGetErrorName(error) << ": " << hipGetErrorString(error) << std::endl; \
    std::exit(1); \
  }

__constant__ float table[4];

template <typename T> __device__ T in_device(T x, int n) {
  T y = std::sqrt(x) + std::abs(x) + std::pow(x, 2) + std::pow(x, T(2)) + std::exp(x) + std::floor(x);
  y += std::isnan(x) + std::isinf(x) + std::signbit(x) + sqrt(n) + std::sqrt(n) + abs(n) + std::abs(n) + std::round(x) +
       std::hypot(x, x);
  y += std::min(x, T(1)) + std::max(x, T(2)) + std::clamp(x, T(0), T(1)) + std::fma(x, x, x) + fminf(x, 1) + max(n, 3u);
  y += std::numeric_limits<T>::max() + std::numeric_limits<T>::infinity() + INFINITY + M_PI;
  std::swap(x, y);
  assert(x == y || x != y);
  return y;
}

template <int n> __global__ __launch_bounds__(64) void segments(float* x, double* d, std::complex<float>* z) {
  x[threadIdx.x] = in_device(x[threadIdx.x], n) + table[n & 3];
  d[threadIdx.x] = in_device(d[threadIdx.x], n);
  z[threadIdx.x] = z[0] * z[1] / z[2] + std::conj(z[3]);
  std::array<float, 4> a{1, 2, 3, 4};
  std::tuple<int, float> pair(n, a[threadIdx.x & 3]);
  memcpy(x + 64, x, n * sizeof(float));
  new (x + 100) float(std::get<1>(pair));
}

extern "C" __global__ void plain(int* n) { n[threadIdx.x] = 1; }

int main(int argc, char** argv) {
  std::vector<float> host(argc, std::sqrt(2.0f) + std::abs(-1.5f) + sqrtf(2) + std::pow(2.0, 3));
  std::mt19937 random(std::random_device{}());
  std::map<std::string, std::function<float()>> names;
  names[argv[0]] = [&] { return std::normal_distribution<float>()(random); };
  auto start = std::chrono::steady_clock::now();
  hipDeviceProp_t properties;
  CHECK(hipSetDevice(0));
  CHECK(hipGetDeviceProperties(&properties, 0));
  float* x;
  double* d = nullptr;
  std::unique_ptr<int> n(new int(3));
  CHECK(hipMalloc(&x, host.size() * sizeof(float)));
  CHECK(hipMemcpy(x, host.data(), host.size() * sizeof(float), hipMemcpyHostToDevice));
  CHECK(hipMemcpyToSymbol(HIP_SYMBOL(table), host.data(), sizeof(table)));
  hipStream_t stream;
  hipEvent_t event;
  CHECK(hipStreamCreate(&stream));
  CHECK(hipEventCreate(&event));
  segments<8><<<dim3(1), 64, 0, stream>>>(x, d, nullptr);
  hipLaunchKernelGGL(HIP_KERNEL_NAME(segments<16>), dim3(1, 1), dim3(64), 0, stream, x, d, nullptr);
  plain<<<1, 64>>>(n.get());
  CHECK(hipGetLastError());
  CHECK(hipEventRecord(event, stream));
  int blocks;
  CHECK(hipOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, segments<8>, 64, 0));
  CHECK(hipFuncSetAttribute(reinterpret_cast<const void*>(segments<8>), hipFuncAttributeMaxDynamicSharedMemorySize, 1));
  CHECK(hipDeviceSynchronize());
  CHECK(hipFree(x));
  std::printf("%s %d %f\n", properties.name, blocks, (std::chrono::steady_clock::now() - start).count() / 1e9);
}
"""


@pytest.mark.parametrize("target", ["gfx942", CPU_TARGET])
def test_an_application_compiles_and_takes_nothing_from_the_machine(tmp_path: Path, target: str) -> None:
    source = tmp_path / "application.hip"
    source.write_text(APPLICATION)
    code, files = run_compiler(TOOLCHAIN, Job(source, target))
    own = (tmp_path, PRODUCT, Path(TOOLCHAIN.clang[0]).parent)
    assert [file for file in files if not any(file.is_relative_to(folder) for folder in own)] == []
    assert any(file.name == "iostream" for file in files)
    if target != CPU_TARGET:
        assert len(read_resources(code)) == 3


def test_kernels_are_known_by_their_names(tmp_path: Path) -> None:
    pytest.importorskip("pydemumble", reason="names of templates need the extra 'cpu'")
    source = tmp_path / "k.hip"
    source.write_text(
        "#include <hip/hip_runtime.h>\n"
        "template <typename T, int n> __global__ void fill(T* p) { p[threadIdx.x] = n; }\n"
        "namespace { __global__ void hidden(int* p) { *p = 1; } }\n"
        "__global__ void twice(int* p) { *p = 1; }\n__global__ void twice(float* p) { *p = 1; }\n"
        'extern "C" __global__ void plain(int* p) { *p = 1; }\n'
        "__global__ void reads(const float* p, unsigned const& n) { *const_cast<float*>(p) = n; }\n"
        "template __global__ void fill<float, 8>(float*);\ntemplate __global__ void fill<unsigned, 8>(unsigned*);\n"
        "int main() { hidden<<<1, 1>>>(nullptr); }\n"
    )
    for target in ("gfx942", CPU_TARGET):
        symbols = kernel_names(run_compiler(TOOLCHAIN, Job(source, target))[0])
        assert symbols is not None
        assert len(symbols) == 7
        for entry, part in {
            "plain": "plain",
            "fill<float,8>": "fillIfLi8E",
            "fill< unsigned int, 8u >": "fillIjLi8E",
            "void fill<float, 8>(float*)": "fillIfLi8E",
            "fill<float, 8>(float*)": "fillIfLi8E",
            "reads(const float*, const unsigned &)": "reads",
            "(anonymous namespace)::hidden": "hidden",
            "twice(float*)": "twicePf",
        }.items():
            assert part in symbol_of(symbols, "k.hip", entry)
            assert symbol_of(symbols, "k.hip", symbol_of(symbols, "k.hip", entry)) in symbols
        with pytest.raises(CompileError, match=r"there is .*, twice\(int\*\), twice\(float\*\)"):
            symbol_of(symbols, "k.hip", "other")
        with pytest.raises(CompileError, match=r"'twice' is each of twice\(int\*\) and twice\(float\*\)"):
            symbol_of(symbols, "k.hip", "twice")
        with pytest.raises(
            CompileError, match=r"has no kernel 'fill<float, 9>' .*did you mean fill<float, 8>\?"
        ):
            symbol_of(symbols, "k.hip", "fill<float, 9>")
    assert symbol_in(b"no code", "k.hip", "any") == "any"
    assert kernel_names(b"// PTX\n.visible .entry one(\n.entry two(") == ("one", "two")


def test_a_source_without_a_kernel_says_so(tmp_path: Path) -> None:
    source = tmp_path / "k.hip"
    source.write_text(
        "#include <hip/hip_runtime.h>\ntemplate <typename T> __global__ void twice(T* p) { *p *= 2; }\n"
    )
    told = r"k.hip has no kernel 'twice': no `__global__` function is in it; a template is there once it is .*launched"
    for target in ("gfx942", CPU_TARGET):
        code, _ = run_compiler(TOOLCHAIN, Job(source, target))
        with pytest.raises(CompileError, match=told):
            symbol_in(code, "k.hip", "twice")


def test_a_name_of_a_namespace_is_meant_by_its_end() -> None:
    names = ("(anonymous namespace)::signs", "app::shift", "sign")
    assert listing(names, "signs").endswith("; did you mean (anonymous namespace)::signs?")
    assert listing(names, "shifts").endswith("; did you mean app::shift?")
