"""What a registered kernel family must hold to: every mistake is a line, before anything is asked of its methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_greta import sources
from pytest_greta.contract_values import NAME, define_problems, positive, real
from pytest_greta.errors import raised, shown
from pytest_greta.kernel import RESERVED, Kernel, Variant


def registration_problems(registered: Sequence[Any]) -> Iterator[str]:
    """What is wrong with the families that `pytest_greta_kernels` returned, a line each."""
    names: set[str] = set()
    for kernel in registered:
        yield from _told(kernel, names)


def _told(kernel: Any, names: set[str]) -> list[str]:
    try:
        return list(_kernel_problems(kernel, names))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # by an attribute that is a property
        return [f"kernel {type(kernel).__name__}: {raised(error)}"]


def _kernel_problems(kernel: Any, names: set[str]) -> Iterator[str]:
    """What is wrong with one of them; its name is added to those there are."""
    if not isinstance(kernel, Kernel):
        what = f"the class {kernel.__name__}" if isinstance(kernel, type) else shown(kernel)
        yield f"pytest_greta_kernels returns instances of pytest_greta.Kernel, not {what}"
        return
    name = getattr(kernel, "name", None)
    where = f"kernel {type(kernel).__name__}"
    if not isinstance(name, str) or not name or not name.isprintable():
        yield f"{where}: name is {name!r}, not a text of one line"
        return
    where = f"kernel {name!r}"
    if name in names:
        yield f"{where} is registered twice"
    names.add(name)
    yield from (f"{where}: {problem}" for problem in _family_problems(kernel))


def _family_problems(kernel: Kernel) -> Iterator[str]:
    variants = getattr(kernel, "variants", None)
    if not isinstance(variants, (list, tuple)) or not variants:
        yield f"variants is {shown(variants)}, not a list or tuple of at least one Variant"
        return
    yield from _size_problems(kernel)
    yield from sources.target_problems(kernel.targets)
    yield from sources.family_problems(kernel)
    if kernel.max_context is not None and not positive(kernel.max_context):
        yield f"max_context is {kernel.max_context!r}, not a whole number above 0"
    limit = kernel.max_error
    limits = list(limit.values()) if isinstance(limit, Mapping) else [] if limit is None else [limit]
    numbers = [real(one) for one in limits]
    if any(number is None or number < 0 for number in numbers):
        yield f"max_error is {shown(limit)}, not a number of 0 or more, or one for each output"
    names = [variant.name for variant in variants if isinstance(variant, Variant)]
    yield from (f"variant {name!r} is there twice" for name in dict.fromkeys(names) if names.count(name) > 1)
    for variant in variants:
        if not isinstance(variant, Variant):
            yield f"variants has {variant!r}, which is no Variant"
            continue
        yield from (f"variant {variant.name!r}: {problem}" for problem in _variant_problems(kernel, variant))


def _size_problems(kernel: Kernel) -> Iterator[str]:
    """What is wrong with the axes of a family: those of a cpu are the same, with other values."""
    for sizes in ("sizes", "cpu_sizes"):
        given = getattr(kernel, sizes)
        if not isinstance(given, Mapping) or not all(
            isinstance(k, str) and (positive(v) or (isinstance(v, str) and v)) for k, v in given.items()
        ):
            yield f"{sizes} is {shown(given)}, not a mapping from names to whole numbers above 0 or texts"
            return
        for name in given:
            if not NAME.fullmatch(name) or name in RESERVED:
                yield f"{sizes} has {name!r}: an axis is called by letters, digits and _, not {', '.join(RESERVED)}"
    for name, value in kernel.cpu_sizes.items():
        own = kernel.sizes.get(name)
        if own is None:
            yield f"cpu_sizes has {name!r}, which sizes has not: it replaces values of sizes on the cpu device"
        elif isinstance(own, str) != isinstance(value, str):
            yield f"{name!r} is {own!r} in sizes and {value!r} in cpu_sizes: both are numbers, or both texts"


def _variant_problems(kernel: Kernel, variant: Variant) -> Iterator[str]:
    for field in ("name", "entry"):
        value = getattr(variant, field)
        if field == "entry" and value == "":
            yield "it has no entry: the name of its __global__ function"
            return
        if not isinstance(value, str) or not value or not value.isprintable():
            yield f"{field} is {value!r}, not a text of one line"
            return
    if variant.max_context is not None and not positive(variant.max_context):
        yield f"max_context is {variant.max_context!r}, not a whole number above 0"
    yield from define_problems(variant.defines)
    yield from sources.target_problems(variant.targets)
    yield from sources.variant_problems(kernel, variant)
