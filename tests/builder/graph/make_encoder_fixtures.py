"""Writes the reference vectors that encoders are verified against. Development-time only.

    python -m tests.builder.graph.make_encoder_fixtures [NAME ...]

Needs torch and transformers (made with 2.13.0 and 5.24.0). Each folder of tests/fixtures/encoders
is a Hugging Face model of a few thousand weights, as `save_pretrained` writes it, but that names
and shapes stand in `shapes.json` in the place of weights, whose values seeded_folder.py draws; and
`reference.safetensors` with what torch computes from it in float32, three sequences of unlike
length padded to the longest:

    input_ids, attention_mask, token_type_ids  int64   [3, 12]
    last_hidden_state                          float32 [3, 12, hidden]
    sentence_embedding                         float32 [3, width], pooled and of length 1
    logits                                     float32 [3, labels], instead, of a classifier

    bert-mean          BertModel, exact GELU, mean of the tokens, 40 wide: no whole blocks
    bert-cls           BertForMaskedLM (tensors called `bert.*`), GELU by tanh, the first token
    bert-dense         BertModel, mean, then a dense layer with bias and tanh
    bert-scores        BertForSequenceClassification, one score
    distilbert-mean    DistilBertModel: other names, no token types
    distilbert-scores  DistilBertForSequenceClassification, two scores, ReLU before them
    xlmr-cls           XLMRobertaModel: positions begin at 2, one token type
    xlmr-scores        XLMRobertaForSequenceClassification (tensors called `roberta.*`)
    modernbert-mean    ModernBertModel: rotary, windows, norms without bias, none before layer 0
    modernbert-scores  ModernBertForSequenceClassification over the mean, with a norm in its head
    eurobert-mean      EuroBertForMaskedLM (tensors called `model.*`): Llama's layers, shared keys
    gemma3-dense       Gemma3TextModel looking both ways, windows, two dense layers after the mean
    qwen3-last         Qwen3Model called Qwen3ForCausalLM, names without `model.`, the last token

The weights have the spread of trained ones; see make_logit_fixtures.py.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertModel,
    EuroBertConfig,
    EuroBertForMaskedLM,
    Gemma3TextConfig,
    Gemma3TextModel,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    ModernBertModel,
    PreTrainedModel,
    Qwen3Config,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from tests.builder.graph.seeded_folder import ENCODERS, SHAPES, encoder_folder, write_shapes

LENGTHS = (12, 7, 3)
BERT = {
    "vocab_size": 96,
    "hidden_size": 40,  # divides into no blocks
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
    "attn_implementation": "eager",
}
DISTILBERT = {
    "vocab_size": 96,
    "dim": 64,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 96,
    "max_position_embeddings": 24,
    "attn_implementation": "eager",
}


XLMR = BERT | {
    "max_position_embeddings": 26,  # 24 tokens, behind those of padding
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
}
MODERNBERT = {
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "local_attention": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
    "attn_implementation": "eager",
}
LAYERS = {
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "attn_implementation": "eager",
}
EUROBERT = LAYERS | {
    "mask_token_id": 3,
    "rope_parameters": {"rope_type": "default", "rope_theta": 250000.0},
}
GEMMA3 = LAYERS | {
    "num_hidden_layers": 3,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "query_pre_attn_scalar": 12,
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    "use_bidirectional_attention": True,
}
QWEN3 = LAYERS | {"head_dim": 32, "tie_word_embeddings": True}


@dataclass(frozen=True)
class Fixture:
    """One folder.

    Attributes:
        model: gives the model.
        pooling: `mean`, `cls` or `last`; None: a classifier does it.
        dense: width, bias and activation of each layer behind it.
        body: attribute of the model that gives the tokens' vectors; empty: it does itself.
        types: whether it reads token types.
        modules: whether modules.json is written.
        called: the class that config.json names instead.
    """

    model: Callable[[], PreTrainedModel]
    pooling: str | None = None
    dense: tuple[tuple[int, bool, str], ...] = ()
    body: str = ""
    types: bool = False
    modules: bool = False
    called: str = ""


FIXTURES = {
    "bert-mean": Fixture(lambda: BertModel(BertConfig(**BERT)), "mean", types=True),
    "bert-cls": Fixture(
        lambda: BertForMaskedLM(BertConfig(**BERT | {"hidden_act": "gelu_new"})),
        "cls",
        body="bert",
        types=True,
    ),
    "bert-dense": Fixture(
        lambda: BertModel(BertConfig(**BERT)),
        "mean",
        ((24, True, "activation.Tanh"),),
        types=True,
        modules=True,
    ),
    "bert-scores": Fixture(
        lambda: BertForSequenceClassification(BertConfig(**BERT, num_labels=1)),
        body="bert",
        types=True,
    ),
    "distilbert-mean": Fixture(lambda: DistilBertModel(DistilBertConfig(**DISTILBERT)), "mean"),
    "distilbert-scores": Fixture(
        lambda: DistilBertForSequenceClassification(DistilBertConfig(**DISTILBERT)),
        body="distilbert",
    ),
    "xlmr-cls": Fixture(lambda: XLMRobertaModel(XLMRobertaConfig(**XLMR)), "cls", modules=True),
    "xlmr-scores": Fixture(
        lambda: XLMRobertaForSequenceClassification(XLMRobertaConfig(**XLMR, num_labels=1)),
        body="roberta",
    ),
    "modernbert-mean": Fixture(lambda: ModernBertModel(ModernBertConfig(**MODERNBERT)), "mean"),
    "modernbert-scores": Fixture(
        lambda: ModernBertForSequenceClassification(
            ModernBertConfig(**MODERNBERT, num_labels=1, classifier_pooling="mean")
        ),
        body="model",
    ),
    "eurobert-mean": Fixture(
        lambda: EuroBertForMaskedLM(EuroBertConfig(**EUROBERT)), "mean", body="model"
    ),
    "gemma3-dense": Fixture(
        lambda: Gemma3TextModel(Gemma3TextConfig(**GEMMA3)),
        "mean",
        ((96, False, "linear.Identity"), (64, False, "linear.Identity")),
        modules=True,
    ),
    "qwen3-last": Fixture(
        lambda: Qwen3Model(Qwen3Config(**QWEN3)), "last", modules=True, called="Qwen3ForCausalLM"
    ),
}
POOLINGS = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken"}


def reference(
    fixture: Fixture, model: PreTrainedModel, dense: list[dict[str, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """Return the inputs and what the model makes of them."""
    random = torch.Generator().manual_seed(7)
    shape = (len(LENGTHS), max(LENGTHS))
    mask = torch.tensor([[int(at < length) for at in range(shape[1])] for length in LENGTHS])
    inputs = {
        "input_ids": torch.randint(96, shape, generator=random),
        "attention_mask": mask,
        "token_type_ids": torch.randint(2, shape, generator=random),
    }
    if model.config.model_type == "xlm-roberta":  # it counts positions by what is no padding
        ids = inputs["input_ids"].clamp(min=2)
        inputs["input_ids"] = torch.where(mask.bool(), ids, 1)
    fed = dict(inputs)
    if not fixture.types:
        del fed["token_type_ids"]
    body = getattr(model, fixture.body) if fixture.body else model
    with torch.no_grad():
        hidden = body(**fed).last_hidden_state
    found = {**inputs, "last_hidden_state": hidden.contiguous()}
    if fixture.pooling is None:
        with torch.no_grad():
            return {**found, "logits": model(**fed).logits.contiguous()}
    return {**found, "sentence_embedding": embedding(fixture, hidden, mask, dense).contiguous()}


def embedding(
    fixture: Fixture,
    hidden: torch.Tensor,
    mask: torch.Tensor,
    dense: list[dict[str, torch.Tensor]],
) -> torch.Tensor:
    """Return the pooled vectors behind the dense layers, of length 1."""
    if fixture.pooling == "cls":
        pooled = hidden[:, 0]
    elif fixture.pooling == "last":
        pooled = hidden[torch.arange(len(hidden)), mask.sum(1) - 1]
    else:
        seen = mask[:, :, None].float()
        pooled = (hidden * seen).sum(1) / seen.sum(1)
    for tensors, (_outputs, _bias, activation) in zip(dense, fixture.dense, strict=True):
        bias = tensors["linear.bias"].float() if "linear.bias" in tensors else None
        pooled = torch.nn.functional.linear(pooled, tensors["linear.weight"].float(), bias)
        pooled = torch.tanh(pooled) if activation.endswith("Tanh") else pooled
    return torch.nn.functional.normalize(pooled, dim=-1)


def write_json(path: Path, values: Any) -> None:
    """Write a file, and its folder where there is none."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + "\n")


