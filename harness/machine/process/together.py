"""Several children started at once, so that their imports share the processors.

Each is a fresh interpreter that has done nothing else, and none is used before all of them wait on
their pipes, where they take no processor time: what the first one measures is not disturbed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from harness.core.errors import WorkerError
from harness.machine.process.worker import Worker

LOAD_TIMEOUT_S = 120.0  # Assumes: imports take less, on any device and from any disk


@dataclass(frozen=True, slots=True)
class Child:
    """What one child is to be: the module that it serves, and variables of its own."""

    module: str
    env: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def started_together(children: Sequence[Child]) -> Iterator[tuple[Worker | None, ...]]:
    """Yield a worker per child, all of them loaded; those still open at the end are closed.

    Args:
        children: what is started; a single one gains nothing and is not.

    Yields:
        None in the place of each that its user starts: a single one, or one that could not be
        started, whose error its user then meets.
    """
    if len(children) < 2:
        yield tuple(None for _ in children)
        return
    with ExitStack() as stack:
        workers = [_started(child, stack) for child in children]
        for worker in workers:
            if worker is not None:
                worker.wait_until_loaded(LOAD_TIMEOUT_S)
        yield tuple(workers)


def _started(child: Child, stack: ExitStack) -> Worker | None:
    try:
        return stack.enter_context(Worker.start(child.module, env=child.env))
    except WorkerError:
        return None
