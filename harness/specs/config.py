"""A Hugging Face config.json as a spec; everything that cannot be built is refused by name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.specs.architectures import ARCHITECTURES, NEEDS, SUPPORTED, Architecture
from harness.specs.check import check_spec
from harness.specs.config_encoder import (
    DEFAULT_POOLING,
    encoder_family,
    encoder_from_config,
    folder_pooling,
)
from harness.specs.config_encoder import SUPPORTED as SUPPORTED_ENCODERS
from harness.specs.config_rope import rope_of
from harness.specs.encoder import AnySpec
from harness.specs.json_values import JsonValues
from harness.specs.model import ModelSpec

EVERY_CLASS = f"{SUPPORTED}; encoders: {SUPPORTED_ENCODERS}"


def spec_from_file(path: Path, name: str) -> AnySpec:
    """Read the config.json at `path`; see spec_from_config.

    Of an encoder the files of sentence-transformers beside it say how it pools.

    Raises:
        ModelError: not readable, not JSON, not an object, or refused by spec_from_config.
    """
    where = f"{name}/{path.name}"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{where} cannot be read: {error.strerror}", fix="check the file and its rights"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{where} is not JSON: {str(error)[:120]}", fix="download the file again"
        ) from error
    if not isinstance(config, dict):
        raise ModelError(f"{where} holds no JSON object", fix="download the file again")
    is_encoder = encoder_family(JsonValues(config, where)) is not None
    pooling = folder_pooling(path.parent, name) if is_encoder else DEFAULT_POOLING
    return spec_from_config(config, name, pooling)


def spec_from_config(
    config: Mapping[str, Any], name: str, pooling: str = DEFAULT_POOLING
) -> AnySpec:
    """Turn a decoded config.json into a ModelSpec, or an EncoderSpec.

    Args:
        config: as written by transformers 4 (`rope_scaling`) or 5 (`rope_parameters`). Keys
            that do not change the computation are ignored; missing ones mean what the
            transformers class means by them, or are asked for.
        name: what the spec is called, and what errors call the model.
        pooling: of an encoder; decoders ignore it.

    Raises:
        ModelError: an unsupported class or feature, a missing key, a wrong type, or numbers that
            describe no model. The message names what is missing and what is supported.
    """
    values = JsonValues(config, f"{name}/config.json")
    family = encoder_family(values)
    if family is not None:
        return encoder_from_config(values, family, name, pooling)
    return _decoder_from_config(values, name)


def _decoder_from_config(values: JsonValues, name: str) -> ModelSpec:
    """Return the decoder that a config.json describes."""
    architecture = _architecture(values)
    _refuse_features(values, architecture)
    rope_theta, rope_scaling = rope_of(values)
    heads = values.integer("num_attention_heads")
    spec = ModelSpec(
        name=name,
        family=architecture.family,
        vocab_size=values.integer("vocab_size"),
        hidden_size=values.integer("hidden_size"),
        num_layers=values.integer("num_hidden_layers"),
        num_heads=heads,
        num_kv_heads=_kv_heads(values, architecture, heads),
        head_dim=_head_dim(values, architecture, heads),
        intermediate_size=values.integer("intermediate_size"),
        tied_embeddings=values.flag("tie_word_embeddings"),
        max_context_tokens=values.integer("max_position_embeddings"),
        rope_theta=rope_theta,
        norm_epsilon=values.number("rms_norm_eps"),
        qkv_bias=architecture.qkv_bias,
        qk_norm=architecture.qk_norm,
        sliding_window_tokens=_window_tokens(values, architecture),
        rope_scaling=rope_scaling,
        source=values.where,
    )
    return check_spec(spec, values.where)


def _architecture(values: JsonValues) -> Architecture:
    """Return the row of the class in `architectures`, or of `model_type` where there is none."""
    names = values.texts("architectures")
    if len(names) > 1:
        raise values.unsupported(f"it names several classes: {', '.join(names)}", EVERY_CLASS)
    if names:
        if names[0] in ARCHITECTURES:
            return ARCHITECTURES[names[0]]
        need = NEEDS.get(names[0], "a block this version does not know")
        raise values.unsupported(f"{names[0]} needs {need}", EVERY_CLASS)
    family = values.text("model_type", "")
    for architecture in ARCHITECTURES.values():
        if architecture.family == family:
            return architecture
    what = f"model_type {family!r} is not known" if family else "it names no architecture"
    raise values.unsupported(what, EVERY_CLASS)


def _refuse_features(values: JsonValues, architecture: Architecture) -> None:
    """Refuse whatever would change the computation in a way that is not built."""
    if values.text("hidden_act", "silu") not in ("silu", "swish"):
        raise values.unsupported(f"hidden_act is {values.text('hidden_act')!r}", "silu")
    if not architecture.qkv_bias and values.flag("attention_bias"):
        raise values.unsupported(
            "attention_bias adds a bias to the output projection too",
            "no bias, or Qwen2ForCausalLM with biases on query, key and value only",
        )
    if values.flag("mlp_bias"):
        raise values.unsupported("mlp_bias adds biases to the gated block", "no bias there")
    if values.has("quantization_config"):
        raise values.unsupported(
            "its weights are already quantized (quantization_config)",
            "the float32, float16 or bfloat16 checkpoint; bench quantizes it itself",
        )
    auto_map = values.table("auto_map")
    if auto_map is not None and auto_map.has("AutoModelForCausalLM"):
        raise values.unsupported(
            f"it runs its own code ({repr(auto_map.values['AutoModelForCausalLM'])[:60]})",
            f"the classes of transformers itself: {SUPPORTED}",
        )


def _kv_heads(values: JsonValues, architecture: Architecture, heads: int) -> int:
    """Return num_key_value_heads; null means one per query head."""
    missing = "num_key_value_heads" not in values.values
    if missing and not architecture.kv_heads_default_to_heads:
        return values.integer("num_key_value_heads")  # raises: asks for it
    return values.integer("num_key_value_heads", heads)


def _head_dim(values: JsonValues, architecture: Architecture, heads: int) -> int:
    """Return head_dim: explicit, the class's own, or hidden_size / heads without remainder."""
    if values.has("head_dim"):
        return values.integer("head_dim")
    if architecture.default_head_dim is not None:
        return architecture.default_head_dim
    hidden = values.integer("hidden_size")
    if heads < 1 or hidden % heads:
        raise ModelError(
            f"{values.where}: hidden_size {hidden} does not divide into {heads} heads",
            fix="give head_dim, or check num_attention_heads",
        )
    return hidden // heads


