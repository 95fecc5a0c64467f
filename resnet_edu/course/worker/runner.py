"""The child: reads one submission's notebook and runs its cells, as they come.

This module, ``values`` and ``watching`` are loaded by the zygote as copies that stand in no table of modules and have
builtins of their own, so an answer finds them only by looking at frames or memory, which is reported first. What
passes between child and warden goes through C functions alone: an answer may have changed Python's own modules.
"""

import linecache
import os
import random
import resource
import signal
import sys
import types
from _json import encode_basestring_ascii as quoted
from hashlib import blake2b
from marshal import loads
from os import read, write

LONGEST = 1 << 16  # bytes read at once
ALLOW_AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
FUTURE = 0x1FF0000  # flags that ``from __future__ import …`` leaves in a code object
AGAIN = 0.5  # seconds between two alarms, for a cell that catches the first
TEXT = 2000  # characters of a message


def encoded(value) -> str:
    """Return JSON."""
    kind = type(value)
    if kind is str:
        return quoted(value)
    if kind is bool or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if kind is int:
        return int.__repr__(value)
    if kind is list:
        return "[" + ", ".join([encoded(item) for item in value]) + "]"
    return "{" + ", ".join([f"{quoted(key)}: {encoded(item)}" for key, item in value.items()]) + "}"


