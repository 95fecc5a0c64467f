"""Reading notebooks, making releases and finding answers again."""

import json
import random

import fixture
import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_edu.course import notebooks, submissions
from resnet_edu.course.answers import find_answers
from resnet_edu.course.notebooks import Assignment, Cell, UnreadableError, cells_of


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    return Assignment.load(fixture.course(tmp_path_factory.mktemp("notebooks")), "hw1")


def test_a_release_has_stubs_and_no_secrets(assignment, tmp_path):
    notebooks.write(assignment.release, tmp_path / "hw1.ipynb")
    text = (tmp_path / "hw1.ipynb").read_text()
    assert not [canary for canary in fixture.CANARIES if canary in text]
    made = nbformat.read(tmp_path / "hw1.ipynb", as_version=4)
    nbformat.validate(made)
    cells = {cell.id: cell for cell in made.cells}
    assert cells["relu"].source == "def relu(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    assert cells["why"].source == "YOUR ANSWER HERE"
    assert "test_relu()" in cells["test_relu"].source
    assert cells["test_relu"].metadata.editable is False and "editable" not in cells["relu"].metadata


def test_hidden_tests_keep_their_lines(assignment):
    cell = next(cell for cell in assignment.cells if cell.name == "test_relu")
    lines = cell.source.split("\n")
    for number, line in enumerate(cell.hidden.split("\n")):
        assert line in ("", lines[number])
    assert "### " not in cell.hidden and "def test_relu" not in cell.hidden


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("### BEGIN SOLUTION\nx = 1", "has no ### END SOLUTION"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", "stands inside another one"),
    ],
)
def test_unbalanced_marks_are_an_error(source, message):
    with pytest.raises(ValueError, match=message):
        _ = Cell("a", "code", source, {"nbgrader": {"solution": True}}).stub


MANGLES = {
    "delete": lambda cells, i: cells[:i] + cells[i + 1 :],
    "double": lambda cells, i: [*cells[: i + 1], cells[i], *cells[i + 1 :]],
    "edit": lambda cells, i: [*cells[:i], {**cells[i], "source": "# changed"}, *cells[i + 1 :]],
    "forget": lambda cells, i: [*cells[:i], {**cells[i], "metadata": {}, "id": "x"}, *cells[i + 1 :]],
}


@given(st.lists(st.tuples(st.sampled_from(sorted(MANGLES)), st.integers(0, 30)), max_size=12), st.booleans())
def test_answers_survive_whatever_happens_to_other_cells(assignment, steps, shuffle):
    """Delete, double, edit and strip cells that are no answers, in any order: the same answers are found."""
    cells = fixture.submission()["cells"]
    for what, place in steps:
        if place < len(cells) and not cells[place]["metadata"].get("nbgrader", {}).get("solution"):
            cells = MANGLES[what](cells, place)
    if shuffle:
        random.Random(0).shuffle(cells)
    found = find_answers(assignment, cells_of({"cells": cells}))
    code = {name: cell.source for name, cell in found.by_name.items() if name != "why"}
    assert code == {"relu": fixture.RELU, "residual": fixture.RESIDUAL}
    assert "The gradient keeps a 1." in found.written["why"].text  # what stands in an edited question is kept, too
    assert not found.missing and not found.notes


@given(st.sets(st.sampled_from(["relu", "residual"])))
def test_code_is_found_by_what_it_defines(assignment, names):
    cells = fixture.submission()["cells"]
    for cell in cells:
        if cell["id"] in names:
            cell["metadata"], cell["id"] = {}, "new"
    found = find_answers(assignment, cells_of({"cells": cells}))
    assert found.by_name["relu"].source == fixture.RELU and found.by_name["residual"].source == fixture.RESIDUAL


def test_a_written_answer_beats_a_stub_that_stayed_behind(assignment):
    made = fixture.submission(relu=fixture.STUB_RELU)
    made["cells"].insert(1, {"cell_type": "code", "metadata": {}, "source": fixture.RELU, "id": "own"})
    assert find_answers(assignment, cells_of(made)).by_name["relu"].source == fixture.RELU


KEYS = st.sampled_from(["cells", "source", "cell_type", "metadata", "nbgrader", "grade_id", "id"]) | st.text(max_size=3)
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["code", "markdown"])


