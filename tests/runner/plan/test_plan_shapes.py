"""Shapes of static decoders from their tests."""

import pytest

from harness.builder.graph.static.geometry import StaticShapes
from harness.engine.workload import Workload
from harness.results.enums import Kind
from harness.runner.plan.shapes import static_shapes

PP9 = Workload(Kind.PREFILL, 9, 0)
PP300 = Workload(Kind.PREFILL, 300, 0, 50)
TG8 = Workload(Kind.DECODE, 0, 8, 60)


@pytest.mark.parametrize(
    ("tests", "longest", "prefill", "capacity"),
    [
        ([PP9], 8192, 9, 64),
        ([PP9, TG8], 8192, 9, 128),  # 68 positions
        ([TG8], 8192, 128, 128),  # no prompt: a whole pass
        ([Workload(Kind.DECODE, 0, 8)], 8192, 64, 64),
        ([PP300], 8192, 128, 384),
        ([PP300], 352, 128, 352),  # the model takes no more
        ([Workload(Kind.PREFILL, 1, 0)], 8192, 2, 64),  # a graph of one token is the step
    ],
)
def test_shapes_follow_from_the_tests(tests, longest, prefill, capacity):
    assert static_shapes(tests, longest) == StaticShapes(prefill, capacity)
