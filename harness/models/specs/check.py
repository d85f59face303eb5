"""What every architecture must satisfy, whether it came from a TOML file or a config.json."""

from collections.abc import Collection
from functools import singledispatch

from harness.core.errors import ModelError, suggestion
from harness.models.specs import decoder_names
from harness.models.specs.layers import KINDS, DeltaRule, Experts, Mamba, Mixer
from harness.models.specs.model import (
    ACTIVATIONS,
    DENSE_ACTIVATIONS,
    ENCODER_FAMILIES,
    NORM_ENDS,
    NORM_ORDERS,
    POOLINGS,
    AnySpec,
    EncoderSpec,
    ModelSpec,
    RopeScaling,
    RotaryEncoderSpec,
    TextSpec,
)

SCALING_KINDS = ("llama3", "linear", "longrope", "yarn", "ntk", "proportional")

_POSITIVE = (
    "vocab_size",
    "hidden_size",
    "num_layers",
    "num_heads",
    "num_kv_heads",
    "head_dim",
    "intermediate_size",
    "max_context_tokens",
    "rope_theta",
    "norm_epsilon",
)
_POSITIVE_WHERE_GIVEN = (
    "sliding_window_tokens",
    "full_attention_every",
    "local_rope_theta",
    "full_head_dim",
    "shared_block_factor",
    "rotary_dim",
    "attention_scale",
    "embedding_multiplier",
    "residual_multiplier",
    "logit_multiplier",
    "attention_softcap",
    "logit_softcap",
)
_WORDS = {
    "norm": tuple(NORM_ENDS),
    "norm_order": tuple(NORM_ORDERS),
    "activation": ("silu", "gelu", "gelu_tanh", "relu2"),
    "qk_norm": ("none", "per_head", "full_width"),
    "positions": ("rotary", "learned"),
}

# Letters of a pattern whose blocks have sizes of their own, and where those stand.
_SIZES = {
    "C": "convolution",
    "L": "delta_rule",
    "M": "mamba",
    "P": "mamba",
    "S": "sliding_window_tokens",
    "N": "sliding_window_tokens",
}
LETTERS = f"{', '.join(KINDS)}; small ones have no block behind their mixer"
# Work is done per layer before anything is built: a damaged number must not take for ever.
# Llama-3.1-405B, among the deepest that are published, has 126 layers.
MAX_LAYERS = 1000


def check_spec(spec: ModelSpec, where: str) -> ModelSpec:
    """Return `spec` when its numbers can describe a decoder.

    Args:
        spec: the architecture just read.
        where: the file it was read from, named in the error.

    Raises:
        ModelError: a number that is not positive and finite, heads that do not divide into
            key-value groups, an odd head, an unknown word or a bad rope scaling.
    """
    _check_word(where, "family", spec.family, decoder_names.FAMILIES)
    return _check_body(spec, where)


def _check_body(spec: ModelSpec, where: str) -> ModelSpec:
    """Refuse numbers and words that describe no layers."""
    for field in _POSITIVE:
        require_positive(where, field, getattr(spec, field))
    check_layers(where, spec.num_layers)
    for field in _POSITIVE_WHERE_GIVEN:
        if getattr(spec, field) is not None:
            require_positive(where, field, getattr(spec, field))
    _check_words(spec, where)
    _check_shared_caches(spec, where)
    _check_heads(spec, where)
    check_pattern(spec, where)
    if spec.experts is not None:
        _check_experts(spec.experts, where)
        if not 0 <= spec.experts.dense_layers < spec.num_layers:
            raise ModelError(
                f"{where}: {spec.experts.dense_layers} of {spec.num_layers} layers have no experts",
                fix="experts.dense_layers is at least 0 and less than num_layers",
            )
    if spec.layer_thetas and len(spec.layer_thetas) != spec.num_layers:
        raise ModelError(
            f"{where}: layer_thetas has {len(spec.layer_thetas)} bases for {spec.num_layers}"
            " layers",
            fix="one for each layer, 0 where it turns nothing",
        )
    if spec.rope_scaling is not None:
        _check_scaling(spec.rope_scaling, where)
        _check_divisors(spec, spec.rope_scaling, where)
    return spec


