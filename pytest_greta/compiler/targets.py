"""What the name of a target says: its processor, its generation, and on which devices its code runs.

A target is a processor with features (`gfx90a:sramecc+:xnack-`), or a generic one, whose code runs on every processor
of a family (`gfx11-generic`). Source: LLVM's "User Guide for AMDGPU Backend", sections "Processors", "Generic
Processors" and "Target ID".
"""

from __future__ import annotations

from pytest_greta.gates.scopes import covers

GENERIC = {
    "gfx9-generic": ("gfx900", "gfx902", "gfx904", "gfx906", "gfx909", "gfx90c"),
    "gfx9-4-generic": ("gfx942", "gfx950"),
    "gfx10-1-generic": ("gfx1010", "gfx1011", "gfx1012", "gfx1013"),
    "gfx10-3-generic": ("gfx1030", "gfx1031", "gfx1032", "gfx1033", "gfx1034", "gfx1035", "gfx1036"),
    "gfx11-generic": (
        *("gfx1100", "gfx1101", "gfx1102", "gfx1103"),
        *("gfx1150", "gfx1151", "gfx1152", "gfx1153"),
    ),
    "gfx12-generic": ("gfx1200", "gfx1201"),
}
"""Generic processors, with those that their code runs on."""


def processor(target: str) -> str:
    """A target without its features: `gfx90a`, `gfx11-generic`."""
    return target.partition(":")[0]


def runs_on(code: str, target: str) -> bool:
    """Whether code for a target runs on another: `gfx942`, and `gfx9-4-generic`, on `gfx942:sramecc+:xnack-`."""
    name, colon, features = target.partition(":")
    return covers(code, target) or any(
        name in members and covers(code, generic + colon + features) for generic, members in GENERIC.items()
    )


def generation(target: str) -> int:
    """The major version of an architecture whose encodings are known. Raises ValueError for any other."""
    name = processor(target)
    if name in GENERIC:
        return int(name.removeprefix("gfx").partition("-")[0])
    digits = name.removeprefix("gfx")
    if digits[:-2] not in ("9", "10", "11", "12") or digits.startswith(
        "125"
    ):  # gfx125x has encodings of its own
        raise ValueError(f"the encodings of {target} are not known")
    return int(digits[:-2])


def has_unified_registers(target: str) -> bool:
    """Whether VGPRs and AGPRs share one file: CDNA 2 and later."""
    return processor(target) in ("gfx90a", "gfx940", "gfx941", "gfx942", "gfx950", "gfx9-4-generic")
