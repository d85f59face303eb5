"""Built models for tests of quality, and how they travel to the worker."""

import json

import numpy as np
from safetensors.numpy import save_file

from harness.models.specs.tensors import logical_tensors
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model


def changed_folder(folder, model, change):
    """Write the checkpoint of `model` to `folder`, each tensor as change(name, tensor)."""
    source = resolve_model(model)
    weights = open_weights(source)
    folder.mkdir()
    tensors = {
        tensor.name: change(tensor.name, weights.tensor(tensor.name))
        for tensor in logical_tensors(source.spec)
    }
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((source.folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"torch_dtype": "float32"}))
    return folder


def rounded(steps):
    """A change that rounds every weight to a multiple of 1 / steps."""
    return lambda name, tensor: (np.round(tensor * steps) / steps).astype(np.float32)
