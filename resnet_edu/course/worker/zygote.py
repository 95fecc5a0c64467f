"""The zygote: imports what submissions need, once, and forks a child for each of them.

It is forked off the warden before the first submission and is told nothing of any: a child's heap is clean.
"""

import builtins
import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import signal
import socket
import sys
import types
from pathlib import Path

PR_SET_DUMPABLE = 4
WATCHED = (
    "builtins", "ast", "contextlib", "linecache", "os", "random", "resource", "signal", "time", "types", "warnings",
    "math", "copy", "itertools", "functools", "operator", "collections",
    "numpy", "numpy.linalg", "numpy.random", "numpy.testing",
    "torch", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.modules.module",
    "torch.autograd", "torch.func", "torch.linalg", "torch.testing",
)  # fmt: skip


def serve(warden: socket.socket, limits: dict, modules: list[str], folder: str) -> None:
    """Import ``modules``, say what there is, then fork whenever the warden asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import numpy
    import torch

    from resnet_edu.course import notebooks, submissions
    from resnet_edu.course.worker import frontend, state

    shell = frontend.make_shell()
    values, watching, runner = (_private(name) for name in ("values", "watching", "runner"))
    known = values.known_types()
    parts = types.SimpleNamespace(
        values=values, watching=watching, known=known, guards=values.guards(known), notebooks=notebooks,
        submissions=submissions,
        frontend=frontend, state=state, originals=_originals(watching, modules), builtins=builtins,
        builtins_copy=dict(vars(builtins)),
    )  # fmt: skip
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)  # nobody, though of the same user, reads or writes its memory
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "numpy": numpy.__version__}
    gc.collect()
    gc.freeze()  # the collector leaves alone, and so does not copy, what all children share
    warden.send(json.dumps({"ready": True, "versions": versions}).encode())
    while True:
        message, files, _, _ = socket.recv_fds(warden, 64, 1)
        if not message:
            return
        if message.startswith(b"wait "):
            warden.send(str(_status(int(message[5:]))).encode())
            continue
        pid = os.fork()
        if pid == 0:
            try:
                warden.close()
                runner.Runner(socket.socket(fileno=files[0]), limits, folder, shell, parts).serve()
            finally:
                os._exit(0)
        os.close(files[0])
        warden.send(str(pid).encode())


def _status(pid: int) -> int:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, 0)[1]
    return 0


def _private(name: str):
    """Load a copy of a module of this package that stands in no table, with builtins of its own."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"<{name}>", path)
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__builtins__"] = dict(vars(builtins))
    spec.loader.exec_module(module)
    return module


def _originals(watching, modules: list[str]):
    """Remember the modules on which tests rely: the package's own, those that the source imports, and torch's."""
    found = watching.Originals()
    names = dict.fromkeys([*WATCHED, *modules, *sorted(name for name in sys.modules if name.startswith("resnet_edu."))])
    for name in names:
        module = sys.modules.get(name)
        if isinstance(module, types.ModuleType) and not name.startswith("torch._dynamo"):
            found.add_module(module, name)
    return found
