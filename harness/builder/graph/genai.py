"""The configuration that lets onnxruntime-genai run a built folder as it is."""

import json
from dataclasses import dataclass
from pathlib import Path

from harness.builder.graph.geometry import DecoderGeometry
from harness.builder.graph.rules import GENAI_FILE
from harness.models.specs.model import ModelSpec


@dataclass(frozen=True, slots=True)
class TokenIds:
    """Special tokens of a model's vocabulary.

    Attributes:
        begin: written before a prompt.
        end: each of them ends a generated text.
        pad: fills a batch.
    """

    begin: int = 0
    end: tuple[int, ...] = (0,)
    pad: int = 0


def write_genai_config(
    spec: ModelSpec, geometry: DecoderGeometry, folder: Path, token_ids: TokenIds
) -> None:
    """Write `genai_config.json` beside `model.onnx`.

    Every supported architecture is called `llama`: the same inputs, outputs and cache, and states
    that it looks up in the graph. Only those of convolutions alone are known by a type and by what
    stands in each layer.
    Source: onnxruntime_genai 0.18, src/config.h and its model builder's output; tried with each
    family that is built.
    """
    model = {
        "type": "lfm2" if _convolves_alone(geometry) else "llama",
        "bos_token_id": token_ids.begin,
        "eos_token_id": list(token_ids.end),
        "pad_token_id": token_ids.pad,
        "context_length": geometry.max_context_tokens,
        "vocab_size": geometry.vocab_size,
        "decoder": _decoder_section(spec, geometry),
    }
    search = {
        "do_sample": False,
        "max_length": geometry.max_context_tokens,
        "min_length": 0,
        "num_beams": 1,
        "past_present_share_buffer": True,
        "temperature": 1.0,
        "top_k": 1,
        "top_p": 1.0,
    }
    text = json.dumps({"model": model, "search": search}, indent=2)
    (folder / GENAI_FILE).write_text(text + "\n", encoding="utf-8")


def _decoder_section(spec: ModelSpec, geometry: DecoderGeometry) -> dict[str, object]:
    """Return the shapes of the graph and the names of its inputs and outputs."""
    states = dict.fromkeys(state.name for state in geometry.states)
    return {
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
        "filename": "model.onnx",
        "head_size": geometry.head_dim,
        "hidden_size": spec.hidden_size,
        "inputs": {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
            **{f"past_{name}_names": f"past.%d.{name}" for name in states},
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
            **{f"present_{name}_names": f"present.%d.{name}" for name in states},
        },
        "num_attention_heads": spec.num_heads,
        "num_hidden_layers": geometry.num_layers,
        "num_key_value_heads": geometry.num_kv_heads,
        **(_convolutions(geometry) if _convolves_alone(geometry) else {}),
    }


def _convolves_alone(geometry: DecoderGeometry) -> bool:
    """Whether all states are those of convolutions, which the runtime holds in another way."""
    return {state.name for state in geometry.states} == {"conv"}


def _convolutions(geometry: DecoderGeometry) -> dict[str, object]:
    """Return what stands in each layer, and how many tokens a convolution keeps."""
    convolving = {state.layer for state in geometry.states}
    kinds = ("full_attention", "conv")
    return {
        "layer_types": [kinds[layer in convolving] for layer in range(geometry.num_layers)],
        "conv_cache_size": geometry.states[0].shape[-1],
    }
