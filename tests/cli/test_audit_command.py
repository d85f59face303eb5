"""`bench audit` as a user runs it: a sound model passes, one that remembers its inputs does not."""

import json

import pytest
from click.testing import CliRunner
from msgspec import structs

from harness.cli.audit import command
from harness.core.errors import EXIT_GATE, EXIT_OK, UsageError
from harness.runner.loop import audit as audit_module


@pytest.fixture
def run(tiny_folder, shared_cache):
    def call(*words):
        arguments = ["--model", str(tiny_folder), "--quant", "fp32", "--threads", "1"]
        arguments += ["--cache", str(shared_cache), *words]
        return CliRunner().invoke(command, arguments, standalone_mode=False)

    return call


def test_timed_passes_of_a_real_model_choose_what_plain_runs_choose(run):
    """Every question but those of speed, which a busy machine may answer as it likes."""
    result = run("--gen", "4", "--prompt", "8", "--pg", "8,4", "--turns", "3", "--format", "json")
    found = json.loads(result.stdout)
    states = {(one["test"], one["check"]): one["state"] for one in found}
    tests = ("pp8 @ d0", "tg4 @ d0", "pg8+4 @ d0")
    assert {test for test, _ in states} == set(tests)
    assert {states[test, check] for test in tests for check in ("output", "tokens")} == {"ok"}


def test_a_fault_ends_with_1_and_says_what_to_try(run, monkeypatch):
    real = audit_module.Worker.ask

    def remembering(worker, do, timeout_s, *kind, **arguments):
        reply = real(worker, do, timeout_s, *kind, **arguments)
        return structs.replace(reply, plain_digest="ff") if do == "audit" else reply

    monkeypatch.setattr(audit_module.Worker, "ask", remembering)
    result = run("--gen", "4", "--turns", "3")
    assert result.return_value == EXIT_GATE != EXIT_OK
    assert "timed passes choose other tokens" in result.stdout
    assert "try:" in result.stdout


def test_too_few_turns_are_refused(run):
    result = run("--gen", "4", "--turns", "2")
    assert isinstance(result.exception, UsageError)
