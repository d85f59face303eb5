"""Whole runs on a tiny model: what is kept, what a failure costs, what resume repeats."""

import json
from dataclasses import replace
from itertools import count

import pytest

from harness.core.errors import (
    EXIT_CELLS,
    EXIT_DEVICE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    UsageError,
    WorkerError,
)
from harness.estimator.calibration import calibrate
from harness.machine.meters.counters import VALUE, Answer
from harness.machine.meters.energy import EnergyReading, Proof
from harness.machine.meters.energy_readers import Zone
from harness.report.render import render
from harness.results.document import read_document
from harness.results.enums import Ending
from harness.results.losses import FailureEntry
from harness.results.plan import Progress
from harness.results.progress import ending_of, progress_sentence
from harness.runner.loop import calibration, memory_limit, rounds, session
from harness.runner.loop import run as run_module
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan, runtimes
from harness.runner.settings import Settings
from tests.other_bench import elsewhere
from tests.runner.loop.recorded_worker import recording

pytestmark = pytest.mark.usefixtures("small_peaks")


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def plan(tiny_folder):
    """Two levels, three tests, two rounds, as short as a run can be."""
    settings = Settings(
        model=(str(tiny_folder),),
        quant=("fp32", "int4"),
        prompt=(8,),
        gen=(4,),
        pg=((8, 4),),
        threads=("1",),
        rounds=2,
        warm_seconds=0.05,
        sample_seconds=0.01,
        min_passes=2,
    )
    return make_plan(settings, usable_threads=1)


@pytest.fixture(scope="module")
def outcome(plan, tmp_path_factory, shared_cache):
    """A run whose processes are all real; others of this module may repeat what they answered."""
    results = tmp_path_factory.mktemp("results")
    with recording(calibrate, session):
        return run_plan(plan, results=results, cache=shared_cache, progress=quiet)


def test_a_run_leaves_one_file_with_every_cell_and_sample(outcome):
    """2 levels x 3 tests are 6 records, each with the samples of 2 processes."""
    assert list(outcome.path.parent.iterdir()) == [outcome.path]
    document = read_document(outcome.path)
    assert outcome.exit_code == EXIT_OK
    assert [record.status for record in document.records] == ["ok"] * 6
    assert {len(record.samples) for record in document.records} == {2}
    assert {record.placement.verdict for record in document.records} == {"FULL"}
    phases = ["build", "calibration", "rounds", "memory", "quality"]
    assert list(document.plan.spent_s) == phases
    assert all(spent >= 0 for spent in document.plan.spent_s.values())


@pytest.mark.usefixtures("recorded")
def test_a_run_beside_another_measurement_says_so_in_every_record(plan, tmp_path, shared_cache):
    """It was told not to wait; the other one sees it, and that it went."""
    said = []
    with elsewhere(shared_cache, ["cpu"]) as look:
        found = run_plan(
            plan,
            results=tmp_path,
            cache=shared_cache,
            progress=lambda what, done, total: said.append(what),
            wait_s=0.0,
        )
        assert (look().came, look().there) == (3, False)  # one for each class of device
    assert any("marked OTHER_BENCH" in line for line in said)
    for record in found.document.records:
        assert record.trust.grade == "C"
        assert "OTHER_BENCH" in {reason.code for reason in record.trust.reasons}


def test_measured_stands_beside_estimated(outcome):
    """Every record carries each estimator's value of what it measured, and the best one's sum."""
    for record in outcome.document.records:
        rates = [name for name in ("decode_tok_s", "prefill_tok_s") if name in record.metrics]
        assert rates
        for name in rates:
            assert record.metrics[name].value > 0
            assert {"params", "calibrated"} <= record.estimates[name].keys()
            assert all(value > 0 for value in record.estimates[name].values())
        assert list(record.estimates["peak_rss_bytes"]) == ["params", "structure", "calibrated"]
        for part in record.explanation.passes:
            total = sum(term.seconds for term in part.terms)
            assert part.seconds == pytest.approx(total)
        assert record.metrics["peak_rss_bytes"].value > 0
        bits = {"fp32": 32, "int4": 4}[record.cell.level]
        assert record.estimates["peak_rss_bytes"]["params"] == record.cell.parameters * bits / 8


