"""The quantization levels of `bench levels`: what each stores, and which devices run it. Pure."""

from collections.abc import Sequence

from harness.builder.quantize.levels import (
    EXACT,
    HALF,
    Form,
    MatrixFormat,
    Method,
    QuantLevel,
    Variant,
)
from harness.devices.table import all_rows
from harness.report.grid import Column, draw_columns, draw_records
from harness.report.numbers import two_decimals

# form -> how it is stored, in words, and the operators that multiply by it and look rows up in it
FORMS = {
    Form.FLOAT: ("float{bits}", ("MatMul", "Gather")),
    Form.CHANNEL: ("int{bits}, scale per output", ("DynamicQuantizeMatMul", None)),
    Form.BLOCK: ("int{bits}, block {block}", ("MatMulNBits", "GatherBlockQuantized")),
    Form.ROWS: ("int{bits}, scale per output", ("DequantizeLinear, Gemm", None)),
    Form.WHOLE: ("int{bits}, one scale", ("DequantizeLinear, Gemm", "Gather")),
    Form.GGML: ("int{bits}, block {block}", ("llama.cpp", "llama.cpp")),
}
METHODS = {Method.NEAREST: "nearest", Method.SEARCH: "search", Method.COMPENSATED: "compensated"}


COLUMNS: tuple[Column[QuantLevel], ...] = (
    Column("level", lambda level: level.name),
    Column("bits/w", lambda level: level.body.bits_per_weight, two_decimals),
    Column("layers", lambda level: stored_words(level.body)),
    Column("embedding", lambda level: stored_words(level.table)),
    Column("sensitive", lambda level: _sensitive(level)),
    Column("activations", lambda level: level.activation_dtype),
    Column("by", lambda level: METHODS[level.body.method] if level.has_integers else None),
    Column("runs on", lambda level: ", ".join(devices_of(level)) or None),
)


def draw_levels(levels: Sequence[QuantLevel], style: str) -> str:
    """Draw one row per level.

    Args:
        levels: in the order of falling size.
        style: of `options.FORMATS`.
    """
    if style in ("json", "jsonl"):
        return draw_records([level_values(level) for level in levels], style)
    return draw_columns(COLUMNS, levels, style)


def level_values(level: QuantLevel) -> dict[str, object]:
    """Return one level as values; operators are those of ONNX and ONNX Runtime."""
    multiplied, looked_up = FORMS[level.body.form][1][0], FORMS[level.table.form][1][1]
    return {
        "level": level.name,
        "label": level.label,
        "variant": level.variant.value,
        "bits_per_weight": level.body.bits_per_weight,
        "layers": stored_words(level.body),
        "tables": stored_words(level.table),
        "sensitive": stored_words(level.body_format(sensitive=True)),
        "activations": level.activation_dtype,
        "method": METHODS[level.body.method] if level.has_integers else None,
        "multiplied_by": multiplied,
        "looked_up_by": looked_up,
        "runs_on": devices_of(level),
    }


def stored_words(form: MatrixFormat) -> str:
    """Say how a matrix is stored: `int4, block 32, zero points`."""
    block = f"{form.block_weights} or less" if form.fits else form.block_weights
    words = FORMS[form.form][0].format(bits=form.bits, block=block)
    return f"{words}, zero points" if form.zero_points else words


def explain_level(level: QuantLevel) -> str:
    """Say what a level stores and what it rounds, for `bench explain LEVEL`."""
    said = [f"{level.name}: {level.label}"]
    said.append(f"Layers: {stored_words(level.body)}; embedding: {stored_words(level.table)}.")
    if level.rounds_activations:
        fitted = [one for form in level.formats if form.block_weights for one in form.fitting]
        blocks = sorted({form.block_weights for form in fitted})
        said.append(
            "Its products round activations to int8 too (accuracy level 4 of MatMulNBits), once"
            f" for every block of {' or '.join(map(str, blocks))} inputs: a larger block rounds"
            " them more coarsely, at 8 bits just as at 4. With one outlier channel that error grew"
            " 4.1 times from block 16 to 256 (onnxruntime 1.32), so that part of what a large"
            " block loses is lost by activations."
        )
    if level.rounds_activations and not level.name.endswith(HALF):
        said.append(
            f"`--quality --activations exact` adds {level.name}{EXACT}, the same weights times"
            " activations as they are: what it loses is lost by the weights alone. It is slow, and"
            " says nothing about speed."
        )
    if level.variant is Variant.GGUF:
        said.append(_llama_words(level))
    if level.name.endswith(EXACT):
        said.append(
            f"A diagnostic of {level.name.removesuffix(EXACT)}: its weights, and activations that"
            " are not rounded (accuracy level 0 of MatMulNBits); its speed is no level's."
        )
    if level.name.endswith(HALF):
        said.append(
            f"The integers of {level.name.removesuffix(HALF)} between floats of 16 bits, which is"
            " what graphics processors are made for; CUDA's attention takes no others."
        )
    return "\n".join(said)


def _llama_words(level: QuantLevel) -> str:
    """Who makes and runs a level of llama.cpp, and when it is run in place of another."""
    if level.has_integers:
        made = "made from float32 by the library's own quantize call; a record says its true bits"
    else:
        made = "written here by the package gguf"
    asked = " or ".join(level.stands_for)
    instead = f" It is what `--runtime llama.cpp` runs where {asked} is asked for." if asked else ""
    return (
        f"llama.cpp runs it on the CPU (`pip install 'ondevice-bench[llamacpp]'`): a GGUF file,"
        f" {made}. Its logits are held against our graph at fp32 first.{instead}"
    )


def devices_of(level: QuantLevel) -> list[str]:
    """Return the keys of the provider rows that run the decoder a level is built as."""
    return [row.key for row in all_rows() if level.variant in row.variants]


def _sensitive(level: QuantLevel) -> str | None:
    """Return how sensitive matrices are stored; None: as all others."""
    sensitive = level.body_format(sensitive=True)
    return None if sensitive == level.body else stored_words(sensitive)
