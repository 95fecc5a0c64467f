"""Which of a student's cells answers what, and which are the student's own.

Locked cells come from the source, whatever became of them in the notebook. Answers are found by their cell's name,
else by what they define; text for a person is all that stands between a question and the next locked cell. All other
code is the student's own and runs where it stands, as in the notebook.
"""

import bisect
from dataclasses import dataclass, field

from resnet_edu.course.notebooks import Assignment, Cell, squeezed

LONGEST_ANSWER = 200_000  # characters that the marking page shows


@dataclass(frozen=True)
class Own:
    """A cell of the student's own; it runs after the source's cell ``after``, or first of all (-1)."""

    after: int
    cell: Cell


@dataclass
class Written:
    """An answer for a person: text and pictures."""

    text: str = ""
    pictures: list = field(default_factory=list)


@dataclass
class Answers:
    """A student's answers by the name of the source's cell, what is odd about them, and the student's own cells."""

    by_name: dict[str, Cell]
    missing: list[str]
    notes: list[str]
    own: list[Own]
    written: dict[str, Written]


def find_answers(assignment: Assignment, submission: list[Cell]) -> Answers:
    """Find the answer to each question, and place the rest.

    A cell that was deleted, doubled, edited, split or pasted into another notebook costs nothing.
    """
    places = _places(assignment, submission)
    found, missing, notes, used = {}, [], [], {}
    locked = {squeezed(cell.stub) for cell in assignment.cells if not cell.is_answer}
    for place, cell in enumerate(assignment.cells):
        if not cell.is_answer or cell.is_manual:
            continue
        mine = _candidates(cell, submission, locked)
        pieces = _chosen(cell, mine, submission, notes)
        if pieces:
            whole = [i for i in mine if cell.wanted <= submission[i].defines or not submission[i].source.strip()]
            used |= dict.fromkeys([*pieces, *whole], place)
            found[cell.name] = _joined(cell, [submission[i] for i in pieces])
        else:
            missing.append(cell.name)
    written, regions = _written(assignment, submission, places, used)
    for cell in assignment.manual:
        if cell.name in written:
            found[cell.name] = Cell(cell.name, "markdown", written[cell.name].text)
        else:
            missing.append(cell.name)
            written[cell.name] = Written()
    _unplaced(assignment, submission, places, used, regions, written, notes)
    missing.sort(key=[cell.name for cell in assignment.cells].index)
    return Answers(found, missing, notes, _own(assignment, submission, places, used), written)


def _places(assignment: Assignment, submission: list[Cell]) -> list[int | None]:
    """Return for each of a student's cells which of the source's it is: by name, else by its unchanged text."""
    names = {cell.name: place for place, cell in enumerate(assignment.cells)}
    texts = {squeezed(cell.stub): place for place, cell in enumerate(assignment.cells) if not cell.is_answer}
    places = []
    for cell in submission:
        place = texts.get(squeezed(cell.source))
        places.append(names.get(cell.name) if place is None and cell.name is not None else place)
    questions = [(squeezed(assignment.cells[p - 1].stub), p - 1) for p in _manual(assignment) if p]
    for i, cell in enumerate(submission):  # a question below which the student wrote on, in the same cell
        if places[i] is None and cell.kind != "code":
            text = squeezed(cell.source)
            places[i] = next((place for stub, place in questions if len(stub) > 20 and text.startswith(stub)), None)
    return places


def _manual(assignment: Assignment) -> list[int]:
    return [place for place, cell in enumerate(assignment.cells) if cell.is_manual]


# --- code ---


def _candidates(cell: Cell, submission: list[Cell], locked: set[str]) -> list[int]:
    """Return the cells that may answer a question of code, in order; ``locked`` are the texts of locked cells."""
    return [
        i
        for i, other in enumerate(submission)
        if other.kind == "code"
        and (other.name == cell.name or (cell.wanted and cell.wanted <= other.defines))
        and squeezed(other.source) not in locked
    ]


