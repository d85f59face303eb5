"""The registry: what every metric is. All that speaks of metrics filters this one table.

Summaries, tables, exporters, `bench compare`, gates, `bench ab` and the glossary take their names,
units, directions and words from here. A new metric is a row, and where it comes from samples a
function in values.py.
"""

from functools import cache, partial

from harness.results import values
from harness.results.enums import Kind
from harness.results.metric_row import (
    QUALITY_WORDS,
    SIZE_WORDS,
    MetricRow,
    Scale,
    Source,
)
from harness.results.schema import DECODE, ENCODE, GRAPH, IMAGE, PREFILL, REQUEST, SOUND, TURN

OF_TOKENS = (PREFILL, DECODE, REQUEST)
ANSWERS = (REQUEST, TURN)  # a prompt, then decoded tokens
DECODES = (DECODE, *ANSWERS)
# What a difference of quality must exceed, nats a token or share of tokens.
QUALITY_TOLERANCE = 0.01
# Standard deviation of ln peak_rss_bytes between fresh processes of one cell: memory is taken in
# one process a cell, so a side has no scatter of its own. Source: the 104 cells that both
# results/validation/first.json and again.json.xz hold give 0.0034, with wide tails (5 % of the
# pairs are more than 1.2 % apart), hence rounded up. Assumes: the system counts pages as Linux
# does.
PEAK_SCATTER_LN = 0.005

# What most rows of a kind have in common.
RATE = partial(MetricRow, more_is_better=True, scale=Scale.RATIO, headline=True, gate="slower")
TIME = partial(MetricRow, scale=Scale.RATIO)
ENERGY = partial(MetricRow, source=Source.COUNTERS, scale=Scale.RATIO, words=QUALITY_WORDS)
SUSTAINED = partial(
    MetricRow,
    source=Source.SUSTAIN,
    more_is_better=True,
    scale=Scale.RATIO,
    headline=True,
    gate="sustained",
)
SIZE = partial(MetricRow, source=Source.MEMORY, words=SIZE_WORDS)
PART = partial(SIZE, left_out="interpreter, libraries", signed=True)
SHARE = partial(MetricRow, source=Source.PEAKS, more_is_better=True)
TEXT = partial(MetricRow, source=Source.TEXT, more_is_better=True, kinds=DECODES)
QUALITY = partial(
    MetricRow,
    source=Source.QUALITY,
    kinds=(*OF_TOKENS, TURN),
    words=QUALITY_WORDS,
    scale=Scale.DIFFERENCE,
    tolerance=QUALITY_TOLERANCE,
)

