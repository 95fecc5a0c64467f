"""Compile requirements.txt: exact versions for Python 3.11 to 3.13 on Linux and macOS, from pyproject.toml.

python tools/compile_requirements.py [NAME==VERSION …]    the arguments hold back single packages

Beside it .ci/requirements-hashes.txt: the same versions with the hashes of their files, for continuous integration.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HASHES = ROOT / ".ci" / "requirements-hashes.txt"
HEAD = """# Exact, tested versions of everything a fresh machine needs, for Python 3.11 to 3.13.
# Compiled from pyproject.toml by `make requirements`; edit that file, not this one.
"""
HASHES_HEAD = """# The versions of requirements.txt with the hashes of their files, for `make venv LOCKED=1`.
# Compiled by `make requirements`; edit pyproject.toml, not this file.
"""


def compiled(source: Path, *options: str) -> str:
    """Return what uv makes of a file of requirements: a line for each package, without the index's address."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "requirements.txt")
        subprocess.run(
            [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11", *options,
             "--no-header", "--no-annotate", "--no-emit-index-url", "--quiet", "--output-file", str(result),
             str(source)],
            check=True, cwd=ROOT,
        )  # fmt: skip
        return result.read_text()


def main(held: list[str]) -> None:
    """Run the command line."""
    exact = ROOT / "requirements.txt"
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "held.txt")
        constraints.write_text("\n".join(held))
        extras = [part for extra in ("book", "course", "dev") for part in ("--extra", extra)]
        exact.write_text(HEAD + compiled(ROOT / "pyproject.toml", *extras, "--constraint", str(constraints)))
    HASHES.write_text(HASHES_HEAD + compiled(exact, "--no-deps", "--generate-hashes"))


if __name__ == "__main__":
    main(sys.argv[1:])
