"""Why a HIP device cannot be opened, in one line: what is missing, where it was looked for, what to do.

Pure text from the state of the machine: no hip-python here, so every case can be met without a GPU.
"""

from __future__ import annotations

import grp
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_greta.remedies import (
    HIP_PYTHON,
    OLDEST_HIP,
    ROCM_PAGE,
    Lack,
    fitting_hip_python,
    hip_python_of,
    hip_runtime_command,
)

_RUNTIME = "libamdhip64.so"
_LAST_IN_STEP = 7
AGAIN = f"{HIP_PYTHON} --force-reinstall"
VISIBLE = ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
"""Variables by which the runtime hides devices (HIP documentation, "GPU isolation techniques")."""


def package_lack(error: ImportError) -> Lack:
    """hip-python cannot be imported: it is not installed, or its binary does not fit this Python."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in ("hip", "rocm"):
        return Lack(f"hip-python is not installed: {HIP_PYTHON} (Linux x86-64 only)", HIP_PYTHON)
    return Lack(f"hip-python is installed but cannot be imported: {error}; install it again: {AGAIN}", AGAIN)


def library_lack(error: RuntimeError, version: str, namespaced: bool, env: Mapping[str, str]) -> Lack:
    """A library or a symbol that hip-python needs is missing.

    hip-python loads libraries on the first call and symbols on their first use, and reports both by a
    RuntimeError. `namespaced` tells its generation: 10 (`rocm.bindings`) looks in more places than 6.4
    and 7, which leave the search to the system's loader. An error of another kind is returned as it is.
    """
    text = re.sub(r"b'([^']*)'", r"\1", str(error)).replace("''", "'").rstrip("'")
    if symbol := re.search(r"failed to dlsym '?(\w+)'?: (.*)", text):
        return Lack(
            f"this ROCm does not fit hip-python {version}: it has no {symbol[1]} ({symbol[2]}); "
            "install the hip-python release made for the ROCm that is installed (their version numbers agree)",
            fitting_hip_python(rocm_root(env)[0]),
        )
    opened = re.search(r"failed to dlopen '?([^':]+)'?: (.*)", text)
    if opened is None:
        return Lack(f"hip-python {version}: {error}")
    path, reason = opened[1], opened[2]
    name = Path(path).name
    if not reason.startswith(path) or "No such file" not in reason:
        # The library is there; something it needs is not, or the file is damaged.
        return Lack(f"{name} was found but cannot be loaded: {reason}")
    looked, way_out = _looked_for(namespaced, env), _way_out(name, version, namespaced, env)
    return Lack(
        f"{name} is not found by hip-python {version}, which looks in {looked}; {way_out}", way_out.command
    )


def _looked_for(namespaced: bool, env: Mapping[str, str]) -> str:
    loader = f"the loader's path (LD_LIBRARY_PATH={env.get('LD_LIBRARY_PATH') or 'not set'})"
    if not namespaced:
        return loader
    sdk = "installed" if importlib.util.find_spec("rocm_sdk") else "not installed"
    root, origin = rocm_root(env)
    return f"the package rocm_sdk ({sdk}), {root / 'lib'} ({origin}), then {loader}"


def rocm_root(env: Mapping[str, str]) -> tuple[Path, str]:
    """ROCm's folder as hip-python 10 looks for it, and where that was learnt."""
    for variable in ("ROCM_PATH", "ROCM_HOME"):
        if env.get(variable):
            return Path(env[variable]), f"${variable}"
    return Path("/opt/rocm"), "ROCM_PATH not set"


