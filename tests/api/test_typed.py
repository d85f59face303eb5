"""The signatures: a keyword per flag, values that are taken, and what a type checker says."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import click
import pytest

import harness
from harness.cli.run import command
from harness.runner.settings import INTERLEAVES, PRESETS, Settings, flag_values, load_settings
from harness.runner.settings.flags import FLAGS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = Path(__file__).resolve().parents[1] / "fixtures" / "typed"
# Of `bench run`, what only concerns printing; and what `run` itself takes under another name.
PRINTED = {
    "plot",
    "plotted",
    "verbose",
    "inconclusive",
    "wide",
    "beside",
    "style",
    "dry_run",
    "explain_row",
    "quiet",
}
ELSEWHERE = {"on", "remote_python", "machine"}  # `bench run` alone asks other machines
OWN = {"plan": "config"}
DERIVED = {"given", "part"}  # fields of Settings that nobody types


def own_parameters():
    """What `harness.run` takes besides its flags."""
    code = harness.run.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return set(names) - {"progress"}


def test_every_flag_of_the_command_is_a_keyword():
    """And no keyword is none of its flags but those that only plans say."""
    flags = {OWN.get(one.name, one.name) for one in command.params if isinstance(one, click.Option)}
    keywords = set(harness.RunFlags.__annotations__)
    assert flags - PRINTED - ELSEWHERE <= own_parameters() | keywords
    assert keywords == {field.name for field in fields(Settings)} - DERIVED


def test_a_keyword_has_the_type_that_its_row_reads():
    """Rows of one reader take one type from Python; only threads are words that may be numbers."""
    types = {}
    for row in FLAGS:
        if row.in_plan and row.key not in ("threads", "interleave"):
            types.setdefault(row.reader, set()).add(harness.RunFlags.__annotations__[row.key])
    assert [found for found in types.values() if len(found) != 1] == []
    assert {row.key for row in FLAGS if row.in_plan} == set(harness.RunFlags.__annotations__)
    assert get_args(harness.RunFlags.__annotations__["interleave"]) == INTERLEAVES
    preset = get_type_hints(harness.run)["preset"]
    assert set(get_args(get_args(preset)[0])) == set(PRESETS)


def test_every_keyword_is_documented():
    for name in harness.RunFlags.__annotations__:
        assert f"        {name}: " in harness.RunFlags.__doc__
    for function in (harness.run, harness.load, harness.build, harness.estimate):
        code = function.__code__
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            assert f"        {name}: " in function.__doc__, (function.__name__, name)
        assert "    Raises:" in function.__doc__


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("quant", ("fp32,int4", ["fp32", "int4"], ("fp32", "int4"))),
        ("prompt", ("8,16", [8, 16], (8, 16), "8-16*2")),
        ("pg", ("128,64", ["128,64"], [(128, 64)], ((128, 64),))),
        ("enc", ("128x8", ["128x8"], [(128, 8)])),
        ("threads", ("2", 2, [2], ["2"])),
        ("budget", ("5m", 300, 300.0)),
        ("precision", ("5%", 0.05)),
        ("dim", ("batch=1", ["batch=1"])),
        ("ep_option", ("a=b", ["a=b"])),
        ("session_option", ("a=b", ["a=b"])),
    ],
)
def test_a_value_may_be_text_or_what_it_stands_for(name, values):
    """Every form of RunFlags' types gives the same value."""
    assert len({repr(flag_values({name: value})) for value in values}) == 1
    load_settings(None, **flag_values({name: values[0]}))


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """What mypy says of the examples, with the package installed as a user has it.

    An environment of its own: the package in its site-packages, everything else from this one.
    """
    folder = tmp_path_factory.mktemp("user")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = [*folder.glob("lib/*/site-packages"), *folder.glob("Lib/site-packages")]
    (site / "harness").symlink_to(ROOT / "harness", target_is_directory=True)
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others))
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    shown = []
    for name in ("README.md", "docs/cookbook.md"):
        blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.S)
        shown.append(folder / f"shown_{Path(name).stem}.py")
        shown[-1].write_text("\n".join(blocks))
    arguments = ["--strict", "--cache-dir", folder / "cache", "--python-executable", python]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments, "right.py", "wrong.py", *shown],
        cwd=EXAMPLES,
        env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_right_use_is_accepted_strictly(checked):
    assert [line for line in checked if line.startswith("right.py")] == []


@pytest.mark.slow
def test_what_the_pages_show_is_accepted_strictly(checked):
    assert [line for line in checked if "shown_" in line and ": error:" in line] == []


@pytest.mark.slow
def test_each_wrong_use_is_an_error_where_it_stands(checked):
    """One error in each line of wrong.py that says so, and none elsewhere."""
    lines = (EXAMPLES / "wrong.py").read_text(encoding="utf-8").splitlines()
    expected = [number for number, line in enumerate(lines, 1) if "# wrong:" in line]
    errors = [line for line in checked if line.startswith("wrong.py") and ": error:" in line]
    assert [int(line.split(":")[1]) for line in errors] == expected
    assert len(expected) >= 6
