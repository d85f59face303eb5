"""The lines below a table: failures, doubts, what estimates stand on, what weights are. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import structs

from harness.core.units import GB, MIB
from harness.estimator.calibration.device_sizes import reads_own_memory
from harness.models.served import is_served
from harness.report.drift import drift_notes
from harness.report.energy_notes import energy_notes
from harness.report.headline import LLAMA, thread_words
from harness.report.numbers import counted, three_digits
from harness.report.required import judged_document, required_lines
from harness.report.rows import Row, test_of
from harness.report.sweep import sweep_notes
from harness.report.turns import TURNS
from harness.results.calibration import StoredConstants
from harness.results.enums import PlacementVerdict, Status
from harness.results.explanation import WholeCache
from harness.results.identity import field_word
from harness.results.plan import RunPlan
from harness.results.progress import progress_sentence
from harness.results.schema import ENCODE, Cell, Document, Record, kind_of
from harness.results.validity import is_own_work, is_valid

WEIGHTS_NOTES = {
    "seeded": "weights: seeded random (right for speed and memory, says nothing about quality)",
    "trained": "weights: trained",
    "served": "weights: those that the server has loaded",
}
ROUTING_NOTE = (
    "experts: drawn evenly for every token (seeded); trained routers prefer some, and read fewer"
    " over a prompt"
)
LOPSIDED_NOTE = (
    "experts: seeded routers of this version prefer some: a prompt reads about half of those that"
    " estimates count, and steps find them in a cache"
)
FIRST_DRAWN_METHOD = 2  # documents of earlier ones hold rows of the other kind

READ_SHARE = 0.95  # of the parameters: what reads less for one token says so
OFF_SHARE = 0.5  # of the stored read bandwidth, that a run's own may be off without a word

MUCH_SHARE = 0.1  # of a peak, that a whole cache adds before the notes say so
MOST_NAMED = 3  # models of one note

PLAIN = "f32"  # the level at which a GGUF file holds the weights as they are
TELEMETRY_ON = "onnxruntime's telemetry was on: it writes and sends inside timed samples"
MEAS_EST = "meas/est: time measured / estimated"


def notes(document: Document, rows: Sequence[Row]) -> list[str]:
    """Lines below the table: what failed and why, doubts, the estimate's basis, the weights."""
    return [
        *filter(None, [progress_sentence(document)]),
        *(["no records: nothing was measured"] * (not document.records)),
        *_judged_tests(rows),
        *([TURNS] * any("reread_ttft_ms" in one.metrics for one in document.records)),
        *_failures(document.records),
        *_misplaced(document.records),
        *_invalid(document.records),
        *_effort(document.plan),
        *_session_options(document.plan),
        *([TELEMETRY_ON] * bool(document.environment.onnxruntime_telemetry)),
        *_doubts(document.records),
        *energy_notes(document.records),
        *_servers(document.records),
        *_sustained(document.records),
        *_starts(document),
        *_estimate_note(document),
        *drift_notes(document),
        *_whole_caches(rows),
        *_same_weights(document),
        *_lost_peaks(document),
        *required_lines(judged_document(document)),
        *sweep_notes(rows),
        *_references(document),
        *_lost_quality(document),
        *_lost_profiles(document.records),
        *_recognised(document.records),
        *_weights(rows, document.method_version),
        *_read_parameters(document.records),
        *(["simulated device: the function is proven, speed means nothing"] * _simulated(rows)),
    ]


def _judged_tests(rows: Sequence[Row]) -> Iterator[str]:
    """Of which test an encoder's ± and estimate are, where it has several."""
    tests = {
        test_of(row.judged.cell): 1
        for row in rows
        if row.judged
        and kind_of(row.judged.cell) == ENCODE
        and sum(kind_of(record.cell) == ENCODE for record in row.records) > 1
    }
    if tests:
        yield f"±, est. seq/s and meas/est: of {', '.join(tests)}"


