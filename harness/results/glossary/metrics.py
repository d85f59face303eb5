"""The names of metrics in records."""

from harness.results.glossary.term import Term

METRICS = (
    Term(
        "load_ms",
        "ms",
        "Session creation: from the call to a usable session, model files warm in the page cache.",
        "process start, import of onnxruntime",
    ),
    Term(
        "compile_ms",
        "ms",
        "The cold load of a model whose compiled form the provider keeps (EP context): session "
        "creation with compilation and the writing of its result, once, in a process of its own. "
        "Kept beside the model and not measured again, so of one process; load_ms is then that "
        "of the compiled form.",
        "process start, import of onnxruntime",
    ),
    Term(
        "first_ms",
        "ms",
        "First run after load: kernel selection, arena growth. Stands in the record of the test "
        "that the session began with: the request, if there is one.",
        "load",
    ),
    Term(
        "cold_ttft_ms",
        "ms",
        "load_ms + first prefill + first token, in a fresh process.",
        "process start",
    ),
    Term(
        "prefill_ms",
        "ms",
        "One pass over the N prompt tokens from an empty cache, or from the depth's cached tokens.",
        "tokenization, sampling, load",
    ),
    Term(
        "prefill_tok_s", "tok/s", "batch * N / time of that pass.", "tokenization, sampling, load"
    ),
    Term(
        "ttft_ms",
        "ms",
        "Time to first token: prefill and the choice of the first token (argmax), in a warm "
        "session. Only request tests have it.",
        "tokenization, load",
    ),
    Term(
        "tpot_ms",
        "ms/token",
        "Time per output token: (t_last - t_first) / (n - 1) in a request; in a decode test, whose "
        "first token is given, the time of n steps / n. Median over passes.",
        "first token",
    ),
    Term(
        "decode_tok_s",
        "tok/s",
        "batch * (n - 1) / (t_last - t_first) in a request, the 2nd+ token rate; batch * n / time "
        "of n steps in a decode test. Total tokens over total time, never a mean of rates. Null "
        "for a request of one token.",
        "prefill",
    ),
    Term("e2e_ms", "ms", "A whole request: prefill and n tokens.", "tokenization, load"),
    Term(
        "itl_slope_us_per_ktoken",
        "us/ktoken",
        "How much longer a decode step takes with 1000 more tokens in the cache: median slope of "
        "step time against depth. Only where a pass decodes at least 128 steps.",
    ),
    Term(
        "weights_bytes",
        "bytes",
        "Bytes of the initializers in the ONNX files, scales and zero points included. Counted, "
        "not measured.",
        "graph text",
    ),
    Term(
        "bits_per_weight",
        "bit",
        "8 * weights_bytes / parameters; the pooler of a BERT, which is not built, is left out.",
    ),
    Term("kv_bytes_per_token", "bytes", "Bytes the cache grows by per token, at its stored type."),
    Term(
        "peak_rss_bytes",
        "bytes",
        "The system's high-water mark of resident memory of a fresh worker that does nothing else "
        "and times nothing: VmHWM on Linux, ru_maxrss on macOS, the peak working set on Windows.",
        "other processes",
    ),
    Term(
        "peak_delta_bytes",
        "bytes",
        "peak_rss_bytes minus the same worker's resident memory after its imports.",
        "interpreter, libraries",
    ),
    Term(
        "load_delta_bytes",
        "bytes",
        "Resident memory after load minus that after the imports of the same worker.",
        "interpreter, libraries",
    ),
    Term(
        "load_delta_anonymous_bytes",
        "bytes",
        "The part of load_delta_bytes that no file stands behind: prepacked copies, buffers.",
        "interpreter, libraries",
    ),
    Term(
        "load_delta_file_bytes",
        "bytes",
        "The part of load_delta_bytes that maps files; the system may drop and read it again.",
        "interpreter, libraries",
    ),
    Term(
        "steady_delta_bytes",
        "bytes",
        "Resident memory after the touched context minus that after the imports of the worker.",
        "interpreter, libraries",
    ),
    Term(
        "steady_delta_anonymous_bytes",
        "bytes",
        "The part of steady_delta_bytes that no file stands behind.",
        "interpreter, libraries",
    ),
    Term(
        "steady_delta_file_bytes",
        "bytes",
        "The part of steady_delta_bytes that maps files.",
        "interpreter, libraries",
    ),
    Term(
        "mbu",
        "share",
        "Memory bandwidth utilisation: (weight bytes as the kernel holds them + cache bytes read "
        "per token) / tpot / read bandwidth measured at that working set.",
        "look-ups, activations",
    ),
    Term("mbu_file", "share", "mbu with the weight bytes on disk."),
    Term(
        "mfu",
        "share",
        "Matrix utilisation: flop of the prefill, or of an encoder's pass, without masked ones / "
        "time / fastest measured rate of the level's matrix kernel.",
    ),
    Term(
        "kld_nats",
        "nats",
        "Kullback-Leibler divergence of the next-token distribution from the fp32 twin's, on the "
        "same fixed tokens, teacher-forced: mean over tokens, interval over chunks. A decode test "
        "carries that of the decode path (one token a pass), a prefill test that of whole chunks.",
    ),
    Term("kld_p99_nats", "nats", "The 99th percentile of kld_nats over tokens."),
    Term("top1_agreement", "share", "How often the likeliest token is that of the fp32 twin."),
    Term("nll_delta", "nats/token", "Negative log-likelihood minus the fp32 twin's."),
    Term(
        "perplexity",
        "ratio",
        "exp of the mean negative log-likelihood of a token; comparable within one tokenizer only.",
    ),
    Term(
        "decode_bytes_s",
        "bytes/s",
        "decode_tok_s * bytes of the bundled English text per token of the model's own tokenizer: "
        "the rate to rank models of different tokenizers by.",
    ),
    Term("decode_bytes_s_korean", "bytes/s", "The same on the bundled Korean text."),
    Term("bits_per_byte", "bit", "Mean negative log2-likelihood of a byte, of byte models only."),
    Term(
        "encode_ms",
        "ms",
        "One pass of an encoder over all texts of the test, each of full length, up to their "
        "sentence embeddings.",
        "tokenization, load",
    ),
    Term(
        "encode_seq_s",
        "sequences/s",
        "Texts of the test / time of that pass.",
        "tokenization, load",
    ),
    Term(
        "image_ms",
        "ms",
        "One pass of a vision model over all images of the test.",
        "decoding and scaling of images, load",
    ),
    Term("images_s", "images/s", "Images of the test / time of that pass.", "the same"),
    Term(
        "run_ms", "ms", "One run of a graph of any kind, on inputs of the declared shapes.", "load"
    ),
    Term("runs_s", "runs/s", "1 / run_ms."),
    Term(
        "embedding_cosine",
        "cosine",
        "Cosine of a text's sentence embedding and that of the fp32 twin: mean over the bundled "
        "queries and passages, interval over texts. One text is one pass.",
    ),
    Term("embedding_cosine_min", "cosine", "The smallest embedding_cosine of a text."),
    Term(
        "nearest_agreement",
        "share",
        "How often the passage nearest to a query is that of the fp32 twin; interval over queries.",
    ),
    Term(
        "ranking_tau",
        "tau",
        "Kendall's tau of the order in which the level and its fp32 twin put all passages for a "
        "query: 1 is the same order, 0 no relation. Mean and interval over queries.",
    ),
    Term(
        "energy_j",
        "J",
        "Energy of one pass of the test: what counters of the processor packages (RAPL, Windows' "
        "energy meter) and of the graphics card used (NVML) count over the timed part / its "
        "passes; without them a battery that feeds the machine. Everything that runs on them "
        "meanwhile is included, and what they use when idle. Where nothing counts it, the record "
        "says `unavailable` and why, never 0.",
        "what the counters do not cover: memory modules, screen, losses of the power supply",
    ),
    Term(
        "j_per_token",
        "J/token",
        "energy_j / the tokens of all sequences that the pass decodes; of a prefill, that it "
        "reads. A request's prompt is in its energy, not in its tokens.",
        "as energy_j",
    ),
    Term(
        "j_per_sequence",
        "J/sequence",
        "energy_j / the texts that an encoder reads in the pass.",
        "as energy_j",
    ),
    Term(
        "device_bytes_peak",
        "bytes",
        "The most memory that the driver of the device held for the worker that takes memory and "
        "times nothing (NVML, Linux fdinfo), after load and after the touched context. Missing "
        "where nothing counts it; the record's `memory` says why.",
        "what was held between the two looks, other processes",
    ),
)
