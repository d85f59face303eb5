"""`bench estimate` and `bench models` as a user types them."""

import csv
import io
import json
import subprocess
import sys
from itertools import pairwise

import pytest
from msgspec import structs

from harness.builder.quantize.levels import LEVELS
from harness.cli.main import main
from harness.estimator.calibration.store import METHOD_VERSION, calibration_key, store_constants
from harness.machine.watch.facts import machine_facts
from harness.models.catalog.catalog import catalog_model, listed_names, spec_names
from harness.models.catalog.devices import device_keys
from harness.results.calibration import Constants, RatePoint, StoredConstants

FORBIDDEN = ("numpy", "onnxruntime", "onnx", "safetensors", "rich")


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command."""
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("command", [["models"], ["estimate", "gpt-4", "--on", "galaxy-s24"]])
def test_nothing_heavy_is_imported(command):
    """In a fresh interpreter neither command loads numpy or onnxruntime."""
    script = (
        f"import sys\nfrom harness.cli.main import main\ncode = main({command!r})\n"
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_capacities_are_rows_and_max_is_that_of_each_model(capsys):
    """An encoder beside a decoder keeps no cache; alone it is refused."""
    words = ("estimate", "llama-3.2-1b,bert-base-uncased", "--quant", "int4", "--on", "m4")
    code, out, _ = run(capsys, *words, "--capacity", "tests,4096,max", "--format", "json")
    assert code == 2  # a number is of every model
    code, out, _ = run(capsys, *words, "--capacity", "tests,max", "--format", "json")
    assert code == 0
    found = [(row["model"], row["capacity_tokens"]) for row in json.loads(out)]
    assert found == [("llama-3.2-1b", None), ("llama-3.2-1b", 131072), ("bert-base-uncased", None)]
    for model, capacity, problem in (
        ("7B", "max", "is not known"),
        ("bert-base-uncased", "max", "keeps no cache"),
        ("llama-3.2-1b", "0", "--capacity 0 holds nothing"),
        ("llama-3.2-1b", "many", "'many' is no number of positions"),
    ):
        code, _, err = run(capsys, "estimate", model, "--on", "m4", "--capacity", capacity)
        assert (code, problem in err) == (2, True)


def test_one_row_says_what_it_stands_on(capsys):
    code, out, _ = run(capsys, "estimate", "gpt-4", "--quant", "int4", "--on", "galaxy-s24")
    assert code == 0
    assert "Estimated, not measured: model gpt-4" in out
    assert "stated, unofficial" in out
    told = " ".join(out.split())
    assert "under genie (not named: the usual one)" in told
    assert "range: 80 % of published values should lie inside" in told
    assert "floor: physics" in out


def test_grids_make_rows_and_csv_holds_every_value(capsys):
    code, out, _ = run(
        capsys,
        *("estimate", "llama-3.2-1b,bert-base-uncased", "--quant", "int4,fp16"),
        *("--on", "galaxy-s24,m4", "--depth", "0,1024", "--format", "csv"),
    )
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert len(rows) == 2 * 2 * 2 * 2
    assert {row["depth_tokens"] for row in rows} == {"0", "1024"}
    encoder = next(row for row in rows if row["model"] == "bert-base-uncased")
    assert encoder["decode_tok_s_low"] == ""
    assert float(encoder["encode_ms_high"]) > 0


def test_json_holds_terms_and_notes(capsys):
    code, out, _ = run(
        capsys,
        *(
            "estimate",
            "--params",
            "3000억",
            "--bits",
            "4",
            "--on",
            "h100",
            "--price-per-kwh",
            "0.2",
        ),
        *("--format", "json", "--explain-row"),
    )
    (row,) = json.loads(out)
    assert code == 0
    assert row["parameters"] == 300_000_000_000
    assert row["weights_bytes"] == 150_000_000_000
    assert row["fits"] is False
    assert row["kv_bytes_per_token"] is None
    assert row["cost_per_million_tokens_low"] > 0
    assert row["terms"]["decode step, slow"][0]["term"] == "body"


def test_terms_add_up_to_the_time_above(capsys):
    """The sum of the slow terms is the upper end of the range."""
    run_json = ("--format", "jsonl", "--explain-row")
    _, out, _ = run(capsys, "estimate", "smollm2-135m", "--on", "rpi5", *run_json)
    row = json.loads(out)
    seconds = sum(term["seconds"] for term in row["terms"]["prefill, slow"])
    assert seconds * 1e3 == pytest.approx(row["ttft_ms_high"])
    rate = 1 / sum(term["seconds"] for term in row["terms"]["decode step, fast"])
    assert rate == pytest.approx(row["decode_tok_s_high"])


def test_explained_table_names_the_largest_term(capsys):
    _, out, _ = run(capsys, "estimate", "smollm2-135m", "--on", "rpi5", "--explain-row")
    assert "most: layers" in out
    assert "time of a request" in out


@pytest.mark.parametrize("style", ["table", "md"])
def test_only_columns_that_vary_are_drawn(capsys, style):
    _, out, _ = run(capsys, *("estimate", "smollm2-135m", "--on", "rpi5,m4", "--format", style))
    table = out.split("\n\n")[1]
    assert "device" in table
    assert "quant" not in table
    assert "encode" not in table


@pytest.mark.parametrize(
    ("models", "on", "rows"),
    [
        ("all", "rpi5", len(listed_names())),
        ("llama-3.2-1b,bert-base-uncased,gpt-oss-20b", "all", 3 * len(device_keys())),
    ],
)
def test_all_models_and_all_devices(capsys, models, on, rows):
    code, out, _ = run(capsys, "estimate", models, "--on", on, "--format", "jsonl")
    assert code == 0
    assert len(out.splitlines()) == rows
    assert "NaN" not in out
    assert "Infinity" not in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--on", "rpi5"], "--params"),
        (["smollm2-135m", "--params", "7B", "--on", "rpi5"], "one of the two"),
        (["smolm2-135m", "--on", "rpi5"], "smollm2-135m"),
        (["smollm2-135m", "--on", "galaxy-s99"], "galaxy-s2"),
        (["smollm2-135m", "--on", "rpi5", "--quant", "int5"], "int4"),
        (["smollm2-135m", "--on", "rpi5", "--bits", "4"], "--quant"),
        (["--params", "7B", "--on", "rpi5", "--bits", "3"], "--bits"),
        (["--params", "7B", "--on", "rpi5", "--bits", "4", "--quant", "int4"], "one of them"),
        (["--params", "3000", "--on", "rpi5"], "억"),
        (["--params", "1001T", "--on", "rpi5"], "1e15"),
        (["smollm2-135m", "--on", "rpi5", "--memory", "8"], "--memory"),
        (["smollm2-135m", "--on", "rpi5", "--os-share", "1.5"], "--os-share"),
        (["smollm2-135m", "--on", "rpi5", "--depth", "deep"], "--depth"),
        (["smollm2-135m", "--on", "rpi5", "--engine", "gpu"], "cpu"),
        (["h100", "--on", "rpi5"], "MODEL --on h100"),
    ],
)
def test_bad_input_ends_with_two_lines_and_code_2(capsys, arguments, named):
    code, out, err = run(capsys, "estimate", *arguments)
    assert code == 2
    assert out == ""
    assert named in err
    assert "  try: " in err
    assert "Traceback" not in err


def test_sweep_is_a_row_for_every_level(capsys):
    """Stored weights fall along it; int8, per channel, is the one out of order."""
    _, out, _ = run(
        capsys, "estimate", "llama-3.2-1b", "--quant", "sweep", "--on", "rpi5", "--format", "json"
    )
    rows = {row["level"]: row for row in json.loads(out)}
    assert list(rows) == list(LEVELS)
    sizes = [row["weights_bytes"] for name, row in rows.items() if name != "int8"]
    assert sizes == sorted(sizes, reverse=True)


def test_models_lists_the_catalog(capsys):
    code, out, _ = run(capsys, "models", "--format", "json")
    rows = {row["model"]: row for row in json.loads(out)}
    assert code == 0
    assert set(rows) == set(listed_names())
    mixtral = rows["mixtral-8x22b"]
    assert (mixtral["parameters"], mixtral["active_parameters"]) == (140630071296, 39161468928)
    assert mixtral["size_class"] == "LLM"
    assert mixtral["built"] is True
    assert rows["whisper-tiny"]["built"] is False
    smol = rows["smollm2-135m"]
    assert smol["size_class"] == "sLLM"
    assert smol["kv_bytes_per_token"] == 2 * 30 * 3 * 64 * 4
    assert smol["weights_bytes"]["fp32"] == 4 * 134_515_008
    assert "int4" in smol["fits"]


def built():
    """Names of all listed architectures that graphs are built of."""
    return (name for name in listed_names() if catalog_model(name).structure.spec is not None)


def test_models_that_are_built_here(capsys):
    _, out, _ = run(capsys, "models", "--source", "built", "--format", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["model"] for row in rows} == {*built()} > {*spec_names()}
    assert all(row["built"] for row in rows)


def test_systems_of_the_documents(capsys):
    _, out, _ = run(capsys, "models", "--source", "seeds", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 114
    exaone = next(row for row in rows if row["key"] == "exaone-2.0" and row["parameters"])
    assert exaone["parameters"] == "300,000,000,000"
    assert "억" in exaone["note"]


def test_tables_are_drawn(capsys):
    for arguments in (["models"], ["models", "--source", "seeds", "--format", "md"]):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        assert len(out.splitlines()) > 100


def test_this_machine_needs_its_peaks(capsys, tmp_path, monkeypatch):
    """Nothing is measured behind the user's back: an empty store names the command."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    code, out, err = run(capsys, "estimate", "smollm2-135m", "--on", "cpu")
    assert (code, out) == (4, "")
    assert "bench calibrate" in err


