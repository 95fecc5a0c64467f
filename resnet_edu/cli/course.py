"""The command line ``resnet-edu course``: build, check, collect, grade, feedback and export assignments."""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path


def add_course(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("course", help="build, check, collect and grade assignments for a class")
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--course", type=Path, metavar="DIR", help="the course's folder (default: course, or here)")
    sandboxed = argparse.ArgumentParser(add_help=False)
    group = sandboxed.add_argument_group("sandbox")
    group.add_argument("--sandbox", choices=("bwrap", "docker", "none"), default="bwrap", help="(default: bwrap)")
    group.add_argument("--image", default="resnet-edu-grader", help="image for docker (default: resnet-edu-grader)")
    group.add_argument(
        "--cell-limit", type=_positive, default=60, metavar="S", help="CPU seconds of a cell (default: 60)"
    )
    group.add_argument("--total-limit", type=_positive, default=300, metavar="S", help="of a submission (default: 300)")
    group.add_argument("--memory", type=_positive, default=4096, metavar="MIB", help="(default: 4096)")

    def action(name: str, function, text: str, *parents) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text, parents=[shared, *parents])
        added.set_defaults(run=function)
        return added

    build = action("build", _build, "make the students' notebooks, the book's pages and the bundles for Gradescope")
    build.add_argument("name", nargs="*", help="(default: all)")
    build.add_argument("--seed", type=int, help="the class's own CLASS_SEED, for the tests in the bundle")
    check = action("check", _check, "find tests that cannot fail, missing points, and solutions that leak", sandboxed)
    check.add_argument("name", nargs="*", help="(default: all)")
    collect = action("collect", _collect, "sort downloaded submissions into submitted/STUDENT/NAME")
    collect.add_argument("name")
    collect.add_argument("download", type=Path, help="a zip or a folder")
    collect.add_argument("--from", dest="origin", required=True, choices=("canvas", "moodle", "gradescope", "folder"))
    collect.add_argument("--roster", type=Path, metavar="CSV", help="the class: a list that Canvas, Moodle … exports")
    grade = action("grade", _grade, "run the tests of all submissions; go on where it stopped", sandboxed)
    grade.add_argument("name")
    grade.add_argument("student", nargs="*", help="(default: all)")
    grade.add_argument("--jobs", type=_positive, help="submissions at a time (default: one for two CPU cores)")
    grade.add_argument("--seed", type=int, help="the class's own CLASS_SEED")
    grade.add_argument("--again", action="store_true", help="grade again what has a result")
    grade.set_defaults(more="student")  # a name may stand behind an option, too
    feedback = action("feedback", _feedback, "write a page of points and messages for each student")
    feedback.add_argument("name")
    export = action(
        "export", _export, "write points for a spreadsheet, Canvas, Moodle or Gradescope, or a summary page"
    )
    export.add_argument("name")
    export.add_argument("--to", default="csv", choices=("csv", "canvas", "moodle", "gradescope", "summary"))
    export.add_argument("--output", type=Path, help="file, or folder for gradescope (default: in results/NAME)")
    export.add_argument("--column", help="the grade book's column to be filled in, where its name does not tell")
    export.add_argument("--gradebook", type=Path, metavar="CSV", help="what Canvas or Moodle exported, to be filled in")


def _positive(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"must be a positive whole number, got {text}")
    return number


def _course(options: argparse.Namespace) -> Path:
    candidates = [options.course] if options.course else [Path("course"), Path(".")]
    for path in candidates:
        if (path / "source").is_dir():
            return path.resolve()
    raise ValueError(f"{candidates[0]} is no course: it has no folder 'source'; name the course with --course DIR")


def _limits(options: argparse.Namespace):
    from resnet_edu.course.sandbox import MIB, WARNING, Limits, SandboxError, require

    try:
        require(options.sandbox)
    except SandboxError as error:
        raise ValueError(str(error)) from None
    if options.sandbox == "none":
        print(WARNING, file=sys.stderr)
    return Limits(cell=options.cell_limit, total=options.total_limit, memory=options.memory * MIB)


def _names(course: Path, chosen: list[str]) -> list[str]:
    from resnet_edu.course.notebooks import names, there_are

    known = names(course)
    unknown = [name for name in chosen if name not in known]
    if unknown or not known:
        raise ValueError(f"there is no assignment {', '.join(unknown)}; {there_are(course)}")
    return chosen or known


