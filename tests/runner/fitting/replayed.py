"""A fit whose workers never begin: what they would have said is put in place of the stages."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.core.units import MIB
from harness.results.entries import MemoryEntry, QualityEntry, SamplesEntry
from harness.results.losses import FailureEntry, LostEntry, NoMemoryEntry
from harness.results.replies import Held, MemoryTaken
from harness.runner.fitting import fit
from harness.runner.loop.builds import Builds, build_key
from tests import replies
from tests.measured_documents import quality

STEPS = 4
GONE = {"status": "crashed", "reason": "gone; try: again", "exit_code": 3}


@dataclass
class Machine:
    """What a machine of two cores would measure, by level.

    Attributes:
        step_ms: of a decode step; a prompt token takes a tenth.
        peak_mib: of a process.
        kld_nats: what a level loses.
        noise: standard deviation of ln between processes.
        later: factor of every time of rounds from this one on.
        fails: levels whose worker dies.
        estimates: rates by level, as (metric, value) of the calibrated estimator.
        log: what was measured: (level, round) or the name of a stage.
        interrupt_at: round in which somebody ends it.
        loses: (level, round) whose worker is lost.
        no_memory: levels whose memory pass is lost.
    """

    step_ms: Mapping[str, float]
    peak_mib: Mapping[str, float] = field(default_factory=dict)
    kld_nats: Mapping[str, float] = field(default_factory=dict)
    noise: float = 0.01
    later: tuple[int, float] = (99, 1.0)
    fails: frozenset[str] = frozenset()
    estimates: Mapping[str, float] = field(default_factory=dict)
    log: list[Any] = field(default_factory=list)
    interrupt_at: int = 99
    loses: frozenset[tuple[str, int]] = frozenset()
    no_memory: frozenset[str] = frozenset()

    def put_in_place(self, patch: Any) -> None:
        """Let every stage of a fit answer from here."""
        nothing: Callable[..., Iterator[Any]] = lambda *_a, **_k: iter(())  # noqa: E731
        for name in ("calibrations", "compile_models", "agreements", "step_checks"):
            patch.setattr(fit, name, nothing)
        patch.setattr(fit, "sustained_tests", nothing)
        patch.setattr(fit, "check_texts", lambda *_: None)
        patch.setattr(fit, "build_all", self.build)
        patch.setattr(fit, "measure_round", self.round)
        patch.setattr(fit, "memory_passes", self.memory)
        patch.setattr(fit, "qualities", self.quality)
        patch.setattr("harness.runner.fitting.estimated._estimates", self.estimate)

    def estimate(self, group, _test, _entries):
        """The calibrated decode rate of a level, where there is one."""
        rate = self.estimates.get(group.level.name)
        return {} if rate is None else {"decode_tok_s": {"calibrated": rate}}

    def build(self, plan, _cache, _progress):
        """Note what would be built."""
        levels = [group.level.name for group in plan.groups]
        self.log.append(("build", tuple(levels)))
        return Builds({}, {}, {build_key(group)[0]: None for group in plan.groups})

    def round(self, _plan, _builds, entries, log, groups, index, _graphs=None):
        """Yield a process of each group."""
        if index >= self.interrupt_at:
            raise KeyboardInterrupt
        for group in groups:
            level = group.level.name
            if entries.has_group(group, index):  # in an earlier sitting
                continue
            self.log.append((level, index))
            log(f"round {index + 1}")
            if level in self.fails:
                yield FailureEntry(group=group.key, workload=None, **GONE)
                continue
            if (level, index) in self.loses:
                yield LostEntry(group=group.key, workload=None, round=index, **GONE)
                continue
            chance = random.Random(f"{level}/{index}")  # the same, whenever it is measured
            scale = chance.lognormvariate(0, self.noise)
            scale *= self.later[1] if index >= self.later[0] else 1.0
            for test in group.workloads:
                yield self._samples(group, test, index, self.step_ms[level] * scale)

    def _samples(self, group, test, index, step_ms):
        step_ns = round(step_ms * 1e6)
        prefill_ns = max(1, test.prompt_tokens * step_ns // 10)
        timed = replies.sample(
            prefill_ns=[prefill_ns],
            ttft_ns=[prefill_ns],
            itl_ns=[[step_ns] * STEPS],
            e2e_ns=[prefill_ns + STEPS * step_ns],
        )
        return SamplesEntry(
            group=group.key,
            workload=test.name,
            round=index,
            order=0,
            open=replies.opened(first_ns=None),
            sample=timed,
        )

    def memory(self, plan, _builds, entries, _log):
        """Yield the memory of every test that has none."""
        for group in plan.groups:
            self.log.append(("memory", group.level.name))
            peak = round(self.peak_mib.get(group.level.name, 100.0) * MIB)
            held = Held(rss_bytes=50 * MIB, anonymous_bytes=None, file_bytes=None)
            for test in group.workloads:
                if entries.has_memory(group, test):
                    continue
                if group.level.name in self.no_memory:
                    yield NoMemoryEntry(group=group.key, workload=test.name, **GONE)
                else:
                    taken = MemoryTaken(baseline=held, loaded=held, steady=held, peak_bytes=peak)
                    yield MemoryEntry(group=group.key, workload=test.name, reply=taken)

    def quality(self, plan, _builds, entries, _log):
        """Yield what each level loses."""
        for group in plan.groups:
            model, level = build_key(group)
            if (model, level) in entries.quality:
                continue
            self.log.append(("quality", group.level.name))
            found = quality(self.kld_nats[group.level.name])
            yield QualityEntry(model=model, level=level, found=found)
