"""Build the book: check what it needs, run the pages that changed, and say where the result is.

python tools/build_book.py
"""

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "book" / "_build"
PAGE = BUILD / "html" / "index.html"


def digest(*patterns: str) -> str:
    """Return a checksum of all files that match, by name and content."""
    files = sorted(path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file())
    total = hashlib.sha256()
    for path in files:
        if "_build" not in path.parts and "__pycache__" not in path.parts:
            total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def check_kernel() -> None:
    """Stop with a message if no Python kernel can run the notebooks."""
    if importlib.util.find_spec("ipykernel") is None:
        sys.exit("no Jupyter kernel for this Python (ipykernel is missing); mend it with: make venv")


def forget(name: str, now: str, *folders: str) -> None:
    """Drop what earlier builds have kept in these folders, if it was made from other files than now."""
    stamp = BUILD / f"{name}.sha256"
    if not stamp.exists() or stamp.read_text() != now:
        subprocess.run(["rm", "-rf", *(str(BUILD / folder) for folder in folders)], check=True)
        BUILD.mkdir(parents=True, exist_ok=True)
        stamp.write_text(now)


def main() -> None:
    """Run the command line."""
    check_kernel()
    package = digest("resnet_edu/**/*", "requirements.txt")
    everything = {"package": package, "book": digest("book/**/*")}
    done = BUILD / "built.json"
    if PAGE.exists() and done.exists() and json.loads(done.read_text()) == everything:
        print("nothing changed since the last build")
    else:
        done.unlink(missing_ok=True)
        # The cache of outputs sees a notebook's code alone, and Sphinx copies no style sheet if no page has changed.
        forget("package", package, ".jupyter_cache", ".doctrees")
        forget("frame", digest("book/assets/**/*", "book/_ext/**/*", "book/*.yml", "book/*.bib"), ".doctrees")
        command = [
            str(Path(sys.executable).with_name("jupyter-book")),
            "build",
            "-n",
            "-W",
            "--keep-going",
            str(ROOT / "book"),
        ]
        if subprocess.run(command, cwd=ROOT).returncode:
            sys.exit(
                "the book was not built: see the messages above (reports of failed pages: book/_build/html/reports)"
            )
        done.write_text(json.dumps(everything))
    print(f"\nOpen the book: {PAGE.as_uri()}")


if __name__ == "__main__":
    main()
