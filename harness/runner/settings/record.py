"""One plan as plain values, before its names are checked."""

from dataclasses import dataclass

TURNS = "turns"
PLAN = "plan"  # in Settings.given
INTERLEAVES = ("rounds", TURNS)


@dataclass(frozen=True, slots=True)
class Settings:
    """One plan before its names are checked.

    Attributes:
        model: catalog names or paths.
        quant: level names.
        kv_cache: cache level names; `auto` is the float type of the weight level.
        device: device names.
        runtime: what runs a model: `ort`, our own loop, or `genai`, that of onnxruntime-genai.
        prompt: lengths of prefill tests, tokens.
        gen: lengths of decode tests, tokens.
        pg: (prompt, gen) of request tests, tokens.
        enc: (tokens, texts) of encoder tests; None: none are named, so an encoder runs the usual
            ones; empty: tests of decoders were asked for instead.
        depth: tokens already in the cache before prefill and decode tests.
        batch: sequences at once, of decoders.
        threads: intra-op threads as typed; `all` is every usable physical core.
        rounds: fresh processes per session group.
        budget: seconds after which no further round is begun; None: no limit.
        precision: half-width of the 95 % interval, a share of the centre, that is narrow enough:
            rounds are added until every cell has it; None: just `rounds`.
        max_rounds: most rounds with a precision.
        cooldown: seconds of rest before each process.
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
        ep: keys of the provider rows that may serve a device class; empty: all.
        ep_option: provider options, `name=value`.
        allow_simulated: run on emulation where there is no hardware; rows are marked.
        allow_fallback: keep rows whose arithmetic did not all run on the device; they say so.
        profile: take a profile of each row as well, in a process of its own.
        img: images of vision tests at once; empty: the usual ones.
        aud: (seconds, sounds) of sound tests; empty: the usual ones.
        dim: sizes of free dimensions of exported graphs, by name.
        input: values of inputs of exported graphs that tests do not feed, by name.
        given: keys that flags gave, in alphabetical order; PLAN among them where the plan is the
            user's own. What is given is measured or refused; what is not may follow the model.
        part: the cells, where they are more than one product of lists; each is a whole plan that
            differs in PART_KEYS only. Empty: this plan's own lists are the cells.
    """

    model: tuple[str, ...] = ("smollm2-135m",)
    quant: tuple[str, ...] = ("fp32", "int8", "int4")
    kv_cache: tuple[str, ...] = ("auto",)
    device: tuple[str, ...] = ("cpu",)
    runtime: tuple[str, ...] = ("ort",)
    prompt: tuple[int, ...] = ()
    gen: tuple[int, ...] = ()
    pg: tuple[tuple[int, int], ...] = ()
    enc: tuple[tuple[int, int], ...] | None = None
    depth: tuple[int, ...] = (0,)
    batch: tuple[int, ...] = (1,)
    threads: tuple[str, ...] = ("all",)
    rounds: int = 5
    budget: float | None = None
    precision: float | None = None
    max_rounds: int = 30
    cooldown: float = 0.0
    interleave: str = "rounds"
    sustain: float | None = None
    seed: int = 0
    warm_seconds: float = 10.0
    sample_seconds: float = 0.5
    min_passes: int = 3
    timeout: float = 600.0
    calibrate: bool = True
    quality: bool = False
    sensitivity: bool = False
    reference: str | None = None
    text: str | None = None
    ep: tuple[str, ...] = ()
    ep_option: tuple[str, ...] = ()
    allow_simulated: bool = False
    allow_fallback: bool = False
    profile: bool = False
    img: tuple[int, ...] = ()
    aud: tuple[tuple[float, int], ...] = ()
    dim: tuple[tuple[str, int], ...] = ()
    input: tuple[tuple[str, float], ...] = ()
    given: tuple[str, ...] = ()
    part: tuple["Settings", ...] = ()

    def is_asked(self, *keys: str) -> bool:
        """Whether a flag, or a plan that does not ship, says what is tested."""
        return PLAN in self.given or any(key in self.given for key in keys)

    @property
    def parts(self) -> tuple["Settings", ...]:
        """The plans whose products of lists are the cells."""
        return self.part or (self,)
