"""Requirements: what is read, and one clear message for whatever is none."""

import pytest

from harness.core.errors import UsageError
from harness.core.units import GIB, MIB
from harness.results.enums import Kind
from harness.results.requirement import (
    SHORT,
    names,
    parse_requirements,
    requirable,
    requirement_texts,
)


@pytest.mark.parametrize(
    ("text", "metric", "limit"),
    [
        ("decode>=20", "decode_tok_s", 20.0),
        ("decode >= 20 tok/s", "decode_tok_s", 20.0),
        ("decode>20", "decode_tok_s", 20.0),
        ("ttft<=800ms", "ttft_ms", 800.0),
        ("ttft≤0.8s", "ttft_ms", 800.0),
        ("load<=3s", "load_ms", 3000.0),
        ("peak<=2GiB", "peak_rss_bytes", 2 * GIB),
        ("weights<=1e2MiB", "weights_bytes", 100 * MIB),
        ("kld<=0.05", "kld_nats", 0.05),
        ("top1>=95%", "top1_agreement", 0.95),
        ("top1>=0.95", "top1_agreement", 0.95),
        ("energy<=250mJ", "j_per_token", 0.25),
        ("peak_rss_bytes<=5MB", "peak_rss_bytes", 5e6),
        ("nll_delta<=0.01", "nll_delta", 0.01),
    ],
)
def test_a_requirement_is_read_in_the_metrics_unit(text, metric, limit):
    (one,) = parse_requirements([text])
    assert (one.metric.name, one.is_sustained) == (metric, False)
    assert one.limit == pytest.approx(limit)
    (again,) = parse_requirements([one.text])  # as a document keeps it
    assert again == one


def test_several_stand_in_one_text_or_in_many():
    asked = parse_requirements(["decode>=20, ttft<=800ms", "peak<=2GiB"])
    assert [one.name for one in asked] == ["decode", "ttft", "peak"]
    assert asked[0].is_met_by(20.0)
    assert not asked[1].is_met_by(801.0)


def test_a_sustained_rate_is_of_tests_whose_rate_it_is():
    (one,) = parse_requirements(["sustained_decode>=15"])
    assert one.metric.name == "decode_tok_s"
    assert one.fits(Kind.DECODE)
    (other,) = parse_requirements(["sustained_prefill>=15"])
    assert other.fits(Kind.PREFILL)
    assert not other.fits(Kind.REQUEST)  # whose rate is that of its steps


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ("", "holds no requirement", "--require"),
        ("decode", "is no requirement", ">="),
        ("decode=20", "is no requirement", ">="),
        ("decode>=fast", "is no requirement", ">="),
        ("speed>=20", "no metric that can be required is called 'speed'", "short names"),
        ("decod>=20", "called 'decod'", "did you mean decode"),
        ("decode_step_tok_s>=20", "called 'decode_step_tok_s'", "decode_tok_s"),
        ("mbu>=0.5", "called 'mbu'", ""),
        ("sustained_ttft<=1s", "called 'sustained_ttft'", "sustained_"),
        ("ttft<=800", "ttft_ms needs a unit", "ms, s, us"),
        ("peak<=2", "peak_rss_bytes needs a unit", "GiB"),
        ("ttft<=2GiB", "'GiB' is no unit of ttft_ms", "ms"),
        ("decode>=20ms", "'ms' is no unit of decode_tok_s", "tok/s"),
        ("decode<=20", "better where it is larger", "decode>=20"),
        ("ttft>=800ms", "better where it is smaller", "ttft<=800ms"),
        ("top1<=95%", "better where it is larger", "top1>=95%"),
        ("top1>=95", "is a share", "top1>=95%"),
        ("flips<=150%", "is a share", "flips<=5%"),
        ("decode>=0", "is above 0", ""),
        ("decode>=-3", "is above 0", ""),
        ("peak<=1e999GiB", "is no number", ""),
        ("decode>=20, decode<=10", "contradict each other", "leave one of them out"),
        ("decode>=10, decode<=20", "better where it is larger", "decode>=20"),
        ("decode>=10, decode>=20", "twice", "leave one of them out"),
        ("peak<=1GiB, peak_rss_bytes<=2GiB", "twice", ""),
    ],
)
def test_what_is_no_requirement_has_one_clear_message(text, problem, fix):
    with pytest.raises(UsageError) as raised:
        parse_requirements([text])
    assert problem in raised.value.problem
    assert fix in raised.value.fix


def test_a_table_of_a_plan_is_read_like_the_flag():
    texts = requirement_texts({"decode": ">=20", "peak": "<= 2GiB"}, "plan: require")
    assert [one.text for one in parse_requirements(texts)] == ["decode>=20", "peak<=2GiB"]
    with pytest.raises(UsageError, match="does not begin"):
        requirement_texts({"decode": "20"}, "plan: require")


def test_every_short_name_is_one_metric_that_can_be_required():
    assert set(SHORT.values()) <= {row.name for row in requirable()}
    assert len(set(names())) == len(names())
