"""Where time goes: operators of a profile, terms of an estimate beside what was measured. Pure."""

from collections.abc import Iterator, Sequence

from harness.report.charts.cells import Machine, by_bits, cell_words, cut, is_drawn, measured
from harness.report.charts.chart import Chart, Spec, Value, chart
from harness.report.charts.parts import (
    NUMBER,
    Series,
    chosen_only,
    interval_tooltip,
    known,
    layer,
    layered,
    names,
    number,
    rows_height,
    tooltip,
    whisker,
)
from harness.report.rows import make_rows, shown_metric
from harness.results.explanation import EstimatedPass
from harness.results.metrics import metric_of_pass, metric_row
from harness.results.replies import OperatorShare, Profile
from harness.results.schema import Record

MOST_ROWS = 30
MOST_OPERATORS = 8  # more than that, and colours say nothing
MOST_TERMS = 7  # likewise, of an estimate
OTHERS = "all others"
CALLS = "fixed cost of calls"
OVERHEAD = "overhead"  # what bounds a term that is calls alone
TERM_WORDS = {"body": "matrices of the layers", "head": "matrix of the head"}
PASS_TITLES = {
    "decode step": "a decode step",
    "prefill": "reading the prompt",
    "encode": "a pass of the encoder",
}


def operator_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each document with profiles."""
    for machine in all_machines:
        pairs = [
            (record, record.profile)
            for record in machine.document.records
            if record.profile is not None and record.profile.operators
        ]
        if pairs:
            yield _operator_chart(machine, pairs)


def _operator_chart(machine: Machine, pairs: Sequence[tuple[Record, Profile]]) -> Chart:
    """The profiles of one document."""
    drawn = pairs[:MOST_ROWS]
    labels = cell_words([record.cell for record, _ in drawn], always=("level", "workload"))
    totals: dict[str, float] = {}
    for _, profile in drawn:
        for one in profile.operators:
            name = _operator(one)
            totals[name] = totals.get(name, 0.0) + one.share
    largest = sorted(totals, key=lambda name: -totals[name])[:MOST_OPERATORS]
    values = [
        row
        for label, (_, profile) in zip(labels, drawn, strict=True)
        for row in _shares(label, profile, largest)
    ]
    series = Series("operator", "operator", (*largest, OTHERS))
    return chart(
        "operators",
        f"Time by operator, share of the time of all nodes{machine.suffix}",
        "Of a session of its own that the profile slows down: shares, not durations. Behind each"
        " operator stands the provider that ran it.",
        _stack(values, labels, series, "share", "share of the time", ".0%"),
        [{key: row[key] for key in ("row", "operator", "share", "calls")} for row in values],
        notes=(f"{MOST_ROWS} of {len(pairs)} profiles are drawn",) * (len(pairs) > MOST_ROWS),
        **machine.words,
    )


def _operator(one: OperatorShare) -> str:
    """An operator with where it ran."""
    return f"{cut(one.operator, 26)} ({cut(one.provider.removesuffix('ExecutionProvider'), 14)})"


def _shares(label: str, profile: Profile, largest: Sequence[str]) -> Iterator[dict[str, Value]]:
    """Yield the largest operators of a profile in their order, then all others in one."""
    found = {_operator(one): one for one in profile.operators}
    shown = {name: found[name] for name in largest if name in found}
    for place, name in enumerate(largest):
        if name in shown:
            yield {
                "row": label,
                "operator": name,
                "place": place,
                "share": shown[name].share,
                "calls": shown[name].calls,
            }
    rest = 1.0 - sum(one.share for one in shown.values())
    if rest > 0:
        yield {
            "row": label,
            "operator": OTHERS,
            "place": len(largest),
            "share": rest,
            "calls": None,
        }


def term_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each document and pass of its estimates."""
    for machine in all_machines:
        groups: dict[str, list[tuple[Record, EstimatedPass]]] = {}
        for row in by_bits(make_rows(machine.document.records)):
            record = row.judged
            if record is None or not is_drawn(record) or record.explanation is None:
                continue
            for one in record.explanation.passes:
                if one.pass_name in PASS_TITLES and one.terms:
                    groups.setdefault(one.pass_name, []).append((record, one))
        for name, pairs in groups.items():
            yield _term_chart(machine, name, pairs)


