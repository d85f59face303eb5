"""What a terminal shows while a run goes on: the step, the time left, and how far each cell is.

Lines with a style each, as many and as wide as there is room for. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.progress import BYTES, Part
from harness.core.units import MIB
from harness.report.bars import Signs, columns, cut, padded
from harness.report.grid import one_line
from harness.report.numbers import three_digits
from harness.runner.loop.standing import CellStanding, Standing

WIDTH = 78
MOST_CELLS = 12
LEAST_CELLS = 2  # fewer say nothing
LEAST_NAME = 6  # of a cell: in less room cells are not told
BAR = 24
NARROW = 60  # below this the interval is told without its history
SHOWN_HALVES = 3
WIDE = ">100%"  # of an interval that says no more than that
PLAIN, STRONG, FAINT = "", "bold", "dim"
Line = tuple[str, str]  # text, and one of the three


@dataclass(frozen=True, slots=True)
class Now:
    """All that is known of what goes on.

    Attributes:
        what: begins, or is finished.
        done: steps.
        total: steps in all; 0: not known.
        left: how long the rest takes, in words; empty: not known.
        until: when it ends, as a clock shows it; it stays right while nothing is drawn.
        part: of the step; None: it does not tell.
        standing: of the cells; None: none is measured yet.
    """

    what: str = "starting"
    done: int = 0
    total: int = 0
    left: str = ""
    until: str = ""
    part: Part | None = None
    standing: Standing | None = None


def draw_live(now: Now, width: int, height: int, signs: Signs) -> list[Line]:
    """Draw what goes on.

    Args:
        now: what is known.
        width: columns that there are.
        height: lines that there are.
        signs: what bars are drawn with.
    """
    width = max(8, min(width, WIDTH))
    lines: list[Line] = [(cut(one_line(now.what), width), STRONG)]
    if now.total or now.left:
        lines.append((_overall(now, width, signs), PLAIN))
    if now.part is not None:
        lines.append((_partial(now.part, width, signs), PLAIN))
    if now.standing is not None:
        room = min(MOST_CELLS, height - len(lines) - 2)  # a heading, and a line for the others
        lines += _cells(now, now.standing, width, room)
    return lines[: max(1, height)]


def part_words(part: Part) -> str:
    """`43 of 80 MiB`, `3 of 20 chunks`; without a total what there is."""
    if part.unit != BYTES:
        return f"{part.done} of {part.total} {part.unit}" if part.total else f"{part.done}"
    done = three_digits(part.done / MIB)
    return f"{done} of {three_digits(part.total / MIB)} MiB" if part.total else f"{done} MiB"


def widest(standing: Standing) -> str:
    """The cell whose interval is the widest so far; empty where none has one."""
    known = [cell for cell in standing.cells if cell.halves and not cell.failure]
    if not known:
        return ""
    cell = max(known, key=lambda one: one.halves[-1])
    half = cell.halves[-1]
    return f"widest interval ± {f'{half:.0%}' if half <= 1 else WIDE}, {cell.name}"


def _overall(now: Now, width: int, signs: Signs) -> str:
    """The bar of all steps with what is left."""
    ends = f", until {now.until}" if now.left and now.until else ""
    words = f"{now.left}{ends}"
    if now.total:
        words = f"{now.done} of {now.total}" + (f" · {words}" if words else "")
    share = now.done / now.total if now.total else 0.0
    return _with_bar(share, words, width, signs)


def _partial(part: Part, width: int, signs: Signs) -> str:
    """The bar of the step alone."""
    share = part.done / part.total if part.total else 0.0
    return _with_bar(share, part_words(part), width, signs)


def _with_bar(share: float, words: str, width: int, signs: Signs) -> str:
    """A bar, and words behind it; a narrow terminal has the words alone."""
    room = min(BAR, width - columns(words) - 3)
    if room < 6:
        return cut(words, width)
    filled = max(0.0, min(share, 1.0)) * room
    whole = int(filled)
    bar = signs.full * whole
    eighths = int((filled - whole) * 8)
    if eighths and signs.parts:
        bar += signs.parts[eighths - 1]
    return cut(f"|{padded(bar, room)}| {words}".rstrip(), width)


def _cells(now: Now, standing: Standing, width: int, room: int) -> list[Line]:
    """The cells that something is missing of, the current ones among them."""
    open_cells = [cell for cell in standing.cells if not cell.is_whole]
    if room < min(LEAST_CELLS, len(open_cells)) or not open_cells:
        return []
    current = {place for place, cell in enumerate(open_cells) if _is_current(now, cell)}
    first = _first_shown(min(current, default=0), len(open_cells), room)
    shown = open_cells[first : first + room]
    rows = [_row(cell, standing, narrow=width < NARROW) for cell in shown]
    header = ("cell", "rounds", "so far", "± by round" if width >= NARROW else "±")
    widths = [max(columns(row[place]) for row in (header, *rows)) for place in range(4)]
    left = width - sum(widths[1:]) - 2 * len(widths)
    if left < LEAST_NAME:
        return []
    widths[0] = min(widths[0], left)
    lines: list[Line] = [(_laid_out("  ", header, widths), FAINT)]
    for place, (cell, row) in enumerate(zip(shown, rows, strict=True), start=first):
        is_now = place in current
        style = STRONG if is_now else FAINT if cell.failure else PLAIN
        lines.append((_laid_out("> " if is_now else "  ", row, widths), style))
    hidden = len(open_cells) - len(shown)
    if hidden:
        lines.append((f"  {hidden} more cell{'s' * (hidden != 1)}", FAINT))
    return lines


def _first_shown(current: int, count: int, room: int) -> int:
    """Where the lines begin, so that the current one is among them."""
    return max(0, min(current - room // 3, count - room))


def _is_current(now: Now, cell: CellStanding) -> bool:
    """Whether a cell is what goes on: `round 2: GROUP`, `memory: GROUP TEST`."""
    named = now.what.partition(": ")[2]
    return named == cell.group or named == f"{cell.group} {cell.test}"


def _row(cell: CellStanding, standing: Standing, *, narrow: bool) -> tuple[str, str, str, str]:
    """What is told of a cell."""
    if cell.failure:
        return one_line(cell.name), "", cell.failure, ""
    wanted = max(standing.rounds, cell.rounds)
    value = "" if cell.value is None else f"{three_digits(cell.value)} {cell.unit}"
    halves = cell.halves[-1 if narrow else -SHOWN_HALVES :]
    told = " > ".join(f"{half:.0%}" if half <= 1 else WIDE for half in halves)
    goal = standing.precision
    if told and goal is not None and not narrow:
        told += f" of {goal:.0%}"
    return one_line(cell.name), f"{cell.rounds} of {wanted}", value, told


def _laid_out(mark: str, row: Sequence[str], widths: Sequence[int]) -> str:
    """Columns two apart; numbers to the right."""
    name, *others = row
    cells = [padded(cut(name, widths[0]), widths[0])]
    for text, width in zip(others, widths[1:], strict=True):
        cells.append(" " * (width - columns(text)) + text)
    return (mark + "  ".join(cells)).rstrip()