def test_energy_is_a_number_or_a_reason_never_0(outcome):
    for record in outcome.document.records:
        assert record.energy.kind in ("measured", "unavailable")
        assert ("energy_j" in record.metrics) == (record.energy.kind == "measured")
        assert record.energy.reason or record.metrics["energy_j"].value > 0


@pytest.mark.usefixtures("recorded")
def test_counters_are_read_around_the_timed_part_of_each_test(
    plan, tmp_path, shared_cache, monkeypatch
):
    """A fake counter of 7 J a reading: each process has used 7 J."""
    amounts = count(7, 7)

    def read() -> EnergyReading:
        zone = Zone(next(amounts), 1.0)
        return EnergyReading(zone.amount * 10**9, {"rapl": Answer(VALUE, {"zone": zone})})

    proof = Proof({"": 1.0}, {"": 2.0}, "", "follows load: 1 W idle, 2 W busy")
    monkeypatch.setattr(session, "read_energy", read)
    monkeypatch.setattr(session, "proofs_here", lambda: {"rapl": proof})
    settings = replace(plan.settings, quant=("int4",), rounds=2, calibrate=False)
    plan = make_plan(settings, usable_threads=1)
    document = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet).document
    for record in document.records:
        assert [process.energy.joules for process in record.samples] == [7.0, 7.0]
        assert record.energy.host == "rapl"
        assert record.metrics["energy_j"].processes == 2
    text = render(document, "table")
    assert "J/token" in text
    assert "energy: rapl (follows load: 1 W idle, 2 W busy); others' load and idling" in text
    for style in ("csv", "openmetrics", "bencher", "benchmark-action", "benchstat"):
        assert "j_per_token" in render(document, style)


def test_peaks_are_kept_with_what_was_estimated_from_them(outcome):
    """The constants stand in the document, and utilisation with the interval of its time."""
    (stored,) = outcome.document.environment.calibration
    assert stored.constants.threads == 1
    record = next(r for r in outcome.document.records if "tpot_ms" in r.metrics)
    mbu, time = record.metrics["mbu"], record.metrics["tpot_ms"]
    assert mbu.low <= mbu.high
    assert mbu.high / mbu.low == pytest.approx(time.high / time.low)
    assert record.metrics["mbu_file"].value > 0


@pytest.mark.usefixtures("recorded")
def test_without_calibration_the_structure_estimate_stands_in(plan, tmp_path, shared_cache):
    """No prefill peak is known then: only decoding and memory are estimated, and it is said."""
    settings = replace(plan.settings, quant=("int4",), rounds=1, calibrate=False)
    outcome = run_plan(
        make_plan(settings, usable_threads=1),
        results=tmp_path,
        cache=shared_cache,
        progress=quiet,
    )
    document = outcome.document
    assert document.environment.calibration == ()
    assert {record.explanation.estimator for record in document.records} == {"structure"}
    assert not any("prefill_tok_s" in record.estimates for record in document.records)
    assert "not calibrated, as asked" in render(document, "table")


@pytest.mark.usefixtures("recorded")
def test_a_failed_calibration_costs_its_estimates_and_says_so(
    plan, tmp_path, shared_cache, monkeypatch
):
    def broken(*_, **__):
        raise WorkerError("no memory to calibrate", fix="close other programs")

    monkeypatch.setattr(calibration, "ensure_constants", broken)
    document = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet).document
    assert [record.status for record in document.records] == ["ok"] * 6
    text = render(document, "table")
    assert "no calibration with 1 thread: no memory to calibrate" in text


def test_the_document_names_no_path(outcome, tiny_folder):
    """A local model is its folder's name and a hash; its path is nowhere in the file."""
    text = outcome.path.read_text()
    assert str(tiny_folder) not in text
    assert str(tiny_folder.parent) not in text
    names = {record.cell.model for record in outcome.document.records}
    assert len(names) == 1
    assert names.pop().startswith("tiny@")


