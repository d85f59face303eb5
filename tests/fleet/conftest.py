"""Cells of two levels of the tiny model, whose workers are scripted."""

from tests.faults.conftest import script

__all__ = ["script"]
