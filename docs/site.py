"""Hooks of MkDocs: the README and other pages outside of docs/ join the site, and links go on as in the repository.

A file is linked where it lies in the repository, so that GitHub shows the same pages. Here each of those files gets a
place on the site: Markdown as a page, anything else as it is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Places of pages at the top of the repository."""
LINK = re.compile(
    r"```.*?^ *```$|`[^`\n]*`|(?<=\]\()(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))", re.M | re.S
)
"""A link, and code, in which there is none."""


def on_config(config: MkDocsConfig) -> None:
    """Add to the navigation what it does not name."""
    named = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    others = sorted({path.name for path in (REPOSITORY / "docs").glob("*.md")} - named)
    if others and config.nav is not None:
        config.nav.append({"More": others})


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the README, and every file of the repository that a page links to, and so on from there."""
    waiting = [*PAGES, *(f"docs/{file.src_uri}" for file in files if file.src_uri.endswith(".md"))]
    for path in waiting:  # grows meanwhile
        place = place_of(path)
        if files.get_file_from_path(place) is None:
            files.append(File.generated(config, place, abs_src_path=str(REPOSITORY / path)))
        if path.endswith(".md"):
            waiting += [one for one in links_of(path) if one not in waiting]


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead links to where their files are on the site."""
    source = Path(page.file.abs_src_path or "").relative_to(REPOSITORY).as_posix()
    here = posixpath.dirname(page.file.src_uri)

    def led(found: re.Match[str]) -> str:
        target = found["target"]
        path = within(source, target) if target else ""
        if not path:
            return found[0]
        return posixpath.relpath(place_of(path), here or ".") + (found["anchor"] or "")

    return LINK.sub(led, markdown)


def links_of(path: str) -> Iterator[str]:
    """The files of the repository that a page links to."""
    for found in LINK.finditer((REPOSITORY / path).read_text(encoding="utf-8")):
        linked = within(path, found["target"]) if found["target"] else ""
        if linked:
            yield linked


def within(page: str, target: str) -> str:
    """The file of the repository that a link of a page means; empty for one that leads elsewhere, or nowhere."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    return path if ":" not in target and (REPOSITORY / path).is_file() else ""


def place_of(path: str) -> str:
    """The place on the site of a file of the repository; what is no page is served as it is."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.endswith("README.md"):
        return path.removesuffix("README.md") + "index.md"
    return path if path.endswith(".md") else f"source/{path.replace('/.', '/').lstrip('.')}"
