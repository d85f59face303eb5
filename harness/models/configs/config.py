"""A Hugging Face config.json as a spec; everything that cannot be built is refused by name."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import ModelError
from harness.core.records import JsonValues, read_json
from harness.models.configs.architectures import (
    ARCHITECTURES,
    NEEDS,
    ROTARY_ENCODERS,
    SUPPORTED,
)
from harness.models.configs.defaults import filled
from harness.models.configs.encoder import SUPPORTED as SUPPORTED_ENCODERS
from harness.models.configs.encoder import (
    Steps,
    encoder_class,
    encoder_from_config,
    folder_steps,
    labels_of,
)
from harness.models.configs.kinds import layers_of
from harness.models.configs.packed import refuse_packed
from harness.models.configs.parts import text_part, with_head
from harness.models.configs.rope import turns_of
from harness.models.configs.row import Architecture, ExpertKeys
from harness.models.specs.check import check_any, check_layers, require_positive
from harness.models.specs.decoder_names import FAMILIES
from harness.models.specs.layers import Experts
from harness.models.specs.model import (
    DENSE_ACTIVATIONS,
    AnySpec,
    Dense,
    ModelSpec,
    RotaryEncoderSpec,
)


def experts_of(values: JsonValues, architecture: Architecture) -> Experts | None:
    """Return the mixture that stands in every layer, or None.

    Raises:
        ModelError: a number is missing, or some layers have a plain block instead.
    """
    keys = architecture.experts
    if keys is None:
        return None
    count = next((key for key in keys.count if values.has(key)), keys.count[0])
    if keys.may_be_none and values.integer(count, 0) == 0:
        return None
    if values.integer("decoder_sparse_step", 1) != 1 or values.values.get("mlp_only_layers"):
        raise values.unsupported(
            "some of its layers have experts and others a block"
            " (decoder_sparse_step, mlp_only_layers)",
            "experts in every layer",
        )
    shared = values.integer(keys.shared_width) if keys.shared_width else 0
    numbers: dict[str, Any] = {
        name: values.number(key, default) for name, (key, default) in keys.numbers.items()
    }
    numbers |= {name: values.flag(key, default) for name, (key, default) in keys.flags.items()}
    return Experts(
        count=values.integer(count),
        active=values.integer("num_experts_per_tok"),
        intermediate_size=values.integer(keys.width),
        shared_intermediate_size=shared,
        shared_gate=keys.shared_gate and shared > 0,
        normalised=_normalised(values, keys),
        scale=values.number(keys.scale, 1.0) if keys.scale else 1.0,
        dense_layers=values.integer(keys.dense, 0) if keys.dense else 0,
        **numbers,
        **keys.fields,
    )


def _normalised(values: JsonValues, keys: ExpertKeys) -> bool:
    """Return whether the weights of the chosen experts sum to 1."""
    return values.flag(keys.normalised, keys.normalised_default) if keys.normalised else True


# What config.json calls the numbers of a ModelSpec, where a class does not say otherwise.
KEYS = {
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_context_tokens": "max_position_embeddings",
    "norm_epsilon": "rms_norm_eps",
}
EVERY_CLASS = f"{SUPPORTED}; encoders: {', '.join((SUPPORTED_ENCODERS, *ROTARY_ENCODERS))}"
_ROWS = {**ARCHITECTURES, **ROTARY_ENCODERS}


def spec_from_file(
    path: Path, name: str, stored: Callable[[], Collection[str]] | None = None
) -> AnySpec:
    """Read the config.json at `path`; see spec_from_config.

    Of an encoder the files of sentence-transformers beside it say how it pools.

    Args:
        path: the file.
        name: what the spec is called.
        stored: the names of the tensors beside it, asked where config.json contradicts itself;
            None: nothing is known of them.

    Raises:
        ModelError: not readable, not JSON, not an object, or refused by spec_from_config.
    """
    where = f"{name}/{path.name}"
    config = read_json(path, where)
    if not isinstance(config, dict):
        raise ModelError(f"{where} holds no JSON object", fix="download the file again")
    config = config if stored is None else with_head(config, stored)
    return spec_from_config(config, name, folder_steps(path.parent, name))


def spec_from_config(config: Mapping[str, Any], name: str, steps: Steps | None = None) -> AnySpec:
    """Turn a decoded config.json into a spec: of a decoder, or of an encoder.

    Args:
        config: as written by transformers 4 (`rope_scaling`) or 5 (`rope_parameters`). Keys
            that do not change the computation are ignored; missing ones mean what the
            transformers class means by them, or are asked for.
        name: what the spec is called, and what errors call the model.
        steps: from the vectors of tokens to that of a text; a decoder's class with such is an
            encoder with its layers. None: nothing is known of any.

    Raises:
        ModelError: an unsupported class or feature, a missing key, a wrong type, or numbers that
            describe no model. The message names what is missing and what is supported.
    """
    values = JsonValues(config, f"{name}/config.json")
    found = encoder_class(values)
    if found is not None:
        return encoder_from_config(values, found, name, steps)
    return _from_layers(values, name, steps)


def _from_layers(values: JsonValues, name: str, steps: Steps | None) -> AnySpec:
    """Return what a decoder's layers are: a decoder, maybe of a larger model; or an encoder."""
    part_of = ""
    if not _is_supported(values):
        values, part_of = text_part(values, FAMILIES)
    architecture = _architecture(values)
    values = filled(values, architecture.family, is_part=bool(part_of))
    encoder = _encoder_fields(values, architecture, steps)
    _refuse_features(values, architecture, is_encoder=encoder is not None)
    numbers = {field: architecture.keys.get(field, key) for field, key in KEYS.items()}
    if values.has(numbers["num_layers"]):  # lists of layers are made below
        check_layers(values.where, values.integer(numbers["num_layers"]))
    heads = values.integer(numbers["num_heads"])
    hidden = values.integer(numbers["hidden_size"])
    head_dim = _head_dim(values, architecture, hidden, heads)
    turns = turns_of(values, architecture.rotary)
    tied = values.flag("tie_word_embeddings", architecture.tied_by_default)
    given = architecture.read(values)
    told = {} if "layer_pattern" in given else layers_of(values, architecture)
    if "num_layers" not in given:
        given = {"num_layers": values.integer(numbers["num_layers"]), **given}
    if "intermediate_size" not in given:
        wide = _intermediate(values, architecture, numbers["intermediate_size"], hidden)
        given = {"intermediate_size": wide, **given}
    fields: dict[str, Any] = dict(
        name=name,
        family=architecture.family,
        vocab_size=values.integer("vocab_size"),
        hidden_size=hidden,
        num_heads=heads,
        num_kv_heads=_kv_heads(values, architecture, heads),
        head_dim=head_dim,
        tied_embeddings=tied or encoder is not None,
        max_context_tokens=values.integer(numbers["max_context_tokens"]),
        rope_theta=turns.theta,
        norm_epsilon=values.number(numbers["norm_epsilon"]),
        activation=_activation(values, architecture),
        rotary_dim=None if turns.share == 1.0 else int(head_dim * turns.share),
        rope_scaling=turns.scaling,
        local_rope_theta=turns.local_theta,
        experts=experts_of(values, architecture),
        part_of=part_of,
        source=values.where,
        **told,
        **_biases(values, architecture),
        **_softcaps(values, architecture),
        **_multipliers(values, architecture, head_dim),
    )
    fields = {**fields, **architecture.fields, **given, **(encoder or {})}
    spec = ModelSpec(**fields) if encoder is None else RotaryEncoderSpec(**fields)
    return check_any(spec, values.where)


