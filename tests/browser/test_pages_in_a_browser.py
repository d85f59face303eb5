"""Pages as readers have them: from a file, sorted, filtered, by keyboard, dark, on a phone."""

import re
from pathlib import Path

import pytest

from tests.browser.chromium import PHONE, open_page
from tests.browser.shown import HOSTILE

pytestmark = pytest.mark.browser

FOCUSED = "(e => e.tagName + '.' + e.className)(document.activeElement)"
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def column(page, number, table="results"):
    """Texts of a column of the rows that are seen."""
    cells = f"#{table} tbody tr:not([hidden]) > :nth-child({number})"
    return [" ".join(text.split()) for text in page.locator(cells).all_inner_texts()]


def place_of(page, head):
    """Which column has a head, from 1."""
    names = page.locator("#results thead th .sort .name").all_inner_texts()
    return names.index(head) + 1


@pytest.mark.parametrize(
    ("name", "dark"),
    [("sweep", False), ("sweep", True), ("machines", True), ("failures", False), ("hostile", True)],
)
def test_a_page_opens_offline_without_an_error_or_a_request(browser, pages, name, dark):
    """A policy that stopped something would say so on the console; charts stand in both themes."""
    opened = open_page(browser, pages[name], dark=dark)
    assert opened.errors == []
    assert opened.requests == []
    theme = "dark" if dark else "light"
    views = opened.page.locator(".view[data-spec]")
    assert views.count() >= 1
    assert opened.page.locator(f".view[data-drawn={theme}] svg").count() == views.count()
    opened.page.context.close()


@pytest.mark.parametrize("name", ["sweep", "failures", "hostile", "machines-tables"])
def test_a_phone_scrolls_tables_and_not_the_page(browser, pages, name):
    opened = open_page(browser, pages[name], PHONE)
    assert opened.page.evaluate(SIDEWAYS) == 0
    assert opened.page.evaluate("document.querySelector('#results .scroll').scrollWidth") > PHONE[0]
    opened.page.context.close()


def test_names_stay_text(browser, pages):
    """Nothing of them ran, also not in a chart, a tooltip or a legend; all can be read."""
    opened = open_page(browser, pages["hostile"])
    page = opened.page
    for mark in page.locator(".view svg .mark-rect path, .view svg .mark-symbol path").all()[:40]:
        mark.dispatch_event("mousemove")
    for label in page.locator(".view svg .role-legend-label text").all():
        label.dispatch_event("click")
    page.evaluate("document.querySelectorAll('button').forEach(button => button.click())")
    assert page.evaluate("window.hit") is None
    assert opened.dialogs == []
    assert opened.errors == []
    assert set(column(page, place_of(page, "model"))) == set(HOSTILE)
    page.context.close()


def test_a_head_sorts_by_numbers_up_down_and_back(browser, pages):
    opened = open_page(browser, pages["sweep-tables"])
    page = opened.page
    at = place_of(page, "tg32")
    before = column(page, 1)
    head = page.locator(f"#results thead th:nth-child({at})")
    states = []
    for _ in range(3):
        head.locator("button").click()
        states.append((head.get_attribute("aria-sort"), column(page, at)))
    rates = [float(text) for text in states[0][1] if text != "–"]
    assert [state for state, _ in states] == ["ascending", "descending", "none"]
    assert rates == sorted(rates)
    assert [float(text) for text in states[1][1] if text != "–"] == rates[::-1]
    assert column(page, 1) == before
    page.context.close()


def test_what_is_missing_sorts_behind_either_way(browser, pages):
    opened = open_page(browser, pages["failures-tables"])
    page = opened.page
    at = place_of(page, "tg32")
    for _ in range(2):
        page.locator(f"#results thead th:nth-child({at}) button").click()
        assert column(page, at)[-1] == "–"
    page.context.close()


