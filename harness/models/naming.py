"""What a model is called: the part of its path that names it."""

import os
import re
from pathlib import Path

NAMELESS = "model"  # where no part of the path names one
# Words of paths that name a layout, a part of a model, a build of it, or a revision.
_WORDS = frozenset(
    (
        *("onnx", "ort", "hf", "hub", "snapshots", "blobs", "refs", "model", "models", "weights"),
        *("export", "exports", "exported", "out", "output", "outputs", "dist", "build", "builds"),
        *("encoder", "decoder", "embedding", "embeddings", "embed", "tokens", "text", "vision"),
        *("audio", "speech", "with", "without", "past", "kv", "cache", "merged", "and", "for"),
        *("cpu", "cuda", "gpu", "npu", "dml", "directml", "webgpu", "web", "mobile", "desktop"),
        *("qnn", "openvino", "coreml", "trt", "tensorrt", "vitisai", "generic", "arm64", "x64"),
        *("avx2", "avx512", "vnni", "qint8", "quint8", "quantized", "quant", "uint8", "uint4"),
        *("int2", "int4", "int8", "int16", "fp4", "fp8", "fp16", "fp32", "bf16", "float16"),
        *("float32", "q4", "q4f16", "q8", "nf4", "bnb4", "rtn", "awq", "gptq", "kquant", "block"),
        *("acc", "level", "dynamic", "static", "optimized", "opt", "o1", "o2", "o3", "o4"),
        *("main", "master", "latest", "best", "final", "release", "checkpoint", "version", "rev"),
        *("pr", "pytorch", "safetensors", "transformers", "unet", "vae"),
    )
)
# Words that say nothing beside one of those, and may be a name by themselves.
_BESIDE = frozenset(
    (
        *("epoch", "step", "last", "tmp", "js", "optimum", "genai", "mobius", "torch", "olive"),
        *("dynamo", "rocm", "migraphx", "ryzenai", "winml", "amd", "intel", "nvidia", "hqq"),
        *("asym", "sym", "per", "channel", "tensor", "group", "grouped", "gather", "no", "only"),
        *("weight", "mixed", "precision", "prefill", "decode", "prompt", "mask", "lm", "head"),
        *("half", "full"),
    )
)
_REVISION = re.compile(
    r"v?\d[\d._-]*|(?=.*\d)[0-9a-f]{7,64}|r\d+|(epoch|step|iter|ckpt|checkpoint|opset|rank)[-_]?\d+"
)
# `opset17`, `4bit`, `w4a16`, `b32`, `g128`, `q4`: pieces of a build's name.
_PIECE = re.compile(r"\d+|\d+bits?|w\d+a\d+\w*|[uq]?int\d+|opset\d+")
_PIECE_BESIDE = re.compile(r"[bgrvq]\d+")
_GGUF_LEVEL = re.compile(r"i?q\d_(k|\d|xx?s)(_[sml])?")
_HUB_FOLDER = re.compile(r"models--(?:.+?--)?(.+)")  # of a Hugging Face cache
_SPLIT = re.compile(r"[-_. ]+")


def name_of(path: Path, stem: str = "") -> str:
    """Return what the model at `path` is called; never a path.

    The last part of it, but for those that name a layout (`onnx`, `snapshots`), a part of a model
    (`decoder`), a build (`cpu-int4-rtn-block-32`, `model_q4f16`) or a revision (`v4`, a commit):
    they are passed over until one names a model.

    Args:
        path: of a folder.
        stem: of a file in it, which is asked first; empty: none.
    """
    parts = Path(os.path.abspath(path)).parts[1:]  # noqa: PTH100  # keeps a link's own name
    pairs = zip(parts, ("", *parts), strict=False)
    named = [part for part, above in pairs if above != "snapshots"]  # a commit names no model
    for part in (*([stem] if stem else []), *reversed(named)):
        found = _HUB_FOLDER.fullmatch(part)
        if found is not None:
            return found[1]
        if not is_layout(part):
            return part
    return NAMELESS


def is_layout(part: str) -> bool:
    """Whether a part of a path says nothing of which model lies there."""
    word = part.casefold()
    if _REVISION.fullmatch(word) or _GGUF_LEVEL.fullmatch(word):
        return True
    words = [piece for piece in _SPLIT.split(word) if piece]
    strong = [piece for piece in words if piece in _WORDS or _PIECE.fullmatch(piece)]
    return len(strong) == len(words) or (
        bool(strong)
        and all(
            piece in strong or piece in _BESIDE or _PIECE_BESIDE.fullmatch(piece) for piece in words
        )
    )
