"""One question to the estimators: which model at which level on what, and how long.

A catalog device answers by the engines' table (harness.estimator.published), this machine by what
was measured on it.
"""

from dataclasses import dataclass, replace

from harness.builder.quantize.levels import LEVELS, Form, MatrixFormat, QuantLevel
from harness.core.errors import UsageError, suggestion
from harness.estimator.memory import ANY_ENGINE, ORT_CPU, Runtime
from harness.estimator.published.answering import Question
from harness.estimator.published.limits import check_context, check_precision
from harness.estimator.published.runtimes import check_runtime, static_context_tokens
from harness.estimator.published.table import engine_table
from harness.models.catalog.devices import CatalogDevice, Engine, device_class
from harness.models.catalog.families import ENGINE_KINDS
from harness.models.catalog.target import EstimateTarget
from harness.results.calibration import Constants

TERA = 1e12


def pick_engine(device: CatalogDevice, level: QuantLevel, kind: str | None) -> Engine:
    """Return the engine of that kind, or without one that which people run models on.

    The one with most published rows of the device; without any the one whose family has most,
    processors only where there is nothing else; then the one with the highest peak at this level.

    Raises:
        UsageError: the device has no such engine.
    """
    if kind is not None:
        for engine in device.engine:
            if engine.kind == kind:
                return engine
        raise UsageError(
            f"{device.key} has no {kind!r} engine of {ENGINE_KINDS}",
            fix=suggestion(kind, sorted({engine.kind for engine in device.engine})),
        )
    table = engine_table()

    def used(engine: Engine) -> tuple[int, bool, int, float]:
        own, _ = table.evidence(device.key, device.device_class, engine.kind)
        peak = peak_flop_per_s(engine, level.body) or 0.0
        return own.rows, engine.kind != "cpu", table.family_rows(engine.family), peak

    return max(device.engine, key=used)


def peak_flop_per_s(engine: Engine, form: MatrixFormat) -> float | None:
    """Peak of an engine for a matrix format; None where the data sheet states nothing.

    Integer formats multiply in 8 bit, float ones at their own width. Assumes, where that width is
    not stated: half the rate at twice the bits, and 8 bit no faster than 16 bit.
    """
    int8, half, full = engine.int8_tops, engine.fp16_tflops, engine.fp32_tflops
    if form.form is not Form.FLOAT:
        tera = int8 or half or full
    elif form.bits == 16:
        tera = half or full or _divided(int8, 2)
    else:
        tera = full or _divided(half, 2) or _divided(int8, 4)
    return None if tera is None else tera * TERA


def _divided(tera: float | None, by: int) -> float | None:
    """Return a share of a peak, None of None."""
    return None if tera is None else tera / by


MAX_LENGTH = 10**9  # tokens or sequences; a typing slip, not a run


@dataclass(frozen=True, slots=True)
class Range:
    """What is expected, from the lower to the upper end of the constants.

    Attributes:
        low: smaller end.
        high: larger end.
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long and how many.

    Attributes:
        depth_tokens: already in the cache.
        prompt_tokens: of the prefill.
        batch: sequences at once.
        capacity_tokens: that the cache is allocated for; 0: as many as are needed.
        gen_tokens: decoded behind the prompt, of a turn of a chat; 0: it is none, and a step stands
            at the depth.
        turn: its number in its chat, from 1 on; 0: it is none.
    """

    depth_tokens: int = 0
    prompt_tokens: int = 128
    batch: int = 1
    capacity_tokens: int = 0
    gen_tokens: int = 0
    turn: int = 0

    @property
    def step_depth_tokens(self) -> int:
        """Where a decode step stands: of a turn the middle one of its answer."""
        if not self.gen_tokens:
            return self.depth_tokens
        return self.depth_tokens + self.prompt_tokens + max(self.gen_tokens - 2, 0) // 2

    @property
    def read_again(self) -> "Lengths":
        """The same, its prompt all that is before it too: nothing is in the cache."""
        return replace(self, prompt_tokens=self.depth_tokens + self.prompt_tokens, depth_tokens=0)

    def __post_init__(self) -> None:
        """Refuse lengths that describe no run."""
        lengths = (self.depth_tokens, self.prompt_tokens, self.gen_tokens, self.batch)
        if max(*lengths, self.capacity_tokens) > MAX_LENGTH:
            raise UsageError(
                f"a length, batch or capacity is above {MAX_LENGTH:,}, the most that is estimated",
                fix="--depth 4096 --prompt 512",
            )
        if self.depth_tokens < 0:
            raise UsageError(
                f"--depth {self.depth_tokens} is negative: it takes whole numbers from 0 on",
                fix="--depth 0",
            )
        if self.prompt_tokens < 1 or self.batch < 1:
            raise UsageError(
                f"--prompt {self.prompt_tokens} and --batch {self.batch} must be positive",
                fix="--prompt 128 --batch 1",
            )
        needed = self.depth_tokens + self.prompt_tokens + self.gen_tokens
        if self.capacity_tokens and self.capacity_tokens < needed:
            what = f"turn {self.turn} needs" if self.turn else "depth and prompt need"
            shorter = "--turns" if self.turn else "--prompt or --depth"
            raise UsageError(
                f"--capacity {self.capacity_tokens}: {what} {needed} positions of the cache",
                fix=f"--capacity {needed} or more, or a shorter {shorter}",
            )


