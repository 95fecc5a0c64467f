"""Who is in the class: ``roster.csv``, made from any list that Canvas, Moodle or Gradescope exports."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from resnet_edu.files import replacing

ID_COLUMNS = ("student", "ID", "Identifier", "SID", "id")
NAME_COLUMNS = ("name", "Student", "Full name", "Name")
EMAIL_COLUMNS = ("email", "Email address", "Email", "SIS Login ID")


@dataclass(frozen=True)
class Student:
    """One student: the id that names folders and files, and what a person reads."""

    id: str
    name: str = ""
    email: str = ""


def roster(course: Path) -> list[Student]:
    """Return the class, or nothing if no roster was given."""
    path = course / "roster.csv"
    return read_list(path) if path.exists() else []


def read_list(path: Path) -> list[Student]:
    """Read a list of students: our own, Canvas's grade book, Moodle's grading worksheet or Gradescope's roster."""
    students = {}
    for row in read_table(path):
        number = student_id(next((row[c] for c in ID_COLUMNS if row.get(c)), ""))
        name, email = (next((row[c] for c in some if row.get(c)), "") for some in (NAME_COLUMNS, EMAIL_COLUMNS))
        if not name and row.get("First Name"):
            name = f"{row['First Name']} {row.get('Last Name', '')}".strip()
        if number:
            students[number] = Student(number, name.strip(), email.strip())
    if not students:
        raise ValueError(f"{path} names no students; it needs one of the columns {', '.join(ID_COLUMNS)}")
    return sorted(students.values(), key=lambda student: student.id)


def write(course: Path, students: list[Student]) -> None:
    """Write ``roster.csv``."""
    rows = [{"student": s.id, "name": s.name, "email": s.email} for s in students]
    write_table(course / "roster.csv", ("student", "name", "email"), rows)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file as a list of rows; spreadsheets put a mark (BOM) before the first column."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return [{k: (v or "") for k, v in row.items() if isinstance(k, str)} for row in csv.DictReader(file)]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8; save it again as CSV UTF-8") from None


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a CSV file, whole or not at all: it may hold what an instructor has written."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode())


def student_id(text: str) -> str:
    """Return an id that is safe as the name of a folder; Moodle writes 'Participant 123'."""
    text = re.sub(r"^Participant\s+", "", text.strip())
    text = re.sub(r"[^\w.@-]+", "-", text).strip("-.")
    return text[:80]
