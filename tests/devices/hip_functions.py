# ruff: noqa: ARG005, E501, SIM905 (a table: columns that a reference does not need; calls as one line each)
"""Functions of HIP's documentation as rows: how each is called, and what it must give, by numpy and exact arithmetic.

A value is a letter: `f` float, `d` double, `i` int, `u` unsigned, `l` long long, `m` unsigned long long, `h` half,
`b` bfloat16; the last letter is the result's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]

DTYPES: dict[str, Any] = {
    "f": np.float32, "d": np.float64, "i": np.int32, "u": np.uint32, "l": np.int64, "m": np.uint64,
    "h": np.float16, "b": ml_dtypes.bfloat16,
}  # fmt: skip
C_TYPES = {
    "f": "float", "d": "double", "i": "int", "u": "unsigned", "l": "long long", "m": "unsigned long long",
    "h": "__half", "b": "__hip_bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One function, called with edge values."""

    name: str
    kinds: str
    """Of its arguments and its result."""
    reference: Callable[..., Any]
    """From columns of arguments to a column of results; floats as long double, halves as double."""
    call: str = ""
    """In terms of a, b, c, d; the function with all of them if left out."""
    ulps: float = 2.0
    """By how many units in the last place a float may differ; 0 is bitwise, NaN aside."""

    @property
    def text(self) -> str:
        """How it is called."""
        return self.call or f"{self.name}({', '.join('abcd'[: len(self.kinds) - 1])})"


def plain(name: str) -> Callable[..., Any]:
    """A function of numpy's."""
    found: Callable[..., Any] = getattr(np, name)
    return found


# -- math.h ---------------------------------------------------------------------------------------------------------


def _math_one(x: Any, function: Callable[[float], float]) -> Any:
    try:
        return function(float(x))
    except (ValueError, OverflowError):
        return math.nan


def python(function: Callable[[float], float]) -> Callable[[Numbers], Numbers]:
    """A function of the module math, in double precision."""
    return lambda x: np.array([_math_one(value, function) for value in x], np.longdouble)


def _gamma(x: Numbers) -> Numbers:
    def at(value: float) -> float:
        if value == 0:
            return math.copysign(math.inf, value)
        if math.isinf(value):
            return math.inf if value > 0 else math.nan
        try:
            return math.gamma(value)
        except OverflowError:
            return math.inf

    return python(at)(x)


def _lgamma(x: Numbers) -> Numbers:
    def at(value: float) -> float:
        return (
            math.inf
            if math.isinf(value) or (value <= 0 and value == math.floor(value))
            else math.lgamma(value)
        )

    return python(at)(x)


def _sinpi(x: Numbers) -> Numbers:
    r = np.fmod(x, 2)
    exact = np.where(r == np.round(r), np.copysign(np.longdouble(0), x), np.sin(np.longdouble(math.pi) * r))
    return np.where(np.isfinite(x), exact, np.nan)


def _cospi(x: Numbers) -> Numbers:
    r = np.fmod(np.abs(x), 2)
    exact = np.where(np.mod(r, 1) == 0.5, np.longdouble(0), np.cos(np.longdouble(math.pi) * r))
    return np.where(np.isfinite(x), exact, np.nan)


def _round(x: Numbers) -> Numbers:
    """Halves away from zero."""
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.sign(x), whole)


def _logb(x: Numbers) -> Numbers:
    return np.where(x == 0, -np.inf, np.where(np.isfinite(x), np.frexp(x)[1] - 1.0, x * x))


def _ilogb(x: Numbers) -> Numbers:
    found = np.frexp(np.where(np.isfinite(x), x, 1))[1] - 1
    return np.where((x == 0) | np.isnan(x), -(2**31), np.where(np.isinf(x), 2**31 - 1, found))


UNARY: dict[str, Callable[[Numbers], Numbers]] = {
    **{name: plain(name) for name in "cbrt ceil cos cosh exp exp2 expm1 fabs floor log log10 log1p log2 rint".split()},
    **{name: plain(name) for name in "sin sinh sqrt tan tanh trunc".split()},
    **{name: plain(f"arc{name[1:]}") for name in "acos acosh asin asinh atan atanh".split()},
    "nearbyint": np.rint,
    "round": _round,
    "exp10": lambda x: np.power(np.longdouble(10), x),
    "erf": python(math.erf),
    "erfc": python(math.erfc),
    "lgamma": _lgamma,
    "tgamma": _gamma,
    "sinpi": _sinpi,
    "cospi": _cospi,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "rcbrt": lambda x: 1 / np.cbrt(x),
    "normcdf": python(lambda x: 0.5 * math.erfc(-x / math.sqrt(2))),
    "logb": _logb,
}  # fmt: skip
WIDE = {
    "lgamma": 64.0,
    "tgamma": 16.0,
    "normcdf": 128.0,
    "erfc": 4.0,
    "exp10": 4.0,
    "expm1": 4.0,
    "tan": 4.0,
    "pow": 16.0,
}

