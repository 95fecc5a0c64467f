"""Run every edition as a learner would: the site is served from here, each notebook installs the wheel from it.

python tools/try_editions.py EDITIONS --site FOLDER --port PORT

The editions must have been made for http://127.0.0.1:PORT, where FOLDER (a built site with ``wheels/``) is served.
They run on this Python, which needs ipykernel and nbclient; resnet_edu is taken away before each one. The exercises'
stubs do not run; the course's check runs them with their solutions.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from serve import served


def run(path: Path) -> str | None:
    """Run a notebook without resnet_edu at its start, in an empty folder; return what went wrong."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    away = [sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", "resnet-edu"]
    subprocess.run(away, capture_output=True)
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}})
        try:
            client.execute()
        except CellExecutionError as error:
            return str(error)[-2000:]
    return None


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("editions", type=Path)
    parser.add_argument("--site", type=Path, required=True, help="the built pages, with wheels/")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    paths = [path for path in sorted(options.editions.rglob("*.ipynb")) if path.parent.name != "exercises"]
    if not paths:
        parser.error(f"no notebook below {options.editions}")
    failed = 0
    with served(options.site, options.port):
        for count, path in enumerate(paths, 1):
            start = time.perf_counter()
            problem = run(path)
            failed += problem is not None
            print(
                f"{count:>2} of {len(paths)}  {path.stem}: {problem or f'{time.perf_counter() - start:.0f} s'}",
                flush=True,
            )
    sys.exit(f"{failed} of {len(paths)} editions failed" if failed else None)


if __name__ == "__main__":
    main()
