"""A built decoder as a language model of text: judges what follows, and writes on greedily."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.builder.graph.geometry import DecoderGeometry
from harness.devices.session import OpenedSession
from harness.engine.growing import GrowingDecoder
from harness.models.texts.task_tokens import Passage
from harness.models.texts.tokens import TokenCoder
from harness.runner.quality.likelihood import Likelihood, judge_passage
from harness.runner.quality.paths import PrefillReader


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """An opened model with its tokenizer.

    Attributes:
        opened: session of the graph with every token's logits.
        geometry: of that graph.
        coder: text as its tokens.
        most_tokens: that it reads at once.
    """

    opened: OpenedSession
    geometry: DecoderGeometry
    coder: TokenCoder
    most_tokens: int

    def judge(self, context: Sequence[int], continuation: Sequence[int]) -> Likelihood:
        """Judge tokens behind others, which lose their beginning where both are too long.

        Args:
            context: token ids; one or more.
            continuation: token ids; one or more.
        """
        before = self.begun(context)
        ids = (*before, *continuation)[-(self.most_tokens + 1) :]
        start = max(1, len(ids) - len(continuation))
        return judge_passage(PrefillReader(self.opened, self.geometry), Passage(ids, start))

    def begun(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The tokens of a text with the one that stands before a text of this model."""
        begin = self.coder.begin_id
        return tuple(ids) if begin is None or begin in ids[:1] else (begin, *ids)

    def write(self, context: Sequence[int], stops: Sequence[str], most_tokens: int) -> str:
        """Write on after a text, always the likeliest token, up to a stop.

        Args:
            context: token ids; their beginning is lost where too little room is left to write.
            stops: texts that end it and are left out.
            most_tokens: that are written.

        Returns:
            What was written, without the stop.
        """
        room = max(1, self.most_tokens - most_tokens)
        given = np.array([self.begun(context)[-room:]], dtype=np.int64)
        decoder = GrowingDecoder(self.opened, self.geometry, batch=1)
        written: list[int] = []
        while len(written) < min(most_tokens, self.most_tokens - room):
            token = int(decoder.prefill(given)[0, -1].argmax())
            if token == self.coder.end_id:
                break
            written.append(token)
            text = self.coder.decode(written)
            if any(stop in text for stop in stops):
                return _cut(text, stops)
            given = np.array([[token]], dtype=np.int64)
        return self.coder.decode(written)


def _cut(text: str, stops: Sequence[str]) -> str:
    """A text up to the first of some stops."""
    return text[: min(text.index(stop) for stop in stops if stop in text)]
