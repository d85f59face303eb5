"""A whole calibration of tiny graphs through real child processes, and what it may skip."""

import pytest

from harness.builder.quantize.levels import CACHES, LEVELS
from harness.core.errors import UsageError
from harness.estimator.calibration import calibrate
from harness.estimator.calibration.calibrate import ensure_constants
from harness.estimator.calibration.constants import (
    ATTENTION,
    ATTENTION_CALL,
    CHOICE,
    ELEMENTWISE,
    OPERATOR_CALL,
    SESSION_CALL,
    attention_name,
    call_name,
)
from harness.estimator.calibration.operators import experts_name, usual_operators
from harness.estimator.calibration.store import CalibrationKey, find_constants
from harness.results.background import BACKGROUND_CPU_SHARE
from harness.results.calibration import Constants, RatePoint
from harness.results.enums import Grade
from harness.results.replies import MemoryRead
from tests.inline_worker import none_waiting
from tests.tiny import SIZES

OVER_INT4, OVER_HALF = (attention_name(CACHES[name]) for name in ("int4", "fp16"))
OPERATORS = (
    *usual_operators(),
    *(experts_name(kernel) for kernel in ("block-4-32", "channel-8", "float-32")),
)
READING = MemoryRead(
    threads=1,
    bytes=8,
    pass_ns=(1,),
    matrix_flop=8.0,
    matrix_ns=(1,),
    calls=8,
    call_ns=(1,),
)
KEY = CalibrationKey("0123456789abcdef", "1.31.1", "cpu", 1)


def known(levels, caches=(), operators=()):
    """Constants that cover levels, caches and operators, without a measurement."""
    names = [*calibrate.kernel_levels(levels), *calibrate.caches_apart(caches), *operators]
    rates = {name: (RatePoint(1e9),) for name in (*names, ATTENTION)}
    return Constants("measured here", (RatePoint(1e9),), rates, 1e-6, threads=1)


@pytest.fixture(autouse=True)
def calm(monkeypatch):
    """Whatever else runs here, a calibration is kept."""
    monkeypatch.setitem(BACKGROUND_CPU_SHARE, Grade.B, 9.0)


@pytest.fixture
def asked(monkeypatch):
    """The levels of each measurement that would have run."""
    calls = []

    def measure(key, levels, sizes, seed, log, caches, shares, operators):
        calls.append((set(levels), sizes, set(caches)))
        return known(levels, caches, operators)

    monkeypatch.setattr(calibrate, "measure_constants", measure)
    return calls


def test_every_kernel_is_measured_and_stored(tmp_path):
    """Real processes: every form of weight, every shape and operator, each from two processes."""
    levels = ("fp16", "int8", "int4")
    stored = ensure_constants(
        tmp_path, KEY, levels, caches=("fp32", "int4"), operators=OPERATORS, sizes=SIZES
    )
    rates = dict(stored.constants.rates)
    for name in OPERATORS:
        points = rates.pop(name)
        assert {point.rows for point in points} > {1}
        assert all(point.processes == SIZES.rounds for point in points)
        rates.pop(call_name(name), None)
    kernels = {"float-16", "channel-8", "block-8-32", "block-4-32"}
    calls = {call_name(kernel) for kernel in kernels} | {OPERATOR_CALL, ATTENTION_CALL}
    assert set(rates) == {*kernels, *calls, ATTENTION, OVER_HALF, OVER_INT4, ELEMENTWISE, CHOICE}
    attentions = (ATTENTION, OVER_HALF, OVER_INT4)
    shapes = {name: [1, 1, *SIZES.prompts] for name in attentions}
    shapes |= {ELEMENTWISE: [SIZES.operator_rows], CHOICE: [1]}
    shapes |= {name: [1, 1] for name in calls}
    for name, points in rates.items():
        assert [point.rows for point in points] == shapes.get(name, [*SIZES.rows, 1])
        assert all(0 < point.low_per_s <= point.high_per_s for point in points)
        assert all(point.processes == SIZES.rounds for point in points)
    for over_int4, over_floats in zip(rates[OVER_INT4], rates[ATTENTION], strict=True):
        assert over_int4.size_bytes == over_floats.size_bytes / 8  # 4 bits where there were 32
    for points in stored.constants.inputs.values():
        assert [point.processes for point in points] == [SIZES.rounds]
    assert set(stored.constants.inputs) == kernels
    assert stored.constants.pulse.readings == 3 * SIZES.rounds
    sizes_bytes = [point.size_bytes for point in stored.constants.bandwidth]
    assert sizes_bytes == list(SIZES.bandwidth_bytes)
    assert list(stored.constants.times) == [SESSION_CALL]
    assert find_constants(tmp_path, KEY).stored == stored


def test_stored_constants_are_not_measured_again(tmp_path, asked):
    for _ in range(2):
        ensure_constants(tmp_path, KEY, ("int8",))
    ensure_constants(tmp_path, KEY, ("int8-block",))  # int8's table brought its kernel
    assert len(asked) == 1


