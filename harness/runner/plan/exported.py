"""What is measured of models that others exported: their own level, and the tests of their kind."""

import re
from collections.abc import Iterator

from harness.builder.quantize.cache import CACHES, CacheLevel, own_cache
from harness.builder.quantize.levels import LEVELS, Form, MatrixFormat, QuantLevel
from harness.core.errors import UsageError
from harness.engine.exported.geometry import DECODERS, TEXT_ENCODERS, ExportedGeometry
from harness.engine.workload import Kind, Workload
from harness.models.exported.model import ExportedKind, ExportedModel, Role, Storage
from harness.models.exported.source import ExportedSource
from harness.runner.settings import Settings

USUAL_TOKENS, USUAL_TEXTS = 128, (1, 8)
USUAL_IMAGES = (1, 8)
NO_CACHE = CacheLevel("none", "none", 0)  # every step reads the whole text again
BFLOAT16 = CacheLevel("bf16", "bfloat16", 16)
BLOCK = re.compile(r"\bb(\d+)\b")  # of a level in words: the run of weights that share a scale


_FLOAT = MatrixFormat(Form.FLOAT, 32)  # tables stay as they are
# What is made of an exported fp32 file; see harness.builder.quantize.exported.
MADE = {
    "int8": QuantLevel("int8", "int8 (MatMulInteger)", MatrixFormat(Form.CHANNEL, 8), _FLOAT),
    "int4": QuantLevel(
        "int4", "int4 b32 (MatMulNBits)", MatrixFormat(Form.BLOCK, 4, 32, accuracy_level=4), _FLOAT
    ),
}


def level_of(model: ExportedModel) -> QuantLevel:
    """The level that a file holds, as one of ours would be described.

    Its name is the number type of most of its weights; its label says the rest. What it is
    multiplied by follows from the form: blocks by MatMulNBits, 8 bits without by MatMulInteger.
    """
    storage = model.storages[0] if model.storages else Storage("fp32", 32, 0, 0)
    floats = [each for each in model.storages if each.bits >= 16]
    float_bytes = 2 if floats and floats[0].bits == 16 else 4
    body = _format(storage)
    vocab_values = (model.vocab_size or 0) * (model.hidden_size or 0)
    has_float_table = any(each.parameters >= vocab_values > 0 for each in floats)
    table = _format(floats[0]) if floats and has_float_table else body
    name = storage.level.split()[0] if storage.level else "fp32"
    return QuantLevel(name, model.level, body, table, float_bytes)


def levels_possible(model: ExportedModel) -> tuple[QuantLevel, ...]:
    """The file's own level, and what can be made of it: of fp32 alone."""
    own = level_of(model)
    return (own, *MADE.values()) if own.name == "fp32" else (own,)


def levels_asked(settings: Settings, model: ExportedModel) -> tuple[QuantLevel, ...]:
    """The file's own level; where a flag names levels those, made of a file of fp32."""
    own = level_of(model)
    if not settings.quant_asked:
        return (own,)
    return tuple(own if name == own.name else MADE[name] for name in settings.quant)


def calibrated_level(level: QuantLevel) -> str | None:
    """Name of the level of ours whose kernel multiplies by such matrices; None: none does."""
    alike = (known.name for known in LEVELS.values() if known.body == level.body)
    return next(alike, None)


def _format(storage: Storage) -> MatrixFormat:
    """How weights of one form are stored."""
    if storage.bits >= 16:
        return MatrixFormat(Form.FLOAT, storage.bits)
    block = BLOCK.search(storage.level)
    if block is not None:
        return MatrixFormat(Form.BLOCK, storage.bits, int(block[1]), accuracy_level=4)
    return MatrixFormat(Form.CHANNEL, storage.bits)


def cache_of(model: ExportedModel, level: QuantLevel) -> CacheLevel:
    """How a model caches keys and values; one that keeps nothing has its level's float type."""
    if model.kind not in DECODERS:
        return own_cache(level)
    layout = next((graph.cache for graph in model.graphs if graph.cache is not None), None)
    if layout is None:
        return NO_CACHE
    known = {cache.dtype: cache for cache in (*CACHES.values(), BFLOAT16)}
    stated = CacheLevel(layout.element_type, layout.element_type, 8)
    return known.get(layout.element_type, stated)


