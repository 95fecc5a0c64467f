"""Take system calls away from this process and all that it will start; Linux on x86-64 and ARM64.

Anonymous files, System V segments, POSIX queues and kernel keys are memory that no process owns: no limit of a process
counts it, and it can outlive the process. New namespaces give rights that a sandbox has taken away. io_uring, ptrace
and their kin go round other limits. None of them is needed to compute.
"""

import ctypes
import errno
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
CLONE_NEWUSER = 0x10000000
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Numbers from linux/audit.h and the kernel's tables of system calls.
MACHINES = {
    "x86_64": {
        "audit": 0xC000003E, "clone": 56,
        "denied": (
            319, 447,  # memfd_create, memfd_secret
            29, 30, 31, 64, 68, 240,  # shmget, shmat, shmctl, semget, msgget, mq_open
            248, 249, 250,  # add_key, request_key, keyctl
            272, 308, 435, 165, 155,  # unshare, setns, clone3, mount, pivot_root
            101, 310, 311, 438, 312,  # ptrace, process_vm_readv, process_vm_writev, pidfd_getfd, kcmp
            323, 425, 298, 321,  # userfaultfd, io_uring_setup, perf_event_open, bpf
        ),
    },
    "aarch64": {
        "audit": 0xC00000B7, "clone": 220,
        "denied": (
            279, 447, 194, 196, 195, 190, 186, 180, 217, 218, 219, 97, 268, 435, 40, 41, 117, 270, 271, 438, 272,
            282, 425, 241, 280,
        ),
    },
}  # fmt: skip


def supported() -> bool:
    """Return whether this machine's system calls are known here."""
    return sys.platform == "linux" and platform.machine() in MACHINES


def apply() -> bool:
    """Deny the calls to this process for good; a denied call says that the system has none (ENOSYS).

    Returns whether the filter is in force.
    """
    if not supported():
        return False
    program = _program(**MACHINES[platform.machine()])
    buffer = ctypes.create_string_buffer(program)

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    filled = Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    return libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(filled)) == 0


def _program(audit: int, clone: int, denied: tuple[int, ...]) -> bytes:
    """Return the filter as the kernel reads it (linux/filter.h): 8 bytes an instruction."""
    lines: list[tuple[int, int | str, int | str, int]] = [
        (LOAD, 0, 0, 4),  # the architecture: calls of a 32-bit program have other numbers
        (JUMP_EQUAL, 0, "deny", audit),
        (LOAD, 0, 0, 0),  # the call's number
        (JUMP_AT_LEAST, "deny", 0, 0x40000000),  # the x32 calls
        *((JUMP_EQUAL, "deny", 0, number) for number in denied),
        (JUMP_EQUAL, 0, "allow", clone),
        (LOAD, 0, 0, 16),  # its first argument: the flags of clone
        (JUMP_SET, "deny", "allow", CLONE_NEWUSER),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, ERRNO | errno.ENOSYS),
    ]
    targets = {"allow": len(lines) - 2, "deny": len(lines) - 1}
    steps = [
        [targets[way] - place - 1 if isinstance(way, str) else way for way in (yes, no)]
        for place, (_, yes, no, _) in enumerate(lines)
    ]
    return b"".join(
        struct.pack("HBBI", code, yes, no, value) for (code, _, _, value), (yes, no) in zip(lines, steps, strict=True)
    )
