"""Metrics from raw samples: every number is done by hand in the docstring."""

import math
from typing import Any

import msgspec
import pytest

from harness.core.errors import ResultFormatError
from harness.results.metric_row import Source
from harness.results.metrics import of_records, of_source
from harness.results.quality import EmbeddingScores, Mean, PathQuality, Quality, TaskScores
from harness.results.replies import Compiled, EnergyUsed, MemoryTaken, Sustained
from harness.results.schema import Metric, kind_of
from harness.results.summarize import (
    compile_metric,
    exact_metrics,
    judged_half_width_share,
    metric,
    metric_half_width_share,
    quality_metrics,
    share_metric,
    summarize,
    summarize_memory,
    text_rates,
)
from harness.results.sustained import sustained_metrics
from tests.results.results_samples import cell, process

MS = 1_000_000
REQUEST = {
    "prefill_ns": [90 * MS],
    "ttft_ns": [100 * MS],
    "itl_ns": [[10 * MS, 30 * MS, 20 * MS]],
    "e2e_ns": [160 * MS],
}


def filled(shape):
    """Scores with a mean for every metric of theirs."""
    named = {row.name for row in of_source(Source.QUALITY)} & set(shape.__struct_fields__)
    return shape(**dict.fromkeys(named, Mean(0.5, 0.5, 0.5)))


def test_prefill_rate_is_tokens_of_all_sequences_over_time():
    """2 sequences of 128 tokens in 64 ms (median of 60, 64, 90): 4000 tok/s."""
    pp = process({"prefill_ns": [60 * MS, 64 * MS, 90 * MS]})
    metrics = summarize(cell(prompt=128, batch=2), [pp])
    assert metrics["prefill_ms"].value == 64.0
    assert metrics["prefill_tok_s"].value == 4000.0
    assert metrics["prefill_tok_s"].unit == "tok/s"


@pytest.mark.parametrize(
    ("test", "sample"),
    [
        ({"prompt": 8}, {"itl_ns": [[MS]]}),
        ({"gen": 4}, {"prefill_ns": [MS]}),
        ({"prompt": 8}, {"prefill_ns": [0]}),
    ],
)
def test_samples_of_another_test_are_refused_by_name(test, sample):
    """As a journal may hold whose lines somebody wrote anew."""
    with pytest.raises(ResultFormatError, match=r"samples of .* do not give its \w+_ms: |_tok_s: "):
        summarize(cell(**test), [process(sample)])


def test_decode_rate_is_total_tokens_over_total_time_of_a_pass():
    """One pass: 4 tokens in 5 + 5 + 5 + 25 = 40 ms = 100 tok/s. The mean of rates says 160."""
    tg = process({"itl_ns": [[5 * MS, 5 * MS, 5 * MS, 25 * MS]]})
    metrics = summarize(cell(gen=4), [tg])
    assert metrics["decode_tok_s"].value == pytest.approx(100.0)
    assert metrics["tpot_ms"].value == pytest.approx(10.0)


def test_decode_rate_of_a_process_is_the_median_over_its_passes():
    """Passes of 10, 12 and 50 ms a step, batch 3: 3 / 12 ms = 250 tok/s."""
    tg = process({"itl_ns": [[10 * MS] * 2, [50 * MS] * 2, [12 * MS] * 2]})
    assert summarize(cell(gen=2, batch=3), [tg])["decode_tok_s"].value == pytest.approx(250.0)


def test_request_leaves_the_first_token_out_of_the_decode_rate():
    """4 tokens have 3 steps: 60 ms / 3 = 20 ms, 50 tok/s; the first token is in TTFT alone."""
    metrics = summarize(cell(prompt=8, gen=4), [process(REQUEST)])
    assert metrics["decode_tok_s"].value == pytest.approx(50.0)
    assert metrics["tpot_ms"].value == pytest.approx(20.0)
    assert metrics["ttft_ms"].value == 100.0
    assert metrics["prefill_ms"].value == 90.0
    assert metrics["e2e_ms"].value == 160.0


ENCODE = cell(prompt=128, workload="enc128x8", sequences=8)


def test_an_encoder_has_one_time_and_one_rate():
    """8 texts in 20, 30 and 40 ms: median 30 ms, 8 / 0.030 = 266.7 texts a second."""
    found = summarize(ENCODE, [process({"encode_ns": [20 * MS, 30 * MS, 40 * MS]})])
    assert found["encode_ms"].value == 30.0
    assert found["encode_seq_s"].value == pytest.approx(266.67, abs=0.01)
    assert "prefill_ms" not in found
    assert "decode_tok_s" not in found


