"""The warden: speaks with the grader, gives each submission a child, and watches over time, memory and processes."""

import contextlib
import ctypes
import functools
import hashlib
import hmac
import json
import marshal
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import time
import types

from resnet_edu.course.worker import seccomp, values

LONGEST = 1 << 16  # bytes of one reply about a cell
LONGEST_NOTEBOOK = 64 << 20  # bytes of the reply that holds a notebook
TICK = 0.1  # seconds between two looks at memory and processes; without walls a look reads all of /proc
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36


class Warden:
    """Gets a child for each submission, passes requests on and watches over it."""

    def __init__(self, requests, replies):
        self.requests, self.replies = requests, replies
        self.child, self.channel, self.zygote, self.zygote_pid = None, None, None, None
        self.buffer = b""

    def serve(self) -> None:
        """Answer requests until there are no more."""
        while line := self.requests.readline():
            request = json.loads(line)
            reply = getattr(self, request.pop("op"))(**request)
            self.replies.write(json.dumps(reply).encode() + b"\n")
            self.replies.flush()
        self._kill()
        if self.zygote is not None:
            self.zygote.close()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.zygote_pid, 0)

    def configure(self, limits: dict, modules: list[str], uid: int | None, folder: str) -> dict:
        """Set the limits, give up the user's rights if ``uid`` says so, and start the zygote."""
        self.limits, self.folder = limits, folder
        if uid is not None:
            os.chown(folder, uid, uid)
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)  # a submission may send them; the grader closes standard input
        filtered = seccomp.apply()
        if sys.platform == "linux":
            libc = ctypes.CDLL(None)
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # processes whose parents ended come to the warden
        os.chdir(folder)
        self.zygote, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.zygote_pid = os.fork()
        if self.zygote_pid == 0:
            try:
                for stream in (self.requests, self.replies, self.zygote):
                    stream.close()
                from resnet_edu.course.worker import zygote

                zygote.serve(theirs, limits, modules, folder)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            finally:
                os._exit(0)
        theirs.close()
        if sys.platform == "linux":
            libc.prctl(PR_SET_DUMPABLE, 0)  # a child, though of the same user, cannot write the warden's memory
        said = self._of_zygote()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        self.inherited = _memory(self.zygote_pid)[0]
        return {**json.loads(said), "pid1": os.getpid() == 1, "filtered": filtered}

    def _of_zygote(self) -> bytes:
        said = self.zygote.recv(4096)
        if not said:
            raise RuntimeError("the process that submissions are forked from has ended")
        return said

    def begin(self) -> dict:
        """Get a child for one submission, and give it the key with which it signs."""
        if self.child is not None or self.channel is not None:
            self._kill()
        ours, theirs = socket.socketpair()
        socket.send_fds(self.zygote, [b"fork"], [theirs.fileno()])
        theirs.close()
        self.child = int(self._of_zygote())
        self.channel, self.buffer = ours, b""
        self.key = secrets.token_hex(16).encode()
        ours.sendall(self.key + b"\n")
        return {"begun": True}

    def end(self) -> dict:
        """Kill what is left of a submission and clear its files; ``clean`` says whether that worked."""
        return {"clean": self._kill() and self._clear()}

    def read(self, size: int, limit: float) -> dict:
        """Pass the bytes that follow on to the child, which reads them as a notebook."""
        token = secrets.token_hex(16)
        left, broken = size, self.channel is None
        self._say({"op": "read", "size": size, "token": token})
        while left:
            part = self.requests.read1(min(left, 1 << 20))
            if not part:
                break
            left -= len(part)
            if not broken:
                try:
                    self.channel.sendall(part)
                except OSError:
                    broken = True  # what is left must still be taken from the grader
        return self._answer(token, limit, LONGEST_NOTEBOOK)

    def given(self, **request) -> dict:
        """Run a cell of the instructor's in the submission's namespace."""
        return self._ask({"op": "given", **request})

    def code(self, **request) -> dict:
        """Run a cell of the student's in the submission's namespace."""
        return self._ask({"op": "code", **request})

    def test(self, name: str, source: str, **request) -> dict:
        """Run a test in a copy of the submission's namespace. It is compiled here, once for all submissions."""
        return self._ask({"op": "test", "name": name, "source": _compiled(source, f"<test {name}>"), **request})

    def _ask(self, request: dict) -> dict:
        token = secrets.token_hex(16)
        self._say({**request, "token": token})
        return self._answer(token, request["limit"], LONGEST)

    def _say(self, request: dict) -> None:
        with contextlib.suppress(OSError):  # that the child has died, the answer tells
            self.channel.sendall(marshal.dumps(request).hex().encode() + b"\n")

    def _answer(self, token: str, limit: float, longest: int) -> dict:
        deadline = time.monotonic() + 3 * limit + 2  # the child's own alarm counts CPU time
        forged, seen = False, []

        def made(reply: dict, alive: bool) -> dict:
            return {**reply, "alive": alive, "forged": forged or reply.get("forged", False), "seen": seen[:50]}

        while True:
            line, found, rest = self.buffer.partition(b"\n")
            if found:
                self.buffer = rest
                reply = self._genuine(line, token)
                if reply is not None:
                    return made(reply, True)
                report = _report(line)
                if report is None:
                    forged = True
                else:
                    seen.append(report)
                continue
            if len(self.buffer) > longest:
                self._kill()
                return made({"outcome": "crashed", "message": "wrote too much to the grader", "forged": True}, False)
            if select.select([self.channel], [], [], TICK)[0]:
                try:
                    part = self.channel.recv(1 << 20)
                except OSError:
                    part = b""
                if not part:
                    return made(self._died(), False)
                self.buffer += part
                continue
            trouble = self._trouble(deadline)
            if trouble:
                self._kill()
                return made(trouble, False)

    def _genuine(self, line: bytes, token: str) -> dict | None:
        """Return the reply in a line that the child itself has signed."""
        mac, _, body = line.partition(b" ")
        expected = hashlib.blake2b(token.encode() + body, key=self.key, digest_size=16).hexdigest().encode()
        if not hmac.compare_digest(mac, expected):
            return None
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return reply if isinstance(reply, dict) else None

    def _trouble(self, deadline: float) -> dict | None:
        pids = self._processes()
        if len(pids) > self.limits["processes"]:
            return {"outcome": "crashed", "message": f"started more than {self.limits['processes']} processes"}
        memory = sum(map(self._used, pids)) + self._in_memory_files()
        if memory > self.limits["memory"]:
            return {"outcome": "crashed", "message": f"used more than {self.limits['memory'] >> 20:,} MiB of memory"}
        if time.monotonic() > deadline:
            return {"outcome": "timeout", "message": "did not end in time and was stopped"}
        return None

    def _used(self, pid: int) -> int:
        """Return the bytes that a process has beyond those that it inherited and shares with the zygote."""
        own, shared = _memory(pid)
        return shared + (own - self.inherited if own >= 0.8 * self.inherited else own)

    def _in_memory_files(self) -> int:
        """Return the bytes of files that lie in memory, where the sandbox has its own folders for them."""
        total = 0
        for folder in ("/tmp", "/dev/shm") if os.getpid() == 1 else ():
            with contextlib.suppress(OSError):
                about = os.statvfs(folder)
                total += (about.f_blocks - about.f_bfree) * about.f_frsize
        return total

    def _processes(self) -> list[int]:
        return [pid for pid in _descendants() if pid != self.zygote_pid]

    def _died(self) -> dict:
        status = self._reap()
        self._kill()
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            how = f"was ended by signal {number} ({signal.Signals(number).name})" if number < 32 else "was ended"
        else:
            how = f"ended the Python process (exit status {os.waitstatus_to_exitcode(status)})"
        return {"outcome": "crashed", "message": how}

    def _reap(self) -> int:
        """Let the zygote wait for the child, and return how it ended."""
        pid, self.child = self.child, None
        if pid is None:
            return 0
        with contextlib.suppress(ProcessLookupError, PermissionError):
            for _ in range(1000):  # the channel closes a moment before the process is gone
                if _state(pid) in (None, "Z"):
                    break
                time.sleep(0.001)
            else:
                os.kill(pid, signal.SIGKILL)
        self.zygote.send(f"wait {pid}".encode())
        return int(self._of_zygote())

    def _kill(self) -> bool:
        """Kill all processes of the submission; ``False`` if some are left."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.child, signal.SIGKILL)  # what it has started comes to the warden, and is found below
            self._reap()
        for _ in range(500):
            alive = self._processes()
            for pid in alive:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while True:
                    pid = os.waitpid(-1, os.WNOHANG)[0]
                    if pid == self.zygote_pid:
                        raise RuntimeError("the process that submissions are forked from has ended")
                    if not pid:
                        break
            if not alive:
                return True
            if len(alive) > self.limits["processes"] and os.getpid() == 1:
                os.kill(-1, signal.SIGKILL)  # they fork faster than they are counted: the zygote goes, too
            time.sleep(0.005)
        return False

    def _clear(self) -> bool:
        """Empty the submission's folders; ``False`` if something is left."""
        folders = (self.folder, "/tmp", "/dev/shm") if os.getpid() == 1 else (self.folder,)
        keep = {self.folder, *_mounts()}  # Python itself may be mounted below /tmp
        return all([empty(folder, keep) for folder in folders])


