"""A model that a server holds, told by the server's own name or beside one of ours."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.builder.quantize.levels import (
    AUTO,
    CacheLevel,
    Form,
    MatrixFormat,
    QuantLevel,
    Variant,
    find_cache,
)
from harness.core.addresses import Address
from harness.core.errors import DeviceError, UsageError, suggestion
from harness.engine.exported.geometry import FROZEN
from harness.models.catalog.catalog import is_described
from harness.models.catalog.target import EstimateTarget, catalog_target
from harness.models.served import (
    UNTOLD,
    Listed,
    ServedGeometry,
    ServedSource,
    Server,
    short_name,
)
from harness.results.replies import StepsCheck
from harness.results.schema import Metric, Recognition
from harness.runner.models.as_it_lies import RunElsewhere
from harness.runner.models.model import Json, Model, Refusal, Stored
from harness.runner.models.tests import DECODER_FLAGS, decoder_tests

if TYPE_CHECKING:
    from harness.engine.workload import Workload
    from harness.estimator.cell import CellLengths
    from harness.estimator.record import RecordEstimates
    from harness.estimator.rules import HardwarePeaks
    from harness.runner.settings import Settings
    from harness.store.exported import AnyArtifact

LATEST = ":latest"  # what Ollama adds to a name without a tag
OTHER_MODEL = 1.5  # times as many parameters: another model; a second copy of a table is not
HASH_DIGITS = 16
GGUF = ".gguf"
SEPARATORS = re.compile(r"[-_:\s]+")  # in names; a point stands in numbers


@dataclass(frozen=True, slots=True)
class ServedModel(RunElsewhere):
    """A model of a server, or a word that is to be looked up there.

    Attributes:
        source: the word, and the server's model once it is found.
        own_parameters: of the model that the word names here; None: it names none.
    """

    source: ServedSource
    own_parameters: int | None = None

    made_as = "is held by a server"
    takes = tuple(key for key in DECODER_FLAGS if key not in ("batch", "prefill_chunk"))

    @property
    def listed(self) -> Listed:
        """What its server says of it; of a word that was not looked up yet nothing."""
        return self.source.listed or Listed(self.source.word)

    @property
    def target(self) -> EstimateTarget:
        """Refuse."""
        raise UsageError(
            f"{self.source.name} is held by a server, of which nothing is estimated",
            fix="bench estimate with the name of a model or a count",
        )

    @property
    def parameters(self) -> int:
        """By the server, else by our catalog; 0: nobody says."""
        return self.listed.parameters or self.own_parameters or 0

    @property
    def own_level(self) -> str:
        """As the server says that it is stored."""
        return self.listed.level

    @property
    def place(self) -> Path | None:
        """None here."""
        return None

    def levels(self) -> tuple[QuantLevel, ...]:
        """The one that the server has loaded."""
        return (_level(self.listed.level),)

    def stored_as(self, level: str, kv_cache: str = AUTO) -> Stored:
        """The server's own, with its own cache."""
        (own,) = self.levels()
        return own, find_cache(kv_cache, own)

    def tests(self, settings: "Settings") -> tuple["Workload", ...]:
        """Prefill, decode and request tests."""
        self.refuse_quality(settings)
        if settings.turns:
            raise UsageError(
                f"--turns: whether a cache is kept between requests, the server of"
                f" {self.source.name} decides",
                fix="--pg with the tokens of all turns as its prompt, or --runtime ort",
            )
        if "quant" in settings.given:
            raise UsageError(
                f"--quant {','.join(settings.quant)}: a server has loaded {self.source.name} as it"
                " is",
                fix="leave --quant out, or --runtime ort beside the server",
            )
        return decoder_tests(settings)

    def capacities(self, settings: "Settings", tests: Sequence["Workload"]) -> tuple[int, ...]:
        """None that is asked for: the server allocates its own."""
        if "capacity" in settings.given:
            raise UsageError(
                f"--capacity {','.join(settings.capacity)}: a server keeps a cache of its own",
                fix="leave --capacity out",
            )
        return (0,)

    def has_one_shape(self, level: QuantLevel) -> bool:
        """Yes: each test is a process of its own, so that one that fails costs no other."""
        return True

    def genai_refusals(self, levels: Collection[QuantLevel]) -> Iterator[Refusal]:
        """All of it."""
        yield f"{self.source.name}, which a server holds", "the server's address alone"

    def llama_refusals(self, tests: Sequence["Workload"]) -> Iterator[Refusal]:
        """All of it."""
        yield f"{self.source.name}, which a server holds", "the server's address alone"

    def build(
        self,
        level: QuantLevel,
        kept: CacheLevel,
        store: Path,
        *,
        seed: int = 0,
        shapes: object = None,
        dims: tuple[tuple[str, int], ...] = (),
        inputs: tuple[tuple[str, float], ...] = (),
        graph_inputs: str = FROZEN,
        prepacked: bool = False,
    ) -> "AnyArtifact":
        """Nothing: how it is asked for."""
        from harness.store.served import ServedArtifact

        server, listed = self.source.server, self.listed
        assert server is not None
        address = server.address
        told = (server.kind, server.version, *astuple(listed))
        return ServedArtifact(
            name=self.source.name,
            level=level.name,
            geometry=ServedGeometry(
                scheme=address.scheme,
                host=address.host,
                port=address.port,
                base=server.base,
                kind=server.kind,
                version=server.version,
                model=listed.name,
            ),
            parameters=self.parameters,
            content_hash=hashlib.sha256(json.dumps(told).encode()).hexdigest()[:HASH_DIGITS],
        )

    def identity(self, artifact: "AnyArtifact | None") -> str:
        """The word's own name, so that runtimes can be compared."""
        return self.source.name

    def estimates(
        self, level: QuantLevel, test: "Workload", lengths: "CellLengths", peaks: "HardwarePeaks"
    ) -> "RecordEstimates":
        """None: what hardware a server uses is not known."""
        from harness.estimator.record import RecordEstimates

        return RecordEstimates({}, None, None)

    def shares(
        self,
        artifact: "AnyArtifact | None",
        test: "Workload",
        batch: int,
        metrics: Mapping[str, "Metric"],
        peaks: "HardwarePeaks",
    ) -> dict[str, Metric]:
        """Its size and bits, where the server tells them."""
        size, count = self.listed.weights_bytes, self.listed.parameters
        if size is None:
            return {}
        found = {"weights_bytes": Metric(value=float(size), unit="bytes", processes=0)}
        if count:
            bits = 8 * size / count
            found["bits_per_weight"] = Metric(value=bits, unit="bit", processes=0)
        return found

    def recognition(
        self, artifact: "AnyArtifact | None", check: StepsCheck | None
    ) -> Recognition | None:
        """None: no file was looked at."""
        return None

    def facts(self) -> Json:
        """What its server says."""
        return {"model": self.source.name, "kind": "decoder", "weights": self.source.weights_kind}

    def summary(self) -> str | None:
        """Which model of which server."""
        server = self.source.server
        return None if server is None else f"{self.source.name}: {self.listed.name}, {server.label}"


