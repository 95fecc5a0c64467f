"""Marks, feedback pages, exports and the summary; no grading is run here."""

import csv
import io
import json

import fixture
import pytest

from resnet_edu.cli import main
from resnet_edu.course import classroom, grading, marking
from resnet_edu.course.exporting import export, gradescope_results
from resnet_edu.course.feedback import write_feedback
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.roster import Student

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def graded(tmp_path):
    """Return a course with four results, as grading writes them, and its assignment."""
    course = fixture.course(tmp_path)
    (course / "roster.csv").write_text(
        "student,name,email\n1001,Ada Lovelace,ada@example.org\n1002,Alan Turing,\n"
        "1003,Grace Hopper,\n1004,=HYPERLINK(1),\n"
    )
    assignment = Assignment.load(course, "hw1")
    relu, residual, why = (cell for cell in assignment.cells if cell.is_grade)

    def questions(first, message, hidden, answer):
        return [
            grading.question_result(relu, "passed" if first else "failed", first, message, hidden),
            grading.question_result(residual, "passed", 3.0, ""),
            {**grading.question_result(why, "needs_marking" if answer else "unanswered", None, ""), "answer": answer},
        ]

    for student, found in {
        "1001": grading.result(assignment, "graded", "", questions(2.0, "", None, "The gradient keeps a 1.")),
        "1002": grading.result(assignment, "needs_review", "", questions(0.0, EVIL, True, EVIL), ["relu uses gc"]),
        "1003": grading.result(assignment, "unreadable", "the file is empty; download it again as .ipynb"),
        "1004": grading.result(assignment, "timeout", "", questions(0.0, "The test did not end in time.", False, "")),
    }.items():
        name = {s.id: s.name for s in classroom.roster(course)}[student]
        classroom.save(course, Student(student, name), found, "x")
    marking.prepare(course, assignment)
    return course, assignment


def mark(course, **points):
    """Write points into marks.csv, as a spreadsheet does."""
    path = course / "results/hw1/marks.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    for row in rows:
        if f"s{row['student']}" in points:
            row["points"], row["comment"] = str(points[f"s{row['student']}"]), "well argued"
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def test_the_marking_page_shows_rubric_and_answers_and_runs_none(graded):
    course, _ = graded
    text = (course / "results/hw1/marking.html").read_text()
    assert "One point for the gradient" in text and "The gradient keeps a 1." in text
    assert EVIL not in text and "&lt;script&gt;" in text
    assert "### " not in text  # the marks are for the tools


def test_marks_complete_the_total(graded):
    course, assignment = graded
    assert {r["student"]: r["total"] for r in marking.marked_results(course, assignment)[0]} == {
        "1001": None, "1002": None, "1003": None, "1004": 3.0
    }  # fmt: skip
    mark(course, s1001="1,5", s1002=0)
    assert [r["total"] for r in marking.marked_results(course, assignment)[0]] == [6.5, 3.0, None, 3.0]


@pytest.mark.parametrize("points", ["NaN", "-1", "3", "inf", "two"])
def test_points_outside_the_scale_are_an_error(graded, points):
    course, assignment = graded
    mark(course, s1001=points)
    with pytest.raises(ValueError, match=r"marks\.csv, line 3: points must be a number from 0 to 2, got"):
        marking.marks(course, assignment)


def test_marks_outlive_another_grading_until_the_answer_changes(graded):
    course, assignment = graded
    mark(course, s1001=2, s1002=1)
    path = course / "results/hw1/1002.json"
    path.write_text(path.read_text().replace("alert(1)", "alert(2)"))
    marking.prepare(course, assignment)
    rows = {row["student"]: row for row in table(course / "results/hw1/marks.csv")}
    assert (rows["1001"]["points"], rows["1001"]["comment"]) == ("2", "well argued")
    assert (rows["1002"]["points"], rows["1002"]["comment"][:39]) == ("", "the answer changed; it had 1 points: we")


