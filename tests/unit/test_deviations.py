"""What later outputs are allowed to lie from the first: never more than the tolerance leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from pytest_greta.device.protocol import NEAR
from pytest_greta.device.worker import Worker
from pytest_greta.dtypes import dtype_of
from pytest_greta.errors import DeviceFault
from pytest_greta.gates.model import Expected, Gate, Limit
from pytest_greta.kernel import Array, Kernel, Problem
from pytest_greta.measure.buffers import Buffers
from pytest_greta.measure.correctness import Tolerance, distances, errors_of
from pytest_greta.measure.deviations import Deviations, allowances
from pytest_greta.measure.reference import Reference
from pytest_greta.planner import tolerances

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from pytest_greta.device.protocol import BufferPlan

ROWS, WIDTH = 50, 8
PROBLEM = Problem(ROWS)
LIMIT = Tolerance(1e-2)
CLOSE = Tolerance(1e-2, atol=2e-3, rtol=4e-3)


class Family(Kernel):
    name = "family"

    def rows(self, problem: Problem) -> tuple[int, ...]:
        return (problem.context,)


class Decoding(Family):
    def decode(self, name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
        return values


def reference(
    wanted: NDArray[Any], known: str = "whole", rows: range = range(0), kernel: Kernel | None = None
) -> Reference:
    """One that knows all of an output `y`, has it verified, or neither; and some rows in float64."""
    made = Reference(
        kernel or Family(), PROBLEM, {}, {"y": Array(wanted.shape, wanted.dtype)}, iter(()), None
    )
    if known:
        setattr(made, known, {"y": wanted})
    made.rows = {(row,): {"y": wanted[row].astype(np.float64)} for row in rows}
    return made


def drawn(dtype: DTypeLike = np.float32, seed: int = 0) -> NDArray[Any]:
    values = np.random.default_rng(seed).standard_normal((ROWS, WIDTH))
    return (values * 10.0 ** (np.arange(ROWS) / 4 - 6)[:, None]).astype(dtype_of(dtype))


def allowed_of(wanted: Reference, first: NDArray[Any], tolerance: Tolerance) -> NDArray[np.float64]:
    """By element, as the device takes it."""
    found = allowances(wanted, "y", {"y": first}, tolerance)
    assert found.dtype == np.float32
    assert found.shape == (ROWS, 2)
    of_row, of_element = found.astype(np.float64).T[:, :, None]
    with np.errstate(invalid="ignore"):
        of_element = of_element + tolerance.rtol * np.abs(first.astype(np.float64))
    least: NDArray[np.float64] = np.fmin(of_row, of_element)
    return least


@pytest.mark.parametrize("tolerance", [LIMIT, CLOSE, Tolerance(1e-9), Tolerance(0.5, 1e-30, 1e-3)])
@pytest.mark.parametrize("known", ["whole", "verified", "rows"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_lies_within_is_within_the_tolerance(seed: int, known: str, tolerance: Tolerance) -> None:
    """And the most that is allowed is nearly all that is left: else nothing would be held on the device."""
    wanted, rng = drawn(np.float64, seed), np.random.default_rng(seed)
    rows = range(ROWS if known == "rows" else 0)
    told = reference(wanted, "" if rows else known, rows)
    scales = np.abs(wanted).max(axis=1, keepdims=True)
    off = np.minimum(
        0.9 * tolerance.max_error * scales, 0.9 * (tolerance.atol + tolerance.rtol * np.abs(wanted).min())
    )
    first = wanted + off * rng.uniform(-1, 1, wanted.shape)
    allowed = allowed_of(told, first, tolerance)
    assert (allowed.max(axis=1) > 0).all()
    for signs in (1, -1, rng.choice([1.0, -1.0], wanted.shape)):
        later = first + signs * np.maximum(allowed, 0)
        while (beyond := np.abs(later - first) > np.maximum(allowed, 0)).any():  # as doubles are rounded
            later = np.where(beyond, np.nextafter(later, first), later)
        for row in range(ROWS):
            errors = errors_of("y", later[[row]], wanted[[row]], tolerance, lambda _: (0,))
            assert errors.problem(tolerance) == "", row


def test_all_that_the_first_leaves_is_allowed() -> None:
    wanted = np.full((ROWS, WIDTH), 100.0)
    first = wanted.copy()
    first[3, 5] += 0.25
    allowed = allowed_of(reference(wanted), first, LIMIT)
    assert allowed[2, 0] == pytest.approx(1.0, rel=1e-6)
    assert allowed[3] == pytest.approx(0.75, rel=1e-6)
    allowed = allowed_of(reference(wanted), first, replace(CLOSE, atol=0.1))
    assert allowed[2, 0] == pytest.approx(0.5, rel=1e-6)
    assert allowed[3, 0] == pytest.approx(0.1 + 0.4 - 0.25 * 1.004, rel=1e-6)


def test_nothing_is_allowed_where_the_first_is_wrong_or_no_number() -> None:
    wanted = drawn()
    first = wanted.copy()
    first[1] *= np.float32(1.02)
    first[2, 3] = np.nan
    first[4, 3] = np.inf
    wanted[5, 3] = np.nan
    for told in (reference(wanted), reference(wanted, "verified"), reference(wanted, "", range(ROWS))):
        for tolerance in (LIMIT, CLOSE):
            assert (allowed_of(told, first, tolerance)[[1, 2, 4, 5]] <= 0).all()
            assert (allowed_of(told, first, LIMIT)[[0, 3, 6]] > 0).all()


def test_a_number_in_the_place_of_none_is_infinitely_far_and_the_same_is_not() -> None:
    wanted = np.array([[1, np.nan], [np.inf, -4], [2, -np.inf], [np.nan, 3], [0, 0]])
    found = np.array([[1.5, np.nan], [5, -4], [np.inf, -np.inf], [2, 3], [0, -0.25]])
    scales, errors = distances(found, wanted)
    assert scales.tolist() == [1, 4, 2, 3, 0]
    assert errors.tolist() == [0.5, np.inf, np.inf, np.inf, 0.25]


def test_a_row_that_has_its_own_nan_may_vary_elsewhere() -> None:
    wanted = drawn()
    wanted[5, 3], wanted[6, 0] = np.nan, -np.inf
    allowed = allowed_of(reference(wanted), wanted.copy(), LIMIT)
    sizes = np.where(np.isfinite(wanted), np.abs(wanted), 0).max(axis=1)
    assert allowed[:, 0] == pytest.approx(1e-2 * sizes, rel=1e-6)


def test_rows_that_were_computed_count_more_than_verified_ones() -> None:
    verified = np.full((ROWS, WIDTH), 100.0, np.float32)
    told = reference(verified, "verified")
    told.rows = {(7,): {"y": np.full(WIDTH, 100.5)}}
    allowed = allowed_of(told, verified, LIMIT)
    assert allowed[7] == pytest.approx(1.005 - 0.5, rel=1e-6)
    assert allowed[8] == pytest.approx(1.0, rel=1e-6)


def test_where_nothing_tells_the_first_is_taken_for_right() -> None:
    first = drawn()
    first[3] = 0
    told = reference(first, "", range(10, 12))
    allowed = allowed_of(told, first, LIMIT)
    sizes = np.abs(first).max(axis=1)
    assert allowed[:, 0] == pytest.approx(1e-2 * sizes, rel=1e-6)
    assert allowed[3, 0] == 0
    assert allowed_of(reference(first), first, LIMIT)[3, 0] == pytest.approx(1e-2)  # zeros are right


class Memory:
    """What `Deviations` asks of the buffers."""

    def __init__(self, fits: int = 99) -> None:
        self.fits, self.is_alive = fits, True
        self.kept: list[str] = []

    def keep(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        if len(self.kept) + len(arrays) > self.fits:
            raise DeviceFault("hipErrorOutOfMemory")
        self.kept += arrays


def deviations(memory: Memory, kernel: Kernel | None = None) -> Deviations:
    return Deviations(kernel or Family(), {"y": None, "n": None}, cast("Buffers", memory))


def near(
    one: Deviations, first: dict[str, NDArray[Any]], told: Reference, limit: Tolerance = LIMIT
) -> list[Any]:
    return list(one.near("candidate", "a", first, told, {"y": limit, "n": Tolerance(0)}))


@pytest.mark.parametrize("number", ["float16", "bfloat16", "float32", "float64"])
def test_a_number_is_held_and_what_is_none_has_its_bits(number: str) -> None:
    first = {"y": np.ones((ROWS, WIDTH), dtype_of(number)), "n": np.arange(ROWS)}
    memory = Memory()
    (held, bits) = near(deviations(memory), first, reference(first["y"]))
    assert bits is None
    assert (held.number, held.row_elements) == (number, WIDTH)
    assert memory.kept == [held.first, held.allowed]


@pytest.mark.parametrize(
    ("dtype", "kernel", "limit"),
    [
        (np.int32, Family(), LIMIT),
        ("float8_e4m3fn", Family(), LIMIT),
        (np.float32, Decoding(), LIMIT),
        (np.float32, Family(), replace(LIMIT, is_exception=True)),
    ],
)
def test_others_are_read(dtype: DTypeLike, kernel: Kernel, limit: Tolerance) -> None:
    first = {"y": np.ones((ROWS, WIDTH), dtype_of(dtype)), "n": np.arange(ROWS)}
    memory = Memory()
    one = deviations(memory, kernel)
    assert not one.can_hold(first, {"y": limit, "n": Tolerance(0)})
    assert near(one, first, reference(first["y"]), limit) == []
    assert memory.kept == []


def test_where_nothing_fits_outputs_are_read() -> None:
    first = {"y": drawn(), "n": np.arange(ROWS)}
    memory = Memory(fits=1)
    one = deviations(memory)
    assert near(one, first, reference(first["y"])) == []
    assert not one.can_hold(first, {"y": LIMIT, "n": Tolerance(0)})
    memory.is_alive = False
    with pytest.raises(DeviceFault):
        near(deviations(memory), first, reference(first["y"]))


def test_it_is_made_once_and_again_where_other_outputs_are_verified() -> None:
    first = {"y": drawn(), "n": np.arange(ROWS)}
    memory, told = Memory(), reference(first["y"], "verified")
    one = deviations(memory)
    assert near(one, first, told) == near(one, first, told)
    assert len(memory.kept) == 2
    told.verified = None
    near(one, first, told)
    assert len(memory.kept) == 4


class Marking:
    """A worker that has buffers which hold nothing."""

    def __init__(self) -> None:
        self.buffers: dict[str, BufferPlan] = {}
        self.alive, self.changed = True, ""

    def allocate(self, buffers: Mapping[str, BufferPlan]) -> None:
        self.buffers |= buffers

    add = allocate

    def write(self, name: str, memory: object) -> None:
        assert name in self.buffers

    def read(self, name: str, memory: object) -> None:
        assert name in self.buffers

    def marks(self, slots: list[str]) -> dict[str, bytes]:
        theirs = [name for name, plan in self.buffers.items() if plan.slot in slots]
        return {name: b"changed" if name == self.changed else b"" for name in theirs}


def test_damage_to_what_is_held_against_is_told() -> None:
    worker = Marking()
    slots = "candidate", "baseline"
    inputs: dict[str, Any] = {slot: {"family": {}} for slot in slots}
    buffers = Buffers(cast("Worker", worker), inputs, {}, {slot: {} for slot in slots})
    place = f"{NEAR}/candidate/a/y first"
    buffers.keep({place: np.ones(4, np.float32)})
    assert buffers.misuse("candidate") == ([], [])
    worker.changed = place
    assert buffers.misuse("baseline") == ([], [])
    assert buffers.misuse("candidate") == ([], ["what launches are held against in 'y' was overwritten"])


def test_a_known_exception_is_no_tolerance_to_hold_on_the_device() -> None:
    limit = Gate("max_error", "family", "*", Limit(max=1e-3))
    known = replace(limit, outputs=("y",), expected=Expected(Limit(max=1e-2), "known"))
    assert tolerances([limit], ["y", "n"]) == {"y": Tolerance(1e-3), "n": Tolerance(1e-3)}
    found = tolerances([replace(limit, outputs=("n",)), known], ["y", "n"])
    assert found == {"y": Tolerance(1e-2, is_exception=True), "n": Tolerance(1e-3)}