def _level(name: str) -> QuantLevel:
    """How a server stores a model, as a level is described: by its word, where it has one.

    The bits are those of the word's first digit; they decide nothing but a guess at the time.
    """
    bits = next((int(sign) for sign in name if sign.isdecimal()), 0)
    form = MatrixFormat(Form.GGML, bits) if 2 <= bits <= 8 else MatrixFormat(Form.FLOAT, 16)
    label = "as served" if name == UNTOLD else f"{name}, as its server says"
    return QuantLevel(name, label, form, form, variant=Variant.SERVED)


def bind(model: Model, address: Address) -> ServedModel:
    """Return what a server holds under the name of a model.

    Args:
        model: of ours, or a word that only the server knows.
        address: of the server; with the server's own name of the model, where the user gave it.

    Raises:
        DeviceError: the server is away, or lists no model.
        UsageError: it lists none that is called so, or one of another size.
    """
    from harness.engine.served.listing import ask_server, described

    if model.embeds:
        raise UsageError(
            f"a server does not run an encoder, {_word(model)}, as it is measured here",
            fix="--model with a decoder, or --runtime ort",
        )
    server = ask_server(replace(address, model=""))
    if not server.models:
        raise DeviceError(
            f"{server.address.told}, {server.kind}, lists no model",
            fix="load one there: ollama pull NAME, foundry model run NAME, llama-server -m FILE",
        )
    known = _parameters_here(model)
    words = (_word(model), short_name(model.argument)) if known is not None else (_word(model),)
    found = described(server, _chosen(server, address.model, words))
    if known and found.parameters:
        ratio = found.parameters / known
        if not 1 / OTHER_MODEL < ratio < OTHER_MODEL:
            raise UsageError(
                f"{found.name} of {server.label} has {found.parameters:,} parameters,"
                f" {_word(model)} has {known:,}: it is another model",
                fix=f"--model with its own name, or the server's name behind the address: URL#NAME;"
                f" it lists {_listed(server)}",
            )
    return ServedModel(ServedSource(_word(model), server, found), known)


