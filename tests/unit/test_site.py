"""The docs as a site: built without a warning, no link is dead, and nothing is loaded from elsewhere."""

from __future__ import annotations

import logging
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("material", reason="the site needs the extra 'docs'")

REPOSITORY = Path(__file__).resolve().parents[2]


class Links(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(given["href"])
        self.anchors |= {given[name] for name in ("id", "name") if name in given}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.utils import CountHandler

    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(REPOSITORY / "mkdocs.yml"), strict=True, site_dir=str(folder))
    handler = CountHandler()
    handler.setLevel(logging.WARNING)
    logging.getLogger("mkdocs").addHandler(handler)
    try:
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
    finally:
        logging.getLogger("mkdocs").removeHandler(handler)
        config.plugins.on_shutdown()
    assert handler.get_counts() == []
    return folder


@cache
def read(path: Path) -> Links:
    return Links(path.read_text(encoding="utf-8"))


def test_every_page_is_there(site: Path) -> None:
    assert "Performance gates for GPU kernels" in (site / "index.html").read_text()
    for page in (REPOSITORY / "docs").glob("*.md"):
        assert (site / page.stem / "index.html").is_file()
    for name in ("contributing", "changelog", "kernels", "tests/rocm"):
        assert (site / name / "index.html").is_file()
    assert (site / "source/github/workflows/ci.yml").read_bytes() == (
        REPOSITORY / ".github/workflows/ci.yml"
    ).read_bytes()


def test_every_link_leads_somewhere(site: Path) -> None:
    dead = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for link in {*read(page).links, *read(page).loads}:
            path, _, anchor = unquote(link).partition("#")
            if ":" in path or not link:
                continue
            target: Path = ((page.parent / path) if path else page).resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (anchor and anchor not in read(target).anchors | {"__tabbed"}):
                dead.append(f"{page.relative_to(site)}: {link}")
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    assert [load for page in site.rglob("*.html") for load in read(page).loads if ":" in load] == []


def test_lists_and_tables_are_some(site: Path) -> None:
    """GitHub takes a list right behind a paragraph for one; Python-Markdown does not."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "\n- " not in text.split("<article", 1)[-1].split("</article>", 1)[0].replace("\n- - ", ""), (
            page
        )
        assert "<p>|" not in text
