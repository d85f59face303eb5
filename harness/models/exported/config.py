"""What the configuration files beside a graph say; the graph itself comes first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import ModelError
from harness.models.configs.config import spec_from_file
from harness.models.exported.files import GENAI_CONFIG, read_json
from harness.models.exported.model import USUAL_SOUND, Sound
from harness.models.specs.model import AnySpec

CONFIG, TOKENIZER, PREPROCESSOR = "config.json", "tokenizer.json", "preprocessor_config.json"
# What is wanted -> the keys of config.json that say it, over all families of transformers.
_KEYS: dict[str, tuple[str, ...]] = {
    "vocab_size": ("vocab_size",),
    "hidden_size": ("hidden_size", "d_model", "n_embd", "dim"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "decoder_attention_heads", "n_heads"),
    "head_dim": ("head_dim", "d_kv"),
    "context": ("max_position_embeddings", "n_positions", "max_target_positions", "n_ctx"),
    "source": ("max_source_positions", "max_encoder_position_embeddings"),
    "target": ("max_target_positions", "max_decoder_position_embeddings"),
}
# Parts of a config.json that describe one of several models, those of text first.
_TEXT_PARTS = ("text_config", "decoder", "llm_config", "language_config")
_OTHER_PARTS = ("vision_config", "audio_config", "encoder", "audio_encoder")
# Positions of these families begin behind that of the padding token, so that a table of
# `max_position_embeddings` rows takes so many fewer. Source: create_position_ids_from_input_ids
# of transformers 4.57.
_BEHIND_PADDING = frozenset(
    {
        *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "xmod"),
        *("mpnet", "longformer", "data2vec-text", "ibert", "luke", "mluke", "layoutlmv3"),
        *("lilt", "markuplm", "esm", "clap_text_model"),
    }
)
_GENAI_KEYS = {"vocab_size": "vocab_size", "context": "context_length"}
_GENAI_DECODER_KEYS = {"hidden_size": "hidden_size", "head_dim": "head_size"}


@dataclass(frozen=True, slots=True)
class Described:
    """What the files beside a graph say; None where none says it.

    Attributes:
        vocab_size: one more than the largest token id.
        hidden_size: width of the residual stream.
        head_dim: values of one head.
        context: longest sequence in tokens.
        source: longest text or number of frames of an encoder that a decoder looks at.
        target: longest sequence of that decoder.
        image_size: height and width in pixels.
        sound: how sounds go in.
        classes: names of the transformers classes.
        genai: decoded genai_config.json.
        window: tokens that some attention sees, by that file.
        tokenizer_folder: where tokenizer.json lies.
        spec: the architecture, where it is one that we know.
        refusal: why it is not.
    """

    vocab_size: int | None = None
    hidden_size: int | None = None
    head_dim: int | None = None
    context: int | None = None
    source: int | None = None
    target: int | None = None
    image_size: tuple[int, int] | None = None
    sound: Sound = USUAL_SOUND
    classes: tuple[str, ...] = ()
    genai: Any = None
    window: int | None = None
    tokenizer_folder: Path | None = None
    spec: AnySpec | None = None
    refusal: str | None = None


def describe(folders: tuple[Path, ...], name: str) -> Described:
    """Read the configuration files of a model.

    Args:
        folders: where they may lie; of each file the first one counts.
        name: of the model, in errors.

    Raises:
        ModelError: a file that is there and cannot be read. One of an architecture that we do not
            know is no error: the graph says what is needed to run it.
    """
    config_path = _first(folders, CONFIG)
    config = None if config_path is None else read_json(config_path, f"{name}/{CONFIG}")
    genai = _read(folders, GENAI_CONFIG, name)
    values = {want: _whole(genai, config, want) for want in (*_KEYS,)}
    heads = values.pop("heads")
    if values["head_dim"] is None and heads and values["hidden_size"]:
        values["head_dim"] = values["hidden_size"] // heads
    values["context"] = _from_padding(config, values["context"])
    tokenizer = _first(folders, TOKENIZER)
    spec, refusal = (None, None) if config_path is None else _spec(config_path, name)
    return Described(
        **values,
        image_size=_image_size(config, _read(folders, PREPROCESSOR, name)),
        sound=_sound(config, _read(folders, PREPROCESSOR, name)),
        classes=_classes(config),
        genai=genai,
        window=_window(genai),
        tokenizer_folder=tokenizer and tokenizer.parent,
        spec=spec,
        refusal=refusal,
    )


def _first(folders: tuple[Path, ...], file: str) -> Path | None:
    """Return the first of the folders' files of that name."""
    return next((folder / file for folder in folders if (folder / file).is_file()), None)


