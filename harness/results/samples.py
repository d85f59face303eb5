"""What one worker process said about one test: the raw material of every metric."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.results.enums import SINGLE_PASS, Kind
from harness.results.schema import Cell, Json

PREFILL, DECODE, REQUEST, ENCODE, IMAGE, GRAPH = Kind


@dataclass(frozen=True, slots=True)
class ProcessSamples:
    """One process's answers about one test, as a journal entry of kind `test` holds them.

    Attributes:
        round: which round the process belonged to, from 0.
        order: position of the test inside the process, from 0.
        open: reply to `open`: `load_ns`, `first_ns` (or null), `placement`, `provider`,
            `spinning`, `affinity`; and `first`, put there by the runner: the full name of the
            test whose beginning was the first run (`pg128+32 @ d0`), or null.
        warm: reply to `warm`: `steady`, `seconds`, `calls`, `window_medians_ns`.
        sample: reply to `sample`: one list entry per pass, in ns: `prefill_ns` (pp, pg),
            `ttft_ns` (pg), `itl_ns` (tg, pg: a list of steps per pass), `e2e_ns` (pg),
            `encode_ns` (enc, img, graph); over all passes `cpu_ns`, `major_faults`,
            `involuntary_switches`, `finite`, `digest`.
        watch: harness.machine.watch.probes.WatchInterval as a dict.
        energy: harness.machine.meters.energy.energy_used of the timed part; None: nobody asked.
    """

    round: int
    order: int
    open: Json
    warm: Json
    sample: Json
    watch: Json
    energy: Json | None = None

    def to_json(self) -> Json:
        """As it is kept in a record's `samples`."""
        every = {field: getattr(self, field) for field in ProcessSamples.__slots__}
        return {field: value for field, value in every.items() if value is not None}


def samples_of(entry: Mapping[str, Any]) -> ProcessSamples:
    """Take the samples out of a journal entry of kind `test`; its other keys are left."""
    fields = ProcessSamples.__slots__
    return ProcessSamples(**{field: entry[field] for field in fields if field in entry})


def kind_of(cell: Cell) -> Kind:
    """`enc`, `img` or `graph`, by the name of the test; else from the numbers of the cell."""
    for kind in SINGLE_PASS:  # their names tell; their lengths do not
        if cell.workload.startswith(kind):
            return kind
    if cell.prompt and cell.gen:
        return REQUEST
    return PREFILL if cell.prompt else DECODE
