"""Is ONNX Runtime, as built here, ahead of llama.cpp on this machine? The same weights, in turns.

    pip install 'ondevice-bench[llamacpp]'
    python benchmarks/against_llamacpp.py                       # hours: every cell below
    python benchmarks/against_llamacpp.py --models smollm2-135m --threads 1 --forms q4_0
    python benchmarks/against_llamacpp.py --show cells.jsonl    # what --save kept, drawn again

A cell is one model with so many threads at one form of llama.cpp and one of our levels, and is
measured by one `bench ab`: llama.cpp (A) and ours (B) in two live workers that take turns, pass by
pass; a pair of fresh processes gives one ratio. Ratios are ours over llama.cpp's, above 1 where
ours is faster, with their 95 % interval over the pairs. Beside them stand the bytes that a step
reads a second, as a share of what this machine reads at that size (`bench calibrate`), and what
each form loses of bytelm, a trained model, against its fp32. Run it on a quiet machine.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.builder.quantize.levels import find_cache, find_level
from harness.core.errors import HarnessError
from harness.estimator.calibration.calibrate import ensure_constants
from harness.estimator.calibration.store import calibration_key
from harness.machine.watch.facts import machine_facts
from harness.models.weights.source import resolve_model
from harness.runner.loop.builds import ensure_group
from harness.runner.loop.held_against import hold_against, is_held
from harness.runner.models.built import built_model
from harness.runner.plan import SessionGroup, make_plan
from harness.runner.quality.measure import REFERENCE_LEVEL, measure_quality
from harness.runner.settings import Settings, load_settings
from harness.store.cache import default_cache, ensure_artifact
from harness.store.exported import AnyArtifact

MODELS = ("smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b")
# Form of llama.cpp -> ours that are held against it, and what the geometric mean of decode and
# prefill is to be.
FORMS = {
    "q4_0": (("int4", "int4-b64", "int4-fast", "int4-b128"), {"decode": 1.10, "prefill": 1.25}),
    "q4_0-pure": (
        ("int4", "int4-b64", "int4-fast", "int4-b128"),
        {"decode": 1.10, "prefill": 1.25},
    ),
    "q8_0": (("int8", "int8-block", "int8-fast"), {"decode": 1.10, "prefill": 2.0}),
    "f32": (("fp32",), {"decode": 1.00, "prefill": 1.30}),
}
MOST_BITS = {"q4_0": 4.6, "q4_0-pure": 4.6}  # of a form that is to be ahead, on every model
RATES = {"decode_step_tok_s": "decode", "prefill_tok_s": "prefill"}
OURS, THEIRS = "ort", "llama.cpp"
TRAINED = "bytelm"  # whose losses are those of trained weights


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a cell.

    Attributes:
        level: what it holds.
        bits_per_weight: of the whole file.
        weights_bytes: that a step reads.
        tok_s: tokens a second.
        bandwidth_bytes_per_s: what this machine reads a second at that size.
    """

    level: str
    bits_per_weight: float
    weights_bytes: int
    tok_s: float
    bandwidth_bytes_per_s: float

    @property
    def read_share(self) -> float:
        """Share of the bandwidth that decode steps reach; of the weights alone."""
        return self.weights_bytes * self.tok_s / self.bandwidth_bytes_per_s


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate of one cell.

    Attributes:
        model: as named.
        threads: of each side.
        test: such as `tg32`.
        rate: decode or prefill.
        theirs: llama.cpp.
        ours: ONNX Runtime.
        ratio: ours over theirs.
        low: end of its 95 % interval.
        high: the other end.
        pairs: of fresh processes.
    """

    model: str
    threads: int
    test: str
    rate: str
    theirs: Side
    ours: Side
    ratio: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Loss:
    """What one form loses of the trained model.

    Attributes:
        level: the form.
        bits_per_weight: of that model's file.
        kld_nats: mean divergence from fp32, of whole chunks.
        low: end of its 95 % interval.
        high: the other end.
    """

    level: str
    bits_per_weight: float
    kld_nats: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Mean:
    """A geometric mean of ratios.

    Attributes:
        value: of it.
        low: end of its interval, as the cells' own intervals are wide.
        high: the other end.
        least: the smallest ratio.
        cells: how many.
    """

    value: float
    low: float
    high: float
    least: float
    cells: int


def main() -> None:
    options = _options()
    if options.show:
        rates, losses = saved([Path(name) for name in options.show.split(",")])
        draw(rates, losses)
        return
    cells = [
        (form, model, int(threads), level)
        for form in options.forms.split(",")
        for model in options.models.split(",")
        for threads in options.threads.split(",")
        for level in (options.levels or ",".join(FORMS[form][0])).split(",")
    ]
    rates, losses = [], []
    for form, model, threads, level in cells:
        print(f"{model}, {threads} threads, {level} / {form}", file=sys.stderr, flush=True)
        try:
            sides = [_built(options, model, threads, *one) for one in _pair(form, level)]
            found = [] if options.prepare else list(_measure(options, model, threads, sides))
        except HarnessError as error:
            print(f"  left out: {error.problem}", file=sys.stderr)
            continue
        rates += found
        _save(options, found)
    if not options.no_quality:
        used = dict.fromkeys(word for form, *_, level in cells for word in (form, level))
        losses = [_loss(level) for level in used]
        _save(options, losses)
    draw(rates, losses)


def _options() -> argparse.Namespace:
    """The words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--forms", default="q4_0,q8_0,f32", help=f"of {', '.join(FORMS)}")
    parser.add_argument("--levels", help="of ours, in place of those beside each form")
    parser.add_argument("--pairs", type=int, default=10, help="5 at least, for an interval")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each test in a pair")
    parser.add_argument("--prompt", default="128", help="tokens of the prefill test")
    parser.add_argument("--gen", default="32", help="tokens of the decode test")
    parser.add_argument("--prepare", action="store_true", help="build and check, measure nothing")
    parser.add_argument("--no-quality", action="store_true", help="no losses of bytelm")
    parser.add_argument("--save", type=Path, help="add every figure to this file")
    parser.add_argument("--show", help="draw what --save kept, of several files: a.jsonl,b.jsonl")
    return parser.parse_args()


