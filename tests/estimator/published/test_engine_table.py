"""The engines' table: what the published rows give, and which cell answers."""

from dataclasses import replace

import pytest

from harness.builder.quantize.levels import find_level
from harness.core.errors import UsageError
from harness.estimator.answer import estimate
from harness.estimator.nearest import question_range, row_question
from harness.estimator.published.amounts import (
    FEWEST_TOPS,
    READ_PER_OPERATION,
    TERA,
    reference_bytes_per_s,
)
from harness.estimator.published.asking import ask_row, ask_rows
from harness.estimator.published.cells import make_table, table_text
from harness.estimator.published.effects import KINDS, Place, engine_kind
from harness.estimator.published.fit import fit_all
from harness.estimator.published.rows import shipped_rows
from harness.estimator.published.runtimes import (
    FAMILY_RUNTIMES,
    check_runtime,
    file_bits,
    published_runtime,
    runtime_names,
    static_context_tokens,
)
from harness.estimator.published.table import ANOTHER, engine_table, two_part
from harness.models.catalog.devices import FAMILIES, catalog_device, catalog_devices
from harness.models.catalog.target import catalog_target

TABLE = engine_table()
LLAMA = catalog_target("llama-3-8b")
GEFORCE = Place("card", "geforce", is_phone=False, device="rtx-3090", runtime="llama.cpp")


@pytest.mark.slow
def test_the_table_is_the_fit_of_the_shipped_rows():
    """benchmarks/fit_engines.py writes it: run it after a change of rows, sheets or models."""
    rows, _ = ask_rows(shipped_rows())
    made = make_table(rows, fit_all(rows), TABLE.basis)
    assert (made.defaults, made.devices, made.classes) == (
        TABLE.defaults,
        TABLE.devices,
        TABLE.classes,
    )
    for cell, kept in zip(made.cells, TABLE.cells, strict=True):
        assert (cell.family, cell.device, cell.runtime) == (kept.family, kept.device, kept.runtime)
        assert cell.step == pytest.approx(kept.step, rel=0.02, abs=0.01)
        assert cell.prefill == pytest.approx(kept.prefill, rel=0.02, abs=0.01)
    assert table_text(TABLE).startswith("# Constants")


def test_every_engine_of_the_catalog_has_a_cell():
    for device in catalog_devices():
        for engine in device.engine:
            is_phone = device.device_class == "phone"
            place = Place(engine_kind(engine), engine.family, is_phone, device.key, "")
            cell = TABLE.cell(place)
            assert cell.family == engine.family
            assert 0.05 < cell.step[0] < 2.0
            assert 1.0 < cell.step[1] < 20_000.0
            assert engine.family in TABLE.defaults
            assert TABLE.family_cell(place).memory is not None


def test_every_family_has_runtimes_that_there_are():
    assert {family.name for family in FAMILIES} == set(FAMILY_RUNTIMES)
    for names in FAMILY_RUNTIMES.values():
        assert set(names) <= set(runtime_names())


def test_a_device_with_rows_is_known_better_than_its_family():
    mine = TABLE.cell(GEFORCE)
    family = TABLE.cell(replace(GEFORCE, device="none"))
    assert mine.rows > 0
    assert mine.device == "rtx-3090"
    assert (family.device, family.runtime) == ("", "llama.cpp")
    assert mine.step[2] < family.step[2]


def test_a_runtime_that_no_row_has_is_wider():
    known, other = (
        TABLE.cell(Place("card", "geforce", is_phone=False, device="rtx-3090", runtime=name))
        for name in ("llama.cpp", "vllm")
    )
    assert other.runtime == ANOTHER
    assert other.step[2] > known.step[2]


def test_four_fifths_of_a_normal_lie_within_the_factor():
    """Two parts of 1 and 3 s: slopes 1/4 and 3/4; widths 0.4 and 0.2, no noise, no correlation."""
    spread = two_part((1.0, 3.0), (0, 1), (1.0, 1.0, 0.4, 0.2, 0.0), 0.0)
    assert spread.centre == 4.0
    assert spread.deviation == pytest.approx((0.1**2 + 0.15**2) ** 0.5)


