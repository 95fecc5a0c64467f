"""Grading a class of difficult submissions: every one gets its status and points, and disturbs no other."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import fixture
import pytest
from cases import cases

from resnet_edu.cli import main
from resnet_edu.course import classroom, grading, running
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.sandbox import MIB, Limits, Sandbox, bwrap_command, problem
from resnet_edu.course.worker import warden

KIND = "none" if problem("bwrap") else "bwrap"
LIMITS = Limits(cell=2, total=40, memory=2048 * MIB, disk=128 * MIB)
NAMES = sorted(cases([], 0))
needs_bwrap = pytest.mark.skipif(KIND == "none", reason=f"bubblewrap does not work here: {problem('bwrap')}")


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Grade all cases in one batch; return the course, the cases, the results and what grading cost this process."""
    course = fixture.course(tmp_path_factory.mktemp("class"))
    server = socket.create_server(("127.0.0.1", 0))
    secrets = [str(course / "source/hw1/hw1.ipynb"), str(course / "submitted/right/hw1/hw1.ipynb"), "/etc/passwd"]
    every = cases(secrets, server.getsockname()[1])
    chosen = {name: case for name, case in every.items() if KIND == "bwrap" or not case.needs_sandbox}
    for name, case in chosen.items():
        fixture.hand_in(course, name, case.notebook, case.name)
    (course / "submitted/linked/hw1").mkdir(parents=True)
    (course / "submitted/linked/hw1/hw1.ipynb").symlink_to(course / "submitted/right/hw1/hw1.ipynb")
    (course / "submitted/void/hw1").mkdir(parents=True)
    (course / "roster.csv").write_text("student,name,email\nright,Ada Lovelace,ada@example.org\nabsent,Alan Turing,\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assignment = Assignment.load(course, "hw1")
    made = classroom.grade_class(course, assignment, KIND, LIMITS, jobs=2)
    results = {found["student"]: found for _, _, found in made}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    server.close()
    return course, chosen, results, grown


@pytest.mark.parametrize("name", NAMES)
def test_case(graded, name):
    _, chosen, results, _ = graded
    if name not in chosen:
        pytest.skip(f"needs bubblewrap: {problem('bwrap')}")
    case, found = chosen[name], results[name]
    said = json.dumps(
        [found["message"], found["flags"], [q["message"] for q in found["questions"]]], ensure_ascii=False
    )
    assert (found["status"] in case.status, found["automatic"]) == (True, case.points), found
    assert case.says in said, said
    assert "Traceback" not in said


def test_every_student_has_one_row_and_a_known_status(graded):
    course, chosen, results, _ = graded
    assert set(results) == {*chosen, "linked", "void", "absent"}
    assert {path.stem for path in (course / "results/hw1").glob("*.json")} == set(results)
    assert {found["status"] for found in results.values()} == set(grading.STATUSES)


def test_links_empty_folders_and_absent_students_get_no_points_but_a_reason(graded):
    _, _, results, _ = graded
    assert (results["linked"]["status"], results["linked"]["automatic"]) == ("unreadable", None)
    assert "is a link" in results["linked"]["message"]
    assert (results["void"]["status"], results["void"]["message"][:30]) == (
        "unreadable",
        "the folder holds no notebook; ",
    )
    assert (results["absent"]["status"], results["absent"]["automatic"]) == ("no_submission", None)
    assert results["absent"]["name"] == "Alan Turing"


def test_a_failure_is_never_a_plain_0(graded):
    _, _, results, _ = graded
    for found in results.values():
        for question in found["questions"]:
            assert question["points"] != 0 or question["message"], found


def test_messages_hold_nothing_of_the_hidden_tests(graded):
    _, _, results, _ = graded
    assert not [canary for canary in fixture.CANARIES if canary in json.dumps(results)]


def test_the_grader_stays_small_and_nothing_survives(graded):
    _, _, _, grown = graded
    assert grown < 500 * 1024  # KiB
    assert not [command for command in _commands() if "98765" in command or "98764" in command]


def _commands():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode(errors="replace")
        except OSError:
            continue


def test_order_and_company_do_not_matter(graded):
    """Single submissions, graded alone, last first, give the same files to the byte."""
    course, _, _, _ = graded
    some = ["wrong", "right", "os_exit", "no_metadata", "in_place"]
    before = [(course / f"results/hw1/{name}.json").read_bytes() for name in some]
    list(classroom.grade_class(course, Assignment.load(course, "hw1"), KIND, LIMITS, students=some, again=True))
    assert [(course / f"results/hw1/{name}.json").read_bytes() for name in some] == before


def test_what_is_graded_is_not_graded_again_until_it_changes(graded, monkeypatch):
    course, _, results, _ = graded
    assignment = Assignment.load(course, "hw1")
    ran = []
    monkeypatch.setattr(Sandbox, "start", lambda self: None)
    monkeypatch.setattr(
        classroom, "grade", lambda a, path, *_: ran.append(path.parts[-3]) or grading.result(a, "graded", "")
    )
    again = {found["student"]: found for _, _, found in classroom.grade_class(course, assignment, KIND, LIMITS)}
    assert not ran and again == results
    fixture.hand_in(course, "half", fixture.submission())
    list(classroom.grade_class(course, assignment, KIND, LIMITS))
    assert ran == ["half"]
    ran.clear()
    list(classroom.grade_class(course, Assignment.load(course, "hw1", seed=7), KIND, LIMITS, students=["right"]))
    assert ran == ["right"]


def test_a_grader_that_fails_on_one_submission_goes_on(graded, monkeypatch):
    course, _, _, _ = graded

    def grade(assignment, path, *_):
        if path.parts[-3] == "half":
            raise IndexError("list index out of range")
        return grading.result(assignment, "graded", "")

    monkeypatch.setattr(Sandbox, "start", lambda self: None)
    monkeypatch.setattr(classroom, "grade", grade)
    made = classroom.grade_class(
        course, Assignment.load(course, "hw1"), KIND, LIMITS, students=["half", "wrong"], again=True
    )
    found = {one["student"]: one for _, _, one in made}
    assert (found["wrong"]["status"], found["half"]["status"]) == ("graded", "crashed")
    assert found["half"]["automatic"] is None and "please report this: IndexError" in found["half"]["message"]
    assert found["half"]["fingerprint"] is None  # the next run tries again


def test_one_sandbox_serves_all_clean_submissions(tmp_path, monkeypatch):
    course = fixture.course(tmp_path, first=fixture.submission(), second=fixture.submission())
    started, start = [], Sandbox.start
    monkeypatch.setattr(Sandbox, "start", lambda self: started.append(self) or start(self))
    made = classroom.grade_class(course, Assignment.load(course, "hw1"), KIND, LIMITS)
    assert [found["status"] for _, _, found in made] == ["graded", "graded"]
    assert len(started) == 1


def test_python_may_lie_in_the_folder_that_is_emptied(tmp_path):
    python = tmp_path / "clone/.venv"
    python.mkdir(parents=True)
    (python / "pyvenv.cfg").touch()
    for place in (tmp_path, tmp_path / "clone"):
        (place / "left").mkdir()
        (place / "left/file").touch()
        (place / "link").symlink_to(python)
    assert warden.empty(str(tmp_path), {str(python)})
    assert sorted(map(str, tmp_path.rglob("*"))) == sorted(
        map(str, [tmp_path / "clone", python, python / "pyvenv.cfg"])
    )
    command = bwrap_command(tmp_path, LIMITS, root=True)
    mounted = [i for i, word in enumerate(command) if word in ("--ro-bind", "--dir")]
    assert all(command.index("/tmp") < i for i in mounted if command[i + 1].startswith("/tmp"))


def test_an_unknown_student_is_an_error(graded):
    course, _, _, _ = graded
    with pytest.raises(ValueError, match=r"no submission and no entry in roster\.csv of: nobody"):
        list(classroom.grade_class(course, Assignment.load(course, "hw1"), KIND, LIMITS, students=["nobody"]))


def test_replies_are_not_trusted():
    """Whatever a submission makes of a reply, the grader gets known fields of known types."""
    for reply in ({}, {"outcome": "perfect"}, {"outcome": ["passed"]}, {"message": 3, "line": "7", "changed": "all"}):
        assert running.checked(reply)["outcome"] == "crashed"
    checked = running.checked({"outcome": "passed", "changed": [1, "x" * 1000], "line": float("nan"), "by_test": 1})
    assert checked["changed"] == ["x" * 100] and checked["line"] is None and checked["by_test"] is False


def test_a_class_seed_changes_what_tests_draw(tmp_path):
    course = fixture.course(tmp_path)
    assert "CLASS_SEED = 7" in Assignment.load(course, "hw1", seed=7).cells[1].source
    assert Assignment.load(course, "hw1", seed=7).checksum != Assignment.load(course, "hw1").checksum


# --- the instructor's own fault, and the command line ---


def broken(name, source):
    made = fixture.source()
    cell = next(cell for cell in made["cells"] if cell["id"] == name)
    cell["source"] = source(cell["source"])
    return made


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (broken("setup", lambda text: text + "\nimport package_that_is_missing_here"),
         "hw1, cell setup, fails on this machine with the solutions themselves: ModuleNotFoundError: No module named"),
        (broken("setup", lambda text: text + "\ntable = open('data.csv').read()"), "cell setup, fails on this machine"),
        (broken("test_residual", lambda text: text.replace("x = np.ones(3)", "x = np.loadtxt('data.csv')")),
         "cell test_residual, fails on this machine"),
    ],
    ids=["package", "data", "data of a test"],
)  # fmt: skip
def test_a_locked_cell_that_fails_here_stops_the_run_before_any_mark(tmp_path, capsys, made, says):
    course = fixture.course(tmp_path, ada=fixture.submission(), bob=fixture.submission())
    fixture.save(course / "source/hw1/hw1.ipynb", made)
    assert main(["course", "grade", "hw1", "--sandbox", KIND, "--course", str(course), "--jobs", "1"]) == 1
    assert says in capsys.readouterr().err and not list(course.glob("results/hw1/*.json"))


