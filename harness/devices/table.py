"""Which devices there are: one row each, so that a new one touches this file alone."""

from dataclasses import dataclass
from difflib import get_close_matches

from harness.errors import UsageError


@dataclass(frozen=True, slots=True)
class Device:
    """One way of running a graph: the words the user types and what ONNX Runtime calls it.

    Attributes:
        key: pins this row; the word in results.
        kind: device class that the row serves: `cpu`, `gpu` or `npu`.
        provider: ONNX Runtime's execution provider.
        wheel: distribution that carries the provider.
        variants: decoders it runs, of harness.quantize.levels.Variant, the best one first.
    """

    key: str
    kind: str
    provider: str
    wheel: str
    variants: tuple[str, ...] = ("fused",)


DEVICES = (Device("cpu", "cpu", "CPUExecutionProvider", "onnxruntime"),)


def find_device(name: str) -> Device:
    """Return the row whose key is `name`, else the first one that serves the class `name`.

    Raises:
        UsageError: no row has this name.
    """
    for device in DEVICES:
        if name == device.key:
            return device
    for device in DEVICES:
        if name == device.kind:
            return device
    known = sorted({word for device in DEVICES for word in (device.key, device.kind)})
    nearest = get_close_matches(name, known, n=1)
    raise UsageError(
        f"no device is called {name!r}",
        fix=f"did you mean {nearest[0]}?" if nearest else f"one of: {', '.join(known)}",
    )
