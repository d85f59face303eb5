"""One variant of `bench ab`: what both share, and the words that make it differ."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import flag_options
from harness.cli.options import first_sentence
from harness.core.errors import UsageError, nearest
from harness.runner.settings import Settings, flag_values, load_settings

if TYPE_CHECKING:
    from harness.runner.plan import SessionGroup

ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
DEFAULT_CONFIG = "ab"


@dataclass(frozen=True, slots=True)
class Variant:
    """One side as it was asked for.

    Attributes:
        text: the words that make it differ.
        settings: the plan it comes from.
        group: its one session and the tests in it.
        env: variables of its worker.
    """

    text: str
    settings: Settings
    group: "SessionGroup"
    env: dict[str, str] = field(default_factory=dict)


def read_variant(
    flag: str, text: str, shared: dict[str, Any], usable_threads: int, cache: Path | None = None
) -> Variant:
    """Read `NAME=value ... --flag value ...` over the flags that both sides share.

    Args:
        flag: `--a` or `--b`, for messages.
        text: what was given to it, quoted as in a shell.
        shared: values of the flags of `ab`, None or () where they were not given.
        usable_threads: the largest thread count allowed.
        cache: where models of the hub are fetched to; None: the platform's cache folder.

    Raises:
        UsageError: words that are no flags of a variant, or more than one session.
    """
    from harness.cli.running import fetch_into
    from harness.runner.plan import in_one_session, make_plan

    env, words = _split(flag, text)
    flags = {**_given(shared), **_given(_parsed(flag, words))}
    plan = flags.pop("plan", None) or DEFAULT_CONFIG
    settings = fetch_into(load_settings(plan, **flag_values(flags)), cache)
    groups = in_one_session(make_plan(settings, usable_threads, folder=cache).groups)
    if len(groups) != 1:
        keys = ", ".join(group.key for group in groups[:4])
        raise UsageError(
            f"{flag} {text!r} is {len(groups)} sessions ({keys}), and a variant is one",
            fix="name one model, one level, one device, one thread count and one batch",
        )
    return Variant(text, settings, groups[0], env)


def _split(flag: str, text: str) -> tuple[dict[str, str], list[str]]:
    """Variables in front, as a shell takes them, and the words after them."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{flag} {text!r}: {error}", fix="close every quote") from error
    env = {}
    while words and ASSIGNMENT.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    return env, words


def _parsed(flag: str, words: list[str]) -> dict[str, Any]:
    """The flags among the words."""
    command = click.Command(flag, params=flag_options("ab"), add_help_option=False)
    try:
        return command.make_context(flag, list(words)).params
    except click.ClickException as error:
        names = [option.opts[0] for option in flag_options("ab")]
        near = nearest(error.option_name, names) if isinstance(error, click.NoSuchOption) else ()
        asked = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(
            f"{flag} {' '.join(words)!r}: {first_sentence(error)}",
            fix=f"{asked}VARIABLE=value words first, then any of {', '.join(names)}",
        ) from error


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags that have a value."""
    return {name: value for name, value in flags.items() if value not in (None, ())}
