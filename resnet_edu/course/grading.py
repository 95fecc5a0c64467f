"""Grade a class: rebuild each notebook from the source and the student's answers, and run it in a sandbox.

Points follow from what the sandbox's warden reports of each test, which passes if its visible and its hidden part
pass. A result is a JSON file; none depends on other submissions, on order or on time, and no failure is a plain 0.
"""

import ast
import hashlib
import json
import queue
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path

from resnet_edu.course import notebooks
from resnet_edu.course.notebooks import Answers, Assignment, Cell, UnreadableError
from resnet_edu.course.roster import Student, roster
from resnet_edu.course.sandbox import PACKAGE, Limits, Sandbox, SandboxError
from resnet_edu.course.suspicion import suspicious
from resnet_edu.files import replacing

STATUSES = ("graded", "needs_review", "unreadable", "wrong_notebook", "timeout", "crashed", "no_submission")
LONGEST_MESSAGE = 500
LONGEST_ANSWER = 20_000
GRACE = 15  # seconds that the warden gets beyond its own deadline


# --- one submission ---


@dataclass
class Trace:
    """What happened in the sandbox: each test's outcome, and each cell that failed."""

    tests: dict[str, dict] = field(default_factory=dict)
    cells: dict[str, dict] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)


def run(
    assignment: Assignment,
    answers: dict[str, str],
    sandbox: Sandbox,
    limits: Limits,
    seed: int = 0,
    only: str | None = None,
) -> Trace:
    """Run an assignment with these answers (the text of cells, by name) and return what happened.

    Where a cell kills its process, the cells before it run again without it, so the other questions keep their
    points. ``only`` leaves out all tests but the ``hidden`` or the ``visible`` ones.
    """
    trace, ran, end = Trace(), [], time.monotonic() + 3 * limits.total
    last = max((i for i, cell in enumerate(assignment.cells) if cell.is_test), default=-1)
    poisoned: set[int] = set()

    def ask(place: int, op: str, source: str) -> dict:
        cell = assignment.cells[place]
        limit = min(limits.cell, max(0.1, (end - time.monotonic()) / 3))
        try:
            reply = sandbox.ask(
                op, 3 * limit + GRACE, name=cell.name or str(place), source=source, limit=limit, seed=seed
            )
        except SandboxError:
            _restart(sandbox)
            reply = {"outcome": "crashed", "message": "broke the sandbox", "alive": False}
        reply = _checked(reply)
        if reply["forged"]:
            trace.flags.append(f"something wrote false replies while {cell.name} ran")
        if not reply["alive"]:
            if op == "code":
                poisoned.add(place)
                trace.cells[cell.name] = reply
            replay()
        return reply

    def replay() -> None:
        """Bring a new process to where the last one was."""
        _begin(sandbox)
        for place in ran:
            if place in poisoned or time.monotonic() > end:
                continue
            if not ask(place, "code", answers.get(assignment.cells[place].name, assignment.cells[place].source))[
                "alive"
            ]:
                return  # ask has begun anew

    _begin(sandbox)
    for place, cell in enumerate(assignment.cells[: last + 1]):
        if cell.kind != "code":
            continue
        if time.monotonic() > end:
            if cell.is_test:
                trace.tests[cell.name] = {"outcome": "timeout", "message": "was not run: the time was used up"}
            continue
        if cell.is_test:
            parts = {"visible": cell.visible, "hidden": cell.hidden}
            for part, source in parts.items():
                if not source.strip() or only not in (None, part):
                    continue
                reply = ask(place, "test", source) | {"hidden": part == "hidden"}
                trace.tests[cell.name] = reply
                trace.flags += [f"{name} was replaced" for name in reply["changed"]]
                if reply["outcome"] != "passed":
                    break
        elif cell.is_answer and cell.name not in answers:
            trace.cells[cell.name] = {"outcome": "missing", "message": "no answer was found"}
        else:
            reply = ask(place, "code", answers.get(cell.name, cell.source))
            if reply["outcome"] != "passed":
                trace.cells[cell.name] = reply
            ran.append(place)
    try:
        clean = sandbox.ask("end", GRACE).get("clean") is True
    except SandboxError:
        clean = False
    if not clean:
        sandbox.stop()  # the next submission gets a new one
    trace.flags = list(dict.fromkeys(trace.flags))
    return trace


