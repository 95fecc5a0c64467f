"""Checking assignments before students see them, and building what they get."""

import json
import subprocess
import sys
import zipfile

import fixture
import pytest
from conftest import ROOT

from resnet_edu.cli import main
from resnet_edu.course import building, checking
from resnet_edu.course.classroom import imports
from resnet_edu.course.notebooks import Assignment, cells_of
from resnet_edu.course.sandbox import Limits, Sandbox, problem

KIND = "none" if problem("bwrap") else "bwrap"
LIMITS = Limits(cell=20)


def assignment(made, name="hw1"):
    from pathlib import Path

    return Assignment(name, Path("hw1.ipynb"), made, tuple(cells_of(made)))


def edited(name, old, new):
    """Return the fixture's source with a text in one cell replaced."""
    made = fixture.source()
    (cell,) = [cell for cell in made["cells"] if cell["id"] == name]
    assert old in cell["source"]
    cell["source"] = cell["source"].replace(old, new)
    return made


def with_metadata(name, **changes):
    made = fixture.source()
    (cell,) = [cell for cell in made["cells"] if cell["id"] == name]
    cell["metadata"]["nbgrader"].update(changes)
    return made


def test_the_fixture_has_a_good_form():
    assert checking.form(assignment(fixture.source())) == []


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (edited("test_relu", "    assert np.allclose(relu(x), [0, 2])", "    np.allclose(relu(x), 0)\n    assert x"),
         "a bare comparison tests nothing"),
        (edited("test_relu", "assert np.array_equal(x, before)", "relu(x) == before; assert x"), "a bare comparison"),
        (edited("test_relu", 'assert np.array_equal(x, before), "relu changed its input in place"',
                'assert (np.array_equal(x, before), "relu changed its input in place")'), "it asserts a tuple"),
        (edited("test_relu", "assert np.array_equal(x, before)", "assert True"), "it asserts a constant"),
        (edited("test_relu", ', "relu changed its input in place"', ""), "an assert needs a message"),
        (edited("test_residual", "assert np.allclose(residual(x, lambda z: 2 * z), 3)", "print(residual(x, abs))"),
         "the visible test cannot fail: it asserts nothing"),
        (edited("test_residual", "### END HIDDEN TESTS", ""), "has no ### END HIDDEN TESTS"),
        (edited("test_relu", "(2 points)", "(3 points)"), "must be a comment that ends in (2 points)"),
        (edited("relu", "### BEGIN SOLUTION", "# solution"), "the solution must stand between"),
        (edited("relu", "def relu(x):\n    ### BEGIN SOLUTION", "### BEGIN SOLUTION\ndef relu(x):"),
         "must define a named function"),
        (edited("why", "**Rubric.**", "**Notes.**"), "needs a rubric"),
        (with_metadata("test_relu", points=float("nan")), "points must be a positive number, got nan"),
        (with_metadata("test_relu", points=-2), "points must be a positive number, got -2"),
        (with_metadata("test_relu", points="2"), "points must be a positive number, got '2'"),
        (with_metadata("test_relu", points=None), "points must be a positive number, got None"),
        (with_metadata("relu", grade_id="Relu answer"), "grade_id must be snake_case"),
        (with_metadata("relu", grade_id="residual"), "the name 'residual' is given to 2 cells"),
        (with_metadata("relu", schema_version=1), "schema_version must be 3"),
        (with_metadata("relu", solution=False, locked=True), "it holds a solution but is not marked as one"),
        (with_metadata("test_relu", grade=False), "it holds hidden tests but is no test"),
        (with_metadata("why_text", task=True, points=4), "task cells and mark schemes are not supported"),
        (edited("why_text", "A person", "=== BEGIN MARK SCHEME ===\nTwo points.\n=== END MARK SCHEME ===\nA person"),
         "task cells and mark schemes are not supported"),
        (with_metadata("relu", grade=True, points=1), "a person reads must be a Markdown cell, not code"),
        (edited("setup", "CLASS_SEED = 2015", "CLASS_SEED = 2015\nfor relu in (): pass"),
         "setup: it gives another meaning to relu, which is the answer of relu"),
        (edited("summary", "as error", "as residual"), "summary: it gives another meaning to residual"),
    ],
)  # fmt: skip
def test_a_bad_form_is_named(made, says):
    assert says in "\n".join(checking.form(assignment(made)))


