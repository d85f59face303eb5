"""Checkpoints whose weights follow from their names and shapes: only names and logits are stored.

A folder of tests/fixtures/logits holds `shapes.json` in the place of weights. Every value follows
from the tensor's stored name, so that torch and a test fill the same model; make_modern_fixtures.py
writes such folders.
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
# Families whose norms are stored less one, but for those of linear attention.
LESS_ONE = ("qwen3_5_text", "qwen3_5_moe_text", "qwen3_next")


def values(name: str, shape: tuple[int, ...], family: str) -> npt.NDArray[np.generic]:
    """The values of a stored tensor, bfloat16: as spread as make_logit_fixtures.py says."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    drawn = random.standard_normal(shape)
    last, _, end = name.rpartition(".")
    if end == "weight" and "norm" in last.rpartition(".")[2]:
        drawn = 1 + drawn / 8
        drawn[::16] *= 4
        drawn -= family in LESS_ONE and "linear_attn" not in name
    elif end == "A_log":
        drawn = np.log(1 + 4 * np.abs(drawn))
    elif end == "D":
        drawn = 1 + drawn / 4
    elif end in ("bias", "dt_bias", "sinks", "expert_bias", "e_score_correction_bias"):
        drawn = drawn / 4
    else:
        drawn = drawn / shape[-1] ** 0.5
    # Queries and keys of the delta rule are divided by their length: none near 0.
    long = ("in_proj_qkv.weight", "in_proj_qkvz.weight", "linear_attn.q_proj.weight")
    drawn = drawn * (8 if name.endswith((*long, "linear_attn.k_proj.weight")) else 1)
    return drawn.astype(ml_dtypes.bfloat16)


def write_weights(folder: Path, shapes: dict[str, list[int]], family: str) -> None:
    """Write `model.safetensors` into a folder."""
    tensors = {name: values(name, tuple(shape), family) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@cache
def folder_of(name: str) -> Path:
    """The folder of a fixture with its weights, which live as long as the tests run."""
    stored = FIXTURES / name
    if not (stored / SHAPES).is_file():
        return stored
    kept = TemporaryDirectory()
    register(kept.cleanup)
    folder = Path(kept.name) / name
    shutil.copytree(stored, folder)
    shapes = json.loads((folder / SHAPES).read_text())
    (folder / SHAPES).unlink()
    family = json.loads((folder / "config.json").read_text())["model_type"]
    write_weights(folder, shapes, family)
    return folder
