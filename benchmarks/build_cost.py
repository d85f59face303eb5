"""Time and memory of building a model at each level, from nothing.

    python benchmarks/build_cost.py --model llama-3.2-1b

Each level is built once into a cache that is thrown away; the peak is the building process's
high-water mark above the interpreter with its imports. Run nothing beside it.
"""

import argparse
import tempfile
from pathlib import Path

from harness.builder.quantize.levels import LEVELS
from harness.core.units import MIB
from harness.models.weights.source import resolve_model
from harness.store.cache import ensure_artifact


def main() -> None:
    """Print one row per level."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="llama-3.2-1b")
    parser.add_argument("--levels", default=",".join(LEVELS))
    arguments = parser.parse_args()
    source = resolve_model(arguments.model)
    print("| model | level | weights MiB | build s | peak MiB above the interpreter |")
    print("|---|---|---|---|---|")
    for level in arguments.levels.split(","):
        with tempfile.TemporaryDirectory() as cache:
            built = ensure_artifact(source, level, Path(cache))
            print(
                f"| {arguments.model} | {level} | {built.weights_bytes / MIB:,.0f} "
                f"| {built.build_seconds:.1f} | {built.build_peak_bytes / MIB:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
