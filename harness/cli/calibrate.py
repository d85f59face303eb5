"""`bench calibrate`: measure this machine's hardware peaks once, keep them, and print them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.builder.quantize.levels import find_levels
from harness.cli.completion import LEVELS, row_names, words
from harness.cli.options import (
    FORMATS,
    cache_option,
    details_option,
    format_option,
    quiet_option,
    wait_option,
)
from harness.cli.output import show, tell
from harness.core.errors import UsageError
from harness.core.ranges import parse_names
from harness.runner.plan import plan_threads

if TYPE_CHECKING:
    from harness.devices.device import Device
    from harness.results.calibration import StoredConstants
    from harness.results.environment import MachineFacts

EXAMPLE = "Example:  bench calibrate --quant fp32,int4 --threads 1,2"
DEFAULT_LEVELS = "fp32,int8,int4"  # of the default plan


@click.command("calibrate", epilog=EXAMPLE)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    shell_complete=words(row_names),
    help="One row of the device table.",
)
@click.option(
    "--quant",
    default=DEFAULT_LEVELS,
    show_default=True,
    shell_complete=LEVELS,
    help="Levels to cover.",
)
@click.option("--threads", default="all", show_default=True, help="Intra-op threads: 1,2 or all.")
@click.option("--full", is_flag=True, help="Every level, more and longer processes.")
@click.option("--again", is_flag=True, help="Measure even what is stored.")
@click.option("--allow-simulated", is_flag=True, help="Prove the function on an emulated device.")
@cache_option("Where constants are kept.")
@wait_option()
@quiet_option()
@details_option()
@format_option(FORMATS)
def command(
    device: str,
    quant: str,
    threads: str,
    full: bool,
    again: bool,
    allow_simulated: bool,
    cache: Path | None,
    wait: str | None,
    quiet: bool,
    style: str,
) -> None:
    """Measure what this machine can do at most: the constants behind the calibrated estimates.

    Read bandwidth over working sets, matrix rates of each level's kernel at one token and at
    prompt lengths, attention, and the fixed cost of a call; each with its 95 % interval over fresh
    processes. No whole model is timed. Kept per machine, onnxruntime version and thread count.
    Of a graphics processor (webgpu, cuda, openvino-gpu): its memory, its kernels, calls and runs.
    """
    from harness.cli.progress import open_progress
    from harness.cli.running import seconds_of
    from harness.machine.watch.facts import machine_facts
    from harness.machine.watch.sole import sole_measurement
    from harness.report.calibration_table import draw_constants
    from harness.store.cache import default_cache

    facts = machine_facts()
    chosen = calibrated_device(device, allow_simulated)
    levels = tuple(level.name for level in find_levels(parse_names(quant, "--quant")))
    counts = thread_counts(threads, facts.usable_cores or 1)
    folder = cache or default_cache()
    waits = sole_measurement(folder, [chosen.kind], "bench calibrate", seconds_of(wait), tell)
    with waits, open_progress(quiet) as view:
        measure = _measure_of(chosen, facts, folder, levels)
        stored = [
            measure(count, full=full, again=again, log=lambda line: view(line, 0, 0))
            for count in counts
        ]
    show(draw_constants(stored, style))


def calibrated_device(word: str, allow_simulated: bool) -> "Device":
    """Return the device that is meant, proven to work where it is not the processor.

    Raises:
        UsageError: no micro-graph tells of it.
        DeviceError: it does not work here.
    """
    from harness.devices.choose import DeviceRequest, choose_devices
    from harness.estimator.calibration.device_sizes import ROWS, is_calibrated_row

    (device,) = choose_devices((word,), DeviceRequest(allow_simulated=allow_simulated))
    device.refuse_absent()
    if device.kind != "cpu" and not is_calibrated_row(device.row):
        raise UsageError(
            f"the hardware peaks of {device.key} cannot be calibrated: our micro-graphs are those"
            " of fused decoders, which it does not take whole",
            fix=f"bench calibrate --device cpu, or {' or '.join(ROWS)}",
        )
    return device


def _measure_of(
    device: "Device", facts: "MachineFacts", folder: Path, levels: tuple[str, ...]
) -> "Callable[..., StoredConstants]":
    """Return what measures a device with so many threads: a processor, or another one."""
    from harness.devices.probe import probe_device
    from harness.estimator.calibration.calibrate import ensure_constants
    from harness.estimator.calibration.device_calibrate import device_key, ensure_device_constants
    from harness.estimator.calibration.store import calibration_key

    if device.kind == "cpu":
        return lambda count, **given: ensure_constants(
            folder, calibration_key(facts, device.key, count), levels, **given
        )
    hardware = probe_device(device).hardware
    return lambda count, **given: ensure_device_constants(
        folder, device_key(facts, device, count, hardware), device, levels, **given
    )


def thread_counts(text: str, usable: int) -> tuple[int, ...]:
    """Return the thread counts of the flag, each once, as a plan takes them.

    Raises:
        UsageError: a word that is no count from 1 to `usable`, nor `all`.
    """
    return plan_threads(parse_names(text, "--threads"), usable)
