"""What arrays must hold to: what a variant derives, where arrays start from, what constants hold, the reference of all
outputs at once.

Part of the contract (`contract.py`) that needs more than one method's answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_greta.contract import (
    ask,
    check_exact,
    check_shapes,
    numpy_arrays,
    outputs,
    real_arrays,
    refuse,
    workspaces,
)
from pytest_greta.dtypes import dtype_of
from pytest_greta.kernel import Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_greta.kernel import Kernel, Problem, Variant


def variant_inputs(
    kernel: Kernel, problem: Problem, variant: Variant, given: Mapping[str, NDArray[np.generic]]
) -> dict[str, NDArray[np.generic]]:
    """The inputs of one variant alone, derived from the family's."""
    own = numpy_arrays(kernel, "variant_inputs", ask(kernel, "variant_inputs", problem, variant, given))
    if own:
        taken = {
            **dict.fromkeys(outputs(kernel, problem), "outputs"),
            **dict.fromkeys(workspaces(kernel, problem, variant), "workspaces"),
        }
        for name in own:
            if name in taken:
                refuse(kernel, "variant_inputs", f"{name!r} is the name of one of the {taken[name]} already")
    return own


def reference_all(
    kernel: Kernel, problem: Problem, given: Mapping[str, NDArray[np.generic]], expected: Mapping[str, Array]
) -> dict[str, NDArray[np.generic]] | None:
    """What every output must hold, all of it, in their shapes and as real numbers; None where rows are sampled."""
    returned: object = ask(kernel, "reference_all", problem, given)
    if returned is None:
        return None
    found = real_arrays(kernel, "reference_all", returned)
    shapes = {name: tuple(array.shape) for name, array in expected.items()}
    check_shapes(kernel, "reference_all", found, shapes, "the output")
    check_exact(kernel, "reference_all", found, expected)
    return found


def constants(kernel: Kernel, problem: Problem, variant: Variant) -> dict[str, bytes]:
    """The bytes of what `__constant__` variables hold."""
    import numpy as np

    returned, found = ask(kernel, "constants", problem, variant), {}
    if not isinstance(returned, Mapping):
        refuse(
            kernel, "constants", f"a {type(returned).__name__}, not a dict of what variables hold, by name"
        )
    for name, value in returned.items():
        if not isinstance(name, str):  # any text: of C++, as `app::scale`
            refuse(
                kernel, "constants", f"{name!r} is no name of a variable; expected a text such as 'weights'"
            )
        if isinstance(value, np.ndarray | np.generic) and value.dtype.hasobject:
            refuse(kernel, "constants", f"{name!r} holds Python objects; give it a dtype such as np.float32")
        if not isinstance(value, np.ndarray | np.generic):
            refuse(kernel, "constants", f"{name!r} is a {type(value).__name__}, not a numpy array or scalar")
        found[name] = value.tobytes()
    return found


def check_origins(
    kernel: Kernel, method: str, arrays: Mapping[str, Array], given: Mapping[str, Array]
) -> None:
    """Every array that starts from an input has that input's shape and dtype."""
    for name, array in arrays.items():
        problem = origin_problem(array, given)
        if problem:
            refuse(kernel, method, f"{name!r} {problem}")


def origin_problem(array: Array, given: Mapping[str, Array]) -> str:
    """Why an array cannot start from the input it names, if any; empty where it can."""
    if not isinstance(array.initial, str):
        return ""
    if array.initial not in given:
        return f"starts from {array.initial!r}; the inputs are {', '.join(given)}"
    (then, now) = ((dtype_of(a.dtype), tuple(a.shape)) for a in (given[array.initial], array))
    if then == now:
        return ""
    return f"is {now[0]} {list(now[1])} and starts from {array.initial!r}, which is {then[0]} {list(then[1])}"
