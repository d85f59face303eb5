"""What tests of quality share."""

import pytest

from harness.runner.quality import embeddings, measure, sensitivity, tasks
from tests.inline_worker import InlineWorker


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process a question: what a child is told and says is the same here.

    What a module measures once for several tests is measured by a real child, before this.
    """
    for module in (embeddings, measure, sensitivity, tasks):
        monkeypatch.setattr(module, "Worker", InlineWorker)
