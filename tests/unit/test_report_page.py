"""The report in a browser: nothing on the console, nothing beside the window, names inert, all of it by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_greta.records.model import Summary
from pytest_greta.report.contents import Sources, report_of
from tests.unit import browser as browsers
from tests.unit import report_samples as samples
from tests.unit.browser import Browser

pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
pytest.importorskip("matplotlib", reason="a page needs the extra 'report'")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = browsers.executable()
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(browsers.NAMES)}")
    with Browser(path) as one:
        yield one


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with hostile names in all its parts, beside the campaign."""
    from pytest_greta.report.page import page

    few = [samples.code("v3", "gfx942"), samples.run("v3", 4096, 60.0), samples.run("v3", 8192, 240.0)]
    summary = Summary(samples.session(), [*few, *samples.hostile()], notes=samples.HOSTILE)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(report_of(Sources([summary]))), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_says_nothing_on_the_console(
    browser: Browser, page: Path, width: int, dark: bool
) -> None:
    browser.open(page, width, dark)
    assert browser.complaints() == []
    assert browser.value("document.documentElement.scrollWidth") == width
    assert browser.value("document.title") == "greta: 8 gates failed in 8 tests"
    light = "rgb(255, 255, 255)"
    assert (browser.value("getComputedStyle(document.body).backgroundColor") == light) is not dark
    drawn = "[...document.querySelectorAll('svg')].map(one => one.getBoundingClientRect().width)"
    assert all(300 < found <= width for found in browser.value(drawn))


def test_drawings_take_the_colours_of_the_page(browser: Browser, page: Path) -> None:
    for dark in (False, True):
        browser.open(page, 1600, dark)
        text = "[getComputedStyle(document.querySelector('svg text')).fill, getComputedStyle(document.body).color]"
        drawn, written = browser.value(text)
        assert drawn == written


def test_everything_is_reached_by_keyboard_and_seen_there(browser: Browser, page: Path) -> None:
    browser.open(page, 400)
    reached = []
    for _ in range(16):
        browser.press("Tab", 9)
        reached.append(browser.value("document.activeElement.outerHTML.slice(0, 20)"))
        assert browser.value("getComputedStyle(document.activeElement).outline").endswith(" solid 3px")
    assert reached[0].startswith('<a class="skip"')
    assert any(one.startswith('<div class="scroll"') for one in reached)


def test_a_screen_reader_hears_drawings_and_tables_by_name(browser: Browser, page: Path) -> None:
    browser.open(page, 1600)
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    named = [(one["role"]["value"], one.get("name", {}).get("value", "")) for one in nodes if "role" in one]
    assert all(name for role, name in named if role in ("image", "table", "region", "heading"))
    roles = {role for role, _ in named}
    assert {"banner", "navigation", "main", "contentinfo", "table", "rowheader", "columnheader"} <= roles
    assert any("Time of prefill over context, both axes logarithmic" in name for _, name in named)


def test_on_paper_nothing_is_folded_away(browser: Browser, page: Path) -> None:
    browser.open(page, 800, dark=True, media="print")
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.value("document.querySelector('details table').getBoundingClientRect().height") > 0
