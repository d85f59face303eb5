"""How weights and cache are stored: one row per level, in the order of falling size."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.core.errors import ModelError, UsageError, suggestion
from harness.models.served import UNTOLD
from harness.models.specs.model import ModelSpec
from harness.results.enums import CacheType

CHANNEL_ZERO_POINT = 128  # the byte that stands for 0 in the `channel` form
SCALE_BITS = 32  # of a scale: the type of the activations it is multiplied with
STATIC_FLOAT = "fp32-static"  # the yardstick of the other static levels, and what calibrates them
# Words that stand for several levels of a variant where a user names some: all, and the few that a
# plan runs where nobody names any.
SWEEP, USUAL = "sweep", "usual"
LADDER = "ladder"  # what SWEEP was called up to version 0.1: still understood


# Whose graph writes what compensated weights are rounded by: 0.0001 nats a token from fp32.
WRITER_LEVEL = "int8-block"
LEAST_FITTED_BLOCK = 64  # of a format that fits its blocks to rows; below it rows are padded
# Accuracy level of MatMulNBits that multiplies in int8, and how names of levels end that do not:
# the same weights times activations as they are, which tells what rounding those loses.
ROUNDING, EXACT = 4, "-exact"
HALF, HALF_BITS = "-half", 16  # levels of integers between floats of 16 bits, as GPUs take them


class Variant(StrEnum):
    """Which decoder a level is built as.

    `fused`: ONNX Runtime's own operators over a cache in place; CPUs and GPUs run it. `static`:
    standard operators and fixed shapes, integers between quantizing and dequantizing nodes; what
    NPUs run. `gguf`: no graph but a file of tensors, which llama.cpp runs on CPUs. `served`: what
    a server has loaded, however that is stored.
    """

    FUSED = "fused"
    STATIC = "static"
    GGUF = "gguf"
    SERVED = "served"


class Form(StrEnum):
    """How a matrix is stored, and with it which operator multiplies by it.

    `float`: as it is (MatMul, Gemm, Gather). `channel`: 8 bits with one scale per output channel,
    activations quantized at run time (DynamicQuantizeMatMul). `block`: unsigned integers with one
    scale per block of inputs (MatMulNBits, GatherBlockQuantized). `rows` and `whole`: signed bytes
    that DequantizeLinear reads (Gemm, Gather), with one scale per output or one for all. `ggml`: a
    type of ggml, blocks with scales of 16 bits and less.
    """

    FLOAT = "float"
    CHANNEL = "channel"
    BLOCK = "block"
    ROWS = "rows"
    WHOLE = "whole"
    GGML = "ggml"


class Method(StrEnum):
    """How the integers of a block are chosen; what is stored, and its kernel, stay the same.

    `nearest`: the extremes of a block set its scale. `search`: the scale, and zero point, of the
    least squared error among many; see harness.builder.quantize.pack. `compensated`: as `search`,
    and of trained decoders each column of a matrix makes good what those before it lost in what
    the model itself writes; see harness.builder.quantize.compensate.
    """

    NEAREST = "nearest"
    SEARCH = "search"
    COMPENSATED = "compensated"


@dataclass(frozen=True, slots=True)
class MatrixFormat:
    """How every matrix of one kind is stored.

    Attributes:
        form: the layout and its operator.
        bits: of one stored weight.
        block_weights: run of inputs that share a scale; 0 where `form` is not `block`.
        accuracy_level: of MatMulNBits; 4 multiplies in int8. Other forms: 0.
        zero_points: each block stores the integer that stands for 0 (asymmetric); without them it
            is 2^(bits-1) in every block (symmetric).
        method: how integers and scales of a block are chosen.
        shared_bits: what a block stores beside its weights, its share of larger blocks included;
            0: a scale of 32 bits, and the zero point if there is one. Of `block` the scale has 16
            bits where it is given.
        fits: a matrix whose rows do not divide into blocks of `block_weights` has smaller ones,
            half as large as often as it takes, in place of a padded last one; see `fitted`.
    """

    form: Form
    bits: int
    block_weights: int = 0
    accuracy_level: int = 0
    zero_points: bool = False
    method: Method = Method.NEAREST
    shared_bits: int = 0
    fits: bool = False

    def fitted(self, inputs: int) -> "MatrixFormat":
        """Return the format of a matrix with rows of `inputs` weights.

        The largest block of block_weights / 2^n that divides a row, LEAST_FITTED_BLOCK at least.
        """
        block = self.block_weights
        while self.fits and inputs % block and block > LEAST_FITTED_BLOCK:
            block //= 2
        return replace(self, block_weights=block, fits=False) if self.fits else self

    @property
    def fitting(self) -> tuple["MatrixFormat", ...]:
        """Return the formats that matrices of some width have, the largest blocks first."""
        halved, last = self.fitted(1), self.fitted(self.block_weights)
        found = [last]
        while found[-1] != halved:
            found.append(replace(last, block_weights=found[-1].block_weights // 2))
        return tuple(found)

    def blocks(self, inputs: int) -> int:
        """Blocks of one row of `inputs` weights; the last one is padded with zeros."""
        return -(-inputs // self.block_weights)

    def padded_inputs(self, inputs: int) -> int:
        """Stored weights of one row of `inputs` weights, padding included."""
        return self.blocks(inputs) * self.block_weights

    def zero_point_bytes(self, inputs: int) -> int:
        """Bytes of the zero points of one row, `bits` each; 0 where none are stored."""
        return -(-self.blocks(inputs) * self.bits // 8) if self.zero_points else 0

    @property
    def scale_dtype(self) -> str:
        """Name of the type of a block's scale, which is that of what it is multiplied with."""
        return "float16" if self.form is Form.BLOCK and self.shared_bits else "float32"

    @property
    def scale_bytes(self) -> int:
        """Bytes of it."""
        return 2 if self.scale_dtype == "float16" else 4

    @property
    def bits_per_weight(self) -> float:
        """Stored bits of one weight of a large matrix: its own and its share of scale and zero.

        bits + (32 + bits if zero points) / block
        """
        if not self.block_weights:
            return float(self.bits)
        shared = self.shared_bits or SCALE_BITS + (self.bits if self.zero_points else 0)
        return self.bits + shared / self.block_weights


