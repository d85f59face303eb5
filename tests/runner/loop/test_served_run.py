"""A run of a server's model: records, memory, what fails, and what a document keeps."""

import json

import pytest

from harness.analysis.compare_match import match_axis
from harness.core.errors import EXIT_CELLS, EXIT_OK, UsageError
from harness.engine.served_worker import memory
from harness.engine.workload import Workload
from harness.report.render import render
from harness.results.document import read_document
from harness.results.enums import Kind
from harness.results.summarize import summarize_memory
from harness.runner.loop import interleaved, rounds, session
from harness.runner.loop.audit import audit_group
from harness.runner.loop.parts import without_folders
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import TURNS, Settings
from tests.engine.served_stub import Stub, serving
from tests.inline_worker import InlineWorker, none_waiting

SMALL = {
    "prompt": (16,),
    "gen": (4,),
    "pg": ((16, 4),),
    "rounds": 2,
    "min_passes": 2,
    "warm_seconds": 0.01,
    "sample_seconds": 0.001,
    "calibrate": False,
}


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Workers run in this process; the bandwidth of its memory is not read."""
    for module in (session, interleaved):
        monkeypatch.setattr(module, "Worker", InlineWorker)
    monkeypatch.setattr(rounds, "started_together", none_waiting)
    monkeypatch.setattr(rounds, "has_peaks", lambda device: False)


def measured(folder, *runtimes, **changes):
    """Outcome of a plan over these runtimes."""
    settings = {**SMALL, **changes}
    given = frozenset(("runtime", *settings))
    plan = make_plan(Settings(**settings, runtime=runtimes, given=given), 2)
    return run_plan(plan, results=folder, cache=folder / "cache", progress=lambda *_: None)


def test_a_profile_of_a_server_is_none_and_says_why(tmp_path):
    with serving(Stub()) as stub:
        outcome = measured(tmp_path, stub.url, profile=True, pg=(), prompt=())
    (record,) = outcome.document.records
    assert (outcome.exit_code, record.status) == (EXIT_OK, "ok")
    assert record.profile.reason.startswith("llama-cpp-python@loopback says nothing of its")
    assert "tiny llama-cpp-python@loopback: no profile: " in render(outcome.document, "table")


def test_a_server_is_not_audited():
    with serving(Stub()) as stub:
        settings = Settings(**SMALL, runtime=(stub.url,), given=frozenset(("runtime",)))
        group = make_plan(settings, 2).groups[0]
        with pytest.raises(UsageError, match="llama-cpp-python@loopback is not ours"):
            next(audit_group(group, None, settings, 3))


def test_a_server_gives_records_as_any_runtime(tmp_path):
    """Client times, the server's own memory, nothing of loading, and no host in the document."""
    with serving(Stub(owner="llamacpp", meta={"n_params": 8000, "size": 4500})) as stub:
        outcome = measured(tmp_path, stub.url)
    assert outcome.exit_code == EXIT_OK
    prefill, decode, request = outcome.document.records
    assert {"prefill_tok_s", "prefill_ms"} <= prefill.metrics.keys()
    assert {"decode_tok_s", "tpot_ms"} <= decode.metrics.keys()
    assert {"ttft_ms", "decode_tok_s", "e2e_ms", "prefill_tok_s"} <= request.metrics.keys()
    for record in outcome.document.records:
        assert record.metrics.keys().isdisjoint({"load_ms", "first_ms", "kv_bytes_per_token"})
        assert record.metrics["bits_per_weight"].value == 4.5
        assert (record.estimates, record.placement.verdict) == ({}, "UNKNOWN")
        assert "PLACEMENT" not in {reason.code for reason in record.trust.reasons}
        assert record.hardware.options["tokens"] == "by its usage"
        assert (record.cell.runtime, record.cell.device) == ("llama-server@loopback", "server")
        assert (record.cell.threads, record.cell.weights) == (0, "served")
    told = render(outcome.document, "table")
    assert "llama-server@loopback: client time, over completions; tokens by its usage" in told
    assert "llama-server@loopback b7777-abc" in told.splitlines()[0]
    assert "threads)" not in told.splitlines()[0]
    again = read_document(outcome.path)
    assert again.records[0].memory == prefill.memory
    assert "Authorization" not in outcome.path.read_text()


