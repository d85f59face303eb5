"""What tests of whole runs share."""

from collections.abc import Iterator

import pytest

from harness.estimator.calibration import bandwidth, calibrate, pulse
from harness.results.calibration import StoredConstants
from harness.runner.loop import interleaved, rounds, session
from harness.runner.quality import embeddings, measure, sensitivity, tasks
from tests.inline_worker import InlineWorker, none_waiting
from tests.runner.loop.recorded_worker import RecordedWorker
from tests.tiny import SIZES


@pytest.fixture(scope="module")
def small_peaks() -> Iterator[None]:
    """Peaks whose numbers do not matter: of small vectors, kept whatever others use meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bandwidth, "VECTOR_BYTES", 2**20)
        patch.setattr(rounds, "BANDWIDTH_SECONDS", 0.01)
        patch.setattr(calibrate, "QUICK", SIZES)
        patch.setattr(StoredConstants, "is_busy", False)
        yield


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test and each process of a run is measured once; later ones get the same answers.

    Quality is measured in this process.
    """
    for module in (bandwidth, calibrate, interleaved, pulse, session):
        monkeypatch.setattr(module, "Worker", RecordedWorker)
    for module in (calibrate, rounds):
        monkeypatch.setattr(module, "started_together", none_waiting)
    for module in (embeddings, measure, sensitivity, tasks):
        monkeypatch.setattr(module, "Worker", InlineWorker)