def test_a_students_own_failure_stops_nothing(tmp_path):
    """An answer that spoils what a locked cell needs costs the student, and nobody else."""
    spoiled = fixture.submission(relu="def relu(x):\n    return open('missing.csv')")
    course = fixture.course(tmp_path, ada=spoiled, bob=fixture.submission())
    made = classroom.grade_class(course, Assignment.load(course, "hw1"), KIND, LIMITS)
    assert {found["student"]: found["automatic"] for _, _, found in made} == {"ada": 3, "bob": 5}


def test_again_may_stand_before_a_name_and_flags_are_folded(tmp_path, capsys, monkeypatch):
    course = fixture.course(tmp_path, ada=fixture.submission(), bob=fixture.submission())
    asked = []

    def grade(assignment, path, *_):
        asked.append(path.parts[-3])
        return grading.result(assignment, "needs_review", "", [], [f"flag {n} \x1b[2J" for n in range(30)])

    monkeypatch.setattr(Sandbox, "start", lambda self: None)
    monkeypatch.setattr(classroom, "grade", grade)
    command = ["course", "grade", "hw1", "--sandbox", "none", "--course", str(course), "--jobs", "1"]
    assert main(command) == 0 and main([*command, "--again", "bob"]) == 0 and main([*command, "ada", "--again"]) == 0
    assert asked == ["ada", "bob", "bob", "ada"]
    printed = capsys.readouterr().out
    assert "and 26 more" in printed and "\x1b" not in printed


