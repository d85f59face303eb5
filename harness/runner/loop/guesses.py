"""How long parts of a run should take on a usual machine: guesses, of parameters alone.

Nothing is measured for them; estimates of a machine's own peaks are harness.estimator's.
"""

from harness.engine.workload import Workload
from harness.results.enums import Kind
from harness.runner.plan import SessionGroup

# Seconds of a process beside its tests, and warm-up of a test: the default plan on two AVX2 cores,
# rounded up.
PROCESS_S, WARM_S = 1.1, 0.7
FLOP_PER_S_A_THREAD = 60e9  # of prompts, at fp32 on such a core
BYTES_PER_S = 20e9  # of steps


def pass_seconds(group: SessionGroup, test: Workload) -> float:
    """One pass of a test: products of its prompt, reads of its steps."""
    read_bytes = parameters_used(group) * group.level.body.bits / 8
    return prompt_seconds(group, test) + test.gen_tokens * read_bytes / BYTES_PER_S


def prompt_seconds(group: SessionGroup, test: Workload) -> float:
    """What a pass reads before its steps."""
    tokens = test.prompt_tokens * max(test.sequences, 1) * group.batch
    if test.kind in (Kind.IMAGE, Kind.SOUND):
        tokens = 200 * test.sequences  # of a picture; Assumes: sounds are like it
    return 2 * parameters_used(group) * tokens / (FLOP_PER_S_A_THREAD * max(group.threads, 1))


def parameters_used(group: SessionGroup) -> int:
    """Those that a token uses."""
    return group.model.active_parameters or group.model.parameters
