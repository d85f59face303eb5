"""What of lm-evaluation-harness our adapter touches, where the package is not installed.

A task is a JSON file: `kind`, `data` (a file of questions, one a line) and what its kind asks for.
Requests, windows and results have the forms that the package gives them (0.4.10).
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ADAPTER = "harness.runner.evaluation.adapter"
OF_PACKAGE = ("arc_easy", "hellaswag")  # names of tasks that the package brings


@dataclass(frozen=True)
class Instance:
    """One request."""

    args: tuple[Any, ...]


class TemplateLM:
    """The base class: texts of requests become tokens, which subclasses judge."""

    @property
    def prefix_token_id(self):
        """What stands before a text without a context."""
        return self.eot_token_id

    def loglikelihood(self, requests, disable_tqdm=False):
        """Judge continuations of texts; spaces at the end of a context belong to what follows."""
        asked = []
        for context, follows in (request.args for request in requests):
            if context == "":
                pair = [self.prefix_token_id], self.tok_encode(follows)
            else:
                bare = context.rstrip()
                follows = context[len(bare) :] + follows
                before = self.tok_encode(bare)
                pair = before, self.tok_encode(bare + follows)[len(before) :]
            asked.append(((context, follows), *pair))
        return self._loglikelihood_tokens(asked, disable_tqdm=disable_tqdm)


def rolling_windows(token_list, prefix_token, max_seq_len, context_len) -> Iterator[Any]:
    """Yield (what is read, what is judged): every token is judged once."""
    done = min(max_seq_len, len(token_list))
    yield [prefix_token, *token_list[: done - 1]], token_list[:done]
    while done < len(token_list):
        count = min(len(token_list) - done, max_seq_len - context_len + 1)
        done += count
        yield token_list[done - max_seq_len - 1 : done - 1], token_list[done - count : done]


def disjoint(pair):
    """A window whose read part ends before its judged part begins."""
    read, judged = pair
    return read[: len(read) - len(judged) + 1], judged


class TaskManager:
    """Finds tasks by name."""

    looked_into_package = 0

    def __init__(self, include_path=None, include_defaults=True):
        """Take the folder of the user's own."""
        self.files = {path.stem: path for path in Path(include_path or ".").glob("*.json")}
        TaskManager.looked_into_package += include_defaults
        self.all_tasks = sorted([*self.files, *(OF_PACKAGE if include_defaults else ())])


def simple_evaluate(
    model, tasks, task_manager, limit, num_fewshot, log_samples, bootstrap_iters
) -> dict[str, Any]:
    """Run tasks; numbers by task, each under `metric,filter`."""
    assert not log_samples
    assert bootstrap_iters > 0
    found: dict[str, Any] = {"results": {}, "n-samples": {}}
    for name in tasks:
        task = json.loads(task_manager.files[name].read_text())
        lines = Path(task["data"]).read_text().splitlines()
        items = [json.loads(line) for line in lines]
        shots = "".join(item["context"] for item in items[: num_fewshot or 0])
        taken = items[:limit]
        values = KINDS[task["kind"]](model, taken, task, shots)
        found["results"][name] = {"alias": name, **values}
        found["n-samples"][name] = {"original": len(items), "effective": len(taken)}
    return found


def _choices(model, items, task, shots):
    """The share of right answers, by likelihood and by likelihood a character."""
    asked = [
        Instance((shots + item["context"], choice)) for item in items for choice in item["choices"]
    ]
    answers = iter(model.loglikelihood(asked))
    right = [0, 0]
    for item in items:
        values = [next(answers)[0] for _ in item["choices"]]
        rates = [value / len(choice) for value, choice in zip(values, item["choices"], strict=True)]
        for place, numbers in enumerate((values, rates)):
            right[place] += numbers.index(max(numbers)) == item["answer"]
    plain, by_length = (count / len(items) for count in right)
    return {
        "acc,none": plain,
        "acc_stderr,none": (plain * (1 - plain) / len(items)) ** 0.5,
        "acc_norm,none": by_length,
        "acc_norm_stderr,none": "N/A",
    }


def _rolled(model, items, task, shots):
    """Nats a byte over whole texts."""
    found = model.loglikelihood_rolling([Instance((item["context"],)) for item in items])
    size = sum(len(item["context"].encode()) for item in items)
    return {"nats_a_byte,none": -sum(found) / size}


def _written(model, items, task, shots):
    """The longest text that is written, in characters."""
    asked = [Instance((item["context"], task["options"])) for item in items]
    texts = model.generate_until(asked)
    return {"longest,none": max(map(len, texts)), "stops,none": sum("\n" in one for one in texts)}


def _broken(model, items, task, shots):
    raise KeyError("doc_to_text")


KINDS = {"choices": _choices, "rolled": _rolled, "written": _written, "broken": _broken}


def put_in_place(patch: Any) -> None:
    """Let imports of the package end here; the adapter is imported anew."""
    package, api, model, utils, tasks = (
        ModuleType(name)
        for name in (
            "lm_eval",
            "lm_eval.api",
            "lm_eval.api.model",
            "lm_eval.utils",
            "lm_eval.tasks",
        )
    )
    package.simple_evaluate = simple_evaluate
    model.TemplateLM = TemplateLM
    utils.get_rolling_token_windows, utils.make_disjoint_window = rolling_windows, disjoint
    tasks.TaskManager = TaskManager
    for module in (package, api, model, utils, tasks):
        patch.setitem(sys.modules, module.__name__, module)
    sys.modules.pop(ADAPTER, None)