def write_steps(folder: Path, fixture: Fixture, width: int) -> None:
    """Write what sentence-transformers lays beside a model."""
    kind = POOLINGS[fixture.pooling]
    others = [other for other in ("mean_tokens", "cls_token") if other != kind]
    modes = {f"pooling_mode_{kind}": True, **{f"pooling_mode_{other}": False for other in others}}
    write_json(folder / "1_Pooling" / "config.json", modes)
    for place, (outputs, bias, activation) in enumerate(fixture.dense, start=2):
        config = {
            "in_features": width,
            "out_features": outputs,
            "bias": bias,
            "activation_function": f"torch.nn.modules.{activation}",
        }
        write_json(folder / f"{place}_Dense" / "config.json", config)
        shapes = {"linear.weight": [outputs, width], **({"linear.bias": [outputs]} if bias else {})}
        (folder / f"{place}_Dense" / SHAPES).write_text(json.dumps(shapes))
        width = outputs
    if fixture.modules:
        steps = ["", "1_Pooling", *(f"{2 + i}_Dense" for i in range(len(fixture.dense)))]
        steps.append(f"{len(steps)}_Normalize")
        types = ["Transformer", "Pooling", *["Dense"] * len(fixture.dense), "Normalize"]
        listed = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{word}"}
            for i, (path, word) in enumerate(zip(steps, types, strict=True))
        ]
        write_json(folder / "modules.json", listed)


def write(name: str, fixture: Fixture) -> None:
    """Write one folder anew."""
    model, folder = fixture.model(), ENCODERS / name
    with TemporaryDirectory() as scratch:
        model.half().save_pretrained(scratch)
        write_shapes(Path(scratch), folder)
        shutil.copy(f"{scratch}/config.json", folder)
    if fixture.pooling is not None:
        width = getattr(model.config, "hidden_size", None) or model.config.dim
        write_steps(folder, fixture, width)
    filled = encoder_folder(name)
    kept = {"dtype": torch.float32, "attn_implementation": "eager"}
    read = type(model).from_pretrained(filled, **kept).eval()
    dense = [load_file(file) for file in sorted(filled.glob("*_Dense/model.safetensors"))]
    save_file(reference(fixture, read, dense), folder / "reference.safetensors")
    if fixture.called:
        config = json.loads((folder / "config.json").read_text())
        write_json(folder / "config.json", {**config, "architectures": [fixture.called]})


def main() -> None:
    """Write the folders that are named, or every one."""
    for name in sys.argv[1:] or FIXTURES:
        write(name, FIXTURES[name])


if __name__ == "__main__":
    main()
