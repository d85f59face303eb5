"""What runs a built model: our own loop over ONNX Runtime, or onnxruntime-genai's."""

from collections.abc import Collection, Iterator, Sequence
from importlib.util import find_spec

from harness.builder.quantize.cache import CacheLevel
from harness.builder.quantize.levels import QuantLevel, Variant
from harness.core.errors import DeviceError, UsageError
from harness.devices.device import Device
from harness.models.exported.model import ExportedKind
from harness.models.exported.source import ExportedSource
from harness.runner.plan.exported import level_of
from harness.runner.plan.sources import AnySource, is_encoder
from harness.runner.settings import Settings

ORT, GENAI = "ort", "genai"
WORKERS = {ORT: "harness.engine.worker", GENAI: "harness.engine.genai_worker"}
INSTALL = "pip install 'ondevice-bench[genai]'"
GENAI_CONFIG = "genai_config.json"
Refusal = tuple[str, str]  # what genai does not run, and the way out


def check_runtimes(
    settings: Settings,
    source: AnySource,
    devices: Sequence[Device],
    stored: Collection[tuple[QuantLevel, CacheLevel]],
) -> None:
    """Refuse a runtime that cannot run a model's cells: its rows would be of something else.

    Args:
        settings: of the plan or part.
        source: the model.
        devices: as chosen.
        stored: its levels, each with its caches.

    Raises:
        UsageError: an unknown runtime, or cells that genai does not run here.
        DeviceError: onnxruntime-genai is not installed.
    """
    for name in settings.runtime:
        if name not in WORKERS:
            raise UsageError(
                f"no runtime is called {name!r}", fix=f"--runtime {' or '.join(WORKERS)}"
            )
    if GENAI not in settings.runtime:
        return
    if find_spec("onnxruntime_genai") is None:
        raise DeviceError("--runtime genai needs onnxruntime-genai", fix=INSTALL)
    for problem, fix in _refusals(settings, source, devices, stored):
        raise UsageError(f"--runtime genai does not run {problem}", fix=fix)


def _refusals(
    settings: Settings,
    source: AnySource,
    devices: Sequence[Device],
    stored: Collection[tuple[QuantLevel, CacheLevel]],
) -> Iterator[Refusal]:
    """Yield what genai does not run of the cells."""
    yield from _of_source(source, [level for level, _ in stored])
    others = [device.key for device in devices if not device.row.is_host]
    yield from ((f"on {key}", "--device cpu") for key in others)
    batches = [count for count in settings.batch if count != 1]
    yield from ((f"{count} sequences at once", "--batch 1") for count in batches)
    for level, kept in stored:
        if level.variant is Variant.STATIC:
            yield f"static graphs, {level.name}", "--quant fp32,int4"
        if kept.is_integer:
            yield f"a cache of {kept.name}", "--kv-cache auto"


def _of_source(source: AnySource, levels: Sequence[QuantLevel]) -> Iterator[Refusal]:
    """Yield what is wrong with a model, or with levels that are made from one of others."""
    if is_encoder(source):
        yield f"an encoder, {source.name}", "decoders only"
    if not isinstance(source, ExportedSource):
        return
    if source.model.kind is not ExportedKind.DECODER:
        yield f"{source.name}, which is no decoder with a cache", "--runtime ort"
    if not (source.folder / GENAI_CONFIG).is_file():
        yield f"{source.name}, which has no {GENAI_CONFIG}", "--runtime ort"
    made = [level.name for level in levels if level != level_of(source.model)]
    yield from ((f"{name} made from {source.name}", "--runtime ort") for name in made)