def _begin(sandbox: Sandbox) -> None:
    try:
        sandbox.ask("begin", GRACE)
    except SandboxError:
        _restart(sandbox)
        sandbox.ask("begin", GRACE)


def _restart(sandbox: Sandbox) -> None:
    sandbox.stop()
    sandbox.start()


def _checked(reply: dict) -> dict:
    """Return a reply with the fields and types that a reply has; a submission may have shaped it."""

    def text(key: str, length: int = 2000) -> str | None:
        return reply[key][:length] if isinstance(reply.get(key), str) else None

    outcome = reply.get("outcome")
    changed = reply.get("changed")
    return {
        "outcome": outcome if outcome in ("passed", "failed", "timeout", "crashed") else "crashed",
        "message": text("message") or "",
        "kind": text("kind", 60) or "Exception",
        "by_test": reply.get("by_test") is True,
        "cell": text("cell", 100),
        "line": reply["line"] if type(reply.get("line")) is int else None,
        "missing": text("missing", 100),
        "changed": [name[:100] for name in changed[:20] if isinstance(name, str)] if isinstance(changed, list) else [],
        "alive": reply.get("alive") is True,
        "forged": reply.get("forged") is True,
    }


def grade(assignment: Assignment, path: Path, sandbox: Sandbox, limits: Limits) -> dict:
    """Grade one submission; return its result without the student."""
    try:
        cells = notebooks.cells_of(notebooks.read(path))
    except UnreadableError as error:
        return result(assignment, "unreadable", str(error))
    answers = notebooks.find_answers(assignment, cells)
    if _is_another(assignment, answers, cells):
        return result(
            assignment, "wrong_notebook", f"these are not answers to {assignment.name}; hand in the right notebook"
        )
    code = {name: cell.source for name, cell in answers.by_name.items() if cell.kind == "code"}
    trace = run(assignment, code, sandbox, limits)
    flags = list(trace.flags) + answers.notes
    flags += [f"no answer was found for {name}" for name in answers.missing]
    for cell in assignment.cells:
        if cell.name in code:
            flags += suspicious(assignment, Cell(cell.name, "code", code[cell.name]))
    questions = []
    for cell in assignment.cells:
        if cell.is_test:
            reply = trace.tests[cell.name]
            message, flag = explain(assignment, cell, reply, trace, answers)
            flags += [flag] if flag else []
            passed = reply["outcome"] == "passed"
            questions.append(
                question_result(cell, reply["outcome"], cell.points if passed else 0.0, message, reply.get("hidden"))
            )
        elif cell.is_manual:
            answer = answers.by_name.get(cell.name)
            written = answer is not None and notebooks.squeezed(answer.source) != notebooks.squeezed(cell.stub)
            questions.append(question_result(cell, "needs_marking" if written else "unanswered", None, ""))
            questions[-1]["answer"] = answer.source[:LONGEST_ANSWER] if written else ""
    outcomes = {reply["outcome"] for reply in (*trace.tests.values(), *trace.cells.values())}
    flags = list(dict.fromkeys(flags))
    status = next((s for s in ("crashed", "timeout") if s in outcomes), "needs_review" if flags else "graded")
    return result(assignment, status, "", questions, flags)


def _is_another(assignment: Assignment, answers: Answers, cells: list[Cell]) -> bool:
    wanted = [cell.name for cell in assignment.cells if cell.is_answer]
    known = {cell.name for cell in assignment.cells}
    foreign = sum(bool(cell.nbgrader) and cell.name not in known for cell in cells)
    return not answers.by_name or (2 * len(answers.by_name) <= len(wanted) and foreign > len(cells) / 2)


