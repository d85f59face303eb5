"""OpenMetrics text: one gauge per metric, and one for each end of its interval.

Format: https://prometheus.io/docs/specs/om/open_metrics_spec
"""

from collections.abc import Iterator

from harness.glossary import explain, terms
from harness.report.export import exported, labels
from harness.results.schema import Document

PREFIX = "ondevice_bench_"
ENDS = {"": "value", "_low": "low", "_high": "high"}
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Series = dict[str, list[tuple[dict[str, str], float]]]


def draw_openmetrics(document: Document) -> str:
    """Every family together, as the format asks, then its end mark."""
    families: Series = {}
    for record, metrics in exported(document):
        for name, metric in metrics.items():
            for suffix, end in ENDS.items():
                value = getattr(metric, end)
                if value is not None:
                    labelled = {"run_id": document.run_id, **labels(record.cell)}
                    families.setdefault(name + suffix, []).append((labelled, value))
    return "\n".join([*_lines(families), "# EOF"]) + "\n"


def _lines(families: Series) -> Iterator[str]:
    """Yield type, help and samples of each family."""
    for name, samples in families.items():
        yield f"# TYPE {PREFIX}{name} gauge"
        yield f"# HELP {PREFIX}{name} {_help(name).translate(ESCAPES)}"
        for labelled, value in samples:
            text = ",".join(f'{key}="{item.translate(ESCAPES)}"' for key, item in labelled.items())
            yield f"{PREFIX}{name}{{{text}}} {value!r}"


def _help(name: str) -> str:
    """What a metric is; a name that this version does not know stands for itself."""
    base = name.removesuffix("_low").removesuffix("_high")
    if base != name:
        return f"{name.removeprefix(base)[1:]} end of the 95 % interval of {base}"
    return explain(name).splitlines()[0] if name in terms() else name