class Runner:
    """Answers the warden's requests about one submission."""

    def __init__(self, channel, limits: dict, folder: str, shell, parts):
        self.channel, self.shell, self.parts = channel.fileno(), shell, parts
        self.buffer, self.flags, self.trusted = b"", 0, {}
        self.sound = False  # whether nothing of an answer's has run since all was compared and put back
        self.key = self._line()
        hook, self.busy = parts.watching.hook(self._report, folder, parts.originals)
        _limit_resources(limits)
        signal.signal(signal.SIGPROF, signal.default_int_handler)  # C: nothing of the runner hangs on it
        signal.signal(signal.SIGINT, signal.default_int_handler)
        main = types.ModuleType("__main__")
        shell.user_module, self.namespace = main, main.__dict__
        shell.user_ns = main.__dict__
        main.__dict__.update({"__builtins__": parts.builtins, "get_ipython": shell.get_ipython})
        main.__dict__.update(parts.frontend.names())
        sys.modules["__main__"] = main
        sys.stdin, sys.stdout, sys.stderr = (open(os.devnull, mode) for mode in ("r", "w", "w"))  # noqa: SIM115
        os.makedirs(folder, exist_ok=True)
        os.chdir(folder)
        self.modes = parts.state.snapshot()
        # torch.manual_seed notes for each device that is not there from where it was called: a millisecond each time
        self.seeds = (random.seed, sys.modules["numpy"].random.seed, sys.modules["torch"].default_generator.manual_seed)
        os.register_at_fork(after_in_child=channel.close)  # a twin cannot answer
        sys.addaudithook(hook)

    def serve(self) -> None:
        """Answer requests until there are no more."""
        while line := self._line():
            request = loads(bytes.fromhex(line.decode()))
            token, op = request.pop("token"), request.pop("op")
            reply = self._read(**request) if op == "read" else self._run(op, **request)
            self._send(encoded(reply), token)

    def _line(self) -> bytes:
        while b"\n" not in self.buffer:
            part = read(self.channel, LONGEST)
            if not part:
                return b""
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def _send(self, body: str, token: str) -> None:
        data = body.encode()
        mac = blake2b(token.encode() + data, key=self.key, digest_size=16).hexdigest()
        self._write(mac.encode() + b" " + data + b"\n")

    def _report(self, cell: str, what: str) -> None:
        self._write(b"seen " + encoded([cell, what]).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        while data:
            data = data[write(self.channel, data) :]

    def _read(self, size: int) -> dict:
        """Return the notebook that follows on the channel, without what grading does not need."""
        content = bytearray(self.buffer)
        self.buffer = b""
        while len(content) < size:
            part = read(self.channel, 1 << 20)
            if not part:
                os._exit(0)
            content += part
        notebooks, submissions = self.parts.notebooks, self.parts.submissions
        try:
            return {"cells": submissions.facts(notebooks.parse(content))}
        except notebooks.UnreadableError as error:
            return {"unreadable": str(error)}
        except MemoryError:
            return {"unreadable": "the notebook is too large to be read; clear the outputs and hand in again"}

    def _run(self, op: str, name: str, source, limit: float, seed: int) -> dict:
        changed = self.parts.originals.repair("builtins")  # all that follows needs them, and Python's own modules
        for draw in self.seeds:
            draw(seed)
        file, error, reset = f"<{op} {name}>", None, []
        namespace, inference = self.namespace, None
        if op != "code":
            reset = self.parts.state.restore(self.modes)
            inference = self._outside_inference(reset)
            changed += [] if self.sound else self._repaired(op)
        self.sound = False
        if op == "test":
            namespace = self._for_test()
        before = set(self.namespace)
        left = limit
        try:
            try:
                signal.setitimer(signal.ITIMER_PROF, limit, AGAIN)
                self._execute(op, file, source, namespace)
            finally:
                left = signal.setitimer(signal.ITIMER_PROF, 0)[0]
        except BaseException as caught:
            error = caught
        # The timer itself says whether it has rung: on a busy machine it counts otherwise than the process's clock.
        if isinstance(error, KeyboardInterrupt) and left <= AGAIN:
            reply = {"outcome": "timeout", "message": "did not end in time"}
        else:
            reply = {"outcome": "passed"} if error is None else self._describe(error, file)
        if inference is not None:
            inference.__exit__(None, None, None)
        if op == "given":
            self._trust(name, before)
        if op == "test":
            changed += self._repaired(op)
            self.sound = True
        return {**reply, "changed": changed[:20], "reset": reset[:20]}

    def _execute(self, op: str, file: str, source, namespace: dict) -> None:
        if op == "test":  # compiled by the warden, unless it is no Python
            code = self.parts.values.compile_test(source, file) if type(source) is str else source
        else:
            flags = ALLOW_AWAIT | (self.flags if op == "code" else 0)
            try:  # what is Python as it stands, IPython leaves as it stands
                code = self._compiled(source, file, flags)
            except SyntaxError:
                code = self._compiled(self.parts.frontend.transformed(source), file, flags)
            if op == "code":
                self.flags |= code.co_flags & FUTURE  # as a kernel keeps them for the next cell
        if code.co_flags & 0x80:  # CO_COROUTINE: the cell awaits
            import asyncio

            asyncio.run(eval(code, namespace))
        else:
            exec(code, namespace)

    @staticmethod
    def _compiled(source: str, file: str, flags: int) -> types.CodeType:
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # for inspect.getsource
        return compile(source, file, "exec", flags=flags, dont_inherit=True)

    # --- what tests rely on ---

    def _outside_inference(self, reset: list[str]):
        torch = sys.modules["torch"]
        if not torch.is_inference_mode_enabled():
            return None
        reset[:] = [mode for mode in reset if mode != "the gradient mode"] + ["inference mode"]
        guard = torch.inference_mode(False)
        guard.__enter__()
        return guard

    def _trust(self, name: str, before: set[str]) -> None:
        """Note what a cell of the instructor's binds, and that its modes are meant."""
        for key in self.parts.notebooks.bound(linecache.cache[f"<given {name}>"][2]):
            if key in self.namespace:
                self.trusted[key] = value = self.namespace[key]
                if isinstance(value, type | types.FunctionType):
                    self.parts.originals.add_own(value, key)
        self.modes = self.parts.state.snapshot()

    def _repaired(self, op: str) -> list[str]:
        """Give the instructor's names and the libraries their own meaning again; return what had another one."""
        self.busy.append(True)
        try:
            changed = [] if op == "given" else self.parts.originals.repair()
            for key, value in self.trusted.items() if op == "test" else ():
                now = self.namespace.get(key, self)
                if now is not value:
                    self.namespace[key] = value
                    code = isinstance(value, type | types.ModuleType | types.FunctionType)
                    if code and not self.parts.watching.same_code(value, now):
                        changed.append(key)
        finally:
            self.busy.clear()
        return changed

    def _for_test(self) -> dict:
        """Return a copy of the namespace in which built-in names mean what they always mean."""
        own = self.parts.builtins_copy
        kept = {key: value for key, value in self.namespace.items() if key not in own or key in self.trusted}
        return {**kept, "__name__": "__main__", "__builtins__": own, **self.parts.guards}

    def _describe(self, error: BaseException, file: str) -> dict:
        frames, trace = [], error.__traceback__
        while trace is not None:
            frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        answers = [(name[6:-1], line) for name, line in frames if name.startswith("<code ")]
        try:
            message = str(error)[:TEXT]
            message = str.encode(message, "utf-8", "replace").decode()
        except BaseException:
            message = ""
        kind = type(error)
        last = frames[-1][0] if frames else ""
        return {
            "outcome": "failed",
            "kind": kind.__name__ if kind in self.parts.known else "Exception",
            "message": message,
            "by_test": kind is AssertionError and last in (file, self.parts.values.__file__),
            "stub": kind is NotImplementedError and last.startswith("<code ") and not message,
            "cell": answers[-1][0] if answers else None,
            "line": answers[-1][1] if answers else None,
            "missing": error.name if kind in (NameError, UnboundLocalError) and type(error.name) is str else None,
        }


def _limit_resources(limits: dict) -> None:
    mapped = 0
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm", "rb") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
    for kind, value in (
        (resource.RLIMIT_DATA, limits["memory"]),
        # What is mapped counts, not what is touched: so a limit is met at once, however slow the machine is.
        (resource.RLIMIT_AS, mapped + limits["memory"] if mapped else resource.RLIM_INFINITY),
        (resource.RLIMIT_FSIZE, limits["file"]),
        (resource.RLIMIT_NPROC, limits["threads"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 512),
    ):
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = hard if value == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
