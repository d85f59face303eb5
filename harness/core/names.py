"""Help for a mistyped name: the nearest known ones, then where to find them all."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Return at most `count` known names that look like `name`, the best first.

    Upper and lower case, `_` and `-` count as the same sign. Empty when nothing is close.
    """
    from difflib import get_close_matches  # only needed once something is wrong

    def plain(word: str) -> str:
        return word.lower().replace("_", "-")

    spelled = {plain(word): word for word in known}
    close = get_close_matches(plain(name), list(spelled), n=count, cutoff=0.5)
    return tuple(spelled[word] for word in close)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `did you mean a, b?` plus every known name, as one line to put into a fix."""
    names = tuple(known)
    close = nearest(name, names)
    asked = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{asked}known: {', '.join(names)}"
