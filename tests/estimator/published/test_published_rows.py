"""Files of published measurements: read strictly, every fault named with its line."""

from dataclasses import replace

import pytest

from harness.core.errors import StorageError, UsageError
from harness.estimator.published.asking import ask_row, ask_rows, left_out_counts
from harness.estimator.published.rows import COLUMNS, read_published, shipped_rows

ROWS = shipped_rows()
HEADER = ",".join(COLUMNS)
ROW = "rpi5,Pi 5,cpu,ollama,llama-3.2-1b,,4,,30,,,,11.2,,,,me,2026-01-01,Q4_K_M"


def written(folder, *lines):
    """A file of these lines."""
    path = folder / "rows.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_row_is_read_with_its_precision_and_its_depth(tmp_path):
    """The rate stands behind a prompt of 30, in the middle of an answer of 128: 30 + 64."""
    (row,) = read_published(written(tmp_path, "# by whom", HEADER, ROW))
    assert (row.line, row.device, row.decode_tok_s) == (3, "rpi5", 11.2)
    assert (row.precision, row.level_name, row.depth_tokens) == ("Q4_K_M", "int4", 94)
    assert replace(row, note="Q4_0; decode at depth 0").depth_tokens == 64


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([HEADER.replace("decode_tok_s", "decode")], "the column 'decode' states no unit"),
        ([HEADER.replace("ttft_ms", "ttft")], "the column 'ttft' states no unit"),
        ([HEADER.replace("watts", "speed")], "no column is called 'speed'"),
        ([HEADER.removesuffix(",note")], "the column 'note' is missing"),
        (["decode_tok_s,device_key"], "the column 'device' is missing"),
        (["# nothing"], "holds no rows"),
        ([HEADER, ROW.replace("11.2", "fast")], "line 2: decode_tok_s is 'fast'"),
        ([HEADER, ROW.replace("11.2", "-1")], "line 2: decode_tok_s is '-1'"),
        ([HEADER, ROW.replace("11.2", "nan")], "line 2: decode_tok_s is 'nan'"),
        (["# one", HEADER, "rpi5,cpu"], "line 3: 2 cells of 19"),
    ],
)
def test_a_fault_of_a_file_is_named(tmp_path, lines, problem):
    with pytest.raises(UsageError) as error:
        read_published(written(tmp_path, *lines))
    assert problem in error.value.problem
    assert error.value.fix


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StorageError):
        read_published(tmp_path / "none.csv")


def test_what_cannot_be_asked_is_left_out_with_the_reason(tmp_path):
    faults = {
        "unknown device": ROW.replace("rpi5", "abacus"),
        "unknown model": ROW.replace("llama-3.2-1b", "eliza"),
        "the device has no such engine": ROW.replace("cpu", "npu"),
        "weak: does not fit": ROW + "; does not fit the card",
        "weak: duplicate": ROW + "; duplicate of another",
    }
    asked, left = ask_rows(read_published(written(tmp_path, HEADER, *faults.values(), ROW)))
    assert [one.reason for one in left] == list(faults)
    assert [one.row.line for one in asked] == [7]
    assert left_out_counts(left) == dict.fromkeys(faults, 1)


def test_a_static_graph_is_asked_with_its_whole_context():
    """A w4a16 row of a Hexagon: its step reads 4,096 positions, whatever its depth."""
    row = next(
        r for r in ROWS if r.runtime == "genie" and r.model == "llama-3.2-3b" and r.weak is None
    )
    asked = ask_row(replace(row, context_tokens=4096))
    assert (asked.context_tokens, asked.runtime, asked.level.name) == (4096, "genie", "int4-b128")
    shorter = ask_row(replace(row, context_tokens=1024))
    ratio = asked.step.cache_bytes / shorter.step.cache_bytes
    assert ratio == pytest.approx(4.0, rel=0.01)


def test_nearly_all_shipped_rows_can_be_asked():
    """342 rows; 15 prove nothing, and two are of models whose shape is not known."""
    asked, left = ask_rows(ROWS)
    assert len(ROWS) == 342
    assert len(asked) + len(left) == len(ROWS)
    assert sum(not one.reason.startswith("weak") for one in left) <= 2


@pytest.mark.parametrize(
    ("model", "device", "file_bytes"),
    [
        ("llama-3.2-1b", "rpi5", 807_718_092),
        ("smollm2-1.7b", "rpi5", 1_055_601_459),
        ("llama-3.2-3b", "rpi5", 2_019_347_660),
        ("qwen2.5-1.5b", "rpi5", 986_080_870),
    ],
)
def test_the_bytes_of_a_file_are_those_published(model, device, file_bytes):
    """Q4_K_M: 4.85 bits in the body and 6.56 in the head, which is the embedding here."""
    row = next(r for r in ROWS if (r.model, r.device, r.bits) == (model, device, 4))
    step = ask_row(row).step
    assert step.body_bytes + step.head_bytes == pytest.approx(file_bytes, rel=0.03)
