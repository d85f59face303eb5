"""What a record says of its device: who it was, whether it was real, what that costs its trust."""

from typing import Any

from harness.results.enums import Grade, ReasonCode, worst_grade
from harness.results.samples import ProcessSamples
from harness.results.schema import Placement, Reason, Trust
from harness.runner.plan import SessionGroup

Json = dict[str, Any]
BEST_GRADE = Grade.C  # of a device that was emulated, or did not do all of the work


def hardware_of(processes: list[ProcessSamples], agreement: Json | None) -> Json | None:
    """The device as the last process found it, and how close it comes to the CPU's logits.

    Args:
        processes: of one cell; without any nothing is known.
        agreement: `least_cosine`, and `fused_cosine` of static decoders; None: it was not asked, as
            of fused decoders on the CPU itself.
    """
    found = processes[-1].open.get("hardware") if processes else None
    return None if found is None else found | (agreement or {})


def is_simulated(group: SessionGroup, hardware: Json | None) -> bool:
    """Whether the device is emulated, or would have been if it had worked."""
    return group.device.simulate or bool(hardware and hardware["simulated"])


def doubt_device(trust: Trust, placement: Placement | None, simulated: bool) -> Trust:
    """Add what the device takes away from a grade.

    Args:
        trust: as the samples deserve it.
        placement: of the session; None: it is not known.
        simulated: the device was emulated.
    """
    reasons = []
    if simulated:
        reasons.append(Reason(code=ReasonCode.SIMULATED, detail="the device is emulated"))
    if placement is not None and not placement.proven:
        left = ", ".join(f"{count} {name}" for name, count in placement.fell_off.items())
        detail = f"{placement.verdict}: nodes left to others: {left or 'not known'}"
        reasons.append(Reason(code=ReasonCode.PLACEMENT, detail=detail))
    if not reasons:
        return trust
    return Trust(grade=worst_grade(trust.grade, BEST_GRADE), reasons=(*reasons, *trust.reasons))
