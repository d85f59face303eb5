"""Workflow commands that nothing can break out of, and a summary that GitHub takes."""

from harness.report.github import (
    CUT,
    SUMMARY_BYTES,
    Annotation,
    annotation_lines,
    cut_summary,
    document_annotations,
)
from harness.results.schema import Reason, Record, Trust
from tests.measured_documents import cell, document, record


def test_an_annotation_is_one_command():
    [line] = annotation_lines([Annotation("error", "bench: a,b", "50 % slower\nlook")])
    assert line == "::error title=bench%3A a%2Cb::50 %25 slower%0Alook"


def test_no_text_begins_a_command_of_its_own():
    """A model's name with line ends, and what terminals act on, stays inside its line."""
    evil = "x\r\n::set-env name=A::b\u2028\x1b[2J"
    lines = list(annotation_lines([Annotation("warning", evil, evil)]))
    assert len(lines) == 1
    assert len(lines[0].splitlines()) == 1
    assert "\x1b" not in lines[0]


def test_ten_of_a_kind_and_how_many_more():
    """GitHub shows ten of a kind: the tenth says what is not shown."""
    many = [Annotation("error", "t", str(number)) for number in range(25)]
    lines = list(annotation_lines([*many, Annotation("warning", "t", "one")]))
    assert len(lines) == 11
    assert "and 16 more" in lines[9]
    assert len(list(annotation_lines(many[:10]))) == 10


def test_failures_are_errors_and_invalid_records_warnings():
    bad = Trust(grade="INVALID", reasons=(Reason(code="SWAPPED", detail="3 pages"),))
    found = document_annotations(
        document(
            record([10.0, 10.1]),
            record([10.0, 10.1], threads=1, status={"trust": bad}),
            Record(cell=cell(threads=4), status="crashed", reason="it died"),
        )
    )
    assert [(one.kind, one.message) for one in found] == [
        ("warning", "SWAPPED: 3 pages"),
        ("error", "it died"),
    ]


def test_a_summary_that_fits_stays_whole():
    assert cut_summary("é\n" * 10) == "é\n" * 10
    exact = "x" * (SUMMARY_BYTES - 1) + "\n"
    assert cut_summary(exact) == exact


def test_a_summary_that_is_too_long_is_cut_after_a_line():
    """Bytes are counted, not letters; no letter is cut in two."""
    lines = "".join(f"| {number} é |\n" for number in range(120_000))
    cut = cut_summary(lines)
    assert len(cut.encode()) <= SUMMARY_BYTES
    assert cut.endswith(CUT)
    assert lines.startswith(cut.removesuffix(CUT))
    assert cut.removesuffix(CUT).endswith("|")


def test_a_summary_shares_its_room_with_what_is_there():
    text = "line\n" * 1000
    assert cut_summary(text, SUMMARY_BYTES - 5000) == text
    assert len(cut_summary(text, SUMMARY_BYTES - 4999).encode()) <= 4999
    assert cut_summary(text, SUMMARY_BYTES) == ""


def test_what_looks_escaped_stays_what_it_was():
    """A name that spells `%0A` is no line end, and none that spells `%3A` a colon."""
    [line] = annotation_lines([Annotation("notice", "a%3Ab", "a%0A::error::b")])
    assert line == "::notice title=a%253Ab::a%250A::error::b"


def test_no_more_than_ten_of_a_kind_from_a_whole_document():
    """Twelve failed cells and eleven INVALID ones: ten lines each, the last one counts the rest."""
    bad = {"trust": Trust(grade="INVALID", reasons=(Reason(code="SWAPPED", detail="3 pages"),))}
    failed = [Record(cell=cell(threads=n), status="crashed", reason="died") for n in range(1, 13)]
    invalid = [record([10.0, 10.1], threads=n, status=bad) for n in range(21, 32)]
    lines = list(annotation_lines(document_annotations(document(*failed, *invalid))))
    for kind, more in (("error", 3), ("warning", 2)):
        mine = [line for line in lines if line.startswith(f"::{kind} ")]
        assert len(mine) == 10
        assert mine[-1].endswith(f"::and {more} more; see the job summary")
