"""Whether a model's files stayed as they were while they were measured."""

from harness.runner.loop.builds import Builds, build_key
from harness.runner.plan import Plan
from harness.store.exported_artifact import AnyArtifact

Stamp = tuple[tuple[str, int, int], ...]


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
