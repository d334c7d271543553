"""Device memory of a program while it runs, as the amdgpu driver tells it in sysfs: no library, no rights.

The driver lists what each process that computes holds on each GPU, in bytes (`/sys/class/kfd/kfd/proc/PID/vram_GPU`):
what amdsmi and rocm-smi show for a process. Those are pids of the machine; in a container they are others, and what the
GPUs have in use by all processes (`mem_info_vram_used`), less what it was before, stands in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

OWN = "of its own processes"
OF_ALL = "more than before it began, by all processes: the driver does not know this container's"
UNKNOWN = "no amdgpu driver tells of device memory here"
MOST_POINTS = 200
"""Of the course of one run: of a longer one every second, every fourth reading."""
_INITIAL_NAMESPACE = 0xEFFFFFFC
"""The inode of the pid namespace that the machine starts with (PROC_PID_INIT_INO, include/linux/proc_ns.h)."""


@dataclass
class Vram:
    """Readings of one run."""

    sys: Path = Path("/sys")
    is_of_machine: bool | None = None
    """Whether pids here are those of the machine; None to find out."""
    course: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since it began, and bytes."""
    peak_bytes: int | None = None
    _before: int | None = None
    _every: int = 1
    _count: int = 0

    def __post_init__(self) -> None:
        if self.is_of_machine is None:
            self.is_of_machine = _namespace() == _INITIAL_NAMESPACE
        self._before = self._in_use()

    @property
    def how(self) -> str:
        """Whose memory it is, or why it is not known."""
        if self._before is None and not self._lists_processes:
            return UNKNOWN
        return OWN if self._lists_processes else OF_ALL

    def sample(self, seconds: float, pids: Iterable[int]) -> None:
        """Take a reading; `seconds` since it began, `pids` of its processes."""
        if self._lists_processes:
            files = [path for pid in pids for path in (self._processes / str(pid)).glob("vram_*")]
            found: int | None = sum(filter(None, map(_number, files)))
        else:
            now = self._in_use()
            found = None if now is None or self._before is None else max(0, now - self._before)
        if found is None:
            return
        self.peak_bytes = max(self.peak_bytes or 0, found)
        if self._count % self._every == 0:
            self.course.append((round(seconds, 3), found))
            if len(self.course) > MOST_POINTS:
                self.course, self._every = self.course[::2], self._every * 2
        self._count += 1

    @property
    def _processes(self) -> Path:
        return self.sys / "class/kfd/kfd/proc"

    @property
    def _lists_processes(self) -> bool:
        return bool(self.is_of_machine) and self._processes.is_dir()

    def _in_use(self) -> int | None:
        used = [_number(path) for path in self.sys.glob("class/drm/card*/device/mem_info_vram_used")]
        known = [number for number in used if number is not None]
        return sum(known) if known else None


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _namespace() -> int:
    with suppress(OSError):
        return Path("/proc/self/ns/pid").stat().st_ino
    return 0
