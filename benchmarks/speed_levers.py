"""Which form of a graph, or option of a session, is faster on this machine? Many at once, in turns.

    python benchmarks/speed_levers.py smollm2-135m --threads 1 int4 int4-b128 int4+gate_up \
        "int4 session.dynamic_block_base=4"

Every variant is one argument: a level or an ad-hoc one (`4b128zf:8b32`: body of 4 bits in blocks of
128 or less that fit, with zero points, head of 8 bits in blocks of 32), then edits of its graph
(EDITS), then entries of the session's configuration and `env.NAME=value`. The first is the base,
opened twice: all are held against the mean of both, and what these differ by is noise.

All are open in one process and take turns, a few steps and a prompt at a time, in an order drawn
anew each round; a variant's value in a process is the median over rounds of ln(base / variant), and
the interval is Student's over fresh processes. `--profile` says instead where each one's time goes.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from harness.builder.graph.decoder import build_decoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import GRAPH_FILE
from harness.builder.quantize.levels import (
    ROUNDING,
    Form,
    MatrixFormat,
    Method,
    QuantLevel,
    level_called,
)
from harness.core.units import NS_PER_US
from harness.devices import placement
from harness.devices.device import find_device
from harness.devices.session import OpenedSession, session_options
from harness.engine.decoder import DecoderSession
from harness.engine.passes import seeded_ids
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import ModelSource, resolve_model
from harness.stats.intervals import log_t_interval
from harness.store.cache import default_cache

DROPPED_STEPS = 2  # of a turn: they bring the weights back into the processor's caches
REST_S = 0.2  # behind a session whose threads go on spinning
_AD_HOC = re.compile(
    r"(?:(?P<bits>[248])b(?P<block>\d+)(?P<zeros>z?)(?P<search>k?)(?P<fits>f?))|(?P<channel>8c)"
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing that is tried.

    Attributes:
        words: as it was asked for.
        level: how its weights are stored.
        edits: of its graph, in order.
        entries: of the session's configuration.
        env: variables that are set while its session is made.
    """

    words: str
    level: QuantLevel
    edits: tuple[str, ...]
    entries: Mapping[str, str]
    env: Mapping[str, str]

    @property
    def spins(self) -> bool:
        """Whether its threads go on spinning when it is another one's turn."""
        return self.entries.get("session.force_spinning_stop") == "0"


def variant_of(words: str) -> Variant:
    """Read one argument."""
    first, *pairs = words.split()
    name, *edits = first.split("+")
    entries = dict(pair.split("=", 1) for pair in pairs)
    env = {key[4:]: entries.pop(key) for key in list(entries) if key.startswith("env.")}
    unknown = [edit for edit in edits if edit not in EDITS]
    if unknown:
        raise SystemExit(f"no edit is called {unknown[0]!r}; one of: {', '.join(EDITS)}")
    return Variant(words, _level(name), tuple(edits), entries, env)


def _level(name: str) -> QuantLevel:
    """A level of the table, or one that is described by its name."""
    found = level_called(name)
    if found is not None:
        return found
    body, _, head = name.partition(":")
    return QuantLevel(name, name, _format(body), _format(head or body))


def _format(words: str) -> MatrixFormat:
    found = _AD_HOC.fullmatch(words)
    if found is None:
        raise SystemExit(f"{words!r} is no level, and none like 4b128, 4b128z, 4b64zk, 8b32 or 8c")
    if found["channel"]:
        return MatrixFormat(Form.CHANNEL, 8)
    method = Method.SEARCH if found["search"] else Method.NEAREST
    bits, block = int(found["bits"]), int(found["block"])
    return MatrixFormat(
        Form.BLOCK, bits, block, ROUNDING, bool(found["zeros"]), method, fits=bool(found["fits"])
    )


# --- edits of a graph ---


