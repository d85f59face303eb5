"""docs/claims.md: its commands work, and the facts behind its verdicts hold."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest

from harness.cli.main import COMMANDS, bench, main
from harness.estimates.answer import Estimate, estimate
from harness.estimates.energy import COMPUTE_PJ_PER_FLOP, memory_pj_per_byte
from harness.estimates.held import stored_model_bytes
from harness.estimates.speeds import least_work
from harness.quantize.levels import find_level
from harness.settings import flag_values, load_settings
from harness.specs.catalog import catalog_model
from harness.specs.catalog_subject import counted_subject, find_subject
from harness.units import GB

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "claims.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## (\d.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
LINES = [line[2:] for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
ANSWERING = ("bench estimate ", "bench models ")
VERDICT = re.compile(
    r"^\*\*Verdict: (holds|holds in part|does not hold|cannot be told here)[.,:]\*\*", re.MULTILINE
)
X_ELITE = "snapdragon-x-elite"
PRICE = 0.20


def decode_high(result: Estimate) -> float:
    """The upper end of the decode rate."""
    assert result.speeds.decode_tok_s is not None
    return result.speeds.decode_tok_s.high


def cost_low(result: Estimate) -> float:
    """The lower end of the cost of a million tokens."""
    assert result.energy.cost_per_million_tokens is not None
    return result.energy.cost_per_million_tokens.low


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith(ANSWERING)])
def test_every_answering_line_runs(line, capsys):
    assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith(ANSWERING)])
def test_every_measuring_line_parses(line):
    """Parsed, not run: measuring takes minutes. A plan it names must be there."""
    program, name, *words = shlex.split(line)
    assert (program, name in [row[0] for row in COMMANDS]) == ("bench", True)
    command = bench.get_command(click.Context(bench), name)
    assert command is not None
    given = command.make_context(name, words).params
    if name == "run":
        flags = {key: given[key] for key in ("model", "quant", "pg") if given[key]}
        assert load_settings(given["plan"], **flag_values(flags)).parts


@pytest.mark.parametrize(("title", "text"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_every_claim_has_a_sentence_a_command_and_a_verdict(title, text):
    assert "**Claim.**" in text
    assert "```console\n$ bench " in text
    assert len(VERDICT.findall(text)) == 1


def test_all_nine_claims_are_there():
    assert [title.split(".")[0] for title, _ in SECTIONS] == [str(n) for n in range(1, 10)]


def test_1_among_dense_models_more_parameters_cost_more():
    """One device, one level: time, electricity and cost rise with the count."""
    names = (
        "smollm2-135m",
        "qwen2.5-0.5b",
        "llama-3.2-1b",
        "qwen3-4b",
        "llama-3-8b",
        "solar-10.7b",
    )
    rows = [estimate(name, "int4", device=X_ELITE, price_per_kwh=PRICE) for name in names]
    for small, large in pairwise(rows):
        assert small.case.subject.parameters < large.case.subject.parameters
        assert decode_high(small) > decode_high(large)
        assert cost_low(small) < cost_low(large)
        assert small.energy.floor_j < large.energy.floor_j


def test_1_a_mixture_breaks_the_rule():
    """30.5 B parameters, of which a token reads 3.04 B: quicker than a dense model of 4.0 B."""
    dense, mixture = (estimate(m, "int4", device=X_ELITE) for m in ("qwen3-4b", "qwen3-30b-a3b"))
    assert mixture.case.subject.parameters > 7 * dense.case.subject.parameters
    assert decode_high(mixture) > decode_high(dense)


@pytest.mark.parametrize(
    ("memory_gb", "level", "largest"),
    [
        (8, "int4", "llama-3-8b"),
        (8, "int8", None),
        (8, "fp16", None),
        (12, "int4", "solar-10.7b"),
        (12, "int8", "llama-3-8b"),
        (12, "fp16", None),
        (16, "int8", "solar-10.7b"),
        (16, "fp16", None),
    ],
)
def test_2_the_largest_model_that_fits(memory_gb, level, largest):
    """A quarter is the system's; the models are in the order of their size."""
    names = ("olmo-1.7-7b", "mistral-7b-v0.1", "llama-3-8b", "solar-10.7b")
    memory = {"device": "galaxy-s24", "memory_bytes": memory_gb * GB}
    fitting = [name for name in names if estimate(name, level, **memory).sizes.fits]
    expected = 0 if largest is None else names.index(largest) + 1
    assert fitting == list(names[:expected])


@pytest.mark.parametrize(
    ("memory_gb", "level", "fits"),
    [(8, "int4", False), (12, "int4", True), (12, "int8", False), (16, "int8", True)],
)
def test_2_ten_billion_itself(memory_gb, level, fits):
    """8 GB leave 6.0 GB for 10e9 · 5 / 8 = 6.25e9 bytes and a runtime."""
    subject = counted_subject(10 * 10**9, "10B")
    result = estimate(subject, level, device="galaxy-s24", memory_bytes=memory_gb * GB)
    assert result.sizes.fits is fits


def test_3_phi_3_is_a_forty_sixth():
    """175e9 / 3 821 079 552 = 45.8; a hundred times Phi-3 would be 382e9."""
    phi, chat = find_subject("phi-3").parameters, find_subject("chatgpt").parameters
    assert chat / phi == pytest.approx(45.8, abs=0.05)
    assert 100 * phi == pytest.approx(382e9, rel=0.001)


