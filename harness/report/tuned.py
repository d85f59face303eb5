"""What `bench tune` found: the candidates, the confirmation, and the winner as code and as a plan.

All of it from the entries of its file, so that a stored or a killed one is drawn alike. Pure.
"""

import json
from collections.abc import Sequence

from harness.devices.device import Device
from harness.devices.row import ProviderRow, Registration
from harness.devices.session_options import OPTIONS
from harness.devices.table import ROWS
from harness.report.grid import Column, bullets, draw_columns, draw_records, json_text, prose
from harness.report.numbers import percent, ratio
from harness.results.background import background_of
from harness.results.entries import TuneEntry, TuneSetting
from harness.runner.tuning.search import LEAST_PAIRS, MOST_PAIRS, UNTRIED
from harness.runner.tuning.standings import Standing, Tuned, standings

DEFAULT = "the default"
OVERSPENT = 1.05  # of the budget: more is said
HASH = "@"  # between the name of a folder and the digest of its files
ENDED = {
    "precision": "the interval is narrow enough",
    "pairs": f"{MOST_PAIRS} pairs are the most",
    "budget": "the budget is used up",
    "slower": "it is shown to be slower",
    "lost": "what was found did not run again as it had",
}


COLUMNS: tuple[Column[Standing], ...] = (
    Column("stage", lambda one: one.stage, shown="varies"),
    Column("setting", lambda one: one.setting.beyond(one.base)),
    Column("beside", lambda one: one.base.name if one.stage > 1 else DEFAULT, shown="varies"),
    Column("turns", lambda one: one.turns),
    Column("ratio", lambda one: one.ratio, ratio),
    Column("low", lambda one: one.low, ratio),
    Column("high", lambda one: one.high, ratio),
    Column("outcome", lambda one: one.outcome),
)


def draw_tuned(tuned: Tuned, style: str, plan: str = "") -> str:
    """Draw a search.

    Args:
        tuned: a file of `bench tune`.
        style: `table` or `md`, for people; `json`; `csv` and `jsonl` have the candidates alone.
        plan: where the winner was written as a plan; empty: nowhere.
    """
    rows = standings(tuned)
    tried = [one for one in rows if one.outcome != UNTRIED]
    if style == "json":
        return json_text(_whole(tuned, rows), indent=1, ensure_ascii=False)
    if style in ("csv", "jsonl"):
        return draw_records([_record(one) for one in rows], style) if rows else ""
    if tuned.end is None and not tuned.heats:  # nothing stands under a headline, or is advised
        return prose(sentence(tuned), style)
    code = python_code(tuned)
    parts = [
        prose(headline(tuned), style),
        draw_columns(COLUMNS, tried, style) if tried else "",
        bullets([*_untried(rows), *notes(tuned, plan)], style),
        f"```python\n{code}\n```" if style == "md" else code,
        prose(sentence(tuned), style),
    ]
    return "\n\n".join(part for part in parts if part)


def headline(tuned: Tuned) -> str:
    """What was tuned, where, and what it began with."""
    cell, header = tuned.header.cell, tuned.header
    return f"{cell.model} {cell.workload} on {cell.device}: {header.metric} of {_of(header)}"


def _of(header: TuneEntry) -> str:
    """The default, in words."""
    return f"other settings than {DEFAULT} ({header.default.name})"


def sentence(tuned: Tuned) -> str:
    """What to do, with the ratio and its interval."""
    end = tuned.end
    if end is None:
        if not tuned.heats:
            return f"not finished before any turns were measured: keep {DEFAULT}"
        return f"not finished: what was measured so far advises nothing; keep {DEFAULT}"
    if end.ratio is None or end.low is None or end.high is None:
        tail = f": {ENDED['lost']}" if end.ended == "lost" else ""
        return f"no setting is shown to be faster than {DEFAULT}: keep it{tail}"
    words = (
        f"{end.ratio:.3f} times as fast as {DEFAULT}, 95 % interval {end.low:.3f} to"
        f" {end.high:.3f}, {end.pairs} fresh pairs of processes"
    )
    if end.busy:
        chosen = tuned.pairs[0].settings[1].beyond(tuned.header.default)
        return (
            f"others used the processors, which decides nothing: keep {DEFAULT}, and tune again"
            f" when they rest, or with --busy to take it ({chosen}: {words})"
        )
    if end.winner == tuned.header.default:
        chosen = tuned.pairs[0].settings[1].beyond(tuned.header.default)
        return f"no setting is shown to be faster than {DEFAULT}: keep it ({chosen}: {words})"
    return f"{end.winner.beyond(tuned.header.default)}: {words}"


def notes(tuned: Tuned, plan: str = "") -> list[str]:
    """What stands below the candidates."""
    end, header = tuned.end, tuned.header
    lines: list[str] = []
    if tuned.heats:
        lines.append(
            "ratio: speed over that of what it ran beside, of turns in live processes, with its"
            " 95 % interval by ranks; only the confirmation in fresh pairs decides"
        )
    lines += _confirmation(tuned)
    spent_s = sum(heat.seconds for heat in tuned.heats)
    if end is not None and spent_s > OVERSPENT * header.budget_s:
        lines.append(
            f"took {spent_s:.0f} s of turns where the budget was {header.budget_s:.0f} s: what is"
            f" found is confirmed in {LEAST_PAIRS} pairs in any case"
        )
    if header.levels:
        lines.append(
            f"levels {', '.join(header.levels)} compute different things: what each loses says"
            " bench run --quality"
        )
    background = background_of(heat.watch for heat in tuned.heats)
    if background.is_busy and background.cpu_share is not None:
        lines.append(f"others used {percent(background.cpu_share)} of the processors meanwhile")
    if plan:
        lines.append(f"as a plan: {plan} (bench run --config {plan})")
    return lines