def _pair(form: str, level: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Runtime and level of both sides, llama.cpp first."""
    return (THEIRS, form), (OURS, level)


Built = tuple[SessionGroup, AnyArtifact, Settings]


def _built(
    options: argparse.Namespace, model: str, threads: int, runtime: str, level: str
) -> Built:
    """Build one side; hold a GGUF file's logits against ours before it is timed."""
    settings = load_settings(
        "ab",
        model=(model,),
        quant=(level,),
        runtime=(runtime,),
        threads=(str(threads),),
        prompt=(int(options.prompt),),
        gen=(int(options.gen),),
    )
    (group,) = make_plan(settings, machine_facts().usable_cores or 1).groups
    artifact = ensure_group(group, default_cache(), settings.seed)
    if is_held(group):
        hold_against(group, artifact, default_cache(), settings)
    return group, artifact, settings


def _measure(
    options: argparse.Namespace, model: str, threads: int, sides: list[Built]
) -> Iterator[Rate]:
    """Yield the rates of one cell."""
    (a, *_), (b, *_) = sides
    words = [sys.executable, "-m", "harness", "ab", "--model", model, "--threads", str(threads)]
    words += ["--prompt", options.prompt, "--gen", options.gen, "--pairs", str(options.pairs)]
    words += ["--precision", "0.01%", "--seconds", str(options.seconds), "--format", "json", "-q"]
    words += ["--a", f"--runtime {THEIRS} --quant {a.level.name}"]
    words += ["--b", f"--runtime {OURS} --quant {b.level.name}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[:1]
        print(f"  failed: {' '.join(reason)}", file=sys.stderr)
        return
    for row in json.loads(done.stdout)["rows"]:
        if row["metric"] in RATES and row["low"] is not None:
            theirs, ours = (
                _side(one, row[word], threads)
                for one, word in zip(sides, ("base", "new"), strict=True)
            )
            yield Rate(
                model=model,
                threads=threads,
                test=row["workload"].partition(" @ ")[0],
                rate=RATES[row["metric"]],
                theirs=theirs,
                ours=ours,
                ratio=row["ratio"],
                low=row["low"],
                high=row["high"],
                pairs=options.pairs,
            )


def _side(built: Built, tok_s: float, threads: int) -> Side:
    """One side with what it reads; the bandwidth is measured once a machine."""
    group, artifact, _settings = built
    key = calibration_key(machine_facts(), "cpu", threads)
    stored = ensure_constants(default_cache(), key, (REFERENCE_LEVEL,))
    bandwidth = stored.constants.bytes_per_s(artifact.weights_bytes)
    bits = artifact.bits_per_weight or math.nan
    return Side(group.level.name, bits, artifact.weights_bytes, tok_s, bandwidth)


def _loss(level: str) -> Loss:
    """Measure what a form loses of the trained model."""
    source, row = resolve_model(TRAINED), find_level(level)
    reference = ensure_artifact(source, REFERENCE_LEVEL, default_cache())
    artifact = built_model(source).build(row, find_cache("auto", row), default_cache()).judged()
    found = measure_quality(source, reference, artifact).prefill
    assert found is not None
    kld = found.kld_nats
    return Loss(level, artifact.bits_per_weight, kld.value, kld.low, kld.high)


def _save(options: argparse.Namespace, found: Iterable[Rate | Loss]) -> None:
    """Add figures to the file that was asked for, one a line."""
    if options.save is not None:
        with options.save.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(one)) + "\n" for one in found)


