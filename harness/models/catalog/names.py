"""Names that people write otherwise: `Qwen2.5-7B-Instruct`, `gemma3:4b`, `mistral-7b`."""

from functools import cache

from harness.models.catalog.catalog import alias_names, catalog_names
from harness.models.catalog.counts import published_counts

# Words of a fine-tune or of a form of the files: the architecture is that of the rest of the name.
TUNED = frozenset({"instruct", "chat", "it", "base", "hf", "pt", "onnx", "gguf"})
# What is usually meant where a name is cut short; of several versions the one that is run most.
SHORT = {
    "bge-base-en": "bge-base-en-v1.5",
    "bge-large-en": "bge-large-en-v1.5",
    "bge-small-en": "bge-small-en-v1.5",
    "e5-base": "e5-base-v2",
    "e5-large": "e5-large-v2",
    "e5-small": "e5-small-v2",
    "mistral-7b": "mistral-7b-v0.1",
    "mistral-nemo": "mistral-nemo-12b",
    "mistral-small": "mistral-small-24b",
    "mixtral": "mixtral-8x7b",
    "phi-3-mini": "phi-3-mini-4k",
    "phi-3-mini-128k": "phi-3.5-mini",
    "tinyllama": "tinyllama-1.1b",
    "whisper-large": "whisper-large-v3",
}


def known_name(word: str) -> str | None:
    """Return the catalog's name for a word that is written otherwise; None: it is none.

    Case, spaces, `_` and `:` do not matter, nor where the hyphens stand, nor words that say that a
    model was tuned. A word with a slash is a place, never a name.
    """
    if "/" in word or "\\" in word:
        return None
    tokens = word.lower().replace("_", "-").replace(":", "-").replace(" ", "-").split("-")
    for kept in (tokens, [token for token in tokens if token not in TUNED]):
        found = _spelled().get("".join(kept))
        if found is not None:
            return found
    return None


@cache
def _spelled() -> dict[str, str]:
    """Every name without its hyphens; of two that look alike then, neither."""
    names = {name: name for name in (*catalog_names(), *alias_names(), *published_counts())} | SHORT
    found: dict[str, str] = {}
    twice: set[str] = set()
    for name, meant in names.items():
        bare = name.replace("-", "")
        if found.setdefault(bare, meant) != meant:
            twice.add(bare)
    return {bare: meant for bare, meant in found.items() if bare not in twice}