def _failures(records: Sequence[Record]) -> Iterator[str]:
    """One line per reason: a session that failed as a whole says so once."""
    tests: dict[tuple[str, str, str], list[str]] = {}
    for record in records:
        if record.status != Status.OK:
            reason = "; ".join((record.reason or "").splitlines())
            key = (_name(record.cell, records), record.status, reason)
            tests.setdefault(key, []).append(record.cell.workload)
    for (name, status, reason), workloads in tests.items():
        yield f"{name} {', '.join(workloads)}: {status}: {reason}"


def _misplaced(records: Sequence[Record]) -> Iterator[str]:
    """One line per session that was kept although its device left work to another one."""
    lines = {}
    for record in records:
        if record.status == Status.OK and record.placement and not is_own_work(record):
            left = ", ".join(f"{count} {name}" for name, count in record.placement.fell_off.items())
            name = _name(record.cell, records)
            told = record.placement.verdict != PlacementVerdict.UNKNOWN
            who = f"others computed {left or 'it all'}" if told else "the runtime tells nothing"
            lines[name] = f"{name}: {record.placement.verdict}: {who}"
    yield from lines.values()


def _invalid(records: Sequence[Record]) -> Iterator[str]:
    """One line per record whose numbers may not be shown, with its reasons."""
    for record in records:
        if record.status == Status.OK and not is_valid(record) and record.trust:
            reasons = "; ".join(
                f"{reason.code}: {reason.detail}" for reason in record.trust.reasons
            )
            yield f"{_name(record.cell, records)} {record.cell.workload}: INVALID: {reasons}"


def _doubts(records: Sequence[Record]) -> Iterator[str]:
    """How often each reason stands between a valid record and an A."""
    codes = Counter(
        reason.code
        for record in records
        if is_valid(record) and record.trust
        for reason in record.trust.reasons
    )
    if codes:
        total = sum(record.status == Status.OK for record in records)
        listed = ", ".join(f"{code} in {count}" for code, count in codes.most_common())
        yield f"trust below A, of {total} records: {listed} (bench explain trust)"


ENDINGS = {
    "precision": "every interval is within it",
    "rounds": "{wide} cells are not within it, after the most rounds allowed",
    "budget": "{wide} cells are not within it: the budget is used up",
    "interrupt": "{wide} cells are not within it: the run was interrupted",
}


def _effort(plan: RunPlan) -> Iterator[str]:
    """Whether the precision that was asked for was reached."""
    found = plan.effort
    if found:
        end = ENDINGS[found.ended].format(**structs.asdict(found))
        yield f"precision {found.precision:.1%}: {end} ({found.rounds} rounds)"


def _session_options(plan: RunPlan) -> Iterator[str]:
    """Yield which options every session had beyond the usual ones."""
    if plan.session_option:
        yield f"session options: {', '.join(plan.session_option)}"


def _named(record: Record) -> str:
    """What a server calls the model of a row, where that is another word."""
    name = (record.hardware.options if record.hardware else {}).get("model", record.cell.model)
    return "" if name == record.cell.model else f"; {record.cell.model} is its {name}"


def _servers(records: Sequence[Record]) -> Iterator[str]:
    """How each server was asked, who counted, and whose memory is shown; one line per answer."""
    served = [record for record in records if is_served(record.cell.runtime)]
    yield from dict.fromkeys(
        f"{record.cell.runtime}: client time, over {found['dialect']}; tokens {found['tokens']},"
        f" prompts {found['prompts']}; threads and device are its own{_named(record)}"
        for record in served
        if record.hardware and (found := record.hardware.options)
    )
    kept: dict[str, int] = {}
    for record in served:
        for process in record.samples:
            most = max(kept.get(record.cell.runtime, 0), process.sample.cached_tokens or 0)
            kept[record.cell.runtime] = most
    yield from (
        f"{name}: kept up to {most} tokens of a prompt, which it did not read again"
        for name, most in kept.items()
        if most
    )
    yield from dict.fromkeys(
        f"{record.cell.runtime}: memory {reply.reason}"
        if reply.reason
        else f"{record.cell.runtime}: peak MiB is the most that its processes ever held"
        for record in served
        for reply in record.memory
    )


