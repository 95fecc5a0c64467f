"""Which notebooks a build runs, how they run side by side, and what it says when one fails."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import build_book
import dependencies
import nbformat
import psutil
import pytest
import run_notebooks
from conftest import ROOT
from jupyter_cache import get_cache

MODULES = {
    "__init__": "",
    "leaf": "NUMBER = 1",
    "middle": "from resnet_edu import leaf",
    "lazy": "def late():\n    from resnet_edu.leaf import NUMBER\n    return NUMBER",
    "apart": "NUMBER = 2",
    "runs": "def load(name):\n    return name",
    "cli/__init__": "from resnet_edu.cli.course import grade",
    "cli/course": "def grade():\n    import resnet_edu.course.grading",
    "course/__init__": "",
    "course/grading": "",
    "lab/__init__": "from resnet_edu import apart\nfrom resnet_edu.lab.instruments import instrument",
    "lab/instruments": """
from resnet_edu.lab import makers
def _race():
    from resnet_edu import middle
def instrument(name):
    from resnet_edu.lab import questions
INSTRUMENTS = {"race": _race, "map": makers.map}
""",
    "lab/makers": "def map():\n    from resnet_edu import lazy",
    "lab/questions": "",
    "lab/widget": "",
}
FILES = {
    "bank/depth/one.json": "{}",
    "bank/lesions/one.json": "{}",
    "lab/front/lab.mjs": "",
    "lab/recorded/plain-56.json": "{}",
    "lab/questions/depth.toml": "",
}
PAGES = {
    "direct": "import resnet_edu.leaf",
    "through": "%matplotlib inline\nfrom resnet_edu.middle import leaf",
    "late": "import time\ndef f():\n    from resnet_edu import lazy",
    "lab": "from resnet_edu.lab.widget import Lab",
    "race": "from resnet_edu import lab\nlab.instrument('race')",
    "map": "from resnet_edu import lab\nlab.instrument('map')\nlab.recall('depth')",
    "bank": "from resnet_edu import runs\nrecords = runs.load(\n    'depth'\n)",
    "whole-bank": "from resnet_edu import runs\nfor name in runs.names():\n    pass",
    "options": "from resnet_edu import apart\nshortcut = 'depth'",
    "command": "from resnet_edu.cli import main",
    "nothing": "print(2 + 2)",
}


def notebook(path, *cells, tags=(), title="Page"):
    """Write a notebook with a title and these code cells, the last with these tags."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.cells[-1].metadata["tags"] = list(tags)
    made.cells.insert(0, nbformat.v4.new_markdown_cell(f"# {title}"))
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, path)
    return path


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Return the root of a small repository, and its pages by name."""
    contents = {f"{name}.py": text for name, text in MODULES.items()} | FILES
    for name, text in contents.items():
        path = tmp_path / "resnet_edu" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "requirements.txt").write_text("torch==2.6\n")
    monkeypatch.setattr(dependencies, "ROOT", tmp_path)
    return tmp_path, {name: notebook(tmp_path / f"{name}.ipynb", code) for name, code in PAGES.items()}


@pytest.mark.parametrize(
    ("changed", "pages"),
    [
        ("leaf.py", {"direct", "through", "late", "race", "map"}),
        ("middle.py", {"through", "race"}),
        ("lazy.py", {"late", "map"}),
        ("apart.py", {"lab", "race", "map", "options"}),
        ("runs.py", {"bank", "whole-bank"}),
        ("lab/widget.py", {"lab"}),
        ("lab/makers.py", {"lab", "race", "map"}),
        ("lab/recorded/plain-56.json", {"lab", "race", "map"}),
        ("lab/questions/depth.toml", {"map"}),
        ("lab/questions/lab.toml", set()),
        ("lab/front/lab.mjs", set()),
        ("course/grading.py", set()),
        ("cli/course.py", {"command"}),
        ("bank/depth/two.json", {"bank", "whole-bank"}),
        ("bank/lesions/one.json", {"whole-bank"}),
        ("__init__.py", PAGES.keys() - {"nothing"}),
        ("new-data.csv", PAGES.keys() - {"nothing"}),
        ("../requirements.txt", PAGES.keys()),
    ],
)
def test_a_change_runs_exactly_the_pages_that_depend_on_it(small, changed, pages):
    root, notebooks = small
    before = {name: dependencies.state(path) for name, path in notebooks.items()}
    (root / "resnet_edu" / changed).write_text("# changed")
    dependencies.imported_by.cache_clear()
    assert {name for name, path in notebooks.items() if dependencies.state(path) != before[name]} == pages


def test_the_books_pages_depend_on_what_they_use():
    chapters = ROOT / "book" / "chapters"
    behind = {
        path.stem: {str(file.relative_to(ROOT)) for file in dependencies.files_behind(path)}
        for path in chapters.glob("*.ipynb")
    }
    assert {name for name, files in behind.items() if "resnet_edu/landscape.py" in files} >= {"loss-landscape"}
    assert "resnet_edu/landscape.py" not in behind["depth"]
    for files in behind.values():
        assert {"resnet_edu/networks.py", "requirements.txt"} <= files
        assert not [file for file in files if re.match(r"resnet_edu/(course|lab/front)/", file)]


def test_pages_run_side_by_side_and_once(small, tmp_path):
    root, _ = small
    look = (
        "import os, pathlib; print(os.environ.get('OMP_NUM_THREADS'), os.environ['LOKY_MAX_CPU_COUNT'], os.listdir())"
    )
    meet = """
