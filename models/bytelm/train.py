"""Train a byte-level Llama on the Python standard library and save it in Hugging Face form.

Development-time only: the harness never imports this file.  Needs torch, safetensors and numpy.

    python models/bytelm/train.py --minutes 50 --out models/bytelm

Data: every ``*.py`` file of the running interpreter's standard library (PSF licence) except the
test packages, the generated codec tables (``encodings``), installed packages and the files named
in ``HELD_OUT``, which are never seen in training.  Every file is preceded by one zero byte.

Held-out protocol: weights rounded to bfloat16, arithmetic in float32.  Each held-out file is
preceded by one zero byte (context only) and cut into windows of at most ``CONTEXT`` input bytes
that advance by half a window.  Every byte of the file is scored once: in the first window all of
it, later only the second half, so that a byte has at least half a window of context wherever the
file has that much before it.  Bits per byte = summed -log2 p over all files / summed bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import sysconfig
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

HELD_OUT = (
    "argparse.py",
    "configparser.py",
    "csv.py",
    "fractions.py",
    "heapq.py",
    "json/decoder.py",
    "logging/handlers.py",
    "queue.py",
    "shlex.py",
    "statistics.py",
    "tempfile.py",
    "textwrap.py",
)
LEFT_OUT_PARTS = {"site-packages", "test", "tests", "idle_test", "encodings", "__pycache__"}
SEPARATOR = 0  # the byte before every file; also the model's bos and eos id
CONTEXT = 512  # bytes per training window
STEP_BYTES = 2048  # bytes per optimizer step
SEED = 20260101


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; names follow the Hugging Face Llama configuration."""

    hidden_size: int = 192
    num_hidden_layers: int = 5
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 32
    intermediate_size: int = 512
    vocab_size: int = 256
    max_position_embeddings: int = CONTEXT
    rms_norm_eps: float = 1e-5
    rope_theta: float = 1000.0
    tie_word_embeddings: bool = False


def library_files(root: Path) -> list[Path]:
    """Python sources under ``root`` used at all (training and held-out), sorted by path."""
    found = (p for p in root.rglob("*.py") if not LEFT_OUT_PARTS & set(p.relative_to(root).parts))
    return sorted(found, key=lambda p: p.relative_to(root).as_posix())


def load_corpus(root: Path) -> Tensor:
    """Training bytes (uint8, one separator before each file) without the held-out files."""
    chunks = []
    for path in library_files(root):
        if path.relative_to(root).as_posix() not in HELD_OUT:
            chunks.append(bytes([SEPARATOR]) + path.read_bytes())
    return torch.from_numpy(np.frombuffer(b"".join(chunks), dtype=np.uint8).copy())


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a learned gain, as in Hugging Face Llama."""

    def __init__(self, size: int, eps: float) -> None:
        """Gain of ``size`` ones; ``eps`` is added to the mean square."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis; same shape out."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def causal_attention(q: Tensor, k: Tensor, v: Tensor, block: int = 128) -> Tensor:
    """Grouped-query attention in blocks of query rows; the keys after a block are skipped.

    q is (batch, heads, length, head_dim), k and v have the key-value heads.  On a CPU with AVX2
    this is faster than scaled_dot_product_attention at these sizes (forward and backward).
    """
    batch, heads, length, head = q.shape
    stacks = batch * k.shape[1]
    group = heads // k.shape[1]
    q = (q * head**-0.5).reshape(stacks, group, length, head)
    k, v = k.reshape(stacks, length, head).mT, v.reshape(stacks, length, head)
    outputs = []
    for start in range(0, length, block):
        end = min(start + block, length)
        rows = end - start
        scores = torch.bmm(q[:, :, start:end].reshape(stacks, group * rows, head), k[..., :end])
        future = torch.full((rows, rows), -1e9).triu(1)
        scores.view(stacks, group, rows, end)[..., start:].add_(future)
        mixed = torch.bmm(scores.softmax(-1), v[:, :end])
        outputs.append(mixed.view(stacks, group, rows, head))
    return torch.cat(outputs, dim=2).view(batch, heads, length, head)


