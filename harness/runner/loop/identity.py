"""What a record is about: the cell of a test in a session group."""

from harness.engine.workload import Workload
from harness.results.schema import Cell
from harness.runner.plan import SessionGroup
from harness.store.exported_artifact import AnyArtifact


def cell_of(group: SessionGroup, workload: Workload, artifact: AnyArtifact | None) -> Cell:
    """The identity of a record."""
    return Cell(
        model=group.model.identity(artifact),
        parameters=group.model.parameters,
        active_parameters=group.model.active_parameters,
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


def without_folders(text: str) -> str:
    """Return the words of a variant, of every path the last component only: files name no place."""
    return " ".join(word.rpartition("/")[2] for word in text.replace("\\", "/").split())
