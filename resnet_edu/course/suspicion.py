"""Find code in answers that a person should look at. Nobody loses a point for it."""

import ast
import builtins

from resnet_edu.course.notebooks import Assignment, Cell, nodes

MODULES = {
    "_ctypes", "_thread", "builtins", "ctypes", "faulthandler", "gc", "importlib", "inspect", "marshal",
    "multiprocessing", "pickle", "pty", "resource", "shutil", "signal", "socket", "subprocess", "sys", "threading",
    "traceback", "urllib", "requests",
}  # fmt: skip
NAMES = {"get_ipython", "In", "Out", "_ih", "__builtins__", "__import__", "eval", "exec", "compile", "globals", "open"}
ATTRIBUTES = {
    "_exit", "_getframe", "_current_frames", "settrace", "setprofile", "system", "popen", "fork", "kill", "killpg",
    "f_globals", "f_locals", "f_back", "tb_frame", "__globals__", "__subclasses__", "__code__", "__closure__",
    "input_transformers_post", "showtraceback", "run_cell",
}  # fmt: skip


def suspicious(assignment: Assignment, cell: Cell) -> list[str]:
    """Return what is unusual about an answer: modules, names and attributes that no question needs.

    A name that the question's own text (its stub) uses is not unusual.
    """
    found = set()
    given = {name for source in assignment.cells if source.name == cell.name for name in _words(source.stub)}
    for node in nodes(cell.source):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.split(".")[0]} & MODULES
        elif isinstance(node, ast.Name):
            found |= {node.id} & NAMES
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & ATTRIBUTES
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "NBGRADER" in node.value:
            found.add(node.value[:40])
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = node.value.id if isinstance(node.value, ast.Name) else None
            if owner in ("np", "numpy", "torch", "F", "nn", "math", "builtins"):
                found.add(f"{owner}.{node.attr} = …")
    flags = [f"{cell.name} uses {name}" for name in sorted(found - given)]
    locked = {name for other in assignment.cells if not other.is_answer for name in other.binds}
    taken = cell.binds & (locked | set(dir(builtins))) - {n for c in assignment.cells if c.is_answer for n in c.binds}
    return flags + [f"{cell.name} gives another meaning to {name}" for name in sorted(taken - cell.imports)]


def _words(source: str) -> set[str]:
    return {
        value
        for node in nodes(source)
        for value in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None))
        if isinstance(value, str)
    }