@dataclass(frozen=True, slots=True)
class QuantLevel:
    """What each part of a model is stored as.

    Attributes:
        name: the word the user types.
        label: the words a table prints; where it does not say otherwise, blocks are symmetric and
            rounded to nearest.
        body: every matrix of the layers.
        table: the embedding and the head; one copy of the bytes where they are tied.
        float_bytes: of one activation, norm weight and bias: 4, 2 or 1; of a cached key or value
            too, where they are floats. Of llama.cpp's levels the cache alone: the others are
            float32.
        sensitive: the matrices of the layers that harness.models.specs.model names; None: as
            `body`.
        variant: which decoder it is built as.
        fixed_point: activations, norms, biases and cache are unsigned integers over ranges that
            are known when it is built.
        stands_for: names of the levels of another variant that store a weight likewise: where a
            runtime holds none of those, this one is run in their place, and compared with them.
    """

    name: str
    label: str
    body: MatrixFormat
    table: MatrixFormat
    float_bytes: int = 4
    sensitive: MatrixFormat | None = None
    variant: Variant = Variant.FUSED
    fixed_point: bool = False
    stands_for: tuple[str, ...] = ()

    def body_format(self, *, sensitive: bool) -> MatrixFormat:
        """Return how a matrix of a layer is stored."""
        return self.sensitive if sensitive and self.sensitive is not None else self.body

    @property
    def formats(self) -> tuple[MatrixFormat, ...]:
        """Every format that a matrix of a model has at this level, each once."""
        kinds = (self.body, self.body_format(sensitive=True), self.table)
        return tuple(dict.fromkeys(kinds))

    @property
    def has_integers(self) -> bool:
        """Whether the matrices of the layers are stored as integers."""
        return self.body.form is not Form.FLOAT

    @property
    def rounds_activations(self) -> bool:
        """Whether its products round what they read to int8, once for every block of weights."""
        return any(form.accuracy_level == ROUNDING for form in self.formats)

    @property
    def compensates(self) -> bool:
        """Whether the integers of trained weights depend on what the model writes."""
        return any(form.method is Method.COMPENSATED for form in self.formats)

    @property
    def weight_bits(self) -> int:
        """Nominal bits of a weight of the layers, scales left out."""
        return self.body.bits

    @property
    def head(self) -> MatrixFormat:
        """How a head that is no embedding is stored."""
        return self.body if self.variant is Variant.STATIC else self.table

    @property
    def float_dtype(self) -> str:
        """Name of the type of what stays float: `float32` or `float16`."""
        return "float16" if self.float_bytes == 2 and not self.fixed_point else "float32"

    @property
    def activation_dtype(self) -> str:
        """Name of the activation, norm and bias type, such as `float32` or `uint16`."""
        if self.variant is Variant.GGUF:
            return "float32"
        return f"uint{8 * self.float_bytes}" if self.fixed_point else self.float_dtype

    @property
    def cache_dtype(self) -> str:
        """Name of the type of cached keys and values."""
        return "uint8" if self.fixed_point else self.float_dtype