def test_missing_level_is_measured_with_those_held(tmp_path, asked):
    """One file holds constants of one sitting: fp32 is measured along."""
    ensure_constants(tmp_path, KEY, ("fp32",))
    ensure_constants(tmp_path, KEY, ("int8",))
    assert {"fp32", "int8"} <= asked[1][0]
    assert len(asked) == 2


def test_a_cache_is_measured_when_a_plan_has_one(tmp_path, asked):
    """float32 needs nothing more; what was measured once is measured along later."""
    ensure_constants(tmp_path, KEY, ("int4",), caches=("fp32",))
    ensure_constants(tmp_path, KEY, ("int4",), caches=("fp32",))
    assert len(asked) == 1
    ensure_constants(tmp_path, KEY, ("int4",), caches=("fp32", "int8"))
    ensure_constants(tmp_path, KEY, ("int8",), caches=("int4",))
    assert "int8" not in asked[0][2]
    assert {"int8", "int4"} <= asked[2][2]
    assert len(asked) == 3


def test_half_floats_have_a_rate_of_their_own(tmp_path, asked):
    """Their level brings its cache along, without being asked."""
    ensure_constants(tmp_path, KEY, ("fp16",))
    assert [caches for *_, caches in asked] == [{"fp16"}]
    ensure_constants(tmp_path, KEY, ("int4",), caches=("fp16",))
    assert len(asked) == 1
    ensure_constants(tmp_path / "other", KEY, ("int4",), caches=("fp32",))
    ensure_constants(tmp_path / "other", KEY, ("int4",), caches=("fp16",))
    assert len(asked) == 3


def test_a_full_calibration_stays_full_for_one_more_cache(tmp_path, asked, monkeypatch):
    """Stored before there were caches of integers."""
    with monkeypatch.context() as before:
        before.setattr(calibrate, "CACHES", {"fp32": CACHES["fp32"]})
        ensure_constants(tmp_path, KEY, (), full=True)
    stored = ensure_constants(tmp_path, KEY, ("int4",), caches=("int8",))
    assert stored.complete
    assert [sizes.rounds for _, sizes, _ in asked] == [7, 7]
    assert asked[1][0] == set(LEVELS)


def test_full_covers_every_level_once(tmp_path, asked):
    ensure_constants(tmp_path, KEY, tuple(LEVELS))
    for _ in range(2):
        ensure_constants(tmp_path, KEY, ("int4",), full=True)
    ensure_constants(tmp_path, KEY, ("fp32",))
    assert [levels for levels, _, _ in asked] == [set(LEVELS), set(LEVELS)]
    assert [sizes.rounds for _, sizes, _ in asked] == [4, 7]
    assert asked[1][2] == set(CACHES)


def test_again_measures_what_is_stored(tmp_path, asked):
    for _ in range(2):
        ensure_constants(tmp_path, KEY, ("int4",), again=True)
    assert len(asked) == 2


def test_damaged_store_is_said_and_measured_anew(tmp_path, asked):
    lines = []
    ensure_constants(tmp_path, KEY, ("int4",))
    next((tmp_path / "calibration").iterdir()).write_text("{")
    ensure_constants(tmp_path, KEY, ("int4",), log=lines.append)
    assert len(asked) == 2
    assert any("put aside" in line for line in lines)
    assert find_constants(tmp_path, KEY).stored is not None


def test_unknown_level_measures_nothing(tmp_path, asked):
    with pytest.raises(UsageError):
        ensure_constants(tmp_path, KEY, ("int5",))
    assert asked == []


def test_each_round_has_its_own_order(tmp_path, monkeypatch):
    """Every probe runs once in every round, the pulse three times, in orders of their own."""
    order = []

    class Builder:
        @staticmethod
        def start(module, env=None):
            return Builder()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def ask(self, *_, **__):
            return {"operators": [1, 2], "stack_operators": 5}

        def cpu_ns(self):
            return 0

    monkeypatch.setattr(calibrate, "Worker", Builder)
    monkeypatch.setattr(calibrate, "started_together", none_waiting)
    monkeypatch.setattr(calibrate, "ask_pulse", lambda *_: order.append("pulse") or READING)
    monkeypatch.setattr(calibrate, "_ask", lambda _, probe, *__: order.append(probe) or [])
    monkeypatch.setattr(calibrate, "constants_of", lambda *_: known(("int8",)))
    stored = ensure_constants(tmp_path, KEY, ("int8",))
    assert stored.constants.pulse.readings == 12
    rounds = [order[start : start + 11] for start in range(0, len(order), 11)]
    assert len(rounds) == 4
    assert all(one.count("pulse") == 3 and one[0] == "pulse" for one in rounds)
    assert {frozenset(one) for one in rounds} == {frozenset(rounds[0])}
    assert len({tuple(one) for one in rounds}) > 1