BINARY: dict[str, Callable[[Numbers, Numbers], Numbers]] = {
    "atan2": np.arctan2,
    "copysign": np.copysign,
    "fdim": lambda x, y: np.where(np.isnan(x) | np.isnan(y), np.nan, np.where(x > y, x - y, 0)),
    "fmax": np.fmax,
    "fmin": np.fmin,
    "fmod": np.fmod,
    "hypot": np.hypot,
    "pow": np.power,
    "remainder": np.vectorize(lambda x, y: _remainder(x, y), otypes=[np.longdouble]),
    "rhypot": lambda x, y: 1 / np.hypot(x, y),
}


def _remainder(x: Any, y: Any) -> float:
    try:
        return math.remainder(float(x), float(y))
    except ValueError:
        return math.nan


def _remquo(x: Numbers, y: Numbers) -> Numbers:
    def at(one: Any, other: Any) -> int:
        one, other = float(one), float(other)
        if not math.isfinite(one) or not math.isfinite(other) or other == 0:
            return 0
        n = round(abs(Fraction(one) / Fraction(other))) & 7  # halves to even, as the remainder
        return n if (one < 0) == (other < 0) else -n

    return np.array([at(*pair) for pair in zip(x, y, strict=True)])


def _norm(*columns: Numbers) -> Numbers:
    some_infinite = np.any([np.isinf(column) for column in columns], axis=0)
    return np.where(some_infinite, np.inf, np.sqrt(sum(column * column for column in columns)))


def math_rows() -> Iterator[Row]:
    """<math.h> in both precisions, and HIP's additions to it."""
    for kind, suffix in (("f", "f"), ("d", "")):
        for name, reference in UNARY.items():
            yield Row(f"{name}{suffix}", 2 * kind, reference, ulps=WIDE.get(name, 2.5))
        for name, binary in BINARY.items():
            yield Row(f"{name}{suffix}", 3 * kind, binary, ulps=WIDE.get(name, 3.0))
        dtype = DTYPES[kind]
        yield Row(
            f"nextafter{suffix}",
            3 * kind,
            lambda x, y, t=dtype: np.nextafter(x.astype(t), y.astype(t)),
            ulps=0,
        )
        yield Row(f"fma{suffix}", 4 * kind, _fused(kind), ulps=0)
        yield Row(f"norm3d{suffix}", 4 * kind, _norm)
        yield Row(f"rnorm3d{suffix}", 4 * kind, lambda *c: 1 / _norm(*c), ulps=3)
        yield Row(f"norm4d{suffix}", 5 * kind, _norm)
        yield Row(f"rnorm4d{suffix}", 5 * kind, lambda *c: 1 / _norm(*c), ulps=3)
        pair = f"[&] {{ {C_TYPES[kind]} p[] = {{a, b}}; return"
        yield Row(f"norm{suffix}", 3 * kind, _norm, f"{pair} norm{suffix}(2, p); }}()")
        yield Row(
            f"rnorm{suffix}", 3 * kind, lambda *c: 1 / _norm(*c), f"{pair} rnorm{suffix}(2, p); }}()", 3
        )
        for name in ("ldexp", "scalbn"):
            yield Row(f"{name}{suffix}", kind + "i" + kind, _scaled, ulps=0)
        yield Row(f"scalbln{suffix}", kind + "l" + kind, _scaled, ulps=0)
        yield Row(
            f"powi{suffix}", kind + "i" + kind, lambda x, n: np.power(x, n.astype(np.longdouble)), ulps=16
        )
        yield Row(f"ilogb{suffix}", kind + "i", _ilogb)
        for name, result, rounded in (
            *(("lrint", "l", np.rint), ("llrint", "l", np.rint)),
            *(("lround", "l", _round), ("llround", "l", _round)),
        ):
            yield Row(f"{name}{suffix}", kind + result, lambda x, r=rounded: _integer(r(x), "l"))
        for name in ("isfinite", "isinf", "isnan", "signbit"):
            yield Row(name, kind + "i", lambda x, n=name: plain(n)(x).astype(int), f"{name}(a) ? 1 : 0")
        out = f"[&] {{ {C_TYPES[kind]} s, c;"
        yield Row(f"sincos{suffix}", 2 * kind, np.sin, f"{out} sincos{suffix}(a, &s, &c); return s; }}()")
        yield Row(f"sincospi{suffix}", 2 * kind, _cospi, f"{out} sincospi{suffix}(a, &s, &c); return c; }}()")
        yield Row(
            f"modf{suffix}", 2 * kind, lambda x: np.modf(x)[0], f"{out} return modf{suffix}(a, &s); }}()", 0
        )
        yield Row(
            f"frexp{suffix}",
            2 * kind,
            lambda x: np.frexp(x)[0],
            f"[&] {{ int e; return frexp{suffix}(a, &e); }}()",
            0,
        )
        yield Row(
            f"remquo{suffix}",
            2 * kind + "i",
            _remquo,
            f"[&] {{ int q; remquo{suffix}(a, b, &q); return q; }}()",
        )
    fast: dict[str, Callable[..., Any]] = {
        "__expf": np.exp,
        "__logf": np.log,
        "__log2f": np.log2,
        "__log10f": np.log10,
        "__sinf": np.sin,
    }
    fast |= {"__cosf": np.cos, "__tanf": np.tan, "__exp10f": UNARY["exp10"], "__frsqrt_rn": UNARY["rsqrt"]}
    for name, reference in fast.items():
        yield Row(name, "ff", reference, ulps=8)
    yield Row("__powf", "fff", np.power, ulps=64)
    yield Row("__fdividef", "fff", np.divide)
    yield Row("__saturatef", "ff", lambda x: np.where(np.isnan(x), 0, np.clip(x, 0, 1)))
    yield Row("__sincosf", "ff", np.cos, "[&] { float s, c; __sincosf(a, &s, &c); return c; }()", 8)


