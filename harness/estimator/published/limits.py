"""What an NPU's format and a static graph's context take; one sentence for what they do not."""

from harness.builder.quantize.levels import QuantLevel
from harness.core.errors import UsageError

# Word -> bits of the weights. w4 multiplies by float activations, w4a16 by 16-bit integers.
PRECISIONS = {"w4a16": 4, "w4": 4, "int8": 8, "fp16": 16}


def check_precision(word: str, engine: str, level: QuantLevel) -> None:
    """Refuse a format that the engine or the level does not have.

    Raises:
        UsageError: no NPU, or weights of other bits.
    """
    if engine != "npu":
        raise UsageError(
            f"--precision {word}: formats are of NPUs, and the engine is a {engine}",
            fix="--engine npu, or leave --precision out",
        )
    if word not in PRECISIONS or PRECISIONS[word] != level.weight_bits:
        fitting = [name for name, bits in PRECISIONS.items() if bits == level.weight_bits]
        raise UsageError(
            f"--precision {word} is not one of a level with {level.weight_bits} bits",
            fix=f"--precision {' or '.join(fitting)}" if fitting else "--quant int4",
        )


def check_context(
    asked_tokens: int, static_tokens: int, runtime: str, name: str, needed: tuple[int, int]
) -> None:
    """Refuse a context where caches grow, and one that is shorter than prompt or depth.

    Args:
        asked_tokens: that somebody asked for; 0: nobody did.
        static_tokens: of the static graph; 0: there is none.
        runtime: that runs it.
        name: of the engine.
        needed: tokens of the prompt, and where the step stands.

    Raises:
        UsageError: see above.
    """
    if asked_tokens < 0:
        raise UsageError(f"--context {asked_tokens} is negative", fix="--context 4096")
    if not static_tokens:
        if asked_tokens:
            raise UsageError(
                f"--context {asked_tokens}: the cache of {name} grows under {runtime}",
                fix="leave --context out: a fixed one is of static graphs on NPUs",
            )
        return
    for word, tokens in zip(("prompt", "depth"), needed, strict=True):
        if tokens > static_tokens:
            usual = "" if asked_tokens else ", the usual one,"
            raise UsageError(
                f"the context of {static_tokens} tokens{usual} is below the {word} of {tokens}:"
                f" graphs of {runtime} on the {name} are static",
                fix=f"--context {max(needed)} or more, or a shorter {word}",
            )
