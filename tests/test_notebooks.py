"""Every chapter runs from top to bottom, alone, and shows what it claims."""

import re
import runpy
from types import SimpleNamespace

import folding
import nbformat
import pytest
import settings
from conftest import ROOT
from jupyter_cache import get_cache

CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.ipynb"))
FOLDED = {"hide-input", "remove-input"}
NOTEBOOKS = sorted(path for kind in ("chapters", "appendix") for path in (ROOT / "book" / kind).glob("*.ipynb"))


@pytest.fixture(scope="module")
def executed(html):
    """Return the text of a notebook's outputs. The build runs each one alone, in a fresh kernel and an empty folder."""

    cache = get_cache(ROOT / "book" / "_build" / ".jupyter_cache")

    def outputs(path):
        _, run = cache.merge_match_into_notebook(nbformat.read(path, as_version=4))
        data = [output["data"] for cell in run.cells for output in cell.get("outputs", []) if "data" in output]
        return "\n".join(one.get("text/markdown", one.get("text/plain", "")) for one in data)

    return outputs


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_clean_and_short(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, f"{cell.id} carries outputs: strip them"
            if not FOLDED & set(cell.metadata.get("tags", [])):
                assert len(cell.source.splitlines()) <= 24, f"{cell.id} is too long for a reader"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_what_measures_is_in_sight_and_what_draws_is_folded(path):
    faults = folding.faults(nbformat.read(path, as_version=4).cells)
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_lines_of_code_fit_a_page(path):
    long = [
        f"{cell.id}: {line}"
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        for line in cell.source.splitlines()
        if len(line) > 80
    ]
    assert not long, "\n" + "\n".join(long)


def test_the_rule_of_folding_knows_what_a_cell_does():
    setup = "from resnet_edu import accounting, figures, probes\nfrom resnet_edu.training import evaluate"
    table = "figures.Table(['a'], rows, 'A caption.')"
    measured = "rows = [probes.singular_values(one) for one in jacobians]"
    helper = "def error(network):\n    return evaluate(network, data, data.test)"

    def of(*cells):
        notebook = [nbformat.v4.new_code_cell(setup)]
        for source, *tags in cells:
            notebook.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
        return [fault.split(": ")[1] for fault in folding.faults(notebook)]

    assert of((measured,), (helper,), (table, "hide-input"), ("figures.say('All.')", "remove-input")) == []
    assert of((table,)) == ["only draws; give it the tag hide-input"]
    assert of((table, "remove-input")) == ["a figure or table whose code nobody can open; give it the tag hide-input"]
    assert of(("figures.say('All.')",)) == ["only says a sentence; give it the tag remove-input"]
    assert of((f"{measured}\n{table}",)) == ["measures and draws; make two cells of it"]
    assert of((helper,), ("figures.say(f'{error(network)}')", "remove-input")) == [
        "measures and draws; make two cells of it"
    ]
    assert of((measured, "remove-input")) == ["measures, so it must be in sight"]
    assert of(("caption = 'Long.'",)) == ["in sight, but holds caption"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_captions_follow_the_settings_that_a_reader_can_change(path):
    faults = settings.faults(nbformat.read(path, as_version=4).cells)
    assert not faults, "take these from the settings (figures.counted):\n" + "\n".join(faults)


def test_the_rule_of_settings_knows_what_a_reader_can_change():
    bank = "rows = [bank.Quote(one) for one in recorded]\nfigures.Table([], rows, 'After eight epochs.')"
    sources = {
        "seen": ("config = TrainConfig(epochs=8)\n*_, last = train(network, data, config)",),
        "derived": ("rows = []\nfor name in 'ab':\n    rows.append(last)",),
        "stated": ("figures.Table([], rows, f'After eight epochs, {3} seeds.')", "hide-input"),
        "followed": ("figures.Table([], rows, f'After {figures.counted(last.epoch, \"epoch\")}.')", "hide-input"),
        "recorded": (bank, "hide-input"),
    }
    cells = [
        nbformat.v4.new_code_cell(code, id=name, metadata={"tags": tags}) for name, (code, *tags) in sources.items()
    ]
    assert settings.faults(cells) == ["stated: 'eight epochs'"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_alone(path, executed):
    assert executed(path)


def test_the_degradation_chapter_shows_the_degradation_problem(executed):
    text = executed(ROOT / "book" / "chapters" / "degradation.ipynb")
    table = text[: text.index("After eight epochs.")]
    error = {name: float(value) for name, value in re.findall(r"((?:plain|residual)-\d+)\s+([\d.]+)\s", table)}
    assert error["plain-56"] > error["plain-8"] + 20
    assert error["plain-8"] < error["plain-20"] < error["plain-32"] < error["plain-56"]
    assert error["residual-56"] < 2
    assert "The difference is 0." in text
    apart = float(re.search(r"differ by at most ([\d.e+-]+)", text)[1])
    assert apart < 1e-4


@pytest.mark.parametrize("path", sorted((ROOT / "book" / "exercises").glob("*.ipynb")), ids=lambda path: path.stem)
def test_an_exercise_can_be_taken_from_its_page(path, html):
    page = html / "exercises" / f"{path.stem}.html"
    (link,) = re.findall(r'href="([^"]+\.ipynb)"', page.read_text(encoding="utf-8"))
    assert (page.parent / link).resolve().read_bytes() == path.read_bytes()


def test_colab_is_offered_where_the_repository_is_known(monkeypatch):
    button = runpy.run_path(str(ROOT / "book" / "_ext" / "colab_button.py"))["set_repository"]
    config = SimpleNamespace(html_theme_options={})
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    button(None, config)
    assert config.html_theme_options == {}
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    button(None, config)
    options = config.html_theme_options
    assert options["launch_buttons"] and options["repository_url"] == "https://github.com/owner/name"
    assert (options["repository_branch"], options["path_to_docs"]) == ("editions", "")  # where Colab finds them