class Edited:
    """A graph that is changed node by node; new weights are kept inside it."""

    def __init__(self, model: onnx.ModelProto, folder: Path) -> None:
        """Index its nodes and weights."""
        self.graph = model.graph
        self._folder = folder
        self._stored = {one.name: one for one in model.graph.initializer}
        key = next(one for one in self.graph.input if one.name.endswith(".key"))
        self.head_dim = key.type.tensor_type.shape.dim[3].dim_value

    def made_by(self) -> dict[str, onnx.NodeProto]:
        """The node of each value."""
        return {name: node for node in self.graph.node for name in node.output}

    def is_stored(self, name: str) -> bool:
        """Whether a value is a weight."""
        return name in self._stored

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """The values of a weight."""
        return numpy_helper.to_array(self._stored[name], str(self._folder))

    def keep(self, name: str, values: np.ndarray[Any, Any]) -> str:
        """Add a weight."""
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def rewrite(self, change: Callable[[onnx.NodeProto], list[onnx.NodeProto] | None]) -> None:
        """Put what `change` gives in the place of each node; None: it stays."""
        kept: list[onnx.NodeProto] = []
        for node in list(self.graph.node):
            new = change(node)
            kept += [node] if new is None else new
        del self.graph.node[:]
        self.graph.node.extend(kept)


def gate_up(edited: Edited) -> None:
    """Gate and up as one product, cut in two behind it."""
    ups = {
        node.output[0].replace(".up_proj.", ".gate_proj."): node
        for node in edited.graph.node
        if ".up_proj." in node.output[0] and node.op_type in PRODUCTS
    }
    gone = {up.output[0] for up in ups.values()}

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        name = node.output[0]
        if name in gone:
            return []
        if name not in ups:
            return None
        up, axis = ups[name], outputs_axis(node)
        for place, (mine, other) in enumerate(zip(node.input, up.input, strict=True)):
            if place and edited.is_stored(mine):
                arrays = [edited.array(mine), edited.array(other)]
                both = np.concatenate(arrays, axis if arrays[0].ndim > 1 else 0)
                node.input[place] = edited.keep(f"{mine}.with_up", both)
        node.output[0] = f"{name}.with_up"
        set_integer(node, "N", 2)
        outputs = [name, up.output[0]]
        return [node, helper.make_node("Split", [node.output[0]], outputs, axis=-1, num_outputs=2)]

    edited.rewrite(change)


def outputs_axis(node: onnx.NodeProto) -> int:
    """Along which axis the outputs of a product's weights lie."""
    return 0 if node.op_type == "MatMulNBits" else 1


def set_integer(node: onnx.NodeProto, name: str, times: float) -> None:
    """Multiply an attribute, where there is one."""
    for attribute in node.attribute:
        if attribute.name == name:
            attribute.i = round(attribute.i * times)


PRODUCTS = ("MatMul", "MatMulNBits", "DynamicQuantizeMatMul")


