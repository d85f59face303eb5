"""A built decoder run by onnxruntime-genai, through the same protocol as by our own loop.

`append_tokens` runs the model; `generate_next_token` chooses from the logits that are there, or, if
the last token was chosen by it, runs the model over that one first. So the first step after a
rewind is an append and a choice, and every other one a single call; each is one run and one choice.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.rules import GENAI_FILE
from harness.core.errors import DeviceError, ModelError
from harness.core.records import read_json
from harness.devices.device import Device
from harness.devices.session import SPINNING, OpenedSession
from harness.engine.passes import seeded_ids
from harness.results.enums import PlacementVerdict
from harness.results.replies import Placement

INSTALL = "pip install 'ondevice-bench[genai]'"


SPARE_TOKENS = 16  # that the runtime holds beside a window at least; seen with 0.18


@dataclass(frozen=True, slots=True, kw_only=True)
class GenaiModel(OpenedSession):
    """A loaded model; `session` is onnxruntime-genai's, which tells nothing of its nodes.

    Attributes:
        rewinds: whether a generator goes back; one with states, or with caches of windows, does
            not, or only until they are full.
        window_tokens: what sliding layers hold, where the configuration does not say which; None:
            it says, or there are none.
        context_tokens: the longest sequence that the configuration allows; None: it does not say.
    """

    rewinds: bool
    window_tokens: int | None
    context_tokens: int | None = None

    def refuse_changed(self) -> None:
        """Do nothing: there is no list of providers to look at again."""


def open_model(folder: Path, device: Device, threads: int) -> GenaiModel:
    """Load a folder with a genai_config.json on the CPU; only the load is timed.

    Raises:
        DeviceError: onnxruntime-genai is not installed.
        ModelError: the configuration cannot be read.
    """
    try:
        import onnxruntime_genai as genai
    except ImportError as error:
        raise DeviceError("--runtime genai needs onnxruntime-genai", fix=INSTALL) from error
    config = genai.Config(str(folder))  # which refuses what it does not understand
    described = read_json(folder / GENAI_FILE, f"{folder.name}/{GENAI_FILE}")["model"]
    decoder = described["decoder"]
    window = decoder.get("sliding_window")
    states = {"past_conv_names", "past_recurrent_names"} & decoder.get("inputs", {}).keys()
    config.clear_providers()
    options = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
    start_ns = time.perf_counter_ns()
    model = genai.Model(config)
    load_ns = time.perf_counter_ns() - start_ns
    return GenaiModel(
        model,
        device,
        threads,
        SPINNING,
        load_ns,
        Placement(verdict=PlacementVerdict.UNKNOWN),
        rewinds=not window and not states,
        window_tokens=window.get("window_size") if window and window.get("layers") == [] else None,
        context_tokens=described.get("context_length"),
    )


def _refuse_no_layers(opened: GenaiModel, capacity_tokens: int) -> None:
    """Refuse more tokens than a window holds whose layers are not said: the run would end there."""
    if opened.window_tokens is None or capacity_tokens <= opened.window_tokens + SPARE_TOKENS:
        return
    raise ModelError(
        f"its {GENAI_FILE} says a window of {opened.window_tokens} tokens and an empty list of"
        f" layers that have it, with which onnxruntime-genai fails on {capacity_tokens} tokens",
        fix=f"delete sliding_window from {GENAI_FILE}, or export the model again with"
        " windowed_kv_cache=false among its extra options",
    )


class GenaiDecoder:
    """One sequence; greedy, and never at an end of text.

    A generator that cannot go back is left, and another one reads the tokens up to there again.
    """

    def __init__(self, opened: GenaiModel, vocab_size: int, capacity_tokens: int) -> None:
        """Begin with an empty cache for `capacity_tokens`, and the token that follows them.

        Raises:
            ModelError: a configuration that says a window and no layer that has it, and more
                tokens than the runtime takes then.
        """
        _refuse_no_layers(opened, capacity_tokens)
        self._opened = opened
        most = capacity_tokens + 1
        self._most_tokens = min(most, opened.context_tokens or most)
        self._generator = self._begin()
        self._fed: NDArray[np.int64] = np.zeros((1, 1), np.int64)
        self._has_chosen = False  # the last token was chosen, and not yet run
        self.vocab_size = vocab_size
        self.batch = 1
        self.next_ids: NDArray[np.int64] = np.zeros(1, np.int64)
        self.cache_memory: str | None = None

    def _begin(self) -> Any:
        """A generator over an empty cache."""
        import onnxruntime_genai as genai

        parameters = genai.GeneratorParams(self._opened.session)
        most = self._most_tokens
        parameters.set_search_options(max_length=most, min_length=most, do_sample=False)
        return genai.Generator(self._opened.session, parameters)

    @property
    def sessions(self) -> Sequence[OpenedSession]:
        """The one model."""
        return (self._opened,)

    @property
    def last_logits(self) -> NDArray[np.float32]:
        """The logits that are there [1, vocab], a copy; after a choice, of a run over its token.

        The runtime makes that run when it is asked: nothing timed may follow without a rewind.
        """
        found: NDArray[np.float32] = self._generator.get_logits()[:, -1]
        return found

    def touch_cache(self) -> None:
        """Do nothing: the runtime writes all of its cache as it makes it."""

    def fill(self, depth_tokens: int, seed: int) -> None:
        """Read seeded tokens up to `depth_tokens`: there is no other way into this cache."""
        self.rewind(0)
        if depth_tokens:
            self._generator.append_tokens(seeded_ids(seed, 1, depth_tokens, self.vocab_size))

    def rewind(self, depth_tokens: int) -> None:
        """Forget every position from `depth_tokens` on."""
        if self._opened.rewinds:
            self._generator.rewind_to(depth_tokens)
        elif self._has_chosen or depth_tokens != self._generator.token_count():
            tokens = np.asarray(self._generator.get_sequence(0), np.int64)[:depth_tokens]
            del self._generator  # its cache, before there is another
            self._generator = self._begin()
            if depth_tokens:
                self._generator.append_tokens(tokens[np.newaxis])
        self._has_chosen = False

    def feed(self, ids: NDArray[np.int64]) -> None:
        """Make the tokens [1, tokens] ready for the next run."""
        self._fed = ids

    def run(self) -> None:
        """The run alone."""
        self._generator.append_tokens(self._fed)

    def pick_greedy(self) -> None:
        """Make the most probable token the next one."""
        self._generator.generate_next_token()
        self._has_chosen = True

    def greedy_step(self) -> None:
        """Run over the chosen token, or over `next_ids` after a rewind, and choose."""
        if not self._has_chosen:
            self._generator.append_tokens(self.next_ids[:, np.newaxis])
        self.pick_greedy()

    def prepare_steps(self, first_tokens: int, steps: int) -> None:
        """Do nothing: the generator makes ready what it needs."""

    def chosen(self, first_tokens: int, count: int) -> NDArray[np.int64]:
        """The tokens at these positions [count, 1], a copy."""
        sequence = np.asarray(self._generator.get_sequence(0), np.int64)
        return sequence[first_tokens : first_tokens + count, np.newaxis].copy()

    def prefill(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Feed and run; the last token's logits [1, 1, vocab]."""
        self.feed(ids)
        self.run()
        return self.last_logits[:, np.newaxis]

    def download(self) -> NDArray[Any]:
        """The logits: the cache itself is not shown."""
        return self.last_logits