def _sustained(records: Sequence[Record]) -> Iterator[str]:
    """What is left of each speed after minutes without a rest."""
    for record in records:
        found = record.sustain
        if not found:
            continue
        name = f"{_name(record.cell, records)} {record.cell.workload}"
        if found.reason is not None or found.share is None or found.sustained is None:
            yield f"{name}: not sustained: {found.reason}"
            continue
        after = found.throttled_after_s
        end = "no lasting fall" if after is None else f"below 95% of it from {after:.0f} s on"
        yield (
            f"{name} without a rest: {three_digits(found.sustained)} {found.unit} at the end, "
            f"{found.share:.0%} of the peak; {end}"
        )


def _starts(document: Document) -> Iterator[str]:
    """How long processes waited for a cooler machine, by the sensor; or that none told."""
    limit = document.plan.start_below
    if not isinstance(limit, float) or not document.records:
        return
    records = document.records
    seen = {  # tests of one process share its wait
        (start.sensor, start.waited_s, start.celsius): start
        for record in records
        for one in (*record.samples, *([record.sustain] if record.sustain else ()))
        if (start := one.start) is not None
    }
    if not seen:
        yield (
            f"--start-below {limit:g}C: no sensor of the processor could be read, so nothing"
            " waited (bench doctor)"
        )
        return
    waits = [start.waited_s for start in seen.values()]
    sensors = ", ".join(dict.fromkeys(start.sensor for start in seen.values()))
    warm = sum(not start.reached for start in seen.values())
    end = f"; {warm} of them ended without (WARM_START)" if warm else ""
    yield (
        f"below {limit:g} °C ({sensors}): {counted(len(waits), 'processes')} waited"
        f" {sum(waits):.0f} s in all, {max(waits):.0f} s at the most{end}"
    )


def _estimate_note(document: Document) -> Iterator[str]:
    """What the estimates were taken from: constants measured here, and the bandwidth of the run."""
    bases = dict.fromkeys(
        f"the {found.estimator} estimate ({found.basis})"
        for found in (record.explanation for record in document.records)
        if found
    )
    listed = [
        f"{peak.bytes_per_s / GB:.1f} GB/s with {thread_words(peak.threads)}"
        for peak in document.environment.read_bandwidth
        if peak.bytes_per_s is not None
    ]
    rule = f"parameters × bits / 8, read at {', '.join(listed)} as measured in this run"
    if all(kind_of(record.cell) == ENCODE for record in document.records):
        rule = f"2 × parameters flop a token, but never faster than {rule}"
    if bases:
        told = "; ".join(bases) if len(bases) <= MOST_NAMED else _by_run(document)
        yield f"est.: {told}; {MEAS_EST} (bench explain FILE)"
        yield from [f"meas/params: the same beside {rule}"] * bool(listed)
        theirs = [one.cell.level for one in document.records if one.cell.runtime == LLAMA]
        names = ", ".join(dict.fromkeys(theirs)) if listed else ""
        yield from [f"est. of {names}: {rule}; est. MiB: the weights alone"] * bool(names)
    elif listed and any(record.estimates for record in document.records):
        yield f"est.: {rule}; {MEAS_EST}"


def _by_run(document: Document) -> str:
    """How estimates came about, where each run had a basis of its own."""
    found = (record.explanation for record in document.records)
    kinds = dict.fromkeys(one.estimator for one in found if one)
    return f"the {' or '.join(kinds)} estimate, of the peaks that each run found on its machine"