def test_modes_that_outlive_a_cell_are_set_back_with_a_word(tmp_path):
    modes = (
        "import os, warnings\nimport torch\nwarnings.simplefilter('error')\nnp.seterr(all='raise')\n"
        "torch.set_grad_enabled(False)\ntorch.set_default_dtype(torch.float64)\ntorch.set_default_device('meta')\n"
        "os.makedirs('x'); os.chdir('x')\n"
    )
    made = fixture.source()
    cell = next(cell for cell in made["cells"] if cell["id"] == "test_relu")
    cell["source"] = cell["source"].replace("    assert", (
        "    import os, torch, warnings\n    warnings.warn('x')\n    np.log(np.zeros(1))\n"
        "    state = torch.is_grad_enabled(), torch.get_default_dtype(), torch.zeros(1).device.type\n"
        "    assert state == (True, torch.float32, 'cpu'), f'{state}'\n    assert"), 1)  # fmt: skip
    course = fixture.course(tmp_path, ada=fixture.submission(relu=modes + fixture.RELU))
    fixture.save(course / "source/hw1/hw1.ipynb", made)
    ((_, _, found),) = classroom.grade_class(course, Assignment.load(course, "hw1"), KIND, LIMITS)
    assert (found["automatic"], found["flags"]) == (5, []), found
    for mode in ("the filters of warnings", "NumPy's handling", "the gradient mode", "default dtype", "default device"):
        assert mode in found["notes"][0]


