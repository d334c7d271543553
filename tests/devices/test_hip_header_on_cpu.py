"""The HIP header's functions on the CPU device, against numpy.

The functions for amdgcn, which has no device library, are C++ that compiles for every target (but for
LLVM's own expf and logf): `GRETA_OWN_MATH` makes SPIR-V use them, so that a CPU can test them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Run = Callable[..., None]
Numbers = NDArray[Any]

# -- math ---------------------------------------------------------------------------------------------------


def log_gamma(x: Numbers) -> Numbers:
    """For 0 < x, by Stirling's series (Abramowitz and Stegun, 6.1.40) from 30 on, and Gamma(x + 1) = x Gamma(x)."""
    factor = np.ones_like(x)
    while (x < 30).any():
        factor, x = np.where(x < 30, factor * x, factor), np.where(x < 30, x + 1, x)
    r, half_log_of_2_pi = 1 / x, np.log(8 * np.arctan(np.longdouble(1))) / 2
    series = r * (
        1 / np.longdouble(12) - r**2 * (1 / np.longdouble(360) - r**2 / 1260 + r**4 / 1680 - r**6 / 1188)
    )
    logarithm: Numbers = (x - 0.5) * np.log(x) - x + half_log_of_2_pi + series - np.log(factor)
    return logarithm


def gamma_like(
    series: Callable[[Numbers], Numbers], function: Callable[[float], float], pole: Callable[[float], float]
) -> Any:
    """By the series where it is exact, by Python's own function elsewhere: at special values."""

    def at(value: float) -> float:
        try:
            return function(value)
        except ValueError:
            return pole(value)
        except OverflowError:
            return math.inf

    def of(x: Numbers) -> Numbers:
        is_plain = (x > 0.001) & (x < 1000)
        known = np.vectorize(at, otypes=[np.longdouble])(x)
        return np.where(is_plain, series(np.where(is_plain, x, 30)), known)

    return of


# name: reference in long double, and the range of the arguments
UNARY: dict[str, tuple[Callable[[Numbers], Numbers], float, float]] = {
    "exp": (np.exp, -80, 80),
    "exp2": (np.exp2, -120, 120),
    "exp10": (lambda x: np.power(np.longdouble(10), x), -35, 35),
    "expm1": (np.expm1, -3, 3),
    "log": (np.log, 1e-30, 1e30),
    "log2": (np.log2, 1e-30, 1e30),
    "log10": (np.log10, 1e-30, 1e30),
    "log1p": (np.log1p, -0.9, 20),
    "sqrt": (np.sqrt, 0, 1e30),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1e-30, 1e30),
    "cbrt": (np.cbrt, -1e30, 1e30),
    "sin": (np.sin, -1e4, 1e4),
    "cos": (np.cos, -1e4, 1e4),
    "tan": (np.tan, -1e4, 1e4),
    "asin": (np.arcsin, -1, 1),
    "acos": (np.arccos, -1, 1),
    "atan": (np.arctan, -20, 20),
    "sinh": (np.sinh, -80, 80),
    "cosh": (np.cosh, -80, 80),
    "tanh": (np.tanh, -5, 5),
    "asinh": (np.arcsinh, -1e3, 1e3),
    "acosh": (np.arccosh, 1, 1e3),
    "atanh": (np.arctanh, -1, 1),
    "erf": (np.vectorize(math.erf, otypes=[np.longdouble]), -4, 4),
    "erfc": (np.vectorize(math.erfc, otypes=[np.longdouble]), -4, 9),
    "lgamma": (gamma_like(log_gamma, math.lgamma, lambda _: math.inf), 2.5, 80),
    "tgamma": (
        gamma_like(
            lambda x: np.exp(log_gamma(x)),
            math.gamma,
            lambda v: math.nan if v else math.copysign(math.inf, v),
        ),
        0.01,
        34,
    ),
}