def _whole_caches(rows: Sequence[Row]) -> Iterator[str]:
    """What the peak would be with a model's whole context allocated, where that is far more.

    Nothing of a model of which a row shows it.
    """
    found: dict[str, list[WholeCache]] = {}
    for row in rows:
        known = [one.explanation.whole_cache for one in row.records if one.explanation]
        caches = [cache for cache in known if cache is not None]
        if caches:
            found.setdefault(row.cell.model, []).append(max(caches, key=lambda c: c.peak_bytes))
    shown = {(row.cell.model, row.cell.capacity) for row in rows}
    named = [
        f"{_span_words(caches)} ({model}, {caches[0].context_tokens:,} tokens)"
        for model, caches in found.items()
        if (model, caches[0].context_tokens) not in shown
        and any(cache.more_bytes > MUCH_SHARE * cache.peak_bytes for cache in caches)
    ]
    if named:
        more = len(named) - MOST_NAMED
        listed = ", ".join(named[:MOST_NAMED]) + f" and {more} more models" * (more > 0)
        yield (
            "cache: no longer than these tests need; with a model's whole context the peak would be"
            f" about {listed}; --capacity max measures it"
        )


def _span_words(caches: Sequence[WholeCache]) -> str:
    """`571 to 1,070 MiB`."""
    peaks = [cache.peak_bytes for cache in caches]
    ends = dict.fromkeys(f"{size / MIB:,.0f}" for size in (min(peaks), max(peaks)))
    return f"{' to '.join(ends)} MiB"


def _same_weights(document: Document) -> Iterator[str]:
    """How near llama.cpp's logits come to ours, of the same weights at f32 and of each level."""
    levels: dict[str, dict[str, float]] = {}
    plain: dict[str, float] = {}
    for record in document.records:
        found = record.hardware
        if found is None or found.plain_cosine is None or found.fused_cosine is None:
            continue
        plain[record.cell.model] = found.plain_cosine
        levels.setdefault(record.cell.model, {})[record.cell.level] = found.fused_cosine
    for model, cosine in plain.items():
        others = [f"{name} {value:.4f}" for name, value in levels[model].items() if name != PLAIN]
        told = ", ".join([f"{PLAIN} {cosine:.6f}", *others])
        yield f"llama.cpp's logits beside ours at fp32, {model}, least cosine: {told}"


def _lost_peaks(document: Document) -> Iterator[str]:
    """Why estimates are missing: memory could not be read, or the peaks not be measured."""
    for count, reason in document.environment.read_bandwidth_failures.items():
        yield f"memory could not be read with {thread_words(count)}: {reason}"
    for failure in document.environment.calibration_failures:
        yield f"no calibration with {thread_words(failure.threads)}: {failure.reason}"
    yield from _doubtful_peaks(document)
    if document.plan.calibrate is False:
        yield "not calibrated, as asked: estimates from the read bandwidth and typical call times"


def _doubtful_peaks(document: Document) -> Iterator[str]:
    """Calibrations that were taken beside other programs, or that this run is far off."""
    own = {peak.threads: peak.bytes_per_s for peak in document.environment.read_bandwidth}
    for found in document.environment.calibration:
        yield from _doubts_of(found, own)


def _doubts_of(calibration: StoredConstants, own: dict[int, float | None]) -> Iterator[str]:
    """What makes one calibration doubtful, beside what the run read itself in bytes/s."""
    threads = calibration.constants.threads
    read, day = own.get(threads), calibration.measured_on
    if calibration.is_busy:
        yield (
            f"calibrated with {thread_words(threads)} while others used"
            f" {calibration.background_share:.0%} of the CPU{f' on {day}' if day else ''}:"
            " estimates may be off, until a run finds the machine quiet and measures anew"
        )
    if reads_own_memory(calibration.device):
        return
    points = calibration.constants.bandwidth
    largest = max(points, key=lambda point: point.size_bytes, default=None)
    if largest is None or calibration.constants.pulse is not None:  # the drift says how far
        return
    stored = largest.rate_per_s
    if read is not None and abs(read - stored) > OFF_SHARE * stored:
        yield (
            f"this run read memory at {read / GB:.1f} GB/s with {thread_words(threads)}, the"
            f" calibration at {stored / GB:.1f}: estimates may be off (bench calibrate --again)"
        )


