"""The order of a round: seeded, and different from round to round."""

from harness.runner.loop.order import shuffled

ROWS = tuple("abcdefgh")


def test_the_same_seed_gives_the_same_order():
    assert shuffled(ROWS, 0, 1) == shuffled(ROWS, 0, 1)


def test_every_item_runs_once():
    assert sorted(shuffled(ROWS, 7)) == list(ROWS)


def test_rounds_differ():
    """Of 20 rounds, no order leads always: each of 8 rows comes first at some time."""
    orders = [tuple(shuffled(ROWS, 0, r)) for r in range(20)]
    assert len(set(orders)) == 20
    assert len({order[0] for order in orders}) >= 5