def saved(paths: Iterable[Path]) -> tuple[list[Rate], list[Loss]]:
    """Read what was saved; of one figure the last."""
    rates, losses = {}, {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if "kld_nats" in told:
                losses[told["level"]] = Loss(**told)
                continue
            sides = {word: Side(**told[word]) for word in ("theirs", "ours")}
            rate = Rate(**{**told, **sides})
            levels = (rate.theirs.level, rate.ours.level)
            rates[(rate.model, rate.threads, rate.test, *levels)] = rate
    return list(rates.values()), list(losses.values())


def geometric_mean(rates: list[Rate]) -> Mean:
    """Mean of ratios; its interval adds the cells' own half-widths h as sqrt(Σ h²) / n."""
    logs = [math.log(one.ratio) for one in rates]
    halves = [math.log(one.high / one.low) / 2 for one in rates]
    center = sum(logs) / len(logs)
    half = math.sqrt(sum(one**2 for one in halves)) / len(halves)
    low, high = math.exp(center - half), math.exp(center + half)
    return Mean(math.exp(center), low, high, min(one.ratio for one in rates), len(rates))


def why_not(form: str, level: str, rates: list[Rate], losses: list[Loss]) -> str:
    """Why a level may not stand for a form, or nothing: too many bits, or a larger loss."""
    most = MOST_BITS.get(form, math.inf)
    bits = max((one.ours.bits_per_weight for one in rates), default=0.0)
    if bits > most:
        return f"{bits:.2f} bits a weight, {most} are the most"
    known = {one.level: one.kld_nats for one in losses}
    if form in MOST_BITS and {form, level} <= known.keys() and known[level] > known[form]:
        return f"loses {known[level]:.4f} nats of {TRAINED}, {form} {known[form]:.4f}"
    return ""


def draw(rates: list[Rate], losses: list[Loss]) -> None:
    """Print every cell, then means, then losses."""
    if rates:
        print("| model | threads | test | ours / llama.cpp | tok/s | ratio | 95 % | GB/s (share) |")
        print("|---|---|---|---|---|---|---|---|")
    for one in rates:
        print(
            f"| {one.model} | {one.threads} | {one.test} | {one.ours.level} / {one.theirs.level}"
            f" | {one.ours.tok_s:.4g} / {one.theirs.tok_s:.4g} | {one.ratio:.3f}"
            f" | {one.low:.3f} to {one.high:.3f} | {_reading(one)} |"
        )
    for form, level, rate in dict.fromkeys(
        (one.theirs.level, one.ours.level, one.rate) for one in rates
    ):
        print(_mean_words(form, level, rate, rates, losses))
    if losses:
        print(f"\n| form of {TRAINED} | bits a weight | KLD nats | 95 % |\n|---|---|---|---|")
    for loss in losses:
        print(
            f"| {loss.level} | {loss.bits_per_weight:.2f} | {loss.kld_nats:.5f}"
            f" | {loss.low:.5f} to {loss.high:.5f} |"
        )


def _reading(one: Rate) -> str:
    """Bytes a second of both sides' steps, each with its share of what the machine reads."""
    if one.rate != "decode":
        return "–"
    sides = (one.ours, one.theirs)
    return " / ".join(
        f"{side.weights_bytes * side.tok_s / 1e9:.1f} ({side.read_share:.0%})" for side in sides
    )


def _mean_words(form: str, level: str, rate: str, rates: list[Rate], losses: list[Loss]) -> str:
    """A sentence on one level beside one form."""
    those = [one for one in rates if (one.theirs.level, one.ours.level) == (form, level)]
    mean = geometric_mean([one for one in those if one.rate == rate])
    wanted = FORMS.get(form, ((), {}))[1].get(rate, 1.0)
    refused = why_not(form, level, those, losses)
    verdict = "reached" if mean.value >= wanted and (rate != "decode" or mean.least >= 1) else ""
    bar = f"wanted {wanted:.2f}{', no decode below 1' if rate == 'decode' else ''}"
    ending = f"does not count: {refused}" if refused else verdict or "not reached"
    return (
        f"\n{level} / {form}, {rate}: geometric mean {mean.value:.3f} ({mean.low:.3f} to"
        f" {mean.high:.3f}) of {mean.cells} cells, least {mean.least:.3f}; {bar}: {ending}"
    )


if __name__ == "__main__":
    main()
