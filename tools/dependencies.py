"""What the outputs of a notebook depend on: its code, the modules that it imports, and the files that these read.

Everything is read from the code, nothing is imported: an import counts wherever it stands, also in a function.
"""

import ast
import functools
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "resnet_edu"
BANK = f"{PACKAGE}/bank"
# Folders of files that a module reads.
READS = {f"{PACKAGE}.experiments": f"{PACKAGE}/experiments", f"{PACKAGE}.lab": f"{PACKAGE}/lab/recorded"}
# The lab's makers are called by an instrument's name, its questions read by a chapter's: only what a page names counts.
INSTRUMENTS = f"{PACKAGE}.lab.instruments"
QUESTIONS = f"{PACKAGE}/lab/questions"
ALSO_CALLED = {"recorded-results": "_banked"}  # what puts the bank into a notebook's output, in lab/assets.py
# Sphinx links the lab's front end into pages; no output holds it.
FRONT = f"{PACKAGE}/lab/front"
# The course's subcommand and the doctor import the course when they are called, and no page calls them.
IMPORTS_WHEN_CALLED = (f"{PACKAGE}.cli.course", f"{PACKAGE}.doctor")


def checksum(files: Iterable[Path], *more: str) -> str:
    """Return a checksum of these files, by name and content, and of further text."""
    total = hashlib.sha256("\0".join(more).encode())
    for path in sorted(files):
        total.update(f"\0{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return total.hexdigest()


def files_below(folder: str) -> Iterator[Path]:
    """Yield the files in a folder and below it, without what Python and the build have put there."""
    for path in (ROOT / folder).iterdir():
        if path.is_file():
            yield path
        elif path.name not in ("_build", "__pycache__"):
            yield from files_below(str(path.relative_to(ROOT)))


def find(module: str) -> Path | None:
    """Return the file of a module of this repository, None if there is none."""
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def with_packages(names: Iterable[str]) -> set[str]:
    """Return these names and the packages that they lie in, as far as they are modules of this repository."""
    every = {name.rsplit(".", count)[0] for name in names for count in range(name.count(".") + 1)}
    return {name for name in every if name.split(".")[0] == PACKAGE and find(name)}


def makers(named: frozenset[str]) -> frozenset[str]:
    """Return the functions that make the lab's other instruments than those ``named``."""
    if not (path := find(INSTRUMENTS)):
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tables = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "INSTRUMENTS"]
    pairs = [pair for table in tables for pair in zip(table.keys, table.values, strict=True)]
    function = {key.value: getattr(value, "attr", getattr(value, "id", "")) for key, value in pairs}
    functions = [*function.items(), *ALSO_CALLED.items()]
    return frozenset(name for _, name in functions) - {name for key, name in functions if key in named}


def walk(tree: ast.AST, inside: frozenset[str] = frozenset()) -> Iterator[tuple[ast.AST, frozenset[str]]]:
    """Yield the nodes of a tree, each with the names of the functions that it stands in."""
    for node in ast.iter_child_nodes(tree):
        around = inside | {node.name} if isinstance(node, ast.FunctionDef) else inside
        yield node, around
        yield from walk(node, around)


def imports(tree: ast.Module, module: str = "") -> dict[frozenset[str], set[str]]:
    """Return the repository's modules that a module's code imports itself, by the functions that the import stands in.

    ``module`` is its name.
    """
    package = module if module and find(module).name == "__init__.py" else module.rpartition(".")[0]
    found: dict[frozenset[str], set[str]] = {}
    for node, inside in walk(tree):
        names = found.setdefault(inside, set())
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package or None)
            names.update([source, *(f"{source}.{alias.name}" for alias in node.names)])
    return {inside: with_packages(names) for inside, names in found.items() if names}


@functools.cache
def imported_by(path: Path, module: str) -> dict[frozenset[str], set[str]]:
    """Return the modules that the one in this file imports itself, as ``imports`` does."""
    return imports(ast.parse(path.read_text(encoding="utf-8")), module)


def reached(names: Iterable[str], named: frozenset[str] | None = None) -> set[str]:
    """Return the repository's modules that these bring in, transitively, themselves included.

    ``named`` are the lab's instruments that are asked for by name; by default all.
    """
    modules, new = set(), with_packages(names)
    left_out = frozenset() if named is None else makers(named)

    def counts(module: str, inside: frozenset[str]) -> bool:
        if module in IMPORTS_WHEN_CALLED:
            return not inside
        return not (module.startswith(f"{PACKAGE}.lab.") and inside & left_out)

    while new:
        modules |= new
        found = [
            there
            for module in new
            for inside, there in imported_by(find(module), module).items()
            if counts(module, inside)
        ]
        new = set().union(*found) - modules
    return modules


def files_of(modules: set[str]) -> set[Path]:
    """Return the modules' files and what they read; a file of data that nobody claims counts for every module."""
    files = {find(module) for module in modules}
    for module in modules & READS.keys():
        files.update(files_below(READS[module]))
    claimed = [ROOT / folder for folder in (BANK, FRONT, QUESTIONS, *READS.values())]
    for path in files_below(PACKAGE) if modules else ():
        if path.suffix != ".py" and not any(folder in path.parents for folder in claimed):
            files.add(path)
    return files


def code_of(notebook: Path) -> ast.Module:
    """Return a notebook's code; ``%magics`` and ``!commands`` become calls. Raises SyntaxError."""
    from IPython.core.inputtransformer2 import TransformerManager  # half a second, which most builds do not need

    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return ast.parse("".join(map(TransformerManager().transform_cell, sources)), str(notebook))


def constants(tree: ast.AST) -> frozenset[str]:
    """Return the texts that stand in code."""
    found = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return frozenset(value for value in found if isinstance(value, str))


def experiments_read(tree: ast.Module, named: frozenset[str]) -> set[str]:
    """Return the bank's experiments that the code names (``named`` are its texts), all if it asks for their names."""
    every = {path.name for path in (ROOT / BANK).iterdir() if path.is_dir()}
    if any(isinstance(node, ast.Attribute) and node.attr == "names" for node in ast.walk(tree)):
        return every
    return every & named


def files_behind(notebook: Path) -> set[Path]:
    """Return all files on which a notebook's outputs depend, apart from itself."""
    tree = code_of(notebook)
    named = constants(tree) | {"predict", "recall"}
    modules = reached(set().union(*imports(tree).values()), named)
    files = files_of(modules) | {ROOT / "requirements.txt"}
    if f"{PACKAGE}.runs" in modules:
        for experiment in experiments_read(tree, named):
            files.update(files_below(f"{BANK}/{experiment}"))
    if f"{PACKAGE}.lab.questions" in modules:
        files.update(path for path in files_below(QUESTIONS) if path.stem in named)
    return files


def state(notebook: Path) -> str:
    """Return a checksum of all that a notebook's outputs depend on, apart from its own code."""
    return checksum(files_behind(notebook), sys.version)
