"""The texts a model reads, and as which tokens: its own tokenizer's, or bytes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.encoding import read_json_file, read_text
from harness.core.errors import ModelError, UsageError
from harness.core.records import data_folder
from harness.models.weights.source import CONFIG

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUNDLED = ("english", "korean")  # models/texts/<name>.txt
CALIBRATION = "calibration"  # likewise; no text that quality is measured on
OWN_TEXT = "heldout.txt"  # beside a model: a text that its training left out
TOKENIZER_FILE = "tokenizer.json"
BYTE_VALUES = 256
# Assumes: a vocabulary is padded by less than this share of its rows; Phi-2 pads by 1.8 %, a
# tokenizer of another model leaves more of them unused.
MOST_UNUSED_SHARE = 0.05


class Tokenization(StrEnum):
    """How a model's text becomes tokens.

    FILE: by the tokenizer.json of its folder. BYTES: one token per byte. NONE: it has no
    tokenizer; token ids are seeded random and mean no text.
    """

    FILE = "tokenizer.json"
    BYTES = "bytes"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TokenText:
    """A text as one model reads it.

    Attributes:
        name: what reports call the text.
        ids: its tokens.
        begin_id: the token that stands before a text of this model, or None.
    """

    name: str
    ids: Sequence[int]
    begin_id: int | None


@dataclass(frozen=True, slots=True)
class TokenCoder:
    """Text as a model's tokens, and back.

    Attributes:
        encode: tokens of a text, without what stands before or after one.
        decode: text of tokens; what is no text becomes the sign for that.
        begin_id: the token that stands before a text of this model, or None.
        unknown_id: the token that stands for what the vocabulary cannot write, or None.
        end_id: the token that ends a text, or None.
    """

    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    begin_id: int | None
    unknown_id: int | None = None
    end_id: int | None = None


def tokenization_of(folder: Path | None, vocab_size: int) -> Tokenization:
    """Tell how the text of a model becomes tokens.

    Args:
        folder: its Hugging Face folder; None: seeded weights of the catalog.
        vocab_size: rows of its embedding. A folder without tokenizer.json whose vocabulary is the
            byte values is a byte model.
    """
    if folder is not None and (folder / TOKENIZER_FILE).is_file():
        return Tokenization.FILE
    if folder is not None and vocab_size == BYTE_VALUES:
        return Tokenization.BYTES
    return Tokenization.NONE


def read_tokens(folder: Path, vocab_size: int, text: str | None) -> TokenText:
    """Read a text as the tokens of a model that has a tokenizer.

    Args:
        folder: the model's Hugging Face folder.
        vocab_size: rows of its embedding.
        text: `english`, `korean`, or the path of a UTF-8 file; None: the heldout.txt beside the
            model, or `english` where there is none.

    Raises:
        UsageError: no such text, no tokenizer, or the package `tokenizers` is not installed.
        ModelError: a damaged tokenizer, or one whose vocabulary is not the model's.
    """
    return _tokens(folder, vocab_size, *_read_text(folder, text))


def calibration_tokens(folder: Path, vocab_size: int) -> TokenText:
    """Read the text from which scales of a cache are taken.

    Raises:
        UsageError, ModelError: as read_tokens.
    """
    return _tokens(folder, vocab_size, CALIBRATION, bundled_text(CALIBRATION))


def calibration_texts(folder: Path, vocab_size: int, lengths: Sequence[int]) -> list[list[int]]:
    """Cut the calibration text into texts as an encoder reads them, special tokens around each.

    Args:
        folder: with the model's tokenizer.json.
        vocab_size: rows of its embedding.
        lengths: tokens of each text, special ones included; the parts are spread evenly over the
            whole, and shorter than asked where that is too short.

    Raises:
        UsageError, ModelError: as open_tokenizer.
    """
    tokenizer = open_tokenizer(folder, vocab_size)
    with told_of(folder.name):
        plain = tokenizer.encode(bundled_text(CALIBRATION), add_special_tokens=False).ids
    begin, end = _around(tokenizer)
    sizes = [max(1, length - len(begin) - len(end)) for length in lengths]
    places = max(1, len(sizes) - 1)
    starts = [place * max(0, len(plain) - size) // places for place, size in enumerate(sizes)]
    return [
        [*begin, *plain[start : start + size], *end]
        for start, size in zip(starts, sizes, strict=True)
    ]


def bytes_per_token(folder: Path | None, vocab_size: int) -> dict[str, float] | None:
    """Bytes of UTF-8 text that one token stands for, of each bundled text; None: no tokenizer.

    Raises:
        UsageError, ModelError: as read_tokens.
    """
    tokenization = tokenization_of(folder, vocab_size)
    if folder is None or tokenization is Tokenization.NONE:
        return None
    counts = {}
    for name in BUNDLED:
        size_bytes = len(bundled_text(name).encode())
        counts[name] = size_bytes / len(read_tokens(folder, vocab_size, name).ids)
    return counts


def open_tokenizer(folder: Path, vocab_size: int) -> "Tokenizer":
    """Open the tokenizer.json of a folder and check it against the model's vocabulary.

    A length to cut or fill every text to, which the file may hold, is left out.

    Raises:
        UsageError: no such file, or the package `tokenizers` is not installed.
        ModelError: a damaged file; a token outside the vocabulary; or more than
            MOST_UNUSED_SHARE of the vocabulary that no token uses.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise UsageError(
            f"{folder.name} has no {TOKENIZER_FILE}", fix=f"put the model's {TOKENIZER_FILE} there"
        )
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UsageError(
            f"reading {folder.name}/{TOKENIZER_FILE} needs the package tokenizers",
            fix="pip install 'ondevice-bench[text]'",
        ) from error
    try:
        tokenizer = Tokenizer.from_str(read_text(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode("a")  # one that names a token it does not have fails here
    except Exception as error:  # the library raises plain Exception
        raise ModelError(
            f"{folder.name}/{TOKENIZER_FILE} cannot be read: {str(error)[:120]}",
            fix="download the file again",
        ) from error
    _check_vocabulary(tokenizer, folder.name, vocab_size)
    return tokenizer


def open_coder(folder: Path | None, vocab_size: int) -> TokenCoder:
    """Open what makes tokens of text; a model without a tokenizer reads the bytes of a text.

    Raises:
        UsageError: it has neither a tokenizer nor a token for each byte; or as open_tokenizer.
        ModelError: as open_tokenizer.
    """
    if folder is not None and tokenization_of(folder, vocab_size) is Tokenization.FILE:
        tokenizer = open_tokenizer(folder, vocab_size)
        unknown = getattr(tokenizer.model, "unk_token", None)
        _, end = _around(tokenizer)

        def encode(text: str) -> list[int]:
            with told_of(folder.name):
                found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
            return found

        return TokenCoder(
            encode=encode,
            decode=lambda ids: tokenizer.decode(list(ids)),
            begin_id=_begin(tokenizer),
            unknown_id=None if unknown is None else tokenizer.token_to_id(unknown),
            end_id=end[0] if end else None,
        )
    if vocab_size < BYTE_VALUES:
        raise UsageError(
            f"the model has no tokenizer, and its {vocab_size} tokens are fewer than the"
            f" {BYTE_VALUES} values of a byte",
            fix=f"put its {TOKENIZER_FILE} into its folder",
        )
    begin = None if folder is None else _byte_begin(folder)
    return TokenCoder(
        encode=lambda text: list(text.encode()),
        decode=lambda ids: bytes(one for one in ids if one < BYTE_VALUES).decode(errors="replace"),
        begin_id=begin,
        end_id=begin,
    )


@contextmanager
def told_of(model: str) -> Iterator[None]:
    """Tell of a tokenizer that cannot write a text, whose library raises plain Exception.

    Args:
        model: its name.

    Raises:
        ModelError: it cannot.
    """
    try:
        yield
    except Exception as error:
        raise ModelError(
            f"{model}/{TOKENIZER_FILE} cannot write a text: {str(error)[:120]}",
            fix="download the file again",
        ) from error


def _check_vocabulary(tokenizer: "Tokenizer", model: str, vocab_size: int) -> None:
    """Refuse a tokenizer that is not of this model."""
    rows = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if (1 - MOST_UNUSED_SHARE) * vocab_size <= rows <= vocab_size:
        return
    raise ModelError(
        f"{model}/{TOKENIZER_FILE} has token ids up to {rows - 1}; the model's vocabulary has "
        f"{vocab_size} rows",
        fix=f"take {TOKENIZER_FILE} and weights from one checkpoint",
    )


def _tokens(folder: Path, vocab_size: int, name: str, content: str) -> TokenText:
    """Return a text as the tokens of a model that has a tokenizer."""
    if tokenization_of(folder, vocab_size) is Tokenization.NONE:
        open_tokenizer(folder, vocab_size)  # which says what is missing
    coder = open_coder(folder, vocab_size)
    return TokenText(name, coder.encode(content), coder.begin_id)


def _read_text(folder: Path, text: str | None) -> tuple[str, str]:
    """Return a text's printed name and its content."""
    if text is None and not (folder / OWN_TEXT).is_file():
        text = BUNDLED[0]
    if text in BUNDLED:
        return text, bundled_text(text)
    path = folder / OWN_TEXT if text is None else Path(text)
    try:
        return path.name, read_text(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"the text {path.name!r} cannot be read: {why}",
            fix=f"a UTF-8 file, or one of: {', '.join(BUNDLED)}",
        ) from error


def bundled_text(name: str) -> str:
    """The content of one of BUNDLED, or of CALIBRATION."""
    return (data_folder("models") / "texts" / f"{name}.txt").read_text(encoding="utf-8")


def _begin(tokenizer: "Tokenizer") -> int | None:
    """The token that the tokenizer's template puts before a text, such as <s>, or None.

    What it puts after one does not count.
    """
    begin, _end = _around(tokenizer)
    return begin[0] if begin else None


def _around(tokenizer: "Tokenizer") -> tuple[list[int], list[int]]:
    """The tokens that the tokenizer's template puts before and after a text."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    whole = tokenizer.encode("a").ids
    places = [at for at in range(len(whole)) if whole[at : at + len(plain)] == plain]
    at = places[0] if places else 0
    return whole[:at], whole[at + len(plain) :]


def _byte_begin(folder: Path) -> int | None:
    """The byte that a byte model's config.json puts before a text, or None."""
    config: dict[str, Any] = read_json_file(folder / CONFIG)
    begin = config.get("bos_token_id")
    return begin if type(begin) is int and 0 <= begin < BYTE_VALUES else None
