"""Checkpoints whose weights are packed integers: named, with the way to one that can be read."""

from collections.abc import Collection
from dataclasses import dataclass

from harness.core.errors import ModelError
from harness.core.records import JsonValues


@dataclass(frozen=True, slots=True)
class Packing:
    """One way in which others pack weights.

    Attributes:
        method: `quant_method` of quantization_config.
        called: for people.
        ends: ends of tensor names that only this packing has.
        way_out: what to do.
    """

    method: str
    called: str
    ends: tuple[str, ...]
    way_out: str


_UNPACKED = "take the bfloat16 or float16 checkpoint that it was made from; bench quantizes it"
_PACKINGS = (
    Packing(
        "mxfp4",
        "MXFP4",
        ("_blocks",),
        "unpack it once: load it in transformers with Mxfp4Config(dequantize=True) and"
        " save_pretrained(); or take a name of the catalog, whose seeded weights have its speed",
    ),
    Packing(
        "bitsandbytes",
        "bitsandbytes",
        (".absmax", ".quant_map", ".SCB", ".quant_state.bitsandbytes__nf4"),
        f"{_UNPACKED} itself, or call model.dequantize() and save_pretrained() in transformers",
    ),
    Packing("gptq", "GPTQ", (".g_idx",), f"{_UNPACKED} itself"),
    Packing("awq", "AWQ", (".qweight", ".qzeros"), f"{_UNPACKED} itself"),
    Packing("compressed-tensors", "compressed-tensors", (".weight_packed",), f"{_UNPACKED} itself"),
    Packing(
        "fp8",
        "fp8",
        (".weight_scale_inv", ".weight_scale"),
        f"{_UNPACKED} itself, or unpack it in transformers with FineGrainedFP8Config"
        "(dequantize=True) and save_pretrained()",
    ),
)


def refuse_packed(values: JsonValues) -> None:
    """Refuse a config.json that says that the weights are packed.

    Raises:
        ModelError: names the packing and the way out.
    """
    table = values.table("quantization_config")
    if table is None:
        return
    method = table.text("quant_method", "")
    row = next((row for row in _PACKINGS if row.method == method), None)
    called = method or "quantization_config"
    raise ModelError(
        f"{values.where}: its weights are already quantized ({row.called if row else called})",
        fix=row.way_out if row else f"{_UNPACKED} itself",
    )


def refuse_packed_tensors(names: Collection[str], model: str) -> None:
    """Refuse a checkpoint whose tensors are those of a packing that config.json does not state.

    Raises:
        ModelError: names a tensor, the packing and the way out.
    """
    for row in _PACKINGS:
        found = [name for name in names if name.endswith(row.ends)]
        if found:
            raise ModelError(
                f"{model}: {sorted(found)[0]} is packed ({row.called}), which config.json does not"
                " say",
                fix=row.way_out,
            )
