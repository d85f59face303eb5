"""Checkpoints whose weights follow from their names and shapes: only names and outputs are stored.

A folder of tests/fixtures/logits or encoders holds `shapes.json` in the place of weights. Every
value follows from the tensor's stored name, so that torch and a test fill the same model;
make_logit_fixtures.py, make_modern_fixtures.py and make_encoder_fixtures.py write such folders.
"""

import json
import shutil
import zlib
from atexit import register
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import ml_dtypes
import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

FIXTURES = Path(__file__).parents[2] / "fixtures" / "logits"
ENCODERS = FIXTURES.with_name("encoders")
SHAPES = "shapes.json"
TYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
# One draw may sharpen attention, stand near a choice of experts or give scores near 0, so that
# rounding grows. These folders have a seed that keeps every level well within its bound.
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
    "bert-cls": 1,
    "distilbert-mean": 6,
    "modernbert-scores": 1,
    "xlmr-scores": 2,
}
# Families whose norms are stored less one, but for those of linear attention.
LESS_ONE = (
    *("gemma", "gemma2", "gemma3_text"),
    *("qwen3_5_text", "qwen3_5_moe_text", "qwen3_next"),
)


# Encoders whose norms stand before a layer's parts, of which trained ones have smaller matrices.
NORMS_BEFORE = ("modernbert", "eurobert", "gemma3_text", "qwen3")
LAST = ("o_proj.weight", "down_proj.weight", "Wo.weight")
# Queries and keys of the delta rule are divided by their length: none near 0.
LONG = ("in_proj_qkv.weight", "in_proj_qkvz.weight")
LONG += ("linear_attn.q_proj.weight", "linear_attn.k_proj.weight")


@dataclass(frozen=True)
class Rule:
    """What the values of a folder's tensors follow from, besides their names.

    Attributes:
        family: `model_type`.
        seed: of the folder.
        damping: what divides the outliers of norms, and the last matrices of a layer's parts.
    """

    family: str
    seed: int = 0
    damping: int = 1

    def values(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """The values of a stored tensor, as spread as make_logit_fixtures.py says."""
        random = np.random.default_rng([zlib.crc32(name.encode()), self.seed])
        drawn = random.standard_normal(shape)
        last, _, end = name.rpartition(".")
        part = last.rpartition(".")[2].lower()
        if end == "weight" and ("norm" in part or part.startswith("ln_")):
            return self._norm(name, drawn)
        if end == "A_log":
            return np.log(1 + 4 * np.abs(drawn))
        if end in ("D", "layer_scalar"):
            return 1 + drawn / 4
        if end in ("bias", "dt_bias", "sinks", "expert_bias", "e_score_correction_bias"):
            return drawn / 4
        drawn /= self.damping if name.endswith(LAST) else 1
        return drawn / shape[-1] ** 0.5 * (8 if name.endswith(LONG) else 1)

    def _norm(self, name: str, drawn: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Near 1, one in 16 four times as large."""
        near = 1 + drawn / 8
        if self.family == "gemma4_text":  # nothing scales its scores: sharp ones hide all else
            return near / (4 if name.endswith("q_norm.weight") else 1)
        near[::16] *= 4 / self.damping
        return near - (self.family in LESS_ONE and "linear_attn" not in name)


def write_weights(folder: Path, name: str, *, is_encoder: bool = False) -> None:
    """Turn each `shapes.json` of a folder called `name` into a `model.safetensors`.

    Types are what config.json says; the tensors of a dense layer are called after its folder too.
    """
    config = json.loads((folder / "config.json").read_text())
    family, stored = config["model_type"], TYPES[config["dtype"]]
    damping = 2 if is_encoder and family in NORMS_BEFORE else 1
    rule = Rule(family, SEEDS.get(name, 0), damping)
    for file in folder.rglob(SHAPES):
        inside, shapes = file.parent.relative_to(folder), json.loads(file.read_text())
        tensors = {
            name: rule.values((inside / name).as_posix(), tuple(shape)).astype(stored)
            for name, shape in shapes.items()
        }
        save_file(tensors, file.with_name("model.safetensors"), metadata={"format": "pt"})
        file.unlink()


def write_shapes(saved: Path, folder: Path) -> None:
    """Write the names and shapes of a folder's `model.safetensors` into another."""
    with safe_open(saved / "model.safetensors", "np") as file:
        names = file.keys()
        shapes = {name: file.get_slice(name).get_shape() for name in names}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SHAPES).write_text(json.dumps(shapes, separators=(",", ":")))


@cache
def folder_of(name: str, fixtures: Path = FIXTURES) -> Path:
    """The folder of a fixture with its weights, which live as long as the tests run."""
    kept = TemporaryDirectory()
    register(kept.cleanup)
    folder = Path(kept.name) / name
    shutil.copytree(fixtures / name, folder)
    write_weights(folder, name, is_encoder=fixtures == ENCODERS)
    return folder


def encoder_folder(name: str) -> Path:
    """The same of an encoder."""
    return folder_of(name, ENCODERS)
