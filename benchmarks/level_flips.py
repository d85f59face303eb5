"""What every level of a trained model answers otherwise than fp32, beside its divergence.

    python benchmarks/level_flips.py measure
    python benchmarks/level_flips.py report

Quality on the held-out text and the questions of `--tasks builtin`, on the prefill path of the CPU
with one thread; nothing is timed. A later call goes on with the file. What is measured again on
the same processor gives the same lines; another one, whose kernels round otherwise, may move an
item or two.
"""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from harness.analysis.answers import standings
from harness.builder.quantize.levels import LEVELS
from harness.models.weights.source import resolve_model
from harness.report.grid import Column, draw_columns
from harness.report.numbers import four_decimals, percent, three_significant, two_decimals
from harness.results.journal import Journal, read_lines
from harness.results.quality import PathQuality, TaskScores
from harness.runner.quality.measure import measure_quality
from harness.runner.quality.tasks import TaskRun
from harness.store.cache import default_cache, ensure_artifact

FILE = Path("results/validation/flips.jsonl")
REFERENCE = "fp32"
Line = tuple[str, float, PathQuality, TaskScores, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--model", default="bytelm")
    parser.add_argument("--tasks", default="builtin")
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options)
    report(options.file)


def measure(options: argparse.Namespace) -> None:
    """Measure the levels that the file does not hold yet."""
    source, cache = resolve_model(options.model), default_cache()
    known = {entry["level"] for entry in read_lines(options.file)} if options.file.exists() else ()
    run, reference = TaskRun(options.tasks), ensure_artifact(source, REFERENCE, cache)
    with Journal(options.file) as journal:
        for level in (level for level in LEVELS if level not in known):
            built = ensure_artifact(source, level, cache)
            quality = measure_quality(source, reference, built)
            answered = run.judge(source, reference, built)
            journal.append(
                {
                    "kind": "flips",
                    "model": source.name,
                    "level": level,
                    "bits_per_weight": built.bits_per_weight,
                    "prefill": msgspec.to_builtins(quality.prefill),
                    "tasks": msgspec.to_builtins(answered),
                }
            )


def report(path: Path) -> None:
    """Every level, the one with the smallest divergence first, and what KLD says of the flips."""
    entries = read_lines(path)
    answers = [msgspec.convert(entry["tasks"], TaskScores) for entry in entries]
    verdicts = standings({entry["level"]: one for entry, one in zip(entries, answers, strict=True)})
    lines: list[Line] = [
        (
            entry["level"],
            entry["bits_per_weight"],
            msgspec.convert(entry["prefill"], PathQuality),
            one,
            verdicts[entry["level"]],
        )
        for entry, one in zip(entries, answers, strict=True)
    ]
    lines.sort(key=lambda line: _mean(line[2].kld_nats))
    first = answers[0]
    by_chance = percent(first.chance or 0.0)
    print(f"{first.items} questions, {first.name}; {by_chance} by guessing\n")
    print(draw_columns(COLUMNS, lines, "md"))


def _mean(found: Any) -> float:
    return found.value


def _ends(found: Any) -> str:
    return f"{percent(found.low)}–{percent(found.high)}"


COLUMNS: tuple[Column[Line], ...] = (
    Column("level", lambda line: line[0]),
    Column("bits/w", lambda line: line[1], two_decimals),
    Column("KLD nats", lambda line: _mean(line[2].kld_nats), four_decimals),
    Column("top-1", lambda line: _mean(line[2].top1_agreement), percent),
    Column("RMS Δp", lambda line: _mean(line[2].rms_delta_p), percent),
    Column("accuracy", lambda line: _mean(line[3].task_accuracy), percent),
    Column("95 %", lambda line: _ends(line[3].task_accuracy)),
    Column("flips", lambda line: _mean(line[3].task_flips), percent),
    Column("lost", lambda line: line[3].lost),
    Column("won", lambda line: line[3].won),
    Column("other wrong", lambda line: line[3].moved),
    Column("McNemar p", lambda line: line[3].mcnemar_p, three_significant),
    Column("beside fp32", lambda line: line[4]),
)


if __name__ == "__main__":
    main()
