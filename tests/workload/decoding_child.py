"""A worker module that decodes a few fixed tokens and gives every run's logits."""

from pathlib import Path

import numpy as np

from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.graph.geometry import DecoderGeometry
from harness.workload.decoder import DecoderSession

FILLED_TOKENS = 9


def decode(graph, geometry, device, threads, batch, capacity_tokens, seed):
    """Logits [runs, vocab] of a prompt, three steps, and a prompt after a seeded cache."""
    opened = open_session(Path(graph), find_device(device), threads)
    decoder = DecoderSession(opened, DecoderGeometry(**geometry), batch, capacity_tokens)
    ids = np.arange(5, dtype=np.int64).reshape(1, 5)
    logits = [decoder.prefill(ids).copy()]
    logits += [decoder.step(np.array([[token]])).copy() for token in (7, 8, 9)]
    decoder.fill(FILLED_TOKENS, seed)
    logits.append(decoder.prefill(ids).copy())
    return np.concatenate(logits).reshape(len(logits), -1).tolist()


COMMANDS = {"decode": decode}
