"""The measuring child, end to end on a real tiny model."""

import io
import json
import os
from pathlib import Path
from statistics import median

import msgspec
import pytest

from harness.core.errors import EXIT_USAGE, WorkerError
from harness.engine import llamacpp_worker, worker
from harness.engine.footprint import Footprint, tells_its_own
from harness.engine.opening import open_sessions
from harness.engine.worker import MeasuringChild, MemoryChild, read_through
from harness.engine.workload import Workload
from harness.machine.meters.device_memory import IN_HOST
from harness.machine.meters.memory import MemoryMark
from harness.machine.process.serve import call_command
from harness.machine.process.worker import Worker
from harness.results.enums import Kind
from tests.engine.tiny_decoder import OverflowingWeights, TinyDecoder

MODULE = "harness.engine.worker"
LONG_S = 120.0

PREFILL = {"kind": "pp", "prompt_tokens": 12, "gen_tokens": 0, "depth_tokens": 0}
DEEP_PREFILL = PREFILL | {"depth_tokens": 20}
DECODE = {"kind": "tg", "prompt_tokens": 0, "gen_tokens": 6, "depth_tokens": 20}
REQUEST = {"kind": "pg", "prompt_tokens": 12, "gen_tokens": 5, "depth_tokens": 0}
TURN = REQUEST | {"kind": "turn", "depth_tokens": 20}
ONE_TOKEN = REQUEST | {"gen_tokens": 1}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return TinyDecoder(tmp_path_factory.mktemp("tiny"), "int4")


@pytest.fixture(scope="module")
def one_child():
    with Worker.start(MODULE) as started:
        yield started


@pytest.fixture
def child(one_child):
    """A child in which no session is open; it served other tests before."""
    yield one_child
    one_child.ask("close", LONG_S)


@pytest.fixture
def fresh():
    """A child of one's own, for what a process has and does not give back."""
    with Worker.start(MODULE) as started:
        yield started


@pytest.fixture
def opened(child, tiny):
    child.ask("open", LONG_S, first=REQUEST, **tiny.open_arguments())
    return child


def sample(child, workload, passes=2):
    return child.ask("sample", LONG_S, workload=workload, min_passes=passes, min_seconds=0)


def positive_integers(values):
    return all(type(value) is int and value > 0 for value in values)


@pytest.mark.parametrize("first", [PREFILL, DECODE, REQUEST, None])
def test_open_tells_what_was_opened(child, tiny, first):
    reply = child.ask("open", LONG_S, first=first, **tiny.open_arguments())
    assert positive_integers([reply["load_ns"]])
    assert reply["first_ns"] is None if first is None else positive_integers([reply["first_ns"]])
    assert reply["provider"] == "CPUExecutionProvider"
    assert reply["placement"]["verdict"] == "FULL"
    assert reply["placement"]["compute_nodes"]["CPUExecutionProvider"] > 0
    assert reply["spinning"] is True
    assert reply["compiled"] is False
    assert 1 <= reply["affinity"] <= os.cpu_count()
    assert reply["hardware"]["version"]
    assert reply["hardware"]["simulated"] is False
    assert set(reply) == {
        *("load_ns", "first_ns", "placement", "hardware", "provider", "spinning", "affinity"),
        *("compiled", "first"),
    }


COUNTERS = {"cpu_ns", "major_faults", "involuntary_switches", "finite", "digest"}


def test_a_prefill_sample_has_its_lists_only(opened):
    reply = sample(opened, DEEP_PREFILL, passes=3)
    assert set(reply) == {"prefill_ns"} | COUNTERS
    assert len(reply["prefill_ns"]) == 3
    assert positive_integers(reply["prefill_ns"])
    assert reply["finite"] is True
    assert positive_integers([reply["cpu_ns"]])


def test_a_decode_sample_has_every_step_of_every_pass(opened):
    reply = sample(opened, DECODE)
    assert set(reply) == {"itl_ns"} | COUNTERS
    assert [len(steps) for steps in reply["itl_ns"]] == [6, 6]
    assert all(positive_integers(steps) for steps in reply["itl_ns"])


