"""What a record says of the code that was measured, so that it is known again: digests of sources and family."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_greta.compiler.inputs import local_files
from pytest_greta.history.family import launch_digest

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Variant


@dataclass(frozen=True)
class Digests:
    """Digests of variants, each taken once."""

    _known: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    _families: dict[str, str] = field(default_factory=dict)

    def of(self, kernel: Kernel, variant: Variant) -> Mapping[str, str]:
        """`source`: SHA-256 of a variant's source with the headers of its own that it includes, its definitions, flags
        and entry; empty where it cannot be read. `family`: how it is launched, and on what.
        """
        key = kernel.name, variant.name
        if key not in self._known:
            if kernel.name not in self._families:
                self._families[kernel.name] = launch_digest(kernel)
            self._known[key] = {"source": _source(kernel, variant), "family": self._families[kernel.name]}
        return self._known[key]


def _source(kernel: Kernel, variant: Variant) -> str:
    digest = hashlib.sha256()
    said = (variant.entry, sorted(variant.defines.items()), kernel.flags_of(variant))
    try:
        path = kernel.source_path(variant)
        files = (path,) if variant.code else local_files(path, kernel.include_of(variant))
        parts = sorted((os.path.relpath(file, kernel.folder), file.read_bytes()) for file in files)
    except OSError:
        return ""
    for name, content in (("", repr(said).encode()), *parts):
        digest.update(name.encode() + b"\0" + len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def differing(then: Mapping[str, str], now: Mapping[str, str], python: str) -> list[str]:
    """What of a record's digests is not that of today, in words. What the record does not say does not differ; what
    depends on the version of Python does not where that is another (`python`, of the record).
    """
    words = {"source": "its source", "family": "how it is launched, or on what"}
    names = [name for name in words if then.get(name) and now.get(name) and then[name] != now[name]]
    if python.split(".")[:2] != platform.python_version().split(".")[:2]:
        names = [name for name in names if name != "family"]
    return [words[name] for name in names]