def _check_shared_caches(spec: ModelSpec, where: str) -> None:
    """Refuse layers that read the cache of a layer that there is not."""
    if not 0 <= spec.shared_cache_layers < spec.num_layers:
        raise ModelError(
            f"{where}: {spec.shared_cache_layers} of {spec.num_layers} layers share caches",
            fix="shared_cache_layers is at least 0 and less than num_layers",
        )
    if spec.shared_cache_layers and any(layer.cache_layer < 0 for layer in spec.layers):
        raise ModelError(
            f"{where}: no layer with a cache of its own sees as much as one that shares",
            fix="shared_cache_layers leaves a layer of each kind before those that share",
        )
    if spec.per_layer_width < 0:
        raise ModelError(f"{where}: per_layer_width is {spec.per_layer_width}", fix="0 or more")


def _check_words(spec: ModelSpec, where: str) -> None:
    """Refuse words that nothing is built for, and pairs of features that are not built together."""
    for field, known in _WORDS.items():
        _check_word(where, field, getattr(spec, field), known)
    if spec.all_bias and spec.mlp_gated:
        raise ModelError(
            f"{where}: all_bias of a gated block is not built", fix="mlp_gated = false, or no bias"
        )
    if spec.experts is not None and not (spec.mlp_gated and spec.activation == "silu"):
        raise ModelError(
            f"{where}: experts of {spec.activation} are not built", fix="gated silu, or no experts"
        )
    if spec.head_bias and spec.tied_embeddings:
        raise ModelError(
            f"{where}: head_bias of a tied head is not built", fix="tied_embeddings = false"
        )


def check_pattern(spec: ModelSpec, where: str) -> None:
    """Refuse a pattern of layers that does not fill the model, or has letters without their sizes.

    Raises:
        ModelError: says the pattern, and what would do.
    """
    pattern = spec.layer_pattern
    if not pattern:
        return
    unknown = sorted({letter for letter in pattern if letter.upper() not in KINDS})
    if unknown:
        raise ModelError(
            f"{where}: layer_pattern has the letter {unknown[0]!r}", fix=f"letters: {LETTERS}"
        )
    if spec.num_layers % len(pattern):
        raise ModelError(
            f"{where}: a layer_pattern of {len(pattern)} letters does not fill"
            f" {spec.num_layers} layers",
            fix="one letter a layer, or a pattern that repeats without a rest",
        )
    if "d" in pattern:
        raise ModelError(
            f"{where}: a layer of layer_pattern is empty (d)", fix="D: the block alone"
        )
    if not any(layer.attends for layer in spec.layers):
        raise ModelError(
            f"{where}: no layer of layer_pattern attends", fix="at least one layer of F, S or G"
        )
    _check_pattern_sizes(spec, where)


def _check_pattern_sizes(spec: ModelSpec, where: str) -> None:
    """Refuse letters without the numbers that they need, and what is told twice."""
    letters = spec.layer_pattern.upper()
    for letter, field in _SIZES.items():
        if letter in letters and getattr(spec, field) is None:
            raise ModelError(
                f"{where}: layer_pattern has layers of {letter}, and there is no {field}",
                fix=f"{field}, or other letters",
            )
    if spec.convolution is not None:
        require_positive(where, "convolution.kernel - 1", spec.convolution.kernel - 1)
    for name, sizes in (("delta_rule", spec.delta_rule), ("mamba", spec.mamba)):
        if sizes is not None:
            _check_mixer(name, sizes, where)
    if spec.full_attention_every is not None:
        raise ModelError(
            f"{where}: both layer_pattern and full_attention_every say which layers see everything",
            fix="one of the two",
        )


# Of a mixer that keeps a state: its other sizes, and which heads share which.
_MIXER_SIZES = {"delta_rule": ("key_dim", "value_dim"), "mamba": ("head_dim", "state_dim")}
_MIXER_HEADS = {"delta_rule": ("value_heads", "key_heads"), "mamba": ("heads", "groups")}


def _check_mixer(name: str, sizes: DeltaRule | Mamba, where: str) -> None:
    """Refuse sizes that describe no linear attention, or no Mamba-2 mixer."""
    heads, shared = _MIXER_HEADS[name]
    for field in (shared, heads, *_MIXER_SIZES[name]):
        require_positive(where, f"{name}.{field}", getattr(sizes, field))
    require_positive(where, f"{name}.kernel - 1", sizes.kernel - 1)
    many, few = getattr(sizes, heads), getattr(sizes, shared)
    if many % few:
        words = f"{heads} cannot share {few} {shared}".replace("_", " ")
        raise ModelError(
            f"{where}: {many} {words}",
            fix=f"{name}.{heads} must be a multiple of {name}.{shared}",
        )


