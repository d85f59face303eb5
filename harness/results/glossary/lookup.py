"""Look a term up, or write the whole glossary."""

import re

from harness.core.errors import UsageError, nearest
from harness.results.glossary.columns import COLUMNS
from harness.results.glossary.comparison import COMPARISON
from harness.results.glossary.metrics import METRICS
from harness.results.glossary.term import Term
from harness.results.glossary.words import TRUST, WORDS
from harness.results.metric_names import full_name

SECTIONS = (
    ("Metrics", "The names in records, in JSON and CSV.", METRICS),
    ("Columns", "The headers of the table.", COLUMNS),
    ("Trust", "Grades, and the codes of the reasons below A.", TRUST),
    ("Comparison", "What `bench compare` prints.", COMPARISON),
    ("Words", "", WORDS),
)
# `pp128 tok/s`, `tg32 @ d1024`, `pg128+32 TTFT ms`, `est_decode_tok_s`: one entry each.
PATTERNS = (
    (r"pg\d+\+\d+(c\d+)? ttft ms", "TTFT ms"),
    (r"turn\d+\+\d+(c\d+)? ttft ms", "TTFT ms"),
    (r"turn\d+\+\d+(c\d+)? reread ttft ms", "reread TTFT ms"),
    (r"turn\d+\+\d+(c\d+)? tok/s", "turnN+M tok/s"),
    (r"turn\d+\+\d+(c\d+)?( @ d\d+)?", "turn"),
    (r"turns|\d+x\d+\+\d+", "turn"),
    (r"start[ _]below", "start-below"),
    (r"sustain", "sustained"),
    (r"pp\d+(c\d+)? tok/s", "ppN tok/s"),
    (r"tg\d+ tok/s", "tgN tok/s"),
    (r"pg\d+\+\d+(c\d+)? tok/s", "pgN+M tok/s"),
    (r"enc\d+x\d+ seq/s", "encLxB seq/s"),
    (r"img\d+ images/s", "imgB images/s"),
    (r"aud[\d.]+x\d+ sound s/s", "audSxB sound s/s"),
    (r"pp\d+(c\d+)?( @ d\d+)?", "pp"),
    (r"tg\d+( @ d\d+)?", "tg"),
    (r"pg\d+\+\d+(c\d+)?( @ d\d+)?", "pg"),
    (r"enc\d+x\d+", "enc"),
    (r"img\d+", "img"),
    (r"aud[\d.]+x\d+", "aud"),
    (r"c\d+|capacity=(\d+|tests|max)", "capacity"),  # of a session group's name, of a cell's
    (r"(--)?session[_-]options?", "session option"),
    (r"tests|workloads?", "test"),
    (r"positions", "position"),
    (r"warm[_-]seconds|warmed", "warm-up"),
    (r"cold ttft( ms)?", "cold_ttft_ms"),
    (r"re-?read(s|ing)?", "reread_ttft_ms"),
    (r"requirements?|require|limits?", "requirement"),
    (r"candidates?|chosen|choice|gives[ _]up", "candidate"),
    (r"fitted|prefer", "fit"),
    (r"looks|decided|undecided", "look"),
    (r"lines", "line"),
    (r"confirmed|not confirmed", "confirmation"),
    (r"by[ _-]estimate", "NOT_MET"),
    (r"rounds", "round"),
    (r"max|positions allocated", "capacity"),
    (r"questions?|tasks|choices", "question"),
    (r"mcnemar([_ ]p)?", "McNemar p"),
    (r"shipped|level to ship", "ship"),
    (r"tuned|tuning|outcome|(ahead: )?taken( on)?", "tune"),
    (r"est\.?", "est. tok/s"),
    (r"x|×|ratio", "meas/est"),  # the first two up to version 0.1
    (r"params [x×]", "meas/params"),
    (r"\+-|\+/-", "±"),
    (r"itl_ms", "ITL"),
    # words of before 0.2.0
    (r"cannot_tell", "INCONCLUSIVE"),
    (r"foreign_cpu", "BACKGROUND_CPU"),
    (r"shift", "DRIFT"),
    (r"run", "graph"),
    (r"front|pareto", "Pareto front"),
    (r"family|holm|p_family|p_adjusted", "correction"),
    (r"sure[ _]to[ _]show", "MDE"),
)


def explain(term: str) -> str:
    """What a metric, a column, a reason code or a word means; lines of text.

    `trust` is followed by every rule of the grades.

    Args:
        term: as any output spells it; case does not matter, nor do the numbers of a test.

    Raises:
        UsageError: nothing is called so; names what is near.
    """
    found = _find(term.strip().removeprefix("--"))
    if found is None:
        near = nearest(term, terms())
        raise UsageError(
            f"{term!r} is no term of the glossary",
            fix=f"did you mean {' or '.join(near)}? bench explain {near[0]!r}"
            if near
            else "bench explain, which lists every term",
        )
    unit = f" [{found.unit}]" if found.unit else ""
    lines = [f"{found.name}{unit}: {found.definition}"]
    if found.name == "trust":
        lines += [f"{rule.name}: {rule.definition}" for rule in TRUST]
    return "\n".join([*lines, *([f"Left out: {found.left_out}."] if found.left_out else [])])


def terms() -> list[str]:
    """Every term, in the order of the sections."""
    return [entry.name for _, _, entries in SECTIONS for entry in entries]


def glossary_markdown() -> str:
    """The whole glossary as the page docs/glossary.md."""
    parts = [
        "# Glossary",
        "Every term as `bench explain TERM` prints it. Generated from harness/results/glossary/.",
    ]
    for title, introduction, entries in SECTIONS:
        parts += [f"## {title}", *([introduction] if introduction else []), _table(entries)]
    return "\n\n".join(parts) + "\n"


def _find(term: str) -> Term | None:
    """The entry of a term, exactly, by pattern or without regard to case, or a column's.

    Codes in capitals share words with the rest (CONFIRMED of a version, confirmed of a fit), so
    that a pattern goes before another case.
    """
    entries = {entry.name: entry for _, _, group in SECTIONS for entry in group}
    folded = {name.lower(): entry for name, entry in reversed(entries.items())}
    by_pattern = (name for pattern, name in PATTERNS if re.fullmatch(pattern, term.lower()))
    named = entries.get(term) or entries.get(next(by_pattern, "")) or folded.get(term.lower())
    limited = full_name(re.split("[<>=:≤≥]", term)[0].strip())  # `decode>=20`, `decode:3%`
    return named or _without_units().get(term.lower()) or entries.get(limited)


def _without_units() -> dict[str, Term]:
    """Columns by the first line of their headers: a table puts `MiB` below `peak`."""
    return {
        entry.name.rpartition(" ")[0].lower(): entry
        for entry in COLUMNS
        if entry.unit and " " in entry.name
    }


def _table(entries: tuple[Term, ...]) -> str:
    """One Markdown table; columns that no entry fills are left out."""
    columns = {
        "term": [f"`{entry.name}`" for entry in entries],
        "unit": [entry.unit for entry in entries],
        "meaning": [entry.definition.replace("|", "\\|") for entry in entries],
        "left out": [entry.left_out for entry in entries],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    lines = [f"| {' | '.join(filled)} |", f"|{'---|' * len(filled)}"]
    lines += [f"| {' | '.join(cells)} |" for cells in zip(*filled.values(), strict=True)]
    return "\n".join(lines)
