"""Writes the reference embeddings that encoders are verified against. Development-time only.

    python tests/builder/graph/make_encoder_fixtures.py

Needs torch and transformers (made with 2.13.0 and 5.23.0). Each folder of tests/fixtures/encoders
is a Hugging Face model of a few thousand seeded weights, as `save_pretrained` writes it, and
`reference.safetensors` with what torch computes from it in float32, three sequences of unlike
length padded to the longest:

    input_ids, attention_mask, token_type_ids  int64   [3, 12]
    last_hidden_state                          float32 [3, 12, hidden]
    sentence_embedding                         float32 [3, hidden], pooled and of length 1

    bert-mean        BertModel, exact GELU, mean of the tokens, 40 wide: no whole blocks
    bert-cls         BertForMaskedLM (tensors called `bert.*`), GELU by tanh, the first token
    distilbert-mean  DistilBertModel: other names, no token types

The weights have the spread of trained ones; see make_logit_fixtures.py.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedModel,
)

FOLDER = Path(__file__).parents[2] / "fixtures" / "encoders"
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


def models() -> dict[str, PreTrainedModel]:
    """Return each model by the name of its folder."""
    return {
        "bert-mean": BertModel(BertConfig(**BERT)),
        "bert-cls": BertForMaskedLM(BertConfig(**BERT | {"hidden_act": "gelu_new"})),
        "distilbert-mean": DistilBertModel(DistilBertConfig(**DISTILBERT)),
    }


def seed_weights(model: PreTrainedModel) -> None:
    """Fill every tensor, rounded to float16, in which it is stored."""
    random = torch.Generator().manual_seed(20_261_122)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            values = torch.randn(weight.shape, generator=random)
            if "norm.weight" in name.lower():
                values = 1 + values / 8
                values[::16] *= 4
            elif name.endswith(".bias"):
                values = values / 4
            else:
                values = values / weight.shape[-1] ** 0.5
            weight.copy_(values.half().float())


def reference(name: str, model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the inputs and what the model makes of them."""
    random = torch.Generator().manual_seed(7)
    shape = (len(LENGTHS), max(LENGTHS))
    mask = torch.tensor([[int(at < length) for at in range(shape[1])] for length in LENGTHS])
    inputs = {
        "input_ids": torch.randint(96, shape, generator=random),
        "attention_mask": mask,
        "token_type_ids": torch.randint(2, shape, generator=random),
    }
    body = model.bert if name == "bert-cls" else model
    fed = dict(inputs)
    if name.startswith("distilbert"):
        del fed["token_type_ids"]
    with torch.no_grad():
        hidden = body(**fed).last_hidden_state
    if name.endswith("-cls"):
        pooled = hidden[:, 0]
    else:
        seen = mask[:, :, None].float()
        pooled = (hidden * seen).sum(1) / seen.sum(1)
    embedding = torch.nn.functional.normalize(pooled, dim=-1)
    return {
        **inputs,
        "last_hidden_state": hidden.contiguous(),
        "sentence_embedding": embedding.contiguous(),
    }


def main() -> None:
    """Write every folder anew."""
    for name, model in models().items():
        seed_weights(model.eval())
        folder = FOLDER / name
        tensors = reference(name, model)
        model.half().save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        save_file(tensors, folder / "reference.safetensors")
        pooling = folder / "1_Pooling" / "config.json"
        pooling.parent.mkdir(exist_ok=True)
        kind = "cls_token" if name.endswith("-cls") else "mean_tokens"
        other = "mean_tokens" if name.endswith("-cls") else "cls_token"
        modes = {f"pooling_mode_{kind}": True, f"pooling_mode_{other}": False}
        pooling.write_text(json.dumps(modes, indent=2) + "\n")


if __name__ == "__main__":
    main()
