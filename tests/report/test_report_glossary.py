"""Every name that any output can hold is explained, and the page is the generator's own."""

from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.report.columns import IDENTITY, columns_of
from harness.report.rows import make_rows
from harness.results import metrics
from harness.results.enums import Grade, Kind, ReasonCode, Verdict
from harness.results.glossary import explain, glossary_markdown, terms
from harness.results.glossary.columns import COLUMNS
from harness.results.glossary.lookup import SECTIONS
from harness.results.glossary.metrics import METRICS
from tests.report.report_documents import document, failed, group, metric, record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "glossary.md"


def test_every_metric_has_an_entry_with_its_unit():
    assert [(term.name, term.unit) for term in METRICS] == [
        (row.name, row.unit) for row in metrics.METRICS
    ]


def test_every_column_has_an_entry():
    request = {"ttft_ms": metric(1.0, "ms"), "decode_tok_s": metric(9.0)}
    varied = [record("pg8+4", request), record("pg8+5", request), failed("pp8", "x", level="a")]
    headers = {column.header for column in IDENTITY}
    for records in (group(), varied):
        headers |= {column.header for column in columns_of(make_rows(document(*records).records))}
    assert {"±", "meas/est", "trust", "pg8+4 TTFT ms", "pp128 tok/s", "pg8+4 tok/s"} <= headers
    for header in headers:
        assert explain(header)


def test_a_column_is_found_without_its_unit():
    """A table puts the unit below the name."""
    for column in COLUMNS:
        if column.unit:
            assert explain(column.name.rpartition(" ")[0] or column.name)


def test_every_grade_and_reason_code_has_an_entry():
    for code in (*Grade, *ReasonCode, *Verdict, *Kind):
        assert explain(code).startswith(code)


@pytest.mark.parametrize(
    ("term", "starts"),
    [
        ("ttft_ms", "ttft_ms [ms]: "),
        ("TTFT_MS", "ttft_ms [ms]: "),
        (" pp512 @ d1024 ", "pp: "),
        ("pg128+64", "pg: "),
        ("tg32 tok/s", "tgN tok/s [tok/s]: "),
        ("est.", "est. tok/s [tok/s]: "),
        ("x", "meas/est [ratio]: "),
        ("×", "meas/est [ratio]: "),
        ("params ×", "meas/params [ratio]: "),
        ("b", "B: "),
        ("mib", "MiB: "),
        ("family", "correction: "),
        ("sure to show", "MDE [%]: "),
        ("CANNOT_TELL", "INCONCLUSIVE: "),
        ("FOREIGN_CPU", "BACKGROUND_CPU [%]: "),
        ("SHIFT", "DRIFT [%]: "),
        ("run", "graph: "),
        ("TTFT", "TTFT ms [ms]: "),
        ("reread ttft", "reread TTFT ms [ms]: "),
        ("peak", "peak MiB [MiB]: "),
        ("load", "load ms [ms]: "),
        ("c512", "capacity [tokens]: "),
        *(("--turns", "turn: "), ("4x128+64", "turn: "), ("--start-below", "start-below [°C]: ")),
        ("capacity=256", "capacity [tokens]: "),
        ("--session-option", "session option: "),
        *(("decode", "decode_tok_s [tok/s]: "), ("tpot<=50ms", "tpot_ms [ms/token]: ")),
        *(("sustained_decode>=15", "sustained_decode_tok_s [tok/s]: "), ("met", "MET: ")),
        *(("--require", "requirement: "), ("max", "capacity [tokens]: "), ("looks", "look: ")),
        *(("warm", "warm: "), ("cold", "cold: "), ("tasks", "question: ")),
        *(("confirmed", "confirmation: "), ("gives up", "candidate: "), ("mcnemar", "McNemar p: ")),
        ("session_options", "session option: "),
    ],
)
def test_terms_are_found_as_people_type_them(term, starts):
    assert explain(term).startswith(starts)


def test_what_is_left_out_is_said():
    assert explain("ttft_ms").endswith("\nLeft out: tokenization, load.")
    assert "Left out" not in explain("bits_per_weight")


def test_an_unknown_term_names_its_neighbours():
    with pytest.raises(UsageError, match="tpot_s") as caught:
        explain("tpot_s")
    assert "tpot_ms" in caught.value.fix


def test_what_an_unknown_term_is_told_is_one_sentence_and_a_command():
    with pytest.raises(UsageError) as caught:
        explain("tpot_m")
    assert caught.value.fix == "did you mean tpot_ms? bench explain 'tpot_ms'"


def test_no_term_is_defined_twice():
    assert len(terms()) == len(set(terms()))


def test_every_definition_is_a_sentence_in_one_line():
    for _, _, entries in SECTIONS:
        for term in entries:
            assert term.definition.endswith(".")
            assert "\n" not in term.definition


def test_the_page_is_what_the_generator_writes():
    """Write it again: Path("docs/glossary.md").write_text(glossary_markdown())."""
    assert PAGE.read_text(encoding="utf-8") == glossary_markdown()
