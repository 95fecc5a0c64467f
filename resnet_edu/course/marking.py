"""Questions that a person reads, and points that a person changes: a page with answers, a table to write into.

``results/NAME/marks.csv`` has a row for each answer; ``points`` and ``comment`` are the instructor's. A row with the
name of a tested question changes its points, with the reason as the comment. Grading again keeps all rows, as long as
the answer is the same; a row that fits nobody is kept and named.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

from resnet_edu.course import tables
from resnet_edu.course.classroom import results
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.pages import markdown, page, prose

COLUMNS = ("student", "name", "question", "points", "possible", "comment", "answer")


@dataclass
class Row:
    """A row of ``marks.csv``, with the student whose result it fits."""

    line: int
    cells: dict[str, str]
    student: str | None = None
    answered: bool = False  # whether the answer is still the one that was marked

    @property
    def question(self) -> str:
        """The question's name."""
        return self.cells.get("question", "").strip()

    @property
    def points(self) -> str:
        """What stands in the column, with a point before the decimals."""
        return self.cells.get("points", "").strip().replace(",", ".")

    @property
    def comment(self) -> str:
        """What the instructor has written."""
        return tables.unsafe(self.cells.get("comment", "").strip())


def prepare(course: Path, assignment: Assignment) -> tuple[Path, Path, list[str]] | None:
    """Write ``marking.html`` and ``marks.csv``; return both and what to know, or nothing if there is nothing to read.

    The page shows the questions for a person. The table has a row for each of them, and for each tested question
    that a flagged submission lost.
    """
    folder = course / "results" / assignment.name
    path = folder / "marks.csv"
    found = results(course, assignment.name) if any(folder.glob("*.json")) else []
    table = tables.read(path) if path.exists() else tables.Table(list(COLUMNS), [])
    earlier = _rows(table, found)
    rows = _new_rows(assignment, found, earlier)
    kept = [row for row in earlier if row.student is None or not _is_listed(row, rows)]
    remarks = [f"{path}, line {row.line}: it fits nobody ({_who(row)}); it is kept" for row in kept if not row.student]
    if not rows and not kept:
        return None
    columns = list(dict.fromkeys([*COLUMNS, *filter(None, table.columns)]))
    tables.write(path, tables.Table(columns, rows + [row.cells for row in kept], table.delimiter, table.encoding))
    page_path = folder / "marking.html"
    page_path.write_text(_page(assignment, found), encoding="utf-8")
    return page_path, path, remarks


def _rows(table: tables.Table, found: list[dict]) -> list[Row]:
    """Find the student of each row: by the id, by what a spreadsheet leaves of it, or by the answer itself."""
    by_id = {result["student"]: result for result in found}
    rows = []
    for line, cells in zip(table.lines, table.rows, strict=True):
        row = Row(line, cells)
        written = tables.unsafe(cells.get("student", "").strip())
        mark = cells.get("answer", "").strip()
        same = [student for student in by_id if tables.same_id(student) == tables.same_id(written)]
        answered = [s for s, r in by_id.items() if mark and _same_mark(mark, answer_mark(r, row.question))]
        if written in by_id:
            row.student = written
        elif len(same) == 1:
            row.student = same[0]
        elif len(answered) == 1 and tables.unsafe(cells.get("name", "")) == by_id[answered[0]]["name"]:
            row.student = answered[0]
        if row.student:
            row.answered = not mark or row.student in answered
        if any(cells.values()):
            rows.append(row)
    return rows


def answer_mark(result: dict, question: str) -> str:
    """Return a mark that changes with an answer; it begins with a letter, or a spreadsheet might see a number in it."""
    one = next((each for each in result["questions"] if each["id"] == question), None)
    if one is None:
        return ""
    text = result.get("work", "") if one["kind"] == "automatic" else one.get("answer", "")
    text += "".join(data for _, _, data in one.get("pictures", ()))
    return "a" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _same_mark(old: str, new: str) -> bool:
    return bool(new) and old in (new, new[1:])


def _new_rows(assignment: Assignment, found: list[dict], earlier: list[Row]) -> list[dict[str, str]]:
    """Return a row for each answer, with what the instructor has written about it."""
    old = {(row.student, row.question): row for row in earlier if row.student}
    rows = []
    for cell in (cell for cell in assignment.cells if cell.is_grade):
        for result in found:
            question = next((each for each in result["questions"] if each["id"] == cell.name), None)
            before = old.get((result["student"], cell.name))
            doubtful = cell.is_test and result["flags"] and question and question["points"] != cell.points
            if question is None or not (cell.is_manual or before or doubtful):
                continue
            row = {"student": tables.safe(result["student"]), "name": tables.safe(result["name"]),
                   "question": cell.name, "points": "", "possible": f"{cell.points:g}", "comment": "",
                   "answer": answer_mark(result, cell.name)}  # fmt: skip
            if before and before.answered:
                row |= {**before.cells, **{key: row[key] for key in ("student", "name", "question", "answer")}}
            elif before and before.points:
                row["comment"] = f"the answer changed; it had {before.points} points: {before.comment}"
            rows.append(row)
    return rows


