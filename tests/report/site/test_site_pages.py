"""The pages of a site, parsed: links lead somewhere, hostile names stay text, bytes stay."""

import re
from html.parser import HTMLParser
from posixpath import dirname, join, normpath

import pytest

pytest.importorskip("jinja2", reason="the extra report")
pytest.importorskip("vl_convert", reason="the extra report")

from harness.report.site.pages import site_files
from harness.report.site.plan import load, make_plan, unreadable
from harness.report.site.policy import Policy, make_policy
from harness.results.signature import Signature, SignatureState
from tests.report.site.site_documents import document, record

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'
VOID = {"meta", "link", "input", "img", "br"}


class Page(HTMLParser):
    """What stands in a page: elements, links, texts of cells, scripts with a body."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.links, self.open, self.inline, self.text = [], [], [], [], []
        self.ids = []
        self.feed(content.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.links += [found[name] for name in ("href", "src") if name in found]
        self.ids += [found["id"]] if "id" in found else []
        assert not [name for name in found if name.startswith("on")]
        if tag not in VOID:
            self.open.append((tag, found))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "script":
            self.inline.append((self.open[-1][1].get("type"), data))
        else:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def planned(policy=Policy()):  # noqa: B008 - frozen
    files = [
        load(document(record(100.0 + day), day=day), f"run-{day}.json", policy) for day in (1, 2, 3)
    ]
    hostile = document(
        record(50.0, model=HOSTILE, level_label=HOSTILE),
        record(10.0, level="fp32", grade="C"),
        day=4,
        machine={"cpu_model": HOSTILE, "packages": {"onnxruntime": HOSTILE}, "os": HOSTILE},
        run_id=HOSTILE,
    )
    signature = Signature(SignatureState.SIGNED, "ann@example.org")
    files.append(load(hostile, f"{HOSTILE}.json", policy, signature=signature))
    return make_plan(files, [unreadable(HOSTILE, f"cut: {HOSTILE}")], policy)


def made(plan, **more):
    copies = {path: lambda: b"{}" for path in plan.copies.values()}
    return {path: make() for path, make in site_files(plan, copies=copies, **more).items()}


@pytest.fixture(scope="module")
def site():
    return made(planned(), title=HOSTILE)


def pages(site):
    return {path: Page(content) for path, content in site.items() if path.endswith(".html")}


def test_every_link_of_every_page_leads_to_a_file_of_the_site(site):
    """Relative ones alone: a site works under any address, and from a disk."""
    for path, page in pages(site).items():
        for link in page.links:
            if link.startswith("#") or link == "data:,":
                continue
            target = normpath(join(dirname(path), link.partition("#")[0]))
            assert target in site, (path, link)


def test_no_two_parts_of_a_page_have_one_name(site):
    """A link to a part, and words that describe one, mean the first of two."""
    for path, page in pages(site).items():
        assert len(page.ids) == len(set(page.ids)), path
        for link in page.links:
            assert not link.startswith("#") or link[1:] in page.ids, (path, link)


def test_every_page_is_reached_from_the_first(site):
    found, new = set(), {"index.html"}
    parsed = pages(site)
    while new:
        path = new.pop()
        found.add(path)
        links = (normpath(join(dirname(path), link)) for link in parsed[path].links)
        new |= {link for link in links if link in parsed} - found
    assert found == set(parsed)


def test_names_of_files_are_text_wherever_they_stand(site):
    """No element, no handler, no script but the files of the site and data."""
    for path, page in pages(site).items():
        assert "img" not in page.tags, path
        assert {kind for kind, _ in page.inline} <= {"application/json"}, path
        assert all("<" not in data for _, data in page.inline), path
    (model,) = [path for path in site if path.startswith("models/script")]
    assert HOSTILE in Page(site[model]).words


def test_a_page_lets_nothing_in_from_elsewhere(site):
    for path, content in site.items():
        if path.endswith(".html"):
            assert b"default-src &#39;none&#39;" in content
            assert b"http:" not in content
            assert b"https:" not in content.replace(b"https://vega.github.io/schema/", b"")


def test_a_cell_shows_its_history_and_its_estimate(site):
    (path,) = [path for path in site if path.startswith("cells/smollm2-135m-int4")]
    page = Page(site[path])
    assert "103 tok/s (95 % interval 101 to 105" in page.words
    assert "estimated 110 tok/s (calibrated), time measured / estimated 1.07" in page.words
    assert "1.01 times the run before it; their intervals overlap" in page.words
    for day in (1, 2, 3):
        assert f"2026-11-0{day} 10:15" in page.words
        assert f"../documents/run-{day}.json" in page.links
    assert page.words.count("peak_rss_bytes") >= 1
    specs = [data for kind, data in page.inline if kind == "application/json"]
    assert len(specs) == 3  # speed, memory, configurations
    assert any(link == "../assets/libraries.js" for link in page.links)


def test_every_metric_stands_with_its_unit_and_processes(site):
    """Sizes in MiB; how many processes there were is no size."""
    (path,) = [path for path in site if path.startswith("cells/smollm2-135m-int4")]
    words = Page(site[path]).words
    (told,) = re.findall(r"peak_rss_bytes .*? (256 (?:– )*MiB 1) ", words.partition("Every m")[2])
    assert told.startswith("256")


def test_a_cell_that_was_measured_once_has_no_chart_and_no_libraries(site):
    (path,) = [path for path in site if path.startswith("cells/script")]
    page = Page(site[path])
    assert "Measured once" in page.words
    assert not [link for link in page.links if "libraries" in link]


def test_what_is_refused_is_listed_with_the_rule_and_the_reason(site):
    words = Page(site["refused.html"]).words
    assert "grade C (WIDE_INTERVAL)" in words
    assert f"cut: {HOSTILE}" in words
    assert "Policy" in words


def test_a_signer_is_shown_where_one_is_known(site):
    assert "ann@example.org" in Page(site["index.html"]).words
    assert "ann@example.org" in Page(site["documents.html"]).words


def test_every_page_of_a_looser_site_says_so():
    loose = make_policy("C", ["effort"], signed_only=False)
    site = made(planned(loose))
    for path, page in pages(site).items():
        assert "--allow effort --grade C" in page.words, path
    assert "not applied (--allow effort)" in Page(site["policy.html"]).words
    assert "less strict than usual" in Page(site["index.html"]).words


def test_the_same_files_give_the_same_bytes(site):
    assert made(planned(), title=HOSTILE) == site


def test_another_run_changes_the_pages_that_show_it_and_no_other(site):
    """So that what is published is a small difference."""
    policy = Policy()
    before = [load(document(record(), day=1), "a.json", policy)]
    other = load(document(record(level="int8"), day=2), "b.json", policy)
    old, new = (made(make_plan(files, (), policy)) for files in (before, [*before, other]))
    changed = {path for path in new if old.get(path) != new[path]} - (new.keys() - old.keys())
    (machine,) = [path for path in old if path.startswith("machines/")]
    assert changed == {"index.html", "documents.html", "models/smollm2-135m.html", machine}


def test_a_site_without_a_row_says_so():
    policy = Policy()
    plan = make_plan([load(document(record(grade="C")), "a.json", policy)], (), policy)
    site = made(plan)
    assert "No results file has a row that meets the policy." in Page(site["index.html"]).words
    assert "grade C" in Page(site["refused.html"]).words
    for path, page in pages(site).items():
        assert page.open == [], path