def test_feedback_says_what_went_wrong_and_shows_no_source(graded):
    course, assignment = graded
    mark(course, s1001=2)
    pages = {path.parts[-3]: path.read_text() for path in write_feedback(course, assignment)}
    assert set(pages) == {"1001", "1002", "1003", "1004"}
    assert "Points: 7 of 7" in pages["1001"] and "well argued" in pages["1001"] and "Ada Lovelace" in pages["1001"]
    assert "On other inputs: &lt;script&gt;" in pages["1002"] and "questions wait for their reader" in pages["1002"]
    assert "could not be read, so it has no points yet" in pages["1003"] and "download it again" in pages["1003"]
    assert "Points: 0" not in pages["1003"]
    assert "The test did not end in time." in pages["1004"] and "Points: 3 of 7" in pages["1004"]
    for text in pages.values():
        assert "<script" not in text and "http" not in text
        assert not [canary for canary in fixture.CANARIES if canary in text]


def test_the_csv_has_points_of_each_question_and_a_status(graded):
    course, assignment = graded
    mark(course, s1001=2)
    rows = {row["student"]: row for row in table(export(course, assignment, "csv").path)}
    assert rows["1001"] | {"message": ""} == {
        "student": "1001", "name": "Ada Lovelace", "email": "ada@example.org", "status": "graded", "late": "",
        "test_relu": "2", "test_residual": "3", "why": "2", "automatic": "5", "total": "7", "possible": "7",
        "decided": "", "flags": "", "message": "",
    }  # fmt: skip
    assert (rows["1003"]["status"], rows["1003"]["automatic"], rows["1003"]["total"]) == ("unreadable", "", "")
    assert rows["1002"]["total"] == "" and rows["1002"]["flags"] == "relu uses gc"
    assert rows["1004"]["name"] == "'=HYPERLINK(1)"  # a spreadsheet must not run it


def test_who_has_no_total_is_named(graded, capsys):
    course, _ = graded
    assert main(["course", "export", "hw1", "--course", str(course)]) == 0
    error = capsys.readouterr().err
    assert "1003 has no total yet: unreadable, the file is empty" in error
    assert "1001 has no total yet: why waits for marks" in error
    assert "look at these before you publish: 1002" in error


def test_canvas_gets_its_own_grade_book_back(graded, tmp_path):
    course, assignment = graded
    mark(course, s1001=2)
    book = tmp_path / "book.csv"
    book.write_text(
        '\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,hw1 (77),Final Score\n    Points Possible,,,,,7,100\n'
        '"Lovelace, Ada",1001,u1,ada,A,,50\n"Hopper, Grace",1003,u3,grace,A,4,50\n"Noether, Emmy",1009,u9,emmy,A,1,50\n'
    )  # fmt: skip
    done = export(course, assignment, "canvas", gradebook=book)
    rows = table(done.path)
    assert list(rows[0]) == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "hw1 (77)"]
    assert [row["hw1 (77)"] for row in rows] == ["7", "7", "4", "1"]  # who has no total keeps what was there
    assert "1002 has a result but stands not in" in "\n".join(done.remarks)
    book.write_text("Student,ID,hw2 (78)\nA,1,\n")
    with pytest.raises(ValueError, match="must have the column 'ID' and one called 'hw1'"):
        export(course, assignment, "canvas", gradebook=book)
    assert table(export(course, assignment, "canvas").path)[0]["hw1"] == "7"


def test_moodle_gets_its_own_worksheet_back(graded, tmp_path):
    course, assignment = graded
    mark(course, s1001=2)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(
        "Identifier,Full name,Status,Grade,Maximum Grade,Feedback comments\nParticipant 1001,Ada,Submitted,,7,\n"
        "Participant 1003,Grace,Submitted,,7,\n"
    )
    rows = table(export(course, assignment, "moodle", gradebook=sheet).path)
    assert [(row["Identifier"], row["Grade"]) for row in rows] == [("Participant 1001", "7"), ("Participant 1003", "")]
    assert table(export(course, assignment, "moodle").path)[0]["Identifier"] == "Participant 1001"


