"""A GGUF file that somebody made: looked at by llama.cpp before anything is measured."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from harness.core.errors import EXIT_CELLS, EXIT_USAGE, WorkerError
from harness.runner.loop import held_against
from harness.runner.loop.held_against import check_loads


def child(error):
    """What stands where `Worker` does, and fails."""

    def ask(*_asked, **_arguments):
        raise error

    return SimpleNamespace(start=lambda _module: nullcontext(SimpleNamespace(ask=ask)))


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (
            WorkerError("the worker died of SIGABRT", "run it alone", status="crashed"),
            "llama.cpp ends where it reads m.gguf: the worker died of SIGABRT",
            EXIT_USAGE,
        ),
        (
            WorkerError("llama.cpp does not load m.gguf: no", "another", exit_code=EXIT_USAGE),
            "llama.cpp does not load m.gguf: no",
            EXIT_USAGE,
        ),
        (WorkerError("no answer in 300 s", "again", status="timeout"), "no answer", EXIT_CELLS),
    ],
    ids=["aborted", "refused", "slow"],
)
def test_a_file_that_is_not_loaded_stops_the_run(monkeypatch, tmp_path, error, said, code):
    monkeypatch.setattr(held_against, "Worker", child(error))
    with pytest.raises(WorkerError, match=said) as caught:
        check_loads(tmp_path / "m.gguf")
    assert caught.value.exit_code == code
