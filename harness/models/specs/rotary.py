"""Rotary frequencies of a model, stretched ones included."""

import math

import numpy as np
import numpy.typing as npt

from harness.models.specs.model import ModelSpec, RopeScaling

Frequencies = npt.NDArray[np.float64]


def inverse_frequencies(
    spec: ModelSpec, *, windowed: bool = False, theta: float | None = None
) -> npt.NDArray[np.float32]:
    """Return the angle per token of each rotated pair, in radians, [rotated values / 2].

        f_i = theta^(-2i / d)

    d is how many values of a head are rotated. The angle of pair i at position p is p · f_i, as
    RotaryEmbedding of transformers has it.

    Args:
        spec: the architecture.
        windowed: of layers with a window, where they have a base of their own, unstretched.
        theta: of layers with this base; None: with the model's.
    """
    dim = spec.rotated_dim if windowed else spec.full_head_dim or spec.rotated_dim
    exponents = np.arange(0, dim, 2, dtype=np.float64) / dim
    if windowed and spec.local_rope_theta is not None:
        return np.asarray(spec.local_rope_theta**-exponents, dtype=np.float32)
    frequencies = (spec.rope_theta if theta is None else theta) ** -exponents
    if spec.rope_scaling is not None:
        frequencies = _STRETCH[spec.rope_scaling.kind](frequencies, spec.rope_scaling, spec)
    return np.asarray(frequencies, dtype=np.float32)


def _linear(frequencies: Frequencies, scaling: RopeScaling, _spec: ModelSpec) -> Frequencies:
    """Divide every frequency by the factor (position interpolation, arXiv:2306.15595)."""
    return frequencies / scaling.factor


def _llama3(frequencies: Frequencies, scaling: RopeScaling, _spec: ModelSpec) -> Frequencies:
    """Divide long waves by the factor, keep short ones, blend in between.

        blend = (context / wavelength - low) / (high - low), clipped to 0..1
        f' = blend · f + (1 - blend) · f / factor

    Source: _compute_llama3_parameters of transformers (modeling_rope_utils.py).
    """
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    waves_per_context = scaling.original_context_tokens * frequencies / (2 * math.pi)
    blend = np.clip((waves_per_context - low) / (high - low), 0.0, 1.0)
    return np.asarray(blend * frequencies + (1 - blend) * frequencies / scaling.factor)


def _longrope(frequencies: Frequencies, scaling: RopeScaling, _spec: ModelSpec) -> Frequencies:
    """Divide each frequency by its own number (arXiv:2402.13753)."""
    return np.asarray(frequencies / np.array(scaling.divisors))


def _yarn(frequencies: Frequencies, scaling: RopeScaling, spec: ModelSpec) -> Frequencies:
    """Keep frequencies that turn often, divide those that seldom do, blend in between.

        pair(n) = d / 2 · ln(context / 2πn) / ln(theta): the pair that turns n times
        kept = 1 - (i - pair(fast)) / (pair(slow) - pair(fast)), clipped to 0..1
        f' = kept · f + (1 - kept) · f / factor

    Source: arXiv:2309.00071; _compute_yarn_parameters of transformers (modeling_rope_utils.py).
    """
    dim, context = spec.rotated_dim, scaling.original_context_tokens

    def pair(turns: float) -> float:
        return dim / 2 * math.log(context / (turns * 2 * math.pi)) / math.log(spec.rope_theta)

    first, last = pair(scaling.fast_turns), pair(scaling.slow_turns)
    if scaling.whole_pairs:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, dim - 1)
    last += 0.001 if first == last else 0
    kept = 1 - np.clip((np.arange(dim // 2) - first) / (last - first), 0.0, 1.0)
    return np.asarray(kept * frequencies + (1 - kept) * frequencies / scaling.factor)


def _ntk(frequencies: Frequencies, scaling: RopeScaling, spec: ModelSpec) -> Frequencies:
    """Turn as with the base theta · factor^(d / (d - 2)), whatever the length (Hunyuan's alpha)."""
    dim = spec.rotated_dim
    share = np.arange(dim // 2) * 2 / dim
    return np.asarray(frequencies * scaling.factor ** (-share * dim / (dim - 2)))


def _proportional(frequencies: Frequencies, scaling: RopeScaling, _spec: ModelSpec) -> Frequencies:
    """Turn the first pairs only; the others stay (_compute_proportional_rope_parameters)."""
    turned = int(scaling.turned_share * len(frequencies))
    kept = np.arange(len(frequencies)) < turned
    return np.asarray(np.where(kept, frequencies / scaling.factor, 0.0))


_STRETCH = {
    "linear": _linear,
    "llama3": _llama3,
    "longrope": _longrope,
    "yarn": _yarn,
    "ntk": _ntk,
    "proportional": _proportional,
}
