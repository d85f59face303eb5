"""What a record says of its device: who it was, whether it was real, what that costs its trust."""

from collections.abc import Mapping, Sequence

from msgspec import structs

from harness.results.enums import Grade, ReasonCode
from harness.results.replies import Agreement, Compiled, Hardware, Placement, ProcessSamples
from harness.results.schema import Metric
from harness.runner.loop.parts import CellFacts, Doubt, Part
from harness.runner.plan import SessionGroup

BEST_GRADE = Grade.C  # of a device that was emulated, or did not do all of the work


def device_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """The device, where the nodes ran, and whether both were what was asked for."""
    entries, group = facts.entries, facts.group
    hardware = hardware_of(facts.processes, entries.agreements.get(group.key))
    placement = placement_of(facts.processes, entries.compiled.get(group.key))
    simulated = is_simulated(group, hardware)
    return Part(
        fields={"hardware": hardware, "placement": placement, "simulated": simulated},
        doubts=device_doubts(placement, simulated),
    )


def hardware_of(
    processes: Sequence[ProcessSamples], agreement: Agreement | None
) -> Hardware | None:
    """The device as the last process found it, and how close it comes to the CPU's logits.

    Args:
        processes: of one cell; without any nothing is known.
        agreement: None: it was not asked, as of fused decoders on the CPU itself.
    """
    found = processes[-1].open.hardware if processes else None
    if found is None or agreement is None:
        return found
    return structs.replace(
        found, least_cosine=agreement.least_cosine, fused_cosine=agreement.fused_cosine
    )


def placement_of(
    processes: Sequence[ProcessSamples], compiled: Compiled | None
) -> Placement | None:
    """Where the model's nodes are; of a compiled graph where they went when it was compiled."""
    if not processes:
        return None
    opened = processes[-1].open
    return compiled.placement if compiled is not None and opened.compiled else opened.placement


def is_simulated(group: SessionGroup, hardware: Hardware | None) -> bool:
    """Whether the device is emulated, or would have been if it had worked."""
    return group.device.simulate or (hardware is not None and hardware.simulated)


def device_doubts(placement: Placement | None, simulated: bool) -> tuple[Doubt, ...]:
    """What the device takes away from a grade.

    Args:
        placement: of the session; None: it is not known.
        simulated: the device was emulated.
    """
    doubts = []
    if simulated:
        doubts.append(Doubt(BEST_GRADE, ReasonCode.SIMULATED, "the device is emulated"))
    if placement is not None and not placement.proven:
        left = ", ".join(f"{count} {name}" for name, count in placement.fell_off.items())
        detail = f"{placement.verdict}: nodes left to others: {left or 'not known'}"
        doubts.append(Doubt(BEST_GRADE, ReasonCode.PLACEMENT, detail))
    return tuple(doubts)