@functools.lru_cache(maxsize=256)
def _compiled(source: str, file: str) -> types.CodeType | str:
    """Return a test's code, or its text where it is no Python: then the child says so."""
    try:
        return values.compile_test(source, file)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source


def _report(line: bytes) -> list[str] | None:
    """Return ``[cell, what]`` from a line in which the child's audit hook reports, else nothing."""
    try:
        report = json.loads(line.removeprefix(b"seen ")) if line.startswith(b"seen ") else None
    except (ValueError, RecursionError):
        return None
    good = isinstance(report, list) and len(report) == 2 and all(isinstance(text, str) for text in report)
    return [text[:200] for text in report] if good else None


def empty(folder: str, keep: set[str]) -> bool:
    """Remove all in a folder but these paths and what leads to them; return whether that worked."""
    all_gone = True
    for entry in os.scandir(folder):
        if entry.path in keep:
            continue
        if not entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
        elif any(path.startswith(entry.path + "/") for path in keep):
            all_gone = empty(entry.path, keep) and all_gone
            continue
        else:
            shutil.rmtree(entry.path, ignore_errors=True)
        all_gone = all_gone and not os.path.lexists(entry.path)
    return all_gone


def _mounts() -> list[str]:
    """Return where something is mounted, as this process sees it."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            return [line.split(" ")[1].replace("\\040", " ") for line in file]
    except OSError:
        return []


def _descendants() -> list[int]:
    """Return the process ids of all descendants; as process 1 of a sandbox, of all others in it."""
    parents = {}
    try:
        entries = os.listdir("/proc")
    except OSError:
        return []
    for name in entries:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
    me = os.getpid()
    if me == 1:
        return [pid for pid in parents if pid != 1]
    found, level = [], {me}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found += level
    return found


def _memory(pid: int) -> tuple[int, int]:
    """Return the bytes of a process's own memory, and of what it maps of memory that may be shared."""
    found = {"RssAnon:": 0, "RssShmem:": 0}
    with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file.read().decode(errors="replace").splitlines():
            word, _, rest = line.partition("\t")
            if word in found:
                found[word] = int(rest.split()[0]) << 10
    return found["RssAnon:"], found["RssShmem:"]


def _state(pid: int) -> str | None:
    """Return the letter of a process's state, or nothing if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError):
        return None


def main() -> None:
    """Serve the requests on standard input."""
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # what imports print is no reply
    Warden(os.fdopen(requests, "rb"), os.fdopen(replies, "wb")).serve()
