"""The public functions: build, load, run, judge, fit, estimate.

The command line is made of the same pieces.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from harness.builder.quantize.levels import AUTO, QuantLevel
from harness.core.environment import keep_quiet
from harness.core.errors import (
    DeviceError,
    HarnessError,
    InterruptedRunError,
    MeasurementError,
    ModelError,
    ResultFormatError,
    StorageError,
    UsageError,
    WorkerError,
)
from harness.core.findings import Progress
from harness.core.ranges import parse_seconds
from harness.devices.choose import DeviceRequest, choose_devices
from harness.devices.session_options import check_places, parse_session_options
from harness.estimator import answer
from harness.estimator.answer import Estimate
from harness.machine.watch.facts import usable_cores
from harness.models.catalog.target import EstimateTarget
from harness.results.enums import Outcome
from harness.results.environment import Environment
from harness.results.fitted import Fitted
from harness.results.judged import Judged, judge_records
from harness.results.plan import RunPlan
from harness.results.replies import Placement
from harness.results.requirement import Requirement, parse_requirements, requirement_texts
from harness.results.schema import Cell, Document, Metric, Reason, Record, Trust
from harness.runner.fitting.asked import check_candidates, fit_settings
from harness.runner.fitting.fit import fit_plan
from harness.runner.fitting.outcome import FitOutcome
from harness.runner.loop.fetched import with_fetched
from harness.runner.loop.run import run_plan
from harness.runner.models import find_model
from harness.runner.plan import make_plan
from harness.runner.settings import flag_values, load_settings
from harness.runner.settings.keywords import RunFlags
from harness.store.artifact import RECORD_FILE, read_artifact
from harness.store.cache import default_cache
from harness.store.exported import AnyArtifact
from harness.store.fetch import Hub
from harness.store.prepacked import refuse_elsewhere

if TYPE_CHECKING:
    from harness.engine.loaded import LoadedModel
    from harness.engine.loaded_encoder import LoadedEncoder

__all__ = [
    "Cell",
    "DeviceError",
    "Document",
    "Environment",
    "Estimate",
    "FitOutcome",
    "Fitted",
    "HarnessError",
    "InterruptedRunError",
    "Judged",
    "LoadedEncoder",
    "LoadedModel",
    "MeasurementError",
    "Metric",
    "ModelError",
    "Outcome",
    "Placement",
    "Reason",
    "Record",
    "Requirement",
    "ResultFormatError",
    "RunFlags",
    "RunPlan",
    "StorageError",
    "Trust",
    "UsageError",
    "WorkerError",
    "build",
    "estimate",
    "fit",
    "judge",
    "load",
    "run",
]

DEFAULT_CONTEXT_TOKENS = 2048
FIT = "fit"  # the plan of `fit`


def build(
    model: str | Path,
    level: str,
    *,
    kv_cache: str = AUTO,
    prepacked: bool = False,
    cache: Path | None = None,
    seed: int = 0,
) -> Path:
    """Build `model` at `level`, or find it built.

    Args:
        model: as on the command line: a catalog name, `bytelm`, a Hugging Face folder, exported
            files, or `hf:org/name`, which is fetched.
        level: a quantization level, such as `int4`.
        kv_cache: how keys and values are cached, such as `int8`; `auto`: as the level's floats.
        prepacked: with the copies that the CPU's kernels make of weights saved beside the graph,
            so that they are mapped and take no memory of their own; for this machine only.
        cache: where built models are kept; None: the platform's cache folder.
        seed: of seeded weights; trained weights ignore it.

    Returns:
        The folder with `model.onnx` and its data file; of a decoder also
        `model_all_logits.onnx` and `genai_config.json`. It belongs to the cache: copy it before
        changing anything. Of an export the folder of its own files at the level that they hold,
        else that of the level made of an fp32 file.

    Raises:
        HarnessError: unknown model or level, damaged checkpoint, no space on the disk, a model
            whose copies cannot be saved.
    """
    return _artifact(model, level, cache, seed, kv_cache, prepacked=prepacked).folder


def load(
    path_or_model: str | Path,
    *,
    level: str | None = None,
    kv_cache: str = AUTO,
    device: str = "cpu",
    allow_simulated: bool = False,
    threads: int | None = None,
    context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    session_options: Mapping[str, str] | None = None,
    cache: Path | None = None,
    seed: int = 0,
) -> "LoadedModel | LoadedEncoder":
    """Open a model in this process: a decoder gives logits, an encoder embeddings.

    Args:
        path_or_model: a folder that `build` returned, or a model as on the command line; of what
            others exported decoders and text encoders.
        level: needed for a model that is not built yet; a built folder and an export have one.
        kv_cache: of a model that is not built yet, as `build` takes it.
        device: a row of `bench devices`, or a class: `gpu` and `npu` are looked for.
        allow_simulated: take an emulation where there is no hardware.
        threads: intra-op threads; None: every usable physical core.
        context_tokens: longest sequence for `prefill` and `step`; cut to the model's own.
        session_options: of ONNX Runtime's sessions, those that `--session-option` takes.
        cache: where built models are kept.
        seed: of seeded weights.

    Raises:
        HarnessError: as `build`; or the device is absent, or did not take the graph; or a folder
            that was prepacked for another machine.
    """
    keep_quiet()
    from harness.engine.opening import kind_of

    for name, count in (("context_tokens", context_tokens), ("threads", threads)):
        if count is not None and count < 1:
            raise UsageError(f"{name}={count} leaves nothing to run", fix=f"{name} of 1 or more")
    (chosen,) = choose_devices((device,), DeviceRequest(allow_simulated=allow_simulated))
    chosen.refuse_absent()
    count = threads or usable_cores()
    given = parse_session_options([f"{k}={v}" for k, v in (session_options or {}).items()])
    check_places(given, count)
    chosen = replace(chosen, session_options=given)
    folder = Path(_word(path_or_model))
    artifact: AnyArtifact
    if (folder / RECORD_FILE).is_file():
        artifact = read_artifact(folder)
        refuse_elsewhere(artifact)
        chosen = replace(chosen, parallel_prepack=artifact.prepacked is not None)
    else:
        artifact = _artifact(path_or_model, level, cache, seed, kv_cache)
    if chosen.row.is_host:
        artifact = artifact.for_capacity(context_tokens)
    kind = kind_of(artifact.geometry)
    return kind.loaded(artifact.graph, chosen, count, context_tokens)


def run(
    *,
    config: str | Path | None = None,
    preset: Literal["quick", "default", "rigorous"] | None = None,
    like: Literal["llama-bench"] | None = None,
    offline: bool = False,
    results: str | Path = "results",
    cache: Path | None = None,
    resume: bool = False,
    wait: float | str | None = None,
    progress: Progress = lambda what, done, total: None,
    **flags: Unpack[RunFlags],
) -> Document:
    """Measure a plan, as `bench run` does, and return the results document.

        harness.run(model="smollm2-135m", quant=["fp32", "int4"], prompt=128, gen=32, rounds=5)

    Args:
        config: a plan file or the name of a shipped one; None: `default`.
        preset: how much is measured, over the plan and under the flags; None: the plan's.
        like: the tests of another tool, likewise; None: the plan's.
        offline: fetch nothing; `hf:` models as they were fetched before.
        results: folder of the results file, made where it is missing.
        cache: where built models are kept; None: the platform's cache folder.
        resume: go on with the unfinished run of the same plan.
        wait: seconds, or a time such as "10m", that another measurement on the same devices is
            waited for at most; then this one goes on beside it, and its records say OTHER_BENCH.
            None: until that one ends.
        progress: called with (what, done, total) after each step; done and total are 0 where
            there is nothing to count.
        **flags: the flags of `bench run` by name, as text or as values; harness.RunFlags
            says each with its types.

    Returns:
        Typed records, one per test of each session; cells that failed carry their status and
        reason. Times in ms, rates in tokens/s, memory in bytes; missing is None. Whether
        they keep to what `require` asked for, `judge` says. Where the results
        folder was lost meanwhile, a warning says where they lie; one names each line of a journal
        that was damaged, and whose content was measured again.

    Raises:
        UsageError: a flag, plan, model or level that cannot be used; nothing was measured.
        HarnessError: likewise before anything is measured: no space on the disk, a damaged
            checkpoint, a device that is named and absent.
    """
    store = cache or default_cache()
    wait_s = None if wait is None else parse_seconds(str(wait), "wait")
    plan_name = None if config is None else str(config)
    settings = load_settings(plan_name, preset, like, **flag_values(flags))
    settings = with_fetched(
        settings, store, Hub(offline=offline), lambda line: progress(line, 0, 0)
    )
    plan = make_plan(settings, usable_cores(), folder=cache)
    outcome = run_plan(
        plan,
        results=Path(results),
        cache=store,
        progress=progress,
        resume=resume,
        wait_s=wait_s,
    )
    for told in (*outcome.damaged, *([outcome.lost] if outcome.lost else [])):
        warnings.warn(str(told), stacklevel=2)
    return outcome.document


def fit(
    *,
    config: str | Path | None = None,
    prefer: Literal["quality", "speed", "memory"] = "quality",
    offline: bool = False,
    results: str | Path = "results",
    cache: Path | None = None,
    resume: bool = False,
    wait: float | str | None = None,
    progress: Progress = lambda what, done, total: None,
    **flags: Unpack[RunFlags],
) -> FitOutcome:
    """Find which model, level and thread count meets every requirement here, as `bench fit` does.

        found = harness.fit(model="bytelm", threads=[1, 2], require="decode>=1000, top1>=94%")
        if found.chosen is not None:
            print(found.chosen.cell.level, found.command)

    Args:
        config: a plan file or the name of a shipped one; None: `fit`, every level of a model.
        prefer: which of several that meet all: the least loss, the fastest, the smallest.
        offline: fetch nothing; `hf:` models as they were fetched before.
        results: folder of the results file, made where it is missing.
        cache: where built models are kept; None: the platform's cache folder.
        resume: go on with the unfinished fit of the same plan.
        wait: as `run` takes it.
        progress: called with (what, candidates decided, candidates).
        **flags: as of `run`; `require` is needed.

    Returns:
        The record of the choice, the words that run it, every candidate beside every requirement,
        and the document. Where the results folder was lost meanwhile, a warning says where it lies.

    Raises:
        UsageError: no requirement, one that nothing can judge, or as `run`; nothing was measured.
        HarnessError: as `run`, before anything is measured.
    """
    wait_s = None if wait is None else parse_seconds(str(wait), "wait")
    settings = load_settings(FIT if config is None else str(config), **flag_values(flags))
    if not settings.require:
        raise UsageError("fit needs what has to be met", fix='require="decode>=20, ttft<=800ms"')
    settings, requirements = fit_settings(settings)
    store = cache or default_cache()
    settings = with_fetched(
        settings, store, Hub(offline=offline), lambda line: progress(line, 0, 0)
    )
    plan = make_plan(settings, usable_cores(), folder=cache)
    check_candidates(plan, requirements)
    outcome = fit_plan(
        plan,
        requirements,
        prefer,
        results=Path(results),
        cache=store,
        progress=progress,
        resume=resume,
        wait_s=wait_s,
    )
    if outcome.lost is not None:
        warnings.warn(str(outcome.lost), stacklevel=2)
    return outcome


def judge(
    document: Document, require: str | Sequence[str] | Mapping[str, str] | None = None
) -> tuple[tuple[Record, Judged], ...]:
    """Say of every record whether it keeps to absolute limits, by its whole interval.

        document = harness.run(model="bytelm", require="decode>=1000, peak<=100MiB")
        for record, verdict in harness.judge(document):
            print(record.cell.level, verdict.requirement.text, verdict.outcome, verdict.why)

    Args:
        document: one run; nothing is measured.
        require: limits as `run` takes them; None: those that the run was to keep.

    Returns:
        A record and a verdict for each requirement that its test is for: MET, NOT_MET or
        INCONCLUSIVE with the reason, the value and the interval that decided in the metric's unit.
        What a session has once, such as its load, is judged once. All are told together: any false
        one among them has a chance of 5 % at most. Empty without requirements.

    Raises:
        UsageError: what is no requirement.
    """
    if require is None:
        texts: Sequence[str] = document.plan.require or ()
    elif isinstance(require, Mapping):
        texts = requirement_texts(require, "require")
    else:
        texts = [require] if isinstance(require, str) else require
    if not texts:
        return ()
    asked = parse_requirements(texts, "require")
    return tuple(judge_records(document.records, asked, document.plan.looks))


def estimate(
    model: str | Path | EstimateTarget,
    level: str | QuantLevel,
    *,
    device: str,
    depth: int = 0,
    prompt: int = 128,
    batch: int = 1,
    capacity: int = 0,
    gen: int = 0,
    engine: str | None = None,
    memory_bytes: int | None = None,
    os_share: float | None = None,
    price_per_kwh: float | None = None,
    runtime_of: str | None = None,
    precision: str | None = None,
    context: int = 0,
) -> Estimate:
    """Estimate a model on a catalog device, without running it.

    Args:
        model: a word as `bench estimate` takes it: a catalog name, a folder, exported files, a
            system of the source documents, a count such as `7B`; or what is known of a model.
        level: a quantization level, or a QuantLevel such as `case.nominal_level(4)`.
        device: key or alias of the device catalog.
        depth: tokens already in the cache.
        prompt: tokens of the prefill.
        batch: sequences at once.
        capacity: positions that the cache is allocated for; 0: as many as are needed.
        gen: tokens of the answer behind the prompt, of a turn of a chat; then the decode rate is
            that of its middle step, and `speeds.reread_ttft_s` the time to its first token with
            the cache lost. 0: no turn, and a step at the depth.
        engine: `cpu`, `gpu` or `npu`; None: the one that people run models on.
        memory_bytes: that the device carries; None: the most that is sold.
        os_share: share of the memory kept by the operating system; None: the class's.
        price_per_kwh: turns modelled energy into operating cost; None: no cost.
        runtime_of: that runs it there, such as `llama.cpp`, `ort`, `openvino`, `genie` or `mlx`;
            None: the one that the device's users run, and ranges reckon with the others.
        precision: of an NPU's format, `w4` or `w4a16`; None: the usual one.
        context: of an NPU's static graph, tokens; 0: the usual one.

    Returns:
        Sizes in bytes, times in s, rates in tokens/s, energy in J; speeds are ranges that
        hold four fifths of what is published (`coverage`, `evidence`). What is not known is None,
        never 0.

    Raises:
        HarnessError: unknown model, level, device or engine, a runtime, format or context that the
            engine does not take, or lengths that describe no run.
    """
    return answer.estimate(
        model if isinstance(model, EstimateTarget) else find_model(_word(model)).target,
        level,
        device=device,
        depth=depth,
        prompt=prompt,
        batch=batch,
        capacity=capacity,
        gen=gen,
        engine=engine,
        memory_bytes=memory_bytes,
        os_share=os_share,
        price_per_kwh=price_per_kwh,
        runtime_of=runtime_of,
        precision=precision,
        context=context,
    )


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import the two classes that need numpy and onnxruntime when somebody asks for them."""
        if name == "LoadedModel":
            from harness.engine.loaded import LoadedModel

            return LoadedModel
        if name == "LoadedEncoder":
            from harness.engine.loaded_encoder import LoadedEncoder

            return LoadedEncoder
        raise AttributeError(f"module 'harness.api' has no attribute {name!r}")


def _word(model: object) -> str | Path:
    """What means a model.

    Raises:
        UsageError: it is no name and no path, such as None.
    """
    if isinstance(model, str | Path):
        return model
    raise UsageError(
        f"a model is a name or a path, and {model!r} is neither",
        fix='a name of `bench models`, a folder, or "hf:org/name"',
    )


def _artifact(
    model: str | Path,
    level: str | None,
    cache: Path | None,
    seed: int,
    kv_cache: str,
    *,
    prepacked: bool = False,
) -> AnyArtifact:
    """Build a model, or find it built; an export without a level is taken as it lies."""
    store = cache or default_cache()
    found = find_model(_word(model), store, Hub()).measured()
    name = level or found.own_level
    if name is None:
        raise UsageError(
            f"{model!s} is built at a level, and none is given",
            fix='level="int4", or a built folder',
        )
    row, kept = found.stored_as(name, kv_cache)
    return found.build(row, kept, store, seed=seed, prepacked=prepacked)
