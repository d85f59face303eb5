"""`bench verify`: documents by their checksum, journals line by line."""

import json
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_OK, EXIT_STORAGE, EXIT_USAGE
from harness.results.document import encode_document
from tests.results.results_samples import document, record, unchecked

JOURNAL = Path(__file__).resolve().parents[1] / "fixtures" / "journals" / "format-1.journal.jsonl"
CONTENT = encode_document(document(record()))
LINES = JOURNAL.read_bytes()
FILES = {  # content, kind, parts, state, what the detail holds
    "run-a.json": (CONTENT, "document", 1, "ok", ""),
    "run-b.json": (unchecked(CONTENT), "document", 1, "no checksum", "an older version"),
    "run-c.json": (CONTENT.replace(b"50.0", b"51.0"), "document", 0, "damaged", "its checksum"),
    "run-d.json": (CONTENT[:-9], "document", 0, "damaged", "no complete JSON"),
    "run-e.journal.jsonl": (LINES, "journal", 7, "ok", ""),
    "run-f.journal.jsonl": (LINES[:-9], "journal", 6, "ok", "cut short"),
    "ab-g.jsonl": (LINES.replace(b'"round":0', b'"round":1', 1), "journal", 6, "damaged", "line "),
}


@pytest.fixture
def folder(tmp_path):
    for name, (content, *_) in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "table.jsonl").write_text("{}\n")
    return tmp_path


def test_every_file_of_a_folder_is_told_apart(folder, capsys):
    """Other JSON is nobody's; the folder as a whole ends with 5, for some of it is damaged."""
    assert main(["verify", str(folder), "--format", "json"]) == EXIT_STORAGE
    told = {Path(row["file"]).name: row for row in json.loads(capsys.readouterr().out)}
    assert told.keys() == FILES.keys()
    for name, (_, kind, parts, state, detail) in FILES.items():
        row = told[name]
        assert (row["kind"], row["parts"], row["state"]) == (kind, parts, state), name
        assert detail in (row["detail"] or ""), name


@pytest.mark.parametrize("style", ["table", "md", "csv", "jsonl"])
def test_what_is_sound_ends_well(folder, capsys, style):
    """Without a checksum too: there is nothing that says it was changed."""
    names = [str(folder / name) for name in ("run-a.json", "run-b.json", "run-e.journal.jsonl")]
    assert main(["verify", *names, "--format", style]) == EXIT_OK
    shown = capsys.readouterr().out
    assert shown.count("no checksum") == 1 + (style in ("table", "md"))
    assert all(Path(name).suffix in "".join(shown.split()) for name in names)


def test_a_file_that_is_not_there_cannot_be_verified(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "none.json")]) == EXIT_STORAGE
    assert "cannot be read: No such file" in " ".join(capsys.readouterr().out.split())
    assert main(["verify", str(tmp_path)]) == EXIT_USAGE
    assert main(["verify"]) == EXIT_USAGE


def test_a_damaged_document_ends_every_command_that_reads_it_with_5(folder, capsys):
    """As the table of exit codes says."""
    damaged, sound = str(folder / "run-c.json"), str(folder / "run-a.json")
    for words in (["report"], ["explain"], ["explain", "trust"], ["compare", sound], ["scaling"]):
        assert main([*words, damaged]) == EXIT_STORAGE, words
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 2)
        assert "was damaged or edited after it was written" in told.err
