"""What is done before each timed process: a rest, and a wait until the machine is cool enough."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.machine.meters.temperature import Sensor, hottest
from harness.results.replies import Start
from harness.runner.plan import SessionGroup
from harness.runner.settings import Settings

# A wait ends after this long in any case, and earlier where the machine no longer cools down: a
# limit below its idle temperature would otherwise cost ten minutes a process.
LONGEST_WAIT_S = 600.0
STALE_S = 90.0
FALL_CELSIUS = 0.5  # in that time, of a machine that cools down
LOOK_S = 2.0

ReadHottest = Callable[[bool], Sensor | None]


@dataclass(frozen=True, slots=True)
class Pause:
    """How the machine rests between processes.

    Attributes:
        sleep: for so many seconds.
        clock: monotonic, in seconds.
        hottest: the hottest sensor, by whether graphics cards count.
    """

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    hottest: ReadHottest = hottest


def rest(
    settings: Settings, groups: tuple[SessionGroup, ...], pause: Pause, log: Callable[[str], None]
) -> Start | None:
    """Rest as long as the plan says, then wait until the machine is as cool as it says.

    Args:
        settings: of the plan.
        groups: that are measured next.
        pause: how.
        log: told what goes on.

    Returns:
        How warm it was then; None: the plan does not ask, or no sensor tells.
    """
    if settings.cooldown > 0:
        log(f"cooling down for {settings.cooldown:g} s")
        pause.sleep(settings.cooldown)
    if settings.start_below is None:
        return None
    with_graphics = any(not group.device.row.is_host for group in groups)
    return wait_below(settings.start_below, with_graphics, pause, log)


def without_sensor(settings: Settings, pause: Pause) -> str | None:
    """What is said once of a plan that would wait, where no sensor tells; None: nothing."""
    if settings.start_below is None or pause.hottest(True) is not None:
        return None
    limit = f"--start-below {settings.start_below:g}C"
    return f"no sensor tells how warm the machine is: {limit} waits for nothing"


def wait_below(
    limit: float, with_graphics: bool, pause: Pause, log: Callable[[str], None]
) -> Start | None:
    """Wait until the hottest sensor is below a limit, or cools down no further.

    Args:
        limit: degrees Celsius.
        with_graphics: sensors of graphics cards count too.
        pause: how.
        log: told when it begins to wait, and when it gives up.

    Returns:
        The hottest sensor at the end; None: there is none.
    """
    begin_s = pause.clock()
    found = pause.hottest(with_graphics)
    if found is None:
        return None
    lowest, lowest_s, now_s = found.celsius, begin_s, begin_s
    if found.celsius >= limit:
        log(f"waiting until {found.name} is below {limit:g} °C, it is at {found.celsius:.0f} °C")
    while found.celsius >= limit:
        if now_s - begin_s >= LONGEST_WAIT_S or now_s - lowest_s >= STALE_S:
            log(f"{found.name} stays at {found.celsius:.0f} °C: not below {limit:g} °C, goes on")
            break
        pause.sleep(LOOK_S)
        now_s, found = pause.clock(), pause.hottest(with_graphics) or found
        if found.celsius <= lowest - FALL_CELSIUS:
            lowest, lowest_s = found.celsius, now_s
    return Start(
        sensor=found.name,
        celsius=found.celsius,
        waited_s=now_s - begin_s,
        reached=found.celsius < limit,
    )
