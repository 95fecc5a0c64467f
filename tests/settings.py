"""Find sentences and captions of a chapter that state a setting in words where the reader can have changed it.

A setting is a literal in sight that says how the page trains: ``depths``, ``seed``, ``seeds``, or ``epochs=8`` in a
``TrainConfig``. What is computed from one follows it, statement by statement. A cell that shows such results must take
the number of epochs, seeds or depths from them (``figures.counted``).
"""

import ast
import re
from collections.abc import Iterator

from folding import Cells

NAMES = {"depths", "seed", "seeds"}
NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "fifteen"]
STATED = re.compile(rf"\b(?:\d\d+|[02-9]|{'|'.join(NUMBERS)}) (?:seeds?|epochs?|depths)\b")


def _bound(tree: ast.AST) -> set[str]:
    """Return the names that a statement binds or changes in the notebook, none of a function or comprehension."""
    if isinstance(tree, ast.FunctionDef):
        return {tree.name}
    if isinstance(tree, ast.comprehension | ast.Lambda):
        return set()
    own = {tree.id} if isinstance(tree, ast.Name) and isinstance(tree.ctx, ast.Store) else set()
    changed = isinstance(tree, ast.Subscript) and isinstance(tree.ctx, ast.Store)
    if changed or (isinstance(tree, ast.Attribute) and tree.attr in {"append", "extend"}):
        own |= {tree.value.id} if isinstance(tree.value, ast.Name) else set()
    return own.union(*map(_bound, ast.iter_child_nodes(tree)))


def _read(tree: ast.AST) -> set[str]:
    """Return the names that a statement reads, without those that it binds inside itself."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    inner = {node.id for node in names if isinstance(node.ctx, ast.Store)} - _bound(tree)
    inner |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    inner |= {one for node in ast.walk(tree) if isinstance(node, ast.For) for one in _bound(node.target)}
    return {node.id for node in names if isinstance(node.ctx, ast.Load)} - inner


def _trains(tree: ast.AST) -> bool:
    """Return whether a statement fixes a number of epochs by a literal."""
    return any(
        isinstance(node, ast.keyword) and node.arg == "epochs" and isinstance(node.value, ast.Constant)
        for node in ast.walk(tree)
    )


def _strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def faults(cells: list) -> list[str]:
    """Return the phrases of folded cells that state a changeable setting, with the cell's name."""
    code = [cell for cell in cells if cell.cell_type == "code"]
    changeable, found = set(), []
    for cell, tree in zip(code, Cells([cell.source for cell in code]).trees, strict=True):
        folded = {"hide-input", "remove-input"} & set(cell.metadata.get("tags", []))
        shows = False
        for statement in tree.body:
            own, follows = _bound(statement), bool(changeable & _read(statement))
            shows |= follows
            if follows or (not folded and (own & NAMES or _trains(statement))):
                changeable |= own
            else:
                changeable -= own
        if folded and shows:
            found += [f"{cell.id}: {one[0]!r}" for text in _strings(tree) for one in STATED.finditer(text)]
    return found
