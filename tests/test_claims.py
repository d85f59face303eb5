"""docs/claims.md: its commands work, and the facts behind its verdicts hold."""

import math
import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest

from harness.api import estimate
from harness.builder.quantize.levels import find_level
from harness.cli.main import COMMANDS, bench, main
from harness.core.units import GB
from harness.estimator.answer import COMPUTE_PJ_PER_FLOP, Estimate, least_work, memory_pj_per_byte
from harness.estimator.memory import stored_model_bytes
from harness.models.catalog.catalog import catalog_model, catalog_names
from harness.models.catalog.target import EstimateTarget, counted_target, parse_parameters
from harness.runner.models import find_model
from harness.runner.settings import flag_values, load_settings

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "claims.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## (\d.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
LINES = [line[2:] for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
ANSWERING = ("bench estimate ", "bench models ")
VERDICT = re.compile(
    r"^\*\*Verdict: (holds|holds in part|does not hold|cannot be told here)\.\*\*", re.MULTILINE
)
SUMMARY = re.compile(r"^\| (\d) \| .+ \| (.+) \|$", re.MULTILINE)
FITS = re.compile(r"^\| `(.+)` \| .+ billion \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
X_ELITE = "snapdragon-x-elite"
THIRTEEN = counted_target(13 * 10**9, "13B")
PRICE = 0.20  # per kWh, as on the page


def decode_tok_s(result: Estimate) -> tuple[float, float]:
    """Both ends of the decode rate."""
    assert result.speeds.decode_tok_s is not None
    return result.speeds.decode_tok_s.low, result.speeds.decode_tok_s.high


def cost(result: Estimate) -> tuple[float, float]:
    """Both ends of the cost of a million tokens."""
    assert result.energy.cost_per_million_tokens is not None
    return result.energy.cost_per_million_tokens.low, result.energy.cost_per_million_tokens.high


def both_below(small: tuple[float, float], large: tuple[float, float]) -> bool:
    """Whether each end lies below the like end: enough where both stand on the same constants."""
    return small[0] < large[0] and small[1] < large[1]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith(ANSWERING)])
def test_every_answering_line_runs(line, capsys):
    assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith(ANSWERING)])
def test_every_measuring_line_parses(line):
    """Parsed, not run: measuring takes minutes. The plan that it names must be there."""
    program, name, *words = shlex.split(line)
    assert (program, name in [row[0] for row in COMMANDS]) == ("bench", True)
    command = bench.get_command(click.Context(bench), name)
    assert command is not None
    given = command.make_context(name, words).params
    if name == "run":
        flags = flag_values({key: given[key] for key in ("model", "quant", "pg")})
        assert load_settings(given["plan"], **flags).parts


