"""Trust grades, reason codes, and the words of the documents."""

from harness.results.glossary.term import Term

TRUST = (
    Term(
        "A",
        "",
        "At least 5 processes, half-width of the 95 % interval <= 3 %, background CPU <= 2 %, "
        "steady.",
    ),
    Term("B", "", "Half-width <= 8 %, background CPU <= 5 %."),
    Term("C", "", "Anything weaker."),
    Term(
        "INVALID",
        "",
        "Throttled, swapped, a model file changed, wrong or non-finite output, or a clock fault. "
        "The record keeps its samples and shows –.",
    ),
    Term("FEW_PROCESSES", "", "Fewer than 5 fresh processes. At best B. More: --rounds."),
    Term(
        "WIDE_INTERVAL",
        "",
        "Half-width above 3 % (at best B) or 8 % (C), or no interval at all (C). More --rounds, a "
        "quieter machine, longer tests.",
    ),
    Term(
        "BACKGROUND_CPU",
        "%",
        "Processor time of the timed parts that neither worker nor parent used, as a share of what "
        "the usable processors could do, of at most ten: above 2 % (0.2 processors) at best B, "
        "above 5 % (0.5 processors) C. Close other programs.",
    ),
    Term(
        "STEAL",
        "%",
        "Processor time that a hypervisor gave to others; the limits of BACKGROUND_CPU. Use a "
        "machine that is not shared.",
    ),
    Term(
        "OTHER_BENCH",
        "",
        "Another bench measured on the same device meanwhile: it was not waited for (--wait), or "
        "did not wait. C; a gate is INCONCLUSIVE. Let one measure at a time.",
    ),
    Term("UNKNOWN_LOAD", "", "Nothing tells how busy others kept the processors. C."),
    Term(
        "NOT_STEADY",
        "",
        "A warm-up reached its time limit before the samples agreed. At best B.",
    ),
    Term(
        "THROTTLED",
        "",
        "A container's quota stopped the process, or the processor slowed down for heat or power. "
        "INVALID. Raise the quota, fewer --threads, cool the machine.",
    ),
    Term(
        "DRIFT",
        "%",
        "The speed moved after the warm-up: second halves of the samples differ from first ones "
        "by more than 3 %, and their 99 % interval over processes leaves 0 out; or five rounds or "
        "more all moved on in one direction by more than 3 %. At best B. --cooldown, fewer "
        "programs.",
    ),
    Term(
        "WARM_START",
        "",
        "A process began warmer than --start-below allows: the machine cooled down no further, or "
        "ten minutes were over. At best B. A higher limit, a cooler room; bench doctor tells how "
        "warm it is.",
    ),
    Term(
        "SLOWED",
        "",
        "In the test without a rest (--sustain) the processor slowed down for heat or power, a "
        "quota stopped it, or the speed stayed below 95 % of its peak up to the end. At best B: "
        "the speed of the short processes does not last; sustained_* is what is left.",
    ),
    Term(
        "MAJOR_FAULTS",
        "",
        "Pages were read from a disk in a timed part. At best B. More free memory.",
    ),
    Term(
        "STEPS_DIFFER",
        "",
        "An exported decoder gives other logits for a prompt and steps than for the same tokens "
        "in one pass, beyond rounding. At best C: its speed is that of a graph that errs.",
    ),
    Term(
        "LOST_WORKER",
        "",
        "A worker crashed, hung or ran out of memory in some round, or with the memory: what was "
        "measured all the same stands. At best B. --resume tries it again.",
    ),
    Term(
        "SIZE_IGNORED",
        "",
        "Two tests of one model and level, one at least 4 times the size of the other, take the "
        "same time although the larger must take longer: the graph is not fed what the test "
        "says. INVALID. `bench models FILE` lists what an export is fed; --dim and --input.",
    ),
    Term(
        "PLACEMENT",
        "",
        "The provider of the device did not take all of the arithmetic: --allow-fallback kept the "
        "row, or nothing recorded it. At best C.",
    ),
    Term("SIMULATED", "", "The device was emulated: its speed means nothing. At best C."),
    Term(
        "COARSE_CLOCK",
        "%",
        "A tick of the clock is more than 0.5 % (at best B) or 2 % (C) of the shortest timed part. "
        "A larger model, more tokens at once.",
    ),
    Term(
        "GOVERNOR",
        "",
        "The processor's frequency follows the load or saves power. At best B. bench doctor says "
        "how to change it.",
    ),
    Term("ON_BATTERY", "", "The machine ran from its battery. At best B."),
    Term("SWAPPED", "", "The system moved memory to or from swap during a timed part. INVALID."),
    Term(
        "NON_FINITE",
        "",
        "An output held NaN or infinity, or logits were all the same, or a vector zero. INVALID.",
    ),
    Term("FILE_CHANGED", "", "A model file changed during the run. INVALID."),
    Term("OUTPUT_CHANGED", "", "Processes gave different outputs for the same input. INVALID."),
    Term(
        "CLOCK",
        "",
        "Two clocks disagree about the timed part, or the machine slept in it. INVALID.",
    ),
)

