"""How keys and values are cached: one row per cache level, in the order of falling size."""

from dataclasses import dataclass

from harness.builder.quantize.levels import QuantLevel, Variant
from harness.core.errors import UsageError, suggestion
from harness.results.enums import CacheType

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
_BY_DTYPE = {cache.dtype: cache for cache in CACHES.values()}


def own_cache(level: QuantLevel) -> CacheLevel:
    """Return the cache that a level comes with, what `auto` stands for: its float type, mostly."""
    if level.fixed_point:
        return STATIC_CACHE
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
    if level.variant is Variant.STATIC:
        raise UsageError(
            f"{level.name} is built as a static decoder, whose cache is a part of its graphs",
            fix=f"--kv-cache {AUTO}, or another level",
        )
    if level.float_bytes not in cache.beside:
        taken = ", ".join(c.name for c in CACHES.values() if level.float_bytes in c.beside)
        raise UsageError(
            f"{level.name} computes in {level.float_dtype}, beside which the attention kernel"
            f" takes no {name} cache",
            fix=f"--kv-cache {AUTO}, or one of: {taken}",
        )
    return cache
