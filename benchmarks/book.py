"""What the book costs: seconds to build it, seconds of each notebook, bytes of each page.

python -m benchmarks.book           two cold builds in copies of the repository, and builds after one change each
python -m benchmarks.book --last    of the last build in this repository

The cold builds run the notebooks one at a time, and as many at a time as there are cores. Then a page is compared
with its twin, times and dates apart; pages that time code differ in more.
"""

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jupyter_cache import get_cache

ROOT = Path(__file__).parents[1]
BUILD = Path("book", "_build")
# A change of each kind, and the file that it is made in.
CHANGES = {
    "nothing": None,
    "a chapter's prose": "book/chapters/depth.ipynb",
    "the lab's front end": "resnet_edu/lab/front/widget.mjs",
    "the course": "resnet_edu/course/grading.py",
    "the module landscape": "resnet_edu/landscape.py",
}
TIMES = re.compile(r"[\d,.]+ (?:s|ms|seconds|minutes)\b|20\d\d-\d\d-\d\d")


def copy(folder: Path) -> Path:
    """Copy what git knows of the repository, as it is now."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def build(root: Path, jobs: int) -> tuple[float, int]:
    """Build the book; return the seconds it took and how many notebooks ran."""
    environment = {**os.environ, "PYTHONPATH": str(root)}  # the copy's package
    command = [sys.executable, "tools/build_book.py", "--jobs", str(jobs)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return seconds, len(re.findall(r"of \d+  \S+: ran", done.stdout))


def change(path: Path) -> None:
    """Change a file without a change of what it does; in a notebook, its first words."""
    if path.suffix == ".ipynb":
        notebook = json.loads(path.read_text(encoding="utf-8"))
        words = next(cell for cell in notebook["cells"] if cell["cell_type"] == "markdown")
        words["source"] = ["".join(words["source"]), "\n\nOne more sentence."]
        path.write_text(json.dumps(notebook), encoding="utf-8")
    else:
        mark = {".py": "#", ".mjs": "//"}[path.suffix]
        path.write_text(f"{path.read_text(encoding='utf-8')}\n{mark} one more line\n", encoding="utf-8")


def seconds(root: Path) -> dict[str, float]:
    """Return how long each notebook ran when its outputs were made, by its page."""
    records = get_cache(root / BUILD / ".jupyter_cache").list_cache_records()
    return {
        "/".join(Path(record.uri).with_suffix(".html").parts[-2:]): record.data["execution_seconds"]
        for record in sorted(records, key=lambda record: record.created)
    }


def pages(root: Path) -> dict[str, str]:
    """Return the book's pages by name."""
    html = root / BUILD / "html"
    every = {path.relative_to(html).as_posix(): path for path in sorted(html.rglob("*.html"))}
    return {name: path.read_text(encoding="utf-8") for name, path in every.items() if "_static" not in name}


def table(root: Path, *ran: dict[str, float]) -> None:
    """Print each page: the seconds of its notebook, and its bytes, plain and compressed as a server sends it.

    The bytes are without what all pages share.
    """
    for name, text in pages(root).items():
        took = "".join(f"{one[name]:>9.1f}" if name in one else " " * 9 for one in ran)
        content = text.encode()
        print(f"{name:<42}{took}{len(content) / 1000:>11.0f}{len(gzip.compress(content, 6)) / 1000:>11.0f}")
    print(f"{'all notebooks':<42}{''.join(f'{sum(one.values()):>9.1f}' for one in ran)}")


def last() -> None:
    """Print the last build of this repository."""
    print(f"{'page':<42}{'run (s)':>9}{'HTML (kB)':>11}{'gzip (kB)':>11}")
    table(ROOT, seconds(ROOT))


def cold(folder: Path) -> None:
    """Build in two copies, one notebook at a time and side by side, and after each change."""
    cores = os.cpu_count() or 1
    serial, parallel = copy(folder / "serial"), copy(folder / "parallel")
    times = {}
    for root, jobs in ((serial, 1), (parallel, cores)):
        times[root], count = build(root, jobs)
        print(f"cold build, {count} notebooks, {jobs} at a time: {times[root]:.0f} s", flush=True)
    print(f"side by side takes {100 * times[parallel] / times[serial]:.0f} % of the time on {cores} cores")
    before, after = ({name: TIMES.sub("", text) for name, text in pages(root).items()} for root in (serial, parallel))
    differ = [name for name in before if before[name] != after.get(name)]
    print(f"pages that differ in more than times and dates: {', '.join(differ) or 'none'}\n")
    print(f"{'page':<42}{'serial':>9}{'parallel':>9}{'HTML (kB)':>11}{'gzip (kB)':>11}")
    table(parallel, seconds(serial), seconds(parallel))
    print(f"\n{'changed':<42}{'notebooks':>9}{'seconds':>9}")
    for kind, name in CHANGES.items():
        if name:
            change(parallel / name)
        took, count = build(parallel, cores)
        print(f"{kind:<42}{count:>9}{took:>9.1f}", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--last", action="store_true", help="say what the last build cost, and build nothing")
    if parser.parse_args().last:
        last()
    else:
        with tempfile.TemporaryDirectory() as folder:
            cold(Path(folder))


if __name__ == "__main__":
    main()
