"""The machines of a page side by side: facts, versions, and the peaks measured on each. Pure."""

from collections.abc import Callable, Iterator, Sequence

from harness.core.units import GB, GIB
from harness.estimator.calibration.constants import CHOICE, ELEMENTWISE
from harness.report.calibration_table import CALL
from harness.report.grid import Column
from harness.report.headline import thread_words
from harness.report.numbers import percent, three_digits
from harness.report.page.runs import Run
from harness.report.page.table import Cell, Table, page_table
from harness.results.calibration import StoredConstants
from harness.results.environment import Environment

MOST_EXTENSIONS = 12
MAIN = ("onnxruntime", "ondevice-bench", "llama_cpp")  # packages with a line of their own
Facts = dict[str, str]


def machines_table(runs: Sequence[Run]) -> Table:
    """A column per run, a line per fact; a fact that no run knows is left out."""
    parts = {run.label: _facts(run.document.environment) for run in runs}
    names = [
        name
        for part in zip(*parts.values(), strict=True)
        for name in dict.fromkeys(name for known in part for name in known)
    ]
    facts = {
        label: {k: v for part in mine for k, v in part.items()} for label, mine in parts.items()
    }
    columns: list[Column[str]] = [Column("fact", lambda name: name)]
    columns += [_column(label, known) for label, known in facts.items()]
    headers = [column.header for column in columns]
    return page_table(
        "facts",
        "Machines and versions",
        columns,
        names,
        definitions=dict.fromkeys(headers, ""),
        cells=dict.fromkeys(headers[1:], lambda _, cell: Cell(cell.text, cell.key, "words")),
    )


def _column(label: str, known: Facts) -> Column[str]:
    """The facts of one run."""
    return Column(label, lambda name: known.get(name))


def _facts(machine: Environment) -> tuple[Facts, ...]:
    """What is known of a machine: facts, hardware peaks, versions, and what is not known."""
    told = {name: say(machine) for name, say in FACTS.items()}
    peaks = dict(_peaks(machine))
    packages = machine.packages or {}
    main = {name: version for name, version in packages.items() if name.startswith(MAIN)}
    others = [f"{name} {version}" for name, version in packages.items() if name not in main]
    unknown = [f"{name.replace('_', ' ')} ({why})" for name, why in machine.unknown.items()]
    last = {"other packages": ", ".join(others), "not known": ", ".join(unknown)}
    found = {name: value for name, value in told.items() if value}
    return found, peaks, main, {name: value for name, value in last.items() if value}


def _peaks(machine: Environment) -> Iterator[tuple[str, str]]:
    """Yield the hardware peaks that estimates stand on."""
    for peak in machine.read_bandwidth:
        if peak.bytes_per_s is not None:
            name = f"memory read in this run, {thread_words(peak.threads)}"
            yield name, f"{three_digits(peak.bytes_per_s / GB)} GB/s"
    for stored in machine.calibration:
        yield from _calibrated(stored)


def _calibrated(stored: StoredConstants) -> Iterator[tuple[str, str]]:
    """Yield the peaks of one calibration, and what makes it doubtful."""
    constants = stored.constants
    where = f"{stored.device}, {thread_words(constants.threads)}"
    if constants.bandwidth:
        largest = max(constants.bandwidth, key=lambda point: point.size_bytes)
        fastest = max(constants.bandwidth, key=lambda point: point.rate_per_s)
        read = f"{three_digits(largest.rate_per_s / GB)} GB/s from memory"
        if fastest is not largest:
            read += f", up to {three_digits(fastest.rate_per_s / GB)} from caches"
        yield f"calibrated reading, {where}", read
    flops = [
        (point.rate_per_s, kernel)
        for kernel, points in constants.rates.items()
        if kernel not in (ELEMENTWISE, CHOICE) and not kernel.endswith(CALL)
        for point in points
    ]
    if flops:
        rate, kernel = max(flops)
        yield f"calibrated computing, {where}", f"{three_digits(rate / GB)} Gflop/s ({kernel})"
    if stored.background_share is not None:
        day = f" on {stored.measured_on}" if stored.measured_on else ""
        share = percent(stored.background_share)
        yield f"others' CPU while calibrating, {where}", f"{share}{day}"


def _size(size_bytes: float | None) -> str:
    """Bytes of a machine's memory in GiB."""
    return "" if size_bytes is None else f"{size_bytes / GIB:.1f} GiB"


def _truth(value: bool | None) -> str:
    """Yes, no, or nothing."""
    return "" if value is None else "yes" if value else "no"


def _cores(machine: Environment) -> str:
    """Cores that may be used, of how many."""
    counts = (
        (machine.usable_cores, "usable"),
        (machine.physical_cores, "physical"),
        (machine.logical_cores, "logical"),
    )
    return ", ".join(f"{count} {word}" for count, word in counts if count is not None)


def _limits(machine: Environment) -> str:
    """Whether it is a container, and what that may use."""
    cores, memory = machine.container_cpu_cores, machine.container_memory_bytes
    parts = [_truth(machine.container)]
    parts.append("" if cores is None else f"at most {cores:g} cores")
    parts.append("" if memory is None else f"at most {_size(memory)}")
    return ", ".join(part for part in parts if part)


def _extensions(machine: Environment) -> str:
    """Vector instructions, the first of them."""
    words = machine.cpu_vector_extensions or ()
    more = len(words) - MOST_EXTENSIONS
    return " ".join(words[:MOST_EXTENSIONS]) + (f" and {more} more" if more > 0 else "")


def _system(machine: Environment) -> str:
    """System and kernel."""
    return ", ".join(word for word in (machine.os, machine.kernel) if word)


def _python(machine: Environment) -> str:
    """The interpreter."""
    return " ".join(w for w in (machine.python_implementation, machine.python_version) if w)


def _clock(machine: Environment) -> str:
    """What timed, and its tick."""
    tick = machine.clock_resolution_ns
    parts = (machine.clock_source or "", "" if tick is None else f"tick {tick:g} ns")
    return ", ".join(part for part in parts if part)


FACTS: dict[str, Callable[[Environment], str]] = {
    "processor": lambda machine: machine.cpu_model or "",
    "architecture": lambda machine: machine.architecture or "",
    "vector instructions": _extensions,
    "cores": _cores,
    "memory": lambda machine: _size(machine.memory_bytes),
    "swap": lambda machine: _size(machine.swap_bytes) if machine.swap_bytes else "",
    "system": _system,
    "governor": lambda machine: machine.governor or "",
    "turbo": lambda machine: _truth(machine.turbo),
    "on battery": lambda machine: _truth(machine.on_battery),
    "virtual machine": lambda machine: _truth(machine.virtual_machine),
    "container": _limits,
    "clock": _clock,
    "Python": _python,
    "telemetry of onnxruntime": lambda machine: _truth(machine.onnxruntime_telemetry),
}
