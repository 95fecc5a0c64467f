"""See what an answer does to the interpreter that its tests run in, and report it to the warden.

An audit hook (PEP 578) cannot be taken away again. It reports frames, tracing, memory, code objects, other processes,
sockets and files outside the working folder, where an answer's own code asks for them; a library may use them.
``Originals`` compares the modules and classes on which tests rely with what they were, and puts them back.
"""

import contextlib
import os
import sys
import types
from operator import attrgetter, is_, itemgetter
from sys import _getframe

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
LIBRARIES = (PACKAGE, sys.prefix, sys.base_prefix, "<frozen ")
FREE = (*LIBRARIES[:3], "/tmp/", "/dev/null", "/dev/urandom", "/usr/share/", "/content/", "/kaggle/")  # may be opened
# Modules of Python's own through which an answer may ask; what others of them ask for is their own affair.
TRANSPARENT = ("inspect", "traceback", "pathlib", "io", "os", "posixpath", "shutil", "subprocess", "pty", "socket",
               "multiprocessing", "ctypes", "gc", "sys", "threading", "bdb", "pdb", "trace", "glob", "mmap",
               "codeop", "code", "runpy", "importlib")  # fmt: skip
MEANINGS = ("__code__", "__defaults__", "__kwdefaults__")  # what says what a function does
KINDS = {
    "sys._getframe": "looks at the frames of other code", "sys._current_frames": "looks at the frames of other code",
    "sys._current_exceptions": "looks at the frames of other code",
    "sys.settrace": "traces other code", "sys.setprofile": "traces other code",
    "sys.monitoring.register_callback": "traces other code",
    "gc.get_objects": "searches memory (gc)", "gc.get_referrers": "searches memory (gc)",
    "gc.get_referents": "searches memory (gc)",
    "code.__new__": "makes code objects", "function.__new__": "makes functions from code objects",
    "os.fork": "starts processes", "os.forkpty": "starts processes", "os.posix_spawn": "starts processes",
    "os.spawn": "starts processes", "os.exec": "starts processes", "os.system": "starts processes",
    "subprocess.Popen": "starts processes", "pty.spawn": "starts processes",
    "os.kill": "sends signals to processes", "os.killpg": "sends signals to processes",
    "signal.pthread_kill": "sends signals to processes",
    "socket.connect": "uses the network", "socket.bind": "uses the network", "socket.sendto": "uses the network",
    "socket.getaddrinfo": "uses the network", "socket.gethostbyname": "uses the network",
    "resource.setrlimit": "changes limits", "resource.prlimit": "changes limits",
    "sys.addaudithook": "adds an audit hook",
}  # fmt: skip
CHANGES = ("object.__setattr__", "object.__delattr__")
OPENS = ("open", "os.listdir", "os.scandir")
EVENTS = frozenset((*KINDS, *CHANGES, *OPENS, "object.__getattr__", "exec", "compile"))  # and all of ctypes'
FRAMES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame", "f_code")
CODE = ("__code__", "gi_code", "cr_code", "ag_code")
READS = "reads code objects"
LONGEST = 160


def hook(report, folder: str, originals):
    """Return an audit hook that calls ``report(cell or "", what)`` once for each pair, and what switches it off.

    It also tells ``originals`` when any function's code or defaults change: no other event tells of that.
    """
    seen, busy = set(), []
    text = str

    def kind_of(event, arguments):
        if event in KINDS:
            return KINDS[event]
        if event.startswith("ctypes."):
            return "reaches into memory (ctypes)"
        if event == "object.__getattr__":
            name = arguments[1]
            return KINDS["sys._getframe"] if name in FRAMES else READS if name in CODE else None
        if event in CHANGES:
            return "changes the code of a function" if arguments[1] in CODE else None
        if event in OPENS:
            return opened(arguments[0])
        if event in ("exec", "compile"):
            return forged(event, arguments)
        return None

    def opened(path):
        if type(path) is bytes:
            path = path.decode("utf-8", "replace")
        if type(path) is not text or (not path.startswith("/") and ".." not in path):
            return None
        return None if path.startswith((folder, *FREE)) and ".." not in path else f"opens {path}"

    def forged(event, arguments):
        """Code under the name of a library's file would pass for the library's."""
        name = arguments[1] if event == "compile" else getattr(arguments[0], "co_filename", "")
        return "runs code under another file's name" if type(name) is text and name.startswith(LIBRARIES) else None

    def asked_by(frame, direct):
        """Return the answer's cell that asked, "" for other code of an answer, or nothing for others."""
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith("<code "):
                return name[6:-1]
            if name.startswith(("<given ", "<test ")):
                return None
            if name.startswith(LIBRARIES):
                module = frame.f_globals.get("__name__")
                if direct or "site-packages" in name or name.startswith((PACKAGE, "<frozen importlib")):
                    return None
                if type(module) is not text or module.split(".")[0] not in TRANSPARENT:
                    return None
            frame = frame.f_back
        return ""

    def audit(event, arguments):
        if event not in EVENTS and not event.startswith("ctypes."):
            return
        if event in CHANGES and arguments[1] in MEANINGS:
            originals.touched = True
        if busy:
            return
        busy.append(True)
        try:
            what = kind_of(event, arguments)
            if what is not None:
                cell = asked_by(_getframe(1), what == READS)
                if cell is not None and (cell, what) not in seen and len(seen) < 50:
                    seen.add((cell, what))
                    report(cell, what[:LONGEST])
        finally:
            busy.clear()

    return audit, busy


def _is_meaning(name: str, value) -> bool:
    """Return whether an attribute of a class says what its instances do; counters and caches do not."""
    return name in ("__module__", "__name__", "__bases__") or callable(value) or hasattr(type(value), "__get__")