def _encoder_fields(
    values: JsonValues, architecture: Architecture, steps: Steps | None
) -> dict[str, Any] | None:
    """Return what a RotaryEncoderSpec has beyond a decoder's layers; None: it is a decoder."""
    word = next(iter(values.texts("architectures")), "Model")
    classified = word.endswith(CLASSIFIER)
    flag = architecture.encodes not in ("never", "always") and values.flag(architecture.encodes)
    both_ways = flag or architecture.encodes == "always"
    is_bare = architecture.encodes == "always" or (flag and word.endswith("Model"))
    if not (classified or steps or is_bare):
        return None
    steps = _classifier(values, architecture) if classified else steps or Steps()
    return {
        "causal": not both_ways,
        "pooling": steps.pooling,
        "dense": steps.dense,
        "scores": classified,
        "logit_softcap": None,
    }


CLASSIFIER = "ForSequenceClassification"


def _classifier(values: JsonValues, architecture: Architecture) -> Steps:
    """Return the layers of a classifier: of ModernBERT two, behind a decoder's body one matrix."""
    labels = labels_of(values)
    if architecture.encodes != "always":
        return Steps("last", (Dense(labels, bias=False),))
    pooling, word = values.text("classifier_pooling", "cls"), "classifier_activation"
    activation = values.text(word, "gelu")
    if pooling not in ("cls", "mean"):
        raise values.unsupported(f"classifier_pooling is {pooling!r}", "cls, mean")
    if activation not in DENSE_ACTIVATIONS:
        raise values.unsupported(f"{word} is {activation!r}", ", ".join(DENSE_ACTIVATIONS))
    hidden, bias = values.integer("hidden_size"), values.flag("classifier_bias")
    return Steps(pooling, (Dense(hidden, bias, activation, norm=True), Dense(labels)))


