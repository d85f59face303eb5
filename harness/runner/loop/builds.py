"""Every model of a plan at every level, built (or found) before the first measurement.

Whether its files stayed as they were while it was measured is told by their stamps.
"""

from dataclasses import dataclass, field
from glob import escape
from pathlib import Path

from harness.builder.quantize.layout import stored_bytes
from harness.core.errors import EXIT_STORAGE, EXIT_USAGE, WorkerError
from harness.core.findings import Progress
from harness.core.units import MIB, about_time, size_words
from harness.runner.loop.held_against import check_loads
from harness.runner.loop.memory_limit import refuse_unbuilt
from harness.runner.models import find_model
from harness.runner.plan import Plan, SessionGroup
from harness.runner.plan.runtimes import LLAMA
from harness.runner.quality.measure import REFERENCE_LEVEL, check_reference
from harness.store.artifact import Artifact
from harness.store.cache import ensure_artifact
from harness.store.exported import AnyArtifact
from harness.store.hashes import HASH_DIGITS
from harness.store.request import plain_name

# A damaged checkpoint or a full disk stops the run before anything is measured;
# a build that ran out of memory costs its own rows only.
STOPS_THE_RUN = (EXIT_USAGE, EXIT_STORAGE)
# Of a guess only: smollm2-135m and llama-3.2-1b at int4 took 2 s and 16 s on two AVX2 cores.
BUILT_PER_S, BUILD_START_S = 80e6, 1.0
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Builds:
    """What there is to measure.

    Attributes:
        artifacts: by (model argument, SessionGroup.stored_name).
        failures: why a build failed, by the same key.
        references: by model argument: what quality is measured against, the model at fp32 or the
            reference at fp32; one that is missing failed to build.
        fused: by model argument: the model at fp32 as a fused graph, which its static ones have
            to agree with; one that is missing failed to build, or has no static ones.
    """

    artifacts: dict[tuple[str, str], AnyArtifact]
    failures: dict[tuple[str, str], WorkerError]
    references: dict[str, Artifact] = field(default_factory=dict)
    fused: dict[str, Artifact] = field(default_factory=dict)

    def of(self, group: SessionGroup) -> AnyArtifact:
        """The artifact of a group whose build did not fail."""
        return self.artifacts[build_key(group)]

    def built(self, group: SessionGroup) -> Artifact:
        """The same of a model that is built here."""
        return self.of(group).built()

    def whole(self, argument: str) -> Artifact | None:
        """A built model at fp32 that is measured anyway."""
        found = self.artifacts.get((argument, REFERENCE_LEVEL))
        return None if found is None else found.built()


def build_key(group: SessionGroup) -> tuple[str, str]:
    """What a group's artifact is filed under: static graphs by the length of their cache too."""
    room = f"/c{group.capacity}" if group.capacity and group.shapes is not None else ""
    return group.source.argument, f"{group.stored_name}{room}"


def build_all(
    plan: Plan, cache: Path, progress: Progress = lambda what, done, total: None
) -> Builds:
    """Build each model once at each level and with each cache.

    Args:
        plan: what is built.
        cache: folder of built models.
        progress: told before each build that is missing; counts the bytes of all of them.

    Raises:
        HarnessError: a model that cannot be read, a full disk.
    """
    builds = Builds({}, {})
    missing = {build_key(group): size for group, size in missing_builds(plan, cache)}
    done_mib, total_mib = 0, sum(missing.values()) // MIB
    for key, group in {build_key(group): group for group in plan.groups}.items():
        try:
            if key in missing:
                refuse_unbuilt(group)
                progress(build_words(group, missing[key]), done_mib, total_mib)
                done_mib += missing[key] // MIB
            builds.artifacts[key] = ensure_group(group, cache, plan.settings.seed)
        except WorkerError as error:
            if error.exit_code in STOPS_THE_RUN:
                raise
            builds.failures[key] = error
    if plan.settings.quality:
        _build_references(plan, cache, builds, progress)
    _build_fused(plan, cache, builds)
    return builds


