"""The packages and their one-way imports, verified against the code itself."""

import ast
import re
from pathlib import Path

import pytest

from benchmarks.structure import PACKAGE, arrows, box_of, floors, imported_modules, kind_checks

ROOT = Path(__file__).resolve().parent.parent

MAX_BOXES = 22
MAX_ARROWS = 100
# May only fall: a model is asked for what it has, not for what kind it is.
MAX_KIND_CHECKS = 9
# Only some packages may touch these: a session made elsewhere would escape the placement check.
ONLY_IN = {
    "onnxruntime": {"devices", "engine", "builder"},
    "onnxruntime_genai": {"engine"},
    "onnx": {"builder", "models"},
    "psutil": {"machine"},
    "tokenizers": {"models", "runner"},
    "tabulate": {"report"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "click": {"cli"},
    "rich": {"cli"},
    "vl_convert": {"report"},
    "duckdb": {"history"},
    "dask": {"fleet"},
    "distributed": {"fleet"},
}
# Methods of click's own classes that give back words of the command line, and the words of flags.
CLICKS_OWN = {"main.py: list_commands", "main.py: parse_args"}
FLAG_WORDS = ("flags.py", "options.py")
FILES = sorted(PACKAGE.rglob("*.py"))


def documented_imports() -> dict[str, set[str]]:
    """What docs/architecture.md says that each package imports."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([^|]*) \|$", text, flags=re.MULTILINE)
    return {box: set(re.findall(r"\w+", below)) for box, below in rows}


def test_the_table_of_the_docs_is_what_the_code_imports():
    """No import that the table does not name, and no permission that nothing uses."""
    assert documented_imports() == arrows()


def test_imports_run_downwards_only():
    """Every package has a floor above all that it imports: there is no circle."""
    assert arrows().keys() - floors(arrows()).keys() == set()


def test_the_table_is_drawn_from_the_bottom_up():
    """A row of docs/architecture.md stands below everything that it imports."""
    seen: set[str] = set()
    for box, below in documented_imports().items():
        assert below <= seen
        seen.add(box)


def test_the_house_stays_small():
    """Few boxes and few arrows: somebody new can hold them in mind."""
    found = arrows()
    assert len(found) <= MAX_BOXES
    assert sum(len(below) for below in found.values()) <= MAX_ARROWS


def test_choosing_by_the_kind_of_a_model_gets_rarer():
    """`isinstance` on kinds of models is counted, and the limit is lowered with the count."""
    assert len(list(kind_checks())) <= MAX_KIND_CHECKS


def test_every_package_says_what_it_is():
    """A line of docstring in every `__init__.py`."""
    folders = {path.parent for path in FILES}
    undocumented = [
        folder
        for folder in sorted(folders)
        if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    ]
    assert undocumented == []


@pytest.mark.parametrize("package", ONLY_IN)
def test_outside_packages_stay_where_they_belong(package: str):
    """Sessions are made in devices, graphs in builder, prints drawn by cli: nowhere else."""
    users = {
        box_of(path)
        for path in FILES
        if any(name.split(".")[0] == package for name in imported_modules(path))
    }
    assert users <= ONLY_IN[package]


@pytest.mark.parametrize(("package", "file"), [("tabulate", "grid.py"), ("rich", "progress.py")])
def test_one_file_lays_tables_out_and_one_draws_progress(package, file):
    """Tables are drawn by `report/grid.py`, in one style; rich only moves on a terminal."""
    users = [
        path.name
        for path in FILES
        if any(name.split(".")[0] == package for name in imported_modules(path))
    ]
    assert users == [file]


def test_what_must_outlive_a_crash_is_written_in_one_place():
    """`core/files.py` syncs and renames; the journal syncs lines that it appends."""
    synced = {path.name for path in FILES if ".fsync(" in path.read_text(encoding="utf-8")}
    assert synced == {"files.py", "journal.py"}
    temporary = ("mkstemp", "NamedTemporaryFile", "os.replace")
    assert [path for path in FILES if any(word in path.read_text() for word in temporary)] == []


def test_text_leaves_in_one_place():
    """`cli/output.py` writes on stdout and stderr: what it makes safe cannot be gone around."""
    writers = ("click.echo(", "click.secho(", "print(", "sys.stdout.write", "sys.stderr.write")
    own = {"output.py", "__main__.py"}
    found = {
        path.name
        for path in FILES
        if box_of(path) in ("cli", "report", "__main__")
        and any(word in path.read_text(encoding="utf-8") for word in writers)
    }
    assert found - own == set()


def test_nothing_in_cli_returns_text():
    """Commands print what `report` draws: a function that makes text stands where tables do."""
    makers = [
        f"{path.name}: {node.name}"
        for path in FILES
        if box_of(path) == "cli" and path.name not in FLAG_WORDS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and _is_text(node.returns)
    ]
    assert set(makers) == CLICKS_OWN


def _is_text(returns: ast.expr | None) -> bool:
    """Whether an annotation is `str`, lines of it, or an option of either."""
    return (
        returns is not None
        and re.fullmatch(
            r"(str|(list|Sequence|Iterator)\[str\])( \| None)?",
            ast.unparse(returns),
        )
        is not None
    )
