"""An engine that writes down what it is asked for, and offers that tests make up."""

import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.fleet.scheduling.crew import Changed, Event
from harness.fleet.scheduling.jobs import Order
from harness.fleet.scheduling.offer import EXTRA, Offer, OfferedDevice
from harness.fleet.scheduling.placing import Member, Wanted

VERSION, METHOD = "1.2.3", 2
CPU = OfferedDevice(row="cpu", kind="cpu")
CUDA = OfferedDevice(row="cuda", kind="gpu", count=2)


def offer(name: str, *more: OfferedDevice, version: str = VERSION, machine: str = "") -> Offer:
    return Offer(
        name=name,
        version=version,
        method=METHOD,
        machine=machine or machine_of(name),
        devices=(CPU, *more),
    )


def machine_of(name: str) -> str:
    return name.encode().hex().ljust(16, "0")[:16]


def member(name: str, *more: OfferedDevice, address: str = "", machine: str = "") -> Member:
    return Member(address or f"tcp://{name}", offer(name, *more, machine=machine))


def cell(number: int, device: str = "cpu") -> Wanted:
    return Wanted(f"{number:016x}", "{}", device)


@dataclass
class Recording:
    """What a ledger or a gathering orders.

    Attributes:
        orders: that were given out, by key.
        cancelled: keys that were taken back.
        known: workers by address.
        answer: called with every order; None: nobody answers.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    known: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    answer: Callable[["Recording", Order], None] | None = None
    events: "queue.SimpleQueue[Event]" = field(default_factory=queue.SimpleQueue)
    alive: bool = True

    def submit(self, orders: Sequence[Order]) -> None:
        for order in orders:
            assert order.key not in self.orders, "one key, one try"
            self.orders[order.key] = order
            if self.answer is not None:
                self.answer(self, order)

    def cancel(self, key: str) -> None:
        self.cancelled.append(key)

    def workers(self) -> Mapping[str, Mapping[str, Any]]:
        return self.known

    def is_there(self) -> bool:
        return self.alive

    def join(self, one: Offer, address: str = "") -> None:
        self.known[address or f"tcp://{one.name}"] = {EXTRA: msgspec.to_builtins(one)}
        self.events.put(Changed())

    def leave(self, name: str) -> None:
        del self.known[f"tcp://{name}"]
        self.events.put(Changed())
