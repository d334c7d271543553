"""What a kernel author writes against: Kernel, Variant, Problem, Array and Launch.

A `Kernel` is what is computed: its inputs, its outputs, a float64 reference and the launch geometry.
Its `Variant`s are the implementations, one `.hip` source each. See docs/writing-kernels.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pytest_greta.errors import ConfigError, printable, suggestion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True)
class Variant:
    """One implementation of a kernel: one `.hip` source, or code compiled elsewhere, and the name of its function.

    Subclass it (a frozen dataclass) where the launch geometry of a family needs more fields.
    """

    name: str
    source: str = ""
    """File name of the source, relative to the folder of the module that defines the Kernel class."""
    entry: str = ""
    """Name of the `__global__` function: as it is linked, or as C++ has it, `scale<4>`."""
    max_context: int | None = None
    """Longest context this variant can process; a longer one is left out, with the reason in the summary."""
    defines: Mapping[str, str | int] = field(default_factory=dict)
    """Preprocessor definitions (`-DNAME=value`) the source is compiled with."""
    targets: Sequence[str] | None = None
    """The targets it is written for, such as `("gfx942",)`; None for all. It is not compiled for others."""
    flags: Sequence[str] = ()
    """What its source is compiled with besides, after the kernel's `flags`: `("-ffast-math",)`."""
    include: Sequence[str | Path] = ()
    """Folders of headers, relative to that of the kernel: `("../common",)`. The kernel's `include` comes first."""
    code: str = ""
    """In place of a source: file name of a code object for an AMD GPU (`.hsaco`), or of a bundle of several."""

    @property
    def file(self) -> str:
        """File name of its source, or of its code where that was compiled elsewhere."""
        return self.source or self.code


RESERVED = ("context", "target", "device")
"""What no axis can be called: gates.yaml has keys of its own for these."""

Size: TypeAlias = "int | str"
"""What an axis of a problem may hold: a number (`heads`: 32), or a name (`dtype`: "bf16")."""


class UnknownAxis(KeyError):
    """A name that a problem has no size of."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Problem:
    """One point of a kernel's axes: the context (sequence length), and the other sizes by name."""

    context: int
    sizes: Mapping[str, Size] = field(default_factory=dict)
    """Whole numbers and texts: those of the family, with those of `axes` in their place."""
    axes: Mapping[str, Size] = field(default_factory=dict, compare=False)
    """What gates.yaml or the command line set besides the context: the words for it. Problems of one context and equal
    sizes are the same problem, whatever was set."""
    spelled: bool = field(default=False, compare=False)
    """Its axes are written as `axis=value`, because another problem would be called the same."""

    def __getitem__(self, name: str) -> int:
        """A size that is a number. KeyError for an unknown name, TypeError for a text (`text` gives those)."""
        size = self._size(name)
        if isinstance(size, str):
            raise TypeError(f"{name} of this problem is the text {size!r}; ask for problem.text({name!r})")
        return size

    def text(self, name: str) -> str:
        """A size as text: `dtype`. KeyError for an unknown name."""
        return str(self._size(name))

    def _size(self, name: str) -> Size:
        if name not in self.sizes:
            raise UnknownAxis(f"{name!r} is no axis of this problem; {suggestion(str(name), self.sizes)}")
        return self.sizes[name]

    def __str__(self) -> str:
        """All of it: what history compares by."""
        return " ".join([f"context={self.context}", *(f"{k}={v}" for k, v in self.sizes.items())])

    def __hash__(self) -> int:
        return hash((self.context, frozenset(self.sizes.items())))

    @cached_property
    def id(self) -> str:
        """As in the names of tests: `4096`, `4096-heads4`, `4096-bf16`."""
        return "-".join(filter(None, [str(self.context), self.form]))

    @property
    def form(self) -> str:
        """Its axes without the context: `heads4-bf16`; empty where none was set."""
        return "-".join(_axis_text(name, value, self.spelled) for name, value in self.axes.items())