def test_a_request_sample_adds_up(opened):
    """First token after the prompt; the whole = first token + 4 further ones."""
    reply = sample(opened, REQUEST)
    assert set(reply) == {"prefill_ns", "ttft_ns", "itl_ns", "e2e_ns"} | COUNTERS
    rows = zip(*(reply[key] for key in ("prefill_ns", "ttft_ns", "itl_ns", "e2e_ns")), strict=True)
    for prefill_ns, ttft_ns, steps_ns, e2e_ns in rows:
        assert len(steps_ns) == 4
        assert prefill_ns <= ttft_ns
        assert ttft_ns + sum(steps_ns) == e2e_ns


def test_a_request_for_one_token_gives_no_decode_step(opened):
    reply = sample(opened, ONE_TOKEN)
    assert reply["itl_ns"] == [[], []]
    assert reply["ttft_ns"] == reply["e2e_ns"]


@pytest.mark.parametrize(
    ("workload", "shapes"), [(PREFILL, 1), (DECODE, 1), (REQUEST, 2), (TURN, 3)]
)
def test_warm_replies_with_its_last_two_windows_per_shape(opened, workload, shapes):
    """With no time at all, one call per shape is made and it is not steady."""
    short = opened.ask("warm", LONG_S, workload=workload, cap_s=0)
    assert (short["steady"], short["calls"], short["window_medians_ns"]) == (False, shapes, [])
    reply = opened.ask("warm", LONG_S, workload=workload, cap_s=1)
    assert type(reply["steady"]) is bool
    assert reply["calls"] >= 39 * shapes or not reply["steady"]
    assert len(reply["window_medians_ns"]) <= 2 * shapes
    assert set(reply) == {"steady", "seconds", "calls", "window_medians_ns"}


def test_the_same_inputs_give_the_same_digest_in_every_process_and_order(tiny):
    """Two processes, the tests in opposite order; another seed gives other tokens."""
    tests = [PREFILL, DEEP_PREFILL, DECODE, REQUEST]

    def digests(order, seed):
        with Worker.start(MODULE) as started:
            started.ask("open", LONG_S, **tiny.open_arguments(batch=2, seed=seed))
            found = {json.dumps(test): sample(started, test)["digest"] for test in order}
        return [found[json.dumps(test)] for test in tests]

    one = digests(tests, seed=0)
    assert one == digests(tests[::-1], seed=0)
    assert len(set(one)) == 4
    assert one != digests(tests, seed=1)


def test_memory_of_a_fresh_child(fresh, tiny):
    reply = fresh.ask("memory", LONG_S, workload=REQUEST, **tiny.session_arguments())
    baseline_bytes = reply["baseline"]["rss_bytes"]
    assert 0 < baseline_bytes <= reply["loaded"]["rss_bytes"] <= reply["peak_bytes"]
    assert reply["steady"]["rss_bytes"] <= reply["peak_bytes"]
    assert reply["load_delta_bytes"] == reply["loaded"]["rss_bytes"] - baseline_bytes
    assert reply["steady_delta_bytes"] == reply["steady"]["rss_bytes"] - baseline_bytes
    assert reply["peak_delta_bytes"] == reply["peak_bytes"] - baseline_bytes
    assert reply["device"] == {
        "peak_bytes": None,
        "reason": "the device works in the memory of the host",
    }
    for mark in ("baseline", "loaded", "steady"):
        assert set(reply[mark]) == {"rss_bytes", "anonymous_bytes", "file_bytes"}


def test_memory_sees_the_whole_context(tmp_path):
    """A cache of 32,000 positions against one of 60; most are for steps that are not run.

    Whether tests need them or they are allocated all the same.

    2 layers × 2 × 2 heads × 16 × 4 bytes = 512 bytes a position: 15.6 MiB more. Bound: 15 %,
    because activations and ORT's arena may differ a little.
    """
    long = TinyDecoder(tmp_path, "fp32", max_context_tokens=32_000)
    steady_bytes = []
    for tokens, capacity in ((60, 0), (32_000, 0), (60, 32_000)):
        workload = {"kind": "tg", "prompt_tokens": 0, "gen_tokens": tokens, "depth_tokens": 0}
        arguments = {**long.session_arguments(), "workload": workload, "capacity_tokens": capacity}
        with Worker.start(MODULE) as started:
            reply = started.ask("memory", LONG_S, **arguments)
        steady_bytes.append(reply["steady_delta_bytes"])
    expected_bytes = 512 * (32_000 - 60)
    for whole in steady_bytes[1:]:
        assert abs(whole - steady_bytes[0] - expected_bytes) < 0.15 * expected_bytes