def _scaled(x: Numbers, n: Numbers) -> Numbers:
    return np.ldexp(x, np.clip(n, -9000, 9000).astype(np.int32))


def _fused(kind: str) -> Callable[..., Numbers]:
    def at(x: Any, y: Any, z: Any) -> Any:
        if not all(map(math.isfinite, (x, y, z))):
            return float(x) * float(y) + float(z)
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        if exact == 0:
            return float(x) * float(y) + float(z)
        return rounded(exact, kind, "rn")

    return lambda *columns: np.array([at(*values) for values in zip(*columns, strict=True)], DTYPES[kind])


# -- rounding -------------------------------------------------------------------------------------------------------


def rounded(exact: Fraction, kind: str, way: str) -> Any:
    """An exact number as a float or double, rounded by a mode: rn, rd, ru or rz."""
    dtype = DTYPES[kind]
    largest = dtype(np.finfo(dtype).max)
    if way == "rz":
        way = "rd" if exact > 0 else "ru"
    with np.errstate(over="ignore"):
        try:
            near = dtype(exact.numerator / exact.denominator) if kind == "d" else _near_float(exact)
        except OverflowError:
            near = dtype(math.inf if exact > 0 else -math.inf)
    if way == "rn":
        return near
    if np.isinf(near):
        return near if (way == "ru") == (near > 0) else dtype(math.copysign(largest, near))
    if way == "rd" and Fraction(float(near)) > exact:
        return np.nextafter(near, dtype(-np.inf))
    if way == "ru" and Fraction(float(near)) < exact:
        return np.nextafter(near, dtype(np.inf))
    return near


def _near_float(exact: Fraction) -> Any:
    """To nearest in one step: the double that it is rounded to first may be a tie that the number itself is not."""
    with np.errstate(over="ignore"):
        near = np.float32(exact.numerator / exact.denominator)
    if np.isinf(near):
        return near
    candidates = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
    finite = [one for one in candidates if np.isfinite(one)]
    return min(finite, key=lambda one: (abs(Fraction(float(one)) - exact), int(one.view(np.uint32)) & 1))


def _directed(
    kind: str, way: str, exact: Callable[..., Fraction], plainly: Callable[..., Any]
) -> Callable[..., Any]:
    """A column function that rounds an exact result; where there is none, what IEEE arithmetic says plainly."""

    def at(*values: Any) -> Any:
        numbers = [DTYPES[kind](value) for value in values]
        with np.errstate(all="ignore"):
            plain_result = DTYPES[kind](plainly(*numbers))
        if not all(map(np.isfinite, numbers)):
            return plain_result
        try:
            result = exact(*(Fraction(float(number)) for number in numbers))
        except (ZeroDivisionError, ValueError):
            return plain_result
        return plain_result if result == 0 else rounded(result, kind, way)

    return lambda *columns: np.array([at(*values) for values in zip(*columns, strict=True)], DTYPES[kind])


