"""One question to the estimators: which model at which level on what, and how long.

The constants of a catalog device are its data sheet times the shares its class was seen to reach.
"""

from dataclasses import dataclass, replace

from harness.builder.quantize.levels import LEVELS, Form, MatrixFormat, QuantLevel
from harness.core.errors import UsageError, suggestion
from harness.estimator.calibration.constants import ATTENTION, kernel_name
from harness.estimator.memory import ANY_ENGINE, ORT_CPU, Runtime
from harness.models.catalog.devices import CatalogDevice, Engine, device_class
from harness.models.catalog.families import ENGINE_KINDS
from harness.models.catalog.target import EstimateTarget
from harness.results.calibration import Constants, RatePoint

TERA = 1e12
US = 1e-6


def pick_engine(device: CatalogDevice, level: QuantLevel, kind: str | None) -> Engine | None:
    """Return the engine of that kind, or without one the fastest stated at this level.

    Returns:
        None where no engine of the device states a peak.

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
    stated = [engine for engine in device.engine if peak_flop_per_s(engine, level.body)]
    return max(stated, key=lambda e: peak_flop_per_s(e, level.body) or 0.0, default=None)


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


def device_constants(
    device: CatalogDevice, level: QuantLevel, engine: Engine | None, *, fast: bool
) -> Constants:
    """Return the upper (`fast`) or lower end of what the device should reach.

    Every peak is a share of the data sheet, typical for the class; the time of an operator
    call is that of other devices, with its own range.
    """
    row = device_class(device.device_class)
    end = 1 if fast else 0
    share, compute = row.bandwidth_share[end], row.compute_share[end]
    rates = {}
    if engine is not None:
        attention = MatrixFormat(Form.FLOAT, 8 * level.float_bytes)
        formats = [one for form in (level.body, level.table) for one in form.fitting]
        kernels = {kernel_name(form): form for form in formats}
        kernels[ATTENTION] = attention
        for kernel, form in kernels.items():
            peak = peak_flop_per_s(engine, form)
            if peak is not None:
                rates[kernel] = (RatePoint(peak * compute),)
    return Constants(
        basis=constants_basis(device, engine),
        bandwidth=(RatePoint(device.bandwidth_bytes_per_s * share),),
        rates=rates,
        operator_s=row.operator_us[1 - end] * US,
    )


def constants_basis(device: CatalogDevice, engine: Engine | None) -> str:
    """Return the words that say what the constants are."""
    row = device_class(device.device_class)
    low, high = (round(100 * share) for share in row.bandwidth_share)
    least, most = (round(100 * share) for share in row.compute_share)
    part = "no engine with a stated peak" if engine is None else f"{engine.kind} {engine.name}"
    return (
        f"data sheet: {device.bandwidth_gb_s:g} GB/s, {part};"
        f" {low}-{high} % of the bandwidth, {least}-{most} % of the peak (class {row.name})"
    )


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
        engine: the processor that multiplies; None: none with a stated peak.
        lengths: depth, prompt and batch.
        budget: memory it may use.
        peaks: measured here, at the slow and at the fast end of their intervals; None: those
            of the device's data sheet.
    """

    target: EstimateTarget
    level: QuantLevel
    device: CatalogDevice
    engine: Engine | None
    lengths: Lengths
    budget: Budget
    peaks: tuple[Constants, Constants] | None = None

    def __post_init__(self) -> None:
        """Refuse a cache that is allocated for more than the model takes, or by none.

        Raises:
            UsageError: see above; or turns of what decodes nothing.
        """
        capacity, structure = self.lengths.capacity_tokens, self.target.structure
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

    @property
    def basis(self) -> str:
        """Where the hardware peaks come from."""
        if self.peaks is not None:
            return self.peaks[0].basis
        return constants_basis(self.device, self.engine)

    @property
    def runtime(self) -> Runtime:
        """ONNX Runtime's habits on a CPU; elsewhere the least any engine must do."""
        on_cpu = self.engine is not None and self.engine.kind == "cpu"
        return ORT_CPU if on_cpu else ANY_ENGINE

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
) -> Case:
    """Return a case; what is not said is taken from the device and its class.

    Raises:
        UsageError: the device has no such engine, or the share is none.
    """
    share = device_class(device.device_class).os_share if os_share is None else os_share
    total_bytes = device.max_memory_bytes if memory_bytes is None else memory_bytes
    budget = Budget(total_bytes, share, is_stated=memory_bytes is not None)
    return Case(target, level, device, pick_engine(device, level, engine), lengths, budget)


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
