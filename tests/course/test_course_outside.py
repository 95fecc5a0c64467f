"""The other tools on the same tree: Gradescope's autograder, docker, and nbgrader as it is."""

import csv
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

import fixture
import nbformat
import pytest
from cases import HONEST, cases
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from resnet_edu.course import building, classroom, marking
from resnet_edu.course.notebooks import Assignment, write
from resnet_edu.course.sandbox import Limits, Sandbox, SandboxError, docker_command, problem

KIND = "none" if problem("bwrap") else "bwrap"


# --- students ---


@pytest.mark.slow
def test_a_release_runs_with_plain_jupyter_and_sums_up(tmp_path):
    """Nothing of the course is needed: stubs give one readable message a test, answers pass, also from Colab."""

    def run(made, allow_errors=False):
        cells = [{key: value for key, value in cell.items() if key != "id"} for cell in made["cells"]]
        notebook = nbformat.reads(json.dumps({**made, "cells": cells, "nbformat_minor": 4}), as_version=4)
        NotebookClient(notebook, kernel_name="python3", allow_errors=allow_errors).execute(cwd=str(tmp_path))
        return notebook

    done = run(fixture.through_colab(fixture.submission()) | {"nbformat_minor": 4})
    assert done.cells[-1].outputs[0].text == "relu passes\nresidual passes\n"
    stub = run(fixture.submission(fixture.STUB_RELU, fixture.STUB_RESIDUAL), allow_errors=True)
    errors = [o for cell in stub.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert [error.ename for error in errors] == ["NotImplementedError"] * 2
    with pytest.raises(CellExecutionError, match=r"relu of \[-1, 2\] must be \[0, 2\]"):
        run(fixture.submission(relu="def relu(x):\n    return x"))


# --- Gradescope ---


@pytest.fixture(scope="module")
def autograder(tmp_path_factory):
    """Unpack the bundle as Gradescope does; its wheel is installed beside this environment's other packages."""
    folder = tmp_path_factory.mktemp("gradescope")
    course = fixture.course(folder / "desk")
    bundle = building.build(course, "hw1")[-1]
    root = folder / "autograder"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(root / "source")
        assert stat.S_IMODE(archive.getinfo("run_autograder").external_attr >> 16) == 0o755
    (wheel,) = (root / "source").glob("*.whl")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(root / "site"),
        str(wheel),
    ]
    subprocess.run(command, check=True)
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "name", "scores", "output"),
    [
        (fixture.submission(), "hw1.ipynb", [2, 3], ""),
        (fixture.through_colab(fixture.submission()), "Copy of hw1.ipynb", [2, 3], ""),
        (fixture.submission(relu="def relu(x):\n    return x"), "hw1.ipynb", [0, 3], ""),
        (fixture.submission(relu="def relu(x):\n    while True: pass"), "hw1.ipynb", [0, 3], "did not end in time"),
        (fixture.submission(residual="import os\nos._exit(0)\ndef residual(x, f): 0"), "hw1.ipynb", [2, 0], "ended"),
        (None, "hw1.ipynb", [], "NOT GRADED (no_submission): the folder holds no notebook"),
        ("{", "hw1.ipynb", [], "NOT GRADED (unreadable)"),
    ],
    ids=["right", "colab", "wrong", "loop", "crash", "missing", "unreadable"],
)  # fmt: skip
def test_the_bundle_grades_on_gradescope(autograder, made, name, scores, output):
    shutil.rmtree(autograder / "submission", ignore_errors=True)
    (autograder / "submission").mkdir()
    if made is not None:
        fixture.save(autograder / "submission" / name, made)
    (autograder / "results" / "results.json").unlink(missing_ok=True)
    script = autograder / "source" / "run_autograder"
    text = script.read_text()
    script.write_text(text.replace('--root "$root"\n', '--root "$root" --cell-limit 3\n'))
    environment = os.environ | {
        "AUTOGRADER_ROOT": str(autograder), "AUTOGRADER_PYTHON": sys.executable, "PYTHONPATH": str(autograder / "site")
    }  # fmt: skip
    done = subprocess.run(["bash", str(script)], env=environment, cwd="/", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    results = json.loads((autograder / "results" / "results.json").read_text())
    assert [test["score"] for test in results["tests"]] == scores
    assert output in results["output"] + "".join(test["output"] for test in results["tests"])
    assert not [canary for canary in fixture.CANARIES if canary in json.dumps(results)]


# --- docker ---


def test_docker_gets_walls(tmp_path):
    command = docker_command("image", Limits(memory=1 << 30, threads=50))
    text = " ".join(command)
    for part in ("--network none", "--read-only", "--cap-drop ALL", "no-new-privileges", "--user 60000:60000",
                 "--pids-limit 50", "--memory 2147483648", "--tmpfs /tmp:"):  # fmt: skip
        assert part in text
    assert "--volume" not in text and str(tmp_path) not in text  # nothing of this machine is mounted


@pytest.mark.slow
def test_the_docker_path_works_with_a_stand_in(tmp_path, monkeypatch):
    """A stand-in for docker runs the container's command, so that no daemon is needed."""
    stand_in = tmp_path / "bin" / "docker"
    fixture.save(
        stand_in,
        f"#!{sys.executable}\nimport os, sys\n"
        "if sys.argv[1] == 'info': sys.exit(0)\n"
        "arguments = sys.argv[sys.argv.index('resnet-edu-grader') + 1:]\n"
        "variables = [b.split('=', 1) for a, b in zip(sys.argv, sys.argv[1:]) if a == '--env']\n"
        "os.environ.update(dict(variables))\nos.execvp(arguments[0], arguments)\n",
    )
    stand_in.chmod(0o755)
    path = f"{stand_in.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("PYTHONPATH", str(Path(classroom.__file__).parents[2]))
    course = fixture.course(tmp_path, right=fixture.submission())
    made = classroom.grade_class(course, Assignment.load(course, "hw1"), "docker", Limits())
    assert [found["automatic"] for _, _, found in made] == [5]


def test_a_sandbox_that_does_not_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    fixture.save(tmp_path / "bwrap", "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    with pytest.raises(SandboxError, match="the sandbox bwrap does not start: bwrap: No permissions to create"):
        Sandbox("bwrap", tmp_path, Limits(), []).start()
    assert problem("bwrap") == "bwrap: No permissions to create new namespace"
    (tmp_path / "bwrap").unlink()
    assert "apt-get install bubblewrap" in problem("bwrap")


# --- nbgrader ---


def nbgrader(course, *arguments):
    # It calls ``alembic`` by name, as in an activated environment.
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = os.environ | {"JUPYTER_PLATFORM_DIRS": "1", "PYTHONWARNINGS": "ignore", "PATH": path}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True)


needs_nbgrader = pytest.mark.skipif(find_spec("nbgrader") is None, reason="nbgrader is not installed")


@needs_nbgrader
@pytest.mark.slow
def test_nbgrader_works_on_the_same_tree_and_agrees_on_honest_submissions(tmp_path):
    course = fixture.course(tmp_path)
    every = cases([], 0)
    for name in HONEST:
        fixture.hand_in(course, name, every[name].notebook)
    assignment = Assignment.load(course, "hw1")
    done = nbgrader(course, "generate_assignment", "hw1", "--force")
    assert done.returncode == 0, done.stderr
    release = nbformat.read(course / "release/hw1/hw1.ipynb", as_version=4)
    write(assignment.release, tmp_path / "ours.ipynb")
    assert nbformat.read(tmp_path / "ours.ipynb", as_version=4) == release  # cells, locks and checksums
    assert "Success" in nbgrader(course, "validate", "source/hw1/hw1.ipynb").stdout
    said = nbgrader(course, "validate", "release/hw1/hw1.ipynb").stdout
    assert "FAILED ON 3 CELL(S)" in said.upper(), said
    for action in (["autograde", "hw1"], ["generate_feedback", "hw1"], ["export", "--to", "grades.csv"]):
        done = nbgrader(course, *action)
        assert done.returncode == 0, done.stderr[-3000:]
    with open(course / "grades.csv") as file:
        theirs = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    made = classroom.grade_class(course, assignment, KIND, Limits(cell=20), jobs=2)
    ours = {found["student"]: found["automatic"] for _, _, found in made}
    assert ours == theirs and set(ours) == set(HONEST)
    assert (course / "feedback/right/hw1/hw1.html").exists()
    marking.prepare(course, assignment)


@needs_nbgrader
@pytest.mark.slow
def test_nbgrader_collects_by_the_configured_names(tmp_path):
    course = fixture.course(tmp_path)
    downloaded = course / "downloaded/hw1/archive"
    for name in ("lovelaceada_LATE_1001_2002_hw1-1.ipynb", "turingalan_1002_2003_Copy of hw1.ipynb",
                 "Ada Lovelace_501_assignsubmission_file_hw1.ipynb"):  # fmt: skip
        fixture.save(downloaded / name, fixture.submission())
    done = nbgrader(course, "zip_collect", "hw1")
    assert done.returncode == 0, done.stderr
    found = {path.relative_to(course / "submitted").as_posix() for path in course.glob("submitted/*/hw1/*.ipynb")}
    assert found == {f"{student}/hw1/hw1.ipynb" for student in ("1001", "1002", "501")}
