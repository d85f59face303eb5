"""What a step and a pass have to do on an engine, in the units of its constants.

Counted as any engine must: each weight that is used once, at the bits of the runtime's file; each
cached key and value once, at 16 bit, of a static graph those of its whole context; two flop a
weight and row, and those of attention.
"""

from dataclasses import dataclass
from math import fsum

from harness.builder.quantize.levels import QuantLevel, find_level, own_cache
from harness.estimator.memory import ANY_ENGINE, group_format, held_copy_bytes
from harness.estimator.published.runtimes import file_bits
from harness.estimator.work import Pass, attention_work, pass_work
from harness.models.catalog.devices import CatalogDevice, Engine
from harness.models.catalog.typical import typical_shape
from harness.models.specs.structure import ModelStructure, Role, Stage

TERA = 1e12
HEADS = (Role.HEAD, Role.TIED)
# An NPU without a stated peak is taken for one of a laptop of 2024.
USUAL_TOPS = 45.0
# Bytes per second that an NPU is first taken to read for each of its operations per second at
# 8 bit, until rows say otherwise: its multipliers wait for weights that are widened on the way.
READ_PER_OPERATION = 80e9 / (USUAL_TOPS * TERA)
MOST_OF_BANDWIDTH = 1.4  # an NPU reaches some 0.6 of the reference
# The fewest of an NPU that rows are of: smaller ones are taken to read no slower, since two
# operations a weight are far below what any of them does.
FEWEST_TOPS = 20.0
# Of the peak, that a step's products of one row are first taken to reach, where reading is not
# what they wait for: processors without products of four bytes at once.
STEP_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class StepAmounts:
    """Of one decode step.

    Attributes:
        body_bytes: of the layers' weights.
        head_bytes: of the matrix that gives the logits.
        cache_bytes: of keys, values and states.
        layers: that are run one after the other.
        flop: of the matrices.
    """

    body_bytes: float
    head_bytes: float
    cache_bytes: float
    layers: float
    flop: float

    @property
    def read_bytes(self) -> float:
        """Of all together."""
        return self.body_bytes + self.head_bytes + self.cache_bytes


def step_amounts(
    model: ModelStructure,
    level: QuantLevel,
    runtime: str | None,
    *,
    depth_tokens: int,
    batch: int = 1,
    context_tokens: int = 0,
) -> StepAmounts:
    """Return the amounts of one decode step; a static context is read whole."""
    bits = file_bits(runtime, level)
    sums = {False: 0.0, True: 0.0}
    flop = 0.0
    for group in model.groups:
        if group.stage is not Stage.DECODER or group.role in (Role.TABLE, Role.UNUSED):
            continue
        is_head, copies = group.role in HEADS, group.touched_copies(batch)
        weights = group.outputs * group.inputs * copies
        if bits is not None and group_format(group, level) is not None:
            sums[is_head] += weights * bits[is_head] / 8
        else:
            sums[is_head] += held_copy_bytes(group, level, ANY_ENGINE) * copies
        if group.role is not Role.VECTOR:
            flop += 2.0 * group.outputs * group.inputs * group.active_copies * batch
    shape = Pass(
        1,
        max(context_tokens - 1, 0) if context_tokens else depth_tokens,
        batch,
        encoder_tokens=model.encoder_tokens or 0,
        cache=own_cache(find_level("fp16")),
    )
    attended = [one for one in model.attention if one.stage is Stage.DECODER]
    cache = fsum(attention_work(one, level, ANY_ENGINE, shape).read_bytes for one in attended)
    layers = sum(one.layers for one in attended if not one.to_encoder)
    layers += sum(one.layers for one in model.recurrences)
    return StepAmounts(
        body_bytes=sums[False],
        head_bytes=sums[True],
        cache_bytes=cache + 2.0 * model.state_bytes * batch,
        layers=float(max(1, min(layers, model.num_layers))),
        flop=flop,
    )


