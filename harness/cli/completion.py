"""What a shell may complete: names of models, levels, plans, devices, terms, and results files.

`_BENCH_COMPLETE=bash_source bench` prints the script for a shell. Everything is looked up when it
is asked for, and nothing that measures is imported: an answer comes while one still types.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
FILE = "file"  # the shell adds files of its own


def words(
    look_up: Callable[[], Iterable[str]], *, is_list: bool = False, has_files: bool = False
) -> Complete:
    """Return the completion of names.

    Args:
        look_up: gives every name.
        is_list: several may follow each other with commas; those that stand are not offered.
        has_files: a file or a folder may stand for a name.
    """

    def complete(
        _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, typed = incomplete.rpartition(",") if is_list else ("", "", incomplete)
        given = set(before.split(","))
        names = [
            CompletionItem(f"{before}{comma}{name}")
            for name in dict.fromkeys(look_up())
            if name.startswith(typed) and name not in given
        ]
        # A shell takes what comes after the word for files; without names it takes the files.
        return [CompletionItem(incomplete, type=FILE), *names] if has_files else names

    return complete


def model_names() -> Iterable[str]:
    """Names of the catalog, trained models that ship, aliases."""
    from harness.models.catalog.catalog import alias_names, catalog_names
    from harness.models.catalog.counts import published_counts
    from harness.models.weights.source import trained_names

    return sorted({*catalog_names(), *trained_names(), *alias_names(), *published_counts()})


def level_names() -> Iterable[str]:
    """Levels, and the words for several."""
    from harness.builder.quantize.levels import GGUF_LEVELS, LEVELS, STATIC_LEVELS, SWEEP, USUAL

    return (*LEVELS, *STATIC_LEVELS, *GGUF_LEVELS, USUAL, SWEEP)


def cache_type_names() -> Iterable[str]:
    """Types of cached keys and values."""
    from harness.builder.quantize.levels import AUTO, CACHES

    return (AUTO, *CACHES)


def device_names() -> Iterable[str]:
    """Classes of devices, and rows of the table."""
    from harness.devices.row import KINDS

    return (*KINDS, "auto", *row_names())


def row_names() -> Iterable[str]:
    """Rows of the table of devices."""
    from harness.devices.table import all_rows

    return [row.key for row in all_rows()]


def catalog_device_names() -> Iterable[str]:
    """Devices that have a data sheet, their aliases and classes, and this machine."""
    from harness.models.catalog.devices import catalog_devices, device_classes

    devices = catalog_devices()
    aliases = (alias for device in devices for alias in device.aliases)
    classes = (row.name for row in device_classes())
    return ("cpu", *(device.key for device in devices), *aliases, *classes, "all", "list")


def plan_names() -> Iterable[str]:
    """Plans that ship."""
    from harness.runner.settings import shipped_plans

    return shipped_plans()


def term_names() -> Iterable[str]:
    """Terms of the glossary."""
    from harness.results.glossary import terms

    return terms()


def metric_names() -> Iterable[str]:
    """Metrics that are compared, by their short names too."""
    from harness.analysis.compare_sides import compared
    from harness.results.metric_names import SHORT

    known = compared()
    return (*(word for word, name in SHORT.items() if name in known), *known)


def plotted_names() -> Iterable[str]:
    """Metrics that a record can have, the short names first."""
    from harness.results.metric_names import SHORT
    from harness.results.metrics import of_records

    return (*SHORT, *(row.name for row in of_records()))


def gate_names() -> Iterable[str]:
    """Gates, and the metrics that can be one; a limit follows."""
    from harness.analysis.gate import gate_names as known

    return [f"{name}:" for name in known()]


def requirement_names() -> Iterable[str]:
    """What a requirement may begin with, its sign included; a limit follows."""
    from harness.results.requirement import beginnings

    return beginnings()


def cache_names() -> Iterable[str]:
    """Folders of the cache."""
    from harness.store.cache import default_cache
    from harness.store.inventory import list_cache

    return [entry.name for entry in list_cache(default_cache())]


def axis_names() -> Iterable[str]:
    """Fields of a cell that one run is compared along, and machines."""
    from harness.analysis.axis_words import AXIS_NAMES, MACHINE_AXIS, PRINTED_ONLY
    from harness.results.schema import Cell

    return (
        MACHINE_AXIS,
        *AXIS_NAMES,
        *(name for name in Cell.__struct_fields__ if name not in PRINTED_ONLY),
    )


def runtime_names() -> Iterable[str]:
    """What runs a model."""
    from harness.runner.plan.runtimes import RUNTIMES

    return tuple(RUNTIMES)


def text_names() -> Iterable[str]:
    """Texts that ship."""
    from harness.models.texts.tokens import BUNDLED

    return BUNDLED


def results_names() -> Iterable[str]:
    """Results files of the usual folder, the newest first, and the words for two of them."""
    files = Path("results").glob("*.json")
    newest = sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return ["latest", "prev", *(file.as_posix() for file in newest)] if newest else []


def terms_or_results() -> Iterable[str]:
    """What `bench explain` takes."""
    return (*term_names(), *results_names())


MODEL = words(model_names, has_files=True)
MODELS = words(model_names, is_list=True, has_files=True)
LEVELS = words(level_names, is_list=True)
RESULTS = words(results_names, has_files=True)
PLANS = words(plan_names, has_files=True)
# By key of the table of flags; words of a choice are completed by click.
OF_FLAGS: dict[str, Complete] = {
    "model": MODELS,
    "quant": LEVELS,
    "kv_cache": words(cache_type_names, is_list=True),
    "device": words(device_names, is_list=True),
    "ep": words(row_names, is_list=True),
    "runtime": words(runtime_names, is_list=True),
    "prepack": words(lambda: ("off", "on", "parallel"), is_list=True),
    "capacity": words(lambda: ("tests", "max"), is_list=True),
    "threads": words(lambda: ("all",), is_list=True),
    "plan": PLANS,
    "require": words(requirement_names, is_list=True),
    "reference": MODEL,
    "text": words(text_names, has_files=True),
}
