"""What a Hugging Face checkpoint calls the tensors of an encoder.

Inside the harness they carry the names that decoders' tensors have (`self_attn.q_proj`,
`mlp.down_proj`), so that storage, levels and seeded weights know one set of names only.
"""

from harness.models.specs.model import EncoderSpec

# our name -> the checkpoint's; of a layer without its `model.layers.N.`
_BERT = {
    "model.embed_tokens": "embeddings.word_embeddings",
    "model.embed_positions": "embeddings.position_embeddings",
    "model.embed_types": "embeddings.token_type_embeddings",
    "model.embed_norm": "embeddings.LayerNorm",
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.o_proj": "attention.output.dense",
    "self_attn_norm": "attention.output.LayerNorm",
    "mlp.up_proj": "intermediate.dense",
    "mlp.down_proj": "output.dense",
    "mlp_norm": "output.LayerNorm",
}
_DISTILBERT = {
    **_BERT,
    "self_attn.q_proj": "attention.q_lin",
    "self_attn.k_proj": "attention.k_lin",
    "self_attn.v_proj": "attention.v_lin",
    "self_attn.o_proj": "attention.out_lin",
    "self_attn_norm": "sa_layer_norm",
    "mlp.up_proj": "ffn.lin1",
    "mlp.down_proj": "ffn.lin2",
    "mlp_norm": "output_layer_norm",
}
# Classification heads: the two dense layers that the pooled vector passes.
_ROBERTA = {**_BERT, "dense.0": "classifier.dense", "dense.1": "classifier.out_proj"}
# family -> names, the folder of its layers, and what stands before the names of a class with a head
_FAMILIES = {
    "bert": (
        {**_BERT, "dense.0": "pooler.dense", "dense.1": "classifier"},
        "encoder.layer",
        "bert.",
    ),
    "distilbert": (
        {**_DISTILBERT, "dense.0": "pre_classifier", "dense.1": "classifier"},
        "transformer.layer",
        "distilbert.",
    ),
    "xlm-roberta": (_ROBERTA, "encoder.layer", "roberta."),
    "roberta": (_ROBERTA, "encoder.layer", "roberta."),
}
# Heads of pre-training and of tasks, BERT's pooler and a buffer: beyond what a sentence embedding
# needs, and what the classes without such a head leave alone as well.
_UNUSED = (
    *("pooler.", "cls.", "vocab_", "lm_head.", "embeddings.position_ids"),
    *("classifier.", "pre_classifier.", "qa_outputs.", "score.", "dropout."),
)
# Checkpoints converted from TensorFlow name the two vectors of a norm otherwise.
_OLD_ENDS = {".gamma": ".weight", ".beta": ".bias"}


def checkpoint_name(spec: EncoderSpec, name: str) -> str:
    """Return what a checkpoint of the spec's family calls our tensor, without a model's prefix."""
    names, layers, _prefix = _FAMILIES[spec.family]
    plain, _, end = name.rpartition(".")
    if not spec.scores and plain.startswith("dense."):
        return name  # of a folder of sentence-transformers; see weights.checkpoint
    if not plain.startswith("model.layers."):
        return f"{names[plain]}.{end}"
    _, _, layer, part = plain.split(".", 3)
    return f"{layers}.{layer}.{names[part]}.{end}"


def without_prefix(spec: EncoderSpec, name: str) -> str:
    """Return a checkpoint's name without the prefix of a class with a head, in its newer form."""
    plain = name.removeprefix(_FAMILIES[spec.family][2])
    for old, new in _OLD_ENDS.items():
        if plain.endswith(old):
            return plain.removesuffix(old) + new
    return plain


def is_unused(name: str) -> bool:
    """Whether a tensor, by its name without prefix, takes no part in a sentence embedding."""
    return name.startswith(_UNUSED)