class Attention(nn.Module):
    """Causal grouped-query attention with rotary positions (half-split layout)."""

    def __init__(self, shape: Shape) -> None:
        """Four projections without bias, sized by ``shape``."""
        super().__init__()
        width, head = shape.hidden_size, shape.head_dim
        self.shape = shape
        self.q_proj = nn.Linear(width, shape.num_attention_heads * head, bias=False)
        self.k_proj = nn.Linear(width, shape.num_key_value_heads * head, bias=False)
        self.v_proj = nn.Linear(width, shape.num_key_value_heads * head, bias=False)
        self.o_proj = nn.Linear(shape.num_attention_heads * head, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Mix (batch, length, hidden); cos and sin are (length, head_dim / 2)."""
        batch, length, _ = x.shape
        head = self.shape.head_dim

        def heads(y: Tensor) -> Tensor:
            return y.view(batch, length, -1, head).transpose(1, 2)

        def rotate(y: Tensor) -> Tensor:
            low, high = y.chunk(2, dim=-1)
            return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1)

        q, k = rotate(heads(self.q_proj(x))), rotate(heads(self.k_proj(x)))
        v = heads(self.v_proj(x))
        y = causal_attention(q, k, v)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    """SwiGLU feed-forward block."""

    def __init__(self, shape: Shape) -> None:
        """Three projections without bias, sized by ``shape``."""
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to the last axis; same shape out."""
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, shape: Shape) -> None:
        """Attention and feed-forward block, each behind a norm."""
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.mlp = MLP(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Add both blocks to the residual stream (batch, length, hidden)."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class ByteLlama(nn.Module):
    """A Llama over bytes; ``state_dict`` keys are the Hugging Face ones without ``model.``."""

    def __init__(self, shape: Shape) -> None:
        """Embedding, layers, head and the rotary tables for all positions."""
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.norm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.lm_head = nn.Linear(shape.hidden_size, shape.vocab_size, bias=False)
        half = shape.head_dim // 2
        rate = shape.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angle = torch.arange(shape.max_position_embeddings).float()[:, None] * rate
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """Scaled uniform weights; blocks and head start at zero output."""
        for name, weight in self.named_parameters():
            if weight.ndim != 2:
                continue
            if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                nn.init.zeros_(weight)
            elif name.startswith("embed"):
                nn.init.normal_(weight, std=0.5)
            else:
                bound = (3 / weight.shape[1]) ** 0.5 * 0.7
                nn.init.uniform_(weight, -bound, bound)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (batch, length, 256) for byte ids (batch, length)."""
        x = self.embed_tokens(ids)
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.lm_head(self.norm(x))


def orthogonalise(update: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz: a stack of matrices (n, rows, columns) with singular values near 1."""
    tall = update.shape[-2] > update.shape[-1]
    x = update.mT if tall else update
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(
            x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445
        )
    return x.mT if tall else x


class Muon:
    """Orthogonalised Nesterov momentum for matrices of equal shape, updated as one stack.

    Each row of the update is scaled by its running root mean square (as in NorMuon) and the
    whole is brought back to the norm it had.
    """

    def __init__(self, weights: list[nn.Parameter], decay: float) -> None:
        """Zero state; ``decay`` is the weight decay per unit of learning rate."""
        self.weights, self.decay = weights, decay
        self.momentum = torch.zeros(len(weights), *weights[0].shape)
        self.second = torch.zeros(len(weights), weights[0].shape[0], 1)
        self.scale = max(1.0, weights[0].shape[0] / weights[0].shape[1]) ** 0.5

    @torch.no_grad()
    def step(self, rate: float, beta: float) -> None:
        """One update; ``rate`` is the learning rate, ``beta`` the momentum."""
        grad = torch.stack([w.grad for w in self.weights])
        self.momentum.lerp_(grad, 1 - beta)
        update = orthogonalise(grad.lerp_(self.momentum, beta))
        norm = update.norm(dim=(-2, -1), keepdim=True)
        self.second.lerp_(update.square().mean(-1, keepdim=True), 0.05)
        update = update * torch.rsqrt(self.second + 1e-10)
        update *= norm / (update.norm(dim=(-2, -1), keepdim=True) + 1e-10)
        for weight, change in zip(self.weights, update, strict=True):
            weight.mul_(1 - rate * self.decay).add_(change, alpha=-rate * self.scale)


@dataclass(frozen=True)
class Plan:
    """Hyperparameters; the schedule follows the elapsed share of ``minutes`` (wall time)."""

    minutes: float
    muon_rate: float = 0.03
    adam_rate: float = 0.008
    decay: float = 0.05  # weight decay of the matrices, per unit of learning rate
    decay_from: float = 0.3  # share of the time after which the rates fall linearly to 0
    long_from: float = 0.65  # share of the time after which windows have CONTEXT bytes
    short: int = 256  # bytes per window before that

    def factor(self, share: float, step: int) -> float:
        """Learning-rate factor at an elapsed share (0 to 1): warm-up, flat, linear to 0."""
        return min(1.0, (step + 1) / 20, max(0.0, 1 - share) / (1 - self.decay_from))


class Sampler:
    """Shuffled windows of the corpus; every pass is cut at a new offset."""

    def __init__(self, corpus: Tensor, seed: int) -> None:
        """Start before the first pass over ``corpus`` (uint8)."""
        self.corpus, self.rng = corpus, np.random.default_rng(seed)
        self.length = 0
        self.order: list[int] = []

    def batch(self, length: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets (STEP_BYTES // length, length) for the next step."""
        count = STEP_BYTES // length
        if self.length != length or len(self.order) < count:
            first = int(self.rng.integers(length))
            starts = np.arange(first, len(self.corpus) - length - 1, length)
            self.length, self.order = length, self.rng.permutation(starts).tolist()
        starts, self.order = self.order[:count], self.order[count:]
        rows = torch.stack([self.corpus[s : s + length + 1] for s in starts]).long()
        return rows[:, :-1], rows[:, 1:]


class Trainer:
    """Model, optimizers and progress of one run; can be saved and resumed."""

    def __init__(self, shape: Shape, plan: Plan) -> None:
        """Fresh model and optimizer state: Muon for layer matrices, AdamW for the rest."""
        self.plan, self.model = plan, ByteLlama(shape)
        stacks: dict[tuple[int, ...], list[nn.Parameter]] = {}
        rest = []
        for name, weight in self.model.named_parameters():
            if name.startswith("layers") and weight.ndim == 2:
                stacks.setdefault(tuple(weight.shape), []).append(weight)
            else:
                rest.append(weight)
        self.muons = [Muon(weights, plan.decay) for weights in stacks.values()]
        self.adam = torch.optim.AdamW(rest, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.0)
        self.step_count, self.bytes_seen, self.seconds = 0, 0, 0.0

    def step(self, inputs: Tensor, targets: Tensor) -> float:
        """One optimizer step; returns the training loss in bits per byte."""
        factor = self.plan.factor(self.seconds / 60 / self.plan.minutes, self.step_count)
        loss = nn.functional.cross_entropy(self.model(inputs).flatten(0, 1), targets.flatten())
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.adam.param_groups:
            group["lr"] = self.plan.adam_rate * factor
        self.adam.step()
        beta = 0.85 + 0.1 * min(1.0, self.step_count / 300)
        for muon in self.muons:
            muon.step(self.plan.muon_rate * factor, beta)
        self.step_count += 1
        self.bytes_seen += inputs.numel()
        return loss.item() / math.log(2)

    def save(self, path: Path) -> None:
        """Write everything needed to resume (except the order of the windows)."""
        state = {
            "model": self.model.state_dict(),
            "adam": self.adam.state_dict(),
            "muons": [(muon.momentum, muon.second) for muon in self.muons],
            "progress": (self.step_count, self.bytes_seen, self.seconds),
        }
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> None:
        """Continue from a file written by ``save``."""
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        for muon, (momentum, second) in zip(self.muons, state["muons"], strict=True):
            muon.momentum, muon.second = momentum, second
        self.step_count, self.bytes_seen, self.seconds = state["progress"]


@torch.no_grad()
def file_bits(model: ByteLlama, data: bytes, context: int = CONTEXT) -> float:
    """Summed -log2 p of every byte of one file under the held-out protocol (module docstring)."""
    ids = torch.tensor([SEPARATOR, *data])
    total, scored = 0.0, 0
    for start in range(0, len(data), context // 2):
        end = min(start + context, len(data))
        logits = model(ids[None, start:end])[0, scored - start :]
        targets = ids[scored + 1 : end + 1]
        total += nn.functional.cross_entropy(logits, targets, reduction="sum").item() / math.log(2)
        scored = end
        if end == len(data):
            break
    return total


def probe(model: ByteLlama, root: Path, context: int, size: int = 5000) -> float:
    """Bits per byte of the first ``size`` bytes of every held-out file, for the log only."""
    texts = [(root / name).read_bytes()[:size] for name in HELD_OUT]
    return sum(file_bits(model, text, context) for text in texts) / sum(map(len, texts))


def train(trainer: Trainer, root: Path, checkpoint: Path | None) -> None:
    """Run the plan to its end; reports about twice a minute, probes and saves every 5 minutes."""
    plan, sampler = trainer.plan, Sampler(load_corpus(root), SEED + trainer.step_count)
    begun = time.monotonic() - trainer.seconds
    recent, reported, probed = [], trainer.seconds, trainer.seconds
    while trainer.seconds < plan.minutes * 60:
        share = trainer.seconds / 60 / plan.minutes
        length = CONTEXT if share >= plan.long_from else plan.short
        recent.append(trainer.step(*sampler.batch(length)))
        if trainer.seconds - reported >= 30:
            print(
                f"{trainer.seconds:.0f} s, step {trainer.step_count}, "
                f"{trainer.bytes_seen / 1e6:.2f} MB, loss {np.mean(recent):.4f}",
                flush=True,
            )
            recent, reported = [], trainer.seconds
        if trainer.seconds - probed >= 300:
            score = probe(trainer.model, root, length)
            print(f"held-out, first 5000 bytes of each: {score:.4f} bits per byte", flush=True)
            probed = trainer.seconds
            if checkpoint:
                trainer.save(checkpoint)
        trainer.seconds = time.monotonic() - begun


def write_folder(trainer: Trainer, shape: Shape, out: Path) -> None:
    """Write config.json and model.safetensors (bfloat16) and round the model itself likewise."""
    out.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, weight in trainer.model.state_dict().items():
        rounded = weight.to(torch.bfloat16)
        weight.copy_(rounded)
        tensors[name if name.startswith("lm_head") else f"model.{name}"] = rounded.contiguous()
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "bos_token_id": SEPARATOR,
        "eos_token_id": SEPARATOR,
        "initializer_range": 0.02,
        "rope_scaling": None,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        **asdict(shape),
    }
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def held_out_sample(root: Path, size: int = 16384) -> bytes:
    """The first ``size`` bytes of every held-out file, cut after a whole line, joined."""
    heads = ((root / name).read_bytes()[:size] for name in HELD_OUT)
    return b"".join(head[: head.rindex(b"\n") + 1] for head in heads)


def write_metrics(trainer: Trainer, root: Path, out: Path) -> None:
    """Measure the rounded model and write metrics.json and heldout.txt."""
    texts = {name: (root / name).read_bytes() for name in HELD_OUT}
    bits = {name: file_bits(trainer.model, text) for name, text in texts.items()}
    sample = held_out_sample(root)
    metrics = {
        "bits_per_byte": sum(bits.values()) / sum(map(len, texts.values())),
        "parameters": sum(weight.numel() for weight in trainer.model.parameters()),
        "corpus_bytes": len(load_corpus(root)),
        "bytes_seen": trainer.bytes_seen,
        "steps": trainer.step_count,
        "seconds_trained": round(trainer.seconds, 1),
        "plan": asdict(trainer.plan),
        "held_out": {
            name: {
                "bytes": len(text),
                "sha256": hashlib.sha256(text).hexdigest(),
                "bits_per_byte": bits[name] / len(text),
            }
            for name, text in texts.items()
        },
        "heldout_txt": {
            "bytes": len(sample),
            "sha256": hashlib.sha256(sample).hexdigest(),
            "bits_per_byte": file_bits(trainer.model, sample) / len(sample),
        },
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    (out / "heldout.txt").write_bytes(sample)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(f"held-out: {metrics['bits_per_byte']:.4f} bits per byte")


def main() -> None:
    """Command line: train (or resume) for the given wall time and write the folder."""
    parser = argparse.ArgumentParser(description="Train a byte-level Llama on the stdlib.")
    parser.add_argument("--minutes", type=float, default=50.0, help="training wall time")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--checkpoint", type=Path, help="file to save to and resume from")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    root = Path(sysconfig.get_path("stdlib"))
    shape = Shape()
    trainer = Trainer(shape, Plan(minutes=args.minutes))
    if args.checkpoint and args.checkpoint.exists():
        trainer.load(args.checkpoint)
    train(trainer, root, args.checkpoint)
    write_folder(trainer, shape, args.out)
    write_metrics(trainer, root, args.out)


if __name__ == "__main__":
    main()
