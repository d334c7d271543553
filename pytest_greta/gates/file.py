"""gates.yaml: read it with `load`, ask it for the gates of a code object or run, hold it against the kernels.

See docs/gates.md for the format; schema.py has it for editors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.contract import max_errors, refusal
from pytest_greta.errors import ConfigError
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import built_in, built_in_for_code, for_outputs
from pytest_greta.gates.model import DEFAULT_DEADLINE_SECONDS, EVERY_VARIANT, Gate, Peak
from pytest_greta.gates.nodes import Position, quote, suggestion
from pytest_greta.gates.reader import KernelEntry, Reader
from pytest_greta.gates.scopes import covers, is_there, specificity
from pytest_greta.gates.values import VERSION

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

        A code object is compiled for `problems`: a gate with a `where` applies where one of them lies there. `baseline`
        is the name of the one that the run has, where the file names several.
        Both have their built-in gates as well. Those of a run need `entry`, the name of the function asked for, and
        `outputs`, the errors allowed where the file says nothing (see `for_outputs`). `prefill_seconds` and
        `implementation` are there twice where the file adds a limit to the built-in one. A kernel that the file does
        not name has built-in gates only. Raises ValueError where an argument of a run is missing.
        """
        if target is not None:
            written = self._written(kernel, variant, target=target, problems=problems)
            default = built_in_for_code(kernel, variant, target)
            return [gate for gate in default if gate.name not in {w.name for w in written}] + written
        if problem is None or device is None or entry is None or outputs is None:
            raise ValueError("gates_for needs a target, or problem, device, entry and outputs")
        written = self._written(kernel, variant, problems=[problem], device=device, baseline=baseline)
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

    def baseline_of(self, kernel: Kernel, problem: Problem) -> Variant:
        """What a problem's speedups are measured against: of those listed, the first that can process it."""
        listed = [b for b in self.kernels[kernel.name].baselines if is_there(b.where, problem)]
        named = [kernel.variant(one.variant) for one in listed or self.kernels[kernel.name].baselines]
        return next((v for v in named if not refusal(kernel, problem, v)), named[0])

    def peak_of(self, device_name: str, target: str) -> Peak | None:
        """The stated peaks of a device: by its product name, else by its target."""
        if device_name in self.peaks:
            return self.peaks[device_name]
        return next((peak for name, peak in self.peaks.items() if covers(name, target)), None)

    def deadline_seconds(self, kernel: str, variant: str, problem: Problem, device: str) -> float:
        """Wall seconds that one request to the device may take."""
        for gate in self._written(kernel, variant, problems=[problem], device=device):
            if gate.name == "deadline_seconds" and gate.limit.max is not None:
                return gate.limit.max
        return DEFAULT_DEADLINE_SECONDS

    def check(self, kernels: Sequence[Kernel]) -> None:
        """Hold the names in the file against the registered kernels. Raises ConfigError with all problems."""
        registered = {kernel.name: [variant.name for variant in kernel.variants] for kernel in kernels}
        axes = {kernel.name: {**kernel.sizes, **kernel.cpu_sizes} for kernel in kernels}
        problems: list[tuple[Position, str]] = []
        for entry in self.kernels.values():
            if entry.name not in registered:
                hint = suggestion(entry.name, registered)
                problems.append((entry.position, f"unknown kernel {quote(entry.name)}; {hint}"))
                continue
            variants = registered[entry.name]
            for name, position, what in [
                *((one.variant, one.position, "baseline") for one in entry.baselines),
                *((name, position, "variant") for name, position in entry.variants.items()),
            ]:
                if name not in variants:
                    text = f"unknown {what} {quote(name)} of kernel {quote(entry.name)}"
                    problems.append((position, f"{text}; {suggestion(name, variants)}"))
            for axis, position in entry.axes.items():
                if axis not in axes[entry.name]:
                    hint = suggestion(axis, axes[entry.name])
                    problems.append(
                        (position, f"unknown axis {quote(axis)} of kernel {quote(entry.name)}; {hint}")
                    )
            kernel = next(one for one in kernels if one.name == entry.name)
            outputs = (
                _outputs_of(kernel, entry) if any(CATALOGUE[g.name].per_output for g in entry.gates) else {}
            )
            problems += (
                (Position(gate.line, 1), text)
                for gate in entry.gates
                if outputs and CATALOGUE[gate.name].per_output
                for text in _output_problems(gate, outputs)
            )
        if problems:
            raise ConfigError(*_lines(self.path, problems))
        unmet = [
            gate
            for entry in self.kernels.values()
            for gate in entry.gates
            for kernel in kernels
            if kernel.name == entry.name and gate.expected and not self._is_met(entry, gate, kernel)
        ]
        if unmet:
            advice = "matches no variant, target or context: delete it"
            raise ConfigError(
                *(f"{self.path}:{gate.line}: the `expect` of {gate.name} {advice}" for gate in unmet)
            )

    def _is_met(self, entry: KernelEntry, gate: Gate, kernel: Kernel) -> bool:
        """Whether some code object or run of those the file lists is held against this gate."""
        names = [v.name for v in kernel.variants if gate.variant in (v.name, EVERY_VARIANT)]
        runs = [
            (device, kernel.problem(one.context, device, one.axes))
            for device, listed in entry.problems.items()
            for one in listed
        ]
        if CATALOGUE[gate.name].source == "code":
            problems = [problem for _, problem in runs]
            cases = [
                self._written(entry.name, n, target=t, problems=problems) for n in names for t in self.targets
            ]
            return not self.targets or any(gate in case for case in cases)
        cases = [
            self._written(entry.name, n, problems=[p], device=d, baseline=self.baseline_of(kernel, p).name)
            for n in names
            for d, p in runs
        ]
        return not runs or any(gate in case for case in cases)

    def _written(
        self,
        kernel: str,
        variant: str,
        *,
        target: str | None = None,
        problems: Sequence[Problem] = (),
        device: str | None = None,
        baseline: str | None = None,
    ) -> list[Gate]:
        """The gates of the file for one code object or run: the variant's own before `*`, each name once."""
        entry = self.kernels.get(kernel)
        if entry is None:
            return []
        own = {gate.name for gate in entry.gates if gate.variant == variant}
        baseline = baseline or entry.baselines[0].variant
        best: dict[tuple[str, tuple[str, ...]], Gate] = {}
        for gate in entry.gates:
            definition = CATALOGUE[gate.name]
            applies = (
                definition.source == ("run" if target is None else "code")
                and (gate.variant == variant or (gate.variant == EVERY_VARIANT and gate.name not in own))
                and not (definition.relative and variant == baseline)
                and (not gate.targets or any(covers(scope, target or "") for scope in gate.targets))
                and (not gate.contexts or any(p.context in gate.contexts for p in problems))
                and (not gate.where or any(is_there(gate.where, p) for p in problems))
                and (not gate.devices or device in gate.devices)
            )
            key = (gate.name, gate.outputs)
            if applies and (key not in best or specificity(gate) > specificity(best[key])):
                best[key] = gate
        return list(best.values())


