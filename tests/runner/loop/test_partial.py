"""A run that was killed: read from its journal alone, beside what the run itself would say."""

import json
from contextlib import suppress

import pytest
from msgspec import structs

from harness.cli.main import main
from harness.core.errors import EXIT_OK, ResultFormatError
from harness.report.render import render
from harness.results.document import decode_document, encode_document, read_document
from harness.results.journal import read_lines
from harness.results.progress import progress_sentence
from harness.runner.loop import rounds, session
from harness.runner.loop.partial import read_partial
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import Settings

pytestmark = pytest.mark.usefixtures("small_peaks")
COMMAND = ("bench", "run", "--config", "/home/jane/long.toml", "--resume")
# Drawn up from what only the run itself holds: its own reads of memory, and its models.
OF_THE_RUN = ("estimates", "explanation", "metrics")


class Killed(BaseException):
    """What no code catches, as no code survives a SIGKILL."""


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def plan(tiny_folder):
    settings = Settings(
        model=(str(tiny_folder),),
        quant=("fp32", "int4"),
        prompt=(8,),
        gen=(4,),
        threads=("1",),
        rounds=2,
        warm_seconds=0.05,
        sample_seconds=0.01,
        min_passes=2,
    )
    return make_plan(settings, usable_threads=1)


@pytest.fixture
def broken_off(plan, tmp_path, shared_cache, monkeypatch, recorded):
    """Measures `sessions` sessions of four, then ends by `kind`; returns the run's files."""

    def run(kind, sessions):
        measured = []

        def measure(group, artifact, round_index, settings, waiting, left):
            if len(measured) >= sessions:
                raise kind
            measured.append(group.key)
            yield from session.measure_group(group, artifact, round_index, settings, waiting, left)

        arguments = {"results": tmp_path, "cache": shared_cache, "progress": quiet}
        with monkeypatch.context() as patch:
            patch.setattr(rounds, "measure_group", measure)
            with suppress(Killed):
                run_plan(plan, command=COMMAND, **arguments)
        return sorted(tmp_path.iterdir())

    return run


def journal_of(files):
    return next(path for path in files if path.name.endswith(".journal.jsonl"))


def test_the_journal_says_what_the_run_would_have_said(broken_off):
    """An interrupted run leaves both: beside its document, the journal gives the same records."""
    files = broken_off(KeyboardInterrupt, sessions=3)
    document = read_document(next(path for path in files if path.suffix == ".json"))
    partial = decode_document(encode_document(read_partial(journal_of(files))))
    assert (partial.run_id, partial.environment) == (document.run_id, document.environment)
    assert partial.plan == document.plan
    for ours, its in zip(partial.records, document.records, strict=True):
        for field in set(its.__struct_fields__) - {*OF_THE_RUN}:
            assert getattr(ours, field) == getattr(its, field), field
        assert ours.metrics.items() <= its.metrics.items()
        assert {"weights_bytes", "load_ms"} <= ours.metrics.keys()
        assert "calibrated" in next(iter(ours.estimates.values()))


def test_a_killed_run_is_drawn_from_its_journal_and_goes_on(
    broken_off, plan, tmp_path, shared_cache, capsys
):
    """Killed before its second session: one level has a round, the other nothing yet."""
    files = broken_off(Killed, sessions=1)
    assert [path.suffix for path in files if not path.name.startswith(".")] == [".jsonl"]
    journal = journal_of(files)
    told = (
        "interrupted: 2 of 4 cells not measured, 2 of 4 cells without all of their 2 rounds or"
        " their memory; go on: bench run --config .../long.toml --resume"
    )
    partial = read_partial(journal)
    assert progress_sentence(partial) == told
    assert sorted(record.status for record in partial.records) == ["ok", "ok", "skipped", "skipped"]
    for named in (journal, journal.with_name(journal.name.replace(".journal.jsonl", ".json"))):
        assert main(["report", str(named)]) == EXIT_OK
        assert told in " ".join(capsys.readouterr().out.split())
    assert main(["report", str(tmp_path), "--format", "json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["plan"]["progress"]["ended"] == "interrupted"
    assert main(["explain", str(journal)]) == EXIT_OK
    assert main(["explain", "trust", str(journal)]) == EXIT_OK
    assert "calibrated" in capsys.readouterr().out
    settled = run_plan(
        plan, results=tmp_path, cache=shared_cache, progress=quiet, resume=True, command=COMMAND
    )
    assert {len(record.samples) for record in settled.document.records} == {2}
    assert "outline" not in render(settled.document, "table")


def test_an_outline_is_written_once_and_names_no_place(broken_off, plan, tmp_path, shared_cache):
    """Before anything is measured; a sitting that goes on finds it."""
    journal = journal_of(broken_off(Killed, sessions=1))
    with pytest.raises(Killed):
        run_plan_killed(plan, tmp_path, shared_cache)
    kinds = [line["kind"] for line in read_lines(journal)]
    assert kinds.count("outline") == 1
    assert kinds.index("outline") < kinds.index("test")
    assert "/home/jane" not in journal.read_text()


def run_plan_killed(plan, results, cache):
    """Go on, and be killed at once."""

    def progress(what: str, done: int, total: int) -> None:
        if what.startswith("round"):
            raise Killed

    run_plan(plan, results=results, cache=cache, progress=progress, resume=True)


def test_a_journal_without_an_outline_says_how_it_goes_on(broken_off, tmp_path):
    """As of a run that was killed while it calibrated, or of an older version."""
    journal = journal_of(broken_off(Killed, sessions=0))
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"kind":"outline"' not in line))
    with pytest.raises(ResultFormatError, match="holds nothing that was measured") as found:
        read_partial(journal)
    assert "--resume" in found.value.fix


def test_sides_of_a_comparison_may_be_journals(broken_off, tmp_path, capsys):
    """Each side says what it lacks; so does an axis inside one."""
    journal = journal_of(broken_off(Killed, sessions=3))
    whole = tmp_path / "whole.json"
    other = structs.replace(read_partial(journal), run_id="run-other")
    whole.write_bytes(encode_document(other))
    assert main(["compare", str(whole), str(journal), "--format", "json"]) == EXIT_OK
    told = json.loads(capsys.readouterr().out)["partial"]
    assert [line.partition(" ")[0] for line in told] == ["base", "new"]
    assert main(["compare", str(journal), "--axis", "quant"]) == EXIT_OK
    assert "is partial: interrupted: " in capsys.readouterr().out


def test_a_flipped_bit_costs_its_line_and_is_named(broken_off, capsys):
    """What the other lines hold is drawn."""
    journal = journal_of(broken_off(Killed, sessions=1))
    lines = journal.read_bytes().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if b'"kind":"test"' in line)
    lines[place] = lines[place].replace(b'"round":0', b'"round":1')
    journal.write_bytes(b"".join(lines))
    assert main(["report", str(journal)]) == EXIT_OK
    told = capsys.readouterr()
    assert f"line {place + 1} is damaged" in told.err
    assert "fp32" in told.out
