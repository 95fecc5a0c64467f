"""Drawings of blocks and networks follow the live modules."""

import re
import xml.etree.ElementTree as ET

import pytest
import torch

from resnet_edu import blocks, networks
from resnet_edu.figures import ON
from resnet_edu.figures import architectures as drawn

# Large enough for five halvings, small enough to count at once.
SHAPE = (3, 64, 64)


def network(depth, **options):
    with torch.device("meta"):
        return networks.imagenet_resnet(depth, **options)


def dashes(figure):
    """Return (solid, dashed): how many shortcut lines the SVG draws each way."""
    styles = [path.get("style", "") for path in ET.fromstring(figure.svg("light")).iter() if path.tag.endswith("path")]
    lines = [style for style in styles if f"stroke:{ON.lower()}" in style and "stroke-width:1.9" in style]
    dashed = sum("stroke-dasharray" in style for style in lines)
    return len(lines) - dashed, dashed


@pytest.mark.parametrize(
    ("depth", "options", "expected"),
    [
        (34, {}, (13, 3)),  # He et al. 2015, Fig. 3
        (50, {}, (12, 4)),
        (34, {"shortcut": "A"}, (13, 3)),
        (34, {"shortcut": "C"}, (0, 16)),
        (34, {"shortcut": "none"}, (0, 0)),
    ],
)
def test_a_solid_line_for_each_identity_and_a_dashed_one_for_each_change(depth, options, expected):
    assert dashes(drawn.network_diagram(network(depth, **options), SHAPE, "A caption.")) == expected


def test_a_box_for_each_convolution_or_each_block():
    by_layer, by_block = (drawn._labels(network(50).layer2[0], unit) for unit in ("layer", "block"))
    assert by_layer == ["1×1, 128", "3×3, 128, /2", "1×1, 512"]
    assert by_block == ["128–512, /2"]


def test_the_text_names_each_stage_and_its_first_shortcut():
    alt = drawn.network_diagram(network(50), SHAPE, "A caption.").alt
    assert re.search(r"conv2_x at 32×32, 16×16: blocks 3, first shortcut projection, others identity", alt)
    assert "conv5_x at 2×2" in alt


def test_a_small_stem_is_drawn_without_a_pooling():
    alt = drawn.network_diagram(networks.cifar_resnet(8), (3, 32, 32), "A caption.").alt
    assert "3 columns" in alt and "conv2_x at 32×32, 32×32: blocks 1, first shortcut identity, others none" in alt


def test_the_other_figures_come_in_both_versions():
    costs = {"basic": {"weights": 2.0, "time": 1.0}, "bottleneck": {"weights": 1.0, "time": 3.0}}
    for figure in (
        drawn.block_pair({"one": blocks.BasicBlock(4, 4), "two": blocks.Bottleneck(8, 2)}, "A caption."),
        drawn.cost_bars(costs, "A caption."),
        drawn.pixels_read({"all": torch.ones(2, 2) > 0}, "A caption.", "An alt text."),
    ):
        assert figure.svg("light") == figure.svg("light") != figure.svg("dark")
    assert "bottleneck 3" in drawn.cost_bars(costs, "A caption.").alt
