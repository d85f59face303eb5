"""Lines of JSON whose readers decide by the first ones which fields there are. Pure.

polars looks at 100 lines: of a field that is absent there it drops every later value, of one that
is null there it refuses them. So every line has every key, and where there are more lines than
that, those that are the first to hold a value come first.
"""

from collections.abc import Iterable, Mapping
from typing import Any

READ_LINES = 100  # by which polars' read_ndjson decides, unless infer_schema_length says otherwise


def same_keys(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the records with every key in each, null where one has none, at every depth.

    A number that is whole in some records and not in others is no whole number in all. Up to
    READ_LINES records keep their order; of more, the few that hold the first value of a key go to
    the front, both kinds in their order.
    """
    shape, found = _Shape(), list(records)
    tells = [shape.sees(record) for record in found]
    places = list(range(len(found)))
    if len(found) > READ_LINES:
        places.sort(key=lambda place: not tells[place])
    return [shape.filled(found[place]) for place in places]


class _Shape:
    """What has been seen at one place: keys of objects, items of lists, kinds of values."""

    def __init__(self) -> None:
        self.fields: dict[str, _Shape] = {}
        self.items: _Shape | None = None
        self.kinds: set[str] = set()

    def sees(self, value: Any) -> bool:
        """Take a value in; whether it tells of a key, or of a kind of value, that was not known."""
        if value is None:
            return False
        kind = type(value).__name__
        is_new = kind not in self.kinds
        self.kinds.add(kind)
        if isinstance(value, Mapping):
            found = [self.fields.setdefault(key, _Shape()).sees(one) for key, one in value.items()]
            return is_new or any(found)
        if isinstance(value, list | tuple):
            self.items = self.items or _Shape()
            found = [self.items.sees(one) for one in value]
            return is_new or any(found)
        return is_new

    def filled(self, value: Any) -> Any:
        """The value with every key that was seen at its place."""
        if isinstance(value, Mapping):
            return {key: shape.filled(value.get(key)) for key, shape in self.fields.items()}
        if isinstance(value, list | tuple) and self.items is not None:
            return [self.items.filled(one) for one in value]
        if isinstance(value, int) and "float" in self.kinds and not isinstance(value, bool):
            return float(value)
        return value
