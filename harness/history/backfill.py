"""One plan over versions of a package: each in an environment of its own, round by round.

In every round each version measures the whole plan once, in an order drawn anew: what slows the
machine for a while falls on all of them, as sessions of one plan take turns in `bench run`. A round
of a version is one document, in a folder of its own; what lies there is not measured again, so the
same command goes on with what was interrupted, and a version that is added joins the others.
"""

import hashlib
import json
import random
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.core.environment import child_variables
from harness.core.errors import (
    EXIT_CELLS,
    EXIT_GATE,
    EXIT_OK,
    HarnessError,
    StorageError,
    WorkerError,
)
from harness.history.environments import (
    Target,
    check_space,
    ensure_environment,
    environment_folder,
    is_whole,
    requirements_of,
)
from harness.history.installers import Installer, python_of
from harness.results.document import read_document
from harness.results.enums import Ending, Status
from harness.results.journal import SUFFIX
from harness.results.progress import ending_of
from harness.results.schema import Document

Tell = Callable[[str], None]
LAST_WORDS = 400  # characters of a failed command's stderr that its row has
LEFT_RESULTS = (EXIT_OK, EXIT_GATE, EXIT_CELLS)  # ends of a run that wrote a document


@dataclass(frozen=True, slots=True)
class Request:
    """What is measured.

    Attributes:
        targets: versions, the oldest first.
        words: of `bench run`, without those of rounds and places.
        rounds: documents of each version.
        extra: further requirements of every environment.
        cache: of built models and environments.
        results: folder under which the backfill's own folder lies.
        seed: of the order in each round.
    """

    targets: tuple[Target, ...]
    words: tuple[str, ...]
    rounds: int
    extra: tuple[str, ...]
    cache: Path
    results: Path
    seed: int = 0

    @property
    def folder(self) -> Path:
        """The backfill's folder: the same for the same plan of the same package."""
        said = json.dumps([self.targets[0].package, self.words, self.extra])
        digest = hashlib.sha256(said.encode()).hexdigest()[:8]
        return self.results / f"backfill-{self.targets[0].package}-{digest}"

    def place(self, target: Target, index: int) -> Path:
        """Folder of the document of a version and round."""
        return self.folder / target.version / f"round-{index + 1}"


@dataclass(slots=True)
class Outcome:
    """What became of one version.

    Attributes:
        target: which one.
        documents: round -> its document.
        measured: rounds that were measured now; the others lay there.
        problem: why some are missing; empty: none is.
        fix: what to try; likewise.
        exit_code: of that problem.
    """

    target: Target
    documents: dict[int, Document] = field(default_factory=dict)
    measured: int = 0
    problem: str = ""
    fix: str = ""
    exit_code: int = 0

    def failed(self, error: HarnessError) -> None:
        """Keep why it goes on no further."""
        self.problem, self.fix, self.exit_code = error.problem, error.fix, error.exit_code


class Runner(Protocol):
    """What measures a plan in an environment."""

    def measure(self, python: Path, words: Sequence[str], results: Path) -> None:
        """Run the plan once with an interpreter, and leave one document in a folder.

        Raises:
            WorkerError: it left none; with its own reason.
        """


@dataclass(frozen=True, slots=True)
class BenchRunner:
    """`bench run` of the copied code in an environment.

    Attributes:
        code: folder that holds this package alone.
        cache: of built models.
    """

    code: Path
    cache: Path

    def measure(self, python: Path, words: Sequence[str], results: Path) -> None:
        """Run it in a child process; what an interrupted one has measured is gone on with."""
        results.mkdir(parents=True, exist_ok=True)
        goes_on = any(results.glob(f"*{SUFFIX}")) and read_done(results) is None
        own = ["--rounds", "1", "--results", str(results), "--cache", str(self.cache), "-q"]
        resume = ["--resume"] if goes_on else []
        variables = child_variables() | {"PYTHONPATH": str(self.code)}
        variables.pop("PYTHONHOME", None)
        command = [str(python), "-P", "-m", "harness", "run", *words, *own, *resume]
        try:
            done = subprocess.run(
                command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL, text=True, errors="replace", check=False,
            )  # fmt: skip
        except OSError as error:
            raise WorkerError(
                f"its interpreter cannot be started: {error.strerror}",
                fix="remove the environment from the cache, and give the same command again",
            ) from error
        if done.returncode not in LEFT_RESULTS:
            raise WorkerError(*last_words(done.stderr, done.returncode))


