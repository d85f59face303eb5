"""Published rows as questions: what each is asked as, and why some are asked nothing."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.builder.quantize.levels import QuantLevel, find_level
from harness.core.errors import HarnessError
from harness.estimator.published.amounts import (
    StepAmounts,
    compute_flop_per_s,
    pass_flop,
    step_amounts,
    step_read_s,
)
from harness.estimator.published.effects import Place, place_of
from harness.estimator.published.rows import PublishedRow
from harness.estimator.published.runtimes import published_runtime, static_context_tokens
from harness.models.catalog.catalog import catalog_model
from harness.models.catalog.devices import CatalogDevice, Engine, catalog_device
from harness.models.catalog.names import known_name
from harness.models.catalog.target import plausible_parameters
from harness.models.catalog.typical import typical_target
from harness.models.specs.structure import ModelStructure

USUAL_PROMPT = 64  # where none is stated: a short chat
_MIXTURE = re.compile(r"moe|mixtral|\d+x\d|a\d+(?:\.\d+)?b")


@dataclass(frozen=True, slots=True)
class AskedRow:
    """A published row as a question.

    Attributes:
        row: the measurement.
        device: of the catalog.
        engine: of the device.
        model: of the catalog.
        level: nearest to the precision.
        runtime: our word; None: not stated, or one of its own.
        place: of its effects.
        context_tokens: of a static graph; 0: its cache grows.
        depth_tokens: where its step stands.
        prompt_tokens: of its prefill.
    """

    row: PublishedRow
    device: CatalogDevice
    engine: Engine
    model: ModelStructure
    level: QuantLevel
    runtime: str | None
    place: Place
    context_tokens: int
    depth_tokens: int
    prompt_tokens: int

    @property
    def class_and_engine(self) -> tuple[str, str]:
        """The group that figures are told of."""
        return self.device.device_class, self.engine.kind

    @property
    def step(self) -> StepAmounts:
        """The amounts of its decode step."""
        return step_amounts(
            self.model,
            self.level,
            self.runtime,
            depth_tokens=self.depth_tokens,
            context_tokens=self.context_tokens,
        )

    @property
    def read_s(self) -> float:
        """Its step's reading at the reference rate, or its products where they take longer."""
        return step_read_s(self.step, self.device, self.engine, self.level.weight_bits)

    @property
    def compute_s(self) -> float | None:
        """Its prefill's flop at the peak; None: no peak is stated."""
        peak = compute_flop_per_s(self.engine, self.level.weight_bits)
        if peak is None:
            return None
        flop = pass_flop(
            self.model,
            self.level,
            prompt_tokens=self.prompt_tokens,
            context_tokens=self.context_tokens if self.model.decodes else 0,
        )
        return flop / peak


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is asked nothing.

    Attributes:
        row: the measurement.
        reason: why.
    """

    row: PublishedRow
    reason: str


def ask_rows(rows: Iterable[PublishedRow]) -> tuple[tuple[AskedRow, ...], tuple[LeftOut, ...]]:
    """Return the rows that can be asked, and the others with the reason."""
    asked: list[AskedRow] = []
    left: list[LeftOut] = []
    for row in rows:
        found = ask_row(row)
        if isinstance(found, AskedRow):
            asked.append(found)
        else:
            left.append(found)
    return tuple(asked), tuple(left)


def ask_row(row: PublishedRow) -> AskedRow | LeftOut:
    """Return one row as a question."""
    if row.weak is not None:
        return LeftOut(row, f"weak: {row.weak}")
    device = _device(row)
    if device is None:
        return LeftOut(row, "unknown device")
    engine = next((one for one in device.engine if one.kind == row.engine), None)
    if engine is None:
        return LeftOut(row, "the device has no such engine")
    model = _model(row)
    if model is None:
        return LeftOut(row, "unknown model")
    if row.level_name is None:
        return LeftOut(row, "precision not told")
    runtime = published_runtime(row.runtime)
    usual = static_context_tokens(runtime, engine.kind) if model.decodes else 0
    context = (row.context_tokens or usual) if usual else 0
    prompt = row.prompt_tokens or USUAL_PROMPT
    return AskedRow(
        row=row,
        device=device,
        engine=engine,
        model=model,
        level=find_level(row.level_name),
        runtime=runtime,
        place=place_of(device, engine, runtime or f"as {row.runtime.lower()}"),
        context_tokens=max(context, prompt) if context else 0,
        depth_tokens=min(row.depth_tokens, context - 1) if context else row.depth_tokens,
        prompt_tokens=prompt,
    )


def _device(row: PublishedRow) -> CatalogDevice | None:
    """Return the device by its key, else by its name in the source's words; None: it is unknown."""
    plain = re.split(r"[(,;/]", row.device_text)[0]
    for word in filter(None, (row.device, row.device_text, plain)):
        try:
            return catalog_device(word)
        except HarnessError:
            continue
    return None


def _model(row: PublishedRow) -> ModelStructure | None:
    """Return the model by its name, else a typical decoder of its count; None: neither is known.

    A mixture of experts reads few of its parameters: its count alone says too little.
    """
    try:
        return catalog_model(known_name(row.model) or row.model).structure
    except HarnessError:
        if row.parameters is None or _MIXTURE.search(row.model.lower()):
            return None
    try:
        return typical_target(plausible_parameters(row.parameters, row.model)).structure
    except HarnessError:
        return None


def left_out_counts(left: Sequence[LeftOut]) -> dict[str, int]:
    """Return how many rows each reason leaves out, the most first."""
    return dict(Counter(one.reason for one in left).most_common())