import time
here, there = map(pathlib.Path, ({!r}, {!r}))
here.touch()
while not there.exists():
    time.sleep(0.1)"""
    places = [str(tmp_path / name) for name in ("here", "there")]
    pages = {
        "one": notebook(root / "one.ipynb", look + meet.format(*places)),
        "two": notebook(root / "two.ipynb", look + meet.format(*reversed(places))),
    }  # one alone would wait for the other in vain
    outdated = run_notebooks.outdated(pages, tmp_path / "cache")
    ran = list(run_notebooks.run(outdated, tmp_path / "cache", jobs=2, timeout=60))
    assert [problem for _, _, problem in ran] == ["", ""]
    cache = get_cache(tmp_path / "cache")
    printed = [cache.merge_match_into_notebook(page.read())[1].cells[-1].outputs[0].text for page in outdated]
    cores = max(1, (os.cpu_count() or 1) // 2)
    assert printed == [f"1 {cores} []\n"] * 2
    assert run_notebooks.outdated(pages, tmp_path / "cache") == []
    (root / "requirements.txt").write_text("torch==2.7\n")
    again = run_notebooks.outdated(pages, tmp_path / "cache")
    longest = [page.name for page, _, _ in sorted(ran, key=lambda one: -one[1])]
    assert [page.name for page in again] == longest


def test_a_cell_that_times_code_has_the_machine_to_itself(small, tmp_path):
    """Every cell notes when it begins and ends, by the clock of all processes."""
    root, _ = small
    log = tmp_path / "log"
    cell = f"""
import time
def span(name):
    start = time.monotonic()
    time.sleep(0.3)
    with open({str(log)!r}, "a") as file:
        print(name, start, time.monotonic(), file=file)
