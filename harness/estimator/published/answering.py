"""What an engine of a catalog device would take, by the engines' table: times, memory, power.

    step = Σ bytes / (share · reference rate) + layers · time of a layer
    first token = flop / (share · peak) + reading all weights once + layers + a request's rest

Each range holds four fifths of what is published, as far as the table knows: its width is that of
its two constants and of single rows; where no runtime is named, of runtimes too.
"""

from dataclasses import dataclass, replace
from math import log

from harness.builder.quantize.levels import QuantLevel
from harness.estimator.memory import MemoryBreakdown, MemoryTerm
from harness.estimator.published.amounts import (
    STEP_SHARE,
    StepAmounts,
    compute_flop_per_s,
    counted_amounts,
    model_file_bytes,
    pass_flop,
    reference_bytes_per_s,
    stated_w,
    step_amounts,
)
from harness.estimator.published.effects import FLOAT_ACTIVATIONS, Place, place_of, runs
from harness.estimator.published.memory import counted_memory
from harness.estimator.published.runtimes import file_bits
from harness.estimator.published.table import Cell, KindRow, Spread, engine_table, two_part
from harness.estimator.timing import Breakdown, Term
from harness.estimator.work import Work
from harness.models.catalog.devices import CatalogDevice, Engine
from harness.models.specs.structure import ModelStructure

MOST_READ = 0.97  # of a memory's bandwidth: what few rows let expect beyond it is no rate
# The same of the fast end of a range: makers round, and bytes are counted to a few percent.
FASTEST_READ = 1.05
US, MS, MB = 1e-6, 1e-3, 1e6
READS, SPENDS, NEITHER = 0, 1, -1  # which constant of a pair a part follows


@dataclass(frozen=True, slots=True)
class Question:
    """A model on an engine under a runtime.

    Attributes:
        device: of the catalog.
        engine: of the device.
        runtime: our word.
        is_named: somebody chose it; else it is the usual one, and others are reckoned with.
        level: how weights are stored.
        precision: of an NPU's format; empty: the usual one.
        structure: of the model; None: only its count is known.
        parameters: its count.
        depth_tokens: where the step stands, and what a prompt follows.
        prompt_tokens: of the prefill.
        batch: sequences at once.
        context_tokens: of a static graph; 0: the cache grows.
    """

    device: CatalogDevice
    engine: Engine
    runtime: str
    is_named: bool
    level: QuantLevel
    precision: str
    structure: ModelStructure | None
    parameters: int
    depth_tokens: int
    prompt_tokens: int
    batch: int
    context_tokens: int

    @property
    def place(self) -> Place:
        """Where it runs."""
        return place_of(self.device, self.engine, self.runtime)

    @property
    def cell(self) -> Cell:
        """The nearest constants."""
        return engine_table().cell(self.place)

    @property
    def kind(self) -> KindRow:
        """What all engines of the kind share."""
        return engine_table().kind(self.place.kind)

    @property
    def encodes(self) -> bool:
        """Whether what stands for a prefill is an encoder's pass."""
        model = self.structure
        return model is not None and (not model.decodes or model.encoder_tokens is not None)

    @property
    def slower(self) -> float:
        """A step over one of the usual format."""
        return self.kind.float_step if self.precision == FLOAT_ACTIVATIONS else 1.0

    @property
    def amounts(self) -> StepAmounts:
        """Of its decode step."""
        if self.structure is None:
            return counted_amounts(self.parameters, self.level, self.runtime, self.batch)
        return step_amounts(
            self.structure,
            self.level,
            self.runtime,
            depth_tokens=self.depth_tokens,
            batch=self.batch,
            context_tokens=self.context_tokens,
        )

    @property
    def basis(self) -> str:
        """Where the constants come from."""
        cell = self.cell
        owner = self.device.key if cell.device else f"engines of family {cell.family}"
        under = f"under {self.runtime}"
        if not self.is_named:
            under += " (not named: the usual one)"
        wait_us = cell.step[1]
        wait = f"{wait_us:.3g} us" if wait_us < 1000 else f"{wait_us / 1000:.3g} ms"
        run = "step" if self.place.kind == "npu" else "layer"
        return (
            f"{self.engine.kind} {self.engine.name}, {under}: {100 * cell.step[0]:.0f} % of"
            f" {reference_bytes_per_s(self.device, self.engine) / 1e9:,.4g} GB/s and {wait} a"
            f" {run}, fitted to published rows ({owner})"
        )


