"""The tests of a plan, as a kind of model runs them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.core.errors import UsageError
from harness.engine.workload import Workload
from harness.models.exported.model import ExportedGraph, ExportedKind, ExportedModel, Role
from harness.models.exported.sizes import USUAL_SECONDS, Axis, fixed_sizes, sound_seconds
from harness.results.enums import Kind
from harness.runner.settings import Settings
from harness.runner.settings.values import AS_TESTED, MOST

# Keys of the flags that tests of a kind of model come of.
LENGTHS = ("prompt", "gen", "pg", "turns")
DECODER_FLAGS = (*LENGTHS, "depth", "batch", "prefill_chunk", "like")
ENCODER_FLAGS = ("enc",)
IMAGE_FLAGS = ("img",)
SOUND_FLAGS = ("aud",)
USUAL_TOKENS, USUAL_TEXTS = 128, (1, 8)


def decoder_tests(settings: Settings) -> tuple[Workload, ...]:
    """Prefill, decode and request tests, and turns of chats, each once.

    Raises:
        UsageError: the plan holds none.
    """
    prompts = (
        *(Workload(Kind.PREFILL, n, 0, d) for d in settings.depth for n in settings.prompt),
        *(Workload(Kind.REQUEST, prompt, gen) for prompt, gen in settings.pg),
    )
    read = [_in_chunks(test, chunk) for test in prompts for chunk in settings.prefill_chunk]
    tests = (
        *(test for test in read if test.kind is Kind.PREFILL),
        *decode_tests(settings),
        *(test for test in read if test.kind is Kind.REQUEST),
        *turn_tests(settings),
    )
    if not tests:
        raise UsageError("the plan holds no test", fix="--prompt 128 --gen 32 --pg 128,32")
    return tuple(dict.fromkeys(tests))


def turn_tests(settings: Settings) -> Iterator[Workload]:
    """Turns of chats: each begins where those before it end, behind the depth of the plan.

    All turns of a chat are read in chunks where the longest of them is.
    """
    for depth in settings.depth:
        for turns, prompt, gen in settings.turns:
            longest = depth + (turns - 1) * (prompt + gen) + prompt
            chunks = dict.fromkeys(
                chunk if chunk < longest else 0 for chunk in settings.prefill_chunk
            )
            for chunk in chunks:
                for before in range(turns):
                    at = depth + before * (prompt + gen)
                    yield Workload(Kind.TURN, prompt, gen, at, chunk_tokens=chunk)


def _in_chunks(test: Workload, chunk_tokens: int) -> Workload:
    """A test whose prompt is read so many tokens at once; one that is no longer: in one run."""
    return replace(test, chunk_tokens=chunk_tokens if chunk_tokens < test.prompt_tokens else 0)


def decode_tests(settings: Settings) -> Iterator[Workload]:
    """Decode tests alone."""
    for depth in settings.depth:
        yield from (Workload(Kind.DECODE, 0, count, depth) for count in settings.gen)


def encode_tests(
    settings: Settings,
    model: ExportedModel,
    graph: ExportedGraph,
    limit: int | None,
) -> tuple[Workload, ...]:
    """Passes of an exported encoder: those asked for, else the usual ones of sizes that it takes.

    Args:
        settings: of the plan.
        model: as recognised.
        graph: its encoder.
        limit: longest text; None: not known.

    Raises:
        UsageError: a text that is longer than the limit.
    """
    fixed = fixed_sizes(graph, dict(settings.dim))
    tokens = fixed.get(Axis.TOKENS) or min(USUAL_TOKENS, limit or USUAL_TOKENS)
    usual = tuple((tokens, texts) for texts in _usual_batches(fixed))
    asked = settings.enc or usual
    tests = tuple(Workload(Kind.ENCODE, n, 0, sequences=texts) for n, texts in asked)
    return within(model, tests, limit)


def image_tests(settings: Settings, graph: ExportedGraph) -> tuple[Workload, ...]:
    """Images at once: those asked for, else the usual ones, or the number that the graph takes."""
    images = settings.img or _usual_batches(fixed_sizes(graph, dict(settings.dim)))
    return tuple(Workload(Kind.IMAGE, 0, 0, sequences=count) for count in images)


def sound_tests(
    settings: Settings, model: ExportedModel, graph: ExportedGraph
) -> tuple[Workload, ...]:
    """Sounds at once: those asked for, else the usual ones, as long as the graph takes.

    Raises:
        UsageError: of another length than the only one that it takes.
    """
    dims = dict(settings.dim)
    fixed_s = sound_seconds(graph, model, dims)
    lost = next((s for s, _ in settings.aud if fixed_s is not None and s != fixed_s), None)
    if lost is not None:
        raise UsageError(
            f"--aud {lost:g}: {model.name} takes sounds of {fixed_s:g} seconds, and no others",
            fix=f"--aud {fixed_s:g}x1, or leave it out",
        )
    batches = _usual_batches(fixed_sizes(graph, dims))
    usual = tuple((USUAL_SECONDS if fixed_s is None else fixed_s, count) for count in batches)
    return tuple(
        Workload(Kind.SOUND, 0, 0, sequences=count, seconds=seconds)
        for seconds, count in settings.aud or usual
    )


def batches_of(settings: Settings, model: ExportedModel) -> tuple[int, ...]:
    """Sequences at once of a decoder: those of the plan, or the number that its graphs fix.

    Raises:
        UsageError: others are asked for.
    """
    dims = dict(settings.dim)
    found = (fixed_sizes(graph, dims).get(Axis.BATCH) for graph in model.graphs)
    fixed = next((size for size in found if size is not None), None)
    if fixed is None or settings.batch == (fixed,):
        return settings.batch
    if settings.is_asked("batch"):
        raise UsageError(
            f"--batch {','.join(map(str, settings.batch))}: {model.name} reads {fixed} sequences at"
            " once",
            fix=f"--batch {fixed}, or leave it out",
        )
    return (fixed,)


# Caches that nobody allocates ahead, in the words of a sentence, by ExportedModel.cache_kind.
UNALLOCATED = {
    "static": "has caches whose size its graph fixes",
    "growing": "has caches that grow with each token",
    "states": "keeps states, as large after one token as after all",
    "none": "keeps no cache",
}


def capacities_of(
    settings: Settings,
    name: str,
    tests: Sequence[Workload],
    limit: int | None,
    kind: str = "shared",
) -> tuple[int, ...]:
    """Return positions that caches are allocated for, each number once; 0: as many as tests need.

    Args:
        settings: of the plan.
        name: of the model.
        tests: that it runs.
        limit: longest sequence that it takes; None: nothing says so.
        kind: of its cache, as an exported model tells it.

    Raises:
        UsageError: fewer than a test needs, more than the limit, or nothing is allocated ahead.
    """
    asked = ",".join(settings.capacity)
    if kind in UNALLOCATED and settings.capacity != (AS_TESTED,):
        raise UsageError(
            f"--capacity {asked}: {name} {UNALLOCATED[kind]}: there is nothing to allocate",
            fix="leave it out, or give a model that is built here, or exported with"
            " GroupQueryAttention",
        )
    found = []
    for word in settings.capacity:
        if word == MOST and limit is None:
            raise UsageError(
                f"--capacity {MOST}: nothing says how many tokens {name} takes",
                fix="a number of positions, such as --capacity 8192",
            )
        found.append({AS_TESTED: 0, MOST: limit or 0}[word] if word.isalpha() else int(word))
    counts = tuple(dict.fromkeys(found))
    for count in filter(None, counts):
        _check_capacity(count, name, tests, limit)
    return counts


def _check_capacity(count: int, name: str, tests: Sequence[Workload], limit: int | None) -> None:
    """Refuse a cache that is too small for a test, or larger than a model is."""
    if limit is not None and count > limit:
        raise UsageError(
            f"--capacity {count}: {name} takes {limit} tokens at most",
            fix=f"--capacity {MOST}, or {limit} and below",
        )
    longest = max(tests, key=lambda test: test.cache_tokens)
    if count < longest.cache_tokens:
        raise UsageError(
            f"--capacity {count}: {longest.name} needs {longest.cache_tokens} positions of the"
            " cache",
            fix=f"--capacity {longest.cache_tokens} or more, or keep {longest.shorter} at {count}"
            " or below",
        )


def of_fixed_length(
    settings: Settings, model: ExportedModel, tests: tuple[Workload, ...]
) -> tuple[Workload, ...]:
    """The tests that a decoder runs whose graph fixes how many tokens it reads at once.

    Raises:
        UsageError: others are asked for.
    """
    begins, goes_on = (_tokens_at_once(settings, model, place) for place in (0, -1))
    if begins is None and goes_on is None:
        return tests

    def can_run(test: Workload) -> bool:
        if test.kind is Kind.TURN:  # which reads a longer text every time
            return begins is None and goes_on is None
        at_once = test.chunk_tokens or test.prompt_tokens
        even = test.prompt_tokens % (at_once or 1) == 0
        reads = even and at_once in (0, begins or at_once)
        return reads and (not test.gen_tokens or (model.main.cache is not None and goes_on == 1))

    lost = next((test for test in tests if not can_run(test)), None)
    if lost is not None and settings.is_asked(*LENGTHS):
        raise UsageError(
            f"{lost.name}: {model.name} reads {begins} tokens at once, and no other number",
            fix=f"--prompt {begins}",
        )
    usual = () if begins is None else (Workload(Kind.PREFILL, begins, 0),)
    return tuple(dict.fromkeys((*usual, *(test for test in tests if can_run(test)))))


def refuse_sized(model: ExportedModel, settings: Settings) -> None:
    """Refuse `--dim` for what the tests of a decoder size.

    Raises:
        UsageError: names the flags that do.
    """
    encoder = model.graph(Role.ENCODER)
    allowed = set() if encoder is None else set(encoder.free_dimensions)
    sized: set[str] = set()
    for graph in (graph for graph in model.graphs if graph is not encoder):
        names = {getattr(graph.names, part) for part in graph.names.__slots__}
        caches = (*graph.cache.own, *graph.cache.cross) if graph.cache is not None else ()
        names |= {pair.past for pair in caches}
        for port in graph.inputs:
            if port.name == graph.names.ids:  # a batch, or without an encoder a number of tokens
                allowed.update(port.free if encoder is None else port.free[:1])
            sized.update(port.free if port.name in names else ())
    lost = [name for name, _ in settings.dim if name in sized and name not in allowed]
    if lost:
        raise UsageError(
            f"--dim {lost[0]}: the tests of {model.name} say how large it is",
            fix="leave it out; --prompt, --gen, --depth and --batch size a decoder's inputs",
        )


def fitted(
    settings: Settings, model: ExportedModel, tests: tuple[Workload, ...]
) -> tuple[Workload, ...]:
    """Usual tests made as short as a decoder is; asked ones that are longer are refused.

    Raises:
        UsageError: see above.
    """
    start = 1 if model.kind is ExportedKind.ENCODER_DECODER else 0  # its start token has a row too
    limit = model.max_context_tokens and model.max_context_tokens - start
    if limit is None or settings.is_asked(*LENGTHS, "depth"):
        return within(model, tests, limit)
    return tuple(dict.fromkeys(_shortened(test, limit) for test in tests if limit > 1))


def within(
    model: ExportedModel, tests: tuple[Workload, ...], limit: int | None
) -> tuple[Workload, ...]:
    """Refuse a test that is longer than an exported model is."""
    for test in tests:
        if limit is not None and test.context_tokens > limit:
            raise UsageError(
                f"{test.name} needs {test.context_tokens} tokens of context; {model.name} takes"
                f" {limit}",
                fix=f"keep {test.shorter} at {limit} or below",
            )
    return tests


def _shortened(test: Workload, limit: int) -> Workload:
    """A test that fits: generated tokens keep at most half of a request, the prompt the rest."""
    if test.context_tokens <= limit:
        return test
    most = limit // 2 if test.kind in (Kind.REQUEST, Kind.TURN) else limit
    gen = min(test.gen_tokens, most)
    prompt = min(test.prompt_tokens, limit - gen)
    depth = limit - gen - prompt
    shorter = replace(test, gen_tokens=gen, prompt_tokens=prompt, depth_tokens=depth)
    return _in_chunks(shorter, test.chunk_tokens)


def _usual_batches(fixed: Mapping[Axis, int]) -> tuple[int, ...]:
    """One and several at once, or the number that is fixed."""
    return (fixed[Axis.BATCH],) if Axis.BATCH in fixed else USUAL_TEXTS


def _tokens_at_once(settings: Settings, model: ExportedModel, place: int) -> int | None:
    """How many tokens the first or last of a decoder's graphs reads; None: any number."""
    graphs = [graph for graph in model.graphs if graph.role is not Role.ENCODER]
    ids = graphs[place].names.ids
    return fixed_sizes(graphs[place], dict(settings.dim), ids).get(Axis.TOKENS) if ids else None
