"""`bench estimate`: what a model would need and do on a device, without running it."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import click

from harness.builder.quantize.levels import SWEEP, QuantLevel, find_levels
from harness.cli.completion import (
    LEVELS,
    MODELS,
    OF_FLAGS,
    catalog_device_names,
    requirement_names,
    words,
)
from harness.cli.estimate_here import HERE, this_machine
from harness.cli.estimate_largest import EXAMPLE as LARGEST_EXAMPLE
from harness.cli.estimate_largest import (
    USUAL_LEVELS,
    USUAL_LIMITS,
    Question,
    limits_asked,
    refuse_beside_largest,
    show_largest,
    show_parts,
)
from harness.cli.estimate_list import ALL, is_list, listed_devices, named_devices
from harness.cli.options import FORMATS, Word, format_option
from harness.cli.output import show, tell
from harness.core.errors import UsageError
from harness.core.ranges import parse_grid, parse_names, parse_turns
from harness.estimator.answer import Estimate, estimate
from harness.estimator.machine import OS_SHARE, estimate_here
from harness.estimator.published.limits import PRECISIONS
from harness.estimator.published.runtimes import runtime_names
from harness.estimator.query import nominal_level
from harness.models.catalog.catalog import listed_names
from harness.models.catalog.systems import Unpublished, unpublished
from harness.models.catalog.target import (
    EstimateTarget,
    counted_target,
    parse_bytes,
    parse_parameters,
)
from harness.report.catalog_devices import draw_catalog_devices
from harness.report.estimate_table import draw_estimates
from harness.runner.models import find_targets
from harness.runner.settings.values import AS_TESTED, CAPACITIES, MOST

if TYPE_CHECKING:
    from harness.estimator.nearest import NearRow

Flags = dict[str, str | int | float | None]
MACHINE_FORMATS = ("csv", "json", "jsonl")  # those that hold one table
PROMPT = "128"
MAX_ROWS = 20_000  # of a table that a program can still use; all models on all devices are more
EXAMPLE = "Example:  bench estimate llama-3.2-1b --quant int4,fp16 --on galaxy-s24 --memory 8GB"


@click.command("estimate", epilog=EXAMPLE)
@click.argument("model", required=False, shell_complete=MODELS)
@click.option(
    "--quant",
    shell_complete=LEVELS,
    help=f"Quantization levels; `{SWEEP}` is all.  [default: int4]",
)
@click.option(
    "--on",
    "devices",
    shell_complete=words(catalog_device_names, is_list=True),
    help="Devices, classes of them, `all`; `cpu` is here; `list` shows them.",
)
@click.option("--depth", default="0", show_default=True, help="Tokens already in the cache.")
@click.option("--prompt", help="Prompt tokens.  [default: 128]")
@click.option(
    "--turns",
    metavar="TURNSxPROMPT+GEN",
    help="Turns of a chat, a row each: 4x128+64. With the cache kept, and read again.",
)
@click.option("--batch", default="1", show_default=True, help="Sequences at once.")
@click.option(
    "--capacity",
    default=AS_TESTED,
    show_default=True,
    shell_complete=OF_FLAGS["capacity"],
    help=f"Positions that the cache is allocated for: numbers, {AS_TESTED} or {MOST}.",
)
@click.option("--engine", type=Word(["cpu", "gpu", "npu"]), help="Of the device.")
@click.option(
    "--runtime-of",
    type=Word(list(runtime_names())),
    help="That runs it there; else the one that its users run.",
)
@click.option("--context", type=int, help="Of an NPU's static graph.  [default: 4096, most]")
@click.option("--precision", type=Word(list(PRECISIONS)), help="Of an NPU's format.")
@click.option("--memory", help="What the device carries, such as 8GB; else the most that is sold.")
@click.option("--os-share", type=float, help="Share of it kept by the system, such as 0.25.")
@click.option("--price-per-kwh", type=float, help="Turns modelled energy into operating cost.")
@click.option("--params", help="A parameter count instead of a model: 7.6B, 3000억.")
@click.option("--bits", type=int, help="Bits of a weight, for --params and stated counts.")
@click.option("--explain-row", is_flag=True, help="Print the sum behind each speed, term by term.")
@click.option("--explain", is_flag=True, help="The sum, and the nearest published rows beside it.")
@click.option("--largest", is_flag=True, help="How large may a model be there? Instead of MODEL.")
@click.option(
    "--require",
    multiple=True,
    shell_complete=words(requirement_names, is_list=True),
    help='Limits on what --largest looks for: "decode>=20, ttft<=2s, peak<=4GiB".',
)
@format_option(FORMATS)
def command(
    style: str,
    explain_row: bool,
    explain: bool,
    largest: bool,
    require: tuple[str, ...],
    **flags: str | int | float | None,
) -> None:
    """Estimate memory, speed and energy of MODEL on a device, without running anything.

    MODEL is a word that --model takes, a folder with config.json, a system that the source
    documents name (gpt-4), a count (7B), several of them with commas, or `all`. Speeds are
    ranges that hold four fifths of what is published of such engines. The energy floor is physics,
    not an estimate. `--on cpu` is this machine, by what `bench calibrate` measured; `--on list`
    shows the devices by class, with memory, bandwidth and peaks, and `--on phone` is every phone.

    `--largest` turns the question round: the largest parameter count that fits, and keeps to every
    limit of `--require`, by the slow end, the centre and the fast end of the ranges, and the
    largest catalog models that do. It is also the answer for a system without a published count.
    """
    if is_list(flags):
        engine = flags["engine"]
        listed = listed_devices(None if engine is None else str(engine))
        show(draw_catalog_devices(listed, style))
        return
    if largest:
        _show_largest(flags, require, style, explain_row=explain_row)
        return
    systems = _without_count(flags)
    if require and not systems:
        raise UsageError("--require says what --largest looks for", fix=LARGEST_EXAMPLE)
    if systems:
        flags = _show_systems(flags, systems, require, style)
    if flags["model"] is None and flags["params"] is None and systems:
        return
    rows = estimate_rows(flags)
    near = _near(rows) if explain else []
    text, notes = draw_estimates(rows, style, explain_row or explain, near)
    show(text)
    for note in notes:
        tell(note)


def _near(rows: list[Estimate]) -> list[tuple["NearRow", ...]]:
    """Return the nearest published rows of each; only here are they read."""
    from harness.estimator.nearest import nearest_rows

    return [nearest_rows(row) for row in rows]


def _show_largest(flags: Flags, require: tuple[str, ...], style: str, *, explain_row: bool) -> None:
    """Answer `--largest`.

    Raises:
        UsageError: a flag beside it that says nothing there, or a limit that is none.
    """
    refuse_beside_largest(
        {
            "MODEL": flags["model"],
            "--params": flags["params"],
            "--bits": flags["bits"],
            "--turns": flags["turns"],
            "--explain-row": explain_row,
        }
    )
    limits = limits_asked(require)
    show_largest(_questions(flags), limits, style)


def _without_count(flags: Flags) -> list[Unpublished]:
    """Return the models that are asked about and of which no count was ever published."""
    if flags["model"] is None:
        return []
    found = (unpublished(word) for word in parse_names(str(flags["model"]), "MODEL"))
    return [system for system in found if system is not None]


def _show_systems(
    flags: Flags, systems: list[Unpublished], require: tuple[str, ...], style: str
) -> Flags:
    """Say what is known of systems without a count, and what could run at all.

    Returns:
        The flags, with the other words for models alone; MODEL None: there are none.

    Raises:
        UsageError: other models beside them in a format for programs, which holds one table.
    """
    words_left = [
        word for word in parse_names(str(flags["model"]), "MODEL") if unpublished(word) is None
    ]
    with_parts = [system for system in systems if system.parts]
    unknown = [system for system in systems if not system.parts]
    if style in MACHINE_FORMATS and sum(map(bool, (words_left, with_parts, unknown))) > 1:
        raise UsageError(
            f"no parameter count of {systems[0].name} was ever published: its answer is a table of"
            f" its own, and --format {style} holds one",
            fix=f"bench estimate {systems[0].key} --on DEVICE --format {style}",
        )
    limits = limits_asked(require, USUAL_LIMITS)
    quant = flags["quant"] or USUAL_LEVELS
    questions = _questions({**flags, "quant": quant})
    if with_parts:
        show_parts(questions, with_parts, style)
    if unknown:
        show_largest(questions, limits, style, unknown)
    return {**flags, "model": ",".join(words_left) or None}


def _questions(flags: Flags) -> list[Question]:
    """Return every level on every device at every length and batch that is asked about.

    Raises:
        UsageError: no device, or the whole context of a model that is not given.
    """
    names, levels, lengths = _device_words(flags), _levels(flags), _lengths(flags)
    batches = parse_grid(str(flags["batch"]), "--batch")
    room = str(flags["capacity"])
    if room == MOST:
        raise UsageError(
            f"--capacity {MOST} is the whole context of a model, and none is given",
            fix="--capacity 8192",
        )
    rooms = CAPACITIES.read(room, "--capacity", "--capacity 8192", is_text=True)
    estimators = [_estimator(name, flags, len(names) == 1) for name in names]
    return [
        Question(
            level,
            partial(estimator, level=level, **length, batch=batch, capacity=_positions(room)),
        )
        for estimator in estimators
        for level in levels
        for length in lengths
        for batch in batches
        for room in rooms
    ]


def _positions(word: str) -> int:
    """Positions of the cache that a word means; 0: as many as depth and prompt need."""
    return 0 if word == AS_TESTED else int(word)


def _device_words(flags: Flags) -> tuple[str, ...]:
    """Return the devices that are asked about.

    Raises:
        UsageError: there are none.
    """
    if flags["devices"] is None:
        raise UsageError(
            "bench estimate needs a device, and --on names none",
            fix="--on cpu for this machine, or --on list to see the devices of the catalog",
        )
    return named_devices(str(flags["devices"]))


def estimate_rows(flags: Flags) -> list[Estimate]:
    """Return one estimate per model, level, device, length, batch and capacity of the grids.

    Raises:
        HarnessError: a name, a number or a combination that cannot be estimated.
    """
    targets, levels = _targets(flags), _levels(flags)
    if flags["bits"] is not None and any(target.structure is not None for target in targets):
        raise UsageError(
            "--bits goes with a bare parameter count, and a model of the catalog has a level",
            fix="--quant int4 for a model of the catalog",
        )
    names = _device_words(flags)
    batches = parse_grid(str(flags["batch"]), "--batch")
    lengths = _lengths(flags)
    rooms = CAPACITIES.read(str(flags["capacity"]), "--capacity", "--capacity max", is_text=True)
    count = len(targets) * len(levels) * len(names) * prod(map(len, (lengths, batches, rooms)))
    if count > MAX_ROWS:
        raise UsageError(
            f"{count:,} rows are asked for, and at most {MAX_ROWS:,} are drawn",
            fix="bench estimate with fewer models, levels or depths",
        )
    estimators = [_estimator(name, flags, len(names) == 1) for name in names]
    return [
        estimator(target, level, **length, batch=batch, capacity=capacity)
        for target in targets
        for level in levels
        for estimator in estimators
        for length in lengths
        for batch in batches
        for capacity in dict.fromkeys(_capacity(word, target, len(targets) == 1) for word in rooms)
    ]


def _lengths(flags: Flags) -> list[dict[str, int]]:
    """Return depth and prompt of every row; of turns also what follows, and their numbers.

    Raises:
        UsageError: a chat whose prompts are also given by another flag.
    """
    depths, turns = parse_grid(str(flags["depth"]), "--depth"), flags["turns"]
    if turns is None:
        typed = PROMPT if flags["prompt"] is None else str(flags["prompt"])
        prompts = parse_grid(typed, "--prompt")
        return [{"depth": depth, "prompt": prompt} for depth in depths for prompt in prompts]
    if flags["prompt"] is not None:
        raise UsageError(
            "--turns says how long prompts are, and so does --prompt", fix="leave one of them out"
        )
    return [
        {"depth": depth + before * (prompt + gen), "prompt": prompt, "gen": gen, "turn": before + 1}
        for depth in depths
        for count, prompt, gen in parse_turns(str(turns), "--turns")
        for before in range(count)
    ]


def _capacity(word: str, target: EstimateTarget, is_only: bool) -> int:
    """The positions that a word means for a model; 0: as many as depth and prompt need.

    Of several models those that keep no cache are estimated as they are.

    Raises:
        UsageError: all that it takes, and that is not known.
    """
    if word != MOST:
        return _positions(word)
    if not is_only and (target.structure is None or not target.structure.decodes):
        return 0
    if target.structure is None:
        raise UsageError(
            f"--capacity {MOST}: how many tokens {target.name} takes is not known",
            fix="leave --capacity out",
        )
    return target.structure.max_context_tokens


def _estimator(name: str, flags: Flags, is_only: bool) -> Callable[..., Estimate]:
    """Return what estimates a row: by a data sheet, or by what was measured here.

    Of several devices a context is that of those that run static graphs.

    Raises:
        UsageError: a flag that is of catalog devices, with this machine.
    """
    memory, share = flags["memory"], _number(flags["os_share"])
    memory_bytes = None if memory is None else parse_bytes(str(memory), "--memory")
    if name != HERE:
        return partial(
            estimate,
            device=name,
            engine=None if flags["engine"] is None else str(flags["engine"]),
            memory_bytes=memory_bytes,
            os_share=share,
            price_per_kwh=_number(flags["price_per_kwh"]),
            runtime_of=None if flags["runtime_of"] is None else str(flags["runtime_of"]),
            precision=None if flags["precision"] is None else str(flags["precision"]),
            context=0 if flags["context"] is None else _context(str(flags["context"])),
            context_where_static=not is_only,
        )
    _refuse_elsewhere(flags)
    if flags["engine"] not in (None, "cpu"):
        raise UsageError(
            "--on cpu has no other engine, and --engine names one", fix="leave out --engine"
        )
    machine = this_machine()
    return partial(
        estimate_here,
        constants=machine.constants,
        memory_bytes=memory_bytes or machine.memory_bytes,
        os_share=OS_SHARE if share is None else share,
        price_per_kwh=_number(flags["price_per_kwh"]),
    )


def _context(text: str) -> int:
    """Return a context that is one.

    Raises:
        UsageError: not positive.
    """
    if int(text) < 1:
        raise UsageError(f"--context {text} is not positive", fix="--context 4096")
    return int(text)


def _refuse_elsewhere(flags: Flags) -> None:
    """Refuse what only catalog devices have: this machine runs ONNX Runtime on its CPU.

    Raises:
        UsageError: such a flag is given.
    """
    for name in ("runtime_of", "context", "precision", "explain"):
        if flags.get(name):
            word = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"--on cpu runs ONNX Runtime here, and {word} is of catalog devices",
                fix=f"leave out {word}",
            )


def _targets(flags: Flags) -> list[EstimateTarget]:
    """Return the models that are asked about: by name, or by count."""
    model, params = flags["model"], flags["params"]
    if (model is None) == (params is None):
        raise UsageError(
            "bench estimate takes a model or --params, one of the two",
            fix="bench estimate llama-3.2-1b --on rpi5, or bench estimate --params 7.6B --on rpi5",
        )
    if params is not None:
        # Commas separate counts here: 7,600,000,000 is written 7.6B.
        texts = parse_names(str(params), "--params")
        return [counted_target(parse_parameters(text), text) for text in texts]
    names = _words(model, "MODEL", listed_names)
    return [target for name in names for target in find_targets(name, _log)]


def _log(line: str) -> None:
    """Say on stderr what is fetched."""
    tell(line)


def _levels(flags: Flags) -> list[QuantLevel]:
    """Return the quantization levels, or the one that --bits stands for."""
    if flags["bits"] is None:
        return list(find_levels(parse_names(str(flags["quant"] or "int4"), "--quant")))
    if flags["quant"] is not None:
        raise UsageError(
            "--bits and --quant both say how weights are stored",
            fix="give one of them: --quant int4, or --bits 4.5",
        )
    return [nominal_level(int(flags["bits"]))]


def _words(text: object, flag: str, everything: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Return the words of a comma-separated flag; `all` is everything, which is read then."""
    names = parse_names(str(text), flag)
    return everything() if names == (ALL,) else names


def _number(value: str | float | None) -> float | None:
    """Return a flag's number, or None where it was not given."""
    return None if value is None else float(value)
