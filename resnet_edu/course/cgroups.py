"""A limit on the memory of a whole sandbox by the kernel's control groups, where this user may make one.

Without it the warden counts (see ``worker``), and system calls for memory that no process owns are denied.
"""

import contextlib
import os
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def make(name: str, memory: int) -> Path | None:
    """Make a group with a limit in bytes below this process's own; return its folder, or nothing if that fails."""
    for parent, limit, swap, swap_value in _parents():
        group = parent / f"{name}-{os.getpid()}"
        try:
            group.mkdir(exist_ok=True)
            (group / limit).write_text(str(memory))
            with contextlib.suppress(OSError):  # a kernel may count no swap
                (group / swap).write_text(str(swap_value or memory))
            return group
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
    return None


def _parents() -> list[tuple[Path, str, str, str]]:
    """Return where a group may lie, the files of its limits and the swap's: versions 2 and 1 of control groups."""
    found = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers and (ROOT / "cgroup.controllers").exists():
            found.append((ROOT / path.lstrip("/"), "memory.max", "memory.swap.max", "0"))
        elif "memory" in controllers.split(","):
            place = ROOT / "memory" / path.lstrip("/")
            found.append((place, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", ""))
    return found


def inside(group: Path | None, command: list[str]) -> list[str]:
    """Return a command that runs in a group."""
    if group is None:
        return command
    return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *command]


def remove(group: Path | None) -> None:
    """Remove a group whose processes have ended."""
    for _ in range(50):
        if group is None or not group.exists():
            return
        with contextlib.suppress(OSError):
            group.rmdir()
        time.sleep(0.01)
