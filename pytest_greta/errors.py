"""Every error greta raises on purpose. What a user can mend says how to mend it."""

from __future__ import annotations


class GretaError(Exception):
    """Base of all errors raised by pytest-greta."""


class ConfigError(GretaError):
    """A mistake in gates.yaml, an option or a registered kernel: exit code 4, never a traceback.

    `problems` holds one line per mistake, each complete in itself
    (`gates.yaml:14:7: unknown gate 'vpgrs' for variant 'v3'; did you mean 'vgprs'?`).
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class KernelMistake(GretaError):
    """What a method of a kernel family returned cannot be used; the message names kernel, method and value."""


class CompileError(GretaError):
    """A source that does not compile. The message is the compiler's own, with file and line."""


class ToolMissing(GretaError):
    """A compiler, library or package that is needed here is not installed; the message says which."""


class DeviceUnavailable(GretaError):
    """A device that cannot be opened: what is missing, where it was looked for, what to do."""


class NotForDevice(GretaError):
    """A variant that is written for other devices than the one at hand: no failure, whatever is required."""


class DeviceFault(GretaError):
    """A device call failed or the process that owns the device died.

    `kind` is one of `error` (the runtime refused a call), `crash` (the worker process died) and
    `deadline` (the worker was killed because a launch did not end in time).
    """

    def __init__(self, message: str, kind: str = "error") -> None:
        super().__init__(message)
        self.kind = kind
