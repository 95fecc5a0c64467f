import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

from resnet_edu import paper
from resnet_edu.blocks import BLOCKS
from resnet_edu.figures import orders
from resnet_edu.networks import ACTIVATIONS

# He et al. 2016, Fig. 4(a) to (e), read from the figure.
FIGURE_4 = {
    "post": "conv BN ReLU conv BN + ReLU",
    "bn-after-addition": "conv BN ReLU conv + BN ReLU",
    "relu-before-addition": "conv BN ReLU conv BN ReLU +",
    "relu-only-pre": "ReLU conv BN ReLU conv BN +",
    "pre": "BN ReLU conv BN ReLU conv +",
}


@pytest.mark.parametrize("order", ACTIVATIONS)
def test_the_drawing_is_the_papers_order(order):
    block = BLOCKS["basic", order](4, 4, shortcut="A")
    before = {name: value.clone() for name, value in block.state_dict().items()}
    assert " ".join(step.replace("3×3 ", "") for step in orders.steps(block)) == FIGURE_4[order]
    assert block.training and all(torch.equal(before[name], value) for name, value in block.state_dict().items())


def test_names_are_the_papers_rows():
    assert tuple(orders.NAMES) == ACTIVATIONS
    assert {(name, depth) for name in orders.NAMES.values() for depth in (110, 164)} == set(paper.HE2016_TABLE_2)


def test_every_figure_draws_in_both_versions():
    blocks = {name: BLOCKS["bottleneck", order](16, 4, shortcut="A") for order, name in orders.NAMES.items()}
    series = {name: np.arange(1.0, 6) for name in orders.NAMES.values()}
    for figure in (orders.diagrams(blocks), orders.along_blocks(series, "A.", "B.", "variance")):
        light, dark = figure.svg("light"), figure.svg("dark")
        assert ET.fromstring(light).tag.endswith("svg") and light != dark