def check_settings(settings: Settings, source: ExportedSource) -> None:
    """Refuse what is asked of a model that others exported and cannot be answered.

    Raises:
        UsageError: a cache of another type, quality, or a level that is not the file's.
    """
    if settings.quality or settings.sensitivity or settings.reference is not None:
        raise UsageError(
            f"quality is measured of models that are built here, and {source.name} is exported",
            fix="leave --quality, --sensitivity and --reference out",
        )
    if settings.kv_cache != ("auto",):
        raise UsageError(
            f"--kv-cache {','.join(settings.kv_cache)}: the cache of {source.name} is the one in"
            " its file",
            fix="leave --kv-cache out",
        )
    can_run = [level.name for level in levels_possible(source.model)]
    others = [name for name in settings.quant if name not in can_run]
    if settings.quant_asked and others:
        raise UsageError(
            f"--quant {','.join(others)}: {source.name} holds {source.model.level}, of which"
            " it is not made",
            fix=f"leave --quant out, or --quant {','.join(can_run)}",
        )


def exported_tests(settings: Settings, source: ExportedSource) -> tuple[Workload, ...]:
    """The tests of a plan that a model of this kind can run.

    Raises:
        UsageError: none of them, one that the model cannot run, or what check_settings refuses.
    """
    check_settings(settings, source)
    model = source.model
    if model.kind in TEXT_ENCODERS:
        return _encodes(settings, model)
    if model.kind is ExportedKind.VISION:
        images = settings.img or USUAL_IMAGES
        return tuple(Workload(Kind.IMAGE, 0, 0, sequences=count) for count in images)
    if model.kind is ExportedKind.ANY:
        return (Workload(Kind.RUN, 0, 0),)
    halves = ExportedGeometry(model)
    if model.graph(Role.ENCODER) is not None:
        encodes = _encodes(settings, model, halves.fixed_source_tokens)
        return (*encodes, *_decodes(settings))
    return _checked(model, _decoder_tests(settings))


def _encodes(
    settings: Settings, model: ExportedModel, fixed_tokens: int | None = None
) -> tuple[Workload, ...]:
    """Passes of an encoder: those asked for, else the usual ones, no longer than it takes."""
    limit = model.max_context_tokens or USUAL_TOKENS
    usual = tuple((min(USUAL_TOKENS, limit), texts) for texts in USUAL_TEXTS)
    asked = settings.enc or usual
    if fixed_tokens is not None:
        asked = tuple((fixed_tokens, texts) for texts in dict.fromkeys(b for _, b in asked))
    tests = tuple(Workload(Kind.ENCODE, n, 0, sequences=texts) for n, texts in asked)
    return tests if fixed_tokens is not None else _checked(model, tests)


def _decodes(settings: Settings) -> Iterator[Workload]:
    """Decode tests alone."""
    for depth in settings.depth:
        yield from (Workload(Kind.DECODE, 0, count, depth) for count in settings.gen)


def _decoder_tests(settings: Settings) -> tuple[Workload, ...]:
    """Prefill, decode and request tests."""
    tests = (
        *(Workload(Kind.PREFILL, n, 0, d) for d in settings.depth for n in settings.prompt),
        *_decodes(settings),
        *(Workload(Kind.REQUEST, prompt, gen) for prompt, gen in settings.pg),
    )
    if not tests:
        raise UsageError("the plan holds no test", fix="--prompt 128 --gen 32 --pg 128,32")
    return tuple(dict.fromkeys(tests))


def _checked(model: ExportedModel, tests: tuple[Workload, ...]) -> tuple[Workload, ...]:
    """Refuse a test that is longer than the model is."""
    limit = model.max_context_tokens
    for test in tests:
        if limit is not None and test.context_tokens > limit:
            raise UsageError(
                f"{test.name} needs {test.context_tokens} tokens of context; {model.name} takes"
                f" {limit}",
                fix=f"keep depth + prompt + gen, or the length of a text, at {limit} or below",
            )
    return tests


def geometry_for(settings: Settings, source: ExportedSource) -> ExportedGeometry:
    """The model with the sizes of its free dimensions that the user gave."""
    return ExportedGeometry(source.model, settings.dim)
