"""What is left of a source when its host functions go."""

from __future__ import annotations

from benchmarks.device_code import device_code

SOURCE = r"""
#include <iostream>
#include <rocblas/rocblas.h>
#define DEVICE __device__ inline
#define CHECK(x) { if (x) { exit(1); } }  // } not a brace
namespace app {
struct Point { float x; float length() const { return x; } } last;
using Points = Point[4];
class Window { Points points; void open() { on_host(1); } };
static Window window = {};
constexpr int two(int n) { return 2 * n; }
DEVICE float half_of(float x) { return x / 2; }
template <int n> __global__ void scale(float* x) { if (x[0] > '}') { x[0] = n; } /* } */ }
float on_host(float x) { const char* text = "} __global__ {"; return text ? x : constexpr_like(x); }
}  // namespace app
extern "C" {
__global__ void plain(int* n) { n[0] = app::two(1) + last.length() + table[0]; }
}
static const float table[] = {1, 2, 3};
static const char* words[] = { "a",
#ifdef OTHER
  "b"};
#else
  "c"};
#endif
auto twice = [](int n) { return 2 * n; };
int main() {
  constexpr int n = 4;
  app::scale<n><<<1, 64>>>(nullptr);
}
"""


def test_host_functions_are_left_out_and_the_rest_stays() -> None:
    text = device_code(SOURCE)
    for kept in (
        "struct Point",
        "two(int n)",
        "half_of",
        "void scale",
        "void plain",
        "table[]",
        "using Points",
        "#define CHECK",
    ):
        assert kept in text
    for gone in ("main", "on_host", "<<<", "twice", "Window", "window", "words"):
        assert gone not in text


def test_directives_are_asked_about() -> None:
    text = device_code(SOURCE, lambda directive: "rocblas" not in directive)
    assert "rocblas" not in text
    assert "#include <iostream>" in text