def _blocks(
    bits: int, block: int, *, zero_points: bool = False, method: Method = Method.NEAREST
) -> MatrixFormat:
    """Return a block-wise format that is multiplied in int8."""
    return MatrixFormat(Form.BLOCK, bits, block, ROUNDING, zero_points, method)


def _uniform(name: str, words: str, form: MatrixFormat, float_bytes: int = 4) -> QuantLevel:
    """Return a level that stores every matrix alike."""
    return QuantLevel(name, f"{name} ({words})" if words else name, form, form, float_bytes)


_FP32 = MatrixFormat(Form.FLOAT, 32)
_FP16 = MatrixFormat(Form.FLOAT, 16)
_INT8_CHANNEL = MatrixFormat(Form.CHANNEL, 8)
_INT8, _INT4, _INT2 = (_blocks(bits, 32) for bits in (8, 4, 2))
_ROWS, _WHOLE = MatrixFormat(Form.ROWS, 8), MatrixFormat(Form.WHOLE, 8)


def _static(name: str, label: str, float_bytes: int) -> QuantLevel:
    """Return a level of 8-bit weights and fixed-point activations of so many bytes."""
    return QuantLevel(
        name, label, _ROWS, _WHOLE, float_bytes, variant=Variant.STATIC, fixed_point=True
    )


def _ggml(bits: int, block: int, shared_bits: int) -> MatrixFormat:
    """Return a type of ggml; source: the structs of blocks in ggml-common.h."""
    return MatrixFormat(Form.GGML, bits, block, shared_bits=shared_bits)


_Q8_0, _Q4_0 = _ggml(8, 32, 16), _ggml(4, 32, 16)
_Q4_K, _Q6_K = _ggml(4, 32, 16), _ggml(6, 16, 9)


def _gguf(
    name: str,
    label: str,
    body: MatrixFormat,
    table: MatrixFormat,
    *stands_for: str,
    sensitive: MatrixFormat | None = None,
) -> QuantLevel:
    """Return a level of llama.cpp, whose cache is of float16 unless it is told otherwise."""
    return QuantLevel(name, label, body, table, 2, sensitive, Variant.GGUF, stands_for=stands_for)


