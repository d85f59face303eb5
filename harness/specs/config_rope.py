"""The rotary part of a Hugging Face config.json, old (`rope_scaling`) and new form alike."""

from harness.specs.json_values import JsonValues
from harness.specs.model import RopeScaling

DEFAULT_THETA = 10_000.0  # transformers, all four classes
SUPPORTED = "rope types default, linear and llama3 over the whole head, the same in every layer"


def rope_of(values: JsonValues) -> tuple[float, RopeScaling | None]:
    """Return the base of the rotary frequencies and how they are stretched.

    transformers 4 writes `rope_theta` beside an optional `rope_scaling`; transformers 5 writes
    both into `rope_parameters`. Where both objects exist, `rope_scaling` wins, as there.

    Raises:
        ModelError: a rope type that is not built, part of the head rotated, or other parameters
            in other layers; the message names the type and the supported ones.
    """
    table = values.table("rope_scaling") or values.table("rope_parameters")
    theta = values.number("rope_theta", DEFAULT_THETA)
    _refuse_partial(values)
    if table is None:
        return theta, None
    _refuse_partial(table)
    if any(isinstance(value, dict) for value in table.values.values()):
        raise table.unsupported("it gives other rotary positions to other layers", SUPPORTED)
    theta = table.number("rope_theta", theta)
    kind = table.text("rope_type", table.text("type", "default"))
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, RopeScaling("linear", factor=table.number("factor"))
    if kind == "llama3":
        return theta, _llama3(values, table)
    raise table.unsupported(f"rope type {kind!r} is not built", SUPPORTED)


def _llama3(values: JsonValues, table: JsonValues) -> RopeScaling:
    """Return the four numbers of the llama3 rule; the context may stand beside the table."""
    outer = values.values.get("original_max_position_embeddings")
    context = values if outer is not None else table
    return RopeScaling(
        kind="llama3",
        factor=table.number("factor"),
        low_frequency_factor=table.number("low_freq_factor"),
        high_frequency_factor=table.number("high_freq_factor"),
        original_context_tokens=context.integer("original_max_position_embeddings"),
    )


def _refuse_partial(values: JsonValues) -> None:
    """Refuse rotary positions over a part of the head only."""
    share = values.number("partial_rotary_factor", 1.0)
    if share != 1.0:
        raise values.unsupported(f"partial_rotary_factor is {share}", SUPPORTED)
