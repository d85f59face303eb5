"""The command that measures one session group again: how a choice is run."""

from harness.builder.quantize.levels import own_cache
from harness.engine.workload import Workload
from harness.results.enums import Kind, Prepack
from harness.runner.plan import SessionGroup
from harness.runner.plan.runtimes import ORT
from harness.runner.settings import Settings


def run_words(group: SessionGroup, settings: Settings) -> tuple[str, ...]:
    """Words of a `bench run` of this group and its tests alone.

    Args:
        group: one of a plan.
        settings: of the plan.
    """
    usual = {
        "--kv-cache": (group.cache.name, group.cache == own_cache(group.level)),
        "--runtime": (group.runtime, group.runtime == ORT),
        "--prepack": (str(group.prepack), group.prepack == Prepack.OFF),
        "--batch": (str(group.batch), group.batch == 1),
        "--capacity": (str(group.capacity), not group.capacity),
    }
    words = ["bench", "run", "--model", group.source.argument]
    words += ["--quant", group.level.name] if group.model.own_level is None else []
    words += ["--device", group.device.key, "--threads", str(group.threads)]
    for flag, (value, is_usual) in usual.items():
        words += [] if is_usual else [flag, value]
    for key, flag in (("session_option", "--session-option"), ("ep_option", "--ep-option")):
        words += [word for value in getattr(settings, key) for word in (flag, value)]
    return (*words, *_test_words(group.workloads, settings))


def _test_words(tests: tuple[Workload, ...], settings: Settings) -> list[str]:
    """The flags of the tests."""
    kinds = {test.kind for test in tests}
    words = []
    for kind, flag, values in (
        (Kind.PREFILL, "--prompt", [str(value) for value in settings.prompt]),
        (Kind.DECODE, "--gen", [str(value) for value in settings.gen]),
        (Kind.TURN, "--turns", ["{}x{}+{}".format(*value) for value in settings.turns]),
        (Kind.ENCODE, "--enc", [f"{tokens}x{texts}" for tokens, texts in settings.enc or ()]),
    ):
        words += [flag, ",".join(values)] if kind in kinds and values else []
    for prompt, gen in settings.pg if Kind.REQUEST in kinds else ():
        words += ["--pg", f"{prompt},{gen}"]
    depths = ",".join(map(str, settings.depth))
    return words + (["--depth", depths] if any(settings.depth) else [])
