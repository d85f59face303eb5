"""The store of constants: whole files only, and nothing that cannot be used stays in the way."""

import json
import re
from dataclasses import replace

import pytest
from msgspec import structs

from harness.core.errors import MeasurementError, StorageError
from harness.estimator.calibration import calibrate
from harness.estimator.calibration.store import (
    METHOD_VERSION,
    CalibrationKey,
    calibration_key,
    find_constants,
    machine_fingerprint,
    store_constants,
)
from harness.results.calibration import Constants, RatePoint, StoredConstants, TimePoint
from harness.results.environment import MachineFacts
from harness.results.replies import WatchInterval

KEY = CalibrationKey("0123456789abcdef", "1.31.1", "cpu", 2)
STORED = StoredConstants(
    fingerprint=KEY.fingerprint,
    onnxruntime=KEY.onnxruntime,
    device=KEY.device,
    method_version=METHOD_VERSION,
    complete=False,
    constants=Constants(
        basis="measured here",
        bandwidth=(RatePoint(20e9, 1e6, 1, 19e9, 21e9, 3),),
        rates={"float-32": (RatePoint(50e9, 1e6),)},
        operator_s=1e-6,
        threads=2,
        times={"operator call": TimePoint(1e-6, -1e-7, 2e-6, 3)},
    ),
)
FACTS = MachineFacts(cpu_model="X", usable_cores=2, os="Linux", packages={"onnxruntime": "1.31.1"})


def test_what_is_stored_comes_back(tmp_path):
    path = store_constants(tmp_path, STORED)
    assert find_constants(tmp_path, KEY).stored == STORED
    assert [file.name for file in path.parent.iterdir()] == [KEY.file_name]


def test_nothing_stored_is_no_complaint(tmp_path):
    found = find_constants(tmp_path, KEY)
    assert (found.stored, found.note) == (None, "")


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", '{"fingerprint": 1}'])
def test_damaged_file_is_put_aside(tmp_path, text):
    path = store_constants(tmp_path, STORED)
    path.write_text(text, encoding="latin-1")
    found = find_constants(tmp_path, KEY)
    assert found.stored is None
    assert "corrupt-1" in found.note
    assert not path.exists()
    assert path.with_name(f"{path.name}.corrupt-1").read_text(encoding="latin-1") == text


def test_impossible_rate_is_damage(tmp_path):
    path = store_constants(tmp_path, STORED)
    record = json.loads(path.read_text())
    record["constants"]["bandwidth"][0]["rate_per_s"] = -1.0
    path.write_text(json.dumps(record))
    assert "corrupt-1" in find_constants(tmp_path, KEY).note


@pytest.mark.parametrize(
    ("change", "word"),
    [({"method_version": METHOD_VERSION - 1}, "method"), ({"onnxruntime": "1.0"}, "onnxruntime")],
)
def test_stale_file_is_put_aside_under_a_free_name(tmp_path, change, word):
    """Twice stale: the first one is kept beside the second."""
    for number in (1, 2):
        path = store_constants(tmp_path, structs.replace(STORED, **change))
        found = find_constants(tmp_path, KEY)
        assert found.stored is None
        assert word in found.note
        assert path.with_name(f"{path.name}.stale-{number}").exists()


def test_file_of_another_machine_under_our_name_is_stale(tmp_path):
    path = store_constants(tmp_path, structs.replace(STORED, fingerprint="f" * 16))
    path.replace(path.with_name(KEY.file_name))
    assert "another machine" in find_constants(tmp_path, KEY).note


def test_thread_counts_are_kept_apart(tmp_path):
    store_constants(tmp_path, STORED)
    assert find_constants(tmp_path, replace(KEY, threads=1)).stored is None


def test_cache_that_cannot_be_written_is_a_storage_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError):
        store_constants(blocked, STORED)
    with pytest.raises(StorageError):
        find_constants(blocked, KEY)


