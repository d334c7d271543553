"""Kernels that several tests launch."""

from __future__ import annotations

FILL = """
#include <hip/hip_runtime.h>
extern "C" __global__ void fill(int* out, int n, int value) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = value;
}
extern "C" __global__ void add(int* out, int n, int value) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] += value;
}
"""
