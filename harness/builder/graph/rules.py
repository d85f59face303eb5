"""The rules by which models are built, and the version that stands for them.

1. Query, key and value are one matrix, packed along its outputs; gate and up stay two matrices.
2. Float and per-channel matrices of a layer lie as [inputs, outputs], tables as [vocab, hidden],
   blocks as [outputs, blocks, bytes].
   Per-channel bytes are unsigned around 128: signed ones overflow on x86 without VNNI.
3. A row that does not divide into blocks is padded with zeros to whole blocks; a padded embedding
   row is cut back after the look-up.
4. A tied head and its embedding are one array at every level.
5. Rotary tables are not stored: the graph holds head_dim / 2 frequencies, and ONNX Runtime folds
   the cosines and sines of the context into constants when a session loads. The context is cut
   at MAX_CONTEXT_TOKENS: the tables of 131,072 positions would cost every session 0.1 s to load
   and 48 MiB at a head_dim of 64, however short its sequences; those of 32,768 cost 0.02 s and
   12 MiB.
   Layers with a window have tables of their own where their base differs (Gemma 3). A longrope is
   built up to its first context: beyond it every cached key would have to be rotated anew.
6. Query and key norms split the packed qkv and normalise both before the attention: by head
   (Qwen3), or all heads at once (OLMo-2).
7. The last token is picked after the final norm, before the head.
8. Norms that add one to their weights (Gemma) are stored with it added. What a checkpoint packs
   (Phi-3, GPT-2) is taken apart when it is read, then packed by rule 1.
9. An encoder is stored by the same rules: packed qkv, tables (tokens, positions, types) by row. Its
   pooler is not stored. A sum goes to its norm through Sum (see graph/encoder_block.py). Unseen
   tokens are hidden by what is added to scores, which every provider's attention takes.
10. An encoder with a decoder's layers is stored as that decoder without a head. Where tokens see
   each other its attention is MultiHeadAttention: queries and keys are turned before it, shared
   keys repeated. Where they look back it is GroupQueryAttention over an empty cache.
11. What multiplies every residual (Granite) is taken into the last matrix of each branch, or into
    the norm behind it, when a checkpoint is read; what multiplies the logits into the final norm.
    Scores have a scale anyway, and embedded rows one product.
12. Layers that share a cache (Gemma 4) read the present keys and values of the layer that owns it,
    with keys and values of no tokens beside their queries, and write outputs that nobody reads:
    without any, GroupQueryAttention ignores its past (seen with onnxruntime 1.32.0).
13. A second embedding (Gemma 4) is looked up once, added to what the first one gives, and split
    into a part for each layer; its constant factors are taken into weights as by rule 11.
14. A model with windows has a third graph over the same data, whose sliding layers take caches of
    their window's size; a session opens it when it needs more positions than those have rows.
"""

MAX_CONTEXT_TOKENS = 32_768
BUILDER_VERSION = "4"  # raise it with any change of the bytes or nodes that a build writes

# Raise it with any change of what a static build writes, or of how its ranges are found.
STATIC_VERSION = "2"

GRAPH_FILE = "model.onnx"  # logits of the last token
ALL_LOGITS_FILE = "model_all_logits.onnx"  # logits of every token
WINDOWED_FILE = "model_windowed.onnx"  # as GRAPH_FILE, over caches of windows
GENAI_FILE = "genai_config.json"  # of onnxruntime-genai
DATA_FILE = "model.onnx.data"  # the weights of all
