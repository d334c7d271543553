"""Code held against greta.lock: what got worse fails, what got better is told, and so is what another compiler made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_greta.binaries.changes import Change, changes, worst_of
from pytest_greta.binaries.kernels import BuiltKernel
from pytest_greta.binaries.lock import Entries, Entry, Key, LockFile
from pytest_greta.binaries.names import counted, qualified
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import evaluate
from pytest_greta.gates.model import Gate, Limit, Measurement, Quantity, Verdict

RECORD = "pytest --greta-lock"
MOST_TOLD = 20
"""Kernels of a group that are told to have got worse: the first."""
_MOST_NAMED = 3
"""Kernels that a note names."""


@dataclass(frozen=True)
class Part:
    """Kernels that are read together: of a file, or of a variant."""

    of: str
    """The artifact, or the kernel family."""
    part: str
    """The file with its member, or the variant with the form of its code."""
    kernels: Sequence[BuiltKernel]

    def entries(self) -> Entries:
        """What a lock file records of them: of kernels that share a symbol and a target, the worst."""
        groups: dict[Key, list[BuiltKernel]] = {}
        for kernel in self.kernels:
            groups.setdefault(Key(self.of, self.part, kernel.target, kernel.symbol), []).append(kernel)
        return {key: Entry(worst_of(some), some[0].compiler) for key, some in groups.items()}


@dataclass
class HeldParts:
    """Parts held against a lock file."""

    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    entries: Entries = field(default_factory=dict)
    """What they take, for a lock file to come."""


@dataclass(frozen=True)
class Locking:
    """What a session does about its lock file."""

    lock: LockFile
    is_recording: bool = False
    """Whether what is found is to be recorded, and held against nothing."""

    @property
    def is_active(self) -> bool:
        """Whether anything is held or recorded."""
        return self.is_recording or self.lock.is_there

    def hold(self, parts: Iterable[Part]) -> HeldParts:
        """What parts take, held against the lock file where nothing is recorded."""
        return _hold(self.lock, list(parts), self.is_recording) if self.is_active else HeldParts()


def _hold(lock: LockFile, parts: Sequence[Part], is_recording: bool) -> HeldParts:
    held = HeldParts()
    for part in parts:
        entries = part.entries()
        held.entries |= entries
        if is_recording:
            continue
        names = {kernel.symbol: kernel.name for kernel in part.kernels}
        for target in dict.fromkeys(key.target for key in entries):
            found = {key: entry for key, entry in entries.items() if key.target == target}
            group = _Group(lock, part, target, names)
            held.verdicts += group.verdicts(found)
            held.notes += group.notes
    return held


class _Group:
    """The kernels of a part for one target."""

    def __init__(self, lock: LockFile, part: Part, target: str, names: Mapping[str, str]) -> None:
        self._lock, self._part, self._target, self._names = lock, part, target, names
        self.notes: list[str] = []

    def verdicts(self, found: Entries) -> Iterator[Verdict]:
        """What got worse, a verdict for each limit; one for all that did not; one for what cannot be compared."""
        known = {key: self._lock.entries[key] for key in found if key in self._lock.entries}
        comparable = [key for key, old in known.items() if old.compiler == found[key].compiler]
        differing = {key: changes(known[key].figures, found[key].figures) for key in known}
        worse = [key for key in comparable if _is_worse(differing[key])]
        for key in worse[:MOST_TOLD]:
            yield from self._failures(key, known[key], found[key], differing[key])
        held = len(comparable) - len(worse)
        if held:
            yield self._verdict(counted(held, "kernel"), Quantity(True))
        others = [key for key in known if known[key].compiler != found[key].compiler]
        if others:
            why = self._other(others, known, found, differing)
            yield self._verdict(counted(len(others), "kernel"), Quantity(None, reason=why))
        self._note(len(worse) - MOST_TOLD, "kernels more got worse", [])
        if worse:
            self.notes.append(f"{self._lock.shown}: what got worse on purpose is recorded with {RECORD}")
        better = [key for key in comparable if differing[key] and not _is_worse(differing[key])]
        told = [f"{self._short(key)} ({_text(differing[key])})" for key in better]
        self._note(len(better), "kernels got better", told)
        new = [key for key in found if key not in known]
        self._note(len(new), "kernels are not in it", [self._short(key) for key in new])

    def _short(self, key: Key) -> str:
        return qualified(self._names[key.symbol])

    def _failures(self, key: Key, old: Entry, new: Entry, differing: Sequence[Change]) -> Iterator[Verdict]:
        quantities = {name: _quantity(value) for name, value in new.figures.items()}
        measurement = Measurement(self._part.of, self._short(key), quantities, target=self._target)
        for change in differing:
            if change.is_worse:
                yield evaluate(self._gate(change, old.line), measurement)

    def _gate(self, change: Change, line: int) -> Gate:
        """The limit that an entry is."""
        is_least = CATALOGUE[change.gate].better == "higher"
        limit = Limit(min=change.old) if is_least else Limit(max=change.old)
        return Gate(change.gate, self._part.of, self._part.part, limit, file=self._lock.shown, line=line)

    def _verdict(self, what: str, quantity: Quantity) -> Verdict:
        gate = Gate("locked", self._part.of, self._part.part, Limit(equals=True), file=self._lock.shown)
        return evaluate(gate, Measurement(self._part.of, what, {"locked": quantity}, target=self._target))

    def _other(
        self,
        others: Sequence[Key],
        known: Mapping[Key, Entry],
        found: Mapping[Key, Entry],
        differing: Mapping[Key, Sequence[Change]],
    ) -> str:
        """Why kernels that another compiler made are held against nothing."""
        before = " and ".join(dict.fromkeys(known[key].compiler or "an unknown compiler" for key in others))
        now = " and ".join(dict.fromkeys(found[key].compiler or "an unknown compiler" for key in others))
        worse = sum(_is_worse(differing[key]) for key in others)
        better = sum(bool(differing[key]) for key in others) - worse
        differ = f"{worse} got worse and {better} better" if worse or better else "none differs"
        return f"recorded of {before}, and this is of {now}: {differ}; {RECORD} records them"

    def _note(self, count: int, what: str, names: Sequence[str]) -> None:
        if count <= 0:
            return
        named = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
        what = what if count > 1 else what.replace("kernels are", "kernel is").replace("kernels", "kernel")
        where = f"{self._part.of} {self._part.part} @ {self._target}"
        told = f"{self._lock.shown}: {where}: {count} {what}" + (f": {named}" if named else "")
        self.notes.append(f"{told}; {RECORD} records it" if names else told)


def _quantity(value: int | None) -> Quantity:
    """A figure, as the gates have it: what nothing bounds is beyond every limit."""
    return Quantity(float("inf"), reason="nothing bounds it") if value is None else Quantity(value)


def _is_worse(differing: Sequence[Change]) -> bool:
    return any(change.is_worse for change in differing)


def _text(differing: Sequence[Change]) -> str:
    return ", ".join(change.text for change in differing)


def nothing_for(
    lock: LockFile, seen: Iterable[Key], groups: Iterable[tuple[str, str, str]] | None
) -> list[str]:
    """The entries that no kernel of a whole session is, a line each; of these groups alone, where not all was read."""
    seen, asked = set(seen), None if groups is None else set(groups)
    return [
        f"{lock.shown}:{entry.line}: no kernel {key.symbol} of {key.of} {key.part} for {key.target}; {RECORD} drops it"
        for key, entry in lock.entries.items()
        if key not in seen and (asked is None or key.group in asked)
    ]


def summary_of(old: Mapping[Key, Entry], new: Mapping[Key, Entry]) -> str:
    """What recording changed: `12 kernels (2 new, 1 gone, 3 better, 1 worse)`."""
    both = old.keys() & new.keys()
    differing = [changes(old[key].figures, new[key].figures) for key in both]
    worse = sum(map(_is_worse, differing))
    counts = (
        (len(new.keys() - old.keys()), "new"),
        (len(old.keys() - new.keys()), "gone"),
        (sum(map(bool, differing)) - worse, "better"),
        (worse, "worse"),
        (sum(old[key].compiler != new[key].compiler for key in both), "by another compiler"),
    )
    told = ", ".join(f"{count} {what}" for count, what in counts if count)
    return counted(len(new), "kernel") + (f" ({told})" if told else " (nothing changed)")
