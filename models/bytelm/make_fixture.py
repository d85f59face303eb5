"""Greedy continuations of the saved model by transformers, as a fixture for the test suite.

Development-time only: the harness never imports this file.  Needs torch and transformers.

    python models/bytelm/make_fixture.py

The bfloat16 weights are loaded to float32 and every step runs the whole sequence through
LlamaForCausalLM with eager attention (no key-value cache).  A case is kept only if the logits of
the best and the second-best byte differ by more than ``SMALLEST_GAP`` at every step, so that
another float32 implementation must choose the same bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import transformers

SMALLEST_GAP = 1e-3  # logit units
PROMPTS = (  # prompt text and how many bytes to generate
    ("def __init__(self, ", 128),
    ("import os\n", 96),
    ("    return ", 64),
    ("class ", 128),
    ('    """Return the ', 96),
    ("    for i in range(len(", 64),
    ("        if not isinstance(", 96),
    ("        raise ValueError(", 96),
)


@torch.no_grad()
def greedy(model: transformers.LlamaForCausalLM, prompt: bytes, count: int) -> dict:
    """One fixture case: ``count`` greedy bytes after ``prompt`` and the smallest top-2 gap."""
    ids = list(prompt)
    smallest = float("inf")
    for _ in range(count):
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        best, second = torch.topk(logits, 2).values.tolist()
        smallest = min(smallest, best - second)
        ids.append(int(logits.argmax()))
    made = bytes(ids[len(prompt) :])
    return {
        "prompt_bytes": list(prompt),
        "generated_bytes": list(made),
        "text": made.decode("utf-8", errors="replace"),
        "smallest_gap": round(smallest, 6),
    }


def main() -> None:
    """Command line: decode all prompts and write the cases with a clear choice at every step."""
    parser = argparse.ArgumentParser(description="Write the greedy-decoding fixture.")
    parser.add_argument("--model", type=Path, default=Path("models/bytelm"))
    parser.add_argument("--out", type=Path, default=Path("tests/fixtures/bytelm_greedy.json"))
    args = parser.parse_args()
    model = transformers.LlamaForCausalLM.from_pretrained(
        args.model, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    cases = [greedy(model, text.encode(), count) for text, count in PROMPTS]
    for case in cases:
        print(case["smallest_gap"], repr(bytes(case["prompt_bytes"])), repr(case["text"]))
    fixture = {
        "model": "bytelm",
        "cases": [case for case in cases if case["smallest_gap"] > SMALLEST_GAP],
        "generator": "models/bytelm/make_fixture.py",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(fixture, indent=1) + "\n")


if __name__ == "__main__":
    main()
