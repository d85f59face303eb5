"""Old results documents and journals, brought to the newest format one step at a time."""

from collections.abc import Callable, Mapping

import msgspec

from harness.core.errors import ResultFormatError
from harness.results.environment import MachineFacts
from harness.results.plan import RunPlan
from harness.results.schema import SCHEMA_VERSION, Json
from harness.results.unknown import gathered

# Format 2 calls some things otherwise; what they mean is the same.
TESTS_OF_1 = {"run": "graph"}
CODES_OF_1 = {"FOREIGN_CPU": "BACKGROUND_CPU", "SHIFT": "DRIFT"}
FIELDS_OF_1 = {
    "foreign_cpu_ns": "background_cpu_ns",
    "foreign_cpu_share": "background_cpu_share",
}
# Parts of entries, by kind, that every version writes more of; see harness.results.unknown.
OPEN_PARTS: dict[str, dict[str, type[msgspec.Struct]]] = {
    "run": {"environment": MachineFacts, "plan": RunPlan},
    "ab": {"environment": MachineFacts},
}
PHRASE_OF_1 = ("fp32 twin", "fp32 reference")


def upgrade_entry(entry: Json) -> Json:
    """Return a journal's entry in the words of format 2; one that has them is left as it is.

    Journals carry no version of their own: a run that began in format 1 may be resumed in 2, so
    every entry is asked for itself.
    """
    changed = dict(entry)
    if "workload" in entry:
        changed["workload"] = TESTS_OF_1.get(entry["workload"], entry["workload"])
    for name, kind in OPEN_PARTS.get(entry["kind"], {}).items():
        changed[name] = gathered(entry[name], kind)
    if entry["kind"] == "test":
        changed |= _samples_in_2(entry)
    if entry["kind"] == "sustain":
        changed["found"] = _sustain_in_2(entry.get("found", {}))
    if isinstance(entry.get("reason"), str):
        changed["reason"] = entry["reason"].replace(*PHRASE_OF_1)
    return changed


def _document_in_2(document: Json) -> Json:
    """Tests, reasons and watched counters in the words of format 2."""
    if "records" not in document:
        return document
    return {**document, "records": [_record_in_2(record) for record in document["records"]]}


def _document_in_3(document: Json) -> Json:
    """A document of one run is what it was; of several there were none."""
    return {key: value for key, value in document.items() if key != "sources"}


def _record_in_2(record: Json) -> Json:
    """One record in the words of format 2."""
    cell = record["cell"]
    changed: Json = {
        "cell": {**cell, "workload": TESTS_OF_1.get(cell["workload"], cell["workload"])}
    }
    if record.get("trust"):
        reasons = record["trust"].get("reasons", ())
        named = [{**one, "code": CODES_OF_1.get(one["code"], one["code"])} for one in reasons]
        changed["trust"] = {**record["trust"], "reasons": named}
    if record.get("samples"):
        changed["samples"] = [_samples_in_2(process) for process in record["samples"]]
    if record.get("sustain"):
        changed["sustain"] = _sustain_in_2(record["sustain"])
    if record.get("quality"):
        changed["quality"] = {
            name: found.replace(*PHRASE_OF_1) if isinstance(found, str) else found
            for name, found in record["quality"].items()
        }
    return {**record, **changed}


def _samples_in_2(process: Json) -> Json:
    """What a process said of a test, in the words of format 2."""
    changed = dict(process)
    first = process.get("open", {}).get("first")
    if first is not None:
        changed["open"] = {**process["open"], "first": TESTS_OF_1.get(first, first)}
    if "watch" in process:
        changed["watch"] = _fields_in_2(process["watch"])
    return changed


def _sustain_in_2(found: Json) -> Json:
    """The windows of a test without a rest, in the words of format 2."""
    if "windows" not in found:
        return found
    return {**found, "windows": [_fields_in_2(window) for window in found["windows"]]}


def _fields_in_2(table: Json) -> Json:
    """A table with its fields called as in format 2."""
    return {FIELDS_OF_1.get(name, name): value for name, value in table.items()}


# version -> the step to the next one. The history stands at SCHEMA_VERSION.
UPGRADES: dict[int, Callable[[Json], Json]] = {1: _document_in_2, 2: _document_in_3}


def upgrade(
    document: Json,
    steps: Mapping[int, Callable[[Json], Json]] = UPGRADES,
    newest: int = SCHEMA_VERSION,
) -> Json:
    """Return `document` in the newest format; the stored one is left as it was.

    Args:
        document: as it was read.
        steps: version -> function to the next version.
        newest: the version to end at.

    Raises:
        ResultFormatError: no version, a newer one, or a step that meets a damaged document.
    """
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ResultFormatError(f"its format version is {version!r}", fix="give a file of `bench`")
    if version > newest:
        raise ResultFormatError(
            f"its format {version} is newer than {newest}", fix="upgrade the harness that reads it"
        )
    for step in range(version, newest):
        try:
            document = {**steps[step](document), "schema_version": step + 1}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ResultFormatError(
                f"it is damaged: format {step} cannot be brought to {step + 1}: {error!r}",
                fix="take the file from where it was first written",
            ) from error
    return document
