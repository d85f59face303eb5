"""What the child that runs tasks of lm-evaluation-harness replies."""

import msgspec


class TaskValue(msgspec.Struct, frozen=True, kw_only=True):
    """One number of one task, as lm-evaluation-harness gives it.

    Attributes:
        task: its name.
        metric: such as `acc`.
        filter: what an answer went through before it was judged; `none`: nothing.
        value: the number.
        standard_error: of it; null where none is given.
        items: of the task that were asked; null: not told.
    """

    task: str
    metric: str
    filter: str
    value: float
    standard_error: float | None
    items: int | None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Every number of every task."""

    values: tuple[TaskValue, ...]