span("NAME")"""
    ordinary = [cell.replace("NAME", f"cell-{n}") for n in range(6)]
    pages = {name: notebook(root / f"{name}.ipynb", *ordinary, title=name) for name in ("one", "two")}
    pages["times"] = notebook(root / "times.ipynb", cell.replace("NAME", "timed"), tags=["measures-time"])
    outdated = run_notebooks.outdated(pages, tmp_path / "cache")
    assert {page.name for page in outdated if page.measures_time} == {"times"}
    ran = list(run_notebooks.run(outdated, tmp_path / "cache", jobs=3, timeout=60))
    assert [problem for _, _, problem in ran] == [""] * 3
    spans = [(name, float(start), float(end)) for name, start, end in map(str.split, log.read_text().splitlines())]
    (timed,) = [one for one in spans if one[0] == "timed"]
    others = [one for one in spans if one[0] != "timed"]
    assert len(others) == 12 and not [one for one in others if one[1] < timed[2] and one[2] > timed[1]]


def test_pages_that_end_together_are_all_kept(small, tmp_path, monkeypatch):
    root, _ = small

    def execute(made, *_, **__):
        return SimpleNamespace(nb=made, err=None)

    monkeypatch.setattr(run_notebooks, "single_nb_execution", execute)  # at once: only the cache is left to do
    pages = {f"page-{n}": notebook(root / f"{n}.ipynb", f"x = {n}") for n in range(60)}
    outdated = run_notebooks.outdated(pages, tmp_path / "cache")
    ran = list(run_notebooks.run(outdated, tmp_path / "cache", jobs=6, timeout=60))
    assert len(ran) == 60 and run_notebooks.outdated(pages, tmp_path / "cache") == []


def test_before_their_first_run_pages_that_train_more_come_first(small, tmp_path):
    root, _ = small
    codes = {"none": "x = 1", "much": "run_trials([Trial(8, 'A')])\ntrain(network)", "once": "train(network)"}
    pages = {name: notebook(root / f"{name}.ipynb", code) for name, code in codes.items()}
    assert [page.name for page in run_notebooks.outdated(pages, tmp_path / "cache")] == ["much", "once", "none"]


def test_a_page_that_fails_is_named_with_its_cell_and_the_others_are_kept(small, tmp_path):
    root, _ = small
    pages = {
        "wrong": notebook(root / "wrong.ipynb", "x = 0", "y = 1  # so far\ny / x", "print('never')"),
        "dies": notebook(root / "dies.ipynb", "x = 0", "import os; os._exit(3)"),
        "hangs": notebook(root / "hangs.ipynb", "import time", "time.sleep(600)"),
        "right": notebook(root / "right.ipynb", "2 + 2"),
    }
    ran = run_notebooks.run(run_notebooks.outdated(pages, tmp_path / "cache"), tmp_path / "cache", jobs=2, timeout=20)
    problems = {page.name: problem for page, _, problem in ran}
    assert problems["right"] == ""
    assert problems["wrong"].startswith("code cell 2 (y = 1  # so far): ")
    assert "----> 2 y / x" in problems["wrong"] and "ZeroDivisionError: division by zero" in problems["wrong"]
    assert problems["dies"] == "code cell 2 (import os; os._exit(3)): DeadKernelError: Kernel died"
    assert problems["hangs"].startswith("code cell 2 (time.sleep(600)): A cell timed out")
    assert {page.name for page in run_notebooks.outdated(pages, tmp_path / "cache")} == {"wrong", "dies", "hangs"}


def test_a_page_whose_process_is_ended_from_outside_is_named_and_the_others_are_kept(small, tmp_path):
    root, _ = small
    pages = {
        "killed": notebook(root / "killed.ipynb", "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"),
        "right": notebook(root / "right.ipynb", "2 + 2"),
    }
    ran = run_notebooks.run(run_notebooks.outdated(pages, tmp_path / "cache"), tmp_path / "cache", jobs=1, timeout=60)
    problems = {page.name: problem for page, _, problem in ran}
    assert problems == {"killed": "its process ended early (exit code -9)", "right": ""}


@pytest.fixture
def answers_sigterm():
    """Answer SIGTERM as a build does."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_build_that_is_stopped_leaves_no_kernel(small, tmp_path, answers_sigterm):
    root, _ = small
    begun = tmp_path / "begun"
    tell = f"import os, pathlib, time\nbegun = pathlib.Path({str(begun)!r})"
    pages = {
        "long": notebook(root / "long.ipynb", tell, "begun.write_text(str(os.getpid()))\ntime.sleep(600)"),
        "first": notebook(
            root / "first.ipynb", tell, "while not begun.exists() or not begun.read_text():\n    time.sleep(0.01)"
        ),
        "never": notebook(root / "never.ipynb", "raise SystemExit"),
    }
    others = set(multiprocessing.active_children())  # such as joblib keeps for later
    outdated = [run_notebooks.Page(name, path, "") for name, path in pages.items()]
    running = run_notebooks.run(outdated, tmp_path / "cache", jobs=2, timeout=60)
    page, _, problem = next(running)
    assert (page.name, problem) == ("first", "")
    kernel = int(begun.read_text())
    assert psutil.pid_exists(kernel)
    running.close()
    assert set(multiprocessing.active_children()) <= others and not psutil.pid_exists(kernel)


signals_at_start = []  # what a process is sent while it starts
os.register_at_fork(after_in_child=lambda: signals_at_start and os.kill(os.getpid(), signals_at_start.pop()))


