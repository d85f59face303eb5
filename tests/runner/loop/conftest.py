"""What tests of whole runs share."""

from collections.abc import Iterator

import pytest

from harness.estimator.calibration import bandwidth, calibrate
from harness.runner.loop import rounds
from tests.tiny import SIZES


@pytest.fixture(scope="module")
def small_ceilings() -> Iterator[None]:
    """Ceilings whose numbers do not matter: a quarter of a GiB would take the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bandwidth, "VECTOR_BYTES", 2**20)
        patch.setattr(rounds, "BANDWIDTH_SECONDS", 0.01)
        patch.setattr(calibrate, "QUICK", SIZES)
        yield
