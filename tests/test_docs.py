"""The documents tell the truth: command lines parse, links lead somewhere, tables match."""

import os
import re
import shlex
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import click
import pytest

from harness.analysis.compare import Question, compare_axis
from harness.cli.main import COMMANDS, DEFAULT_COMMAND, bench
from harness.report.compare_table import draw_table
from harness.report.render import render
from harness.results.document import read_document

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [row[0] for row in COMMANDS]
LINKS = re.compile(r"\]\((?!https?:)([^)#]+)")
# The README is shown outside the repository too, so its links are whole addresses.
SOURCE = "https://github.com/ondevice-bench/ondevice-bench"
OWN_LINKS = re.compile(rf"\]\({SOURCE}/(?:blob|tree)/main/([^)#]+)")
INDEX_HOSTS = ("pypi" + ".org", "files.python" + "hosted.org", "python" + "hosted")
COMPARED = re.compile(r"<!-- compare: (\S+) (\S+) -->\n(.*?)<!-- /compare -->", re.DOTALL)
TABLE = re.compile(r"<!-- table: (\S+) -->\n(.*?)<!-- /table -->", re.DOTALL)


FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def command_lines() -> list[str]:
    """Every `bench ...` line of the plain blocks of all pages, comments cut off."""
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    blocks = [block for text in texts for kind, block in FENCED.findall(text) if not kind]
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line.startswith("bench ")))


def test_every_page_with_commands_has_some():
    assert len(command_lines()) >= 50


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_of_the_pages_parses(line):
    """Parsed, not run: an option that is gone or misspelt is an error here."""
    words = shlex.split(line.split(" > ")[0])[1:]
    name = words.pop(0) if words[0] in NAMES else DEFAULT_COMMAND
    command = bench.get_command(click.Context(bench), name)
    assert command is not None
    context = command.make_context(name, words)
    if isinstance(command, click.Group):
        under, found, rest = command.resolve_command(context, words[: len(words)])
        found.make_context(under, rest, parent=context)


@pytest.mark.parametrize("name", [name for name in NAMES if name != DEFAULT_COMMAND])
def test_every_command_is_in_the_readme(name):
    assert f"bench {name}" in README


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in LINKS.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_whole_addresses_of_our_own_files_lead_somewhere(path):
    for target in OWN_LINKS.findall(path.read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_no_text_names_the_host_of_a_package_index():
    """Where packages come from is the installer's business, and its configuration's."""
    kinds = {".py", ".md", ".toml", ".yml", ".yaml", ".cfg", ".txt", ""}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in kinds and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [host for host in INDEX_HOSTS if host in text], name


@pytest.mark.parametrize(("source", "shown"), TABLE.findall(README), ids=lambda text: text[:40])
def test_tables_are_drawn_from_the_committed_results(source, shown):
    assert shown.strip() == render(read_document(ROOT / source), "md").strip()


@pytest.mark.parametrize(("source", "axis", "shown"), COMPARED.findall(README))
def test_comparisons_are_drawn_from_the_committed_results(source, axis, shown):
    comparison = compare_axis(read_document(ROOT / source), axis, None, Question())
    assert shown.strip() == draw_table(comparison, "md").strip()


def test_the_table_of_modern_models_is_that_of_its_document():
    """Those of older versions are held with their words by tests/report/test_stored_renders.py."""
    path = ROOT / "results" / "validation" / "modern.json"
    shown = path.with_suffix(".md").read_text(encoding="utf-8")
    assert shown.strip() == render(read_document(path), "md").strip()


def test_the_readme_shows_a_measured_table():
    assert TABLE.findall(README)
    assert COMPARED.findall(README)


def test_the_changelog_has_the_version_with_a_date_and_a_line_per_entry():
    """Who installs a version finds what came with it; an entry that needs more is for the docs."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert re.search(
        rf"^## {re.escape(project['version'])} - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE
    )
    assert [line for line in text.splitlines() if line.startswith("  ")] == []


def test_each_version_of_the_changelog_has_a_heading_and_an_entry_once():
    """Two branches that both add lines leave them doubled when they meet."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for version in text.split("\n## ")[1:]:
        name, *lines = [line for line in version.splitlines() if line]
        assert [line for line, count in Counter(lines).items() if count > 1] == [], name
        headings = {line for line in lines if line.startswith("#")}
        assert headings <= {"### Added", "### Fixed", "### Changed", "### Numbers"}, name


FINDINGS = sorted((ROOT / "findings").glob("*.sh"))


@pytest.mark.parametrize("script", FINDINGS, ids=lambda path: path.stem)
def test_a_finding_is_listed_and_says_what_was_seen(script):
    text = script.read_text(encoding="utf-8")
    assert f"]({script.name}) |" in (ROOT / "findings/README.md").read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert "# Output seen" in text
    installs = [line for line in text.splitlines() if "pip" in line and " install " in line]
    packages = [word for line in installs for word in line.split("--quiet ")[1].split()]
    from_system = re.findall(r"^apt-get download -q (\S+)", text, re.MULTILINE)  # no pip has them
    assert packages or from_system
    assert all(f"{name} " in text.partition("set -e")[0] for name in from_system)
    assert all("==" in package for package in packages)
    assert "harness" not in text
    assert "bench" not in text.replace("benchmark", "")
    python = text.partition("<<'END'\n")[2].removesuffix("END\n")
    compile(python, script.name, "exec")


def test_a_checkout_stays_small():
    """Weights of fixtures follow from a rule, and what is large lies compressed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert sum(path.stat().st_size for path in paths if path.is_file()) < 24_000_000