# --- slow ones ---


@pytest.mark.slow
def test_notebooks_of_hostile_size_are_read_in_the_sandbox_and_the_grader_stays_small(tmp_path):
    course = fixture.course(tmp_path)
    made = fixture.submission()
    made["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "MUCH"}]
    large = json.dumps(made).replace("MUCH", "x" * 200_000_000)
    fixture.hand_in(course, "a_large", large)
    fixture.hand_in(course, "b_source", json.dumps(fixture.changed(made, "relu", "MUCH")).replace("MUCH", "x" * 10**8))
    fixture.hand_in(course, "c_cells", json.dumps({"cells": [{"cell_type": "code", "source": "x"}] * 300_000}))
    lines = [fixture.cell(f"c{i}", "code", "a;" * 500_000, solution=True) for i in range(15)]
    fixture.hand_in(course, "d_statements", made | {"cells": made["cells"] + lines})
    before = resource.getrusage(resource.RUSAGE_SELF)
    made = classroom.grade_class(course, Assignment.load(course, "hw1"), KIND, Limits())
    found = {one["student"]: one for _, _, one in made}
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert (found["a_large"]["automatic"], found["a_large"]["status"]) == (5, "graded")
    for student, says in {"b_source": "shorten them", "c_cells": "300,000 cells", "d_statements": "shorten"}.items():
        assert found[student]["status"] == "unreadable" and says in found[student]["message"], found[student]
    assert after.ru_maxrss - before.ru_maxrss < 300 * 1024  # KiB


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    course = fixture.course(tmp_path, **{f"s{number}": fixture.submission() for number in range(6)})
    fixture.hand_in(course, "s3", fixture.submission(relu="def relu(x):\n    while True: pass"))
    command = [sys.executable, "-m", "resnet_edu", "course", "grade", "hw1", "--course", str(course)]
    command += ["--sandbox", KIND, "--jobs", "1", "--cell-limit", "20"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    third = course / "results/hw1/s2.json"
    for _ in range(600):
        if third.exists():
            break
        time.sleep(0.1)
    process.kill()
    process.communicate()
    first = {path: path.stat().st_mtime_ns for path in (course / "results/hw1").glob("s*.json")}
    assert 3 <= len(first) < 6
    fixture.hand_in(course, "s3", fixture.submission())
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "6 graded" in done.stdout, done.stderr
    assert {path: path.stat().st_mtime_ns for path in first} == first


@pytest.mark.slow
def test_without_a_sandbox_it_says_so_and_still_clears_up(tmp_path):
    daemon = "import subprocess\n    subprocess.Popen(['setsid', 'sleep', '98763'])"
    course = fixture.course(tmp_path, right=fixture.submission(), left=fixture.submission(
        relu=f"def relu(x):\n    {daemon}\n    return np.maximum(x, 0)"))  # fmt: skip
    done = _grade(course, "--sandbox", "none")
    assert "NO SANDBOX. Each submission runs as you" in done.stderr
    assert done.returncode == 0 and "1 graded" in done.stdout and "1 needs_review" in done.stdout
    assert not [command for command in _commands() if "98763" in command]


@needs_bwrap
@pytest.mark.slow
def test_a_user_without_rights_can_grade(tmp_path):
    """Where root runs the tests, a user namespace makes an ordinary user of it."""
    course = fixture.course(tmp_path, right=fixture.submission(), crash=fixture.submission(
        relu="import os\ndef relu(x):\n    while True: os.fork()"))  # fmt: skip
    outer = [
        "bwrap",
        "--unshare-user",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--bind",
        "/",
        "/",
        "--dev-bind",
        "/dev",
        "/dev",
    ]
    done = _grade(course, "--cell-limit", "3", before=outer if os.getuid() == 0 else [])
    assert done.returncode == 0 and "1 graded" in done.stdout, done.stdout + done.stderr
    assert json.loads((course / "results/hw1/crash.json").read_text())["automatic"] == 3


def _grade(course, *more, before=()):
    command = [
        *before,
        sys.executable,
        "-m",
        "resnet_edu",
        "course",
        "grade",
        "hw1",
        "--course",
        str(course),
        *more,
    ]
    return subprocess.run(command, capture_output=True, text=True)
