"""What servers are asked and how they answer: a table of dialects.

A dialect makes the question of one test and reads the events of its answer. Words that only some
servers know (an end that is ignored, a cache that is left alone) are layers over the question: a
server that refuses them is asked without.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]
USUAL_CONTEXT = 2048  # tokens that Ollama gives any model: more are asked for where needed
CONTEXT_STEP = 1024  # it loads a model anew for another context
LIMIT, NEW_LIMIT = "max_tokens", "max_completion_tokens"  # the second: of chats alone
THOUGHTS = ("reasoning_content", "reasoning")  # what servers call the text before an answer


@dataclass(frozen=True, slots=True)
class Way:
    """How much of a question is asked with words that not all servers know.

    Attributes:
        name: in results.
        limits: words for the most tokens.
        has_usage: counts are asked for at the end of a stream.
        has_extras: an end that is ignored and a cache that is left alone are asked for.
    """

    name: str
    limits: tuple[str, ...] = (LIMIT,)
    has_usage: bool = True
    has_extras: bool = False


EVERYTHING, STANDARD = Way("everything", has_extras=True), Way("standard")
PLAIN = Way("plain", has_usage=False)
WAYS = (EVERYTHING, STANDARD, PLAIN)  # tried in this order
# Of chats: both words for a limit, and each alone where a server refuses them together.
CHAT_WAYS = (
    *(replace(way, limits=(LIMIT, NEW_LIMIT)) for way in (EVERYTHING, STANDARD)),
    *(Way(word, limits=(word,)) for word in (LIMIT, NEW_LIMIT)),
    PLAIN,
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for one pass.

    Attributes:
        model: the server's own name.
        prompt: the text.
        tokens: to be generated.
        context_tokens: that prompt and answer take.
        is_streamed: the answer comes piece by piece.
    """

    model: str
    prompt: str
    tokens: int
    context_tokens: int
    is_streamed: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an answer.

    Attributes:
        text: that it brings; empty: none.
        ended: why the answer ends with it, in the server's word; None: it does not.
        prompt_tokens: that the server counted; None: it says nothing here.
        cached_tokens: of them that it did not read again.
        tokens: that it generated.
        answer: identity of the answer that the event belongs to; empty: none is told.
        index: its number among answers; 0: the first, or none is told.
        others: events of another answer beside the first are in it.
    """

    text: str = ""
    ended: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    tokens: int | None = None
    answer: str = ""
    index: int = 0
    others: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of asking for text.

    Attributes:
        name: in results.
        path: behind the base of the API.
        body: of a question, in one of its ways.
        event: of one line's JSON.
        ways: to ask, the first that a server takes.
        has_template: the server writes tokens of its own around the prompt.
    """

    name: str
    path: str
    body: Callable[[Question, Way], Json]
    event: Callable[[Mapping[str, Any]], Event]
    ways: tuple[Way, ...] = WAYS
    has_template: bool = False


def _standard(question: Question, way: Way, prompt: Json) -> Json:
    """What completions and chats have in common."""
    body: Json = {
        "model": question.model,
        **prompt,
        **dict.fromkeys(way.limits, question.tokens),
        "temperature": 0,
        "stream": question.is_streamed,
    }
    if question.is_streamed and way.has_usage:
        body["stream_options"] = {"include_usage": True}
    if way.has_extras:
        body |= {"seed": 0, "top_k": 1, "ignore_eos": True, "cache_prompt": False}
    return body


def _completion(question: Question, way: Way) -> Json:
    return _standard(question, way, {"prompt": question.prompt})


def _chat(question: Question, way: Way) -> Json:
    return _standard(question, way, {"messages": [{"role": "user", "content": question.prompt}]})


def _generate(question: Question, way: Way) -> Json:
    """Of Ollama; raw: without the model's template."""
    options: Json = {"temperature": 0, "num_predict": question.tokens}
    if way.has_usage:
        options |= {"seed": 0, "top_k": 1}
    if question.context_tokens > USUAL_CONTEXT:
        steps = -(-question.context_tokens // CONTEXT_STEP)
        options["num_ctx"] = steps * CONTEXT_STEP
    return {
        "model": question.model,
        "prompt": question.prompt,
        "raw": True,
        "stream": question.is_streamed,
        "options": options,
    }


def _openai_event(line: Mapping[str, Any]) -> Event:
    """Of a completion or a chat: deltas where it is streamed, else the whole text."""
    listed = line.get("choices")
    choices = [_table(one) for one in listed] if isinstance(listed, list) else []
    first = choices[0] if choices else {}
    said = _table(first.get("delta")) or _table(first.get("message"))
    parts = (first.get("text"), *(said.get(key) for key in (*THOUGHTS, "content")))
    usage, timings = _table(line.get("usage")), _table(line.get("timings"))
    cached = _table(usage.get("prompt_tokens_details")).get("cached_tokens")
    cached = timings.get("cache_n") if cached is None else cached
    return Event(
        text="".join(part for part in parts if isinstance(part, str)),
        ended=_word(first.get("finish_reason")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=_count(cached),
        tokens=_count(usage.get("completion_tokens")),
        answer=str(line.get("id") or ""),
        index=_count(first.get("index")) or 0,
        others=len(choices) > 1,
    )


def _ollama_event(line: Mapping[str, Any]) -> Event:
    """Of /api/generate."""
    ended = str(line.get("done_reason") or "length") if line.get("done") is True else None
    parts = (line.get("thinking"), line.get("response"))
    return Event(
        text="".join(part for part in parts if isinstance(part, str)),
        ended=ended,
        prompt_tokens=_count(line.get("prompt_eval_count")),
        tokens=_count(line.get("eval_count")),
    )


def _table(value: object) -> Json:
    """An object of JSON; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def _word(value: object) -> str | None:
    """A reason to end; anything that is no word is none."""
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    """A count; anything else says nothing."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(value) if is_count else None  # type: ignore[call-overload]


COMPLETION = Dialect("completions", "/completions", _completion, _openai_event)
CHAT = Dialect(
    "chat completions", "/chat/completions", _chat, _openai_event, CHAT_WAYS, has_template=True
)
GENERATE = Dialect("generate", "/api/generate", _generate, _ollama_event)
DIALECTS = {dialect.name: dialect for dialect in (COMPLETION, CHAT, GENERATE)}
