"""From a resolved model to its weights: seeded, or the tensors of a checkpoint."""

from harness.models.weights.checkpoint import CheckpointWeights
from harness.models.weights.seeded import SeededWeights
from harness.models.weights.source import ModelSource
from harness.models.weights.store import WeightStore


def open_weights(source: ModelSource, seed: int = 0) -> WeightStore:
    """Open the weights of a resolved model; a checkpoint's names and shapes are checked here.

    Raises:
        UsageError: a negative seed.
        ModelError: the checkpoint is damaged or does not fit the architecture.
    """
    if source.folder is None:
        return SeededWeights(source.spec, seed)
    return CheckpointWeights(source)
