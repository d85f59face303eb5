"""What stands above a table: all that is the same for every row. Pure."""

from collections.abc import Callable, Sequence

from harness.models.served import is_served
from harness.report.grid import short
from harness.report.rows import Row
from harness.results.enums import Ending, Prepack, Status
from harness.results.environment import Environment
from harness.results.machine_views import NOBODY
from harness.results.progress import ending_of
from harness.results.schema import Document, Record

# What a row may leave unsaid when it is the usual thing.
USUAL = {
    "batch": 1,
    "depth": 0,
    "capacity": 0,
    "device": "cpu",
    "runtime": "ort",
    "weights": None,
    "prepack": Prepack.OFF,
}

# What a run is called that did not end as planned; the notes say what it lacks.
ENDINGS = {Ending.INTERRUPTED: "INTERRUPTED", Ending.BUDGET: "PARTIAL", Ending.RESUMED: "resumed"}

LLAMA, LLAMA_PACKAGE = "llama.cpp", "llama_cpp_python"
NOTHING = "no weights"  # of a graph that only computes
Shared = Callable[[str], object]


def headline(document: Document, rows: Sequence[Row]) -> str:
    """One line of everything that does not vary: model, level, processor, versions, processes."""
    shared = _shared(rows)
    parts = [
        shared("model"),
        _parameters(rows, shared),
        shared("level_label") or shared("level"),
        _processor(document.environment, shared, rows),
        _cache(rows),
        *(_unusual(name, shared) for name in ("batch", "capacity", "depth", "prepack")),
        _runtimes(document.environment, rows),
        _processes(document.records, len(rows) > 1 and not document.sources),
        ENDINGS.get(ending_of(document)),
    ]
    return " · ".join(short(str(part)) for part in parts if part)


def _shared(rows: Sequence[Row]) -> Shared:
    """A function: field of Cell -> the value all rows share, or None."""

    def of(field: str) -> object:
        values = {getattr(row.cell, field) for row in rows}
        return values.pop() if len(values) == 1 else None

    return of


def _with(value: object, template: str) -> str:
    """The value in its words; nothing for None."""
    return "" if value is None else template.format(value)


def _parameters(rows: Sequence[Row], shared: Shared) -> str:
    """Their number; a graph may have none, and a server may not say."""
    if shared("parameters") == 0:
        return "" if is_served(rows[0].cell.runtime) else NOTHING
    return _with(shared("parameters"), "{:,} parameters")


def _unusual(name: str, shared: Shared) -> str:
    """A shared value that differs from the usual one."""
    value = shared(name)
    return "" if value in (None, USUAL[name]) else f"{name} {value}"


def _cache(rows: Sequence[Row]) -> str:
    """The cache that all rows share, where it is not that of their level."""
    caches = {row.cell.kv_cache for row in rows}
    own = all(row.cell.has_own_cache for row in rows)
    return "" if own or len(caches) > 1 else f"kv cache {caches.pop()}"


def _processor(environment: Environment, shared: Shared, rows: Sequence[Row]) -> str:
    """`CPU AMD EPYC (2 threads)`; another device is named before it; of machines how many."""
    machines = len({row.machine for row in rows if row.machine != NOBODY})
    devices = {row.device for row in rows}
    device, threads = devices.pop() if len(devices) == 1 else None, shared("threads")
    model = environment.cpu_model or environment.architecture or ""
    cpu = " ".join(f"CPU {model}".split()) if machines < 2 else f"{machines} machines"
    if threads:  # 0: a server's, which does not say
        cpu += f" ({thread_words(threads)})"
    return cpu if device in (None, USUAL["device"]) else f"{device} · {cpu}"


def _runtimes(environment: Environment, rows: Sequence[Row]) -> str:
    """Versions of what ran the rows: onnxruntime's, llama.cpp's by its package, and servers."""
    runtimes = {row.cell.runtime for row in rows}
    served = dict.fromkeys(filter(None, map(_server, rows)))
    is_ours = any(name != LLAMA and not is_served(name) for name in runtimes)
    names = [runtime_name(environment)] if is_ours else []
    version = (environment.packages or {}).get(LLAMA_PACKAGE)
    if LLAMA in runtimes and version:
        names.append(f"{LLAMA_PACKAGE} {version}")
    names += served
    return " · ".join(name for name in names if name)


def _server(row: Row) -> str:
    """`ollama@loopback 0.12.0`; empty: no server ran the row."""
    if not is_served(row.cell.runtime):
        return ""
    found = (record.hardware.version for record in row.records if record.hardware)
    return " ".join((row.cell.runtime, next(filter(None, found), ""))).strip()


def runtime_name(environment: Environment) -> str:
    """`onnxruntime 1.31.1`, under the name of the wheel that carries it."""
    for name, version in (environment.packages or {}).items():
        if name.startswith("onnxruntime") and name != "onnxruntime-genai":
            return f"{name} {version}"
    return ""


def _processes(records: Sequence[Record], together: bool) -> str:
    """How many fresh processes stand behind each row, and whether they were interleaved."""
    counts = [
        max(metric.processes for metric in record.metrics.values())
        for record in records
        if record.status == Status.OK and record.metrics
    ]
    if not counts:
        return ""
    least, most = min(counts), max(counts)
    number = f"{least}" if least == most else f"{least}-{most}"
    return f"{number} process{'' if most == 1 else 'es'} per row{', interleaved' * together}"


def thread_words(count: object) -> str:
    """Return `1 thread`, `2 threads`."""
    return f"{count} thread{'' if str(count) == '1' else 's'}"