def _references(document: Document) -> Iterator[str]:
    """Which other model quality was compared with, where it was not each model's own fp32."""
    qualities = [record.quality for record in document.records if record.quality]
    for name in dict.fromkeys(found.reference for found in qualities if found.reference):
        yield f"quality against {name} at fp32, not each model's own fp32"


def _lost_quality(document: Document) -> Iterator[str]:
    """Why the quality of a level is not known, each reason once."""
    reasons = dict.fromkeys(
        f"{_stored(record.cell)}: no quality: {record.quality.reason}"
        for record in document.records
        if record.quality and record.quality.reason is not None
    )
    yield from reasons


def _lost_profiles(records: Sequence[Record]) -> Iterator[str]:
    """Why there is no profile where one was asked for, each reason once."""
    reasons: dict[str, dict[str, None]] = {}
    for record in records:
        if record.profile is not None and record.profile.reason is not None:
            reasons.setdefault(record.profile.reason, {})[_name(record.cell, records)] = None
    for reason, names in reasons.items():
        yield f"{', '.join(names)}: no profile: {reason}"


def _recognised(records: Sequence[Record]) -> Iterator[str]:
    """What is to be known of exported files, each sentence of a model once."""
    yield from dict.fromkeys(
        f"{record.cell.model}: {note}"
        for record in records
        if record.recognition
        for note in record.recognition.notes or ()
    )


def _stored(cell: Cell) -> str:
    """Model, level, and a cache that is not the level's own."""
    cache = "" if cell.has_own_cache else f" kv {cell.kv_cache}"
    return f"{cell.model} {cell.level}{cache}"


def _weights(rows: Sequence[Row], method_version: int) -> Iterator[str]:
    """One line per kind of weights, and one where seeded routers chose the experts."""
    for kind in dict.fromkeys(row.cell.weights for row in rows):
        yield WEIGHTS_NOTES.get(kind, f"weights: {kind}")
    mixtures = [row.cell for row in rows if row.cell.active_parameters is not None]
    if any(cell.weights == "seeded" for cell in mixtures):
        yield ROUTING_NOTE if method_version >= FIRST_DRAWN_METHOD else LOPSIDED_NOTE


def _read_parameters(records: Sequence[Record]) -> Iterator[str]:
    """One line per model of which one token reads clearly less than all parameters."""
    known = {
        record.cell.model: (record.cell, record.explanation.read_parameters)
        for record in records
        if record.explanation is not None and record.explanation.read_parameters is not None
    }
    for name, (cell, read) in known.items():
        if read < READ_SHARE * cell.parameters:
            active = cell.active_parameters
            uses = "" if active is None else f"uses {active:,} and "
            yield (
                f"{name}: of {cell.parameters:,} parameters one token {uses}reads {read:,};"
                " meas/params counts them all"
            )


def _simulated(rows: Sequence[Row]) -> bool:
    """Whether any device was emulated."""
    return any(record.simulated for row in rows for record in row.records)


def _name(cell: Cell, records: Sequence[Record]) -> str:
    """Model, level, and whatever else tells this session from the others of the document."""
    extras = {
        "kv_cache": "kv {}",
        "device": "{}",
        "threads": "threads {}",
        "batch": "batch {}",
        "prepack": "prepack {}",
        "capacity": "capacity {}",
    }
    if is_served(cell.runtime):  # which tells it from all others
        return f"{cell.model} {cell.runtime}"
    varying = [
        template.format(field_word(cell, field))
        for field, template in extras.items()
        if len({getattr(record.cell, field) for record in records}) > 1
    ]
    return " ".join([cell.model, cell.level, *varying])
