"""What one test does, as plain numbers and names: pp512, tg128 @ d1024, enc128x8, img8, graph."""

from dataclasses import dataclass

from harness.results.enums import SINGLE_PASS, Kind


@dataclass(frozen=True, slots=True)
class Workload:
    """One test: how many tokens are read at once, decoded one by one, and from which depth.

    Attributes:
        kind: prefill only, decode only, a whole request (prefill, then decode), a turn of a chat
            (a request after what the turns before it left in the cache), one pass of an encoder
            over texts or over images, or one run of any graph.
        prompt_tokens: tokens of the prefill pass, or of each text of an encoder; 0 for decode.
        gen_tokens: tokens decoded one at a time; 0 for prefill.
        depth_tokens: tokens already in the KV cache when the test begins.
        seconds: of each sound; 0 of tests without any.
        chunk_tokens: of the prompt that are read at once, one run after the other; 0: all of them.
        sequences: texts, images or sounds of one pass. A decoder's batch is its session's, whose
            cache is bound for so many; an encoder keeps nothing between passes, so its batch is
            the test's.
    """

    kind: Kind
    prompt_tokens: int
    gen_tokens: int
    depth_tokens: int = 0
    sequences: int = 1
    seconds: float = 0.0
    chunk_tokens: int = 0

    @property
    def test(self) -> str:
        """The test without its depth: `pp512`, `tg128`, `pg128+64`, `turn128+64`, `enc128x8`.

        A prompt that is read in chunks says so: `pp512c128`, `pg128+64c32`.
        """
        if self.kind is Kind.GRAPH:
            return str(self.kind)
        if self.kind is Kind.IMAGE:
            return f"{self.kind}{self.sequences}"
        if self.kind is Kind.SOUND:
            return f"{self.kind}{self.seconds:g}x{self.sequences}"
        if self.kind is Kind.ENCODE:
            return f"{self.kind}{self.prompt_tokens}x{self.sequences}"
        chunks = f"c{self.chunk_tokens}" if self.chunk_tokens else ""
        if self.kind in (Kind.REQUEST, Kind.TURN):
            return f"{self.kind}{self.prompt_tokens}+{self.gen_tokens}{chunks}"
        return f"{self.kind}{self.prompt_tokens or self.gen_tokens}{chunks}"

    @property
    def name(self) -> str:
        """The full name of the test: `pp512 @ d0`, `tg128 @ d1024`, `enc128x8`."""
        if self.kind in SINGLE_PASS:
            return self.test
        return f"{self.test} @ d{self.depth_tokens}"

    @property
    def shorter(self) -> str:
        """What is made smaller where the test is too long, in the words of its flags."""
        if self.kind is Kind.TURN:
            return "--depth and all turns of --turns"
        return "the length of a text" if self.kind in SINGLE_PASS else "depth + prompt + gen"

    @property
    def cache_tokens(self) -> int:
        """Positions of the KV cache that the test needs; 1 of a pass, beside which one may lie."""
        return 1 if self.kind in SINGLE_PASS else self.context_tokens

    @property
    def context_tokens(self) -> int:
        """Positions of the longest sequence: depth + prompt + gen."""
        return self.depth_tokens + self.prompt_tokens + self.gen_tokens