def test_this_machine_by_its_stored_peaks(capsys, tmp_path, monkeypatch):
    """A stored bandwidth of 30 GB/s: the int4 step reads 101e6 bytes and makes 341 calls."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    facts = machine_facts()
    key = calibration_key(facts, "cpu", facts.usable_cores)
    constants = Constants("measured here", (RatePoint(30e9),), operator_s=5e-6)
    stored = StoredConstants(
        key.fingerprint, key.onnxruntime, "cpu", METHOD_VERSION, False, constants
    )
    store_constants(
        tmp_path,
        structs.replace(stored, constants=structs.replace(constants, threads=key.threads)),
    )
    code, out, err = run(capsys, "estimate", "smollm2-135m", "--on", "cpu", "--format", "json")
    assert code == 0, err
    (row,) = json.loads(out)
    assert (row["device"], row["basis"]) == ("here", "measured here")
    assert row["decode_tok_s_low"] == row["decode_tok_s_high"] == pytest.approx(185, rel=0.1)
    assert row["ttft_ms_low"] is None
    assert row["energy_modelled_j_low"] is None
    asked = ("estimate", "--largest", "--on", "cpu", "--format", "json", "--require")
    code, out, err = run(capsys, *asked, "decode>=100")
    assert code == 0, err
    (largest,) = json.loads(out)
    assert (largest["device"], largest["basis"]) == ("here", "measured here")
    assert 134_515_008 < largest["parameters_centre"] < 400_000_000
    code, _, err = run(capsys, *asked, "ttft<=1s")
    assert (code, "ttft" in err) == (2, True)


def test_a_word_that_means_nothing_is_told_before_a_device_is_asked_for(capsys):
    code, _, err = run(capsys, "estimate", "nosuch")
    assert code == 2
    assert "nosuch" in err
    assert "--on" not in err
    code, _, err = run(capsys, "estimate", "smollm2-135m")
    assert code == 2
    assert "needs a device, and --on names none" in err


def test_turns_are_rows_with_the_cache_kept_and_lost(capsys):
    """Of the first turn both read the prompt alone; later ones read more where it is lost."""
    words = ("estimate", "smollm2-135m", "--on", "rpi5", "--turns", "3x128+64")
    code, out, _ = run(capsys, *words, "--format", "json")
    rows = json.loads(out)
    assert code == 0
    places = [(row["turn"], row["depth_tokens"], row["gen_tokens"]) for row in rows]
    assert places == [(1, 0, 64), (2, 192, 64), (3, 384, 64)]
    assert rows[0]["ttft_ms_low"] == rows[0]["reread_ttft_ms_low"]
    for earlier, later in pairwise(rows):
        assert later["reread_ttft_ms_low"] > later["ttft_ms_low"] > earlier["ttft_ms_low"]
        assert later["decode_tok_s_high"] < earlier["decode_tok_s_high"]
        assert later["peak_bytes"] > earlier["peak_bytes"]
    _, drawn, _ = run(capsys, *words)
    header = drawn.split("\n\n")[1]
    assert "reread" in header
    assert "gen 64" in drawn.split("\n\n")[0]
    _, out, _ = run(capsys, *words, "--capacity", "max", "--depth", "1000", "--format", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["depth_tokens"] for row in rows] == [1000, 1192, 1384]
    assert {row["capacity_tokens"] for row in rows} == {8192}
    _, drawn, _ = run(capsys, *words, "--capacity", "tests,max")
    table = drawn.split("\n\n")[1]
    assert table.count(" tests ") == table.count(" 8,192 ") == 3
    assert "reread TTFT: it was lost" in drawn


def test_a_turn_is_estimated_as_a_run_estimates_it(capsys):
    """The step is the middle one of its answer: one token alone has a step of its own depth."""
    from harness.estimator.query import Lengths

    assert Lengths(384, 128).step_depth_tokens == 384
    assert Lengths(384, 128, gen_tokens=64, turn=3).step_depth_tokens == 384 + 128 + 31
    assert Lengths(384, 128, gen_tokens=1, turn=3).step_depth_tokens == 384 + 128
    again = Lengths(384, 128, gen_tokens=64, turn=3).read_again
    assert (again.depth_tokens, again.prompt_tokens) == (0, 512)