def test_memory_of_further_tests_is_that_of_fresh_children(fresh, tmp_path):
    """A cache of 32,000 positions after one of 60, and again one of 60, which raises nothing."""
    long = TinyDecoder(tmp_path, "fp32", max_context_tokens=32_000)
    few, many = (Workload(Kind.DECODE, 0, tokens) for tokens in (60, 32_000))
    arguments = long.session_arguments()
    fresh.ask("memory", LONG_S, workload=few, **arguments)
    asked = {"batch": arguments["batch"], "seed": arguments["seed"]}
    after = fresh.ask("memory_next", LONG_S, workload=many, **asked)["taken"]
    alone = []
    for _ in range(3):  # on a busy machine one child in many is 3 % off by itself
        with Worker.start(MODULE) as started:
            alone.append(started.ask("memory", LONG_S, workload=many, **arguments))
    peak, anonymous = (
        median(one[name] for one in alone) for name in ("peak_bytes", "anonymous_peak_bytes")
    )
    assert after["peak_bytes"] == pytest.approx(peak, rel=0.02)
    # what is looked at every 2 ms may be missed for a moment
    assert after["anonymous_peak_bytes"] == pytest.approx(anonymous, rel=0.06)
    assert fresh.ask("memory_next", LONG_S, workload=few, **asked) == {"taken": None}


def test_memory_of_a_further_test_needs_a_loaded_model(fresh):
    with pytest.raises(WorkerError, match="no model is loaded"):
        fresh.ask("memory_next", LONG_S, workload=PREFILL, batch=1, seed=0)


@pytest.mark.parametrize(
    ("before", "now", "load", "told"),
    [(110, 120, 100, True), (120, 120, 100, False), (100, 100, 100, True)],
)
def test_a_mark_is_a_tests_own_where_it_rose_or_is_that_of_the_load(before, now, load, told):
    def of(peak_bytes):
        mark = MemoryMark(90, peak_bytes)
        return Footprint(MemoryMark(50, 50), MemoryMark(90, load), mark, IN_HOST, None)

    assert tells_its_own(of(now), of(before)) is told


def test_a_test_that_does_not_fit_the_cache_is_a_usage_error(child, tiny):
    child.ask("open", LONG_S, **tiny.open_arguments(capacity_tokens=16))
    with pytest.raises(WorkerError, match="do not fit") as caught:
        sample(child, DECODE)
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize("workload", [PREFILL, DECODE, REQUEST, TURN])
def test_logits_that_are_no_numbers_are_told(child, tmp_path, workload):
    broken = TinyDecoder(tmp_path, weights=OverflowingWeights)
    child.ask("open", LONG_S, **broken.open_arguments())
    assert sample(child, workload)["finite"] is False


def test_files_are_read_before_the_load_is_timed(tiny, monkeypatch):
    events = []
    monkeypatch.setattr(worker, "read_through", lambda path: events.append(path))
    monkeypatch.setattr(
        worker,
        "open_sessions",
        lambda path, *rest, **named: events.append(path) or open_sessions(path, *rest, **named),
    )
    call_command(MeasuringChild().open, tiny.open_arguments())
    assert events == [tiny.graph, tiny.graph]


def test_reading_through_takes_the_graph_and_its_data(tmp_path, monkeypatch):
    """Three files of 3 MiB each, one of them not of the model: 6 MiB are read."""
    for name in ("model.onnx", "model.onnx.data", "notes.txt"):
        (tmp_path / name).write_bytes(bytes(3 * 2**20))
    read_bytes = []

    class Counting(io.FileIO):
        def readinto(self, buffer):
            read_bytes.append(super().readinto(buffer))
            return read_bytes[-1]

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Counting(path))
    read_through(tmp_path / "model.onnx")
    assert sum(read_bytes) == 6 * 2**20


