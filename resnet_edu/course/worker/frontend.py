"""Stand-ins for what only a notebook's front end answers: magics, shell lines, widgets, Colab's drive.

None of them does anything. What they stand for changes no answer, and a missing one must not cost a cell.
"""

import importlib.abc
import importlib.util
import re
import sys
import types

COLAB = ("google.colab",)
NETWORK = re.compile(r"\s*(?:sudo\s+)?(?:python3?\s+-m\s+)?(?:pip3?|conda|mamba|uv|apt|apt-get|wget|curl|git)\b")
NO_WINDOW = re.compile(
    r"(?:matplotlib\.backends\.backend_(?:(?:tk|qt|qt5|qt6|wx|gtk3|gtk4|web|macos)\w*|macosx|nbagg)"
    r"|ipympl\.backend_nbagg)"
)


def make_shell():
    """Return IPython's shell, for magics and ``get_ipython``; it keeps no history and opens no window."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"

    class Shell(InteractiveShell):
        def enable_gui(self, gui=None):
            """Do nothing: ``%matplotlib`` asks for a window."""

        def enable_matplotlib(self, gui=None):
            """Do nothing: figures are drawn, and nobody sees them."""
            return gui, "agg"

        def enable_pylab(self, gui=None, import_all=True, welcome_message=False):
            """Do nothing, as above."""
            return gui, "agg", []

        def run_line_magic(self, name, line, _stack_depth=1):
            """Run a magic, but for those that install, load an extension, or are a front end's own."""
            if name in ("pip", "conda", "mamba", "uv", "load_ext", "reload_ext", "matplotlib", "pylab", "gui"):
                return None
            if self.find_line_magic(name) is None:
                return None
            try:
                return super().run_line_magic(name, line, _stack_depth + 1)
            except Exception as error:
                if name in ("time", "timeit", "prun"):
                    raise
                print(f"%{name}: {error}")
                return None

        def run_cell_magic(self, name, line, cell):
            """Run a cell magic; a front end's own one is no code."""
            return None if self.find_cell_magic(name) is None else super().run_cell_magic(name, line, cell)

        def system(self, command):
            """Run a shell line, but for those that need the network."""
            return None if NETWORK.match(command) else super().system(command)

        def getoutput(self, command, split=True, depth=0):
            """Return a shell line's output, as above."""
            if NETWORK.match(command):
                return [] if split else ""
            return super().getoutput(command, split=split, depth=depth + 1)

    sys.meta_path.append(_Finder())
    sys.meta_path.insert(0, _NoWindow())
    return Shell.instance(config=config)


def names() -> dict[str, object]:
    """Return the names that a kernel's namespace has from the beginning."""
    return {"display": lambda *_, **__: None}


def transformed(source: str) -> str:
    """Return a cell as Python: magics and shell lines become calls."""
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)  # a fresh one: an answer may have changed the shell's


class _Nothing:
    """Something of a front end's: every part of it can be called, does nothing, and gives no files."""

    def __call__(self, *_, **__) -> dict:
        return {}

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return self


class _Quiet(types.ModuleType):
    """A module of which every name is ``_Nothing``."""

    __path__: tuple = ()

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing()


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Find Colab's own package and its parts where they are not installed."""

    def find_spec(self, name, path=None, target=None):
        if name == "google" or name in COLAB or name.startswith("google.colab."):
            return importlib.util.spec_from_loader(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Quiet(spec.name) if spec.name != "google" else types.ModuleType("google")

    def exec_module(self, module):
        module.__path__ = []


class _NoWindow(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Give Matplotlib the backend without a window for each that has one."""

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if NO_WINDOW.fullmatch(name) else None

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        from matplotlib.backends import backend_agg

        own = ("__name__", "__loader__", "__spec__")
        module.__dict__.update({key: value for key, value in vars(backend_agg).items() if key not in own})
