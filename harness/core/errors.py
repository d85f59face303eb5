"""Every error a user can meet: what went wrong, what to try next, and the exit code it ends with.

Exit codes: 0 ok, 1 a gate failed, 2 usage, 3 some cells failed, 4 device or environment,
5 storage, 130 interrupted. When several apply, the highest of 130 > 5 > 4 > 3 > 1 wins.

Of a mistyped name, the same for every kind of name: what was meant, else what there is.
"""

from collections.abc import Iterable

EXIT_OK = 0
EXIT_GATE = 1
EXIT_USAGE = 2
EXIT_CELLS = 3
EXIT_DEVICE = 4
EXIT_STORAGE = 5
EXIT_FAULT = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130


class HarnessError(Exception):
    """What went wrong and the next thing to try; `bench` prints both and no traceback."""

    exit_code = EXIT_USAGE

    def __init__(self, problem: str, fix: str) -> None:
        """Keep both sentences in `args`, so that the error survives pickling."""
        super().__init__(problem, fix)

    @property
    def problem(self) -> str:
        """What is wrong, and where."""
        return str(self.args[0])

    @property
    def fix(self) -> str:
        """The next thing to try."""
        return str(self.args[1])

    def __str__(self) -> str:
        """Draw both sentences, the second one indented."""
        return f"{self.problem}\n  try: {self.fix}"


class UsageError(HarnessError):
    """A flag, a plan, a grid or a name that cannot be used."""


class ModelError(HarnessError):
    """A model, a configuration or a checkpoint that cannot be used."""


class ResultFormatError(HarnessError):
    """A results file that is damaged, of another kind, or written by a newer version."""

    exit_code = EXIT_STORAGE


class MeasurementError(HarnessError):
    """A measurement that cannot be right, or could not be finished."""

    exit_code = EXIT_CELLS


class InterruptedRunError(HarnessError):
    """A measurement that somebody ended before there was a result."""

    exit_code = EXIT_INTERRUPTED


class DeviceError(HarnessError):
    """A device, provider or environment that is absent, broken or did not do the work."""

    exit_code = EXIT_DEVICE


class StorageError(HarnessError):
    """Results, cache or disk that cannot be read or written."""

    exit_code = EXIT_STORAGE


class WorkerError(HarnessError):
    """A child process that failed, died, hung or ran out of memory.

    Attributes:
        status: `failed`, `crashed`, `timeout` or `out_of_memory`: the record's status.
    """

    exit_code = EXIT_CELLS

    def __init__(
        self, problem: str, fix: str, status: str = "failed", exit_code: int = EXIT_CELLS
    ) -> None:
        """Keep the status and the exit code that the child's own error carried."""
        super().__init__(problem, fix)
        self.status = status
        self.exit_code = exit_code


CUTOFF = 0.5  # of difflib's ratio: less alike is another word
AS_GOOD_AS_BEST = 0.15  # a name whose ratio is further from the best one's was not meant
FEW_NAMES = 12  # so many are shown beside a guess
MOST_NAMES = 60  # that one line lists


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Return at most `count` known names that look like `name`, the best first.

    Upper and lower case, `_` and `-` count as the same sign. Empty when nothing is close.
    """
    from difflib import SequenceMatcher, get_close_matches  # only once something is wrong

    def plain(word: str) -> str:
        return word.lower().replace("_", "-")

    spelled = {plain(word): word for word in known}
    close = get_close_matches(plain(name), list(spelled), n=count, cutoff=CUTOFF)
    alike = {word: SequenceMatcher(None, word, plain(name)).ratio() for word in close}
    least = max(alike.values(), default=0.0) - AS_GOOD_AS_BEST
    return tuple(spelled[word] for word, ratio in alike.items() if ratio >= least)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return one line to put into a fix: `did you mean a or b?`, and what there is.

    The known names are listed where none is close or there are few; of very many the first.
    """
    names = tuple(dict.fromkeys(known))
    close = nearest(name, names)
    asked = f"did you mean {' or '.join(close)}?" if close else ""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    shown = f"known: {', '.join(names[:MOST_NAMES])}{more}"
    listed = shown if not close or len(names) <= FEW_NAMES else ""
    return f"{asked} {listed}".strip()
