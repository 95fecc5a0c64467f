import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

from resnet_edu.figures import paths
from resnet_edu.interventions import scale_branch
from resnet_edu.networks import cifar_resnet


def every_figure():
    yield paths.unravelled(3, "A caption.", "An alt text.")
    rows = np.random.default_rng(0).uniform(1, 90, (2, 4))
    yield paths.by_block({"plain-20": rows, "residual-20": rows[0]}, "A.", "B.", {"plain-20": 3.0}, marked=[2])
    yield paths.against_count({"plain-20": [(0, 1.0), (1, 90.0)], "largest first": [(0, 1.0), (1, 5.0)]}, "A.", "B.")
    norms = {"new": rows.T, "trained": rows.T / 10}
    yield paths.path_lengths(norms, np.array([1.0, 3, 3, 1]), "A.", "B.")
    yield paths.lesion(3, 2, "A caption.", "An alt text.")
    yield paths.spectra({"plain-20": rows, "pre-activation-20": rows[:1]}, 0.01, "A caption.", "An alt text.")


def test_every_figure_draws_in_both_versions():
    for figure in every_figure():
        light, dark = figure.svg("light"), figure.svg("dark")
        assert ET.fromstring(light).tag.endswith("svg") and light != dark


@pytest.mark.parametrize("blocks", [0, 5])
def test_too_many_paths_to_draw_are_refused(blocks):
    with pytest.raises(ValueError, match="1 … 4"):
        paths.unravelled(blocks, "A.", "B.")


def test_branch_sizes_follow_the_branch():
    torch.manual_seed(0)
    network, images = cifar_resnet(14, activation="pre", width=4, in_channels=1), torch.randn(5, 1, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sizes = paths.branch_sizes(network, images)
    doubled = paths.branch_sizes(scale_branch(network, 2.0, [0]), images)
    assert sizes.shape == (6,) and doubled[0] == pytest.approx(2 * sizes[0], rel=1e-5)
    assert network.training and all(torch.equal(before[k], v) for k, v in network.state_dict().items())
