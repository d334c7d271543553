"""Code held against greta.lock: what got worse fails, what got better is told, and so is what another compiler made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_greta.binaries.changes import Change, changes, worst_of
from pytest_greta.binaries.kernels import BuiltKernel
from pytest_greta.binaries.lock import Entries, Entry, Key, LockFile, united
from pytest_greta.binaries.names import counted
from pytest_greta.compiler.demangling import demangled
from pytest_greta.compiler.names import qualified
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import evaluate
from pytest_greta.gates.model import Gate, Limit, Measurement, Quantity, Verdict

RECORD = "pytest --greta-lock"
MOST_TOLD = 10
"""Kernels of a part and target that are told to have got worse: the first."""
MOST_GONE = 20
"""Entries that no kernel is which are told."""
_MOST_NAMED = 3
"""Kernels that a note names."""
_WORSE = "worse"
_UNRECORDED = "not recorded yet"


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
        held.entries = united([*held.entries.items(), *entries.items()])
        if not is_recording:
            against = _Against(lock, part)
            for target in dict.fromkeys(key.target for key in entries):
                held.verdicts += against.verdicts(
                    {k: e for k, e in entries.items() if k.target == target}, target
                )
            held.notes += against.notes()
    return held


class _Against:
    """A part held against a lock file."""

    def __init__(self, lock: LockFile, part: Part) -> None:
        self._lock, self._part = lock, part
        self._names = {kernel.symbol: kernel.name for kernel in part.kernels}
        self._told: dict[str, list[str]] = {}
        """What is to be told of kernels, with their names."""

    def verdicts(self, found: Entries, target: str) -> Iterator[Verdict]:
        """Of the kernels for a target: what got worse, a verdict for each limit; one for all that did not, one for what
        is not recorded yet, one for what another compiler made.
        """
        held, others, worse, unknown = 0, [], 0, 0
        for key, entry in found.items():
            old = self._lock.entries.get(key)
            if old is None:
                unknown += 1
                self._tell(_UNRECORDED, key)
                continue
            differing = changes(old.figures, entry.figures)
            is_worse = any(change.is_worse for change in differing)
            if old.compiler != entry.compiler:
                others.append((old.compiler, entry.compiler))
                if differing:
                    self._tell(f"{'worse' if is_worse else 'better'} by another compiler", key, differing)
            elif is_worse:
                worse += 1
                self._tell(_WORSE, key)
                if worse <= MOST_TOLD:
                    yield from self._failures(key, old, entry, differing)
            else:
                held += 1
                if differing:
                    self._tell("better", key, differing)
        if held:
            yield self._verdict(held, target, Quantity(True))
        if unknown:
            reason = f"{_UNRECORDED}: {RECORD} records it"
            yield self._verdict(unknown, target, Quantity(None, reason=reason))
        if others:
            yield self._verdict(len(others), target, Quantity(None, reason=_other_compiler(others)))

    def notes(self) -> Iterator[str]:
        """What is to be told of all targets."""
        where = f"{self._lock.shown}: {self._part.of} {self._part.part}"
        for what, names in self._told.items():
            told = f"{where}: {counted(len(names), 'kernel')} {what}"
            named = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
            yield (
                f"{told}; {RECORD} accepts it" if what == _WORSE else f"{told}: {named}; {RECORD} records it"
            )

    def _tell(self, what: str, key: Key, differing: Sequence[Change] = ()) -> None:
        changed = f" ({', '.join(change.text for change in differing)})" if differing else ""
        self._told.setdefault(what, []).append(f"{self._short(key)} @ {key.target}{changed}")

    def _short(self, key: Key) -> str:
        return qualified(self._names[key.symbol])

    def _failures(self, key: Key, old: Entry, new: Entry, differing: Sequence[Change]) -> Iterator[Verdict]:
        quantities = {name: _quantity(value) for name, value in new.figures.items()}
        measurement = Measurement(self._part.of, self._short(key), quantities, target=key.target)
        for change in differing:
            if change.is_worse:
                yield evaluate(self._gate(change, old.line), measurement)

    def _gate(self, change: Change, line: int) -> Gate:
        """The limit that an entry is."""
        is_least = CATALOGUE[change.gate].better == "higher"
        limit = Limit(min=change.old) if is_least else Limit(max=change.old)
        return Gate(change.gate, self._part.of, self._part.part, limit, file=self._lock.shown, line=line)

    def _verdict(self, count: int, target: str, quantity: Quantity) -> Verdict:
        gate = Gate("locked", self._part.of, self._part.part, Limit(equals=True), file=self._lock.shown)
        found = Measurement(self._part.of, counted(count, "kernel"), {"locked": quantity}, target=target)
        return evaluate(gate, found)


def is_unrecorded(verdict: Verdict) -> bool:
    """Whether a verdict says no more than that the lock file does not know kernels yet."""
    return verdict.gate.name == "locked" and verdict.measured.reason.startswith(_UNRECORDED)


def _other_compiler(pairs: Sequence[tuple[str, str]]) -> str:
    """Why kernels that another compiler made are held against nothing. Compilers are called by their first words, where
    these tell them apart.
    """
    both = [[pair[side] or "an unknown compiler" for pair in pairs] for side in (0, 1)]
    short = [[one.partition(" (")[0] for one in some] for some in both]
    if not set(short[0]) & set(short[1]):
        both = short
    before, now = (" and ".join(dict.fromkeys(some)) for some in both)
    return f"recorded of {before}, and this is of {now}: {RECORD} records it"


def _quantity(value: int | None) -> Quantity:
    """A figure, as the gates have it: what nothing bounds is beyond every limit."""
    return Quantity(float("inf"), reason="nothing bounds it") if value is None else Quantity(value)


def nothing_for(
    lock: LockFile, seen: Iterable[Key], groups: Iterable[tuple[str, str, str]] | None
) -> list[tuple[Key, str]]:
    """The entries that no kernel of a session is, with their places; of these groups alone, where not all was read."""
    seen, asked = set(seen), None if groups is None else set(groups)
    gone = [key for key in lock.entries if key not in seen and (asked is None or key.group in asked)]
    return [(key, f"{lock.shown}:{lock.entries[key].line}") for key in gone]


def gone_lines(gone: Sequence[tuple[Key, str]], read: Collection[str]) -> list[str]:
    """Entries that no kernel is, with their places, a line each. Tests read kernels of those that `read` names."""
    if not gone:
        return []
    names = demangled(key.symbol for key, _ in gone[:MOST_GONE])[0]
    more = [f"and {len(gone) - MOST_GONE} more"] if len(gone) > MOST_GONE else []
    told = [
        f"{place}: {_gone(key, names[key.symbol], key.of in read)}; {RECORD} drops it"
        for key, place in gone[:MOST_GONE]
    ]
    return told + more


def _gone(key: Key, name: str, is_read: bool) -> str:
    """What an entry is for, and that there is none; `is_read` says that a test read other kernels of the same."""
    kernel = f"{qualified(name)} ({key.symbol})" if name != key.symbol else name
    if is_read:
        return f"no kernel {kernel} of {key.of} {key.part} for {key.target}"
    return (
        f"no test read any kernel of {key.of}, for which {kernel} of {key.part} for {key.target} is recorded"
    )


def summary_of(old: Mapping[Key, Entry], new: Mapping[Key, Entry]) -> str:
    """What recording changed: `12 kernels (2 new, 1 gone, 3 better, 1 worse)`."""
    both = old.keys() & new.keys()
    differing = [changes(old[key].figures, new[key].figures) for key in both]
    worse = sum(any(change.is_worse for change in some) for some in differing)
    counts = (
        (len(new.keys() - old.keys()), "new"),
        (len(old.keys() - new.keys()), "gone"),
        (sum(map(bool, differing)) - worse, "better"),
        (worse, "worse"),
        (sum(old[key].compiler != new[key].compiler for key in both), "by another compiler"),
    )
    told = ", ".join(f"{count} {what}" for count, what in counts if count)
    return counted(len(new), "kernel") + (f" ({told})" if told else " (nothing changed)")
