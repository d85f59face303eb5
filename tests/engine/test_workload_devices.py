"""Decoders and encoders on other devices than the CPU: the same numbers, within a stated bound."""

from dataclasses import replace

import numpy as np
import pytest

from harness.devices.device import find_device
from harness.machine.process.worker import Worker
from tests.engine.tiny_decoder import TinyDecoder
from tests.engine.tiny_encoder import TinyEncoder

LONG_S = 300.0  # a cold shader cache takes most of a minute
# Least cosine of the logits of a run. Float32 sums in another order leave seven digits; the int4
# kernels of both devices round activations, in blocks of their own.
LEAST_COSINE = {"fp32": 0.999_999, "int4": 0.999}


@pytest.mark.device("webgpu")
@pytest.mark.parametrize("on_host", [False, True])
@pytest.mark.parametrize("level", LEAST_COSINE)
def test_the_emulated_gpu_gives_the_cpus_logits(level, on_host, tmp_path):
    """Prompts and steps, greedy ones too, with the cache in either memory."""
    tiny = TinyDecoder(tmp_path, level)
    arguments = tiny.open_arguments()
    gpu = replace(find_device("webgpu"), simulate=True).sent()
    cpu, other = (
        decoded(arguments),
        decoded(arguments | {"device": gpu, "on_host": on_host}),
    )
    for expected, found in zip(cpu, other, strict=True):
        norms = np.linalg.norm(expected) * np.linalg.norm(found)
        assert expected @ found / norms > LEAST_COSINE[level]


@pytest.mark.device("webgpu")
@pytest.mark.parametrize("level", LEAST_COSINE)
def test_the_emulated_gpu_gives_the_cpus_embeddings(level, tmp_path):
    """Two texts, of which one has hidden tokens; embeddings have length 1."""
    session = TinyEncoder(tmp_path, level).session_arguments()
    arguments = {name: session[name] for name in ("graph", "geometry", "device")}
    gpu = replace(find_device("webgpu"), simulate=True).sent()
    cpu, other = encoded(arguments), encoded(arguments | {"device": gpu})
    assert (cpu * other).sum(axis=1).min() > LEAST_COSINE[level]


def encoded(arguments):
    """Embeddings [texts, hidden] from a process of its own."""
    with Worker.start("tests.engine.decoding_child") as child:
        return np.array(child.ask("encode", LONG_S, **arguments))


def decoded(arguments):
    """Logits [runs, vocab] from a process of its own."""
    with Worker.start("tests.engine.decoding_child") as child:
        return np.array(child.ask("decode", LONG_S, **arguments))
