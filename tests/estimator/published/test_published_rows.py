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
        ([HEADER + ",note"], "'note' stands there twice"),
        ([HEADER, ROW, '"' + "x" * 200_000], "line 3: field larger than"),
    ],
)
def test_a_fault_of_a_file_is_named(tmp_path, lines, problem):
    with pytest.raises(UsageError) as error:
        read_published(written(tmp_path, *lines))
    assert problem in error.value.problem
    assert error.value.fix


def test_cells_stand_where_the_header_says(tmp_path):
    columns = sorted(COLUMNS)
    cells = dict(zip(COLUMNS, ROW.split(","), strict=True))
    turned = ",".join(columns), ",".join(cells[column] for column in columns)
    assert read_published(written(tmp_path, *turned)) == read_published(
        written(tmp_path, HEADER, ROW)
    )


@pytest.mark.parametrize("between", ["\n", "\u2028", "\x0c", "\x85"])
def test_a_note_may_hold_any_line_break(tmp_path, between):
    """Of these `str.splitlines` makes two lines; a quoted cell is one all the same."""
    note = f"Q4_K_M; one,{between}two"
    first, second = read_published(
        written(tmp_path, HEADER, ROW.replace("Q4_K_M", f'"{note}"'), ROW)
    )
    assert (first.note, first.level_name) == (note, "int4")
    assert second.note == "Q4_K_M"


def test_files_as_programs_write_them(tmp_path):
    """A mark of UTF-8, line ends of Windows, spaces, capitals, empty lines at the end."""
    plain = read_published(written(tmp_path, HEADER, ROW))
    path = tmp_path / "windows.csv"
    lines = HEADER, ROW.replace(",cpu,", ", CPU ,"), "," * 18, ""
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert read_published(path) == plain


def test_a_prompt_of_none_is_none_that_was_stated(tmp_path):
    (row,) = read_published(written(tmp_path, HEADER, ROW.replace(",,30,", ",,0,")))
    assert row.prompt_tokens is None


@pytest.mark.parametrize(
    ("note", "level"),
    [
        ("Q4_K_M; imatrix", "int4"),
        ("IQ4_XS", "int4"),
        ("AWQ 4-bit", "int4"),
        ("mxfp4", "int4"),
        ("bfloat 16 bit", "fp16"),
        ("fp8", "int8-block"),
        ("as usual", None),
    ],
)
def test_bits_that_are_not_stated_are_those_of_the_precision(tmp_path, note, level):
    text = ROW.replace("Q4_K_M", note).replace("llama-3.2-1b,,4,", "llama-3.2-1b,,,")
    (row,) = read_published(written(tmp_path, HEADER, text))
    assert row.level_name == level


@pytest.mark.parametrize(
    ("wrong", "right", "device", "model"),
    [
        ("llama-3.2-1b", "Llama-3.2-1B-Instruct", "rpi5", "llama-3.2-1b"),
        ("llama-3.2-1b", "gemma3:4b", "rpi5", "gemma-3-4b"),
        ("rpi5,Pi 5", "board-7,Raspberry Pi 5 (8 GB)", "rpi5", "llama-3.2-1b"),
        ("rpi5,Pi 5,cpu", "mac-16,Apple M4 Max / 128 GB,gpu", "apple-m4-max", "llama-3.2-1b"),
    ],
)
def test_names_are_understood_as_people_write_them(tmp_path, wrong, right, device, model):
    (row,) = read_published(written(tmp_path, HEADER, ROW.replace(wrong, right)))
    asked = ask_row(row)
    assert (asked.device.key, asked.model.name) == (device, model)


def test_a_model_that_nobody_knows_is_typical_of_its_count(tmp_path):
    """Unless it is a mixture: how much a token reads of it is not told."""
    texts = [ROW.replace("llama-3.2-1b,,", f"{name},") for name in ("eliza,3e9", "eliza-moe,3e9")]
    dense, mixture = map(ask_row, read_published(written(tmp_path, HEADER, *texts)))
    assert dense.model.parameters == pytest.approx(3e9, rel=0.02)
    assert mixture.reason == "unknown model"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StorageError):
        read_published(tmp_path / "none.csv")


def test_what_cannot_be_asked_is_left_out_with_the_reason(tmp_path):
    faults = {
        "unknown device": ROW.replace("rpi5,Pi 5", "abacus,Abacus 3"),
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
