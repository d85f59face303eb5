"""Which results a site shows: a table of rules, printed on the site as it is applied. Pure.

A rule is about a file or about one of its rows. Whoever loosens one says so on the command line,
and the site says it on every page.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from harness.core.errors import UsageError, suggestion
from harness.report.site.sources import SiteRow, Source, cell_words
from harness.results.enums import Ending, Grade, Status
from harness.results.plan import RunPlan
from harness.results.progress import ending_of
from harness.results.schema import METHOD_VERSION, Document, Record
from harness.results.signature import BROKEN, SignatureState
from harness.results.validity import is_own_work

LEAST_GRADE = Grade.B
MOST_NAMED = 3  # rows of one refusal; all of them stand in the file
WHOLE = frozenset({Ending.COMPLETE, Ending.RESUMED, Ending.FAILED})
# key of a plan, least value, its usual one: the effort of the plan that `bench run` measures by.
STANDARD: tuple[tuple[str, float, float], ...] = (
    ("rounds", 5, 5),
    ("warm_seconds", 1.0, 10.0),
    ("sample_seconds", 0.25, 0.5),
    ("min_passes", 1, 3),
)
# key of a plan, its usual value: what makes a number one that others do not get.
OVERRIDES: tuple[tuple[str, object], ...] = (
    ("session_option", ()),
    ("ep_option", ()),
    ("allow_simulated", False),
    ("allow_fallback", False),
    ("telemetry", "off"),
    ("graph_inputs", "frozen"),
    ("seed", 0),
    ("reference", None),
    ("text", None),
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How strict a site is.

    Attributes:
        least_grade: of trust that a row has.
        allowed: names of rules that need not hold.
        signed_only: documents are signed by an allowed signer.
    """

    least_grade: Grade = LEAST_GRADE
    allowed: frozenset[str] = frozenset()
    signed_only: bool = False


@dataclass(frozen=True, slots=True)
class FileSubject:
    """A results file that is judged.

    Attributes:
        document: what it says.
        source: what is kept of it.
        twin: another file that holds the same run; empty: none does.
    """

    document: Document
    source: Source
    twin: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the policy.

    Attributes:
        name: that `--allow` takes.
        sentence: what has to hold; `{grade}` stands for the least grade.
        of_file: why a file breaks it; None: it is a rule about rows.
        of_row: why a row breaks it; None: it is a rule about files.
        loosened: `--allow` may take it away.
        is_asked: whether it is a rule of this policy at all.
    """

    name: str
    sentence: str
    of_file: Callable[[FileSubject], str] | None = None
    of_row: Callable[[Record, Policy], str] | None = None
    loosened: bool = True
    is_asked: Callable[[Policy], bool] = lambda _: True

    def holds_in(self, policy: Policy) -> bool:
        """Whether the rule is applied."""
        return self.is_asked(policy) and self.name not in policy.allowed


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file, or some of its rows, is not shown.

    Attributes:
        file: of results.
        rule: its name.
        reason: in a sentence; of several rows each reason once.
        rows: how many rows are left out; None: all of the file.
        names: of the first of these rows.
    """

    file: str
    rule: str
    reason: str
    rows: int | None = None
    names: tuple[str, ...] = ()


def _twice(subject: FileSubject) -> str:
    return f"the run {subject.source.run_id} is that of {subject.twin}" if subject.twin else ""


def _method(subject: FileSubject) -> str:
    found = subject.document.method_version
    if found == METHOD_VERSION:
        return ""
    return f"measured by method {found}, and numbers of two methods are not compared"


def _ending(subject: FileSubject) -> str:
    found = ending_of(subject.document)
    return "" if found in WHOLE else f"the run ended early: {found}"


def _effort(subject: FileSubject) -> str:
    plan = subject.document.plan
    found = ((key, _value(plan, key, usual), least) for key, least, usual in STANDARD)
    return "; ".join(
        f"{key} {value:g}, the standard plan has {least:g}"
        for key, value, least in found
        if value < least
    )


def _override(subject: FileSubject) -> str:
    plan = subject.document.plan
    found = [(key, _value(plan, key, usual), usual) for key, usual in OVERRIDES]
    return "; ".join(f"{key} is {_words(value)}" for key, value, usual in found if value != usual)


def _signature(subject: FileSubject) -> str:
    found = subject.source.signature
    wrong = (*BROKEN, SignatureState.NOT_ALLOWED)
    if found is None or found.state not in wrong:
        return ""
    return f"{found.state}: {found.detail}" if found.detail else str(found.state)


def _signer(subject: FileSubject) -> str:
    if subject.source.signer is not None:
        return ""
    found = subject.source.signature
    return "unsigned" if found is None else str(found.state)


def _status(record: Record, _policy: Policy) -> str:
    return "" if record.status == Status.OK else f"{record.status}: {record.reason}"


def _grade(record: Record, policy: Policy) -> str:
    grades = list(Grade)
    found = record.trust.grade if record.trust else None
    if found is not None and grades.index(found) <= grades.index(policy.least_grade):
        return ""
    codes = ", ".join(reason.code for reason in record.trust.reasons) if record.trust else ""
    return f"grade {found or 'none'}{f' ({codes})' if codes else ''}"


