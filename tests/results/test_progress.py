"""How far a run came, in one sentence, with the command that goes on."""

import pytest

from harness.results.progress import (
    command_line,
    ending_of,
    go_on_command,
    progress_sentence,
    resume_command,
    without_places,
)
from tests.report.report_documents import document

FOUND = {
    "ended": "interrupted",
    "cells": 12,
    "whole": 9,
    "unmeasured": 2,
    "rounds": 5,
    "resumed": 0,
    "command": "bench run --device cpu --resume",
}


def run(**changes):
    return document(plan={"rounds": 5, "progress": {**FOUND, **changes}})


def test_a_usual_run_says_nothing():
    assert (ending_of(document()), progress_sentence(document())) == ("complete", "")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "interrupted: 2 of 12 cells not measured, 1 of 12 cells without all of their 5 rounds"
            " or their memory; go on: bench run --device cpu --resume",
        ),
        (
            {"whole": 12, "unmeasured": 0, "command": ""},
            "interrupted: every cell measured, not all that follows;"
            " go on: the same command with --resume",
        ),
        (
            {"ended": "budget", "unmeasured": 0, "whole": 0},
            "ended by its budget: 12 of 12 cells without all of their 5 rounds or their memory;"
            " a longer --budget measures all",
        ),
        (
            {"ended": "resumed", "resumed": 2},
            "resumed 2 times: its rounds are of several sittings",
        ),
    ],
)
def test_what_is_missing_and_how_it_goes_on(changes, sentence):
    assert progress_sentence(run(**changes)) == sentence


def test_only_an_interrupted_run_goes_on():
    assert go_on_command(run()) == FOUND["command"]
    assert go_on_command(run(ended="budget")) == ""


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("/home/jane doe/m", ".../m"),
        ("--model=/home/jane/a,C:\\Users\\jane doe\\b", "--model=.../a,.../b"),
        ("~/m,hf:org/name@main", ".../m,hf:org/name@main"),
        ("/m", ".../m"),
        ("\\\\server\\share\\m.onnx", ".../m.onnx"),
        ("sr=1/2", "sr=1/2"),
        ("plans/night.toml", "plans/night.toml"),
        ("--resume", "--resume"),
    ],
)
def test_a_document_names_no_place(typed, stored):
    assert without_places([typed]) == [stored]


def test_the_command_is_the_one_that_was_typed():
    again = ["bench", "run", "--device", "cpu", "--quant", "int4,a b", "--resume"]
    assert resume_command(["--device", "cpu", "--quant", "int4,a b"]) == again
    assert resume_command(["run", "--resume", "--quant", "int4"])[1:] == [
        *("run", "--quant", "int4", "--resume")
    ]
    assert command_line(again).startswith("bench run --device cpu --quant ")
