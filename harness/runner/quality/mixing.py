"""Graphs of a model at fp32 with one group of its matrices at another level."""

from collections.abc import Iterator
from pathlib import Path

from harness.builder.graph.decoder import mixed_model
from harness.builder.graph.mixture import LEVEL_DATA, REFERENCE_DATA, Mixture
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import ModelSpec
from harness.runner.quality.groups import Group, groups_of


def write_mixtures(
    spec: ModelSpec, reference: QuantLevel, level: QuantLevel, folder: Path
) -> Iterator[tuple[Group, Path]]:
    """Write one graph per group beside REFERENCE_DATA and LEVEL_DATA; no weight is written again.

    Args:
        spec: the architecture.
        reference: fp32.
        level: the level of one group at a time.
        folder: holds both data files.

    Yields:
        Each group and its graph, which gives the logits of every position.
    """
    for number, group in enumerate(groups_of(spec, reference, level)):
        mixture = Mixture(reference, level, group.matrices)
        path = folder / f"group-{number}.onnx"
        model = mixed_model(spec, mixture, REFERENCE_DATA, LEVEL_DATA)
        path.write_bytes(model.SerializeToString())
        yield group, path
