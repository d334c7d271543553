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
ROCM_PAGE = "https://rocm.docs.amd.com/projects/install-on-linux/"
"""How AMD installs ROCm."""
OLDEST_HIP = 6
"""The major version of HIP that the oldest hip-python of use is made for."""
_HIP_RUNTIME = {"debian": "sudo apt install libamdhip64-dev", "fedora": "sudo dnf install rocm-hip-devel"}
"""By distribution the package with the names that hip-python opens, libamdhip64.so and libhiprtc.so. Source: the
package indexes of both. What is like them (`ID_LIKE`) has other packages.
"""


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
    """What installs HIP's runtime and hiprtc on this distribution; empty where no package of it brings both.

    Debian 12 and 13, like every release of it up to now, have HIP 5, without libhiprtc.so; what is not released yet
    (testing, unstable) has no VERSION_ID, and HIP 6.
    """
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return ""
    name = system.get("ID", "")
    return "" if name == "debian" and "VERSION_ID" in system else _HIP_RUNTIME.get(name, "")


def amdsmi_command() -> str:
    """What installs ROCm's own amdsmi; empty where ROCm does not bring it."""
    return AMDSMI if Path(AMDSMI.rpartition(" ")[2]).is_dir() else ""


def fitting_hip_python(rocm: Path) -> str:
    """What installs the hip-python of an installed ROCm; empty where its version is not known."""
    try:
        release = re.match(r"(\d+\.\d+)\.", (rocm / ".info/version").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        release = None
    return hip_python_of(release[1]) if release else ""


def hip_python_of(release: str) -> str:
    """What installs the hip-python that is made for a release of HIP or ROCm, `7.2`."""
    return f"python -m pip install {shlex.quote(f'hip-python=={release}.*')}"
