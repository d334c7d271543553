"""The checks of memory: what was left unwritten, written outside, changed, or computed wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.device.protocol import BAND_BYTES, CANARY
from pytest_greta.measure import correctness

if TYPE_CHECKING:
    from numpy.typing import NDArray


def raw_buffer(body: bytes) -> NDArray[np.uint8]:
    band = bytes([CANARY]) * BAND_BYTES
    return np.frombuffer(bytearray(band + body + band), np.uint8)


def test_untouched_bands_are_quiet() -> None:
    raw = raw_buffer(b"12345678")
    assert correctness.damaged_bands("out", raw) == ""
    assert correctness.body(raw).tobytes() == b"12345678"


@given(st.integers(0, BAND_BYTES - 1), st.booleans())
def test_one_byte_outside_is_found_with_its_distance(offset: int, before: bool) -> None:
    raw = raw_buffer(b"12345678")
    raw[BAND_BYTES - 1 - offset if before else BAND_BYTES + 8 + offset] = 0
    found = correctness.damaged_bands("out", raw)
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


@given(st.integers(1, 5000), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_sampled_rows_are_valid_and_reach_both_ends(context: int, heads: int, seed: int) -> None:
    rows = correctness.sample_rows((heads, context), np.random.default_rng(seed))
    assert all(0 <= head < heads and 0 <= position < context for head, position in rows)
    positions = [position for _, position in rows]
    assert positions[0] == 0
    assert positions[-1] == context - 1
    gaps = np.diff(positions)
    assert gaps.size == 0 or gaps.max() <= 2 * -(-context // 48)


def doubling_error(x: NDArray[np.generic], y: NDArray[np.generic]) -> float:
    rows = [(i,) for i in range(len(x))]
    return correctness.max_error({row: {"y": 2 * x[row]} for row in rows}, {"y": y})[0]


@given(st.floats(1e-3, 1e3))
def test_the_error_does_not_depend_on_the_scale(scale: float) -> None:
    x = scale * np.array([[1.0, -2.0], [3.0, 0.5]])
    y = 2 * x
    y[1, 1] += 0.06 * scale
    assert doubling_error(x, y) == pytest.approx(0.01)


def test_special_values_must_match_exactly() -> None:
    x = np.array([[np.nan, 1.0], [np.inf, 2.0], [-np.inf, 1.0], [0.0, 0.0]])
    assert doubling_error(x, 2 * x) == 0
    for row, value in [(0, 1.0), (1, -np.inf), (1, 3.0), (2, np.nan), (3, np.nan)]:
        wrong = 2 * x
        wrong[row, 0] = value
        assert doubling_error(x, wrong) == np.inf


def test_the_worst_place_is_named() -> None:
    x = np.ones((3, 2))
    y = 2 * x
    y[2, 0] = 2.5
    error, place = correctness.max_error({(row,): {"y": 2 * x[row]} for row in range(3)}, {"y": y})
    assert error == pytest.approx(0.25)
    assert place == "'y' at row [2]"


finite_or_not = st.sampled_from([0.0, -1.0, 2.5, 1e-30, np.nan, np.inf, -np.inf])


@given(st.lists(st.tuples(finite_or_not, finite_or_not), min_size=24, max_size=24), st.integers(1, 7))
def test_all_rows_at_once_have_the_error_of_each_alone(
    pairs: list[tuple[float, float]], at_once: int
) -> None:
    found, expected = np.array(pairs).T.reshape(2, 4, 3, 2)
    rows = list(np.ndindex(4, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correctness, "_ELEMENTS_AT_ONCE", at_once)
        whole = correctness.max_error_of_all({"y": expected}, 2, {"y": found})
    assert whole == correctness.max_error({row: {"y": expected[row]} for row in rows}, {"y": found})


def test_the_default_error_follows_the_coarsest_output() -> None:
    assert correctness.default_max_error([np.dtype(np.float32), np.dtype(np.float16)]) == 1e-2
    assert correctness.default_max_error([np.dtype(np.float64)]) == 1e-10
    assert correctness.default_max_error([np.dtype(np.int32)]) == 0


def test_elements_are_decoded_before_they_are_compared() -> None:
    expected: dict[tuple[int, ...], dict[str, NDArray[np.float64]]] = {(0,): {"y": np.array([1.0, -2.0])}}
    y = np.array([[0x3F80, 0xC000]], np.uint16)  # bf16

    def decode(name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
        assert name == "y"
        return (values.astype(np.uint32) << 16).view(np.float32)

    assert correctness.max_error(expected, {"y": y}, decode)[0] == 0.0
    assert correctness.max_error(expected, {"y": y})[0] > 1.0
