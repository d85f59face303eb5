"""Who runs when: rounds in seeded shuffled order, so that drift falls on every row alike."""

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def shuffled(items: Sequence[Item], *seeds: object) -> list[Item]:
    """Return `items` in an order that only `seeds` decide; the same on every machine."""
    order = list(items)
    random.Random("/".join(map(str, seeds))).shuffle(order)
    return order
