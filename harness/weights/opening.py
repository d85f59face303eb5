"""From a resolved model to its weights: seeded, or the tensors of a checkpoint."""

from harness.weights.checkpoint import CheckpointWeights
from harness.weights.seeded import SeededWeights
from harness.weights.source import ModelSource
from harness.weights.store import WeightStore


def open_weights(source: ModelSource, seed: int = 0) -> WeightStore:
    """Open the weights of a resolved model; a checkpoint's names and shapes are checked here.

    Raises:
        UsageError: a negative seed.
        ModelError: the checkpoint is damaged or does not fit the architecture.
    """
    if source.folder is None:
        return SeededWeights(source.spec, seed)
    return CheckpointWeights(source)