def _is_supported(values: JsonValues) -> bool:
    """Whether config.json names one class, and one that is built as it is."""
    names = values.texts("architectures")
    return len(names) == 1 and any(name in _ROWS for name in (names[0], *_with_head(names[0])))


def _architecture(values: JsonValues) -> Architecture:
    """Return the row of the class in `architectures`, or of `model_type` where there is none."""
    names = values.texts("architectures")
    if len(names) > 1:
        raise values.unsupported(f"it names several classes: {', '.join(names)}", EVERY_CLASS)
    if names:
        for name in (names[0], *_with_head(names[0])):
            if name in _ROWS:
                return _ROWS[name]
        need = NEEDS.get(names[0]) or _head_needed(names[0])
        raise values.unsupported(f"{names[0]} needs {need}", EVERY_CLASS)
    family = values.text("model_type", "")
    for architecture in _ROWS.values():
        if architecture.family == family:
            return architecture
    what = f"model_type {family!r} is not known" if family else "it names no architecture"
    raise values.unsupported(what, EVERY_CLASS)


def _with_head(name: str) -> tuple[str, ...]:
    """Names of the classes with a head whose body a class without one is, as `Qwen3Model`."""
    if name in NEEDS:
        return ()
    for end in ("Model", CLASSIFIER, "ForMaskedLM"):
        base = name.removesuffix(end)
        if base != name:
            heads = ("ForCausalLM", "LMHeadModel", "Model")
            plain = base.removesuffix("Text")
            return f"{plain}ForCausalLM", *(f"{base}{head}" for head in heads)
    return ()


def _head_needed(name: str) -> str:
    """Say what a class needs that is not built, by what it is called."""
    ends = {
        "ForTokenClassification": "a head for every token",
        "ForQuestionAnswering": "a head that marks a span",
        "ForMultipleChoice": "a head over several texts",
        "ForNextSentencePrediction": "a head over pairs of sentences",
    }
    found = (need for end, need in ends.items() if name.endswith(end))
    return next(found, "a block this version does not know")


