"""What several tests share: the repository's root, the digits, the built book."""

import subprocess
import sys
from pathlib import Path

import pytest

from resnet_edu import datasets
from resnet_edu.training import cpu_threads

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture(scope="session")
def digits():
    return datasets.digits()


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
