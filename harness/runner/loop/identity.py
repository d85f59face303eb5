"""What a record is about: the cell of a test in a session group."""

from harness.engine.workload import Workload
from harness.models.exported.source import ExportedSource
from harness.models.specs.count import active_parameters, parameters
from harness.models.weights.source import trained_names
from harness.results.schema import Cell
from harness.runner.plan import AnySource, SessionGroup
from harness.store.exported_artifact import AnyArtifact


def cell_of(group: SessionGroup, workload: Workload, artifact: AnyArtifact | None) -> Cell:
    """The identity of a record."""
    return Cell(
        model=model_name(group, artifact),
        parameters=parameter_count(group.source),
        active_parameters=active_count(group.source),
        level=group.level.name,
        level_label=group.level.label,
        device=group.device.key,
        provider=group.device.provider,
        runtime=group.runtime,
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


def parameter_count(source: AnySource) -> int:
    """Trained values: of an exported model those of its file, of any other those of its spec."""
    if isinstance(source, ExportedSource):
        return source.model.parameters
    return parameters(source.spec)


def active_count(source: AnySource) -> int | None:
    """Those that one token uses, of a mixture of experts; of an exported model None: all."""
    if isinstance(source, ExportedSource):
        return None
    return active_parameters(source.spec)


def model_name(group: SessionGroup, artifact: AnyArtifact | None) -> str:
    """The model's name; a local folder's also carries its content hash, and never its path."""
    source = group.source
    is_local = source.folder is not None and source.argument not in trained_names()
    if not is_local or artifact is None:
        return source.name
    identity = artifact.weights_identity
    if isinstance(source, ExportedSource):  # levels made of a file are levels of one model
        identity = source.model.content_hash
    return f"{source.name}@{identity.removeprefix('sha256:')[:8]}"
