"""What the book costs: seconds to build it, seconds of each notebook, bytes of each page.

python -m benchmarks.book          of the last build
python -m benchmarks.book --cold   after building everything anew, and once more with nothing changed
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from jupyter_cache import get_cache

BUILD = Path(__file__).parents[1] / "book" / "_build"


def build() -> float:
    """Build the book and return the seconds it took."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "tools/build_book.py"], cwd=BUILD.parents[1], check=True, capture_output=True)
    return time.perf_counter() - start


def seconds() -> dict[str, float]:
    """Return how long each notebook ran when its outputs were made, by its page."""
    records = get_cache(BUILD / ".jupyter_cache").list_cache_records()
    return {
        "/".join(Path(record.uri).with_suffix(".html").parts[-2:]): record.data["execution_seconds"]
        for record in records
    }


def weight(page: Path) -> tuple[int, int]:
    """Return a page's bytes, plain and compressed as a server sends it, without what all pages share."""
    content = page.read_bytes()
    return len(content), len(gzip.compress(content, 6))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cold", action="store_true", help="build everything anew first")
    if parser.parse_args().cold:
        shutil.rmtree(BUILD, ignore_errors=True)
        cold, again = build(), build()
        print(f"cold build {cold:.0f} s on {os.cpu_count()} cores; with nothing changed {again:.1f} s")
    ran = seconds()
    print(f"\n{'page':<42}{'run (s)':>9}{'HTML (kB)':>11}{'gzip (kB)':>11}")
    for page in sorted((BUILD / "html").rglob("*.html")):
        plain, compressed = weight(page)
        name = page.relative_to(BUILD / "html").as_posix()
        took = f"{ran[name]:.1f}" if name in ran else ""
        if "_static" not in name:
            print(f"{name:<42}{took:>9}{plain / 1000:>11.0f}{compressed / 1000:>11.0f}")
    print(f"{'all notebooks':<42}{sum(ran.values()):>9.1f}")


if __name__ == "__main__":
    main()
