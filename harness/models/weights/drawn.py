"""Seeded mixtures: which experts a token takes is drawn, evenly, by the token itself.

With random weights alone it is not: what layers add to the stream soon outweighs the embedding and
is much the same for every token, so that all of them take the same few experts, and greedy steps go
round in the same few tokens. A prompt then reads half of the experts that even routing would, and
steps find them in a cache.

    what the layers add    all together a fifth of the embedding
    but the last block     unscaled: the next token depends on this one as by chance
    last norm              every second weight is negative: a tied head does not prefer the token
    biases of the router   0, and those that choose beside it

So the stream stays the token's own embedding, and a router's scores are as good as drawn anew for
every token and layer. No shape and no operator changes.
"""

import re
from collections.abc import Mapping
from functools import singledispatch
from math import sqrt

from harness.models.specs.blocks import CHOICE_BIAS, ROUTER
from harness.models.specs.layers import FeedForward
from harness.models.specs.model import NORM_ORDERS, AnySpec, ModelSpec

LAST_NORM = "model.norm.weight"
ADDED_SHARE = 0.2  # of the deviation of an embedding, of all that layers add but the last block
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
_WRITES = re.compile(r"(?:.*\.)?(?:o_proj|out_proj|down_proj)\.(?:weight|bias)")
_BLOCK = re.compile(r"mlp\..*")


@singledispatch
def mixture_of(spec: AnySpec) -> ModelSpec | None:
    """Return an architecture whose seeded weights are made so: one with experts."""
    return None


@mixture_of.register
def _mixture(spec: ModelSpec) -> ModelSpec | None:
    return None if spec.experts is None else spec


def factor_of(spec: ModelSpec, name: str, embedding_deviation: float) -> float:
    """Return what all values of a seeded tensor are multiplied by.

    Args:
        spec: a mixture.
        name: of the tensor.
        embedding_deviation: of a row of the embedding.
    """
    found = _LAYER.fullmatch(name)
    if found is None:
        return 1.0
    layer, part = int(found[1]), found[2]
    if part in (f"{ROUTER}.bias", CHOICE_BIAS):
        return 0.0
    if not _writes(spec, part) or (layer == spec.num_layers - 1 and _is_last(spec, layer, part)):
        return 1.0
    multiplier = sqrt(spec.hidden_size) if spec.scaled_embedding else spec.embedding_multiplier
    return ADDED_SHARE * embedding_deviation * multiplier / sqrt(2 * spec.num_layers)


def _writes(spec: ModelSpec, part: str) -> bool:
    """Whether a tensor scales what a layer adds: its last matrix, or a norm behind it."""
    after = _norms_behind(spec)
    if after:
        return part.removesuffix(".weight") in after.values()
    return _WRITES.fullmatch(part) is not None


def _is_last(spec: ModelSpec, layer: int, part: str) -> bool:
    """Whether it belongs to the last thing that a layer adds."""
    has_block = spec.layer(layer).feed_forward is not FeedForward.NONE
    after = _norms_behind(spec)
    if after:
        return part.removesuffix(".weight") == after["block" if has_block else "attention"]
    return (_BLOCK.fullmatch(part) is not None) is has_block


def _norms_behind(spec: ModelSpec) -> Mapping[str, str]:
    """Return the norms that stand between a layer's parts and the stream; none of most models."""
    order = NORM_ORDERS[spec.norm_order]
    if not order.after_attention:
        return {}
    return {"attention": order.after_attention, "block": order.after_block}
