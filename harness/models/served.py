"""Models that a server holds: what it says of them, and how they are asked for."""

from dataclasses import dataclass

from harness.core.addresses import Address

UNTOLD = "served"  # the level of a model whose server does not say how it is stored
SEPARATOR = "@"  # `llama-server@loopback`: what results call a server


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as its server lists it.

    Attributes:
        name: the server's own.
        parameters: that it counts; None: it does not say.
        level: how it says that it is stored, such as `q4_0`; UNTOLD: it does not say.
        weights_bytes: of its file; None: it does not say.
    """

    name: str
    parameters: int | None = None
    level: str = UNTOLD
    weights_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answered.

    Attributes:
        address: of it, without the name of a model.
        kind: `ollama`, `llama-server`, ...; `openai`: of the same API, whoever made it.
        version: that it tells; None: none.
        base: of its API, in front of every path.
        models: that it lists.
    """

    address: Address
    kind: str
    version: str | None
    base: str
    models: tuple[Listed, ...]

    @property
    def label(self) -> str:
        """What results call it: its kind and whether it is this machine, never a host."""
        return f"{self.kind}{SEPARATOR}{self.address.where}"


def short_name(name: str) -> str:
    """A name of a model without the folders in front of it."""
    return name.replace("\\", "/").rpartition("/")[2] or name


def is_served(runtime: str) -> bool:
    """Whether a runtime, as results name it, is a server."""
    return SEPARATOR in runtime


@dataclass(frozen=True, slots=True)
class ServedGeometry:
    """What the worker that asks a server is told.

    Attributes:
        scheme: of the address.
        host: of it.
        port: of it.
        base: of the API.
        kind: of server.
        version: of it.
        model: its own name of the model.
    """

    scheme: str
    host: str
    port: int
    base: str
    kind: str
    version: str | None
    model: str


@dataclass(frozen=True, slots=True)
class ServedSource:
    """A word for a model, and what a server has under it.

    Attributes:
        word: what the user typed.
        server: that holds it; None: it is not yet known which, as in a plan of several.
        listed: what it says of the model.
    """

    word: str
    server: Server | None = None
    listed: Listed | None = None

    spec = None
    folder = None
    weights_kind = "served"

    @property
    def argument(self) -> str:
        """What a plan files it under: each server's apart, and apart from files of the name."""
        return self.word if self.server is None else f"{self.word} of {self.server.label}"

    @property
    def name(self) -> str:
        """What results call it; a name with folders in it keeps its last part."""
        return short_name(self.word)
