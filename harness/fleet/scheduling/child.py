"""`python -m harness.fleet.scheduling.child WORDS`: `bench WORDS`, which ends when its owner does.

The owner holds the other end of stdin. A thread waits there without looking: at its end, also where
the owner was killed, `bench` is interrupted as with Ctrl-C, and keeps what it has finished.
"""

import _thread
import os
import runpy
import signal
import sys
import threading


def end_with_owner() -> None:
    """Interrupt this process once stdin ends; nothing of it is read by anybody else."""
    owner = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_wait, args=(owner,), daemon=True).start()


def _wait(owner: int) -> None:
    while os.read(owner, 1):
        pass
    main = threading.main_thread().ident
    if sys.platform == "win32" or main is None:
        _thread.interrupt_main()
    else:  # a real signal also ends a call of the system that the main thread waits in
        signal.pthread_kill(main, signal.SIGINT)


if __name__ == "__main__":
    end_with_owner()
    sys.argv[0] = "bench"
    runpy.run_module("harness", run_name="__main__", alter_sys=True)
