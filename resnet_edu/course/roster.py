"""Who is in the class: ``roster.csv``, made from any list that Canvas, Moodle or Gradescope exports."""

import itertools
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from resnet_edu.course import tables

ID_COLUMNS = ("student", "ID", "Identifier", "SID", "id")
NAME_COLUMNS = ("name", "Student", "Full name", "Name")
EMAIL_COLUMNS = ("email", "Email address", "Email", "SIS Login ID")
LONGEST_ID = 120  # bytes: a file system takes 255, and a name gets an ending


@dataclass(frozen=True)
class Student:
    """One student: the id that names folders and files, and what a person reads."""

    id: str
    name: str = ""
    email: str = ""


@dataclass(frozen=True)
class Worksheet:
    """The columns of Moodle's grading worksheet, whose names are in the language of the site."""

    id: str
    name: str
    email: str | None
    grade: str
    most: str


def roster(course: Path) -> list[Student]:
    """Return the class, or nothing if no roster was given."""
    path = course / "roster.csv"
    return read_list(path) if path.exists() else []


def read_list(path: Path) -> list[Student]:
    """Read a list of students: our own, Canvas's grade book, Moodle's grading worksheet or Gradescope's roster."""
    students, table = {}, tables.read(path)
    sheet = worksheet(table)
    ids, names, emails = (ID_COLUMNS, NAME_COLUMNS, EMAIL_COLUMNS)
    if sheet:
        ids, names, emails = (sheet.id,), (sheet.name,), (sheet.email or "",)
    for row in table.rows:
        number = next((row[c] for c in ids if row.get(c)), "")
        number = moodle_number(number) if sheet else student_id(tables.unsafe(number))
        name, email = (next((row[c] for c in some if row.get(c)), "") for some in (names, emails))
        if not name and row.get("First Name"):
            name = f"{row['First Name']} {row.get('Last Name', '')}".strip()
        if number:
            students[number] = Student(number, tables.unsafe(name.strip()), email.strip())
    if not students:
        raise ValueError(f"{path} names no students; it needs one of the columns {', '.join(ID_COLUMNS)}")
    return sorted(students.values(), key=lambda student: student.id)


def worksheet(table: tables.Table) -> Worksheet | None:
    """Find the columns of Moodle's grading worksheet, in any language.

    The first holds a word and a number ("Participant 501", "Teilnehmer/in501"), and somewhere a column with the
    same number in all rows, the most that can be reached, follows one with the grades.
    """
    columns, rows = table.columns, table.rows
    if len(columns) < 4 or not rows:
        return None
    words = [re.fullmatch(r"\s*(\D*?)\s*(\d+)\s*", row[columns[0]]) for row in rows]
    if not all(words) or len({match[1] for match in words}) > 1:
        return None
    if not words[0][1] and columns[0] != "Identifier":
        return None
    for left, right in itertools.pairwise(columns[1:]):
        most = {row[right].strip() for row in rows}
        if len(most) == 1 and _is_number(next(iter(most))) and all(
            row[left].strip() in ("", "-") or _is_number(row[left]) for row in rows
        ):  # fmt: skip
            email = next((c for c in columns[1:] if any("@" in row[c] for row in rows)), None)
            return Worksheet(columns[0], columns[1], email, left, right)
    return None


def moodle_number(text: str) -> str:
    """Return the number in Moodle's "Participant 123", whatever the word is."""
    match = re.search(r"\d+", text)
    return match[0] if match else ""


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"\d+(?:[.,]\d+)?", text.strip()))


def write(course: Path, students: list[Student]) -> None:
    """Write ``roster.csv``."""
    rows = [{"student": s.id, "name": s.name, "email": s.email} for s in students]
    tables.write_rows(course / "roster.csv", ("student", "name", "email"), rows)


def student_id(text: str) -> str:
    """Return an id that is safe as the name of a folder, in one form for all systems (NFC)."""
    text = re.sub(r"^Participant\s+", "", unicodedata.normalize("NFC", text.strip()))
    text = re.sub(r"[^\w.@-]+", "-", text).strip("-.")
    return text.encode()[:LONGEST_ID].decode(errors="ignore").strip("-.")
