"""Writes what torch says of two byte models, for the quality paths to be verified against.

Development-time only: needs torch and transformers (made with 2.13.0 and 5.23.0).

    python tests/runner/quality/make_bytelm_scores.py

The reference is models/bytelm, the candidate the same model with every weight rounded to a multiple
of 1 / ROUNDING: a change that any program can repeat exactly. Both run in float64, the whole chunk
at once and without a cache, so nothing of the harness and nothing of ONNX Runtime takes part.

Chunk i of CHUNKS holds CHUNK_TOKENS + 1 bytes of heldout.txt from floor(i · (n - 1 - CHUNK_TOKENS)
/ (CHUNKS - 1)) on, its first byte replaced by the zero byte that stands before every file in
training. Written per predicted byte: the divergence of the candidate from the reference, and the
negative log-likelihood of the true byte by either, in nats.
"""

import json
from pathlib import Path

import torch
import transformers
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "bytelm"
OUT = ROOT / "tests" / "fixtures" / "bytelm_scores.json"
CHUNK_TOKENS, CHUNKS = 64, 20
ROUNDING = 16


def load() -> transformers.LlamaForCausalLM:
    """The shipped model in float64."""
    model = transformers.LlamaForCausalLM.from_pretrained(
        MODEL, dtype=torch.float32, attn_implementation="eager"
    )
    return model.double().eval()


def chunks(data: bytes) -> list[list[int]]:
    """The chunks of the module's docstring."""
    last = len(data) - 1 - CHUNK_TOKENS
    starts = [i * last // (CHUNKS - 1) for i in range(CHUNKS)]
    return [[0, *data[start + 1 : start + CHUNK_TOKENS + 1]] for start in starts]


@torch.no_grad()
def scores() -> dict:
    """One flat list per quantity, chunk after chunk."""
    reference, candidate = load(), load()
    for weight in candidate.parameters():
        weight.copy_(torch.round(weight * ROUNDING) / ROUNDING)
    lists: dict[str, list[float]] = {"kl": [], "reference_nll": [], "candidate_nll": []}
    same_top = 0
    for chunk in chunks((MODEL / "heldout.txt").read_bytes()):
        ids, targets = torch.tensor([chunk[:-1]]), torch.tensor(chunk[1:])
        p = reference(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
        q = candidate(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
        kl = functional.kl_div(q, p, reduction="none", log_target=True).sum(-1)
        lists["kl"] += kl.tolist()
        lists["reference_nll"] += functional.nll_loss(p, targets, reduction="none").tolist()
        lists["candidate_nll"] += functional.nll_loss(q, targets, reduction="none").tolist()
        same_top += int((p.argmax(-1) == q.argmax(-1)).sum())
    rounded = {name: [round(value, 7) for value in values] for name, values in lists.items()}
    return rounded | {"same_top": same_top}


def main() -> None:
    """Write the fixture."""
    fixture = {
        "generator": "tests/runner/quality/make_bytelm_scores.py",
        "chunk_tokens": CHUNK_TOKENS,
        "chunks": CHUNKS,
        "rounding": ROUNDING,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        **scores(),
    }
    OUT.write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
