"""Build the book: run the pages whose outputs are out of date, let Sphinx make the pages, say where they are.

python tools/build_book.py             as many notebooks at a time as there are cores
python tools/build_book.py --jobs 1    one at a time; the numbers are the same
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "book" / "_ext"))
import address
import editions
from dependencies import FRONT, PACKAGE, ROOT, checksum, files_below, files_of, reached
from filelock import FileLock

BOOK = ROOT / "book"
BUILD = BOOK / "_build"
PAGE = BUILD / "html" / "index.html"
CACHE = BUILD / ".jupyter_cache"
DOCTREES = BUILD / ".doctrees"
DONE = BUILD / "built.json"  # the state of the last build


def check_kernel() -> None:
    """Stop with a message if no Python kernel can run the notebooks."""
    if importlib.util.find_spec("ipykernel") is None:
        sys.exit("no Jupyter kernel for this Python (ipykernel is missing); mend it with: make venv")


def states() -> dict[str, str]:
    """Return checksums of what the build is made of, by what must be made anew when they change.

    ``everything``: anything at all; ``frame``: every page; ``lab``: the pages with a lab, which link its files.
    """
    book, package = list(files_below("book")), list(files_below(PACKAGE))
    requirements = ROOT / "requirements.txt"
    around = ("assets", "_ext", "_templates")
    frame = [path for path in book if path.parent == BOOK or path.relative_to(BOOK).parts[0] in around]
    frame = [path for path in frame if path.suffix != ".md"]
    addresses = (str(address.site()), str(address.repository()))  # buttons and links are made of them
    lab = [*files_of(reached([f"{PACKAGE}.lab"])), *files_below(FRONT)]
    return {
        "everything": checksum([*book, *package, requirements], *addresses),
        "frame": checksum([*frame, requirements], *addresses),
        "lab": checksum(lab),
    }


def notebooks() -> tuple[dict[str, Path], int]:
    """Return the notebooks that run, by their names in the table of contents, and the seconds a cell may take."""
    import yaml
    from sphinx_external_toc.parsing import parse_toc_yaml

    settings = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))["execute"]
    every = {name: BOOK / f"{name}.ipynb" for name in parse_toc_yaml(BOOK / "_toc.yml")}
    runs = {
        name: path
        for name, path in every.items()
        if path.exists() and not any(path.relative_to(BOOK).match(one) for one in settings["exclude_patterns"])
    }
    return runs, settings["timeout"]


def run_notebooks(jobs: int) -> None:
    """Run the pages whose outputs are out of date, and forget how they looked. Stop if one fails."""
    import run_notebooks as runner

    wanted, timeout = notebooks()
    pages = runner.outdated(wanted, CACHE)
    if not pages:
        return
    print(f"notebooks to run: {len(pages)}, {min(jobs, len(pages))} at a time", flush=True)
    problems, start = [], time.perf_counter()
    for count, (page, seconds, problem) in enumerate(runner.run(pages, CACHE, jobs, timeout), 1):
        (DOCTREES / f"{page.name}.doctree").unlink(missing_ok=True)  # its source has not changed, its outputs have
        took = f"{time.perf_counter() - start:5.0f} s  {count:>2} of {len(pages)}  {page.name}"
        print(f"{took}: {'FAILED' if problem else 'ran'} {seconds:.0f} s", flush=True)
        if problem:
            problems.append(f"book/{page.name}.ipynb, {problem}")
    if problems:
        rule = "\n" + "-" * 80 + "\n"
        sys.exit(rule + rule.join(problems) + rule + f"the book was not built: {len(problems)} of its notebooks failed")


def forget(before: dict[str, str], now: dict[str, str]) -> None:
    """Let Sphinx make anew what it would not see: it looks at a page's source alone."""
    if before.get("frame") != now["frame"]:
        shutil.rmtree(DOCTREES, ignore_errors=True)
    elif before.get("lab") != now["lab"]:
        for doctree in DOCTREES.rglob("*.doctree"):
            page = BUILD / "html" / doctree.relative_to(DOCTREES).with_suffix(".html")
            if not page.exists() or "lab.css" in page.read_text(encoding="utf-8"):
                doctree.unlink()


def make_pages() -> None:
    """Do what ``jupyter-book build -n -W --keep-going book`` does, without a second start of Python.

    Sphinx can read and write several pages at once; on two cores that gains a tenth of its 20 s, and two extensions
    do not say that they allow it.
    """
    from jupyter_book.sphinx import build_sphinx

    settings = {"external_toc_path": str(BOOK / "_toc.yml"), "latex_individualpages": False, "nitpicky": True}
    problem = build_sphinx(
        BOOK,
        BUILD / "html",
        noconfig=True,
        path_config=BOOK / "_config.yml",
        confoverrides=settings,
        warningiserror=True,
        keep_going=True,
    )
    if problem:
        sys.exit("the book was not built: see the messages above")


def add_wheel() -> None:
    """Put the package's wheel beside the pages: notebooks in Colab, in a fork or without internet install it."""
    folder = BUILD / "html" / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the package's wheel was not built:\n{done.stdout}{done.stderr}")


def add_editions() -> None:
    """Write the notebooks for Colab and Binder beside the pages where the site's address is known."""
    folder = BUILD / "html" / "editions"
    shutil.rmtree(folder, ignore_errors=True)
    if site := address.site():
        editions.write(folder, site)


def add_saved_notebooks() -> None:
    """Put the text of every notebook into a script as well: a page from disk saves it with that (assets/first.js)."""
    for path in (BUILD / "html").rglob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        call = f"saveNotebook({json.dumps(path.name)}, {json.dumps(text, ensure_ascii=False)});\n"
        path.with_name(f"{path.name}.js").write_text(call, encoding="utf-8")


def build(jobs: int) -> None:
    """Make what is out of date."""
    before, now = json.loads(DONE.read_text()) if DONE.exists() else {}, states()
    if PAGE.exists() and before == now:
        print("nothing changed since the last build")
        return
    DONE.write_text(json.dumps(before | {"everything": "under way"}))
    # jsonschema looks for it, to check addresses in notebooks; to import it takes as long as to make a page
    sys.modules.setdefault("rfc3987_syntax", None)
    run_notebooks(jobs)
    forget(before, now)
    make_pages()
    add_wheel()
    add_editions()
    add_saved_notebooks()
    DONE.write_text(json.dumps(now))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="notebooks at a time (default: %(default)s)"
    )
    jobs = parser.parse_args(arguments).jobs
    if jobs < 1:
        parser.error(f"--jobs must be at least 1, got {jobs}")
    check_kernel()
    BUILD.mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that kernels end with the build
    try:
        with FileLock(BUILD / "build.lock"):  # of two builds at once, such as by two tests, the second finds all done
            build(jobs)
    except KeyboardInterrupt:
        print("\nstopped; notebooks that have run need not run again", file=sys.stderr)
        sys.exit(130)
    print(f"\nOpen the book: {PAGE.as_uri()}")


if __name__ == "__main__":
    main()