def rotary_before(edited: Edited) -> None:
    """Rotation by nodes of their own, before an attention that turns nothing."""
    node = helper.make_node
    first = [
        node("Shape", ["input_ids"], ["turned.tokens"], start=1),
        node("Sub", ["mask.tokens", "turned.tokens"], ["turned.first"]),
    ]

    def change(one: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if one.op_type != "GroupQueryAttention":
            return [one, *first] if one.output[0] == "mask.tokens" else None
        kind = {attribute.name: attribute.i for attribute in one.attribute}
        heads, keys, width = kind["num_heads"], kind["kv_num_heads"], edited.head_dim
        packed, name = one.input[0], one.output[0]
        sizes = edited.keep(f"{name}.sizes", np.array([heads, keys, keys]) * width)
        parts = [f"{name}.{letter}" for letter in "qkv"]
        tables = list(one.input[7:9])
        turned = [
            node(
                "RotaryEmbedding",
                [part, "turned.first", *tables],
                [f"{part}.turned"],
                domain="com.microsoft",
            )
            for part in parts[:2]
        ]
        for place, part in enumerate((f"{parts[0]}.turned", f"{parts[1]}.turned", parts[2])):
            one.input[place] = part
        del one.input[7:9]
        next(a for a in one.attribute if a.name == "do_rotary").i = 0
        return [node("Split", [packed, sizes], parts, axis=-1), *turned, one]

    edited.rewrite(change)


def one_expert(edited: Edited) -> None:
    """The whole block as one node: QMoE with a single expert."""
    made = edited.made_by()
    names = {
        name.removesuffix(".gated")
        for name in made
        if name.endswith(".mlp.gated") and made[name].op_type == "Mul"
    }
    gone = {f"{name}.{part}" for name in names for part in ("sigmoid", "silu", "gated")}
    gone |= {f"{name}.{part}_proj.product" for name in names for part in ("gate", "up")}

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        name = node.output[0]
        if name in gone:
            return []
        block = name.removesuffix(".down_proj.product")
        if block not in names:
            return None
        gate, up = (made[f"{block}.{part}_proj.product"] for part in ("gate", "up"))
        arrays = []
        for place in (1, 2):
            pair = [edited.array(one.input[place]) for one in (gate, up)]
            both = np.stack([one.reshape(len(one), -1) for one in pair], axis=1)
            arrays.append(both.reshape(1, -1, both.shape[-1]))
        down = [edited.array(node.input[place]) for place in (1, 2)]
        arrays += [one.reshape(1, len(one), -1) for one in down]
        inputs = [edited.keep(f"{block}.{where}", array) for where, array in enumerate(arrays)]
        kind = {attribute.name: attribute.i for attribute in node.attribute}
        first, last = helper.make_node, [gate.input[0], f"{block}.router"]
        zero, shape = (
            edited.keep(f"{block}.{word}", np.array(value, np.int64))
            for word, value in (("zero", 0), ("rows", [-1, 1]))
        )
        return [
            first("Gather", [gate.input[0], zero], [f"{block}.some"], axis=-1),
            first("Reshape", [f"{block}.some", shape], [f"{block}.router"]),
            first(
                "QMoE",
                [*last, inputs[0], inputs[1], "", inputs[2], inputs[3]],
                [name],
                domain="com.microsoft",
                k=1,
                activation_type="swiglu",
                swiglu_fusion=1,
                activation_alpha=1.0,
                activation_beta=0.0,
                expert_weight_bits=kind["bits"],
                block_size=kind["block_size"],
                accuracy_level=ROUNDING,
            ),
        ]

    edited.rewrite(change)


def add_then_norm(edited: Edited) -> None:
    """The sum of the residual stream and its norm as two nodes."""

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type != "SkipSimplifiedLayerNormalization":
            return None
        total = node.output[3] if len(node.output) > 3 and node.output[3] else f"{node.name}.sum"
        epsilon = next(one.f for one in node.attribute if one.name == "epsilon")
        return [
            helper.make_node("Sum", list(node.input[:2]), [total]),
            helper.make_node(
                "SimplifiedLayerNormalization",
                [total, node.input[2]],
                [node.output[0]],
                axis=-1,
                epsilon=epsilon,
                stash_type=1,
            ),
        ]

    edited.rewrite(change)


def qkv_apart(edited: Edited) -> None:
    """Query, key and value as three products."""
    attention = {
        node.input[0]: node for node in edited.graph.node if node.op_type == "GroupQueryAttention"
    }

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        name = node.output[0]
        if name not in attention or node.op_type not in PRODUCTS:
            return None
        kind = {one.name: one.i for one in attention[name].attribute}
        heads, keys, axis = kind["num_heads"], kind["kv_num_heads"], outputs_axis(node)
        parts = []
        for where, letter in enumerate("qkv"):
            one = onnx.NodeProto()
            one.CopyFrom(node)
            one.output[0] = one.name = f"{name}.{letter}"
            for place, stored in enumerate(node.input):
                if place and edited.is_stored(stored):
                    array = edited.array(stored)
                    along = axis if array.ndim > 1 else 0
                    cuts = np.array([heads, heads + keys]) * edited.head_dim
                    part = np.split(array, cuts, along)[where]
                    one.input[place] = edited.keep(f"{stored}.{letter}", part)
            set_integer(one, "N", (heads if letter == "q" else keys) / (heads + 2 * keys))
            attention[name].input[where] = one.output[0]
            parts.append(one)
        return parts

    edited.rewrite(change)


EDITS: dict[str, Callable[[Edited], None]] = {
    "gate_up": gate_up,
    "rotary_before": rotary_before,
    "one_expert": one_expert,
    "add_then_norm": add_then_norm,
    "qkv_apart": qkv_apart,
}


# --- one process ---


def built(source: ModelSource, level: QuantLevel) -> Path:
    """The folder of a model, built where it is missing."""
    if not hasattr(source.spec, "layers"):
        raise SystemExit(f"{source.name} is no decoder")
    folder = default_cache() / "levers" / f"{source.name}-{level.name.replace(':', '_')}"
    if not (folder / "whole").exists():
        folder.mkdir(parents=True, exist_ok=True)
        build_decoder(source.spec, level, open_weights(source, 0), folder)
        (folder / "whole").touch()
    return folder


def opened(
    source: ModelSource, variant: Variant, threads: int, profile_to: Path | None = None
) -> OpenedSession:
    """A session of a variant."""
    folder = built(source, variant.level)
    model = onnx.load(folder / GRAPH_FILE, load_external_data=False)
    edited = Edited(model, folder)
    for edit in variant.edits:
        EDITS[edit](edited)
    options = session_options(threads, stop_spinning=True)
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    if profile_to is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_to / "profile")
    for key, value in variant.entries.items():
        options.add_session_config_entry(key, value)
    os.environ.update(variant.env)
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, ["CPUExecutionProvider"], enable_fallback=0
        )
    finally:
        for name in variant.env:
            del os.environ[name]
    device = find_device("cpu")
    return OpenedSession(session, device, threads, True, 1, placement.place([], device.provider))


