"""Shared by every test: a tiny checkpoint, a cache of its own, and the devices that tests need."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.devices.probe import Probe, probe_row
from harness.devices.table import find_row
from harness.models.configs.config import spec_from_config
from harness.models.specs.tensors import logical_tensors

TINY_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a two-layer Llama with random weights."""
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def make_tiny() -> Callable[[Path], Path]:
    """Write another such folder where a test wants it."""
    return write_tiny


def write_tiny(folder: Path) -> Path:
    """Write the folder: config.json and one safetensors file."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(TINY_CONFIG))
    generator = np.random.default_rng(5)
    tensors = {
        tensor.name: (generator.standard_normal(tensor.shape) / 8).astype(np.float32)
        for tensor in logical_tensors(spec_from_config(TINY_CONFIG, "tiny"))
    }
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One artifact cache for the whole test session: each tiny model is built once."""
    return tmp_path_factory.mktemp("cache")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--require-device webgpu,qnn`: a missing one then fails its tests instead of skipping."""
    parser.addoption("--require-device", default="", help="rows that must work here, simulated too")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a device test whose row does not work here, or fail it where the row is required."""
    required = item.config.getoption("--require-device").split(",")
    for marker in item.iter_markers("device"):
        (key,) = marker.args
        found = device(key)
        if not found.works:
            reason = f"device {key}: {found.state}: {found.problem}"
            if key in required:
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


@cache
def device(key: str) -> Probe:
    """Ask a row once whether it works, on hardware or simulated."""
    return probe_row(find_row(key), allow_simulated=True)
