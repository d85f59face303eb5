"""The names that exporters give to inputs, outputs and caches: one table for all of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.models.exported.ports import Port, PortNames

# field of PortNames -> names, the first one that is there counts.
# Source: optimum 1.x and 2.x, the model builder of onnxruntime-genai 0.18, sentence-transformers,
# the conversion scripts of ONNX Runtime.
INPUT_NAMES: dict[str, tuple[str, ...]] = {
    "ids": ("input_ids", "tokens"),
    "embeds": ("inputs_embeds", "input_embeds", "input_embeddings"),
    "mask": ("attention_mask", "input_mask"),
    "positions": ("position_ids",),
    "token_types": ("token_type_ids", "segment_ids"),
    "use_cache_branch": ("use_cache_branch",),
    "cache_position": ("cache_position",),
    "logits_to_keep": ("num_logits_to_keep", "logits_to_keep"),
    "pixel_values": ("pixel_values",),
    "pixel_mask": ("pixel_mask",),
    "input_values": ("input_values",),
    "input_features": ("input_features", "audio_features"),
    "encoder_hidden_states": ("encoder_hidden_states",),
    "encoder_mask": ("encoder_attention_mask",),
    "decoder_ids": ("decoder_input_ids",),
    "write_indices": ("write_indices",),
    "held_lengths": ("nonpad_kv_seqlen",),
    "last_positions": ("seqlens_k",),
    "past_length": ("past_sequence_length", "past_seq_len"),
    "total_length": ("total_sequence_length", "total_seq_len"),
}
OUTPUT_NAMES: dict[str, tuple[str, ...]] = {
    "logits": ("logits",),
    "hidden": ("last_hidden_state", "token_embeddings", "encoder_hidden_states", "hidden_states"),
    "embedding": (
        *("sentence_embedding", "pooler_output", "image_embeds", "text_embeds"),
        *("embeddings", "embedding"),
    ),
}
WHOLE_NUMBERS = ("int64", "int32")
_INTEGER_FIELDS = frozenset({"ids", "positions", "token_types", "decoder_ids"})
# What a layer keeps beside keys and values: a name's word -> ours. Source: the exporters above,
# mobius-onnx 0.1, transformers.js.
STATE_WORDS = ("conv", "recurrent", "ssm")

_LAYER = r"(?P<layer>\d{1,4})"
_HALF = r"(?P<half>key|value)"
_SIDE = r"(?:\.(?P<side>decoder|encoder))?"
_STATE = rf"(?P<state>{'|'.join(STATE_WORDS)})"
PAST_PATTERNS = (
    rf"past_key_values?\.{_LAYER}{_SIDE}\.{_HALF}",
    rf"past_{_HALF}_(?:(?P<side>self|cross)_)?{_LAYER}",
    rf"past_{_LAYER}",
    rf"past(?:_key_values?|_states?)?\.{_LAYER}\.{_STATE}(?:_state)?",
    rf"past_{_STATE}(?:_state)?[._]{_LAYER}",
    rf"{_HALF}_cache\.{_LAYER}",
)
PRESENT_PATTERNS = (
    rf"present(?:_key_values)?\.{_LAYER}{_SIDE}\.{_HALF}",
    rf"present_{_HALF}_(?:(?P<side>self|cross)_)?{_LAYER}",
    rf"present_{_LAYER}",
    rf"present(?:_key_values?|_states?)?\.{_LAYER}\.{_STATE}(?:_state)?",
    rf"present_{_STATE}(?:_state)?[._]{_LAYER}",
    rf"updated_{_HALF}_cache\.{_LAYER}",
)
_CROSS = ("encoder", "cross")
_HALVES = ("key", "value", *STATE_WORDS)


@dataclass(frozen=True, slots=True)
class CacheName:
    """What the name of a cached tensor says.

    Attributes:
        layer: from 0.
        half: `key`, `value` or `both`; a word of STATE_WORDS; else the name of its input.
        cross: whether it is of the encoder's tokens.
    """

    layer: int
    half: str
    cross: bool


@dataclass(frozen=True, slots=True)
class CachePatterns:
    """How the caches of one graph are called; regular expressions."""

    past: tuple[str, ...] = PAST_PATTERNS
    present: tuple[str, ...] = PRESENT_PATTERNS


def cache_names(ports: Iterable[Port], patterns: Sequence[str]) -> dict[CacheName, Port]:
    """Return the cached tensors among `ports`."""
    found = {}
    for port in ports:
        for pattern in patterns:
            match = re.fullmatch(pattern, port.name)
            if match is not None:
                parts = match.groupdict()
                half = parts.get("half") or parts.get("state") or _named_half(parts)
                cross = parts.get("side") in _CROSS or "cross" in parts
                found[CacheName(int(parts["layer"]), half, cross)] = port
                break
    return found


def name_ports(
    inputs: Iterable[Port], outputs: Iterable[Port], renamed: Mapping[str, str]
) -> PortNames:
    """Return which port plays which part.

    Args:
        inputs: without caches.
        outputs: without caches.
        renamed: names that a genai_config.json gives, by the field they stand for.
    """
    fields: dict[str, str] = {}
    for table, ports in ((INPUT_NAMES, inputs), (OUTPUT_NAMES, outputs)):
        known = {port.name: port for port in ports}
        for part, names in table.items():
            wanted = (renamed[part], *names) if part in renamed else names
            for name in wanted:
                if name in known and _fits(part, known[name]):
                    fields[part] = name
                    break
    return PortNames(**fields)


def unnamed_inputs(inputs: Iterable[Port], names: PortNames) -> tuple[str, ...]:
    """Return the inputs that play no known part."""
    known = {getattr(names, part) for part in INPUT_NAMES}
    return tuple(port.name for port in inputs if port.name not in known)


def genai_names(config: Any, part: str) -> tuple[dict[str, str], CachePatterns]:
    """Return the port names and cache patterns that a decoded genai_config.json gives.

    Args:
        config: decoded.
        part: whose: `decoder` or `encoder`.
    """
    renamed: dict[str, str] = {}
    past, present = list(PAST_PATTERNS), list(PRESENT_PATTERNS)
    for section, patterns in (("inputs", past), ("outputs", present)):
        for key, value in _section(config, part, section).items():
            if not isinstance(value, str):
                continue
            if "%d" in value:
                half = next((word for word in _HALVES if word in key), "both")
                patterns.insert(0, _pattern(value, half, "cross" in key))
            elif key in _GENAI_FIELDS[section]:
                renamed[_GENAI_FIELDS[section][key]] = value
    return renamed, CachePatterns(tuple(past), tuple(present))


def _named_half(parts: Mapping[str, Any]) -> str:
    """Return the half that a pattern of a configuration stands for."""
    return next((half for half in _HALVES if half in parts), "both")


def _fits(part: str, port: Port) -> bool:
    """Whether a port has a type that its part can have."""
    return part not in _INTEGER_FIELDS or port.element_type in WHOLE_NUMBERS


def _pattern(template: str, half: str, cross: bool) -> str:
    """Return the expression of a name such as `past_%d.key`; the rest is what the key says."""
    before, _, after = template.partition("%d")
    told = f"(?P<{half}>)" + "(?P<cross>)" * cross
    return f"{re.escape(before)}{_LAYER}{re.escape(after)}{told}"


def _section(config: Any, part: str, section: str) -> Mapping[str, Any]:
    """Return a table of a part's section; empty where it is none."""
    try:
        found = config["model"][part][section]
    except (KeyError, TypeError):
        return {}
    return found if isinstance(found, Mapping) else {}


_GENAI_FIELDS = {
    "inputs": {
        "input_ids": "ids",
        "inputs_embeds": "embeds",
        "attention_mask": "mask",
        "position_ids": "positions",
        "past_sequence_length": "past_length",
        "total_sequence_length": "total_length",
        "encoder_hidden_states": "encoder_hidden_states",
        "encoder_attention_mask": "encoder_mask",
        "audio_features": "input_features",
    },
    "outputs": {"logits": "logits", "encoder_hidden_states": "hidden"},
}
