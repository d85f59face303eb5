"""What is known of one cell and what it is called, and what a feature makes of it.

A feature gives a part of the cell's record.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.core.addresses import without_hosts
from harness.core.withheld import holds_secret
from harness.engine.workload import Workload
from harness.results.entries import SamplesEntry
from harness.results.enums import Grade, ReasonCode
from harness.results.schema import Cell, Metric
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.entries import Entries
from harness.runner.plan import SessionGroup
from harness.store.exported import AnyArtifact


@dataclass(frozen=True)
class CellFacts:
    """One test in one session group, and all that its run knows of it.

    Attributes:
        group: its session.
        workload: its test.
        builds: the artifacts behind the groups.
        entries: what was measured, or failed.
        changed: whether the model's files changed during the run.
    """

    group: SessionGroup
    workload: Workload
    builds: Builds
    entries: Entries
    changed: bool

    @property
    def key(self) -> tuple[str, str]:
        """What entries of the whole test are filed under."""
        return self.group.key, self.workload.name

    @property
    def build(self) -> tuple[str, str]:
        """What entries of the built model are filed under."""
        return build_key(self.group)

    @property
    def artifact(self) -> AnyArtifact | None:
        """The built model; None: its build failed."""
        return self.builds.artifacts.get(self.build)

    @cached_property
    def cell(self) -> Cell:
        """Its identity."""
        return cell_of(self.group, self.workload, self.artifact)

    @cached_property
    def processes(self) -> Sequence[SamplesEntry]:
        """What its processes said, by round."""
        return self.entries.tests_of(self.group, self.workload)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a feature takes away from the trust in a record.

    Attributes:
        best: the best grade that is left.
        code: of the reason.
        detail: a sentence with the number.
    """

    best: Grade
    code: ReasonCode
    detail: str


@dataclass(frozen=True, slots=True)
class Part:
    """What one feature adds to a record.

    Attributes:
        fields: of Record, by name.
        metrics: by name.
        doubts: the gravest first.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()


# A feature: what is known of a cell, and the metrics of the features before it -> its part.
Feature = Callable[[CellFacts, Mapping[str, Metric]], Part]


def cell_of(group: SessionGroup, workload: Workload, artifact: AnyArtifact | None) -> Cell:
    """The identity of a record."""
    return Cell(
        model=group.model.identity(artifact),
        parameters=group.model.parameters,
        active_parameters=group.model.active_parameters,
        level=group.level.name,
        level_label=group.level.label,
        device=group.device.key,
        provider=group.provider,
        runtime=group.runtime,
        workload=workload.name,
        prompt=workload.prompt_tokens,
        gen=workload.gen_tokens,
        depth=workload.depth_tokens,
        batch=group.batch,
        threads=group.threads,
        weights=group.source.weights_kind,
        kv_cache=group.cache.name,
        prepack=group.prepack,
        sequences=workload.sequences,
        chunk=workload.chunk_tokens,
        capacity=group.capacity,
    )


def without_folders(text: str) -> str:
    """Return the words of a variant, of every path the last component only: files name no place.

    Nor hosts of other machines, nor a secret that a variable of it may hold.
    """
    plain = without_hosts(text).replace("\\", "/")
    try:
        typed = shlex.split(plain)  # a quoted value is one word
    except ValueError:
        typed = plain.split()
    words = (word.partition("=") for word in typed)
    return " ".join(
        f"{name}=..."
        if equals and holds_secret(name)
        else (name + equals + value).rpartition("/")[2]
        for name, equals, value in words
    )
