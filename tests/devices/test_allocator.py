"""What the C library's allocator is told while a model loads, and that it is told back."""

import pytest

from harness.devices import allocator
from harness.devices.allocator import giving_back

TOLD = [(-3, 128 * 1024), (-3, 32 * 2**20), (-1, 64 * 2**20)]


def test_larger_blocks_are_mapped_apart_inside_only(monkeypatch):
    told = []
    monkeypatch.setattr(allocator, "_mallopt", lambda: lambda *given: told.append(given))
    with giving_back():
        assert told == TOLD[:1]
    assert told == TOLD


def test_a_load_that_fails_tells_it_back_too(monkeypatch):
    told = []
    monkeypatch.setattr(allocator, "_mallopt", lambda: lambda *given: told.append(given))
    with pytest.raises(ValueError, match="refused"), giving_back():
        raise ValueError("refused")
    assert told == TOLD


def test_without_such_a_call_nothing_is_done(monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "win32")
    with giving_back():
        pass
