"""One vocabulary of metrics in limits: whatever name is typed, one is meant and one is drawn."""

import pytest

from harness.analysis.gate import gate_names, parse_gate
from harness.cli.main import main
from harness.results.document import write_document
from harness.results.metric_names import SHORT, full_name, limit_name
from harness.results.metrics import METRICS, find_metric
from harness.results.requirement import beginnings, parse_requirements, requirable
from harness.runner.settings import flag_values, load_settings
from tests.measured_documents import document, record

BOTH = [(word, name) for word, name in SHORT.items() if name in {row.name for row in requirable()}]


def test_every_short_name_is_a_metric_and_no_metric_is_a_short_name():
    assert all(find_metric(name) for name in SHORT.values())
    assert not SHORT.keys() & {row.name for row in METRICS}
    assert len(set(SHORT.values())) == len(SHORT)
    assert full_name("sustained_decode") == "sustained_decode_tok_s"
    assert limit_name("sustained_decode_tok_s") == "sustained_decode"
    assert (full_name("mbu"), limit_name("mbu")) == ("mbu", "mbu")


@pytest.mark.parametrize(("word", "name"), BOTH)
def test_both_names_of_a_limit_are_one_limit_with_one_text(word, name):
    begins = next(one for one in beginnings() if one.startswith((f"{word}>", f"{word}<")))
    sign, units = begins[-2:], {"bytes": "MiB", "ms": "ms", "ms/token": "ms"}
    limit = f"{sign}0.5{units.get(find_metric(name).unit, '')}"
    (short,) = parse_requirements([f"{word}{limit}"])
    (full,) = parse_requirements([f"{name}{limit}"])
    assert short == full
    assert (short.text, short.metric_name) == (f"{word}{limit}", name)


def test_plans_keep_the_name_that_is_drawn(tmp_path):
    plan = tmp_path / "budget.toml"
    plan.write_text('[require]\nsustained_decode_tok_s = ">=15"\npeak_rss_bytes = "<=2GiB"\n')
    assert load_settings(str(plan)).require == ("sustained_decode>=15", "peak<=2GiB")
    typed = flag_values({"require": ("decode_tok_s>=20", "top1_agreement>=95%")})
    asked = load_settings(None, **typed)
    assert asked.require == ("decode>=20", "top1>=95%")


@pytest.mark.parametrize(
    ("text", "drawn", "metrics"),
    [
        ("decode:3%", "decode:3%", ("decode_tok_s",)),
        ("decode_tok_s:3%", "decode:3%", ("decode_tok_s",)),
        ("sustained_decode:5%", "sustained_decode:5%", ("sustained_decode_tok_s",)),
        ("sustained_decode_tok_s:5%", "sustained_decode:5%", ("sustained_decode_tok_s",)),
        ("top1_agreement:0.01", "top1:0.01", ("top1_agreement",)),
        ("slower:3%", "slower:3%", None),
        ("runs_s:3%", "runs:3%", ("runs_s",)),
    ],
)
def test_gates_take_the_same_names(text, drawn, metrics):
    gate = parse_gate(text)
    assert metrics is None or gate.metrics == metrics
    assert gate.text == drawn
    assert {"decode", "sustained_decode", "slower", "decode_tok_s"} <= set(gate_names())


def test_compare_takes_them_wherever_it_takes_a_metric(tmp_path, capsys):
    times = [10.0, 10.1, 9.9, 10.05, 9.95]
    sides = [str(tmp_path / f"{name}.json") for name in "ab"]
    for path, run_id in zip(sides, ("run-a", "run-b"), strict=True):
        write_document(document(record(times), run_id=run_id), path=type(tmp_path)(path))
    words = ["--metric", "decode, peak", "--fail-on", "decode_tok_s:50%", "--format", "csv"]
    assert main(["compare", *sides, *words, "--require", "decode_tok_s>=50"]) == 0
    out, err = capsys.readouterr()
    assert "decode_tok_s" in out
    assert "peak_rss_bytes" in out
    assert "load_ms" not in out.partition("\n")[2]
    assert "decode:50% " in err
    assert "require decode>=50 MET" in err
