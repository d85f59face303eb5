"""Many comparisons at once: p-values that hold for the whole table. Pure."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: claims below 0.05 hold together with at most 5 % risk of any false one.

        p'(i) = max over j <= i of min(1, (m - j + 1) p(j)),   p(1) <= ... <= p(m)

    Needs no independence. Source: Holm 1979, https://www.jstor.org/stable/4615733.

    Returns:
        In the order of `p_values`; none for none.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
