"""Servers in a plan: which parts ask nobody else, what their models are called, what is kept."""

from collections.abc import Sequence
from dataclasses import replace

from harness.core.addresses import is_address, parse_address, without_hosts
from harness.models.served import ServedSource
from harness.runner.models.served import ServedModel, only_name
from harness.runner.settings import Settings


def is_all_served(part: Settings) -> bool:
    """Whether a plan, or a part, asks servers alone: its models are called as theirs are."""
    return bool(part.runtime) and all(map(is_address, part.runtime))


def served_word(word: str) -> ServedModel:
    """Return a model that only servers know; which of theirs is meant is found with each."""
    return ServedModel(ServedSource(word))


def with_names(settings: Settings) -> Settings:
    """Return a plan that names the models of its servers: their only ones, where none is named.

    Raises:
        DeviceError: a server is away.
        UsageError: it has several, or none.
    """
    if settings.part:
        return replace(settings, part=tuple(map(with_names, settings.part)))
    if not is_all_served(settings) or "model" in settings.given:
        return settings
    return replace(settings, model=(only_name(parse_address(settings.runtime[0])),))


def hidden(runtimes: Sequence[str]) -> tuple[str, ...]:
    """Runtimes as results keep them: without hosts of other machines."""
    return tuple(map(without_hosts, runtimes))
