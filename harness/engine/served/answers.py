"""From the lines of a stream to tokens and their times; what cannot be right is refused, and why.

A server is believed where two of its statements agree. Tokens are counted by its `usage`; where it
sends none, by the pieces of text, one a token. An answer that stops early, goes on too long, says
the same again, or counts otherwise than it sends is no measurement.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness.core.errors import MeasurementError
from harness.engine.served.dialects import Dialect, Event
from harness.engine.served.wire import DATA, RefusedError, Stream, error_words, is_last

EVENT, ERROR = b"event:", b"error:"
BESIDE = (b":", EVENT, b"id:", b"retry:")  # lines of a stream that hold no data
LENGTH, STOP = "length", "stop"  # the words for an answer that came to its limit, or to its end
USAGE, PIECES, LIMIT = "its usage", "pieces of text", "its word that the limit was reached"
LEAST_REPEATS = 3  # pieces that each begin with all text before them: no model writes so
LARGEST_FIRST_SHARE = 0.5  # of the tokens, that may come with the first piece


class TooLongError(MeasurementError):
    """The server does not keep to the limit in the word that told it; it may know another."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, checked.

    Attributes:
        first_ns: from the question to the first piece of text.
        steps_ns: of each token after the first, up to its end. Tokens that come together share
            the time since those before.
        end_ns: from the question to the last token.
        tokens: generated.
        counted_by: USAGE; PIECES: one token a piece; LIMIT: the server says that it came to it.
        pieces: of text.
        prompt_tokens: that the server counted; None: it does not say.
        cached_tokens: of them that it says it did not read; None: it does not say.
        text: all of it.
    """

    first_ns: int
    steps_ns: tuple[int, ...]
    end_ns: int
    tokens: int
    counted_by: str
    pieces: int
    prompt_tokens: int | None
    cached_tokens: int | None
    text: str


def read_answer(stream: Stream, dialect: Dialect, asked_tokens: int, told: str) -> Answer:
    """Check an answer and time its tokens.

    Args:
        stream: as it came.
        dialect: in which it was asked for.
        asked_tokens: how many.
        told: the server in a sentence.

    Raises:
        RefusedError: the server reports an error in its answer.
        MeasurementError: an answer that cannot be right, with what is wrong.
    """
    events, is_done = _events(stream, dialect, told)
    _check_order(events, told)
    pieces = [(ns, event.text) for ns, event in events if event.text]
    ended = next((event.ended for _, event in events if event.ended), None)
    if ended is None and not is_done:
        raise MeasurementError(
            f"{told} ended its answer after {len(pieces)} of {asked_tokens} tokens, without saying"
            " that it is done",
            "look into its log; it may have run out of memory",
        )
    _check_repeats([text for _, text in pieces], told)
    said = _last(events, "tokens")
    if not pieces and asked_tokens == 1 and (said == 1 or ended == LENGTH):
        pieces = [(ns, "") for ns, event in events if event.ended][:1]  # half a letter, say
    tokens, counted_by = _counted(len(pieces), said, ended, asked_tokens, told)
    times_ns = [ns - stream.start_ns for ns, _ in pieces]
    last_ns = times_ns[-1]
    if len(pieces) < tokens:  # the last ones may have brought no text of their own
        last_ns = max([last_ns, *(ns - stream.start_ns for ns, one in events if one.ended)])
    return Answer(
        first_ns=times_ns[0],
        steps_ns=_steps(times_ns, last_ns, tokens, told),
        end_ns=last_ns,
        tokens=tokens,
        counted_by=counted_by,
        pieces=len(pieces),
        prompt_tokens=_last(events, "prompt_tokens"),
        cached_tokens=_last(events, "cached_tokens"),
        text="".join(text for _, text in pieces),
    )


def _events(stream: Stream, dialect: Dialect, told: str) -> tuple[list[tuple[int, Event]], bool]:
    """The events with their times, and whether the stream says at its end that it is done."""
    events: list[tuple[int, Event]] = []
    is_error = False
    for ns, line in _joined(stream.lines):
        if is_last(line):
            return events, True
        if line.startswith(BESIDE):
            is_error = ERROR[:-1] in line if line.startswith(EVENT) else is_error
            continue
        content = line.removeprefix(DATA).removeprefix(ERROR).strip()
        if not content:
            continue
        found = _object(content, told)
        is_error |= line.startswith(ERROR) or found.get("object") == "error"
        if is_error or found.get("error"):
            why = error_words(found) or "no reason given"
            raise RefusedError(
                f"{told} reports an error in its answer: {why}",
                "look into its log; a smaller prompt or another model",
            )
        if not events and _is_whole(found):
            raise MeasurementError(
                f"{told} gives its answer in one piece, although a stream was asked for",
                "a server that streams: nothing tells when its first token was there",
            )
        events.append((ns, dialect.event(found)))
    return events, False


def _joined(lines: Sequence[tuple[int, bytes]]) -> Sequence[tuple[int, bytes]]:
    """The lines, or one of all: an object that is no stream may be written over many lines."""
    if not lines or lines[0][1].strip() != b"{":
        return lines
    return ((lines[-1][0], b" ".join(line for _, line in lines)),)


def _object(content: bytes, told: str) -> Mapping[str, Any]:
    """One event as JSON.

    Raises:
        MeasurementError: it is none.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        begin = content[:40].decode("utf-8", "replace")
        raise MeasurementError(
            f"{told} sends in its answer what is no JSON: {begin!r}",
            "the address of its API: host, port and path",
        )
    return found