def _read(folders: tuple[Path, ...], file: str, name: str) -> Any:
    """Return a decoded file, or None."""
    path = _first(folders, file)
    return None if path is None else read_json(path, f"{name}/{file}")


def _spec(path: Path, name: str) -> tuple[AnySpec | None, str | None]:
    """Return the architecture of a config.json, or None and why it is none of ours."""
    try:  # read_json has read it, so it is no link that leads elsewhere
        return spec_from_file(path, name), None
    except ModelError as error:
        return None, error.problem


def _whole(genai: Any, config: Any, want: str) -> int | None:
    """Return a positive number: of genai_config.json, else of config.json or its text part."""
    model = _table(_table(genai).get("model"))
    decoder = _table(model.get("decoder"))
    found = [
        model.get(_GENAI_KEYS.get(want, "")),
        decoder.get(_GENAI_DECODER_KEYS.get(want, "")),
        *(table.get(key) for table in _parts(config) for key in _KEYS[want]),
    ]
    return next((value for value in found if type(value) is int and value > 0), None)


def _window(genai: Any) -> int | None:
    """Return the window that genai_config.json gives some layers."""
    decoder = _table(_table(_table(genai).get("model")).get("decoder"))
    size = _table(decoder.get("sliding_window")).get("window_size")
    return size if type(size) is int and size > 0 else None


def _parts(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a config.json and the parts of it that describe one of several models."""
    whole = _table(config)
    yield whole
    for part in (*_TEXT_PARTS, *_OTHER_PARTS):
        yield _table(whole.get(part))


def _from_padding(config: Any, context: int | None) -> int | None:
    """Return how many tokens a family takes whose first position is behind the padding token's."""
    whole = _table(config)
    padding = whole.get("pad_token_id", 1)
    is_learned = whole.get("position_embedding_type", "absolute") == "absolute"
    if context is None or whole.get("model_type") not in _BEHIND_PADDING or not is_learned:
        return context
    return context - padding - 1 if type(padding) is int and 0 <= padding < context - 1 else context


def _image_size(config: Any, preprocessor: Any) -> tuple[int, int] | None:
    """Return height and width: of the preprocessor, else of config.json."""
    prepared = _table(preprocessor)
    found = [prepared.get("crop_size"), prepared.get("size")]
    found += [table.get("image_size") for table in _parts(config)]
    for value in found:
        sides = [value, value]
        if isinstance(value, Mapping):
            sides = [value.get("height"), value.get("width")]
        elif isinstance(value, list):
            sides = value
        match sides:
            case [int(height), int(width)] if height > 0 and width > 0:
                return height, width
    return None


def _sound(config: Any, preprocessor: Any) -> Sound:
    """Return how sounds go in: by the preprocessor, config.json or its parts, else as usual."""
    tables = [_table(preprocessor), *_parts(config)]

    def said(*keys: str) -> int | None:
        found = (table.get(key) for table in tables for key in keys)
        return next((value for value in found if type(value) is int and value > 1), None)

    usual = USUAL_SOUND
    rate, chunk_s = said("sampling_rate", "sample_rate") or usual.rate_hz, said("chunk_length")
    frames, source = said("nb_max_frames"), said("max_source_positions")
    if frames is None and source is not None and _table(config).get("model_type") == "whisper":
        frames = 2 * source  # its second convolution halves them
    by_chunk = rate * chunk_s // frames if chunk_s and frames else 0
    return Sound(
        rate_hz=rate,
        hop_samples=said("hop_length") or by_chunk or usual.hop_samples,
        bins=said("num_mel_bins", "feature_size", "n_mels") or usual.bins,
        frames=frames,
    )


def _classes(config: Any) -> tuple[str, ...]:
    """Return the class names of a config.json."""
    found = _table(config).get("architectures")
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()


def _table(value: Any) -> Mapping[str, Any]:
    """Return a table, or an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}
