"""The headers of the table."""

from harness.results.glossary.term import Term

COLUMNS = (
    Term("model", "", "Catalog name, or the last component and content hash of a local folder."),
    Term("parameters", "", "Logical parameters of the model; a tied head counts once."),
    Term(
        "active",
        "parameters",
        "Parameters that one token uses, of a mixture of experts; a column only where a token "
        "reads less than 70 % of the parameters.",
    ),
    Term("read", "parameters", "read_parameters, likewise."),
    Term("level", "", "Quantization level: how the weights are stored and multiplied."),
    Term(
        "kv cache",
        "",
        "How cached keys and values are stored: fp32, fp16, int8 or int4. A column only where some "
        "row has another one than its level's own float type.",
    ),
    Term(
        "weights",
        "",
        "seeded: random numbers of the right shapes and scales, right for speed and memory, "
        "meaningless for quality. trained: a checkpoint's.",
    ),
    Term(
        "machine",
        "",
        "Of results of several machines: the word that its operator gave it (--machine), else its "
        "processor; of two with one name the first digits of its hash too. The hash is over "
        "processor, cores, memory, system and that word; no host and no person is named. Estimates "
        "and peaks are those of its own runs.",
    ),
    Term(
        "device",
        "",
        "The row of `bench devices` that ran; the record names its provider, version and numbers.",
    ),
    Term(
        "runtime",
        "",
        "What runs a model. ort: our own loop over ONNX Runtime. genai: onnxruntime-genai, whose "
        "own loop ran the model, over the same graphs. llama.cpp: the same weights in a GGUF file "
        "at a level of its own; its logits were held against those of our graph at fp32. A server "
        "that was asked over HTTP: its kind and whether it is this machine (ollama@loopback), no "
        "host; what it has loaded is what was run, and all times are the client's.",
    ),
    Term(
        "prepack",
        "",
        "When the CPU's kernels make their copies of weights. off: at each load, into memory of "
        "the process. parallel: the same on all threads. on: once, saved beside the graph and "
        "mapped from there; such a folder is for the instructions and the release of onnxruntime "
        "that it was made with.",
    ),
    Term("threads", "", "Intra-op threads; inter-op is 1. 0: a server's own, which does not say."),
    Term("batch", "", "Sequences at once, of decoders; an encoder's are in the test's name."),
    Term(
        "capacity",
        "tokens",
        "Positions that the cache is allocated for (--capacity). tests: as many as the tests need. "
        "A number, or max, the model's whole context: as an app does that allocates once; peak MiB "
        "then counts every position as written, as they are once a conversation has filled it.",
    ),
    Term("depth", "tokens", "Tokens in the cache before the test began."),
    Term("bits/w", "bit", "bits_per_weight: everything stored over the logical parameters."),
    Term("weights MiB", "MiB", "weights_bytes / 2**20."),
    Term("saved MiB", "MiB", "prepacked_bytes / 2**20; a column only with --prepack on."),
    Term("compile ms", "ms", "compile_ms; a column only where a provider keeps what it compiles."),
    Term("load ms", "ms", "load_ms."),
    Term("TTFT ms", "ms", "ttft_ms of the request test, or of the turn, its cache kept."),
    Term("reread TTFT ms", "ms", "reread_ttft_ms of the turn: everything is read again."),
    Term("turnN+M tok/s", "tok/s", "decode_tok_s of a turn of N prompt tokens and M decoded ones."),
    Term("ppN tok/s", "tok/s", "prefill_tok_s of a prefill of N tokens."),
    Term("tgN tok/s", "tok/s", "decode_tok_s of a decode of N tokens."),
    Term(
        "pgN+M tok/s",
        "tok/s",
        "decode_tok_s of a request of N prompt and M generated tokens; a column only where no "
        "decode test was run.",
    ),
    Term(
        "±",
        "%",
        "Half-width of the 95 % interval as a share of the value, of the row's decode rate; "
        "without one, of its prefill rate; of an encoder of its first test.",
    ),
    Term("J/token", "J/token", "j_per_token of the test of ±; a column only where counted."),
    Term("J/seq", "J/sequence", "j_per_sequence of an encoder's first test, likewise."),
    Term(
        "est. tok/s",
        "tok/s",
        "The best estimate of the row's decode rate (without one, of its prefill rate): calibrated "
        "where this machine's peaks were measured, else structure; in older results params.",
    ),
    Term(
        "est. seq/s",
        "sequences/s",
        "The best estimate of the rate of an encoder's first test.",
    ),
    Term(
        "est. images/s",
        "images/s",
        "The best estimate of the rate of a vision model's first test.",
    ),
    Term("meas/est", "ratio", "Time measured / time estimated. Above 1: slower than estimated."),
    Term(
        "meas/params",
        "ratio",
        "Time measured / time by the params rule: read bandwidth of this machine, measured in the "
        "same run, / (parameters * bits / 8).",
        "scales, cache, kernels: the rule knows nothing of them",
    ),
    Term("est. MiB", "MiB", "The best estimate of peak_rss_bytes, the largest over the tests."),
    Term(
        "device MiB",
        "MiB",
        "device_bytes_peak / 2**20, likewise; a column only where a driver counts it.",
    ),
    Term(
        "anon. MiB",
        "MiB",
        "peak_delta_anonymous_bytes / 2**20, the largest over the tests of the row; a column only "
        "where some row has another --prepack than off.",
    ),
    Term("mapped MiB", "MiB", "steady_delta_file_bytes / 2**20, likewise."),
    Term("peak MiB", "MiB", "peak_rss_bytes / 2**20, the largest over the tests of the row."),
    Term("KLD nats", "nats", "kld_nats of the row's decode test; without one, of another test."),
    Term("top-1", "%", "top1_agreement, likewise."),
    Term("RMS Δp", "%", "rms_delta_p, likewise."),
    Term("accuracy", "%", "task_accuracy of the level, where `--tasks` asked questions."),
    Term("flips", "%", "task_flips of the level, likewise."),
    Term("lost", "questions", "Those that fp32 has right and the level has wrong."),
    Term("won", "questions", "Those that the level has right and fp32 has wrong."),
    Term(
        "other wrong",
        "questions",
        "Those of which fp32 and the level choose different answers, both wrong: no flips.",
    ),
    Term("by guessing", "%", "The mean over questions of 1 / number of choices."),
    Term(
        "processes",
        "",
        "Fresh processes that timed a candidate of `bench fit`, those of the confirmation left "
        "out: as many values as its intervals have.",
    ),
    Term("encLxB seq/s", "sequences/s", "encode_seq_s of B texts of L tokens in one pass."),
    Term("audSxB sound s/s", "s/s", "sound_s_per_s of B sounds of S seconds in one pass."),
    Term("imgB images/s", "images/s", "images_s of B images in one pass."),
    Term("graph runs/s", "runs/s", "runs_s of a graph of any kind."),
    Term("cosine", "", "embedding_cosine of an encoder."),
    Term("nearest", "%", "nearest_agreement of an encoder."),
    Term("tau", "", "ranking_tau of an encoder."),
    Term(
        "Pareto front",
        "",
        "No other level of the model loses as little and is as fast (speed), needs as little "
        "memory (memory), or either (both). Only where weights are trained and the text is real.",
    ),
    Term("trust", "", "The worst trust grade of the row's records: A, B, C or INVALID."),
)
