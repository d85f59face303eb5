"""What GitHub Actions reads: workflow commands, and a job summary of at most 1 MiB. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.core.units import MIB
from harness.report.export import cell_name
from harness.report.grid import one_line
from harness.results.enums import Status
from harness.results.machine_views import named_apart
from harness.results.progress import ending_of, progress_sentence
from harness.results.schema import Document
from harness.results.validity import is_valid

# GitHub drops a step's whole summary above 1 MiB, and shows ten annotations of a kind per step.
# Source: docs.github.com, "Workflow commands for GitHub Actions", job summaries and limits.
SUMMARY_BYTES = MIB
MOST_ANNOTATIONS = 10
CUT = "\n\n… cut here: a job summary holds 1 MiB; the results file has the rest\n"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One line in the build's list.

    Attributes:
        kind: `error`, `warning` or `notice`.
        title: few words.
        message: one sentence.
    """

    kind: str
    title: str
    message: str


def annotation_lines(annotations: Sequence[Annotation]) -> Iterator[str]:
    """Yield workflow commands; of each kind the first nine and how many more where they are many.

    Percent signs and line ends are escaped everywhere, colons and commas in the title: text from
    results can begin no command of its own.
    """
    for kind in dict.fromkeys(one.kind for one in annotations):
        found = [one for one in annotations if one.kind == kind]
        kept = found if len(found) <= MOST_ANNOTATIONS else found[: MOST_ANNOTATIONS - 1]
        for one in kept:
            yield f"::{kind} title={_property(one.title)}::{_data(one.message)}"
        if len(kept) < len(found):
            yield f"::{kind} title=bench::and {len(found) - len(kept)} more; see the job summary"


def document_annotations(document: Document) -> list[Annotation]:
    """A record that failed is an error, one that is INVALID a warning, as a run that broke off."""
    told = progress_sentence(document)
    found = [Annotation("warning", f"run {ending_of(document)}", told)] if told else []
    for record in named_apart(document).records:
        name = cell_name(record.cell)
        if record.status != Status.OK:
            found.append(Annotation("error", f"{name}: {record.status}", record.reason or ""))
        elif not is_valid(record) and record.trust:
            details = "; ".join(
                f"{reason.code}: {reason.detail}" for reason in record.trust.reasons
            )
            found.append(Annotation("warning", f"{name}: INVALID", details))
    return found


def cut_summary(text: str, used_bytes: int = 0) -> str:
    """The text as far as the summary has room, cut after a whole line, with a word about it.

    Args:
        text: Markdown.
        used_bytes: what the step's summary holds already.

    Returns:
        Nothing where there is no room for even that word.
    """
    content = text.encode()
    room = SUMMARY_BYTES - used_bytes
    if len(content) <= room:
        return text
    room -= len(CUT.encode())
    if room < 0:
        return ""
    kept = content[:room].decode(errors="ignore")
    return kept[: kept.rfind("\n") + 1].rstrip("\n") + CUT


def _data(text: str) -> str:
    """The message of a command: what is not drawn becomes visible, `%` is escaped."""
    return "%0A".join(one_line(line).replace("%", "%25") for line in text.splitlines())


def _property(text: str) -> str:
    """A property of a command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