_TABLE = {
    level.name: level
    for level in (
        _uniform("fp32", "", _FP32),
        _uniform("fp16", "", _FP16, float_bytes=2),
        QuantLevel("int8", "int8 (W8A8 dynamic)", _INT8_CHANNEL, _INT8),
        _uniform("int8-block", "W8, block 32", _INT8),
        _uniform("int8-fast", "W8, block 128 or 64", replace(_blocks(8, 128), fits=True)),
        QuantLevel(
            "int4-mixed-plus",
            "int4-mixed-plus (block 32; head, some body int8)",
            _INT4,
            _INT8,
            sensitive=_INT8,
        ),
        _uniform("int4-b16", "block 16", _blocks(4, 16)),
        QuantLevel("int4-mixed", "int4-mixed (block 32; head int8)", _INT4, _INT8),
        _uniform("int4-asym", "block 32, asymmetric", _blocks(4, 32, zero_points=True)),
        _uniform(
            "int4-kquant",
            "block 32, asymmetric, search",
            _blocks(4, 32, zero_points=True, method=Method.SEARCH),
        ),
        _uniform("int4", "block 32", _INT4),
        _uniform("int4-b64", "block 64", _blocks(4, 64)),
        _uniform(
            "int4-fast",
            "block 128 or 64, asymmetric, compensated",
            replace(_blocks(4, 128, zero_points=True, method=Method.COMPENSATED), fits=True),
        ),
        _uniform("int4-b128-asym", "block 128, asymmetric", _blocks(4, 128, zero_points=True)),
        _uniform("int4-b128", "block 128", _blocks(4, 128)),
        _uniform(
            "int2-kquant",
            "block 32, asymmetric, search",
            _blocks(2, 32, zero_points=True, method=Method.SEARCH),
        ),
        _uniform("int2", "block 32", _INT2),
        QuantLevel(STATIC_FLOAT, "fp32 (static)", _FP32, _FP32, variant=Variant.STATIC),
        _static("a16w8", "a16w8 (static QDQ, W8A16)", 2),
        _static("a8w8", "a8w8 (static QDQ, W8A8)", 1),
        _gguf("f32", "GGUF F32", _FP32, _FP32, "fp32"),
        _gguf("f16", "GGUF F16", _FP16, _FP16, "fp16"),
        _gguf("q8_0", "GGUF Q8_0", _Q8_0, _Q8_0, "int8", "int8-block"),
        _gguf("q4_k_m", "GGUF Q4_K_M", _Q4_K, _Q6_K, "int4-mixed-plus", sensitive=_Q6_K),
        _gguf("q4_0", "GGUF Q4_0", _Q4_0, _Q6_K, "int4", "int4-mixed"),
        _gguf("q4_0-pure", "GGUF Q4_0, tables too", _Q4_0, _Q4_0),
    )
}
# The variants are sweeps of their own: no device runs all in one session.
LEVELS = {name: level for name, level in _TABLE.items() if level.variant is Variant.FUSED}
_USUAL = {
    Variant.FUSED: ("fp32", "int4"),
    Variant.STATIC: ("a16w8", "a8w8"),
    Variant.GGUF: ("f32", "q4_0"),
    Variant.SERVED: (),  # what a server has loaded is no level that a user names
}
STATIC_LEVELS = {name: level for name, level in _TABLE.items() if level.variant is Variant.STATIC}
GGUF_LEVELS = {name: level for name, level in _TABLE.items() if level.variant is Variant.GGUF}


def find_level(name: str) -> QuantLevel:
    """Return the level the user called `name`, of any variant; those of GGUF in any case.

    `int4-exact` is int4 with products that round no activations, `int4-half` int4 between floats
    of 16 bits.

    Raises:
        UsageError: no level has this name; the fix names the nearest and all of them.
    """
    if name in _TABLE:
        return _TABLE[name]
    rounding = _TABLE.get(name.removesuffix(EXACT))
    if rounding is not None and rounding.rounds_activations:
        return exact_level(rounding)
    whole = LEVELS.get(name.removesuffix(HALF))
    if whole is not None and name.endswith(HALF) and has_half(whole):
        return half_level(whole)
    if name.casefold() in GGUF_LEVELS:
        return GGUF_LEVELS[name.casefold()]
    from harness.core.errors import suggestion  # only needed once something is wrong

    raise UsageError(f"no quantization level is called {name!r}", fix=suggestion(name, _TABLE))


def level_called(name: str) -> QuantLevel | None:
    """Return the level of a name, or None where no level has it."""
    try:
        return find_level(name)
    except UsageError:
        return None


