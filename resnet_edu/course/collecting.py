"""Collect submissions from what Canvas, Moodle and Gradescope let an instructor download, or from plain folders.

Nothing is unpacked by the names inside an archive: each notebook is read, and written to a path made here.
"""

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from resnet_edu.course import roster as class_list
from resnet_edu.course.notebooks import LARGEST
from resnet_edu.course.roster import Student, student_id
from resnet_edu.files import replacing

MOST_FILES = 20_000
# lovelaceada_LATE_1001_2002_hw1-1.ipynb: name, late or not, the student's number, the submission's, file, attempt
CANVAS = re.compile(r"(?P<who>[^_]+)_(?P<late>LATE_)?(?P<id>\d+)_(?P<submission>\d+)_(?P<file>.+)", re.I)
# Ada Lovelace_12345_assignsubmission_file_/hw1.ipynb, or without the folder
MOODLE = re.compile(r"(?P<who>[^_/]+)_(?P<id>\d+)_assignsubmission_file_?/?(?P<file>.+)")
ATTEMPT = re.compile(r"(?:-(?P<canvas>\d+)| \((?P<browser>\d+)\))(?=\.ipynb$)")


@dataclass(frozen=True)
class Entry:
    """One notebook that was found: whose it is, and how late."""

    student: str
    name: str
    file: str
    late: bool
    attempt: tuple
    read: Callable = field(compare=False)
    email: str = ""


@dataclass
class Collected:
    """What was collected, what was left and why, and of whom there is nothing."""

    collected: list[Entry]
    left: list[tuple[str, str]]
    absent: list[str]


def collect(course: Path, name: str, download: Path, origin: str, roster: Path | None = None) -> Collected:
    """Write each student's latest notebook to ``submitted/STUDENT/NAME/NAME.ipynb``; list what fits nobody.

    With a ``roster`` (a list that Canvas, Moodle or Gradescope exports, or ``student,name,email``) the class is kept
    in ``roster.csv``, and files of others are left.
    """
    if not download.exists():
        raise ValueError(f"{download} does not exist; give the zip or folder that you downloaded")
    if roster is not None:
        class_list.write(course, class_list.read_list(roster))
    students = {student.id: student for student in class_list.roster(course)}
    by_email = {student.email: student.id for student in students.values() if student.email}
    left: list[tuple[str, str]] = []
    found: dict[str, list[Entry]] = {}
    for path, read, when, problem in _files(download):
        entry = None if problem else _entry(origin, path, read, when)
        if problem or isinstance(entry, str) or entry is None:
            left.append((path, problem or entry or "its name does not tell whose it is"))
            continue
        student = entry.student if entry.student in students else by_email.get(entry.email, entry.student)
        if students and student not in students:
            left.append((path, f"student {student} is not in roster.csv"))
            continue
        found.setdefault(student, []).append(entry)
    chosen = []
    for student, entries in sorted(found.items()):
        named = [entry for entry in entries if plain_name(entry.file) == plain_name(f"{name}.ipynb")]
        others = {plain_name(entry.file) for entry in entries if entry not in named}
        if not named and len(others) > 1:
            left += [
                (entry.file, f"{student} handed in several notebooks, none called {name}.ipynb") for entry in entries
            ]
            continue
        entry = max(named or entries, key=lambda one: (one.attempt, one.file))
        left += [(one.file, "another notebook counts") for one in entries if named and one not in named]
        entry = Entry(student, entry.name, entry.file, entry.late, entry.attempt, entry.read, entry.email)
        problem = _write(course / "submitted" / student / name, name, entry)
        if problem:
            left.append((entry.file, problem))
        else:
            chosen.append(entry)
    _note(course, name, chosen, students)
    return Collected(chosen, left, sorted(set(students) - {entry.student for entry in chosen}))


