"""The pictures of signals: what they draw and print, without a network."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

from resnet_edu import paper
from resnet_edu.figures import signals
from resnet_edu.runs import Runs


def record(seed, settings, train_error, ratio=1.0):
    return {
        "run": f"{settings}-{seed}", "experiment": "test", "seed": seed, "settings": {"shortcut": "A"} | settings,
        "data": {"label": "digits"}, "device": "CPU", "started": "2026-01-01T00:00:00Z", "versions": {"torch": "2"},
        "epochs": {"train_error": [train_error], "test_error": [train_error + 1]}, "diverged": None,
        "measured": {"gradients": {"0": {"ratio": ratio}}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (134.2, "134"), (9_999, "9,999"), (4.24e6, "4.2·10⁶"), (-5.55e-17, "-5.6·10⁻¹⁷")],
)
def test_numbers_have_two_or_three_digits_and_written_powers(value, text):
    assert signals.number(value) == text


def every_figure():
    panels = {
        "left": {"plain-20": np.full((3, 6), 2.0), "other": np.arange(1.0, 5.0)},
        "right": {"plain-20": [1, 1e-20]},
    }
    yield signals.profiles(panels, "A caption.", "An alt text.", "x", "y", guides={"guide": np.ones(6)}, floor=1e-12)
    yield signals.profiles(panels, "A caption.", "An alt text.", "x", "y", log=False, percent=True)
    yield signals.ellipses({k: {"one": np.eye(2), "two": np.ones((2, 2))} for k in "JI"}, "A caption.", "An alt text.")
    yield signals.traces({"plain": np.array([1.0, -1, 2]), "residual": np.ones(3)}, "A caption.", "An alt.", "x")
    runs = Runs("test", [record(seed, {"depth": d}, 1.0, d + seed) for d in (8, 20) for seed in (0, 1)])
    yield signals.by_depth({"residual": runs}, {"ratio": "gradients.ratio"}, "A caption.", "An alt text.")


def test_an_ellipse_has_the_singular_values_as_half_axes():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    figure = signals.ellipses({"J": {"one": turn @ np.diag([3.0, 0.5])}}, "A caption.", "An alt text.")
    canvas = Canvas(figsize=figure.size)
    figure.draw(canvas, {"soft": "grey"})
    (ax,) = canvas.axes
    assert "σ₁ = 3, σ₂ = 0.5" in ax.get_title()
    radius = np.hypot(*ax.lines[1].get_data())  # the ellipse, in units of its longer half-axis
    assert radius.max() == pytest.approx(1, abs=1e-3) and radius.min() == pytest.approx(0.5 / 3, abs=1e-3)


def test_every_figure_is_drawn_in_both_themes():
    for figure in every_figure():
        light, dark = figure.svg("light"), figure.svg("dark")
        assert ET.fromstring(light).tag.endswith("svg") and light != dark
        assert figure.caption and figure.alt


def test_by_depth_says_how_many_seeds_and_where_from():
    *_, figure = every_figure()
    assert "Geometric mean and range of 2 seeds" in figure.caption and "runs record test" in figure.caption


def test_the_shortcut_table_pairs_each_row_of_the_paper_with_its_own_runs():
    cells = [settings for _, _, settings in signals.SHORTCUT_ROWS]
    runs = Runs("test", [record(s, {"depth": 110} | c, 10 * i + s) for i, c in enumerate(cells) for s in (0, 2)])
    table = signals.shortcut_table(runs, (110,), "A caption.")
    for number, ((name, key, _), row) in enumerate(zip(signals.SHORTCUT_ROWS, table.rows, strict=True)):
        printed = paper.HE2016_TABLE_1[key].value
        assert row[:2] == [name, "fail" if printed is None else f"{printed:.2f}"]
        assert row[2:] == [f"{10 * number + 1:.1f}\u00a0±\u00a01.4", f"{10 * number + 2:.1f}\u00a0±\u00a01.4"]


def test_the_shortcut_table_tells_diverged_from_missing():
    lost = record(0, {"depth": 56, "mixing": "dropout"}, 1.0) | {"diverged": "the loss became nan", "epochs": {}}
    rows = signals.shortcut_table(Runs("test", [lost]), (56,), "A caption.").rows
    assert rows[-1][2:] == ["diverged", "diverged"] and rows[0][2:] == ["–", "–"]
