"""Built models for tests of quality, and how they travel to the worker."""

import json
from dataclasses import asdict

import numpy as np
from safetensors.numpy import save_file

from harness.models.specs.tensors import logical_tensors
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model


def graphs(artifact):
    """An artifact as the worker's `evaluate` takes it."""
    return {
        "all_logits": str(artifact.all_logits_graph),
        "last_logits": str(artifact.graph),
        "geometry": asdict(artifact.geometry),
    }


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
