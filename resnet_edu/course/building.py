"""Build what leaves the instructor's desk: the students' notebook, the book's page, the bundle for Gradescope."""

import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from resnet_edu.course import notebooks
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.sandbox import PACKAGE

EPOCH = (2020, 2, 2, 0, 0, 0)  # of every file in a bundle, so that the same content gives the same bytes
SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, as root, when it makes the image of the autograder.
set -euo pipefail
apt-get update && apt-get install -y python3 python3-pip python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install ipython /autograder/source/*.whl
chmod 700 /autograder/source  # submissions run as a user without rights, who cannot read the tests
"""
RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for each submission.
root="${{AUTOGRADER_ROOT:-/autograder}}"
exec "${{AUTOGRADER_PYTHON:-$root/venv/bin/python}}" -m resnet_edu.course.gradescope {name} --root "$root"
"""


def build(course: Path, name: str, seed: int | None = None, wheel: Path | None = None) -> list[Path]:
    """Write an assignment's release, its page of the book (where the course lies beside a book) and its bundle.

    ``seed`` is the class's own, for the bundle's tests alone. Building twice changes nothing.
    """
    assignment = Assignment.load(course, name)
    written = [course / "release" / name / f"{name}.ipynb"]
    book = course.parent / "book"
    if (book / "_toc.yml").exists():
        written.append(book / "exercises" / f"{name}.ipynb")
    for path in written:
        notebooks.write(assignment.release, path)
    bundle = course / "dist" / "gradescope" / f"{name}.zip"  # with hidden tests: it stays in the course
    content = _bundle(Assignment.load(course, name, seed), wheel or make_wheel())
    bundle.parent.mkdir(parents=True, exist_ok=True)
    if not bundle.exists() or bundle.read_bytes() != content:
        bundle.write_bytes(content)
    return [*written, bundle]


def _bundle(assignment: Assignment, wheel: Path) -> bytes:
    files = {
        "setup.sh": SETUP.encode(),
        "run_autograder": RUN.format(name=assignment.name).encode(),
        wheel.name: wheel.read_bytes(),
        f"course/source/{assignment.name}/{assignment.name}.ipynb": notebooks.text_of(assignment.notebook).encode(),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = (0o755 if name in ("setup.sh", "run_autograder") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


_wheel: list[Path] = []


def make_wheel() -> Path:
    """Build the package's wheel from this checkout, once a process; it needs hatchling."""
    if not _wheel:
        root = PACKAGE.parent
        if not (root / "pyproject.toml").exists():
            raise ValueError(
                "the bundle for Gradescope needs the package's source: run this in a clone, or --no-bundle"
            )
        folder = Path(tempfile.mkdtemp(prefix="wheel-"))
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(folder)
            raise ValueError(
                f"the wheel cannot be built: {done.stderr.strip().splitlines()[-1]}; pip install hatchling"
            )
        _wheel.extend(folder.glob("*.whl"))
    return _wheel[0]
