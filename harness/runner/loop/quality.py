"""What each level loses against its model at fp32: measured once a level, after all timing."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import structs

from harness.builder.quantize.levels import Variant
from harness.core.errors import HarnessError, UsageError
from harness.core.findings import Log
from harness.results.entries import NoQualityEntry, QualityEntry, SensitivityEntry, TokenizerEntry
from harness.results.enums import Grade, ReasonCode
from harness.results.quality import Quality, TaskScores
from harness.results.schema import Metric
from harness.results.summarize import quality_metrics, text_rates
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.entries import Entries
from harness.runner.loop.parts import CellFacts, Doubt, Part
from harness.runner.models import find_model
from harness.runner.plan import Plan, SessionGroup
from harness.runner.quality.embeddings import check_ranking, measure_embeddings
from harness.runner.quality.measure import (
    check_text,
    measure_quality,
    text_bytes_per_token,
)
from harness.runner.quality.sensitivity import measure_sensitivity
from harness.runner.quality.tasks import TaskRun, check_tasks

Json = dict[str, Any]
QualityEntries = QualityEntry | NoQualityEntry | SensitivityEntry | TokenizerEntry


def qualities(plan: Plan, builds: Builds, entries: Entries, log: Log) -> Iterator[QualityEntries]:
    """Yield what every model of a plan loses, at each level with each cache, if not journalled yet.

    A level whose quality cannot be measured keeps its other numbers, and the record says why.
    """
    if not plan.settings.quality:
        return
    real_last = sorted(plan.groups, key=lambda group: not group.device.simulate)
    named = plan.settings.tasks
    tasks = None if named is None else TaskRun(named)
    for key, group in {build_key(group): group for group in real_last}.items():
        if key not in builds.artifacts:
            continue
        head = {"model": key[0], "level": key[1]}
        if key[0] not in builds.references:
            reason = "its fp32 reference could not be built"
            yield NoQualityEntry(**head, reason=reason)
            continue
        try:
            yield from _one_level(group, plan, builds, entries, log, tasks)
        except HarnessError as error:
            yield NoQualityEntry(**head, reason=f"{error.problem}; try: {error.fix}")
    yield from _tokenizers(plan, entries)


def _one_level(
    group: SessionGroup,
    plan: Plan,
    builds: Builds,
    entries: Entries,
    log: Log,
    tasks: TaskRun | None,
) -> Iterator[QualityEntries]:
    """Yield what one level loses as a whole, then group by group where that was asked for."""
    key, name = build_key(group), f"{group.source.name} {group.stored_name}"
    if group.level.variant is Variant.STATIC and group.device.simulate:
        raise UsageError(
            f"quality of {group.level.name} is not measured on an emulation: it takes hours",
            fix=f"--device cpu --quant {group.level.name}: the same graphs",
        )
    if group.has_one_shape:
        raise UsageError(
            f"quality of {group.level.name} is not measured on encoders",
            fix="--quality with levels that CPUs and GPUs run",
        )
    head = {"model": key[0], "level": key[1]}
    if key not in entries.quality:
        log(f"quality: {name}")
        found = _measure(group, plan, builds)
        if tasks is not None and not group.model.embeds:
            log(f"tasks: {name}")
            found = structs.replace(found, tasks=_answered(tasks, group, plan, builds))
        yield QualityEntry(**head, found=found)
    if (
        plan.settings.sensitivity
        and group.model.is_ranked(group.level, group.cache)
        and key not in entries.sensitivity
    ):
        log(f"sensitivity: {name}")
        losses = measure_sensitivity(
            group.built,
            builds.references[key[0]],
            builds.built(group),
            text=plan.settings.text,
            **_conditions(group, plan),
        )
        yield SensitivityEntry(**head, found=tuple(losses))


def _tokenizers(plan: Plan, entries: Entries) -> Iterator[TokenizerEntry]:
    """Yield how many bytes of text a token of each decoder stands for; null without a tokenizer."""
    for argument, group in {group.source.argument: group for group in plan.groups}.items():
        if argument in entries.tokenizers or group.model.embeds:
            continue
        try:
            found = text_bytes_per_token(group.built)
        except HarnessError:  # quality has said why
            continue
        yield TokenizerEntry(model=argument, found=found)


def check_texts(plan: Plan, builds: Builds) -> None:
    """Refuse, before anything is measured, a text or a tokenizer that cannot be used.

    Raises:
        HarnessError: says which and what to do.
    """
    if not plan.settings.quality:
        return
    models = {group.source.argument: group.model for group in plan.groups}
    if plan.settings.text is not None and all(model.embeds for model in models.values()):
        raise UsageError(
            "encoders are judged on the bundled queries and passages, on no other text",
            fix="leave --text out",
        )
    for argument, reference in builds.references.items():
        source = models[argument].built()
        if models[argument].embeds:
            check_ranking(source, reference, seed=plan.settings.seed)
            continue
        check_text(source, reference, text=plan.settings.text, seed=plan.settings.seed)
        if plan.settings.tasks is not None:
            check_tasks(source, reference, plan.settings.tasks)


def quality_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """What the level loses; logits that are no numbers make it worthless, however fast it is."""
    found = quality_of(facts.entries, facts.group)
    broken = None if found is None else found.invalid
    doubt = None if broken is None else Doubt(Grade.INVALID, ReasonCode.NON_FINITE, broken)
    return Part(
        fields={"quality": found},
        metrics=quality_metrics(facts.cell, found or Quality()),
        doubts=() if doubt is None else (doubt,),
    )


def text_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """The decode rate in bytes of text, of a model with a tokenizer."""
    tokenizer = facts.entries.tokenizers.get(facts.group.source.argument)
    if tokenizer is None or "decode_tok_s" not in metrics:
        return Part()
    return Part(metrics=text_rates(metrics["decode_tok_s"], structs.asdict(tokenizer)))


def quality_of(entries: Entries, group: SessionGroup) -> Quality | None:
    """Return what is known of a group's level: both paths, or the reason; None: not asked for."""
    key = build_key(group)
    if key in entries.quality:
        losses = entries.sensitivity.get(key)
        return structs.replace(entries.quality[key], sensitivity=losses)
    reason = entries.no_quality.get(key)
    return None if reason is None else Quality(reason=reason)


def _measure(group: SessionGroup, plan: Plan, builds: Builds) -> Quality:
    """Measure one level in a child of its own, with as many threads as its first group."""
    if group.model.embeds:
        return measure_embeddings(
            group.built,
            builds.references[group.source.argument],
            builds.built(group),
            **_conditions(group, plan),
        )
    named = plan.settings.reference
    return measure_quality(
        group.built,
        builds.references[group.source.argument],
        builds.of(group).judged(),
        other=None if named is None else find_model(named).measured().built(),
        text=plan.settings.text,
        **_conditions(group, plan),
    )


def _answered(tasks: TaskRun, group: SessionGroup, plan: Plan, builds: Builds) -> TaskScores:
    """What one level answers, beside its reference."""
    conditions = _conditions(group, plan)
    return tasks.judge(
        group.built,
        builds.references[group.source.argument],
        builds.of(group).judged(),
        **{key: conditions[key] for key in ("device", "threads", "timeout_s")},
    )


def _conditions(group: SessionGroup, plan: Plan) -> Json:
    """How anything of a group's quality is measured."""
    return {
        "device": group.device.sent(),
        "threads": group.threads,
        "seed": plan.settings.seed,
        "timeout_s": max(plan.settings.timeout, 3600.0),
    }
