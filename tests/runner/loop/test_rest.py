"""Before a timed process: rest, then wait until the machine is cool enough, and not for ever."""

from dataclasses import replace

import pytest
from msgspec import structs

from harness.core.errors import UsageError
from harness.core.ranges import parse_temperature
from harness.machine.meters.temperature import Sensor
from harness.results.enums import Grade
from harness.results.replies import Start, Sustained
from harness.results.sustained import sustained
from harness.runner.loop.assemble import start_doubts, sustain_doubts
from harness.runner.loop.rest import (
    LONGEST_WAIT_S,
    STALE_S,
    Pause,
    rest,
    wait_below,
    without_sensor,
)
from harness.runner.settings import Settings, flag_values, load_settings
from tests import replies
from tests.results.test_results_sustained import windows


class Machine:
    """One whose hottest sensor is a function of the seconds; sleeping moves its clock."""

    def __init__(self, celsius):
        self.now_s, self.celsius, self.said = 0.0, celsius, []

    def sleep(self, seconds):
        self.now_s += seconds

    def read(self, with_graphics):
        degrees = self.celsius(self.now_s)
        return None if degrees is None else Sensor("coretemp Core 0", degrees)

    def wait(self, limit):
        pause = Pause(self.sleep, lambda: self.now_s, self.read)
        return wait_below(limit, False, pause, self.said.append)


def test_a_cool_machine_waits_for_nothing():
    machine = Machine(lambda now_s: 40.0)
    assert machine.wait(45.0) == Start(
        sensor="coretemp Core 0", celsius=40.0, waited_s=0.0, reached=True
    )
    assert machine.said == []


def test_a_warm_machine_is_waited_for():
    """60 °C, half a degree less each second, looked at every 2 s: below 45 at 32 s."""
    machine = Machine(lambda now_s: 60.0 - now_s / 2)
    found = machine.wait(45.0)
    assert (found.waited_s, found.celsius, found.reached) == (32.0, 44.0, True)
    assert machine.said == ["waiting until coretemp Core 0 is below 45 °C, it is at 60 °C"]


def test_a_machine_that_cools_no_further_ends_the_wait():
    machine = Machine(lambda now_s: max(50.0, 60.0 - now_s / 2))
    found = machine.wait(45.0)
    assert (found.celsius, found.reached) == (50.0, False)
    assert found.waited_s == 20.0 + STALE_S
    assert "stays at 50 °C: not below 45 °C" in machine.said[-1]


def test_a_machine_that_cools_too_slowly_ends_it_after_the_longest_time():
    found = Machine(lambda now_s: 70.0 - now_s / 60).wait(45.0)
    assert (found.waited_s, found.reached) == (LONGEST_WAIT_S, False)


def test_without_a_sensor_nothing_waits():
    machine = Machine(lambda now_s: None)
    assert machine.wait(45.0) is None
    assert machine.said == []
    pause = Pause(hottest=machine.read)
    assert without_sensor(Settings(start_below=45.0), pause) == (
        "no sensor tells how warm the machine is: --start-below 45C waits for nothing"
    )
    assert without_sensor(Settings(), pause) is None


def test_a_rest_comes_before_the_look():
    """10 s of rest are enough for a machine that cools by a degree a second."""
    machine = Machine(lambda now_s: 50.0 - now_s)
    pause = Pause(machine.sleep, lambda: machine.now_s, machine.read)
    settings = Settings(cooldown=10.0, start_below=45.0)
    assert rest(settings, (), pause, machine.said.append).waited_s == 0.0
    assert rest(replace(settings, start_below=None), (), pause, machine.said.append) is None


def test_a_wait_in_vain_is_a_reason_of_the_record():
    cool = Start(sensor="k10temp Tctl", celsius=44.0, waited_s=30.0, reached=True)
    warm = Start(sensor="k10temp Tctl", celsius=52.0, waited_s=110.0, reached=False)
    said = replies.process(replies.sample(itl_ns=[[1]]))
    asked = [structs.replace(said, start=one) for one in (cool, warm)]
    assert start_doubts(asked[:1], Sustained(start=cool)) == ()
    (doubt,) = start_doubts(asked, Sustained(start=cool))
    assert (doubt.best, doubt.code) == (Grade.B, "WARM_START")
    assert doubt.detail.startswith("1 of 3 processes began warmer than --start-below allows, at 52")


def test_a_speed_that_does_not_last_is_a_reason_of_the_record():
    lasting = sustained(windows(100.0, 100.0, 100.0, 100.0), "decode_tok_s", "tok/s", 1.0)
    assert sustain_doubts(None) == sustain_doubts(lasting) == ()
    falling = sustained(windows(100.0, 100.0, 100.0, 70.0, 70.0, 70.0), "decode_tok_s", "tok/s", 1)
    (doubt,) = sustain_doubts(falling)
    assert (doubt.best, doubt.code) == (Grade.B, "SLOWED")
    assert doubt.detail == "without a rest 70% of the peak are left, from 30 s on"


@pytest.mark.parametrize(("text", "celsius"), [("45C", 45.0), ("113F", 45.0), ("59.5 °c", 59.5)])
def test_a_temperature_has_a_unit(text, celsius):
    assert parse_temperature(text, "--start-below") == pytest.approx(celsius)
    assert flag_values({"start_below": text})["start_below"] == pytest.approx(celsius)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *(("45", "is no temperature"), ("warm", "is no temperature"), ("", "is no temperature")),
        *(("45K", "is no temperature"), ("nanC", "is no temperature"), ("1e2C", "is no temp")),
        *(("-5C", "is -5 °C"), ("0C", "is 0 °C"), ("300F", "is 148.889 °C")),
    ],
)
def test_what_no_processor_has_is_refused(text, problem):
    with pytest.raises(UsageError, match=problem) as caught:
        flag_values({"start_below": text})
    assert "--start-below" in caught.value.problem


def test_a_plan_gives_degrees_celsius(tmp_path):
    path = tmp_path / "plan.toml"
    for text in ("45", '"113F"'):
        path.write_text(f"start_below = {text}\n")
        assert load_settings(str(path)).start_below == pytest.approx(45.0)
    path.write_text("start_below = true\n")
    with pytest.raises(UsageError, match="must be degrees Celsius"):
        load_settings(str(path))
