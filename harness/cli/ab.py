"""`bench ab`: two variants interleaved in two live workers: a paired A/B test."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import structs

from harness.analysis.compare import Question
from harness.analysis.gate import (
    Gate,
    Inconclusive,
    confirmed,
    failing,
    is_failure,
    judge_gates,
    parse_gate,
    requirements_fail,
)
from harness.analysis.paired import LEAST_PAIRS, Ending
from harness.cli.completion import gate_names, requirement_names, words
from harness.cli.flags import FlagsCommand, flag_options
from harness.cli.options import (
    AB_FORMATS,
    cache_option,
    correction_option,
    details_option,
    format_option,
    inconclusive_option,
    quiet_option,
    results_option,
    wait_option,
)
from harness.cli.running import alone, tell_lost
from harness.cli.side import Variant, read_variant
from harness.core.errors import (
    EXIT_CELLS,
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    UsageError,
)
from harness.core.ranges import parse_seconds, parse_share
from harness.results.enums import Kind
from harness.results.requirement import parse_requirements

if TYPE_CHECKING:
    from harness.cli.pairs import Pairs
    from harness.results.entries import TurnPlan
    from harness.runner.loop.paired import Side

EXAMPLE = 'Example:  bench ab --a "--quant int4" --b "--quant int4-b128" --fail-on slower:3%'


@click.command("ab", cls=FlagsCommand, epilog=EXAMPLE)
@click.option("--a", "text_a", default="", help="The base: VARIABLE=value and flags of its own.")
@click.option("--b", "text_b", default="", help="What is compared with it, likewise.")
@click.option("--python-a", help="Another interpreter with this package, for side A.")
@click.option("--python-b", help="The same for side B: another onnxruntime, another build.")
@click.option("--label-a", default="", help="What side A is called: main, 1.31, a commit.")
@click.option("--label-b", default="", help="The same for side B.")
@click.option(
    "--profile", is_flag=True, help="Also say which operators moved, by a profile of each side."
)
@click.option("--pairs", default=20, show_default=True, help="Most pairs of fresh processes.")
@click.option("--precision", default="1%", show_default=True, help="Half-width that is enough.")
@click.option("--budget", help="Begin no further pair after this time: 60s, 5m.")
@click.option("--seconds", default=4.0, show_default=True, help="Turns of a test in one pair.")
@click.option("--tolerance", default="1%", show_default=True, help="Within this it is the SAME.")
@click.option(
    "--fail-on",
    multiple=True,
    shell_complete=words(gate_names),
    help="End with 1 where B is worse: slower:3%, load:10%.",
)
@click.option(
    "--require",
    multiple=True,
    shell_complete=words(requirement_names, is_list=True),
    help="End with 1 where a side does not keep to a limit: decode>=20, ttft<=800ms, load<=3s.",
)
@click.option("--resume", is_flag=True, help="Go on with pairs that were interrupted or killed.")
@click.option(
    "--confirm", is_flag=True, help="Before it fails, measure anew; fail only if that fails too."
)
@inconclusive_option()
@correction_option()
@format_option(AB_FORMATS)
@results_option()
@cache_option()
@wait_option()
@quiet_option()
@details_option()
def command(
    text_a: str,
    text_b: str,
    python_a: str | None,
    python_b: str | None,
    label_a: str,
    label_b: str,
    profile: bool,
    pairs: int,
    precision: str,
    budget: str | None,
    seconds: float,
    tolerance: str,
    fail_on: tuple[str, ...],
    require: tuple[str, ...],
    confirm: bool,
    resume: bool,
    inconclusive: str,
    no_correction: bool,
    style: str,
    results: Path,
    cache: Path | None,
    wait: str | None,
    quiet: bool,
    **shared: Any,
) -> int:
    """Compare two variants: flags, levels, variables, interpreters or models.

    Both run in live workers, interleaved pass by pass, so that a slow second of the machine falls
    on both; a pair of fresh processes gives one ratio, B / A. Pairs are added until every
    interval is narrow enough, or the pairs or the budget are used up; intervals are widened so that
    this keeps their 95 %.

    A requirement is an absolute limit on both sides, MET or NOT_MET by its whole interval over the
    processes of the pairs, or INCONCLUSIVE. The other side works meanwhile: alone, each is faster.
    """
    from harness.analysis.paired import Limits
    from harness.analysis.paired_required import refuse_unanswered, stand_ins
    from harness.cli.compare_draw import draw_comparison
    from harness.cli.pairs import make_header, measure_pairs
    from harness.machine.watch.facts import usable_cores
    from harness.report.ab import closing, compare_pairs, judged_pairs
    from harness.report.compare_table import pairs_note
    from harness.runner.loop.paired import shared_tests

    gates = [_gate(text) for text in fail_on]
    requirements = parse_requirements(require) if require else ()
    refuse_unanswered(requirements, tuple(Kind))
    question = Question(parse_share(tolerance, "--tolerance"), no_correction=no_correction)
    narrow = min(parse_share(precision, "--precision"), *(gate.limit / 2 for gate in gates), 1.0)
    limits = Limits(_pairs(pairs, gates), narrow, _budget(budget))
    usable = usable_cores()
    variants = (
        read_variant("--a", text_a, shared, usable, cache),
        read_variant("--b", text_b, shared, usable, cache),
    )
    sides, plan = _sides(variants, (python_a, python_b), seconds, cache)
    refuse_unanswered(requirements, {test.kind for test in shared_tests(sides)})
    asked = (question.tolerance, limits)
    header = make_header(sides, (text_a, text_b), (label_a, label_b), plan, asked)
    settings = variants[0].settings if profile else None
    groups = [side.group for side in sides]
    with alone(groups, cache, "bench ab", wait):
        found = measure_pairs(sides, header, plan, limits, results, settings, quiet, resume)
        comparison = compare_pairs(found.entries, question)
        judged, policy = judge_gates(comparison, gates), Inconclusive(inconclusive)
        sittings = [found]
        if failing(judged) and confirm and _ended(found) == EXIT_OK:
            header = structs.replace(header, first=found.count)
            again = measure_pairs(sides, header, plan, limits, results, quiet=quiet)
            second = compare_pairs(again.entries, question)
            judged, note = confirmed(judged, judge_gates(second, gates))
            more = pairs_note(again.count, again.ending, limits.precision)
            comparison = replace(comparison, notes=(*comparison.notes, f"{note}: {more}"))
            sittings.append(again)
    required = judged_pairs(found.entries, requirements)
    comparison = replace(comparison, notes=(*comparison.notes, *stand_ins(requirements)))
    last = closing(comparison)
    draw_comparison(comparison, judged, policy, ((), ()), style, last, required)
    for sitting in sittings:
        tell_lost(sitting.lost)
    ended = max(map(_ended, sittings))
    fails = requirements_fail([one for _, one in required], policy)
    return ended or (EXIT_GATE if fails or is_failure(judged, policy) else EXIT_OK)


def _ended(found: "Pairs") -> int:
    """How the command ends for what was measured alone."""
    if found.interrupted:
        return EXIT_INTERRUPTED
    if found.lost is not None:
        return EXIT_STORAGE
    return EXIT_CELLS if found.ending is Ending.LOST else EXIT_OK


command.params = [*command.params, *flag_options("ab")]


def _sides(
    variants: tuple[Variant, Variant],
    pythons: tuple[str | None, str | None],
    seconds: float,
    cache: Path | None,
) -> "tuple[tuple[Side, Side], TurnPlan]":
    """Build what is missing; both sides and how pairs of them are measured."""
    from harness.results.entries import TurnPlan
    from harness.runner.loop.builds import ensure_group
    from harness.runner.loop.held_against import hold_against, is_held
    from harness.runner.loop.limits import turns_limit
    from harness.runner.loop.paired import A, B, Side, shared_tests
    from harness.store.cache import default_cache

    folder = cache or default_cache()
    a, b = (
        Side(
            name=name,
            group=variant.group,
            artifact=ensure_group(variant.group, folder, variant.settings.seed),
            env=variant.env,
            python=python,
            module=variant.group.worker,
        )
        for name, variant, python in zip((A, B), variants, pythons, strict=True)
    )
    for side, variant in zip((a, b), variants, strict=True):
        if is_held(side.group):  # before any number of it is taken
            hold_against(side.group, side.artifact, folder, variant.settings)
    if not shared_tests((a, b)):
        raise UsageError("the two sides share no test", fix="--gen 9 before --a and --b")
    settings = variants[0].settings
    limit_s = turns_limit((a.group, b.group), settings)
    plan = TurnPlan(seconds, settings.warm_seconds, limit_s, settings.seed)
    return (a, b), plan


def _gate(text: str) -> Gate:
    """A gate that pairs can break, refused before they are measured."""
    from harness.runner.loop.paired import START_METRICS, TURN_METRICS

    gate, measured = parse_gate(text), (*START_METRICS, *TURN_METRICS)
    watched = [row.name for row in measured if {row.name, row.once} & set(gate.metrics)]
    if not watched:
        listed = ", ".join(sorted(row.name for row in measured))
        raise UsageError(
            f"--fail-on {text} can never fail: turns give {listed}",
            fix="--fail-on slower:3%, load:10%, or memory and quality by `bench compare`",
        )
    return replace(gate, metrics=tuple(watched))


def _pairs(count: int, gates: Sequence[Gate]) -> int:
    """Enough pairs for an interval, and for gates."""
    if count < 2:
        raise UsageError(
            f"--pairs {count} is below 2, and one pair gives no interval", fix="bench ab --pairs 5"
        )
    if gates and count < LEAST_PAIRS:
        raise UsageError(
            f"--fail-on {gates[0].text} needs {LEAST_PAIRS} pairs, and --pairs is {count}",
            fix=f"--pairs {LEAST_PAIRS} or more, or leave --fail-on out",
        )
    return count


def _budget(text: str | None) -> float | None:
    return None if text is None else parse_seconds(text, "--budget")
