"""Outputs that are near to an earlier one, or not by one element: what every device has to tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from pytest_greta.device import Work
from pytest_greta.device.protocol import NUMBERS, Near
from pytest_greta.dtypes import bits_of, dtype_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pytest_greta.device import BoundLaunch
    from pytest_greta.device.protocol import Launched

ROWS, WIDTH = 37, 21  # an odd number of elements: the last one fills no 16 bytes


@dataclass(frozen=True)
class Case:
    """An output, what it is held against, and how many of its elements are beyond that."""

    number: str
    first: NDArray[np.generic]
    output: NDArray[np.generic]
    allowed: NDArray[np.float32]
    beyond: int
    rtol: float = 0.0
    row_elements: int = WIDTH

    def near(self, first: Any, allowed: Any) -> Near:
        """What a device is told, where the arrays are there."""
        return Near(first, allowed, self.row_elements, self.number, self.rtol)


def _finfo(number: str) -> Any:
    info: Any = ml_dtypes.finfo  # of no type
    return info(dtype_of(number))


def _blank(number: str) -> tuple[Any, Any]:
    """An output of ones, and its row limits, which allow nothing."""
    return np.ones((ROWS, WIDTH), dtype_of(number)), np.zeros((ROWS, 2), np.float32)


def _distances(number: str) -> Iterator[tuple[str, Case]]:
    step = float(_finfo(number).eps)
    for row, place in ((0, 0), (0, WIDTH - 1), (1, 0), (ROWS // 2, 5), (ROWS - 1, WIDTH - 1)):
        for sign in (1, -1):
            for steps, beyond in ((4, 0), (5, 1)):
                first, allowed = _blank(number)
                first *= sign
                output = first.copy()
                output[row, place] = sign * (1 + steps * step)
                allowed[row] = 4 * step, 1
                at = f"{steps}-steps-from-{sign}-at-{row}-{place}"
                yield at, Case(number, first, output, allowed, beyond)
                by_element = allowed.copy()
                by_element[row] = np.inf, 2 * step
                yield f"{at}-of-element", Case(number, first, output, by_element, beyond, 2 * step)


def _specials(number: str) -> Iterator[tuple[str, Case]]:
    nan, inf = np.nan, np.inf
    least = float(_finfo(number).smallest_subnormal)
    pairs = [(nan, 1, 1), (1, nan, 1), (inf, 1, 1), (1, inf, 1), (inf, -inf, 1), (nan, inf, 1)]
    pairs += [(nan, nan, 0), (inf, inf, 0), (0.0, -0.0, 0), (least, -least, 0), (1, 1, 0)]
    for was, found, beyond in pairs:
        first, allowed = _blank(number)
        allowed[:] = np.inf
        output = first.copy()
        first[3, 4], output[3, 4] = was, found
        output[3, 3] = output[3, 5] = output[9, 9] = 2  # within what is allowed, in the same 16 bytes too
        yield f"{found}-for-{was}", Case(number, first, output, allowed, beyond)
    first, allowed = _blank(number)
    output = first.copy()
    first[3, 4], output[3, 4] = nan, nan
    bits_of(output)[3, 4] ^= 1
    yield "another-nan", Case(number, first, output, allowed + np.float32(np.inf), 1)
    for limit, beyond in ((0.0, 1), (least, 0)):
        first, allowed = _blank(number)
        allowed[:] = limit if np.float32(limit) or not limit else 1e-44
        output = first.copy()
        first[5, 6], output[5, 6] = 0, least
        yield f"{beyond}-smallest", Case(number, first, output, allowed, beyond)


CASES = {
    f"{number}-{name}": case
    for number in NUMBERS
    for make in (_distances, _specials)
    for name, case in make(number)
}


def outcome(device: Any, launch: BoundLaunch, case: Case) -> tuple[Launched, bytes]:
    """What a device says of the output of a case, and what it left in the spare buffer; 128 bytes lie before each."""
    ranges = []
    spare = np.zeros_like(case.output)
    for array in (case.output, case.first, case.allowed, spare):
        buffer = device.allocate(128 + array.nbytes)
        device.write(buffer, 128, array.reshape(-1).view(np.uint8).data)
        ranges.append((buffer, 128, array.nbytes))
    (digest,) = device.digests(ranges[1:2])
    device.begin([digest], 1)
    device.enqueue(Work([launch], ranges[:1], ranges[3:], near=[case.near(ranges[1], ranges[2])]))
    found = device.result()
    device.read(ranges[3][0], 128, spare.reshape(-1).view(np.uint8).data)
    for buffer, _, _ in ranges:
        device.free(buffer)
    return found, spare.tobytes()


def check(device: Any, launch: BoundLaunch, case: Case) -> None:
    """A near output is told as such and not kept, another is kept."""
    found, spare = outcome(device, launch, case)
    assert (found.is_near, found.is_kept) == (not case.beyond, bool(case.beyond))
    assert spare == (case.output.tobytes() if case.beyond else bytes(case.output.nbytes))


def check_batch(device: Any, launch: BoundLaunch) -> None:
    """Launches of two outputs, the second of which has to be the same bits: only the first that is neither the same nor
    near is kept.
    """
    ones, other, far = (np.full(100, value, np.float32) for value in (1, 1.25, 2))
    limits = np.full((10, 2), 0.25, np.float32)
    buffers = []
    for array in (ones, ones, ones, limits, ones, ones):
        buffers.append(device.allocate(array.nbytes))
        device.write(buffers[-1], 0, array.view(np.uint8).reshape(-1).data)
    ranges = [
        (buffer, 0, buffer.size_bytes if hasattr(buffer, "size_bytes") else buffer.size) for buffer in buffers
    ]
    digest = b"".join(device.digests([ranges[0], ranges[1]]))
    device.begin([digest] * 5, 2)
    found = []
    for values in ((ones, ones), (other, ones), (other, other), (far, ones), (other, ones)):
        for buffer, array in zip(buffers, values, strict=False):
            device.write(buffer, 0, array.view(np.uint8).data)
        near = [Near(ranges[2], ranges[3], 10, "float32"), None]
        device.enqueue(Work([launch], ranges[:2], ranges[4:], near=near))
        found.append(device.result())
    assert [one.is_near for one in found] == [False, True, False, False, True]
    assert [one.is_kept for one in found] == [False, False, True, False, False]
    for buffer in buffers[4:]:
        kept = np.zeros(100, np.float32)
        device.read(buffer, 0, kept.view(np.uint8).data)
        assert (kept == other).all()
