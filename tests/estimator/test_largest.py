"""The largest count that fits and keeps to limits: monotone, at its ends, and by name."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from harness.core.errors import UsageError
from harness.estimator.answer import estimate
from harness.estimator.largest import (
    ENDS,
    LAST_STEP,
    SHORT_NAMES,
    check_estimated,
    count_at,
    decoders,
    largest,
)
from harness.estimator.query import Range
from harness.models.catalog.catalog import catalog_model
from harness.models.catalog.devices import catalog_device, device_class
from harness.models.catalog.target import MAX_PARAMETERS, MIN_PARAMETERS, catalog_target
from harness.models.catalog.typical import typical_shape, typical_target
from harness.results.requirement import parse_requirements

LIKELY = ENDS.index("likely")


def asks(device, level="int4", **flags):
    """What estimates a target on a device."""
    return partial(estimate, level=level, device=device, **flags)


def answer(device, *limits, level="int4", **flags):
    """The answer to one set of limits, without names."""
    sets = (parse_requirements(limits) if limits else (),)
    return largest(asks(device, level, **flags), sets, by_name=False)[0]


def test_steps_reach_from_a_million_to_the_most_and_rise_by_a_hundredth():
    counts = [count_at(step) for step in range(LAST_STEP + 1)]
    assert (counts[0], counts[-1]) == (MIN_PARAMETERS, MAX_PARAMETERS)
    assert all(1 < high / low < 1.03 for low, high in pairwise(counts))
    assert count_at(600) == 10**9


@pytest.mark.parametrize("parameters", [10**6, 10**8, 7 * 10**9, 70 * 10**9, 10**12, 10**15])
def test_a_typical_decoder_has_the_count_and_grows_with_it(parameters):
    structure = typical_target(parameters).structure
    assert structure is not None
    assert structure.parameters == pytest.approx(parameters, rel=0.002)
    assert structure.read_parameters == structure.parameters
    smaller = typical_shape(parameters // 2 if parameters > 10**6 else parameters)
    shape = typical_shape(parameters)
    assert (smaller.num_layers, smaller.hidden_size) <= (shape.num_layers, shape.hidden_size)


@pytest.mark.parametrize("name", ["smollm2-135m", "llama-3.2-3b", "llama-3-8b", "llama-3-70b"])
def test_a_typical_decoder_looks_like_published_ones(name):
    """Layers and cached bytes within a factor of 1.6 of a model of that count."""
    real = catalog_model(name).structure
    typical = typical_target(real.parameters).structure
    assert typical is not None
    for one, other in (
        (real.num_layers, typical.num_layers),
        (real.kv_values_per_token, typical.kv_values_per_token),
    ):
        assert 1 / 1.6 < one / other < 1.6


@pytest.mark.parametrize("limit", ["decode>=20", "peak<=3GiB", "ttft<=300ms", "tpot<=50ms"])
def test_the_count_keeps_to_the_limit_and_the_next_one_does_not(limit):
    found = answer("galaxy-s24", limit)
    (requirement,) = parse_requirements([limit])
    count = found.counts[LIKELY]
    assert count is not None
    assert found.held_by == (requirement.name,)
    # the centre of an estimate's range, computed here by itself
    below, above = (
        estimate(typical_target(one), "int4", device="galaxy-s24")
        for one in (count, round(count * 1.03))
    )
    assert centre(below, limit)
    assert not centre(above, limit)


def centre(row, limit):
    """Whether the geometric mean of both ends keeps to one of the limits above."""
    ends = {
        "decode>=20": row.speeds.decode_tok_s,
        "ttft<=300ms": row.speeds.ttft_s,
        "tpot<=50ms": row.speeds.step_s,
        "peak<=3GiB": Range(row.sizes.memory.peak_bytes, row.sizes.memory.peak_bytes),
    }[limit]
    middle = (ends.low * ends.high) ** 0.5
    most = {"ttft<=300ms": 0.3, "tpot<=50ms": 0.05, "peak<=3GiB": 3 * 2**30}
    return middle >= 20 if limit == "decode>=20" else middle <= most[limit]


def test_ends_are_in_order_and_stricter_limits_allow_less():
    """A slow end allows less than a fast one; twice the rate less than the rate; 16 bits less."""
    rows = [answer("m4", limit) for limit in ("decode>=5", "decode>=10", "decode>=20")]
    for row in rows:
        surely, likely, at_best = row.counts
        assert surely < likely < at_best
    for slow, fast in pairwise(rows):
        assert all(one > other for one, other in zip(slow.counts, fast.counts, strict=True))
    wide = answer("m4", "decode>=20", level="fp16")
    assert all(one < other for one, other in zip(wide.counts, rows[-1].counts, strict=True))


def test_without_a_limit_memory_decides_whatever_the_speed():
    """8 GB less a share for the system, at 5 bits a weight and what kernels keep."""
    found = answer("rpi5", memory_bytes=8 * 10**9)
    share = device_class(catalog_device("rpi5").device_class).os_share
    most = 8e9 * (1 - share) * 8 / 5
    assert found.held_by == ("memory",)
    assert len({*found.counts}) == 1
    assert most / 2 < found.counts[0] < most


def test_a_long_context_and_a_batch_leave_less_room():
    short, long, batch = (
        answer("rpi5", depth=depth, batch=size) for depth, size in ((0, 1), (32_000, 1), (512, 32))
    )
    assert short.counts[0] > long.counts[0]
    assert short.counts[0] > batch.counts[0]


def test_what_nothing_meets_is_none():
    found = answer("rpi5", "decode>=1e8")
    assert found.counts == (None, None, None)
    assert found.held_by == ("decode",)


def test_models_are_named_the_largest_first_and_a_mixture_may_exceed_the_count():
    """A token reads few of a mixture's parameters: it is as fast as a dense model far smaller."""
    (found,) = largest(asks("m4"), [parse_requirements(["decode>=20"])])
    assert [len(names) for names in found.models] == [3, 3, 3]
    for names in found.models:
        counts = [catalog_model(name).structure.parameters for name in names]
        assert counts == sorted(counts, reverse=True)
    for end, names in enumerate(found.models):
        for name in names:
            rate = estimate_of(name).speeds.decode_tok_s
            assert (rate.low, (rate.low * rate.high) ** 0.5, rate.high)[end] >= 20
    biggest = catalog_model(found.models[LIKELY][0]).structure
    assert biggest.parameters > found.counts[LIKELY] > biggest.read_parameters / 2


