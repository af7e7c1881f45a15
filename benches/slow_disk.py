"""Runs a command for which every file system call below some directories takes its time: `slow_disk.py MS ROOT... -- COMMAND...`.

The kernel asks this process about each call (seccomp user notification), which lets it go on when the time is up: calls of
several threads wait side by side, as for a disk that is far away. (strace can delay calls too, but where some wait already it
may hold them up until a later one has waited.) What the asking costs is in a run with 0 ms as well. Linux only; no privileges
needed.
"""

import ctypes
import fcntl
import heapq
import os
import select
import signal
import socket
import struct
import sys
import time

# Where a call has its path and the descriptor that the path begins at, or that it is about: (descriptor, path), None for none.
OF_PATH, OF_DESCRIPTOR, AT = (None, 0), (0, None), (0, 1)
CALLS = {
    "x86_64": {
        "seccomp": 317,
        "arch": 0xC000003E,
        "delayed": {
            0: OF_DESCRIPTOR,  # read
            2: OF_PATH,  # open
            3: OF_DESCRIPTOR,  # close
            4: OF_PATH,  # stat
            5: OF_DESCRIPTOR,  # fstat
            6: OF_PATH,  # lstat
            8: OF_DESCRIPTOR,  # lseek
            17: OF_DESCRIPTOR,  # pread64
            21: OF_PATH,  # access
            89: OF_PATH,  # readlink
            217: OF_DESCRIPTOR,  # getdents64
            257: AT,  # openat
            262: AT,  # newfstatat
            267: AT,  # readlinkat
            269: AT,  # faccessat
            332: AT,  # statx
            439: AT,  # faccessat2
        },
    },
    "aarch64": {
        "seccomp": 277,
        "arch": 0xC00000B7,
        "delayed": {
            48: AT,  # faccessat
            56: AT,  # openat
            57: OF_DESCRIPTOR,  # close
            61: OF_DESCRIPTOR,  # getdents64
            62: OF_DESCRIPTOR,  # lseek
            63: OF_DESCRIPTOR,  # read
            67: OF_DESCRIPTOR,  # pread64
            78: AT,  # readlinkat
            79: AT,  # newfstatat
            80: OF_DESCRIPTOR,  # fstat
            291: AT,  # statx
            439: AT,  # faccessat2
        },
    },
}
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SET_MODE_FILTER, FLAG_NEW_LISTENER = 1, 8
USER_NOTIF, ALLOW = 0x7FC00000, 0x7FFF0000
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
RECEIVE, SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
NOTIFICATION, ANSWER = struct.Struct("QIIiIQ6Q"), struct.Struct("QqiI")
AT_FDCWD = 0xFFFFFF9C
PAGE = 4096


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


machine = CALLS[os.uname().machine]
libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def listen():
    """Installs the filter; returns the listener, which a command started by exec does not inherit."""
    calls = list(machine["delayed"])
    # What does not match any goes past the last one's jump.
    tests = [(JUMP_EQUAL, len(calls) - index, 0, call) for index, call in enumerate(calls)]
    program = [(LOAD_WORD, 0, 0, 0), *tests, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, USER_NOTIF)]
    code = b"".join(struct.pack("HBBI", what, yes, no, value) for what, yes, no, value in program)
    buffer = ctypes.create_string_buffer(code)
    filter = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer))
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return checked(libc.syscall(machine["seccomp"], SET_MODE_FILTER, FLAG_NEW_LISTENER, filter))


def become(command, channel):
    checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    socket.send_fds(channel, [b"."], [listen()])
    os.execvp(command[0], command)


class Judge:
    """Tells which calls are about the disk that is slow."""

    def __init__(self, roots):
        self.roots = tuple(os.fsencode(root) for root in roots)
        self.buffer = ctypes.create_string_buffer(2 * PAGE)

    def is_slow(self, thread, number, arguments):
        descriptor, path = machine["delayed"][number]
        if path is not None:
            path = self.text(thread, arguments[path])
        if path is None or not path.startswith(b"/"):
            path = os.path.join(self.place(thread, arguments[descriptor or 0] & 0xFFFFFFFF), path or b"")
        return path.startswith(self.roots) or path in (b"/",)

    def place(self, thread, descriptor):
        name = "cwd" if descriptor == AT_FDCWD else f"fd/{descriptor}"
        try:
            return os.readlink(os.fsencode(f"/proc/{thread}/{name}"))
        except OSError:
            return b""

    def text(self, thread, address):
        # Up to the end of the page, and then of the next one, which may not be there.
        length = PAGE - address % PAGE
        remote = (Vector * 2)((address, length), (address + length, PAGE))
        local = Vector(ctypes.addressof(self.buffer), 2 * PAGE)
        read = libc.process_vm_readv(thread, ctypes.byref(local), 1, remote, 2, 0)
        return self.buffer.raw[: max(0, read)].split(b"\0", 1)[0]


def serve(listener, delay, judge):
    """Answers until the command has ended."""
    waiting = []
    poll = select.poll()
    poll.register(listener, select.POLLIN)

    def let_go(id):
        try:
            fcntl.ioctl(listener, SEND, ANSWER.pack(id, 0, 0, CONTINUE))
        except FileNotFoundError:
            pass  # A signal has interrupted the call; it comes again.

    while True:
        arrived = []
        while True:
            timeout = 0 if arrived else None
            if not arrived and waiting:
                # To the microsecond, not to the millisecond as poll does.
                left = max(0, waiting[0][0] - time.monotonic())
                ready = select.select([listener], [], [], left)[0]
                if not ready:
                    break
            events = poll.poll(timeout)
            if not events:
                break
            if events[0][1] & select.POLLHUP:
                return
            buffer = bytearray(NOTIFICATION.size)
            try:
                fcntl.ioctl(listener, RECEIVE, buffer)
            except FileNotFoundError:
                continue
            arrived.append((time.monotonic(), NOTIFICATION.unpack(buffer)))
        for came, (id, thread, _, number, _, _, *arguments) in arrived:
            if judge.is_slow(thread, number, arguments):
                heapq.heappush(waiting, (came + delay, id))
            else:
                let_go(id)
        while waiting and waiting[0][0] <= time.monotonic():
            let_go(heapq.heappop(waiting)[1])


def main():
    separator = sys.argv.index("--")
    delay, roots, command = float(sys.argv[1]) / 1000, sys.argv[2:separator], sys.argv[separator + 1 :]
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        become(command, theirs)
    theirs.close()
    listener = socket.recv_fds(ours, 1, 1)[1][0]
    # Nobody else's time is measured here; the one who delays must not be late itself.
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        pass
    serve(listener, delay, Judge(roots))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)


main()