def _build(options: argparse.Namespace) -> int:
    from resnet_edu.course.building import build

    course = _course(options)
    for name in _names(course, options.name):
        for path in build(course, name, options.seed):
            print(os.path.relpath(path))
    return 0


def _check(options: argparse.Namespace) -> int:
    from resnet_edu.course.checking import check

    course, limits = _course(options), _limits(options)
    names, problems = _names(course, options.name), []
    for name, found in check(course, names, options.sandbox, limits):
        print(*[f"{name}: {problem}" for problem in found] or [f"{name}: sound"], sep="\n", flush=True)
        problems += found
    print(f"{len(names)} assignments: {f'{len(problems)} problems' if problems else 'sound'}")
    return 1 if problems else 0


def _collect(options: argparse.Namespace) -> int:
    from resnet_edu.course.collecting import collect
    from resnet_edu.course.tables import printable

    course = _course(options)
    (name,) = _names(course, [options.name])
    done = collect(course, name, options.download, options.origin, options.roster)
    for entry in done.collected:
        print(f"{entry.student}: {printable(entry.file)}{' (late)' if entry.late else ''}")
    for file, reason in done.left:
        print(f"NOT COLLECTED {printable(file)}: {printable(reason)}", file=sys.stderr)
    if done.absent:
        print(f"Without a submission: {', '.join(done.absent)}")
    print(
        f"{len(done.collected)} submissions, {len(done.left)} files not collected, {len(done.absent)} students without"
    )
    return 1 if done.left else 0


def _grade(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from resnet_edu.cli.errors import Failed
    from resnet_edu.course.classroom import grade_class
    from resnet_edu.course.grading import BrokenAssignmentError
    from resnet_edu.course.marking import prepare
    from resnet_edu.course.notebooks import Assignment
    from resnet_edu.course.sandbox import SandboxError
    from resnet_edu.course.tables import printable

    course, limits = _course(options), _limits(options)
    assignment = Assignment.load(course, options.name, options.seed)
    jobs = options.jobs or max(1, (os.cpu_count() or 1) // 2)
    made = grade_class(course, assignment, options.sandbox, limits, jobs, options.student, options.again, options.image)
    counts: Counter = Counter()
    try:
        with tqdm(unit="submission", disable=None) as bar:
            for done, total, found in made:
                bar.total = total
                bar.update(done - bar.n)
                counts[found["status"]] += 1
                if found["status"] != "graded":
                    reason = found["message"] or _folded(found["flags"]) or _troubles(found)
                    tqdm.write(f"{found['student']}: {found['status']}: {printable(reason, 600)}")
    except (SandboxError, BrokenAssignmentError) as error:
        raise Failed(str(error)) from None
    print(", ".join(f"{count} {status}" for status, count in counts.most_common()) or "there are no submissions")
    written = prepare(course, assignment)
    if written:
        page, table, remarks = written
        print(f"For you to read: open {os.path.relpath(page)}, write points into {os.path.relpath(table)}")
        for remark in remarks:
            print(remark, file=sys.stderr)
    return 0


def _folded(flags: list[str], most: int = 4) -> str:
    more = f"; and {len(flags) - most} more" if len(flags) > most else ""
    return "; ".join(flags[:most]) + more


def _troubles(found: dict) -> str:
    return "; ".join(
        f"{question['id']}: {question['message']}"
        for question in found["questions"]
        if question["outcome"] in ("timeout", "crashed")
    )


def _feedback(options: argparse.Namespace) -> int:
    from resnet_edu.course.feedback import write_feedback
    from resnet_edu.course.notebooks import Assignment

    course = _course(options)
    pages = write_feedback(course, Assignment.load(course, options.name))
    print(f"{len(pages)} pages: {os.path.relpath(course / 'feedback')}/STUDENT/{options.name}/{options.name}.html")
    return 0


def _export(options: argparse.Namespace) -> int:
    from resnet_edu.course.exporting import export
    from resnet_edu.course.notebooks import Assignment
    from resnet_edu.course.tables import printable

    course = _course(options)
    done = export(
        course, Assignment.load(course, options.name), options.to, options.output, options.gradebook, options.column
    )
    print(os.path.relpath(done.path))
    for line in done.remarks:
        print(printable(line, 600), file=sys.stderr)
    return 0