def _is_dynamos(label: str, value) -> bool:
    """Return whether torch.compile itself has put a function in a place where it does."""
    file = getattr(getattr(value, "__code__", None), "co_filename", "")
    return label in ("torch.nn.Module.__init__", "torch.nn.Module.__setstate__") and "/torch/_dynamo/" in file


def same_code(one, other) -> bool:
    """Return whether two functions, or classes, do the same: a cell that ran twice makes new ones."""
    if isinstance(one, types.FunctionType) and isinstance(other, types.FunctionType):
        first, second = one.__code__, other.__code__
        same = first.co_code == second.co_code and first.co_names == second.co_names
        return same and one.__defaults__ == other.__defaults__ and _constants(first) == _constants(second)
    if isinstance(one, type) and isinstance(other, type):
        parts, others = ({k: v for k, v in vars(each).items() if callable(v)} for each in (one, other))
        same = one.__bases__ == other.__bases__ and parts.keys() == others.keys()
        return same and all(part is others[name] or same_code(part, others[name]) for name, part in parts.items())
    return False


def _constants(code) -> list:
    return [(c.co_code, _constants(c)) if isinstance(c, types.CodeType) else (type(c), c) for c in code.co_consts]


class Originals:
    """What modules, classes and functions were before any answer ran."""

    def __init__(self):
        self.spaces = {}  # label -> (owner, {name: value}, what gets all these at once, all names of a class)
        self.labels, self.functions = [], []
        self.meanings = {name: [] for name in MEANINGS}  # of each function, in the order of ``functions``
        self.touched = False  # whether the meaning of some function has changed: the audit hook says so
        self._known = set()

    def add_module(self, module, label: str) -> None:
        """Remember a module's functions and classes, and what is in its own classes."""
        kept = {}
        for name, value in list(vars(module).items()):
            if callable(value) or isinstance(value, types.ModuleType):
                kept[name] = value
                self.add(value, f"{label}.{name}", label.partition(".")[0])
        self._keep(label, module, kept, None)

    def _keep(self, label: str, owner, kept: dict, names: frozenset | None) -> None:
        if kept:
            self.spaces[label] = (owner, kept, itemgetter(*kept, *list(kept)[:1]), names)  # two at least: a tuple

    def add(self, value, label: str, root: str) -> None:
        """Remember a function's code, or a class's methods."""
        if isinstance(value, types.FunctionType):
            if id(value) not in self._known:
                self._known.add(id(value))
                self.labels.append(label)
                self.functions.append(value)
                for name, values in self.meanings.items():
                    values.append(getattr(value, name))
        elif isinstance(value, type) and id(value) not in self._known:
            module = getattr(value, "__module__", None)
            if isinstance(module, str) and module.partition(".")[0] == root and value.__flags__ & 1 << 9:
                self._known.add(id(value))
                kept = {name: each for name, each in vars(value).items() if _is_meaning(name, each)}
                self._keep(label, value, kept, frozenset(vars(value)))
                for name, each in kept.items():
                    inner = getattr(each, "__func__", each)
                    if isinstance(inner, types.FunctionType):
                        self.add(inner, f"{label}.{name}", root)

    def add_own(self, value, name: str) -> None:
        """Remember a function or class of the instructor's own, made in a cell."""
        for kept in [label for label in self.spaces if label.split(".")[0] == f"<{name}>"]:
            del self.spaces[kept]
        self.add(value, f"<{name}>", getattr(value, "__module__", "").partition(".")[0])

    def repair(self, only: str | None = None) -> list[str]:
        """Put back what was replaced, in one module or in all; return what it was.

        It runs around every part of a test, so a look at what is as it was takes place in C functions alone.
        """
        changed = []
        for label in self.spaces if only is None else (only,):
            owner, kept, get, names = self.spaces[label]
            now = vars(owner)
            try:
                same = all(map(is_, kept.values(), get(now)))
            except KeyError:
                same = False
            if not same:
                changed += self._put_back(label, owner, kept, names is not None)
            if names is not None and not names.issuperset(now):
                changed += self._strip(label, owner, names)
        if self.touched and only is None:
            self.touched = False
            changed += self._meanings_put_back()
        return list(dict.fromkeys(changed))

    def _meanings_put_back(self) -> list[str]:
        changed = []
        for name, values in self.meanings.items():
            if not all(map(is_, map(attrgetter(name), self.functions), values)):
                for label, function, value in zip(self.labels, self.functions, values, strict=True):
                    if getattr(function, name) is not value:
                        changed.append(label)
                        setattr(function, name, value)
        return changed

    @staticmethod
    def _put_back(label: str, owner, kept: dict, is_class: bool) -> list[str]:
        changed = []
        for name, value in kept.items():
            now = vars(owner).get(name)
            if now is not value and not _is_dynamos(f"{label}.{name}", now):
                changed.append(f"{label}.{name}")
                with contextlib.suppress(TypeError, AttributeError):
                    type.__setattr__(owner, name, value) if is_class else vars(owner).__setitem__(name, value)
        return changed

    @staticmethod
    def _strip(label: str, owner: type, names: frozenset) -> list[str]:
        """Take away methods that an answer added over those of a base class."""
        changed = []
        for name, value in list(vars(owner).items()):
            inherited = any(name in vars(base) for base in owner.__mro__[1:])
            if name not in names and inherited and (callable(value) or hasattr(value, "__get__")):
                code = getattr(getattr(value, "__func__", value), "__code__", None)
                if code is None or not code.co_filename.startswith(LIBRARIES):
                    changed.append(f"{label}.{name}")
                    type.__delattr__(owner, name)
        return changed
