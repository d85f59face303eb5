"""The overhead benchmark works and counts what it says; its figures are not tested."""

import pytest

from benchmarks import step_overhead
from tests.engine.tiny_decoder import TinyDecoder


def test_the_share_is_of_the_inner_time():
    """Whole 110 + 130, inner 100 + 100: 40 outside, 20 % of the inner time, 0.02 us a step.

    Copies of 2000 and 4000 ns: 3 us on average; outer minus copy is 0.02 - 3 us.
    """
    overhead = step_overhead.Overhead([110, 130], [100, 100], [2000, 4000])
    assert overhead.outer_share == pytest.approx(0.2)
    assert overhead.outer_us == pytest.approx(0.02)
    cells = step_overhead.row("m", "int4", 2, 99, overhead).strip("| ").split(" | ")
    assert cells == ["m", "int4", "2", "99", "2", "0", "0.0", "20.00", "3.0", "-3.0"]
    assert len(cells) == len(step_overhead.COLUMNS)


def test_every_step_has_one_inner_part(tmp_path, monkeypatch):
    monkeypatch.setattr(step_overhead, "WARM_SECONDS", 0.1)
    tiny = TinyDecoder(tmp_path)
    overhead = step_overhead.measure(tiny.graph, tiny.geometry, threads=1, steps=70)
    assert len(overhead.whole_ns) == len(overhead.inner_ns) == 128
    assert len(overhead.copy_ns) == 64
