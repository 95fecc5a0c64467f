"""Collecting what Canvas, Moodle and Gradescope let an instructor download."""

import json
import stat
import zipfile

import fixture
import pytest

from resnet_edu.cli import main
from resnet_edu.course import collecting
from resnet_edu.course.collecting import collect


def notebook(text):
    return json.dumps(fixture.submission(why=text))


def archive(path, files):
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def handed_in(course):
    """Return each collected answer to the last question, by student."""
    found = {}
    for path in course.glob("submitted/*/hw1/hw1.ipynb"):
        cells = {cell["id"]: cell["source"] for cell in json.loads(path.read_text())["cells"]}
        found[path.parts[-3]] = cells["why"]
    return found


def test_canvas(tmp_path):
    course = fixture.course(tmp_path)
    download = archive(
        tmp_path / "submissions.zip",
        {
            "lovelaceada_1001_9001_hw1.ipynb": notebook("first"),
            "lovelaceada_1001_9002_hw1-2.ipynb": notebook("third"),
            "lovelaceada_1001_9003_hw1-1.ipynb": notebook("second"),
            "turingalan_LATE_1002_9004_Copy of hw1.ipynb": notebook("late"),
            "hopper_1003_9005_Copy_of_hw1 (1).ipynb": notebook("copy"),
            "noether_1004_9006_Untitled3.ipynb": notebook("own name"),
            "germain_1005_9007_essay.pdf": b"%PDF",
            "hw1.ipynb": notebook("whose?"),
            "__MACOSX/._x.ipynb": b"",
        },
    )
    done = collect(course, "hw1", download, "canvas")
    assert handed_in(course) == {"1001": "third", "1002": "late", "1003": "copy", "1004": "own name"}
    assert {entry.student: entry.late for entry in done.collected} == {
        "1001": False, "1002": True, "1003": False, "1004": False
    }  # fmt: skip
    left = dict(done.left)
    assert left["germain_1005_9007_essay.pdf"] == "no notebook"
    assert left["hw1.ipynb"] == "its name does not tell whose it is"
    assert collecting.collected(course, "hw1")["1002"]["late"] == "late"
    assert collecting.collected(course, "hw1")["1001"]["name"] == "lovelaceada"


def test_files_that_fit_nobody_give_exit_status_1(tmp_path, capsys):
    course = fixture.course(tmp_path)
    download = archive(tmp_path / "s.zip", {"a_1_2_hw1.ipynb": notebook("a"), "whose.ipynb": notebook("b")})
    command = ["course", "collect", "hw1", str(download), "--from", "canvas", "--course", str(course)]
    assert main(command) == 1
    printed = capsys.readouterr()
    assert "NOT COLLECTED whose.ipynb: its name does not tell whose it is" in printed.err
    assert "1 submissions, 1 files not collected, 0 students without" in printed.out
    archive(download, {"a_1_2_hw1.ipynb": notebook("a")})
    assert main(command) == 0


def test_moodle_with_and_without_folders(tmp_path):
    course = fixture.course(tmp_path)
    download = archive(
        tmp_path / "moodle.zip",
        {
            "Ada Lovelace_501_assignsubmission_file_/Copy of hw1.ipynb": notebook("ada"),
            "Grace Brewster Hopper_502_assignsubmission_file_hw1.ipynb": notebook("grace"),
            "Émilie du Châtelet_503_assignsubmission_file_/hw1.ipynb": notebook("émilie"),
            "Alan Turing_504_assignsubmission_onlinetext_/onlinetext.html": "<p>hi</p>",
        },
    )
    done = collect(course, "hw1", download, "moodle")
    assert handed_in(course) == {"501": "ada", "502": "grace", "503": "émilie"}
    assert [file for file, _ in done.left] == ["Alan Turing_504_assignsubmission_onlinetext_/onlinetext.html"]


