"""Levels of an exported fp32 graph, made by ONNX Runtime's quantizers into the cache."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.core.errors import ModelError, WorkerError
from harness.store.exported import ensure_exported_level, open_exported
from tests.exports import EXPORTS

# Found, not imported: it brings sympy, into every process that collects tests.
pytestmark = pytest.mark.skipif(
    find_spec("onnx_ir") is None, reason="ONNX Runtime's int4 quantizer needs onnx_ir"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("export", "level", "words"),
    [
        ("optimum/gpt2-past", "int4", "int4 b32 (MatMulNBits)"),
        ("genai/llama-fp32", "int8", "int8 per channel (MatMulInteger)"),
    ],
)
def test_a_level_keeps_parameters_and_kind(tmp_path: Path, export: str, level: str, words: str):
    """Fewer bytes for the same values; made once, under the name of the model."""
    model = open_exported(EXPORTS / export, tmp_path)
    made = ensure_exported_level(EXPORTS / export, model, level, tmp_path)
    assert (made.name, made.kind, made.parameters) == (model.name, model.kind, model.parameters)
    assert made.level == words
    assert made.weights_bytes < model.weights_bytes
    assert made.vocab_size == model.vocab_size
    stamp = made.path(made.main).stat().st_mtime_ns
    again = ensure_exported_level(EXPORTS / export, model, level, tmp_path)
    assert (again, again.path(again.main).stat().st_mtime_ns) == (made, stamp)


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path):
    model = open_exported(EXPORTS / "genai" / "llama-int4", tmp_path)
    with pytest.raises(ModelError, match=r"stored as int4 b32 \(MatMulNBits\)"):
        ensure_exported_level(EXPORTS / "genai" / "llama-int4", model, "int8", tmp_path)


def test_a_level_that_is_not_made_this_way_is_refused(tmp_path: Path):
    """Nothing is left in the cache."""
    export = tmp_path / "vit"
    shutil.copytree(EXPORTS / "optimum" / "vit", export)
    model = open_exported(export, tmp_path / "cache")
    with pytest.raises(WorkerError, match="cannot be made int2"):
        ensure_exported_level(export, model, "int2", tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name != "locks"]