BINARY: dict[str, Callable[[Numbers, Numbers], Numbers]] = {
    "pow": np.power,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "fmod": np.fmod,
    "remainder": np.vectorize(math.remainder, otypes=[np.float64]),
    "fmin": np.fmin,
    "fmax": np.fmax,
    "copysign": np.copysign,
    "fdim": lambda x, y: np.where(x > y, x - y, 0.0),
}
OWN_MATH = [("GRETA_OWN_MATH", "1")]
EACH = "int i = blockIdx.x * blockDim.x + threadIdx.x;"


def draw(rng: np.random.Generator, low: float, high: float, count: int) -> Numbers:
    """Uniform arguments, a quarter of them scaled towards 0; log-uniform where the range spans decades."""
    if low > 0 and high / low > 1e6:
        return np.exp(rng.uniform(np.log(low), np.log(high), count))
    x = rng.uniform(low, high, count)
    if low <= 0:
        x[: count // 4] *= 10.0 ** rng.uniform(-12, 0, count // 4)
    return x


def worst_ulps(got: Numbers, exact: Numbers) -> float:
    """Largest error in units in the last place of the correctly rounded result."""
    rounded = np.abs(exact.astype(got.dtype))
    assert not np.isnan(got).any()
    return float(
        np.max(np.abs(got.astype(np.longdouble) - exact) / np.spacing(rounded).astype(np.longdouble))
    )


@pytest.mark.parametrize(
    ("c_type", "dtype", "defines", "limit"),
    [
        ("float", np.float32, (), 4.5),
        ("double", np.float64, (), 4.5),
        ("float", np.float32, OWN_MATH, 2.0),
        ("double", np.float64, OWN_MATH, 2.5),
    ],
    ids=["float-opencl", "double-opencl", "float-own", "double-own"],
)
def test_math_functions_are_accurate(
    run_hip: Run, c_type: str, dtype: type, defines: list[tuple[str, str]], limit: float
) -> None:
    rng = np.random.default_rng(7)
    count = 8192
    arguments = [draw(rng, low, high, count) for _, low, high in UNARY.values()]
    x: Numbers = np.concatenate(arguments).astype(dtype)
    out = np.zeros_like(x)
    calls = "".join(f"o[{n * count} + i] = {name}(x[{n * count} + i]);" for n, name in enumerate(UNARY))
    source = f'extern "C" __global__ void k(const {c_type}* x, {c_type}* o) {{ {EACH} {calls} }}'
    run_hip(source, x, out, grid=count // 64, defines=defines)
    for n, (name, (reference, _, _)) in enumerate(UNARY.items()):
        part = slice(n * count, (n + 1) * count)
        error = worst_ulps(out[part], reference(x[part].astype(np.longdouble)))
        # erfc multiplies the error of an exponential; the others stay within the limit of their column.
        assert error <= (6.0 if name == "erfc" else limit), f"{name} in {c_type}: {error:.2f} ulp"


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 1e300, -1e300, 5e-324, 1e-310, 2.0**1000, 800.0, -800.0, 3e9]
SPECIAL += [math.inf, -math.inf, math.nan, math.pi, 1e22, 710.1, -745.5, 3.0, -3.0]


@pytest.mark.parametrize("defines", [(), OWN_MATH], ids=["opencl", "own"])
def test_math_functions_at_special_values(run_hip: Run, defines: list[tuple[str, str]]) -> None:
    x = np.array(SPECIAL)
    out = np.zeros((len(UNARY), len(x)))
    calls = "".join(f"o[{n * len(x)} + i] = {name}(x[i]);" for n, name in enumerate(UNARY))
    run_hip(
        f'extern "C" __global__ void k(const double* x, double* o) {{ {EACH} {calls} }}',
        x,
        out,
        block=(len(x), 1, 1),
        defines=defines,
    )
    for n, (name, (reference, _, _)) in enumerate(UNARY.items()):
        with np.errstate(all="ignore"):
            exact = reference(x.astype(np.longdouble)).astype(np.float64)
        absolute = 1e-15 if name == "lgamma" else 5e-324  # -2.5 is near one of its zeros
        np.testing.assert_allclose(out[n], exact, rtol=2e-15, atol=absolute, err_msg=name)


@pytest.mark.parametrize("defines", [(), OWN_MATH], ids=["opencl", "own"])
def test_functions_of_two_arguments(run_hip: Run, defines: list[tuple[str, str]]) -> None:
    rng = np.random.default_rng(11)
    special = np.array([v for v in SPECIAL if v == v])
    x, y = (v.ravel() for v in np.meshgrid(special, special))
    x = np.concatenate([x, rng.uniform(0, 50, 2000), rng.uniform(-9, 9, 2048 - 2000 + 64 - len(x) % 64)])
    y = np.concatenate([y, rng.uniform(-60, 60, 2000), rng.uniform(-9, 9, len(x) - 2000 - len(y))])
    out = np.zeros((len(BINARY), len(x)))
    calls = "".join(f"o[{n * len(x)} + i] = {name}(x[i], y[i]);" for n, name in enumerate(BINARY))
    source = f'extern "C" __global__ void k(const double* x, const double* y, double* o) {{ {EACH} {calls} }}'
    run_hip(source, x, y, out, grid=len(x) // 64, defines=defines)
    for n, (name, reference) in enumerate(BINARY.items()):
        with np.errstate(all="ignore"):
            # Python's remainder raises where C's gives NaN.
            ok = np.isfinite(x) & (y != 0) if name == "remainder" else np.ones(len(x), bool)
            exact = reference(x[ok], y[ok])
        np.testing.assert_allclose(out[n][ok], exact, rtol=1e-15, atol=5e-324, err_msg=name)


def test_fast_intrinsics_and_conversions(run_hip: Run) -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.uniform(-40, 40, 1000), np.arange(-12, 12) + 0.5]).astype(np.float32)
    calls = [
        "__expf(v)",
        "__sinf(v)",
        "__saturatef(v)",
        "__frcp_rn(v)",
        "__fmul_rn(v, v)",
        "truncf(v)",
        "roundf(v)",
    ]
    calls += [
        "__float2int_rn(v)",
        "__float2int_rd(v)",
        "__float2int_ru(v)",
        "__float2int_rz(v)",
        "min(v, 2)",
        "rintf(v)",
    ]
    out = np.zeros((len(calls), len(x)), np.float32)
    body = "".join(f"o[{n * len(x)} + i] = {call};" for n, call in enumerate(calls))
    source = f'extern "C" __global__ void k(const float* x, float* o) {{ {EACH} float v = x[i]; {body} }}'
    run_hip(source, x, out, grid=len(x) // 64)
    wide = x.astype(np.float64)
    away = np.copysign(np.floor(np.abs(x) + np.float32(0.5)), x)
    expected = [np.exp(wide), np.sin(wide), np.clip(x, 0, 1), 1 / wide, x * x, np.trunc(x), away]
    expected += [np.rint(x), np.floor(x), np.ceil(x), np.trunc(x), np.minimum(x, 2), np.rint(x)]
    for call, got, exact in zip(calls, out, expected, strict=True):
        np.testing.assert_allclose(got, exact, rtol=4e-7, atol=1e-7, err_msg=call)


def test_integer_intrinsics(run_hip: Run) -> None:
    rng = np.random.default_rng(5)
    x, y = (rng.integers(0, 2**32, 64, dtype=np.uint32) for _ in range(2))
    x[:4], y[:4] = [0, 1, 2**31, 2**32 - 1], [2**32 - 1, 0, 1, 2**31]
    calls = ["__popc(a)", "__clz(a)", "__ffs(a)", "__brev(a)", "__byte_perm(a, b, 0x7016)", "__umulhi(a, b)"]
    calls += ["__funnelshift_l(a, b, 5)", "__funnelshift_r(a, b, 37)", "__funnelshift_rc(a, b, 37)"]
    calls += ["__mulhi((int)a, (int)b)", "__umul24(a, b)", "__mul24((int)a, (int)b)", "__uhadd(a, b)"]
    calls += ["(unsigned)(__umul64hi(w, z) >> 32)", "(unsigned)(__mul64hi(w, z) >> 32)", "__clzll(w >> 40)"]
    out = np.zeros((len(calls), 64), np.uint32)
    body = "".join(f"o[{n * 64} + i] = {call};" for n, call in enumerate(calls))
    run_hip(
        f"""extern "C" __global__ void k(const unsigned* x, const unsigned* y, unsigned* o) {{
        {EACH} unsigned a = x[i], b = y[i];
        unsigned long long w = (unsigned long long)a << 32 | b;
        unsigned long long z = (unsigned long long)b << 32 | a; {body} }}""",
        x,
        y,
        out,
    )

    def signed(v: int, bits: int) -> int:
        v &= 2**bits - 1
        return v - 2**bits if v >> (bits - 1) else v

    for i in range(64):
        a, b = int(x[i]), int(y[i])
        w, z = a << 32 | b, b << 32 | a
        data = (b << 32 | a).to_bytes(8, "little")
        expected = [a.bit_count(), 32 - a.bit_length(), (a & -a).bit_length(), int(f"{a:032b}"[::-1], 2)]
        expected += [int.from_bytes([data[6], data[1], data[0], data[7]], "little"), a * b >> 32]
        expected += [(b << 32 | a) << 5 >> 32, (b << 32 | a) >> 5, b, signed(a, 32) * signed(b, 32) >> 32]
        expected += [(a & 0xFFFFFF) * (b & 0xFFFFFF), signed(a, 24) * signed(b, 24), a + b >> 1]
        expected += [w * z >> 96, signed(w, 64) * signed(z, 64) >> 96, 64 - (w >> 40).bit_length()]
        assert [int(v) for v in out[:, i]] == [v % 2**32 for v in expected]


# -- half and bfloat16 --------------------------------------------------------------------------------------


def edge_floats() -> Numbers:
    """Random bit patterns, and the ties between neighbouring halves and bfloat16s with their neighbours."""
    rng = np.random.default_rng(13)
    halves = np.arange(0x7C01, dtype=np.uint16).view(np.float16).astype(np.float64)
    middles = ((halves[:-1] + halves[1:]) / 2)[:-1].astype(np.float32)
    around = np.concatenate(
        [middles, np.nextafter(middles, np.float32(0)), np.nextafter(middles, np.float32(9e9))]
    )
    ties = (np.arange(2**16, dtype=np.uint32) << 16) | 0x8000
    patterns = np.concatenate([rng.integers(0, 2**32, 2**17, dtype=np.uint32), ties, ties - 1, ties + 1])
    values = np.concatenate([around, -around, patterns.view(np.float32)])
    limits = np.array([65504, 65519.996, 65520, np.inf, -np.inf], np.float32)
    values = np.concatenate([values, limits])
    return np.resize(values, -(-len(values) // 64) * 64)


def to_bfloat16(x: Numbers) -> Numbers:
    """Bits of float32 values rounded to nearest even; NaN stays NaN."""
    bits = x.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(x), bits >> 16 | 0x40, rounded).astype(np.uint16)


def test_every_half_and_bfloat16_becomes_the_right_float(run_hip: Run) -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    out = np.zeros((3, 2**16), np.float32)
    source = f"""extern "C" __global__ void k(const unsigned short* x, float* o) {{ {EACH}
        o[i] = __half2float(__ushort_as_half(x[i]));
        o[65536 + i] = __bfloat162float(__ushort_as_bfloat16(x[i]));
        o[131072 + i] = ((const hip_bfloat16*)x)[i]; }}"""
    run_hip(source, bits, out, grid=1024)
    np.testing.assert_array_equal(out[0], bits.view(np.float16).astype(np.float32))
    wide = (bits.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(out[1], wide)
    np.testing.assert_array_equal(out[2], wide)


def test_floats_are_rounded_to_half_and_bfloat16(run_hip: Run) -> None:
    x = edge_floats()
    out = np.zeros((6, len(x)), np.uint16)
    calls = ["__half_as_ushort(__float2half(v))", "__half_as_ushort(__float2half_rz(v))"]
    calls += ["__half_as_ushort(__float2half_rd(v))", "__bfloat16_as_ushort(__float2bfloat16(v))"]
    calls += ["hip_bfloat16(v).data", "__half_as_ushort(__float2half_ru(v))"]
    body = "".join(f"o[{n * len(x)} + i] = {call};" for n, call in enumerate(calls))
    source = (
        f'extern "C" __global__ void k(const float* x, unsigned short* o) {{ {EACH} float v = x[i]; {body} }}'
    )
    run_hip(source, x, out, grid=len(x) // 64)
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = x.astype(np.float16)
    np.testing.assert_array_equal(out[0].view(np.float16), nearest)
    np.testing.assert_array_equal(out[3], to_bfloat16(x))
    np.testing.assert_array_equal(out[4], to_bfloat16(x))
    number = ~np.isnan(x)
    with np.errstate(over="ignore", invalid="ignore"):
        below = np.where(nearest > x, np.nextafter(nearest, np.float16(-np.inf)), nearest)[number]
        above = np.where(nearest < x, np.nextafter(nearest, np.float16(np.inf)), nearest)[number]
    np.testing.assert_array_equal(out[2].view(np.float16)[number], below)
    np.testing.assert_array_equal(out[5].view(np.float16)[number], above)
    np.testing.assert_array_equal(out[1].view(np.float16)[number], np.where(x[number] < 0, above, below))


def test_half_and_bfloat16_arithmetic(run_hip: Run) -> None:
    rng = np.random.default_rng(17)
    a, b, c = (rng.normal(0, 4, 4096).astype(np.float16) for _ in range(3))
    halves = [
        "x + y",
        "x - y",
        "x * y",
        "x / y",
        "__hfma(x, y, z)",
        "__hmax(x, y)",
        "-x",
        "__hlt(x, y)",
        "__habs(x)",
    ]
    pairs = [
        "p + q",
        "p * q",
        "__hfma2(p, q, r)",
        "__hmax2(p, q)",
        "__hgt2(p, q)",
        "__float22half2_rn(__half22float2(p))",
    ]
    bfs = ["u + v", "u * v", "u / v", "u - v", "__hmax(u, v)"]
    total = len(halves) + len(pairs)
    out, out_bf = np.zeros((total, 4096), np.float16), np.zeros((len(bfs), 4096), np.uint16)
    body = "".join(f"o[{n * 4096} + i] = {e};" for n, e in enumerate(halves))
    for n, e in enumerate(pairs, len(halves)):
        body += f"if (i % 2 == 0) ((__half2*)o)[({n * 4096} + i) / 2] = {e};"
    body += "".join(f"w[{n * 4096} + i] = {e};" for n, e in enumerate(bfs))
    source = f"""extern "C" __global__ void k(const __half* a, const __half* b, const __half* c, __half* o,
            __hip_bfloat16* w) {{ {EACH}
        __half x = a[i], y = b[i], z = c[i];
        __half2 p = ((const __half2*)a)[i / 2], q = ((const __half2*)b)[i / 2];
        __half2 r = ((const __half2*)c)[i / 2];
        __hip_bfloat16 u = (float)x, v = (float)y; {body} }}"""
    run_hip(source, a, b, c, out, out_bf, grid=64)
    wa, wb, wc = (v.astype(np.float64) for v in (a, b, c))
    fma = (wa * wb + wc).astype(np.float16)
    expected: list[Numbers] = [
        wa + wb,
        wa - wb,
        wa * wb,
        wa / wb,
        fma,
        np.maximum(a, b),
        -a,
        a < b,
        np.abs(a),
    ]
    expected += [wa + wb, wa * wb, fma, np.maximum(a, b), a > b, a]
    for name, got, exact in zip(halves + pairs, out, expected, strict=True):
        np.testing.assert_array_equal(got, exact.astype(np.float16), err_msg=name)
    u, v = ((to_bfloat16(t.astype(np.float32)).astype(np.uint32) << 16).view(np.float32) for t in (a, b))
    for name, bits, result in zip(bfs, out_bf, [u + v, u * v, u / v, u - v, np.maximum(u, v)], strict=True):
        np.testing.assert_array_equal(bits, to_bfloat16(result), err_msg=name)
