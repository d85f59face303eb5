"""A site as readers have it: from a disk, by its links, on a phone, with hostile names."""

import pytest

from harness.core.own_folder import fill_folder
from harness.report.site.pages import site_files
from harness.report.site.plan import load, make_plan, unreadable
from harness.report.site.policy import Policy
from tests.browser.chromium import PHONE, open_page
from tests.browser.shown import HOSTILE
from tests.report.site.site_documents import document, record

pytestmark = pytest.mark.browser

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PLAIN = "smollm2-135m"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two machines with a history, one of them with hostile names."""
    policy = Policy()
    hostile = {"cpu_model": HOSTILE[0], "packages": {"onnxruntime": HOSTILE[2]}}
    files = [
        load(document(record(100.0 + day, level=level), day=day), f"run-{day}.json", policy)
        for day, level in enumerate(("int4", "int4", "int8", "int8"), 1)
    ]
    files += [
        load(
            document(*(record(day, model=name) for name in HOSTILE), day=day, machine=hostile),
            f"{HOSTILE[3]}-{day}.json".replace("/", ""),
            policy,
        )
        for day in (5, 6)
    ]
    plan = make_plan(files, [unreadable(HOSTILE[1], HOSTILE[0])], policy)
    copies = {path: lambda: b"{}" for path in plan.copies.values()}
    folder = tmp_path_factory.mktemp("made") / "site"
    fill_folder(folder, site_files(plan, HOSTILE[0], copies), ".ours.json", "bench site")
    return folder


def outside(opened, site):
    """What a page asked for beyond the files of its site."""
    return [url for url in opened.requests if not url.startswith(site.as_uri() + "/")]


@pytest.mark.parametrize("dark", [False, True])
def test_every_page_opens_from_a_disk_without_an_error(browser, site, dark):
    """A policy that stopped a file of the site would say so; charts stand in both themes."""
    for path in sorted(site.rglob("*.html")):
        opened = open_page(browser, path, dark=dark)
        assert opened.errors == [], path
        assert outside(opened, site) == [], path
        assert opened.dialogs == []
        assert opened.page.evaluate("window.hit") is None
        theme = "dark" if dark else "light"
        views = opened.page.locator(".view[data-spec]")
        assert opened.page.locator(f".view[data-drawn={theme}] svg").count() == views.count()
        opened.page.context.close()


@pytest.mark.parametrize("name", ["index", "documents", "refused", "policy"])
def test_a_phone_scrolls_tables_and_not_the_page(browser, site, name):
    opened = open_page(browser, site / f"{name}.html", PHONE)
    assert opened.page.evaluate(SIDEWAYS) == 0
    opened.page.context.close()


def test_a_reader_filters_and_follows_a_row_to_its_history(browser, site):
    opened = open_page(browser, site / "index.html")
    page = opened.page
    rows = page.locator("#cells tbody tr:not([hidden])")
    assert rows.count() == 2 + len(HOSTILE)
    page.get_by_label("Filter rows").first.fill(PLAIN)
    assert rows.count() == 2
    page.locator("#cells select").nth(1).select_option("int8")
    assert rows.count() == 1
    rows.locator("td a").nth(1).click()
    page.wait_for_selector(":root[data-ready]")
    assert page.locator("h1").inner_text().startswith(f"{PLAIN} int8 tg4")
    assert page.locator("#runs tbody tr").count() == 2
    assert page.locator(".view svg .mark-symbol path").count() >= 2
    page.locator(".about a").first.click()
    assert page.locator("h1").inner_text() == "AMD EPYC, 2 cores, 24 GiB"
    assert opened.errors == []
    page.context.close()
