"""What servers are asked and how they answer: a table of dialects.

A dialect makes the question of one test and reads the events of its answer. Words that only some
servers know (an end that is ignored, a cache that is left alone) are layers over the question: a
server that refuses them is asked without.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
USUAL_CONTEXT = 2048  # tokens that Ollama gives any model: more are asked for where needed
CONTEXT_STEP = 1024  # it loads a model anew for another context
# Ways to ask, the first that a server takes: with words that not all know, and without.
EVERYTHING, STANDARD, PLAIN = "everything", "standard", "plain"
WAYS = (EVERYTHING, STANDARD, PLAIN)
THOUGHTS = ("reasoning_content", "reasoning")  # what servers call the text before an answer


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
        others: events of another answer beside the first are in it.
    """

    text: str = ""
    ended: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    tokens: int | None = None
    answer: str = ""
    others: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of asking for text.

    Attributes:
        name: in results.
        path: behind the base of the API.
        body: of a question, in one of WAYS.
        event: of one line's JSON.
        has_template: the server writes tokens of its own around the prompt.
    """

    name: str
    path: str
    body: Callable[[Question, str], Json]
    event: Callable[[Mapping[str, Any]], Event]
    has_template: bool = False


def _standard(question: Question, way: str, prompt: Json) -> Json:
    """What completions and chats have in common."""
    body: Json = {
        "model": question.model,
        **prompt,
        "max_tokens": question.tokens,
        "temperature": 0,
        "stream": question.is_streamed,
    }
    if question.is_streamed and way != PLAIN:
        body["stream_options"] = {"include_usage": True}
    if way == EVERYTHING:
        body |= {"seed": 0, "top_k": 1, "ignore_eos": True, "cache_prompt": False}
    return body


def _completion(question: Question, way: str) -> Json:
    return _standard(question, way, {"prompt": question.prompt})


def _chat(question: Question, way: str) -> Json:
    return _standard(question, way, {"messages": [{"role": "user", "content": question.prompt}]})


def _generate(question: Question, way: str) -> Json:
    """Of Ollama; raw: without the model's template."""
    options: Json = {"temperature": 0, "num_predict": question.tokens}
    if way != PLAIN:
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
        others=len(choices) > 1 or first.get("index") not in (None, 0),
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
CHAT = Dialect("chat completions", "/chat/completions", _chat, _openai_event, has_template=True)
GENERATE = Dialect("generate", "/api/generate", _generate, _ollama_event)
DIALECTS = {dialect.name: dialect for dialect in (COMPLETION, CHAT, GENERATE)}
