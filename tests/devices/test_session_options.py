"""Options that a user gives sessions: read or refused, and set in ONNX Runtime's own."""

from dataclasses import replace

import msgspec
import pytest

from harness.core.errors import UsageError
from harness.devices import session_options as module
from harness.devices.device import SentDevice, find_device
from harness.devices.hardware import facts_of
from harness.devices.session import open_session, session_options
from harness.devices.session_options import (
    AFFINITIES,
    BLOCK_BASE,
    OPTIONS,
    PATTERNS,
    SPIN_TIME,
    SPINNING,
    check_places,
    parse_session_options,
)
from harness.runner.plan import make_plan
from harness.runner.settings import Settings
from tests.devices.small_graphs import write_relu

SMALL = Settings(model=("bytelm",), quant=("int4",), prompt=(16,), threads=("1",))


def test_options_are_pairs():
    words = (f"{BLOCK_BASE}=4", f"{AFFINITIES}=1,3;2-4", "enable_mem_pattern=0")
    assert parse_session_options(words) == (
        (BLOCK_BASE, "4"),
        (AFFINITIES, "1,3;2-4"),
        ("enable_mem_pattern", "0"),
    )
    assert all(row.needs in PATTERNS for row in OPTIONS.values())


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("session.dynamic_block_bas=4",), "no option that bench knows"),
        (("",), "is no NAME=VALUE"),
        ((BLOCK_BASE,), "is no NAME=VALUE"),
        ((f"{BLOCK_BASE}=",), "must be a whole number"),
        ((f"{BLOCK_BASE}=-1",), "must be a whole number"),
        ((f"{SPINNING}=yes",), "must be 0 or 1"),
        ((f"{AFFINITIES}=1;",), "must be processors"),
        ((f"{AFFINITIES}=a",), "must be processors"),
        ((f"{BLOCK_BASE}=4", f"{BLOCK_BASE}=8"), "is given twice"),
        (("session.intra_op_num_threads=2",), "is set by bench"),
        (("session.prepack.enable_parallel=1",), "is set by bench"),
    ],
)
def test_what_would_change_nothing_is_refused(words, problem):
    with pytest.raises(UsageError, match=problem):
        parse_session_options(words)


def test_an_option_of_a_later_runtime_is_refused(monkeypatch):
    monkeypatch.setattr(module, "installed_version", lambda _wheel: "1.26.3")
    with pytest.raises(UsageError, match=r"came with onnxruntime 1\.27, and 1\.26\.3"):
        parse_session_options((f"{SPIN_TIME}=100",))
    monkeypatch.setattr(module, "installed_version", lambda _wheel: None)  # a wheel of another name
    assert parse_session_options((f"{SPIN_TIME}=100",)) == ((SPIN_TIME, "100"),)


def test_every_thread_but_the_calling_one_has_a_place():
    check_places(((AFFINITIES, "1;2"),), 3)
    with pytest.raises(UsageError, match=r"places 2 threads; --threads 2 has 1 besides"):
        check_places(((AFFINITIES, "1;2"),), 2)


def test_they_go_over_those_of_every_session():
    given = ((SPINNING, "0"), (BLOCK_BASE, "4"), ("enable_mem_pattern", "0"))
    options = session_options(2, given=given)
    assert options.get_session_config_entry(SPINNING) == "0"
    assert options.get_session_config_entry(BLOCK_BASE) == "4"
    assert not options.enable_mem_pattern
    assert session_options(2).enable_mem_pattern


def test_who_takes_turns_stops_spinning_whatever_was_given():
    name = "session.force_spinning_stop"
    given = ((name, "0"),)
    assert session_options(2, True, given=given).get_session_config_entry(name) == "1"


def test_they_travel_and_stand_in_the_record(tmp_path):
    device = replace(find_device("cpu"), session_options=((SPINNING, "0"),))
    sent = msgspec.json.decode(msgspec.json.encode(device.sent()), type=SentDevice)
    assert find_device(sent) == device
    assert facts_of(device).session_options == {SPINNING: "0"}
    assert not open_session(write_relu(tmp_path / "model.onnx"), device, threads=1).spinning


def test_a_plan_gives_them_to_every_session():
    plan = make_plan(replace(SMALL, session_option=(f"{BLOCK_BASE}=4",)), 1)
    assert plan.groups[0].device.session_options == ((BLOCK_BASE, "4"),)
    assert plan.as_asked().session_option == (f"{BLOCK_BASE}=4",)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"session_option": (f"{AFFINITIES}=1",)}, "--threads 1 has 0 besides"),
        (
            {"session_option": (f"{BLOCK_BASE}=4",), "runtime": ("genai",), "given": ("runtime",)},
            "--runtime genai opens its own",
        ),
    ],
)
def test_a_plan_that_cannot_use_them_is_refused(changes, problem):
    pytest.importorskip("onnxruntime_genai")
    with pytest.raises(UsageError, match=problem):
        make_plan(replace(SMALL, **changes), 1)
