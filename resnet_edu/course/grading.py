"""Grade one submission: read it in the sandbox, put its cells into the source, run that, say what came of it."""

import hashlib
import json
from pathlib import Path

from resnet_edu.course import submissions
from resnet_edu.course.answers import LONGEST_ANSWER, Answers, Written, defined_below, find_answers
from resnet_edu.course.notebooks import LARGEST, Assignment, Cell, UnreadableError, squeezed
from resnet_edu.course.running import Trace, begin, finish, run
from resnet_edu.course.sandbox import Limits, Sandbox, SandboxError

STATUSES = ("graded", "needs_review", "unreadable", "wrong_notebook", "timeout", "crashed", "no_submission")
LONGEST_MESSAGE = 500
MOST_FLAGS = 40
LONGEST_VALUE = 80  # characters of a value in the message of a hidden test
READING = 20  # seconds of CPU time that reading a notebook may take
NOT_THERE = ("ImportError", "ModuleNotFoundError", "FileNotFoundError", "PermissionError", "OSError",
             "NotADirectoryError", "ConnectionError", "TimeoutError")  # fmt: skip


class BrokenAssignmentError(RuntimeError):
    """A cell of the instructor's fails on this machine, whatever a student wrote; no mark would be right."""


def grade(assignment: Assignment, path: Path, sandbox: Sandbox, limits: Limits) -> dict:
    """Grade one submission; return its result without the student.

    Raises ``BrokenAssignmentError`` where the assignment itself fails on this machine.
    """
    try:
        cells = read(path, sandbox)
    except UnreadableError as error:
        finish(sandbox)
        return result(assignment, "unreadable", str(error))
    answers = find_answers(assignment, cells)
    if _is_another(assignment, answers, cells):
        finish(sandbox)
        return result(
            assignment, "wrong_notebook", f"these are not answers to {assignment.name}; hand in the right notebook"
        )
    code = {name: cell.source for name, cell in answers.by_name.items() if name not in answers.written}
    trace = run(assignment, code, sandbox, limits, own=answers.own, begun=True)
    if _instructors(trace):
        require_sound(assignment, sandbox, limits)
    flags = list(trace.flags) + answers.notes
    flags += [f"no answer was found for {name}" for name in answers.missing]
    flags += [f"{name}, a locked cell, fails after these answers" for name in trace.given]
    questions = []
    for place, cell in enumerate(assignment.cells):
        if cell.is_test:
            reply = trace.tests[cell.name]
            message, flag = explain(assignment, place, reply, trace, answers)
            flags += [flag] if flag else []
            passed = reply["outcome"] == "passed"
            questions.append(
                question_result(cell, reply["outcome"], cell.points if passed else 0.0, message, reply.get("hidden"))
            )
        elif cell.is_manual:
            questions.append(_for_a_person(cell, answers.written[cell.name], flags))
    outcomes = {reply["outcome"] for reply in (*trace.tests.values(), *trace.cells.values())}
    flags = list(dict.fromkeys(flags))
    status = next((s for s in ("crashed", "timeout") if s in outcomes), "needs_review" if flags else "graded")
    if len(flags) > MOST_FLAGS:
        flags = [*flags[:MOST_FLAGS], f"and {len(flags) - MOST_FLAGS} more"]
    made = result(assignment, status, "", questions, flags, _notes(trace))
    return made | {"work": _digest(code, answers)}