def question_result(cell: Cell, outcome: str, points: float | None, message: str, hidden: bool | None = None) -> dict:
    """Return one question of a result; ``points`` is nothing while a person has to read the answer."""
    return {
        "id": cell.name,
        "kind": "manual" if cell.is_manual else "automatic",
        "outcome": outcome,
        "points": points,
        "possible": cell.points,
        "hidden": bool(hidden) and outcome != "passed",
        "message": message,
    }


def result(assignment: Assignment, status: str, message: str, questions: list | None = None, flags: list | None = None):
    """Return a result as it is written to JSON; ``automatic`` is nothing where no question could be run."""
    points = [question["points"] for question in questions or [] if question["kind"] == "automatic"]
    return {
        "assignment": assignment.name,
        "status": status,
        "message": message,
        "automatic": sum(points) if questions else None,
        "possible": assignment.possible,
        "questions": questions or [],
        "flags": flags or [],
    }


def explain(assignment: Assignment, cell: Cell, reply: dict, trace: Trace, answers: Answers) -> tuple[str, str | None]:
    """Return the message that a student reads about a test, and a flag for the instructor if a person should look.

    Of a hidden test only the instructor's own message is shown, or what kind of error the student's code raised.
    """
    if reply["outcome"] == "passed":
        return "", None
    if reply["outcome"] in ("timeout", "crashed"):
        return f"The test {reply['message']}.", None
    if reply["kind"] == "NotImplementedError" and not reply["by_test"]:
        return "Nothing is written here yet.", None
    name = reply["missing"]
    if name is not None:
        for answer in (c for c in assignment.cells if c.is_answer and name in c.defines):
            broken = trace.cells.get(answer.name)
            if broken and broken["outcome"] == "missing":
                return f"No cell that defines {name} was found in your notebook.", None
            if broken and broken["outcome"] == "failed":
                what = f"{broken['kind']}: {broken['message']}" if broken["message"] else broken["kind"]
                return _short(f"The answer cell that defines {name} fails: {what}"), None
            if broken:
                return f"The answer cell that defines {name} {broken['message']}.", None
        if any(name in other.binds for other in answers.left_aside):
            text = (
                f"{name} is defined in a cell of your own, which is not run: move it into the answer cell that uses it."
            )
            return text, f"an answer uses {name} from a cell of its own"
    where = f"line {reply['line']} of {reply['cell']}" if reply["cell"] and reply["line"] else "the test"
    if reply["by_test"]:
        return _short(reply["message"] or "A test fails."), None
    if reply["hidden"]:
        return f"Your code raises {reply['kind']} on another input ({where}).", None
    return _short(f"{reply['kind']}: {reply['message']} ({where})"), None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


# --- a class ---


def notebook_of(folder: Path, name: str) -> Path:
    """Return the notebook in a student's folder, whatever it was renamed to."""
    exact = folder / f"{name}.ipynb"
    found = [exact] if exact.exists() or exact.is_symlink() else sorted(folder.glob("*.ipynb"))
    if not found:
        raise UnreadableError("the folder holds no notebook; hand in the .ipynb file")
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise UnreadableError(f"the folder holds several notebooks ({listed}); leave the one that counts")
    return found[0]