@dataclass(frozen=True, slots=True)
class Budget:
    """The memory a model may use.

    Attributes:
        total_bytes: that the device carries.
        os_share: of it, kept by the operating system and others.
        is_stated: the user said how much; else it is the most that is sold.
    """

    total_bytes: int
    os_share: float
    is_stated: bool

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0 <= self.os_share < 1:
            raise UsageError(
                f"--os-share {self.os_share} is no share: it takes numbers from 0 on and below 1",
                fix="--os-share 0.25",
            )
        if self.total_bytes <= 0:
            raise UsageError(
                f"--memory is {self.total_bytes} bytes, and must be above 0", fix="--memory 8GB"
            )

    @property
    def available_bytes(self) -> float:
        """What is left for the model and its runtime."""
        return self.total_bytes * (1 - self.os_share)


@dataclass(frozen=True, slots=True)
class Case:
    """Everything an estimate depends on.

    Attributes:
        target: the model as far as it is known.
        level: how it is stored.
        device: a row of the catalog.
        engine: the processor that multiplies.
        lengths: depth, prompt and batch.
        budget: memory it may use.
        peaks: measured here, at the slow and at the fast end of their intervals; None: those
            of the engines' table.
        runtime_of: that runs it there; empty: the one that its users run.
        precision: of an NPU's format; empty: the usual one.
        context_tokens: of an NPU's static graph; 0: the usual one.
    """

    target: EstimateTarget
    level: QuantLevel
    device: CatalogDevice
    engine: Engine
    lengths: Lengths
    budget: Budget
    peaks: tuple[Constants, Constants] | None = None
    runtime_of: str = ""
    precision: str = ""
    context_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse a cache that is allocated for more than the model takes, or by none.

        Raises:
            UsageError: see above; or turns of what decodes nothing.
        """
        capacity, structure = self.lengths.capacity_tokens, self.target.structure
        if self.peaks is None:
            self._check_runtime()
        if self.lengths.gen_tokens and not self.decodes:
            raise UsageError(
                f"--turns: {self.target.name} decodes nothing", fix="leave --turns out"
            )
        if not capacity:
            return
        if structure is None or not structure.decodes:
            why = "keeps no cache" if structure else "is a bare count: its cache is not known"
            raise UsageError(
                f"--capacity {capacity}: {self.target.name} {why}", fix="leave --capacity out"
            )
        if capacity > structure.max_context_tokens:
            raise UsageError(
                f"--capacity {capacity}: {self.target.name} takes"
                f" {structure.max_context_tokens} tokens at most",
                fix=f"--capacity max, or {structure.max_context_tokens} and below",
            )

    def _check_runtime(self) -> None:
        """Refuse a runtime, a format or a context that the engine does not take."""
        name = f"{self.engine.kind} of {self.device.key}"
        if self.runtime_of:
            check_runtime(self.runtime_of, self.engine.family, name)
        if self.precision:
            check_precision(self.precision, self.engine.kind, self.level)
        if self.decodes:
            needed = (self.lengths.prompt_tokens, self.lengths.step_depth_tokens)
            check_context(self.context_tokens, self.static_tokens, self.runtime_word, name, needed)

    @property
    def runtime_word(self) -> str:
        """The runtime that was named, or the one that the device's users run."""
        defaults = engine_table().defaults
        usual = defaults.get(f"{self.device.key} {self.engine.kind}")
        return self.runtime_of or usual or defaults.get(self.engine.family, "llama.cpp")

    @property
    def static_tokens(self) -> int:
        """Positions that every step reads: of a static graph; 0: as many as there are."""
        usual = static_context_tokens(self.runtime_word, self.engine.kind)
        structure = self.target.structure
        if not usual or (structure is not None and not structure.decodes):
            return 0
        if self.context_tokens or structure is None:
            return self.context_tokens or usual
        return min(usual, structure.max_context_tokens)

    @property
    def basis(self) -> str:
        """Where the constants come from."""
        return self.question.basis if self.peaks is None else self.peaks[0].basis

    @property
    def question(self) -> Question:
        """The case as the engines' table is asked; a decode step stands at its depth."""
        return Question(
            device=self.device,
            engine=self.engine,
            runtime=self.runtime_word,
            is_named=bool(self.runtime_of),
            level=self.level,
            precision=self.precision,
            structure=self.target.structure,
            parameters=self.target.parameters,
            depth_tokens=self.lengths.depth_tokens,
            prompt_tokens=self.lengths.prompt_tokens,
            batch=self.lengths.batch,
            context_tokens=self.static_tokens,
        )

    @property
    def runs_on_ort(self) -> bool:
        """Whether its memory is that of ONNX Runtime on a CPU, which was measured here."""
        return self.peaks is not None or (self.runtime_word, self.engine.kind) == ("ort", "cpu")

    @property
    def runtime(self) -> Runtime:
        """ONNX Runtime's habits on a CPU; elsewhere the least any engine must do."""
        return ORT_CPU if self.runs_on_ort else ANY_ENGINE

    @property
    def decodes(self) -> bool:
        """Whether the model gives one token after the other; a bare count is taken to."""
        return self.target.structure is None or self.target.structure.decodes


