"""Terms of operators that not every model has: states, experts, scores and windowed caches."""

from dataclasses import replace

import pytest
from msgspec import structs

from harness.builder.quantize.levels import LEVELS
from harness.estimator.calibration.constants import ATTENTION, ATTENTION_CALL, SESSION_CALL
from harness.estimator.calibration.operators import CONVOLUTION, DELTA, MAMBA
from harness.estimator.cell import CellLengths
from harness.estimator.memory import ORT_CPU
from harness.estimator.record import record_estimates
from harness.estimator.rules import HardwarePeaks
from harness.estimator.timing import decode_step, prefill
from harness.estimator.work import EXPERTS, Pass, attention_work, pass_work
from harness.models.catalog.catalog import load_spec
from harness.models.specs.dissect import spec_structure
from harness.models.specs.layers import Experts
from harness.results.calibration import Constants, RatePoint, TimePoint
from tests.tiny import SPECS

INT4 = LEVELS["int4"]
ONE = (RatePoint(1e9, processes=2),)
MEASURED = Constants(
    "measured here",
    (RatePoint(1e10),),
    {"block-4-32": ONE, ATTENTION: ONE, ATTENTION_CALL: ONE},
    1e-6,
    threads=1,
    times={SESSION_CALL: TimePoint(1e-5, 1e-5, 1e-5, 2)},
)


def with_rates(**rates):
    found = {
        name.replace("_", " "): (RatePoint(rate, processes=2),) for name, rate in rates.items()
    }
    return structs.replace(MEASURED, rates={**MEASURED.rates, **found})


def named(breakdown):
    return {term.work.name: term for term in breakdown.terms}


def test_a_recurrence_takes_its_tokens_in_turn():
    """64 tokens take 64 times one: 18 layers · 7 · 16 · 128 · 128 flop each, at 5 Gflop/s."""
    model = spec_structure(load_spec("qwen3.5-0.8b"))
    constants = with_rates(delta_rule=5e9, convolution=1e9)
    step = named(decode_step(model, INT4, constants))[DELTA]
    whole = prefill(model, INT4, constants, prompt_tokens=64)
    prompt = named(whole)[f"{DELTA}, token by token"]
    assert step.seconds == pytest.approx(18 * 7 * 16 * 128 * 128 / 5e9)
    assert prompt.seconds == pytest.approx(64 * step.seconds)
    assert (step.bound != "sequential", prompt.bound) == (True, "sequential")
    assert named(whole)[CONVOLUTION].bound != "sequential"
    assert whole.basis == "measured here"


def test_a_prompt_of_recurrences_alone_is_bound_by_them():
    model = spec_structure(load_spec("granite-4.0-h-350m"))
    constants = with_rates(mamba=1e6, convolution=1e9)
    assert prefill(model, INT4, constants, prompt_tokens=64).bound == "sequential"


def test_constants_without_a_recurrence_tell_by_bytes_and_say_so():
    """As stored before it was measured: each token reads and writes 28 states of 768 KiB."""
    model = spec_structure(load_spec("granite-4.0-h-350m"))
    found = decode_step(model, INT4, MEASURED)
    term = named(found)[MAMBA]
    assert term.seconds == pytest.approx(2 * 4 * 28 * 48 * 32 * 128 / 1e10)
    assert found.compute_known
    assert found.basis == "measured here, without convolution, mamba (typical values)"
    assert prefill(model, INT4, MEASURED, prompt_tokens=8).compute_known


def test_constants_of_a_data_sheet_say_nothing_of_it():
    model = spec_structure(load_spec("granite-4.0-h-350m"))
    sheet = Constants("data sheet", (RatePoint(1e10),), {"block-4-32": (RatePoint(1e9),)}, 1e-6)
    assert decode_step(model, INT4, sheet).basis == "data sheet"


def test_an_expert_meets_the_tokens_that_chose_it():
    """2 of 16 experts: 64 tokens touch all 16, so that each multiplies 8; one token 2 of one."""
    spec = replace(SPECS["mixtral"], experts=Experts(16, 2, 128))
    model = spec_structure(spec)
    weights = 3 * 128 * 128 * 2 * 2  # three matrices of two experts in two layers
    for tokens, rows in ((1, 1), (64, 8)):
        work = pass_work(model, INT4, ORT_CPU, Pass(tokens))
        (experts,) = (one for one in work if one.name == EXPERTS)
        assert (experts.kernel, experts.rows) == ("experts-block-4-32", rows)
        assert experts.flop == 2 * weights * tokens
    (call,) = (one for one in work if one.kernel == "experts-block-4-32 call")
    assert call.calls == 2


