"""One architecture built in three ways, side by side in one interleaved run.

    python benchmarks/three_ways.py OPTIMUM GENAI_FP32 GENAI_INT4

The arguments are folders that export_smollm2.py wrote: an Optimum export at fp32 and two of
onnxruntime-genai's builder. Beside them stand our own smollm2-135m at fp32 and int4. Folders with a
genai_config.json run twice, by our loop and by onnxruntime-genai's (extra `genai`).
"""

import argparse
import json
import tempfile
from pathlib import Path

import harness
from harness.report.render import render

PLAN = """
prompt = [128]
gen = [32]
threads = ["all"]
rounds = 5
warm_seconds = 1.0
sample_seconds = 0.3
min_passes = 1
quant = ["usual"]

[[part]]
model = ["smollm2-135m"]
quant = ["fp32", "int4"]
runtime = ["ort", "genai"]

[[part]]
model = [{optimum}]
runtime = ["ort"]

[[part]]
model = [{fp32}, {int4}]
runtime = ["ort", "genai"]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("optimum", "fp32", "int4"):
        parser.add_argument(name, type=lambda text: json.dumps(str(Path(text).resolve())))
    parser.add_argument("--results", type=Path, default=Path("results"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "three-ways.toml"
        plan.write_text(PLAN.format(**vars(asked)), encoding="utf-8")
        document = harness.run(
            config=str(plan),
            results=asked.results,
            progress=lambda what, done, total: print(f"{done}/{total} {what}", flush=True),
        )
    print(render(document, "md"))


if __name__ == "__main__":
    main()