def _term_chart(
    machine: Machine, name: str, pairs: Sequence[tuple[Record, EstimatedPass]]
) -> Chart:
    """One pass of the rows of one document."""
    drawn = pairs[:MOST_ROWS]
    labels = cell_words([record.cell for record, _ in drawn])
    metric = metric_of_pass(name).name
    sums = [_by_term(one) for _, one in drawn]
    totals: dict[str, float] = {}
    for found in sums:
        for term, seconds in found.items():
            totals[term] = totals.get(term, 0.0) + seconds
    terms = sorted(totals, key=lambda term: -totals[term])
    if len(terms) > MOST_TERMS:
        terms = [*terms[: MOST_TERMS - 1], OTHERS]
    values: list[dict[str, Value]] = [
        {"row": label, "operator": term, "place": place, "share": seconds * 1e3}
        for label, found in zip(labels, sums, strict=True)
        for place, (term, seconds) in enumerate(_kept(found, terms))
    ]
    times: list[dict[str, Value]] = [
        {"row": label, "total": one.seconds * 1e3, **measured(shown_metric(record, metric))}
        for label, (record, one) in zip(labels, drawn, strict=True)
    ]
    unit = metric_row(metric).unit
    spec = _stack(
        values, labels, Series("operator", "estimated term", tuple(terms)), "share", unit, NUMBER
    )
    spec["layer"] += _measured_marks(times, labels, unit)
    return chart(
        f"terms-{name.replace(' ', '-')}",
        f"Where the time of {PASS_TITLES[name]} goes, {unit}{machine.suffix}",
        "Bars are estimated, term by term, from the graph and this machine's peaks; the diamond is"
        " what was measured, with its 95 % interval.",
        spec,
        [
            {
                "row": row["row"],
                "term": row["operator"],
                f"estimated {unit}": row["share"],
            }
            for row in values
        ],
        notes=(f"{MOST_ROWS} of {len(pairs)} rows are drawn",) * (len(pairs) > MOST_ROWS),
        **machine.words,
    )


def _by_term(one: EstimatedPass) -> dict[str, float]:
    """Seconds by term, the fixed costs of all kinds of calls together."""
    found: dict[str, float] = {}
    for term in one.terms:
        name = CALLS if term.bound == OVERHEAD else cut(TERM_WORDS.get(term.term, term.term))
        found[name] = found.get(name, 0.0) + term.seconds
    return found


def _kept(found: dict[str, float], terms: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yield the seconds of every term that is kept, in order, the rest of them as one."""
    rest = sum(seconds for term, seconds in found.items() if term not in terms)
    for term in terms:
        yield term, rest if term == OTHERS else found.get(term, 0.0)


def _stack(
    values: Sequence[dict[str, Value]],
    labels: Sequence[str],
    series: Series,
    field: str,
    title: str,
    form: str,
) -> Spec:
    """Stacked bars, a line for each row."""
    bars = layer(
        {"type": "bar", "height": {"band": 0.6}},
        {
            "x": {**number(field, title, axis={"format": form}), "stack": "zero"},
            "y": names("row", labels),
            "color": series.color,
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": tooltip(("row", "row"), ("operator", series.title), (field, title, form)),
        },
        chosen_only(),
        params=series.chosen,
    )
    return layered(values, [bars], rows_height(len(labels)))


def _measured_marks(
    times: Sequence[dict[str, Value]], labels: Sequence[str], unit: str
) -> list[Spec]:
    """Diamonds with whiskers over the bars."""
    own = {"data": {"values": list(times)}}
    row = names("row", labels)
    return [
        *whisker(
            {"strokeWidth": 1.5, "style": "strong"},
            {"x": number("low", unit), "x2": {"field": "high"}, "y": row},
            times,
            **own,
        ),
        layer(
            {"type": "point", "shape": "diamond", "filled": True, "size": 70, "style": "strong"},
            {
                "x": number("value", unit),
                "y": row,
                "tooltip": [
                    *tooltip(("row", "row"), ("total", f"estimated, {unit}", NUMBER)),
                    *interval_tooltip("value", f"measured, {unit}"),
                ],
            },
            known("value"),
            **own,
        ),
    ]
