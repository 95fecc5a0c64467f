"""Our grader against ``nbgrader autograde`` on the same class, taking turns in one run.

    python -m benchmarks.grading                     24 copies of the solution of residual-block
    python -m benchmarks.grading --students 300 --ours   ours alone, with the memory that it takes

The submissions are the assignment's own solutions, so both run all tests. ``own computation`` is what a submission's
cells take by themselves, in a process that has imported torch already; the rest is the grader's cost.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from statistics import median

from resnet_edu.course.classroom import grade_class, imports
from resnet_edu.course.running import run
from resnet_edu.course.notebooks import Assignment, write
from resnet_edu.course.sandbox import Limits, Sandbox, problem

ROOT = Path(__file__).parents[1]


def make_class(folder: Path, name: str, students: int) -> Path:
    """Return a course with an assignment and so many right submissions."""
    course = folder / "course"
    shutil.copytree(ROOT / "course" / "source" / name, course / "source" / name)
    shutil.copy(ROOT / "course" / "nbgrader_config.py", course)
    assignment = Assignment.load(course, name)
    made = json.loads(json.dumps(assignment.release))
    for cell, source in zip(made["cells"], assignment.cells, strict=True):
        if source.is_answer and source.kind == "code":
            cell["source"] = source.model
    for student in range(students):
        write(made, course / "submitted" / f"s{student:04}" / name / f"{name}.ipynb")
    return course


def ours(course: Path, name: str, jobs: int, kind: str) -> float:
    """Grade the class anew; return the seconds."""
    shutil.rmtree(course / "results", ignore_errors=True)
    start = time.perf_counter()
    statuses = [
        found["status"] for _, _, found in grade_class(course, Assignment.load(course, name), kind, Limits(), jobs)
    ]
    seconds = time.perf_counter() - start
    assert set(statuses) == {"graded"}, statuses
    return seconds


def theirs(course: Path, name: str) -> float:
    """Let nbgrader grade the class anew; return the seconds."""
    shutil.rmtree(course / "autograded", ignore_errors=True)
    start = time.perf_counter()
    nbgrader(course, "autograde", name, "--force")
    return time.perf_counter() - start


def nbgrader(course: Path, *arguments: str) -> None:
    """Run one of nbgrader's commands, as in an activated environment: it calls ``alembic`` by name."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=course, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def own_computation(course: Path, name: str, kind: str) -> float:
    """Return the median seconds that a submission's cells take by themselves."""
    assignment = Assignment.load(course, name)
    answers = {cell.name: cell.source for cell in assignment.cells if cell.is_answer and cell.kind == "code"}
    sandbox = Sandbox(kind, course, Limits(), imports(assignment))
    sandbox.start()
    times: list[float] = []
    ask = sandbox.ask

    def timed(op: str, *arguments, **request):
        start = time.perf_counter()
        reply = ask(op, *arguments, **request)
        if op in ("given", "code", "test"):
            times[-1] += time.perf_counter() - start
        return reply

    sandbox.ask = timed
    for _ in range(5):
        times.append(0.0)
        run(assignment, answers, sandbox, Limits())
    sandbox.stop()
    return median(times)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--name", default="residual-block")
    parser.add_argument("--students", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ours", action="store_true", help="leave nbgrader out")
    options = parser.parse_args()
    kind = "none" if problem("bwrap") else "bwrap"
    with tempfile.TemporaryDirectory() as folder:
        course = make_class(Path(folder), options.name, options.students)
        if not options.ours:
            nbgrader(course, "generate_assignment", options.name, "--force")
        own = own_computation(course, options.name, kind)
        print(f"{options.name}: {options.students} right submissions, sandbox {kind}, {os.cpu_count()} CPU cores")
        print(f"own computation of a submission: {own:.2f} s")
        graders = {
            "1 job": lambda: ours(course, options.name, 1, kind),
            "2 jobs": lambda: ours(course, options.name, 2, kind),
        }
        if not options.ours:
            graders["nbgrader"] = lambda: theirs(course, options.name)
        seconds: dict[str, list[float]] = {grader: [] for grader in graders}
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for turn in range(options.rounds):
            for grader in list(graders)[:: -1 if turn % 2 else 1]:
                seconds[grader].append(graders[grader]())
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"{'grader':<10}{'s a submission':>16}{'beyond its own, s a core':>26}   against nbgrader")
        for grader, values in seconds.items():
            each = median(values) / options.students
            beyond = each * (2 if grader == "2 jobs" else 1) - own
            ratios = [theirs / mine for theirs, mine in zip(seconds.get("nbgrader", []), values, strict=False)]
            faster = f"{median(ratios):6.1f} times as fast" if ratios and grader != "nbgrader" else ""
            print(f"{grader:<10}{each:>16.2f}{beyond:>26.2f}   {faster}")
        print(f"memory of the grading process grew by {grown:.0f} MiB")


if __name__ == "__main__":
    main()