def _root(kind: str, way: str) -> Callable[[Numbers], Numbers]:
    def at(value: Any) -> Any:
        x = DTYPES[kind](value)
        with np.errstate(all="ignore"):
            near = np.sqrt(x)
        if not np.isfinite(near) or near == 0 or way == "rn":
            return near
        rest = Fraction(float(x)) - Fraction(float(near)) ** 2
        step = -1 if rest < 0 and way in ("rd", "rz") else 1 if rest > 0 and way == "ru" else 0
        return np.nextafter(near, DTYPES[kind](step * np.inf)) if step else near

    return lambda x: np.array([at(value) for value in x], DTYPES[kind])


def rounding_rows() -> Iterator[Row]:
    """Arithmetic by rounding mode."""
    for kind, prefix, fma in (("f", "__f", "__fmaf"), ("d", "__d", "__fma")):
        for way in ("rn", "rd", "ru", "rz"):
            two: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
                "add": (lambda x, y: x + y, np.add),
                "sub": (lambda x, y: x - y, np.subtract),
                "mul": (lambda x, y: x * y, np.multiply),
                "div": (lambda x, y: x / y, np.divide),
            }
            for name, (exact, plainly) in two.items():
                yield Row(f"{prefix}{name}_{way}", 3 * kind, _directed(kind, way, exact, plainly), ulps=0)
            reciprocal = _directed(kind, way, lambda x: 1 / x, lambda x: 1 / x)
            yield Row(f"{prefix}rcp_{way}", 2 * kind, reciprocal, ulps=0)
            yield Row(f"{prefix}sqrt_{way}", 2 * kind, _root(kind, way), ulps=0)
            fused = _directed(kind, way, lambda x, y, z: x * y + z, lambda x, y, z: x * y + z)
            yield Row(f"{fma}_{way}", 4 * kind, fused, ulps=0)


# -- conversions ----------------------------------------------------------------------------------------------------

ROUNDING: dict[str, Callable[[Numbers], Numbers]] = {
    "rn": np.rint,
    "rd": np.floor,
    "ru": np.ceil,
    "rz": np.trunc,
}
INTEGERS = {"int": "i", "uint": "u", "ll": "l", "ull": "m"}


def _integer(x: Numbers, kind: str) -> Numbers:
    """The nearest integer of a kind; NaN is 0."""
    limits = np.iinfo(DTYPES[kind])

    def at(value: Any) -> int:
        if np.isnan(value):
            return 0
        if value >= limits.max:
            return int(limits.max)
        return int(limits.min) if value <= limits.min else int(value)

    return np.array([at(value) for value in x], DTYPES[kind])


def conversion_rows() -> Iterator[Row]:
    """Numbers to integers and back, and to their bits."""
    for way, rounding in ROUNDING.items():
        for name, kind in INTEGERS.items():
            for given, letter in (("float", "f"), ("double", "d"), ("half", "h")):
                yield Row(
                    f"__{given}2{name}_{way}", letter + kind, lambda x, r=rounding, k=kind: _integer(r(x), k)
                )
            yield Row(f"__{name}2float_{way}", kind + "f", _from_integer("f", way), ulps=0)
            if kind in "lm":
                yield Row(f"__{name}2double_{way}", kind + "d", _from_integer("d", way), ulps=0)
        yield Row(f"__double2float_{way}", "df", _directed_float(way), ulps=0)
    yield Row("__int2double_rn", "id", _from_integer("d", "rn"), ulps=0)
    yield Row("__uint2double_rn", "ud", _from_integer("d", "rn"), ulps=0)
    for name, kinds in {
        "__float_as_int": "fi", "__float_as_uint": "fu", "__int_as_float": "if", "__uint_as_float": "uf",
        "__double_as_longlong": "dl", "__longlong_as_double": "ld", "__half_as_ushort": "hu", "__half_as_short": "hi",
        "__bfloat16_as_ushort": "bu", "__bfloat16_as_short": "bi",
    }.items():  # fmt: skip
        yield Row(name, kinds, lambda x, k=kinds: _bits(x, k), ulps=0)
    yield Row(
        "__double2hiint", "di", lambda x: (_raw(x, "d") >> np.uint64(32)).astype(np.uint32).view(np.int32)
    )
    yield Row("__double2loint", "di", lambda x: _raw(x, "d").astype(np.uint32).view(np.int32))
    yield Row("__hiloint2double", "iid", _from_halves, ulps=0)


def _raw(x: Numbers, kind: str) -> Numbers:
    width = np.dtype(DTYPES[kind]).itemsize * 8
    return x.astype(DTYPES[kind]).view(f"u{width // 8}").astype(np.uint64)


def _bits(x: Numbers, kinds: str) -> Numbers:
    given, result = np.dtype(DTYPES[kinds[0]]), np.dtype(DTYPES[kinds[1]])
    same = x.astype(given).view(f"{'i' if kinds[1] in 'il' else 'u'}{given.itemsize}")
    return same.astype(result) if result.kind in "iu" else x.astype(given).view(result)