def test_an_encoder_is_judged_by_its_rate():
    processes = [process({"encode_ns": [ms * MS]}) for ms in (20, 21, 22)]
    metrics = summarize(ENCODE, processes)
    found = judged_half_width_share(ENCODE, metrics)
    assert found == metric_half_width_share(metrics["encode_seq_s"])


def test_request_of_one_token_has_no_decode_rate():
    """Gen 1: no step, so null, never 0."""
    one = process({**REQUEST, "itl_ns": [[], []]})
    metrics = summarize(cell(prompt=8, gen=1), [one])
    assert metrics["decode_tok_s"] == Metric(value=None, unit="tok/s", processes=0)
    assert metrics["tpot_ms"].value is None
    assert metrics["ttft_ms"].value == 100.0


def test_cold_ttft_is_load_and_the_first_run_of_this_very_test():
    """10 ms load + 30 ms first prefill and token; a run that began otherwise has none."""
    own = cell(prompt=8, gen=4)
    metrics = summarize(own, [process(REQUEST, first=own.workload)])
    assert metrics["load_ms"].value == 10.0
    assert metrics["first_ms"].value == 30.0
    assert metrics["cold_ttft_ms"].value == 40.0
    other = summarize(own, [process(REQUEST, first="pg128+32 @ d0")])
    assert other["load_ms"].value == 10.0
    assert "first_ms" not in other
    assert "cold_ttft_ms" not in other


def test_only_a_request_carries_request_metrics():
    pp = cell(prompt=8)
    names = summarize(pp, [process({"prefill_ns": [MS]}, first=pp.workload)]).keys()
    assert names == {"load_ms", "first_ms", "prefill_ms", "prefill_tok_s"}
    names = summarize(cell(gen=8), [process({"itl_ns": [[MS]]})]).keys()
    assert names == {"load_ms", "tpot_ms", "decode_tok_s"}


def test_center_and_interval_are_over_processes_not_passes():
    """Process medians 10, 11, 12 ms; one pass of 99 ms moves nothing."""
    lists = ([10 * MS, 10 * MS, 99 * MS], [11 * MS], [12 * MS])
    found = summarize(cell(prompt=8), [process({"prefill_ns": times}) for times in lists])
    prefill = found["prefill_ms"]
    assert (prefill.value, prefill.processes) == (11.0, 3)
    assert prefill.low is not None
    assert prefill.high is not None
    assert prefill.low < 10 < 12 < prefill.high


def test_one_process_has_no_interval():
    prefill = summarize(cell(prompt=8), [process({"prefill_ns": [MS] * 500})])["prefill_ms"]
    assert (prefill.low, prefill.high, prefill.processes) == (None, None, 1)


def test_slope_of_itl_against_depth():
    """Each step 500 ns longer than the one before: 500 us per 1000 tokens, spikes or not."""
    steps = [10 * MS + 500 * step for step in range(128)]
    steps[100] = 80 * MS
    found = summarize(cell(gen=128), [process({"itl_ns": [steps, steps]})] * 3)
    assert found["itl_slope_us_per_ktoken"].value == pytest.approx(500.0)


def test_slope_is_absent_when_the_context_hardly_grows():
    assert "itl_slope_us_per_ktoken" not in summarize(
        cell(gen=127), [process({"itl_ns": [[MS + step for step in range(127)]]})]
    )


def test_slope_may_be_zero_or_negative():
    """Slopes -500 and 0 us: the plain t-interval, which has no logarithm to take."""
    falling = process({"itl_ns": [[10 * MS - 500 * step for step in range(128)]]})
    flat = process({"itl_ns": [[10 * MS] * 128]})
    slope = summarize(cell(gen=128), [falling, flat])["itl_slope_us_per_ktoken"]
    assert slope.value == pytest.approx(-250.0)
    assert slope.low is not None
    assert slope.low < -500


def memory_of(reply: dict[str, Any]) -> dict[str, Metric]:
    return summarize_memory([msgspec.convert(reply, MemoryTaken)])


def mark(rss: int, anonymous: int | None) -> dict[str, int | None]:
    file_bytes = None if anonymous is None else rss - anonymous
    return {"rss_bytes": rss, "anonymous_bytes": anonymous, "file_bytes": file_bytes}


def test_memory_deltas_are_taken_from_the_same_worker_after_its_imports():
    """Base 100 (60 anonymous), loaded 180 (90), steady 200 (100), peak 250."""
    reply = {
        "baseline": mark(100, 60),
        "loaded": mark(180, 90),
        "steady": mark(200, 100),
        "peak_bytes": 250,
    }
    found = {name: value.value for name, value in memory_of(reply).items()}
    assert found == {
        "peak_rss_bytes": 250,
        "peak_delta_bytes": 150,
        "load_delta_bytes": 80,
        "load_delta_anonymous_bytes": 30,
        "load_delta_file_bytes": 50,
        "steady_delta_bytes": 100,
        "steady_delta_anonymous_bytes": 40,
        "steady_delta_file_bytes": 60,
    }