@pytest.mark.parametrize(
    ("device", "engine"), [("rpi5", "cpu"), ("rtx-3060", "gpu"), ("snapdragon-x-elite", "npu")]
)
def test_what_is_answered_holds_as_many_rows_as_the_table_says(device, engine):
    """The table counted them by the fit; an answer is made of rounded cells: one row at most."""
    asked, _ = ask_rows(
        row for row in shipped_rows() if (row.device, row.engine) == (device, engine)
    )
    rates = [(one, one.row.decode_tok_s) for one in asked if one.model.decodes]
    known = [(question_range(one), rate) for one, rate in rates if rate is not None]
    inside = sum(ends.low <= rate <= ends.high for ends, rate in known)
    own, _ = TABLE.evidence(device, "", engine)
    assert own.rows == len(known)
    assert abs(own.inside - inside) <= 1


def test_every_kind_is_in_the_table():
    assert tuple(row.name for row in TABLE.kinds) == KINDS


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ollama 0.32.1", "llama.cpp"),
        ("LM Studio", "llama.cpp"),
        ("llama.cpp OpenVINO", None),
        ("OpenVINO 2025.0", "openvino"),
        ("qnn_context_binary", "genie"),
        ("Ryzen AI SW 1.4", "ryzen-ai"),
        ("mlx-swift", "mlx"),
        ("not stated", None),
        ("not reported", None),
        ("OGA 0.7", "ort"),
    ],
)
def test_a_published_name_is_one_of_our_words(text, name):
    assert published_runtime(text) == name


def test_a_runtime_that_an_engine_does_not_have_is_refused():
    assert check_runtime("mlx", "apple-gpu", "GPU") == "mlx"
    with pytest.raises(UsageError, match="has no such runtime"):
        check_runtime("mlx", "geforce", "GPU of rtx-3090")
    with pytest.raises(UsageError, match="no runtime that we know"):
        check_runtime("lama.cpp", "geforce", "GPU")


def test_bits_of_files_and_contexts_of_graphs():
    assert file_bits("llama.cpp", find_level("int4")) == (4.85, 6.56)
    assert file_bits("llama.cpp", find_level("int4-b64")) == (4.5, 6.56)
    assert file_bits("ort", find_level("int4")) is None
    assert static_context_tokens("genie", "npu") == 4096
    assert static_context_tokens("ort", "cpu") == 0


def test_a_small_npu_reads_no_slower_than_the_smallest_that_was_published():
    """Two operations a weight: 6 TOPS are a hundred times what any memory gives."""
    small = catalog_device("rk3588")
    engine = next(one for one in small.engine if one.kind == "npu")
    assert engine.int8_tops == 6
    larger = replace(engine, int8_tops=FEWEST_TOPS)
    rate = reference_bytes_per_s(small, engine)
    assert rate == reference_bytes_per_s(small, larger)
    assert rate > 3 * READ_PER_OPERATION * 6 * TERA


@pytest.mark.parametrize(("board", "bound"), [("rpi4", "compute"), ("rpi5", "memory")])
def test_a_step_takes_its_products_at_least(board, bound):
    """Without products of four bytes at once a processor multiplies slower than it reads."""
    step = estimate(catalog_target("llama-3.2-1b"), "int4", device=board).speeds
    assert step.bound == bound


@pytest.mark.parametrize("board", ["rpi4", "rpi5"])
def test_a_step_is_answered_as_it_is_asked(board):
    """reading, or products, over the share that is reached, and the time of each layer."""
    row = next(one for one in shipped_rows() if one.device == "rpi5" and one.bits == 4)
    asked = ask_row(replace(row, device=board))
    ends, cell = question_range(asked), row_question(asked).cell
    expected_s = asked.read_s / cell.step[0] + asked.step.layers * cell.step[1] * 1e-6
    assert (ends.low * ends.high) ** -0.5 == pytest.approx(expected_s)


def test_no_range_reads_faster_than_the_memory():
    """Wide ranges of NPUs that no row is of would: their fast end stands at the data sheet's."""
    for device in catalog_devices():
        for engine in device.engine:
            found = estimate(LLAMA, "fp16", device=device.key, engine=engine.kind)
            rate = found.speeds.decode_tok_s
            reads = rate.high * found.case.question.amounts.read_bytes
            assert reads <= 1.051 * device.bandwidth_bytes_per_s
            assert rate.low < rate.high


def test_the_reading_of_an_npu_is_not_the_memory_of_its_device():
    """A Hexagon of 45 TOPS on 135 GB/s reads some 36 GB/s, as published for 8 billion at w4a16."""
    device = catalog_device("snapdragon-x-elite")
    npu = next(engine for engine in device.engine if engine.kind == "npu")
    place = Place("npu", "hexagon", is_phone=False, device=device.key, runtime="genie")
    rate = TABLE.cell(place).step[0] * reference_bytes_per_s(device, npu)
    assert 30e9 < rate < 60e9
