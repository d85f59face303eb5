"""The tests of a plan, as a kind of model runs them."""

from collections.abc import Iterator

from harness.core.errors import UsageError
from harness.engine.workload import Workload
from harness.models.exported.model import ExportedModel
from harness.results.enums import Kind
from harness.runner.settings import Settings

USUAL_TOKENS, USUAL_TEXTS = 128, (1, 8)


def decoder_tests(settings: Settings) -> tuple[Workload, ...]:
    """Prefill, decode and request tests, each once.

    Raises:
        UsageError: the plan holds none.
    """
    tests = (
        *(Workload(Kind.PREFILL, n, 0, d) for d in settings.depth for n in settings.prompt),
        *decode_tests(settings),
        *(Workload(Kind.REQUEST, prompt, gen) for prompt, gen in settings.pg),
    )
    if not tests:
        raise UsageError("the plan holds no test", fix="--prompt 128 --gen 32 --pg 128,32")
    return tuple(dict.fromkeys(tests))


def decode_tests(settings: Settings) -> Iterator[Workload]:
    """Decode tests alone."""
    for depth in settings.depth:
        yield from (Workload(Kind.DECODE, 0, count, depth) for count in settings.gen)


def encode_tests(
    settings: Settings, model: ExportedModel, fixed_tokens: int | None = None
) -> tuple[Workload, ...]:
    """Passes of an exported encoder: those asked for, else the usual ones, no longer than it takes.

    Args:
        settings: of the plan.
        model: as recognised.
        fixed_tokens: that it gives, whatever it reads; None: they are chosen.
    """
    limit = model.max_context_tokens or USUAL_TOKENS
    usual = tuple((min(USUAL_TOKENS, limit), texts) for texts in USUAL_TEXTS)
    asked = settings.enc or usual
    if fixed_tokens is not None:
        asked = tuple((fixed_tokens, texts) for texts in dict.fromkeys(b for _, b in asked))
    tests = tuple(Workload(Kind.ENCODE, n, 0, sequences=texts) for n, texts in asked)
    return tests if fixed_tokens is not None else within_context(model, tests)


def within_context(model: ExportedModel, tests: tuple[Workload, ...]) -> tuple[Workload, ...]:
    """Refuse a test that is longer than an exported model is."""
    limit = model.max_context_tokens
    for test in tests:
        if limit is not None and test.context_tokens > limit:
            raise UsageError(
                f"{test.name} needs {test.context_tokens} tokens of context; {model.name} takes"
                f" {limit}",
                fix=f"keep depth + prompt + gen, or the length of a text, at {limit} or below",
            )
    return tests
