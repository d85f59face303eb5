"""A whole run of an encoder beside a decoder: measured, estimated, judged, and gone on with."""

import shutil
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness.core.errors import EXIT_INTERRUPTED, EXIT_OK
from harness.estimator.calibration import calibrate
from harness.report.render import render
from harness.results.document import read_document
from harness.runner.loop import rounds, session
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import Settings
from tests.builder.graph.seeded_folder import encoder_folder
from tests.runner.loop.recorded_worker import recording

pytestmark = pytest.mark.usefixtures("small_peaks")

FIXTURE = encoder_folder("bert-mean")


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


SETTINGS = Settings(
    model=(str(FIXTURE),),
    quant=("fp32", "int4"),
    enc=((8, 1), (8, 3)),
    threads=("1",),
    rounds=2,
    warm_seconds=0.05,
    sample_seconds=0.01,
    min_passes=2,
    quality=True,
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, shared_cache):
    results = tmp_path_factory.mktemp("results")
    plan = make_plan(SETTINGS, usable_threads=1)
    with recording(calibrate, session):
        return run_plan(plan, results=results, cache=shared_cache, progress=quiet)


def test_every_cell_is_a_record_with_its_samples(outcome):
    """2 levels x 2 tests, 2 processes each, read back from the file."""
    document = read_document(outcome.path)
    assert outcome.exit_code == EXIT_OK
    assert [record.status for record in document.records] == ["ok"] * 4
    names = [(record.cell.level, record.cell.workload) for record in document.records]
    assert names == [(level, f"enc8x{n}") for level in ("fp32", "int4") for n in (1, 3)]
    assert {len(record.samples) for record in document.records} == {2}
    assert {record.placement.verdict for record in document.records} == {"FULL"}
    assert {record.cell.batch for record in document.records} == {1}


def test_measured_stands_beside_estimated(outcome):
    for record in outcome.document.records:
        metrics = record.metrics
        texts = record.cell.sequences
        pass_ns = [median(process.sample.encode_ns) for process in record.samples]
        for value_ns in (
            metrics["encode_ms"].value * 1e6,
            texts * 1e9 / metrics["encode_seq_s"].value,
        ):
            assert min(pass_ns) * (1 - 1e-9) <= value_ns <= max(pass_ns) * (1 + 1e-9)
        for name in ("encode_ms", "encode_seq_s"):
            assert {"params", "calibrated"} <= record.estimates[name].keys()
            assert all(value > 0 for value in record.estimates[name].values())
        assert list(record.estimates["peak_rss_bytes"]) == ["params", "structure", "calibrated"]
        calibrated = record.estimates["weights_bytes"]["calibrated"]
        assert metrics["weights_bytes"].value == calibrated
        assert [part.pass_name for part in record.explanation.passes] == ["encode"]
        assert metrics["mfu"].value > 0
        assert "prefill_tok_s" not in record.estimates


def test_quality_without_a_tokenizer_is_numeric_fidelity_only(outcome):
    """Trained weights, but random token ids: no level is called the best."""
    for record in outcome.document.records:
        assert record.quality.label == "numeric fidelity only"
        exact = record.cell.level == "fp32"
        assert (record.metrics["embedding_cosine"].value > 0.999999) == exact
        assert record.metrics["nearest_agreement"].processes == 1
    text = render(outcome.document, "table")
    assert "no best level" in text
    assert "cosine" in text


@pytest.mark.usefixtures("recorded")
def test_an_interrupted_run_is_gone_on_with(tmp_path, shared_cache, monkeypatch):
    plan = make_plan(replace(SETTINGS, quality=False, calibrate=False), usable_threads=1)
    measured = []

    def interrupted(group, artifact, round_index, settings, waiting, left):
        if len(measured) >= 3:
            raise KeyboardInterrupt
        measured.append((group.key, round_index))
        yield from session.measure_group(group, artifact, round_index, settings, waiting, left)

    monkeypatch.setattr(rounds, "measure_group", interrupted)
    first = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet)
    assert first.exit_code == EXIT_INTERRUPTED
    monkeypatch.setattr(rounds, "measure_group", session.measure_group)
    second = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet, resume=True)
    assert second.exit_code == EXIT_OK
    assert {len(record.samples) for record in second.document.records} == {2}


@pytest.mark.usefixtures("recorded")
def test_embeddings_that_are_no_numbers_make_a_record_invalid(tmp_path, shared_cache):
    """The last norm scales by 60,000, which float16 cannot hold; fp32 stays good."""
    folder = shutil.copytree(FIXTURE, tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.LayerNorm.weight"
    tensors[name] = np.full_like(tensors[name], 60_000)
    save_file(tensors, folder / "model.safetensors")
    settings = replace(
        SETTINGS,
        model=(str(folder),),
        quant=("fp32", "fp16"),
        enc=((8, 1),),
        rounds=1,
        calibrate=False,
    )
    plan = make_plan(settings, usable_threads=1)
    found = run_plan(plan, results=tmp_path / "results", cache=shared_cache, progress=quiet)
    good, bad = found.document.records
    assert good.trust.grade != "INVALID"
    assert bad.trust.grade == "INVALID"
    assert "NON_FINITE" in {reason.code for reason in bad.trust.reasons}
    assert "embeddings are not finite" in bad.quality.invalid


@pytest.mark.usefixtures("recorded")
def test_a_decoder_runs_beside_it(tiny_folder, tmp_path, shared_cache):
    settings = replace(
        SETTINGS,
        model=(str(FIXTURE), str(tiny_folder)),
        quant=("int4",),
        prompt=(8,),
        rounds=1,
        quality=False,
        calibrate=False,
    )
    plan = make_plan(settings, usable_threads=1)
    document = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet).document
    assert [r.cell.workload for r in document.records] == ["enc8x1", "enc8x3", "pp8 @ d0"]
    assert {record.status for record in document.records} == {"ok"}
    text = render(document, "table")
    assert "enc8x3" in text
    assert "pp8" in text
