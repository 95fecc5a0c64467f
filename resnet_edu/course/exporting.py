"""Write a class's points as others want them: a spreadsheet, Canvas, Moodle, Gradescope, and a summary to look at.

A total is written only where all of it is known. Who has none is left empty and named, never given a 0.
"""

import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from resnet_edu.course import tables
from resnet_edu.course.collecting import collected
from resnet_edu.course.grading import STATUSES
from resnet_edu.course.marking import marked_results
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.pages import page, prose
from resnet_edu.course.roster import moodle_number, roster, student_id, worksheet


@dataclass
class Exported:
    """Where an export was written, and what the instructor should know about it."""

    path: Path
    remarks: list[str]


def export(
    course: Path,
    assignment: Assignment,
    to: str,
    output: Path | None = None,
    gradebook: Path | None = None,
    column: str | None = None,
) -> Exported:
    """Write an export; ``column`` is the one of the grade book to be filled where its name does not tell."""
    found, remarks = marked_results(course, assignment)
    folder = course / "results" / assignment.name
    remarks += _remarks(found)
    if to == "gradescope":
        target = output or folder / "gradescope"
        for result in found:
            path = target / result["student"] / "results.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(gradescope_results(result), indent=1) + "\n", encoding="utf-8")
        return Exported(target, remarks)
    target = output or folder / {"csv": "grades.csv", "summary": "summary.html"}.get(to, f"{to}.csv")
    target.parent.mkdir(parents=True, exist_ok=True)
    if to == "csv":
        rows = _csv(course, assignment, found)
        tables.write_rows(target, rows[0], rows)
    elif to == "summary":
        target.write_text(_summary(assignment, found), encoding="utf-8")
    else:
        fill = _canvas if to == "canvas" else _moodle
        table, unknown = fill(assignment, {result["student"]: result for result in found}, gradebook, column)
        tables.write(target, table)
        remarks += [f"{student} has a result but stands not in {gradebook}" for student in unknown]
    return Exported(target, remarks)


def _remarks(found: list[dict]) -> list[str]:
    without = [result for result in found if result["total"] is None]
    lines = [f"{result['student']} has no total yet: {_why(result)}" for result in without]
    review = [result["student"] for result in found if result["flags"]]
    return lines + ([f"look at these before you publish: {', '.join(review)}"] if review else [])


def _why(result: dict) -> str:
    waiting = [question["id"] for question in result["questions"] if question["points"] is None]
    return f"{', '.join(waiting)} waits for marks" if waiting else f"{result['status']}, {result['message']}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _csv(course: Path, assignment: Assignment, found: list[dict]) -> list[dict]:
    noted, emails = collected(course, assignment.name), {student.id: student.email for student in roster(course)}
    rows = []
    for result in found:
        points = {question["id"]: question["points"] for question in result["questions"]}
        note = noted.get(result["student"], {})
        rows.append(
            {
                "student": result["student"],
                "name": result["name"] or note.get("name", ""),
                "email": emails.get(result["student"], ""),
                "status": result["status"],
                "late": note.get("late", ""),
                **{cell.name: _number(points.get(cell.name)) for cell in assignment.cells if cell.is_grade},
                "automatic": _number(result["automatic"]),
                "total": _number(result["total"]),
                "decided": "; ".join(f"{q['id']}: {q['message']}" for q in result["questions"] if _is_decided(q)),
                "possible": _number(result["possible"]),
                "flags": "; ".join(map(tables.printable, result["flags"])),
                "message": result["message"],
            }
        )
    return rows


def _is_decided(question: dict) -> bool:
    """Return whether a person has changed the points of a test."""
    return question["kind"] == "automatic" and question["outcome"] == "marked"


def _canvas(assignment: Assignment, found: dict[str, dict], gradebook: Path | None, column: str | None):
    """Return Canvas's grade book with one column filled; without one, the columns that Canvas asks for."""
    if gradebook is None:
        columns = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", column or assignment.name]
        rows = [
            {"Student": tables.safe(result["name"] or student), "ID": student, columns[-1]: _number(result["total"])}
            for student, result in found.items()
        ]
        return tables.Table(columns, rows, encoding="utf-8"), []
    table = tables.read(gradebook)
    matching = [name for name in table.columns if _is_column(name, column or assignment.name)]
    if len(matching) != 1 or "ID" not in table.columns:
        raise ValueError(
            f"{gradebook} must have the column 'ID' and one called {column or assignment.name!r}, as Canvas exports "
            f"it; it has: {', '.join(map(repr, table.columns))}; name the one to be filled with --column"
        )
    keep = [c for c in ("Student", "ID", "SIS User ID", "SIS Login ID", "Section") if c in table.columns]
    table.columns = [*keep, matching[0]]
    return _filled(table, found, "ID", matching[0], student_id)


def _is_column(name: str, wanted: str) -> bool:
    """Return whether a column is called so; Canvas adds its number: "hw1 (77)"."""
    return wanted.casefold() in (name.casefold(), name.rpartition(" (")[0].strip().casefold())


