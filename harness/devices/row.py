"""One way of running a graph, as data: what the user types, what ONNX Runtime needs for it.

Whether it is installed is told by the metadata of distributions alone: nothing is imported.
"""

from dataclasses import dataclass
from enum import StrEnum
from importlib import util

HOST_PROVIDER = "CPUExecutionProvider"
KINDS = ("cpu", "gpu", "npu")  # device classes, the most common first

Pairs = tuple[tuple[str, str], ...]


class Registration(StrEnum):
    """How a provider comes into a process."""

    BUILT_IN = "built in"  # compiled into the onnxruntime package, named in `providers`
    PLUGIN = "plugin"  # a library in a Python package of its own
    CATALOG = "catalog"  # a library that Windows ML keeps for all programs


class Completion(StrEnum):
    """What proves that a device has finished.

    RUN: the call returns when the work is done. COPY: only a copy to the host proves it, so every
    timed run writes its logits to the host; a wait of the provider's own is not believed.
    """

    RUN = "run"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Option:
    """A provider option that may be given: plugins ignore what they do not know, we refuse it.

    Attributes:
        name: as the provider spells it.
        values: what it may be; empty: anything.
    """

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Simulation:
    """How a row runs without its hardware: the function is proven, the speed means nothing.

    Attributes:
        what: in words.
        setup: how to get it.
        environment: variables of the worker; a value with `*` stands for the files it matches.
        options: provider options that the simulation needs besides the usual ones.
    """

    what: str
    setup: str
    environment: Pairs = ()
    options: Pairs = ()


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """One provider on one class of device.

    Attributes:
        key: pins this row; the word in results.
        kind: class of device: `cpu`, `gpu` or `npu`.
        provider: ONNX Runtime's execution provider.
        wheel: distribution that carries the provider.
        install: the exact command that installs it.
        systems: values of sys.platform on which it exists.
        registration: how it comes into a process.
        module: of a plugin: importable package with `get_library_path()`.
        metadata: what a device must say of itself, where one provider offers several.
        defaults: provider options that are always set.
        options: all options that may be given.
        index_option: of a built-in provider: the option that picks one of several devices.
        needs_static: takes graphs without free dimensions only.
        needs_qdq: is made for graphs with QuantizeLinear and DequantizeLinear.
        contributed: takes ONNX Runtime's own operators (MatMulNBits, GroupQueryAttention).
        half_attention: its GroupQueryAttention takes floats of 16 bits alone.
        completion: what proves that it has finished.
        context: what it has compiled can be kept in files and opened again (EP context).
        vendor_id: PCI number of the only vendor it serves, hexadecimal; of a built-in provider,
            whose devices ONNX Runtime does not list. None: listed, or any vendor.
        memory: name of its memory, where a decoder's cache then stays; None: the host's.
        simulation: how to run it without the hardware; None: not possible.
    """

    key: str
    kind: str
    provider: str
    wheel: str
    install: str
    systems: tuple[str, ...] = ("linux", "darwin", "win32")
    registration: Registration = Registration.BUILT_IN
    module: str | None = None
    metadata: Pairs = ()
    defaults: Pairs = ()
    options: tuple[Option, ...] = ()
    index_option: str | None = None
    needs_static: bool = False
    needs_qdq: bool = False
    contributed: bool = True
    half_attention: bool = False
    completion: Completion = Completion.RUN
    context: bool = False
    vendor_id: str | None = None
    memory: str | None = None
    simulation: Simulation | None = None

    def __post_init__(self) -> None:
        """Refuse a class that no command knows."""
        if self.kind not in KINDS:
            raise ValueError(f"row {self.key!r}: class {self.kind!r} is none of {', '.join(KINDS)}")

    @property
    def is_host(self) -> bool:
        """Whether it is the CPU provider of every onnxruntime: always there, and the reference."""
        return self.provider == HOST_PROVIDER

    @property
    def variants(self) -> tuple[str, ...]:
        """Decoders it runs, of harness.builder.quantize.levels.Variant, the best one first."""
        if self.is_host:
            return ("fused", "static", "gguf")
        return ("static",) if self.needs_static else ("fused",)

    @property
    def needs(self) -> str:
        """What a graph must be, in words; empty: any graph."""
        words = {
            "static shapes": self.needs_static,
            "QDQ": self.needs_qdq,
            "standard operators": not self.contributed,
        }
        return ", ".join(word for word, needed in words.items() if needed)


RUNTIME = "onnxruntime"  # the import package that several distributions claim


def installed_version(wheel: str) -> str | None:
    """Version of an installed distribution; None: it is not installed."""
    from importlib import metadata  # here: a measuring worker's memory counts

    try:
        return metadata.version(wheel)
    except metadata.PackageNotFoundError:
        return None


def is_listed(row: ProviderRow) -> bool:
    """Whether what carries a row is there.

    The provider of a plugin is there when its module can be found. The providers of the plain
    `onnxruntime` wheel are in every wheel that owns that package.
    """
    if row.registration is not Registration.BUILT_IN:
        return row.module is not None and util.find_spec(row.module) is not None
    if row.wheel == RUNTIME:
        return util.find_spec(RUNTIME) is not None
    return installed_version(row.wheel) is not None
