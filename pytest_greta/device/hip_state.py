"""How far HIP gets in this process: its bindings, its runtime, its compiler, its GPUs. For `python -c`, in a process
that may hang or die: it prints one line of JSON for each as it is found, `[name, is there, text, command]`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from pytest_greta.device import hip_identity, hip_missing, telemetry
from pytest_greta.device.hip_bindings import Bindings, HipError, call, import_bindings, properties_of, text
from pytest_greta.errors import DeviceUnavailable, Lacking
from pytest_greta.remedies import OLDEST_HIP

PACKAGE, RUNTIME, COMPILER, GPUS, TELEMETRY = "hip-python", "HIP runtime", "hiprtc", "GPUs", "amdsmi"
NAMES = (PACKAGE, RUNTIME, COMPILER, GPUS, TELEMETRY)


def main() -> None:
    """Print what there is, in the order of `NAMES`; what needs something that is missing is left out."""
    _print(TELEMETRY, _telemetry)
    bindings: list[Bindings] = []

    def package() -> str:
        bindings.append(import_bindings())
        generation = "10 and later" if bindings[0].namespaced else "6.4 to 7"
        return f"{bindings[0].version} (of the generation {generation})"

    if _print(PACKAGE, package):
        (found,) = bindings
        if _print(RUNTIME, lambda: _runtime(found)):
            _print(GPUS, lambda: _gpus(found))
        _print(COMPILER, lambda: _compiler(found))


def _print(name: str, ask: Callable[[], str]) -> bool:
    try:
        line = [name, True, ask(), ""]
    except Lacking as error:
        line = [name, False, str(error), error.command]
    except Exception as error:
        line = [name, False, f"{type(error).__name__}: {error}", ""]
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    return bool(line[1])


def _runtime(bindings: Bindings) -> str:
    number = int(_explained(bindings, lambda: call(bindings.hip.hipRuntimeGetVersion)))
    hip = hip_identity.hip_version(number)
    if 0 < int(hip.partition(".")[0]) < OLDEST_HIP:  # 0 is what another library in its place may say
        lack = hip_missing.too_old(hip, bindings.version)
        raise DeviceUnavailable(lack.text, lack.command)
    return "; ".join(filter(None, [hip, hip_missing.misfit(hip, bindings.version)]))


def _compiler(bindings: Bindings) -> str:
    major, minor = _explained(bindings, lambda: call(bindings.hiprtc.hiprtcVersion))
    return f"{major}.{minor}"


def _gpus(bindings: Bindings) -> str:
    try:
        count = int(_explained(bindings, lambda: call(bindings.hip.hipGetDeviceCount)))
    except HipError as error:
        if error.name != "hipErrorNoDevice":
            raise
        count = 0
    if not count:
        lack = hip_missing.no_device_lack(os.environ)
        raise DeviceUnavailable(lack.text, lack.command)
    found = [properties_of(bindings, index) for index in range(count)]
    return ", ".join(
        f"{number}: {text(one.name)} ({text(one.gcnArchName)})" for number, one in enumerate(found)
    )


def _telemetry() -> str:
    return str(getattr(telemetry.import_amdsmi(), "__version__", "installed"))


def _explained(bindings: Bindings, ask: Callable[[], Any]) -> Any:
    """What a call gives. Raises DeviceUnavailable where its library or symbol is missing."""
    try:
        return ask()
    except RuntimeError as error:
        lack = hip_missing.library_lack(error, bindings.version, bindings.namespaced, os.environ)
        raise DeviceUnavailable(lack.text, lack.command) from error
