"""Unit constants. Store ns and bytes; convert when drawing. MiB = 2**20, GB = 1e9."""

KIB = 2**10
MIB = 2**20
GIB = 2**30
GB = 10**9
NS_PER_US = 10**3
NS_PER_MS = 10**6
NS_PER_S = 10**9
S_PER_MIN = 60


def size_words(size_bytes: float) -> str:
    """A size in MiB: `513 MiB`, and one decimal below ten: `0.3 MiB`."""
    size = size_bytes / MIB
    return f"{size:,.0f} MiB" if size >= 10 else f"{size:.1f} MiB"


def about_time(seconds: float) -> str:
    """A guess at a time in words: `about 40 s`, `about 3 min`; never 0."""
    if seconds < 2 * S_PER_MIN:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / S_PER_MIN)} min"
