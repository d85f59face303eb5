"""Counters that must follow load before they are believed; time is our own, so nothing waits."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from harness.core.units import NS_PER_S
from harness.machine.meters.counters import ABSENT, DENIED, VALUE, Answer
from harness.machine.meters.energy import COUNTERS, EnergyReading, energy_used, read_energy
from harness.machine.meters.energy_readers import MICRO, Zone
from harness.machine.watch.energy_proof import busy_processors, prove_counters, said_of
from tests.machine.watch.fake_machine import write
from tests.replies import hardware as hardware_of

ROWS = {row.name: row for row in COUNTERS}
CARD = hardware_of(hardware="gpu", kind="gpu", vendor_id="0x10de", discrete=True)
APPLE_GPU = hardware_of(hardware="gpu", kind="gpu", vendor_id="0x106b", discrete=None)


@dataclass
class Machine:
    """A machine whose zones draw watts that a table gives, by quarter of a second.

    Attributes:
        counter: the one that it has.
        idle: watts of each zone.
        busy: the same under load.
        noise: added in turn to every quarter.
        wraps_at: of each zone, in its own unit.
        begins_at: joules.
    """

    counter: str
    idle: dict[str, float]
    busy: dict[str, float]
    noise: tuple[float, ...] = (0.0,)
    wraps_at: int | None = None
    begins_at: float = 0.0
    seconds: float = 0.0
    is_busy: bool = False
    used: dict[str, float] = field(default_factory=dict)
    quarters: int = 0

    def wait(self, seconds):
        self.seconds += seconds
        extra = self.noise[self.quarters % len(self.noise)]
        self.quarters += 1
        for zone, power in (self.busy if self.is_busy else self.idle).items():
            self.used[zone] = self.used.get(zone, 0.0) + (power + extra) * seconds

    @contextmanager
    def load(self):
        self.is_busy = True
        yield
        self.is_busy = False

    def read(self):
        zones = {}
        for zone in self.idle:
            amount = round((self.begins_at + self.used.get(zone, 0.0)) / MICRO)
            amount = amount if self.wraps_at is None else amount % self.wraps_at
            zones[zone] = Zone(amount, MICRO, self.wraps_at)
        return EnergyReading(round(self.seconds * NS_PER_S), {self.counter: Answer(VALUE, zones)})

    def proof(self):
        return prove_counters(COUNTERS, self.read, self.wait, self.load)[self.counter]


@pytest.mark.parametrize("counter", ["rapl", "emi", "ioreport"])
def test_a_counter_that_follows_load_says_how_far(counter):
    """10 W idle, 30 W busy, over two seconds in all."""
    machine = Machine(counter, {"cpu": 10.0}, {"cpu": 30.0})
    proof = machine.proof()
    assert (proof.problem, proof.words) == ("", "follows load: 10 W idle, 30 W busy")
    assert proof.idle_watts[""] == pytest.approx(10.0)
    assert machine.seconds == 2.0
    assert said_of(ROWS[counter], proof).endswith("; follows load: 10 W idle, 30 W busy")


@pytest.mark.parametrize(
    ("idle", "busy", "noise", "problem"),
    [
        (0.0, 0.0, (0.0,), "does not move"),
        (25.0, 25.0, (0.0,), "does not follow load (25 W idle, 25 W busy)"),
        (25.0, 25.0, (0.0, 9.0, -4.0), "does not follow load ("),
        (25.0, 25.5, (0.0,), "does not follow load ("),  # 2 % is what a clock drifts by
        (0.001, 0.02, (0.0,), "its unit is another"),
        (25.0, 2_500.0, (0.0,), "it jumped: 2,500 W"),
    ],
)
def test_a_counter_that_does_not_follow_load_is_none(idle, busy, noise, problem):
    proof = Machine("rapl", {"package": idle}, {"package": busy}, noise).proof()
    assert problem in proof.problem
    assert said_of(ROWS["rapl"], proof) == f"unavailable: {proof.problem}"


def test_one_noisy_quarter_costs_no_counter():
    """An idle quarter above one busy one: 15 of 16 pairs still have the busy one above."""
    machine = Machine("rapl", {"p": 10.0}, {"p": 20.0}, (0.0, 9.5, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0))
    assert machine.proof().problem == ""


def test_a_wrap_within_the_proof_is_one():
    """The counter ends at 262 kJ and begins at 0 again, as RAPL's does."""
    wraps_at = 262_143_328_850
    machine = Machine("rapl", {"p": 10.0}, {"p": 30.0}, (0.0,), wraps_at, wraps_at * MICRO - 15)
    assert machine.proof().words == "follows load: 10 W idle, 30 W busy"


def test_a_counter_that_goes_backwards_says_so():
    machine = Machine("ioreport", {"cpu": 10.0}, {"cpu": -1.0})
    assert machine.proof().problem == "it went backwards"


def test_zones_are_held_apart_and_the_processors_zone_is_the_one_that_load_moves():
    """A busy graphics processor beside a still counter of the processor proves nothing."""
    still = Machine("ioreport", {"cpu": 5.0, "gpu": 1.0}, {"cpu": 5.0, "gpu": 9.0})
    assert still.proof().problem == "does not follow load (5 W idle, 5 W busy)"
    good = Machine("ioreport", {"cpu": 1.0, "gpu": 0.1}, {"cpu": 9.0, "gpu": 0.1})
    assert good.proof().idle_watts == {
        "cpu": pytest.approx(1.0),
        "gpu": pytest.approx(0.1),
        "": pytest.approx(1.1),
    }


