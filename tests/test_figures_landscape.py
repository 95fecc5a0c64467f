import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from resnet_edu.figures import landscape
from resnet_edu.landscape import LossSurface

STEPS = np.linspace(-1, 1, 9)
A, B = np.meshgrid(STEPS, STEPS, indexing="ij")


def surface(loss):
    return LossSurface(STEPS, STEPS, loss, loss)


def test_a_bowl_is_convex_and_a_saddle_or_a_hill_is_not():
    assert landscape.not_convex(surface(A**2 + 3 * B**2 + A * B)) == 0
    assert landscape.not_convex(surface(A**2 - B**2)) == 100
    assert landscape.not_convex(surface(-(A**2) - B**2)) == 100
    assert landscape.not_convex(surface(A * B)) == 100, "a saddle that only the mixed difference shows"
    half = landscape.not_convex(surface(np.where(A < 0, A**2, -(A**2)) + B**2))
    assert 30 < half < 70


def test_only_points_near_the_centre_can_be_counted():
    wavy = surface(np.where(np.hypot(A, B) < 0.8, A**2 + B**2, -(A**2) - B**2))
    assert landscape.not_convex(wavy, within=0.25) == 0 < landscape.not_convex(wavy)


def test_the_way_of_training_is_drawn_over_its_map():
    figure = landscape.ways(
        {"plain-20": (surface(A**2 + B**2), np.array([[0.5, 0.5], [0.2, 0.1], [0, 0]]))}, "A.", "B."
    )
    assert ET.fromstring(figure.svg("light")).tag.endswith("svg")
    canvas = Canvas()
    figure.draw(canvas, {name: "black" for name in ("ink", "soft", "grid", "paper")})
    assert "trained" in {text.get_text() for text in canvas.findobj(Text)}


def test_a_loss_that_is_not_finite_counts_as_bending():
    loss = A**2 + B**2
    loss[4, 4] = np.inf
    assert landscape.not_convex(surface(loss)) == pytest.approx(100 * 9 / 49)


def test_recorded_surfaces_come_back_with_what_was_lost_as_infinite():
    measured = {"surface": {"8": {"loss": [[1.0, None], [2.0, 3.0]], "error": [[0.0, 0.0], [0.0, 0.0]]}}}
    record = {"experiment": "loss-surface", "run": "x", "diverged": None, "measured": measured}
    found = landscape.recorded(record)
    assert found.loss.tolist() == [[1.0, np.inf], [2.0, 3.0]] and found.alphas.tolist() == [-1.0, 1.0]


def test_every_figure_draws_in_both_versions():
    wild = np.where(A > 0.8, np.inf, 10 ** (4 * (A**2 + B**2) - 1))
    figures = (
        landscape.surfaces({"plain-20": surface(A**2 + B**2), "residual-20": surface(wild)}, "A.", "B."),
        landscape.lines(
            {"plain-20": wild[:3], "residual-20, fresh": wild[0]}, STEPS, "A.", "B.", "x", 2.3, {0: "here"}
        ),
    )
    for figure in figures:
        light, dark = figure.svg("light"), figure.svg("dark")
        assert ET.fromstring(light).tag.endswith("svg") and light != dark