def make_case(
    target: EstimateTarget,
    level: QuantLevel,
    device: CatalogDevice,
    lengths: Lengths,
    *,
    engine: str | None = None,
    memory_bytes: int | None = None,
    os_share: float | None = None,
    runtime_of: str | None = None,
    precision: str | None = None,
    context: int = 0,
    context_where_static: bool = False,
) -> Case:
    """Return a case; what is not said is taken from the device and its class.

    Raises:
        UsageError: the device has no such engine, the engine no such runtime, format or context,
            or the share is none.
    """
    share = device_class(device.device_class).os_share if os_share is None else os_share
    total_bytes = device.max_memory_bytes if memory_bytes is None else memory_bytes
    budget = Budget(total_bytes, share, is_stated=memory_bytes is not None)
    case = Case(
        target,
        level,
        device,
        pick_engine(device, level, engine),
        lengths,
        budget,
        runtime_of=runtime_of or "",
        precision=precision or "",
        context_tokens=0 if context_where_static else context,
    )
    return replace(case, context_tokens=context) if case.static_tokens else case


def nominal_level(bits: int) -> QuantLevel:
    """Return a level of bare bits, without scales: what a parameter count alone can say.

    Raises:
        UsageError: no level of the table has these bits.
    """
    known = sorted({level.weight_bits for level in LEVELS.values()})
    if bits not in known:
        raise UsageError(
            f"no quantization level has {bits} bits",
            fix=f"--bits {', '.join(str(number) for number in known)}",
        )
    form = MatrixFormat(Form.FLOAT if bits in (16, 32) else Form.CHANNEL, bits)
    return QuantLevel(f"{bits} bit", f"{bits} bit", form, form, float_bytes=4 if bits == 32 else 2)


def stored_bits(level: QuantLevel) -> float:
    """Bits of one weight of a large matrix, scales included: int4 in blocks of 32 is 5."""
    return level.body.bits_per_weight
