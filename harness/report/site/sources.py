"""What a site keeps of a results file: who measured what, when, with which versions. Pure.

Raw samples stay in the file: a thousand of them do not fit into memory, and no page shows them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from harness.core.units import GIB
from harness.report.grid import one_line
from harness.report.headline import thread_words
from harness.report.numbers import counted
from harness.results.enums import Prepack
from harness.results.environment import MachineFacts
from harness.results.explanation import Explanation
from harness.results.machines import machine_label, memory_gib
from harness.results.schema import Cell, Document, Record
from harness.results.signature import Signature, SignatureState

UNKNOWN = "unknown"
ONNXRUNTIME, BENCH = "onnxruntime", "ondevice-bench"
GENAI = "onnxruntime-genai"  # its name begins alike, and it carries no provider

# What a cell is beside its model, level, test and machine: said where it is not the usual thing.
USUAL: tuple[tuple[str, Callable[[Cell], str]], ...] = (
    ("device", lambda cell: "" if cell.device == "cpu" else cell.device),
    ("runtime", lambda cell: "" if cell.runtime == "ort" else cell.runtime),
    ("threads", lambda cell: thread_words(cell.threads) if cell.threads else ""),
    ("batch", lambda cell: "" if cell.batch == 1 else f"batch {cell.batch}"),
    ("kv_cache", lambda cell: "" if cell.has_own_cache else f"kv {cell.kv_cache}"),
    ("prepack", lambda cell: "" if cell.prepack == Prepack.OFF else f"prepack {cell.prepack}"),
    ("chunk", lambda cell: f"chunks of {cell.chunk}" if cell.chunk else ""),
    ("capacity", lambda cell: f"capacity {cell.capacity}" if cell.capacity else ""),
)


@dataclass(frozen=True, slots=True)
class Source:
    """One results file, but for its records.

    Attributes:
        file: from the folder of results, with `/` between folders.
        run_id: of the run.
        created_utc: it began, ISO 8601.
        machine: its name; two machines that nothing tells apart have the same.
        facts: (name, value) of the machine, in the order of reading.
        onnxruntime: its version, under the name of another wheel that carries it.
        bench: version of this package that wrote the file.
        method: version of the method that it was measured by.
        rounds: fresh processes per row that were asked for.
        checksum: of what the document says.
        signature: beside it; None: nobody looked.
    """

    file: str
    run_id: str
    created_utc: str
    machine: str
    facts: tuple[tuple[str, str], ...] = ()
    onnxruntime: str = UNKNOWN
    bench: str = UNKNOWN
    method: int = 0
    rounds: int = 0
    checksum: str = ""
    signature: Signature | None = None

    @property
    def signer(self) -> str | None:
        """The allowed signer of the document; None: there is none that is known."""
        if self.signature is None or self.signature.state != SignatureState.SIGNED:
            return None
        return self.signature.signer


@dataclass(frozen=True, slots=True)
class SiteRow:
    """One record of a file, without samples.

    Attributes:
        source: its file.
        record: what it says; terms of passes, samples and replies about memory left out.
        hardware: device that did the work, where it is not the processor; empty: that did.
    """

    source: Source
    record: Record
    hardware: str = ""

    @property
    def cell(self) -> Cell:
        """What was measured."""
        return self.record.cell


def source_of(
    document: Document, file: str, checksum: str = "", signature: Signature | None = None
) -> Source:
    """What is kept of a document itself.

    Args:
        document: as it was read.
        file: see Source.
        checksum: likewise.
        signature: likewise.
    """
    environment, packages = document.environment, document.environment.packages or {}
    return Source(
        file=file,
        run_id=document.run_id,
        created_utc=document.created_utc,
        machine=machine_name(environment, machine_label(document)),
        facts=tuple((name, text) for name, say in FACTS if (text := say(environment))),
        onnxruntime=_onnxruntime(packages),
        bench=packages.get(BENCH, UNKNOWN),
        method=document.method_version,
        rounds=document.plan.rounds or 5,
        checksum=checksum,
        signature=signature,
    )


def rows_of(document: Document, source: Source) -> tuple[SiteRow, ...]:
    """The records of a document, as far as a site shows them."""
    return tuple(SiteRow(source, slim(record), _hardware(record)) for record in document.records)


def slim(record: Record) -> Record:
    """A record without what only its own file is asked for."""
    return replace(
        record,
        samples=(),
        memory=(),
        profile=None,
        sustain=None,
        recognition=None,
        energy=None,
        explanation=_slim_explanation(record.explanation),
    )


def machine_name(facts: MachineFacts, label: str = "") -> str:
    """`AMD EPYC, 2 cores, 24 GiB, virtual`: what decides how fast a machine is, and stays so.

    Its system and its governor are left out: they change, and the machine is the same. What its
    operator calls it is the last word, so that two of a kind are two.
    """
    cores, memory = facts.usable_cores, memory_gib(facts)
    words = [
        facts.cpu_model or facts.architecture or "unknown processor",
        "" if cores is None else counted(cores, "cores"),
        "" if memory is None else f"{memory} GiB",
        "virtual" if facts.virtual_machine else "",
        label,
    ]
    return one_line(", ".join(word for word in words if word))


def cell_words(cell: Cell, hardware: str = "") -> str:
    """A cell in words, but for its machine: `smollm2-135m int4 tg32, 2 threads`."""
    test = cell.workload.removesuffix(" @ d0")
    more = [word for _, say in USUAL if (word := say(cell))]
    return ", ".join(filter(None, (f"{cell.model} {cell.level} {test}", *more, hardware)))


def _slim_explanation(explanation: Explanation | None) -> Explanation | None:
    """Which estimator, on what basis, and what bounds each pass."""
    if explanation is None:
        return None
    passes = tuple(replace(one, terms=()) for one in explanation.passes)
    return replace(explanation, passes=passes, memory=())


def _onnxruntime(packages: dict[str, str]) -> str:
    """`1.32.0`, or `onnxruntime-gpu 1.32.0` of another wheel."""
    if ONNXRUNTIME in packages:
        return packages[ONNXRUNTIME]
    wheels = (name for name in sorted(packages) if name.startswith(ONNXRUNTIME) and name != GENAI)
    return next((f"{name} {packages[name]}" for name in wheels), UNKNOWN)


def _hardware(record: Record) -> str:
    """What tells one GPU or NPU from another: maker and numbers."""
    found = record.hardware
    if found is None or found.device_class == "cpu":
        return ""
    return " ".join(filter(None, (found.vendor, found.device_id, found.key)))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _cores(facts: MachineFacts) -> str:
    """Physical and logical ones, and how many a process may use."""
    told = [
        "" if count is None else f"{count} {kind}"
        for count, kind in (
            (facts.physical_cores, "physical"),
            (facts.logical_cores, "logical"),
            (facts.usable_cores, "usable"),
        )
    ]
    return ", ".join(filter(None, told))


Say = Callable[[MachineFacts], str]
FACTS: tuple[tuple[str, Say], ...] = (
    ("processor", lambda facts: _text(facts.cpu_model)),
    ("architecture", lambda facts: _text(facts.architecture)),
    ("vector extensions", lambda facts: ", ".join((facts.cpu_vector_extensions or ())[:12])),
    ("cores", _cores),
    ("memory", lambda facts: f"{facts.memory_bytes / GIB:.1f} GiB" if facts.memory_bytes else ""),
    ("system", lambda facts: _text(facts.os)),
    ("kernel", lambda facts: _text(facts.kernel)),
    ("governor", lambda facts: _text(facts.governor)),
    ("virtual machine", lambda facts: {True: "yes", False: "no"}.get(facts.virtual_machine, "")),  # type: ignore[arg-type]
    ("Python", lambda facts: _text(facts.python_version)),
)