def exact_level(level: QuantLevel) -> QuantLevel:
    """Return a level of the same weights whose products round no activations."""

    def exact(form: MatrixFormat) -> MatrixFormat:
        return replace(form, accuracy_level=0)

    return replace(
        level,
        name=f"{level.name}{EXACT}",
        label=f"{level.label}, exact activations",
        body=exact(level.body),
        table=exact(level.table),
        sensitive=level.sensitive and exact(level.sensitive),
    )


def has_half(level: QuantLevel) -> bool:
    """Whether a level may stand between floats of 16 bits: all its matrices are blocks."""
    return all(form.form is Form.BLOCK for form in level.formats)


def half_level(level: QuantLevel) -> QuantLevel:
    """Return a level of the same integers between floats of 16 bits, their scales included."""

    def half(form: MatrixFormat) -> MatrixFormat:
        zero_bits = form.bits if form.zero_points else 0
        return replace(form, shared_bits=HALF_BITS + zero_bits)

    return replace(
        level,
        name=f"{level.name}{HALF}",
        label=f"{level.label}, 16-bit floats",
        body=half(level.body),
        table=half(level.table),
        sensitive=level.sensitive and half(level.sensitive),
        float_bytes=2,
    )


def find_levels(names: Iterable[str], variant: Variant = Variant.FUSED) -> tuple[QuantLevel, ...]:
    """Return the levels a user named, each once, in the order of their first naming.

    The word `sweep` stands for every level of `variant`, in the order of the table, and `usual`
    for two of them; beside those a name changes nothing but the order.

    Args:
        names: words the user typed.
        variant: what the device runs.

    Raises:
        UsageError: no level has one of these names.
    """
    every = [level for level in _TABLE.values() if level.variant is variant]
    words = {
        SWEEP: every,
        LADDER: every,
        USUAL: [_TABLE[name] for name in _USUAL[variant]],
    }
    found: dict[str, QuantLevel] = {}
    for name in names:
        for level in words[name] if name in words else (find_level(name),):
            found.setdefault(level.name, level)
    return tuple(found.values())


AUTO = "auto"  # stands for the float type of the weight level
# Raise it with any change of how scales are found: it is part of what a build is found by.
SCALE_METHOD = 1


@dataclass(frozen=True, slots=True)
class CacheLevel:
    """How one cached key or value is stored.

    Integers are symmetric, q = round(x / scale), with one scale per layer, half (key or value),
    head and channel that never changes; they are clipped to [-largest - 1, largest].

    Attributes:
        name: the word the user types.
        dtype: of the stored array; two values of 4 bits share a byte, the even channel in the low
            half, each plus 8.
        bits: of one value.
        largest: greatest integer; 0: values stay floats.
        reach: what the greatest integer stands for, as a share of the largest absolute value that
            a channel had in the calibration text. Eight bits can afford room for what the text did
            not show; with four, clipping the rarest values makes all others finer.
        beside: bytes of an activation that the attention kernel takes beside such a cache.
    """

    name: str
    dtype: str
    bits: int
    largest: int = 0
    reach: float = 1.0
    beside: tuple[int, ...] = (4, 2)

    @property
    def is_integer(self) -> bool:
        """Whether values are stored as integers with scales."""
        return self.largest > 0

    @property
    def per_element(self) -> int:
        """Values that one element of the stored array holds: 2 of 4 bits, else 1."""
        return 2 if self.bits == 4 else 1

    def stored_width(self, head_dim: int) -> int:
        """Last dimension of a cache tensor whose heads are `head_dim` wide."""
        return head_dim // self.per_element

    def stored_bytes(self, values: int) -> int:
        """Bytes of so many cached values, an even number: values · bits / 8. Scales left out."""
        return values * self.bits // 8