def _chosen(cell: Cell, mine: list[int], submission: list[Cell], notes: list[str]) -> list[int]:
    """Return the cell that counts, or the pieces of it where Jupyter has split it."""
    written = [i for i in mine if squeezed(submission[i].source) not in ("", squeezed(cell.stub))]
    complete = [i for i in written if cell.wanted <= submission[i].defines]
    if not complete:
        return written or mine[-1:]
    if len({squeezed(submission[i].source) for i in complete}) > 1:
        notes.append(f"several answers stand in the notebook for {cell.name}; the last one counts")
    return complete[-1:]


def _joined(cell: Cell, pieces: list[Cell]) -> Cell:
    if len(pieces) == 1:
        return pieces[0]
    return Cell(cell.name, "code", "\n\n".join(piece.source for piece in pieces))


def _own(assignment: Assignment, submission: list[Cell], places: list, used: dict[int, int]) -> list[Own]:
    """Return the student's own code with the place after which it runs; and what was added to locked cells."""
    own, reached = [], -1
    for i, cell in enumerate(submission):
        if i in used:
            reached = max(reached, used[i] if places[i] is None else places[i])
            continue
        place = places[i]
        if place is None:
            if cell.kind == "code" and cell.source.strip():
                own.append(Own(reached, cell))
            continue
        reached = max(reached, place)
        source = assignment.cells[place]
        if cell.kind == "code" and source.kind == "code" and not source.is_answer:
            given = {line.rstrip() for line in source.stub.split("\n")}
            added = "\n".join(line for line in cell.source.split("\n") if line.rstrip() not in given)
            if added.strip():  # before a test, so that a helper written there is known to it
                own.append(Own(place - 1 if source.is_test else place, Cell(None, "code", added)))
        elif cell.kind == "code" and source.is_answer and not source.is_manual and cell.source.strip():
            own.append(Own(place, cell))
    return sorted(own, key=lambda each: each.after)


# --- text ---


def _written(assignment: Assignment, submission: list[Cell], places: list, used: dict) -> tuple[dict, set[int]]:
    """Return what is written between each question for a person and the next locked cell, and these cells."""
    written: dict[str, Written] = {}
    taken: set[int] = set()
    starts = {place: place for place in _manual(assignment)}
    starts |= {place - 1: place for place in starts if place and not assignment.cells[place - 1].is_answer}
    current = None
    for i, cell in enumerate(submission):
        place = places[i]
        if i in used or (place is not None and place not in starts):
            current = None
            continue
        if place is not None:
            current = starts[place]
        if current is None:
            continue
        question = assignment.cells[current]
        answer = written.setdefault(question.name, Written())
        taken.add(i)
        stub = assignment.cells[place].stub if place is not None else ""
        _add(answer, cell, stub)
    return written, taken


def _add(answer: Written, cell: Cell, stub: str) -> None:
    """Add a cell to an answer, without the lines that were given."""
    given = {squeezed(line) for line in stub.split("\n")}
    lines = [line for line in cell.source.split("\n") if squeezed(line) not in given - {""}]
    text = "\n".join(lines).strip()
    if text and cell.kind == "code":
        text = f"```python\n{text}\n```"
    answer.text = "\n\n".join(filter(None, (answer.text, text)))
    answer.pictures += getattr(cell, "pictures", ())


def _unplaced(assignment, submission, places, used, regions, written, notes) -> None:
    """Where a question for a person has no answer, let the person read text that stands elsewhere."""
    empty = [cell.name for cell in assignment.manual if not written[cell.name].text and not written[cell.name].pictures]
    elsewhere = Written()
    for i, cell in enumerate(submission):
        if i not in regions and i not in used and cell.kind != "code":
            place = places[i]
            if place is None or not assignment.cells[place].is_answer:
                _add(elsewhere, cell, "" if place is None else assignment.cells[place].stub)
    if empty and (elsewhere.text or elsewhere.pictures):
        for name in empty:
            notes.append(f"{name} has no answer in its place, but text stands elsewhere in the notebook")
            written[name] = Written(elsewhere.text, list(elsewhere.pictures))


def defined_below(answers: Answers, name: str, place: int) -> bool:
    """Return whether a cell of the student's own that runs only after a place gives a name its value."""
    later = bisect.bisect_left([own.after for own in answers.own], place)
    return any(name in own.cell.binds for own in answers.own[later:])