def _device(record: Record, _policy: Policy) -> str:
    if record.simulated:
        return "the device was emulated"
    return "" if is_own_work(record) else "the device did not do all of the arithmetic"


# In the order in which they are printed and asked; a file is refused by the first that it breaks.
RULES: tuple[Rule, ...] = (
    Rule("once", "A run is counted once.", of_file=_twice, loosened=False),
    Rule(
        "signature",
        "A signature that lies beside a document is good, and of an allowed signer where these are"
        " given.",
        of_file=_signature,
        loosened=False,
    ),
    Rule(
        "signed",
        "Documents are signed by an allowed signer.",
        of_file=_signer,
        loosened=False,
        is_asked=lambda policy: policy.signed_only,
    ),
    Rule("method", f"It was measured by method {METHOD_VERSION}, the newest.", of_file=_method),
    Rule("whole", "The run ended as planned, not by its budget or an interrupt.", of_file=_ending),
    Rule(
        "effort",
        "Standard plan: at least 5 fresh processes per row, 1 s of warm-up, 0.25 s of samples and"
        " 1 pass in each.",
        of_file=_effort,
    ),
    Rule(
        "override",
        "No override: no provider or session options, no emulation, no fallback, telemetry off,"
        " the usual seed, text and reference.",
        of_file=_override,
    ),
    Rule("measured", "The row was measured to its end.", of_row=_status, loosened=False),
    Rule(
        "grade",
        "Its trust grade is {grade} or better (--grade).",
        of_row=_grade,
        loosened=False,
    ),
    Rule("device", "The row's own device, a real one, did all of the work.", of_row=_device),
)
READABLE = "readable"  # the rule that comes before all others; nothing can take it away
READABLE_SENTENCE = "A file is a whole results document of a known version, as it was written."


def make_policy(grade: str, allowed: Iterable[str], signed_only: bool) -> Policy:
    """A policy of words.

    Raises:
        UsageError: a rule that is not known, or that nobody can take away.
    """
    loosened = [rule.name for rule in RULES if rule.loosened]
    names = frozenset(allowed)
    for name in sorted(names):
        if name not in loosened:
            raise UsageError(
                f"--allow {name!r} is no rule that may be loosened",
                fix=suggestion(name, loosened),
            )
    return Policy(Grade(grade), names, signed_only)


def judge_file(subject: FileSubject, policy: Policy) -> Refusal | None:
    """Why a whole file is refused: the first rule that it breaks; None: it is shown."""
    for rule in RULES:
        if rule.of_file is None or not rule.holds_in(policy):
            continue
        reason = rule.of_file(subject)
        if reason:
            return Refusal(subject.source.file, rule.name, reason)
    return None


def judge_rows(
    rows: Sequence[SiteRow], policy: Policy
) -> tuple[tuple[SiteRow, ...], tuple[Refusal, ...]]:
    """Part the rows of one file into those that are shown and refusals, one for each rule."""
    shown: list[SiteRow] = []
    refused: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        broken = _broken(row.record, policy)
        if broken is None:
            shown.append(row)
        else:
            words = cell_words(row.cell, row.hardware)
            refused.setdefault(broken[0], []).append((broken[1], words))
    found = [
        Refusal(
            rows[0].source.file,
            name,
            "; ".join(dict.fromkeys(reason for reason, _ in left_out)),
            len(left_out),
            tuple(words for _, words in left_out[:MOST_NAMED]),
        )
        for name, left_out in refused.items()
    ]
    return tuple(shown), tuple(found)


def printed_rules(policy: Policy) -> tuple[tuple[str, str, str], ...]:
    """The policy as people read it: name, sentence, and whether it is applied."""
    head = (READABLE, READABLE_SENTENCE, "applied")
    return (head, *(_printed(rule, policy) for rule in RULES if rule.is_asked(policy)))


def loosened_words(policy: Policy) -> str:
    """The options that make a site less strict than the usual one; empty: none."""
    words = [f"--allow {','.join(sorted(policy.allowed))}"] if policy.allowed else []
    order = list(Grade)
    if order.index(policy.least_grade) > order.index(LEAST_GRADE):
        words.append(f"--grade {policy.least_grade}")
    return " ".join(words)


def _printed(rule: Rule, policy: Policy) -> tuple[str, str, str]:
    state = "applied" if rule.holds_in(policy) else f"not applied (--allow {rule.name})"
    return rule.name, rule.sentence.format(grade=policy.least_grade), state


def _broken(record: Record, policy: Policy) -> tuple[str, str] | None:
    """The first rule about rows that a record breaks, and why."""
    for rule in RULES:
        if rule.of_row is not None and rule.holds_in(policy):
            reason = rule.of_row(record, policy)
            if reason:
                return rule.name, reason
    return None


def _value(plan: RunPlan, key: str, usual: Any) -> Any:
    """A value of a plan; a key that it does not have was left at its usual value."""
    found = getattr(plan, key)
    return usual if found is UNSET else found


def _words(value: object) -> str:
    """A value in a sentence."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
