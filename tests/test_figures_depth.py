"""The figures of the chapters on depth and on the residual block."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas

from resnet_edu.figures import OFF, ON, depth

INK = {"ink": "#000000", "soft": "#555555", "grid": "#cccccc", "paper": "#ffffff"}


def axes_of(figure):
    canvas = Canvas()
    figure.draw(canvas, INK)
    return canvas.axes


def test_profiles_draw_the_geometric_mean_in_the_colours_of_the_book():
    lines = {"plain": [[1.0, 1.0], [100.0, 4.0]], "residual": [[2.0, 2.0]], "third": [[3.0, 3.0]]}
    (ax,) = axes_of(depth.profiles({"": lines}, "caption", "alt", "step", ["error"], log=True))
    plain, residual, third = ax.lines
    np.testing.assert_allclose(plain.get_ydata(), [10, 2])
    assert [line.get_color() for line in (plain, residual)] == [OFF, ON]
    assert (plain.get_linestyle(), residual.get_linestyle()) == ("--", "-")
    assert to_hex(third.get_color()) not in (OFF.lower(), ON.lower())
    assert ax.get_yscale() == "log"


def test_profiles_draw_the_mean_and_the_range():
    (ax,) = axes_of(depth.profiles({"": {"a": [[1, 2], [3, 6]]}}, "caption", "alt", "layer", ["signal"]))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [2, 4])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (1, 6)


def test_profiles_need_a_label_for_every_panel():
    with pytest.raises(ValueError, match="one label a panel, got 1 for 2"):
        depth.profiles({"a": {}, "b": {}}, "caption", "alt", "layer", ["signal"])


def test_field_maps_mark_the_field_around_the_centre():
    ax = axes_of(depth.field_maps({"one": np.ones((9, 9))}, [3], "caption", "alt"))[0]
    (square,) = ax.patches
    assert (square.get_xy(), square.get_width()) == ((2.5, 2.5), 3)  # pixels 3, 4 and 5 of 0 … 8


def test_channel_maps_draw_every_channel_on_one_scale():
    rows = {"x": np.ones((2, 4, 4)), "smaller": np.full((3, 2, 2), 5.0)}
    (ax,) = axes_of(depth.channel_maps(rows, "caption", "alt"))
    assert len(ax.images) == len(ax.patches) == 5
    assert {image.get_clim() for image in ax.images} == {(0, 5)}
    widths = [right - left for left, right, _, _ in (image.get_extent() for image in ax.images)]
    assert widths == [4, 4, 2, 2, 2]
    assert [text.get_text() for text in ax.texts] == ["x (2×4×4)", "smaller (3×2×2)"]


def test_channel_maps_refuse_what_their_scale_cannot_show():
    with pytest.raises(ValueError, match="at least 0"):
        depth.channel_maps({"x": -np.ones((1, 2, 2))}, "caption", "alt")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_can_be_drawn(theme):
    maps = {"a": np.random.default_rng(0).random((5, 5))}
    for figure in (
        depth.profiles({"p": {"a": [[1, 2]]}, "q": {"a": [[2, 1]]}}, "caption", "alt", "layer", ["s", "g"], log=True),
        depth.field_maps(maps, [3], "caption", "alt"),
        depth.channel_maps({"x": np.ones((2, 4, 4))}, "caption", "alt"),
    ):
        assert ET.fromstring(figure.svg(theme)).tag.endswith("svg")
