"""The building child's answers and errors, called in this process."""

import errno
import os
from dataclasses import asdict

import pytest

from harness.artifacts.build_worker import COMMANDS
from harness.errors import StorageError
from harness.specs.load import load_spec
from harness.weights.source import ModelSource

SOURCE = asdict(ModelSource("smollm2-135m", "smollm2-135m", load_spec("smollm2-135m"), None))


@pytest.mark.parametrize(
    ("code", "fix"), [(errno.ENOSPC, "free room"), (errno.EROFS, "another cache")]
)
def test_a_disk_that_fails_is_a_storage_error(tmp_path, monkeypatch, code, fix):
    """The disk fills while the child writes: exit code 5, and what to do about it."""

    def fail(*_arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("harness.graph.decoder.build_decoder", fail)
    with pytest.raises(StorageError, match=os.strerror(code)) as caught:
        COMMANDS["build"](SOURCE, "int4", 0, str(tmp_path))
    assert fix in caught.value.fix
