"""What a reader may not do, from its first moment on: start a program, reach the network, signal others, write outside its folder.

Linux alone has these walls. They need no rights: a seccomp filter, and Landlock for the folders. Where one cannot be had, the others and
the limits still stand, and `close_in` and `write_only_to` say so.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import signal
import struct
import sys
from collections.abc import Iterable, Sequence

# Numbers of system calls and of the architecture, from the kernel's headers: (audit architecture, clone, clone3, tgkill, those refused).
_CALLS = {
    "x86_64": (0xC000003E, 56, 435, 234, {
        "socket": 41, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101, "rt_sigqueueinfo": 129, "mount": 165, "tkill": 200,
        "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "setns": 308,
        "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321, "execveat": 322, "userfaultfd": 323, "pidfd_send_signal": 424,
        "io_uring_setup": 425,
    }),
    "aarch64": (0xC00000B7, 220, 435, 131, {
        "mount": 40, "unshare": 97, "ptrace": 117, "kill": 129, "tkill": 130, "rt_sigqueueinfo": 138, "socket": 198, "add_key": 217,
        "request_key": 218, "keyctl": 219, "execve": 221, "rt_tgsigqueueinfo": 240, "perf_event_open": 241, "setns": 268,
        "process_vm_readv": 270, "process_vm_writev": 271, "bpf": 280, "execveat": 281, "userfaultfd": 282, "pidfd_send_signal": 424,
        "io_uring_setup": 425,
    }),
}  # fmt: skip
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions of the filter's machine
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # where a filter finds them
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_THREAD = 0x00010000  # a flag of clone
_OTHER_ABI = 0x40000000  # x32 calls have numbers from here on
_NO_NEW_RIGHTS, _FILTER, _BY_FILTER = 38, 22, 2  # of prctl
_CREATE_RULES, _ADD_RULE, _RESTRICT = 444, 445, 446  # Landlock's calls, the same everywhere
_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000
_WRITES = 0b0111_1111_1111_0010 & ~0b1100  # write, remove, make, link and truncate; not execute, not read
_WRITE_FILE = 0b10
_SIGNAL_OF_DESCRIPTOR = 10  # F_SETSIG, which Python does not name


def tie_to(lifeline: int) -> None:
    """Die as soon as the other end of this pipe is closed, however the parent ended and whatever this process is doing then."""
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, _SIGNAL_OF_DESCRIPTOR, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def close_in() -> list[str]:
    """No program, no process, no socket, no signal to others from now on; the walls that hold. To be called before any thread starts."""
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_RIGHTS, 1, 0, 0, 0)
    program = _program(platform.machine())
    if program is not None and _filtered(libc, program):
        return ["processes", "network"]
    kinds = _NEW_NETWORK if os.geteuid() == 0 else _NEW_NETWORK | _NEW_USERS
    return ["network"] if libc.unshare(kinds) == 0 else []


def write_only_to(places: Iterable[str]) -> list[str]:
    """From now on only these folders can be written to, by this thread and those it starts; the walls that hold."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULES, None, 0, 1) if sys.platform == "linux" else -1
    if version < 1:
        return []
    rights = _WRITES & ((1 << {1: 13, 2: 14}.get(version, 15)) - 1)
    known = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2}.get(version, 3)  # how much of the structure this kernel knows
    wanted = struct.pack("=QQQ", rights, 0b11, 0b11)[: 8 * known]
    rules = libc.syscall(_CREATE_RULES, wanted, ctypes.c_size_t(len(wanted)), 0)
    if rules < 0:
        return []
    for place in (*places, os.devnull):
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
        allowed = rights if os.path.isdir(place) else rights & _WRITE_FILE  # noqa: PTH112  before anything is imported
        libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", allowed, handle), 0)
        os.close(handle)
    held = libc.syscall(_RESTRICT, rules, 0) == 0
    os.close(rules)
    return ["folders"] if held else []


def _program(machine: str) -> bytes | None:
    """The filter: refuse what starts processes, opens sockets or touches others; allow threads, and signals to oneself."""
    if machine not in _CALLS:
        return None
    architecture, clone, clone3, tgkill, refused = _CALLS[machine]
    rules = [*_when(_EQUAL, clone3, [_give(errno.ENOSYS)])]  # then the C library falls back to clone, whose flags can be seen
    rules += [line for number in refused.values() for line in _when(_EQUAL, number, [_give(errno.EPERM)])]
    threads = [(_LOAD, 0, 0, _FIRST_ARGUMENT), *_when(_ANY_BIT, _THREAD, [(_RETURN, 0, 0, _ALLOW)]), _give(errno.EPERM)]
    own = [(_LOAD, 0, 0, _FIRST_ARGUMENT), *_when(_EQUAL, os.getpid(), [(_RETURN, 0, 0, _ALLOW)]), _give(errno.EPERM)]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), _give(errno.EPERM),
        (_LOAD, 0, 0, _NUMBER), *_when(_AT_LEAST, _OTHER_ABI, [_give(errno.EPERM)]),
        *rules, *_when(_EQUAL, clone, threads), *_when(_EQUAL, tgkill, own), (_RETURN, 0, 0, _ALLOW),
    ]  # fmt: skip
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _when(test: int, value: int, then: Sequence[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    return [(test, 0, len(then), value), *then]


def _give(number: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _REFUSE | number)


def _filtered(libc: ctypes.CDLL, program: bytes) -> bool:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))

    held = Program(len(program) // 8, program)
    return bool(libc.prctl(_FILTER, _BY_FILTER, ctypes.byref(held), 0, 0) == 0)
