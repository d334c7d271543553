"""Limits a little above what kernels take today, as lines of gates.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_greta.binaries.kernels import BuiltKernel
from pytest_greta.errors import printable
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.scaffold.naming import plain

GRANULE = 8
"""Registers are set aside in eights or more: the next eight above today's is the least that changes nothing else."""
EXACT = ("scratch_bytes", "vgpr_spills", "sgpr_spills", "lds_bytes", "occupancy")
"""What is held as it is: more scratch, spills or LDS, or fewer wavefronts, is what nobody does by accident."""
ROOM = ("vgprs", "agprs", "sgprs")


def limit_of(gate: str, value: int) -> int:
    """The limit for what is taken today."""
    return (value // GRANULE + 1) * GRANULE if gate in ROOM and value else value


def comment(name: str) -> list[str]:
    """The rule, as a comment of gates.yaml."""
    return [
        f"  # A little more than {printable(name)} takes today: scratch, spills, LDS and occupancy as they are,",
        f"  # registers up to the next multiple of {GRANULE} above.",
    ]


def lines_of(kernels: Sequence[BuiltKernel], indent: str) -> list[str]:
    """The gates of a kernel's code, for all its targets: of several of one target the worst."""
    lines = []
    for gate in (*EXACT, *ROOM):
        limits: dict[str, int] = {}
        for kernel in kernels:
            value = kernel.value(gate)
            if value is not None:
                worse = min if CATALOGUE[gate].better == "higher" else max
                limit = limit_of(gate, value)
                limits[kernel.target] = worse(limit, limits.get(kernel.target, limit))
        if limits:
            lines.append(f"{indent}{gate}: {_limit(gate, limits, {k.target for k in kernels})}")
    return lines


def _limit(gate: str, limits: Mapping[str, int], targets: set[str]) -> str:
    by_limit: dict[int, list[str]] = {}
    for target, limit in limits.items():
        by_limit.setdefault(limit, []).append(target)
    if len(by_limit) == 1 and set(limits) == targets:
        return str(next(iter(by_limit)))
    side = "min" if CATALOGUE[gate].better == "higher" else "max"
    entries = [f"{{{side}: {limit}, targets: {_some(some)}}}" for limit, some in by_limit.items()]
    return entries[0] if len(entries) == 1 else f"[{', '.join(entries)}]"


def _some(targets: Sequence[str]) -> str:
    texts = [plain(target) for target in targets]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