def test_outputs_and_cells_without_a_name_are_named():
    made = fixture.source()
    made["cells"][1]["execution_count"] = 3
    made["cells"][0]["metadata"] = {}
    problems = "\n".join(checking.form(assignment(made)))
    assert "setup: it carries outputs" in problems and "title: it has no nbgrader metadata" in problems


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    made = Sandbox(KIND, tmp_path_factory.mktemp("course"), LIMITS, imports(assignment(fixture.source())))
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (fixture.source(), None),
        (edited("test_relu", "before = x.copy()\n", "before = x\nassert test_relu, 'no'\n"),
         "the hidden test is not self-contained: NameError name 'test_relu' is not defined"),
        (edited("relu", "np.maximum(x, 0)", "np.maximum(x, 0) + (np.random.rand() < 0.5)"),
         "not deterministic"),
        (edited("relu", "np.maximum(x, 0)", "np.minimum(x, 0)"), "fails with the solution: AssertionError relu of"),
        (edited("test_residual", "assert np.allclose(residual(x, np.sin), np.sin(x) + x)", "assert len(x) == 6"),
         "test_residual: the hidden test cannot fail: it passes with the stub"),
        (edited("test_residual", "    assert np.allclose(residual(x, lambda z: 2 * z), 3)",
                "    y = residual(x, abs)\n    assert y is None or np.allclose(y, 2)"),
         "test_residual: the visible test cannot fail: it passes with answers that return None"),
        (edited("setup", "CLASS_SEED = 2015", "CLASS_SEED = 2015\nundefined_name"),
         "setup: fails with the solution: NameError"),
    ],
)  # fmt: skip
def test_tests_that_cannot_fail_and_answers_that_change_are_found_by_running_them(sandbox, made, says):
    problems = checking.behaviour(assignment(made), sandbox, LIMITS)
    assert problems == [] if says is None else says in "\n".join(problems), problems


# --- leaks ---


@pytest.fixture
def built(tmp_path):
    """Build the fixture in a repository with a book, and let a page of it be built."""
    course = fixture.course(tmp_path)
    fixture.save(tmp_path / "book/_toc.yml", "")
    wheel = tmp_path / "resnet_edu-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("resnet_edu/__init__.py", "")
    building.build(course, "hw1", wheel=wheel)
    return tmp_path


def leaks(root):
    one = Assignment.load(root / "course", "hw1")
    return checking.leaks([one], checking.public_files(root / "course"))


def test_nothing_leaks_from_a_build(built):
    release = built / "course/release/hw1/hw1.ipynb"
    assert (built / "book/exercises/hw1.ipynb").read_bytes() == release.read_bytes()
    assert {release, built / "book/exercises/hw1.ipynb"} <= set(checking.public_files(built / "course"))
    assert leaks(built) == []
    assert checking.freshness(built / "course", Assignment.load(built / "course", "hw1")) == []


HIDDEN_LINE = (
    "assert np.allclose(relu(x), x * (x &gt; 0)), &quot;relu must keep positive numbers and make others 0&quot;"
)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("course/release/hw1/hw1.ipynb", json.dumps(fixture.source())),
        ("course/feedback/s/hw1/hw1.html", f"<pre>{HIDDEN_LINE}\nmarker = 'CANARY_HIDDEN_relu_7f3a'</pre>"),
        ("book/_build/html/_sources/hw1.ipynb", json.dumps(fixture.source())),
        ("book/_build/html/hw1.html", "marker <span>=</span> 'CANARY<b></b>_SOLUTION_relu_7f3a'"),
        ("book/_build/html/searchindex.js", 'Search.setIndex({"terms":{"canary_hidden_relu_7f3a":1}})'),
        ("resnet_edu/course/hw1.ipynb", json.dumps(fixture.source())),
    ],
)  # fmt: skip
def test_a_leak_is_found(built, file, content):
    fixture.save(built / file, content)
    (found,) = leaks(built)
    assert file in found


@pytest.mark.parametrize("name", ["dist/x.whl", "dist/x.zip"])
def test_a_leak_in_an_archive_is_found(built, name):
    (built / "dist").mkdir(exist_ok=True)
    with zipfile.ZipFile(built / name, "w") as archive:
        archive.writestr("a/b.ipynb", json.dumps(fixture.source()))
    (found,) = leaks(built)
    assert f"{name}!a/b.ipynb" in found


def test_an_old_release_is_found(built):
    course = built / "course"
    fixture.save(course / "source/hw1/hw1.ipynb", edited("relu_text", "Write", "Do write"))
    problems = checking.freshness(course, Assignment.load(course, "hw1"))
    assert len(problems) == 2 and all("is older than the source" in problem for problem in problems)


PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"


def with_picture(place):
    made = fixture.source()
    (cell,) = [cell for cell in made["cells"] if cell["id"] == "why"]
    text = "![d](attachment:d.png)\n"
    cell["source"] = text + cell["source"] if place == "stub" else cell["source"].replace("CANARY_MODEL_7f3a", text)
    cell["attachments"] = {"d.png": {"image/png": PICTURE}}
    return made


def test_a_picture_of_a_model_answer_stays_out_of_the_release():
    release = json.dumps(assignment(with_picture("solution")).release)
    assert PICTURE not in release
    assert PICTURE in json.dumps(assignment(with_picture("stub")).release)  # one that students are to see


