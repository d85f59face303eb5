"""Write exports of an architecture of the catalog, with seeded weights, for three_ways.py.

    optimum/bin/python benchmarks/export_smollm2.py optimum fp32 FOLDER
    genai/bin/python benchmarks/export_smollm2.py genai int4 FOLDER

Development only: torch, Optimum and the builder of onnxruntime-genai are no dependencies. Each
exporter needs an environment of its own; tests/fixtures/exports/README.md says how they are made.
The numbers are those of models/smollm2-135m.toml; the weights are drawn with seed 0 by torch, so
they are not those of our builds: speeds and memory compare, texts do not.
"""

import argparse
import runpy
import sys
import tempfile
import tomllib
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

ARCHITECTURE = Path(__file__).parents[1] / "models" / "smollm2-135m.toml"
SEED = 0


def main() -> None:
    """Write one folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exporter", choices=("optimum", "genai"))
    parser.add_argument("precision", choices=("fp32", "int4"))
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    if asked.exporter == "optimum" and asked.precision != "fp32":
        parser.error("Optimum writes fp32; bench --quant int4 makes a level of it")
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "model"
        save_model(source)
        if asked.exporter == "optimum":
            run_optimum(source, asked.folder)
        else:
            run_genai(source, asked.folder, asked.precision, Path(scratch) / "cache")
    print(asked.folder)


def save_model(folder: Path) -> None:
    """Write the Hugging Face folder that exporters read; its tokenizer knows no words."""
    with ARCHITECTURE.open("rb") as file:
        numbers = tomllib.load(file)
    torch.manual_seed(SEED)
    config = transformers.LlamaConfig(
        vocab_size=numbers["vocab_size"],
        hidden_size=numbers["hidden_size"],
        intermediate_size=numbers["intermediate_size"],
        num_hidden_layers=numbers["num_layers"],
        num_attention_heads=numbers["num_heads"],
        num_key_value_heads=numbers["num_kv_heads"],
        head_dim=numbers["head_dim"],
        max_position_embeddings=numbers["max_context_tokens"],
        rope_theta=numbers["rope_theta"],
        rms_norm_eps=numbers["norm_epsilon"],
        tie_word_embeddings=numbers["tied_embeddings"],
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = transformers.LlamaForCausalLM(config)
    found = sum(weight.numel() for weight in model.parameters())
    if found != numbers["published_parameters"]:
        raise SystemExit(f"{found} parameters, not {numbers['published_parameters']}")
    model.save_pretrained(folder)
    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<unk>")),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    ).save_pretrained(folder)


def run_optimum(source: Path, target: Path) -> None:
    """Export with Optimum, as fp32 with a cache."""
    from optimum.exporters.onnx import main_export

    task = "text-generation-with-past"
    main_export(str(source), str(target), task=task, do_validation=False)


def run_genai(source: Path, target: Path, precision: str, cache: Path) -> None:
    """Export with the model builder of onnxruntime-genai, for the CPU."""
    words = ["-i", source, "-o", target, "-e", "cpu", "-c", cache, "-p", precision]
    sys.argv = ["builder", *map(str, words)]
    runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
