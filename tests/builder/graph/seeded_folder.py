"""Checkpoints whose weights follow from their names and shapes: only names and logits are stored.

A folder of tests/fixtures/logits holds `shapes.json` in the place of weights. Every value follows
from the tensor's stored name, so that torch and a test fill the same model; make_logit_fixtures.py
and make_modern_fixtures.py write such folders.
"""

import json
import shutil
import zlib
from atexit import register
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import ml_dtypes
import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

FIXTURES = Path(__file__).parents[2] / "fixtures" / "logits"
SHAPES = "shapes.json"
TYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
# One draw may sharpen attention, or stand near a choice of experts, so that rounding grows. These
# folders have a seed that keeps every level well within its bound in test_decoder_logits.py.
SEEDS = {
    "exaone4-full": 9,
    "exaone4-windows": 1,
    "gemma2-caps": 2,
    "gemma3-windows": 3,
    "gpt_oss-sinks": 1,
    "lfm2_moe-sigmoids": 1,
    "mistral-window": 1,
    "olmo2-untied": 1,
    "qwen3-tied": 9,
    "qwen3_5-delta": 1,
    "qwen3_moe-normalised": 5,
}
# Families whose norms are stored less one, but for those of linear attention.
LESS_ONE = (
    *("gemma", "gemma2", "gemma3_text"),
    *("qwen3_5_text", "qwen3_5_moe_text", "qwen3_next"),
)


def values(name: str, shape: tuple[int, ...], family: str, seed: int) -> npt.NDArray[np.float64]:
    """The values of a stored tensor, as spread as make_logit_fixtures.py says."""
    random = np.random.default_rng([zlib.crc32(name.encode()), seed])
    drawn = random.standard_normal(shape)
    last, _, end = name.rpartition(".")
    part = last.rpartition(".")[2]
    if end == "weight" and ("norm" in part or part.startswith("ln_")):
        return norm_values(name, drawn, family)
    if end == "A_log":
        return np.log(1 + 4 * np.abs(drawn))
    if end in ("D", "layer_scalar"):
        return 1 + drawn / 4
    if end in ("bias", "dt_bias", "sinks", "expert_bias", "e_score_correction_bias"):
        return drawn / 4
    # Queries and keys of the delta rule are divided by their length: none near 0.
    long = ("in_proj_qkv.weight", "in_proj_qkvz.weight", "linear_attn.q_proj.weight")
    is_long = name.endswith((*long, "linear_attn.k_proj.weight"))
    return drawn / shape[-1] ** 0.5 * (8 if is_long else 1)


def norm_values(name: str, drawn: npt.NDArray[np.float64], family: str) -> npt.NDArray[np.float64]:
    """Near 1, one in 16 four times as large."""
    near = 1 + drawn / 8
    if family == "gemma4_text":  # nothing scales its scores: sharp ones would hide all else
        return near / (4 if name.endswith("q_norm.weight") else 1)
    near[::16] *= 4
    return near - (family in LESS_ONE and "linear_attn" not in name)


def write_weights(folder: Path, shapes: dict[str, list[int]], seed: int) -> None:
    """Write `model.safetensors` into a folder, in the type that its config.json says."""
    config = json.loads((folder / "config.json").read_text())
    family, stored = config["model_type"], TYPES[config["dtype"]]
    tensors = {
        name: values(name, tuple(shape), family, seed).astype(stored)
        for name, shape in shapes.items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@cache
def folder_of(name: str) -> Path:
    """The folder of a fixture with its weights, which live as long as the tests run."""
    kept = TemporaryDirectory()
    register(kept.cleanup)
    folder = Path(kept.name) / name
    shutil.copytree(FIXTURES / name, folder)
    shapes = json.loads((folder / SHAPES).read_text())
    (folder / SHAPES).unlink()
    write_weights(folder, shapes, SEEDS.get(name, 0))
    return folder