def _from_halves(high: Numbers, low: Numbers) -> Numbers:
    bits = high.astype(np.int64).astype(np.uint64) << np.uint64(32) | low.astype(np.int32).view(
        np.uint32
    ).astype(np.uint64)
    return np.asarray(bits.view(np.float64))


def _from_integer(kind: str, way: str) -> Callable[[Numbers], Numbers]:
    return lambda x: np.array(
        [rounded(Fraction(int(v)), kind, way) if int(v) else 0 for v in x], DTYPES[kind]
    )


def _directed_float(way: str) -> Callable[[Numbers], Numbers]:
    def at(value: Any) -> Any:
        value = float(value)
        return rounded(Fraction(value), "f", way) if math.isfinite(value) and value else np.float32(value)

    return lambda x: np.array([at(v) for v in x], np.float32)


# -- integers -------------------------------------------------------------------------------------------------------

_M32, _M64 = (1 << 32) - 1, (1 << 64) - 1


def _signed(x: int, bits: int) -> int:
    x &= (1 << bits) - 1
    return x - (1 << bits) if x >> (bits - 1) else x


def _nth(mask: int, base: int, n: int, bits: int) -> int:
    places = [i for i in range(bits) if mask >> i & 1]
    if n == 0:
        return base if base in places else -1
    chosen = [i for i in places if i >= base] if n > 0 else [i for i in reversed(places) if i <= base]
    return chosen[abs(n) - 1] if len(chosen) >= abs(n) else -1


def _permuted(x: int, y: int, selector: int) -> int:
    both = (y << 32 | x).to_bytes(8, "little")
    return int.from_bytes(bytes(both[selector >> 4 * i & 7] for i in range(4)), "little")


INTEGER: list[tuple[str, str, Callable[..., int], str]] = [
    ("__popc", "ui", lambda x: x.bit_count(), ""),
    ("__popcll", "mi", lambda x: x.bit_count(), ""),
    ("__clz", "ii", lambda x: 32 - (x & _M32).bit_length(), ""),
    ("__clzll", "li", lambda x: 64 - (x & _M64).bit_length(), ""),
    ("__ffs", "ii", lambda x: (x & -x & _M32).bit_length(), ""),
    ("__ffsll", "li", lambda x: (x & -x & _M64).bit_length(), ""),
    ("__brev", "uu", lambda x: int(f"{x:032b}"[::-1], 2), ""),
    ("__brevll", "mm", lambda x: int(f"{x:064b}"[::-1], 2), ""),
    ("__byte_perm", "uuuu", _permuted, ""),
    ("__funnelshift_l", "uuuu", lambda lo, hi, s: ((hi << 32 | lo) << (s & 31) >> 32) & _M32, ""),
    ("__funnelshift_lc", "uuuu", lambda lo, hi, s: ((hi << 32 | lo) << min(s, 32) >> 32) & _M32, ""),
    ("__funnelshift_r", "uuuu", lambda lo, hi, s: (hi << 32 | lo) >> (s & 31) & _M32, ""),
    ("__funnelshift_rc", "uuuu", lambda lo, hi, s: (hi << 32 | lo) >> min(s, 32) & _M32, ""),
    ("__mul24", "iii", lambda x, y: _signed(_signed(x, 24) * _signed(y, 24), 32), ""),
    ("__umul24", "uuu", lambda x, y: (x & 0xFFFFFF) * (y & 0xFFFFFF) & _M32, ""),
    ("__mulhi", "iii", lambda x, y: x * y >> 32, ""),
    ("__umulhi", "uuu", lambda x, y: x * y >> 32, ""),
    ("__mul64hi", "lll", lambda x, y: x * y >> 64, ""),
    ("__umul64hi", "mmm", lambda x, y: x * y >> 64, ""),
    ("__hadd", "iii", lambda x, y: (x + y) >> 1, ""),
    ("__rhadd", "iii", lambda x, y: (x + y + 1) >> 1, ""),
    ("__uhadd", "uuu", lambda x, y: (x + y) >> 1, ""),
    ("__urhadd", "uuu", lambda x, y: (x + y + 1) >> 1, ""),
    ("__sad", "iiuu", lambda x, y, z: abs(x - y) + z & _M32, ""),
    ("__usad", "uuuu", lambda x, y, z: abs(x - y) + z & _M32, ""),
    ("__bitextract_u32", "uuuu", lambda x, o, w: x >> (o & 15) & ((1 << (w & 15)) - 1), "__bitextract_u32(a, b & 15, c & 15)"),
    ("__bitextract_u64", "mmmm", lambda x, o, w: x >> (o & 31) & ((1 << (w & 31)) - 1), "__bitextract_u64(a, b & 31, c & 31)"),
    ("__bitinsert_u32", "uuuu", lambda x, y, o: x & ~(0x7F << (o & 15)) | (y & 0x7F) << (o & 15), "__bitinsert_u32(a, b, c & 15, 7)"),
    ("__bitinsert_u64", "mmmm", lambda x, y, o: x & ~(0x7F << (o & 31)) | (y & 0x7F) << (o & 31), "__bitinsert_u64(a, b, c & 31, 7)"),
    ("__lastbit_u32_u64", "mi", lambda x: (x & -x).bit_length() - 1, ""),
    ("__fns32", "uuii", lambda m, b, n: _nth(m, b & 31, _signed(n, 3), 32), "__fns32(a, b & 31, c << 29 >> 29)"),
    ("__fns64", "muii", lambda m, b, n: _nth(m, b & 63, _signed(n, 3), 64), "__fns64(a, b & 63, c << 29 >> 29)"),
    ("__fns", "uuii", lambda m, b, n: _nth(m, b & 31, _signed(n, 3), 32), "__fns(a, b & 31, c << 29 >> 29)"),
    ("umin", "uuu", min, "umin(a, b)"),
    ("umax", "uuu", max, "umax(a, b)"),
    ("llmin", "lll", min, "llmin(a, b)"),
    ("llmax", "lll", max, "llmax(a, b)"),
    ("ullmin", "mmm", min, "ullmin(a, b)"),
    ("ullmax", "mmm", max, "ullmax(a, b)"),
    ("min", "iii", min, "min(a, b)"),
    ("max", "iii", max, "max(a, b)"),
    ("abs", "ii", lambda x: _signed(abs(x), 32), ""),
    ("labs", "ll", lambda x: _signed(abs(x), 64), ""),
    ("llabs", "ll", lambda x: _signed(abs(x), 64), ""),
]  # fmt: skip
ATOMIC: dict[str, Callable[[int, int], int]] = {
    "atomicAdd": lambda x, y: x + y, "atomicSub": lambda x, y: x - y, "atomicMin": min, "atomicMax": max,
    "atomicAnd": lambda x, y: x & y, "atomicOr": lambda x, y: x | y, "atomicXor": lambda x, y: x ^ y,
    "atomicExch": lambda x, y: y,
}  # fmt: skip


