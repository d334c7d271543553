"""gates.yaml: read it with `load`, ask it for the gates of a code object or run, hold it against the kernels.

See docs/gates.md for the format; schema.py has it for editors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.errors import ConfigError, shown_path
from pytest_greta.gates import check, choice
from pytest_greta.gates.artifacts import ArtifactEntry
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.choice import NO_PROBLEM
from pytest_greta.gates.evaluation import built_in, for_outputs
from pytest_greta.gates.model import DEFAULT_DEADLINE_SECONDS, Gate, Peak
from pytest_greta.gates.nodes import Node, Position
from pytest_greta.gates.programs import ProgramEntry
from pytest_greta.gates.reader import KernelEntry, Reader
from pytest_greta.gates.scopes import covers
from pytest_greta.gates.values import MOST_NODES, VERSION, TooManyNodes

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Problem, Variant

MAX_FILE_BYTES = 256 * 1024  # a hundred times a real file; YAML of this size takes some seconds to read


@dataclass(frozen=True)
class GateFile:
    """A gates.yaml that was read without a problem."""

    path: str
    """As messages show it: relative to the working directory where it lies in there."""
    targets: tuple[str, ...]
    """What code is generated for on a machine without a GPU; empty where the file lists none."""
    kernels: Mapping[str, KernelEntry]
    peaks: Mapping[str, Peak] = field(default_factory=dict)
    """What devices can do at best, by product name or target."""
    artifacts: Mapping[str, ArtifactEntry] = field(default_factory=dict)
    programs: Mapping[str, ProgramEntry] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    """Where the file lies: what its globs begin from."""
    inconclusive: str = ""
    """What INCONCLUSIVE means for a test: `fail` or `warn`; empty where `--greta-require` decides."""

    def gates_for(
        self,
        kernel: str,
        variant: str,
        *,
        target: str | None = None,
        problems: Sequence[Problem] = (),
        problem: Problem | None = None,
        device: str | None = None,
        entry: str | None = None,
        outputs: Mapping[str, float | None] | None = None,
        baseline: str | None = None,
    ) -> list[Gate]:
        """The gates that apply to one code object (`target`), or to one run (`problem`, `device`).

        A code object is compiled for `problems`, and holds the gates of each. `baseline` is the name of the one that
        the run has, empty where it has none; without it, the first that the file names.
        Both have their built-in gates as well. Those of a run need `entry`, the name of the function asked for, and
        `outputs`, the errors allowed where the file says nothing (see `for_outputs`). `prefill_seconds` and
        `implementation` are there twice where the file adds a limit to the built-in one. A kernel that the file does
        not name has built-in gates only. Raises ValueError where an argument of a run is missing.
        """
        if target is not None:
            groups = self.code_gates(kernel, variant, target, problems or [NO_PROBLEM])
            return [gate for _, gates in groups for gate in gates]
        if problem is None or device is None or entry is None or outputs is None:
            raise ValueError("gates_for needs a target, or problem, device, entry and outputs")
        written = choice.written(self.kernels.get(kernel), variant, problem, device=device, baseline=baseline)
        names = {gate.name for gate in written}
        default = [
            gate
            for gate in built_in(kernel, variant, entry)
            if gate.name not in names or CATALOGUE[gate.name].fixed
        ]
        default += for_outputs(kernel, variant, written, outputs)
        written = [gate for gate in written if not CATALOGUE[gate.name].per_output]
        # `deterministic: false` takes the place of the built-in gate and asks for nothing.
        return default + [gate for gate in written if gate.limit.equals is not False]

    def code_gates(
        self, kernel: str, variant: str, target: str, problems: Sequence[Problem]
    ) -> list[tuple[list[Problem], list[Gate]]]:
        """The gates of one code object, with the problems of `problems` that each is for."""
        return choice.code_gates(self.kernels.get(kernel), kernel, variant, target, problems)

    def baseline_of(self, kernel: Kernel, problem: Problem) -> Variant | None:
        """What a problem's speedups are measured against: of those listed for it, the first that can process it. None
        where none is listed for it.
        """
        return choice.baseline_of(self.kernels[kernel.name], kernel, problem)

    def peak_of(self, device_name: str, target: str) -> Peak:
        """The stated peaks of a device: by its product name, else by its target."""
        by_target = next((peak for name, peak in self.peaks.items() if covers(name, target)), Peak())
        return replace(self.peaks.get(device_name, by_target), file=self.path)

    def caches_of(self, kernel: str) -> str:
        """What caches should hold before a timed launch: `cold` or `warm`, or empty where the file does not say."""
        return self.kernels[kernel].caches if kernel in self.kernels else ""

    def deadline_seconds(self, kernel: str, variant: str, problem: Problem, device: str) -> float:
        """Wall seconds that one request to the device may take."""
        for gate in choice.written(self.kernels.get(kernel), variant, problem, device=device):
            if gate.name == "deadline_seconds" and gate.limit.max is not None:
                return gate.limit.max
        return DEFAULT_DEADLINE_SECONDS

    def check(self, kernels: Sequence[Kernel], unread: Sequence[str] = ()) -> None:
        """Hold what the file says against the registered kernels. Raises ConfigError with all problems.

        `unread` says, a text each, why kernels may be missing.
        """
        by_name = {kernel.name: kernel for kernel in kernels}
        problems = [*check.unknown_names(self.kernels, by_name, unread)]
        if not problems:
            for name, entry in self.kernels.items():
                problems += check.entries_in_vain(entry, by_name[name], self.targets)
        if problems:
            raise ConfigError(*_lines(self.path, problems))


def load(path: str | os.PathLike[str]) -> GateFile:
    """Read a gates.yaml. Raises ConfigError with all problems of the file, each with line and column."""
    return parse(_text(path, shown_path(path)), path)


def parse(text: str, path: str | os.PathLike[str]) -> GateFile:
    """The gates.yaml of this text, at a path. Raises as `load` does."""
    shown = shown_path(path)
    root = compose(text, shown)
    if root is None:
        raise ConfigError(f"{shown}: the file is empty; begin it with 'version: {VERSION}'")
    reader = Reader(shown)
    try:
        reader.file(root)
    except TooManyNodes as error:
        where = f"{shown}:{error.position.line}:{error.position.column}"
        many = f"more than {MOST_NODES} entries, each alias counted with all that it stands for"
        raise ConfigError(f"{where}: {many}; no gates file needs so many") from None
    if reader.problems:
        raise ConfigError(*_lines(shown, reader.problems))
    return GateFile(
        shown,
        reader.targets,
        reader.kernels,
        reader.peaks,
        reader.artifacts,
        reader.programs,
        Path(path).absolute().parent,
        reader.inconclusive,
    )


def compose(text: str, shown: str) -> Node:
    """The nodes of a YAML file; None where it is empty. Raises ConfigError. `shown` is the file as messages have it."""
    import yaml  # only here: a session without a gates file does not pay for it

    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        where = _at(shown, text[: error.position])
        raise ConfigError(f"{where}: the character U+{error.character:04X} is not allowed in YAML") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{shown}:{mark.line + 1}:{mark.column + 1}" if mark else shown
        problem = " ".join(filter(None, [error.context, error.problem]))
        hint = '; a lone * needs quotes: "*"' if error.context == "while scanning an alias" else ""
        raise ConfigError(f"{where}: not valid YAML: {problem}{hint}") from None
    except RecursionError:
        raise ConfigError(f"{shown}: nested too deeply") from None
    except (ValueError, OverflowError) as error:  # an escape for a character that does not exist, for example
        raise ConfigError(f"{shown}: not valid YAML: {error}") from None


def _text(path: str | os.PathLike[str], shown: str) -> str:
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        raise ConfigError(f"{shown}: this is no regular file")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        where = f"looked for {Path(path).absolute()}"
        raise ConfigError(f"{shown}: there is no such file ({where}); --greta-gates names another") from None
    except IsADirectoryError:
        raise ConfigError(f"{shown}: this is a folder, not a gates file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        problem = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{shown}: cannot be read: {problem}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{shown}: larger than {MAX_FILE_BYTES} bytes, which no gates file needs")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = _at(shown, data[: error.start].decode("utf-8-sig", "replace"))
        raise ConfigError(f"{where}: not UTF-8: {error.reason}") from None


def _at(shown: str, before: str) -> str:
    """`path:line:column` of what follows the text `before`."""
    return f"{shown}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _lines(shown: str, problems: Iterable[tuple[Position, str]]) -> list[str]:
    """Problems in the order of the file, one line each; an alias can lead to the same one twice."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: (problem[0].line, problem[0].column))
    return [f"{shown}:{position.line}:{position.column}: {text}" for position, text in ordered]