def grade_class(
    course: Path,
    assignment: Assignment,
    kind: str,
    limits: Limits,
    jobs: int = 1,
    students: list[str] | None = None,
    again: bool = False,
    image: str = "resnet-edu-grader",
) -> Iterator[tuple[int, int, dict]]:
    """Grade all submissions; yield ``(done, of, result)`` as they come. What is graded already is not graded again."""
    folders = {path.parent.name: path for path in sorted(course.glob(f"submitted/*/{assignment.name}"))}
    expected = {student.id: student for student in roster(course)}
    chosen = students or sorted({*folders, *expected})
    unknown = [student for student in chosen if student not in folders and student not in expected]
    if unknown:
        raise ValueError(f"there is no submission and no entry in roster.csv of: {', '.join(unknown)}")
    digest = code_digest()
    work, total = [], len(chosen)
    done = 0
    for student in chosen:
        mark = hashlib.sha256(json.dumps([digest, assignment.checksum, asdict(limits)]).encode())
        try:
            if student not in folders:
                found = result(assignment, "no_submission", "nothing was handed in")
            else:
                path = notebook_of(folders[student], assignment.name)
                if folders[student].is_symlink() or path.is_symlink():
                    raise UnreadableError("the file is a link; hand in the notebook itself")
                with open(path, "rb") as file:
                    while part := file.read(1 << 20):
                        mark.update(part)
                earlier = None if again else _earlier(course, assignment.name, student)
                if earlier is None or earlier.get("fingerprint") != mark.hexdigest():
                    work.append((student, path, mark.hexdigest()))
                    continue
                found = earlier
        except (UnreadableError, OSError) as error:
            found = result(assignment, "unreadable", str(error))
        done += 1
        yield done, total, save(course, expected.get(student, Student(student)), found, found.get("fingerprint"))
    for student, found, mark in _run_all(course, assignment, kind, limits, min(jobs, len(work)), image, work):
        done += 1
        yield done, total, save(course, expected.get(student, Student(student)), found, mark)


def _run_all(course, assignment, kind, limits, jobs, image, work):
    if not work:
        return
    modules = imports(assignment)
    idle: queue.SimpleQueue = queue.SimpleQueue()
    sandboxes = [Sandbox(kind, course, limits, modules, slot, image) for slot in range(jobs)]
    for sandbox in sandboxes:
        idle.put(sandbox)

    def one(student: str, path: Path, mark: str):
        sandbox = idle.get()
        try:
            if sandbox.process is None:
                sandbox.start()
            return student, grade(assignment, path, sandbox, limits), mark
        except SandboxError:
            raise
        except Exception as error:  # whatever one submission does to the grader, the others are graded
            sandbox.stop()
            text = f"the grader failed on it, please report this: {type(error).__name__}: {error}"
            return student, result(assignment, "crashed", text), None
        finally:
            idle.put(sandbox)

    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = {pool.submit(one, *item) for item in work}
        while waiting:
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ready:
                yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for sandbox in sandboxes:
            sandbox.close()


def imports(assignment: Assignment) -> list[str]:
    """Return the modules that the source's own cells import: they are loaded once, before any submission."""
    # Every optimizer loads torch._dynamo, which takes over a second and replaces torch.manual_seed.
    found = {"numpy", "torch", "torch._dynamo"}
    for cell in assignment.cells:
        for node in notebooks.nodes(cell.source) if cell.kind == "code" else ():
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return sorted(found)


def code_digest() -> str:
    """Return a checksum of the package: results of another version are made anew."""
    total = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def save(course: Path, student: Student, found: dict, mark: str | None) -> dict:
    """Write a student's result and return it whole; ``mark`` tells later runs what it was made from."""
    path = course / "results" / found["assignment"] / f"{student.id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    complete = {"student": student.id, "name": student.name, **found, "fingerprint": mark}
    text = json.dumps(complete, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with replacing(path) as file:  # a run that is killed leaves no half result
            file.write(text.encode())
    return complete


def _earlier(course: Path, name: str, student: str) -> dict | None:
    try:
        return json.loads((course / "results" / name / f"{student}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def results(course: Path, name: str) -> list[dict]:
    """Return the results of a class, in order of the students."""
    paths = sorted((course / "results" / name).glob("*.json"))
    if not paths:
        raise ValueError(f"{name} has no results yet; make them with: resnet-edu course grade {name}")
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]
