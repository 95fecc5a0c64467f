"""Check assignments before students see them: their form, their tests, and that nothing secret has leaked out.

The tests are run four times: with the solutions under two seeds, with the stubs, and with answers that return
``None``. A test that passes with those cannot fail.
"""

import ast
import contextlib
import html
import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from resnet_edu.course import notebooks
from resnet_edu.course.classroom import imports
from resnet_edu.course.notebooks import Assignment, Cell
from resnet_edu.course.running import run
from resnet_edu.course.sandbox import Limits, Sandbox

SHORTEST = 24  # characters of a line, without spaces, that give a leak away
TESTING = {"allclose", "equal", "array_equal", "isclose", "all", "any", "isinstance"}


def check(course: Path, names: list[str], kind: str, limits: Limits) -> Iterator[tuple[str, list[str]]]:
    """Yield each assignment's name and all its problems; without any it can be handed out."""
    sandbox, files = None, public_files(course)
    loaded: dict[str, Assignment] = {}
    given: list[str] = []
    for name in notebooks.names(course):
        with contextlib.suppress(ValueError):  # its own check says what is wrong with it
            loaded[name] = Assignment.load(course, name)
            given += [cell.stub for cell in loaded[name].cells]
    try:
        for name in names:
            try:
                assignment = loaded.get(name) or Assignment.load(course, name)  # which says what is wrong
                problems = form(assignment)
            except ValueError as error:
                yield name, [str(error)]
                continue
            if not problems:  # tests of a broken form would only repeat it
                if sandbox is None:
                    modules = sorted({module for one in names if one in loaded for module in imports(loaded[one])})
                    sandbox = Sandbox(kind, course, limits, modules)
                    sandbox.start()
                problems = behaviour(assignment, sandbox, limits)
            problems += beside(course, name)
            yield name, problems + freshness(course, assignment) + leaks([assignment], files, given)
    finally:
        if sandbox is not None:
            sandbox.stop()


# --- form ---


def form(assignment: Assignment) -> list[str]:
    """Return what is wrong with names, points, marks, and tests as they are written."""
    problems = []
    counts = Counter(cell.name for cell in assignment.cells)
    problems += [f"the name {name!r} is given to {n} cells; give each its own" for name, n in counts.items() if n > 1]
    for place, cell in enumerate(assignment.cells):
        label = cell.name or f"cell {place + 1}"
        problems += [f"{label}: {text}" for text in _form_of(cell, assignment.notebook["cells"][place])]
    answered = {name: cell.name for cell in assignment.cells if cell.is_answer for name in _stub_names(cell)}
    for cell in assignment.cells:
        if cell.kind == "code" and not cell.is_answer:
            problems += [
                f"{cell.name}: it gives another meaning to {name}, which is the answer of {answered[name]}; "
                "rename it here (the name behind 'except … as' is even deleted)"
                for name in sorted(cell.binds & answered.keys())
            ]
    if not assignment.tests:
        problems.append("there is no question with a test")
    return problems


def _stub_names(cell: Cell) -> frozenset[str]:
    try:
        return cell.wanted
    except ValueError:  # unbalanced marks, which are named elsewhere
        return frozenset()


def _form_of(cell: Cell, raw: dict) -> Iterable[str]:
    about = cell.nbgrader
    if not about:
        yield "it has no nbgrader metadata; give it a grade_id, and lock it if it is no answer"
        return
    if not re.fullmatch(r"[a-z][a-z0-9_]*", str(about.get("grade_id", ""))):
        yield f"grade_id must be snake_case, got {about.get('grade_id')!r}"
    if about.get("schema_version") != 3:
        yield f"schema_version must be 3, got {about.get('schema_version')!r}"
    if raw.get("outputs") or raw.get("execution_count") is not None:
        yield "it carries outputs; clear them"
    try:
        _ = cell.stub, cell.visible, cell.hidden
    except ValueError as error:
        yield str(error)
        return
    if about.get("task") is True or re.search(r"=== (BEGIN|END) MARK SCHEME ===", cell.source):
        yield (
            "nbgrader's task cells and mark schemes are not supported: students would get the scheme; make it a "
            "Markdown answer (solution and grade) with the scheme as its rubric"
        )
    if cell.is_manual and cell.kind != "markdown":
        yield f"an answer that a person reads must be a Markdown cell, not {cell.kind}"
    elif cell.is_answer and cell.kind == "raw":
        yield "an answer must be a code or a Markdown cell, not raw"
    if cell.is_grade and cell.kind != "code" and not cell.is_answer:
        yield "points for a cell that is neither test nor answer are not supported"
    if cell.is_grade:
        points = about.get("points")
        good = isinstance(points, int | float) and not isinstance(points, bool) and math.isfinite(points) and points > 0
        if not good:
            yield f"points must be a positive number, got {points!r}"
        elif cell.is_test:
            named = re.match(r"#.*\((\d+(?:\.\d+)?) points?\)", cell.source)
            if not named or float(named[1]) != points:
                yield f"the first line must be a comment that ends in ({points:g} points)"
    if "### BEGIN SOLUTION" in cell.source and not cell.is_answer:
        yield "it holds a solution but is not marked as one: students would get it"
    if "### BEGIN HIDDEN TESTS" in cell.source and not cell.is_test:
        yield "it holds hidden tests but is no test: students would get them"
    if cell.kind == "code" and cell.is_answer:
        if "### BEGIN SOLUTION" not in cell.source:
            yield "the solution must stand between ### BEGIN SOLUTION and ### END SOLUTION"
        if not cell.wanted:
            yield "an answer must define a named function or class, by which it is found again"
    if cell.is_manual and "rubric" not in cell.source.lower():
        yield "a question that a person reads needs a rubric in its solution"
    if cell.is_test:
        yield from _test_form(cell)


