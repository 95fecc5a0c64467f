"""Collect submissions from what Canvas, Moodle and Gradescope let an instructor download, or from plain folders.

Nothing is unpacked by the names inside an archive: each notebook is read, and written to a path made here. Whose it
is, the outermost name says that the platform made; what a student called a folder or file decides nothing.
"""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from resnet_edu.course import notebooks, tables
from resnet_edu.course import roster as class_list
from resnet_edu.course.downloads import Found, files
from resnet_edu.course.notebooks import LARGEST
from resnet_edu.course.roster import Student, student_id
from resnet_edu.files import replacing

# lovelaceada_LATE_1001_2002_hw1-1.ipynb: name, late or not, the student's number, the submission's, file, attempt.
# A group's name may hold underscores, so a name can be read in several ways.
CANVAS = re.compile(r"(?<=.)(?=_(?P<late>LATE_)?(?P<id>\d+)_(?P<submission>\d+)_(?P<file>.+))", re.I | re.S)
ANONYMOUS = re.compile(r"(?P<late>LATE_)?anon_(?P<id>[A-Za-z0-9]+)_(?P<submission>\d+)_(?P<file>.+)")
# Ada Lovelace_12345_assignsubmission_file_/hw1.ipynb, or without the folder
MOODLE = re.compile(r"(?P<who>.+)_(?P<id>\d+)_assignsubmission_file(?:_?$|_(?P<file>.+))")
SUFFIX = re.compile(r"(?:-(?P<canvas>\d+)|-Copy\d+| ?\((?P<browser>\d+)\))$", re.I)
COPY_OF = re.compile(r"^(?:copy[ _+-]of[ _+-])+", re.I)


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
    owner: str = ""  # what the platform calls the student
    anonymous: bool = False
    numbered: bool = False  # whether the platform itself numbers the attempts


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
    left: list[tuple[str, str]] = []
    found: dict[str, list[Entry]] = {}
    for entry in _entries(origin, files(download), students, left):
        found.setdefault(entry.student, []).append(entry)
    others = set(notebooks.names(course)) - {name}
    chosen = []
    for student, entries in sorted(_without_clashes(found, left).items()):
        entry = _one(name, student, entries, others, left)
        problem = _write(course / "submitted" / student / name, name, entry) if entry else None
        if problem:
            left.append((entry.file, problem))
        elif entry:
            chosen.append(entry)
    _note(course, name, chosen, students)
    return Collected(chosen, left, sorted(set(students) - {entry.student for entry in chosen}))


def _entries(origin: str, everything: list[Found], students: dict[str, Student], left: list) -> list[Entry]:
    """Return whose notebooks there are; what is nobody's goes to ``left``."""
    owners = _gradescope_owners(everything) if origin == "gradescope" else {}
    by_email = {student.email.casefold(): student.id for student in students.values() if student.email}
    entries = []
    for one in everything:
        made = [] if one.problem else _owned(origin, one, students, owners)
        if one.problem or isinstance(made, str) or not made:
            reason = one.problem or made or "its name does not tell whose it is"
            if reason != "a list of Gradescope's":
                left.append((one.path, reason))
            continue
        for entry in made:
            student = entry.student if entry.student in students else by_email.get(entry.email.casefold(), "")
            student = student or _known(entry.student, students)
            if students and student not in students and not entry.anonymous:
                left.append((one.path, f"student {entry.student} is not in roster.csv"))
            else:
                entries.append(replace(entry, student=student))
    return entries


def _known(student: str, students: dict[str, Student]) -> str:
    """Return the student of the roster whose id a spreadsheet has robbed of its zeros."""
    same = [each for each in students if tables.same_id(each) == tables.same_id(student)]
    return same[0] if len(same) == 1 else student


def _owned(origin: str, one: Found, students: dict, owners: dict) -> list[Entry] | str:
    """Return the entries that a file makes, one for each student who handed it in, or why it makes none."""
    parts = PurePosixPath(one.path.replace("\\", "/")).parts
    if origin == "canvas":
        return _of_canvas(one, parts[-1], students)
    if origin == "moodle":
        match = next((m for m in map(MOODLE.fullmatch, parts) if m), None)
        return [] if match is None else [
            Entry(match["id"], match["who"], one.path, False, one.when, one.read, owner=match["id"])
        ]  # fmt: skip
    if origin == "gradescope":  # submission_123/hw1.ipynb, or a folder with the student's id or e-mail address
        folders = parts[1:-1] if parts[0].startswith("assignment_") else parts[:-1]
        if not folders:
            return []
        who = owners.get(folders[0], [("", folders[0], folders[0])])
        return [
            Entry(student_id(sid or email or name), name if sid or email != name else "", one.path, False, one.when,
                  one.read, email=email, owner=folders[0] + sid + email)
            for name, sid, email in who
        ]  # fmt: skip
    if len(parts) < 2:
        return "it must lie in a folder named after the student"
    who = student_id(parts[0])
    return [Entry(who, "", one.path, False, one.when, one.read, owner=parts[0])] if who else []


def _of_canvas(one: Found, name: str, students: dict) -> list[Entry]:
    match = ANONYMOUS.fullmatch(name)
    if match and match["id"] not in students:
        late, attempt = bool(match["late"]), (0, int(match["submission"][:18]))
        student = f"anon-{match['id']}"
        return [
            Entry(student, student, one.path, late, attempt, one.read, owner=match["id"], anonymous=True, numbered=True)
        ]
    matches = list(CANVAS.finditer(name))
    if not matches:
        return []
    match = next((m for m in matches if m["id"] in students), matches[0])
    number = SUFFIX.search(PurePosixPath(name).stem)
    attempt = int((number["canvas"] or "0")[:9]) if number else 0
    return [Entry(match["id"], name[: match.start()], one.path, bool(match["late"]),
                  (attempt, int(match["submission"][:18])), one.read, owner=match["id"], numbered=True)]  # fmt: skip


