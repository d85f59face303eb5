"""`bench estimate` by engine: runtimes, contexts, formats, and what stands behind an answer."""

import json

import pytest

from harness.api import estimate
from harness.cli.main import main

X_ELITE = ("--on", "snapdragon-x-elite")


def run(capsys, *words):
    """Exit code, and both streams in one line each."""
    code = main(["estimate", *words])
    told = capsys.readouterr()
    return code, " ".join(told.out.split()), " ".join(told.err.split())


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([*X_ELITE, "--context", "64"], "the context of 64 tokens is below the prompt of 128"),
        ([*X_ELITE, "--depth", "5000"], "4096 tokens, the usual one, is below the depth of 5000"),
        ([*X_ELITE, "--context", "0"], "--context 0 is not positive"),
        (["--on", "rtx-4090", "--context", "4096"], "the cache of gpu of rtx-4090 grows"),
        (["--on", "rtx-4090", "--runtime-of", "mlx"], "gpu of rtx-4090 has no such runtime"),
        (["--on", "rtx-4090", "--precision", "w4"], "formats are of NPUs"),
        ([*X_ELITE, "--precision", "int8"], "not one of a level with 4 bits"),
    ],
)
def test_what_an_engine_does_not_take_is_refused(words, problem, capsys):
    code, _, err = run(capsys, "llama-3.2-1b", *words)
    assert (code, problem in err) == (2, True)


def test_a_context_is_that_of_the_static_graphs_among_several(capsys):
    words = ("--on", "snapdragon-x-elite,rtx-4090", "--context", "8192", "--format", "json")
    assert main(["estimate", "llama-3.2-1b", *words]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["context_tokens"] for row in rows] == [8192, None]
    assert [row["runtime"] for row in rows] == ["genie", "llama.cpp"]


def step(context=0, depth=0):
    """The range of a step of 8 billion on an NPU."""
    asked = {"device": "snapdragon-x-elite", "context": context, "depth": depth}
    return estimate("llama-3-8b", "int4", **asked).speeds.step_s


def test_a_static_graph_reads_its_whole_context_at_any_depth():
    """128 KiB a position: 15,360 positions more are 2.0 GB beside 4.1 GB of weights."""
    assert step(context=16_384).low > 1.2 * step(context=1024).low
    assert step(depth=4000) == step()


def test_float_activations_are_slower_on_one_chip():
    fast, slow = (
        estimate("llama-3.2-1b", "int4", device="snapdragon-8-elite", precision=word)
        for word in ("w4a16", "w4")
    )
    assert slow.speeds.decode_tok_s.high < fast.speeds.decode_tok_s.high / 1.5


def test_a_named_runtime_is_narrower_where_several_are_run():
    def width(runtime):
        ends = estimate("qwen3-4b", "int4", device="apple-m4", runtime_of=runtime).speeds.step_s
        return ends.high / ends.low

    assert width("mlx") < width(None)
    assert width("llama.cpp") < width(None)


def test_nothing_reads_more_than_its_memory_gives_at_the_centre():
    """MLC and Cactus were published once or twice, on other devices."""
    for runtime in ("mlc", "cactus"):
        result = estimate("llama-3-8b", "int4", device="apple-m1", runtime_of=runtime)
        ends = result.speeds.decode_tok_s
        rate = (ends.low * ends.high) ** 0.5 * result.sizes.weights_bytes
        assert rate < result.case.device.bandwidth_bytes_per_s


def test_an_explained_answer_shows_published_rows(capsys):
    code, out, _ = run(capsys, "llama-3-8b", *X_ELITE, "--explain")
    assert code == 0
    assert "Published decode rates nearest to llama-3-8b, snapdragon-x-elite:" in out
    assert "time of a request" in out
    assert main(["estimate", "llama-3-8b", *X_ELITE, "--explain", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    near = row["published"][0]
    assert (near["device"], near["model"]) == ("snapdragon-x-elite", "llama-3-8b")
    assert near["inside"] is (near["decode_tok_s_low"] < 7.41 < near["decode_tok_s_high"])
    assert row["terms"]["decode step, slow"]


def test_every_answer_says_what_its_range_is_worth(capsys):
    assert main(["estimate", "llama-3-8b", *X_ELITE, "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["coverage"] == 0.8
    assert row["published_device_rows"] == 9
    assert 0 < row["published_class_inside"] <= row["published_class_rows"]


def test_this_machine_has_no_other_runtime(capsys):
    code, _, err = run(capsys, "smollm2-135m", "--on", "cpu", "--runtime-of", "mlx")
    assert (code, "--on cpu runs ONNX Runtime here" in err) == (2, True)
