"""Why a model is slower or larger than its size says, and how far counts differ at all. Pure.

A table of causes, one row each. Every cause is a cost: what a model has to do, or to keep, beside
what its parameter count stands for. Costs are ratios, so that one 1.2 times that of the others is
worth 20 % of the metric, and one cause can be weighed against another. They are those of ONNX
Runtime on the CPU, as in the estimates of the records.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from harness.builder.quantize.levels import QuantLevel
from harness.core.units import GB, KIB
from harness.estimator.cell import TYPICAL_OPERATOR_S
from harness.estimator.memory import ORT_CPU, stored_model_bytes
from harness.estimator.nodes import operator_calls
from harness.estimator.query import stored_bits
from harness.estimator.work import Pass, Work, attention_work
from harness.models.catalog.catalog import catalog_model, is_described
from harness.models.specs.structure import ModelStructure, Role
from harness.stats.power_law import LEAST_SIZES, fit_power_law, percent_of_factor

# What could be read while one operator is called. Assumes: 20 GB/s, the memory of a laptop.
CALL_BYTES = TYPICAL_OPERATOR_S * 20 * GB
MILLION = 10**6
# A cause that is worth less than this share of what it should explain is not named for it.
LEAST_SHARE = 0.25
SIMILAR_SIZE = 1.5  # the larger of two models has at most this many times the parameters
CACHE_VALUE_BYTES = 4  # of an fp32 cache, which every level but fp16 has


@dataclass(frozen=True, slots=True)
class Setting:
    """What all models of a fit share, as far as a cost depends on it.

    Attributes:
        level: how the weights are stored.
        prompt_tokens: of the prefill; 0 in a decode test.
        depth_tokens: in the cache.
        batch: sequences.
    """

    level: QuantLevel
    prompt_tokens: int = 0
    depth_tokens: int = 0
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Cause:
    """One way in which models of the same size differ.

    Attributes:
        name: of what is counted.
        metrics: that it touches.
        count: of a model, for a reader to check; above 0.
        form: draws the count, with its unit.
        cost: of a model, as a ratio to what its parameter count stands for; above 0.
        because: how the count becomes time or bytes.
    """

    name: str
    metrics: tuple[str, ...]
    count: Callable[[ModelStructure, Setting], float]
    form: str
    cost: Callable[[ModelStructure, Setting], float]
    because: str


def _rule_bytes(structure: ModelStructure, setting: Setting) -> float:
    """What the parameter count stands for: parameters · bits / 8, scales of blocks included."""
    return structure.parameters * stored_bits(setting.level) / 8


def _used_parameters(structure: ModelStructure, *roles: Role) -> int:
    """Parameters that one token uses, of the groups with these roles."""
    return sum(
        group.outputs * group.inputs * group.active_copies
        for group in structure.groups
        if group.role in roles
    )


def _table_percent(structure: ModelStructure, _setting: Setting) -> float:
    return 100 * structure.table_parameters / structure.parameters


def _multiplied(structure: ModelStructure, setting: Setting) -> float:
    """Parameters that a prompt token is multiplied by; the head meets the last token only."""
    head = _used_parameters(structure, Role.HEAD, Role.TIED) / setting.prompt_tokens
    return (_used_parameters(structure, Role.BODY) + head) / structure.parameters


def _with_mapped_table(structure: ModelStructure, _setting: Setting) -> float:
    """The file's pages of a tied table stay resident beside the packed copy; estimates.memory."""
    return 1 + _used_parameters(structure, Role.TIED) / structure.parameters


def _read_percent(structure: ModelStructure, setting: Setting) -> float:
    return 100 * _read(structure, setting)


def _read(structure: ModelStructure, _setting: Setting) -> float:
    return structure.read_parameters / structure.parameters


def _without_table(structure: ModelStructure, _setting: Setting) -> float:
    """Only looked up rows of a table apart from the head become resident; estimates.memory."""
    return 1 - _used_parameters(structure, Role.TABLE) / structure.parameters


def _cache_per_million(structure: ModelStructure, setting: Setting) -> float:
    cache_bytes = structure.kv_bytes_per_token(setting.level.float_bytes)
    return cache_bytes * MILLION / structure.parameters


def _cache(structure: ModelStructure, setting: Setting) -> float:
    """Keys and values of every token, beside the weights."""
    tokens = setting.batch * (setting.depth_tokens + setting.prompt_tokens)
    cache_bytes = tokens * structure.kv_bytes_per_token(setting.level.float_bytes)
    return 1 + cache_bytes / _rule_bytes(structure, setting)


