"""What brings what is missing here: one command each, for every message that names one."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

CLONE = "PATH/TO/pytest-greta"
"""Where a user has greta's own checkout: it is in no registry."""
HIP_PYTHON = "python -m pip install hip-python"
AMDSMI = "python -m pip install /opt/rocm/share/amd_smi"
_HIP_RUNTIME = {"debian": "sudo apt install libamdhip64-dev", "fedora": "sudo dnf install rocm-hip-devel"}
"""By distribution, or what it is like, the package with HIP's runtime and the names that hip-python opens. Source: the
package indexes of both."""


@dataclass(frozen=True)
class Lack:
    """What is missing here, and what to do about it, in one line."""

    text: str
    command: str = ""
    """The one command that mends it; empty where no single command does."""

    def __str__(self) -> str:
        return self.text


def install_extra(extra: str) -> str:
    """The command that brings an extra: its packages, by the metadata of this one; greta's checkout where there are
    none, or those of an older release.
    """
    try:
        needed = importlib.metadata.requires("pytest-greta") or []
    except importlib.metadata.PackageNotFoundError:
        needed = []
    marker = re.compile(rf"extra == ['\"]{extra}['\"]")
    packages = [text.partition(";")[0].strip().replace(" ", "") for text in needed if marker.search(text)]
    return f"python -m pip install {' '.join(map(shlex.quote, packages or [f'{CLONE}[{extra}]']))}"


def extra_text(extra: str) -> str:
    """The same for the end of a sentence, with what it brings."""
    return f"{install_extra(extra)} (the extra {extra!r})"


def hip_runtime_command() -> str:
    """What installs HIP's runtime on this distribution; empty for one whose packages are not known."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return ""
    names = [system.get("ID", ""), *system.get("ID_LIKE", "").split()]
    return next((_HIP_RUNTIME[name] for name in names if name in _HIP_RUNTIME), "")


def amdsmi_command() -> str:
    """What installs ROCm's own amdsmi; empty where ROCm does not bring it."""
    return AMDSMI if Path(AMDSMI.rpartition(" ")[2]).is_dir() else ""


def fitting_hip_python(rocm: Path) -> str:
    """What installs the hip-python of an installed ROCm; empty where its version is not known."""
    try:
        release = re.match(r"(\d+\.\d+)\.", (rocm / ".info/version").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        release = None
    return f"python -m pip install {shlex.quote(f'hip-python=={release[1]}.*')}" if release else ""
