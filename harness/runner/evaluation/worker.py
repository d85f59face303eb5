"""The command of the child that runs tasks of lm-evaluation-harness: evaluate.

`python -m harness.machine.process.serve harness.runner.evaluation.worker` serves it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from harness.builder.graph.geometry import DecoderGeometry, decoder_geometry_from
from harness.core.environment import keep_hub_quiet
from harness.core.errors import DeviceError, HarnessError, UsageError, suggestion
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.models.texts.tokens import open_coder
from harness.runner.evaluation.language_model import LanguageModel
from harness.runner.evaluation.replies import Evaluation, TaskValue
from harness.runner.quality.chunks import most_chunk_tokens
from harness.runner.quality.replies import SentGraphs

BOOTSTRAPS = 1000  # for standard errors of metrics without a formula
INSTALL = "pip install 'ondevice-bench[lm-eval]'"


def evaluate(
    model: SentGraphs,
    threads: int,
    folder: str | None,
    tasks: Sequence[str],
    include: str | None,
    limit: int | None,
    shots: int | None,
) -> Evaluation:
    """Run tasks over a built decoder, on the CPU.

    Args:
        model: its graphs.
        threads: intra-op threads.
        folder: the model's Hugging Face folder; None: seeded weights.
        tasks: names of tasks or groups.
        include: folder with the user's own tasks; None: none.
        limit: items of each task; None: all.
        shots: examples before each item; None: as the task says.

    Raises:
        DeviceError: lm-evaluation-harness is not installed.
        UsageError: a task that there is not, or that cannot be run.
        ModelError: as open_coder.
    """
    keep_hub_quiet()
    try:
        from lm_eval import simple_evaluate

        from harness.runner.evaluation.adapter import HarnessLM
    except ImportError as error:
        raise DeviceError(
            f"bench eval needs lm-evaluation-harness: {error}", fix=INSTALL
        ) from error
    opened = _opened(model, threads, folder)
    try:
        manager = _manager(tasks, include)
        found = simple_evaluate(
            model=HarnessLM(opened),
            tasks=list(tasks),
            task_manager=manager,
            limit=limit,
            num_fewshot=shots,
            log_samples=False,
            bootstrap_iters=BOOTSTRAPS,
        )
    except HarnessError:
        raise
    except Exception as error:  # whatever a task's file, data or code raises
        raise UsageError(
            f"lm-evaluation-harness could not run {', '.join(tasks)}: {type(error).__name__}:"
            f" {str(error)[:300]}",
            fix="the task's data on this machine (dataset_path: json with data_files), or its name",
        ) from error
    return Evaluation(values=tuple(_values(found)))


def _opened(model: SentGraphs, threads: int, folder: str | None) -> LanguageModel:
    """The model with its tokenizer."""
    geometry = decoder_geometry_from(model.geometry)
    if geometry.is_static:
        raise UsageError(
            "static graphs are built for devices, and tasks run on the CPU",
            fix="--quant with a level that CPUs run",
        )
    return LanguageModel(
        opened=open_session(Path(model.all_logits), find_device("cpu"), threads),
        geometry=cast(DecoderGeometry, geometry),
        coder=open_coder(None if folder is None else Path(folder), geometry.vocab_size),
        most_tokens=most_chunk_tokens(geometry.vocab_size, geometry.max_context_tokens),
    )


def _manager(tasks: Sequence[str], include: str | None) -> Any:
    """What finds the tasks: the user's own, and where they are not enough those of the package.

    Reading the thousands of files of the package takes a minute.

    Raises:
        UsageError: a name that no task has.
    """
    from lm_eval.tasks import TaskManager

    if include is not None:
        own = TaskManager(include_path=include, include_defaults=False)
        if set(tasks) <= set(own.all_tasks):
            return own
    manager = TaskManager(include_path=include)
    known = manager.all_tasks
    for name in tasks:
        if name not in known:
            raise UsageError(
                f"lm-evaluation-harness has no task {name!r}",
                fix=f"{suggestion(name, known)}; --include DIR for tasks of your own",
            )
    return manager


def _values(found: Mapping[str, Any]) -> Iterator[TaskValue]:
    """Every number of every task, with its standard error."""
    for task, numbers in found["results"].items():
        items = found.get("n-samples", {}).get(task, {}).get("effective")
        for key, value in numbers.items():
            metric, _, chosen = key.partition(",")
            if not chosen or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = numbers.get(f"{metric}_stderr,{chosen}")
            known = isinstance(error, int | float) and math.isfinite(error)
            yield TaskValue(
                task=task,
                metric=metric,
                filter=chosen,
                value=float(value),
                standard_error=float(error) if known and error is not None else None,
                items=items,
            )


COMMANDS = {"evaluate": evaluate}
