"""The building child's answers and errors, called in this process."""

import errno
import json
import os
from dataclasses import asdict, astuple

import pytest

from harness.core.errors import StorageError
from harness.models.catalog.catalog import load_spec
from harness.models.weights.source import ModelSource
from harness.store.build_worker import COMMANDS, token_ids

TOKENS = [  # config.json -> begin, end, pad
    ({}, (0, (0,), 0)),
    ({"bos_token_id": 1, "eos_token_id": 2}, (1, (2,), 2)),
    ({"eos_token_id": [5, 6], "pad_token_id": 7}, (0, (5, 6), 7)),
    ({"bos_token_id": [], "eos_token_id": [], "pad_token_id": None}, (0, (0,), 0)),
    ({"bos_token_id": "<s>", "eos_token_id": "</s>", "pad_token_id": True}, (0, (0,), 0)),
]
SOURCE = asdict(ModelSource("smollm2-135m", "smollm2-135m", load_spec("smollm2-135m"), None))


@pytest.mark.parametrize(
    ("code", "fix"), [(errno.ENOSPC, "free space"), (errno.EROFS, "another cache")]
)
def test_a_disk_that_fails_is_a_storage_error(tmp_path, monkeypatch, code, fix):
    """The disk fills while the child writes: exit code 5, and what to do about it."""

    def fail(*_arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("harness.builder.graph.decoder.build_decoder", fail)
    with pytest.raises(StorageError, match=os.strerror(code)) as caught:
        COMMANDS["build"](SOURCE, "int4", 0, str(tmp_path))
    assert fix in caught.value.fix


@pytest.mark.parametrize(("config", "expected"), TOKENS)
def test_special_tokens_are_numbers_whatever_a_config_says(tmp_path, config, expected):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert astuple(token_ids(tmp_path)) == expected