def test_memory_of_a_device_is_what_its_driver_held():
    reply = {name: mark(100, None) for name in ("baseline", "loaded", "steady")}
    held = {**reply, "peak_bytes": 120, "device": {"peak_bytes": 77, "counter": "fdinfo"}}
    assert memory_of(held)["device_bytes_peak"].value == 77
    none = {**held, "device": {"peak_bytes": None, "reason": "none"}}
    assert "device_bytes_peak" not in memory_of(none)


def test_memory_without_a_split_leaves_the_split_out():
    reply = {name: mark(100, None) for name in ("baseline", "loaded", "steady")}
    assert memory_of({**reply, "peak_bytes": 120}).keys() == {
        "peak_rss_bytes",
        "peak_delta_bytes",
        "load_delta_bytes",
        "steady_delta_bytes",
    }
    assert summarize_memory([]) == {}


def test_states_are_counted_where_there_are_any():
    assert "state_bytes" not in exact_metrics(500, 4.5, 1024)
    found = exact_metrics(500, 4.5, 1024, 81_920)["state_bytes"]
    assert (found.value, found.unit, found.processes) == (81_920.0, "bytes", 0)


def test_caches_are_counted_where_there_are_any():
    """An encoder keeps none."""
    assert "cache_bytes" not in exact_metrics(500, 4.5, 0)
    assert exact_metrics(500, 4.5, 1024, cache_bytes=4096)["cache_bytes"].value == 4096.0


def test_counted_metrics_have_no_processes():
    found = exact_metrics(500, 4.5, 1024)
    assert found["bits_per_weight"] == Metric(value=4.5, unit="bit", processes=0)
    assert found["weights_bytes"].value == 500.0


def test_a_record_is_judged_by_its_widest_shown_number():
    """TTFT +- 10 %, decode +- 1 %: 10 %. A decode test looks at decode alone."""
    metrics = {
        "ttft_ms": Metric(value=100.0, low=90.0, high=110.0, unit="ms", processes=5),
        "decode_tok_s": Metric(value=100.0, low=99.0, high=101.0, unit="tok/s", processes=5),
    }
    assert judged_half_width_share(cell(prompt=8, gen=4), metrics) == pytest.approx(0.10)
    assert judged_half_width_share(cell(gen=4), metrics) == pytest.approx(0.01)


def test_a_record_without_an_interval_has_no_half_width():
    single = {"decode_tok_s": metric([50.0], "tok/s")}
    assert judged_half_width_share(cell(gen=4), single) is None
    mixed = {**single, "ttft_ms": metric([1.0, 1.1], "ms")}
    assert judged_half_width_share(cell(prompt=8, gen=4), mixed) is None


def test_a_missing_decode_rate_does_not_hide_the_width_of_ttft():
    """A request of one token is judged by its TTFT."""
    metrics = {"decode_tok_s": metric([], "tok/s"), "ttft_ms": metric([1.0, 1.0], "ms")}
    assert judged_half_width_share(cell(prompt=8, gen=1), metrics) == pytest.approx(0, abs=1e-9)


def test_kind_follows_from_the_numbers_of_the_cell():
    kinds = [kind_of(cell(prompt=8)), kind_of(cell(gen=8)), kind_of(cell(prompt=8, gen=8))]
    assert kinds == ["pp", "tg", "pg"]
    assert kind_of(cell(prompt=8, gen=8, workload="turn8+8 @ d0")) == "turn"


def test_a_turn_has_both_ways_to_its_first_token():
    """2 ms with the cache kept, 7 ms in the median without; energy of both reads is of neither."""
    turn = cell(prompt=8, gen=3, depth=11, workload="turn8+3 @ d11")
    sample = {
        "prefill_ns": [MS],
        "ttft_ns": [2 * MS],
        "e2e_ns": [6 * MS],
        "itl_ns": [[MS, 3 * MS]],
        "reread_ns": [7 * MS, 9 * MS, 6 * MS],
    }
    counted = msgspec.structs.replace(process(sample), energy=EnergyUsed(joules=1.0, host="rapl"))
    found = summarize(turn, [counted])
    values = {name: found[name].value for name in ("ttft_ms", "reread_ttft_ms", "decode_tok_s")}
    assert values == {"ttft_ms": 2.0, "reread_ttft_ms": 7.0, "decode_tok_s": 500.0}
    assert not {"energy_j", "j_per_token", "cold_ttft_ms"} & found.keys()