def _gradescope_owners(everything: list[Found]) -> dict[str, list[tuple[str, str, str]]]:
    """Return ``(name, id, e-mail)`` of who handed in, by folder, from the list in Gradescope's export."""
    import yaml

    owners = {}
    for one in everything:
        if one.problem != "a list of Gradescope's":
            continue
        try:
            with one.read() as file:
                listed = yaml.safe_load(file.read(LARGEST).decode("utf-8", "replace"))
        except yaml.YAMLError:
            raise ValueError(f"{one.path} cannot be read; download the export again") from None
        for folder, about in listed.items() if isinstance(listed, dict) else ():
            people = about.get(":submitters") if isinstance(about, dict) else None
            owners[str(folder)] = [
                tuple(str(person.get(key) or "") for key in (":name", ":sid", ":email"))
                for person in (people if isinstance(people, list) else [])
                if isinstance(person, dict)
            ]
    return {folder: people for folder, people in owners.items() if people}


def _without_clashes(found: dict[str, list[Entry]], left: list) -> dict[str, list[Entry]]:
    """Leave out students whose different names become one, on this system or on one that ignores case."""
    same: dict[str, set[str]] = {}
    for student, entries in found.items():
        same.setdefault(student.casefold(), set()).update(entry.owner for entry in entries)
    kept = {}
    for student, entries in found.items():
        owners = same[student.casefold()]
        if len(owners) > 1:
            listed = " and ".join(sorted(map(repr, owners)))
            left += [(entry.file, f"{listed} would become one student; rename one of them") for entry in entries]
        else:
            kept[student] = entries
    return kept


def _one(name: str, student: str, entries: list[Entry], others: set[str], left: list) -> Entry | None:
    """Return the notebook that counts; the others are named."""
    named = [entry for entry in entries if is_called(entry.file, name)]
    for entry in [entry for entry in entries if entry not in named]:
        other = next((other for other in others if is_called(entry.file, other)), None)
        if other:
            left.append((entry.file, f"it is called like another assignment, {other}"))
            entries = [each for each in entries if each is not entry]
    if not named and len({plain_name(entry.file) for entry in entries}) > 1:
        left += [(entry.file, f"{student} handed in several notebooks, none called {name}.ipynb") for entry in entries]
        return None
    if not entries:
        return None
    chosen = max(named or entries, key=lambda one: (one.attempt, one.file))
    for entry in entries:
        same = entry in named and plain_name(entry.file) == plain_name(chosen.file)
        earlier = same and entry.numbered and entry.attempt < chosen.attempt
        if entry is not chosen and not earlier:
            left.append((entry.file, "another notebook counts"))
    return chosen


def is_called(path: str, name: str) -> bool:
    """Return whether a file is called like an assignment, whatever platforms, Colab and browsers have added."""
    stem = _stem(path)
    return name.lower() in (stem, SUFFIX.sub("", stem), SUFFIX.sub("", SUFFIX.sub("", stem)))


def plain_name(path: str) -> str:
    """Return a file's name without what Canvas, Moodle, Colab and browsers add to it."""
    return f"{SUFFIX.sub('', _stem(path))}.ipynb"


def _stem(path: str) -> str:
    name = PurePosixPath(path.replace("\\", "/")).name
    anonymous, moodle, canvas = ANONYMOUS.fullmatch(name), MOODLE.fullmatch(name), CANVAS.search(name)
    if anonymous or (moodle and moodle["file"]):
        name = (anonymous or moodle)["file"]
    elif canvas:
        name = canvas["file"]
    return COPY_OF.sub("", re.sub(r"\.ipynb$", "", name, flags=re.I)).lower()


def _write(folder: Path, name: str, entry: Entry) -> str | None:
    target = folder / f"{name}.ipynb"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        size = 0
        with entry.read() as source, replacing(target) as file:
            while part := source.read(1 << 20):
                size += len(part)
                if size > LARGEST:
                    raise ValueError(f"it has more than {LARGEST / 1e6:,.0f} MB")
                file.write(part)
        for old in folder.glob("*.ipynb"):
            if old != target:
                old.unlink()
    except ValueError as error:
        return str(error)
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, zipfile.zlib.error) as error:
        return f"it cannot be read: {error}"
    return None


def _note(course: Path, name: str, entries: list[Entry], students: dict[str, Student]) -> None:
    """Keep where each submission came from in ``results/NAME/collected.csv``."""
    path = course / "results" / name / "collected.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = collected(course, name)
    for entry in entries:
        who = students[entry.student].name if entry.student in students else entry.name
        rows[entry.student] = {
            "student": entry.student,
            "name": who,
            "late": "late" if entry.late else "",
            "file": entry.file,
        }
    tables.write_rows(path, ("student", "name", "late", "file"), [rows[student] for student in sorted(rows)])


def collected(course: Path, name: str) -> dict[str, dict[str, str]]:
    """Return what ``collect`` noted, by student."""
    path = course / "results" / name / "collected.csv"
    rows = tables.read_rows(path) if path.exists() else []
    rows = [{key: tables.unsafe(value) for key, value in row.items()} for row in rows]
    return {row["student"]: row for row in rows if row.get("student")}
