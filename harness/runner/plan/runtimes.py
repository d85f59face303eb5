"""What runs a built model: our own loop over ONNX Runtime, or onnxruntime-genai's."""

from collections.abc import Collection, Iterator, Sequence
from importlib.util import find_spec

from harness.builder.quantize.levels import CacheLevel, QuantLevel, Variant
from harness.core.errors import DeviceError, UsageError
from harness.devices.device import Device
from harness.runner.models.model import Model, Refusal
from harness.runner.settings import Settings

ORT, GENAI = "ort", "genai"
WORKERS = {ORT: "harness.engine.worker", GENAI: "harness.engine.genai_worker"}
INSTALL = "pip install 'ondevice-bench[genai]'"


def check_runtimes(
    settings: Settings,
    model: Model,
    devices: Sequence[Device],
    stored: Collection[tuple[QuantLevel, CacheLevel]],
) -> None:
    """Refuse a runtime that cannot run a model's cells: its rows would be of something else.

    Args:
        settings: of the plan or part.
        model: that is run.
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
    for problem, fix in _refusals(settings, model, devices, stored):
        raise UsageError(f"--runtime genai does not run {problem}", fix=fix)


def _refusals(
    settings: Settings,
    model: Model,
    devices: Sequence[Device],
    stored: Collection[tuple[QuantLevel, CacheLevel]],
) -> Iterator[Refusal]:
    """Yield what genai does not run of the cells."""
    yield from model.genai_refusals([level for level, _ in stored])
    others = [device.key for device in devices if not device.row.is_host]
    yield from ((f"on {key}", "--device cpu") for key in others)
    batches = [count for count in settings.batch if count != 1]
    yield from ((f"{count} sequences at once", "--batch 1") for count in batches)
    for level, kept in stored:
        if level.variant is Variant.STATIC:
            yield f"static graphs, {level.name}", "--quant fp32,int4"
        if kept.is_integer:
            yield f"a cache of {kept.name}", "--kv-cache auto"