def file_bytes(question: Question) -> float:
    """Return the bytes of the weights in the runtime's file."""
    if question.structure is not None:
        return model_file_bytes(question.structure, question.level, question.runtime)
    bits = file_bits(question.runtime, question.level)
    per_weight = question.level.body.bits_per_weight if bits is None else bits[0]
    return question.parameters * per_weight / 8


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a time.

    Attributes:
        work: what is done.
        seconds: at the centre.
        owner: READS, SPENDS or NEITHER.
        bound: what it waits for.
    """

    work: Work
    seconds: float
    owner: int
    bound: str


def step_time(question: Question) -> tuple[Breakdown, Breakdown]:
    """Return one decode step at the slow and at the fast end of its range."""
    parts = _step_parts(question, question.cell)
    spread = _spread(parts, question.cell.step, question.kind.step_noise)
    others = _between_runtimes(question, spread)
    spread = replace(spread, deviation=others)
    read_bytes = sum(part.work.read_bytes for part in parts)
    least_s = read_bytes / (FASTEST_READ * question.device.bandwidth_bytes_per_s)
    return _ends("decode step", parts, spread, question.basis, least_s)


def pass_time(
    question: Question, *, with_request: bool = True
) -> tuple[Breakdown, Breakdown] | None:
    """Return the time to the first token, or an encoder's pass, at both ends.

    Returns:
        None where no peak of the engine is stated.
    """
    peak = compute_flop_per_s(question.engine, question.level.weight_bits)
    if peak is None:
        return None
    name = "encode" if question.encodes else "prefill"
    parts = _pass_parts(question, peak, with_request=with_request)
    spread = _spread(parts, question.cell.prefill, question.kind.pass_noise)
    return _ends(name, parts, spread, question.basis)


def _step_parts(question: Question, cell: Cell) -> tuple[Part, ...]:
    """Return the parts of a step at the centre."""
    amounts = question.amounts
    rate = _read_rate(question, cell)
    weights = amounts.body_bytes + amounts.head_bytes
    peak = compute_flop_per_s(question.engine, question.level.weight_bits)
    busy_s = 0.0 if peak is None else _busy_s(question, cell, amounts.flop, peak)
    parts = []
    for name, read, flop in (
        ("body", amounts.body_bytes, amounts.flop * amounts.body_bytes / weights),
        ("head", amounts.head_bytes, amounts.flop * amounts.head_bytes / weights),
        ("cache", amounts.cache_bytes, 0.0),
    ):
        read_s = read / rate
        compute_s = busy_s * read / weights if flop else 0.0
        seconds = question.slower * max(read_s, compute_s)
        work = Work(name, f"read under {question.runtime}", question.batch, read, flop, flop)
        parts.append(Part(work, seconds, READS, "memory" if read_s >= compute_s else "compute"))
    waits = runs(question.place.kind, amounts.layers)
    spent_s = question.slower * waits * cell.step[1] * US
    work = Work("layers", "time of a layer", question.batch, calls=waits)
    parts.append(Part(work, spent_s, SPENDS, "overhead"))
    return tuple(part for part in parts if part.seconds)


def _busy_s(question: Question, cell: Cell, flop: float, peak: float) -> float:
    """Return how long the products of a step take: of one row as it reads, of several as a pass."""
    as_read = _read_rate(question, cell) / reference_bytes_per_s(question.device, question.engine)
    one_row_s = flop / question.batch / (STEP_SHARE * peak * as_read)
    if question.batch == 1:
        return one_row_s
    return max(one_row_s, flop / (peak * _compute_share(question, cell)))


def _pass_parts(question: Question, peak: float, *, with_request: bool) -> tuple[Part, ...]:
    """Return the parts of a pass over the prompt at the centre."""
    cell, rows = question.cell, question.prompt_tokens * question.batch
    flop = _pass_flop(question)
    slower = question.kind.float_pass if question.precision == FLOAT_ACTIVATIONS else 1.0
    if question.encodes:
        slower *= question.kind.encoder
    compute_s = flop / (peak * _compute_share(question, cell))
    work = Work("arithmetic", f"multiply under {question.runtime}", rows, 0.0, flop, flop)
    parts = [Part(work, slower * compute_s, READS, "compute")]
    if question.encodes:
        return tuple(parts)
    amounts = question.amounts
    weights = amounts.body_bytes + amounts.head_bytes
    streamed = Work("weights, once", f"read under {question.runtime}", rows, weights)
    parts.append(Part(streamed, slower * weights / _read_rate(question, cell), NEITHER, "memory"))
    waits = runs(question.place.kind, amounts.layers)
    layers = Work("layers", "time of a layer", rows, calls=waits)
    waited_s = waits * cell.step[1] * US
    parts.append(Part(layers, slower * waited_s, NEITHER, "overhead"))
    if with_request:
        request = Work("request", "time of a request", rows, calls=1.0)
        parts.append(Part(request, slower * cell.prefill[1] * MS, SPENDS, "overhead"))
    return tuple(parts)


def _pass_flop(question: Question) -> float:
    """Return the flop of the pass over the prompt."""
    if question.structure is None:
        return 2.0 * question.parameters * question.prompt_tokens * question.batch
    return pass_flop(
        question.structure,
        question.level,
        prompt_tokens=question.prompt_tokens,
        depth_tokens=question.depth_tokens,
        batch=question.batch,
        context_tokens=0 if question.encodes else question.context_tokens,
    )


def _read_rate(question: Question, cell: Cell) -> float:
    """Return the bytes per second that the engine reads at this level, its memory at most."""
    bits, kind = question.level.weight_bits, question.kind
    more = {8: kind.read_8, 16: kind.read_16, 32: kind.read_16}.get(bits, 1.0)
    rate = cell.step[0] * more * reference_bytes_per_s(question.device, question.engine)
    return min(rate, MOST_READ * question.device.bandwidth_bytes_per_s)


def _compute_share(question: Question, cell: Cell) -> float:
    """Return the share of the peak that the engine reaches at this level."""
    bits, kind = question.level.weight_bits, question.kind
    more = {8: kind.compute_8, 16: kind.compute_16, 32: kind.compute_16}.get(bits, 1.0)
    return cell.prefill[0] * more


def _spread(
    parts: tuple[Part, ...], pair: tuple[float, float, float, float, float], noise: float
) -> Spread:
    """Return the width of a sum of parts."""
    seconds = tuple(part.seconds for part in parts)
    return two_part(seconds, tuple(part.owner for part in parts), pair, noise)


def _between_runtimes(question: Question, spread: Spread) -> float:
    """Return the deviation with that of runtimes where none is named.

    Variance of a runtime drawn evenly from those published on the family: mean of the squares of
    ln (its time / the usual one's), the usual one included.
    """
    if question.is_named:
        return spread.deviation
    cells = engine_table().family_runtimes(question.place)
    centres = [sum(part.seconds for part in _step_parts(question, cell)) for cell in cells]
    squares = [log(centre / spread.centre) ** 2 for centre in centres]
    if not squares:
        return spread.deviation
    return float((spread.deviation**2 + sum(squares) / len(squares)) ** 0.5)


def _ends(
    name: str, parts: tuple[Part, ...], spread: Spread, basis: str, least_s: float = 0.0
) -> tuple[Breakdown, Breakdown]:
    """Return the slow and the fast end: every part longer, or shorter, by the same factor.

    The fast end is not below `least_s`, which nothing goes below, nor above the centre.
    """
    fastest = max(1 / spread.factor, min(1.0, least_s / spread.centre))
    slow, fast = (
        Breakdown(name, tuple(_term(part, factor) for part in parts), basis, compute_known=True)
        for factor in (spread.factor, fastest)
    )
    return slow, fast


def _term(part: Part, factor: float) -> Term:
    """Return a part as a term, longer by a factor."""
    seconds = part.seconds * factor
    reads = part.work.read_bytes > 0
    compute_s = seconds if part.bound == "compute" else None
    return Term(part.work, seconds, seconds if reads else 0.0, compute_s, part.bound)


def memory_taken(
    question: Question, *, gen_tokens: int = 0, capacity_tokens: int = 0
) -> tuple[MemoryBreakdown, Spread]:
    """Return the peak of memory and its width.

    The published peaks of a runtime that maps its file are below what is counted; such a runtime
    is still given all of it, since what it maps must fit too.
    """
    pair = engine_table().family_cell(question.place).memory or (1.0, 300.0, 0.3, 0.9, 0.0)
    if question.structure is None:
        counted = [MemoryTerm("weights", file_bytes(question))]
    else:
        known = counted_memory(
            question.structure,
            question.level,
            question.runtime,
            prompt_tokens=question.prompt_tokens,
            depth_tokens=question.depth_tokens,
            gen_tokens=gen_tokens,
            capacity_tokens=max(capacity_tokens, question.context_tokens),
            batch=question.batch,
        )
        counted = list(known.terms)
    total = sum(term.resident_bytes for term in counted)
    more, room = max(0.0, pair[0] - 1) * total, pair[1] * MB
    terms = [*counted, MemoryTerm("runtime", room), MemoryTerm("second copies", more)]
    present = [term for term in terms if term.resident_bytes]
    breakdown = MemoryBreakdown(
        tuple(sorted(present, key=lambda term: -term.resident_bytes)), question.runtime
    )
    return breakdown, two_part(
        (total + more, room), (READS, SPENDS), pair, question.kind.memory_noise
    )


def power_drawn(question: Question) -> Spread | None:
    """Return the watts of the engine while it decodes; None: none are stated of it."""
    stated = stated_w(question.device.power_w, question.engine)
    power = engine_table().family_cell(question.place).power
    if stated is None or power is None:
        return None
    deviation = (power[1] ** 2 + question.kind.power_noise**2) ** 0.5
    return Spread((stated * power[0],), float(deviation))
