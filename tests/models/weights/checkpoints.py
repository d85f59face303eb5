"""Small Hugging Face folders for tests: a config.json and safetensors files of random values."""

import json

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from harness.models.configs.config import spec_from_config
from harness.models.specs.tensors import logical_tensors

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}
DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}


def random_tensors(config=CONFIG, dtype="F32"):
    """Name -> array for every tensor of `config`, normal values rounded to `dtype`."""
    generator = np.random.default_rng(7)
    return {
        tensor.name: generator.standard_normal(tensor.shape).astype(DTYPES[dtype])
        for tensor in logical_tensors(spec_from_config(config, "toy"))
    }


def write_config(folder, config=CONFIG):
    """Write only the config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_single(folder, tensors, config=CONFIG, name="model.safetensors"):
    """Write a folder with one weight file."""
    write_config(folder, config)
    save_file(tensors, folder / name)
    return folder


def write_sharded(folder, tensors, config=CONFIG, shards=3):
    """Write a folder with an index and `shards` files, tensors dealt out in turn."""
    write_config(folder, config)
    names = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
    weight_map = {tensor: names[i % shards] for i, tensor in enumerate(tensors)}
    for name in names:
        save_file({t: v for t, v in tensors.items() if weight_map[t] == name}, folder / name)
    write_index(folder, weight_map)
    return folder


def write_index(folder, weight_map):
    """Write model.safetensors.index.json."""
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
