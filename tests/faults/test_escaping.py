"""Faults 25 to 27: hostile names leave as text, whatever command draws them and in which format.

Every text of a document, and every key that may be any, gets an end that would clear a terminal,
turn a line round, begin a line that a build service obeys, close a cell, a quote or a tag. Beside
it stands the same document with a harmless end: both are drawn in as many lines and cells.
"""

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.cli.main import main
from harness.cli.options import COMPARE_FORMATS, DOCUMENT_FORMATS, FORMATS
from harness.core.errors import EXIT_FAULT, EXIT_STORAGE, EXIT_USAGE, HarnessError
from harness.report.grid import one_line
from harness.results.document import decode_document, encode_document
from tests.results.results_samples import unchecked

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference" / "default.json"
HOSTILE = '\n::error::x\r\x1b[2J\x9b\x07\u202e\u2028|<b>`x`"\\\t=1,\x7f\u200b\x00'
HARMLESS = "-x"
PLACE = {
    "placement": {"verdict": "FULL", "nodes": {"Ep": 3}, "compute_nodes": {"Ep": 2}},
    "profile": {
        "providers": [{"provider": "Ep", "share": 1.0}],
        "operators": [{"provider": "Ep", "operator": "MatMul", "calls": 1, "share": 1.0}],
    },
}


