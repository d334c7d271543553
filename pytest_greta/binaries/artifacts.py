"""Artifacts of gates.yaml: the files that its globs find, and the verdicts of the kernels in each."""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_greta.binaries.contents import BinaryProblem
from pytest_greta.binaries.kernels import BinaryFile, BuiltKernel, read_file
from pytest_greta.binaries.locked import HeldParts, Locking, Part
from pytest_greta.binaries.names import matches
from pytest_greta.binaries.selection import Selection, nearest
from pytest_greta.compiler.names import qualified
from pytest_greta.errors import ConfigError, NotForDevice, quote
from pytest_greta.gates.artifacts import ArtifactEntry
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import evaluate, unmatched
from pytest_greta.gates.model import EVERY_VARIANT, Gate, Measurement, Status, Verdict
from pytest_greta.gates.scopes import covers

_WHEEL = re.compile(r"(?P<project>[^-]+)-(?P<version>[^-]+)(-\d[^-]*)?-(?P<tags>[^-]+-[^-]+-[^-]+)\.whl")
"""The name of a wheel (PyPA, "Binary distribution format": a build number may stand before the tags)."""
MOST_FILES = 1000
"""Of one artifact: each is a test of its own."""
MOST_TOLD = 10
"""Kernels that are named of those that one gate fails on one target of a file; the worst."""


@dataclass(frozen=True)
class ArtifactCase:
    """What one test is about: a file of an artifact, or a glob that finds none."""

    artifact: str
    name: str
    """The file, from the folder of the gates file; or the glob."""
    path: Path | None
    missing: str = ""
    """Where was looked for a file in vain."""

    def __str__(self) -> str:
        return f"{self.artifact}-{self.name}"


