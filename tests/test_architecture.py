"""The rooms and their one-way imports, held against the code itself."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "harness"
EVERYONE = {"errors", "units"}

# One row per room, bottom to top: what it may import besides itself, errors and units.
# docs/architecture.md shows the same table; a test below holds the two together.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "units": set(),
    "findings": set(),
    "glossary": set(),
    "grid": set(),
    "specs": set(),
    "quantize": {"specs"},
    "weights": {"specs"},
    "texts": {"specs", "weights"},
    "measure": set(),
    "graph": {"specs", "quantize", "weights"},
    "foreign": {"specs", "quantize", "measure"},
    "devices": {"graph", "measure", "findings"},
    "watch": {"measure", "stats", "findings"},
    "workload": {"specs", "quantize", "graph", "foreign", "devices", "measure"},
    "artifacts": {
        *("specs", "quantize", "weights", "texts", "graph", "foreign", "devices", "measure"),
        "workload",
    },
    "ceilings": {"specs", "quantize", "graph", "devices", "measure", "workload", "stats"},
    "estimates": {"specs", "quantize", "foreign", "ceilings"},
    "stats": set(),
    "quality": {
        *("specs", "quantize", "weights", "texts", "graph", "artifacts", "devices", "measure"),
        *("workload", "stats", "foreign"),
    },
    "results": {"stats"},
    "studies": {
        *("findings", "grid", "specs", "quantize", "ceilings", "estimates", "stats", "results"),
        "glossary",
    },
    "report": {"results", "stats", "glossary"},
    "settings": {"specs", "grid"},
    "plan": {
        "artifacts",
        "settings",
        "specs",
        "quantize",
        "graph",
        "devices",
        "weights",
        "workload",
    }
    | {"foreign"},
    "runner": {
        *("plan", "settings", "specs", "quantize", "weights", "artifacts", "devices", "measure"),
        *("watch", "workload", "ceilings", "estimates", "stats", "quality", "results", "foreign"),
    },
    "api": {"runner", "plan", "settings", "specs", "quantize", "weights", "artifacts", "devices"}
    | {"workload", "results", "watch", "graph", "estimates", "quality", "foreign"},
    "__init__": {"api"},
    "__main__": {"cli"},
    "cli": {
        *("api", "runner", "plan", "settings", "grid", "specs", "quantize", "weights"),
        *("artifacts", "devices", "measure", "watch", "workload", "ceilings", "estimates"),
        *("stats", "quality", "results", "studies", "report", "glossary", "findings"),
        "foreign",
    },
}
# Only some rooms may touch these: a session made elsewhere would escape the placement check.
ONLY_IN = {
    "onnxruntime": {"devices", "workload", "quantize"},
    "onnxruntime_genai": {"workload"},
    "onnx": {"graph", "quantize", "foreign"},
    "psutil": {"measure", "watch"},
    "tokenizers": {"texts", "quality"},
    "tabulate": {"report"},
    "click": {"cli"},
    "rich": {"cli"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room a file lives in: its folder under the package, or its own name at the top."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    """Full names of everything a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def imported_rooms(path: Path) -> set[str]:
    """Rooms of the package that a file imports."""
    parts = (name.split(".") for name in imported_modules(path))
    rooms = {part[1] for part in parts if part[0] == "harness" and len(part) > 1}
    return rooms & MAY_IMPORT.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_downwards_only(path: Path):
    """A module imports its own room, the rooms below it, errors and units."""
    room = room_of(path)
    assert imported_rooms(path) <= MAY_IMPORT[room] | {room} | EVERYONE


def test_the_table_has_no_cycle():
    """Each room may only import rooms that can never import it back."""

    def reachable(room: str) -> set[str]:
        seen: set[str] = set()
        stack = [room]
        while stack:
            for below in MAY_IMPORT[stack.pop()] - seen:
                seen.add(below)
                stack.append(below)
        return seen

    assert [room for room in MAY_IMPORT if room in reachable(room)] == []


@pytest.mark.parametrize("package", ONLY_IN)
def test_outside_packages_stay_in_their_rooms(package: str):
    """Sessions are made in devices, graphs in graph, prints drawn by cli: nowhere else."""
    users = {
        room_of(path)
        for path in FILES
        if any(name.split(".")[0] == package for name in imported_modules(path))
    }
    assert users <= ONLY_IN[package]


def test_every_room_is_described():
    """docs/architecture.md names each room of the table."""
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [room for room in MAY_IMPORT if f"`{room}" not in text and room[0] != "_"] == []
