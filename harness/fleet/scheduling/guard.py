"""Which objects messages of a fleet may make: plain values and our own task, and nothing else.

dask sends tasks and results as pickles, and a pickle names what is called while it is read. Python
tells of every such name before it is looked up, whoever reads (the audit event
`pickle.find_class`). A name that is not in the table here ends the reading, so that no message
makes a worker, or who gathers its results, import or call anything else.
"""

import sys
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from types import ModuleType
from typing import Any

FIND_CLASS = "pickle.find_class"
Name = tuple[str, str]
TASK_MODULE = "harness.fleet.scheduling.task"
PLAIN: frozenset[Name] = frozenset(
    ("builtins", name) for name in ("bytes", "str", "int", "dict", "list", "tuple", "set")
)
# A task as dask wraps it, and the one function that a worker of ours calls.
OF_WORKERS = PLAIN | {("dask._task_spec", "Task"), (TASK_MODULE, "run_cell")}


class ForeignObjectError(Exception):
    """A message that would make something else than a plain value or a task of ours."""


_allowed: list[frozenset[Name]] = []  # the guards that stand now; a hook can never be taken away
_hooked: list[bool] = []


@contextmanager
def only(allowed: Set[Name]) -> Iterator[None]:
    """Let pickles read in this process, by any of its threads, make only these while it lasts.

    Args:
        allowed: pairs of a module and a name in it.
    """
    if not _hooked:
        sys.addaudithook(_look)
        _hooked.append(True)
    mine = frozenset(allowed)
    _allowed.append(mine)
    try:
        yield
    finally:
        _allowed.remove(mine)


def _look(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse a name that a guard does not have."""
    if event != FIND_CLASS or not _allowed:
        return
    if all(arguments in names for names in _allowed):
        return
    raise ForeignObjectError(f"refused: {'.'.join(map(str, arguments))} in a message of the fleet")


@contextmanager
def answering(engine: ModuleType, stand_in: Callable[[str], object]) -> Iterator[None]:
    """Let what is refused be answered by something harmless, not by a connection that breaks.

    dask reads every pickle by one function, which stands aside for ours meanwhile; were it another
    one some day, `only` would still refuse, and the connection would be closed.

    Args:
        engine: dask.distributed.
        stand_in: makes what is read instead, from the reason.
    """
    pickle: Any = engine.protocol.pickle
    theirs = pickle.loads

    def loads(text: Any, *, buffers: Any = ()) -> Any:
        try:
            return theirs(text, buffers=buffers)
        except ForeignObjectError as error:
            return stand_in(str(error))

    pickle.loads = loads
    try:
        yield
    finally:
        pickle.loads = theirs


def refusing_task(reason: str) -> object:
    """A task that does nothing but say why another one was not taken."""
    from dask.task_spec import Task

    return Task("refused", refuse, reason)


def refuse(reason: str) -> None:
    """What stands for a task that is none of ours.

    Raises:
        RuntimeError: always, with the reason.
    """
    raise RuntimeError(f"this worker runs cells of plans only; {reason}")