def _window_tokens(values: JsonValues, architecture: Architecture) -> int | None:
    """Return the sliding window of every layer, or None; a window in some layers is refused."""
    window = _stated_window(values, architecture)
    layers = values.integer("num_hidden_layers")
    if values.has("layer_types"):
        kinds = set(values.texts("layer_types"))
    elif architecture.window_behind_flag and window is not None:
        first = values.integer("max_window_layers", 28)
        windowed = {"sliding_attention"} if first < layers else set()
        kinds = windowed | ({"full_attention"} if first > 0 else set())
    else:
        return window
    if kinds == {"full_attention"}:
        return None
    if kinds == {"sliding_attention"}:
        return window
    stated = ", ".join(sorted(kinds)) or "none"
    raise values.unsupported(
        f"its layers attend in different ways (layer types: {stated})",
        "the same attention in every layer: all full, or all with one sliding window",
    )


def _stated_window(values: JsonValues, architecture: Architecture) -> int | None:
    """Return sliding_window where the class reads it, else None."""
    if architecture.window_behind_flag and not values.flag("use_sliding_window"):
        return None
    if architecture.family == "llama":
        return None
    if "sliding_window" not in values.values:
        return architecture.default_window_tokens
    return values.integer("sliding_window") if values.has("sliding_window") else None
