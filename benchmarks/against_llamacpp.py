"""Is ONNX Runtime, as built here, ahead of llama.cpp on this machine? The same weights, in turns.

    pip install 'ondevice-bench[llamacpp]'
    python benchmarks/against_llamacpp.py                       # hours: every cell below
    python benchmarks/against_llamacpp.py --models smollm2-135m --threads 1 --pairs 10

Each cell is one `bench ab`: llama.cpp (A) and ours (B) in two live workers that take turns, pass by
pass; a pair of fresh processes gives one ratio. Ratios are ours over llama.cpp's, above 1 where
ours is faster, with their 95 % interval over the pairs. Run it on a quiet machine.
"""

import argparse
import json
import math
import subprocess
import sys
from typing import Any

MODELS = ("smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b")
# Form of llama.cpp -> ours that are held against it, and what the geometric mean of decode and
# prefill is to be.
FORMS = {
    "q4_0": (("int4", "int4-b64", "int4-b128"), (1.10, 1.25)),
    "q4_0-pure": (("int4", "int4-b64", "int4-b128"), (1.10, 1.25)),
    "q8_0": (("int8", "int8-block"), (1.10, 2.0)),
    "f32": (("fp32",), (1.00, 1.30)),
}
RATES = {"decode_step_tok_s": "decode", "prefill_tok_s": "prefill"}
Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--forms", default="q4_0,q8_0,f32", help=f"of {', '.join(FORMS)}")
    parser.add_argument("--levels", help="of ours, in place of those beside each form")
    parser.add_argument("--pairs", type=int, default=10, help="5 at least, for an interval")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each test in a pair")
    parser.add_argument("--tests", default="--prompt 128 --gen 32")
    options = parser.parse_args()
    ratios: dict[tuple[str, str, str], list[float]] = {}
    print("| model | threads | ours / llama.cpp | rate | ratio | 95 % |")
    print("|---|---|---|---|---|---|")
    for form in options.forms.split(","):
        levels = (options.levels or ",".join(FORMS[form][0])).split(",")
        for model in options.models.split(","):
            for threads in options.threads.split(","):
                for level in levels:
                    for rate, ratio in cell(options, model, threads, level, form):
                        ratios.setdefault((form, level, rate), []).append(ratio)
    for (form, level, rate), found in ratios.items():
        mean = math.exp(sum(map(math.log, found)) / len(found))
        wanted = dict(zip(RATES.values(), FORMS[form][1], strict=True))[rate]
        print(
            f"{level} / {form}, {rate}: geometric mean {mean:.3f} of {len(found)} cells,"
            f" least {min(found):.3f}; wanted {wanted:.2f}, no decode below 1"
        )


def cell(
    options: argparse.Namespace, model: str, threads: str, level: str, form: str
) -> list[tuple[str, float]]:
    """Measure one cell and print its rows; returns rate -> ratio."""
    words = [sys.executable, "-m", "harness", "ab", "--model", model, "--threads", threads]
    words += [*options.tests.split(), "--pairs", str(options.pairs), "--precision", "0.01%"]
    words += ["--seconds", str(options.seconds), "--format", "json", "--quiet"]
    words += ["--a", f"--runtime llama.cpp --quant {form}", "--b", f"--runtime ort --quant {level}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[:1]
        print(f"| {model} | {threads} | {level} / {form} | failed: {' '.join(reason)} | – | – |")
        return []
    found = []
    for row in json.loads(done.stdout)["rows"]:
        rate = RATES.get(row["metric"])
        if rate is not None and row["ratio"] is not None and row["low"] is not None:
            low, high = row["low"], row["high"]
            print(
                f"| {model} | {threads} | {level} / {form} | {rate} | {row['ratio']:.3f}"
                f" | {low:.3f} to {high:.3f} |",
                flush=True,
            )
            found.append((rate, row["ratio"]))
    return found


if __name__ == "__main__":
    main()
