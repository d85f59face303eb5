"""Damaged copies of real exports end in a record or in words, never in a stack."""

import random
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.devices.operators import known_operators
from harness.store import exported_worker
from tests.exports import EXPORTS

KNOWN = known_operators()
COPIES = 60


def damaged(content: bytes, seed: int) -> bytes:
    """A copy with up to eight flipped bits, or cut short."""
    chance = random.Random(seed)
    if seed % 4 == 0:
        return content[: chance.randrange(len(content))]
    bits = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        # half of the damage near the beginning, where nodes and names are
        end = len(bits) if chance.random() < 0.5 else min(len(bits), 4000)
        bits[chance.randrange(end)] ^= 1 << chance.randrange(8)
    return bytes(bits)


@pytest.mark.parametrize("export", ["genai/qwen2-int4", "optimum/gpt2-plain", "optimum/vit"])
def test_damage_is_a_record_or_a_refusal(tmp_path: Path, export: str, monkeypatch):
    """COPIES seeded copies of a graph file, its data as it was."""
    monkeypatch.setattr("harness.devices.operators.known_operators", lambda: KNOWN)
    for file in (EXPORTS / export).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = (tmp_path / "model.onnx").read_bytes()
    outcomes = set()
    for seed in range(COPIES):
        (tmp_path / "model.onnx").write_bytes(damaged(whole, seed))
        outcomes.add(outcome(tmp_path))
    assert outcomes == {"a record", "words"}


def outcome(folder: Path) -> str:
    """What reading a model ends in; another exception than ours fails the test."""
    try:
        exported_worker.recognise(str(folder), str(folder / "cache"), None)
    except HarnessError as error:
        return "words" if error.problem and error.fix else "silence"
    return "a record"