def _refuse_features(values: JsonValues, architecture: Architecture, *, is_encoder: bool) -> None:
    """Refuse whatever would change the computation in a way that is not built."""
    flag = architecture.encodes
    if not is_encoder and flag not in ("never", "always") and values.flag(flag):
        raise values.unsupported(f"{flag} is true", f"{flag} false, or a class without a head")
    for flag, built in architecture.refused.items():
        if values.flag(flag, built) is not built:
            raise values.unsupported(f"{flag} is {not built}".lower(), f"{flag} {built}".lower())
    _refuse_counts(values, architecture)
    refuse_packed(values)
    auto_map = values.table("auto_map")
    if auto_map is None or architecture.own_code:
        return
    if auto_map.has("AutoModelForCausalLM"):
        raise values.unsupported(
            f"it runs its own code ({repr(auto_map.values['AutoModelForCausalLM'])[:60]})",
            f"the classes of transformers itself: {SUPPORTED}",
        )


def _refuse_counts(values: JsonValues, architecture: Architecture) -> None:
    """Refuse what a class may have beside what is built."""
    for key in architecture.absent:
        if values.integer(key, 0):
            raise values.unsupported(f"{key} is {values.integer(key)}", f"{key} 0")


def _biases(values: JsonValues, architecture: Architecture) -> dict[str, bool]:
    """Return which matrices of attention and of the block add a bias, where config.json says it."""
    attention, block = (
        any(values.flag(key) for key in keys)
        for keys in (architecture.attention_bias_keys, architecture.block_bias_keys)
    )
    return {"qkv_bias": attention, "out_bias": attention, "block_bias": block}


def _activation(values: JsonValues, architecture: Architecture) -> str:
    """Return the activation of the block, in our words."""
    keys = architecture.activation_keys
    key = next((key for key in keys if values.has(key)), keys[-1])
    word = values.text(key, architecture.default_activation)
    if word not in architecture.activations:
        raise values.unsupported(f"{key} is {word!r}", ", ".join(architecture.activations))
    return architecture.activations[word]


def _attention_scale(values: JsonValues, architecture: Architecture, head_dim: int) -> float | None:
    """Return what scores are multiplied by; None: the usual head_dim^-1/2."""
    if not architecture.scale_key:
        return None
    scalar = values.number(architecture.scale_key, architecture.default_scale)
    return None if scalar == head_dim or scalar <= 0 else float(scalar**-0.5)


def _multipliers(values: JsonValues, architecture: Architecture, head_dim: int) -> dict[str, Any]:
    """Return what rows, scores, residuals and logits are multiplied by."""
    scale = _attention_scale(values, architecture, head_dim)
    factors = {name: values.number(key, 1.0) for name, key in architecture.multipliers.items()}
    for name, key in architecture.divisors.items():
        divisor = values.number(key, 1.0)
        require_positive(values.where, key, divisor)
        factors[name] = 1 / divisor
    return {"attention_scale": scale, **factors}


def _softcaps(values: JsonValues, architecture: Architecture) -> dict[str, Any]:
    """Return the caps of scores and logits; null in config.json: none."""
    return {
        field: (values.number(key) if values.has(key) else None)
        if key in values.values
        else default
        for field, (key, default) in architecture.softcaps.items()
    }


def _intermediate(values: JsonValues, architecture: Architecture, key: str, hidden: int) -> int:
    """Return the width of the block; some classes have a rule for a missing one."""
    factor = architecture.default_intermediate_factor
    return values.integer(key, None if factor is None else factor * hidden)


def _kv_heads(values: JsonValues, architecture: Architecture, heads: int) -> int:
    """Return num_key_value_heads; null means one per query head."""
    missing = "num_key_value_heads" not in values.values
    if missing and not architecture.kv_heads_default_to_heads:
        return values.integer("num_key_value_heads")  # raises: asks for it
    return values.integer("num_key_value_heads", heads)


def _head_dim(values: JsonValues, architecture: Architecture, hidden: int, heads: int) -> int:
    """Return head_dim: explicit, the class's own, or hidden_size / heads without remainder."""
    if values.has("head_dim"):
        return values.integer("head_dim")
    if architecture.default_head_dim is not None:
        return architecture.default_head_dim
    if heads < 1 or hidden % heads:
        raise ModelError(
            f"{values.where}: hidden_size {hidden} does not divide into {heads} heads",
            fix="give head_dim, or check num_attention_heads",
        )
    return hidden // heads
