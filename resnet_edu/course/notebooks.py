"""Assignments and submissions as data: cells, questions, and which of a student's cells answers what.

The format is nbgrader's, version 3: each cell's metadata hold a ``grade_id``; the text between ``### BEGIN SOLUTION``
and ``### END SOLUTION`` is taken out for students, that between ``### BEGIN HIDDEN TESTS`` and
``### END HIDDEN TESTS`` too. Only Python's own library is used here: a grading machine needs nothing else.
"""

import ast
import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

CODE_STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
TEXT_STUB = "YOUR ANSWER HERE"
LARGEST = 1 << 30  # bytes
LARGEST_CODE, LARGEST_TEXT = 1 << 20, 16 << 20  # characters of all code cells, and of all others of a kind
MOST_CELLS = 5_000


class UnreadableError(ValueError):
    """A file is no notebook that could be graded; the message says why and what to do."""


@dataclass(frozen=True)
class Cell:
    """One cell of a notebook: its name (``grade_id``), kind and text."""

    name: str | None
    kind: str  # code, markdown or raw
    source: str
    metadata: dict = field(default_factory=dict, compare=False)

    @property
    def nbgrader(self) -> dict:
        """nbgrader's metadata, or an empty dictionary."""
        found = self.metadata.get("nbgrader")
        return found if isinstance(found, dict) else {}

    @property
    def is_grade(self) -> bool:
        """Whether points are given for the cell."""
        return self.nbgrader.get("grade") is True

    @property
    def is_answer(self) -> bool:
        """Whether a student writes the cell."""
        return self.nbgrader.get("solution") is True

    @property
    def is_test(self) -> bool:
        """Whether the cell is a question with an automatic answer."""
        return self.kind == "code" and self.is_grade and not self.is_answer

    @property
    def is_manual(self) -> bool:
        """Whether a person reads the answer."""
        return self.is_grade and self.is_answer

    @property
    def points(self) -> float:
        """What the question is worth."""
        return float(self.nbgrader.get("points", 0))

    @cached_property
    def stub(self) -> str:
        """The text that students get."""
        text = _cut(self.source, "SOLUTION", CODE_STUB if self.kind == "code" else TEXT_STUB)
        if self.is_answer and "### BEGIN SOLUTION" not in self.source:
            text = CODE_STUB if self.kind == "code" else TEXT_STUB
        return _cut(text, "HIDDEN TESTS", None)

    @property
    def model(self) -> str:
        """The instructor's own answer, without the marks around it."""
        return re.sub(r"^[ \t]*### (BEGIN|END) .*\n?", "", self.source, flags=re.MULTILINE).strip()

    @cached_property
    def visible(self) -> str:
        """The test that students see."""
        return _cut(self.source, "HIDDEN TESTS", None)

    @cached_property
    def hidden(self) -> str:
        """The hidden test, on the lines where it stands in the cell; empty if there is none."""
        lines, inside = [], False
        for line in self.source.split("\n"):
            begins, ends = "### BEGIN HIDDEN TESTS" in line, "### END HIDDEN TESTS" in line
            inside = (inside or begins) and not ends
            lines.append(line if inside and not begins else "")
        return "\n".join(lines) if any(lines) else ""

    @cached_property
    def messages(self) -> list[tuple[re.Pattern, list[str]]]:
        """What the hidden test can say: a pattern with a group for each value, and the texts around the groups."""
        found = []
        for node in nodes(self.hidden):
            texts = _around(node)
            if sum(map(len, texts)) >= 4:
                found.append((re.compile("(.{0,400}?)".join(map(re.escape, texts)), re.DOTALL), texts))
        return sorted(found, key=lambda each: -sum(map(len, each[1])))

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """The statements of the cell's code."""
        return statements(self.source)

    @cached_property
    def wanted(self) -> frozenset[str]:
        """Functions and classes that a student is asked for: those that the stub defines."""
        return Cell(self.name, self.kind, self.stub).defines if self.kind == "code" else frozenset()

    @cached_property
    def defines(self) -> frozenset[str]:
        """Functions and classes that the cell defines at its top level."""
        return frozenset(
            node.name
            for node in self.statements
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        )

    @cached_property
    def binds(self) -> frozenset[str]:
        """All names that the cell gives a value at its top level."""
        names = set(self.defines | self.imports)
        for node in self.statements:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = list(ast.walk(node))
                names |= {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
                names |= {n.name for n in inside if isinstance(n, ast.ExceptHandler) and n.name}
        return frozenset(names)

    @cached_property
    def imports(self) -> frozenset[str]:
        """All names that imports at the cell's top level bind."""
        return frozenset(
            (alias.asname or alias.name).split(".")[0]
            for node in self.statements
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        )


def statements(source: str) -> list[ast.stmt]:
    """Return the statements of a cell; lines for IPython alone (%, !) are skipped, wrong syntax gives none."""
    lines = ["pass" if re.match(r"[%!]", line) else line for line in source.split("\n")]
    lines = [re.sub(r"^(\s+)[%!].*", r"\1pass", line) for line in lines]
    try:
        return ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _around(node: ast.AST) -> list[str]:
    """Return the texts around the values of a string; of anything else, nothing."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    texts = [""]
    for part in node.values if isinstance(node, ast.JoinedStr) else ():
        if isinstance(part, ast.Constant):
            texts[-1] += part.value
        else:
            texts.append("")
    return texts


def nodes(source: str) -> list[ast.AST]:
    """Return all nodes of a cell's statements, at every depth."""
    return [node for statement in statements(source) for node in ast.walk(statement)]


def _cut(source: str, region: str, stub: str | None) -> str:
    """Replace each marked region by a stub with the region's indent, as nbgrader does."""
    lines, inside = [], False
    for line in source.split("\n"):
        if f"### BEGIN {region}" in line:
            if inside:
                raise ValueError(f"### BEGIN {region} stands inside another one: end the first with ### END {region}")
            inside = True
            indent = re.match(r"\s*", line)[0]
            lines += [indent + part for part in stub.split("\n")] if stub else []
        elif f"### END {region}" in line:
            inside = False
        elif not inside:
            lines.append(line)
    if inside:
        raise ValueError(f"### BEGIN {region} has no ### END {region}")
    return "\n".join(lines)


def read(path: Path) -> dict:
    """Return a notebook of the instructor's as JSON, as ``parse`` does."""
    if path.is_symlink() or not path.is_file():
        raise UnreadableError("the file is a link or no file; hand in the notebook itself")
    return parse(path.read_bytes())


def parse(content: bytes | bytearray) -> dict:
    """Return a notebook as JSON, each cell's source as one text and without outputs.

    Raises ``UnreadableError`` for whatever a stranger may have sent; that is parsed in the sandbox.
    """
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnreadableError("the file is not UTF-8 text; download it again as .ipynb") from None
    except (ValueError, RecursionError) as error:
        reason = f"the file is no JSON ({str(error)[:80]})" if content else "the file is empty"
        raise UnreadableError(f"{reason}; download it again as .ipynb") from None
    return _normal(notebook)


def _normal(notebook: object) -> dict:
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise UnreadableError("the file holds no list of cells; save it as a notebook of format 4")
    if len(cells) > MOST_CELLS:
        raise UnreadableError(f"the notebook has {len(cells):,} cells, more than {MOST_CELLS:,}; delete some")
    kept, sizes = [], {"code": 0, "markdown": 0, "raw": 0}
    for cell in cells:
        source = cell.get("source", "") if isinstance(cell, dict) else None
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        kind = cell.get("cell_type") if isinstance(cell, dict) else None
        if not isinstance(source, str) or kind not in ("code", "markdown", "raw"):
            raise UnreadableError("a cell is none of code, markdown or raw with a text; download the notebook again")
        sizes[kind] += len(source)
        most = LARGEST_CODE if kind == "code" else LARGEST_TEXT
        if sizes[kind] > most:
            raise UnreadableError(
                f"the {kind} cells have {sizes[kind]:,} characters or more, more than {most:,}; shorten them"
            )
        if "\0" in source or re.search("[\ud800-\udfff]", source):
            raise UnreadableError("a cell holds characters that are no text; type them again")
        metadata = cell.get("metadata")
        kept.append({**cell, "source": source, "metadata": metadata if isinstance(metadata, dict) else {}})
        kept[-1].pop("outputs", None)
    return {**notebook, "cells": kept}


def cells_of(notebook: dict) -> list[Cell]:
    """Return the cells of a notebook that ``read`` returned."""
    cells = []
    for cell in notebook["cells"]:
        metadata = cell["metadata"]
        known = metadata.get("nbgrader")
        name = known.get("grade_id") if isinstance(known, dict) else None
        name = name or cell.get("id") or metadata.get("id")  # Colab keeps a cell's id in the metadata
        cells.append(Cell(name if isinstance(name, str) else None, cell["cell_type"], cell["source"], metadata))
    return cells


def text_of(notebook: dict) -> str:
    """Return a notebook as Jupyter writes it: one line of text a line, keys in order."""
    cells = [{**cell, "source": cell["source"].splitlines(keepends=True)} for cell in notebook["cells"]]
    return json.dumps({**notebook, "cells": cells}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def write(notebook: dict, path: Path) -> None:
    """Write a notebook where its file holds another text."""
    text = text_of(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Assignment:
    """The source of an assignment: its cells with solutions and hidden tests."""

    name: str
    path: Path
    notebook: dict
    cells: tuple[Cell, ...]

    @classmethod
    def load(cls, course: Path, name: str, seed: int | None = None) -> "Assignment":
        """Load ``source/NAME/NAME.ipynb``; a ``seed`` replaces the number behind ``CLASS_SEED =``."""
        path = course / "source" / name / f"{name}.ipynb"
        if not path.is_file():
            raise ValueError(f"there is no assignment {name!r}; {there_are(course)}")
        notebook = read(path)
        if seed is not None:
            changed = 0
            for cell in notebook["cells"]:
                cell["source"], count = re.subn(
                    r"^CLASS_SEED = \d+", f"CLASS_SEED = {seed}", cell["source"], flags=re.M
                )
                changed += count
            if changed != 1:
                raise ValueError(f"{name} has {changed} lines 'CLASS_SEED = …', must have one to take a seed")
        return cls(name, path, notebook, tuple(cells_of(notebook)))

    @property
    def tests(self) -> list[Cell]:
        """The questions that are tested."""
        return [cell for cell in self.cells if cell.is_test]

    @property
    def manual(self) -> list[Cell]:
        """The questions that a person reads."""
        return [cell for cell in self.cells if cell.is_manual]

    @property
    def possible(self) -> float:
        """The points of all questions."""
        return sum(cell.points for cell in self.cells if cell.is_grade)

    @cached_property
    def checksum(self) -> str:
        """A checksum of all that decides a grade."""
        return hashlib.sha256(json.dumps([[c.name, c.source, c.nbgrader] for c in self.cells]).encode()).hexdigest()

    @cached_property
    def secret_pictures(self) -> list[tuple[str, str]]:
        """The name of each cell with a picture that students must not see, and the beginning of its bytes."""
        return [
            (cell.name, data[:200])
            for cell, raw in zip(self.cells, self.notebook["cells"], strict=True)
            for name, kinds in (raw.get("attachments") or {}).items()
            if name not in _attached(cell.stub)
            for data in ("".join(each) for each in kinds.values())
        ]

    @cached_property
    def release(self) -> dict:
        """The notebook for students: no solutions, hidden tests or outputs; as ``nbgrader generate_assignment``."""
        cells = []
        for cell, raw in zip(self.cells, self.notebook["cells"], strict=True):
            metadata = {**raw["metadata"]}
            if cell.nbgrader:
                if cell.is_answer or cell.is_grade or cell.nbgrader.get("locked"):
                    metadata["deletable"] = False
                    if not cell.is_answer:
                        metadata["editable"] = False
                metadata["nbgrader"] = {**cell.nbgrader, "cell_type": cell.kind, "checksum": _checksum(cell)}
            made = {**raw, "source": cell.stub, "metadata": metadata}
            if "attachments" in made:
                made["attachments"] = {k: v for k, v in made["attachments"].items() if k in _attached(cell.stub)}
                if not made["attachments"]:
                    del made["attachments"]
            if cell.kind == "code":
                made |= {"outputs": [], "execution_count": None}
            cells.append(made)
        return {**self.notebook, "cells": cells}


def _attached(text: str) -> set[str]:
    """Return the names of the attachments that a text shows."""
    return {unquote(name) for name in re.findall(r"attachment:([^\s)\"'>]+)", text)}


def _checksum(cell: Cell) -> str:
    """nbgrader's checksum of a released cell: it tells nbgrader which cells a student changed."""
    locked = not cell.is_answer and (cell.is_grade or bool(cell.nbgrader.get("locked")))
    text = f"{cell.stub}{cell.kind}{cell.is_grade}{cell.is_answer}{locked}{cell.name}"
    return hashlib.md5((text + (str(cell.points) if cell.is_grade else "")).encode()).hexdigest()


def names(course: Path) -> list[str]:
    """Return the names of a course's assignments."""
    return sorted(path.stem for path in course.glob("source/*/*.ipynb") if path.parent.name == path.stem)


def there_are(course: Path) -> str:
    """Say which assignments there are, and which folders hold notebooks that are none."""
    known = names(course)
    text = f"there are: {', '.join(known) or 'none'}"
    for folder in sorted(path for path in course.glob("source/*") if path.is_dir() and path.name not in known):
        held = ", ".join(sorted(path.name for path in folder.glob("*.ipynb"))) or "no notebook"
        text += (
            f"; source/{folder.name} holds {held}: an assignment is one notebook with its folder's name, "
            f"source/{folder.name}/{folder.name}.ipynb"
        )
    return text


def bound(lines: list[str]) -> frozenset[str]:
    """Return the names that a cell with these lines gives a value at its top level."""
    return Cell(None, "code", "".join(lines)).binds


def squeezed(source: str) -> str:
    """Return a text without spaces and line ends, to compare texts that editors have touched."""
    return "".join(source.split())