@pytest.mark.parametrize("where", ["attachments", "metadata", "outputs"])
def test_the_search_for_leaks_looks_at_the_whole_notebook(built, where):
    fixture.save(built / "course/source/hw1/hw1.ipynb", with_picture("solution"))
    secret = next(cell["source"] for cell in fixture.source()["cells"] if cell["id"] == "test_relu")
    cell = fixture.cell("a", "code", "x = 1")
    cell |= {"attachments": {"attachments": {"d.png": {"image/png": PICTURE}}}, "metadata": {"metadata": {"n": secret}},
             "outputs": {"outputs": [{"text": secret.splitlines(keepends=True)}]}}[where]  # fmt: skip
    fixture.save(built / "book/page.ipynb", fixture.notebook([cell]))
    assert any("book/page.ipynb" in problem for problem in leaks(built))


def test_what_lies_beside_a_notebook_is_named(tmp_path, capsys):
    course = fixture.course(tmp_path)
    fixture.save(course / "source/hw1/data.csv", "1,2\n")
    for name in ("problem1", "problem2"):
        fixture.save(course / f"source/ps1/{name}.ipynb", fixture.source())
    (problem,) = checking.beside(course, "hw1")
    assert "data.csv is neither handed out nor there when submissions are graded" in problem
    assert main(["course", "build", "ps1", "--course", str(course)]) == 2
    said = capsys.readouterr().err
    assert "source/ps1 holds problem1.ipynb, problem2.ipynb: an assignment is one notebook" in said


# --- build ---


def test_building_twice_changes_nothing(tmp_path, capsys):
    course = fixture.course(tmp_path)
    assert main(["course", "build", "--course", str(course)]) == 0
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["course", "build", "hw1", "--course", str(course)]) == 0
    building._wheel.clear()  # the wheel anew, too
    assert main(["course", "build", "hw1", "--course", str(course)]) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files
    assert "dist/gradescope/hw1.zip" in capsys.readouterr().out


def test_a_private_copy_keeps_its_hidden_tests_and_its_class_to_itself(tmp_path):
    """What is built with hidden tests, and what a class hands in, git does not see in a copy of the course."""
    course = fixture.course(tmp_path)
    fixture.save(course / ".gitignore", (ROOT / "course/.gitignore").read_text())
    before = {path for path in tmp_path.rglob("*") if course not in path.parents}
    wheel = tmp_path / "resnet_edu-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("resnet_edu/__init__.py", "")
    building.build(course, "hw1", wheel=wheel)
    fixture.hand_in(course, "ada", fixture.submission())
    fixture.save(course / "results/hw1/ada.json", "{}")
    assert {path for path in tmp_path.rglob("*") if course not in path.parents} - before == {wheel}
    subprocess.run(["git", "init", "-q"], cwd=course, check=True)
    seen = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=course, capture_output=True, text=True).stdout
    assert {line.split()[-1] for line in seen.splitlines()} == {
        ".gitignore", "nbgrader_config.py", "source/hw1/hw1.ipynb"
    }  # fmt: skip


def test_the_wheel_holds_no_assignment():
    with zipfile.ZipFile(building.make_wheel()) as archive:
        names = archive.namelist()
    assert "resnet_edu/course/worker/runner.py" in names
    assert not [name for name in names if "source/" in name or "mutants" in name]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["build", "nothing"], "there is no assignment nothing; there are: hw1"),
        (["feedback", "hw1"], "hw1 has no results yet; make them with: resnet-edu course grade hw1"),
        (["collect", "hw1", "missing.zip", "--from", "canvas"], "missing.zip does not exist"),
        (["grade", "hw1", "--sandbox", "docker"], "the sandbox docker does not work here"),
    ],
)
def test_a_users_mistake_is_explained(tmp_path, capsys, monkeypatch, arguments, says):
    from resnet_edu.course import sandbox

    monkeypatch.setattr(sandbox, "problem", lambda kind: "it is broken")
    course = fixture.course(tmp_path)
    assert main(["course", arguments[0], *arguments[1:], "--course", str(course)]) == 2
    assert says in capsys.readouterr().err


def test_a_folder_without_a_course_is_explained(tmp_path, capsys):
    assert main(["course", "build", "--course", str(tmp_path)]) == 2
    assert "is no course: it has no folder 'source'; name the course with --course DIR" in capsys.readouterr().err


@pytest.mark.slow
def test_the_books_assignments_are_sound():
    """What this repository hands out passes its own check: form, tests, and leaks in book, pages, index and wheel."""
    command = [sys.executable, "-m", "resnet_edu", "course", "check", "--course", "course", "--sandbox", KIND]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_books_exercises_are_what_the_sources_give():
    for page in (ROOT / "book/exercises").glob("*.ipynb"):
        source = Assignment.load(ROOT / "course", page.stem)
        assert json.loads(page.read_text())["cells"] == [
            cell | {"source": cell["source"].splitlines(keepends=True)} for cell in source.release["cells"]
        ], f"{page} is older than its source; run: resnet-edu course build"