# In the order of comparisons and of new records.
METRICS: tuple[MetricRow, ...] = (
    RATE(
        "prefill_tok_s",
        "tok/s",
        "batch * N / time of the pass of prefill_ms; over a server N / time to its first token.",
        "tokenization, sampling, load",
        kinds=(PREFILL, *ANSWERS),
        value=values.prefill_tok_s,
        judges=(PREFILL,),
        in_turns=(PREFILL,),
        column="tok/s",
    ),
    RATE(
        "decode_tok_s",
        "tok/s",
        "batch * (n - 1) / (t_last - t_first) in a request, the 2nd+ token rate; batch * n / time "
        "of n steps in a decode test. Total tokens over total time, never a mean of rates. Null "
        "for a request of one token.",
        "prefill",
        kinds=DECODES,
        value=values.decode_tok_s,
        judges=DECODES,
        null_where_missing=True,
        column="tok/s",
    ),
    RATE(
        "decode_step_tok_s",
        "tok/s",
        "batch / the median decode step of a turn: tok/s at the median step, which `bench ab` "
        "compares. In a decode test without the first step, which follows the other side's work. A "
        "rare slow step moves decode_tok_s, total tokens over total time, but not this.",
        "prefill, the first step of a decode test",
        kinds=DECODES,
        source=Source.TURNS,
        value=values.decode_step_tok_s,
        headline=False,
        in_turns=DECODES,
        once="decode_tok_s",
    ),
    RATE(
        "encode_seq_s",
        "sequences/s",
        "Texts of the test / time of the pass of encode_ms.",
        "tokenization, load",
        kinds=(ENCODE,),
        value=values.encode_seq_s,
        judges=(ENCODE,),
        in_turns=(ENCODE,),
        column="seq/s",
    ),
    RATE(
        "images_s",
        "images/s",
        "Images of the test / time of the pass of image_ms.",
        "decoding and scaling of images, load",
        kinds=(IMAGE,),
        value=values.images_s,
        judges=(IMAGE,),
        in_turns=(IMAGE,),
        column="images/s",
    ),
    RATE(
        "sound_s_per_s",
        "s/s",
        "Seconds of sound of the test / time of the pass of sound_ms: how many times faster "
        "than it is spoken.",
        "spectrograms that the graph does not make, load",
        kinds=(SOUND,),
        value=values.sound_s_per_s,
        judges=(SOUND,),
        in_turns=(SOUND,),
        column="sound s/s",
    ),
    RATE(
        "runs_s",
        "runs/s",
        "1 / run_ms.",
        kinds=(GRAPH,),
        value=values.runs_s,
        judges=(GRAPH,),
        in_turns=(GRAPH,),
        column="runs/s",
    ),
    TIME(
        "ttft_ms",
        "ms",
        "Time to first token: prefill and the choice of the first token (argmax), in a warm "
        "session, and of a turn with the cache kept. Requests and turns have it. Over a server "
        "client time: from a question that is about to be sent, over an open connection, to the "
        "first piece of text.",
        "tokenization, load",
        kinds=ANSWERS,
        value=values.ttft_ms,
        headline=True,
        judges=ANSWERS,
        gate="slower",
        in_turns=ANSWERS,
        column="TTFT ms",
    ),
    TIME(
        "reread_ttft_ms",
        "ms",
        "Time to first token of a turn whose cache was lost: all tokens before it and its prompt "
        "are read from an empty cache, in one run or in chunks. ttft_ms is the same with the "
        "cache kept; of the first turn both read the prompt alone.",
        "tokenization, load",
        kinds=(TURN,),
        value=values.reread_ttft_ms,
        headline=True,
        in_turns=(TURN,),
        column="reread TTFT ms",
    ),
    TIME(
        "load_ms",
        "ms",
        "Session creation: from the call to a usable session, model files warm in the page cache.",
        "process start, import of onnxruntime",
        value=values.load_ms,
        headline=True,
        of_session=True,
        gate="load",
        of_start=True,
        column="load ms",
    ),
    TIME(
        "compile_ms",
        "ms",
        "The cold load of a model whose compiled form the provider keeps (EP context): session "
        "creation with compilation and the writing of its result, once, in a process of its own. "
        "Kept beside the model and not measured again, so of one process; load_ms is then that "
        "of the compiled form.",
        "process start, import of onnxruntime",
        source=Source.COMPILING,
        scale=None,
        of_session=True,
        column="compile ms",
    ),
    TIME(
        "first_ms",
        "ms",
        "First run after load: kernel selection, arena growth. Stands in the record of the test "
        "that the session began with: the request, if there is one.",
        "load",
        value=values.first_ms,
        gate="first",
        of_start=True,
    ),
    TIME(
        "cold_ttft_ms",
        "ms",
        "load_ms + first prefill + first token, in a fresh process.",
        "process start",
        kinds=(REQUEST,),
        value=values.cold_ttft_ms,
        gate="first",
    ),
    TIME(
        "prefill_ms",
        "ms",
        "One pass over the N prompt tokens from an empty cache, or from the depth's cached tokens; "
        "over a server, which shows no such pass, the client's time to the first token.",
        "tokenization, sampling, load",
        kinds=(PREFILL, *ANSWERS),
        value=values.prefill_ms,
        times_pass="prefill",
    ),
    TIME(
        "tpot_ms",
        "ms/token",
        "Time per output token: (t_last - t_first) / (n - 1) in a request; in a decode test, whose "
        "first token is given, the time of n steps / n. Median over passes.",
        "first token",
        kinds=DECODES,
        value=values.tpot_ms,
        null_where_missing=True,
        times_pass="decode step",
    ),
    TIME(
        "e2e_ms",
        "ms",
        "A whole request: prefill and n tokens.",
        "tokenization, load",
        kinds=ANSWERS,
        value=values.e2e_ms,
        in_turns=ANSWERS,
    ),
    TIME(
        "encode_ms",
        "ms",
        "One pass of an encoder over all texts of the test, each of full length, up to their "
        "sentence embeddings.",
        "tokenization, load",
        kinds=(ENCODE,),
        value=values.encode_ms,
        times_pass="encode",
    ),
    TIME(
        "image_ms",
        "ms",
        "One pass of a vision model over all images of the test.",
        "decoding and scaling of images, load",
        kinds=(IMAGE,),
        value=values.encode_ms,
    ),
    TIME(
        "sound_ms",
        "ms",
        "One pass of a model of sound, or of a pair's encoder, over all sounds of the test.",
        "spectrograms that the graph does not make, load",
        kinds=(SOUND,),
        value=values.encode_ms,
    ),
    TIME(
        "real_time_factor",
        "s/s",
        "Time of the pass of sound_ms / seconds of sound of the test; of a pair that of the "
        "encoder.",
        "the decoder's steps, spectrograms that the graph does not make",
        kinds=(SOUND,),
        value=values.real_time_factor,
    ),
    TIME(
        "run_ms",
        "ms",
        "One run of a graph of any kind, on inputs of the declared shapes.",
        "load",
        kinds=(GRAPH,),
        value=values.encode_ms,
    ),
    TIME(
        "itl_slope_us_per_ktoken",
        "us/ktoken",
        "How much longer a decode step takes with 1000 more tokens in the cache: median slope of "
        "step time against depth. Only where a pass decodes at least 128 steps.",
        kinds=DECODES,
        value=values.itl_slope_us_per_ktoken,
        scale=None,
        signed=True,
    ),
    *(
        SUSTAINED(
            f"sustained_{rate}",
            unit,
            f"{rate} of a test that ran for --sustain without a rest: the median of the windows of "
            "its last quarter. Of one process; its interval is that of one, by the scatter of the "
            "row's short processes, which `processes` counts, and of those windows.",
            kinds=kinds,
        )
        for rate, unit, kinds in (
            ("prefill_tok_s", "tok/s", (PREFILL,)),
            ("decode_tok_s", "tok/s", DECODES),
            ("encode_seq_s", "sequences/s", (ENCODE,)),
            ("images_s", "images/s", (IMAGE,)),
            ("sound_s_per_s", "s/s", (SOUND,)),
            ("runs_s", "runs/s", (GRAPH,)),
        )
    ),
    ENERGY(
        "j_per_token",
        "J/token",
        "energy_j / the tokens of all sequences that the pass decodes; of a prefill, that it "
        "reads. A request's prompt is in its energy, not in its tokens.",
        "as energy_j",
        kinds=OF_TOKENS,
        value=values.j_per_token,
        headline=True,
        gate="energy",
        column="J/token",
    ),
    ENERGY(
        "j_per_sequence",
        "J/sequence",
        "energy_j / the texts that an encoder reads in the pass.",
        "as energy_j",
        kinds=(ENCODE,),
        value=values.j_per_sequence,
        headline=True,
        gate="energy",
        column="J/seq",
    ),
    ENERGY(
        "energy_j",
        "J",
        "Energy of one pass of the test: what counters of the processor packages (RAPL, Windows' "
        "energy meter, IOReport of Apple's chips) and of the graphics card used (NVML) count over "
        "the timed part / its passes; without them a battery that feeds the machine. Everything "
        "that runs on them meanwhile is included, and what they use when idle. A counter is read "
        "over an idle and a busy second first; where none follows load, the record says "
        "`unavailable` and why, never 0.",
        "what the counters do not cover: memory modules, screen, losses of the power supply; "
        "turns, whose pass reads twice",
        kinds=tuple(kind for kind in Kind if kind is not TURN),
        value=values.energy_j,
    ),
    SIZE(
        "peak_rss_bytes",
        "bytes",
        "The system's high-water mark of resident memory of a fresh worker that does nothing else "
        "and times nothing: VmHWM on Linux, ru_maxrss on macOS, the peak working set on Windows. "
        "Of a server on this machine: the sum of those of its processes, for all that they have "
        "done since they began; else not measured, and the record's `memory` says why.",
        "other processes",
        held=values.peak_rss_bytes,
        scale=Scale.RATIO,
        headline=True,
        known_scatter_ln=PEAK_SCATTER_LN,
        gate="memory",
        column="peak MiB",
    ),
    PART(
        "peak_delta_bytes",
        "bytes",
        "peak_rss_bytes minus the same worker's resident memory after its imports.",
        held=values.peak_delta_bytes,
    ),
    PART(
        "peak_delta_anonymous_bytes",
        "bytes",
        "The most memory that no file stands behind (prepacked copies, cache, buffers), looked at "
        "every 2 ms from before load to the end of the touched context, minus that after the "
        "imports of the same worker. Linux only.",
        held=values.peak_delta_anonymous_bytes,
        left_out="interpreter, libraries, what is there for less than 2 ms",
        scale=Scale.RATIO,
        known_scatter_ln=PEAK_SCATTER_LN,
        column="anon. MiB",
    ),
    PART(
        "load_delta_bytes",
        "bytes",
        "Resident memory after load minus that after the imports of the same worker.",
        held=values.memory_delta("loaded", "rss_bytes"),
    ),
    PART(
        "load_delta_anonymous_bytes",
        "bytes",
        "The part of load_delta_bytes that no file stands behind: prepacked copies, buffers.",
        held=values.memory_delta("loaded", "anonymous_bytes"),
    ),
    PART(
        "load_delta_file_bytes",
        "bytes",
        "The part of load_delta_bytes that maps files; the system may drop and read it again.",
        held=values.memory_delta("loaded", "file_bytes"),
    ),
    PART(
        "steady_delta_bytes",
        "bytes",
        "Resident memory after the touched context minus that after the imports of the worker.",
        held=values.memory_delta("steady", "rss_bytes"),
    ),
    PART(
        "steady_delta_anonymous_bytes",
        "bytes",
        "The part of steady_delta_bytes that no file stands behind.",
        held=values.memory_delta("steady", "anonymous_bytes"),
    ),
    PART(
        "steady_delta_file_bytes",
        "bytes",
        "The part of steady_delta_bytes that maps files.",
        held=values.memory_delta("steady", "file_bytes"),
        column="mapped MiB",
    ),
    SIZE(
        "device_bytes_peak",
        "bytes",
        "The most memory that the driver of the device held for the worker that takes memory and "
        "times nothing (NVML, Linux fdinfo), after load and after the touched context. Missing "
        "where nothing counts it; the record's `memory` says why.",
        "what was held between the two looks, other processes",
        held=values.device_bytes_peak,
        signed=True,
        scale=Scale.RATIO,
        column="device MiB",
    ),
    SIZE(
        "weights_bytes",
        "bytes",
        "Bytes of the initializers in the ONNX files, scales and zero points included. Counted, "
        "not measured.",
        "graph text",
        source=Source.FILES,
        scale=Scale.RATIO,
        headline=True,
        of_session=True,
        gate="memory",
        column="weights MiB",
    ),
    MetricRow(
        "read_parameters",
        "parameters",
        "Trained values that one token reads: of a mixture without the experts it leaves out, and "
        "without tables, which give one row. Counted, not measured.",
        source=Source.FILES,
        of_session=True,
    ),
    SIZE(
        "prepacked_bytes",
        "bytes",
        "Bytes of the copies of weights that kernels saved beside the graph (`--prepack on`); "
        "absent where none are saved. Counted, not measured.",
        "the weights themselves",
        source=Source.FILES,
        scale=Scale.RATIO,
        of_session=True,
        column="saved MiB",
    ),
    SIZE(
        "bits_per_weight",
        "bit",
        "8 * weights_bytes / parameters; the pooler of a BERT, which is not built, is left out.",
        source=Source.FILES,
        of_session=True,
        column="bits/w",
    ),
    SIZE(
        "kv_bytes_per_token",
        "bytes",
        "Bytes the cache grows by per token, at its stored type; in layers with a window until it "
        "is full.",
        source=Source.FILES,
        scale=Scale.RATIO,
        headline=True,
        of_session=True,
        gate="memory",
    ),
    SIZE(
        "cache_bytes",
        "bytes",
        "Bytes of the keys and values bound for the longest sequence of the test, all sequences of "
        "the batch; layers with a window keep little more than that. Absent without a cache.",
        source=Source.FILES,
        scale=Scale.RATIO,
    ),
    SIZE(
        "state_bytes",
        "bytes",
        "Bytes of the states of one sequence (convolutions, linear attention, Mamba-2), whatever "
        "its depth; absent where no layer keeps one.",
        source=Source.FILES,
        scale=Scale.RATIO,
        of_session=True,
    ),
    SHARE(
        "mbu",
        "share",
        "Memory bandwidth utilisation: (weight bytes as the kernel holds them + cache bytes read "
        "per token) / tpot / read bandwidth measured at that working set.",
        "look-ups, activations",
        kinds=DECODES,
        column="MBU",
    ),
    SHARE(
        "mbu_file",
        "share",
        "mbu with the weight bytes on disk.",
        kinds=DECODES,
        column="MBU by file",
    ),
    SHARE(
        "mfu",
        "share",
        "Matrix utilisation: flop of the prefill, or of an encoder's pass, without masked ones / "
        "time / fastest measured rate of the level's matrix kernel.",
        kinds=(PREFILL, *ANSWERS, ENCODE),
        column="MFU",
    ),
    QUALITY(
        "kld_nats",
        "nats",
        "Kullback-Leibler divergence of the next-token distribution from the fp32 reference's, on "
        "the same fixed tokens, teacher-forced: mean over tokens, interval over chunks. A decode "
        "test carries that of the decode path (one token a pass), a prefill test that of whole "
        "chunks.",
        headline=True,
        gate="kld",
        column="KLD nats",
    ),
    QUALITY(
        "kld_p99_nats",
        "nats",
        "The 99th percentile of kld_nats over tokens.",
        scale=None,
    ),
    QUALITY(
        "top1_agreement",
        "share",
        "How often the likeliest token is that of the fp32 reference.",
        more_is_better=True,
        headline=True,
        gate="top1",
        column="top-1",
    ),
    QUALITY(
        "rms_delta_p",
        "share",
        "Root mean square, over tokens, of how far the probability of the true token moves from "
        "the fp32 reference's, either way; 1 % is a hundredth of probability. Interval over "
        "chunks.",
        column="RMS Δp",
    ),
    QUALITY("nll_delta", "nats/token", "Negative log-likelihood minus the fp32 reference's."),
    QUALITY(
        "perplexity",
        "ratio",
        "exp of the mean negative log-likelihood of a token; comparable within one tokenizer only.",
        scale=None,
    ),
    QUALITY(
        "bits_per_byte",
        "bit",
        "Mean negative log2-likelihood of a byte, of byte models only.",
        scale=None,
    ),
    QUALITY(
        "task_accuracy",
        "share",
        "Right answers of questions with choices (`--tasks`), the choice of the largest likelihood "
        "per byte; interval by Wilson. Read in whole passes, so the same for every test of a "
        "level.",
        more_is_better=True,
        gate="accuracy",
        column="accuracy",
    ),
    QUALITY(
        "task_flips",
        "share",
        "Questions that a level has right and its fp32 reference wrong, or the other way round: "
        "what stays hidden where losses and gains cancel in the accuracy. Interval by Wilson.",
        gate="flips",
        column="flips",
    ),
    QUALITY(
        "embedding_cosine",
        "cosine",
        "Cosine of a text's sentence embedding and that of the fp32 reference: mean over the "
        "bundled queries and passages, interval over texts. One text is one pass.",
        kinds=(ENCODE,),
        more_is_better=True,
        headline=True,
        gate="cosine",
        column="cosine",
    ),
    QUALITY(
        "embedding_cosine_min",
        "cosine",
        "The smallest embedding_cosine of a text.",
        kinds=(ENCODE,),
        more_is_better=True,
        scale=None,
    ),
    QUALITY(
        "nearest_agreement",
        "share",
        "How often the passage nearest to a query is that of the fp32 reference; interval over "
        "queries.",
        kinds=(ENCODE,),
        more_is_better=True,
        column="nearest",
    ),
    QUALITY(
        "ranking_tau",
        "tau",
        "Kendall's tau of the order in which the level and its fp32 reference put all passages for "
        "a query: 1 is the same order, 0 no relation. Mean and interval over queries.",
        kinds=(ENCODE,),
        more_is_better=True,
        column="tau",
    ),
    TEXT(
        "decode_bytes_s",
        "bytes/s",
        "decode_tok_s * bytes of the bundled English text per token of the model's own tokenizer: "
        "the rate to rank models of different tokenizers by.",
    ),
    TEXT(
        "decode_bytes_s_korean",
        "bytes/s",
        "The same on the bundled Korean text.",
    ),
)


