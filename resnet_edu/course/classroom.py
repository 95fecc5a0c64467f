"""Grade a class: all submissions of an assignment, each in a clean process, and write a result for each.

A result is a JSON file; none depends on other submissions, on order or on time, and no failure is a plain 0.
"""

import ast
import hashlib
import json
import queue
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path

from resnet_edu.course import notebooks
from resnet_edu.course.grading import BrokenAssignmentError, grade, result
from resnet_edu.course.notebooks import Assignment, UnreadableError
from resnet_edu.course.roster import Student, roster
from resnet_edu.course.sandbox import PACKAGE, Limits, Sandbox, SandboxError
from resnet_edu.files import replacing


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


RESULT = {"student", "name", "assignment", "status", "message", "automatic", "possible", "questions", "flags"}


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
        except (SandboxError, BrokenAssignmentError):
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
        return _result_in(course / "results" / name / f"{student}.json")
    except (OSError, ValueError):
        return None


def _result_in(path: Path) -> dict:
    """Return the result that a file holds; raises ``ValueError`` if it is none of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not set(found) >= RESULT or not isinstance(found["questions"], list):
        raise ValueError(f"{path} is no result of this grader; move it elsewhere, or grade again")
    return found


def results(course: Path, name: str) -> list[dict]:
    """Return the results of a class, in order of the students."""
    paths = sorted((course / "results" / name).glob("*.json"))
    if not paths:
        raise ValueError(f"{name} has no results yet; make them with: resnet-edu course grade {name}")
    return [_result_in(path) for path in paths]
