"""What is recorded of a network agrees with the probes and with counting by hand."""

import numpy as np
import pytest
import torch

from resnet_edu import measures
from resnet_edu.datasets import Split
from resnet_edu.interventions import delete_blocks
from resnet_edu.networks import cifar_resnet
from resnet_edu.probes import block_spectra, chain_jacobian, recalibrate
from resnet_edu.training import TrainConfig, evaluate, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network(digits):
    torch.manual_seed(0)
    network = cifar_resnet(14, width=4, in_channels=1)
    list(train(network, digits, TrainConfig(epochs=1)))
    return network


def test_chosen_images_are_spread_over_all_classes_of_a_sorted_folder():
    labels = torch.arange(10).repeat_interleave(500)
    some = measures._some(Split(torch.zeros(5000, 1, 2, 2, dtype=torch.uint8), labels), 100)
    assert torch.bincount(some.labels).tolist() == [10] * 10


def test_gradients_and_responses_have_a_number_a_layer(network, digits):
    found = measures.gradients(network, digits, 0)
    assert len(found["layers"]) == 14 and found["ratio"] == found["layers"][1] / found["layers"][12]
    stds = measures.responses(network, digits, 0)
    assert len(stds["layers"]) == 13 and stds["mean"] == pytest.approx(np.mean(stds["layers"]))


def test_a_dead_network_has_no_ratio_of_gradients(digits):
    network = cifar_resnet(8, width=2, in_channels=1, shortcut="none", normalization="none")
    torch.nn.init.constant_(network.blocks[-1].conv2.bias, -1e9)
    found = measures.gradients(network, digits, 0)
    assert found["layers"][-2] == 0 and np.isnan(found["ratio"])


def test_the_product_of_jacobians_is_that_of_the_chain(network, digits):
    found = measures.jacobians(network, digits, 0)
    assert len(found["largest"]) == len(found["median"]) == 6 and len(found["product"]) == 11
    calibrated = recalibrate(network, digits.normalize(measures._some(digits.train, 512).images))
    images = digits.normalize(measures._some(digits.test, 4).images).split(1)
    largest = [torch.linalg.matrix_norm(chain_jacobian(calibrated, image), 2).item() for image in images]
    assert found["product_largest"] == pytest.approx(np.exp(np.mean(np.log(largest))))
    assert all(np.diff(found["product"]) <= 0) and found["product_median"] == found["product"][5]
    assert found["kept"] == block_spectra(calibrated, torch.cat(images)).kept


def test_correlation_begins_with_one(network, digits):
    found = measures.correlation(network, digits, 1)
    assert found["autocorrelation"][0] == pytest.approx(1) and found["lag1"] == found["autocorrelation"][1]
    assert -1 <= found["cosine"] <= 1
    assert measures.correlation(network, digits, 2)["cosine"] != found["cosine"], "each seed has its own pair of images"


def test_lesions_agree_with_deleting_by_hand(network, digits):
    found = measures.lesions(network, digits, 0)
    assert found["intact"] == pytest.approx(evaluate(network, digits, digits.test)[1])
    assert found["changes_shape"] == [0, 0, 1, 0, 1, 0]
    assert found["errors"][3] == pytest.approx(evaluate(delete_blocks(network, 3), digits, digits.test)[1])
    assert found["mean"] == pytest.approx(np.mean([found["errors"][i] for i in (0, 1, 3, 5)]))
    assert [count for count, _ in found["several"]] == [1, 2, 3, 4]


def test_shuffles_have_five_draws_for_each_number_of_swaps(network, digits):
    rows = measures.shuffles(cifar_resnet(20, width=2, in_channels=1), digits, 0)["rows"]
    assert [swaps for swaps, _, _ in rows] == [n for n in (1, 2, 4, 8, 16) for _ in range(5)]
    assert all(-1 <= tau <= 1 for _, tau, _ in rows)


def test_the_surface_has_the_network_in_its_middle(network, digits, monkeypatch):
    monkeypatch.setattr(measures, "SIDE", 5)
    found = measures.surface(network, digits, 0)
    split = measures._some(digits.train, measures.SURFACE_IMAGES)
    loss, error = evaluate(network, digits, split)
    assert found["loss"].shape == (5, 5)
    assert found["centre"] == pytest.approx(loss, rel=1e-4) and found["error"][2, 2] == pytest.approx(error)
    assert found["near"] == pytest.approx(found["loss"][[2, 1, 2, 2, 3], [2, 2, 1, 3, 2]].mean())
    assert found["low"] == pytest.approx(100 * (found["loss"] < np.log(10)).mean())


def test_votes_have_both_kinds_of_statistics_and_spare_the_inner_blocks(network, digits, monkeypatch):
    monkeypatch.setattr(measures, "MEMBERS", 3)
    found = measures.votes(network, digits, 0)
    assert found["intact"] == evaluate(network, digits, digits.test)[1]
    kinds = {
        f"{fresh}{what}{inner}" for fresh in ("", "fresh_") for what in ("member", "vote") for inner in ("", "_inner")
    }
    assert set(found) == kinds | {"intact"} and all(0 <= value <= 100 for value in found.values())


def test_transfer_names_every_method_and_budget(digits, monkeypatch):
    monkeypatch.setattr(measures, "STEPS", (1,))
    monkeypatch.setattr(measures, "TrainConfig", lambda **options: TrainConfig(**options | {"epochs": 1}))
    found = measures.transfer(cifar_resnet(8, width=2, in_channels=1), digits, 0)
    methods = ("pixels", "untrained", "calibrated", "pretrained", "scratch_1", "tuned_1")
    assert set(found) == {f"{task}_{method}" for task in ("turned", "far") for method in methods} | {"far_stages"}
    assert set(found["far_stages"]) == {"untrained", "calibrated", "pretrained"}
