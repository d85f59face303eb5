"""What building a model took, as the child that built it says."""

import msgspec


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A finished build.

    Attributes:
        build_seconds: it took.
        build_peak_bytes: memory above the start of its process.
    """

    build_seconds: float
    build_peak_bytes: int


class SavedCopies(Built, frozen=True, kw_only=True):
    """A graph that was written with the copies that kernels make of its weights.

    Attributes:
        saved_bytes: of these copies; 0: no kernel saves any.
    """

    saved_bytes: int
