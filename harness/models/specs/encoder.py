"""The architecture of one text encoder as numbers: BERT and what computes as it does."""

from dataclasses import dataclass

from harness.models.specs.model import ModelSpec

ENCODER_FAMILIES = ("bert", "distilbert")
POOLINGS = ("mean", "cls")
ACTIVATIONS = ("gelu", "gelu_tanh")


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One encoder: learned positions, attention in both directions, a norm after each block.

    Attributes:
        name: the word the user types, such as `all-minilm-l6-v2`.
        family: the Hugging Face `model_type`: `bert` or `distilbert`.
        vocab_size: rows of the embedding.
        hidden_size: width of the residual stream, and of the sentence embedding.
        num_layers: blocks.
        num_heads: attention heads; each is hidden_size / num_heads wide.
        intermediate_size: width of the block after attention.
        max_context_tokens: rows of the position table: the longest sequence.
        token_types: rows of the token type table; 0: the family has none (DistilBERT).
        pooler: whether the checkpoint has BERT's pooler. It is counted as published; sentence
            embeddings do not use it, so it is not built.
        norm_epsilon: added to the variance inside every layer norm.
        activation: `gelu` (exact, with erf) or `gelu_tanh` (its approximation).
        pooling: how a sequence becomes one vector: `mean` of its tokens, or the first one (`cls`).
        published_parameters: the count its makers or independent public code state, or None.
        expected_delta: our exact count minus the published one, where known to differ.
        expected_delta_reason: why it differs; empty where expected_delta is 0.
        hf_id: `organisation/name` on the Hugging Face hub, or empty.
        license: of the published weights.
        source: where these numbers were read.
    """

    name: str
    family: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_context_tokens: int
    token_types: int
    pooler: bool
    norm_epsilon: float = 1e-12
    activation: str = "gelu"
    pooling: str = "mean"
    published_parameters: int | None = None
    expected_delta: int = 0
    expected_delta_reason: str = ""
    hf_id: str = ""
    license: str = ""
    source: str = ""

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_size // self.num_heads


AnySpec = ModelSpec | EncoderSpec


def spec_type(family: object) -> type[ModelSpec] | type[EncoderSpec]:
    """Return the record that describes architectures of a family."""
    return EncoderSpec if family in ENCODER_FAMILIES else ModelSpec
