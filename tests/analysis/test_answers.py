"""Which levels are shown to answer worse than their reference."""

from harness.analysis.answers import Standing, standings
from harness.results.quality import TaskScores
from harness.stats.proportions import mcnemar_p


def scores(lost=0, won=0, moved=0):
    return TaskScores(
        name="mine", items=300, lost=lost, won=won, moved=moved, mcnemar_p=mcnemar_p(lost, won)
    )


def test_standings_need_more_than_a_difference():
    found = standings(
        {
            "fp32": scores(),
            "int8": scores(3, 2),
            "int2": scores(60, 20),
            "odd": scores(2, 30),
            "lost": TaskScores(reason="why"),
        }
    )
    assert found == {
        "fp32": Standing.SAME,
        "int8": Standing.UNTOLD,
        "int2": Standing.WORSE,
        "odd": Standing.BETTER,
    }


def test_many_levels_need_a_smaller_p():
    """12 lost and 3 won: p = 0.035 alone, and nothing among five of its kind (Holm)."""
    assert standings({"a": scores(12, 3)}) == {"a": Standing.WORSE}
    several = {f"level {place}": scores(12, 3) for place in range(5)}
    assert set(standings(several).values()) == {Standing.UNTOLD}
