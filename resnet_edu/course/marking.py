"""Questions that a person reads: a page with all answers and the rubric, and a table to write points into.

``results/NAME/marks.csv`` has a row for each answer; ``points`` and ``comment`` are the instructor's. Grading again
keeps them, as long as the answer is the same.
"""

import hashlib
import math
from pathlib import Path

from resnet_edu.course.classroom import results
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.pages import page, prose
from resnet_edu.course.roster import read_table, write_table

COLUMNS = ("student", "name", "question", "points", "possible", "comment", "answer")


def prepare(course: Path, assignment: Assignment) -> tuple[Path, Path] | None:
    """Write ``marking.html`` and ``marks.csv``; return nothing if no question is read by a person."""
    if not assignment.manual:
        return None
    folder = course / "results" / assignment.name
    table = folder / "marks.csv"
    earlier = {(row["student"], row["question"]): row for row in read_table(table)} if table.exists() else {}
    rows, sections = [], []
    found = results(course, assignment.name) if any(folder.glob("*.json")) else []
    for cell in assignment.manual:
        answers = []
        for one in found:
            for question in one["questions"]:
                if question["id"] != cell.name:
                    continue
                mark = hashlib.sha256(question["answer"].encode()).hexdigest()[:12]
                old = earlier.get((one["student"], cell.name), {})
                row = {"student": one["student"], "name": one["name"], "question": cell.name, "points": "",
                       "possible": f"{cell.points:g}", "comment": "", "answer": mark}  # fmt: skip
                if old.get("answer") == mark:
                    row |= {"points": old["points"], "comment": old["comment"]}
                elif old.get("points"):
                    row["comment"] = f"the answer changed; it had {old['points']} points: {old['comment']}"
                rows.append(row)
                answers.append(f"<h3>{prose(one['name'] or one['student'])} ({prose(one['student'])})</h3>"
                               f"<pre>{prose(question['answer'] or '(nothing is written)')}</pre>")  # fmt: skip
        sections.append(f"<h2>{prose(cell.name)} ({cell.points:g} points)</h2><details open><summary>Rubric</summary>"
                        f"<pre>{prose(cell.model)}</pre></details>{''.join(answers)}")  # fmt: skip
    write_table(table, COLUMNS, rows)
    (folder / "marking.html").write_text(page(f"Answers to {assignment.name}", "".join(sections)), encoding="utf-8")
    return folder / "marking.html", table


def marks(course: Path, assignment: Assignment) -> dict[tuple[str, str], tuple[float, str]]:
    """Return ``(points, comment)`` by student and question, as far as they are given."""
    path = course / "results" / assignment.name / "marks.csv"
    possible = {cell.name: cell.points for cell in assignment.manual}
    found = {}
    for number, row in enumerate(read_table(path), start=2) if path.exists() else ():
        text = row.get("points", "").strip().replace(",", ".")
        if not text:
            continue
        most = possible.get(row["question"])
        if most is None:
            raise ValueError(
                f"{path}, line {number}: there is no question {row['question']!r}; keep the column as it was"
            )
        try:
            points = float(text)
        except ValueError:
            points = math.nan
        if not 0 <= points <= most:  # false for NaN, too
            raise ValueError(
                f"{path}, line {number}: points must be a number from 0 to {most:g}, got {row['points']!r}"
            )
        found[row["student"], row["question"]] = points, row.get("comment", "").strip()
    return found


def marked_results(course: Path, assignment: Assignment) -> list[dict]:
    """Return the class's results with the marks in them; ``total`` is nothing while a mark or a result is missing."""
    given = marks(course, assignment)
    complete = []
    for one in results(course, assignment.name):
        questions = []
        for question in one["questions"]:
            mark = given.get((one["student"], question["id"]))
            if question["kind"] == "manual":
                if mark:
                    question = {**question, "points": mark[0], "message": mark[1], "outcome": "marked"}
                elif question["outcome"] == "unanswered":
                    question = {**question, "points": 0.0, "message": "Nothing is written here."}
            questions.append(question)
        points = [question["points"] for question in questions]
        total = sum(points) if points and None not in points else None
        complete.append({**one, "questions": questions, "total": total})
    return complete
