"""What runs inside the sandbox: a warden, and for each submission a child that it forks.

The warden imports torch once and never runs a student's code. It reads one JSON request a line on standard input and
writes one JSON reply a line: first ``{"op": "configure", …}``, then for every submission ``begin``, cells (``code`` or
``test``), ``end``. The child runs the cells in one namespace, as a kernel does; a test gets a copy of it, so that no
test needs another one. The warden enforces time, memory and processes, and kills all that a child has left behind.

A child's replies carry the random number of their request. A child can still lie about its own tests, for they run
in its interpreter; it cannot reach anything else.
"""

import builtins
import contextlib
import ctypes
import importlib
import json
import linecache
import os
import random
import resource
import secrets
import select
import shutil
import signal
import socket
import sys
import time
import types

LONGEST = 1 << 16  # bytes of one reply
TICK = 0.05  # seconds between two looks at memory and processes
WATCHED = (
    "builtins", "math", "random", "numpy", "numpy.linalg", "numpy.testing", "torch", "torch.nn", "torch.nn.functional",
    "torch.autograd", "torch.linalg", "torch.testing",
)  # fmt: skip
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
ALLOW_AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class TimeLimitError(BaseException):
    """A cell has used up its time; no ``except Exception`` catches it."""


# --- the warden ---


class Warden:
    """Forks a child for each submission, passes requests on and watches over it."""

    def __init__(self, requests, replies):
        self.requests, self.replies = requests, replies
        self.child, self.channel = None, None
        self.buffer = b""

    def serve(self) -> None:
        """Answer requests until there are no more."""
        for line in self.requests:
            request = json.loads(line)
            reply = getattr(self, request.pop("op"))(**request)
            self.replies.write(json.dumps(reply) + "\n")
            self.replies.flush()
        self._kill()

    def configure(self, limits: dict, modules: list[str], uid: int | None, folder: str) -> dict:
        """Set the limits, give up the user's rights if ``uid`` says so, and import what submissions need."""
        self.limits, self.folder = limits, folder
        if uid is not None:
            os.chown(folder, uid, uid)
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        if sys.platform == "linux":
            libc = ctypes.CDLL(None)
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # processes whose parents ended come to the warden
        self.shell = _shell()
        for name in modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        self.watched = _watched()
        if sys.platform == "linux":
            libc.prctl(PR_SET_DUMPABLE, 0)  # a child, though of the same user, cannot write the warden's memory
        os.chdir(folder)
        import numpy
        import torch

        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        self.memory = _resident(os.getpid())
        versions = {"python": sys.version.split()[0], "torch": torch.__version__, "numpy": numpy.__version__}
        return {"ready": True, "versions": versions, "pid1": os.getpid() == 1}

    def begin(self) -> dict:
        """Fork a child for one submission."""
        self._kill()
        ours, theirs = socket.socketpair()
        self.child = os.fork()
        if self.child == 0:
            try:
                for stream in (self.requests, self.replies, ours):
                    stream.close()
                _Child(self, theirs).serve()
            finally:
                os._exit(0)
        theirs.close()
        self.channel, self.buffer = ours, b""
        return {"begun": True}

    def end(self) -> dict:
        """Kill what is left of a submission and clear its files; ``clean`` says whether that worked."""
        return {"clean": self._kill() and self._clear()}

    def code(self, **request) -> dict:
        """Run a cell in the submission's namespace."""
        return self._ask({"op": "code", **request})

    def test(self, **request) -> dict:
        """Run a test in a copy of the submission's namespace."""
        return self._ask({"op": "test", **request})

    def _ask(self, request: dict) -> dict:
        token = secrets.token_hex(16)
        deadline = time.monotonic() + 3 * request["limit"] + 2  # the child's own alarm counts CPU time
        forged = False
        try:
            self.channel.sendall(json.dumps({**request, "token": token}).encode() + b"\n")
        except OSError:
            return self._died()
        while True:
            line, found, rest = self.buffer.partition(b"\n")
            if found:
                self.buffer = rest
                try:
                    reply = json.loads(line)
                    if reply.pop("token") == token:
                        return {**reply, "alive": True, "forged": forged}
                except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
                    pass
                forged = True
                continue
            if len(self.buffer) > LONGEST:
                self._kill()
                return {"outcome": "crashed", "message": "wrote too much to the grader", "alive": False, "forged": True}
            if select.select([self.channel], [], [], TICK)[0]:
                try:
                    part = self.channel.recv(LONGEST)
                except OSError:
                    part = b""
                if not part:
                    return self._died()
                self.buffer += part
                continue
            trouble = self._trouble(deadline)
            if trouble:
                self._kill()
                return {**trouble, "alive": False, "forged": forged}

    def _trouble(self, deadline: float) -> dict | None:
        pids = _descendants()
        if len(pids) > self.limits["processes"]:
            return {"outcome": "crashed", "message": f"started more than {self.limits['processes']} processes"}
        memory = sum(map(_resident, pids)) - self.memory
        if memory > self.limits["memory"]:
            return {"outcome": "crashed", "message": f"used more than {self.limits['memory'] >> 20:,} MiB of memory"}
        if time.monotonic() > deadline:
            return {"outcome": "timeout", "message": "did not end in time and was stopped"}
        return None

    def _died(self) -> dict:
        status = 0
        with contextlib.suppress(ChildProcessError):
            for _ in range(20):  # the channel closes a moment before the process is gone
                pid, status = os.waitpid(self.child, os.WNOHANG)
                if pid:
                    break
                time.sleep(0.01)
        self._kill()
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            how = f"was ended by signal {number} ({signal.Signals(number).name})" if number < 32 else "was ended"
        else:
            how = f"ended the Python process (exit status {os.waitstatus_to_exitcode(status)})"
        return {"outcome": "crashed", "message": how, "alive": False, "forged": False}

    def _kill(self) -> bool:
        """Kill all processes of the submission; ``False`` if some are left."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        for _ in range(500):
            alive = _descendants()
            if os.getpid() == 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)  # all processes of the sandbox but this one
            else:
                for pid in alive:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return True
            time.sleep(0.005)
        return False

    def _clear(self) -> bool:
        """Empty the submission's folders; ``False`` if something is left."""
        folders = (self.folder, "/tmp", "/dev/shm") if os.getpid() == 1 else (self.folder,)
        keep = {self.folder, *_mounts()}  # Python itself may be mounted below /tmp
        return all([_empty(folder, keep) for folder in folders])