def missing_builds(plan: Plan, cache: Path) -> list[tuple[SessionGroup, int]]:
    """Models that are built here and are not in the cache, each once, with their bytes there.

    By their names alone, without a look into them: what is damaged is told when it is built.
    """
    found = []
    for group in {build_key(group): group for group in plan.groups}.values():
        if group.model.own_level is not None:
            continue
        name = f"{plain_name(group.source.name)}-{group.stored_name.replace('/', '-')}"
        if not any(cache.glob(f"{escape(name)}-{'[0-9a-f]' * HASH_DIGITS}")):
            found.append((group, stored_bytes(group.built.spec, group.level)))
    return found


def build_words(group: SessionGroup, size_bytes: int) -> str:
    """What is built, how large it is, and how long that takes."""
    seconds = about_time(build_seconds(group))
    return f"building {group.source.name} {group.stored_name}: {size_words(size_bytes)}, {seconds}"


def build_seconds(group: SessionGroup) -> float:
    """A guess at how long its build takes."""
    return BUILD_START_S + group.model.parameters / BUILT_PER_S


def ensure_group(group: SessionGroup, cache: Path, seed: int) -> AnyArtifact:
    """Build what a group opens, or take it from the cache; exported models as they lie.

    Args:
        group: its model, level, cache and shapes.
        cache: folder of built models.
        seed: of weights.

    Raises:
        HarnessError: a model that cannot be read, a full disk; WorkerError: a failed build.
    """
    built = group.model.build(
        group.level,
        group.cache,
        cache,
        seed=seed,
        shapes=group.shapes,
        dims=group.dims,
        inputs=group.inputs,
        graph_inputs=group.graph_inputs,
        prepacked=group.is_prepacked,
    )
    if group.runtime == LLAMA and group.model.own_level is not None:
        check_loads(built.graph)
    return built


def _build_fused(plan: Plan, cache: Path, builds: Builds) -> None:
    """Build what static models are compared with, or take what is measured anyway."""
    for group in plan.groups:
        if group.shapes is None or group.source.argument in builds.fused:
            continue
        source = group.built
        try:
            builds.fused[source.argument] = builds.whole(source.argument) or (
                ensure_artifact(source, REFERENCE_LEVEL, cache, plan.settings.seed)
            )
        except WorkerError as error:
            if error.exit_code in STOPS_THE_RUN:
                raise


def _build_references(plan: Plan, cache: Path, builds: Builds, progress: Progress) -> None:
    """Build each model, or the reference, at fp32, or take the one that is measured anyway."""
    named = plan.settings.reference
    for argument, group in {group.source.argument: group for group in plan.groups}.items():
        source = group.built if named is None else find_model(named).measured().built()
        check_reference(source, group.built)
        if builds.whole(source.argument) is None:
            progress(f"reference of quality: {source.name} {REFERENCE_LEVEL}", 0, 0)
        try:
            builds.references[argument] = builds.whole(source.argument) or (
                ensure_artifact(source, REFERENCE_LEVEL, cache, plan.settings.seed)
            )
        except WorkerError as error:
            if error.exit_code in STOPS_THE_RUN:
                raise


def stamps(builds: Builds) -> dict[tuple[str, str], Stamp]:
    """Name, size and modification time (ns) of every file of every artifact."""
    return {key: _stamp(artifact) for key, artifact in builds.artifacts.items()}


def changed_groups(
    plan: Plan, builds: Builds, before: dict[tuple[str, str], Stamp]
) -> frozenset[str]:
    """Keys of the groups whose files are not what they were."""
    now = stamps(builds)
    changed = {key for key, stamp in before.items() if now.get(key) != stamp}
    return frozenset(group.key for group in plan.groups if build_key(group) in changed)


def _stamp(artifact: AnyArtifact) -> Stamp:
    files = sorted(path for path in artifact.files if path.is_file())
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