class Taking:
    """One open variant, whose turn it is from time to time."""

    def __init__(self, source: ModelSource, variant: Variant, asked: argparse.Namespace) -> None:
        """Open it and allocate its cache."""
        self.variant = variant
        capacity = asked.depth + max(asked.prompt, 1 + asked.steps + DROPPED_STEPS)
        geometry = geometry_of(source.spec, variant.level)  # type: ignore[arg-type]
        self._decoder = DecoderSession(
            opened(source, variant, asked.threads), geometry, 1, capacity
        )
        self._prompt = seeded_ids(1, 1, asked.prompt, geometry.vocab_size)
        self._depth, self._steps = asked.depth, asked.steps
        self._decoder.fill(asked.depth, 1)
        self._decoder.prepare_steps(asked.depth, asked.steps + DROPPED_STEPS)

    def step_us(self) -> float:
        """Median step of a turn."""
        self._decoder.rewind(self._depth)
        took = []
        for _ in range(self._steps + DROPPED_STEPS):
            start_ns = time.perf_counter_ns()
            self._decoder.greedy_step()
            took.append(time.perf_counter_ns() - start_ns)
        return median(took[DROPPED_STEPS:]) / NS_PER_US

    def prompt_us(self) -> float:
        """One prompt."""
        self._decoder.rewind(0)
        self._decoder.feed(self._prompt)
        start_ns = time.perf_counter_ns()
        self._decoder.run()
        return (time.perf_counter_ns() - start_ns) / NS_PER_US

    def logits(self) -> np.ndarray[Any, Any]:
        """Of the prompt, to see that it is the same model still."""
        self.prompt_us()
        return self._decoder.last_logits.copy()


def one_process(asked: argparse.Namespace) -> None:
    """Print one line: for each test and variant the logarithm of base / variant, and its us."""
    source = resolve_model(asked.model)
    random.seed(asked.child)
    variants = [variant_of(words) for words in (asked.variants[0], *asked.variants)]
    taking = [Taking(source, variant, asked) for variant in variants]
    first = taking[0].logits()
    cosines = [] if asked.child else [cosine(first, one.logits()) for one in taking]
    tests = {"step": Taking.step_us, "prompt": Taking.prompt_us}
    tests = {name: tests[name] for name in asked.tests.split(",")}
    found: dict[str, list[list[float]]] = {name: [[] for _ in taking] for name in tests}
    for one in taking:
        one.step_us()
    end_s, rounds = time.monotonic() + asked.seconds, 0
    while time.monotonic() < end_s or rounds < 3:
        for name, test in tests.items():
            if name == "prompt" and rounds % asked.prompt_every:
                continue
            order = list(range(len(taking)))
            random.shuffle(order)
            for place_of in order:
                found[name][place_of].append(test(taking[place_of]))
                if taking[place_of].variant.spins:
                    time.sleep(REST_S)
        rounds += 1
    answer = {
        name: [
            {"log": held_against(values[0], values[1], mine), "us": median(mine)} for mine in values
        ]
        for name, values in found.items()
    }
    print(json.dumps({"rounds": rounds, "cosines": cosines, "tests": answer}))


def held_against(base: list[float], again: list[float], mine: list[float]) -> float:
    """Median over rounds of ln(base / mine), the base being the mean of its two sessions."""
    turns = zip(base, again, mine, strict=True)
    return median((log(one) + log(two)) / 2 - log(us) for one, two, us in turns)


