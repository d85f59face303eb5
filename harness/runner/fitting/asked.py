"""What a fit measures: the tests that its requirements need."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from harness.core.errors import UsageError
from harness.models.texts.tasks import read_tasks
from harness.results.enums import Kind
from harness.results.metric_row import Source
from harness.results.requirement import Requirement, parse_requirements
from harness.runner.plan import Plan
from harness.runner.plan.checks import check_numbers
from harness.runner.plan.required import FLAG, needs_quality, refuse_unmeasured
from harness.runner.settings import Settings
from harness.stats.limits import looks_between

TESTS = ("pg", "turns", "enc", "img", "aud")  # keys that say what is tested, beside lengths
OF_FIT = ("max_rounds", "text")  # flags that say something here without what they go with in a run
PROMPT, GEN = 128, 32


def fit_settings(settings: Settings) -> tuple[Settings, tuple[Requirement, ...]]:
    """The plan of a fit, with the tests that its requirements need.

    Raises:
        UsageError: no requirement, or one that is none; a number that is none; or a flag that this
            fit would not heed.
    """
    requirements = parse_requirements(settings.require, FLAG)
    check_numbers(settings)  # by the flags that were given: the tests get others
    _check_heeded(settings)
    given = tuple(key for key in settings.given if key not in OF_FIT)
    return replace(_with_tests(settings, requirements), given=given), requirements


def _check_heeded(settings: Settings) -> None:
    """Refuse fewer rounds than the first look needs, and a text that nothing is measured on."""
    if "max_rounds" in settings.given and settings.max_rounds < settings.rounds:
        raise UsageError(
            f"--max-rounds {settings.max_rounds} is below the {settings.rounds} rounds before"
            " anything is told",
            fix=f"--max-rounds {settings.rounds}",
        )
    if "text" in settings.given and not (settings.quality or needs_quality(settings)):
        raise UsageError(
            "--text says nothing without a limit on what levels lose",
            fix="kld<=0.05 in --require too, or leave --text out",
        )


def _with_tests(settings: Settings, requirements: Sequence[Requirement]) -> Settings:
    """The fewest tests that measure what is required, of the lengths asked for.

    A request has nearly everything; behind a depth, and for what it has not, stand tests of their
    own. What flags or a plan name as tests stays.
    """
    named = (settings.prompt, settings.gen, *(getattr(settings, key) for key in TESTS))
    if settings.is_asked(*TESTS, "like") and any(named):
        return settings
    prompts, gens = settings.prompt or (PROMPT,), settings.gen or (GEN,)
    apart = {
        kind
        for kind in (Kind.PREFILL, Kind.DECODE)
        for one in requirements
        if kind in one.metric.kinds
        and one.metric.kinds != tuple(Kind)
        and one.metric.source is not Source.QUALITY
        and (any(settings.depth) or one.is_sustained or Kind.REQUEST not in one.metric.kinds)
    }
    needs_request = not apart or any(
        Kind.REQUEST in one.metric.kinds and not apart & set(one.metric.kinds)
        for one in requirements
    )
    return replace(
        settings,
        prompt=prompts if Kind.PREFILL in apart else (),
        gen=gens if Kind.DECODE in apart else (),
        pg=tuple(product(prompts, gens)) if needs_request else (),
    )


def looks_of(settings: Settings) -> tuple[int, ...]:
    """Numbers of processes after which a fit asks what is decided."""
    return looks_between(settings.rounds, settings.max_rounds)


def check_candidates(plan: Plan, requirements: Sequence[Requirement]) -> None:
    """Refuse a candidate of which a requirement could not be judged: it could never be chosen.

    Questions are read now, although they are asked last.

    Raises:
        UsageError: names its model and its tests; or a file of questions that is none.
    """
    if plan.settings.tasks is not None:
        built = (group.built for group in plan.groups if not group.model.is_own_plan)
        for folder in dict.fromkeys(source.folder for source in built):
            read_tasks(plan.settings.tasks, folder)
    for one in requirements:
        for group in plan.groups:
            refuse_unmeasured(one, [group])
