"""From the words of the user to devices that were proven to work, best first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.core.errors import UsageError
from harness.devices.device import Device, parse_options, share_options, split_index
from harness.devices.probe import Probe, probe_device
from harness.devices.row import KINDS, ProviderRow
from harness.devices.states import FewerDevicesError
from harness.devices.table import all_rows, find_row

AUTO = "auto"
BEST_KINDS = ("npu", "gpu")  # what `auto` tries before the CPU

Prober = Callable[[Device], Probe]


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A request for devices, besides their names.

    Attributes:
        ep: keys of the rows that may serve a class; empty: all.
        options: provider options as typed, `name=value`.
        allow_simulated: accept emulation where there is no hardware.
        allow_fallback: keep sessions whose nodes did not all go to the provider.
    """

    ep: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    allow_simulated: bool = False
    allow_fallback: bool = False


def choose_devices(
    words: Sequence[str], request: DeviceRequest, probe: Prober = probe_device
) -> tuple[Device, ...]:
    """Turn each word into one device; the built-in CPU needs no proof.

    Args:
        words: a row's key, a class (`cpu`, `gpu`, `npu`) or `auto`; `:1` picks the second device.
        request: what else was said.
        probe: proves one device.

    Returns:
        One device per word. What nothing serves carries its refusal, so that it costs its own
        rows only.

    Raises:
        UsageError: an unknown word, row or option.
    """
    pinned = tuple(find_row(key) for key in request.ep)
    found = [_choose(word, pinned, request, probe) for word in words]
    shared = share_options([device.row for device in found], parse_options(request.options))
    return tuple(
        replace(device, options=shared[device.row.key], allow_fallback=request.allow_fallback)
        for device in found
    )


def _choose(
    word: str, pinned: Sequence[ProviderRow], request: DeviceRequest, probe: Prober
) -> Device:
    """The first device that works: on its hardware, else in its simulation where that may be."""
    name, index = split_index(word)
    if name == AUTO:
        return _best(index, pinned, probe)
    rows = _candidates(name, pinned)
    if rows[0].is_host:
        return _host(rows[0], index)
    found: dict[str, Probe] = {}
    for device in _tries(rows, index, request):
        found[device.row.key] = probe(device)
        if _usable(found[device.row.key], request):
            return device
    asked = word if name in KINDS else None
    refusal = _refusal(word, list(found.values()), request)
    return Device(rows[0], index, asked=asked, refusal=refusal)


def _host(row: ProviderRow, index: int) -> Device:
    """The CPU, of which there is one however many sockets it has."""
    if index:
        raise UsageError(
            f"--device {row.key}:{index}: there is one {row.key}", f"--device {row.key}"
        )
    return Device(row)


def _tries(rows: Sequence[ProviderRow], index: int, request: DeviceRequest) -> Iterator[Device]:
    """Every row on hardware of its own, then those that can be simulated, where that may be."""
    yield from (Device(row, index) for row in rows)
    if request.allow_simulated:
        yield from (Device(row, index, simulate=True) for row in rows if row.simulation)


def _best(index: int, pinned: Sequence[ProviderRow], probe: Prober) -> Device:
    """The best class that works here on hardware of its own; the CPU always does."""
    rows = pinned or [row for kind in BEST_KINDS for row in all_rows() if row.kind == kind]
    for row in rows:
        device = Device(row, index)
        if probe(device).works:
            return device
    return Device(find_row("cpu"))


def _candidates(name: str, pinned: Sequence[ProviderRow]) -> list[ProviderRow]:
    """The rows that may serve a word: the one it pins, or those of the class it names."""
    if name not in KINDS:
        row = find_row(name)
        rows = [row] if not pinned or row in pinned else []
    else:
        rows = [row for row in pinned or all_rows() if row.kind == name]
    if not rows:
        keys = ", ".join(row.key for row in pinned)
        raise UsageError(
            f"--ep {keys} does not serve --device {name}", fix="leave one of the two out"
        )
    return rows


def _usable(found: Probe, request: DeviceRequest) -> bool:
    """Whether a device may be taken; one that fell back only if that was asked for."""
    return found.works or (found.state == "fell back" and request.allow_fallback)


def _refusal(word: str, probes: Sequence[Probe], request: DeviceRequest) -> tuple[str, str]:
    """Why nothing serves a word, and the nearest way out."""
    if len(probes) == 1:
        only = probes[0]
        return only.problem or f"{word} does not work", only.fix or "bench devices"
    here = [found for found in probes if found.state != "other system"]
    states = ", ".join(f"{found.row.key} ({found.state})" for found in here) or "none for this OS"
    if any(found.state == FewerDevicesError.state for found in here):
        return f"no {word} works on this machine: {states}", f"--device {word.partition(':')[0]}"
    can = [found.row.key for found in here if found.row.simulation and found.state == "no hardware"]
    if can and not request.allow_simulated:
        fix = f"--allow-simulated runs {can[0]} without hardware, marked as simulated"
    else:
        fix = "bench devices says what each needs"
    return f"no {word} works on this machine: {states}", fix
