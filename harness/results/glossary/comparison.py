"""What `bench compare` prints: verdicts, its columns, and the words of its notes."""

from harness.results.glossary.term import Term
from harness.results.metrics import differences

COMPARISON = (
    Term(
        "verdict",
        "",
        "FASTER or SLOWER (sizes: SMALLER, LARGER; quality and energy: BETTER, WORSE), SAME "
        "or INCONCLUSIVE. Of a build compared with itself, a line says FASTER or SLOWER in at "
        "most 5 % of comparisons.",
    ),
    Term(
        "FASTER",
        "",
        "The 95 % interval of new / base lies wholly on one side of 1 and the ratio is beyond the "
        "tolerance, towards less time. SLOWER: towards more. A * behind it: see correction.",
    ),
    Term("SLOWER", "", "See FASTER."),
    Term(
        "step",
        "",
        "Where a metric changed its level from one run to the next, in a history. Two detectors "
        "look for it: windows before and after by their intervals, and the cheapest split into "
        "segments. Confirmed: both see it, within two runs. Suspected: one alone. It takes three "
        "runs behind it.",
    ),
    Term(
        "CONFIRMED",
        "",
        "Of a version in `bench history backfill`: it is better or worse than the one before it, "
        "beside all lines of the table, and both detectors see a step where it begins.",
    ),
    Term(
        "SUSPECTED",
        "",
        "Of a version in `bench history backfill`: the comparison says better or worse beside all "
        "lines, or both detectors see a step, but not both of that.",
    ),
    Term("SMALLER", "", "FASTER, of bytes. Sizes that were counted need no interval."),
    Term("LARGER", "", "SLOWER, of bytes."),
    Term(
        "BETTER",
        "",
        "FASTER, of quality: as a difference, beyond 0.01 nats or 0.01 of share. Of energy: as a "
        "ratio, less.",
    ),
    Term("WORSE", "", "SLOWER, of quality; of energy, more."),
    Term(
        "SAME",
        "",
        "The 90 % interval lies inside 1 / (1 + tolerance) to 1 + tolerance, which is two "
        "one-sided tests at 5 %: there may be a difference, but none beyond the tolerance.",
    ),
    Term(
        "INCONCLUSIVE",
        "",
        "The data supports neither. Not the same as SAME: more --rounds, a quieter machine, or "
        "--axis inside one run tell more. Of a requirement or a gate the limit lies inside the "
        "interval, too little was measured, or others used the processors: its line says which.",
    ),
    Term("tolerance", "%", "Differences up to it are called the SAME. 3 % unless --tolerance."),
    Term("base", "", "The side that the other one is compared with; the verdict is new's."),
    Term("new", "", "The side that the verdict is about."),
    Term(
        "new / base",
        "ratio",
        "exp(mean of ln new - mean of ln base), over process values: a geometric mean. For "
        f"{differences()} the difference new - base.",
    ),
    Term(
        "MDE",
        "%",
        "Minimum detectable effect: a real difference of that size would have been found in at "
        "least 80 of 100 such comparisons, whatever this sample's luck: taken at the upper 95 % "
        "limit of the scatter seen. JSON has it as mde (as sure_to_show too, which is deprecated), "
        "and could_show at the scatter seen.",
    ),
    Term(
        "correction",
        "",
        "For multiple comparisons (Holm), over all lines of one comparison: of many equal lines "
        "some always look different. A * marks a verdict that it does not confirm. Only verdicts "
        "without a * break a gate. --no-correction: none, so more verdicts and more false ones.",
    ),
    Term(
        "from",
        "",
        "What scatter the interval stands on: rounds (pairs inside one run), processes, runs, "
        "chunks (of text), known scatter (memory of a single process: 0.5 % from process to "
        "process, measured on the reference machine) or counted (none).",
    ),
    Term(
        "tune",
        "",
        "`bench tune MODEL`: the search for the fastest settings on this machine that change no "
        "output. Outcomes of its table: ahead: taken on (the next stage begins from it, or it is "
        "confirmed), slower (shown to be), not shown to be faster.",
    ),
    Term(
        "heat",
        "",
        "Fresh processes of several settings that take turns in a drawn order, the base among "
        "them: what `bench tune` measures. Its ratio is speed over the base's, of turns that both "
        "took. A rung is a heat of all that are left, with twice the turns of the one before.",
    ),
    Term(
        "confirmation",
        "",
        "Pairs of fresh processes of the default and of the best setting that `bench tune` found, "
        "which the search has not seen. The setting is advised where its whole 95 % interval lies "
        "above 1; else the default is. Of `bench fit` five fresh processes or more of the choice, "
        "which alone have to meet every limit once more; else the next one is tried.",
    ),
    Term(
        "fit",
        "",
        "`bench fit MODEL... --require LIMITS`: which model, level and thread count meets all of "
        "them here. Of those that do one is chosen by --prefer: quality (most parameters, then "
        "the least loss), speed or memory. Its table says what each of the others gives up: the "
        "limit that it does not meet, or how it compares with the choice.",
    ),
    Term(
        "candidate",
        "",
        "What `bench fit` may choose: one model at one level with one number of threads, and "
        "whatever else is given several values. MET where all of its limits are, NOT_MET where "
        "any is not, else INCONCLUSIVE.",
    ),
    Term(
        "line",
        "",
        "One limit beside one test of one session, or one metric of one cell beside that of the "
        "other side. What a session or a level has once is one line.",
    ),
    Term(
        "look",
        "",
        "Number of processes after which `bench fit` asks what is decided: 3, 5, 8, 12, 18 and 20. "
        "A line that one of them decides stays so; only the undecided are measured further. Every "
        "look takes its part of the 5 %.",
    ),
    Term(
        "requirement",
        "",
        "--require NAME>=LIMIT or NAME<=LIMIT: an absolute limit on a metric, of `bench fit`, "
        "`bench run`, `bench compare`, `bench ab` and the table [require] of a plan: MET, NOT_MET "
        "or INCONCLUSIVE, by the whole interval. A name is a metric's or a short one: decode, "
        "prefill, ttft, load, peak, weights, kld, top1, accuracy, energy; sustained_decode is the "
        "rate of --sustain. --fail-on and --metric take the same names, and a limit is drawn with "
        "the short one, whichever was typed.",
    ),
    Term(
        "MET",
        "",
        "The whole interval of the median of processes keeps to a requirement. Of all lines that "
        "are told together any false MET or NOT_MET has a chance of 5 % at most: each end of an "
        "interval leaves out its look's part of 5 % / lines. INCONCLUSIVE: neither.",
    ),
    Term(
        "NOT_MET",
        "",
        "The whole interval lies beyond a requirement; exit code 1. By estimate: "
        "the whole estimated range does, so `bench fit` never built it. What lies beyond while "
        "others used more than 5 % of the processors is INCONCLUSIVE.",
    ),
    Term(
        "gate",
        "",
        "--fail-on NAME:LIMIT. FAIL: a whole 95 % interval is worse than the limit, in a verdict "
        "that the correction confirms; exit code 1. PASS: all of its lines are wholly within the "
        "limit, on data that could have shown a difference of that size. INCONCLUSIVE: neither, or "
        "a side was measured while others used more than 5 % of the CPU; a warning, exit code 1 "
        "with --inconclusive fail. Fewer than 5 processes a side, or pairs, are refused. The MDE "
        "beside a gate is of a difference from none, at the scatter seen. Records that are "
        "INVALID or simulated are no lines.",
    ),
)
