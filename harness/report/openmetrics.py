"""OpenMetrics text: one gauge per metric, and one for each end of its interval.

Format: https://prometheus.io/docs/specs/om/open_metrics_spec
"""

from collections.abc import Iterator

from harness.report.escape import one_line
from harness.report.export import exported, labels
from harness.results.glossary import explain, terms
from harness.results.progress import ending_of, progress_sentence
from harness.results.schema import Document

PREFIX = "ondevice_bench_"
ENDS = {"": "value", "_low": "low", "_high": "high"}
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Series = dict[str, list[tuple[dict[str, str], float]]]


def draw_openmetrics(document: Document) -> str:
    """The run, every family together, as the format asks, then its end mark.

    The run's name stands in a family of its own: as a label it would begin new series each time.
    """
    families: Series = {}
    for record, metrics in exported(document):
        for name, metric in metrics.items():
            for suffix, end in ENDS.items():
                value = getattr(metric, end)
                if value is not None:
                    sample = (labels(record.cell), value)
                    families.setdefault(name + suffix, []).append(sample)
    return "\n".join([*_run(document), *_lines(families), "# EOF"]) + "\n"


def _run(document: Document) -> Iterator[str]:
    """Yield which run it is."""
    facts = {
        "run_id": document.run_id,
        "created_utc": document.created_utc,
        "method_version": str(document.method_version),
        "ended": ending_of(document),
        "progress": one_line(progress_sentence(document)),
    }
    yield f"# TYPE {PREFIX}run info"
    yield f"# HELP {PREFIX}run The run that all numbers are from."
    yield f"{PREFIX}run_info{{{_labels(facts)}}} 1"


def _lines(families: Series) -> Iterator[str]:
    """Yield type, help and samples of each family."""
    for name, samples in families.items():
        yield f"# TYPE {PREFIX}{name} gauge"
        yield f"# HELP {PREFIX}{name} {_help(name).translate(ESCAPES)}"
        for labelled, value in samples:
            yield f"{PREFIX}{name}{{{_labels(labelled)}}} {value!r}"


def _labels(labelled: dict[str, str]) -> str:
    """Names and values between the braces; an empty label is the same as none, so it is none."""
    return ",".join(f'{key}="{item.translate(ESCAPES)}"' for key, item in labelled.items() if item)


def _help(name: str) -> str:
    """What a metric is; a name that this version does not know stands for itself."""
    base = name.removesuffix("_low").removesuffix("_high")
    if base != name:
        return f"{name.removeprefix(base)[1:]} end of the 95 % interval of {base}"
    return explain(name).splitlines()[0] if name in terms() else name