def integer_rows() -> Iterator[Row]:
    """Integers, and atomics on a number of each thread's own (two threads that meet are tested elsewhere)."""
    for name, kinds, function, call in INTEGER:
        yield Row(name, kinds, _of_integers(function, kinds), call)
    for name, function in ATOMIC.items():
        for kind in "iul":
            bits = 64 if kind == "l" else 32

            def changed(x: int, y: int, f: Any = function, b: int = bits, k: str = kind) -> int:
                return _signed(f(x, y), b) if k in "il" else f(x, y) & _M32

            if kind == "l" and name == "atomicSub":
                continue
            own = f"slot<{C_TYPES[kind]}>(p, a)"
            call = f"[&] {{ auto q = {own}; {name}(q, b); return *q; }}()"
            yield Row(name, 3 * kind, _of_integers(changed, 3 * kind), call)
        system = f"[&] {{ auto q = slot<int>(p, a); {name}_system(q, b); return *q; }}()"
        yield Row(
            f"{name}_system",
            "iii",
            _of_integers(lambda x, y, f=function: _signed(f(x, y), 32), "iii"),
            system,
        )
    for name, function in {
        "atomicInc": lambda x, y: 0 if x >= y else x + 1,
        "atomicDec": lambda x, y: y if x == 0 or x > y else x - 1,
    }.items():
        call = f"[&] {{ auto q = slot<unsigned>(p, a); {name}(q, b); return *q; }}()"
        yield Row(name, "uuu", _of_integers(function, "uuu"), call)
    for kind in "iulfd":
        call = f"[&] {{ auto q = slot<{C_TYPES[kind]}>(p, a); atomicCAS(q, b, ({C_TYPES[kind]})5); return *q; }}()"
        yield Row("atomicCAS", 3 * kind, _swapped(kind), call, 0)
    of_floats: dict[str, Callable[..., Any]] = {
        "atomicAdd": np.add,
        "atomicExch": lambda x, y: y,
        "atomicMin": np.fmin,
        "atomicMax": np.fmax,
        "unsafeAtomicAdd": np.add,
        "safeAtomicAdd": np.add,
    }
    for kind in "fd":
        for name, combined in of_floats.items():
            call = f"[&] {{ auto q = slot<{C_TYPES[kind]}>(p, a); {name}(q, b); return *q; }}()"
            yield Row(name, 3 * kind, combined, call, 0.51)