def _empty(folder: str, keep: set[str]) -> bool:
    """Remove all in a folder but these paths and what leads to them; return whether that worked."""
    empty = True
    for entry in os.scandir(folder):
        if entry.path in keep:
            continue
        if not entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
        elif any(path.startswith(entry.path + "/") for path in keep):
            empty = _empty(entry.path, keep) and empty
            continue
        else:
            shutil.rmtree(entry.path, ignore_errors=True)
        empty = empty and not os.path.lexists(entry.path)
    return empty


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


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def _shell():
    """Return IPython's shell, for magics and ``get_ipython``; it keeps no history."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"

    class Shell(InteractiveShell):
        def enable_gui(self, gui=None):
            """Do nothing: ``%matplotlib`` asks for a window."""

    return Shell.instance(config=config)


def _watched() -> dict[tuple[str, str], object]:
    """Return the functions on which tests rely, to see later whether one was replaced."""
    spaces = {name: vars(sys.modules[name]) for name in WATCHED if name in sys.modules}
    spaces |= {name: vars(module) for name, module in sys.modules.items() if name.startswith("resnet_edu.")}
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        spaces |= {"torch.Tensor": vars(torch.Tensor), "torch.nn.Module": vars(torch.nn.Module)}
    return {(space, name): value for space, found in spaces.items() for name, value in found.items() if callable(value)}


# --- the child ---


class _Child:
    """Runs one submission's cells, as they come."""

    def __init__(self, warden: Warden, channel: socket.socket):
        self.channel, self.watched, self.shell = channel, warden.watched, warden.shell
        self.armed = False
        for kind, key in (
            (resource.RLIMIT_DATA, "memory"),
            (resource.RLIMIT_FSIZE, "file"),
            (resource.RLIMIT_NPROC, "threads"),
        ):
            _limit(kind, warden.limits[key])
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_NOFILE, 512)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
        signal.signal(signal.SIGPROF, self._alarm)
        main = types.ModuleType("__main__")
        self.shell.user_module, self.namespace = main, main.__dict__
        self.shell.user_ns = main.__dict__
        main.__dict__.update({"__builtins__": builtins, "get_ipython": self.shell.get_ipython})
        sys.modules["__main__"] = main
        sys.stdin, sys.stdout, sys.stderr = (open(os.devnull, mode) for mode in ("r", "w", "w"))  # noqa: SIM115

    def serve(self) -> None:
        """Answer requests until there are no more."""
        read, buffer = self.channel.recv, b""
        while True:
            while b"\n" not in buffer:
                part = read(LONGEST)
                if not part:
                    return
                buffer += part
            line, _, buffer = buffer.partition(b"\n")
            request = json.loads(line)
            token = request.pop("token")
            reply = self._run(**request)
            self.channel.sendall(json.dumps({**reply, "token": token}).encode() + b"\n")

    def _alarm(self, *_):
        if self.armed:
            raise TimeLimitError

    def _run(self, op: str, name: str, source: str, limit: float, seed: int) -> dict:
        _seed(seed)
        file = f"<{op} {name}>"
        namespace = dict(self.namespace) if op == "test" else self.namespace
        error = None
        try:
            self.armed = True
            signal.setitimer(signal.ITIMER_PROF, limit, 0.5)
            try:
                self._execute(op, file, source, namespace)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                self.armed = False
        except BaseException as caught:
            error = caught
        self.armed = False
        reply = self._describe(error, file) if error is not None else {"outcome": "passed"}
        if op == "test":
            reply["changed"] = self._changed()
        return reply

    def _execute(self, op: str, file: str, source: str, namespace: dict) -> None:
        if op == "code":
            from IPython.core.inputtransformer2 import TransformerManager

            source = TransformerManager().transform_cell(source)  # a fresh one: a student may have changed the shell's
            linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # inspect.getsource
        code = compile(source, file, "exec", flags=ALLOW_AWAIT, dont_inherit=True)
        if code.co_flags & 0x80:  # CO_COROUTINE: the cell awaits
            import asyncio

            asyncio.run(eval(code, namespace))
        else:
            exec(code, namespace)

    def _describe(self, error: BaseException, file: str) -> dict:
        if isinstance(error, TimeLimitError):
            return {"outcome": "timeout", "message": "did not end in time"}
        frames, trace = [], error.__traceback__
        while trace is not None:
            frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        answers = [(name[6:-1], line) for name, line in frames if name.startswith("<code ")]
        try:
            message = str(error)[:2000]
        except BaseException:
            message = ""
        return {
            "outcome": "failed",
            "kind": type(error).__name__ if type(error).__module__ == "builtins" else "Exception",
            "message": message.encode("utf-8", "replace").decode(),
            "by_test": bool(frames) and frames[-1][0] == file and isinstance(error, AssertionError),
            "cell": answers[-1][0] if answers else None,
            "line": answers[-1][1] if answers else None,
            "missing": error.name if isinstance(error, NameError) and isinstance(error.name, str) else None,
        }

    def _changed(self) -> list[str]:
        """Return the watched functions that were replaced, and tests of truth that give the wrong answer."""
        changed = []
        for (space, name), value in self.watched.items():
            owner = sys.modules.get(space) or {"torch.Tensor": "Tensor", "torch.nn.Module": "Module"}.get(space)
            if isinstance(owner, str):
                owner = vars(sys.modules["torch" if owner == "Tensor" else "torch.nn"])[owner]
            if owner is None or vars(owner).get(name) is not value:
                changed.append(f"{space}.{name}")
        if sys.gettrace() is not None or sys.getprofile() is not None:
            changed.append("sys.settrace")
        if "torch" in sys.modules and "numpy" in sys.modules and not changed:
            torch, numpy = sys.modules["torch"], sys.modules["numpy"]
            zero, one = torch.zeros(2), torch.ones(2)
            lies = torch.equal(zero, one), torch.allclose(zero, one), bool((zero == one).any())
            if any(lies) or numpy.allclose(0.0, 1.0) or isinstance(0, str):
                changed.append("what a comparison returns")
        return changed[:20]


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _seed(seed: int) -> None:
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def main() -> None:
    """Serve the requests on standard input."""
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # what imports print is no reply
    Warden(os.fdopen(requests, "r", encoding="utf-8"), os.fdopen(replies, "w", encoding="utf-8")).serve()


if __name__ == "__main__":
    main()