def test_a_process_that_is_stopped_while_it_starts_ends(small, tmp_path, answers_sigterm, monkeypatch):
    root, _ = small
    monkeypatch.setattr(run_notebooks, "single_nb_execution", lambda *_, **__: SimpleNamespace(err=None))
    pages = [run_notebooks.Page("page", notebook(root / "page.ipynb", "1"), "")]
    monkeypatch.setitem(globals(), "signals_at_start", [signal.SIGTERM])
    ((_, _, problem),) = run_notebooks.run(pages, tmp_path / "cache", jobs=1, timeout=60)
    assert problem == "its process ended early (exit code -15)"


def test_the_build_stops_at_failed_pages_and_names_them(monkeypatch, tmp_path, capsys):
    pages = [run_notebooks.Page(f"chapters/{name}", tmp_path / f"{name}.ipynb", "") for name in ("depth", "lab")]
    ran = [(pages[0], 41.7, "code cell 2 (1 / 0): ZeroDivisionError"), (pages[1], 3.2, "")]
    monkeypatch.setattr(run_notebooks, "outdated", lambda *_: pages)
    monkeypatch.setattr(run_notebooks, "run", lambda *_: iter(ran))
    monkeypatch.setattr(build_book, "DOCTREES", tmp_path)
    with pytest.raises(SystemExit, match=r"book/chapters/depth.ipynb, code cell 2 \(1 / 0\): ZeroDivisionError"):
        build_book.run_notebooks(2)
    shown = capsys.readouterr().out
    assert "notebooks to run: 2, 2 at a time" in shown
    assert "1 of 2  chapters/depth: FAILED 42 s" in shown and "2 of 2  chapters/lab: ran 3 s" in shown


def test_jobs_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        build_book.main(["--jobs", "0"])
    assert "--jobs must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*/*.ipynb")), ids=lambda path: path.stem)
def test_cells_that_time_code_say_so(path):
    """They run alone; a page's own duration, from ``page_start`` to its end, says nothing of that kind."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and re.search(r"\b(perf_counter|Timer|timeit)\(", source):
            times = not re.search(r"\bpage_start\b", source)
            assert times == (run_notebooks.MEASURES_TIME in cell["metadata"].get("tags", ())), cell["id"]


CONFIG = """
title: Two pages
execute: {execute_notebooks: cache, timeout: 120, run_in_temp: true, exclude_patterns: []}
"""
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "resnet-edu"
version = "0.0.1"
"""
COMPUTES = """
import time
start = time.perf_counter()
import torch
from resnet_edu.datasets import synthetic
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig, train
torch.manual_seed(0)
x = torch.randn(300, 300)
print((x @ x).sum().item())
data = synthetic(channels=1, size=8, train=64, test=64)
for record in train(cifar_resnet(8, width=4, in_channels=1), data, TrainConfig(epochs=2)):
    print(record.train_loss)
print(f"This page took {time.perf_counter() - start:.1f} s.")
"""


def built(folder, jobs):
    """Build a book of two pages that compute, with the tools of this repository; return them without their times."""
    tools = ("build_book.py", "dependencies.py", "editions.py", "run_notebooks.py")
    for name in (*(f"tools/{tool}" for tool in tools), "book/_ext/address.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "resnet_edu" / "lab" / "front").mkdir(parents=True)
    (folder / "resnet_edu" / "__init__.py").touch()
    (folder / "requirements.txt").write_text("")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "book" / "_config.yml").write_text(CONFIG)
    (folder / "book" / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters: [{file: one}, {file: two}]\n")
    (folder / "book" / "index.md").write_text("# Two pages\n")
    for name in ("one", "two"):
        notebook(folder / "book" / f"{name}.ipynb", f"# {name}\n{COMPUTES}", title=name)
    command = [sys.executable, "tools/build_book.py", "--jobs", str(jobs)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    pages = {name: (folder / "book" / "_build" / "html" / f"{name}.html").read_text() for name in ("one", "two")}
    return {name: re.sub(r"took [\d.]+ s|20\d\d-\d\d-\d\d", "", text) for name, text in pages.items()}


def test_pages_built_one_at_a_time_and_side_by_side_are_the_same(tmp_path):
    serial, parallel = built(tmp_path / "serial", 1), built(tmp_path / "parallel", 2)
    assert serial == parallel
    for text in serial.values():
        shown = re.sub(r"<[^>]+>", "", text)  # the first line of an output stands behind its box's tag
        assert len(re.findall(r"^-?\d+\.\d+$", shown, re.MULTILINE)) == 3  # the sum and the losses are in the page