def test_gradescope_and_plain_folders(tmp_path):
    course = fixture.course(tmp_path)
    roster = tmp_path / "roster.csv"
    roster.write_text(
        "First Name,Last Name,SID,Email\nAda,Lovelace,s1,ada@example.org\nAlan,Turing,s2,alan@example.org\n"
    )
    fixture.save(tmp_path / "export/assignment_7/ada@example.org/hw1.ipynb", notebook("ada"))
    fixture.save(tmp_path / "export/assignment_7/s2/hw1.ipynb", notebook("alan"))
    fixture.save(tmp_path / "export/assignment_7/stranger/hw1.ipynb", notebook("who?"))
    done = collect(course, "hw1", tmp_path / "export", "gradescope", roster)
    assert handed_in(course) == {"s1": "ada", "s2": "alan"}
    assert done.left == [("assignment_7/stranger/hw1.ipynb", "student stranger is not in roster.csv")]
    fixture.save(tmp_path / "plain/s1/hw1/hw1.ipynb", notebook("again"))
    fixture.save(tmp_path / "plain/lost.ipynb", notebook("lost"))
    done = collect(course, "hw1", tmp_path / "plain", "folder")
    assert handed_in(course)["s1"] == "again" and done.absent == ["s2"]
    assert done.left == [("lost.ipynb", "it must lie in a folder named after the student")]


def test_a_roster_from_canvas_or_moodle_names_who_is_absent(tmp_path):
    course = fixture.course(tmp_path)
    book = tmp_path / "book.csv"
    book.write_text("\ufeffStudent,ID,SIS Login ID,Section,hw1 (77)\n    Points Possible,,,,7\n"
                    "\"Lovelace, Ada\",1001,ada,A,\n"
                    "\"Turing, Alan\",1002,alan,A,\n")  # fmt: skip
    download = archive(
        tmp_path / "s.zip", {"lovelaceada_1001_1_hw1.ipynb": notebook("a"), "x_9_1_hw1.ipynb": notebook("x")}
    )
    done = collect(course, "hw1", download, "canvas", book)
    assert done.absent == ["1002"] and done.left == [("x_9_1_hw1.ipynb", "student 9 is not in roster.csv")]
    assert (course / "roster.csv").read_text(encoding="utf-8-sig").splitlines()[1:] == [
        '1001,"Lovelace, Ada",ada',
        '1002,"Turing, Alan",alan',
    ]
    worksheet = tmp_path / "moodle.csv"
    worksheet.write_text("Identifier,Full name,Email address,Grade\nParticipant 501,Ada Lovelace,ada@example.org,\n")
    collect(course, "hw1", download, "canvas", worksheet)
    assert (course / "roster.csv").read_text(encoding="utf-8-sig").splitlines()[1:] == [
        "501,Ada Lovelace,ada@example.org"
    ]


def test_zips_cannot_write_elsewhere(tmp_path):
    course = fixture.course(tmp_path)
    link = zipfile.ZipInfo("a_1_2_hw1.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    download = tmp_path / "evil.zip"
    with zipfile.ZipFile(download, "w") as made:
        made.writestr(link, "/etc/passwd")
        for name in ("../../b_2_2_hw1.ipynb", "/tmp/c_3_2_hw1.ipynb", "..\\d_4_2_hw1.ipynb", "C:\\e_5_2_hw1.ipynb"):
            made.writestr(name, notebook("evil"))
        made.writestr("..assignsubmission/.._6_assignsubmission_file_/../x.ipynb", notebook("evil"))
    before = {path for path in tmp_path.rglob("*")}
    for origin in ("canvas", "moodle", "gradescope", "folder"):
        done = collect(course, "hw1", download, origin)
        assert not done.collected, origin
        reasons = dict(done.left)
        assert reasons["a_1_2_hw1.ipynb"] == "it is a link"
        assert reasons["../../b_2_2_hw1.ipynb"] == "its path leads out of the archive"
    new = {path for path in tmp_path.rglob("*")} - before
    assert {path.name for path in new} <= {"results", "hw1", "collected.csv"}


def test_links_in_folders_are_not_followed(tmp_path):
    course = fixture.course(tmp_path)
    fixture.save(tmp_path / "plain/ada/hw1.ipynb", notebook("ada"))
    (tmp_path / "plain/eve").mkdir()
    (tmp_path / "plain/eve/hw1.ipynb").symlink_to(tmp_path / "plain/ada/hw1.ipynb")
    (tmp_path / "plain/mal").symlink_to(tmp_path / "plain/ada")
    done = collect(course, "hw1", tmp_path / "plain", "folder")
    assert handed_in(course) == {"ada": "ada"} and done.left == [("eve/hw1.ipynb", "it is a link")]


def test_a_zip_that_swells_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "LARGEST", 10_000)
    course = fixture.course(tmp_path)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a_1_2_hw1.ipynb", b"0" * 20_000)
    done = collect(course, "hw1", tmp_path / "bomb.zip", "canvas")
    assert not done.collected and not list(course.glob("submitted/*/hw1/*"))


