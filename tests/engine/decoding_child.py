"""A worker module that runs a few fixed tokens and gives every run's logits or embeddings."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.builder.graph.geometry import DecoderGeometry, EncoderGeometry
from harness.devices.device import SentDevice, find_device
from harness.devices.session import open_session
from harness.engine.decoder import DecoderSession
from harness.engine.encoder import EncoderSession

FILLED_TOKENS = 9
STEPS = 3


def decode(
    graph, geometry, device: str | SentDevice, threads, batch, capacity_tokens, seed, on_host=False
):
    """Logits [runs, vocab]: a prompt, three steps, a prompt after a seeded cache, greedy steps."""
    chosen = find_device(device)
    if on_host:
        chosen = replace(chosen, row=replace(chosen.row, memory=None))
    opened = open_session(Path(graph), chosen, threads)
    decoder = DecoderSession(opened, DecoderGeometry(**geometry), batch, capacity_tokens)
    ids = np.arange(5, dtype=np.int64).reshape(1, 5)
    logits = [decoder.prefill(ids).copy()]
    logits += [decoder.step(np.array([[token]])).copy() for token in (7, 8, 9)]
    decoder.fill(FILLED_TOKENS, seed)
    logits.append(decoder.prefill(ids).copy())
    decoder.rewind(0)
    decoder.prepare_steps(0, STEPS)
    decoder.next_ids[...] = 7
    for _ in range(STEPS):  # each reads what the one before has chosen
        decoder.greedy_step()
        logits.append(decoder.last_logits.copy())
    return np.concatenate([one.reshape(1, -1) for one in logits]).tolist()


def encode(graph, geometry, device: str | SentDevice):
    """Embeddings [2, hidden] of two texts, the second one shorter."""
    opened = open_session(Path(graph), find_device(device), threads=1)
    encoder = EncoderSession(opened, EncoderGeometry(**geometry))
    ids = np.arange(16, dtype=np.int64).reshape(2, 8)
    return encoder.encode(ids, np.array([[1] * 8, [1] * 5 + [0] * 3])).tolist()


COMMANDS = {"decode": decode, "encode": encode}
