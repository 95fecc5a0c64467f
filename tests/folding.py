"""Tell what a cell of a chapter does: it measures, it draws, or neither. The book's rule of folding rests on it.

A cell draws if it makes a figure, a table or a sentence with ``resnet_edu.figures``; it measures if it trains, probes
or changes a network, or counts what a table shows. A function that the notebook defines does what its body does.
"""

import ast
import importlib
import inspect
from types import ModuleType

from resnet_edu import figures

MEASURING = ("interventions", "landscape", "measures", "probes", "training", "transfer", "trials")
SENTENCES = (figures.say, figures.glue)
CAPTIONS = {"caption", "alt", "header", "head", "columns"}


def imported(tree: ast.AST) -> dict[str, object]:
    """Return what the imports from ``resnet_edu`` in a notebook's code bind, by name."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "resnet_edu":
            for alias in node.names:
                module = importlib.import_module(node.module)
                if not hasattr(module, alias.name):
                    module = importlib.import_module(f"{node.module}.{alias.name}")
                    found[alias.asname or alias.name] = module
                else:
                    found[alias.asname or alias.name] = getattr(module, alias.name)
    return found


def returns_picture(function: object) -> bool:
    """Return whether a function or class of ``resnet_edu.figures`` makes something to look at."""
    if function in SENTENCES or function in (figures.Figure, figures.Table):
        return True
    return callable(function) and inspect.signature(function).return_annotation in (figures.Figure, figures.Table)


def takes_network(function: object) -> bool:
    """Return whether a function runs a network or reads images: it has a parameter for them."""
    return callable(function) and bool({"network", "train", "data"} & set(inspect.signature(function).parameters))


def effect(function: object) -> str:
    """Return ``"draw"``, ``"say"``, ``"measure"``, ``"count"`` or ``""`` for what a call of this object does."""
    home = getattr(function, "__module__", "") or ""
    if not home.startswith("resnet_edu."):
        return ""
    if home.startswith("resnet_edu.figures"):
        if function is figures.say:
            return "say"
        return "draw" if returns_picture(function) else "measure" if takes_network(function) else ""
    small = {"TrainConfig", "DivergedError", "option_table", "learning_rate_at", "cpu_threads"}
    if home == "resnet_edu.accounting":
        return "count"
    measures = home.split(".")[1] in MEASURING and function.__name__ not in small
    return "measure" if measures else ""


class Cells:
    """What each cell of a notebook does, with names looked up in the whole notebook."""

    def __init__(self, sources: list[str]):
        self.trees = [ast.parse("\n".join(_python(line) for line in source.splitlines())) for source in sources]
        self.names, self.own = {}, {}
        for tree in self.trees:
            self.names |= imported(tree)
        for _ in range(3):  # functions that call functions
            for tree in self.trees:
                for node in ast.walk(tree):
                    if isinstance(node, ast.FunctionDef):
                        self.own[node.name] = self.effects(node)

    def effects(self, tree: ast.AST) -> set[str]:
        """Return the effects of all calls in a piece of code."""
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found |= self._called(node.func)
        return found - {""}

    def _called(self, function: ast.expr) -> set[str]:
        if isinstance(function, ast.Name) and function.id in self.own:
            return self.own[function.id]
        if isinstance(function, ast.Attribute) and function.attr in ("backward", "blocked_autorange"):
            return {"measure"}
        if ast.unparse(function) == "torch.autograd.grad":
            return {"measure"}
        thing = self._look_up(function)
        return set() if thing is None or isinstance(thing, ModuleType) else {effect(thing)}

    def _look_up(self, node: ast.expr) -> object:
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(base := self._look_up(node.value), ModuleType):
            return getattr(base, node.attr, None)
        return None


def _python(line: str) -> str:
    stripped = line.lstrip()
    return line[: len(line) - len(stripped)] + "pass" if stripped.startswith("%") else line


def faults(cells: list, folded: set[str] = frozenset({"hide-input", "remove-input"})) -> list[str]:
    """Return what is wrong with the folding of a notebook's code cells, a line for each offending cell."""
    code = [cell for cell in cells if cell.cell_type == "code"]
    book = Cells([cell.source for cell in code])
    found = []
    for cell, tree in zip(code, book.trees, strict=True):
        does, tags = book.effects(tree), set(cell.metadata.get("tags", []))
        given = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        measures = "measure" in does or {"count", "draw"} <= does  # a sentence may count
        if measures and does & {"draw", "say"}:
            found.append(f"{cell.id}: measures and draws; make two cells of it")
        elif measures and tags & folded:
            found.append(f"{cell.id}: measures, so it must be in sight")
        elif "draw" in does and not tags & folded:
            found.append(f"{cell.id}: only draws; give it the tag hide-input")
        elif "draw" in does and "hide-input" not in tags:
            found.append(f"{cell.id}: a figure or table whose code nobody can open; give it the tag hide-input")
        elif "say" in does and not tags & folded:
            found.append(f"{cell.id}: only says a sentence; give it the tag remove-input")
        elif not tags & folded and given & CAPTIONS:
            found.append(f"{cell.id}: in sight, but holds {', '.join(sorted(given & CAPTIONS))}")
    return found
