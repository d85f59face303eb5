"""A measuring child for tests: answers like the real one, but dies at int4."""

import os

from harness.engine import worker
from harness.machine.process.serve import call_command


def open_or_die(graph: str, **arguments: object):
    """Open as the real child does; a graph in an int4 folder ends the process."""
    if "int4" in graph:
        os._exit(3)
    return call_command(worker.COMMANDS["open"], {"graph": graph, **arguments})


COMMANDS = {**worker.COMMANDS, "open": open_or_die}