def test_what_is_no_zip_is_explained(tmp_path):
    course = fixture.course(tmp_path)
    fixture.save(tmp_path / "x.zip", "no zip")
    with pytest.raises(ValueError, match=r"x\.zip is no zip; give the file as it was downloaded"):
        collect(course, "hw1", tmp_path / "x.zip", "canvas")


def test_several_notebooks_without_the_right_name_are_left(tmp_path):
    course = fixture.course(tmp_path)
    download = archive(tmp_path / "s.zip", {"a_1_2_x.ipynb": notebook("x"), "a_1_3_y.ipynb": notebook("y")})
    done = collect(course, "hw1", download, "canvas")
    assert not done.collected and "several notebooks, none called hw1.ipynb" in done.left[0][1]


# --- whose a notebook is ---


def folder(path, **files):
    """Save notebooks below a folder; ``__`` in a name stands for a step down."""
    for name, text in files.items():
        fixture.save(path / f"{name.replace('__', '/')}.ipynb", notebook(text))
    return path


@pytest.mark.parametrize(
    ("origin", "mine", "theirs", "owner"),
    [
        ("moodle", "Eve Good_502_assignsubmission_file_/hw1.ipynb",
         "Mallory_501_assignsubmission_file_/Eve Good_502_assignsubmission_file_/hw1.ipynb", ("502", "501")),
        ("gradescope", "assignment_7_export/submission_502/hw1.ipynb",
         "assignment_7_export/submission_501/submission_502/hw1.ipynb", ("submission_502", "submission_501")),
        ("folder", "eve/hw1/hw1.ipynb", "mallory/eve/hw1/hw1.ipynb", ("eve", "mallory")),
    ],
)  # fmt: skip
def test_a_folder_that_a_student_named_decides_nothing(tmp_path, origin, mine, theirs, owner):
    course = fixture.course(tmp_path)
    download = archive(tmp_path / "s.zip", {mine: notebook("her own"), theirs: notebook("not hers")})
    collect(course, "hw1", download, origin)
    assert handed_in(course) == {owner[0]: "her own", owner[1]: "not hers"}


@pytest.mark.parametrize(
    ("first", "second"), [("Ada Lovelace", "Ada-Lovelace"), ("Ada", "ada"), ("Zo\u00eb", "Zoe\u0308")]
)
def test_two_students_who_would_become_one_are_both_left(tmp_path, capsys, first, second):
    course = fixture.course(tmp_path)
    files = {f"{first}/hw1.ipynb": notebook("a"), f"{second}/hw1.ipynb": notebook("b"), "bob/hw1.ipynb": notebook("c")}
    download = archive(tmp_path / "s.zip", files)
    assert main(["course", "collect", "hw1", str(download), "--from", "folder", "--course", str(course)]) == 1
    assert handed_in(course) == {"bob": "c"}
    assert capsys.readouterr().err.count("would become one student; rename one of them") == 2


def test_a_second_notebook_and_one_of_another_assignment_are_named(tmp_path):
    course = fixture.course(tmp_path)
    for name in ("hw-1", "hw-2"):
        fixture.save(course / f"source/{name}/{name}.ipynb", fixture.source())
    files = {"ada_1_9_hw-1.ipynb": notebook("week 1"), "ada_1_9_hw-2.ipynb": notebook("week 2"),
             "bob_2_9_hw-2.ipynb": notebook("week 2"), "eve_3_9_hw-1-3.ipynb": notebook("attempt 3")}  # fmt: skip
    done = collect(course, "hw-1", archive(tmp_path / "s.zip", files), "canvas")
    texts = {path.parts[-3]: "week 1" in path.read_text() for path in course.glob("submitted/*/hw-1/hw-1.ipynb")}
    assert texts == {"1": True, "3": False}
    reason = "it is called like another assignment, hw-2"
    assert dict(done.left) == {"ada_1_9_hw-2.ipynb": reason, "bob_2_9_hw-2.ipynb": reason}
    done = collect(course, "hw1", folder(tmp_path / "d", ada__hw1="old", **{"ada__hw1-Copy1": "copy"}), "folder")
    assert [reason for _, reason in done.left] == ["another notebook counts"]


