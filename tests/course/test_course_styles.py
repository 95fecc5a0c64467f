"""A bank of honest styles: whatever way an answer is written or handed in, it keeps every point, without a flag."""

import fixture
import pytest
import styles

from resnet_edu.course.classroom import grade_class
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.sandbox import Limits, problem

KIND = "none" if problem("bwrap") else "bwrap"
STYLES = {styles.student(style): style for style in styles.styles()}


def test_the_bank_is_large_and_each_style_has_its_own_name():
    assert len(STYLES) == len(styles.styles()) >= 40


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Grade the whole bank at once."""
    course = tmp_path_factory.mktemp("styles") / "course"
    source = styles.COURSE / "source" / styles.NAME / f"{styles.NAME}.ipynb"
    fixture.save(course / "source" / styles.NAME / source.name, source.read_text())
    assignment = Assignment.load(course, styles.NAME)
    for student, style in STYLES.items():
        path = course / "submitted" / student / styles.NAME / f"{styles.NAME}.ipynb"
        fixture.save(path, styles.submission(style, assignment))
    return {found["student"]: found for _, _, found in grade_class(course, assignment, KIND, Limits(), jobs=2)}


@pytest.mark.slow
@pytest.mark.parametrize("student", STYLES)
def test_an_honest_style_keeps_every_point(graded, student):
    style, found = STYLES[student], graded[student]
    lost = {question["id"]: question["message"] for question in found["questions"] if question["points"] == 0}
    assert (found["automatic"], lost) == (16, {}), found["flags"]
    assert (found["status"], found["flags"]) == ("graded", [])
    (answer,) = [question for question in found["questions"] if question["kind"] == "manual"]
    assert answer["outcome"] == "needs_marking" and style.get("written", styles.WRITTEN) in answer["answer"]
    assert style.get("says", "") in " ".join(found["notes"])
