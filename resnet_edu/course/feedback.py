"""One page a student: points and messages. Of hidden tests it shows the message alone, never source or output."""

import shutil
from pathlib import Path

from resnet_edu.course.marking import marked_results
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.pages import page, prose

EXPLANATIONS = {
    "graded": "",
    "needs_review": "Your instructor looks at this submission.",
    "unreadable": "The file could not be read, so it has no points yet.",
    "wrong_notebook": "This is another notebook, so it has no points yet.",
    "timeout": "A test did not end in time. The other questions keep their points.",
    "crashed": "A test ended the Python process. The other questions keep their points.",
    "no_submission": "Nothing was handed in.",
}


def write_feedback(course: Path, assignment: Assignment) -> list[Path]:
    """Write ``feedback/STUDENT/NAME/NAME.html`` for each result."""
    pages = []
    for result in marked_results(course, assignment)[0]:
        path = course / "feedback" / result["student"] / assignment.name / f"{assignment.name}.html"
        if path.parent.exists():
            shutil.rmtree(path.parent)  # nothing of another tool or an earlier run stays beside it
        path.parent.mkdir(parents=True)
        path.write_text(feedback_page(result), encoding="utf-8")
        pages.append(path)
    return pages


def feedback_page(result: dict) -> str:
    """Return a student's page."""
    total = "not complete yet" if result["total"] is None else f"{result['total']:g}"
    if any(question["outcome"] == "needs_marking" for question in result["questions"]):
        total += " (questions wait for their reader)"
    rows = "".join(_row(question) for question in result["questions"])
    table = (
        f"<table><thead><tr><th>Question</th><th>Points</th><th>Message</th></tr></thead><tbody>{rows}</tbody></table>"
    )
    lead = " ".join(filter(None, (EXPLANATIONS[result["status"]], _sentence(result["message"]))))
    return page(
        f"{result['assignment']}: {result['name'] or result['student']}",
        f"<p><strong>Points: {total} of {result['possible']:g}</strong></p>"
        + (f"<p>{prose(lead)}</p>" if lead else "")
        + (table if rows else "")
        + "".join(f"<p>{prose(note)}</p>" for note in result.get("notes", ())),
    )


def _row(question: dict) -> str:
    points = "…" if question["points"] is None else f"{question['points']:g}"
    full = question["points"] == question["possible"]
    mark = "" if question["points"] is None else ' class="full"' if full else ' class="lost"'
    message = question["message"]
    if question["hidden"] and message:
        message = f"On other inputs: {message}"
    return (
        f"<tr><td{mark}>{prose(question['id'].removeprefix('test_'))}</td>"
        f'<td class="number">{points} of {question["possible"]:g}</td><td>{prose(message)}</td></tr>'
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""