def _is_whole(found: Mapping[str, Any]) -> bool:
    """Whether an object is an answer of OpenAI's form that is not streamed.

    Pieces of a stream may carry the same as a message beside what is new: Foundry Local's do.
    """
    choices = found.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or isinstance(first.get("delta"), dict):
        return False
    return isinstance(first.get("message"), dict)


def _check_order(events: Sequence[tuple[int, Event]], told: str) -> None:
    """Refuse text behind the end, and events of other answers.

    Raises:
        MeasurementError: see above.
    """
    said = [event for _, event in events if event.text]
    is_mixed = any(event.others for _, event in events)
    named = [event.answer for event in said if event.answer]
    if is_mixed or _comes_back(named) or _comes_back([event.index for event in said]):
        raise MeasurementError(
            f"{told} mixes several answers in one stream", "one answer at a time (n = 1)"
        )
    ends = [index for index, (_, event) in enumerate(events) if event.ended]
    if ends and any(event.text for _, event in events[ends[0] + 1 :]):
        raise MeasurementError(
            f"{told} goes on after it said that its answer had ended: it repeats itself",
            "a newer version of the server; its counts cannot be trusted",
        )


def _comes_back(names: Sequence[object]) -> bool:
    """Whether a name stands again behind another one: two answers take turns.

    One that is new in every piece is a server's way of numbering pieces.
    """
    runs = [name for index, name in enumerate(names) if not index or name != names[index - 1]]
    return len(runs) > len(set(runs))


def _check_repeats(texts: Sequence[str], told: str) -> None:
    """Refuse pieces that each bring all the text so far again.

    Raises:
        MeasurementError: see above.
    """
    again = [
        later.startswith(earlier) and len(later) > len(earlier)
        for earlier, later in pairwise(texts)
    ]
    if len(again) >= LEAST_REPEATS and all(again):
        raise MeasurementError(
            f"{told} repeats its whole text in every piece",
            "a server that sends what is new in each piece",
        )


def _counted(
    pieces: int, said: int | None, ended: str | None, asked: int, told: str
) -> tuple[int, str]:
    """How many tokens there are, and who says so.

    Args:
        pieces: of text.
        said: by the server's usage.
        ended: why, in its words.
        asked: tokens.
        told: the server in a sentence.

    Raises:
        MeasurementError: fewer or more than asked for, or statements that exclude each other.
    """
    if not pieces:
        raise MeasurementError(
            f"{told} sent no text: 0 of {asked} tokens",
            "another model: this one ends at once, or writes only what is not shown",
        )
    tokens, by = (pieces, PIECES) if said is None else (said, USAGE)
    if said is None and pieces < asked and ended == LENGTH:
        tokens, by = asked, LIMIT
    if said is not None and pieces > said:
        raise MeasurementError(
            f"{told} counts wrongly: its usage says {said} tokens, {pieces} pieces of text came",
            "a newer version of the server; its counts cannot be trusted",
        )
    if tokens > asked:
        raise TooLongError(
            f"{told} sent {tokens} tokens where {asked} were asked for",
            "a server that keeps to max_tokens or max_completion_tokens",
        )
    if tokens < asked or (ended == STOP and pieces < tokens):
        why = f" ({ended})" if ended else ""
        raise MeasurementError(
            f"{told} stopped early{why}: {min(tokens, pieces)} of {asked} tokens",
            "a smaller --gen, another model, or a server that takes ignore_eos",
        )
    return tokens, by


def _steps(times_ns: Sequence[int], last_ns: int, tokens: int, told: str) -> tuple[int, ...]:
    """The time of each token after the first, ns; those that come together share theirs.

    Where pieces hold several tokens nothing tells how many each has: all steps are alike then.

    Raises:
        MeasurementError: so much of the answer came at once that nothing is timed.
    """
    if tokens == 1:
        return ()
    with_first = sum(ns == times_ns[0] for ns in times_ns)
    if last_ns == times_ns[0] or with_first > max(1, LARGEST_FIRST_SHARE * tokens):
        raise MeasurementError(
            f"{told} gave its answer in one piece: {tokens} tokens came at once",
            "a server that streams token by token, without a proxy that collects them",
        )
    if len(times_ns) == tokens and with_first == 1:
        return _shared(times_ns)
    step_ns = (last_ns - times_ns[0]) // (tokens - with_first)
    return (step_ns,) * (tokens - 1)


def _shared(times_ns: Sequence[int]) -> tuple[int, ...]:
    """Steps of one token a piece; pieces that came in one read share the time since the last."""
    steps: list[int] = []
    counts = Counter(times_ns)
    for before_ns, at_ns in pairwise(sorted(counts)):
        steps += [(at_ns - before_ns) // counts[at_ns]] * counts[at_ns]
    return tuple(steps)


def _last(events: Sequence[tuple[int, Event]], name: str) -> int | None:
    """The last that was said of a count."""
    said = [value for _, event in events if (value := getattr(event, name)) is not None]
    return said[-1] if said else None
