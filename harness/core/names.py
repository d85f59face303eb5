"""Help for a mistyped name, the same for every kind of name: what was meant, else what there is."""

from collections.abc import Iterable

CUTOFF = 0.5  # of difflib's ratio: less alike is another word
AS_GOOD_AS_BEST = 0.15  # a name whose ratio is further from the best one's was not meant
FEW_NAMES = 12  # so many are shown beside a guess


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Return at most `count` known names that look like `name`, the best first.

    Upper and lower case, `_` and `-` count as the same sign. Empty when nothing is close.
    """
    from difflib import SequenceMatcher, get_close_matches  # only once something is wrong

    def plain(word: str) -> str:
        return word.lower().replace("_", "-")

    spelled = {plain(word): word for word in known}
    close = get_close_matches(plain(name), list(spelled), n=count, cutoff=CUTOFF)
    alike = {word: SequenceMatcher(None, word, plain(name)).ratio() for word in close}
    least = max(alike.values(), default=0.0) - AS_GOOD_AS_BEST
    return tuple(spelled[word] for word, ratio in alike.items() if ratio >= least)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return one line to put into a fix: `did you mean a or b?`, and what there is.

    Every known name is listed where none is close or there are few.
    """
    names = tuple(dict.fromkeys(known))
    close = nearest(name, names)
    asked = f"did you mean {' or '.join(close)}?" if close else ""
    listed = f"known: {', '.join(names)}" if not close or len(names) <= FEW_NAMES else ""
    return f"{asked} {listed}".strip()
