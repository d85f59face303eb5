"""The structure of the package: its boxes, arrows, floors and circles, read from imports alone.

    python benchmarks/structure.py

A box is a folder or a file directly under `harness/`; an arrow from A to B says that some file of
A imports something of B. The ground floor imports nothing; a box stands one floor above the
highest that it imports. tests/test_architecture.py holds the figures within their limits.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "harness"


@cache
def imported_modules(path: Path) -> frozenset[str]:
    """Full names of everything a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def box_of(path: Path) -> str:
    """The box a file stands in: its folder under the package, or its own name at the top."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def arrows() -> dict[str, set[str]]:
    """Every box -> the boxes that it imports, itself left out."""
    files = sorted(PACKAGE.rglob("*.py"))
    found: dict[str, set[str]] = {box_of(path): set() for path in files}
    for path in files:
        parts = (name.split(".") for name in imported_modules(path))
        boxes = {part[1] for part in parts if part[0] == "harness" and len(part) > 1}
        found[box_of(path)] |= boxes & found.keys() - {box_of(path)}
    return found


def floors(found: Mapping[str, set[str]]) -> dict[str, int]:
    """Box -> its floor, the ground being 1; boxes on or above a circle have none."""
    placed: dict[str, int] = {}
    while True:
        ready = {box for box in found.keys() - placed.keys() if found[box] <= placed.keys()}
        if not ready:
            return placed
        placed |= {box: 1 + max((placed[b] for b in found[box]), default=0) for box in ready}


def kind_checks() -> Iterator[tuple[Path, int]]:
    """Yield file and line of every `isinstance` that asks which kind of model something is."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _asks_kind(node):
                yield path, node.lineno


def _asks_kind(call: ast.Call) -> bool:
    """Whether a call is `isinstance(x, KIND)` with one of KINDS among the classes."""
    named = isinstance(call.func, ast.Name) and call.func.id == "isinstance"
    return named and any(
        isinstance(node, ast.Name) and node.id in KINDS
        for argument in call.args[1:]
        for node in ast.walk(argument)
    )


# Classes that stand for a kind of model: its description, its source, its built form, its shapes,
# what runs it.
KINDS = frozenset(
    {
        *("ModelSpec", "EncoderSpec", "ModelSource", "ExportedSource"),
        *("Artifact", "ExportedArtifact"),
        *("DecoderGeometry", "EncoderGeometry", "StaticGeometry", "StaticEncoderGeometry"),
        *("ExportedGeometry", "Measuring", "EncoderMeasuring", "ExportedMeasuring"),
        *("PairMeasuring", "StaticMeasuring", "StaticEncoderMeasuring"),
        *("Decoder", "ExportedDecoder", "StaticDecoder", "GenaiDecoder", "CachedDecoder"),
        *(
            "BuiltModel",
            "BuiltDecoder",
            "BuiltEncoder",
            "Described",
            "StaticShapes",
            "EncoderShapes",
        ),
        *("Exported", "ExportedPair", "ExportedEncoder", "ExportedVision", "PassMeasuring"),
        *("FusedDecoder", "FixedDecoder", "FusedEncoder", "FixedEncoder", "ExportedGraphs"),
        *("LoadedModel", "LoadedDecoder", "LoadedEncoder", "LoadedTextEncoder", "ExportedText"),
    }
)


def main() -> int:
    """Print the figures, and the boxes from the top floor down."""
    found = arrows()
    placed = floors(found)
    count = sum(len(below) for below in found.values())
    print(f"{len(found)} boxes, {count} arrows, {max(placed.values())} floors")
    print(f"{len(found) - len(placed)} boxes on or above a circle")
    print(f"{len(list(kind_checks()))} checks of a model's kind")
    for box in sorted(placed, key=lambda name: (-placed[name], name)):
        print(f"  {placed[box]:2}  {box}: {', '.join(sorted(found[box])) or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