@pytest.mark.parametrize(("title", "text"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_every_claim_has_a_sentence_a_command_and_one_verdict(title, text):
    assert "**Claim.**" in text
    assert "```console\n$ bench " in text
    assert len(VERDICT.findall(text)) == 1


def test_the_table_above_repeats_the_nine_verdicts():
    verdicts = [(title[0], *VERDICT.findall(text)) for title, text in SECTIONS]
    assert len(verdicts) == 9
    assert SUMMARY.findall(PAGE) == verdicts


def test_among_dense_models_more_parameters_cost_more():
    """One device, one level: time, electricity and cost rise with the count."""
    names = ("smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b", "qwen3-4b", "llama-3-8b")
    rows = [
        estimate(name, "int4", device=X_ELITE, price_per_kwh=PRICE)
        for name in (*names, "solar-10.7b")
    ]
    for small, large in pairwise(rows):
        assert small.case.target.parameters < large.case.target.parameters
        assert both_below(decode_tok_s(large), decode_tok_s(small))
        assert both_below(cost(small), cost(large))
        assert small.energy.floor_j < large.energy.floor_j


def test_a_mixture_has_more_parameters_and_costs_less():
    """30.5 billion parameters, of which a token reads 3.0; a dense model of 4.0 reads them all."""
    dense, mixture = (
        estimate(name, "int4", device=X_ELITE, price_per_kwh=PRICE)
        for name in ("qwen3-4b", "qwen3-30b-a3b")
    )
    assert mixture.case.target.parameters > 7 * dense.case.target.parameters
    assert both_below(decode_tok_s(dense), decode_tok_s(mixture))
    assert both_below(cost(mixture), cost(dense))


@pytest.mark.parametrize("row", FITS.findall(PAGE), ids=lambda row: row[0])
def test_the_levels_that_fit_are_those_of_the_page(row):
    """A quarter of the memory is the system's; the phone's NPU keeps a cache of 4,096 tokens."""
    name, *cells = row
    for memory_gb, cell in zip((8, 12, 16), cells, strict=True):
        fitting = [level for level in ("int4", "int8", "fp16") if fits(name, level, memory_gb)]
        assert ", ".join(fitting or ["none"]) == cell


def fits(name: str, level: str, memory_gb: int) -> bool:
    """Whether a catalog model or a bare count fits into a phone of this memory."""
    known = name in catalog_names()
    target: EstimateTarget = (
        find_model(name).target if known else counted_target(parse_parameters(name), name)
    )
    memory_bytes = memory_gb * GB
    return estimate(target, level, device="galaxy-s24", memory_bytes=memory_bytes).sizes.fits


def test_the_table_of_fits_reaches_both_sides_of_ten_billion():
    names = [row[0] for row in FITS.findall(PAGE)]
    assert names == ["olmo-1.7-7b", "mistral-7b-v0.1", "llama-3-8b", "10B", "solar-10.7b"]


@pytest.mark.parametrize(("engine", "expected"), [("npu", True), ("cpu", False)])
def test_eight_billion_in_eight_gb_depend_on_the_engine(engine, expected):
    """8.0e9 · 4.25 / 8 = 4.3 GB as stored; a CPU's runtimes hold more than 6.0 GB."""
    memory = {"device": "galaxy-s24", "memory_bytes": 8 * GB, "engine": engine}
    assert estimate("llama-3-8b", "int4", **memory).sizes.fits is expected


def test_nine_billion_fit_into_eight_gb():
    """9e9 · 4.25 / 8 = 4.8 GB and 0.2 GB of runtime, of the 6.0 GB that are left."""
    assert fits("9B", "int4", 8)


def test_phi_3_is_a_forty_sixth():
    """175e9 / 3 821 079 552 = 45.8; a hundred times Phi-3 would be 382e9."""
    phi, chat = find_model("phi-3").target.parameters, find_model("chatgpt").target.parameters
    assert chat / phi == pytest.approx(45.8, abs=0.05)
    assert 100 * phi == pytest.approx(382e9, rel=0.001)


@pytest.mark.parametrize("batch", [1, 128])
def test_on_one_device_the_light_model_is_cheaper(batch):
    """8.0 billion against 204 on one H200: a sixth of the electricity, or less."""
    light, large = (
        estimate(name, "int4", device="h200", batch=batch, price_per_kwh=PRICE)
        for name in ("varco-8b", "hyperclova")
    )
    assert large.sizes.fits
    assert both_below(cost(light), tuple(end / 5.5 for end in cost(large)))


def test_whether_a_shared_large_model_is_cheaper_cannot_be_told():
    """128 users share a step of 204 billion; the laptop's 8.0 serve one. The ranges overlap."""
    shared = estimate("hyperclova", "int4", device="h200", batch=128, price_per_kwh=PRICE)
    alone = estimate("varco-8b", "int4", device=X_ELITE, price_per_kwh=PRICE)
    assert cost(shared)[0] < cost(alone)[1]
    assert cost(alone)[0] < cost(shared)[1]


@pytest.mark.parametrize(
    ("device", "quicker"),
    [
        (X_ELITE, "npu"),
        ("core-ultra-285h", "gpu"),
        *((key, None) for key in ("m4", "hx-370", "core-ultra-155h", "core-ultra-258v")),
    ],
)
def test_which_engine_reads_a_prompt_faster(device, quicker):
    """Told only where the ranges do not overlap."""
    npu, gpu = (
        estimate("llama-3.2-1b", "int4", device=device, engine=engine, prompt=512).speeds.ttft_s
        for engine in ("npu", "gpu")
    )
    assert npu is not None
    assert gpu is not None
    found = "npu" if npu.high < gpu.low else "gpu" if gpu.high < npu.low else None
    assert found == quicker


@pytest.mark.parametrize(
    ("level", "stored_gb", "ceiling_tok_s"),
    [("int4", 6.90625, 18.5), ("int8", 13.0, 9.8), ("fp16", 26.0, 5.2)],
)
def test_thirteen_billion_stay_under_the_ceiling(level, stored_gb, ceiling_tok_s):
    """The ceiling takes all of 135.2 GB/s and 4.5, 8.5 and 16 bits; an NPU's files 4.25, 8, 16."""
    result = estimate(THIRTEEN, level, device=X_ELITE)
    assert result.case.engine.kind == "npu"
    assert result.sizes.weights_bytes == stored_gb * GB
    assert decode_tok_s(result)[1] < ceiling_tok_s / 2


def test_published_rows_of_that_npu_lie_inside():
    """Nine of nine with them in the fit; the page shows five models of them."""
    for model, published in (("llama-3.2-1b", 23.7), ("llama-3.2-3b", 11.87), ("llama-3-8b", 6.87)):
        low, high = decode_tok_s(
            estimate(model, "int4-b128", device=X_ELITE, depth=192, runtime_of="genie")
        )
        assert low < published < high
    own, _ = estimate("llama-3-8b", "int4", device=X_ELITE).evidence
    assert (own.rows, own.inside) == (9, 9)


@pytest.mark.parametrize(
    ("level", "memory_gb", "expected"),
    [("int4", 16, True), ("int8", 16, False), ("int8", 32, True), ("fp16", 32, False)],
)
def test_what_a_laptop_carries_for_thirteen_billion(level, memory_gb, expected):
    result = estimate(THIRTEEN, level, device=X_ELITE, memory_bytes=memory_gb * GB)
    assert result.sizes.fits is expected


def test_decoding_follows_bandwidth_but_on_npus():
    """Centres rise with the bandwidth of GPUs; the X Elite's NPU at 135 GB/s is below 120 there."""
    gpus = ("rpi5", "iphone-15-pro", "m1", "m4", "rtx-4060", "rtx-4090", "h100", "b200")
    rows = [estimate("llama-3.2-3b", "int4", device=name) for name in gpus]
    centres = [math.sqrt(math.prod(decode_tok_s(row))) for row in rows]
    assert centres == sorted(centres)
    assert {row.speeds.bound for row in rows[:5]} == {"memory"}
    assert rows[-1].speeds.bound == "overhead"
    assert centres[-1] < 1.3 * centres[-2]
    npu = estimate("llama-3.2-3b", "int4", device=X_ELITE)
    assert npu.case.device.bandwidth_gb_s > rows[3].case.device.bandwidth_gb_s
    assert decode_tok_s(npu)[1] < decode_tok_s(rows[3])[0]


@pytest.mark.parametrize(
    ("batch", "least", "most"), [(1, 0.98, 1.0), (64, 0.5, 0.7), (256, 0.2, 0.35)]
)
def test_share_of_data_movement_in_the_floor(batch, least, most):
    """773e6 bytes · 32 pJ = 24.7 mJ for all; 2.47e9 flop · 0.11 pJ = 0.27 mJ for each sequence."""
    result = estimate("llama-3.2-1b", "int4", device=X_ELITE, batch=batch)
    work = least_work(result.case)
    pj_per_byte = memory_pj_per_byte(result.case.device.memory_type)
    moved_pj = sum(term.read_bytes for term in work) * pj_per_byte
    computed_pj = sum(term.useful_flop for term in work) * COMPUTE_PJ_PER_FLOP
    assert result.energy.floor_j == pytest.approx((moved_pj + computed_pj) * 1e-12 / batch)
    assert least < moved_pj / (moved_pj + computed_pj) < most


@pytest.mark.parametrize("model", ["smollm2-135m", "solar-10.7b"])
def test_four_bits_are_five_with_their_scales(model):
    """16 / 5 = 3.2, not 4: every block of 32 weights has a scale of 32 bits."""
    structure = catalog_model(model).structure
    half, four = (stored_model_bytes(structure, find_level(name)) for name in ("fp16", "int4"))
    assert half / four == pytest.approx(3.2, rel=0.01)


def test_seventy_billion_at_four_bits_are_not_35_gb():
    """70e9 · 4.85 / 8 = 42.4e9 bytes, as llama.cpp stores them."""
    stored = estimate("momo-70b", "int4", device="mi300x").sizes.weights_bytes
    assert stored == pytest.approx(42.4375 * GB)