@pytest.mark.usefixtures("recorded")
def test_a_folder_named_from_its_parent_has_its_hash_too(
    plan, tiny_folder, outcome, tmp_path, shared_cache, monkeypatch
):
    """`--model tiny` in the folder above is the same local model as its whole path."""
    monkeypatch.chdir(tiny_folder.parent)
    settings = replace(plan.settings, model=("tiny",), quant=("int4",), prompt=(), pg=(), rounds=1)
    short = make_plan(settings, usable_threads=1)
    near = run_plan(short, results=tmp_path, cache=shared_cache, progress=quiet)
    assert near.document.records[0].cell.model == outcome.document.records[0].cell.model


def test_only_two_processes_are_never_grade_a(outcome):
    reasons = [
        {reason.code for reason in record.trust.reasons} for record in outcome.document.records
    ]
    assert all("FEW_PROCESSES" in codes for codes in reasons)


@pytest.mark.usefixtures("recorded")
def test_a_dead_worker_costs_its_own_rows(plan, tmp_path, shared_cache, monkeypatch):
    monkeypatch.setitem(runtimes.WORKERS, runtimes.ORT, "tests.runner.loop.crashing_child")
    outcome = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet)
    by_level = {record.cell.level: record for record in outcome.document.records}
    assert outcome.exit_code == EXIT_CELLS
    assert by_level["fp32"].status == "ok"
    assert by_level["int4"].status == "crashed"
    assert "try:" in by_level["int4"].reason


@pytest.mark.usefixtures("recorded")
def test_a_cell_without_room_is_a_row_and_starts_no_worker(
    plan, tmp_path, shared_cache, monkeypatch
):
    """With one byte free nothing may be opened; every row says what it needs."""
    monkeypatch.setattr(memory_limit, "free_memory_bytes", lambda: 1)
    monkeypatch.setattr(rounds, "measure_group", None)
    outcome = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet)
    assert outcome.exit_code == EXIT_CELLS
    assert {record.status for record in outcome.document.records} == {"out_of_memory"}
    assert {record.trust for record in outcome.document.records} == {None}
    assert "MiB are free" in outcome.document.records[0].reason


@pytest.mark.usefixtures("recorded")
def test_memory_that_cannot_be_read_is_said(plan, tmp_path, shared_cache, monkeypatch):
    def lost(*arguments):
        raise WorkerError("no memory to read", fix="close other programs")

    monkeypatch.setattr(rounds, "measure_pulse", lost)
    document = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet).document
    assert document.environment.read_bandwidth_failures == {"1": "no memory to read"}
    assert all(record.explanation.estimator == "calibrated" for record in document.records)
    assert "memory could not be read with 1 thread: no memory to read" in render(document, "table")


@pytest.mark.usefixtures("recorded")
def test_an_interrupt_keeps_finished_tests_and_resume_does_only_the_rest(
    plan, tmp_path, shared_cache, monkeypatch
):
    """Interrupted in its second round, the run is saved; resumed, no test is measured twice."""
    measured = []

    def interrupted(group, artifact, round_index, settings, waiting, left):
        if round_index == 1 and len(measured) >= 2:
            raise KeyboardInterrupt
        measured.append((group.key, round_index))
        yield from session.measure_group(group, artifact, round_index, settings, waiting, left)

    monkeypatch.setattr(rounds, "measure_group", interrupted)
    again = ("bench", "run", "--config", "/home/jane/long.toml", "--resume")
    first = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet, command=again)
    assert first.exit_code == EXIT_INTERRUPTED
    assert read_document(first.path).plan.rounds_done == 1
    assert read_document(first.path).plan.progress == Progress(
        ended=Ending.INTERRUPTED,
        cells=6,
        whole=0,
        unmeasured=0,
        rounds=2,
        resumed=0,
        command="bench run --config .../long.toml --resume",
    )

    def counting(group, artifact, round_index, settings, waiting, left):
        measured.append((group.key, round_index))
        yield from session.measure_group(group, artifact, round_index, settings, waiting, left)

    monkeypatch.setattr(rounds, "measure_group", counting)
    second = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet, resume=True)
    assert second.exit_code == EXIT_OK
    assert second.document.run_id == first.document.run_id
    assert sorted(measured) == sorted((group.key, r) for group in plan.groups for r in (0, 1))
    assert {len(record.samples) for record in second.document.records} == {2}
    parts = first.document.plan.spent_s, second.document.plan.spent_s
    assert all(parts[1][phase] > parts[0][phase] for phase in ("build", "rounds"))  # of both
    assert ending_of(second.document) == "resumed"
    assert progress_sentence(second.document).startswith("resumed 1 time")