def _digest(code: dict[str, str], answers: Answers) -> str:
    """Return a checksum of all code that was run: points that a person changed hold as long as it is the same."""
    text = json.dumps([code, [own.cell.source for own in answers.own]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read(path: Path, sandbox: Sandbox) -> list[submissions.Submitted]:
    """Let a new process in the sandbox read a notebook; it is the one that then runs it."""
    size = path.stat().st_size
    if size > LARGEST:
        begin(sandbox)
        raise UnreadableError(f"the file has {size / 1e6:,.0f} MB; clear the outputs and hand in again")
    begin(sandbox)
    try:
        return submissions.cells(sandbox.read(path, READING))
    except SandboxError:
        sandbox.stop()
        sandbox.start()
        raise UnreadableError("the notebook broke the reader; clear the outputs and hand in again") from None


def _for_a_person(cell: Cell, written: Written, flags: list[str]) -> dict:
    """Return a question that a person reads, with the answer as it stands in the notebook."""
    text = written.text
    if len(text) > LONGEST_ANSWER:
        flags.append(f"{cell.name}: the answer has {len(text):,} characters, the marking page shows {LONGEST_ANSWER:,}")
        text = text[:LONGEST_ANSWER] + f"\n\n(… {len(written.text) - LONGEST_ANSWER:,} characters more)"
    there = bool(squeezed(text)) or bool(written.pictures)
    made = question_result(cell, "needs_marking" if there else "unanswered", None, "")
    pictures = [[each.name, each.type, each.data] for each in written.pictures]
    return made | {"answer": text, "pictures": pictures}


def _notes(trace: Trace) -> list[str]:
    """Return what a student should know: which modes outlived a cell and were set back."""
    modes = list(dict.fromkeys(mode for mode, _ in trace.reset))
    if not modes:
        return []
    return [f"A cell of yours changed {_listed(modes)} for all that follows. For the tests it was set back; "
            "change such a mode inside a with block, or set it back yourself."]  # fmt: skip


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# --- the instructor's own fault ---


def _instructors(trace: Trace) -> bool:
    """Return whether something failed that no student's code took part in."""
    return bool(trace.given) or any(
        reply["outcome"] == "failed" and reply["kind"] in NOT_THERE and not reply["cell"]
        for reply in trace.tests.values()
    )


def require_sound(assignment: Assignment, sandbox: Sandbox, limits: Limits) -> None:
    """Raise ``BrokenAssignmentError`` if the source with its own solutions fails on this machine."""
    if assignment.name in sandbox.sound:
        return
    solutions = {cell.name: cell.source for cell in assignment.cells if cell.is_answer and cell.kind == "code"}
    trace = run(assignment, solutions, sandbox, limits)
    for name, reply in {**trace.given, **trace.cells, **trace.tests}.items():
        if reply["outcome"] != "passed":
            raise BrokenAssignmentError(
                f"{assignment.name}, cell {name}, fails on this machine with the solutions themselves: "
                f"{reply['kind']}: {reply['message']}. No mark was given; mend the machine or the cell, "
                "then grade again"
            )
    sandbox.sound.add(assignment.name)


# --- results ---


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


def result(
    assignment: Assignment,
    status: str,
    message: str,
    questions: list | None = None,
    flags: list | None = None,
    notes: list | None = None,
) -> dict:
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
        "notes": notes or [],
    }


def explain(assignment: Assignment, place: int, reply: dict, trace: Trace, answers: Answers) -> tuple[str, str | None]:
    """Return the message that a student reads about a test, and a flag for the instructor if a person should look.

    Of a hidden test only the instructor's own message is shown, or what kind of error the student's code raised.
    """
    if reply["outcome"] == "passed":
        return "", None
    if reply["outcome"] in ("timeout", "crashed"):
        return f"The test {reply['message']}.", None
    if reply["stub"]:
        return "Nothing is written here yet.", None
    test = assignment.cells[place]
    if reply["by_test"]:
        return shown(test, reply), _own_failure(trace)
    name = reply["missing"]
    if name is not None:
        found = _about_missing(assignment, place, name, trace, answers)
        if found:
            return found
    where = f"line {reply['line']} of {reply['cell']}" if reply["cell"] and reply["line"] else "the test"
    if reply["hidden"]:
        return f"Your code raises {reply['kind']} on another input ({where}).", _own_failure(trace)
    return _short(f"{reply['kind']}: {reply['message']} ({where})"), _own_failure(trace)


def shown(test: Cell, reply: dict) -> str:
    """Return the message of an assertion, if it is the instructor's own; of a hidden test nothing else is shown.

    The sandbox's reply may be shaped by the answer. What the parent knows is the text of the test's messages.
    """
    message = reply["message"] or "A test fails."
    if reply["hidden"]:
        message = _known(test, message) or "A test on another input fails."
    return _short(message)


def _known(test: Cell, message: str) -> str | None:
    """Return a message that the test's text holds, with the values in it cut short; nothing if it is another one."""
    for pattern, constants in test.messages:
        match = pattern.fullmatch(message)
        if match:
            values = [*(f"{v[:LONGEST_VALUE]}…" if len(v) > LONGEST_VALUE else v for v in match.groups()), ""]
            return "".join(text + value for text, value in zip(constants, values, strict=True))
    return None


def _about_missing(assignment, place: int, name: str, trace: Trace, answers: Answers) -> tuple[str, str | None] | None:
    """Say why a name that a test or an answer needs is not there."""
    for answer in (c for c in assignment.cells if c.is_answer and name in c.defines):
        broken = trace.cells.get(answer.name)
        if broken and broken["outcome"] == "missing":
            return f"No cell that defines {name} was found in your notebook.", None
        if broken and broken["outcome"] == "failed":
            what = f"{broken['kind']}: {broken['message']}" if broken["message"] else broken["kind"]
            flag = None
            if broken["kind"] in ("ModuleNotFoundError", "ImportError"):
                flag = f"{answer.name} needs a package that is not installed here ({broken['message']})"
            return _short(f"The answer cell that defines {name} fails: {what}"), flag
        if broken:
            return f"The answer cell that defines {name} {broken['message']}.", None
    for own, reply in trace.own:
        if name in own.cell.binds:
            what = f"{reply['kind']}: {reply['message']}" if reply["outcome"] == "failed" else reply["message"]
            return _short(f"The cell of your own that defines {name} fails: {what}"), f"an own cell ({name}) fails"
    if defined_below(answers, name, place):
        text = f"{name} is defined in a cell further down, which runs after this test: move it above this question."
        return text, f"an answer uses {name} from a cell further down"
    return None


def _own_failure(trace: Trace) -> str | None:
    """Return a flag if a cell of the student's own did not run to its end: the test may have needed it."""
    broken = [reply for _, reply in trace.own if reply["outcome"] in ("timeout", "crashed")]
    return f"a cell of the student's own {broken[0]['message']}" if broken else None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
