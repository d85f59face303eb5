"""Options of a session that a user may set: what each takes, and since which ONNX Runtime.

ONNX Runtime ignores an entry that it does not know, and takes its usual value where it does not
understand one, so that a slip of the keyboard measures nothing: both are refused here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.core.errors import UsageError, suggestion
from harness.devices.row import RUNTIME, Pairs, installed_version

FLAG_OPTION = "--session-option"
AFFINITIES = "session.intra_op_thread_affinities"
SPINNING = "session.intra_op.allow_spinning"
SPIN_TIME = "session.intra_op.spin_duration_us"
SPIN_BACKOFF = "session.intra_op.spin_backoff_max"
BLOCK_BASE = "session.dynamic_block_base"
MEMORY_PATTERN = "enable_mem_pattern"
MEMORY_ARENA = "enable_cpu_mem_arena"
TRUTH, NUMBER = "0 or 1", "a whole number from 0"
PATTERNS = {
    TRUTH: re.compile(r"[01]"),
    NUMBER: re.compile(r"\d{1,9}"),
    "processors from 1 on for each thread but the calling one, such as 2;3 or 1,2;3-4": re.compile(
        r"\d+(?:[,-]\d+)*(?:;\d+(?:[,-]\d+)*)*"
    ),
}
PLACES = next(reversed(PATTERNS))


@dataclass(frozen=True, slots=True)
class SessionOption:
    """One option.

    Attributes:
        name: key of a session's configuration; without a dot: an attribute of SessionOptions.
        needs: what its value must be, a key of PATTERNS.
        since: first ONNX Runtime that knows it.
        keeps_results: every output stays what it was, bit by bit.
    """

    name: str
    needs: str
    since: tuple[int, int] = (1, 19)
    keeps_results: bool = True

    @property
    def is_attribute(self) -> bool:
        """Whether SessionOptions has it as an attribute, which is true or false."""
        return "." not in self.name


OPTIONS: Mapping[str, SessionOption] = {
    row.name: row
    for row in (
        SessionOption(SPINNING, TRUTH),
        SessionOption(SPIN_TIME, NUMBER, (1, 27)),
        SessionOption(SPIN_BACKOFF, NUMBER, (1, 27)),
        SessionOption("session.force_spinning_stop", TRUTH),
        SessionOption(AFFINITIES, PLACES),
        SessionOption(BLOCK_BASE, NUMBER),
        SessionOption("session.use_device_allocator_for_initializers", TRUTH),
        SessionOption(MEMORY_PATTERN, TRUTH),
        SessionOption(MEMORY_ARENA, TRUTH),
        SessionOption("session.disable_prepacking", TRUTH, keeps_results=False),
        SessionOption("session.set_denormal_as_zero", TRUTH, keeps_results=False),
        SessionOption("mlas.disable_kleidiai", TRUTH, (1, 23), keeps_results=False),
        SessionOption("mlas.qnbit.force_fp32", TRUTH, (1, 32), keeps_results=False),
        SessionOption("mlas.use_lut_gemm", TRUTH, (1, 24), keeps_results=False),
    )
}
# What has a flag of its own.
OWN_FLAGS = {
    "session.intra_op_num_threads": "--threads 2",
    "intra_op_num_threads": "--threads 2",
    "session.prepack.enable_parallel": "--prepack parallel",
    "session.record_ep_graph_assignment_info": "nothing: it is always on",
}


def parse_session_options(words: Sequence[str]) -> Pairs:
    """`("session.dynamic_block_base=4",)` -> pairs, each name once.

    Raises:
        UsageError: an unknown option, one that has a flag of its own or that this ONNX Runtime does
            not know, a value that it does not take, or a name that comes twice.
    """
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals) or name in pairs:
            problem = "is given twice" if name in pairs else "is no NAME=VALUE"
            problem += ": no name stands before =" if equals and not name else ""
            raise UsageError(
                f"{FLAG_OPTION} {word!r} {problem}", fix=f"{FLAG_OPTION} {BLOCK_BASE}=4, once"
            )
        _check(name, value)
        pairs[name] = value
    return tuple(pairs.items())


def check_places(options: Pairs, threads: int) -> None:
    """Refuse places of threads that are not one for each but the calling one.

    Raises:
        UsageError: with both counts.
    """
    places = dict(options).get(AFFINITIES)
    if places is not None and len(places.split(";")) != threads - 1:
        count = len(places.split(";"))
        raise UsageError(
            f"{FLAG_OPTION} {AFFINITIES}={places} places {count} thread{'s' * (count != 1)};"
            f" --threads {threads} has {threads - 1} besides the calling one",
            fix=f"--threads {count + 1} with it, or one place for each, with ; between them",
        )


def _check(name: str, value: str) -> None:
    """Refuse an option, or a value of it, that would change nothing."""
    if name in OWN_FLAGS:
        raise UsageError(f"{FLAG_OPTION} {name} is set by bench", fix=OWN_FLAGS[name])
    row = OPTIONS.get(name)
    if row is None:
        raise UsageError(
            f"{FLAG_OPTION} {name!r} is no option that bench knows, and onnxruntime ignores those"
            " that it does not",
            fix=suggestion(name, OPTIONS),
        )
    if PATTERNS[row.needs].fullmatch(value) is None:
        raise UsageError(f"{FLAG_OPTION} {name}={value} must be {row.needs}", fix=f"{name}=1")
    if not is_known_here(row):
        least = ".".join(map(str, row.since))
        raise UsageError(
            f"{FLAG_OPTION} {name} came with onnxruntime {least}, and {installed_version(RUNTIME)}"
            " is installed",
            fix=f"pip install -U 'onnxruntime>={least}', or leave it out",
        )


def is_known_here(row: SessionOption) -> bool:
    """Whether the installed ONNX Runtime knows an option; of wheels by other names it is hoped."""
    version = installed_version(RUNTIME)
    if version is None:
        return True
    numbers = re.findall(r"\d+", version)[:2]
    return tuple(map(int, numbers)) >= row.since