def _layers_per_billion(structure: ModelStructure, _setting: Setting) -> float:
    return structure.num_layers * 1000 * MILLION / structure.parameters


def _calls(structure: ModelStructure, setting: Setting) -> float:
    """Operator calls of one step, as bytes that could be read meanwhile."""
    calls = operator_calls(structure, setting.level, structure.num_layers)
    return 1 + calls * CALL_BYTES / _rule_bytes(structure, setting)


def _queries_per_million(structure: ModelStructure, _setting: Setting) -> float:
    width = sum(a.layers * a.heads * a.head_dim for a in structure.attention)
    return width * MILLION / structure.parameters


def _attention(structure: ModelStructure, setting: Setting, tokens: int) -> list[Work]:
    """The attention of one pass over new tokens."""
    shape = Pass(tokens, setting.depth_tokens, setting.batch)
    return [attention_work(a, setting.level, ORT_CPU, shape) for a in structure.attention]


def _attention_reads(structure: ModelStructure, setting: Setting) -> float:
    """Cached keys and values that one step reads, beside the weights."""
    read_bytes = sum(work.read_bytes for work in _attention(structure, setting, 1))
    return 1 + read_bytes / _rule_bytes(structure, setting)


def _attention_flop(structure: ModelStructure, setting: Setting) -> float:
    """Multiplications of attention, beside two flop per parameter and token."""
    tokens = setting.prompt_tokens
    flop = sum(work.flop for work in _attention(structure, setting, tokens))
    return 1 + flop / (2 * structure.parameters * tokens * setting.batch)


def _stored_bits(structure: ModelStructure, setting: Setting) -> float:
    return 8 * stored_model_bytes(structure, setting.level) / structure.parameters


def _stored(structure: ModelStructure, setting: Setting) -> float:
    return stored_model_bytes(structure, setting.level) / _rule_bytes(structure, setting)


PREFILL_SPEEDS = ("prefill_tok_s", "ttft_ms")