def last_words(text: str, code: int) -> tuple[str, str]:
    """Problem and fix of a `bench run` without a document: the two lines that it ends with."""
    problem = re.findall(r"^bench: (.+)$", text, re.MULTILINE)
    fix = re.findall(r"^  try: (.+)$", text, re.MULTILINE)
    said = problem[-1] if problem else " ".join(text.split())[-LAST_WORDS:]
    return (
        said or f"bench run ended with {code} and said nothing",
        fix[-1] if fix else "give the plan to `bench run` in an environment of that version",
    )


def measure_versions(
    request: Request,
    installer: Installer,
    runner: Runner,
    tell: Tell,
    free_bytes: Callable[[Path], int] | None = None,
) -> tuple[Outcome, ...]:
    """Make what environments are missing, measure what documents are, and read them all.

    A version that cannot be installed, or that cannot run the plan, costs its own row only.

    Args:
        request: what is measured.
        installer: makes environments.
        runner: measures.
        tell: called with a line of progress.
        free_bytes: free space of a folder's disk; None: asked of the system.

    Raises:
        StorageError: no space for the environments, or results that cannot be written.
    """
    outcomes = tuple(_lying(request, target) for target in request.targets)
    pythons = _environments(request, outcomes, installer, tell, free_bytes)
    for index in range(request.rounds):
        for outcome in _in_turns(outcomes, request.seed, index):
            python = pythons.get(outcome.target)
            if index in outcome.documents or outcome.problem or python is None:
                continue
            tell(f"round {index + 1} of {request.rounds}: {outcome.target.name}")
            try:
                outcome.documents[index] = _measured(request, runner, python, outcome, index)
                outcome.measured += 1
            except StorageError:
                raise
            except HarnessError as error:
                outcome.failed(error)
                tell(f"{outcome.target.name} goes on no further: {error.problem}")
    return outcomes


def _lying(request: Request, target: Target) -> Outcome:
    """A version with the documents that lie there already."""
    found = {index: read_done(request.place(target, index)) for index in range(request.rounds)}
    return Outcome(target, {index: one for index, one in found.items() if one is not None})


def missing_environments(request: Request) -> list[Target]:
    """Versions whose environment is not in the cache."""
    return [
        target
        for target in request.targets
        if not is_whole(
            environment_folder(request.cache, target, requirements_of(target, request.extra))
        )
    ]


def read_done(folder: Path) -> Document | None:
    """The newest document of a folder in which anything was measured; None: there is none."""
    for path in sorted(folder.glob("run-*.json"), reverse=True):
        try:
            found = read_document(path)
        except HarnessError:
            continue
        if ending_of(found) is Ending.INTERRUPTED:
            continue
        if any(record.status == Status.OK for record in found.records):
            return found
    return None


def _environments(
    request: Request,
    outcomes: Sequence[Outcome],
    installer: Installer,
    tell: Tell,
    free_bytes: Callable[[Path], int] | None,
) -> dict[Target, Path]:
    """Interpreters of the versions that still have something to measure."""
    waiting = [one for one in outcomes if len(one.documents) < request.rounds]
    absent = set(missing_environments(request)) & {one.target for one in waiting}
    if absent:
        check_space(request.cache, len(absent), *([free_bytes] if free_bytes else []))
    found = {}
    for outcome in waiting:
        requirements = requirements_of(outcome.target, request.extra)
        if outcome.target in absent:
            tell(f"environment of {outcome.target.name}")
        try:
            folder = ensure_environment(request.cache, outcome.target, requirements, installer)
            found[outcome.target] = python_of(folder)
        except HarnessError as error:
            outcome.failed(error)
            tell(f"{outcome.target.name} has no environment: {error.problem}")
    return found


def _measured(
    request: Request, runner: Runner, python: Path, outcome: Outcome, index: int
) -> Document:
    """The document of one version and round, measured now."""
    place = request.place(outcome.target, index)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"results folder {place} cannot be written: {error.strerror}",
            fix="--results with a folder on a disk that has space and may be written",
        ) from error
    runner.measure(python, request.words, place)
    found = read_done(place)
    if found is None:
        raise WorkerError(*_why_nothing(place))
    return found


def _why_nothing(folder: Path) -> tuple[str, str]:
    """Why a document holds no measured cell: the reason of its first one."""
    fix = "give the plan to `bench run` in an environment of that version"
    for path in sorted(folder.glob("run-*.json"), reverse=True):
        for record in read_document(path).records:
            return f"no cell could be measured: {record.reason}", fix
    return "it left no document", fix


def _in_turns(outcomes: Sequence[Outcome], seed: int, index: int) -> list[Outcome]:
    """The versions in the order of a round."""
    order = list(outcomes)
    random.Random(f"{seed} {index}").shuffle(order)
    return order
