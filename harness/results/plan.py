"""What was asked for, as journals and documents keep it, and how far it came.

A plan has the keys of the plan file that it came from and of the flags that replaced them. A path
is its last component. A key that a document does not have was left at its usual value.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from harness.results.enums import Ending
from harness.results.fitted import Fitted
from harness.stats.stopping import NO_LOOKS, Looks, looks_of


class PlanCells(msgspec.Struct, frozen=True, kw_only=True):
    """Lists whose product are the cells of a plan, or of one of its parts.

    Attributes:
        model: catalog names or paths.
        quant: level names.
        kv_cache: cache level names; `auto` is the float type of the weight level.
        device: device names.
        runtime: what runs a model: `ort`, our own loop; `genai`, that of onnxruntime-genai;
            `llama.cpp`; the address of a server, without the host of another machine.
        prepack: when kernels copy weights: `off`, at each load; `on`, once and saved; `parallel`.
        prompt: lengths of prefill tests, tokens.
        gen: lengths of decode tests, tokens.
        pg: (prompt, gen) of request tests, tokens.
        turns: (turns, prompt, gen) of chats, tokens.
        enc: (tokens, texts) of encoder tests; None: none are named, so an encoder runs the usual
            ones; empty: tests of decoders were asked for instead.
        depth: tokens already in the cache before prefill and decode tests.
        prefill_chunk: tokens of a prompt that are read at once; 0: all of them.
        capacity: positions that a decoder's cache is allocated for: numbers, `tests` (what they
            need), `max` (all that the model takes).
        batch: sequences at once, of decoders.
        threads: intra-op threads as typed; `all` is every usable physical core.
        img: images of vision tests at once; empty: the usual ones.
        aud: (seconds, sounds) of sound tests; empty: the usual ones.
    """

    model: tuple[str, ...] | UnsetType = UNSET
    quant: tuple[str, ...] | UnsetType = UNSET
    kv_cache: tuple[str, ...] | UnsetType = UNSET
    device: tuple[str, ...] | UnsetType = UNSET
    runtime: tuple[str, ...] | UnsetType = UNSET
    prepack: tuple[str, ...] | UnsetType = UNSET
    prompt: tuple[int, ...] | UnsetType = UNSET
    gen: tuple[int, ...] | UnsetType = UNSET
    pg: tuple[tuple[int, int], ...] | UnsetType = UNSET
    turns: tuple[tuple[int, int, int], ...] | UnsetType = UNSET
    enc: tuple[tuple[int, int], ...] | UnsetType | None = UNSET
    depth: tuple[int, ...] | UnsetType = UNSET
    prefill_chunk: tuple[int, ...] | UnsetType = UNSET
    capacity: tuple[str, ...] | UnsetType = UNSET
    batch: tuple[int, ...] | UnsetType = UNSET
    threads: tuple[str, ...] | UnsetType = UNSET
    img: tuple[int, ...] | UnsetType = UNSET
    aud: tuple[tuple[float, int], ...] | UnsetType = UNSET


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """What the precision of a plan came to.

    Attributes:
        precision: that was asked for: half-width of an interval, a share of its centre.
        rounds: the most that any session group had.
        wide: how many cells did not reach it.
        ended: by `precision`, `rounds` (the most that were allowed), `budget` or `interrupt`.
    """

    precision: float
    rounds: int
    wide: int
    ended: str


class CellMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a result of `bench cell` says of itself.

    Attributes:
        hash: of the cell file.
        machine: 16 hexadecimal digits over the machine's facts and its label; empty: no machine
            has measured the cell.
        label: what its operator calls the machine; empty: nothing.
        exit_code: that the measurement ended with.
    """

    hash: str
    machine: str = ""
    label: str = ""
    exit_code: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run came that did not come to its end in one go.

    Attributes:
        ended: how.
        cells: of the plan.
        whole: how many have all rounds and their memory, or failed.
        failed: how many failed, or lack a round or their memory for a worker that was lost.
        unmeasured: how many have nothing.
        rounds: that were asked for.
        resumed: times that it was gone on with.
        command: that goes on with it; empty: none is needed, or it is not known.
    """

    ended: Ending
    cells: int
    whole: int
    unmeasured: int
    rounds: int
    resumed: int = 0
    command: str = ""
    failed: int = 0


class RunPlan(PlanCells, frozen=True, kw_only=True):
    """What was asked for: of a plan with parts its cells are those of the parts alone.

    Attributes:
        rounds: fresh processes per session group.
        budget: seconds after which no further round is begun; None: no limit.
        precision: half-width of the 95 % interval, a share of the centre, that is narrow enough:
            rounds are added until every cell has it; None: just `rounds`. Its intervals are
            Student's of 98 %, or 96 % at the most rounds, so that stopping keeps their 95 %.
        max_rounds: most rounds with a precision.
        cooldown: seconds of rest before each process.
        start_below: degrees Celsius that the hottest sensor is below before each timed process, as
            far as it cools down; None: no wait.
        interleave: `rounds`: whole processes one after the other; `turns`: all sessions of a round
            are open and interleaved, pass by pass.
        sustain: seconds that every test runs without a rest, in a process of its own; None: not.
        seed: of weights, prompts and orders.
        warm_seconds: longest warm-up of one test in one process.
        sample_seconds: shortest timed part of one test in one process.
        min_passes: fewest timed passes of one test in one process.
        timeout: seconds after which a silent worker is ended.
        calibrate: measure this machine's hardware peaks first where none are stored.
        quality: compare every level with the fp32 reference of its model as well.
        sensitivity: rank groups of matrices by what each loses at a level, per MiB saved; asks
            for quality too.
        reference: model that quality is compared with, a catalog name or a folder; None: each model
            at fp32.
        text: that quality is measured on: `english`, `korean` or a path; None: the model's own
            held-out text, else English.
        tasks: questions with choices that every level answers: `builtin` or a path; asks for
            quality too; None: none.
        ep: keys of the provider rows that may serve a device class; empty: all.
        ep_option: provider options, `name=value`.
        session_option: options of every session, `name=value`.
        allow_simulated: run on emulation where there is no hardware; rows are marked.
        allow_fallback: keep rows whose arithmetic did not all run on the device; they say so.
        profile: take a profile of each row as well, in a process of its own.
        dim: sizes of free dimensions of exported graphs, by name.
        input: values of inputs of exported graphs that tests do not feed, by name.
        activations: `exact`: levels that round activations have a row more that does not.
        graph_inputs: what became of weights of exported graphs that are inputs too: `frozen` or
            `as-is`.
        telemetry: of onnxruntime in the processes that were measured: `off`, or `default`, as its
            wheels have it.
        require: limits that rows have to keep to, such as `decode>=20`.
        part: the cells, where they are more than one product of lists.
        fetched: where models of the hub came from, with their commits, by name.
        rounds_done: in which every session group was measured, or had failed before.
        effort: what `precision` came to.
        progress: how far the run came, where it did not end in one go.
        spent_s: seconds in `build`, `calibration`, `rounds`, `memory` and `quality`, over all parts
            of a run that was gone on with; of a part that was killed without its last seconds.
        fit: what `bench fit` found; absent of other runs.
        cell: of a plan that was measured cell by cell; absent of other runs.
        others: keys that this version does not know. In the file they stand among the rest.
    """

    rounds: int | UnsetType = UNSET
    budget: float | UnsetType | None = UNSET
    precision: float | UnsetType | None = UNSET
    max_rounds: int | UnsetType = UNSET
    cooldown: float | UnsetType = UNSET
    start_below: float | UnsetType | None = UNSET
    interleave: str | UnsetType = UNSET
    sustain: float | UnsetType | None = UNSET
    seed: int | UnsetType = UNSET
    warm_seconds: float | UnsetType = UNSET
    sample_seconds: float | UnsetType = UNSET
    min_passes: int | UnsetType = UNSET
    timeout: float | UnsetType = UNSET
    calibrate: bool | UnsetType = UNSET
    quality: bool | UnsetType = UNSET
    sensitivity: bool | UnsetType = UNSET
    reference: str | UnsetType | None = UNSET
    text: str | UnsetType | None = UNSET
    tasks: str | UnsetType | None = UNSET
    ep: tuple[str, ...] | UnsetType = UNSET
    ep_option: tuple[str, ...] | UnsetType = UNSET
    session_option: tuple[str, ...] | UnsetType = UNSET
    allow_simulated: bool | UnsetType = UNSET
    allow_fallback: bool | UnsetType = UNSET
    profile: bool | UnsetType = UNSET
    dim: tuple[tuple[str, int], ...] | UnsetType = UNSET
    input: tuple[tuple[str, float], ...] | UnsetType = UNSET
    graph_inputs: str | UnsetType = UNSET
    activations: str | UnsetType = UNSET
    telemetry: str | UnsetType = UNSET
    require: tuple[str, ...] | UnsetType = UNSET
    part: tuple[PlanCells, ...] | UnsetType = UNSET
    fetched: dict[str, str] | UnsetType = UNSET
    rounds_done: int | UnsetType = UNSET
    effort: Effort | UnsetType = UNSET
    progress: Progress | UnsetType = UNSET
    spent_s: dict[str, float] | UnsetType = UNSET
    fit: Fitted | UnsetType = UNSET
    cell: CellMark | UnsetType = UNSET
    others: dict[str, Any] = {}

    @property
    def looks(self) -> Looks:
        """After how many rounds of a group the width of its intervals decided on another one."""
        if not self.precision:
            return NO_LOOKS
        rounds = self.rounds or 0
        return looks_of(rounds, max(rounds, self.max_rounds or 0))
