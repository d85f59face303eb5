"""`bench levels`: every quantization level, what it stores, and which devices run it."""

import click

from harness.builder.quantize.levels import (
    LEVELS,
    STATIC_LEVELS,
    Form,
    MatrixFormat,
    Method,
    QuantLevel,
)
from harness.cli.models import draw
from harness.cli.options import FORMATS, Word
from harness.devices.table import all_rows
from harness.report.grid import MISSING

HEADER = ("level", "bits/w", "layers", "tables", "sensitive", "activations", "by", "runs on")
# form -> how it is stored, in words, and the operators that multiply by it and look rows up in it
FORMS = {
    Form.FLOAT: ("float{bits}", ("MatMul", "Gather")),
    Form.CHANNEL: ("int{bits}, scale per output", ("DynamicQuantizeMatMul", None)),
    Form.BLOCK: ("int{bits}, block {block}", ("MatMulNBits", "GatherBlockQuantized")),
    Form.ROWS: ("int{bits}, scale per output", ("DequantizeLinear, Gemm", None)),
    Form.WHOLE: ("int{bits}, one scale", ("DequantizeLinear, Gemm", "Gather")),
}
METHODS = {Method.NEAREST: "nearest", Method.SEARCH: "search"}


@click.command("levels", epilog="Example:  bench levels --format md")
@click.option("--format", "style", type=Word(FORMATS), default="table", show_default=True)
def command(style: str) -> None:
    """List the levels that --quant takes, in the order of falling size.

    bits/w: stored bits of one weight of a large matrix of the layers, its share of scale and zero
    point included; `bench models` and every result count a whole model exactly. sensitive: what
    some matrices of the layers have instead. by: how integers are chosen.
    """
    levels = [*LEVELS.values(), *STATIC_LEVELS.values()]
    draw(HEADER, [cells(level) for level in levels], [values(level) for level in levels], style)


def cells(level: QuantLevel) -> list[str]:
    """One level as text."""
    sensitive = level.body_format(sensitive=True)
    return [
        level.name,
        f"{level.body.bits_per_weight:.2f}",
        stored_words(level.body),
        stored_words(level.table),
        MISSING if sensitive == level.body else stored_words(sensitive),
        level.activation_dtype,
        METHODS[level.body.method] if level.has_integers else MISSING,
        ", ".join(devices_of(level)) or MISSING,
    ]


def values(level: QuantLevel) -> dict[str, object]:
    """One level as values; operators are those of ONNX and ONNX Runtime."""
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
    """`int4, block 32, zero points`."""
    words = FORMS[form.form][0].format(bits=form.bits, block=form.block_weights)
    return f"{words}, zero points" if form.zero_points else words


def devices_of(level: QuantLevel) -> list[str]:
    """Keys of the provider rows that run the decoder a level is built as."""
    return [row.key for row in all_rows() if level.variant in row.variants]
