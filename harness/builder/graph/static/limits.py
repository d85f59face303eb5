"""What a static decoder is not built of, refused by name before anything is built."""

from harness.core.errors import ModelError
from harness.models.specs.model import ModelSpec

# Fields of a ModelSpec and the values that the static block knows.
_BUILT: dict[str, tuple[object, ...]] = {
    "norm": ("rmsnorm",),
    "norm_order": ("before",),
    "activation": ("silu",),
    "mlp_gated": (True,),
    "all_bias": (False,),
    "head_bias": (False,),
    "qk_norm": ("none", "per_head"),
    "positions": ("rotary",),
    "rotary_dim": (None,),
    "local_rope_theta": (None,),
    "full_attention_every": (None,),
    "scaled_embedding": (False,),
    "attention_scale": (None,),
    "attention_softcap": (None,),
    "logit_softcap": (None,),
    "experts": (None,),
}


def check_static(spec: ModelSpec) -> None:
    """Refuse an architecture whose block the static decoder does not have.

    Raises:
        ModelError: names the field, its value, and what is built.
    """
    for field, built in _BUILT.items():
        value = getattr(spec, field)
        if value not in built:
            raise ModelError(
                f"{spec.name}: {field} is {value!r}, which a static decoder does not have",
                fix="a level of the fused decoder (bench levels), or a model of the Llama,"
                " Mistral, Qwen2 or Qwen3 families",
            )
    if spec.rope_scaling is not None and spec.rope_scaling.kind == "longrope":
        raise ModelError(
            f"{spec.name}: rotary positions of longrope, which a static decoder does not have",
            fix="a level of the fused decoder (bench levels)",
        )