# In the order in which equally good ones are preferred.
CAUSES = (
    Cause(
        "embedding and head",
        PREFILL_SPEEDS,
        count=_table_percent,
        form="{:.0f} % of parameters",
        cost=_multiplied,
        because="a prompt token is not multiplied by them",
    ),
    Cause(
        "embedding and head",
        ("peak_rss_bytes",),
        count=_table_percent,
        form="{:.0f} % of parameters",
        cost=_with_mapped_table,
        because="the largest table stands twice in memory while it is packed",
    ),
    Cause(
        "read per token",
        ("decode_tok_s",),
        count=_read_percent,
        form="{:.0f} % of parameters",
        cost=_read,
        because="tables that are looked up and experts that are not chosen are not read",
    ),
    Cause(
        "read per token",
        ("peak_rss_bytes",),
        count=_read_percent,
        form="{:.0f} % of parameters",
        cost=_without_table,
        because="an embedding apart from the head stays in the file",
    ),
    Cause(
        "cache per token",
        ("peak_rss_bytes",),
        count=_cache_per_million,
        form="{:.0f} bytes per million parameters",
        cost=_cache,
        because="it grows with depth and knows nothing of size",
    ),
    Cause(
        "layers",
        ("decode_tok_s",),
        count=_layers_per_billion,
        form="{:.0f} per billion parameters",
        cost=_calls,
        because="calling an operator takes the same time at any size",
    ),
    Cause(
        "query heads x width x layers",
        ("decode_tok_s",),
        count=_queries_per_million,
        form="{:.0f} per million parameters",
        cost=_attention_reads,
        because="each query head reads the cache",
    ),
    Cause(
        "query heads x width x layers",
        PREFILL_SPEEDS,
        count=_queries_per_million,
        form="{:.0f} per million parameters",
        cost=_attention_flop,
        because="each query head is multiplied by every key",
    ),
    Cause(
        "stored bits per parameter",
        ("decode_tok_s", "peak_rss_bytes", "weights_bytes"),
        count=_stored_bits,
        form="{:.2f}",
        cost=_stored,
        because="rows are filled up to whole blocks, and tables have scales of their own",
    ),
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The cause that explains most of a model's distance from the law.

    Attributes:
        cause: its row.
        count: of the model.
        usual_count: what the group's own law of that count gives at the model's size.
        worth_ln: what the cause alone would do to time or bytes, as a logarithm; above 0: more.
    """

    cause: Cause
    count: float
    usual_count: float
    worth_ln: float

    @property
    def text(self) -> str:
        """The cause, the counts, how they matter, and how much."""
        count = self.cause.form.format(self.count)
        usual_count = self.cause.form.format(self.usual_count).partition(" ")[0]
        worth = f"worth {percent_of_factor(self.worth_ln):.0f} %"
        return f"{self.cause.name} {count} (usual {usual_count}): {self.cause.because}; {worth}"


def find_structure(model: str, parameters: int) -> ModelStructure | None:
    """Return a catalog model's structure; None for a local folder, or when the count differs."""
    if not is_described(model):
        return None
    structure = catalog_model(model).structure
    return structure if structure.parameters == parameters else None


def explain(
    metric: str,
    cost_ln: float,
    breaker: ModelStructure,
    group: Sequence[ModelStructure],
    setting: Setting,
) -> Explanation | None:
    """Return the cause of CAUSES that explains most of a model's distance from the law.

    A cause is worth the distance of the model's cost from the group's own power law of that cost,
    in the direction to be explained. A law of metric = parameters · cost would leave exactly this
    residual. What simply comes with size is no cause: a small model has more layers per parameter
    than any large one, and the fitted exponent has taken that up already.

    Args:
        metric: that was fitted.
        cost_ln: ln(measured / fitted) of the breaker, of a time or of bytes, not 0; above 0: more.
        breaker: one of `group`.
        group: the models of the fit whose structure is known.
        setting: what they share.

    Returns:
        None when the group is too small, or no cause is worth LEAST_SHARE of `cost_ln`.
    """
    if len({structure.parameters for structure in group}) < LEAST_SIZES:
        return None
    found = [
        _explanation(cause, breaker, group, setting) for cause in CAUSES if metric in cause.metrics
    ]
    enough = [row for row in found if row.worth_ln / cost_ln >= LEAST_SHARE]
    return max(enough, key=lambda row: abs(row.worth_ln), default=None)


def counts_note(structures: Sequence[ModelStructure]) -> str | None:
    """Say in one line how far the counts of the models differ at all; None for fewer than two.

    Args:
        structures: each once.
    """
    if len(structures) < 2:
        return None
    by_share = sorted(structures, key=lambda structure: (_table_share(structure), structure.name))
    low, high = (f"{100 * _table_share(a):.0f} % ({a.name})" for a in (by_share[0], by_share[-1]))
    parts = [f"embedding and head are {low} to {high} of the parameters", *_cache_part(structures)]
    return f"counts of the {len(structures)} models known here: {'; '.join(parts)}"


def _explanation(
    cause: Cause, breaker: ModelStructure, group: Sequence[ModelStructure], setting: Setting
) -> Explanation:
    """Set a model's count and cost beside those that its size says in this group."""
    place, sizes = group.index(breaker), [structure.parameters for structure in group]
    counts = [cause.count(structure, setting) for structure in group]
    costs = [cause.cost(structure, setting) for structure in group]
    from_usual_ln = fit_power_law(sizes, counts).residuals_ln[place]
    worth_ln = fit_power_law(sizes, costs).residuals_ln[place]
    return Explanation(cause, counts[place], counts[place] / math.exp(from_usual_ln), worth_ln)


def _table_share(structure: ModelStructure) -> float:
    """Share of the parameters in embedding and head."""
    return structure.table_parameters / structure.parameters


def _cache_part(structures: Sequence[ModelStructure]) -> list[str]:
    """The two models of similar size whose caches differ most; nothing without such a pair."""
    pairs = [
        sorted(pair, key=lambda structure: structure.kv_bytes_per_token(CACHE_VALUE_BYTES))
        for pair in combinations(sorted(structures, key=lambda structure: structure.name), 2)
        if _sizes_are_similar(*pair)
    ]
    if not pairs:
        return []
    low, high = max(pairs, key=lambda pair: _cache_kib(pair[1]) / _cache_kib(pair[0]))
    return [
        f"of similar size, {low.name} adds {_cache_kib(low):,.0f} KiB of cache per token and "
        f"{high.name} {_cache_kib(high):,.0f}"
    ]


def _sizes_are_similar(first: ModelStructure, second: ModelStructure) -> bool:
    """Whether both have a cache, and about as many parameters."""
    sizes = sorted((first.parameters, second.parameters))
    return min(_cache_kib(first), _cache_kib(second)) > 0 and sizes[1] <= SIMILAR_SIZE * sizes[0]


def _cache_kib(structure: ModelStructure) -> float:
    """KiB of fp32 cache per token."""
    return structure.kv_bytes_per_token(CACHE_VALUE_BYTES) / KIB