def test_fingerprint_moves_with_the_machine_only():
    """Another processor is another machine; another swap size is not."""
    same = machine_fingerprint(structs.replace(FACTS, swap_bytes=1))
    assert machine_fingerprint(FACTS) == same
    assert machine_fingerprint(structs.replace(FACTS, cpu_model="Y")) != same
    assert calibration_key(FACTS, "cpu", 2) == CalibrationKey(same, "1.31.1", "cpu", 2)


def test_negative_or_infinite_time_is_refused():
    with pytest.raises(MeasurementError):
        TimePoint(-1e-6, 0.0, 0.0, 3)
    with pytest.raises(MeasurementError):
        TimePoint(1e-6, 0.0, float("inf"), 3)


def test_looking_changes_nothing(tmp_path):
    """A look that will not measure leaves a damaged file where it is, and says what is wrong."""
    path = store_constants(tmp_path, STORED)
    path.write_text("{")
    found = find_constants(tmp_path, KEY, to_replace=False)
    assert found.stored is None
    assert "damaged" in found.note
    assert path.read_text() == "{"


FP32 = structs.replace(  # covers what every run needs, and fp32
    STORED.constants,
    rates={name: (RatePoint(50e9, 1e6),) for name in calibrate.kernel_levels(("fp32",))},
)


@pytest.fixture
def beside(monkeypatch):
    """Calibrations beside others who use the shares of the list, one after the other."""

    def with_shares(*found):
        rest = list(found)

        def measure(_key, _levels, _sizes, _seed, _log, _caches, shares, _operators):
            shares.append(rest.pop(0))
            return FP32

        monkeypatch.setattr(calibrate, "measure_constants", measure)
        return rest

    return with_shares


def ensured(cache, told, quiet=None):
    """What a run takes; `quiet`: what a look at the machine would tell, None: nobody may look."""

    def look():
        assert quiet is not None, "the machine was looked at"
        return quiet

    return calibrate.ensure_constants(cache, KEY, ("fp32",), log=told.append, is_quiet=look)


def test_a_quiet_calibration_is_kept_without_a_look(tmp_path, beside):
    """At grade B's limit of 5 % it is as good as any: its day is kept, its basis is the usual."""
    beside(0.05)
    told = []
    first = ensured(tmp_path, told)
    assert first.constants == FP32
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", first.measured_on)
    assert ensured(tmp_path, told) == first == find_constants(tmp_path, KEY).stored
    assert told == []


def test_a_busy_calibration_serves_until_the_machine_is_quiet(tmp_path, beside):
    """It is not paid for by each run of a busy machine, and not kept once it can be bettered."""
    rest = beside(0.3, 0.4, 0.01)
    told = []
    busy = ensured(tmp_path, told)
    assert busy.background_share == 0.3
    assert busy.constants.basis == "measured here while others used 30% of the CPU"
    assert ensured(tmp_path, told, quiet=False) == busy
    assert (len(told), len(rest)) == (1, 2)
    assert ensured(tmp_path, told, quiet=True).background_share == 0.4  # others came back
    assert ensured(tmp_path, told, quiet=True).constants.basis == "measured here"
    assert rest == []
    assert ensured(tmp_path, told).background_share == 0.01
    assert [line.partition(":")[0] for line in told] == [
        "calibrated while others used 30% of the CPU",
        "others used 30% of the CPU while this machine was calibrated, now it is quiet",
        "calibrated while others used 40% of the CPU",
        "others used 40% of the CPU while this machine was calibrated, now it is quiet",
    ]


@pytest.mark.parametrize(("background_ns", "quiet"), [(50, True), (51, False), (None, True)])
def test_a_look_tells_whether_others_are_busy(monkeypatch, background_ns, quiet):
    """50 of 2 processors times 500 ns are 5 %; what the system does not count is no company."""
    watch = WatchInterval(wall_ns=500, processors=2, background_cpu_ns=background_ns, steal_ns=0)
    monkeypatch.setattr(calibrate, "difference", lambda *_: watch)
    monkeypatch.setattr(calibrate.time, "sleep", lambda _: None)
    assert calibrate.machine_is_quiet() == quiet