def tables(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every value with its path; places of a list are one."""
    yield path, value
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from tables(item, (*path, key))


def changed(table: Any, pattern: tuple[Any, ...], end: str, is_key: bool) -> Any:
    """A copy of a table with an end to every text, or key, at a pattern's places."""
    if not pattern:
        if is_key and isinstance(table, dict):
            return {f"{key}{end}": value for key, value in table.items()}
        return f"{table}{end}" if isinstance(table, str) and not is_key else table
    first, *rest = pattern
    if isinstance(table, list):
        return [changed(item, tuple(rest), end, is_key) for item in table]
    if not isinstance(table, dict) or first not in table:
        return table
    return table | {first: changed(table[first], tuple(rest), end, is_key)}


def is_read(table: Any) -> bool:
    try:
        decode_document(json.dumps(table).encode())
    except HarnessError:
        return False
    return True


def base() -> dict[str, Any]:
    """Two records of the reference run: one placed and profiled, one that failed."""
    stored = decode_document(REFERENCE.read_bytes())
    table: dict[str, Any] = json.loads(unchecked(encode_document(stored)))
    first, second = table["records"][0], table["records"][3]
    first |= json.loads(json.dumps(PLACE))
    first["cell"]["device"] = "webgpu"
    failed = second | {"status": "failed", "reason": "no memory", "metrics": {}, "trust": None}
    return table | {"records": [first, second, failed]}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """(harmless, hostile): the same texts and keys have an end in both."""
    plain = base()
    names = {
        tuple("*" if isinstance(key, int) else key for key in path) for path, _ in tables(plain)
    }
    taken = [
        (pattern, is_key)
        for pattern in sorted(names, key=str)
        for is_key in (False, True)
        if (other := changed(plain, pattern, HOSTILE, is_key)) != plain and is_read(other)
    ]
    assert len(taken) > 60
    folder = tmp_path_factory.mktemp("documents")
    paths = []
    for end in (HARMLESS, HOSTILE):
        table = plain
        for pattern, is_key in sorted(taken, key=lambda one: (-len(one[0]), one[1])):
            table = changed(table, pattern, end, is_key)
        assert is_read(table)
        paths.append(folder / f"{len(end)}.json")
        paths[-1].write_text(json.dumps(table))
    return paths


def drawn(capsys, *words):
    """What a command prints; nothing in it acts on whoever shows it."""
    code = main([str(word) for word in words])
    told = capsys.readouterr()
    for text in (told.out, told.err):
        assert [sign for sign in text if one_line(sign) != sign and sign not in "\n\t"] == []
    assert code != EXIT_FAULT, told.err
    return code, told.out, told.err


@pytest.fixture(autouse=True)
def nothing_is_left_to_the_last_guard(monkeypatch):
    """What is drawn is safe before it leaves: the guard at the exit finds nothing to do."""

    def unchanged(text):
        assert one_line(text.replace("\n", "").replace("\t", "")) == text.replace("\n", "").replace(
            "\t", ""
        )
        return text

    monkeypatch.setattr("harness.cli.output.visible", unchanged)


DRAWN = [
    *(("report", style) for style in DOCUMENT_FORMATS),
    *(("compare", style) for style in COMPARE_FORMATS),
    *(("explain", style) for style in ("table", "md", "json")),
    *(("trust", style) for style in ("table", "md", "json")),
    *(("scaling", style) for style in FORMATS),
    *(("validate-estimates", style) for style in FORMATS),
]


def words_of(command, path, style):
    wide = ("--wide",) if style == "table" else ()  # as narrow as a screen it has more lines
    if command == "trust":
        return "explain", "trust", path, "--format", style, *wide
    if command == "compare":
        return "compare", path, path, "--force", "--format", style, *wide
    return command, path, "--format", style, *wide


@pytest.mark.parametrize(("command", "style"), DRAWN)
def test_a_document_is_drawn_in_as_many_lines(documents, command, style, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    plain, hostile = (drawn(capsys, *words_of(command, path, style)) for path in documents)
    assert plain[0] == hostile[0]
    for before, after in zip(plain[1:], hostile[1:], strict=True):
        assert len(before.splitlines()) == len(after.splitlines())
        commands = [
            [line for line in text.splitlines() if line.startswith("::")]
            for text in (before, after)
        ]
        assert len(commands[0]) == len(commands[1])
    if plain[0] == 0:
        READ_BACK.get(style, lambda text, _: None)(hostile[1], plain[1])


@pytest.mark.parametrize("command", sorted({command for command, _ in DRAWN}))
def test_no_line_of_a_narrow_table_begins_a_command(documents, command, capsys):
    """Build services trim spaces in front, and a text goes on in the next line."""
    for path in documents:
        words = [word for word in words_of(command, path, "table") if word != "--wide"]
        _, *texts = drawn(capsys, *words)
        lines = [line for text in texts for line in text.splitlines()]
        assert [line for line in lines if line.lstrip().startswith(("::", "##["))] == []


def same_cells(text, before):
    """Bars that are not escaped stand in each line of a table as often as in the harmless one."""
    counts = [
        [line.replace("\\\\", "").replace("\\|", "").count("|") for line in one.splitlines()]
        for one in (text, before)
    ]
    assert counts[0] == counts[1]


def same_fields(text, before):
    widths = [[len(row) for row in csv.reader(io.StringIO(one))] for one in (text, before)]
    assert widths[0] == widths[1]


def same_samples(text, before):
    counts = [
        sum(len(family.samples) for family in text_string_to_metric_families(one))
        for one in (text, before)
    ]
    assert counts[0] == counts[1]


READ_BACK = {
    "md": same_cells,
    "csv": same_fields,
    "json": lambda text, _: json.loads(text),
    "jsonl": lambda text, _: [json.loads(line) for line in text.splitlines()],
    "junit": lambda text, _: ElementTree.fromstring(text),
    "openmetrics": same_samples,
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names of files")
@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("command", ["results", "verify"])
def test_names_of_files_are_text(command, style, documents, tmp_path, capsys):
    """A name that is no UTF-8 too; a folder is not read by its name."""
    name = HOSTILE.replace("/", "").replace("\x00", "") + "\udce9"
    for odd, content in (("run-", documents[0].read_bytes()), ("broken-", b"{"), ("ab-", b"")):
        (tmp_path / f"{odd}{name}.json").write_bytes(content)
    (tmp_path / f"other{name}.json").write_text("{}")
    _code, out, err = drawn(capsys, command, tmp_path, "--format", style)
    assert "\\u202e" in out
    assert "::error" not in [line[:7] for line in (out + err).splitlines()]
    drawn(capsys, "report", tmp_path / f"broken-{name}.json")
    drawn(capsys, "scaling", tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("run", "--model", "--dry-run"),
        ("run", "--config", "--dry-run"),
        ("run", "--quant", "--dry-run"),
        ("run", "--device", "--dry-run"),
        ("run", "--threads", "--dry-run"),
        ("run", "--prompt", "--dry-run"),
        ("run", "--session-option", "--dry-run"),
        ("run", "--runtime", "--dry-run"),
        ("run", "--format", "--dry-run"),
        ("models",),
        ("levels",),
        ("explain",),
        ("explain", "--row", "results/reference/default.json"),
        ("estimate",),
        ("estimate", "--on", "llama-3.2-1b"),
        ("compare", "a"),
        ("compare", "--axis", "results/reference/default.json"),
        ("compare", "--metric", "results/reference/default.json", "--axis", "quant"),
        ("compare", "--fail-on", "results/reference/default.json", "--axis", "quant"),
        ("report",),
        ("results",),
        ("scaling",),
        ("audit", "--model"),
        ("tune", "--for", "bytelm"),
        ("ab", "--a", "--b", "x"),
        ("cache", "prune", "--older"),
        ("devices", "--class"),
        ("calibrate", "--quant"),
        ("validate-estimates", "--by"),
    ],
    ids=" ".join,
)
def test_a_hostile_word_is_refused_in_two_lines(words, capsys, monkeypatch):
    """It stands behind the flag that ends the command's own words, or after them all."""
    monkeypatch.chdir(ROOT)
    flag = next(
        (place for place, word in enumerate(words) if word.startswith("--")), len(words) - 1
    )
    typed = [*words[: flag + 1], f"zz{HOSTILE}".replace("\x00", ""), *words[flag + 1 :]]
    code, out, err = drawn(capsys, *typed)
    assert code in (EXIT_USAGE, EXIT_STORAGE), err
    lines = err.splitlines()
    assert [line[:7] for line in lines] == ["bench: ", "  try: "], err
    assert out == ""