def test_gradescope_results_follow_its_rules(graded):
    course, assignment = graded
    done = export(course, assignment, "gradescope")
    for student in ("1001", "1002", "1003", "1004"):
        made = json.loads((done.path / student / "results.json").read_text())
        assert set(made) <= {"score", "output", "stdout_visibility", "tests", "extra_data"}
        assert made["stdout_visibility"] == "hidden"
        assert "score" in made or made["tests"]
        for test in made["tests"]:
            assert 0 <= test["score"] <= test["max_score"] and test["visibility"] == "visible"
            assert (test["status"] == "passed") == (test["score"] == test["max_score"])
    assert json.loads((done.path / "1003/results.json").read_text())["output"].startswith("NOT GRADED (unreadable): ")
    assert gradescope_results(grading.result(assignment, "wrong_notebook", "no"))["score"] == 0


def test_the_summary_counts_mistakes_and_draws_points(graded):
    course, assignment = graded
    path = export(course, assignment, "summary").path
    text = path.read_text()
    assert "1 graded, 1 needs_review, 1 unreadable, 1 timeout" in text
    assert "<td>test_residual</td><td>3</td><td>3</td><td>3</td><td>3.00</td>" in text
    assert "&lt;script&gt;alert(1)" in text and EVIL not in text
    assert 'aria-label="Histogram' in text and text.count("<svg") == 1
    assert export(course, assignment, "summary").path.read_text() == text  # no date, no random ids


# --- tables that a spreadsheet has saved ---


def resave(course, change, delimiter=",", encoding="utf-8-sig"):
    """Save marks.csv as a spreadsheet does, with every row changed."""
    path = course / "results/hw1/marks.csv"
    rows = [change(dict(row)) for row in table(path)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def two_points(row):
    return row | ({"points": "2", "comment": "-1 would be too hard"} if row["question"] == "why" else {})


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (";", "cp1252"), (",", "utf-8")]
)
def test_marks_survive_each_form_of_a_spreadsheet(graded, delimiter, encoding):
    course, assignment = graded
    path = resave(course, two_points, delimiter, encoding)
    assert marking.marked_results(course, assignment)[0][0]["total"] == 7
    marking.prepare(course, assignment)  # as grading again does
    text = path.read_bytes().decode("utf-8" if encoding == "cp1252" else encoding)
    assert text.count(delimiter) >= 6 * text.count("\n") and text.count("-1 would be too hard") == 3
    assert marking.marked_results(course, assignment)[0][0]["total"] == 7


def test_ids_without_their_zeros_find_their_students(tmp_path):
    course = fixture.course(tmp_path)
    assignment = Assignment.load(course, "hw1")
    (why,) = assignment.manual
    for student in ("00123", "45678"):
        question = {**grading.question_result(why, "needs_marking", None, ""), "answer": f"answer of {student}"}
        classroom.save(
            course, Student(student, f"N {student}"), grading.result(assignment, "graded", "", [question]), "x"
        )
    marking.prepare(course, assignment)
    path = resave(course, lambda row: row | {"student": row["student"].lstrip("0"), "points": "2"})
    assert [one["total"] for one in marking.marked_results(course, assignment)[0]] == [2, 2]
    marking.prepare(course, assignment)
    assert [(row["student"], row["points"]) for row in table(path)] == [("00123", "2"), ("45678", "2")]
    resave(course, lambda row: row | {"student": "4.57E+04" if row["student"] == "45678" else row["student"]})
    assert [one["total"] for one in marking.marked_results(course, assignment)[0]] == [2, 2]  # by the answer itself


def test_a_row_that_fits_nobody_is_kept_and_named(graded, capsys):
    course, assignment = graded
    nobody = {"student": "9999", "name": "X", "points": "1"}
    path = resave(course, lambda row: row | (nobody if (row["student"], row["question"]) == ("1001", "why") else {}))
    _, remarks = marking.marked_results(course, assignment)
    assert len(remarks) == 1 and "it fits nobody (9999, why)" in remarks[0]
    _, _, remarks = marking.prepare(course, assignment)
    assert "it is kept" in remarks[0]
    assert [row["points"] for row in table(path) if row["student"] == "9999"] == ["1"]
    assert main(["course", "export", "hw1", "--course", str(course)]) == 0
    assert "fits nobody" in capsys.readouterr().err


def test_marks_of_answers_never_look_like_numbers(graded):
    course, _ = graded
    assert all(row["answer"].startswith("a") for row in table(course / "results/hw1/marks.csv"))


