"""The walls around a submission: bubblewrap, docker, or, said aloud, none.

A sandbox holds one warden (see ``worker``) and has no network, a read-only system with nothing of the course in it,
and small private temporary folders. ``Sandbox`` is the grader's side of the pipe.
"""

import contextlib
import getpass
import json
import os
import platform
import secrets
import select
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import resnet_edu
from resnet_edu.course import cgroups

KINDS = ("bwrap", "docker", "none")
PACKAGE = Path(resnet_edu.__file__).parent
# Numbers of users that nobody gives out (systemd's table of user numbers), where all numbers exist, else a few.
UNUSED_UIDS, FEW_UNUSED_UIDS = range(1_879_048_192, 2_147_352_576), range(60_706, 61_184)
INNER_UID = 60_000  # in a container, and inside a namespace of its own: no other process counts
MIB = 1 << 20
ZYGOTE = 1024 * MIB  # bytes that the imports of a worker take at most
WARNING = """\
********************************************************************************
NO SANDBOX. Each submission runs as you, on your files and your network.
It can read the sources and other submissions, and change what you can change.
Grade this way only what you would run yourself, or inside a machine to throw away.
********************************************************************************"""


class SandboxError(RuntimeError):
    """A sandbox does not start, or broke; the message says how to mend it."""


@dataclass(frozen=True)
class Limits:
    """What a submission may use. Seconds are of CPU time; three times as many may pass on the clock."""

    cell: float = 60
    total: float = 300
    memory: int = 4096 * MIB  # bytes, of a process and of all together
    disk: int = 256 * MIB  # bytes of temporary files
    processes: int = 32
    threads: int = 128


