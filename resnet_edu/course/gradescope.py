"""Grade one submission on Gradescope: the bundle's ``run_autograder`` calls this module.

python -m resnet_edu.course.gradescope NAME --root /autograder
"""

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path

from resnet_edu.course.classroom import imports, notebook_of
from resnet_edu.course.collecting import plain_name
from resnet_edu.course.exporting import gradescope_results
from resnet_edu.course.grading import grade, result
from resnet_edu.course.notebooks import Assignment, UnreadableError
from resnet_edu.course.sandbox import Limits, Sandbox, problem


def main(arguments: list[str] | None = None) -> int:
    """Read ``submission/``, write ``results/results.json``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("--root", type=Path, default=Path("/autograder"))
    parser.add_argument("--cell-limit", type=float, default=60)
    parser.add_argument("--total-limit", type=float, default=300)
    options = parser.parse_args(arguments)
    course, target = options.root / "source" / "course", options.root / "results" / "results.json"
    assignment = Assignment.load(course, options.name)
    limits = Limits(cell=options.cell_limit, total=options.total_limit)
    try:
        path = _submitted(options.root / "submission", options.name)
    except UnreadableError as error:
        found = result(assignment, "no_submission" if "no notebook" in str(error) else "unreadable", str(error))
    else:
        # Gradescope's container is the wall to the outside; inside it the submission runs as a user without rights.
        kind = "none" if problem("bwrap") else "bwrap"
        sandbox = Sandbox(kind, course, limits, imports(assignment))
        try:
            sandbox.start()
            found = grade(assignment, path, sandbox, limits)
        finally:
            sandbox.stop()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False, encoding="utf-8") as file:
        json.dump(gradescope_results({**found, "student": ""}), file, indent=1)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(target)
    print(f"{found['status']}: {found['automatic']} of {found['possible']:g}")
    return 0


def _submitted(folder: Path, name: str) -> Path:
    """Return the notebook: the one with the assignment's name, whatever a browser or Colab added to it."""
    with contextlib.suppress(UnreadableError):
        return notebook_of(folder, name)
    matching = [p for p in sorted(folder.rglob("*.ipynb")) if plain_name(p.name) == f"{name}.ipynb".lower()]
    if len(matching) == 1:
        return matching[0]
    return notebook_of(folder, name)


if __name__ == "__main__":
    sys.exit(main())
