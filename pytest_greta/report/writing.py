"""A report into files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from pytest_greta.compiler.cache import write_whole
from pytest_greta.errors import ToolMissing
from pytest_greta.remedies import extra_text, install_extra
from pytest_greta.report.contents import Sources, report_of
from pytest_greta.report.markdown import markdown
from pytest_greta.report.page import page

PAGE, TABLES = "report.html", "summary.md"
_NEEDED = ("jinja2", "matplotlib")


def check_tools() -> None:
    """Raises ToolMissing where a page cannot be made. Imports nothing."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ToolMissing(
            f"{PAGE} needs {' and '.join(missing)}: {extra_text('report')}", install_extra("report")
        )


def write(folder: Path, sources: Sources) -> list[Path]:
    """Write both files, each whole or not at all. Gives their paths. Raises ToolMissing, once the tables are written,
    and OSError.
    """
    report = report_of(sources)
    folder.mkdir(parents=True, exist_ok=True)
    tables, page_path = folder / TABLES, folder / PAGE
    try:
        write_whole(tables, markdown(report).encode())
    except OSError as error:
        told = f"{error.strerror or error}; nor is {PAGE} written"
        raise OSError(error.errno, told, error.filename or str(tables)) from None
    check_tools()
    write_whole(page_path, page(report).encode())
    return [page_path, tables]
