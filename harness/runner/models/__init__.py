"""What a word for a model means, and what every kind of model answers about itself."""

from harness.runner.models.find import find_model, find_targets
from harness.runner.models.model import FoundModel, Model

__all__ = ["FoundModel", "Model", "find_model", "find_targets"]