def test_resume_without_an_unfinished_run_is_refused(plan, tmp_path, shared_cache):
    with pytest.raises(UsageError, match="unfinished"):
        run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet, resume=True)


@pytest.mark.usefixtures("recorded")
def test_resume_never_joins_samples_of_two_checkpoints(
    plan, make_tiny, tmp_path, shared_cache, monkeypatch
):
    """The folder's weights change after the interrupt: the old samples are not its own."""
    folder = make_tiny(tmp_path / "model")
    settings = replace(plan.settings, model=(str(folder),), quant=("int4",), pg=())
    changing = make_plan(settings, usable_threads=1)

    def interrupted(*_arguments):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(rounds, "measure_group", interrupted)
    results = tmp_path / "results"
    run_plan(changing, results=results, cache=shared_cache, progress=quiet)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rope_theta": 5e4}))
    changed = make_plan(settings, usable_threads=1)
    with pytest.raises(UsageError, match="unfinished"):
        run_plan(changed, results=results, cache=shared_cache, progress=quiet, resume=True)


@pytest.mark.usefixtures("recorded")
def test_a_spent_budget_stops_after_the_first_round(plan, tmp_path, shared_cache):
    short = replace(plan, settings=replace(plan.settings, budget=1e-9))
    outcome = run_plan(short, results=tmp_path, cache=shared_cache, progress=quiet)
    assert outcome.exit_code == EXIT_OK
    assert {len(record.samples) for record in outcome.document.records} == {1}


@pytest.mark.usefixtures("recorded")
def test_a_changed_model_file_makes_its_records_invalid(plan, tmp_path, monkeypatch):
    """The data file is touched while the run goes on: every record of that level is INVALID."""
    cache = tmp_path / "cache"

    def touching(group, artifact, round_index, settings, waiting, left):
        yield from session.measure_group(group, artifact, round_index, settings, waiting, left)
        if group.level.name == "int4":
            artifact.graph.touch()

    monkeypatch.setattr(rounds, "measure_group", touching)
    short = replace(plan.settings, prompt=(), pg=(), rounds=1, calibrate=False)
    short = make_plan(short, usable_threads=1)
    outcome = run_plan(short, results=tmp_path / "results", cache=cache, progress=quiet)
    grades = {record.cell.level: record.trust.grade for record in outcome.document.records}
    assert grades["int4"] == "INVALID"
    assert grades["fp32"] != "INVALID"


@pytest.mark.parametrize(
    ("groups", "codes", "expected"),
    [(1, [4], EXIT_DEVICE), (2, [4], EXIT_CELLS), (1, [3], EXIT_CELLS), (2, [], EXIT_OK)],
)
def test_exit_code_of_failures(plan, groups, codes, expected):
    """A device failure is the whole run's only when there is nothing else to run."""
    entries = run_module.Entries(
        FailureEntry(group=str(i), workload=None, status="failed", reason="lost", exit_code=code)
        for i, code in enumerate(codes)
    )
    assert run_module.exit_code(replace(plan, groups=plan.groups[:groups]), entries) == expected


@pytest.mark.usefixtures("recorded")
def test_the_journal_of_an_interrupted_run_is_lines_of_json(
    plan, tmp_path, shared_cache, monkeypatch
):
    def never(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(rounds, "measure_group", never)
    run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet)
    journal = next(tmp_path.glob("*.journal.jsonl"))
    first = json.loads(journal.read_text().splitlines()[0])
    assert first["entry"]["kind"] == "run"


