"""What several tests share: the repository's root, the digits, the built book, a seed."""

import os
import random
import subprocess
import sys
from pathlib import Path

# Each of several workers has its share of the cores, and so has what it starts, for PyTorch's threads spin while they
# wait: with more of them than cores, two workers took up to 1.8 times as long. It is said before PyTorch is imported.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))

import numpy as np
import pytest
import torch

from resnet_edu import datasets
from resnet_edu.training import cpu_threads

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "book" / "_ext")]

# Any seed must do: TEST_SEED=7 tries another one (and --hypothesis-seed=7 for the drawn examples, new in each run).
SEED = int(os.environ.get("TEST_SEED", "0"))


def pytest_report_header():
    return f"TEST_SEED={SEED}"


def reseed():
    """Start from the same random state, alone as in the whole suite, on whichever worker."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


before_the_modules_fixtures = pytest.fixture(reseed, scope="module", autouse=True)
before_the_test = pytest.fixture(reseed, autouse=True)


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
