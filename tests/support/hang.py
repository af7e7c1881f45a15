"""Becomes a command whose every fsync and fdatasync hangs, as on a disk that is gone: `hang.py COMMAND...`. With `--reads` before the
command, it is every opening of a file with O_NONBLOCK instead: files that are opened with care, and nobody else's.

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
# open and openat, with the place of their flags in what the filter sees; O_DIRECTORY
OPENS = {"x86_64": (((2, 24), (257, 32)), 0o200000), "aarch64": (((56, 32),), 0o40000)}
O_NONBLOCK = 0o4000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SET_MODE_FILTER, FLAG_NEW_LISTENER = 1, 8
USER_NOTIF, ALLOW = 0x7FC00000, 0x7FFF0000
LOAD_WORD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def writes():
    """The calls that bring data to the disk."""
    _, fsync, fdatasync = CALLS[os.uname().machine]
    return [(JUMP_EQUAL, 1, 0, fsync), (JUMP_EQUAL, 0, 1, fdatasync), (RETURN, 0, 0, USER_NOTIF)]


def careful_opens():
    """Opening with O_NONBLOCK; `opendir` does that with directories."""
    opens, directory = OPENS[os.uname().machine]
    code = []
    for call, flags in opens:
        code += [(JUMP_EQUAL, 0, 5, call), (LOAD_WORD, 0, 0, flags), (JUMP_SET, 2, 0, directory)]
        code += [(JUMP_SET, 0, 1, O_NONBLOCK), (RETURN, 0, 0, USER_NOTIF), (RETURN, 0, 0, ALLOW)]
    return code


def listen(test):
    """Installs the filter; returns the listener, which a command started by exec does not inherit."""
    seccomp, _, _ = CALLS[os.uname().machine]
    instructions = [(LOAD_WORD, 0, 0, 0), *test, (RETURN, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return checked(libc.syscall(seccomp, SET_MODE_FILTER, FLAG_NEW_LISTENER, program))


def main():
    reads = sys.argv[1] == "--reads"
    command = sys.argv[2 if reads else 1 :]
    listener = listen(careful_opens() if reads else writes())
    parent = os.getpid()
    if os.fork() == 0:
        checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        os.closerange(0, listener)
        os.closerange(listener + 1, 1024)
        while os.getppid() == parent:
            signal.pause()
        os._exit(0)
    os.execvp(command[0], command)


main()
