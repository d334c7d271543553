"""The checks of memory: what was left unwritten, written outside, changed, or computed wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.device.protocol import BAND_BYTES, LARGE_BYTE, NAN_BYTE
from pytest_greta.dtypes import dtype_of
from pytest_greta.measure import correctness

if TYPE_CHECKING:
    from numpy.typing import NDArray


BANDS = (NAN_BYTE, LARGE_BYTE)


def raw_buffer(body: bytes) -> NDArray[np.uint8]:
    before, after = (bytes([byte]) * BAND_BYTES for byte in BANDS)
    return np.frombuffer(bytearray(before + body + after), np.uint8)


def test_untouched_bands_are_quiet() -> None:
    raw = raw_buffer(b"12345678")
    assert correctness.damaged_bands("out", raw, BANDS) == ""
    assert correctness.body(raw).tobytes() == b"12345678"


@given(st.integers(0, BAND_BYTES - 1), st.booleans())
def test_one_byte_outside_is_found_with_its_distance(offset: int, before: bool) -> None:
    raw = raw_buffer(b"12345678")
    raw[BAND_BYTES - 1 - offset if before else BAND_BYTES + 8 + offset] = 0
    found = correctness.damaged_bands("out", raw, BANDS)
    assert ("before 'out'" in found) == before
    assert (f"nearest: {offset + 1} bytes before" if before else f"nearest: byte {offset} past") in found


@given(st.binary(min_size=1, max_size=40), st.integers(0, 39))
def test_bytes_are_compared_to_the_last_one(data: bytes, at: int) -> None:
    one = np.frombuffer(bytearray(data), np.uint8)
    other = one.copy()
    assert correctness.same_bytes(one, other)
    other[at % len(data)] ^= 1
    assert not correctness.same_bytes(one, other)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_float_left_as_poison_is_unwritten_but_a_computed_nan_is_not(dtype: type) -> None:
    output: NDArray[np.generic] = np.ones((4, 8), dtype)
    output[1, 2] = np.nan
    assert correctness.unwritten("out", [(0xFF, output)]) == ""
    output.view(np.uint8).reshape(-1)[3 * 8 * output.itemsize :] = 0xFF
    assert correctness.unwritten("out", [(0xFF, output)]) == (
        "8 of 32 elements of 'out' were not written, the first at [3, 0]"
    )


def test_an_integer_that_happens_to_be_poison_takes_two_launches_to_judge() -> None:
    first = np.array([1, -1, -1], np.int32)
    second = np.array([1, -1, 0x7F7F7F7F], np.int32)
    assert correctness.unwritten("out", [(0xFF, first)]) == ""
    assert correctness.unwritten("out", [(0xFF, first), (0x7F, second)]).startswith("1 of 3 elements")


@given(st.integers(1, 5000), st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_covering_rows_reach_every_head_both_ends_and_the_borders_of_tiles(
    context: int, heads: int, seed: int
) -> None:
    rows = correctness.covering_rows((heads, context), np.random.default_rng(seed))
    assert all(0 <= head < heads and 0 <= position < context for head, position in rows)
    assert {head for head, _ in rows} == set(range(heads))
    positions = sorted({position for _, position in rows})
    assert (positions[0], positions[-1]) == (0, context - 1)
    assert {n for n in (63, 64, 127, 128, context // 64 * 64) if n < context and context >= 128} <= set(
        positions
    )
    gaps = np.diff(positions)
    assert gaps.size == 0 or gaps.max() <= 2 * -(-context // 48)
    assert len(rows) <= max(heads, 48 + 2 + 4 * 13)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_all_rows_come_once_and_the_two_ends_meet_last(extent: list[int], seed: int) -> None:
    forward, backward = (
        list(rows) for rows in correctness.all_rows(tuple(extent), np.random.default_rng(seed))
    )
    assert sorted(forward) == list(np.ndindex(*extent))
    assert backward == forward[::-1]


EXACT, LOOSE = correctness.Tolerance(0.0), correctness.Tolerance(1e-4)


def errors(
    found: NDArray[np.generic], wanted: NDArray[np.generic], tolerance: correctness.Tolerance = LOOSE
) -> correctness.Errors:
    return correctness.errors_of("y", found, wanted, tolerance, lambda i: (i,))


@given(st.floats(1e-3, 1e3))
def test_the_error_does_not_depend_on_the_scale(scale: float) -> None:
    x = scale * np.array([[1.0, -2.0], [3.0, 0.5]])
    y = 2 * x
    y[1, 1] += 0.06 * scale
    assert errors(y, 2 * x).of_row == pytest.approx(0.01)


def test_special_values_must_match_exactly() -> None:
    x = np.array([[np.nan, 1.0], [np.inf, 2.0], [-np.inf, 1.0], [0.0, 0.0]])
    assert errors(2 * x, 2 * x).of_row == 0
    for row, value in [(0, 1.0), (1, -np.inf), (1, 3.0), (2, np.nan), (3, np.nan)]:
        wrong = 2 * x
        wrong[row, 0] = value
        assert errors(wrong, 2 * x).of_row == np.inf


def test_the_worst_place_is_named() -> None:
    y = np.full((3, 2), 2.0)
    y[2, 0] = 2.5
    found = errors(y, np.full((3, 2), 2.0))
    assert found.of_row == pytest.approx(0.25)
    assert found.row == "'y' at row [2]"


def test_one_large_value_hides_small_ones_from_the_rows_error_and_not_from_allclose() -> None:
    wanted = np.ones((1, 64))
    wanted[0, 0] = 1e5
    y = np.zeros_like(wanted)
    y[0, 0] = 1e5
    close = correctness.Tolerance(1e-4, atol=1e-6, rtol=1e-3)
    found = errors(y, wanted, close)
    assert found.of_row == pytest.approx(1e-5)
    assert found.of_element == pytest.approx(1 / (1e-6 + 1e-3))
    assert found.problem(close) == "its error is 999 times atol + rtol |reference| in 'y' at row [0]"
    assert errors(wanted, wanted, close).problem(close) == ""


def test_allclose_with_a_tolerance_of_zero_asks_for_equality() -> None:
    exact = correctness.Tolerance(1.0, atol=0.0, rtol=0.0)
    assert errors(np.zeros((1, 2)), np.zeros((1, 2)), exact).of_element == 0
    assert errors(np.array([[0.0, 1e-300]]), np.zeros((1, 2)), exact).of_element == np.inf


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_whole_numbers_are_exact_beyond_the_doubles(dtype: type) -> None:
    wanted: NDArray[np.generic] = np.array([2**60, 7], dtype)
    assert errors(wanted.copy(), wanted, EXACT).of_row == 0
    assert errors(np.array([2**60 + 1, 7], dtype), wanted, EXACT) == correctness.Errors(
        np.inf, "'y' at row [0]"
    )
    assert float(2**60) == float(2**60 + 1)  # which is why doubles do not do


def test_signed_and_unsigned_whole_numbers_are_compared_by_value() -> None:
    assert errors(np.array([2**63], np.uint64), np.array([-(2**63)], np.int64), EXACT).of_row == np.inf
    assert errors(np.array([5], np.uint64), np.array([5], np.int64), EXACT).of_row == 0


def test_allclose_does_not_loosen_what_must_be_exact() -> None:
    wanted = np.array([1 << 62, 7])
    found = errors(np.array([(1 << 62) + 100, 7]), wanted, correctness.Tolerance(0.0, atol=1.0))
    assert (found.of_row, found.of_element) == (np.inf, 0)  # doubles do not see the 100


def test_a_byte_that_is_no_bool_is_wrong() -> None:
    wanted = np.array([True, False])
    assert errors(wanted.copy(), wanted, EXACT).of_row == 0
    assert errors(np.array([2, 0], np.uint8).view(bool), wanted, EXACT).of_row == np.inf


def test_numbers_at_the_ends_of_a_type_raise_no_warning() -> None:
    assert errors(np.array([[1.7e308]]), np.array([[1e-30]])).of_row == np.inf
    signaling = np.array([[0x7FA00000]], np.uint32).view(np.float32)
    assert errors(signaling, np.array([[1.0]])).of_row == np.inf


def test_bf16_and_fp8_are_numbers() -> None:
    for dtype in ("bfloat16", "float8_e4m3fn"):
        y = np.array([[1.0, -2.0]]).astype(dtype_of(dtype))
        assert errors(y, np.array([[1.0, -2.0]])).of_row == 0
        assert errors(y, np.array([[1.0, -2.25]])).of_row == pytest.approx(1 / 9)


finite_or_not = st.sampled_from([0.0, -1.0, 2.5, 1e-30, np.nan, np.inf, -np.inf])


@given(st.lists(st.tuples(finite_or_not, finite_or_not), min_size=24, max_size=24), st.integers(1, 7))
def test_all_rows_at_once_have_the_error_of_each_alone(
    pairs: list[tuple[float, float]], at_once: int
) -> None:
    found, expected = np.array(pairs).T.reshape(2, 12, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correctness, "_ELEMENTS_AT_ONCE", at_once)
        whole = errors(found, expected)
    alone = [errors(found[i : i + 1], expected[i : i + 1]).of_row for i in range(12)]
    assert whole.of_row == max(alone)
    assert whole.row == (f"'y' at row [{alone.index(max(alone))}]" if max(alone) else "")


def test_suspects_are_the_rows_that_are_further_apart_than_both_may_be_worst_first() -> None:
    other = np.ones((6, 4), np.float16)
    found = other.copy()
    found[1, 2] += np.float16(0.01)
    found[3] += np.float16(1.0)
    found[4, 0] = np.nan
    found[5, 1] += np.float16(0.001)  # within
    assert correctness.suspects("y", found, other, correctness.Tolerance(2e-3)).tolist() == [4, 3, 1]
    assert correctness.nonfinite("y", found).tolist() == [4]


def test_elements_are_decoded_before_they_are_compared() -> None:
    wanted = np.array([[1.0, -2.0]])
    y = np.array([[0x3F80, 0xC000]], np.uint16)  # bf16

    def decode(name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
        assert name == "y"
        return (values.astype(np.uint32) << 16).view(np.float32)

    assert correctness.errors_of("y", y, wanted, LOOSE, lambda i: (i,), decode).of_row == 0.0
    assert errors(y, wanted).of_row > 1.0


@pytest.mark.parametrize(
    ("dtype", "value", "words"),
    [
        ("float16", 1e5, ", where the reference, 100000, is beyond the largest finite float16, 65504"),
        ("float16", -65520, ", where the reference, -65520, is beyond the largest finite float16, 65504"),
        ("float16", 65504, ""),  # it could have been written
        (
            "bfloat16",
            3.4e38,
            ", where the reference, 3.4e+38, is beyond the largest finite bfloat16, 3.38953e+38",
        ),
        ("float8_e4m3fn", 449, ", where the reference, 449, is beyond the largest finite float8_e4m3fn, 448"),
        ("float32", np.inf, ""),
        ("uint8", 258, ", where the reference, 258, is beyond the largest finite uint8, 255"),
        ("int8", 127, ""),
    ],
)
def test_what_its_dtype_cannot_hold_is_told(dtype: str, value: float, words: str) -> None:
    found = np.zeros((3, 4), dtype_of(dtype))
    wanted = np.zeros((3, 4))
    found[1, 2], wanted[1, 2] = (np.nan if np.dtype(found.dtype).kind not in "iu" else 1, value)
    errors = correctness.errors_of("y", found, wanted, correctness.Tolerance(0.0), lambda n: (n,))
    assert (errors.of_row, errors.row) == (np.inf, f"'y' at row [1]{words}")
