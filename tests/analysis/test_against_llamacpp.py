"""The figures beside llama.cpp: means of cells, what may stand for a form, and what is kept."""

import json
from dataclasses import asdict

import pytest

from benchmarks.against_llamacpp import (
    Loss,
    Rate,
    Side,
    draw,
    geometric_mean,
    saved,
    why_not,
)

Q4 = Side("q4_0", 4.6, 80_000_000, 50.0, 16e9)
INT4 = Side("int4-b64", 4.5, 76_000_000, 60.0, 16e9)


def rate(ratio, low, high, ours=INT4, threads=1, word="decode"):
    test = {"decode": "tg32", "prefill": "pp128"}[word]
    return Rate("m", threads, test, word, Q4, ours, ratio, low, high, 10)


def test_a_mean_is_geometric_and_as_wide_as_its_cells():
    """√(2 · ½) = 1; halves of ln 1.21 / 2 = ln 1.1 each give √2 · ln 1.1 / 2."""
    cells = [rate(2.0, 2.0 / 1.1, 2.0 * 1.1), rate(0.5, 0.5 / 1.1, 0.5 * 1.1)]
    mean = geometric_mean(cells)
    assert mean.value == pytest.approx(1.0)
    assert mean.high == pytest.approx(1.1 ** (2**0.5 / 2))
    assert mean.low * mean.high == pytest.approx(1.0)
    assert (mean.least, mean.cells) == (0.5, 2)


def test_a_step_reads_its_file_once():
    """80 MB fifty times a second are 4 GB/s: a quarter of 16."""
    assert Q4.read_share == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("bits", "ours", "theirs", "said"),
    [
        (4.5, 0.007, 0.008, ""),
        (4.5, 0.009, 0.008, "loses 0.0090 nats of bytelm, q4_0 0.0080"),
        (5.0, 0.007, 0.008, "5.00 bits a weight, 4.6 are the most"),
    ],
)
def test_a_form_counts_by_its_bits_and_what_it_loses(bits, ours, theirs, said):
    side = Side("int4-b64", bits, 1, 1.0, 1.0)
    losses = [Loss("int4-b64", bits, ours, ours, ours), Loss("q4_0", 4.6, theirs, theirs, theirs)]
    assert why_not("q4_0", "int4-b64", [rate(1.2, 1.1, 1.3, side)], losses) == said


def test_what_was_kept_is_drawn_again(tmp_path, capsys):
    """Several files are one table, and of one cell the last figure counts."""
    first, second = rate(1.2, 1.1, 1.3), rate(1.4, 1.3, 1.5)
    loss = Loss("q4_0", 4.6, 0.008, 0.007, 0.009)
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    files[0].write_text("".join(json.dumps(asdict(one)) + "\n" for one in (first, loss)))
    files[1].write_text(json.dumps(asdict(second)) + "\n")
    rates, losses = saved(files)
    assert (rates, losses) == ([second], [loss])
    draw(rates, losses)
    told = capsys.readouterr().out
    assert "| m | 1 | tg32 | int4-b64 / q4_0 | 60 / 50 | 1.400 | 1.300 to 1.500 |" in told
    assert "4.6 (28%) / 4.0 (25%)" in told
    assert "int4-b64 / q4_0, decode: geometric mean 1.400" in told
    assert "| q4_0 | 4.60 | 0.00800 | 0.00700 to 0.00900 |" in told