def _moodle(assignment: Assignment, found: dict[str, dict], gradebook: Path | None, column: str | None):
    """Return Moodle's grading worksheet, in any language, with the grades filled in."""
    if gradebook is None:
        columns = ["Identifier", "Full name", column or "Grade", "Maximum Grade"]
        rows = [
            {"Identifier": f"Participant {student}", "Full name": tables.safe(result["name"]),
             columns[2]: _number(result["total"]), "Maximum Grade": _number(result["possible"])}
            for student, result in found.items()
        ]  # fmt: skip
        return tables.Table(columns, rows, encoding="utf-8"), []
    table = tables.read(gradebook)
    sheet = worksheet(table)
    key = sheet.id if sheet else "Identifier"
    grade = column or (sheet.grade if sheet else "Grade")
    if not {key, grade} <= set(table.columns):
        raise ValueError(
            f"{gradebook} must be Moodle's grading worksheet, with the columns 'Identifier' and 'Grade' in its "
            f"language; it has: {', '.join(map(repr, table.columns))}; name the column of the grades with --column"
        )
    return _filled(table, found, key, grade, moodle_number)


def _filled(table: tables.Table, found: dict[str, dict], key: str, column: str, number) -> tuple:
    """Return the table with the totals that are known in ``column``, and who stands in none of its rows.

    All other cells come back as they were.
    """
    by_id = {tables.same_id(student): student for student in found}
    listed = set()
    for row in table.rows:
        written = number(row[key])
        student = written if written in found else by_id.get(tables.same_id(written)) if written else None
        if student is None:
            continue
        listed.add(student)
        if found[student]["total"] is not None:
            row[column] = _number(found[student]["total"])
    return table, sorted(set(found) - listed)


def gradescope_results(result: dict) -> dict:
    """Return a result as Gradescope reads it. Questions that a person reads are marked there, by its own rubric."""
    tests = [
        {
            "name": question["id"].removeprefix("test_"),
            "score": question["points"],
            "max_score": question["possible"],
            "status": "passed" if question["points"] == question["possible"] else "failed",
            "output": ("On other inputs: " if question["hidden"] and question["message"] else "") + question["message"],
            "visibility": "visible",
        }
        for question in result["questions"]
        if question["kind"] == "automatic"
    ]
    notes = {"timeout": "A test did not end in time.", "crashed": "A test ended the Python process."}
    made = {
        "output": result["message"] or notes.get(result["status"], ""),
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"status": result["status"], "flags": result["flags"]},
    }
    if not tests:  # Gradescope asks for a number; the text beside it says that it is none
        made |= {"score": 0, "output": f"NOT GRADED ({result['status']}): {result['message']}"}
    return made


def _summary(assignment: Assignment, found: list[dict]) -> str:
    """Return a page about the class: how many got which points, and what went wrong most often."""
    graded = [result for result in found if result["questions"]]
    counts = Counter(result["status"] for result in found)
    rows, messages = [], Counter()
    for cell in (cell for cell in assignment.cells if cell.is_grade):
        given = [
            q["points"] for r in graded for q in r["questions"] if q["id"] == cell.name and q["points"] is not None
        ]
        full = sum(points == cell.points for points in given)
        mean = f"{sum(given) / len(given):.2f}" if given else "…"
        rows.append((cell.name, f"{cell.points:g}", str(len(given)), str(full), mean))
    for result in graded:
        for question in result["questions"]:
            if question["kind"] == "automatic" and question["message"]:
                messages[question["id"], question["message"]] += 1
    mistakes = "".join(
        f'<tr><td class="number">{count}</td><td>{prose(name)}</td><td>{prose(message)}</td></tr>'
        for (name, message), count in messages.most_common(20)
    )
    statuses = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    table = "".join("<tr>" + "".join(f"<td>{prose(value)}</td>" for value in row) + "</tr>" for row in rows)
    return page(
        f"{assignment.name}: {len(found)} students",
        f"<p>{statuses}</p>{_plot(assignment, graded) if graded else ''}"
        "<h2>Questions</h2><table><thead><tr><th>Question</th><th>Points</th><th>Answers</th><th>Full points</th>"
        f"<th>Mean</th></tr></thead><tbody>{table}</tbody></table>"
        "<h2>Most frequent mistakes</h2><table><thead><tr><th>Students</th><th>Question</th><th>Message</th></tr>"
        f"</thead><tbody>{mistakes}</tbody></table>",
    )


def _plot(assignment: Assignment, graded: list[dict]) -> str:
    """Return an SVG: a histogram of the points of each question."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells = [cell for cell in assignment.cells if cell.is_grade]
    columns = min(4, len(cells))
    lines = -(-len(cells) // columns)
    with matplotlib.rc_context({"svg.hashsalt": "summary", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(lines, columns, figsize=(2.4 * columns, 2.2 * lines), squeeze=False, sharey=True)
        for axis in axes.flat[len(cells) :]:
            axis.remove()
        for cell, axis in zip(cells, axes.flat, strict=False):
            points = [q["points"] for r in graded for q in r["questions"] if q["id"] == cell.name]
            counts = Counter(value for value in points if value is not None)
            axis.bar(counts.keys(), counts.values(), width=0.08 * cell.points + 0.05, color="#0072B2")
            axis.set(
                title=cell.name.removeprefix("test_"),
                xlim=(-0.15 * cell.points, 1.15 * cell.points),
                xticks=[0, cell.points],
            )
            axis.spines[["top", "right"]].set_visible(False)
        for axis in axes[:, 0]:
            axis.set_ylabel("students")
            axis.yaxis.get_major_locator().set_params(integer=True)
        figure.supxlabel("points", fontsize=9)
        figure.tight_layout()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    drawing = buffer.getvalue()
    label = "Histogram of the points of each question; the table below has the numbers."
    return f'<figure role="img" aria-label="{label}">{drawing[drawing.index("<svg") :]}</figure>'
