#!/usr/bin/env bash
# genai's model builder writes a window for Mistral that belongs to no layer.
#
# onnxruntime-genai 0.18.0. A Mistral checkpoint with `sliding_window` is exported with the builder's
# default options. One would guess that its layers get windows (local_window_size) and that
# genai_config.json lists them. Every attention has local_window_size -1, and `sliding_window` of
# genai_config.json has an empty list of layers.
# Output seen: sliding_window {'window_size': 16, ..., 'layers': []}; local_window_size of attention: [-1]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 onnxruntime-genai==0.18.0 transformers==5.24.0 onnx-ir==1.1.0 onnx==1.23.2
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import contextlib
import io
import json
import runpy
import sys

import onnx
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

words = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3} | {f"w{at}": at for at in range(4, 64)}
transformers.PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(WordLevel(words, unk_token="<unk>")),
    pad_token="<pad>",
    bos_token="<s>",
    eos_token="</s>",
    unk_token="<unk>",
).save_pretrained("model")
config = transformers.MistralConfig(
    vocab_size=64,
    hidden_size=64,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=32,
    max_position_embeddings=256,
    sliding_window=16,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
transformers.MistralForCausalLM(config).save_pretrained("model")
sys.argv = ["builder", "-i", "model", "-o", "export", "-p", "fp32", "-e", "cpu", "-c", "cache"]
with contextlib.redirect_stdout(io.StringIO()):
    runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__", alter_sys=True)
decoder = json.load(open("export/genai_config.json"))["model"]["decoder"]
window = decoder.get("sliding_window")
graph = onnx.load("export/model.onnx", load_external_data=False).graph
found = {
    attribute.i
    for node in graph.node
    for attribute in node.attribute
    if node.op_type == "GroupQueryAttention" and attribute.name == "local_window_size"
}
print(f"sliding_window {window}; local_window_size of attention: {sorted(found)}")
same = window is not None and window["layers"] == [] and found <= {-1}
sys.exit(0 if same else "the behaviour has changed")
END
