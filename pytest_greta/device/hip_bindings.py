"""hip-python as imported, and how it is called: every status is looked at. Generations 6.4, 7 and 10 share every call
used here except the one in `properties`; all accept Python integers and buffers where C takes pointers.
"""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass
from typing import Any

from pytest_greta.device import hip_missing
from pytest_greta.errors import DeviceFault, DeviceUnavailable

FINAL_ERRORS = {
    "hipErrorAssert",
    "hipErrorContextIsDestroyed",
    "hipErrorDeinitialized",
    "hipErrorECCNotCorrectable",
    "hipErrorIllegalAddress",
    "hipErrorLaunchFailure",
    "hipErrorLaunchTimeOut",
    "hipErrorUnknown",
}
"""Errors that leave the process's device unusable."""


class HipError(DeviceFault):
    """A HIP or hiprtc call failed: the runtime's error name and text, the call, the arguments that matter.

    Its kind is `crash` for an error after which every call of the process fails: the device needs a new one.
    """

    def __init__(self, name: str, text: str = "", call: str = "", about: str = "") -> None:
        message = f"{call}({about}): {name}" + (f": {text}" if text and text != name else "")
        super().__init__(message, "crash" if name in FINAL_ERRORS else "error")
        self.name, self.text, self.call, self.about = name, text, call, about

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.name, self.text, self.call, self.about))


@dataclass(frozen=True)
class Bindings:
    """hip-python as imported: its two modules, its version and its generation."""

    hip: Any
    hiprtc: Any
    version: str
    namespaced: bool
    """True for hip-python 10, whose modules are `rocm.bindings.*`; False for 6.4 and 7."""


def import_bindings() -> Bindings:
    """The bindings of hip-python. Raises DeviceUnavailable."""
    try:
        from hip import hip, hiprtc
    except ImportError as error:
        lack = hip_missing.package_lack(error)
        raise DeviceUnavailable(lack.text, lack.command) from error
    return Bindings(hip, hiprtc, importlib.metadata.version("hip-python"), hip.__name__.startswith("rocm."))


def call(function: Any, *args: Any, about: str = "") -> Any:
    """Call a function of hip-python and return its result: nothing, a value, or a tuple of values.

    Raises HipError where the status is not success. `about` names the arguments that matter.
    RuntimeError (a library or symbol is missing) passes through: `open_hip` explains it.
    """
    status, *values = function(*args)
    if status.value != 0:
        raise HipError(status.name, _error_text(function, status), function.__name__, about)
    return values[0] if len(values) == 1 else tuple(values) or None


def _error_text(function: Any, status: Any) -> str:
    """The runtime's text for a status. For hiprtc, hip-python 6.4 and 7 return it without a status."""
    name = "hiprtcGetErrorString" if status.name.startswith("HIPRTC") else "hipGetErrorString"
    text = getattr(sys.modules[function.__module__], name)(status)[-1]
    return "" if text is None else str(text)


def properties_of(bindings: Bindings, index: int) -> Any:
    """hipGetDeviceProperties: the one call used here whose signature differs between the generations."""
    hip = bindings.hip
    if bindings.namespaced:
        return call(hip.hipGetDeviceProperties, index, about=f"device {index}")
    properties = hip.hipDeviceProp_t()
    call(hip.hipGetDeviceProperties, properties, index, about=f"device {index}")
    return properties


def text(value: bytes | str) -> str:
    """A C string of a property struct: bytes in hip-python 6.4 and 7, str in 10."""
    decoded = value.decode(errors="replace") if isinstance(value, bytes) else value
    return decoded.partition("\0")[0].strip()
