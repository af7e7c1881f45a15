"""Becomes a command whose every fsync and fdatasync hangs, as on a disk that is gone: `hang.py COMMAND...`.

The kernel asks a listener about these calls (seccomp user notification), and the process that holds it never answers. So a thread
waits as it would for a dead network disk: for ever, but it can be killed. (strace can delay a call too, but holds up the end of the
process as well.) Linux only; no privileges needed.
"""

import ctypes
import os
import signal
import struct
import sys

# seccomp(2), fsync, fdatasync
CALLS = {"x86_64": (317, 74, 75), "aarch64": (277, 82, 83)}
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SET_MODE_FILTER, FLAG_NEW_LISTENER = 1, 8
USER_NOTIF, ALLOW = 0x7FC00000, 0x7FFF0000
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def listen():
    """Installs the filter; returns the listener, which a command started by exec does not inherit."""
    seccomp, fsync, fdatasync = CALLS[os.uname().machine]
    code = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in [
            (LOAD_WORD, 0, 0, 0),
            (JUMP_EQUAL, 1, 0, fsync),
            (JUMP_EQUAL, 0, 1, fdatasync),
            (RETURN, 0, 0, USER_NOTIF),
            (RETURN, 0, 0, ALLOW),
        ]
    )
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return checked(libc.syscall(seccomp, SET_MODE_FILTER, FLAG_NEW_LISTENER, program))


def main():
    listener = listen()
    parent = os.getpid()
    if os.fork() == 0:
        checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        os.closerange(0, listener)
        os.closerange(listener + 1, 1024)
        while os.getppid() == parent:
            signal.pause()
        os._exit(0)
    os.execvp(sys.argv[1], sys.argv[1:])


main()