def test_4_on_one_device_the_light_model_is_cheaper():
    """8.0 B against 204 B, both on one H200: a twentieth of the electricity, or less."""
    light, large = (
        estimate(name, "int4", device="h200", price_per_kwh=PRICE)
        for name in ("varco-8b", "hyperclova")
    )
    assert large.sizes.fits
    assert cost_low(large) > 20 * cost_low(light)


def test_4_a_shared_large_model_can_cost_less_than_a_light_one_alone():
    """32 users share a step of 204 B; the laptop's 8.0 B serves one."""
    shared = estimate("hyperclova", "int4", device="h200", batch=32, price_per_kwh=PRICE)
    alone = estimate("varco-8b", "int4", device=X_ELITE, price_per_kwh=PRICE)
    assert cost_low(shared) < cost_low(alone)


@pytest.mark.parametrize(
    ("device", "quicker"),
    [
        (X_ELITE, "npu"),
        ("m4", "npu"),
        ("hx-370", "npu"),
        ("core-ultra-258v", "gpu"),
        ("core-ultra-285h", "gpu"),
    ],
)
def test_5_engines_differ_in_the_prompt_only(device, quicker):
    """One memory and one stated power: the same decode rate and energy, whatever the engine."""
    rows = {
        kind: estimate("llama-3.2-1b", "int4", device=device, engine=kind, prompt=512)
        for kind in ("npu", "gpu")
    }
    assert min(rows, key=lambda kind: rows[kind].speeds.ttft_s.low) == quicker
    assert rows["npu"].speeds.decode_tok_s == rows["gpu"].speeds.decode_tok_s
    assert rows["npu"].energy.modelled_j == rows["gpu"].energy.modelled_j


@pytest.mark.parametrize(
    ("level", "stored_gb", "ceiling_tok_s"),
    [("int4", 8.125, 18.5), ("int8", 13.0, 9.8), ("fp16", 26.0, 5.2)],
)
def test_6_thirteen_billion_stays_under_the_ceiling(level, stored_gb, ceiling_tok_s):
    """The published ceilings take all of 135.2 GB/s and 4.5, 8.5 and 16 bits a weight."""
    result = estimate(counted_subject(13 * 10**9, "13B"), level, device=X_ELITE)
    assert result.sizes.weights_bytes == stored_gb * GB
    assert decode_high(result) == pytest.approx(0.92 * 135.2 / stored_gb)
    assert decode_high(result) < ceiling_tok_s


@pytest.mark.parametrize(
    ("level", "memory_gb", "fits"),
    [("int4", 16, True), ("int8", 16, False), ("int8", 32, True), ("fp16", 32, False)],
)
def test_6_what_a_laptop_must_carry(level, memory_gb, fits):
    subject = counted_subject(13 * 10**9, "13B")
    assert estimate(subject, level, device=X_ELITE, memory_bytes=memory_gb * GB).sizes.fits is fits


def test_7_decode_rate_follows_bandwidth_until_calls_take_over():
    """Laptops and phones: memory decides. On 8 TB/s reading takes less time than calling."""
    names = ("rpi5", "iphone-15-pro", "m1", "m4", X_ELITE, "rtx-4060", "rtx-4090", "h100", "b200")
    rows = [estimate("llama-3.2-3b", "int4", device=name) for name in names]
    for slow, fast in pairwise(rows):
        assert slow.case.device.bandwidth_gb_s < fast.case.device.bandwidth_gb_s
        assert slow.speeds.decode_tok_s.low < fast.speeds.decode_tok_s.low
    assert {row.speeds.bound for row in rows[:6]} == {"memory"}
    assert "overhead" in rows[-1].speeds.bound


@pytest.mark.parametrize(
    ("batch", "least", "most"), [(1, 0.95, 1.0), (64, 0.4, 0.9), (256, 0.0, 0.5)]
)
def test_8_share_of_data_movement_in_the_floor(batch, least, most):
    """bytes · 32 pJ against flop · 0.11 pJ, one decode step of llama-3.2-1b."""
    result = estimate("llama-3.2-1b", "int4", device=X_ELITE, batch=batch)
    work = least_work(result.case)
    pj_per_byte = memory_pj_per_byte(result.case.device.memory_type)
    moved_j = sum(term.read_bytes for term in work) * pj_per_byte * 1e-12
    computed_j = sum(term.useful_flop for term in work) * COMPUTE_PJ_PER_FLOP * 1e-12
    assert result.energy.floor_j == pytest.approx((moved_j + computed_j) / batch)
    assert least < moved_j / (moved_j + computed_j) < most


@pytest.mark.parametrize("model", ["smollm2-135m", "solar-10.7b"])
def test_9_four_bits_are_five_with_their_scales(model):
    """16 / 5 = 3.2, not 4: every block of 32 weights has a scale of 32 bits."""
    anatomy = catalog_model(model).anatomy
    half, four = (stored_model_bytes(anatomy, find_level(name)) for name in ("fp16", "int4"))
    assert half / four == pytest.approx(3.2, rel=0.01)
