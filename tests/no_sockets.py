"""Run a command that the kernel ends as soon as it, or anything it starts, opens a socket.

`python tests/no_sockets.py COMMAND...`: a seccomp filter, which children inherit and nobody can
take off, kills the process at socket() and at io_uring, which could open one as well. Unlike a hook
in Python it sees native libraries. Linux, on x86-64 and ARM64.
"""

import ctypes
import os
import platform
import struct
import sys

SOCKET = {"x86_64": 41, "aarch64": 198}  # by machine: linux/unistd.h
IO_URING_SETUP = 425  # on both
NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000


def is_possible() -> bool:
    """Whether this system has such filters, for a machine whose numbers are known."""
    return sys.platform.startswith("linux") and platform.machine() in SOCKET


def forbid_sockets() -> None:
    """Put the filter on this process.

    Raises:
        OSError: the kernel does not take it.
    """
    program = (
        (LOAD_WORD, 0, 0, 0),  # the number of the call
        (JUMP_EQUAL, 2, 0, SOCKET[platform.machine()]),
        (JUMP_EQUAL, 1, 0, IO_URING_SETUP),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, KILL_PROCESS),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    address = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    kernel = ctypes.CDLL(None, use_errno=True)
    if kernel.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or kernel.prctl(SET_SECCOMP, FILTER, address, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp filter")


if __name__ == "__main__":
    forbid_sockets()
    os.execvp(sys.argv[1], sys.argv[1:])
