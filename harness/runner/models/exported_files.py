"""What the files of a model that others exported say: its levels, and its part of a record.

A level is the file's own, or made of fp32; estimates and shares are of what the file holds.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.builder.quantize.levels import (
    AUTO,
    CACHES,
    LEVELS,
    CacheLevel,
    Form,
    MatrixFormat,
    QuantLevel,
    own_cache,
)
from harness.core.errors import UsageError
from harness.devices.table import ROWS
from harness.engine.exported.geometry import AS_IS, DECODERS, FROZEN, ExportedGeometry
from harness.engine.workload import Workload
from harness.estimator.cell import CellLengths
from harness.estimator.record import RecordEstimates, exported_estimates, record_estimates
from harness.estimator.rules import HardwarePeaks
from harness.estimator.utilisation import mbu_file
from harness.models.exported.model import ExportedModel, Role, Storage
from harness.models.exported.sizes import invented_values
from harness.models.specs.structure import ModelStructure
from harness.results.enums import Kind
from harness.results.replies import StepsCheck
from harness.results.schema import Metric, Recognition
from harness.results.schema import Storage as RecordStorage
from harness.results.summarize import share_metric
from harness.runner.settings import Settings

if TYPE_CHECKING:
    from harness.devices.device import Device
    from harness.store.exported import AnyArtifact

NO_CACHE = CacheLevel("none", "none", 0)  # every step reads the whole text again
BFLOAT16 = CacheLevel("bf16", "bfloat16", 16)
BLOCK = re.compile(r"\bb(\d+)\b")  # of a level in words: the run of weights that share a scale
# How names of levels begin whose numbers are those of our own: fp4, fp8 and nf4 are not.
OURS = ("int", "fp16", "fp32")
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
    storage = model.storages[0] if model.storages else Storage(model.level, 32, 0, 0)
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
    is_known = own.name == "fp32" and not model.unread_bytes
    return (own, *MADE.values()) if is_known else (own,)


def levels_asked(settings: Settings, model: ExportedModel) -> tuple[QuantLevel, ...]:
    """The file's own level; where a flag names levels those, made of a file of fp32."""
    own = level_of(model)
    if "quant" not in settings.given:
        return (own,)
    return tuple(own if name == own.name else MADE[name] for name in settings.quant)


def calibrated_level(level: QuantLevel) -> str | None:
    """Name of the level of ours whose kernel multiplies by such matrices; None: none does."""
    if not level.name.startswith(OURS):
        return None
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


def check_settings(settings: Settings, model: ExportedModel) -> None:
    """Refuse what is asked of a model that others exported and cannot be answered.

    Raises:
        UsageError: a cache of another type, or a level that is not the file's.
    """
    check_cache(settings.kv_cache, model)
    if "quant" in settings.given:
        check_level(settings.quant, model)


def check_compiled(model: ExportedModel, devices: Sequence["Device"]) -> None:
    """Refuse a model that a provider has compiled, where none of the devices is that provider's.

    Raises:
        UsageError: with the device, where there is one of it.
    """
    if not model.compiled_for:
        return
    wanted = model.compiled_for.casefold().removesuffix("executionprovider")
    takes = [row.key for row in ROWS if row.provider.casefold().startswith(wanted)]
    if any(device.row.key in takes for device in devices):
        return
    asked = ",".join(device.key for device in devices)
    other = f"--device {takes[0]} where it is installed, or " if takes else ""
    raise UsageError(
        f"{model.name} is compiled for {model.compiled_for}, and --device {asked} cannot run it",
        fix=f"{other}the .onnx file that it was compiled from",
    )


def check_cache(names: Sequence[str], model: ExportedModel) -> None:
    """Refuse another cache than the one in its file.

    Raises:
        UsageError: see above.
    """
    if tuple(names) != (AUTO,):
        raise UsageError(
            f"--kv-cache {','.join(names)}: the cache of {model.name} is the one in its file",
            fix="leave --kv-cache out",
        )


def check_level(names: Sequence[str], model: ExportedModel) -> None:
    """Refuse levels that a file does not hold and that are not made of it.

    Raises:
        UsageError: with those that are.
    """
    can_run = [level.name for level in levels_possible(model)]
    others = [name for name in names if name not in can_run]
    if others:
        raise UsageError(
            f"--quant {','.join(others)}: {model.name} holds {model.level}, of which"
            " it is not made",
            fix=f"leave --quant out, or --quant {','.join(can_run)}",
        )


