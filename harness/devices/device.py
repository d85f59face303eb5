"""A chosen device: a row, which of its devices, and how it may run. Travels as SentDevice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.core.errors import DeviceError, UsageError, suggestion
from harness.devices.row import Pairs, ProviderRow
from harness.devices.table import find_row


@dataclass(frozen=True, slots=True)
class Device:
    """What one session runs on.

    Attributes:
        row: provider and class.
        index: which of the row's devices, from 0.
        options: provider options given by the user, beyond the row's own.
        simulate: set up the row's simulation, and accept what it gives.
        allow_fallback: keep a session whose nodes did not all go to the provider.
        asked: the word it goes by where no row of ours is meant: that it was asked by, where
            nothing serves that, or `server`; else None.
        compiled: folder of what the provider has compiled of the model; None, or without the graph
            that is opened: compile it now.
        parallel_prepack: kernels copy weights on all threads while a session is created.
        session_options: of the session, given by the user; see harness.devices.session_options.
        refusal: why nothing serves it, and what to try: raised when it is opened.
    """

    row: ProviderRow
    index: int = 0
    options: Pairs = ()
    simulate: bool = False
    allow_fallback: bool = False
    asked: str | None = None
    refusal: tuple[str, str] | None = None
    compiled: str | None = None
    parallel_prepack: bool = False
    session_options: Pairs = ()

    @property
    def key(self) -> str:
        """The word in results: `webgpu`, or `webgpu:1` for the second one."""
        if self.asked is not None:
            return self.asked
        return f"{self.row.key}:{self.index}" if self.index else self.row.key

    @property
    def kind(self) -> str:
        """Class of device: `cpu`, `gpu` or `npu`."""
        return self.row.kind

    @property
    def provider(self) -> str:
        """ONNX Runtime's execution provider."""
        return self.row.provider

    @property
    def provider_options(self) -> dict[str, str]:
        """All options of the session: the row's, the simulation's, then the user's."""
        row = self.row
        simulated = row.simulation.options if self.simulate and row.simulation else ()
        index = ((row.index_option, str(self.index)),) if row.index_option and self.index else ()
        return dict((*row.defaults, *simulated, *index, *self.options))

    def sent(self) -> "SentDevice":
        """As it travels to a worker."""
        return SentDevice(
            key=self.row.key,
            index=self.index,
            options=dict(self.options),
            simulate=self.simulate,
            allow_fallback=self.allow_fallback,
            asked=self.asked,
            refusal=self.refusal,
            compiled=self.compiled,
            parallel_prepack=self.parallel_prepack,
            session_options=dict(self.session_options),
        )

    def file_of(self, graph: Path) -> Path:
        """What is opened for a graph: its compiled form where there is one, of the same name."""
        if self.compiled is None:
            return graph
        kept = Path(self.compiled) / graph.name
        return kept if kept.is_file() else graph

    def refuse_absent(self) -> None:
        """Raise what was found when it was chosen.

        Raises:
            DeviceError: nothing serves it.
        """
        if self.refusal is not None:
            raise DeviceError(*self.refusal)


class SentDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device as it travels to a worker: its row by its key.

    Attributes: `key` is that of the row; all others are those of Device.
    """

    key: str
    index: int = 0
    options: dict[str, str] = {}
    simulate: bool = False
    allow_fallback: bool = False
    asked: str | None = None
    refusal: tuple[str, str] | None = None
    compiled: str | None = None
    parallel_prepack: bool = False
    session_options: dict[str, str] = {}


def find_device(value: str | SentDevice) -> Device:
    """Return a device as it travelled, or the one that a row's key pins.

    Raises:
        UsageError: no row has this key.
    """
    if isinstance(value, str):
        key, index = split_index(value)
        return Device(find_row(key), index)
    return Device(
        row=find_row(value.key),
        index=value.index,
        options=tuple(value.options.items()),
        simulate=value.simulate,
        allow_fallback=value.allow_fallback,
        asked=value.asked,
        refusal=value.refusal,
        compiled=value.compiled,
        parallel_prepack=value.parallel_prepack,
        session_options=tuple(value.session_options.items()),
    )


def split_index(word: str) -> tuple[str, int]:
    """`gpu:1` -> (`gpu`, 1); without a number the first.

    Raises:
        UsageError: what follows the colon is no number from 0.
    """
    name, colon, number = word.partition(":")
    if colon and not number.isdecimal():
        raise UsageError(f"--device {word!r}: {number!r} is no number", fix=f"--device {name}:1")
    return name, int(number or 0)


def parse_options(words: Sequence[str]) -> Pairs:
    """`("a=1", "b=2")` -> pairs.

    Raises:
        UsageError: a word without `=`, or a name that comes twice.
    """
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals) or name in pairs:
            problem = "is given twice" if name in pairs else "is no NAME=VALUE"
            problem += ": no name stands before =" if equals and not name else ""
            raise UsageError(f"--ep-option {word!r} {problem}", fix="--ep-option NAME=VALUE, once")
        pairs[name] = value
    return tuple(pairs.items())


def share_options(rows: Sequence[ProviderRow], given: Pairs) -> dict[str, Pairs]:
    """Give each row, by its key, the options that it knows.

    Raises:
        UsageError: an option that no row knows, or a value that a row does not take.
    """
    known = {option.name for row in rows for option in row.options}
    for name, _ in given:
        if name not in known:
            raise UsageError(
                f"--ep-option {name!r}: {', '.join(row.key for row in rows)} know no such option",
                fix=suggestion(name, sorted(known)) if known else "these devices take none",
            )
    return {row.key: tuple(_accepted(row, given)) for row in rows}


def _accepted(row: ProviderRow, given: Pairs) -> list[tuple[str, str]]:
    """The options of one row, values checked."""
    options = {option.name: option for option in row.options}
    pairs = [(name, value) for name, value in given if name in options]
    for name, value in pairs:
        allowed = options[name].values
        if allowed and value not in allowed:
            raise UsageError(
                f"--ep-option {name}={value}: {row.key} does not take this value",
                fix=suggestion(value, allowed),
            )
    return pairs
