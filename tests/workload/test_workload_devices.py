"""The decoder on other devices than the CPU: the same numbers, within a stated bound."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_decoder import TinyDecoder

from harness.devices.device import find_device
from harness.measure.worker import Worker

LONG_S = 300.0  # a cold shader cache takes most of a minute
# Sums of 96 products in another order: float32 leaves 1e-6 of logits around 1; int4 kernels that
# multiply in float16 leave more.
LARGEST_DIFFERENCE = {"fp32": 1e-4, "int4": 3e-2}


@pytest.mark.device("webgpu")
@pytest.mark.parametrize("level", LARGEST_DIFFERENCE)
def test_the_emulated_gpu_gives_the_cpus_logits(level, tmp_path):
    """A prompt from an empty cache, three steps, then a prompt from a filled cache."""
    tiny = TinyDecoder(tmp_path, level)
    gpu = replace(find_device("webgpu"), simulate=True).to_json()
    logits = []
    for device in (find_device("cpu").to_json(), gpu):
        with Worker.start("decoding_child") as child:
            arguments = tiny.open_arguments() | {"device": device}
            logits.append(np.array(child.ask("decode", LONG_S, **arguments)))
    assert np.abs(logits[0]).max() > 0.1  # there is something to compare
    assert np.abs(logits[0] - logits[1]).max() < LARGEST_DIFFERENCE[level]