def cosine(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """Of two rows of logits."""
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


# --- profiles ---


def profiled(asked: argparse.Namespace) -> None:
    """Print where the time of a step and of a prompt goes, variant by variant."""
    source = resolve_model(asked.model)
    print("| variant | test | operator | us | share | calls |")
    print("|---|---|---|---|---|---|")
    for words in asked.variants:
        for test in asked.tests.split(","):
            for line in profile_rows(source, variant_of(words), test, asked):
                print(f"| {words} | {test} | {line} |", flush=True)


def profile_rows(
    source: ModelSource, variant: Variant, test: str, asked: argparse.Namespace
) -> Iterator[str]:
    """Operators of one run, the slowest first."""
    with tempfile.TemporaryDirectory() as folder:
        session = opened(source, variant, asked.threads, Path(folder))
        geometry = geometry_of(source.spec, variant.level)  # type: ignore[arg-type]
        decoder = DecoderSession(session, geometry, 1, asked.depth + asked.prompt + 1)
        decoder.fill(asked.depth, 1)
        tokens = 1 if test == "step" else asked.prompt
        ids = seeded_ids(1, 1, tokens, geometry.vocab_size)
        for _ in range(40 if test == "step" else 6):
            decoder.rewind(asked.depth if test == "step" else 0)
            decoder.feed(ids)
            decoder.run()
        events = json.loads(Path(session.session.end_profiling()).read_text(encoding="utf-8"))
    events = placement.warm_events(events, skip_share=0.5)
    runs = [event["dur"] for event in events if event.get("name") == "model_run"]
    spent: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event.get("args", {}).get("provider"):
            kind = event["args"].get("op_name", "?")
            name = event["name"].removesuffix("_kernel_time")
            part = re.sub(r"model\.layers\.\d+\.|\.product$", "", name)
            kind = f"{kind} {part}" if kind in PRODUCTS else kind
            spent[kind] += event["dur"]
            calls[kind] += 1
    total = spent.total()
    yield f"(run) | {median(runs):.0f} | | {len(runs)}"
    for kind, us in spent.most_common(14):
        yield f"{kind} | {us / len(runs):.0f} | {us / total:.1%} | {calls[kind] // len(runs)}"


# --- all processes ---


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("variants", nargs="+", help="the base first")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--budget", type=float, help="begin no further process after so many s")
    parser.add_argument("--seconds", type=float, default=10.0, help="of turns in each process")
    parser.add_argument("--tests", default="step,prompt")
    parser.add_argument("--depth", type=int, default=16, help="of the cache before a step")
    parser.add_argument("--steps", type=int, default=10, help="of a turn")
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--prompt-every", type=int, default=1, help="rounds")
    parser.add_argument("--build", action="store_true", help="only build what is missing")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.build:
        for words in asked.variants:
            built(resolve_model(asked.model), variant_of(words).level)
    elif asked.profile:
        profiled(asked)
    elif asked.child is not None:
        one_process(asked)
    else:
        all_processes(asked)


def all_processes(asked: argparse.Namespace) -> None:
    """Ask fresh processes and print what they say together."""
    answers: list[dict[str, Any]] = []
    begun_s = time.monotonic()
    for number in range(asked.processes):
        spent_s = time.monotonic() - begun_s
        if asked.budget and number and spent_s * (1 + 1 / number) > asked.budget:
            break  # the next one would end behind it
        words = [sys.executable, __file__, *sys.argv[1:], "--child", str(number)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    names = [f"{asked.variants[0]} (base)", "the base again", *asked.variants[1:]]
    print("| model | threads | variant | test | us | faster by | 95 % | cosine |")
    print("|---|---|---|---|---|---|---|---|")
    for test in answers[0]["tests"]:
        for place_of, name in enumerate(names):
            values = [answer["tests"][test][place_of] for answer in answers]
            us = exp(fmean(log(value["us"]) for value in values))
            ratios = [exp(value["log"]) for value in values]
            span = "–"
            if len(ratios) > 1:
                found = log_t_interval(ratios)
                span = f"{found.low:.3f} to {found.high:.3f}"
            ratio = exp(fmean(map(log, ratios)))
            alike = answers[0]["cosines"][place_of]
            row = (asked.model, asked.threads, name, test, f"{us:.0f}", f"{ratio:.3f}", span)
            print(f"| {' | '.join(map(str, row))} | {alike:.5f} |", flush=True)
    print(f"{len(answers)} processes, {answers[0]['rounds']} rounds in the first")


if __name__ == "__main__":
    main()