def test_reading_through_does_not_look_ahead(tmp_path, monkeypatch):
    """What is read ahead lies in large pieces, and one row of a table maps a whole one."""
    (tmp_path / "model.onnx").write_bytes(b"graph")
    advised = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda file, *advice: advised.append(advice), raising=False
    )
    monkeypatch.setattr(os, "POSIX_FADV_RANDOM", "random", raising=False)
    read_through(tmp_path / "model.onnx")
    assert advised == [(0, 0, "random")]
    monkeypatch.delattr(os, "posix_fadvise")
    read_through(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["prepacked.data", "model.gguf"])
def test_what_is_computed_on_as_it_is_mapped_is_read_ahead(name, tmp_path, monkeypatch):
    """In large pieces a step is an eighth faster than in single pages; no row is looked up."""
    (tmp_path / name).write_bytes(b"weights")
    advised = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda file, *advice: advised.append(advice), raising=False
    )
    monkeypatch.setattr(os, "POSIX_FADV_SEQUENTIAL", "sequential", raising=False)
    read_through(tmp_path / name if name.endswith(".gguf") else tmp_path / "model.onnx")
    assert advised == [(0, 0, "sequential")]


def test_memory_is_taken_of_files_that_lie_as_when_they_are_timed(tiny, monkeypatch):
    events = []
    monkeypatch.setattr(worker, "read_through", lambda path: events.append(path))
    taken = call_command(MemoryChild().first, tiny.session_arguments() | {"workload": PREFILL})
    assert events == [tiny.graph]
    assert taken.peak_bytes > 0


def test_nothing_is_sampled_before_open_or_after_close(child, tiny):
    for _ in range(2):
        with pytest.raises(WorkerError, match="no session is open"):
            sample(child, PREFILL)
        child.ask("open", LONG_S, **tiny.open_arguments())
        assert sample(child, PREFILL)["finite"] is True
        assert child.ask("close", LONG_S) == {}


def test_a_model_without_its_weights_is_an_error_of_ours(child, tiny, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny.graph.read_bytes())
    with pytest.raises(WorkerError, match=r"cannot open model\.onnx") as caught:
        child.ask("open", LONG_S, **(tiny.open_arguments() | {"graph": str(path)}))
    assert caught.value.status == "failed"
    assert str(tmp_path) not in caught.value.problem


def test_two_measuring_children_take_turns(tiny):
    with Worker.start(MODULE) as one, Worker.start(MODULE) as two:
        for each in (one, two):
            each.ask("open", LONG_S, **tiny.open_arguments())
        digests = {sample(each, DECODE, passes=1)["digest"] for each in (one, two, one, two)}
    assert len(digests) == 1


def test_a_workload_travels_as_its_fields():
    assert msgspec.convert(DECODE, Workload) == Workload(Kind.DECODE, 0, 6, 20)


def test_a_file_that_is_not_there_is_no_matter_for_reading_through(tmp_path):
    """The session says it better."""
    (tmp_path / "a.data").mkdir()
    read_through(tmp_path / "model.onnx")


def test_every_runtime_reads_its_files_before_its_memory_is_taken(monkeypatch):
    """How a file lies in the page cache decides what is mapped of it; the library is not needed."""
    events = []
    monkeypatch.setattr(llamacpp_worker, "library", lambda: None)
    monkeypatch.setattr(llamacpp_worker, "read_through", lambda path: events.append(path.name))
    monkeypatch.setattr(llamacpp_worker, "memory_mark", lambda: events.append("mark"))
    monkeypatch.setattr(llamacpp_worker, "_decoder", lambda *_: events.append("open") or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        llamacpp_worker.memory("m/file.gguf", {}, "cpu", 1, 1, Workload(Kind.DECODE, 0, 4), 0)
    assert events == ["file.gguf", "mark", "open"]
