"""Every chapter runs from top to bottom, alone, and shows what it claims."""

import re

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

NOTEBOOKS = sorted((ROOT / "book" / "chapters").glob("*.ipynb"))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Run a notebook in a fresh kernel and an empty folder, once; return the text of its outputs."""
    done = {}

    def run(path):
        if path not in done:
            notebook = nbformat.read(path, as_version=4)
            folder = tmp_path_factory.mktemp(path.stem)
            NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
            outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
            done[path] = "\n".join(
                output["data"].get("text/markdown", output["data"].get("text/plain", ""))
                for output in outputs
                if "data" in output
            )
        return done[path]

    return run


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_clean_and_short(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, f"{cell.id} carries outputs: strip them"
            assert len(cell.source.splitlines()) <= 14, f"{cell.id} is too long for a reader"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_alone(path, executed):
    assert executed(path)


def test_the_degradation_chapter_shows_the_degradation_problem(executed):
    text = executed(ROOT / "book" / "chapters" / "degradation.ipynb")
    table = text[: text.index("After eight epochs")]
    error = {name: float(mean) for name, mean in re.findall(r"((?:plain|residual)-\d+)\s+([\d.]+) ±", table)}
    assert error["plain-56"] > error["plain-8"] + 20
    assert error["plain-8"] < error["plain-20"] < error["plain-32"] < error["plain-56"]
    assert error["residual-56"] < 2
    assert "The difference is 0." in text
    apart = float(re.search(r"differ by at most ([\d.e+-]+)", text)[1])
    assert apart < 1e-4
