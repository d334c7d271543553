"""Kernels and what became of them, as text for a terminal, as Markdown for a pull request, and as JSON.

Names come from files of others: what a terminal would obey or Markdown would read is never written as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pytest_greta.binaries.changes import Compared, Comparison
from pytest_greta.binaries.columns import Column, units
from pytest_greta.binaries.kernels import BinaryFile, BuiltKernel
from pytest_greta.binaries.names import counted
from pytest_greta.binaries.selection import Group
from pytest_greta.compiler.names import qualified
from pytest_greta.errors import printable

JSON_VERSION = 1
FEWEST_COLUMNS = 60
"""Of a terminal: names are cut, not numbers."""


# -- a table ---------------------------------------------------------------------------------------------


def headline(file: BinaryFile, kernels: Sequence[BuiltKernel]) -> str:
    """What a file holds: `libk.so: 2450 kernels for gfx942 gfx1100, by AMD clang version 19.0.0git`."""
    targets = list(dict.fromkeys(kernel.target for kernel in kernels))
    compilers = dict.fromkeys(_short(kernel.compiler) for kernel in kernels)
    by = f", by {' and '.join(compilers)}" if kernels else ""
    return f"{file.name}: {counted(len(kernels), 'kernel')} for {' '.join(targets) or 'no target'}{by}"


def _short(compiler: str) -> str:
    """A compiler without the address of its repository."""
    return compiler.partition(" (")[0] or "an unknown compiler"


def table(groups: Sequence[Group], columns: Sequence[Column], limit: int, width: int | None) -> Iterator[str]:
    """Lines of a table, the names at the end; none wider than so many columns."""
    shown = groups[:limit] if limit else groups
    rows = [[group.worst.target, *(column.text(group.worst) for column in columns)] for group in shown]
    headers = ["target", *(column.header for column in columns)]
    widths = [max(map(len, cells)) for cells in zip(headers, *rows, strict=True)]
    for cells, name in [(headers, "kernel"), *zip(rows, (group.text for group in shown), strict=True)]:
        numbers = (cell.rjust(size) for cell, size in zip(cells[1:], widths[1:], strict=True))
        line = "  ".join([cells[0].ljust(widths[0]), *numbers, printable(name)])
        yield _cut(line, width)
    yield units(columns)
    if len(groups) > len(shown):
        left = sum(group.count for group in groups[len(shown) :])
        yield f"and {counted(left, 'kernel')} more in {counted(len(groups) - len(shown), 'line')}: --limit 0 shows all"


def _cut(line: str, width: int | None) -> str:
    if width is None or len(line) <= max(width, FEWEST_COLUMNS):
        return line
    return line[: max(width, FEWEST_COLUMNS) - 3] + "..."


def comparison(found: Comparison, limit: int, width: int | None) -> Iterator[str]:
    """Lines of text: what got worse first."""
    yield _summary(found)
    yield from _compilers(found)
    for title, some in (("worse", found.worse), ("better", found.better)):
        lines = [f"  {one.target}  {one.text}   {printable(qualified(one.name))}" for one in some]
        yield from _section(title, [_cut(line, width) for line in lines], limit)
    for title, kernels in (("new", found.new), ("gone", found.gone)):
        lines = [f"  {one.target}  {printable(qualified(one.name))}" for one in kernels]
        yield from _section(title, [_cut(line, width) for line in lines], limit)


def _summary(found: Comparison) -> str:
    counts = [(len(found.worse), "got worse"), (len(found.better), "got better"), (len(found.new), "new")]
    counts += [(len(found.gone), "gone"), (found.unchanged, "unchanged")]
    return ", ".join(f"{count} {what}" for count, what in counts)


def _compilers(found: Comparison) -> Iterator[str]:
    old, new = (" and ".join(some) for some in found.compilers)
    if old != new and old and new:
        yield f"another compiler: {printable(old)}, now {printable(new)}"


def _section(title: str, lines: Sequence[str], limit: int) -> Iterator[str]:
    if not lines:
        return
    yield f"{title}:"
    yield from lines[:limit] if limit else lines
    if limit and len(lines) > limit:
        yield f"  and {len(lines) - limit} more: --limit 0 shows all"


# -- Markdown --------------------------------------------------------------------------------------------


def markdown_table(groups: Sequence[Group], columns: Sequence[Column], limit: int) -> Iterator[str]:
    """A table as GitHub has it."""
    yield _row(["kernel", "target", *(column.header for column in columns)])
    yield _row(["---", "---", *("--:" for _ in columns)])
    for group in groups[:limit] if limit else groups:
        numbers = (column.text(group.worst) for column in columns)
        yield _row([code(group.text), group.worst.target, *numbers])
    yield ""
    yield units(columns)
    if limit and len(groups) > limit:
        yield f"and {counted(len(groups) - limit, 'line')} more"


def markdown_comparison(found: Comparison, limit: int) -> Iterator[str]:
    """What became worse as a table, all else folded away."""
    yield f"**{_summary(found)}**"
    for text in _compilers(found):
        yield ""
        yield code(text)
    for title, some in (("worse", found.worse), ("better", found.better)):
        if some:
            yield from _details(f"{len(some)} got {title}", list(_changed(some, limit)), title == "worse")
    for title, kernels in (("new", found.new), ("gone", found.gone)):
        if kernels:
            lines = [f"- {code(qualified(one.name))} ({one.target})" for one in kernels]
            yield from _details(f"{len(kernels)} {title}", _limited(lines, limit), is_open=False)


def _changed(some: Sequence[Compared], limit: int) -> Iterator[str]:
    yield _row(["kernel", "target", "what", "was", "is"])
    yield _row(["---", "---", "---", "--:", "--:"])
    rows = [
        _row(
            [
                code(qualified(one.name)),
                one.target,
                f"**{change.gate}**" if change.is_worse else change.gate,
                "?" if change.old is None else str(change.old),
                "?" if change.new is None else str(change.new),
            ]
        )
        for one in some
        for change in one.changes
    ]
    yield from _limited(rows, limit)


def _limited(lines: list[str], limit: int) -> list[str]:
    more = len(lines) - limit
    return [*lines[:limit], "", f"and {more} more"] if limit and more > 0 else lines


def _details(title: str, lines: Sequence[str], is_open: bool) -> Iterator[str]:
    yield from ("", "<details open>" if is_open else "<details>", f"<summary>{title}</summary>", "")
    yield from (*lines, "", "</details>")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def code(text: str) -> str:
    """A name as code, which Markdown leaves alone but for backticks, and tables but for `|`."""
    return f"`{printable(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


# -- JSON ------------------------------------------------------------------------------------------------


def json_of_files(files: Sequence[tuple[BinaryFile, Sequence[BuiltKernel]]]) -> dict[str, Any]:
    """Everything that is known of the kernels chosen of some files."""
    return {
        "version": JSON_VERSION,
        "files": [
            {"file": file.name, "notes": list(file.notes), "kernels": [_kernel(one) for one in kernels]}
            for file, kernels in files
        ],
    }


def json_of_comparison(found: Comparison) -> dict[str, Any]:
    """What became of kernels."""
    return {
        "version": JSON_VERSION,
        "compilers": {"old": list(found.compilers[0]), "new": list(found.compilers[1])},
        "worse": [_compared(one) for one in found.worse],
        "better": [_compared(one) for one in found.better],
        "new": [_kernel(one) for one in found.new],
        "gone": [_kernel(one) for one in found.gone],
        "unchanged": found.unchanged,
    }


def _kernel(kernel: BuiltKernel) -> dict[str, Any]:
    known = {name: kernel.value(name) for name in kernel.quantities}
    return {
        "kernel": kernel.name,
        "symbol": kernel.symbol,
        "target": kernel.target,
        "place": kernel.place,
        "compiler": kernel.compiler,
        "block_threads": kernel.block_threads,
        **known,
    }


def _compared(one: Compared) -> dict[str, Any]:
    changed = {change.gate: {"old": change.old, "new": change.new} for change in one.changes}
    return {"kernel": one.name, "symbol": one.symbol, "target": one.target, "changes": changed}
