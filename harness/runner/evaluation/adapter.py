"""What lm-evaluation-harness asks of a model, answered by ours. Imports it, so that it is an extra.

Its base package needs no torch (0.4.10 and later).
"""

from collections.abc import Sequence
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from harness.core.errors import UsageError
from harness.core.progress import told_parts
from harness.runner.evaluation.language_model import LanguageModel

MOST_WRITTEN_TOKENS = 256  # where a task says nothing
Request = Any  # lm_eval.api.instance.Instance, whose `args` are what is asked


class HarnessLM(TemplateLM):  # type: ignore[misc]  # of a package without types
    """Our decoder behind the interface of lm-evaluation-harness: one request a pass."""

    def __init__(self, model: LanguageModel) -> None:
        """Take an opened model."""
        super().__init__()
        self.model = model

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text, which stands before one that has no context.

        Raises:
            UsageError: the tokenizer puts no token before or after a text.
        """
        coder = self.model.coder
        found = coder.begin_id if coder.begin_id is not None else coder.end_id
        if found is None:
            raise UsageError(
                "a request has an empty context, and this model's tokenizer has no token that"
                " begins or ends a text",
                fix="a task whose contexts are not empty",
            )
        return found

    @property
    def max_length(self) -> int:
        """Tokens that the model reads at once."""
        return self.model.most_tokens

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: object
    ) -> list[int]:
        """Tokens of a text; what begins one is put there when it is judged."""
        return self.model.coder.encode(string)

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[object, list[int], list[int]]], **_: object
    ) -> list[tuple[float, bool]]:
        """Judge each continuation behind its context."""
        judged = [
            self.model.judge(context, follows)
            for _, context, follows in told_parts(requests, "requests")
        ]
        return [(one.log_likelihood, one.is_greedy) for one in judged]

    def loglikelihood_rolling(
        self, requests: Sequence[Request], disable_tqdm: bool = False
    ) -> list[float]:
        """Judge whole texts, each token once, in windows of what the model reads at once."""
        return [self._rolled(request.args[0]) for request in told_parts(requests, "texts")]

    def _rolled(self, text: str) -> float:
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        pairs = (make_disjoint_window(window) for window in windows)
        return sum(self.model.judge(before, after).log_likelihood for before, after in pairs)

    def generate_until(self, requests: Sequence[Request], disable_tqdm: bool = False) -> list[str]:
        """Write on after each context, up to one of the stops of its task.

        Raises:
            UsageError: a task that draws tokens instead of taking the likeliest.
        """
        return [self._written(*request.args) for request in told_parts(requests, "requests")]

    def _written(self, context: str, options: dict[str, Any]) -> str:
        if options.get("do_sample") and options.get("temperature", 1.0) != 0:
            raise UsageError(
                "a task draws tokens (do_sample), and ours are always the likeliest",
                fix="a task with do_sample: false",
            )
        until = options.get("until") or []
        stops = [until] if isinstance(until, str) else list(until)
        most = options.get("max_gen_toks", MOST_WRITTEN_TOKENS)
        ids = self.tok_encode(context) or [self.prefix_token_id]
        return self.model.write(ids, [stop for stop in stops if stop], int(most))
