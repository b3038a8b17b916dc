"""Limit and isolate a process that works with the data of a caller: no inherited files, no network, few readable files.

The system enforces the isolation, so it also holds for native code, after an escape from the interpreter of programs.
On Linux, Landlock (kernel 5.13 or later) limits files, and since kernel 6.12 also signals. A seccomp filter refuses
sockets and access to other processes. A system or a container without these calls has only the other limits.
"""

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

MAX_RESIDENT: Final = 192 * 1024 * 1024
"""Memory of a process after which the process ends with its work, in bytes."""

_LIBRARIES: Final = ("/usr", "/lib", "/lib64", "/nix/store", "/opt/homebrew", "/etc/ld.so.cache", "/dev/urandom")
"""Paths from which Python, the interpreter of programs and the system's libraries read."""
_NULL: Final = "/dev/null"

_PR_SET_DUMPABLE: Final = 4
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38


def limit_this_process(memory: int) -> None:
    """Limit the memory, the files and the priority of this process, and isolate it. Its children inherit the limits.

    `memory`: number of bytes that the process, and each child, can reserve.
    """
    close_inherited_files()
    set_limits({resource.RLIMIT_DATA: memory, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0})
    _open_status()  # `isolate` forbids it later
    isolate()


def set_limits(limits: Mapping[int, int]) -> None:
    """Set resource limits of this process, and give it a lower priority than the server.

    A system can refuse some of these calls. For example, macOS has no limit of memory, and a sandbox can forbid
    priorities. So the server also ends a process that takes too long.
    """
    for name, limit in limits.items():
        with suppress(ValueError, OSError):
            resource.setrlimit(name, (limit, limit))
    with suppress(OSError):
        os.nice(5)
    with suppress(OSError):  # Linux ends this process first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def has_grown() -> bool:
    """Return True if this process has used more than `MAX_RESIDENT` bytes. Return False on a system without `/proc`.

    `getrusage` is not suitable: on Linux, its maximum also counts the server, which has started this process.
    """
    status = _open_status()
    if status is None:
        return False
    return int(os.pread(status, 8192, 0).partition(b"VmHWM:")[2].split()[0]) * 1024 > MAX_RESIDENT


