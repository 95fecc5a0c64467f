"""Our grader against ``nbgrader autograde`` on the same class, taking turns in one run.

    python -m benchmarks.grading                     24 copies of the solution of residual-block
    python -m benchmarks.grading --students 300 --ours   ours alone, with the memory that it takes
    python -m benchmarks.grading --against CHECKOUT      ours against another checkout's, with seconds of the processor

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
from resnet_edu.course.notebooks import Assignment, write
from resnet_edu.course.running import run
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


def in_turns(other: Path, name: str, students: int, rounds: int) -> None:
    """Grade one class with this checkout and with another one, taking turns; print what a submission takes.

    Seconds of the processor say more than those of the clock where other programs run beside.
    """
    with tempfile.TemporaryDirectory() as folder:
        course = make_class(Path(folder), name, students)
        costs: dict[str, list[tuple[float, float]]] = {"before": [], "now": []}
        for turn in range(rounds):
            for which in list(costs)[:: -1 if turn % 2 else 1]:
                costs[which].append(_cost(other if which == "before" else ROOT, course, name, students))
    print(f"{name}: {students} right submissions, {rounds} rounds, seconds a submission beyond the start-up")
    for which, values in costs.items():
        processor, clock = (median(value) / (students - 1) for value in zip(*values, strict=True))
        print(f"{which:<8} processor {processor:.3f}, clock {clock:.3f}")
    processor = median(now[0] / before[0] for before, now in zip(costs["before"], costs["now"], strict=True))
    print(f"now takes {100 * (processor - 1):+.1f} % of the processor's seconds")


def _cost(root: Path, course: Path, name: str, students: int) -> tuple[float, float]:
    """Return the seconds of the processor and of the clock from the first submission's result to the last one's."""
    results = course / "results" / name
    shutil.rmtree(results, ignore_errors=True)
    # bubblewrap keeps the seconds of the processor to itself; the work is the same without it.
    command = [sys.executable, "-m", "resnet_edu", "course", "grade", name, "--course", str(course)]
    process = subprocess.Popen(
        [*command, "--jobs", "1", "--sandbox", "none"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = []
    for count in (1, students):
        while len(list(results.glob("s*.json"))) < count:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        seen.append((_processor(process.pid), time.perf_counter()))
    process.communicate()
    statuses = {json.loads(path.read_text())["status"] for path in results.glob("s*.json")}
    assert (process.returncode, statuses) == (0, {"graded"}), statuses
    return tuple(last - first for first, last in zip(*seen, strict=True))


def _processor(pid: int) -> float:
    """Return the seconds that a process, what it has started, and what of that has ended took of the processor."""
    parents, ticks = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)], ticks[int(entry.name)] = int(words[1]), sum(map(int, words[11:15]))
    family, level = set(), {pid}
    while level:
        family |= level
        level = {each for each, parent in parents.items() if parent in level}
    return sum(ticks.get(each, 0) for each in family) / os.sysconf("SC_CLK_TCK")


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
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout, to take turns with")
    options = parser.parse_args()
    if options.against:
        in_turns(options.against.resolve(), options.name, options.students, options.rounds)
        return
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
