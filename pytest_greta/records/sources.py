"""Files of records, whatever wrote them: told apart by what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_greta.errors import ConfigError, shown_path
from pytest_greta.records import mapping
from pytest_greta.records.check import json_of, read_bytes
from pytest_greta.records.columns import summary_of_rows
from pytest_greta.records.foreign import junit, of_benchmark
from pytest_greta.records.mapping import FORMS, Columns
from pytest_greta.records.model import HEADER, Summary, summary_of
from pytest_greta.records.signing import signer


def load_all(
    paths: Sequence[Path], columns: Path | None = None, allowed: Path | None = None
) -> tuple[Mapping[str, Summary], Mapping[str, str]]:
    """Files by what messages call them, and who has signed them. `columns` says what those of CSV and JSON hold, and
    `allowed` whose signatures count: without it none is asked for. Raises ConfigError with all that is wrong with them.
    """
    read: dict[str, Summary] = {}
    signers: dict[str, str] = {}
    problems: list[str] = []
    known: Sequence[Columns] = ()
    try:
        known = mapping.load(columns) if columns else ()
    except ConfigError as error:
        problems += error.problems
    if allowed and not allowed.exists():
        problems.append(f"{shown_path(allowed)}: there is no such file of allowed signers")
    for path in paths if not problems else ():
        found = _tried(path, known, allowed)
        if isinstance(found[0], Summary):
            read[shown_path(path)], signers[shown_path(path)] = found
        else:
            problems += found
    if problems:
        raise ConfigError(*problems)
    return read, signers


def _tried(
    path: Path, known: Sequence[Columns], allowed: Path | None
) -> tuple[Summary, str] | tuple[str, ...]:
    """A file and who has signed it, or what is wrong with it."""
    try:
        content = read_bytes(path)
        name = signer(path, content, allowed) if allowed else ""
        return _read(path, content, known), name
    except ConfigError as error:
        return tuple(error.problems)


def _read(path: Path, content: bytes, known: Sequence[Columns]) -> Summary:
    """One file. Raises ConfigError."""
    shown = shown_path(path)
    columns = next((one for one in known if one.is_for(path)), None)
    if columns:
        return summary_of_rows(content, shown, columns)
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"<":
        return junit(content, shown)
    if start in (b"{", b"["):
        data = json_of(content, shown)
        if isinstance(data, dict) and HEADER in data:
            return summary_of(data, shown)
        if isinstance(data, dict) and "benchmarks" in data:
            return of_benchmark(data, shown)
    forms = " or ".join(FORMS)
    raise ConfigError(
        f"{shown}: neither a summary.json, nor JSON of pytest-benchmark, nor JUnit; what columns of others are says "
        f"--greta-columns=FILE (form: {forms}, or each column), which has no entry for {path.name}"
    )
