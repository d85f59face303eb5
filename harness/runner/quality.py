"""What each level loses against its model at fp32: measured once a level, after all timing."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from harness.errors import HarnessError
from harness.plan import Plan, SessionGroup
from harness.quality.measure import (
    Quality,
    check_text,
    measure_quality,
    text_bytes_per_token,
)
from harness.runner.builds import Builds, build_key
from harness.runner.entries import Entries

Json = dict[str, Any]
Say = Callable[[str], None]


def qualities(plan: Plan, builds: Builds, entries: Entries, say: Say) -> Iterator[Json]:
    """Yield what every (model, level) of a plan loses that is not journalled yet.

    A level whose quality cannot be measured keeps its other numbers, and the record says why.
    """
    if not plan.settings.quality:
        return
    for key, group in {build_key(group): group for group in plan.groups}.items():
        if key in entries.quality or key not in builds.artifacts:
            continue
        say(f"quality: {group.source.name} {group.level.name}")
        head = {"model": key[0], "level": key[1]}
        if key[0] not in builds.twins:
            reason = "its fp32 twin could not be built"
            yield {"kind": "no_quality", **head, "reason": reason}
            continue
        try:
            found = asdict(_measure(group, plan, builds))
        except HarnessError as error:
            yield {"kind": "no_quality", **head, "reason": f"{error.problem}; try: {error.fix}"}
            continue
        yield {"kind": "quality", **head, "found": found}
    yield from _tokenizers(plan, entries)


def _tokenizers(plan: Plan, entries: Entries) -> Iterator[Json]:
    """Yield how many bytes of text a token of each model stands for; null without a tokenizer."""
    for argument, group in {group.source.argument: group for group in plan.groups}.items():
        if argument in entries.tokenizers:
            continue
        try:
            found = text_bytes_per_token(group.source)
        except HarnessError:  # quality has said why
            continue
        table = None if found is None else asdict(found)
        yield {"kind": "tokenizer", "model": argument, "found": table}


def check_texts(plan: Plan, builds: Builds) -> None:
    """Refuse, before anything is measured, a text or a tokenizer that cannot be used.

    Raises:
        HarnessError: says which and what to do.
    """
    if not plan.settings.quality:
        return
    sources = {group.source.argument: group.source for group in plan.groups}
    for argument, twin in builds.twins.items():
        check_text(sources[argument], twin, text=plan.settings.text, seed=plan.settings.seed)


def quality_of(entries: Entries, group: SessionGroup) -> Json | None:
    """Return what is known of a group's level: both paths, or the reason; None: not asked for."""
    key = build_key(group)
    if key in entries.quality:
        return entries.quality[key]
    reason = entries.no_quality.get(key)
    return None if reason is None else {"reason": reason}


def _measure(group: SessionGroup, plan: Plan, builds: Builds) -> Quality:
    """Measure one level in a child of its own, with as many threads as its first group."""
    return measure_quality(
        group.source,
        builds.twins[group.source.argument],
        builds.of(group),
        device=group.device.to_json(),
        threads=group.threads,
        text=plan.settings.text,
        seed=plan.settings.seed,
        timeout_s=max(plan.settings.timeout, 3600.0),
    )
