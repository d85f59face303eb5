"""A plan -> its cells, without asking what works on this machine: each is measured elsewhere.

Every word of a plan that the machine decides stays a word: a class of devices, `threads = "all"`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from harness.core.errors import DeviceError, UsageError
from harness.core.version import installed_version
from harness.devices.device import Device
from harness.devices.probe import Probe
from harness.devices.row import KINDS
from harness.fleet.cells import CellFile, ModelRef, check_single, check_words
from harness.fleet.model_files import model_ref
from harness.results.enums import DeviceState, Kind
from harness.results.requirement import parse_requirements
from harness.results.schema import Cell, kind_of
from harness.runner.loop.parts import cell_of
from harness.runner.models import find_model
from harness.runner.models.model import Model
from harness.runner.plan import Plan, SessionGroup, make_plan
from harness.runner.plan.checks import TEST_FLAGS
from harness.runner.plan.required import needs_quality
from harness.runner.settings import PART_KEYS, Settings

MOST_THREADS = 4096  # of any machine that a cell may come to
ALL = "all"
# Axes of a plan of which each combination is looked at by itself, besides models and levels.
WORDS = ("device", "runtime", "kv_cache", "prepack", "threads", "batch", "capacity")
# Keys that say something of some models only: of others they are not given.
OF_SOME = (*TEST_FLAGS, "activations", "graph_inputs")


@dataclass(slots=True)
class _Laid:
    """A cell in the making: its parts of the plan, its rows by test, and its groups' keys."""

    parts: list[Settings] = field(default_factory=list)
    rows: dict[str, Cell] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)


def works_somewhere(device: Device) -> Probe:
    """Stand where a probe does: what works is found out on the machine that gets the cell."""
    return Probe(device.row, DeviceState.WORKS)


def cells_of(settings: Settings, cache: Path | None = None) -> tuple[CellFile, ...]:
    """Lay out the cells of a plan, in its order.

    Args:
        settings: a whole plan; its models of the hub are fetched already.
        cache: of built models, for links of exported ones; None: the usual.

    Raises:
        UsageError: as make_plan, or what no cell may have: a file, a server, `auto`.
        ModelError: a model that cannot be read.
    """
    check_words(settings)
    whole = _planned(settings, cache)
    keys = {group.key for group in whole.groups}
    laid: dict[str, _Laid] = {}
    for part, spelled in zip(settings.parts, whole.settings.parts, strict=True):
        for one in _combinations(replace(part, part=()), spelled, cache):
            _take(one, keys, laid, cache)
    lost = sorted(keys - {key for one in laid.values() for key in one.groups})
    if lost:
        raise UsageError(
            f"no cell comes of {lost[0]}", fix="plan it alone, or measure it with `bench run`"
        )
    refs = {word: model_ref(word) for part in settings.parts for word in part.model}
    return tuple(_cell(one, refs) for one in laid.values())


def _planned(settings: Settings, cache: Path | None) -> Plan:
    """A plan without its limits, which this machine might have no counter for."""
    quality = settings.quality or needs_quality(settings)
    part = tuple(replace(one, require=(), quality=quality) for one in settings.part)
    settings = replace(settings, require=(), quality=quality, part=part)
    return make_plan(settings, MOST_THREADS, works_somewhere, cache)


def _combinations(part: Settings, spelled: Settings, cache: Path | None) -> Iterator[Settings]:
    """Yield a plan for each combination of words; some of them are none of the whole plan.

    Args:
        part: of a plan.
        spelled: the same with every level by its name, and what is implied.
        cache: of built models.
    """
    for model in part.model:
        found = find_model(model, cache).measured()
        own = _for_model(replace(part, model=(model,), quality=spelled.quality), found)
        for values in product(spelled.quant, *(getattr(own, key) for key in WORDS)):
            keys = ("quant", *WORDS)
            words: dict[str, Any] = {key: (one,) for key, one in zip(keys, values, strict=True)}
            yield replace(own, **words)


def _for_model(settings: Settings, model: Model) -> Settings:
    """A plan of one model, without what was said for others."""
    given = (key for key in settings.given if key not in OF_SOME or key in model.takes)
    usual = Settings()
    others = (key for key in PART_KEYS if key in TEST_FLAGS and key not in model.takes)
    cleared: dict[str, Any] = {key: getattr(usual, key) for key in others}
    return replace(
        settings,
        **cleared,
        given=tuple(given),
        dim=tuple(pair for pair in settings.dim if pair[0] in model.free_dimensions),
        input=tuple(pair for pair in settings.input if pair[0] in model.input_names),
    )


def _take(one: Settings, keys: set[str], laid: dict[str, _Laid], cache: Path | None) -> None:
    """Add what a plan of one combination measures to its cell, once.

    Args:
        one: of one combination.
        keys: of the groups of the whole plan.
        laid: cells so far, by what they are.
        cache: of built models.
    """
    try:
        groups = _planned(one, cache).groups
    except (UsageError, DeviceError):  # what the whole plan passes over
        return
    if not groups or not keys.issuperset(group.key for group in groups):
        return
    called = f"{groups[0].key} {one.device[0]} {one.threads[0]}"
    cell = laid.setdefault(called, _Laid())
    rows = {row.workload: row for group in groups for row in _rows(group, one)}
    if not rows.keys() <= cell.rows.keys():
        cell.parts.append(one)
    cell.rows = {**cell.rows, **rows}
    cell.groups |= {group.key for group in groups}


def _rows(group: SessionGroup, settings: Settings) -> Iterator[Cell]:
    """Yield the rows of a group, without what the machine decides."""
    device = settings.device[0]
    is_class = device.partition(":")[0] in KINDS and not group.device.row.is_host
    for workload in group.workloads:
        yield msgspec.structs.replace(
            cell_of(group, workload, None),
            device=device,
            provider="" if is_class else group.provider,
            threads=0 if settings.threads[0] == ALL else group.threads,
        )


def _cell(laid: _Laid, refs: dict[str, ModelRef]) -> CellFile:
    """The file of a cell, with the limits that its tests are for."""
    kinds = {kind_of(row) for row in laid.rows.values()}
    ref = refs[laid.parts[0].model[0]]
    parts = [
        replace(part, model=(ref.name,), require=_fitting(part.require, kinds))
        for part in laid.parts
    ]
    settings = replace(parts[0], part=tuple(parts) if len(parts) > 1 else ())
    check_single(settings)
    return CellFile(ref, settings, tuple(laid.rows.values()), installed_version())


def _fitting(texts: tuple[str, ...], kinds: set[Kind]) -> tuple[str, ...]:
    """The limits that a test of these kinds answers."""
    limits = parse_requirements(texts, "require") if texts else ()
    return tuple(one.text for one in limits if any(one.fits(kind) for kind in kinds))