@settings(max_examples=60)
@given(
    st.recursive(VALUES, lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS, one, max_size=4), max_leaves=8)
)
def test_any_json_is_a_notebook_or_unreadable(tmp_path_factory, assignment, value):
    path = tmp_path_factory.getbasetemp() / "any.ipynb"
    path.write_text(json.dumps(value))
    try:
        find_answers(assignment, cells_of(notebooks.read(path)))
    except UnreadableError as error:
        assert str(error)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_notebook_or_unreadable(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.ipynb"
    path.write_bytes(content)
    with pytest.raises(UnreadableError):
        notebooks.read(path)


def test_writing_twice_changes_nothing_and_text_editors_bring_no_change(assignment, tmp_path):
    path = tmp_path / "hw1.ipynb"
    notebooks.write(assignment.release, path)
    first = path.read_bytes()
    notebooks.write(notebooks.read(path) | {"cells": assignment.release["cells"]}, path)
    assert path.read_bytes() == first
    nbformat.write(nbformat.read(path, as_version=4), path)
    assert path.read_bytes() == first


def test_an_unknown_assignment_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no assignment 'hw2'; there are: hw1"):
        Assignment.load(fixture.course(tmp_path), "hw2")


def test_a_seed_needs_a_place(tmp_path):
    course = fixture.course(tmp_path)
    fixture.save(course / "source/hw1/hw1.ipynb", fixture.without(fixture.source(), "setup"))
    with pytest.raises(ValueError, match="has 0 lines 'CLASS_SEED = …', must have one"):
        Assignment.load(course, "hw1", seed=3)


# --- what is written for a person ---


def own(source, kind="markdown", name="own"):
    made = {"cell_type": kind, "id": name, "metadata": {}, "source": source}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def written(assignment, made):
    """Return what is written for the question ``why``, and the notes, by way of the sandbox's reader."""
    facts = submissions.facts(notebooks.parse(json.dumps(made).encode()))
    found = find_answers(assignment, submissions.cells({"cells": json.loads(json.dumps(facts))}))
    return found.written["why"], found


def place(made, name):
    return [cell["id"] for cell in made["cells"]].index(name)


@pytest.mark.parametrize("kind", ["markdown", "raw", "code"])
@pytest.mark.parametrize("where", ["below", "question", "both"])
def test_text_between_a_question_and_the_next_locked_cell_belongs_to_it(assignment, kind, where):
    made = fixture.submission(why="YOUR ANSWER HERE" if where != "both" else "First half.")
    if where == "question":
        made["cells"][place(made, "why_text")]["source"] += "\n\nThe identity is easy."
    else:
        made["cells"].insert(place(made, "why") + 1, own("The identity is easy.", kind))
    answer, found = written(assignment, made)
    assert "The identity is easy." in answer.text and "YOUR ANSWER HERE" not in answer.text
    assert ("First half." in answer.text) == (where == "both")
    assert not found.notes and not found.missing
    answer, _ = written(assignment, fixture.stripped(made))  # pasted into another notebook
    assert "The identity is easy." in answer.text


def test_text_above_or_far_below_is_read_where_the_answer_is_empty(assignment):
    made = fixture.submission(why="YOUR ANSWER HERE")
    made["cells"].insert(2, own("My answer to question 3: the identity is easy."))
    answer, found = written(assignment, made)
    assert "identity is easy" in answer.text and "text stands elsewhere" in found.notes[0]
    made = fixture.submission()  # a remark beside code is no second answer
    made["cells"].insert(4, own("A remark."))
    answer, found = written(assignment, made)
    assert answer.text == "The gradient keeps a 1." and not found.notes


def test_pictures_come_with_the_answer_and_too_large_ones_are_named(assignment):
    made = fixture.submission(why="See ![d](attachment:d.png) and ![e](data:image/gif;base64,R0lGODlh)")
    made["cells"][place(made, "why")]["attachments"] = {
        "d.png": {"image/png": ["iVBO", "Rw0KGgo="]}, "big.png": {"image/png": "A" * (5 << 20)},
    }  # fmt: skip
    answer, _ = written(assignment, made)
    assert [(each.name, each.type, each.data) for each in answer.pictures] == [
        ("picture-1", "image/gif", "R0lGODlh"), ("d.png", "image/png", "iVBORw0KGgo=")
    ]  # fmt: skip
    assert "big.png: a picture of 3.9 MB, image/png, is not shown here" in answer.text and len(answer.text) < 300


# --- the student's own code ---


def code_of(assignment, made):
    facts = submissions.facts(notebooks.parse(json.dumps(made).encode()))
    return find_answers(assignment, submissions.cells({"cells": facts}))


def test_own_cells_keep_their_places(assignment):
    made = fixture.submission()
    for source, before in (("a = 1", "setup"), ("b = 1", "test_relu"), ("c = 1", "residual")):
        made["cells"].insert(place(made, before), own(source, "code"))
    names = [cell.name for cell in assignment.cells]
    expected = [("a = 1", "title"), ("b = 1", "relu"), ("c = 1", "residual_text")]
    assert [(each.cell.source, names[each.after]) for each in code_of(assignment, made).own] == expected
    assert [each.cell.source for each in code_of(assignment, fixture.stripped(made)).own] == ["a = 1", "b = 1", "c = 1"]


def test_a_split_answer_is_put_together(assignment):
    made = fixture.submission(relu="def half(x):\n    return x / 2")
    twin = json.loads(json.dumps(made["cells"][place(made, "relu")])) | {"id": "twin", "source": "ready = True"}
    made["cells"].insert(place(made, "relu") + 1, twin)
    found = code_of(assignment, made)
    assert found.by_name["relu"].source == "def half(x):\n    return x / 2\n\nready = True"


def test_what_is_added_to_a_locked_cell_runs_and_nothing_else_of_it(assignment):
    made = fixture.changed(fixture.submission(), "setup", "import math\n" + fixture.source()["cells"][1]["source"])
    made = fixture.changed(made, "test_relu", "def helper(x):\n    return x\nassert True")
    assert [each.cell.source for each in code_of(assignment, made).own] == [
        "import math", "def helper(x):\n    return x\nassert True"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([own("x", "code")] * 6_000, "the notebook has 6,000 cells, more than 5,000"),
        (
            [own("a;" * 300_000, "code"), own("a;" * 300_000, "code")],
            "the code cells have 1,200,000 characters",
        ),
        ([own("x" * (17 << 20))], "the markdown cells have 17,825,792 characters or more"),
    ],
)
def test_a_notebook_of_hostile_size_is_refused(cells, says):
    with pytest.raises(UnreadableError, match=says):
        notebooks.parse(json.dumps({"cells": cells}).encode())