def test_text_and_lists_filter_rows_and_say_how_many(browser, pages):
    opened = open_page(browser, pages["machines-tables"])
    page = opened.page
    rows = len(column(page, 1))
    page.get_by_label("Filter rows").first.fill("int4")
    some = column(page, place_of(page, "level"))
    assert some
    assert all("int4" in text for text in some)
    page.locator("#results .filters").get_by_label("machine").select_option("M9")
    fewer = column(page, place_of(page, "machine"))
    assert set(fewer) == {"M9"}
    assert page.locator("#results output").inner_text() == f"{len(fewer)} of {rows} rows"
    page.locator("#results button[type=reset]").click()
    page.locator("#results output", has_text=re.compile(f"^{rows} rows$")).wait_for()
    assert len(column(page, 1)) == rows
    page.context.close()


def test_a_click_on_a_legend_hides_a_series_and_shows_it_again(browser, pages):
    opened = open_page(browser, pages["sweep"])
    page = opened.page
    view = page.locator(".view:has(.role-legend-label)").first
    labels = view.locator(".role-legend-label text")
    marks = "path[aria-roledescription=bar], path[aria-roledescription=point], .mark-rule line"

    def seen():
        return view.locator(marks).count()

    before = seen()
    labels.first.dispatch_event("click")
    assert seen() < before
    labels.first.dispatch_event("click")
    assert seen() == before
    page.context.close()


def test_an_entry_of_a_legend_is_a_button_for_the_keyboard(browser, pages):
    opened = open_page(browser, pages["failures"])
    page = opened.page
    view = page.locator(".view:has(.role-legend-label)").first
    marks = view.locator("path[aria-roledescription]")
    before = marks.count()
    view.locator(".role-legend-label text").first.focus()
    page.keyboard.press("Enter")
    assert marks.count() < before
    page.keyboard.press("Space")
    assert marks.count() == before
    page.context.close()


def test_everything_is_reached_and_used_by_keyboard(browser, pages):
    """Tab goes to the skip link, the theme, filters, heads and the table; Enter and Space act."""
    opened = open_page(browser, pages["sweep-tables"])
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    for wanted in ("BUTTON.theme", "INPUT.", "SELECT.", "BUTTON.sort", "DIV.scroll"):
        assert any(found.startswith(wanted) for found in reached), wanted
    head = page.locator("#results thead button").nth(place_of(page, "tg32") - 1)
    head.focus()
    assert "decode" in page.locator(".tip").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#results th[aria-sort=ascending]").count() == 1
    page.keyboard.press("Space")
    assert page.locator("#results th[aria-sort=descending]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()
    page.context.close()


def test_words_of_a_head_appear_with_the_pointer_and_stay_when_the_focus_scrolls(browser, pages):
    opened = open_page(browser, pages["sweep-tables"], PHONE)
    page = opened.page
    last = page.locator("#results thead button").last
    last.focus()
    page.wait_for_timeout(200)
    assert "A, B, C or INVALID" in page.locator(".tip").inner_text()
    page.locator("#results thead button").first.hover()
    assert len(page.locator(".tip").inner_text()) > 10
    page.context.close()


def test_the_theme_turns_without_storage_and_the_charts_follow(browser, pages):
    opened = open_page(browser, pages["failures"])
    page = opened.page
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.locator("#theme").click()
    assert page.evaluate(paper) == light
    page.locator("#theme").click()
    page.wait_for_selector(":root[data-ready=dark]")
    assert page.evaluate(paper) != light
    assert page.locator(".view[data-drawn=dark]").count() == page.locator(".view").count()
    assert page.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0
    page.context.close()


CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["failures-tables", "machines-tables"])
def test_text_stands_out_from_its_background(browser, pages, name, dark):
    """WCAG 2.2, 1.4.3: 4.5 to 1, for every text of the page that is seen."""
    opened = open_page(browser, pages[name], dark=dark)
    assert opened.page.evaluate(CONTRAST) == []
    opened.page.context.close()


def test_a_page_prints_light_without_what_is_only_for_a_screen(browser, pages):
    opened = open_page(browser, pages["failures"], dark=True)
    page = opened.page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".filters").first.is_hidden()
    assert page.locator("#theme").is_hidden()
    assert page.pdf()[:5] == b"%PDF-"
    page.context.close()
