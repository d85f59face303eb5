"""What a record is about: the cell of a test in a session group."""

from harness.artifacts.artifact import Artifact
from harness.plan import RUNTIME, SessionGroup
from harness.results.schema import Cell
from harness.specs.count import active_parameters, parameters
from harness.weights.source import trained_names
from harness.workload.workload import Workload


def cell_of(group: SessionGroup, workload: Workload, artifact: Artifact | None) -> Cell:
    """The identity of a record."""
    return Cell(
        model=model_name(group, artifact),
        parameters=parameters(group.source.spec),
        active_parameters=active_parameters(group.source.spec),
        level=group.level.name,
        level_label=group.level.label,
        device=group.device.key,
        provider=group.device.provider,
        runtime=RUNTIME,
        workload=workload.name,
        prompt=workload.prompt_tokens,
        gen=workload.gen_tokens,
        depth=workload.depth_tokens,
        batch=group.batch,
        threads=group.threads,
        weights=group.source.weights_kind,
        kv_cache=group.cache.name,
        sequences=workload.sequences,
    )


def model_name(group: SessionGroup, artifact: Artifact | None) -> str:
    """The model's name; a local folder's also carries its content hash, and never its path."""
    source = group.source
    is_local = source.folder is not None and source.argument not in trained_names()
    if not is_local or artifact is None:
        return source.name
    return f"{source.name}@{artifact.weights_identity.removeprefix('sha256:')[:8]}"
