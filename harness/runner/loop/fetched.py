"""Settings whose models of the hub are folders of the cache, fetched where they are missing."""

from dataclasses import replace
from pathlib import Path

from harness.core.findings import Log
from harness.runner.settings import Settings
from harness.store.fetch import Hub, fetch_model
from harness.store.hub import is_hub_name


def with_fetched(settings: Settings, cache: Path, hub: Hub, log: Log) -> Settings:
    """Put the folder of a fetched model in the place of every `hf:` name; each is fetched once.

    Raises:
        HarnessError: see fetch_model.
    """
    folders = {name: str(fetch_model(name, cache, hub, log)) for name in hub_names(settings)}
    if not folders:
        return settings
    part = tuple(_placed(part, folders) for part in settings.part)
    return replace(_placed(settings, folders), part=part)


def hub_names(settings: Settings) -> list[str]:
    """Models of the hub that settings name, each once."""
    parts = settings.parts
    names = [name for part in parts for name in (*part.model, part.reference or "")]
    return [name for name in dict.fromkeys(names) if is_hub_name(name)]


def _placed(settings: Settings, folders: dict[str, str]) -> Settings:
    reference = settings.reference
    return replace(
        settings,
        model=tuple(folders.get(name, name) for name in settings.model),
        reference=folders.get(reference, reference) if reference else None,
    )
