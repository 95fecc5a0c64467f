"""Frozen features, fine-tuning and their controls: what they select, measure and leave alone."""

from dataclasses import replace

import pytest
import torch

from resnet_edu import transfer
from resnet_edu.datasets import Split, digits
from resnet_edu.networks import cifar_resnet

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture
def network():
    torch.manual_seed(0)
    return cifar_resnet(8, width=4, in_channels=1)


def test_only_classes_numbers_them_anew_and_keeps_the_images(data):
    part = transfer.only_classes(data, (7, 3))
    assert part.classes == ("7", "3") and part.mean == data.mean
    for split, whole in ((part.train, data.train), (part.test, data.test)):
        for number, original in enumerate((7, 3)):
            assert torch.equal(split.images[split.labels == number], whole.images[whole.labels == original])


def test_only_classes_draws_so_many_of_each_from_the_seed(data):
    first, again, other = (transfer.only_classes(data, range(10), 5, seed).train for seed in (0, 0, 1))
    assert first.labels.bincount().tolist() == [5] * 10
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)
    with pytest.raises(ValueError, match="per_class"):
        transfer.only_classes(data, range(10), 1000)


def test_upside_down_turns_twice_into_the_original(data):
    turned = transfer.upside_down(data, data.train)
    assert torch.equal(turned.train.images.flip(2).flip(3), data.train.images)
    assert torch.equal(transfer.upside_down(turned, turned.train).test.images, data.test.images)


def test_pooled_features_are_what_the_linear_layer_is_given(data, network):
    images = data.normalize(data.test.images[:20])
    statistics = network.bn1.running_mean.clone()
    features = transfer.pooled_features(network.train(), images)
    assert features.shape == (20, 16) and network.training and torch.equal(network.bn1.running_mean, statistics)
    assert torch.equal(network.fc(features), network.eval()(images))


def test_a_linear_probe_separates_what_is_separable():
    x, y = torch.randn(200, 4), torch.arange(200) % 2
    assert transfer.linear_probe((x + 20 * y[:, None], y), (x + 20 * y[:, None], y)) == 0
    assert transfer.linear_probe((x, y), (x + 20 * y[:, None], 1 - y)) > 20


@pytest.fixture
def target(data):
    few = transfer.only_classes(data, (0, 1, 2), 4)
    return replace(few, test=Split(few.test.images[:60], few.test.labels[:60]))


def test_every_method_leaves_the_network_as_it_was(network, target):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    errors = transfer.frozen_errors({"one": network, "same": network}, target)
    assert errors["one"] == errors["same"] and set(errors) == {"pixels", "one", "same"}
    tuned = transfer.fine_tune(network, target, steps=2)
    assert tuned == transfer.fine_tune(network, target, steps=2) and 0 <= tuned <= 100
    transfer.calibrated(network, target)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_calibrated_network_differs_in_its_statistics_alone(network, data):
    other = transfer.calibrated(network, data)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    assert not torch.equal(network.bn1.running_mean, other.bn1.running_mean)


def test_stages_are_probed_one_by_one(network, target):
    errors = transfer.stage_errors(network, target)
    assert len(errors) >= 3 and all(0 <= error <= 100 for error in errors.values())
