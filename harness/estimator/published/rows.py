"""Published measurements: one CSV row each, read strictly, with what it can be asked as.

Columns carry their units in their names. Lines that begin with `#` are comments. `note` begins with
the precision, and says what is weak about a row.
"""

import csv
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from harness.core.encoding import read_text, text_from
from harness.core.errors import StorageError, UsageError, suggestion
from harness.core.records import data_folder

COLUMNS = (
    "device_key",
    "device",
    "engine",
    "runtime",
    "model",
    "parameters",
    "bits",
    "file_bytes",
    "prompt_tokens",
    "context_tokens",
    "prefill_tok_s",
    "ttft_ms",
    "decode_tok_s",
    "peak_bytes",
    "watts",
    "j_per_token",
    "source",
    "date",
    "note",
)
MOST_BYTES = 20_000_000
DECODED_TOKENS = 64  # what a decode rate's middle stands behind its prompt
# Words of a note -> why the row is asked for nothing.
WEAK = {
    "duplicate of": "duplicate",
    "does not fit": "does not fit",
    "offload": "does not fit",
    "immature": "immature backend",
    "engine not stated": "engine not stated",
}
WEAK_POWER = "implausibly"
AT_DEPTH_ZERO = "decode at depth 0"
# First word of the precision that begins so -> level of ours that is nearest; else by its bits.
LEVEL_WORDS = {
    "q8": "int8-block",
    "int8": "int8-block",
    "w8": "int8-block",
    "fp8": "int8-block",
    "q4_0": "int4-b64",
    "mlx 4": "int4-b64",
    "int4, mlc": "int4-b64",
    "w4": "int4-b128",
    "f16": "fp16",
    "bf16": "fp16",
    "fp16": "fp16",
    "float": "fp16",
}
LEVEL_BITS = {4: "int4", 8: "int8-block", 16: "fp16", 32: "fp32"}
# Bits in a precision's own words: `Q4_K_M`, `int8`, `w4a16`, `4-bit`.
_WRITTEN_BITS = re.compile(r"\b(?:iq|q|u?int|w|fp|bf|f|mxfp|nvfp)(\d{1,2})|\b(\d{1,2})[ -]?bits?\b")


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One published measurement, batch 1; None: not published.

    Attributes:
        line: of the file.
        device: key.
        engine: `cpu`, `gpu` or `npu`.
        runtime: as the source names it.
        model: our name.
        bits: nominal, of a weight.
        prompt_tokens: of the prefill.
        context_tokens: of a static cache, or the window that was set.
        prefill_tok_s: prompt tokens per second.
        ttft_ms: time to the first token; of an encoder one pass.
        decode_tok_s: generated tokens per second.
        peak_bytes: of memory.
        watts: while it decodes.
        j_per_token: energy of a generated token.
        source: where it stands.
        note: precision, and what else matters.
        device_text: the device in the source's words.
        parameters: of the model, as the source counts them.
    """

    line: int
    device: str
    engine: str
    runtime: str
    model: str
    bits: float | None
    prompt_tokens: int | None
    context_tokens: int | None
    prefill_tok_s: float | None
    ttft_ms: float | None
    decode_tok_s: float | None
    peak_bytes: float | None
    watts: float | None
    j_per_token: float | None
    source: str
    note: str
    device_text: str = ""
    parameters: int | None = None

    @property
    def precision(self) -> str:
        """How weights and activations are stored, in the source's words."""
        return self.note.split(";")[0].strip()

    @property
    def level_name(self) -> str | None:
        """The quantization level that is nearest; None: none is."""
        lower = self.precision.lower()
        found = (level for word, level in LEVEL_WORDS.items() if lower.startswith(word))
        written = None if self.bits else _WRITTEN_BITS.search(lower)
        bits = int(written[1] or written[2]) if written else int(self.bits or 0)
        return next(found, None) or LEVEL_BITS.get(bits)

    @property
    def weak(self) -> str | None:
        """Why the row proves nothing; None: it counts."""
        return next((why for word, why in WEAK.items() if word in self.note), None)

    @property
    def depth_tokens(self) -> int:
        """Where the decode rate was taken: behind the prompt, in the middle of the answer."""
        prompt = 0 if AT_DEPTH_ZERO in self.note else self.prompt_tokens or 0
        return prompt + DECODED_TOKENS


def shipped_rows() -> tuple[PublishedRow, ...]:
    """Return the rows that ship, which the engines' table was fitted to."""
    return read_published(data_folder("configs") / "catalog" / "published.csv.xz")


