"""What rows of mixtures and of other models that read less than they hold say of it."""

from msgspec import structs

from harness.report.notes import LOPSIDED_NOTE, ROUTING_NOTE, notes
from harness.report.rows import make_rows
from harness.results.explanation import Explanation
from tests.measured_documents import document, record

TIMES = [10.0, 11.0]


def said(read_parameters, method_version=2, **fields):
    """The notes of a document of one seeded row that reads so many of its parameters."""
    one = record(TIMES, parameters=1_000, weights="seeded", **fields)
    why = Explanation(estimator="calibrated", basis="", read_parameters=read_parameters)
    found = document(structs.replace(one, explanation=why), method_version=method_version)
    return notes(found, make_rows(found.records))


def test_a_mixture_says_what_one_token_uses_and_reads():
    model = record(TIMES).cell.model
    told = (
        f"{model}: of 1,000 parameters one token uses 300 and reads 200; meas/params counts them"
        " all"
    )
    assert told in said(200, active_parameters=300)


def test_a_model_with_a_second_table_says_what_it_reads():
    """Gemma 4: the per-layer embedding is read by row."""
    assert any("one token reads 500;" in note for note in said(500))


def test_a_model_that_reads_nearly_all_says_nothing():
    assert not any("one token" in note for note in (*said(960), *said(None), *said(1_000)))


def test_routing_is_said_as_it_was():
    """Rows of earlier methods had routers that preferred some experts."""
    assert ROUTING_NOTE in said(200, active_parameters=300)
    old = said(200, 1, active_parameters=300)
    assert LOPSIDED_NOTE in old
    assert ROUTING_NOTE not in old
    assert ROUTING_NOTE not in said(200)
