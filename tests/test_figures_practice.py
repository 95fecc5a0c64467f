"""The helpers of the chapters on practice: what they select, what they draw, what they say without a network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from resnet_edu.datasets import Split, digits
from resnet_edu.figures import practice
from resnet_edu.networks import cifar_resnet


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture
def network():
    torch.manual_seed(0)
    return cifar_resnet(8, width=4, in_channels=1)


def test_only_classes_numbers_them_anew_and_keeps_the_images(data):
    part = practice.only_classes(data, (7, 3))
    assert part.classes == ("7", "3") and part.mean == data.mean
    for split, whole in ((part.train, data.train), (part.test, data.test)):
        for number, original in enumerate((7, 3)):
            assert torch.equal(split.images[split.labels == number], whole.images[whole.labels == original])


def test_only_classes_draws_so_many_of_each_from_the_seed(data):
    first, again, other = (practice.only_classes(data, range(10), 5, seed).train for seed in (0, 0, 1))
    assert first.labels.bincount().tolist() == [5] * 10
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)
    with pytest.raises(ValueError, match="per_class"):
        practice.only_classes(data, range(10), 1000)


def test_upside_down_turns_twice_into_the_original(data):
    turned = practice.upside_down(data, data.train)
    assert torch.equal(turned.train.images.flip(2).flip(3), data.train.images)
    assert torch.equal(practice.upside_down(turned, turned.train).test.images, data.test.images)


def test_pooled_features_are_what_the_linear_layer_is_given(data, network):
    images = data.normalize(data.test.images[:20])
    statistics = network.bn1.running_mean.clone()
    features = practice.pooled_features(network.train(), images)
    assert features.shape == (20, 16) and network.training and torch.equal(network.bn1.running_mean, statistics)
    assert torch.equal(network.fc(features), network.eval()(images))


def test_a_linear_probe_separates_what_is_separable():
    x, y = torch.randn(200, 4), torch.arange(200) % 2
    assert practice.linear_probe((x + 20 * y[:, None], y), (x + 20 * y[:, None], y)) == 0
    assert practice.linear_probe((x, y), (x + 20 * y[:, None], 1 - y)) > 20


def test_transfer_leaves_the_networks_as_they_were(data, network):
    target = practice.only_classes(data, (0, 1, 2), 4)
    target = replace(target, test=Split(target.test.images[:60], target.test.labels[:60]))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    errors = practice.transfer(network, network, target, steps=2)
    assert errors["untrained, frozen"] == errors["pretrained, frozen"]
    assert errors["from scratch"] == errors["fine-tuned"]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_without_weights_in_the_cache_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("a download was tried"))
    said = []
    assert practice.cached_network([("resnet50", "V2"), ("resnet18", "V1")], said.append) is None
    assert "pretrained('resnet50', 'V2')" in said[0] and "98 MB" in said[0]


@pytest.mark.parametrize(
    "figure",
    [
        practice.lines({"one": [1, 2], "two": [[3, 2], [4, 1]]}, "caption", "alt", floor={"floor": 0.5}),
        practice.lines({"one": [1, 2]}, "caption", "alt", x=[0, 9], log=True, marks=False),
        practice.bars({"one": [1, 2, 3], "two": [2, 2, 2]}, "caption", "alt"),
        practice.label_curves({"method": {2: [30, 20], 10: [10, 12]}}, "caption", "alt"),
        practice.pictures({"title": np.zeros((4, 4, 3))}, "caption", "alt"),
    ],
)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_are_drawn_in_both_themes(figure, theme):
    assert figure.svg(theme).lstrip().startswith(b"<?xml")
