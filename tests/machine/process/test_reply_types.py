"""Every answer has a type: what a worker says is decoded once, at the pipe."""

import ast
from pathlib import Path

import msgspec
import pytest

from harness.core.errors import WorkerError
from harness.machine.process.worker import _decoded
from harness.results.replies import Warmed

PACKAGE = Path(__file__).resolve().parents[3] / "harness"


def asked(path: Path) -> list[ast.Call]:
    """Every question to a worker in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        call
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "ask"
        and isinstance(call.func.value, ast.Name)
        and "worker" in call.func.value.id
    ]


def test_every_question_names_the_type_of_its_answer():
    """As its third argument, after the command and the time limit."""
    calls = [call for path in sorted(PACKAGE.rglob("*.py")) for call in asked(path)]
    assert len(calls) > 20
    assert [ast.unparse(call) for call in calls if len(call.args) < 3] == []


def test_another_answer_is_an_error_in_a_sentence():
    assert _decoded({"steady": True, "later": 1}, Warmed, "x") == Warmed(steady=True)
    with pytest.raises(WorkerError, match=r"x gave another reply than Warmed: .*steady") as caught:
        _decoded({"seconds": 1.0}, Warmed, "x")
    assert caught.value.fix


def test_a_reply_comes_back_through_json_as_it_was():
    reply = Warmed(steady=True, seconds=0.5, calls=3, window_medians_ns=(1.0, 2.0))
    assert _decoded(msgspec.json.decode(msgspec.json.encode(reply)), Warmed, "x") == reply
