"""What tests of the store share."""

from collections.abc import Iterator

import pytest

from harness.machine.process.worker import Worker
from harness.store import cache, exported


@pytest.fixture(scope="module", autouse=True)
def built_in_children() -> Iterator[None]:
    """Here a build has a process of its own, as a user's has."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (cache, exported):
            patch.setattr(module, "Worker", Worker)
        yield
