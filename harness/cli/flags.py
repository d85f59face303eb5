"""Options made of the table of flags, and the help that puts them under headings."""

from typing import Any

import click

from harness.cli.completion import OF_FLAGS
from harness.cli.options import Word
from harness.runner.settings.flags import GROUPS, Flag, flags_of


class FlagOption(click.Option):
    """An option of the table of flags, which knows its heading in the help."""

    def __init__(self, row: Flag, help_text: str | None = None) -> None:
        """Make the option of one row.

        Args:
            row: of the table.
            help_text: of a command where it means something else; None: that of the row.
        """
        self.group = row.group
        default = shown_default(row)
        suffix = f"  [plan: {default}]" if default else ""
        known: dict[str, Any] = {"help": help_text or row.help + suffix}
        words = [row.option, row.key]
        if row.is_switch:
            words[0] += f"/--no-{row.option.removeprefix('--')}"
            known |= {"default": None}
        elif row.reader.words:
            known |= {"type": Word(row.reader.words)}
        else:
            known |= {"metavar": row.metavar, "multiple": row.is_multiple}
        super().__init__(words, shell_complete=OF_FLAGS.get(row.key), **known)


class FlagsCommand(click.Command):
    """A command whose help puts the flags of the table under their headings, after its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        shown = {group: list[tuple[str, str]]() for group in ("Options", *GROUPS)}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                shown[getattr(param, "group", "Options")].append(record)
        for group, records in shown.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)


def flag_options(command: str) -> list[click.Parameter]:
    """The options of the table that a command shares."""
    return [FlagOption(row) for row in flags_of(command)]


def shown_default(row: Flag) -> str:
    """What a plan has that does not say it, as text; empty where that is nothing, or no news."""
    value = row.default
    if row.hides_default or value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
