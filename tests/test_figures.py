import xml.etree.ElementTree as ET

import pytest

from resnet_edu import blocks, figures, paper
from resnet_edu.training import Record
from resnet_edu.trials import Outcome, Trial


def outcome(kind, depth, seed, error):
    records = tuple(Record(e, e, 0.1, 1.0, error + 5 - e, 1.0, error, 1.0) for e in (1, 2, 3, 4, 5))
    return Outcome(Trial(depth, kind, seed), records)


OUTCOMES = [outcome(k, d, s, d * (k == "none") + s) for k in ("none", "A") for d in (8, 20) for s in (0, 1, 2)]


def every_figure(digits):
    norms = {("none", 8): [{"a": 1.0, "b": 0.1, "fc": 1.0}] * 2}
    yield figures.digit_samples(digits)
    yield figures.block_diagrams(
        {"plain": blocks.BasicBlock(4, 4, shortcut="none"), "B": blocks.BasicBlock(4, 8, 2, shortcut="B")}
    )
    yield figures.error_curves(OUTCOMES, "A caption.", "An alt text.")
    yield figures.error_by_depth(OUTCOMES, "A caption.", "An alt text.", {8: 1.0, 20: 2.0})
    yield figures.gradient_profile(norms, "A caption.", "An alt text.")


def test_every_figure_has_both_versions_caption_and_alt(digits):
    for figure in every_figure(digits):
        light, dark = figure.svg("light"), figure.svg("dark")
        assert ET.fromstring(light).tag.endswith("svg") and light != dark
        assert figure.svg("light") == light, "a figure must come out the same twice"
        page = figure._repr_html_()
        assert page.count("<img") == 2 == page.count(f'alt="{figure.alt}"') and figure.caption in page


def test_a_figure_without_words_is_refused():
    with pytest.raises(ValueError, match="alt must not be empty"):
        figures.Figure(lambda canvas, ink: None, "A caption.", " ")


def test_results_table_shows_mean_deviation_and_n():
    text = repr(figures.results_table(OUTCOMES, "Results."))
    assert "plain-20" in text and "21.0 ± 1.0" in text and " 3" in text
    assert '<th scope="row"' in figures.results_table(OUTCOMES, "Results.")._repr_html_()


def test_the_drawing_follows_the_block():
    labels = [label for _, label in figures._steps(blocks.BasicBlock(4, 16, 2, shortcut="B"))]
    assert labels == ["3×3 conv, 16", "batch norm", "ReLU", "3×3 conv, 16", "batch norm", "+", "ReLU"]
    assert "+" not in [label for _, label in figures._steps(blocks.BasicBlock(4, 4, shortcut="none"))]


def test_quoted_figures_name_their_place():
    for quoted in (*paper.HE2015_TABLE_2.values(), *paper.HE2015_TABLE_6.values()):
        assert quoted.place.startswith("Table") and quoted.key == "he2015" and 0 < quoted.value < 100