WORDS = (
    Term(
        "test",
        "",
        "What is timed of a model, by kind and size: pp, tg, pg, turn, enc, img, aud or graph, and "
        "the depth that it begins at. --prompt, --gen, --pg, --turns, --enc, --img and --aud name "
        "tests; --capacity tests means as many positions as they need.",
    ),
    Term(
        "position",
        "",
        "Place of one token in the KV cache of one sequence: its prompt, what it decodes and the "
        "depth before them take one each. --capacity says how many are allocated.",
    ),
    Term(
        "warm",
        "",
        "Of a turn: the cache still holds what was said before, so that its first token waits for "
        "the new prompt alone (ttft_ms). Of a process: after its warm-up.",
    ),
    Term(
        "cold",
        "",
        "Of a turn: its cache was lost, so that everything said before is read again "
        "(reread_ttft_ms). Of a process: the first request after load (cold_ttft_ms).",
    ),
    Term(
        "question",
        "",
        "Item of --tasks: a context and choices, of which the model takes the likeliest by the "
        "byte. builtin: 300 or more that ship; else a file with one {context, choices, answer} a "
        "line. accuracy and flips are shares of them.",
    ),
    Term(
        "McNemar p",
        "",
        "How likely gains and losses as unequal as these are where a level answers as well as its "
        "fp32 reference: exact, two-sided, over the questions that one of the two has wrong.",
    ),
    Term(
        "ship",
        "",
        "The rule of a sweep: of the levels that lose at most 0.02 nats a token (encoders: 0.01 "
        "of the cosine) and are not shown to answer worse, those not told apart from the fastest; "
        "of them the smallest.",
    ),
    Term(
        "pp",
        "",
        "Prefill test: pp512 @ d1024 reads 512 tokens at once from depth 1024, pp512c128 in runs "
        "of 128 (--prefill-chunk).",
    ),
    Term("tg", "", "Decode test: tg128 @ d1024 decodes 128 tokens one by one from depth 1024."),
    Term(
        "pg",
        "",
        "Request test: pg128+64 reads 128 tokens, then decodes 64. The only one with cold TTFT; "
        "turns have TTFT and e2e too.",
    ),
    Term(
        "turn",
        "",
        "Turn of a chat (--turns 4x128+64): turn128+64 @ d384 reads a prompt of 128 tokens behind "
        "the 384 of the turns before it, all of which the cache holds, then decodes 64. ttft_ms is "
        "that of the prompt with the cache kept, reread_ttft_ms that of all 512 tokens from an "
        "empty one. Each turn is a row by its depth, with its own decode rate, and the peak of a "
        "process that takes this turn alone with its cache kept.",
    ),
    Term(
        "enc",
        "",
        "Encoder test: enc128x8 reads 8 texts of 128 tokens each in one pass. The batch is the "
        "test's, for an encoder keeps nothing between passes. Encoders run these tests only.",
    ),
    Term("img", "", "Vision test: img8 reads 8 images in one pass."),
    Term("aud", "", "Sound test: aud10x4 reads 4 sounds of 10 seconds each in one pass."),
    Term(
        "graph",
        "",
        "The test of a graph that is no known kind of model: one run on seeded inputs of the "
        "declared shapes. --dim names the free ones.",
    ),
    Term(
        "session group",
        "",
        "Model, level, device, runtime, threads and batch. One fresh worker process per group and "
        "round opens one session and runs its tests in shuffled order.",
    ),
    Term(
        "session option",
        "",
        "Option of ONNX Runtime's sessions (--session-option NAME=VALUE): every session of a run "
        "gets it, and its records say so. Options that bench does not know are refused: "
        "onnxruntime ignores them without a word.",
    ),
    Term("cell", "", "One test in one session group."),
    Term("record", "", "Everything known of one cell."),
    Term("round", "", "Every session group once, in shuffled order, each in a fresh process."),
    Term(
        "interval",
        "",
        "95 % Student t-interval on the logarithms of one value per process (a process's median). "
        "The centre is the median over processes, and it is their median that is covered: of the "
        "geometric mean, which rare slow processes move, fewer intervals hold. Where --precision "
        "ended the rounds it is widened so that stopping keeps the 95 %. Samples of one process "
        "are never pooled: they "
        "are not independent.",
    ),
    Term(
        "warm-up",
        "",
        "In the process that samples, at every measured shape: until two adjacent windows (20 "
        "samples or 0.25 s) agree within 2 % without a trend, 10 s at most.",
    ),
    Term(
        "placement",
        "",
        "Which provider ran which nodes: FULL (all), FULL_COMPUTE (all arithmetic), PARTIAL, "
        "FELL_BACK (none) or UNKNOWN (nothing recorded). The last three fail a row unless "
        "--allow-fallback keeps it, or onnxruntime-genai or a server ran it, which records "
        "nothing. "
        "`switches`: changes of provider along the graph; `fell_off`: operators left to others.",
    ),
    Term(
        "follows load",
        "",
        "Of a counter of energy: over a second of load on every core it drew more than over an "
        "idle second before, in at least 15 of 16 pairs of quarters and 5 % in the mean; a card's "
        "in each timed part. One that does not is `unavailable`.",
    ),
    Term(
        "simulated",
        "",
        "The device was emulated: its function is proven, its speed means nothing. No estimate, "
        "no rank, grade C at best.",
    ),
    Term(
        "profile",
        "share",
        "Of a session of its own with the runtime's profile switched on: shares of the time of "
        "all nodes, per provider and for the ten largest operators.",
        "how long anything takes: the profile slows the session down",
    ),
    Term(
        "sustained",
        "share",
        "Of a test that runs for --sustain without a rest, in windows: the median rate of the last "
        "quarter over the peak, the largest median of three neighbouring windows. It has fallen "
        "where three windows or more up to the end stay below 95 % of the peak. The rate at the "
        "end is a metric of its own (sustained_decode_tok_s and its like), which bench compare "
        "judges and --fail-on sustained:5% gates.",
        "the usual rows, whose processes are short",
    ),
    Term(
        "wide",
        "",
        "All columns of a table (--wide). Without it those that fit 78 characters: first go "
        "meas/params, est. MiB, bits/w, compile ms, saved MiB, parameters that one token uses, "
        "parts of memory, weights MiB, load ms, placement, est. tok/s, what weights are, and "
        "energy; then tests but the one of the interval, the last first; then the Pareto front, "
        "top-1 and meas/est. The rate has half of its 95 % interval behind it, in its own unit. "
        "Tables of other commands put text into several lines, then leave columns out: which, "
        "stands below them.",
    ),
    Term(
        "start-below",
        "°C",
        "Before each timed process the hottest sensor of the processor, and of graphics cards "
        "where they do the work, is waited for until it is below this (--start-below 45C, 113F): "
        "ten minutes at most, 90 s where it falls by less than half a degree. Records keep sensor, "
        "temperature and wait; without a sensor a note says so and nothing waits.",
    ),
    Term(
        "status",
        "",
        "ok, failed, crashed, timeout, out_of_memory, unsupported or skipped; all but ok carry a "
        "reason.",
    ),
    Term("ITL", "ms", "Inter-token latency: the time of each decode step, in order, kept raw.", ""),
    Term("KV cache", "", "Keys and values of all earlier tokens, read at every decode step."),
    Term(
        "cache level",
        "",
        "How the KV cache is stored, by --kv-cache. fp32, fp16: as floats. int8, int4: symmetric "
        "integers with one fixed scale per layer, half, head and channel, taken from a calibration "
        "text. auto: the float type of the weight level.",
    ),
    Term(
        "params",
        "",
        "The estimate people do in their heads: memory = parameters * bits / 8, decode = bandwidth "
        "/ that, prefill = peak / (2 * parameters); an encoder's pass the same per token, but "
        "never faster than its weights are read.",
    ),
    Term("rule_of_thumb", "", "The params decode estimate, of which 55 % is reached."),
    Term(
        "structure",
        "",
        "The estimate from what a pass really reads: packed weights with scales, the head once, "
        "embedding rows, the cache; over the bandwidth alone, with a typical time per operator.",
    ),
    Term(
        "calibrated",
        "",
        "The structure estimate over rates and fixed times measured on this machine by "
        "`bench calibrate`; no whole model is timed for it. Scaled by the drift.",
    ),
    Term(
        "drift",
        "",
        "How fast a machine is beside a run's rows, as shares of what it was when it was "
        "calibrated: reading memory, multiplying, calling. A probe of a fraction of a second takes "
        "them in every round and within a calibration; calibrated times are scaled by them.",
    ),
    Term(
        "as_calibrated",
        "",
        "The calibrated estimate without the drift: over the constants as they were measured.",
    ),
    Term(
        "bound",
        "",
        "What most of an estimated time goes to: memory (reading), compute (multiplying) or "
        "overhead (calls).",
    ),
    Term("percentile", "", "An order statistic. p99 needs 459 samples, p90 needs 44."),
    Term("MiB", "", "2**20 bytes; GB is 1e9."),
    Term("–", "", "Not measured, or INVALID. Never 0."),
)