@pytest.mark.parametrize(
    ("fault", "reason", "lost"),
    [
        ("early", r"stopped early (stop): 2 of", {"pp16 @ d0", "tg4 @ d0", "pg16+4 @ d0"}),
        ("cut16", "read a prompt of 10 tokens where 16 were meant", {"pp16 @ d0", "pg16+4 @ d0"}),
    ],
)
def test_a_test_that_a_server_does_wrong_fails_with_the_reason(tmp_path, fault, reason, lost):
    """Each test is a process of its own: what works stays."""
    with serving(Stub(fault)) as stub:
        outcome = measured(tmp_path, stub.url)
    failed = {one.cell.workload: one for one in outcome.document.records if one.status != "ok"}
    assert (failed.keys(), outcome.exit_code) == (lost, EXIT_CELLS)
    assert all(reason in record.reason for record in failed.values())


def test_a_server_that_leaves_in_the_middle_costs_the_rest_only(tmp_path, monkeypatch):
    """It is away in the second round: the first one stands, with a mark."""
    with serving(Stub()) as stub:
        plan = {"prompt": (16,), "gen": (), "pg": ()}
        found = session.sample_test

        def leave(worker, *rest):
            reply = found(worker, *rest)
            stub.fault = "close"
            return reply

        monkeypatch.setattr(session, "sample_test", leave)
        outcome = measured(tmp_path, stub.url, **plan)
    (record,) = outcome.document.records
    assert outcome.exit_code == EXIT_CELLS
    assert (str(record.status), len(record.samples)) == ("ok", 1)
    assert "LOST_WORKER" in {reason.code for reason in record.trust.reasons}


def test_a_server_takes_turns_with_our_own_loop(tmp_path, tiny_folder, shared_cache):
    """Rows of one model, which compare pairs whatever the server leaves untold."""
    with serving(Stub()) as stub:
        settings = Settings(
            **{**SMALL, "model": (str(tiny_folder),), "quant": ("int4",), "threads": ("1",)},
            runtime=("ort", f"{stub.url}#tiny"),
            interleave=TURNS,
            given=frozenset(("runtime", "model", "quant")),
        )
        plan = make_plan(settings, 2)
        outcome = run_plan(plan, results=tmp_path, cache=shared_cache, progress=lambda *_: None)
    assert outcome.exit_code == EXIT_OK
    kept = json.loads(outcome.path.read_text())
    assert kept["plan"]["runtime"] == ["ort", f"{stub.url}#tiny"]
    ours, served = (one.cell for one in outcome.document.records[::3])
    assert (ours.level, served.level) == ("int4", "served")
    matches, _ = match_axis(outcome.document, "runtime", None)
    assert [match.new_cell.workload for match in matches] == [
        "pp16 @ d0",
        "tg4 @ d0",
        "pg16+4 @ d0",
    ]


def test_the_words_of_a_side_hold_no_key_and_no_host():
    words = "BENCH_API_KEY=sk/1 --runtime http://jane-pc:8080#tiny --model /home/jane/m"
    assert without_folders(words) == "BENCH_API_KEY=... --runtime ...#tiny --model m"
    assert without_folders("--runtime http://localhost:1") == "--runtime localhost:1"


def test_memory_of_another_machine_is_not_measured():
    """And nothing is put in its place."""
    told = {"host": "192.0.2.1", "port": 1, "scheme": "http", "base": "", "kind": "ollama"}
    geometry = {**told, "version": None, "model": "tiny"}
    found = memory("", geometry, "server", 0, 1, Workload(Kind.DECODE, 0, 4), 0)
    assert "its own: it runs on another machine" in found.reason
    assert (found.peak_bytes, found.steady, summarize_memory([found])) == (None, None, {})
