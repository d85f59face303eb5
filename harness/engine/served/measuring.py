"""Tests of a model behind a server: each pass is one question over one new connection.

All times are the client's: from the moment a question is about to be sent, over an open connection,
to the arrival of each piece of text. What the server does besides (queueing, tokenizing, sampling,
writing) is in them, and so is the way there and back.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import SystemRandom
from statistics import fmean

from harness.core.errors import DeviceError, MeasurementError
from harness.core.units import NS_PER_S
from harness.engine.served.answers import Answer, TooLongError, read_answer
from harness.engine.served.dialects import (
    CHAT,
    COMPLETION,
    GENERATE,
    Dialect,
    Question,
    Way,
)
from harness.engine.served.listing import OLLAMA
from harness.engine.served.prompts import GO_ON, Prompts, learn_prompts
from harness.engine.served.wire import RefusedError, Wire
from harness.engine.workload import Workload
from harness.machine.meters.samples import Clock, PassSample
from harness.machine.meters.steady import WarmUp, warm_up
from harness.models.served import ServedGeometry
from harness.results.enums import Kind

TRIAL_TOKENS = 4  # of the first question, which shows how the server streams and counts
NO_SUCH_PATH = (404, 405, 501)
NOT_THESE_WORDS = (400, 422, 500)  # what servers answer to words that they do not know
MOST_TRIES = 3  # prompts that may come out longer or shorter than asked for
COMMON_WORDS = 2  # that two prompts may begin with alike, by chance
ROOM_TOKENS = 16  # of a context, beside prompt and answer
DIALECTS = {OLLAMA: (GENERATE,)}  # of all other kinds: these two
OPENAI_DIALECTS = (COMPLETION, CHAT)


class OtherLengthError(MeasurementError):
    """The server counts another number of tokens in a prompt."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How one server is asked for one model, as its first answers showed.

    Attributes:
        wire: to it.
        base: of its API.
        model: its own name.
        dialect: that it speaks.
        way: how much of the question it takes.
        prompts: of known lengths; None: it counts no prompts.
        counted_by: how the tokens of its answers are counted.
        counts_prompts: every streamed answer says how many tokens it read.
    """

    wire: Wire
    base: str
    model: str
    dialect: Dialect
    way: Way
    prompts: Prompts | None = None
    counted_by: str = ""
    counts_prompts: bool = False

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"{self.base}{self.dialect.path}"

    def answer(self, prompt: str, tokens: int, context_tokens: int) -> Answer:
        """Ask, piece by piece.

        Raises:
            HarnessError: as Wire.stream and read_answer.
        """
        question = Question(self.model, prompt, tokens, context_tokens)
        stream = self.wire.stream(self.path, self.dialect.body(question, self.way), tokens)
        if not stream.lines:  # asked in one piece, some say why
            whole = replace(question, is_streamed=False)
            self.wire.ask(self.path, self.dialect.body(whole, self.way))
        return read_answer(stream, self.dialect, tokens, self.wire.address.told)

    def count(self, prompt: str) -> int | None:
        """Tokens of a prompt, by an answer of one token in one piece; None: it does not say."""
        question = Question(self.model, prompt, 1, 0, is_streamed=False)
        found = self.wire.ask(self.path, self.dialect.body(question, self.way))
        return self.dialect.event(found).prompt_tokens if isinstance(found, dict) else None


def begin_asking(wire: Wire, geometry: ServedGeometry) -> Asking:
    """Find out how a server is to be asked: dialect, words, counts, and what prompts cost.

    Raises:
        HarnessError: it takes no question, or gives no answer that can be used.
    """
    asking, first = _first_answer(wire, geometry)
    tail = GO_ON if asking.dialect.has_template else ""
    return replace(
        asking,
        prompts=learn_prompts(asking.count, tail),
        counted_by=first.counted_by,
        counts_prompts=first.prompt_tokens is not None,
    )


def _first_answer(wire: Wire, geometry: ServedGeometry) -> tuple[Asking, Answer]:
    """The first dialect and way in which a server answers, with the answer.

    Raises:
        HarnessError: of the first question that the server knew the path of.
    """
    problem: RefusedError | TooLongError | None = None
    ignored: set[str] = set()
    for dialect in DIALECTS.get(geometry.kind, OPENAI_DIALECTS):
        for way in (one for one in dialect.ways if not ignored.issuperset(one.limits)):
            asking = Asking(wire, geometry.base, geometry.model, dialect, way)
            try:
                return asking, asking.answer(f"Tell me a story.{GO_ON}", TRIAL_TOKENS, 0)
            except TooLongError as error:
                problem = error
                ignored |= {*way.limits}
            except RefusedError as error:
                problem = problem if _says_more(problem) else error
                if error.code in NO_SUCH_PATH:
                    break
                if error.code not in NOT_THESE_WORDS:
                    raise
    assert problem is not None
    raise problem


def _says_more(problem: MeasurementError | None) -> bool:
    """Whether a refusal says more than that a server has no such path."""
    return problem is not None and getattr(problem, "code", 0) not in NO_SUCH_PATH


@dataclass(slots=True)
class ServedMeasuring:
    """Warm-up and samples of one model of one server.

    Attributes:
        asking: how it is asked.
        clock: monotonic, in ns.
        warmed: per test the last samples of its warm-up.
        cached_tokens: the most that the server kept of any prompt so far.
    """

    asking: Asking
    clock: Clock = time.perf_counter_ns
    warmed: dict[str, tuple[int, ...]] = field(default_factory=dict)
    cached_tokens: int = 0

    def warm(self, workload: Workload, cap_s: float) -> WarmUp:
        """Run passes of a test until they are steady, judged by what the test is about.

        Args:
            workload: which test.
            cap_s: longest warm-up.
        """
        judged = _JUDGED[workload.kind]
        earlier_ns = self.warmed.get(workload.name, ())
        found = warm_up(lambda: judged(self.one_pass(workload)), cap_s, self.clock, earlier_ns)
        self.warmed[workload.name] = found.last_window_ns
        return found

    def sample(
        self, workload: Workload, min_passes: int, min_seconds: float
    ) -> tuple[PassSample, ...]:
        """Run a test until it has been run often enough and long enough.

        Args:
            workload: which test, warm.
            min_passes: fewest passes; at least one is run.
            min_seconds: least time from the first pass's beginning to the last one's end.
        """
        passes: list[PassSample] = []
        end_ns = self.clock() + min_seconds * NS_PER_S
        while len(passes) < max(min_passes, 1) or self.clock() < end_ns:
            passes.append(self.one_pass(workload))
        return tuple(passes)

    def one_pass(self, workload: Workload) -> PassSample:
        """One question of a test over a prompt that was never asked before.

        Raises:
            MeasurementError: the prompt is of another length than asked for, or the server kept
                more of it than every prompt has; or as Asking.answer.
        """
        for last in (False,) * (MOST_TRIES - 1) + (True,):
            try:
                return _PASSES[workload.kind](self._answer(workload))
            except OtherLengthError:
                if last:
                    raise
        raise AssertionError("the last try gives or raises")

    def _answer(self, workload: Workload) -> Answer:
        """Ask for what a test decodes, over a prompt of its length."""
        prompts = self.asking.prompts
        tokens = workload.depth_tokens + workload.prompt_tokens
        generated = max(workload.gen_tokens, 1) + (workload.kind is Kind.DECODE)
        if prompts is None and tokens:
            raise DeviceError(
                f"{self.asking.wire.address.told} does not say how many tokens a prompt has",
                fix="--gen 32 alone, or a server whose answers have usage.prompt_tokens",
            )
        if prompts is None:
            prompts = Prompts(1, 0, GO_ON, SystemRandom())
        text = prompts.text(tokens) if tokens else prompts.shortest()
        found = self.asking.answer(text, generated, tokens + generated + ROOM_TOKENS)
        self._check_prompt(found, tokens, prompts)
        return found

    def _check_prompt(self, found: Answer, tokens: int, prompts: Prompts) -> None:
        """Refuse a prompt of another length, and one that the server had read before.

        Raises:
            OtherLengthError: of another length; another prompt may have the right one.
            MeasurementError: the server kept it.
        """
        told = self.asking.wire.address.told
        counted = found.prompt_tokens
        if tokens and counted is not None and counted != tokens:
            raise OtherLengthError(
                f"{told} read a prompt of {counted} tokens where {tokens} were meant",
                fix="its context may be too short for this prompt; a smaller --prompt or --depth",
            )
        cached = found.cached_tokens or 0
        alike = max(prompts.own_tokens, 0) + COMMON_WORDS * prompts.word_tokens
        if cached > alike:  # more than a template and chance explain
            raise MeasurementError(
                f"{told} took {cached} tokens of the prompt from its cache instead of reading them",
                fix="switch its prompt cache off",
            )
        self.cached_tokens = max(self.cached_tokens, cached)


def _prefill(found: Answer) -> PassSample:
    """Up to the first token of an answer of one."""
    return PassSample(prefill_ns=found.first_ns)


def _decode(found: Answer) -> PassSample:
    """The tokens after the first, which ends the reading of the prompt."""
    return PassSample(itl_ns=found.steps_ns)


def _request(found: Answer) -> PassSample:
    """All of it; the prompt is read when the first token is there."""
    return PassSample(
        prefill_ns=found.first_ns,
        ttft_ns=found.first_ns,
        itl_ns=found.steps_ns,
        e2e_ns=found.end_ns,
    )


_PASSES: dict[Kind, Callable[[Answer], PassSample]] = {
    Kind.PREFILL: _prefill,
    Kind.DECODE: _decode,
    Kind.REQUEST: _request,
}
# What the steadiness of a test is judged by, ns.
_JUDGED: dict[Kind, Callable[[PassSample], int]] = {
    Kind.PREFILL: lambda one: one.prefill_ns or 0,
    Kind.DECODE: lambda one: round(fmean(one.itl_ns)),
    Kind.REQUEST: lambda one: one.e2e_ns or 0,
}