def _check_experts(experts: Experts, where: str) -> None:
    """Refuse a mixture whose numbers describe none, or whose shared block is not built."""
    for field in ("count", "active", "intermediate_size"):
        require_positive(where, f"experts.{field}", getattr(experts, field))
    for field in ("gate_slope", "limit"):
        if getattr(experts, field) is not None:
            require_positive(where, f"experts.{field}", getattr(experts, field))
    if experts.choice_bias and not experts.sigmoid:
        raise ModelError(
            f"{where}: experts.choice_bias beside a softmax is not built",
            fix="experts.sigmoid = true, or no choice_bias",
        )
    if experts.active > experts.count:
        raise ModelError(
            f"{where}: {experts.active} of {experts.count} experts are active",
            fix="experts.active is at most experts.count",
        )
    if experts.shared_gate and not experts.shared_intermediate_size:
        raise ModelError(
            f"{where}: shared_gate of experts without a shared block",
            fix="shared_intermediate_size, or no shared_gate",
        )
    require_positive(where, "experts.scale", experts.scale)


def _check_heads(spec: ModelSpec, where: str) -> None:
    """Refuse heads that cannot share keys, and widths that cannot be rotated."""
    if spec.num_heads % spec.num_kv_heads:
        raise ModelError(
            f"{where}: {spec.num_heads} heads cannot share {spec.num_kv_heads} key-value heads",
            fix="num_heads must be a multiple of num_kv_heads",
        )
    if spec.head_dim % 2:
        raise ModelError(
            f"{where}: head_dim is {spec.head_dim}",
            fix="rotary positions turn pairs of values: head_dim must be even",
        )
    if spec.rotated_dim % 2 or spec.rotated_dim > spec.head_dim:
        raise ModelError(
            f"{where}: rotary_dim is {spec.rotary_dim}",
            fix=f"an even number of at most head_dim, {spec.head_dim}",
        )


def check_layers(where: str, num_layers: int) -> None:
    """Refuse more layers than anything published could have."""
    if num_layers > MAX_LAYERS:
        raise ModelError(f"{where}: num_layers is {num_layers}", fix=f"at most {MAX_LAYERS} layers")


def _check_scaling(scaling: RopeScaling, where: str) -> None:
    """Refuse a scaling whose formula would divide by zero or is not known."""
    if scaling.kind not in SCALING_KINDS:
        raise ModelError(
            f"{where}: rope scaling is {scaling.kind!r}",
            fix=suggestion(scaling.kind, (*SCALING_KINDS, "none")),
        )
    for field in (
        "factor",
        "low_frequency_factor",
        "high_frequency_factor",
        "original_context_tokens",
        "amplitude",
        "fast_turns",
        "slow_turns",
    ):
        require_positive(where, f"rope_scaling.{field}", getattr(scaling, field))
    if scaling.kind == "yarn" and scaling.fast_turns < scaling.slow_turns:
        raise ModelError(
            f"{where}: rope_scaling.fast_turns {scaling.fast_turns} is below slow_turns"
            f" {scaling.slow_turns}",
            fix="yarn blends between the two; see beta_fast and beta_slow of config.json",
        )
    if scaling.kind == "llama3" and scaling.high_frequency_factor <= scaling.low_frequency_factor:
        raise ModelError(
            f"{where}: rope_scaling.high_frequency_factor {scaling.high_frequency_factor} is not"
            f" above low_frequency_factor {scaling.low_frequency_factor}",
            fix="llama3 scaling blends between the two; see the model's own config.json",
        )


def _check_divisors(spec: ModelSpec, scaling: RopeScaling, where: str) -> None:
    """Refuse a longrope without one positive divisor for each rotated pair."""
    pairs = spec.rotated_dim // 2 if scaling.kind == "longrope" else 0
    if len(scaling.divisors) != pairs:
        raise ModelError(
            f"{where}: rope_scaling.divisors has {len(scaling.divisors)} numbers",
            fix=f"one for each rotated pair of a head: {pairs}",
        )
    for value in scaling.divisors:
        require_positive(where, "a divisor of rope_scaling", value)


def require_positive(where: str, field: str, value: float) -> None:
    """Refuse zero, negative, not-a-number, and what is beyond 64 bits."""
    if not 0 < value < LARGEST:
        shown = "beyond 64 bits" if isinstance(value, int) and value >= LARGEST else value
        raise ModelError(f"{where}: {field} is {shown}", fix=f"{field} must be a positive number")


LARGEST = 2**63  # JSON and TOML have no limit, and sums of sizes have
_ENCODER_POSITIVE = (
    *("vocab_size", "hidden_size", "num_layers", "num_heads", "intermediate_size"),
    *("max_context_tokens", "norm_epsilon"),
)


