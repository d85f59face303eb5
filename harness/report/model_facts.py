"""What a word for a model turned out to be: one column of `bench models MODEL`, or one object."""

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.core.errors import DeviceError, ModelError, UsageError
from harness.report.grid import MISSING, draw_records, draw_rows
from harness.report.numbers import size_text
from harness.runner.models import find_model
from harness.runner.plan import make_plan
from harness.runner.settings import Settings

Facts = dict[str, object]
MOST_LISTED = 16  # entries of a list in one cell; JSON has all


def model_facts(settings: Settings, folder: Path | None, usable_threads: int) -> list[Facts]:
    """Return what is known of every model of a plan, with the levels and tests it can run.

    Args:
        settings: names the models; their tests are those of the plan.
        folder: of built models; None: the usual one.
        usable_threads: physical cores this process may use.

    Raises:
        UsageError: a word that means no model.
        ModelError, WorkerError: files that cannot be used.
    """
    found = []
    for name in settings.model:
        model = find_model(name, folder)
        one = Settings(model=(name,), prompt=settings.prompt, gen=settings.gen, pg=settings.pg)
        tests, refused = _tests(one, folder, usable_threads)
        found.append({**model.facts(), "tests": tests, "refused": refused})
    return found


def draw_facts(models: Sequence[Facts], style: str) -> str:
    """Draw one column per model; a fact that none of them has is left out.

    Args:
        models: as model_facts found them.
        style: of `options.FORMATS`.
    """
    if style in ("json", "jsonl"):
        return draw_records(models, style)
    rows = [[name, *(draw(facts) for facts in models)] for name, draw in _ROWS.items()]
    told = [row for row in rows if any(cell != MISSING for cell in row[1:])]
    return draw_rows(("model", *(str(facts["model"]) for facts in models)), told, style)


def _tests(
    settings: Settings, folder: Path | None, usable_threads: int
) -> tuple[list[str], str | None]:
    """Return the tests that the usual plan runs of a model, or why it runs none."""
    try:
        plan = make_plan(settings, usable_threads, folder=folder)
    except (UsageError, ModelError, DeviceError) as error:
        return [], error.problem
    names = [workload.test for group in plan.groups for workload in group.workloads]
    return list(dict.fromkeys(names)), None


def _plain(key: str) -> Callable[[Facts], str]:
    """Return how a word, a number or a list of words is drawn."""

    def draw(facts: Facts) -> str:
        value = facts.get(key)
        if value is None or value == []:
            return MISSING
        if value == 0 and key == "parameters":
            return "none: the graph only computes"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, list | tuple):
            return ", ".join(_first([*map(str, value)]))
        return f"{value:,}" if isinstance(value, int) else str(value)

    return draw


def _sentences(key: str) -> Callable[[Facts], str]:
    """Return how a list of sentences is drawn."""

    def draw(facts: Facts) -> str:
        value = facts.get(key)
        return "; ".join(_first(value)) if isinstance(value, list) and value else MISSING

    return draw


def _listed(key: str, words: str) -> Callable[[Facts], str]:
    """Return how a list of objects is drawn: each in the same words, bytes as sizes."""

    def draw(facts: Facts) -> str:
        entries = facts.get(key)
        if not isinstance(entries, list) or not entries:
            return MISSING
        return "; ".join(_first([words.format(**_sized(entry)) for entry in entries]))

    return draw


def _first(words: Sequence[object]) -> list[str]:
    """Return the words of a list that a cell has room for, and how many more there are."""
    shown = [str(word) for word in words[:MOST_LISTED]]
    more = len(words) - len(shown)
    return [*shown, f"and {more:,} more"] if more else shown


def _sized(entry: dict[str, object]) -> dict[str, object]:
    """Return an object with every number of bytes as a size: `stored` of `stored_bytes`."""
    drawn: dict[str, object] = {}
    for key, value in entry.items():
        if key.endswith("_bytes") and isinstance(value, int):
            drawn[key.removesuffix("_bytes")] = size_text(value)
        else:
            drawn[key] = value
    return drawn


def _weights(facts: Facts) -> str:
    """Return the stored size and what one weight takes of it."""
    size, bits = facts.get("weights_bytes"), facts.get("bits_per_weight")
    if not isinstance(size, int) or not size:
        return MISSING
    text = size_text(size)
    return f"{text}, {bits:.2f} bits a weight" if isinstance(bits, float) else text


def _domains(facts: Facts) -> str:
    """Return the domains whose operators the graphs need besides the standard one."""
    graphs = facts.get("graphs")
    if not isinstance(graphs, list):
        return MISSING
    return (
        ", ".join(dict.fromkeys(name for graph in graphs for name in graph["domains"])) or MISSING
    )


_ROWS: dict[str, Callable[[Facts], str]] = {
    "kind": _plain("kind"),
    "weights are": _plain("weights"),
    "exporter": _plain("exporter"),
    "architecture": _plain("architecture"),
    "parameters": _plain("parameters"),
    "stored": _weights,
    "stored as": _listed("stored", "{level}: {parameters:,} in {stored}"),
    "compiled for": _plain("compiled_for"),
    "graphs": _listed("graphs", "{file} ({role}, opset {opset}, {nodes:,} nodes)"),
    "operators of": _domains,
    "data files": _listed("data_files", "{name} ({size})"),
    "cache": _plain("cache"),
    "free dimensions": _plain("free_dimensions"),
    "vocabulary": _plain("vocab_size"),
    "context tokens": _plain("max_context_tokens"),
    "image pixels": _plain("image_size"),
    "tokenizer": _plain("has_tokenizer"),
    "levels": _plain("levels"),
    "tests": _plain("tests"),
    "no tests, because": _plain("refused"),
    "notes": _sentences("notes"),
    "other files": _plain("other_files"),
    "content": _plain("content_hash"),
}