def _test_form(cell: Cell) -> Iterable[str]:
    for part, source in (("visible", cell.visible), ("hidden", cell.hidden)):
        if not source.strip():
            if part == "hidden":
                yield "it has no hidden test; put one between ### BEGIN HIDDEN TESTS and ### END HIDDEN TESTS"
            continue
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            yield f"the {part} test is not Python: {error.msg}, line {error.lineno}"
            continue
        nodes = list(ast.walk(tree))
        asserts = [node for node in nodes if isinstance(node, ast.Assert)]
        if not any(isinstance(node, ast.Assert | ast.Raise) for node in nodes):
            yield f"the {part} test cannot fail: it asserts nothing"
        for node in asserts:
            if isinstance(node.test, ast.Tuple | ast.List | ast.Constant):
                yield f"line {node.lineno} cannot fail: it asserts a {type(node.test).__name__.lower()}"
            elif node.msg is None:
                yield f"line {node.lineno}: an assert needs a message that names the mistake"
        for node in nodes:
            if isinstance(node, ast.Expr) and _is_boolean(node.value):
                yield f"line {node.lineno} cannot fail: a bare comparison tests nothing; write assert before it"


def _is_boolean(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in TESTING
    return isinstance(node, ast.Compare | ast.BoolOp) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )


def beside(course: Path, name: str) -> list[str]:
    """Return which files beside the notebook nobody would get."""
    others = [path for path in sorted((course / "source" / name).rglob("*")) if path.is_file()]
    return [
        f"{path.relative_to(course)} is neither handed out nor there when submissions are graded: an assignment is "
        "one notebook; write the data into a locked cell, or make an assignment of its own"
        for path in others
        if path.name != f"{name}.ipynb" and not path.name.startswith(".") and ".ipynb_checkpoints" not in path.parts
    ]


# --- behaviour ---


def behaviour(assignment: Assignment, sandbox: Sandbox, limits: Limits) -> list[str]:
    """Return what is wrong when the tests run: with solutions, stubs and answers that return nothing."""
    answers = {cell.name: cell for cell in assignment.cells if cell.is_answer and cell.kind == "code"}
    solutions = {name: cell.source for name, cell in answers.items()}
    stubs = {name: cell.stub for name, cell in answers.items()}
    nothing = {name: _returning_nothing(cell) for name, cell in answers.items()}
    problems: list[str] = []
    for seed in (0, 1):
        trace = run(assignment, solutions, sandbox, limits, seed)
        for name, reply in {**trace.given, **trace.cells, **trace.tests}.items():
            if reply["outcome"] == "passed":
                continue
            text = f"{reply.get('kind', '')} {reply['message']}".strip()
            if seed:
                problems.append(f"{name}: not deterministic: with other random numbers it fails ({text})")
            elif reply.get("hidden") and reply.get("missing"):
                problems.append(f"{name}: the hidden test is not self-contained: {text}")
            else:
                problems.append(f"{name}: fails with the solution: {text}")
        problems += [f"with the solution: {flag}" for flag in trace.flags]
        if problems:
            return problems
    for what, given in (("the stub", stubs), ("answers that return None", nothing)):
        for part in ("visible", "hidden"):
            trace = run(assignment, given, sandbox, limits, only=part)
            problems += [
                f"{name}: the {part} test cannot fail: it passes with {what}"
                for name, reply in trace.tests.items()
                if reply["outcome"] == "passed"
            ]
        if what == "the stub":
            problems += [
                f"{name}: fails before a line is written: {reply['kind']} {reply['message']}"
                for name, reply in {**trace.given, **trace.cells}.items()
            ]
    return problems