def header_folders(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Where hiprtc finds HIP's other headers: ROCm's own folder, and the one that its compiler looks in besides."""
    root = rocm_root(env)[0]
    return root / "include", Path(env.get("HIP_PATH") or root / "hip") / "include"


def too_old(hip: str, version: str) -> Lack:
    """A HIP that no hip-python of use is made for."""
    needed = f"hip-python {version} is for HIP {OLDEST_HIP} and later"
    return Lack(f"HIP {hip} is there, and {needed}: install a newer ROCm ({ROCM_PAGE})")


def misfit(hip: str, version: str) -> str:
    """In what a runtime is not that of the hip-python that is installed, and which one is made for it; else empty.

    Up to 7 the major version of hip-python is that of its HIP; 10 is made for 7 and later.
    """
    ours, (major, minor) = int(version.partition(".")[0]), (int(part) for part in hip.split(".")[:2])
    if not major or major == ours or (ours > _LAST_IN_STEP and major >= _LAST_IN_STEP):
        return ""
    made_for = min(ours, _LAST_IN_STEP)
    fitting = hip_python_of(f"{major}.{minor}")
    return f"hip-python {version} is made for HIP {made_for}: {fitting} where a symbol is missing"


def _installed(folders: Iterable[str]) -> int:
    """The major version of the newest HIP runtime in some folders, by the names of its files; 0 where there is none."""
    names = [path.name for folder in folders for path in Path(folder).glob(f"{_RUNTIME}.*")]
    return max((int(one[1]) for name in names if (one := re.match(rf"{_RUNTIME}\.(\d+)", name))), default=0)


def _way_out(name: str, version: str, namespaced: bool, env: Mapping[str, str]) -> Lack:
    folders = [
        str(rocm_root(env)[0] / "lib"),
        "/opt/rocm/lib",
        *(str(p) for p in sorted(Path("/opt").glob("rocm-*/lib"))),
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib64",
        *filter(None, env.get("LD_LIBRARY_PATH", "").split(":")),
    ]
    installed = _installed(folders)
    if 0 < installed < OLDEST_HIP:
        return too_old(str(installed), version)
    found = [p for folder in folders for p in sorted(Path(folder).glob(f"{name}*"))]
    exact = [p for p in found if p.name == name]
    if exact:
        lib = exact[0].parent
        is_root = namespaced and lib.name == "lib"
        setting = f"ROCM_PATH={lib.parent}" if is_root else f"LD_LIBRARY_PATH={lib}"
        before = ":$LD_LIBRARY_PATH" if not is_root and env.get("LD_LIBRARY_PATH") else ""
        return Lack(f"it is in {lib}: set {setting}", f"export {setting}{before}")
    if found:
        return Lack(
            f"there is only {found[0]}: install ROCm's development package, "
            f"or make a link named {name} to it in a folder of LD_LIBRARY_PATH",
            f"sudo ln -s {found[0]} {found[0].with_name(name)}",
        )
    setting = "ROCM_PATH" if namespaced else "LD_LIBRARY_PATH"
    value = "/opt/rocm" if namespaced else "/opt/rocm/lib"
    command = hip_runtime_command()
    page = "" if command else f" ({ROCM_PAGE})"
    return Lack(
        f"install ROCm's HIP runtime{page}, or set {setting} (for example {setting}={value}) if it is elsewhere",
        command,
    )


def no_device_lack(env: Mapping[str, str], dev: Path = Path("/dev")) -> Lack:
    """The runtime finds no GPU: hidden by a variable, no driver, no permission, or none there."""
    lack = driver_lack(env, dev)
    if lack is not None:
        return lack
    hidden = [v for v in VISIBLE if v in env]
    if hidden:
        settings = " ".join(f"{v}={env[v]}" for v in hidden)
        said = f"the runtime finds no GPU under {settings}: unset it, or name a device that exists"
        return Lack(said, f"unset {' '.join(hidden)}")
    return Lack("the runtime finds no GPU that it supports (rocminfo lists what it sees)")


def driver_lack(env: Mapping[str, str], dev: Path = Path("/dev")) -> Lack | None:
    """Why no runtime could open a GPU: hidden by a variable, no driver, no permission. None where one could."""
    for variable in (v for v in VISIBLE if v in env):
        if env[variable].strip() in ("", "-1"):
            value = f"is {env[variable]!r}" if env[variable] else "is set and empty"
            said = f"{variable} {value}, which hides every GPU: unset it, or name one ({variable}=0)"
            return Lack(said, f"unset {variable}")
    kfd = dev / "kfd"
    nodes = sorted(dev.glob("dri/renderD*"))
    container = "in a container pass --device=/dev/kfd --device=/dev/dri"
    if not kfd.exists():
        return Lack(
            f"no {kfd}: the amdgpu driver is not loaded, or this machine has no AMD GPU ({container})",
            "sudo modprobe amdgpu" if _has_amd_gpu() else "",
        )
    if not nodes:
        return Lack(f"{kfd} is there but {dev / 'dri'} has no renderD*: {container}")
    closed = [n for n in (kfd, *nodes) if not os.access(n, os.R_OK | os.W_OK, effective_ids=True)]
    if kfd in closed or len(closed) == len(nodes):
        return _permission_lack(closed)
    return None


def _has_amd_gpu(devices: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Whether a display controller or accelerator of AMD's is on the bus, by PCI's codes of vendor and class."""
    for device in devices.glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == "0x1002" and kind.startswith(("0x03", "0x12")):
            return True
    return False


def _permission_lack(closed: list[Path]) -> Lack:
    gids = sorted({n.stat().st_gid for n in closed})
    groups = ",".join(_group_name(g) for g in gids)
    nodes = ", ".join(map(str, closed))
    command = f"sudo usermod -aG {groups} $USER"
    return Lack(
        f"no permission to read and write {nodes}, which belong to group {groups}: "
        f"{command} and log in again; in a container pass " + " ".join(f"--group-add {g}" for g in gids),
        command,
    )


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
