"""The overhead benchmark works and counts what it says; its figures are not tested."""

import importlib.util
from pathlib import Path

import pytest
from tiny_decoder import TinyDecoder

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "step_overhead.py"


@pytest.fixture(scope="module")
def benchmark():
    specification = importlib.util.spec_from_file_location("step_overhead", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_share_is_of_the_inner_time(benchmark):
    """Whole 110 + 130, inner 100 + 100: 40 outside, 20 % of the inner time, 0.02 us a step.

    Copies of 2000 and 4000 ns: 3 us on average; outer minus copy is 0.02 - 3 us.
    """
    overhead = benchmark.Overhead([110, 130], [100, 100], [2000, 4000])
    assert overhead.outer_share == pytest.approx(0.2)
    assert overhead.outer_us == pytest.approx(0.02)
    cells = benchmark.row("m", "int4", 2, 99, overhead).strip("| ").split(" | ")
    assert cells == ["m", "int4", "2", "99", "2", "0", "0.0", "20.00", "3.0", "-3.0"]
    assert len(cells) == len(benchmark.COLUMNS)


def test_every_step_has_one_inner_part(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "WARM_SECONDS", 0.1)
    tiny = TinyDecoder(tmp_path)
    overhead = benchmark.measure(tiny.graph, tiny.geometry, threads=1, steps=70)
    assert len(overhead.whole_ns) == len(overhead.inner_ns) == 128
    assert len(overhead.copy_ns) == 64