def check_encoder(spec: EncoderSpec, where: str) -> EncoderSpec:
    """Return `spec` when its numbers can describe an encoder.

    Args:
        spec: the architecture just read.
        where: the file it was read from, named in the error.

    Raises:
        ModelError: a number that is not positive and finite, heads that do not divide the hidden
            size, or an unknown family, activation or pooling.
    """
    for field in _ENCODER_POSITIVE:
        require_positive(where, field, getattr(spec, field))
    check_layers(where, spec.num_layers)
    for field, known in (
        ("family", ENCODER_FAMILIES),
        ("activation", ACTIVATIONS),
        ("pooling", POOLINGS),
    ):
        _check_word(where, field, getattr(spec, field), known)
    for field in ("token_types", "first_position"):
        if getattr(spec, field) < 0:
            raise ModelError(f"{where}: {field} is {getattr(spec, field)}", fix="0 or more")
    _check_dense(spec, where)
    if spec.hidden_size % spec.num_heads:
        raise ModelError(
            f"{where}: hidden_size {spec.hidden_size} does not divide into {spec.num_heads} heads",
            fix="num_heads must divide hidden_size",
        )
    return spec


def check_rotary_encoder(spec: RotaryEncoderSpec, where: str) -> RotaryEncoderSpec:
    """Return `spec` when its numbers can describe an encoder with a decoder's layers.

    Args:
        spec: the architecture just read.
        where: the file it was read from, named in the error.

    Raises:
        ModelError: as check_spec and check_encoder; or a feature of a decoder that an encoder is
            not built with.
    """
    _check_word(where, "family", spec.family, decoder_names.ENCODER_FAMILIES)
    _check_body(spec, where)
    _check_word(where, "pooling", spec.pooling, POOLINGS)
    _check_dense(spec, where)
    for field, built in _ROTARY_ENCODER.items():
        value = getattr(spec, field)
        if value != built:
            raise ModelError(
                f"{where}: {field} is {value!r}, with which no encoder is built",
                fix=f"{field} = {built!r}",
            )
    if any(set(layer.mixers) - {Mixer.ATTENTION} for layer in spec.layers):
        raise ModelError(
            f"{where}: an encoder with layers that keep a state, which is not built",
            fix="layers that attend",
        )
    if not spec.causal and (spec.attention_sinks or _grows(spec)):
        raise ModelError(
            f"{where}: attention in both directions with sinks, or queries that grow with their"
            " position, is not built",
            fix="causal = true, or neither",
        )
    if spec.embedding_norm and spec.norm_order not in ("before", "around"):
        raise ModelError(
            f"{where}: embedding_norm without a norm before attention",
            fix="norm_order = 'before', or no embedding_norm",
        )
    return spec


def _grows(spec: ModelSpec) -> bool:
    """Whether queries grow with their position."""
    return spec.rope_scaling is not None and spec.rope_scaling.query_growth > 0


@singledispatch
def check_any(spec: AnySpec, where: str) -> AnySpec:
    """Return `spec` when its numbers can describe what its record stands for; see the three above.

    Raises:
        ModelError: they cannot.
    """
    raise TypeError(f"{spec!r} is no architecture")


check_any.register(ModelSpec, check_spec)
check_any.register(EncoderSpec, check_encoder)
check_any.register(RotaryEncoderSpec, check_rotary_encoder)


# Fields of a ModelSpec that an encoder's attention or tail has one value of.
_ROTARY_ENCODER = {
    "positions": "rotary",
    "tied_embeddings": True,
    "head_bias": False,
    "attention_softcap": None,
    "logit_softcap": None,
}


def _check_word(where: str, field: str, value: str, known: Collection[str]) -> None:
    """Refuse a word that nothing is built for."""
    if value not in known:
        raise ModelError(f"{where}: {field} is {value!r}", fix=suggestion(value, known))


def _check_dense(spec: TextSpec, where: str) -> None:
    """Refuse dense layers of no width or an unknown activation, and scores without any."""
    for place, dense in enumerate(spec.dense):
        require_positive(where, f"dense[{place}].outputs", dense.outputs)
        _check_word(where, f"dense[{place}].activation", dense.activation, DENSE_ACTIVATIONS)
    if spec.scores and not spec.dense:
        raise ModelError(
            f"{where}: scores without a dense layer that gives them",
            fix="dense, whose last outputs are the scores; or scores = false",
        )
