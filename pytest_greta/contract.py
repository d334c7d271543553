"""What a kernel family must hold to. The one place that asks an author's methods, and refuses what they must not say.

A mistake in a registered family is a ConfigError when pytest starts; one in what a method returns is a KernelMistake,
which fails the test with one line. Exceptions of the author's own code pass through with their traceback.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_greta import sources
from pytest_greta.contract_values import value_problem
from pytest_greta.dtypes import default_max_error, dtype_of, is_integer, is_number, is_real
from pytest_greta.errors import KernelMistake
from pytest_greta.kernel import Array, Kernel, Launch, Variant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_greta.kernel import Problem

_NAME = re.compile(r"[A-Za-z_]\w*")
_MAX_BLOCK_THREADS = 1024  # of every AMD GPU (hipDeviceProp_t.maxThreadsPerBlock)
_MAX_GRID_THREADS = 1 << 32  # HIP: "the number of threads in a dimension must be less than 2^32"


# -- registration ----------------------------------------------------------------------------------------


def registration_problems(registered: Sequence[Any]) -> Iterator[str]:
    """What is wrong with the families that `pytest_greta_kernels` returned, a line each."""
    names = set()
    for kernel in registered:
        if not isinstance(kernel, Kernel):
            what = f"the class {kernel.__name__}" if isinstance(kernel, type) else repr(kernel)
            yield f"pytest_greta_kernels returns instances of pytest_greta.Kernel, not {what}"
            continue
        name = getattr(kernel, "name", None)
        where = f"kernel {type(kernel).__name__}"
        if not isinstance(name, str) or not name:
            yield f"{where}: name is {name!r}, not a text"
            continue
        where = f"kernel {name!r}"
        if name in names:
            yield f"{where} is registered twice"
        names.add(name)
        yield from (f"{where}: {problem}" for problem in _family_problems(kernel))


def _family_problems(kernel: Kernel) -> Iterator[str]:
    variants = getattr(kernel, "variants", None)
    if not isinstance(variants, (list, tuple)) or not variants:
        yield f"variants is {variants!r}, not a list or tuple of at least one Variant"
        return
    for sizes in ("sizes", "cpu_sizes"):
        given = getattr(kernel, sizes)
        if not isinstance(given, Mapping) or not all(
            isinstance(k, str) and (_positive(v) or (isinstance(v, str) and v)) for k, v in given.items()
        ):
            yield f"{sizes} is {given!r}, not a mapping from names to whole numbers above 0 or texts"
    yield from _target_problems(kernel.targets)
    yield from sources.family_problems(kernel)
    if kernel.max_context is not None and not _positive(kernel.max_context):
        yield f"max_context is {kernel.max_context!r}, not a whole number above 0"
    limit = kernel.max_error
    limits = list(limit.values()) if isinstance(limit, Mapping) else [] if limit is None else [limit]
    if not all(isinstance(one, (int, float)) and math.isfinite(one) and one >= 0 for one in limits):
        yield f"max_error is {limit!r}, not a number of 0 or more, or one for each output"
    names = [variant.name for variant in variants if isinstance(variant, Variant)]
    yield from (f"variant {name!r} is there twice" for name in dict.fromkeys(names) if names.count(name) > 1)
    for variant in variants:
        if not isinstance(variant, Variant):
            yield f"variants has {variant!r}, which is no Variant"
            continue
        yield from (f"variant {variant.name!r}: {problem}" for problem in _variant_problems(kernel, variant))


def _target_problems(targets: object) -> Iterator[str]:
    if targets is None:
        return
    if isinstance(targets, str) or not isinstance(targets, Sequence) or not targets:
        yield f"targets is {targets!r}, not a list of targets such as ('gfx942',)"
    elif not all(isinstance(target, str) and target.startswith("gfx") for target in targets):
        yield f"targets has {targets!r}; a target reads like gfx942"


def _variant_problems(kernel: Kernel, variant: Variant) -> Iterator[str]:
    for field in ("name", "entry"):
        value = getattr(variant, field)
        if not isinstance(value, str) or not value:
            yield f"{field} is {value!r}, not a text"
            return
    if variant.max_context is not None and not _positive(variant.max_context):
        yield f"max_context is {variant.max_context!r}, not a whole number above 0"
    yield from _define_problems(variant.defines)
    yield from _target_problems(variant.targets)
    yield from sources.variant_problems(kernel, variant)


# -- what the methods return -----------------------------------------------------------------------------


def refusal(kernel: Kernel, problem: Problem, variant: Variant) -> str:
    """Why a variant cannot process a problem; empty where it can."""
    limits = [limit for limit in (variant.max_context, kernel.max_context) if limit is not None]
    if limits and problem.context > min(limits):
        return f"it processes at most {min(limits)} (max_context)"
    why: object = kernel.refuses(problem, variant)
    if not isinstance(why, str):
        refuse(kernel, "refuses", f"it gives {why!r}, not a text: why it refuses, empty where it does not")
    return why


def defines(kernel: Kernel, problem: Problem, variant: Variant) -> tuple[tuple[str, str], ...]:
    """Preprocessor definitions of a variant for a problem, sorted."""
    given: object = kernel.defines(problem, variant)
    wrong = [*_define_problems(given)]
    if wrong:
        refuse(kernel, "defines", wrong[0])
    assert isinstance(given, Mapping)
    return tuple(sorted((name, str(value)) for name, value in given.items()))


def _define_problems(given: object) -> Iterator[str]:
    if not isinstance(given, Mapping):
        yield f"defines is {given!r}, not a mapping"
        return
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or "\n" in str(value):
            yield f"defines has {name!r}: {value!r}, which is no macro with its value"


def inputs(kernel: Kernel, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    """Fresh inputs."""
    return numpy_arrays(kernel, "inputs", kernel.inputs(problem, rng))


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
    arrays = _arrays(kernel, "outputs", kernel.outputs(problem))
    if not arrays:
        refuse(kernel, "outputs", "there are none")
    rows = kernel.rows(problem)
    if not isinstance(rows, tuple) or not rows or not all(_positive(extent) for extent in rows):
        refuse(kernel, "rows", f"{rows!r} is no tuple of whole numbers above 0")
    for name, array in arrays.items():
        if array.shape[: len(rows)] != rows:
            refuse(
                kernel,
                "rows",
                f"{rows} are not the leading axes of output {name!r}, whose shape is {array.shape}",
            )
    return arrays


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
        carried = is_integer(dtype) and is_real(kernel.decode(name, np.zeros(1, dtype)).dtype)
        if isinstance(own, Mapping) and name in own:
            found[name] = own[name]
        elif is_integer(dtype) and not carried:
            found[name] = None
        else:
            default = default_max_error(
                np.dtype(f"f{dtype.itemsize}") if carried and dtype.itemsize > 1 else dtype
            )
            found[name] = own if isinstance(own, (int, float)) else default
    return found


def workspaces(kernel: Kernel, problem: Problem, variant: Variant) -> dict[str, Array]:
    """Device memory a variant needs besides."""
    return _arrays(kernel, "workspaces", kernel.workspaces(problem, variant))


def reference(
    kernel: Kernel,
    problem: Problem,
    given: Mapping[str, NDArray[np.generic]],
    row: tuple[int, ...],
    expected: Mapping[str, Array],
) -> dict[str, NDArray[np.generic]]:
    """What every output must hold at a row: all of them, in their shapes; reals in float64, whole numbers as given."""
    found = real_arrays(kernel, "reference", kernel.reference(problem, given, row))
    shapes = {name: tuple(array.shape[len(row) :]) for name, array in expected.items()}
    check_shapes(kernel, "reference", found, shapes, "a row of the output")
    return {n: array if is_integer(array.dtype) else array.astype("float64") for n, array in found.items()}


def real_arrays(kernel: Kernel, method: str, returned: object) -> dict[str, NDArray[np.generic]]:
    """What a method returns, as arrays of real numbers by name."""
    import numpy as np

    found = {name: np.asarray(values) for name, values in _mapping(kernel, method, returned).items()}
    for name, array in found.items():
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


def tokens(kernel: Kernel, problem: Problem) -> float:
    """Tokens one launch processes."""
    count: object = kernel.tokens(problem)
    if (
        isinstance(count, bool)
        or not isinstance(count, (int, float))
        or not (math.isfinite(count) and count > 0)
    ):
        refuse(kernel, "tokens", f"{count!r} is no number above 0")
    return float(count)


def work(kernel: Kernel, problem: Problem) -> dict[str, float]:
    """`flops` and `bytes_moved` of a problem, as far as the family says them."""
    found = {}
    for method in ("flops", "bytes_moved"):
        try:
            amount: Any = getattr(kernel, method)(problem)
        except NotImplementedError:
            continue
        if (
            isinstance(amount, bool)
            or not isinstance(amount, numbers.Real)
            or not 0 <= float(amount) < math.inf
        ):
            refuse(kernel, method, f"{amount!r} is no number of 0 or more")
        found[method] = float(amount)
    return found


def launches(kernel: Kernel, problem: Problem, variant: Variant) -> list[Launch]:
    """The launches of a variant, as a GPU could take them."""
    made: object = kernel.launch(problem, variant)
    found = [made] if isinstance(made, Launch) else made
    if not isinstance(found, (list, tuple)) or not found or not all(isinstance(n, Launch) for n in found):
        refuse(kernel, "launch", f"it gives {made!r}, not a Launch or a list of at least one")
    for launch in found:
        problem_found = geometry_problem(launch)
        if problem_found:
            refuse(kernel, "launch", problem_found)
    return list(found)


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
        if not isinstance(value, tuple) or len(value) != 3 or not all(_positive(n) for n in value):
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
        if not isinstance(array.shape, tuple) or not all(_positive(extent) for extent in array.shape):
            refuse(
                kernel, method, f"{name!r} has shape {array.shape!r}, not a tuple of whole numbers above 0"
            )
        try:
            dtype = dtype_of(array.dtype)
        except TypeError:
            refuse(kernel, method, f"{name!r} has dtype {array.dtype!r}, which numpy does not know")
        _check_dtype(kernel, method, name, dtype)
        if not holds(dtype, array.initial):
            what = f"which {dtype} cannot hold; give a number that it can, or the name of an input"
            refuse(kernel, method, f"{name!r} starts with {array.initial!r}, {what}")
    return arrays


def holds(dtype: np.dtype[Any], initial: object) -> bool:
    """Whether an array of a dtype can start with a number; the name of an input is not looked at."""
    import numpy as np

    if initial is None or isinstance(initial, str):
        return True
    if not isinstance(initial, (bool, int, float, np.bool_, np.integer, np.floating)):
        return False
    if not math.isfinite(initial):
        return is_real(dtype)
    if dtype.kind == "b":
        return initial in (0, 1)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return int(initial) == initial and limits.min <= int(initial) <= limits.max
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
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            refuse(kernel, method, f"{name!r} is no name")
    return dict(returned)


def _positive(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) > 0


def refuse(kernel: Kernel, method: str, problem: str) -> NoReturn:
    """Raise the KernelMistake of what a method returned."""
    raise KernelMistake(f"kernel {kernel.name!r}, {method}(): {problem}")
