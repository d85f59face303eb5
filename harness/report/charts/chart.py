"""What a chart is: a specification of Vega-Lite, its words, and its numbers as a table. Pure.

Text from documents stands in `data`, in domains of scales and in titles, all of which Vega-Lite
takes as they are; expressions, fields and formats are fixed words of this package.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.results.schema import Document

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name: nothing is fetched
NOMINAL_WIDTH = 640  # px of an image, and what labels are placed for
PLOT_HEIGHT = 320
UNSAFE = re.compile(r"[^a-z0-9]+")
LONGEST_SLUG = 40
Spec = dict[str, Any]
Value = str | float | int | None


@dataclass(frozen=True, slots=True)
class NamedDocument:
    """One run, and how a user calls its file.

    Attributes:
        name: of the file, without folder and suffix.
        document: the run.
    """

    name: str
    document: Document


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Attributes:
        name: of its files: small letters, digits and hyphens; no other chart of a page has it.
        title: what it shows; plain text.
        caption: what is seen and how it is read, in a sentence or two; plain text.
        spec: of Vega-Lite; as wide as its container where that can be, and without a colour for
            text, axes and background, which a configuration gives (harness.report.charts.themes).
        rows: what is drawn, as a table: header with unit -> value, None where there is none; all
            rows have the same headers.
        notes: what is left out, or drawn in part; plain text.
        source: the run behind it: model, processor, versions; plain text.
        machine: whose chart it is, of a page with several machines; empty: of all.
    """

    name: str
    title: str
    caption: str
    spec: Spec
    rows: tuple[Mapping[str, Value], ...]
    notes: tuple[str, ...] = ()
    source: str = ""
    machine: str = ""


def chart(
    name: str,
    title: str,
    caption: str,
    spec: Spec,
    rows: Iterable[Mapping[str, Value]],
    **more: Any,
) -> Chart:
    """A chart whose specification has a number or null wherever a number is not finite."""
    whole: Spec = {"$schema": SCHEMA, **_finite(spec)}
    return Chart(name, title, caption, whole, tuple(_finite(dict(row)) for row in rows), **more)


def slug(text: str) -> str:
    """A file-safe name of a text: small letters, digits and hyphens; `x` if nothing is left."""
    return UNSAFE.sub("-", text.lower())[:LONGEST_SLUG].strip("-") or "x"


def with_names_apart(charts: Sequence[Chart]) -> tuple[Chart, ...]:
    """The same charts; of several with one name all but the first get a number."""
    taken: set[str] = set()
    found = []
    for one in charts:
        name = _free(one.name, taken)
        taken.add(name)
        found.append(one if name == one.name else replace(one, name=name))
    return tuple(found)


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or the first of `name-2`, `name-3`, ... that is not taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _finite(value: Any) -> Any:
    """A copy in which what JSON has no number for is null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