def test_every_produced_metric_is_listed_with_its_unit():
    """What is summed up of every kind, memory and counts is what the registry lists."""
    steps = {"itl_ns": [[MS + step for step in range(128)]]}
    request = cell(prompt=8, gen=129)
    opened = process({**REQUEST, **steps}, first=request.workload)
    reply = {name: mark(100, 50) for name in ("baseline", "loaded", "steady")}
    energy = EnergyUsed(joules=1.0, host="rapl")
    found = {
        **summarize(
            cell(prompt=8, gen=129, depth=9, workload="turn8+129 @ d9"),
            [process({**REQUEST, **steps, "reread_ns": [MS]})],
        ),
        **summarize(request, [msgspec.structs.replace(opened, energy=energy)]),
        **summarize(ENCODE, [msgspec.structs.replace(process({"encode_ns": [MS]}), energy=energy)]),
        **summarize(cell(workload="img8"), [process({"encode_ns": [MS]})]),
        **summarize(cell(workload="aud10x4"), [process({"encode_ns": [MS]})]),
        **summarize(cell(workload="graph"), [process({"encode_ns": [MS]})]),
        **memory_of(
            {**reply, "peak_bytes": 120, "device": {"peak_bytes": 5}, "anonymous_peak_bytes": 90}
        ),
        **exact_metrics(1, 4.5, 1, 1, 1, 1, 1),
        **compile_metric(Compiled(compile_ns=MS)),
    }
    quality = Quality(decode=filled(PathQuality), tasks=filled(TaskScores))
    found |= quality_metrics(request, quality)
    found |= quality_metrics(ENCODE, Quality(encode=filled(EmbeddingScores)))
    found |= text_rates(found["decode_tok_s"], {"english": 4.0, "korean": 2.0})
    listed = {row.name for row in of_source(Source.SUSTAIN)}
    share = share_metric(found["tpot_ms"], lambda seconds: 1e-3 / seconds)
    found |= {row.name: share for row in of_source(Source.PEAKS)}
    for name in [name for name in found if f"sustained_{name}" in listed]:
        kept = Sustained(metric=name, sustained=2.0)
        found |= sustained_metrics(kept, found)
    units = {row.name: row.unit for row in of_records()}
    assert {name: value.unit for name, value in found.items()} == units
    assert all(value.value is not None and math.isfinite(value.value) for value in found.values())


def test_a_share_falls_as_its_time_rises():
    """2 ms (1 to 4) of a work that would need 1 ms: half of the peak, between 1/4 and 1."""
    time = Metric(value=2.0, low=1.0, high=4.0, unit="ms", processes=5)
    share = share_metric(time, lambda seconds: 1e-3 / seconds)
    assert (share.value, share.low, share.high) == pytest.approx((0.5, 0.25, 1.0))
    assert (share.unit, share.processes) == ("share", 5)


def test_quality_is_that_of_the_tests_own_path():
    """A prefill test carries the chunks' loss, a decode test that of single tokens."""
    quality = Quality(
        prefill=PathQuality(kld_nats=Mean(0.1, 0.05, 0.2)),
        decode=PathQuality(kld_nats=Mean(0.3, 0.05, 0.2)),
    )
    assert quality_metrics(cell(prompt=8, gen=0), quality)["kld_nats"].value == 0.1
    found = quality_metrics(cell(prompt=0, gen=8), quality)["kld_nats"]
    assert (found.value, found.low, found.high, found.unit) == (0.3, 0.05, 0.2, "nats")
    assert quality_metrics(cell(prompt=0, gen=8), Quality(reason="no reference")) == {}


def test_text_rates_by_hand():
    """10 tokens/s of 4.5 bytes are 45 bytes/s; what is not known stays so."""
    rate = Metric(value=10.0, low=None, high=12.0, unit="tok/s", processes=1)
    found = text_rates(rate, {"english": 4.5, "korean": 2.0})
    assert (found["decode_bytes_s"].value, found["decode_bytes_s"].high) == (45.0, 54.0)
    assert found["decode_bytes_s_korean"].value == 20.0
    assert found["decode_bytes_s"].low is None


def test_the_real_time_factor_is_the_pass_over_its_sound():
    """4 sounds of 2.5 s in 50 ms: 200 seconds of sound a second, a factor of 0.005."""
    heard = cell(workload="aud2.5x4", sequences=4)
    found = summarize(heard, [process({"encode_ns": [50 * MS]})])
    assert found["sound_s_per_s"].value == pytest.approx(200)
    assert found["real_time_factor"].value == pytest.approx(0.005)
    assert found["sound_ms"].value == 50