def test_points_of_a_test_are_changed_with_a_reason(graded):
    course, assignment = graded
    path = course / "results/hw1/marks.csv"
    assert [row["question"] for row in table(path) if row["student"] == "1002"] == ["test_relu", "why"]  # it is flagged
    resave(course, lambda row: row | ({"points": "1,5"} if row["question"] == "test_relu" else {}))
    with pytest.raises(ValueError, match="points of a test are changed with a reason"):
        marking.marks(course, assignment)
    resave(course, lambda row: row | ({"comment": "a typo"} if row["question"] == "test_relu" else {}))
    one = {result["student"]: result for result in marking.marked_results(course, assignment)[0]}["1002"]
    assert (one["automatic"], one["questions"][0]["points"]) == (4.5, 1.5)
    pages = {page.parts[-3]: page.read_text() for page in write_feedback(course, assignment)}
    assert "A person gave 1.5 points in place of 0: a typo" in pages["1002"]
    rows = {row["student"]: row for row in table(export(course, assignment, "csv").path)}
    assert rows["1002"]["test_relu"] == "1.5" and "a typo" in rows["1002"]["decided"]
    assert "a typo" in json.dumps(gradescope_results(one))
    with open(path, "a", encoding="utf-8") as file:  # a row of one's own, for a submission without flags
        file.write("1004,,test_relu,1,,half is right,\n")
    assert marking.marked_results(course, assignment)[0][3]["automatic"] == 4


def test_formulas_are_disarmed_and_the_instructors_cells_come_back(graded, tmp_path):
    course, assignment = graded
    (course / "results/hw1/1001.json").write_text(
        (course / "results/hw1/1001.json").read_text().replace("Ada Lovelace", "=HYPERLINK(1)")
    )
    marking.prepare(course, assignment)
    assert {row["name"] for row in table(course / "results/hw1/marks.csv")} >= {"'=HYPERLINK(1)"}
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("Identifier,Full name,Status,Grade,Maximum Grade,Last modified\nParticipant 1004,-,+x,,7,-\n")
    (row,) = table(export(course, assignment, "moodle", gradebook=sheet).path)
    assert (row["Full name"], row["Status"], row["Grade"], row["Last modified"]) == ("-", "+x", "3", "-")


def test_canvas_with_semicolons_and_another_title(graded, tmp_path):
    course, assignment = graded
    book = tmp_path / "book.csv"
    book.write_text('\ufeffStudent;ID;SIS Login ID;Section;Homework 1: residuals (77)\n"T, Alan";1004;a;A;\n')
    with pytest.raises(ValueError, match="name the one to be filled with --column"):
        export(course, assignment, "canvas", gradebook=book)
    done = export(course, assignment, "canvas", gradebook=book, column="Homework 1: residuals")
    assert done.path.read_text(encoding="utf-8-sig").splitlines()[1] == "T, Alan;1004;a;A;3"


@pytest.mark.parametrize("content", ["[]", "null", "{}", "{", '{"questions": 3}'])
def test_a_result_that_is_not_ours_is_named(graded, capsys, content):
    course, _ = graded
    (course / "results/hw1/other.json").write_text(content)
    assert main(["course", "export", "hw1", "--course", str(course)]) == 2
    assert "other.json is no result of this grader" in capsys.readouterr().err


def test_the_marking_page_shows_markdown_and_pictures_and_loads_nothing(graded):
    course, assignment = graded
    path = course / "results/hw1/1001.json"
    found = json.loads(path.read_text())
    found["questions"][2] |= {
        "answer": "A **strong** reason:\n\n* one\n* two\n\n![d](attachment:d.png) ![far](https://example.org/x.png)",
        "pictures": [["d.png", "image/png", "iVBORw0KGgo="], ["e.png", "image/png", "AAAA"]],
    }
    path.write_text(json.dumps(found))
    marking.prepare(course, assignment)
    text = (course / "results/hw1/marking.html").read_text()
    assert "<strong>strong</strong>" in text and "<li>one</li>" in text
    assert text.count("data:image/png;base64,iVBORw0KGgo=") == 1 and "base64,AAAA" in text  # one not named in the text
    assert '<img src="https' not in text and "https://example.org/x.png" in text and EVIL not in text