def _axis_text(name: str, value: Size, spelled: bool) -> str:
    """An axis in an id. Spelled out no two read the same: what could be taken for another axis is in quotes."""
    if not spelled:
        return printable(value) if isinstance(value, str) else f"{name}{value}"
    is_plain = isinstance(value, int) or re.fullmatch(r"[\w.+]+", value, re.ASCII)
    return f"{name}={value if is_plain else repr(value)}"


@dataclass(frozen=True)
class Array:
    """Shape and dtype of an output or workspace, in C order."""

    shape: tuple[int, ...]
    dtype: DTypeLike
    initial: float | str | None = None
    """What it holds before every launch: a number (every element), or what the input of that name holds, whose shape
    and dtype are the same. None for nothing that a kernel may rely on. Restored outside of the time.
    """


Value: TypeAlias = "np.generic | NDArray[np.generic]"
"""What a kernel takes by value: a number, a struct (`np.void`, most often of a structured dtype) or a vector."""


@dataclass(frozen=True)
class Launch:
    """One kernel launch: blocks in the grid, threads in a block, and arguments in the order of the signature.

    An argument is the name of an input, output or workspace, or a value: a numpy scalar (`np.int32(n)`) whose dtype
    is the C type of the parameter, a scalar of a structured dtype for a struct (`np.dtype(..., align=True)` lies in
    memory as in C), or an array of one axis and at most 256 bytes for a vector (`float4`).
    """

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    args: tuple[str | Value, ...]
    dynamic_lds_bytes: int = 0
    entry: str | None = None
    """The `__global__` function, where it is not the variant's own (a variant of several launches)."""