def _is_listed(row: Row, rows: list[dict]) -> bool:
    key = (tables.safe(row.student), row.question)
    return any((each["student"], each["question"]) == key for each in rows)


def _who(row: Row) -> str:
    return tables.printable(f"{row.cells.get('student', '')}, {row.question}", 80)


def _page(assignment: Assignment, found: list[dict]) -> str:
    sections = []
    for cell in assignment.manual:
        answers = [
            f"<h3>{prose(result['name'] or result['student'])} ({prose(result['student'])})</h3>{_answer(question)}"
            for result in found
            for question in result["questions"]
            if question["id"] == cell.name
        ]
        sections.append(f"<h2>{prose(cell.name)} ({cell.points:g} points)</h2><details open><summary>Rubric</summary>"
                        f"{markdown(cell.model)}</details>{''.join(answers)}")  # fmt: skip
    return page(f"Answers to {assignment.name}", "".join(sections))


def _answer(question: dict) -> str:
    if question["outcome"] == "unanswered":
        return "<p>(nothing is written)</p>"
    return f'<div class="answer">{markdown(question["answer"], question.get("pictures", ()))}</div>'


@dataclass(frozen=True)
class Mark:
    """What a person gave for a question, and why."""

    points: float
    comment: str


def marks(course: Path, assignment: Assignment) -> tuple[dict[tuple[str, str], Mark], list[str]]:
    """Return the marks by student and question, as far as they are given, and what to know about the rest.

    Raises ``ValueError`` for points outside the scale, and for changed points of a test without a reason.
    """
    path = course / "results" / assignment.name / "marks.csv"
    if not path.exists():
        return {}, []
    possible = {cell.name: cell for cell in assignment.cells if cell.is_grade}
    given, remarks = {}, []
    for row in _rows(tables.read(path), results(course, assignment.name)):
        if not row.points:
            continue
        where = f"{path}, line {row.line}"
        cell = possible.get(row.question)
        if cell is None:
            raise ValueError(f"{where}: there is no question {row.question!r}; keep the column as it was")
        try:
            points = float(row.points)
        except ValueError:
            points = math.nan
        if not 0 <= points <= cell.points:  # false for NaN, too
            raise ValueError(f"{where}: points must be a number from 0 to {cell.points:g}, got {row.cells['points']!r}")
        if cell.is_test and not row.comment:
            raise ValueError(f"{where}: points of a test are changed with a reason; write it as the comment")
        if row.student is None:
            remarks.append(f"{where}: it fits nobody ({_who(row)}), so its {points:g} points count for nobody")
        elif not row.answered:
            remarks.append(f"{where}: the answer of {row.student} has changed; grade again, then look at it")
        else:
            given[row.student, row.question] = Mark(points, row.comment)
    return given, remarks


def marked_results(course: Path, assignment: Assignment) -> tuple[list[dict], list[str]]:
    """Return the class's results with the marks in them, and what to know about marks that were not used.

    ``total`` is nothing while a mark or a result is missing.
    """
    given, remarks = marks(course, assignment)
    complete = []
    for one in results(course, assignment.name):
        questions = [_marked(question, given.get((one["student"], question["id"]))) for question in one["questions"]]
        points = [question["points"] for question in questions]
        total = sum(points) if points and None not in points else None
        automatic = [q["points"] for q in questions if q["kind"] == "automatic"]
        complete.append({**one, "questions": questions, "total": total,
                         "automatic": sum(automatic) if automatic else one["automatic"]})  # fmt: skip
    return complete, remarks


def _marked(question: dict, mark: Mark | None) -> dict:
    if question["kind"] == "manual":
        if mark:
            return {**question, "points": mark.points, "message": mark.comment, "outcome": "marked"}
        if question["outcome"] == "unanswered":
            return {**question, "points": 0.0, "message": "Nothing is written here."}
        return question
    if mark:
        decided = f"A person gave {mark.points:g} points in place of {question['points']:g}: {mark.comment}"
        return {**question, "points": mark.points, "message": decided, "outcome": "marked", "hidden": False}
    return question