def metric_row(name: str) -> MetricRow:
    """The row of a metric that this version knows.

    Raises:
        KeyError: it does not.
    """
    return _by_name()[name]


def find_metric(name: str) -> MetricRow | None:
    """The row of a metric; None: another version wrote it."""
    return _by_name().get(name)


def of_source(*sources: Source) -> tuple[MetricRow, ...]:
    """The metrics that come from there."""
    return tuple(row for row in METRICS if row.source in sources)


def of_records() -> tuple[MetricRow, ...]:
    """The metrics that can stand in a record."""
    return tuple(row for row in METRICS if row.source is not Source.TURNS)


def judged_by(kind: Kind) -> tuple[MetricRow, ...]:
    """What records of a kind of test are graded by: the numbers that the table shows of it."""
    return tuple(row for row in METRICS if kind in row.judges)


def rate_of_kind(kind: Kind) -> MetricRow:
    """The rate that a kind of test is judged by."""
    return next(row for row in judged_by(kind) if row.more_is_better)


def time_of_kind(kind: Kind) -> MetricRow:
    """The time of one pass of a kind of test that is a single pass."""
    return next(row for row in METRICS if row.kinds == (kind,) and row.unit == "ms")


def metric_of_pass(name: str) -> MetricRow:
    """The time that measures a pass of an estimate, such as `decode step`.

    Raises:
        KeyError: no such pass: a mistake of the caller, or a later harness's.
    """
    for row in METRICS:
        if row.times_pass == name:
            return row
    raise KeyError(name)


def differences() -> str:
    """The metrics that are compared as new - base, in a sentence: `a, b and c`."""
    *names, last = (row.name for row in METRICS if row.scale is Scale.DIFFERENCE)
    return f"{', '.join(names)} and {last}"


@cache
def _by_name() -> dict[str, MetricRow]:
    """Every row by its name."""
    return {row.name: row for row in METRICS}
