"""What tells one cell from another in words: fields that came later are named only where they vary.

So a cell keeps the name that it had in older documents, trends and messages.
"""

from collections.abc import Collection

import msgspec

from harness.results.schema import Cell


def later_words(cell: Cell, told: Collection[str]) -> list[str]:
    """Return `name=value` of every field that is not the usual one, in alphabetical order.

    Args:
        cell: whose.
        told: fields that are said elsewhere, or follow from others.
    """
    usual = {
        field.name: field.default
        for field in msgspec.structs.fields(Cell)
        if field.name not in told and field.default is not msgspec.NODEFAULT
    }
    return [
        f"{name}={getattr(cell, name)}"
        for name, default in sorted(usual.items())
        if msgspec.structs.replace(cell, **{name: default}) != cell
    ]


# What a value of a field is called where the number alone says less.
CALLED: dict[tuple[str, object], str] = {("capacity", 0): "tests"}


def field_word(cell: Cell, name: str) -> str:
    """A field's value in a word, as people give it: `tests` for a cache as long as they need."""
    value = getattr(cell, name)
    return CALLED.get((name, value), str(value))


# Fields that a cell's name holds already, or that follow from others; a new field joins the name by
# itself, where it is not the usual one.
NAMED = (
    *("model", "parameters", "level", "device", "provider", "runtime", "workload", "prompt"),
    *("gen", "depth", "chunk", "batch", "threads", "sequences", "weights", "level_label"),
)


def cell_name(cell: Cell) -> str:
    """`smollm2-135m/int4/cpu/ort/t2/b1/tg32 @ d0`: unlike for any two cells of a run.

    A field that came later stands in it only where it is not the usual one: a cell keeps its name.
    """
    words = (cell.model, cell.level, cell.device, cell.runtime, f"t{cell.threads}")
    return "/".join((*words, f"b{cell.batch}", *later_words(cell, NAMED), cell.workload))
