"""Write configs/catalog/engines.toml: what the published rows say of engines.

    python benchmarks/fit_engines.py

Run it again after a change of published.csv.xz, of a data sheet or of a model that a row names.
"""

from pathlib import Path

from harness.core.files import write_whole
from harness.estimator.published.asking import ask_rows
from harness.estimator.published.cells import make_table, table_text
from harness.estimator.published.fit import fit_all
from harness.estimator.published.rows import shipped_rows

TABLE = Path(__file__).resolve().parent.parent / "configs" / "catalog" / "engines.toml"


def main() -> None:
    """Fit, and write the table."""
    rows, left = ask_rows(shipped_rows())
    basis = f"{len(rows)} published rows, {len(left)} left out"
    write_whole(TABLE, table_text(make_table(rows, fit_all(rows), basis)))


if __name__ == "__main__":
    main()