@cache
def _open_status() -> int | None:
    try:
        return os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def hide_memory() -> None:
    """Refuse other processes of the same user the memory, the environment and the open files of this process.

    Linux only. The environment contains the encryption keys. `exec` starts with a new memory, and ends this.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def isolate() -> None:
    """Give up the rights that the work does not need, before the process has a second thread. Children inherit this.

    The process can read and execute programs and libraries, and use its open files. It cannot open other files or a
    socket, send a signal to a process outside, or change its limits, processors or priority. It leaves no memory
    behind, and its children stay in its group.
    """
    if sys.platform != "linux":
        return
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _limit_files()
    _limit_system_calls()


def close_inherited_files() -> None:
    """Close all files except standard input, output and error. uvloop does not close them for a new process."""
    try:
        numbers = [int(path.name) for path in Path("/dev/fd").iterdir()]
    except OSError:
        numbers = list(range(3, 4096))
    for number in numbers:
        if number > 2:
            with suppress(OSError):  # the folder itself, which is closed again
                os.close(number)


# Landlock: include/uapi/linux/landlock.h. The numbers of the system calls are the same on x86-64 and ARM.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_ACCESS_TO_FILES: Final = (1 << 13) - 1, 1 << 13, 1 << 14, 0, 1 << 15
"""Kinds of access, by the version of Landlock that introduced them. The fifth version is the newest of them."""
_TCP: Final = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11


def landlock_version() -> int:
    """Return the version of Landlock, or a number below 1 if the kernel or the container does not permit Landlock."""
    return _system_call(_CREATE_RULESET, None, 0, _VERSION)


def _limit_files() -> None:
    version = landlock_version()
    if version < 1:
        return
    handled = sum(_ACCESS_TO_FILES[:version])
    attributes = struct.pack(
        "=QQQ", handled, _TCP if version >= 4 else 0, _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    )[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _system_call(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return
    source = Path(__file__).parents[2]
    for path in dict.fromkeys(map(str, (*_LIBRARIES, sys.prefix, sys.base_prefix, sys.exec_prefix, source))):
        _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
    _allow(ruleset, _NULL, _READ_FILE | _WRITE_FILE)
    _system_call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    with suppress(OSError):  # a path that this system does not have
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not Path(path).is_dir():
                access &= ~_READ_DIR
            _system_call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, place), 0)
        finally:
            os.close(place)


# seccomp: include/uapi/linux/seccomp.h, filter.h and audit.h. A filter of the classic BPF reads `struct seccomp_data`.
_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The numbers of the architectures, by the name of the machine."""
_REFUSED: Final = {
    # - socket, ptrace, process_vm_readv, process_vm_writev, bpf, perf_event_open, userfaultfd, add_key, request_key,
    #   keyctl, unshare, setns, mount, io_uring_setup, pidfd_getfd
    # - the priority and memory of other processes: setpriority, ioprio_set, kcmp, move_pages, migrate_pages,
    #   process_madvise, process_mrelease
    # - memory and queues that outlive the process: shmget, semget, msgget, mq_open, memfd_create
    # - calls that leave the group of processes, which the server ends: setsid, setpgid
    "x86_64": (
        41, 101, 310, 311, 321, 298, 323, 248, 249, 250, 272, 308, 165, 425, 438,
        141, 251, 312, 279, 256, 440, 448,
        29, 64, 68, 240, 319,
        112, 109,
    ),
    "aarch64": (
        198, 117, 270, 271, 280, 241, 282, 217, 218, 219, 97, 268, 40, 425, 438,
        140, 30, 272, 239, 238, 440, 448,
        194, 190, 186, 180, 279,
        157, 154,
    ),
}  # fmt: skip
"""The numbers of the refused system calls."""
_REFUSED_FOR_OTHERS: Final = {
    # prlimit64, sched_setaffinity, sched_setparam, sched_setscheduler, sched_setattr
    "x86_64": (302, 203, 142, 144, 314),
    "aarch64": (261, 122, 118, 119, 274),
}
"""The numbers of system calls that are refused, except with the process ID 0, which is the caller's own process."""
_X32: Final = 0x40000000
"""Smallest number of a system call in the second table of x86-64."""
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_OFFSET_OF_NUMBER, _OFFSET_OF_ARCHITECTURE, _OFFSET_OF_FIRST_ARGUMENT = 0, 4, 16
_ALLOW: Final = 0x7FFF0000
_PERMISSION_ERROR: Final = 0x00050001
_SECCOMP_MODE_FILTER: Final = 2


def _limit_system_calls() -> None:
    machine = os.uname().machine
    if machine not in _ARCHITECTURES:
        return
    program = b"".join(_filter(_ARCHITECTURES[machine], _REFUSED[machine], _REFUSED_FOR_OTHERS[machine]))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(header))


def _filter(architecture: int, refused: Sequence[int], refused_for_others: Sequence[int]) -> Iterator[bytes]:
    """Yield the instructions. A jump names the numbers of instructions to skip if its condition is true, or false."""
    allow = 4 + len(refused) + len(refused_for_others)
    examine, refuse = allow + 1, allow + 4
    yield _instruction(_LOAD, _OFFSET_OF_ARCHITECTURE)
    yield _instruction(_EQUAL, architecture, 0, refuse - 2)
    yield _instruction(_LOAD, _OFFSET_OF_NUMBER)
    yield _instruction(_AT_LEAST, _X32, refuse - 4, 0)
    for place, call in enumerate(refused, 4):
        yield _instruction(_EQUAL, call, refuse - place - 1, 0)
    for place, call in enumerate(refused_for_others, 4 + len(refused)):
        yield _instruction(_EQUAL, call, examine - place - 1, 0)
    yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_LOAD, _OFFSET_OF_FIRST_ARGUMENT)  # the kernel reads 32 bits of a process ID
    yield _instruction(_EQUAL, 0, 0, 1)
    yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_RETURN, _PERMISSION_ERROR)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _prctl(*arguments: Any) -> int:
    with suppress(OSError, AttributeError):  # a system without `prctl`
        return int(ctypes.CDLL(None).prctl(arguments[0], *map(_as_long, arguments[1:]), *[ctypes.c_ulong(0)] * 3))
    return -1


def _system_call(number: int, *arguments: Any) -> int:
    with suppress(OSError, AttributeError):
        function = ctypes.CDLL(None).syscall
        function.restype = ctypes.c_long
        return int(function(ctypes.c_long(number), *map(_as_long, arguments)))
    return -1


def _as_long(argument: Any) -> Any:
    return ctypes.c_ulong(argument) if isinstance(argument, int) else argument