def _outputs_of(kernel: Kernel, entry: KernelEntry) -> dict[str, float | None]:
    """The outputs of the first problem listed, as `max_errors` has them; empty where the family cannot say."""
    listed = next(((device, found[0]) for device, found in entry.problems.items() if found), None)
    if listed is None:
        return {}
    device, one = listed
    try:
        return max_errors(kernel, kernel.problem(one.context, device, one.axes))
    except Exception:  # a mistake of the author: the test that runs it says so
        return {}


def _output_problems(gate: Gate, outputs: Mapping[str, float | None]) -> Iterator[str]:
    """What is wrong with the outputs that an entry names, or does not."""
    for name in gate.outputs:
        if name not in outputs:
            yield f"unknown output {quote(name)} of kernel {quote(gate.kernel)}; {suggestion(name, outputs)}"
    if not gate.outputs and gate.limit.max and all(default is None for default in outputs.values()):
        whole = f"the outputs of kernel {quote(gate.kernel)} are whole numbers, which are exact"
        yield f"{gate.name}: {whole}; name those that need not be under outputs"


def load(path: str | os.PathLike[str]) -> GateFile:
    """Read a gates.yaml. Raises ConfigError with all problems of the file, each with line and column."""
    import yaml  # only here: a session without a gates file does not pay for it

    shown = _shown(path)
    text = _text(path, shown)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
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
    if root is None:
        raise ConfigError(f"{shown}: the file is empty; begin it with 'version: {VERSION}'")
    reader = Reader(shown)
    reader.file(root)
    if reader.problems:
        raise ConfigError(*_lines(shown, reader.problems))
    return GateFile(shown, reader.targets, reader.kernels, reader.peaks, reader.inconclusive)


def _shown(path: str | os.PathLike[str]) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:  # not below the working directory
        return str(path)


def _text(path: str | os.PathLike[str], shown: str) -> str:
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        raise ConfigError(f"{shown}: this is no regular file")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{shown}: there is no such file; --greta-gates names another") from None
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