def test_a_card_is_proven_by_its_own_work_and_costs_one_second():
    machine = Machine("nvml", {"board": 70.0}, {})
    proof = machine.proof()
    assert (proof.problem, machine.seconds) == ("", 1.0)
    assert proof.words == "70 W idle, each timed part must draw more"


def test_a_battery_is_not_proven_and_says_so():
    machine = Machine("battery", {"BAT0": 8.0}, {})
    assert machine.proof().words == "not proven: its steps are longer than a second"
    assert machine.seconds == 0.0


@pytest.mark.parametrize("state", [ABSENT, DENIED])
def test_nothing_is_waited_for_where_nothing_answers(state):
    def wait(seconds):
        raise AssertionError

    reading = EnergyReading(0, {"rapl": Answer(state, reason="none")})
    assert prove_counters(COUNTERS, lambda: reading, wait) == {}


def test_a_counter_that_vanishes_in_the_middle_says_so():
    machine = Machine("rapl", {"p": 10.0}, {"p": 30.0})

    def read():
        if machine.seconds > 0.5:
            return EnergyReading(0, {"rapl": Answer(ABSENT, reason="no package")})
        return machine.read()

    found = prove_counters(COUNTERS, read, machine.wait, machine.load)["rapl"]
    assert found.problem == "it vanished meanwhile: absent, no package"


def reading(at_s, **amounts):
    """A reading of counters at joules, by zone."""
    answers = {
        name: Answer(VALUE, {zone: Zone(joules, 1.0) for zone, joules in zones.items()})
        for name, zones in amounts.items()
    }
    return EnergyReading(at_s * NS_PER_S, answers)


def test_a_counter_without_a_proof_counts_nothing_in_a_timed_part():
    proof = Machine("rapl", {"p": 25.0}, {"p": 25.0}).proof()
    first, last = reading(0, rapl={"p": 0}), reading(2, rapl={"p": 50})
    found = energy_used(first, last, proofs={"rapl": proof})
    assert found.joules is None
    assert found.reason == "rapl: unavailable, does not follow load (25 W idle, 25 W busy)"


def test_a_proven_counter_tells_how_it_was_proven():
    proof = Machine("rapl", {"p": 10.0}, {"p": 30.0}).proof()
    found = energy_used(
        reading(0, rapl={"p": 0}), reading(2, rapl={"p": 50}), proofs={"rapl": proof}
    )
    assert (found.joules, found.proofs) == (50.0, {"rapl": "follows load: 10 W idle, 30 W busy"})


@pytest.mark.parametrize(("joules", "known"), [(140, False), (600, True)])
def test_a_card_that_draws_no_more_than_idle_has_not_worked(joules, known):
    """70 W idle: 140 J in 2 s are idling, 600 J are work."""
    proofs = {"nvml": Machine("nvml", {"board": 70.0}, {}).proof()}
    first, last = reading(0, nvml={"board": 0}), reading(2, nvml={"board": joules})
    found = energy_used(first, last, CARD, proofs=proofs)
    assert (found.joules == 600) == known
    if not known:
        told = "nvml: unavailable, does not follow load (70 W idle, 70 W in the timed part)"
        assert found.reason == told


@pytest.mark.parametrize(("gpu", "known"), [(2, False), (40, True)])
def test_apples_graphics_processor_is_counted_by_its_own_zone(gpu, known):
    """1 W idle: 2 J in 2 s are idling. No word of the system's says that it is built in."""
    machine = Machine("ioreport", {"cpu": 1.0, "gpu": 1.0}, {"cpu": 9.0, "gpu": 1.0})
    proofs = {"ioreport": machine.proof()}
    first = reading(0, ioreport={"cpu": 0, "gpu": 0})
    last = reading(2, ioreport={"cpu": 6, "gpu": gpu})
    found = energy_used(first, last, APPLE_GPU, proofs=proofs)
    if known:
        assert (found.joules, found.host) == (46.0, "ioreport")
        assert found.zones == {"ioreport": {"cpu": 6.0, "gpu": 40.0}}
    else:
        assert "gpu: 1 W idle, 1 W in the timed part" in found.reason


def test_a_rapl_tree_is_proven_as_a_machine_has_it(tmp_path):
    """Files that grow by 2.5 J a quarter, by 7.5 J under load: 10 and 30 W."""
    zone = "sys/class/powercap/intel-rapl:0"
    state = {"uj": 0, "ns": 0, "busy": False}

    def read():
        files = {
            f"{zone}/name": "package-0\n",
            f"{zone}/energy_uj": f"{state['uj']}\n",
            f"{zone}/max_energy_range_uj": "262143328850\n",
        }
        write(tmp_path, files)
        return read_energy(root=tmp_path, system="linux", clock=lambda: state["ns"])

    def wait(seconds):
        state["uj"] += int((30 if state["busy"] else 10) * seconds * 1e6)
        state["ns"] += int(seconds * NS_PER_S)

    @contextmanager
    def load():
        state["busy"] = True
        yield

    found = prove_counters(COUNTERS, read, wait, load)
    assert found["rapl"].words == "follows load: 10 W idle, 30 W busy"


def test_load_runs_on_threads_that_end():
    before = threading.active_count()
    with busy_processors(2):
        assert threading.active_count() == before + 2
    assert threading.active_count() == before
