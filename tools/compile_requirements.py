"""Compile requirements.txt: exact versions for Python 3.11 to 3.13 on Linux and macOS, from pyproject.toml.

python tools/compile_requirements.py [NAME==VERSION …]    the arguments hold back single packages
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """# Exact, tested versions of everything a fresh machine needs, for Python 3.11 to 3.13.
# Compiled from pyproject.toml by `make requirements`; edit that file, not this one.
"""


def main(held: list[str]) -> None:
    """Run the command line."""
    with tempfile.TemporaryDirectory() as folder:
        constraints, result = Path(folder, "held.txt"), Path(folder, "requirements.txt")
        constraints.write_text("\n".join(held))
        subprocess.run(
            [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11",
             "--extra", "book", "--extra", "course", "--extra", "dev", "--constraint", str(constraints),
             "--no-header", "--no-annotate",
             "--no-emit-index-url", "--quiet", "--output-file", str(result), str(ROOT / "pyproject.toml")],
            check=True, cwd=ROOT,
        )  # fmt: skip
        (ROOT / "requirements.txt").write_text(HEAD + result.read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
