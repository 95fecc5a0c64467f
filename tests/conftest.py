"""What several tests share: the repository's root, the digits, the built book."""

import subprocess
import sys
from pathlib import Path

import pytest

from resnet_edu import datasets
from resnet_edu.training import cpu_threads

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "book" / "_ext")]


@pytest.fixture(scope="session")
def digits():
    return datasets.digits()


@pytest.fixture(scope="module")
def browser():
    from get_browser import find
    from playwright.sync_api import sync_playwright

    program = find()
    assert program, "no Chromium or Chrome on this machine; get one with: make browser"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def problems_of(page, levels=("error",)):
    """Return a list that fills with what goes wrong in a page: console messages, errors, failed requests."""
    problems = []
    page.on("console", lambda message: message.type in levels and problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
    return problems


@pytest.fixture(scope="module")
def one_thread():
    """Compute on one CPU thread in this module: its networks are tiny."""
    with cpu_threads(1):
        yield


@pytest.fixture(scope="session")
def html():
    """Build the book as a maintainer does (a second build with nothing changed takes seconds)."""
    done = subprocess.run([sys.executable, "tools/build_book.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return ROOT / "book" / "_build" / "html"