# What the CPU kernel of ONNX Runtime 1.31.1 runs in place. A float16 cache beside float32 is
# accepted there but cast as a whole in every run, past the end of what was asked for. Each reach is
# the least divergence among 0.65 to 2 for models/bytelm on two texts that are not the calibration
# text; a search for the least squared error per channel clipped too much (docs/method.md).
CACHES = {
    cache.name: cache
    for cache in (
        CacheLevel(CacheType.FP32, "float32", 32),
        CacheLevel(CacheType.FP16, "float16", 16, beside=(2,)),
        CacheLevel(CacheType.INT8, "int8", 8, largest=127, reach=1.5),
        CacheLevel(CacheType.INT4, "uint8", 4, largest=7, reach=0.85),
    )
}
# The cache of static decoders of fixed points: unsigned, over the range that each layer
# had in the calibration text. A part of their graphs, so nothing that a user chooses.
STATIC_CACHE = CacheLevel("uint8", "uint8", 8, largest=127)
# The cache of a server, which tells nothing of it.
SERVED_CACHE = CacheLevel(UNTOLD, UNTOLD, 16)
_BY_DTYPE = {cache.dtype: cache for cache in CACHES.values()}


def own_cache(level: QuantLevel) -> CacheLevel:
    """Return the cache that a level comes with, what `auto` stands for: its float type, mostly."""
    if level.fixed_point:
        return STATIC_CACHE
    if level.variant is Variant.SERVED:
        return SERVED_CACHE
    return _BY_DTYPE[level.float_dtype]


def cache_of(dtype: str) -> CacheLevel:
    """Return the cache level whose arrays have this type."""
    return _BY_DTYPE[dtype]


def find_cache(name: str, level: QuantLevel) -> CacheLevel:
    """Return the cache level the user called `name`, for weights at `level`.

    Raises:
        UsageError: no cache level has this name, the attention kernel does not take it beside the
            level's activations, or the level is a static one.
    """
    own = own_cache(level)
    if name in (AUTO, own.name):
        return own
    if name not in CACHES:
        raise UsageError(
            f"no cache level is called {name!r}", fix=suggestion(name, (AUTO, *CACHES))
        )
    cache = CACHES[name]
    if level.variant is Variant.SERVED:
        raise UsageError(
            f"--kv-cache {name}: a server keeps a cache of its own", fix=f"--kv-cache {AUTO}"
        )
    if level.variant is Variant.STATIC:
        raise UsageError(
            f"{level.name} is built as a static decoder, whose cache is a part of its graphs",
            fix=f"--kv-cache {AUTO}, or another level",
        )
    if level.variant is Variant.GGUF and cache.is_integer:
        raise UsageError(
            f"{level.name} is run by llama.cpp, whose cache is one of floats here, not {name}",
            fix=f"--kv-cache {AUTO}, {CacheType.FP16} or {CacheType.FP32}",
        )
    if level.float_bytes not in cache.beside:
        taken = ", ".join(c.name for c in CACHES.values() if level.float_bytes in c.beside)
        raise UsageError(
            f"{level.name} computes in {level.float_dtype}, beside which the attention kernel"
            f" takes no {name} cache",
            fix=f"--kv-cache {AUTO}, or one of: {taken}",
        )
    return cache


def stands_for(name: str) -> tuple[str, ...]:
    """Return the names of levels of another variant that store a weight as this one does."""
    return _TABLE[name].stands_for if name in _TABLE else ()


def is_own_cache(cache: str, level: str) -> bool:
    """Tell whether a cache is the one that a level comes with, both by name."""
    return level in _TABLE and own_cache(_TABLE[level]).name == cache


def check_experts(spec: ModelSpec, level: QuantLevel) -> None:
    """Refuse a level at which QMoE cannot multiply the experts.

    Raises:
        ModelError: a width that does not divide into blocks, or two widths of bits in one mixture.
    """
    experts, form = spec.experts, level.body
    if experts is None or form.form is not Form.BLOCK:
        return
    if level.sensitive is not None:
        raise ModelError(
            f"{spec.name}: {level.name} gives matrices of one expert different bits",
            fix="a level of one width, such as int4: ONNX Runtime's QMoE on the CPU multiplies"
            " all of a mixture at one",
        )
    for width in (spec.hidden_size, experts.intermediate_size):
        if width % form.block_weights:
            raise ModelError(
                f"{spec.name}: experts of width {width} do not divide into blocks of"
                f" {form.block_weights} ({level.name})",
                fix="a level with smaller blocks, or int8: ONNX Runtime's QMoE pads no block",
            )
