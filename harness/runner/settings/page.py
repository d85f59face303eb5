"""The page docs/plans.md, made of the table of flags, the presets and the shipped plans."""

from typing import Any

from harness.runner.settings.flags import FLAGS, GROUPS, PART_KEYS, Flag
from harness.runner.settings.load import shipped_plans
from harness.runner.settings.values import PRESETS

INTRODUCTION = """\
# Plans

A plan is a TOML file, given by `--config FILE`; the name of a shipped one does too. Every key is
optional, has the name of its flag with `_` for `-`, and a flag that is given goes over it. A key
that is not known, or a value of another type, ends the command with the file, the key and what
belongs there. Generated from harness/runner/settings/flags.py by docs/pages.py.

```toml
model = ["smollm2-135m", "bytelm"]
quant = ["fp32", "int4"]
prompt = [128, "512-2048*2"]
gen = [32]
threads = [1, "all"]
rounds = 5
budget = "10m"
```

What goes over what: the defaults of the tables below, the plan, `--preset`, `--like`, other flags.
Any of `--prompt`, `--gen` and `--pg` replaces all three, and `enc`."""


def plans_page() -> str:
    """The whole page, as Markdown."""
    parts = [INTRODUCTION]
    for group in GROUPS:
        rows = [row for row in FLAGS if row.group == group and row.in_plan]
        header = "| key | takes | default | flag | presets | example | meaning |\n" + "|---" * 7
        parts += [f"## {group}", "\n".join([f"{header}|", *map(_line, rows)])]
    parts += [
        "## Parts",
        "Cells that are no full product of lists are `[[part]]` tables. Each is the plan with some"
        f" lists replaced, and may have {', '.join(f'`{key}`' for key in PART_KEYS)}; how"
        " they are measured is the same for all.",
        "```toml\ngen = [32]\n\n[[part]]\ndepth = [0, 512]\n\n[[part]]\n"
        'model = ["bytelm"]\nbatch = [1, 4]\n```',
        "## Presets",
        "`--preset` replaces these keys of the plan.",
        "\n".join(["| preset | keys |", "|---|---|", *(_preset(name) for name in PRESETS)]),
        "## Shipped plans",
        "\n".join(["| plan | what it is |", "|---|---|", *_shipped()]),
    ]
    return "\n\n".join(parts) + "\n"


def as_toml(value: Any) -> str:
    """A value of Settings as TOML; a dash where there is none."""
    if value is None or value == ():
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _line(row: Flag) -> str:
    flag = f"`{row.option}`" if row.commands else "–"
    presets = [f"`{name}`: {as_toml(keys[row.key])}" for name, keys in PRESETS.items()
               if row.key in keys]  # fmt: skip
    cells = (
        f"`{row.key}`",
        row.reader.needs,
        f"`{as_toml(row.default)}`",
        flag,
        ", ".join(presets) or "–",
        f"`{row.key} = {row.in_plan}`",
        row.help,
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _preset(name: str) -> str:
    keys = [f"`{key} = {as_toml(value)}`" for key, value in PRESETS[name].items()]
    return f"| `{name}` | {', '.join(keys) or 'those of the plan'} |"


def _shipped() -> list[str]:
    """One line per plan: the comment that it begins with."""
    lines = []
    for name, path in shipped_plans().items():
        text = path.read_text(encoding="utf-8").splitlines()
        end = next(number for number, line in enumerate(text) if not line.startswith("#"))
        lines.append(f"| `{name}` | {' '.join(line.lstrip('# ') for line in text[:end])} |")
    return lines
