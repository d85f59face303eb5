"""The keywords of `harness.run`: every key of a plan with the types that it takes from Python."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

Words = str | Sequence[str]
Numbers = int | str | Sequence[int]
Seconds = float | str


class RunFlags(TypedDict, total=False):
    """What `harness.run` takes by keyword: the flags of `bench run`, and what only plans say.

    Lists may be text as on the command line (`"fp32,int4"`, `"8-64*2"`) or sequences. A keyword
    that is not given keeps the value of the plan.

    Attributes:
        model: catalog names, Hugging Face folders, `hf:org/name`, exported files or folders.
        quant: quantization levels, as `bench levels` lists them; `usual`, `sweep`.
        kv_cache: types of cached keys and values: `auto`, `fp32`, `fp16`, `int8`, `int4`.
        activations: `rounded`, or `exact`: a row more for each level that rounds them per block.
        device: `cpu`, `gpu`, `npu`, `auto`, or rows of `bench devices`; `gpu:1`.
        ep: rows that may serve a device class.
        ep_option: provider options, `name=value`.
        session_option: options of every session, `name=value`.
        allow_simulated: emulate a device that is not there; rows are marked.
        allow_fallback: keep rows whose arithmetic did not all run on the device.
        runtime: `ort`, our own loop; `genai`, that of onnxruntime-genai; `llama.cpp`;
            `http://...`, a server.
        prepack: when kernels copy weights: `off`, at each load; `on`, once and saved beside the
            model; `parallel`, at each load on all threads.
        telemetry: `off`, or `default`: onnxruntime's as its wheels have it.
        profile: also take where the time goes, in a process of its own.
        prompt: lengths of prefill tests, tokens.
        gen: lengths of decode tests, tokens.
        pg: request tests, (prompt, generated) tokens: `"128,64"` or pairs.
        turns: turns of a chat, (turns, prompt, generated) tokens: `"4x128+64"` or triples.
        enc: encoder tests, (tokens, texts): `"128x8"` or pairs.
        img: vision tests, images at once.
        aud: sound tests, (seconds, sounds): `"10x1"` or pairs.
        dim: sizes of free dimensions of an exported graph, `name=size`.
        input: values of inputs of an exported graph that no test feeds, `name=value`.
        graph_inputs: weights of an exported graph that are inputs too: `frozen` or `as-is`.
        depth: tokens in the cache before prefill and decode tests.
        prefill_chunk: tokens of a prompt that are read at once; 0: all of them.
        capacity: positions that a decoder's cache is allocated for; `tests`: what the tests need;
            `max`: all that the model takes.
        batch: sequences at once, of decoders.
        threads: intra-op threads; `all`: every usable physical core.
        rounds: fresh processes per row.
        budget: no further round is begun after so many seconds; `"5m"`.
        precision: rounds are added until every 95 % interval is within this half-width, a share of
            the value: 0.05 or `"5%"`.
        max_rounds: most rounds with a precision.
        cooldown: seconds of rest before each process; `"30s"`.
        start_below: degrees Celsius that the hottest sensor is below before each process; `"45C"`,
            `"113F"`.
        interleave: sessions one after the other in each round, or all open and interleaved
            pass by pass.
        sustain: seconds that every test runs without a rest besides; `"10m"`.
        require: limits that rows have to keep: `"decode>=20, ttft<=800ms"`, or a mapping;
            `harness.judge` says whether they do.
        seed: of weights, prompts and orders.
        calibrate: measure this machine's hardware peaks first where none are stored.
        quality: compare every level with its model at fp32, on fixed tokens.
        sensitivity: rank groups of matrices by what each loses at a level, per MiB saved.
        reference: model that quality is compared with, instead of each model at fp32.
        text: what quality is measured on: `english`, `korean` or a file.
        tasks: questions with choices that every level answers: `builtin` or a file.
        warm_seconds: longest warm-up of one test in one process.
        sample_seconds: shortest timed part of one test in one process.
        min_passes: fewest timed passes of one test in one process.
        timeout: seconds after which a silent worker is ended.
    """

    model: Words
    quant: Words
    kv_cache: Words
    activations: Literal["rounded", "exact"]
    device: Words
    ep: Words
    ep_option: Words
    session_option: Words
    allow_simulated: bool
    allow_fallback: bool
    runtime: Words
    prepack: Words
    telemetry: Literal["off", "default"]
    profile: bool
    prompt: Numbers
    gen: Numbers
    pg: Words | Sequence[tuple[int, int]]
    turns: Words | Sequence[tuple[int, int, int]]
    enc: Words | Sequence[tuple[int, int]]
    img: Numbers
    aud: Words | Sequence[tuple[float, int]]
    dim: Words
    input: Words
    graph_inputs: Literal["frozen", "as-is"]
    depth: Numbers
    prefill_chunk: Numbers
    capacity: Numbers
    batch: Numbers
    threads: int | str | Sequence[int | str]
    rounds: int
    budget: Seconds
    precision: float | str
    max_rounds: int
    cooldown: Seconds
    start_below: float | str
    interleave: Literal["rounds", "turns"]
    sustain: Seconds
    require: Words | Mapping[str, str]
    seed: int
    calibrate: bool
    quality: bool
    sensitivity: bool
    reference: str
    text: str
    tasks: str
    warm_seconds: Seconds
    sample_seconds: Seconds
    min_passes: int
    timeout: Seconds