def model_file_bytes(model: ModelStructure, level: QuantLevel, runtime: str | None) -> float:
    """Return the bytes of all weights in the runtime's file, every expert, a tied table once."""
    bits = file_bits(runtime, level)
    total = 0.0
    for group in model.groups:
        if bits is None or group_format(group, level) is None:
            total += held_copy_bytes(group, level, ANY_ENGINE) * group.copies
        else:
            total += group.parameters * bits[group.role in HEADS] / 8
    return total


def counted_amounts(
    parameters: int, level: QuantLevel, runtime: str | None, batch: int = 1
) -> StepAmounts:
    """Return the amounts of a step of which only the parameters are known; no cache."""
    bits = file_bits(runtime, level)
    per_weight = level.body.bits_per_weight if bits is None else bits[0]
    layers = float(typical_shape(parameters).num_layers)
    return StepAmounts(parameters * per_weight / 8, 0.0, 0.0, layers, 2.0 * parameters * batch)


def pass_flop(
    model: ModelStructure,
    level: QuantLevel,
    *,
    prompt_tokens: int,
    depth_tokens: int = 0,
    batch: int = 1,
    context_tokens: int = 0,
) -> float:
    """Return the flop of a pass over a prompt, or of an encoder's pass."""
    encoding = any(one.stage is Stage.ENCODER for one in model.attention)
    if not encoding:
        depth = max(depth_tokens, context_tokens - prompt_tokens)
        return _flop(model, level, Pass(prompt_tokens, depth, batch))
    frames = model.encoder_tokens or prompt_tokens
    flop = _flop(model, level, Pass(frames, 0, batch, Stage.ENCODER))
    if model.decodes:
        flop += _flop(model, level, Pass(1, 0, batch, encoder_tokens=frames))
    return flop


def _flop(model: ModelStructure, level: QuantLevel, shape: Pass) -> float:
    """Return the flop of one pass, without masked positions."""
    return fsum(one.useful_flop for one in pass_work(model, level, ANY_ENGINE, shape))


def reference_bytes_per_s(device: CatalogDevice, engine: Engine) -> float:
    """Return the rate that an engine's reading is told as a share of.

    The data sheet's bandwidth; of an NPU what its peak lets expect: on laptops NPUs read a third
    of what their memory gives, on phones of the same years nearly all of it.
    """
    if engine.kind != "npu":
        return device.bandwidth_bytes_per_s
    tops = max(engine.int8_tops or 2 * (engine.fp16_tflops or 0.0) or USUAL_TOPS, FEWEST_TOPS)
    most = MOST_OF_BANDWIDTH * device.bandwidth_bytes_per_s
    return min(READ_PER_OPERATION * tops * TERA, most)


def step_read_s(
    amounts: StepAmounts, device: CatalogDevice, engine: Engine, weight_bits: int
) -> float:
    """Return a step's reading at the reference rate, or its products where those take longer.

    max(weights / rate, flop / (0.3 · peak)) + cache / rate
    """
    rate, peak = reference_bytes_per_s(device, engine), compute_flop_per_s(engine, weight_bits)
    products_s = 0.0 if peak is None else amounts.flop / (STEP_SHARE * peak)
    read_s = (amounts.body_bytes + amounts.head_bytes) / rate
    return max(read_s, products_s) + amounts.cache_bytes / rate


def compute_flop_per_s(engine: Engine, weight_bits: int = 4) -> float | None:
    """Return the peak that an engine's prefill is told as a share of; None: none is stated.

    At 16 bit; where that is not stated half of 8 bit, else that of 32 bit. Of 32-bit weights half.
    """
    tera = engine.fp16_tflops or (engine.int8_tops or 0.0) / 2 or engine.fp32_tflops
    return None if not tera else tera * TERA / (2 if weight_bits == 32 else 1)


def stated_w(device_w: tuple[float, float] | None, engine: Engine) -> float | None:
    """Return the watts that a power is told as a share of: the most of the device, or the engine's.

    Of the device first, so that shares of devices compare: few engines state watts of their own.
    """
    stated = device_w or engine.power_w
    return None if stated is None else stated[1]