def only_name(address: Address) -> str:
    """The name of the model that a server holds, where no other was named.

    Raises:
        DeviceError: the server is away.
        UsageError: it has none, or several.
    """
    from harness.engine.served.listing import ask_server

    if address.model:
        return address.model
    server = ask_server(address)
    if len(server.models) != 1:
        raise UsageError(
            f"{server.address.told}, {server.kind}, has {len(server.models)} models, and none is"
            " named",
            fix=f"--model with one of: {_listed(server)}",
        )
    return server.models[0].name


def _chosen(server: Server, named: str, words: Sequence[str]) -> Listed:
    """The server's model: of the name behind the address, else the only one that a word names.

    A model of ours has two words, that of results and that of its file or folder; servers may write
    either otherwise, with more around it. A server's only model is not taken for ours where its
    name does not say so: rows of two models would be one.

    Args:
        server: which.
        named: behind its address; empty: none.
        words: for the model; one alone is the server's own.

    Raises:
        UsageError: it lists none that is called so, or several.
    """
    models = {listed.name: listed for listed in server.models}
    asked, is_ours = named or words[0], len(words) > 1 and not named
    for name in (asked, f"{asked}{LATEST}"):
        if name in models:
            return models[name]
    alike = [
        one for one in server.models if is_ours and any(_says(one.name, word) for word in words)
    ]
    if len(alike) == 1:
        return alike[0]
    if len(models) == 1 and is_ours:
        (only,) = models
        raise UsageError(
            f"{server.address.told}, {server.kind}, calls its only model {short_name(only)!r},"
            f" which does not say that it is {asked}",
            fix=f"URL#{only} if it is, or --model {only} without other runtimes",
        )
    which = f"more than one {asked!r}" if alike else f"no model {asked!r}"
    raise UsageError(
        f"{server.address.told}, {server.kind}, has {which}",
        fix=f"{suggestion(asked, models)}; --model NAME, or URL#NAME beside a model of ours",
    )


def _says(name: str, word: str) -> bool:
    """Whether a server's name of a model holds ours: `SmolLM2-135M-Instruct-Q4_0.gguf` does.

    A word without a number tells no model of a family from another: it has to be the whole name.
    """
    ours, theirs = (SEPARATORS.sub("", short_name(one)).casefold() for one in (word, name))
    if not any(sign.isdecimal() for sign in ours):
        return theirs.removesuffix(GGUF) == ours
    begin = theirs.find(ours)
    around = theirs[max(begin - 1, 0) : begin] + theirs[begin + len(ours) :][:1]
    return begin >= 0 and not any(sign.isdecimal() for sign in around)


def _listed(server: Server) -> str:
    """Names of a server's models, the first ones of many."""
    return suggestion("", [listed.name for listed in server.models]).removeprefix("known: ")


def _word(model: Model) -> str:
    """What a model is called in a plan."""
    source = model.source
    return source.word if isinstance(source, ServedSource) else source.name


def _parameters_here(model: Model) -> int | None:
    """Parameters of the model that a word names here; None: it is the server's own word."""
    if not isinstance(model.source, ServedSource):
        return model.parameters
    word = model.source.word
    return catalog_target(word).parameters if is_described(word) else None
