"""An estimate as flat values with units in their names: what CSV and JSON hold."""

from msgspec import to_builtins

from harness.estimator.answer import METHOD_VERSION, Estimate
from harness.estimator.query import Range
from harness.estimator.timing import Breakdown
from harness.results.explanation import EstimatedTerm

Value = str | int | float | bool | None


def flat_values(estimate: Estimate) -> dict[str, Value]:
    """Return every number of an estimate under a name with its unit; a range is two values."""
    return {**_asked(estimate), **_sizes(estimate), **_speeds(estimate), **_energy(estimate)}


def breakdown_values(breakdown: Breakdown) -> list[dict[str, Value]]:
    """Return the terms of a time as plain values."""
    values: list[dict[str, Value]] = to_builtins(estimated_terms(breakdown))
    return values


def estimated_terms(breakdown: Breakdown) -> tuple[EstimatedTerm, ...]:
    """Return the terms of a time, in order: what is read and computed, and how long it takes."""
    return tuple(
        EstimatedTerm(
            pass_name=breakdown.name,
            term=term.work.name,
            kernel=term.work.kernel,
            read_bytes=term.work.read_bytes,
            flop=term.work.flop,
            calls=term.work.calls,
            seconds=term.seconds,
            bound=term.bound,
        )
        for term in breakdown.terms
    )


def _asked(estimate: Estimate) -> dict[str, Value]:
    """What was asked, and how large the model is."""
    case = estimate.case
    structure = case.target.structure
    return {
        "model": case.target.name,
        "level": case.level.name,
        "device": case.device.key,
        "engine": case.engine.kind,
        "runtime": case.runtime_word if case.peaks is None else None,
        "runtime_named": bool(case.runtime_of) if case.peaks is None else None,
        "precision": case.precision or None,
        "context_tokens": (case.static_tokens or None) if case.peaks is None else None,
        "depth_tokens": case.lengths.depth_tokens,
        "prompt_tokens": case.lengths.prompt_tokens,
        "gen_tokens": case.lengths.gen_tokens or None,
        "turn": case.lengths.turn or None,
        "batch": case.lengths.batch,
        "capacity_tokens": case.lengths.capacity_tokens or None,
        "parameters": case.target.parameters,
        "active_parameters": None if structure is None else structure.active_parameters,
        "read_parameters": None if structure is None else structure.read_parameters,
        "count_basis": case.target.basis,
    }


def _sizes(estimate: Estimate) -> dict[str, Value]:
    """Bytes, and whether they fit."""
    sizes = estimate.sizes
    peak = sizes.peak_bytes
    return {
        "weights_bytes": round(sizes.weights_bytes),
        "kv_bytes_per_token": sizes.kv_bytes_per_token,
        "peak_bytes": round(sizes.memory.peak_bytes),
        "peak_bytes_low": None if peak is None else round(peak.low),
        "peak_bytes_high": None if peak is None else round(peak.high),
        "available_bytes": round(sizes.available_bytes),
        "fits": sizes.fits,
    }


def _speeds(estimate: Estimate) -> dict[str, Value]:
    """Times and rates at both ends."""
    speeds = estimate.speeds
    return {
        **_ends("ttft_ms", speeds.ttft_s, 1e3),
        **_ends("reread_ttft_ms", speeds.reread_ttft_s, 1e3),
        **_ends("encode_ms", speeds.encode_s, 1e3),
        **_ends("prefill_tok_s", speeds.prefill_tok_s),
        **_ends("decode_tok_s", speeds.decode_tok_s),
        "bound": speeds.bound,
        "naive_decode_tok_s": estimate.naive_decode_tok_s,
    }


def _energy(estimate: Estimate) -> dict[str, Value]:
    """Energy, cost, and where the numbers come from."""
    energy = estimate.energy
    return {
        "energy_floor_j": energy.floor_j,
        **_ends("energy_modelled_j", energy.modelled_j),
        **_ends("cost_per_million_tokens", energy.cost_per_million_tokens),
        "basis": estimate.basis,
        **_evidence(estimate),
        "method_version": METHOD_VERSION,
    }


def _evidence(estimate: Estimate) -> dict[str, Value]:
    """What stands behind the ranges: published decode rates, and how many of them they hold."""
    counts = {"coverage": estimate.coverage}
    for name, one in zip(("device", "class"), estimate.evidence, strict=False):
        counts |= {f"published_{name}_rows": one.rows, f"published_{name}_inside": one.inside}
    return {**counts}


def _ends(name: str, ends: Range | None, factor: float = 1.0) -> dict[str, Value]:
    """Return `name_low` and `name_high`, null where not known."""
    if ends is None:
        return {f"{name}_low": None, f"{name}_high": None}
    return {f"{name}_low": ends.low * factor, f"{name}_high": ends.high * factor}