def read_published(path: Path) -> tuple[PublishedRow, ...]:
    """Read a file of published measurements; one that ends in `.xz` is compressed.

    Raises:
        StorageError: it cannot be read.
        UsageError: another header, a column without its unit, or a cell that is no number; the
            sentence names the line.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path.name} is above {MOST_BYTES:,} bytes", fix="split the file")
        text = (
            read_text(path)
            if path.suffix != ".xz"
            else text_from(lzma.decompress(path.read_bytes()))
        )
    except (OSError, ValueError, lzma.LZMAError) as error:
        raise StorageError(f"{path.name} cannot be read: {error}", fix="check the path") from None
    records = _records(text, path.name)
    if not records:
        raise UsageError(f"{path.name} holds no rows", fix=f"a header of {len(COLUMNS)} columns")
    header = tuple(cell.strip() for cell in records[0][1])
    _check_header(header, path.name)
    return tuple(_row(header, cells, line, path.name) for line, cells in records[1:])


def _records(text: str, name: str) -> list[tuple[int, list[str]]]:
    """Return the cells of each record with its last line; comments and empty lines are none."""
    lines = ("\n" if line.startswith("#") else line for line in StringIO(text, newline=None))
    reader = csv.reader(lines)
    try:
        return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        where = f"{name}, line {reader.line_num}"
        raise UsageError(f"{where}: {error}", fix="is a quote left open above it?") from None


def _check_header(header: tuple[str, ...], name: str) -> None:
    """Refuse a header of other columns, and one that leaves out units; any order will do."""
    if sorted(header) == sorted(COLUMNS):
        return
    units = {column.rsplit("_", 1)[0]: column for column in COLUMNS if "_" in column}
    units |= {"prefill": "prefill_tok_s", "decode": "decode_tok_s"}
    for column in header:
        if column in units and column not in COLUMNS:
            raise UsageError(
                f"{name}: the column {column!r} states no unit", fix=f"call it {units[column]}"
            )
    unknown = next((column for column in header if column not in COLUMNS), None)
    missing = next((column for column in COLUMNS if column not in header), None)
    if unknown is not None:
        raise UsageError(f"{name}: no column is called {unknown!r}", suggestion(unknown, COLUMNS))
    twice = next((column for column in header if header.count(column) > 1), None)
    what = f"the column {missing!r} is missing" if missing else f"{twice!r} stands there twice"
    raise UsageError(f"{name}: {what}", fix=f"the header {','.join(COLUMNS)}")


def _row(header: tuple[str, ...], cells: list[str], line: int, name: str) -> PublishedRow:
    """Return one row of cells."""
    where = f"{name}, line {line}"
    if len(cells) != len(COLUMNS):
        raise UsageError(
            f"{where}: {len(cells)} cells of {len(COLUMNS)}", fix="quote cells that hold commas"
        )
    texts = {key: cell.strip() for key, cell in zip(header, cells, strict=True)}
    numbers = {key: _number(texts[key], key, where) for key in NUMBERS}
    prompt, context = numbers["prompt_tokens"], numbers["context_tokens"]
    count = _number(texts["parameters"], "parameters", where)
    return PublishedRow(
        line=line,
        device=texts["device_key"],
        engine=texts["engine"].lower(),
        runtime=texts["runtime"],
        model=texts["model"],
        bits=numbers["bits"],
        prompt_tokens=None if prompt is None else int(prompt),
        context_tokens=None if context is None else int(context),
        prefill_tok_s=numbers["prefill_tok_s"],
        ttft_ms=numbers["ttft_ms"],
        decode_tok_s=numbers["decode_tok_s"],
        peak_bytes=numbers["peak_bytes"],
        watts=numbers["watts"],
        j_per_token=numbers["j_per_token"],
        source=texts["source"],
        note=texts["note"],
        device_text=texts["device"],
        parameters=None if count is None else int(count),
    )


NUMBERS = (
    "bits",
    "prompt_tokens",
    "context_tokens",
    "prefill_tok_s",
    "ttft_ms",
    "decode_tok_s",
    "peak_bytes",
    "watts",
    "j_per_token",
)


def _number(text: str, column: str, where: str) -> float | None:
    """Return a positive number, None of an empty cell; 0 tokens are none that were stated."""
    if not text or (text == "0" and column.endswith("_tokens")):
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e18:
        raise UsageError(
            f"{where}: {column} is {text[:40]!r}", fix="a positive number, or an empty cell"
        )
    return value


def published_metrics(row: PublishedRow) -> Iterator[tuple[str, float]]:
    """Yield the name and value of everything that a row publishes."""
    for name in NUMBERS[3:]:
        value: float | None = getattr(row, name)
        if value is not None:
            yield name, value