def environment(folder: str) -> dict[str, str]:
    """Return the variables that a worker sees, and nothing of the instructor's."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": folder, "TMPDIR": folder, "IPYTHONDIR": f"{folder}/.ipython", "MPLCONFIGDIR": f"{folder}/.matplotlib",
        "LANG": "C.UTF-8", "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
        "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip


def bwrap_command(course: Path, limits: Limits, root: bool) -> list[str]:
    """Return the command line that puts a worker between bubblewrap's walls."""
    visible = dict.fromkeys(
        str(Path(path).resolve())
        for path in (sys.base_prefix, sys.prefix, sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    )
    command = ["bwrap", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--hostname", "grader"]
    command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    # The user's own number may own the course: root changes to a user without rights instead (see worker.configure).
    command += [
        "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_CHOWN",
    ] if root else [
        "--unshare-user", "--disable-userns", "--uid", str(INNER_UID), "--gid", str(INNER_UID),
    ]  # fmt: skip
    # First of all, so that a Python that lies somewhere in /tmp is laid on top of it, not under it.
    command += ["--perms", "1777", "--size", str(limits.disk), "--tmpfs", "/tmp"]
    parents = [parent for path in (*visible, "/lab/x", "/etc/x") for parent in Path(path).parents[-2::-1]]
    for folder in dict.fromkeys(map(str, parents)):
        command += ["--perms", "0755", "--dir", folder]
    for path in ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"):
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        else:
            command += ["--ro-bind-try", path, path]
    for path in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "nsswitch.conf"):
        command += ["--ro-bind-try", f"/etc/{path}", f"/etc/{path}"]
    for path in visible:
        if not path.startswith("/usr/"):
            command += ["--ro-bind", path, path]
        if course.is_relative_to(path):
            command += ["--tmpfs", str(course)]  # a course inside Python's own folder stays out of sight
    is_link = sys.executable != os.path.realpath(sys.executable)
    if is_link and not Path(sys.executable).is_relative_to(sys.prefix):
        command += ["--ro-bind", sys.executable, sys.executable]
    command += ["--ro-bind", str(PACKAGE), f"/lab/{PACKAGE.name}", "--proc", "/proc", "--dev", "/dev"]
    command += ["--perms", "1777", "--size", str(limits.disk), "--tmpfs", "/dev/shm"]
    command += ["--dir", "/tmp/work", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    for name, value in (environment("/tmp/work") | {"PYTHONPATH": "/lab"}).items():
        command += ["--setenv", name, value]
    return [*command, sys.executable, "-m", "resnet_edu.course.worker"]


def docker_command(image: str, limits: Limits) -> list[str]:
    """Return the command line that runs a worker in a container; the image holds resnet-edu and IPython."""
    command = ["docker", "run", "--rm", "--interactive", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    command += ["--security-opt", "no-new-privileges", "--user", f"{INNER_UID}:{INNER_UID}"]
    command += ["--pids-limit", str(limits.threads), "--memory", str(limits.memory + 1024 * MIB)]
    command += ["--memory-swap", str(limits.memory + 1024 * MIB), "--shm-size", str(limits.disk)]
    command += ["--tmpfs", f"/tmp:rw,mode=1777,size={limits.disk}"]
    for name, value in environment("/tmp/work").items():
        if name != "PATH":
            command += ["--env", f"{name}={value}"]
    start = "mkdir -p /tmp/work && exec python -m resnet_edu.course.worker"
    return [*command, image, "sh", "-c", start]


def problem(kind: str) -> str | None:
    """Return why a kind of sandbox does not work on this machine, or nothing if it does."""
    if kind == "none":
        return None
    if shutil.which(kind) is None:
        return "it is not installed (apt-get install bubblewrap)" if kind == "bwrap" else "docker is not installed"
    command = ["docker", "info"] if kind == "docker" else [
        "bwrap", "--unshare-pid", "--unshare-net", *([] if os.getuid() == 0 else ["--unshare-user"]),
        "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]


def require(kind: str) -> None:
    """Raise ``SandboxError`` if a kind of sandbox does not work here."""
    reason = problem(kind)
    if reason:
        other = "docker" if kind == "bwrap" else "bwrap"
        raise SandboxError(f"the sandbox {kind} does not work here: {reason}; mend that, or choose --sandbox {other}, "
                           "or --sandbox none if you trust every submission")  # fmt: skip


class Sandbox:
    """One sandbox with its warden. ``slot`` tells sandboxes apart that run side by side."""

    def __init__(
        self,
        kind: str,
        course: Path,
        limits: Limits,
        modules: list[str],
        slot: int = 0,
        image: str = "resnet-edu-grader",
    ):
        self.kind, self.course, self.limits, self.modules = kind, course.resolve(), limits, modules
        self.slot, self.image = slot, image
        self.process = self.folder = self.group = None
        self.closed = False
        self.sound: set[str] = set()  # assignments of which the solutions were seen to pass here

    def start(self) -> dict:
        """Start the worker; return what it says about itself."""
        self.stop()
        if self.closed:
            raise SandboxError("the grading was stopped")
        root, uid, work = os.getuid() == 0, None, "/tmp/work"
        inherited = None
        if self.kind == "bwrap":
            command, uid = bwrap_command(self.course, self.limits, root), unused_uid() if root else None
        elif self.kind == "docker":
            command = docker_command(self.image, self.limits)
        else:
            self.folder = work = tempfile.mkdtemp(prefix=f"grading-{getpass.getuser()}-")
            command = [sys.executable, "-m", "resnet_edu.course.worker"]
            inherited = environment(work) | {"PYTHONPATH": str(PACKAGE.parent)}
            uid = unused_uid() if root and _everyone_can_read(sys.prefix, sys.base_prefix, PACKAGE) else None
        if self.kind != "docker":  # which has limits of its own
            self.group = cgroups.make(f"resnet-edu-{self.slot}", self.limits.memory + ZYGOTE)
        self.process = subprocess.Popen(
            cgroups.inside(self.group, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=inherited,
        )
        limits = asdict(self.limits) | {"file": self.limits.disk}
        if uid is None and not (self.kind == "bwrap" and _counts_processes_by_namespace()):
            limits["threads"] = 1 << 20  # the count would hold what this user runs elsewhere; the warden counts, too
        try:
            return self.ask("configure", 120, limits=limits, modules=self.modules, uid=uid, folder=work)
        except SandboxError:
            self.process.kill()
            trace = self.process.stderr.read().decode(errors="replace").strip().splitlines() or ["no message"]
            self.stop()
            raise SandboxError(f"the sandbox {self.kind} does not start: {trace[-1]}") from None

    def ask(self, op: str, seconds: float, **request) -> dict:
        """Send a request and wait for its reply; raise ``SandboxError`` if none comes."""
        return self._exchange({"op": op, **request}, seconds, 2 * MIB)

    def read(self, path: Path, limit: float) -> dict:
        """Let the child that begins read a notebook; ``limit`` is in seconds. Raises ``OSError`` for the file."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return self._exchange({"op": "read", "size": size, "limit": limit}, 3 * limit + 30, 80 * MIB, file)

    def _exchange(self, request: dict, seconds: float, longest: int, file: BinaryIO | None = None) -> dict:
        process = self.process
        if process is None:
            raise SandboxError("the sandbox is not running")
        deadline, reply = time.monotonic() + seconds, bytearray()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            left = request.get("size", 0)
            while left:
                part = file.read(min(left, 1 << 20)) or bytes(min(left, 1 << 20))  # the file may have become shorter
                process.stdin.write(part)
                left -= len(part)
            process.stdin.flush()
            pipe = process.stdout.fileno()
            while not reply.endswith(b"\n"):
                rest = deadline - time.monotonic()
                if rest <= 0 or len(reply) > longest or not select.select([pipe], [], [], rest)[0]:
                    break
                part = os.read(pipe, 1 << 16)
                if not part:
                    break
                reply += part
            answer = json.loads(reply) if reply.endswith(b"\n") else None
        except (OSError, ValueError):
            answer = None
        if not isinstance(answer, dict):
            raise SandboxError("the sandbox gave no answer")
        return answer

    def close(self) -> None:
        """End the worker for good: nothing starts it again."""
        self.closed = True
        self.stop()

    def stop(self) -> None:
        """End the worker and everything in the sandbox."""
        process, self.process = self.process, None
        folder, self.folder = self.folder, None
        if process is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()  # the warden kills what it has started, then ends
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
            process.stderr.close()
        cgroups.remove(self.group)
        self.group = None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def unused_uid() -> int:
    """Return the number of a user without a name and without rights, another at each call.

    Linux counts a user's processes wherever they run: of two sandboxes with one number, each would fill the other's
    limit, even if two people grade on one machine.
    """
    try:
        ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
        known = max(int(first) + int(count) for first, _, count in ranges)
    except OSError:
        known = UNUSED_UIDS.stop  # no Linux
    return secrets.choice(UNUSED_UIDS if known >= UNUSED_UIDS.stop else FEW_UNUSED_UIDS)


def _everyone_can_read(*paths: str | Path) -> bool:
    """Return whether a user without rights can reach these folders."""
    return all(
        parent.stat().st_mode & 0o005 == 0o005
        for path in paths
        for parent in (Path(path).resolve(), *Path(path).parents)
    )


def _counts_processes_by_namespace() -> bool:
    """Return whether a limit on threads counts a user namespace by itself, as Linux does since 5.14."""
    release = platform.release().split(".")
    return (int(release[0]), int(release[1].split("-")[0])) >= (5, 14)
