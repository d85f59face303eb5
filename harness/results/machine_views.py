"""The machines of some documents: what each is called, its runs, its peaks. Pure.

A machine is called by the word that its operator gave it, else by its processor; of several with
one name each has the first digits of its hash as well. No name is one of a host or a person.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from msgspec import structs

from harness.results.environment import Environment, ReadBandwidth
from harness.results.machines import machine_label, machine_of
from harness.results.merged import is_measured, joined, runs_of
from harness.results.schema import Document

SHOWN_DIGITS = 4  # of the hash, in a name
LOST_DIGITS = 8  # of the hash, where nothing else is known of a machine
NOBODY = "none"  # of cells that no machine has measured


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine and its runs.

    Attributes:
        name: unlike that of any other of the same answer.
        id: 16 hexadecimal digits; empty: no machine has measured the runs.
        runs: in the order of the documents, each of one run.
    """

    name: str
    id: str
    runs: tuple[Document, ...]

    @property
    def environment(self) -> Environment:
        """Its facts, and the peaks of all its runs: of a number of threads the median reading."""
        return _environment([run.environment for run in self.runs])

    @property
    def document(self) -> Document:
        """All its runs as one document, with its peaks; of one run that run."""
        if len(self.runs) == 1:
            return self.runs[0]
        whole = joined(self.runs, self.runs[-1].run_id)
        return structs.replace(whole, environment=self.environment)


def machine_views(documents: Iterable[Document]) -> tuple[Machine, ...]:
    """Every machine of some documents, in the order in which the first run of each comes.

    Cells that no machine has measured come last, as one.
    """
    every = [run for document in documents for run in runs_of(document)]
    found: dict[str, list[Document]] = {}
    for run in sorted(every, key=lambda run: not is_measured(run)):
        found.setdefault(machine_of(run), []).append(run)
    words = [_plain_name(runs[0]) for runs in found.values()]
    return tuple(
        Machine(
            name if words.count(name) == 1 else f"{name} {key[:SHOWN_DIGITS]}", key, tuple(runs)
        )
        for (key, runs), name in zip(found.items(), words, strict=True)
    )


def names_by_source(document: Document) -> tuple[str, ...]:
    """What the machine of each source of a document is called; empty: it is of one run."""
    if not document.sources:
        return ()
    names = {run.run_id: one.name for one in machine_views([document]) for run in one.runs}
    return tuple(names[source.run_id] for source in document.sources)


def measured_machines(document: Document) -> tuple[Machine, ...]:
    """The machines that measured something of a document."""
    return tuple(one for one in machine_views([document]) if one.id)


def as_one_machine(document: Document) -> Document:
    """A document of several runs of one machine with its peaks and name; any other as it is."""
    machines = measured_machines(document)
    if not document.sources or len(machines) != 1:
        return document
    mark = machines[0].runs[0].plan.cell
    plan = structs.replace(document.plan, cell=structs.replace(mark, hash="")) if mark else None
    return structs.replace(
        document, environment=machines[0].environment, plan=plan or document.plan
    )


def named_apart(document: Document) -> Document:
    """A document of several machines whose cells say in their device which one they are of.

    For formats in which the name of a cell is all that there is: `cpu@shelf-1`.
    """
    if len(measured_machines(document)) < 2:
        return document
    names = names_by_source(document)
    records = [
        structs.replace(
            record,
            cell=structs.replace(record.cell, device=f"{record.cell.device}@{names[place]}"),
        )
        for record in document.records
        if (place := record.source) is not None
    ]
    return structs.replace(document, records=tuple(records))


def _plain_name(run: Document) -> str:
    """What its operator calls the machine of a run, else its processor, else its hash."""
    label, lost_on = machine_label(run), run.plan.cell.machine if run.plan.cell else ""
    if not is_measured(run):
        return label or lost_on[:LOST_DIGITS] or NOBODY
    facts = run.environment
    return label or " ".join((facts.cpu_model or facts.architecture or "machine").split())


def _environment(found: Sequence[Environment]) -> Environment:
    """Facts of the last run of a machine, with the peaks of all of them."""
    calibration = {
        (one.device, one.constants.threads): one
        for environment in found
        for one in environment.calibration
    }
    failures = {
        threads: why
        for environment in found
        for threads, why in environment.read_bandwidth_failures.items()
    }
    return structs.replace(
        found[-1],
        read_bandwidth=tuple(_bandwidths(found)),
        read_bandwidth_failures=failures,
        calibration=tuple(calibration.values()),
    )


def _bandwidths(found: Sequence[Environment]) -> Iterable[ReadBandwidth]:
    """Yield a reading per number of threads: the median of those of all runs."""
    threads = dict.fromkeys(peak.threads for one in found for peak in one.read_bandwidth)
    for count in sorted(threads):
        peaks = [peak for one in found for peak in one.read_bandwidth if peak.threads == count]
        rates = [peak.bytes_per_s for peak in peaks if peak.bytes_per_s is not None]
        yield ReadBandwidth(
            threads=count,
            bytes_per_s=median(rates) if rates else None,
            processes=tuple(process for peak in peaks for process in peak.processes),
        )
