"""Faults: graphs with flipped bits, that compute for ever, that ask for giant shapes; odd inputs.

What must remain true: a cell ends in one of the states that there are, limits of time and memory
end what does not end by itself, and a model that cannot be fed is refused by what it wants.
"""

import random

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.cli.main import main
from harness.core.errors import EXIT_CELLS, EXIT_USAGE, HarnessError, WorkerError
from harness.engine.exported import causality
from harness.machine.process.worker import Worker
from harness.results.document import read_document
from harness.results.enums import Status
from tests.devices.small_graphs import write_contributed
from tests.fuzz.mutations import BINARY
from tests.models.exported.tiny_graphs import ids, model, port, saved, values

LONG_S = 60.0
FLIPS = 60
ENDS = {Status.FAILED, Status.CRASHED, Status.TIMEOUT, Status.OUT_OF_MEMORY, Status.UNSUPPORTED}


class Opening:
    """Opens graphs in a real worker, which is started again where one took it with it."""

    def __init__(self):
        self.worker = None

    def end_of(self, graph):
        """How the opening and one run of a graph end."""
        self.worker = self.worker or Worker.start("tests.devices.device_child")
        try:
            self.worker.ask("open_graph", LONG_S, graph=str(graph), device="cpu")
        except HarnessError as error:
            status = Status(error.status) if isinstance(error, WorkerError) else Status.FAILED
            if status != Status.FAILED:
                self.close()
            return status if error.problem and error.fix else None
        return Status.OK

    def close(self):
        """End the worker, which may be gone."""
        if self.worker is not None:
            self.worker.__exit__(None, None, None)
        self.worker = None


def test_flipped_bits_of_a_graph_end_in_a_state_that_there_is(tmp_path):
    chance, seed = random.Random(54), write_contributed(tmp_path / "model.onnx").read_bytes()
    opening, ends = Opening(), []
    try:
        for number in range(FLIPS):
            graph = tmp_path / f"{number}.onnx"
            graph.write_bytes(chance.choice(BINARY)(seed, chance))
            ends.append(opening.end_of(graph))
    finally:
        opening.close()
    assert {*ends} <= {Status.OK, *ENDS}
    assert {Status.OK, Status.FAILED} <= {*ends}


def run(folder, capsys, *words):
    """Measure a model in real processes; the exit code, what was said, and its records."""
    flags = ["--threads", "1", "--rounds", "1", "--no-calibrate", "-q", "--prompt", "8"]
    results = folder / "results"
    code = main(["run", "--model", str(folder / "m"), *flags, *words, "--results", str(results)])
    told = capsys.readouterr()
    found = [read_document(path) for path in results.glob("run-*.json")]
    return code, told.err, [record for one in found for record in one.records]


def endless():
    """A language model with a loop of 2^62 turns before its logits."""
    one = helper.make_node("Add", ["held", "step"], ["next"])
    on = helper.make_node("Identity", ["goes_on"], ["still"])
    body = helper.make_graph(
        [one, on],
        "body",
        [
            port("turn", [], TensorProto.INT64),
            port("goes_on", [], TensorProto.BOOL),
            port("held", [1]),
        ],
        [port("still", [], TensorProto.BOOL), port("next", [1])],
    )
    first = helper.make_node("ReduceMax", ["x"], ["start"], keepdims=0)
    shaped = helper.make_node("Reshape", ["start", "one"], ["begun"])
    loop = helper.make_node("Loop", ["turns", "true", "begun"], ["end"], body=body)
    weights = {
        "turns": np.array(2**62),
        "true": np.array(True),
        "step": np.ones(1, np.float32),
        "one": np.array([1]),
    }
    return looking([first, shaped, loop], weights, "end")


def giant():
    """A language model that adds the least of 2^44 values to its logits."""
    sizes = {"sizes": np.array([2**22, 2**22])}
    filled = helper.make_node("ConstantOfShape", ["sizes"], ["filled"])
    least = helper.make_node("ReduceMin", ["filled"], ["least"], keepdims=0)
    return looking([filled, least], sizes, "least")


def looking(nodes, weights, added):
    """An embedding, some nodes, and a head whose logits have a value of theirs added."""
    stored = {"table": values(40, 32), "head": values(32, 40, seed=1), **weights}
    whole = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        *nodes,
        helper.make_node("MatMul", ["x", "head"], ["raw"]),
        helper.make_node("Add", ["raw", added], ["logits"]),
    ]
    return model(whole, [ids()], [port("logits", ["batch", "tokens", 40])], stored)


def test_a_graph_that_asks_for_a_giant_shape_fails_its_row(tmp_path, capsys):
    saved(giant(), tmp_path / "m")
    code, told, records = run(tmp_path, capsys)
    assert code in (EXIT_CELLS, EXIT_USAGE), told
    assert "Traceback" not in told
    assert {record.status for record in records} <= ENDS
    assert records or "try: " in told


@pytest.mark.slow
def test_a_graph_that_computes_for_ever_is_ended(tmp_path, capsys, monkeypatch):
    """Where it is looked into, by a limit of its own, and where it is measured, by --timeout."""
    monkeypatch.setattr(causality, "PROBE_S", 1.0)
    saved(endless(), tmp_path / "m")
    code, told, records = run(tmp_path, capsys, "--timeout", "4s")
    assert code == EXIT_CELLS, told
    assert {record.status for record in records} == {Status.TIMEOUT}
    assert all("try: " in record.reason for record in records)


def odd(kind, shape):
    """A model of one input that is added to a constant, or looked at where it holds no numbers."""
    operator = "Identity" if kind == TensorProto.STRING else "Neg"
    node = helper.make_node(operator, ["x"], ["y"])
    return model([node], [port("x", shape, kind)], [port("y", shape, kind)])


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        (TensorProto.STRING, [1, 4], "string"),
        (TensorProto.FLOAT, ["many", "more", "most", "each", "all"], "--dim"),
        (TensorProto.FLOAT, [0, 4], "has no value (its shape is [0, 4])"),
    ],
    ids=["strings", "open dimensions", "no values"],
)
def test_an_input_that_cannot_be_fed_is_named(kind, shape, words, tmp_path, capsys):
    saved(odd(kind, shape), tmp_path / "m")
    words_of_run = ["run", "--model", str(tmp_path / "m"), "--threads", "1", "--rounds", "1", "-q"]
    code = main([*words_of_run, "--no-calibrate", "--results", str(tmp_path / "results")])
    told = capsys.readouterr()
    assert code == EXIT_USAGE
    assert [line[:7] for line in told.err.splitlines()] == ["bench: ", "  try: "]
    assert words in told.err
