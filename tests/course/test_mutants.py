"""The tests of each assignment take every right answer, whatever its style, and catch every known mistake.

The last test prints the kill rate (``pytest -s``): the part of the known mistakes that lose their points. It is 100 %.
"""

import re

import mutation
import pytest

ASSIGNMENTS = mutation.assignments()
by_assignment = pytest.mark.parametrize("name", ASSIGNMENTS)
running = pytest.mark.parametrize(  # one assignment's answers take tens of seconds: `make test` runs one assignment's
    "name", [pytest.param(name, marks=[] if name == "residual-block" else pytest.mark.slow) for name in ASSIGNMENTS]
)


def test_all_six_assignments_are_there():
    expected = {"architectures", "bottleneck", "degradation", "gradient-plus-one", "lesions", "residual-block"}
    assert set(ASSIGNMENTS) == expected


@running
def test_the_solution_and_right_answers_in_other_styles_get_all_points(name):
    assert mutation.right(name), "there are no right answers in another style"
    results = mutation.run_all(name)
    for style in ("solution", *mutation.right(name)):
        assert results[style] == {}, f"{style} loses points"


@running
def test_the_stub_runs_and_each_test_says_that_nothing_is_written(name):
    """No other cell fails, so a student can run the notebook from top to bottom before writing a line."""
    failed = mutation.run_all(name)["stub"]
    assert sorted(failed) == sorted(mutation.tests(name))
    assert all(message.startswith("NotImplementedError") for message in failed.values()), failed


@running
def test_every_known_mistake_loses_its_points_and_is_named(name):
    assert len(mutation.wrong(name)) >= 12
    results, survived = mutation.run_all(name), []
    for known in mutation.wrong(name):
        failed = results[known.mistake]
        if set(failed) != set(known.loses):
            survived.append(f"{known.mistake}: fails {failed}, should fail {known.loses}")
        elif known.says not in failed[known.loses[0]]:
            survived.append(f"{known.mistake}: {known.loses[0]} says {failed[known.loses[0]]!r}, not {known.says!r}")
    assert not survived, "\n".join(survived)


@running
def test_every_sentence_that_a_test_can_say_is_said_to_a_known_mistake(name):
    """A sentence that nobody can be told is a check that never fires."""
    said = [(test, message.removeprefix("AssertionError: "))
            for failed in mutation.run_all(name).values() for test, message in failed.items()]  # fmt: skip
    unsaid = [f"{test}: {sentence.pattern}" for test, sentence in mutation.sentences(name)
              if not any(test == where and sentence.fullmatch(message) for where, message in said)]  # fmt: skip
    assert not unsaid, "\n".join(unsaid)


@by_assignment
def test_every_question_has_known_mistakes(name):
    assert {test for known in mutation.wrong(name) for test in known.loses} == set(mutation.tests(name))


@by_assignment
def test_an_assignment_has_what_an_instructor_expects(name):
    cells = mutation.cells(name)
    graded = [cell for cell in cells if mutation.metadata(cell).get("grade")]
    automatic = [cell for cell in graded if cell.cell_type == "code"]
    manual = [cell for cell in graded if cell.cell_type == "markdown"]
    assert 5 <= len(automatic) <= 8 and manual
    assert all("**Rubric.**" in cell.source and mutation.SOLUTION.search(cell.source) for cell in manual)
    for cell in automatic:
        points = mutation.metadata(cell)["points"]
        assert re.match(rf"# Test of question \d+ \({points} points?\)\n", cell.source), cell.id
        assert f"def {cell.id}():" in cell.source and mutation.HIDDEN.search(cell.source), cell.id
    total, tested = (sum(mutation.metadata(c)["points"] for c in some) for some in (graded, automatic))
    assert f"**Points.** {total}: " in cells[0].source and f"({tested} points)" in cells[0].source
    assert all(cell.id == mutation.metadata(cell)["grade_id"] for cell in cells if mutation.metadata(cell))
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)


@by_assignment
def test_every_answer_defines_what_its_tests_call(name):
    """A function or class at the top level is found again where a tool has lost the cells' names."""
    for cell, source in mutation.solutions(name).items():
        assert re.search(r"^(def|class) \w+", source, re.M), cell


@by_assignment
def test_the_summary_names_every_test(name):
    summary = mutation.cells(name)[-1].source
    assert all(f'"{test.removeprefix("test_")}"' in summary for test in mutation.tests(name))


@pytest.mark.slow
def test_the_kill_rate_is_100_percent():
    rows, killed, total = [], 0, 0
    for name in ASSIGNMENTS:
        results, known = mutation.run_all(name), mutation.wrong(name)
        caught = sum(set(results[each.mistake]) == set(each.loses) for each in known)
        rows.append(f"{name:20} {caught:3} of {len(known):3} mistakes, {len(mutation.right(name)) + 1} right answers")
        killed, total = killed + caught, total + len(known)
    print("", *rows, f"kill rate {100 * killed / total:.1f} % ({killed} of {total})", sep="\n")
    assert killed == total