def test_experts_without_a_rate_take_that_of_their_kernel():
    spec = replace(SPECS["mixtral"], experts=Experts(16, 2, 128))
    model = spec_structure(spec)
    found = decode_step(model, INT4, MEASURED)
    term = named(found)[EXPERTS]
    assert term.seconds == pytest.approx(term.work.flop / 1e9)
    assert found.basis == "measured here, without experts-block-4-32 (typical values)"
    faster = decode_step(model, INT4, with_rates(**{"experts-block-4-32": 2e9}))
    assert named(faster)[EXPERTS].seconds == pytest.approx(term.seconds / 2)
    assert faster.basis == "measured here"


@pytest.mark.parametrize(("name", "slower"), [("gemma2", 4.2), ("gpt_oss", 2.0), ("llama", 1.0)])
def test_scores_that_are_not_plain_take_longer_over_a_prompt(name, slower):
    """Where they were not measured; one token takes as long as ever."""
    model = spec_structure(SPECS[name])
    plain = replace(model, attention=tuple(replace(a, scores="") for a in model.attention))
    for tokens, factor in ((1, 1.0), (32, slower)):
        pair = (prefill(one, INT4, MEASURED, prompt_tokens=tokens) for one in (model, plain))
        seconds, usual = (
            sum(t.seconds for t in found.terms if t.work.name.startswith("attention,"))
            + sum(t.seconds for t in found.terms if t.work.name == "attention")
            for found in pair
        )
        assert seconds == pytest.approx(factor * usual)


def test_measured_scores_are_priced_by_layer():
    model = spec_structure(SPECS["gpt_oss"])
    kernels = {one.kernel for one in pass_work(model, INT4, ORT_CPU, Pass(8)) if one.flop}
    assert "attention-sinks" in kernels
    assert ATTENTION not in kernels


def test_a_step_reads_what_a_windowed_cache_holds():
    """Window 512, 576 rows: 544 on average, moved every 65 steps; a prompt meets all its pairs.

    It takes a tenth more, and 0.9 of a pair more for each of 488 · 489 / 2 that the window hides.
    """
    attention = spec_structure(load_spec("gemma-3-1b")).attention[1]
    assert attention.cache_window_tokens == 512
    step = attention_work(attention, INT4, ORT_CPU, Pass(1, depth_tokens=4000))
    per_row = 2 * 4 * attention.layers * attention.heads * attention.head_dim
    assert step.read_bytes == pytest.approx(per_row * 544 * (1 + 1 / 65))
    short = attention_work(attention, INT4, ORT_CPU, Pass(1, depth_tokens=99))
    assert short.read_bytes == per_row * 100
    whole = attention_work(attention, INT4, ORT_CPU, Pass(1000))
    each = 4 * attention.layers * attention.heads * attention.head_dim
    assert whole.flop == pytest.approx(each * (1.1 * 1000**2 + 0.9 * 488 * 489 / 2))
    inside = attention_work(attention, INT4, ORT_CPU, Pass(100))
    assert inside.flop == pytest.approx(each * 1.1 * 100**2)


def test_a_window_in_both_directions_saves_nothing():
    """ModernBERT: every pair is multiplied and masked afterwards; the useful ones are fewer."""
    structure = spec_structure(load_spec("modernbert-base"))
    near = next(one for one in structure.attention if one.window_tokens)
    work = attention_work(near, INT4, ORT_CPU, Pass(1024, stage=near.stage))
    assert work.flop == 4 * near.layers * near.heads * near.head_dim * 1024**2
    assert work.useful_flop < work.flop / 4


def test_an_explanation_says_what_one_token_reads():
    """gpt-oss-20b reads 3.6 of 20.9 billion, Gemma 4 E2B 2.3 of 4.6."""
    for name, read in (("gpt-oss-20b", 3.608e9), ("gemma-4-e2b", 2.280e9)):
        model = spec_structure(load_spec(name))
        found = record_estimates(model, INT4, CellLengths(0, 8), HardwarePeaks(1e10))
        assert found.explanation is not None
        assert found.explanation.read_parameters == pytest.approx(read, rel=1e-3)
        naive = found.by_metric["decode_tok_s"]["params"]
        assert naive == pytest.approx(1e10 * 8 / (model.parameters * 4))