def estimate_of(name):
    """A catalog model at int4 on the same device."""
    return estimate(catalog_target(name), "int4", device="m4")


def test_one_name_for_fine_tunes_of_one_architecture():
    names = [model.name for model in decoders()]
    assert "llama-3-8b" in names
    assert "deepseek-r1-distill-llama-8b" not in names
    counts = [catalog_model(name).structure.parameters for name in names]
    assert counts == sorted({*counts}, reverse=True)


def test_limits_that_estimates_lack_are_refused_with_those_that_they_have():
    for text in ("kld<=0.05", "sustained_decode>=5", "load<=2s"):
        with pytest.raises(UsageError, match="estimates have no") as raised:
            check_estimated(parse_requirements([text]))
        assert "decode" in raised.value.fix
    limits = {"decode": ">=1", "prefill": ">=1", "peak": "<=1GiB", "weights": "<=1GiB"}
    for name in SHORT_NAMES:
        unit = "mJ" if name == "energy" else "s"
        check_estimated(parse_requirements([f"{name}{limits.get(name, f'<=1{unit}')}"]))


def test_a_limit_that_a_data_sheet_leaves_unknown_is_refused():
    """Without a stated peak there is no time to the first token, of no count."""
    with pytest.raises(UsageError, match="too little is known"):
        largest(_without_peak, [parse_requirements(["ttft<=2s"])])


def _without_peak(target):
    """An estimate on a device with no engine that states a peak."""
    found = estimate(target, "int4", device="m4")
    return replace(found, speeds=replace(found.speeds, ttft_s=None, prefill_tok_s=None))