def _of_integers(function: Callable[..., int], kinds: str) -> Callable[..., Numbers]:
    return lambda *columns: np.array(
        [function(*map(int, values)) for values in zip(*columns, strict=True)], DTYPES[kinds[-1]]
    )


def _swapped(kind: str) -> Callable[[Numbers, Numbers], Numbers]:
    """What holds the same bits as is expected becomes 5."""
    return lambda x, y: np.where(_raw(x, kind) == _raw(y, kind), 5, x).astype(DTYPES[kind])


# -- half, bfloat16, fp8 --------------------------------------------------------------------------------------------


def _between(x: Numbers) -> Numbers:
    return np.where(np.isnan(x), 0, np.clip(x, 0, 1))


COMPARE: dict[str, Callable[[Numbers, Numbers], Numbers]] = {
    "eq": np.equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
HALF_MATH: dict[str, Callable[[Numbers], Numbers]] = {
    "exp": np.exp, "exp2": np.exp2, "exp10": lambda x: np.power(10.0, x), "log": np.log, "log2": np.log2, "log10": np.log10,
    "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "rcp": lambda x: 1 / x, "sin": np.sin, "cos": np.cos,
    "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint,
}  # fmt: skip


def small_float_rows() -> Iterator[Row]:
    """Half and bfloat16, alone and in pairs: of a pair the second is asked for."""
    two: dict[str, tuple[str, Callable[..., Any]]] = {
        "add": ("__hadd", np.add), "sub": ("__hsub", np.subtract), "mul": ("__hmul", np.multiply),
        "max": ("__hmax", np.fmax), "min": ("__hmin", np.fmin),
    }  # fmt: skip
    for kind, pair in (("h", "__half2"), ("b", "__hip_bfloat162")):
        high = "__high2half" if kind == "h" else "__high2bfloat16"
        for name, reference in two.values():
            yield Row(name, 3 * kind, reference, ulps=0.51)
            yield Row(f"{name}2", 3 * kind, reference, f"{high}({name}2({pair}(b, a), {pair}(a, b)))", 0.51)
        yield Row("__hdiv", 3 * kind, np.divide, ulps=0.51)
        yield Row("__h2div", 3 * kind, np.divide, f"{high}(__h2div({pair}(b, a), {pair}(a, b)))", 0.51)
        fused = f"__hfma2({pair}(b, a), {pair}(a, b), {pair}(c, c))"
        yield Row("__hfma", 4 * kind, lambda x, y, z: x * y + z, ulps=0.51 if kind == "h" else 1.01)
        yield Row(
            "__hfma2", 4 * kind, lambda x, y, z: x * y + z, f"{high}({fused})", 0.51 if kind == "h" else 1.01
        )
        for name, negated in (("__hneg", np.negative), ("__habs", np.abs)):
            yield Row(name, 2 * kind, negated, ulps=0)
            yield Row(f"{name}2", 2 * kind, negated, f"{high}({name}2({pair}(a, a)))", 0)
        yield Row("__hisnan", kind + "i", lambda x: np.isnan(x).astype(int), "__hisnan(a) ? 1 : 0")
        yield Row("__hisinf", kind + "i", lambda x: np.where(np.isinf(x), np.sign(x), 0).astype(int))
        for name, compare in COMPARE.items():
            yield Row(f"__h{name}", 2 * kind + "i", lambda x, y, c=compare: c(x, y).astype(int))
            unordered = lambda x, y, c=compare: (np.isnan(x) | np.isnan(y) | c(x, y)).astype(int)  # noqa: E731
            yield Row(f"__h{name}u", 2 * kind + "i", unordered)
            both = f"({pair}(a, a), {pair}(b, b)) ? 1 : 0"
            yield Row(
                f"__hb{name}2",
                2 * kind + "i",
                lambda x, y, c=compare: c(x, y).astype(int),
                f"__hb{name}2{both}",
            )
            yield Row(f"__hb{name}u2", 2 * kind + "i", unordered, f"__hb{name}u2{both}")
            second = f"{high}(__h{name}2({pair}(b, a), {pair}(a, b)))"
            yield Row(f"__h{name}2", 3 * kind, lambda x, y, c=compare: c(x, y).astype(float), second, 0)
        for name, function in HALF_MATH.items():
            yield Row(f"h{name}", 2 * kind, function, ulps=1.01)
            yield Row(f"h2{name}", 2 * kind, function, f"{high}(h2{name}({pair}(a, a)))", 1.01)
    for name in ("__hadd_sat", "__hsub_sat", "__hmul_sat"):
        plainly = {"a": np.add, "s": np.subtract, "m": np.multiply}[name[3]]
        yield Row(name, "hhh", lambda x, y, p=plainly: _between(p(x, y)), ulps=0.51)
    yield Row("__hfma_sat", "hhhh", lambda x, y, z: _between(x * y + z), ulps=0.51)
    yield Row("__half2float", "hf", lambda x: x, ulps=0)
    yield Row("__float2half", "fh", lambda x: x.astype(np.float64), ulps=0.51)
    yield Row("__double2half", "dh", lambda x: x.astype(np.float64), ulps=0.51)
    yield Row("__float2half_rn", "fh", lambda x: x.astype(np.float64), ulps=0.51)
    yield Row(
        "__ushort_as_half", "uh", lambda x: x.astype(np.uint16).view(np.float16), "__ushort_as_half(a)", 0
    )
    yield Row("__bfloat162float", "bf", lambda x: x, ulps=0)
    yield Row("__float2bfloat16", "fb", lambda x: x.astype(np.float64), ulps=0.51)
    yield Row("__ushort_as_bfloat16", "ub", lambda x: x.astype(np.uint16).view(ml_dtypes.bfloat16), ulps=0)


FP8: dict[str, Any] = {
    "__HIP_E4M3": ml_dtypes.float8_e4m3fn, "__HIP_E5M2": ml_dtypes.float8_e5m2,
    "__HIP_E4M3_FNUZ": ml_dtypes.float8_e4m3fnuz, "__HIP_E5M2_FNUZ": ml_dtypes.float8_e5m2fnuz,
}  # fmt: skip


def fp8_rows() -> Iterator[Row]:
    """Conversions of 8-bit floats: to them as bits, but that one NaN is as good as another."""
    for kind, dtype in FP8.items():
        largest = float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]

        def stored(x: Numbers, t: Any = dtype, top: float = largest) -> Numbers:
            held = np.clip(x.astype(np.float64), -top, top).astype(t).astype(np.float32)
            return np.where(np.isnan(x), np.nan, held)

        for name, letter in (("__hip_cvt_float_to_fp8", "f"), ("__hip_cvt_double_to_fp8", "d")):
            back = f"__hip_cvt_fp8_to_float({name}(a, __HIP_SATFINITE, {kind}), {kind})"
            yield Row(name, letter + "f", stored, back, 0)
        halves = f"__half2float(__half(__hip_cvt_fp8_to_halfraw(a & 0xff, {kind})))"
        bits = lambda x, t=dtype: x.astype(np.uint8).view(t).astype(np.float32)  # noqa: E731
        yield Row("__hip_cvt_fp8_to_halfraw", "uf", bits, halves, 0)
        raw = f"__hip_cvt_fp8_to_float(__hip_cvt_halfraw_to_fp8(a, __HIP_SATFINITE, {kind}), {kind})"
        yield Row("__hip_cvt_halfraw_to_fp8", "hf", stored, raw, 0)
        small = f"__hip_cvt_fp8_to_float(__hip_cvt_bfloat16raw_to_fp8(a, __HIP_SATFINITE, {kind}), {kind})"
        yield Row("__hip_cvt_bfloat16raw_to_fp8", "bf", stored, small, 0)


