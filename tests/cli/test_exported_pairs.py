"""Exported models in the commands that look closer: turns of two sides, and an audit."""

import json

import pytest

from harness.cli.main import main
from tests.exports import EXPORTS


@pytest.mark.parametrize(
    ("name", "flags", "metric"),
    [
        ("genai/llama-int4", ("--prompt", "8", "--threads", "1"), "prefill_tok_s"),
        pytest.param(
            *("genai/llama-int4", ("--gen", "4", "--b", "--runtime genai"), "decode_step_tok_s"),
            marks=pytest.mark.slow,
        ),
        pytest.param(*("optimum/vit", ("--img", "1"), "images_s"), marks=pytest.mark.slow),
    ],
)
def test_two_sides_of_an_export_take_turns(tmp_path, capsys, name, flags, metric):
    """The file is opened as it lies; its test has a line, whichever kind it is."""
    if "--runtime genai" in flags:
        pytest.importorskip("onnxruntime_genai")
    words = ["--model", str(EXPORTS / name), *flags, "--pairs", "2", "--seconds", "0"]
    folders = ["--results", str(tmp_path / "ab"), "--cache", str(tmp_path / "cache")]
    code = main(["ab", *words, *folders, "--format", "json"])
    rows = {row["metric"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert code == 0
    assert rows[metric]["base_count"] == 2
    assert rows[metric]["base"] > 0


def test_an_export_is_audited(tmp_path, capsys):
    """Its timed pass chooses what a plain run chooses, and as many tokens as are counted."""
    words = ["--model", str(EXPORTS / "genai/llama-int4"), "--gen", "4", "--threads", "1"]
    main(["audit", *words, "--turns", "3", "--format", "json", "--cache", str(tmp_path)])
    found = {row["check"]: row["state"] for row in json.loads(capsys.readouterr().out)}
    assert (found["output"], found["tokens"]) == ("ok", "ok")