def _returning_nothing(cell: Cell) -> str:
    forms = {ast.ClassDef: "class {0}:\n    def __init__(self, *_, **__): pass", None: "def {0}(*_, **__): return None"}
    return "\n\n".join(
        forms.get(type(node), forms[None]).format(node.name)
        for node in notebooks.statements(cell.stub)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )


# --- leaks ---


def freshness(course: Path, assignment: Assignment) -> list[str]:
    """Return which built notebooks are not what the source gives now."""
    problems = []
    for path in (
        course / "release" / assignment.name / f"{assignment.name}.ipynb",
        course.parent / "book" / "exercises" / f"{assignment.name}.ipynb",
    ):
        if path.exists() and notebooks.read(path)["cells"] != _plain(assignment.release):
            problems.append(f"{path.relative_to(course.parent)} is older than the source; run: resnet-edu course build")
    return problems


def _plain(notebook: dict) -> list[dict]:
    return [{key: value for key, value in cell.items() if key != "outputs"} for cell in notebook["cells"]]


def public_files(course: Path) -> list[Path]:
    """Return what others may see: releases, feedback, the book as written and as built, the package, wheels, zips."""
    root = course.parent
    patterns = [
        "book/**/*.ipynb", "book/**/*.md", "book/**/*.html", "book/**/*.js", "book/**/*.txt", "resnet_edu/**/*",
        "dist/*.whl", "dist/*.zip", "dist/*.tar.gz", "*.md",
    ]  # fmt: skip
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    found |= {path for folder in ("release", "feedback") for path in course.glob(f"{folder}/**/*") if path.is_file()}
    return sorted(
        path for path in found if not {"__pycache__", ".jupyter_cache", ".doctrees", "vendor"} & set(path.parts)
    )


def leaks(assignments: list[Assignment], files: Iterable[Path], given: Iterable[str] = ()) -> list[str]:
    """Return each public file that holds a line of a solution, a rubric or a hidden test.

    A line counts if it is long enough and stands neither in what students get (``given`` is what they get with other
    assignments) nor in the package's own code, from which a solution may well take a line; two of a cell, or half of
    it, are a leak. A search index has no lines: there, words count that stand nowhere else.
    """
    files = list(files)
    known = "".join(_squeeze(text) for text in (*given, *(cell.stub for one in assignments for cell in one.cells)))
    own = [path for path in files if path.suffix == ".py" and "resnet_edu" in path.parts]
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in own}
    known += "".join(_squeeze(text) for text in texts.values())
    secret_lines: dict[str, str] = {}
    words: set[str] = set()
    for one in assignments:
        for cell in one.cells:
            if cell.source == cell.stub:
                continue
            words |= set(re.findall(r"[a-z_]\w{9,}", cell.source.lower()))
            for line in cell.source.split("\n"):
                squeezed = _squeeze(line)
                if len(squeezed) >= SHORTEST and "###" not in line and squeezed not in known:
                    secret_lines[squeezed] = f"{one.name}/{cell.name}"
        secret_lines |= {data: f"a picture of {one.name}/{name}" for name, data in one.secret_pictures}
    public = " ".join(
        path.read_text(encoding="utf-8", errors="replace") for path in files
        if path.suffix in (".md", ".ipynb", ".py") and "_build" not in path.parts
    ).lower()  # fmt: skip
    words = {word for word in words if word not in public}
    problems = []
    for path in files:
        for inside, text in _texts(path):
            where = f"{path}{inside}"
            if path.name == "searchindex.js":
                found = sorted(words & set(re.findall(r"\w+", text.lower())))
                problems += [f"{where} holds {', '.join(found[:3])} of a solution or hidden test"] if found else []
                continue
            squeezed = _squeeze(text)
            hits = Counter(origin for line, origin in secret_lines.items() if line in squeezed)
            sizes = Counter(secret_lines.values())
            problems += [
                f"{where} holds {hits[origin]} lines of {origin} that students must not see"
                for origin in hits
                if hits[origin] > 1 or 2 * hits[origin] >= sizes[origin]
            ][:1]
    return problems


def _texts(path: Path) -> Iterable[tuple[str, str]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield f"!{name}", _readable(name, archive.read(name))
    elif path.suffix == ".gz":
        import tarfile

        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    yield f"!{member.name}", _readable(member.name, archive.extractfile(member).read())
    else:
        yield "", _readable(path.name, path.read_bytes())


def _readable(name: str, content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    if name.endswith(".ipynb"):
        try:
            return "\n".join(_strings(json.loads(text)))
        except (ValueError, RecursionError):
            return text
    if name.endswith(".html"):
        return html.unescape(re.sub(r"<[^>]*>", "", text))  # highlighting splits np.maximum into three elements
    return text


def _strings(value: object) -> Iterable[str]:
    """Yield all texts in a notebook: sources, outputs, metadata and attached pictures; a list of lines is one text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield "".join(value)
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)