def test_one_bad_name_ends_no_run(tmp_path, capsys):
    course = fixture.course(tmp_path)
    names = [
        "\U00020000" * 80,
        "con",
        "\u202egnp",
        "a\nb",
        "\x1b[31mred",
        "=cmd|x",
        "@SUM(1)",
        "日本 太郎",
        "...",
        "--help",
    ]
    download = archive(tmp_path / "s.zip", {f"{name}/hw1.ipynb": notebook("x") for name in [*names, "ok"]})
    assert main(["course", "collect", "hw1", str(download), "--from", "folder", "--course", str(course)]) == 1
    assert len(handed_in(course)) == len(names) and "ok" in handed_in(course)
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "\u202e" not in printed.out + printed.err


def test_canvas_hides_names_and_has_groups(tmp_path):
    course = fixture.course(tmp_path)
    files = {"anon_x7Qp2_9001_hw1.ipynb": notebook("a"), "LATE_anon_aB3dE_9002_hw1.ipynb": notebook("b"),
             "project_group_a_1001_9003_hw1.ipynb": notebook("c"),
             "team_1_2_1003_9004_hw1.ipynb": notebook("d")}  # fmt: skip
    roster = tmp_path / "class.csv"
    roster.write_text("Student;ID;SIS Login ID;Section\nA;1001;a;x\nB;1002;b;x\nC;1003;c;x\n")
    done = collect(course, "hw1", archive(tmp_path / "s.zip", files), "canvas", roster)
    assert handed_in(course) == {"anon-x7Qp2": "a", "anon-aB3dE": "b", "1001": "c", "1003": "d"}
    assert {entry.student for entry in done.collected if entry.late} == {"anon-aB3dE"}
    assert (done.left, done.absent) == ([], ["1002"])


def test_gradescopes_own_export(tmp_path):
    course = fixture.course(tmp_path)
    about = (
        "---\nsubmission_111:\n  :submitters:\n  - :name: Ada Lovelace\n    :sid: s1\n    :email: ada@example.org\n"
        "  :created_at: 2026-01-01 12:00:00.000000000 Z\nsubmission_222:\n  :submitters:\n  - :name: Alan Turing\n"
        "    :sid: s2\n    :email: alan@example.org\n  - :name: Grace Hopper\n    :sid: s3\n    :email: g@example.org\n"
    )
    files = {"assignment_7_export/submission_metadata.yml": about,
             "assignment_7_export/submission_111/hw1.ipynb": notebook("ada"),
             "assignment_7_export/submission_222/work/hw1.ipynb": notebook("two")}  # fmt: skip
    done = collect(course, "hw1", archive(tmp_path / "s.zip", files), "gradescope")
    assert handed_in(course) == {"s1": "ada", "s2": "two", "s3": "two"} and done.left == []
    assert collecting.collected(course, "hw1")["s1"]["name"] == "Ada Lovelace"


MOODLE_GERMAN = (
    '\ufeffID,"Vollständiger Name",E-Mail-Adresse,Status,Bewertung,Bestwertung,"Bewertung kann geändert werden"\n'
    'Teilnehmer/in501,"Ada Lovelace",ada@example.org,"Zur Bewertung abgegeben",,7,Ja\n'
    'Teilnehmer/in502,"Jörg Müller",joerg@example.org,"Zur Bewertung abgegeben",,7,Ja\n'
)


def test_moodle_in_another_language(tmp_path):
    course = fixture.course(tmp_path)
    sheet = tmp_path / "Bewertungen.csv"
    for encoding in ("utf-8", "utf-16", "cp1252"):
        text = MOODLE_GERMAN if encoding == "utf-8" else MOODLE_GERMAN[1:]
        sheet.write_bytes((text.replace(",", ";") if encoding == "cp1252" else text).encode(encoding))
        download = archive(tmp_path / "m.zip", {"Jörg Müller_502_assignsubmission_file/hw1.ipynb": notebook("j")})
        done = collect(course, "hw1", download, "moodle", sheet)
        assert handed_in(course) == {"502": "j"} and done.absent == ["501"], encoding
        rows = (course / "roster.csv").read_text(encoding="utf-8-sig").splitlines()
        assert rows[2] == "502,Jörg Müller,joerg@example.org", encoding