def _confirmation(tuned: Tuned) -> list[str]:
    """How fresh pairs ended, and who was not shown to be faster in them."""
    end = tuned.end
    if end is None:
        return [_unfinished(tuned)] if tuned.pairs else []
    lines = [f"confirmed in {end.pairs} fresh pairs; then {ENDED[end.ended]}"] if end.pairs else []
    told = {heat.settings[1] for heat in tuned.pairs}
    others = [one.beyond(tuned.header.default) for one in tuned.contenders if one not in told]
    if others:
        lines.append(f"also tried in fresh pairs, not shown to be faster: {'; '.join(others)}")
    return lines


def _untried(rows: Sequence[Standing]) -> list[str]:
    """What the time was too short for, each once."""
    names = dict.fromkeys(
        one.setting.beyond(one.base) for one in rows if one.outcome == UNTRIED and one.stage == 1
    )
    return [f"{UNTRIED}, which a longer one does: {'; '.join(names)}"] if names else []


def _unfinished(tuned: Tuned) -> str:
    """What the pairs of a search that was killed say so far."""
    words = ", ".join(f"{one:.3f}" for one in tuned.ratios)
    if tuned.interval is not None:
        low, high = tuned.interval
        words += f"; 95 % interval {low:.3f} to {high:.3f}"
    return f"pairs so far: {words}"


def python_code(tuned: Tuned) -> str:
    """The winner as options of a session, to be pasted."""
    setting, cell = tuned.winner, tuned.header.cell
    key, _, number = cell.device.partition(":")
    row = next((one for one in ROWS if one.key == key), None)
    lines = [
        "import onnxruntime",
        "",
        "options = onnxruntime.SessionOptions()",
        f"options.intra_op_num_threads = {setting.threads}",
        "options.inter_op_num_threads = 1",
    ]
    for name, value in setting.session_options:
        if OPTIONS[name].is_attribute:
            lines.append(f"options.{name} = {value == '1'}")
        else:
            lines.append(f'options.add_session_config_entry("{name}", "{value}")')
    lines += _session_lines(setting, row, int(number or 0))
    keywords = [f'level="{setting.level}"', f"threads={setting.threads}"]
    if setting.session_options:
        keywords.append(f"session_options={json.dumps(dict(setting.session_options))}")
    if not setting.provider_options:
        name = "path/to/model" if HASH in cell.model else cell.model
        lines += ["", f"# or: harness.load({json.dumps(name)}, {', '.join(keywords)})"]
    return "\n".join(lines)


def _session_lines(setting: TuneSetting, row: ProviderRow | None, index: int) -> list[str]:
    """The session on the device; a plugin's provider is given with its device."""
    options = setting.provider_options
    if row is not None:
        options = tuple(Device(row, index, options=options).provider_options.items())
    given = json.dumps(dict(options))
    if row is not None and row.registration is not Registration.BUILT_IN:
        return [
            f'devices = [d for d in onnxruntime.get_ep_devices() if d.ep_name == "{row.provider}"]',
            f"options.add_provider_for_devices(devices[{index}:{index + 1}], {given})",
            'session = onnxruntime.InferenceSession("model.onnx", options)',
        ]
    provider = "CPUExecutionProvider" if row is None else row.provider
    return [
        f'providers = [("{provider}", {given})]',
        'session = onnxruntime.InferenceSession("model.onnx", options, providers)',
    ]


def _whole(tuned: Tuned, rows: Sequence[Standing]) -> dict[str, object]:
    """Everything, for programs."""
    end, header = tuned.end, tuned.header
    return {
        "model": header.cell.model,
        "device": header.cell.device,
        "workload": header.cell.workload,
        "metric": header.metric,
        "default": _setting(header.default),
        "winner": _setting(tuned.winner),
        "is_default": tuned.winner == header.default,
        "ratio": None if end is None else end.ratio,
        "low": None if end is None else end.low,
        "high": None if end is None else end.high,
        "pairs": tuned.ratios,
        "ended": "killed" if end is None else end.ended or "search",
        "busy": end is not None and end.busy,
        "candidates": [_record(one) for one in rows],
        "python": python_code(tuned),
        "sentence": sentence(tuned),
    }


def _setting(setting: TuneSetting) -> dict[str, object]:
    return {
        "level": setting.level,
        "threads": setting.threads,
        "session_options": dict(setting.session_options),
        "provider_options": dict(setting.provider_options),
    }


def _record(one: Standing) -> dict[str, object]:
    return {
        "stage": one.stage,
        "setting": one.setting.beyond(one.base),
        "threads": one.setting.threads,
        "beside": one.base.name,
        "turns": one.turns,
        "ratio": one.ratio,
        "low": one.low,
        "high": one.high,
        "outcome": one.outcome,
    }