# -- complex --------------------------------------------------------------------------------------------------------


def complex_rows() -> Iterator[Row]:
    """Complex numbers of real parts a and c, imaginary parts b and d: the real part of what comes out."""
    for kind, f, make in (("f", "f", "make_hipFloatComplex"), ("d", "", "make_hipDoubleComplex")):
        p, q = f"{make}(a, b)", f"{make}(c, d)"
        five = 5 * kind
        yield Row(f"hipCreal{f}", 3 * kind, lambda x, y: x, f"hipCreal{f}({p})", 0)
        yield Row(f"hipCimag{f}", 3 * kind, lambda x, y: y, f"hipCimag{f}({p})", 0)
        yield Row(f"hipConj{f}", 3 * kind, lambda x, y: -y, f"hipConj{f}({p}).y", 0)
        yield Row(f"hipCsqabs{f}", 3 * kind, lambda x, y: x * x + y * y, f"hipCsqabs{f}({p})", 2)
        yield Row(f"hipCadd{f}", five, lambda x, y, z, w: x + z, f"hipCadd{f}({p}, {q}).x", 0.51)
        yield Row(f"hipCsub{f}", five, lambda x, y, z, w: y - w, f"hipCsub{f}({p}, {q}).y", 0.51)
    yield Row("make_hipComplex", "fff", lambda x, y: y, "make_hipComplex(a, b).y", 0)


def all_rows() -> list[Row]:
    """The whole table."""
    groups = (
        math_rows,
        rounding_rows,
        conversion_rows,
        integer_rows,
        small_float_rows,
        fp8_rows,
        complex_rows,
    )
    return [row for group in groups for row in group()]