def recognition_of(geometry: ExportedGeometry, check: StepsCheck | None) -> Recognition:
    """What was recognised, as a record keeps it; without a path.

    Args:
        geometry: the model as it was run.
        check: of its steps; None: there was none.
    """
    model, given = geometry.model, dict(geometry.inputs)
    invented = {} if model.kind in DECODERS else invented_values(model.main, given)
    return Recognition(
        kind=model.kind.value,
        exporter=model.exporter,
        content_hash=model.content_hash,
        files=tuple(graph.file for graph in model.graphs),
        cache=model.cache_kind,
        storages=tuple(
            RecordStorage(level=each.level, parameters=each.parameters, bytes=each.stored_bytes)
            for each in model.storages
        ),
        steps_check=check,
        inputs=given or None,
        invented=invented or None,
        notes=notes_of(geometry) or None,
    )


def notes_of(geometry: ExportedGeometry) -> tuple[str, ...]:
    """What a reader of a model's numbers should know, in sentences."""
    model = geometry.model
    if not model.input_weights:
        return model.notes
    ways = {
        FROZEN: "measured frozen, as constants (--graph-inputs as-is: as the file says)",
        AS_IS: "measured so, as the file says (--graph-inputs frozen: as constants)",
    }
    count = model.input_weights
    many = f"{count:,} weights are graph inputs" if count > 1 else "a weight is a graph input"
    way = ways[geometry.graph_inputs]
    return (*model.notes, f"{many} too, which keeps kernels from packing what may be fed: {way}")


def estimates_of(
    model: ExportedModel,
    structure: ModelStructure | None,
    level: QuantLevel,
    test: Workload,
    lengths: CellLengths,
    peaks: HardwarePeaks,
) -> RecordEstimates:
    """Estimates from the true parameters; from structure too where the architecture is known.

    Args:
        model: as recognised.
        structure: its structure; None: it is not known, or says nothing of this test.
        level: of the weights.
        test: which one.
        lengths: of its cell.
        peaks: of this machine.
    """
    tokens = 0 if test.kind is Kind.IMAGE else test.prompt_tokens
    chunk = lengths.chunk_tokens
    plain = CellLengths(
        tokens,
        test.gen_tokens,
        test.depth_tokens,
        lengths.batch,
        chunk_tokens=chunk,
        capacity_tokens=lengths.capacity_tokens,
        rereads=lengths.rereads,
    )
    encoder = model.graph(Role.ENCODER)
    found = exported_estimates(
        model.parameters,
        level.weight_bits,
        test.kind,
        plain,
        peaks,
        None if encoder is None else encoder.parameters,
    )
    if structure is None:
        return found
    whole = replace(plain, written_out=_scores_held(model))
    known = record_estimates(structure, level, whole, peaks)
    by_metric = {
        name: {**found.by_metric.get(name, {}), **_of_structure(values)}
        for name, values in known.by_metric.items()
    }
    return RecordEstimates({**found.by_metric, **by_metric}, known.explanation, known.best)


def _scores_held(model: ExportedModel) -> int:
    """Whole matrices of scores that attention holds at once.

    None where every cache goes through GroupQueryAttention; one where an operator of another kind
    attends, such as MultiHeadAttention with a mask.
    """
    main = model.main
    if main.cache is not None and main.cache.shares_buffer and not main.names.write_indices:
        return 0
    return max(1, *(graph.score_arrays for graph in model.graphs))


OF_STRUCTURE = ("structure", "calibrated", "as_calibrated")


def _of_structure(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Estimates that the parameters alone do not give."""
    return {name: value for name, value in values.items() if name in OF_STRUCTURE}


def shares_of(
    artifact: "AnyArtifact",
    test: Workload,
    batch: int,
    metrics: Mapping[str, Metric],
    peaks: HardwarePeaks,
) -> dict[str, Metric]:
    """The share of the bandwidth that decode steps reached, by the bytes in the file."""
    step, constants = metrics.get("tpot_ms"), peaks.measured
    if step is None or constants is None or not artifact.weights_bytes:
        return {}
    depth = test.depth_tokens + test.prompt_tokens + test.gen_tokens // 2
    cache_bytes = float(batch * artifact.cache_bytes(depth))
    bandwidth = constants.bytes_per_s(artifact.weights_bytes + cache_bytes)

    def share(seconds: float) -> float:
        return mbu_file(artifact.weights_bytes, cache_bytes, seconds, bandwidth)

    return {"mbu_file": share_metric(step, share)}