@pytest.mark.usefixtures("recorded")
def test_quality_is_measured_once_a_level_and_stands_in_every_record(plan, tmp_path, shared_cache):
    """A tiny model of 256 words is read as bytes; fp32 loses nothing, int4 something."""
    settings = replace(plan.settings, quant=("int4",), rounds=1, calibrate=False, quality=True)
    text = tmp_path / "text.txt"
    text.write_bytes(bytes(range(32, 127)) * 60)
    asked = tmp_path / "asked.jsonl"
    asked.write_text('{"context": "ab", "choices": ["c", "x"], "answer": 0}\n' * 3)
    settings = replace(settings, text=str(text), tasks=str(asked))
    quality_plan = make_plan(settings, usable_threads=1)
    try:
        document = run_plan(
            quality_plan, results=tmp_path / "results", cache=shared_cache, progress=quiet
        ).document
    except WorkerError as error:
        pytest.fail(str(error))
    for record in document.records:
        assert record.quality.text
        assert record.metrics["kld_nats"].value > 0
        assert record.metrics["kld_nats"].unit == "nats"
        assert (record.quality.tasks.items, record.quality.tasks.name) == (3, "asked.jsonl")
        assert record.metrics["task_flips"].unit == "share"
    assert (document.plan.text, document.plan.tasks) == ("text.txt", "asked.jsonl")
    assert str(tmp_path) not in (tmp_path / "results" / f"{document.run_id}.json").read_text()


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("lost", [{"quality": True, "text": "/no/such.txt"}, {"tasks": "/no/such"}])
def test_a_text_that_is_not_there_stops_the_run(plan, tmp_path, shared_cache, lost):
    settings = replace(plan.settings, rounds=1, calibrate=False, **lost)
    with pytest.raises(WorkerError, match="such"):
        run_plan(
            make_plan(settings, usable_threads=1),
            results=tmp_path,
            cache=shared_cache,
            progress=quiet,
        )


@pytest.mark.usefixtures("recorded")
def test_sensitivity_ranks_the_groups_of_integer_levels(plan, tmp_path, shared_cache):
    """It asks for quality too; fp32 has no group to rank, and a second table says the ranks."""
    settings = replace(plan.settings, rounds=1, calibrate=False, sensitivity=True)
    ranked = make_plan(settings, usable_threads=1)
    assert ranked.settings.quality
    document = run_plan(ranked, results=tmp_path, cache=shared_cache, progress=quiet).document
    by_level = {record.cell.level: record.quality for record in document.records}
    assert by_level["fp32"].sensitivity is None
    losses = by_level["int4"].sensitivity
    assert {"qkv", "down", "layer 0", "layer 1"} <= {loss.group for loss in losses}
    assert losses[0].kld_nats_per_mib == max(loss.kld_nats_per_mib for loss in losses)
    text = render(read_document(tmp_path / f"{document.run_id}.json"), "table")
    assert "one group at int4, all else at fp32" in text


@pytest.mark.usefixtures("recorded")
def test_another_model_stands_in_for_the_reference(plan, tmp_path, shared_cache, make_tiny):
    """The same weights under another name: fp32 loses nothing against them."""
    reference = make_tiny(tmp_path / "reference")
    settings = replace(plan.settings, rounds=1, calibrate=False, reference=str(reference))
    document = run_plan(
        make_plan(settings, usable_threads=1),
        results=tmp_path / "results",
        cache=shared_cache,
        progress=quiet,
    ).document
    assert document.plan.reference == "reference"
    assert "quality against reference at fp32" in render(document, "table")
    for record in document.records:
        assert record.quality.reference == "reference"
        assert (record.metrics["kld_nats"].value < 1e-9) is (record.cell.level == "fp32")
    assert str(tmp_path) not in (tmp_path / "results" / f"{document.run_id}.json").read_text()


@pytest.mark.usefixtures("recorded")
def test_a_reference_that_reads_other_tokens_stops_the_run(plan, tmp_path, shared_cache):
    settings = replace(plan.settings, rounds=1, calibrate=False, reference="smollm2-135m")
    with pytest.raises(UsageError, match="49,152 words"):
        run_plan(
            make_plan(settings, usable_threads=1),
            results=tmp_path,
            cache=shared_cache,
            progress=quiet,
        )