class Kernel:
    """A kernel family. Subclass it, set `name` and `variants`, and write the methods below.

    Register an instance from `conftest.py` with the hook `pytest_greta_kernels`.
    """

    name: ClassVar[str]
    variants: ClassVar[Sequence[Variant]]
    sizes: ClassVar[Mapping[str, Size]] = {}
    """Sizes of the problem besides the context, for example `{"heads": 32, "dtype": "fp16"}`. gates.yaml and
    `--greta-axis` can set each of them: they are the family's axes.
    """
    cpu_sizes: ClassVar[Mapping[str, Size]] = {}
    """Sizes that replace those of `sizes` on the cpu device, which is some thousand times slower."""
    targets: ClassVar[Sequence[str] | None] = None
    """The targets the family is written for; None for all that gates.yaml lists."""
    max_context: ClassVar[int | None] = None
    """Longest context that any variant can process."""
    flags: ClassVar[Sequence[str]] = ()
    """What all sources are compiled with besides: `("-ffast-math",)`."""
    include: ClassVar[Sequence[str | Path]] = ()
    """Folders of headers, relative to that of the kernel: `("../common",)`."""
    max_error: ClassVar[float | Mapping[str, float] | None] = None
    """Largest error allowed where gates.yaml has no `max_error`, of all outputs that are real, or by output; None takes
    the default of each one's dtype.
    """

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """Fresh inputs by name, drawn from `rng` (seeded by greta, another seed for every run)."""
        raise NotImplementedError

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """The outputs by name. Every shape begins with `rows(problem)`."""
        raise NotImplementedError

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """Extent of the leading axes that all outputs share, for example `(heads, context)`.

        A row is one index into them: the unit the reference is computed for.
        """
        raise NotImplementedError

    def reference(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
    ) -> Mapping[str, NDArray[np.generic]]:
        """What every output must hold at `row`, computed in float64 from the inputs; whole numbers as such."""
        raise NotImplementedError

    def reference_all(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]]
    ) -> Mapping[str, NDArray[np.generic]] | None:
        """What every output must hold, all of it at once, each in its own shape; `reference` is not asked then.

        None, where rows are to be sampled: because the whole would take too long, or too much memory.
        """
        return None

    def decode(self, name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Elements of output `name` as the numbers they stand for, in the same shape.

        For types that neither numpy nor ml_dtypes has: packed or scaled integers become fp32 here.
        """
        return values

    def launch(self, problem: Problem, variant: Variant) -> Launch | Sequence[Launch]:
        """The launch (or launches, in order) that computes the outputs."""
        raise NotImplementedError

    def defines(self, problem: Problem, variant: Variant) -> Mapping[str, str | int]:
        """Preprocessor definitions for a problem, where code depends on its sizes: besides those of the variant, in
        whose place they stand where both have one.
        """
        return {}

    def refuses(self, problem: Problem, variant: Variant) -> str:
        """Why a variant cannot process a problem, besides its `max_context`; empty where it can."""
        return ""

    def workspaces(self, problem: Problem, variant: Variant) -> dict[str, Array]:
        """Device memory a variant needs besides inputs and outputs (split-K partials); it holds nothing to rely on."""
        return {}

    def constants(self, problem: Problem, variant: Variant) -> dict[str, Value]:
        """What `__constant__` variables of a variant's source hold, by name: numbers, arrays, structs."""
        return {}

    def variant_inputs(
        self, problem: Problem, variant: Variant, inputs: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, NDArray[np.generic]]:
        """Inputs of one variant alone, derived from those of the family: packed or transposed weights.

        One of a family input's name takes its place for this variant. The reference sees the family's, and an output
        that starts from an input (`Array.initial`) starts from the family's; a workspace from the variant's.
        """
        return {}

    def flops(self, problem: Problem) -> float:
        """Floating-point operations the problem needs (an add and a multiply are two)."""
        raise NotImplementedError

    def bytes_moved(self, problem: Problem) -> float:
        """Fewest bytes that must cross device memory: each input read once, each output written once."""
        raise NotImplementedError

    def tokens(self, problem: Problem) -> int:
        """Tokens one launch processes; the context, unless the kernel says otherwise."""
        return problem.context

    # -- what greta asks; authors do not override these -------------------------------------------------

    @property
    def folder(self) -> Path:
        """Folder of the file that defines the class: sources are found relative to it. OSError where there is none."""
        if self._defined_in is None:
            raise OSError("the class was not defined in a file")
        return Path(self._defined_in).resolve().parent

    _defined_in: ClassVar[str | None] = __file__

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the file of the class statement. Python looks it up by the name of the module, which all conftest.py
        files of a project share.
        """
        super().__init_subclass__(**kwargs)
        cls._defined_in = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001

    def source_path(self, variant: Variant) -> Path:
        """Absolute path of a variant's source, or of its code where that was compiled elsewhere."""
        return self.folder / variant.file

    def flags_of(self, variant: Variant) -> tuple[str, ...]:
        """What a variant's source is compiled with besides: the kernel's flags, then its own."""
        return (*self.flags, *variant.flags)

    def include_of(self, variant: Variant) -> tuple[Path, ...]:
        """Absolute paths of the folders of headers of a variant: the kernel's, then its own."""
        return tuple((self.folder / name).resolve() for name in (*self.include, *variant.include))

    def problem(self, context: int, device: str, axes: Mapping[str, Size] | None = None) -> Problem:
        """The problem at `context`, with other sizes set by `axes`, on a device kind (`hip` or `cpu`).

        Raises ConfigError where an axis of numbers is set to a text, or one of texts to a number.
        """
        axes = axes or {}
        problems = [self.axis_problem(name, size) for name, size in axes.items()]
        if any(problems):
            raise ConfigError(*(f"--greta-axis: {problem}" for problem in problems if problem))
        sizes = {**self.sizes, **(self.cpu_sizes if device == "cpu" else {}), **axes}
        return Problem(context, sizes, axes)

    def axis_problem(self, name: str, size: Size) -> str:
        """Why an axis cannot have a value, if so: it is a text in the place of a number, or the other way round."""
        own = self.sizes.get(name, self.cpu_sizes.get(name, size))
        if isinstance(own, str) == isinstance(size, str):
            return ""
        kind = "a text" if isinstance(own, str) else "a number"
        return f"axis {name!r} of kernel {self.name!r} is {kind} such as {own!r}, not {size!r}"

    def variant(self, name: str) -> Variant:
        """The variant called `name`; KeyError if there is none."""
        return {v.name: v for v in self.variants}[name]
