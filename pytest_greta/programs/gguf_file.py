"""The context limit that a gguf file states. The only importer of the package gguf."""

from __future__ import annotations

from pathlib import Path

from pytest_greta.errors import ProgramBlocked
from pytest_greta.remedies import extra_text


def context_limit(path: Path) -> tuple[str, int]:
    """The name of the field (`llama.context_length`) and its value in tokens.

    Raises ProgramBlocked where the file, or what reads it, is not there, and where it does not say.
    """
    if not path.is_file():
        raise ProgramBlocked(f"the model {path} is missing")
    try:
        from gguf import GGUFReader
    except ImportError:
        raise ProgramBlocked(f"reading a model's context limit needs gguf: {extra_text('gguf')}") from None
    try:
        fields = GGUFReader(path).fields
        architecture = fields["general.architecture"].contents() if "general.architecture" in fields else "*"
        names = [n for n in fields if n.endswith(".context_length")]
        name = next((n for n in names if n == f"{architecture}.context_length"), names[0] if names else "")
        if not name:
            raise ProgramBlocked(
                f"{path.name} states no context limit: it has no field {architecture}.context_length"
            )
        return name, int(fields[name].contents())
    except (ValueError, IndexError, KeyError, TypeError, OSError, OverflowError) as error:
        raise ProgramBlocked(f"{path.name} is no gguf file that can be read: {error}") from None
