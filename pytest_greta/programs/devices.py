"""The devices that a program may use, held while it runs: nobody knows which of them it takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pytest_greta.device.places import Guard, Place, Sharing, cpu_places, gpu_places, gpus_of_the_driver

_HIDING = (
    ("ROCR_VISIBLE_DEVICES",),
    ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"),
)
"""Variables that hide GPUs, those of HIP behind that of the driver; the first that is set counts (HIP documentation,
"GPU isolation techniques")."""


class Devices:
    """Holds what programs may use, so that neither another program nor a kernel has it meanwhile."""

    def __init__(
        self,
        sharing: Sharing,
        tell: Callable[[str], None],
        waited: Callable[[], None],
        notes: list[str],
    ) -> None:
        """`tell` gets a line for the person who waits, `waited` is called about once a second meanwhile; `notes` gets
        why nothing could be locked.
        """
        self._sharing, self._tell, self._waited, self._notes = sharing, tell, waited, notes
        self._guards: dict[Place, Guard] = {}

    @contextmanager
    def held(self, node: str, environments: Sequence[Mapping[str, str]]) -> Iterator[None]:
        """Hold what is used on a node (empty: here) by commands with these environments besides that of this process.
        Raises DeviceBusy when another run kept it for too long.
        """
        place = place_of(node, [{**os.environ, **one} for one in environments], self._sharing)
        if place not in self._guards:
            self._guards[place] = Guard(replace(self._sharing, devices=()), self._tell, self._waited)
            self._guards[place].among([place])
        guard = self._guards[place]
        guard.hold()
        try:
            yield
        finally:
            guard.release()
            self._notes += [why for why in (guard.problem, guard.lost) if why and why not in self._notes]


def place_of(node: str, environments: Sequence[Mapping[str, str]], sharing: Sharing) -> Place:
    """All that programs may use, as one: the GPUs that they see; where there is none the CPU, whose cores are locked as
    those of kernels are; another node as a whole, for the runs of this machine.
    """
    if node:
        return Place(0, node, (f"node-{node}",))
    gpus = gpus_of_the_driver()
    if gpus:
        addresses, uuids = zip(*gpus, strict=True)
        seen = sorted({i for environment in environments for i in visible(uuids, environment)})
        places = [gpu_places(addresses)[i] for i in seen]
        name = " and ".join(place.name for place in places) or "no GPU"
    else:
        places, name = cpu_places(sharing, sorted(os.sched_getaffinity(0)), os.environ), "the CPU"
    return Place(0, name, tuple(sorted({lock for place in places for lock in place.locks})))


def visible(uuids: Sequence[str], environment: Mapping[str, str]) -> list[int]:
    """The numbers of the GPUs that a process with such an environment sees, of those with these UUIDs."""
    seen = list(range(len(uuids)))
    for names in _HIDING:
        named = next((environment[name] for name in names if name in environment), None)
        if named is not None:
            seen = _chosen(seen, uuids, named)
    return seen


def _chosen(seen: Sequence[int], uuids: Sequence[str], named: str) -> list[int]:
    """What a variable leaves: numbers among those that are seen, or UUIDs; nothing counts behind what is neither."""
    found: list[int] = []
    for word in map(str.strip, named.split(",")):
        by_uuid = [i for i in seen if uuids[i].lower() == word.lower()]
        if word.isdecimal() and int(word) < len(seen):
            by_uuid = [seen[int(word)]]
        if not by_uuid:
            break
        found += by_uuid
    return found