@dataclass(frozen=True)
class ArtifactResult:
    """The kernels of a file, held against the gates of its artifact."""

    file: BinaryFile
    found: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know although every gate passes: told in the summary."""
    held: HeldParts = field(default_factory=HeldParts)
    """The kernels, held against greta.lock."""

    def verdicts(self) -> list[Verdict]:
        """All that is told: of what passes, one for each gate and target; of the rest the worst kernels."""
        return [*self.found, *self.held.verdicts]


@dataclass
class Artifacts:
    """The artifacts of a session: what was found and read of them."""

    entries: Mapping[str, ArtifactEntry]
    folder: Path
    """That of the gates file."""
    file: str
    """The gates file as messages show it."""
    locking: Locking
    _cases: dict[str, list[ArtifactCase]] = field(default_factory=dict)
    _first: dict[str, ArtifactCase] = field(default_factory=dict)
    """The file of each artifact that was judged first here."""
    _read: dict[tuple[str, Path], BinaryFile] = field(default_factory=dict)

    def cases(self, name: str) -> list[ArtifactCase]:
        """The files of an artifact, in the order of its globs; one in the place of each that finds none.

        Raises ConfigError where there are more than anyone gates.
        """
        if name not in self._cases:
            self._cases[name] = list(self._found(self.entries[name]))
        return self._cases[name]

    def _found(self, entry: ArtifactEntry) -> Iterator[ArtifactCase]:
        seen: set[str] = set()
        for pattern, position in entry.files.items():
            place = f"{self.file}:{position.line}:{position.column}"
            found = glob.glob(pattern, root_dir=self.folder, recursive=True)  # noqa: PTH207 (hidden ones are left out)
            files = [path for path in (self.folder / name for name in sorted(found)) if path.is_file()]
            if len(files) > MOST_FILES:
                many = f"{pattern} finds {len(files)} files; an artifact has at most {MOST_FILES}"
                raise ConfigError(f"{place}: {many}")
            if not files:
                missing = f"no file of artifact {quote(entry.name)}: looked for {pattern} in {self.folder}"
                if found:
                    missing += (
                        f"; that finds folders alone: {pattern.rstrip('/')}/**/*.so is for what is in there"
                    )
                elif pattern.startswith("~"):
                    missing += "; ~ is not expanded: write the folder out"
                yield ArtifactCase(entry.name, pattern, None, f"{place}: {missing}")
            for path in files:
                real = os.path.realpath(path)
                if real not in seen:  # libk.so.1 may be a link to libk.so
                    yield ArtifactCase(entry.name, self._relative(path), path)
                seen.add(real)

    def _relative(self, path: Path) -> str:
        """A file from the folder of the gates file: the same wherever pytest is called."""
        return Path(os.path.relpath(path, self.folder)).as_posix()

    def read(self, case: ArtifactCase) -> BinaryFile:
        """The kernels of a file. Raises BinaryProblem, also where there is no file."""
        if case.path is None:
            raise BinaryProblem(case.missing)
        key = case.artifact, case.path
        if key not in self._read:
            matcher = Matcher(self.entries[case.artifact])
            self._read[key] = read_file(case.path, case.name, matcher.asked)
        return self._read[key]

    def judge(self, case: ArtifactCase, targets: Sequence[str]) -> ArtifactResult:
        """A file held against its gates, of these targets, where some are asked for. What applies to no kernel of the
        whole artifact fails with the file that is judged first, whatever is selected. Raises BinaryProblem, and
        NotForDevice where it has no such target.
        """
        file = self.read(case)
        kernels = Selection(tuple(targets)).of(file.kernels)
        if not kernels and file.kernels:
            there = ", ".join(dict.fromkeys(kernel.target for kernel in file.kernels))
            raise NotForDevice(f"{case.name} holds code for {there}, none for {' or '.join(targets)}")
        entry = self.entries[case.artifact]
        judged = _Judged(entry, kernels)
        found = [*judged.verdicts()]
        if self._first.setdefault(entry.name, case) == case:  # also where it is run again
            found += self._in_vain(entry)
        held = self.locking.hold(self._parts(case, kernels))
        return ArtifactResult(file, tuple(found), (*file.notes, *judged.notes, *held.notes), held)

    def _parts(self, case: ArtifactCase, kernels: Sequence[BuiltKernel]) -> list[Part]:
        """The kernels of a file as a lock file has them: by member, of a wheel without its version."""
        assert case.path is not None
        name, versioned, project = self._relative(case.path), "", ""
        if wheel := _WHEEL.fullmatch(case.path.name):
            project, versioned = f"{wheel['project']}.", f"{wheel['project']}-{wheel['version']}."
            name = f"{name[: -len(wheel[0])]}{wheel['project']}-{wheel['tags']}.whl"
        members: dict[str, list[BuiltKernel]] = {}
        for kernel in kernels:  # of a wheel also in `shop-1.2.data/platlib/libk.so`
            is_versioned = versioned and kernel.member.startswith(versioned)
            member = project + kernel.member[len(versioned) :] if is_versioned else kernel.member
            members.setdefault(member, []).append(kernel)
        return [Part(case.artifact, f"{name} {member}".rstrip(), some) for member, some in members.items()]

    def _in_vain(self, entry: ArtifactEntry) -> Iterator[Verdict]:
        """The gates that are for no kernel of any file. Nothing where one cannot be read: its own test says so."""
        try:
            kernels = [kernel for case in self.cases(entry.name) for kernel in self.read(case).kernels]
        except BinaryProblem:
            return
        matcher = Matcher(entry)
        used = {id(gate) for kernel in kernels for gate in matcher.gates_of(kernel)}
        for gate in entry.gates:
            if id(gate) not in used:
                yield unmatched(gate, ", ".join(gate.targets) or "any target", _why_in_vain(gate, kernels))


def _why_in_vain(gate: Gate, kernels: Sequence[BuiltKernel]) -> str:
    """Why a gate applies to no kernel."""
    is_for_all = gate.variant == EVERY_VARIANT
    meant = [k for k in kernels if is_for_all or matches(gate.variant, k.name, k.symbol)]
    if not meant:
        return f"matches no kernel of artifact {quote(gate.kernel)}; {nearest(gate.variant, kernels)}"
    there = dict.fromkeys(kernel.target for kernel in meant)
    if gate.targets and not any(covers(scope, target) for scope in gate.targets for target in there):
        return f"no kernel that it matches is for {' or '.join(gate.targets)}; there is {', '.join(there)}"
    return "other entries take its place for every kernel that it matches: delete it"


class Matcher:
    """Which gates of an artifact are for a kernel. Remembers names: libraries have the same for every target."""

    def __init__(self, entry: ArtifactEntry) -> None:
        self._entry = entry
        self._patterns: dict[tuple[str, str], frozenset[str]] = {}
        self._gates: dict[tuple[frozenset[str], str], list[Gate]] = {}

    def gates_of(self, kernel: BuiltKernel) -> list[Gate]:
        """The gates of a kernel."""
        return self._gates_of(kernel.name, kernel.symbol, kernel.target)

    def asked(self, name: str, symbol: str, target: str) -> list[str]:
        """The quantities that gates ask of a kernel."""
        return [gate.name for gate in self._gates_of(name, symbol, target)]

    def _gates_of(self, name: str, symbol: str, target: str) -> list[Gate]:
        if (name, symbol) not in self._patterns:
            matching = frozenset(text for text in self._entry.patterns if matches(text, name, symbol))
            self._patterns[name, symbol] = matching
        key = self._patterns[name, symbol], target
        if key not in self._gates:
            self._gates[key] = self._entry.gates_of(*key)
        return self._gates[key]


class _Judged:
    """Verdicts of all kernels of a file, and of these what is told."""

    def __init__(self, entry: ArtifactEntry, kernels: Sequence[BuiltKernel]) -> None:
        self._found: dict[tuple[int, str, Status], list[Verdict]] = {}
        self.notes: list[str] = []
        matcher = Matcher(entry)
        for kernel in kernels:
            measurement = Measurement(
                entry.name, qualified(kernel.name), kernel.quantities, target=kernel.target
            )
            for gate in matcher.gates_of(kernel):
                verdict = evaluate(gate, measurement)
                self._found.setdefault((id(gate), kernel.target, verdict.status), []).append(verdict)

    def verdicts(self) -> Iterator[Verdict]:
        """One for all that pass a gate on a target, with the worst value; the worst of the others."""
        for (_, target, status), some in self._found.items():
            some.sort(key=_badness, reverse=True)
            gate = some[0].gate
            if status is Status.PASS:
                yield replace(some[0], variant=f"{len(some)} kernels" if len(some) > 1 else some[0].variant)
                continue
            yield from some[:MOST_TOLD]
            more = len(some) - MOST_TOLD
            if more > 0:
                self.notes.append(
                    f"{gate.place}  {gate.text} @ {target}: {status.value} for {more} more kernels"
                )


def _badness(verdict: Verdict) -> float:
    value = verdict.measured.value
    if not isinstance(value, (int, float)):
        return math.inf
    return -value if CATALOGUE[verdict.gate.name].better == "higher" else value
