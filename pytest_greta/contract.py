"""What a kernel family must hold to. The one place that asks an author's methods, and refuses what they must not say.

A mistake in a registered family is a ConfigError when pytest starts (`contract_family.py`); one in what a method
returns, and an exception that it raises, is a KernelMistake, which fails the test with one line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_greta.contract_values import NAME, define_problems, positive, real, rounded_problem, value_problem
from pytest_greta.dtypes import default_max_error, dtype_of, is_integer, is_number, is_real, unknown_dtype
from pytest_greta.errors import KernelMistake, SkippedByKernel, raised, shown
from pytest_greta.kernel import Array, Kernel, Launch, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_greta.kernel import Variant

_MAX_BLOCK_THREADS = 1024  # of every AMD GPU (hipDeviceProp_t.maxThreadsPerBlock)
_MAX_GRID_THREADS = 1 << 32  # HIP: "the number of threads in a dimension must be less than 2^32"


def ask(kernel: Kernel, method: str, *arguments: Any, unwritten: Any = NotImplemented) -> Any:
    """What an author's method answers; `unwritten` where there is none. What it raises is a KernelMistake that says
    where, also an exit of the process: Ctrl-C alone ends a session. Skipping a test is SkippedByKernel.
    """
    try:
        return getattr(kernel, method)(*map(_lent, arguments))
    except (KernelMistake, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, NotImplementedError) and unwritten is not NotImplemented:
            return unwritten
        _refuse_raised(kernel, method, error)


def _refuse_raised(kernel: Kernel, method: str, error: BaseException) -> NoReturn:
    import pytest

    if isinstance(error, pytest.skip.Exception):
        raise SkippedByKernel(error.msg or "skipped") from None
    if isinstance(error, NotImplementedError) and getattr(type(kernel), method) is getattr(Kernel, method):
        other = " and no reference_all()" if method == "reference" else ""
        raise KernelMistake(f"kernel {kernel.name!r} has no {method}(){other}") from None
    is_ours = isinstance(error, ValueError) and "read-only" in str(error)
    hint = "; an array that a method is given cannot be written to: make a new one" if is_ours else ""
    refuse(kernel, method, raised(error, f"class {type(kernel).__name__}") + hint)


def _lent(argument: Any) -> Any:
    """An argument of an author's method as one that can be changed in place without changing what greta holds."""
    if isinstance(argument, Problem):
        return Problem(argument.context, dict(argument.sizes), dict(argument.axes), argument.spelled)
    return dict(argument) if isinstance(argument, dict) else argument


def refusal(kernel: Kernel, problem: Problem, variant: Variant) -> str:
    """Why a variant cannot process a problem; empty where it can."""
    limits = [limit for limit in (variant.max_context, kernel.max_context) if limit is not None]
    if limits and problem.context > min(limits):
        return f"it processes at most {min(limits)} (max_context)"
    why: object = ask(kernel, "refuses", problem, variant)
    if not isinstance(why, str):
        refuse(
            kernel, "refuses", f"it gives {shown(why)}, not a text: why it refuses, empty where it does not"
        )
    return why


def defines(kernel: Kernel, problem: Problem, variant: Variant) -> tuple[tuple[str, str], ...]:
    """Preprocessor definitions of a variant for a problem, sorted: the variant's, and over them the family's."""
    given: object = ask(kernel, "defines", problem, variant)
    wrong = next(define_problems(given), "")
    if wrong:
        refuse(kernel, "defines", wrong)
    assert isinstance(given, Mapping)
    return tuple(sorted((name, str(value)) for name, value in {**variant.defines, **given}.items()))


