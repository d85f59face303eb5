"""Exported models through the real command: one table beside estimates, one message per mistake."""

import json

import pytest

from harness.cli.main import main
from harness.estimator.calibration import bandwidth
from harness.runner.loop import rounds
from tests.exports import EXPORTS

PLAN = (
    "rounds = 1\nthreads = ['1']\ncalibrate = false\n"
    "warm_seconds = 0.05\nsample_seconds = 0.01\nmin_passes = 2\n"
)


def bench(tmp_path, model, *flags):
    """Run the command on a plan without patience; its exit code and the document it wrote."""
    plan, results = tmp_path / "quick.toml", tmp_path / "results"
    plan.write_text(PLAN)
    words = ["--device", "cpu", "--model", model, "--config", str(plan)]
    with pytest.MonkeyPatch.context() as patch:  # a quarter of a GiB would take the time
        patch.setattr(bandwidth, "VECTOR_BYTES", 2**20)
        patch.setattr(rounds, "BANDWIDTH_SECONDS", 0.01)
        code = main([*words, "--results", str(results), *flags])
    (path,) = results.glob("*.json")
    return code, json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "flags", "tests", "cache"),
    [
        ("genai/llama-int4", ("--prompt", "16", "--gen", "8"), ["pp16", "tg8"], "shared"),
        pytest.param(
            *("optimum/llama-merged", ("--pg", "16,8"), ["pg16+8"], "growing"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("optimum/t5-separate", ("--gen", "4"), ["enc128x1", "enc128x8", "tg4"], "growing"),
            marks=pytest.mark.slow,
        ),
        pytest.param(*("optimum/vit", (), ["img1", "img8"], "none"), marks=pytest.mark.slow),
    ],
)
def test_an_export_is_measured_beside_its_estimate(tmp_path, capsys, name, flags, tests, cache):
    """Nothing but the path: records of its tests, true parameters, no path in the document."""
    folder = EXPORTS / name
    code, document = bench(tmp_path, str(folder), *flags)
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    records = document["records"]
    assert code == 0
    assert sorted(r["cell"]["workload"].partition(" @")[0] for r in records) == tests
    for record in records:
        assert record["status"] == "ok"
        assert record["cell"]["parameters"] == expected["parameters"]
        assert record["recognition"]["cache"] == cache
        assert record["metrics"]["bits_per_weight"]["value"] > 0
        assert "params" in record["estimates"]["weights_bytes"]
        check = record["recognition"]["steps_check"]
        assert check is None or check["agrees"]
    assert str(EXPORTS) not in json.dumps(document)
    assert f"{folder.name}@" in capsys.readouterr().out


@pytest.mark.slow
def test_levels_are_made_of_an_fp32_file(tmp_path):
    """Three levels of one model: the same name and parameters, fewer bits each."""
    folder, cache = EXPORTS / "optimum" / "llama-past", tmp_path / "cache"
    flags = ("--prompt", "16", "--gen", "8", "--cache", str(cache))
    code, document = bench(tmp_path, str(folder), "--quant", "fp32,int8,int4", *flags)
    decodes = [r for r in document["records"] if r["cell"]["gen"]]
    bits = [record["metrics"]["bits_per_weight"]["value"] for record in decodes]
    assert code == 0
    assert [record["cell"]["level"] for record in decodes] == ["fp32", "int8", "int4"]
    assert len({(r["cell"]["model"], r["cell"]["parameters"]) for r in decodes}) == 1
    assert bits == sorted(bits, reverse=True)
    assert len(set(bits)) == 3


def test_a_dry_run_names_the_tests(capsys):
    """Recognised before anything is measured."""
    folder = str(EXPORTS / "optimum" / "sentence-bert")
    assert main(["--device", "cpu", "--model", folder, "--enc", "16x2", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "enc16x2" in out
    assert "embedding, 24,384 parameters, fp32" in out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--quant", "int2"), "holds fp32"),
        (("--kv-cache", "int8"), "is the one in"),
        (("--quality",), "is exported"),
        (("--prompt", "4096"), "needs 4096 tokens of context"),
        (("--dim", "batch"), "a name and a size"),
    ],
)
def test_what_cannot_be_asked_of_an_export_is_refused(capsys, flags, words):
    folder = str(EXPORTS / "optimum" / "llama-past")
    assert main(["--device", "cpu", "--model", folder, *flags, "--dry-run"]) == 2
    assert words in capsys.readouterr().err
