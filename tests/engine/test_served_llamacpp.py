"""A real server: llama-cpp-python's own, over a tiny file with a vocabulary of bytes."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

from harness.core.addresses import parse_address
from harness.core.errors import DeviceError, MeasurementError
from harness.engine.served.answers import PIECES
from harness.engine.served.listing import ask_server
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import Settings

gguf = pytest.importorskip("gguf", reason="the extra `llamacpp` is not installed")
pytest.importorskip("llama_cpp", reason="the extra `llamacpp` is not installed")
pytest.importorskip("llama_cpp.server.app", reason="llama-cpp-python[server] is not installed")

WIDTH, LAYERS, HEADS, WORDS, END = 64, 2, 2, 257, 256
START_S = 60.0


def byte_words() -> list[str]:
    """The 256 bytes as GPT-2 writes them: those that are no letters take the next ones."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]


def write_model(path):
    """A Llama of seeded weights over bytes; it writes ASCII, and never the end of a text."""
    chance = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(WORDS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*byte_words(), "<|end|>"])
    writer.add_token_types([1] * END + [3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(END)
    writer.add_bos_token_id(END)
    table = chance.standard_normal((WORDS, WIDTH)).astype(np.float32)
    table[128:] = 0  # a logit of 0 is never the largest
    tensors = {"token_embd": table, "output_norm": np.ones(WIDTH, np.float32)}
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{layer}.{name}"] = np.ones(WIDTH, np.float32)
        shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
        shapes |= dict.fromkeys(("ffn_gate", "ffn_up"), (2 * WIDTH, WIDTH))
        for name, shape in (shapes | {"ffn_down": (WIDTH, 2 * WIDTH)}).items():
            values = chance.standard_normal(shape) * 0.3
            tensors[f"blk.{layer}.{name}"] = values.astype(np.float32)
    for name, values in tensors.items():
        writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@contextmanager
def server(model):
    """Run the server in a process of its own until it lists its model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--n_ctx", "512"]
    process = subprocess.Popen(
        [sys.executable, "-m", "llama_cpp.server", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url, end_s = f"http://127.0.0.1:{port}", time.monotonic() + START_S
        while time.monotonic() < end_s and process.poll() is None:
            try:
                ask_server(parse_address(url))
                break
            except (DeviceError, MeasurementError):
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_a_real_server_is_measured(tmp_path):
    """Prompts of bytes have their length, no prompt is served from its cache, its memory is told.

    It sends no usage in a stream (0.3.36), so that tokens are counted otherwise, and says nothing
    at all there of a prompt that is too long: asked again in one piece, it does.
    """
    model = write_model(tmp_path / "tiny-f32.gguf")
    with server(model) as url:
        settings = Settings(
            prompt=(128, 2000),
            gen=(16,),
            pg=((64, 8),),
            depth=(0,),
            rounds=1,
            min_passes=2,
            warm_seconds=0.2,
            sample_seconds=0.05,
            runtime=(url,),
            given=frozenset(("runtime", "prompt", "gen", "pg", "depth")),
        )
        found = run_plan(
            make_plan(settings, 2),
            results=tmp_path,
            cache=tmp_path / "cache",
            progress=lambda *_: None,
        )
    prefill, too_long, decode, request = found.document.records
    assert (prefill.cell.model, prefill.cell.level) == ("tiny-f32.gguf", "f32")
    reasons = [one.reason for one in (prefill, decode, request)]
    assert (reasons, too_long.status) == ([None] * 3, "failed")
    assert "context length is 512 tokens" in too_long.reason
    assert request.metrics["ttft_ms"].value > 0
    assert prefill.metrics["peak_rss_bytes"].value > 10e6
    options = decode.hardware.options
    assert options["tokens"] == f"by {PIECES}"
    assert options["prompts"] == "counted in answers that were not timed"