def inputs(kernel: Kernel, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    """Fresh inputs."""
    return numpy_arrays(kernel, "inputs", ask(kernel, "inputs", problem, rng))


def numpy_arrays(kernel: Kernel, method: str, returned: object) -> dict[str, NDArray[np.generic]]:
    """What a method returns, as arrays by name whose dtypes a buffer can hold."""
    import numpy as np

    found = _mapping(kernel, method, returned)
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            refuse(kernel, method, f"{name!r} is a {type(array).__name__}, not a numpy array")
        _check_dtype(kernel, method, name, array.dtype)
    return found


def same_arrays(
    kernel: Kernel,
    method: str,
    first: Mapping[str, NDArray[np.generic]],
    second: Mapping[str, NDArray[np.generic]],
) -> None:
    """Two draws of inputs are of the same names, shapes and dtypes: only what they hold is drawn."""
    kinds = [{name: (a.shape, a.dtype) for name, a in draw.items()} for draw in (first, second)]
    for name in {**kinds[0], **kinds[1]}:
        then, now = (kind.get(name, "not there") for kind in kinds)
        if then != now:
            refuse(kernel, method, f"{name!r} is {then} in one draw and {now} in the next")


def outputs(kernel: Kernel, problem: Problem) -> dict[str, Array]:
    """The outputs, every one with the rows of the kernel as its leading axes."""
    arrays = _arrays(kernel, "outputs", ask(kernel, "outputs", problem))
    if not arrays:
        refuse(kernel, "outputs", "there are none")
    rows = ask(kernel, "rows", problem)
    if isinstance(rows, tuple) and not rows:
        refuse(
            kernel, "rows", "() names no axis; an output of one number has the shape (1,) and the rows (1,)"
        )
    if not isinstance(rows, tuple) or not all(positive(extent) for extent in rows):
        refuse(kernel, "rows", f"{shown(rows)} is no tuple of whole numbers above 0")
    for name, array in arrays.items():
        if array.shape[: len(rows)] != rows:
            refuse(
                kernel,
                "rows",
                f"{rows} are not the leading axes of output {name!r}, whose shape is {array.shape}",
            )
    return arrays


_REALS = {1: "float8_e4m3fn", 2: "float16", 4: "float32", 8: "float64"}
"""What numbers that are carried as whole ones of a size are taken for."""


def max_errors(kernel: Kernel, problem: Problem) -> dict[str, float | None]:
    """The largest error allowed of every output where gates.yaml says nothing; None for whole numbers: they are exact.

    The family's own limit, else that of the dtype. What `decode` makes a real of is one.
    """
    import numpy as np

    found: dict[str, float | None] = {}
    own, arrays = kernel.max_error, outputs(kernel, problem)
    if isinstance(own, Mapping):
        for name in own:
            if name not in arrays:
                refuse(kernel, "max_error", f"there is no output {name!r}; there is {', '.join(arrays)}")
    for name, array in arrays.items():
        dtype = dtype_of(array.dtype)
        carried = is_real(decode(kernel, name, np.zeros(3, dtype)).dtype) and is_integer(dtype)
        if isinstance(own, Mapping) and name in own:
            found[name] = own[name]
        elif is_integer(dtype) and not carried:
            found[name] = None
        else:
            default = default_max_error(dtype_of(_REALS[dtype.itemsize]) if carried else dtype)
            found[name] = own if isinstance(own, (int, float)) else default
    return found


def decode(kernel: Kernel, name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """What elements of an output stand for: real numbers, as many, in memory of their own or of `values`."""
    import numpy as np

    given = values.view()
    given.flags.writeable = False
    found: Any = ask(kernel, "decode", name, given)
    if found is given:
        return values
    if not isinstance(found, np.ndarray) or found.shape != values.shape:
        what = f"shape {found.shape}" if isinstance(found, np.ndarray) else shown(found)
        expected = f"expected an array of their shape, {values.shape}"
        refuse(kernel, "decode", f"it makes {what} of {values.size} elements of {name!r}; {expected}")
    if not (is_integer(found.dtype) or is_real(found.dtype)):
        refuse(kernel, "decode", f"it makes {name!r} an array of dtype {found.dtype}, not of real numbers")
    return np.array(found)  # the next call may fill the same memory


def workspaces(kernel: Kernel, problem: Problem, variant: Variant) -> dict[str, Array]:
    """Device memory a variant needs besides."""
    return _arrays(kernel, "workspaces", ask(kernel, "workspaces", problem, variant))


def reference(
    kernel: Kernel,
    problem: Problem,
    given: Mapping[str, NDArray[np.generic]],
    row: tuple[int, ...],
    expected: Mapping[str, Array],
) -> dict[str, NDArray[np.generic]]:
    """What every output must hold at a row: all of them, in their shapes; reals in float64, whole numbers as given."""
    found = real_arrays(kernel, "reference", ask(kernel, "reference", problem, given, row))
    shapes = {name: tuple(array.shape[len(row) :]) for name, array in expected.items()}
    check_shapes(kernel, "reference", found, shapes, "a row of the output")
    check_exact(kernel, "reference", found, expected)
    return {
        name: array if is_integer(array.dtype) else array.astype("float64", copy=False)
        for name, array in found.items()
    }


def real_arrays(kernel: Kernel, method: str, returned: object) -> dict[str, NDArray[np.generic]]:
    """What a method returns, as arrays of real numbers by name; copies, as the next call may fill the same memory."""
    import numpy as np

    found: dict[str, NDArray[np.generic]] = {}
    for name, values in _mapping(kernel, method, returned).items():
        try:
            found[name] = array = np.array(values, subok=False)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # lists of several lengths, most often
            refuse(kernel, method, f"{name!r} is no array of numbers: {raised(error)}")
        if not (is_integer(array.dtype) or is_real(array.dtype)):
            refuse(kernel, method, f"{name!r} is of dtype {array.dtype}, not of real numbers")
    return found


def check_shapes(
    kernel: Kernel,
    method: str,
    found: Mapping[str, NDArray[np.generic]],
    shapes: Mapping[str, tuple[int, ...]],
    of: str,
) -> None:
    """All outputs are there, and nothing else, each in the shape that `of` has."""
    if set(found) != set(shapes):
        refuse(kernel, method, f"it gives {sorted(found)}, where the outputs are {sorted(shapes)}")
    for name, array in found.items():
        if array.shape != shapes[name]:
            refuse(kernel, method, f"{name!r} has shape {array.shape}, where {of} has {shapes[name]}")


def check_exact(
    kernel: Kernel, method: str, found: Mapping[str, NDArray[np.generic]], outputs: Mapping[str, Array]
) -> None:
    """Whole numbers are given as such, where they are too large for others."""
    import numpy as np

    for name, array in found.items():
        dtype = dtype_of(outputs[name].dtype)
        wrong = rounded_problem(dtype, array) if is_integer(dtype) else ""
        if wrong and is_integer(decode(kernel, name, np.zeros(3, dtype)).dtype):
            refuse(kernel, method, f"{name!r} {wrong}")


def tokens(kernel: Kernel, problem: Problem) -> float:
    """Tokens one launch processes."""
    count: object = ask(kernel, "tokens", problem)
    number = real(count)
    if number is None or number <= 0:
        refuse(kernel, "tokens", f"{shown(count)} is no number above 0 that a double holds")
    return number


def work(kernel: Kernel, problem: Problem) -> dict[str, float]:
    """`flops` and `bytes_moved` of a problem, as far as the family says them."""
    found = {}
    for method in ("flops", "bytes_moved"):
        amount: object = ask(kernel, method, problem, unwritten=None)
        if amount is None:
            continue
        number = real(amount)
        if number is None or number < 0:
            refuse(kernel, method, f"{shown(amount)} is no number of 0 or more that a double holds")
        found[method] = number
    return found


def launches(kernel: Kernel, problem: Problem, variant: Variant) -> list[Launch]:
    """The launches of a variant, as a GPU could take them."""
    made: object = ask(kernel, "launch", problem, variant)
    found = [made] if isinstance(made, Launch) else made
    if not isinstance(found, (list, tuple)) or not found or not all(isinstance(n, Launch) for n in found):
        refuse(kernel, "launch", f"it gives {shown(made)}, not a Launch or a list of at least one")
    for launch in found:
        problem_found = geometry_problem(launch)
        if problem_found:
            refuse(kernel, "launch", problem_found)
    return [_plain(launch) for launch in found]


def _plain(launch: Launch) -> Launch:
    """Without the class of the author's, which another process could not import."""
    return Launch(launch.grid, launch.block, tuple(launch.args), launch.dynamic_lds_bytes, launch.entry)


def check_arguments(kernel: Kernel, made: Sequence[Launch], known: Sequence[str]) -> None:
    """Every argument of a launch is the name of an array, or a value that a kernel can take."""
    for launch in made:
        for number, argument in enumerate(launch.args, 1):
            if isinstance(argument, str):
                if argument not in known:
                    refuse(
                        kernel, "launch", f"argument {number} is {argument!r}; there is {', '.join(known)}"
                    )
            elif wrong := value_problem(argument):
                refuse(kernel, "launch", f"argument {number} is {wrong}")


def check_names(kernel: Kernel, **groups: Sequence[str]) -> None:
    """Inputs, outputs and workspaces are told apart by their names."""
    owner: dict[str, str] = {}
    for group, names in groups.items():
        for name in names:
            if name in owner:
                refuse(kernel, group, f"{name!r} is the name of one of the {owner[name]} already")
            owner[name] = group


def geometry_problem(launch: Launch) -> str:
    """Why no GPU could take a launch; empty where one could."""
    for axis, value in (("grid", launch.grid), ("block", launch.block)):
        if not isinstance(value, tuple) or len(value) != 3 or not all(positive(n) for n in value):
            return f"{axis} is {value!r}, not three whole numbers above 0"
    if math.prod(launch.block) > _MAX_BLOCK_THREADS:
        return f"a block of {math.prod(launch.block)} threads; a GPU takes {_MAX_BLOCK_THREADS}"
    if any(g * b >= _MAX_GRID_THREADS for g, b in zip(launch.grid, launch.block, strict=True)):
        return f"grid {launch.grid} of blocks {launch.block} has 2^32 threads or more on an axis"
    lds_bytes: object = launch.dynamic_lds_bytes
    if isinstance(lds_bytes, bool) or not isinstance(lds_bytes, int) or not 0 <= lds_bytes <= 160 * 1024:
        return f"dynamic_lds_bytes is {lds_bytes!r}, not a number from 0 to 160 KiB"
    if launch.entry is not None and (not isinstance(launch.entry, str) or not launch.entry):
        return f"entry is {launch.entry!r}, not the name of a function"
    if not isinstance(launch.args, (tuple, list)):
        return f"args is {launch.args!r}, not a tuple"
    return ""


def _arrays(kernel: Kernel, method: str, returned: object) -> dict[str, Array]:
    arrays = _mapping(kernel, method, returned)
    for name, array in arrays.items():
        if not isinstance(array, Array):
            refuse(kernel, method, f"{name!r} is a {type(array).__name__}, not an Array(shape, dtype)")
        if not isinstance(array.shape, tuple) or not all(positive(extent) for extent in array.shape):
            refuse(
                kernel, method, f"{name!r} has shape {array.shape!r}, not a tuple of whole numbers above 0"
            )
        try:
            dtype = dtype_of(array.dtype)
        except Exception:  # numpy has several for what it does not know
            refuse(kernel, method, f"{name!r} has {unknown_dtype(array.dtype)}")
        _check_dtype(kernel, method, name, dtype)
        if not holds(dtype, array.initial):
            what = f"which {dtype} cannot hold; give a number that it can, or the name of an input"
            refuse(kernel, method, f"{name!r} starts with {shown(array.initial)}, {what}")
    # Without the class of the author's, as launches are.
    return {name: Array(array.shape, array.dtype, array.initial) for name, array in arrays.items()}


def holds(dtype: np.dtype[Any], initial: object) -> bool:
    """Whether an array of a dtype can start with a number; the name of an input is not looked at."""
    import numpy as np

    if initial is None or isinstance(initial, str):
        return True
    if not isinstance(initial, (bool, int, float, np.bool_, np.integer, np.floating)):
        return False
    if dtype.kind == "b":
        return initial in (0, 1)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return bool(limits.min <= initial <= limits.max) and int(initial) == initial
    if isinstance(initial, int) and real(initial) is None:  # beyond a double
        return False
    if not math.isfinite(initial):
        return is_real(dtype)
    with np.errstate(all="ignore"):
        held = float(np.full(1, float(initial), dtype)[0])
    return math.isfinite(held) and (held != 0 or initial == 0)


def _check_dtype(kernel: Kernel, method: str, name: str, dtype: np.dtype[Any]) -> None:
    if not is_number(dtype):
        wanted = "a bool, integer or real of at most 8 bytes in this machine's byte order"
        refuse(kernel, method, f"{name!r} has dtype {dtype}; a GPU buffer here holds {wanted}")


def _mapping(kernel: Kernel, method: str, returned: object) -> dict[str, Any]:
    if not isinstance(returned, Mapping):
        refuse(kernel, method, f"it gives {type(returned).__name__}, not a dict by name")
    for name in returned:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            refuse(kernel, method, f"{name!r} is no name")
    return dict(returned)


def refuse(kernel: Kernel, method: str, problem: str) -> NoReturn:
    """Raise the KernelMistake of what a method returned."""
    raise KernelMistake(f"kernel {kernel.name!r}, {method}(): {problem}")
