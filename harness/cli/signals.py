"""What asks a measuring command to end: it keeps what it has, as with Ctrl-C."""

import signal

# A job that is cancelled; a terminal or a connection that is closed; Ctrl-Break on Windows.
ENDING = ("SIGTERM", "SIGHUP", "SIGBREAK")


def end_as_with_ctrl_c() -> None:
    """Let every signal that asks for an end raise KeyboardInterrupt; ignored ones stay so.

    `nohup` starts a command with SIGHUP ignored.
    """
    for name in ENDING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