def _files(download: Path) -> Iterator[tuple[str, Callable, tuple, str | None]]:
    """Yield ``(path inside, function that opens it, time, problem)`` for each file of a zip or folder."""
    if download.is_dir():
        for folder, folders, files in os.walk(download):  # does not follow links
            folders.sort()
            for name in sorted(files):
                path = Path(folder, name)
                inside = path.relative_to(download).as_posix()
                problem = "it is a link" if path.is_symlink() else None
                when = () if problem else (path.stat().st_mtime,)
                yield inside, (lambda path=path: path.open("rb")), when, problem or _kind(inside)
        return
    try:
        archive = zipfile.ZipFile(download)
    except (zipfile.BadZipFile, OSError):
        raise ValueError(f"{download} is no zip; give the file as it was downloaded") from None
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise ValueError(f"{download} holds {len(entries):,} files, at most {MOST_FILES:,} are read; split it")
    for entry in entries:
        if entry.is_dir():
            continue
        parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
        problem = _kind(entry.filename)
        if stat.S_ISLNK(entry.external_attr >> 16):
            problem = "it is a link"
        elif ".." in parts or entry.filename.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", entry.filename):
            problem = "its path leads out of the archive"
        elif entry.file_size > LARGEST:
            problem = f"it has {entry.file_size / 1e6:,.0f} MB"
        elif entry.flag_bits & 1:
            problem = "it is encrypted"
        yield entry.filename, (lambda entry=entry: archive.open(entry)), entry.date_time, problem


def _kind(path: str) -> str | None:
    name = PurePosixPath(path).name
    if name.startswith(".") or "__MACOSX" in path or ".ipynb_checkpoints" in path:
        return "a file of the system"
    if name.endswith("submission_metadata.yml"):
        return "a list of Gradescope's"
    return None if name.lower().endswith(".ipynb") else "no notebook"


def _entry(origin: str, path: str, read: Callable, when: tuple) -> Entry | str | None:
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if origin == "canvas":
        match = CANVAS.fullmatch(parts[-1])
        if not match:
            return None
        attempt = ATTEMPT.search(match["file"])
        number = int(attempt["canvas"] or 0) if attempt else 0
        return Entry(match["id"], match["who"], path, bool(match["late"]), (number, int(match["submission"])), read)
    if origin == "moodle":
        match = MOODLE.fullmatch("/".join(parts[-2:])) or MOODLE.fullmatch(parts[-1])
        return Entry(match["id"], match["who"], path, False, when, read) if match else None
    if origin == "gradescope":  # submission_123/hw1.ipynb, or a folder with the student's id or e-mail address
        folders = [part for part in parts[:-1] if not part.startswith("assignment_")]
        if not folders:
            return None
        who = folders[-1]
        return Entry(student_id(who), "", path, False, when, read, email=who)
    if len(parts) < 2:
        return "it must lie in a folder named after the student"
    who = parts[-3] if len(parts) > 2 else parts[-2]
    return Entry(student_id(who), "", path, False, when, read) if student_id(who) else None


def plain_name(path: str) -> str:
    """Return a file's name without what Canvas, Colab and browsers add to it."""
    name = PurePosixPath(path.replace("\\", "/")).name
    match = CANVAS.fullmatch(name) or MOODLE.fullmatch(name)
    name = match["file"] if match else name
    name = ATTEMPT.sub("", name)
    return re.sub(r"^(?:copy[ _+-]of[ _+-])+", "", name, flags=re.I).lower()


def _write(folder: Path, name: str, entry: Entry) -> str | None:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.ipynb"
    try:
        size = 0
        with entry.read() as source, replacing(target) as file:
            while part := source.read(1 << 20):
                size += len(part)
                if size > LARGEST:
                    raise ValueError(f"it has more than {LARGEST / 1e6:,.0f} MB")
                file.write(part)
    except ValueError as error:
        return str(error)
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        return f"it cannot be read: {error}"
    for old in folder.glob("*.ipynb"):
        if old != target:
            old.unlink()
    return None


def _note(course: Path, name: str, entries: list[Entry], students: dict[str, Student]) -> None:
    """Keep where each submission came from in ``results/NAME/collected.csv``."""
    path = course / "results" / name / "collected.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {row["student"]: row for row in class_list.read_table(path)} if path.exists() else {}
    for entry in entries:
        who = students[entry.student].name if entry.student in students else entry.name
        rows[entry.student] = {
            "student": entry.student,
            "name": who,
            "late": "late" if entry.late else "",
            "file": entry.file,
        }
    class_list.write_table(path, ("student", "name", "late", "file"), [rows[student] for student in sorted(rows)])


def collected(course: Path, name: str) -> dict[str, dict[str, str]]:
    """Return what ``collect`` noted, by student."""
    path = course / "results" / name / "collected.csv"
    return {row["student"]: row for row in class_list.read_table(path)} if path.exists() else {}
