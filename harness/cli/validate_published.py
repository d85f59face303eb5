"""`bench validate-estimates --published`: estimates of absent devices beside published rows."""

from pathlib import Path

from harness.cli.output import show, tell
from harness.core.errors import UsageError
from harness.core.files import write_whole
from harness.report.grid import json_text
from harness.report.published_table import draw_published, published_json

SHIPPED = "shipped"
DEFAULT_BY = "class"


def judge_published(name: str, by: str | None, style: str, out: Path | None) -> None:
    """Print how far each estimator is from a file of published rows, and keep it where asked.

    Args:
        name: of the file, or `shipped`: the rows that ship.
        by: how rows are grouped; None: by class and engine.
        style: of `options.FORMATS`.
        out: where the table is kept as JSON; None: nowhere.

    Raises:
        StorageError: the file cannot be read.
        UsageError: it is none of published rows, or no row of it can be asked.
    """
    from harness.analysis.published import study_published
    from harness.estimator.published.rows import read_published, shipped_rows

    rows = shipped_rows() if name == SHIPPED else read_published(Path(name))
    study = study_published(rows, by or DEFAULT_BY)
    table = published_json(study, SHIPPED if name == SHIPPED else Path(name).name)
    if not study.rows:
        raise UsageError(
            f"{name}: none of its {len(rows)} rows can be asked about",
            fix=f"devices of bench estimate --on list, models of bench models;"
            f" left out: {study.counts}",
        )
    if out is not None:
        write_whole(out, json_text(table) + "\n")
        tell(f"errors of the estimates: {out}")
    text, notes = draw_published(study, table, style)
    show(text)
    for note in notes:
        tell(note)
