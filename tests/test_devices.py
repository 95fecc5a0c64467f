"""GPUs without float64, such as Apple's: what runs on them, and what they are called."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from other_device import other_device

from resnet_edu import devices, doctor, probes
from resnet_edu.accounting import activation_memory
from resnet_edu.datasets import Split, best_device, synthetic
from resnet_edu.devices import device_name
from resnet_edu.distributed import own_device
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig, evaluate, train
from resnet_edu.transfer import with_new_classifier
from resnet_edu.trials import Trial


def test_the_stand_in_refuses_what_an_apple_gpu_refuses():
    with other_device() as device:
        x = torch.ones(3).to(device)
        for refused in (x.double, lambda: torch.zeros(2, dtype=torch.float64, device=device)):
            with pytest.raises(TypeError, match="doesn't support it"):
                refused()
        with pytest.raises(RuntimeError, match="same device"):
            x + torch.ones(3)
        with pytest.raises((TypeError, RuntimeError)):
            x.numpy()
        assert (x * 2).sum().item() == 6 and x.cpu().double().dtype == torch.float64


def test_training_and_measuring_need_no_float64_on_the_device(digits):
    data = replace(digits, train=Split(digits.train.images[:130], digits.train.labels[:130])).hold_out(20)

    def records(device):
        torch.manual_seed(0)
        network = cifar_resnet(8, width=2, in_channels=1).to(device)
        config = TrainConfig(epochs=2, augment=True, batch_size=40)
        return [
            (one.train_loss, one.train_error, one.validation_loss, one.test_loss, one.test_error)
            for one in train(network, data.to(device), config)
        ]

    expected = records(torch.device("cpu"))
    with other_device() as device:
        assert np.allclose(records(device), expected, rtol=1e-4)


def test_probes_need_no_float64_on_the_device(digits):
    torch.manual_seed(0)
    network = cifar_resnet(8, width=2, in_channels=1, activation="pre")
    images, labels = digits.normalize(digits.test.images[:4]), digits.test.labels[:4]

    def measured(network, images, labels):
        calibrated = probes.recalibrate(network, images)
        correlation = probes.gradient_correlation(network, probes.interpolate(images[0], images[1], 6), 3)
        return [
            *probes.gradient_norms(network, images, labels).values(),
            *probes.response_std(network, images).values(),
            probes.top_singular_value(calibrated, images[:1], iterations=3),
            *probes.singular_values(probes.chain_jacobian(calibrated, images[:1], 1, 3))[:5],
            *correlation.autocorrelation,
            correlation.mean_cosine,
        ]

    expected = measured(network, images, labels)
    with other_device() as device:
        found = measured(network.to(device), images.to(device), labels.to(device))
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_memory_order_is_left_alone_where_batch_normalization_fails_in_it(digits):
    data = replace(digits, train=Split(digits.train.images[:40], digits.train.labels[:40]))

    def orders(device):
        network = cifar_resnet(8, width=2, in_channels=1).to(device)
        seen = []
        network.layer2[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
        next(train(network, data.to(device), TrainConfig(epochs=1, batch_size=40)))
        weight = network.layer2[0].conv2.weight
        return [one.is_contiguous(memory_format=torch.channels_last) for one in (weight, seen[0])]

    assert orders(torch.device("cpu")) == [True, True]
    with other_device() as device:
        assert orders(device) == [False, False]


PROBES = {
    "recalibrate": lambda network, images, labels: probes.recalibrate(network, images),
    "gradient_norms": probes.gradient_norms,
    "activation_gradients": probes.activation_gradients,
    "response_std": lambda network, images, labels: probes.response_std(network, images),
    "activation_variance": lambda network, images, labels: probes.activation_variance(network, images),
    "jacobian": lambda network, images, labels: probes.jacobian(network, images[:1]),
    "block_jacobian": lambda network, images, labels: probes.block_jacobian(network, images[:1]),
    "chain_jacobian": lambda network, images, labels: probes.chain_jacobian(network, images[:1], 0, 1),
    "block_spectra": lambda network, images, labels: probes.block_spectra(network, images[:1]),
    "top_singular_value": lambda network, images, labels: probes.top_singular_value(network, images[:1]),
    "gradient_correlation": lambda network, images, labels: probes.gradient_correlation(network, images, 2),
    "path_gradients": lambda network, images, labels: probes.path_gradients(network, images, labels, [1], 1),
}


@pytest.mark.parametrize("name", PROBES)
def test_probes_round_nothing_to_tf32(digits, name):
    torch.manual_seed(0)
    network = cifar_resnet(8, width=2, in_channels=1).eval()
    images, labels = digits.normalize(digits.test.images[:4]), digits.test.labels[:4]

    def switches():
        return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision

    before, seen = switches(), set()
    for convolution in (network.conv1, network.layer1[0].conv1):
        convolution.register_forward_hook(lambda *call: seen.add(switches()))
    PROBES[name](network, images, labels)
    assert seen == {("ieee", "ieee")}
    assert switches() == before


def test_images_that_do_not_fit_on_the_device_stay_with_the_host(digits, monkeypatch):
    data = replace(digits, train=Split(digits.train.images[:130], digits.train.labels[:130])).hold_out(20)
    size = sum(split.images.nbytes for split in (data.train, data.test, data.validation))

    def losses(data):
        torch.manual_seed(0)
        network = cifar_resnet(8, width=2, in_channels=1).to(data.device)
        run = train(network, data, TrainConfig(epochs=1, augment=True, batch_size=40))
        return [(one.train_loss, one.validation_loss, one.test_error) for one in run]

    expected = losses(data)
    free = {"cpu": 2**40, "meta": 2 * size}
    monkeypatch.setattr(devices, "free_memory", lambda device: free[device.type])
    with other_device() as device:
        assert data.to(device).train.images.device == device  # they take half of it
        free["meta"] -= 1
        with pytest.warns(UserWarning, match="images of digits take .* and stay in the host's memory: meta has"):
            kept = data.to(device)
        assert {split.images.device.type for split in (kept.train, kept.test, kept.validation)} == {"cpu"}
        assert kept.device == device and kept.checksum == data.checksum
        assert kept.normalize(kept.test.images[:2]).device == device
        free["meta"] = 2**40
        assert np.allclose(losses(kept), expected, rtol=1e-4)


def test_a_step_that_does_not_fit_is_refused_with_a_batch_that_does(digits, monkeypatch):
    network = cifar_resnet(20, width=8, in_channels=1)
    needed = activation_memory(network, (1, 8, 8), 1000)
    monkeypatch.setattr(devices, "free_memory", lambda device: needed // 2)
    monkeypatch.setattr("resnet_edu.training._Run.epoch", lambda *_: pytest.fail("it trained"))
    with pytest.raises(
        ValueError, match=r"a step needs about .* for a batch of 1000 images.* are free; choose"
    ) as caught:
        next(train(network, digits, TrainConfig(batch_size=1000)))
    advised = int(re.search(r"\(--batch-size (\d+)\)", str(caught.value))[1])
    assert 350 < advised < 500
    monkeypatch.undo()
    monkeypatch.setattr(devices, "free_memory", lambda device: needed // 2)
    assert len(list(train(network, digits, TrainConfig(epochs=1, batch_size=advised)))) == 1


def test_a_step_is_weighed_only_where_it_may_not_fit(digits, monkeypatch):
    monkeypatch.setattr("resnet_edu.training.activation_memory", lambda *_: pytest.fail("weighed"))
    for free in (None, 2**36):
        monkeypatch.setattr(devices, "free_memory", lambda device, free=free: free)
        next(train(cifar_resnet(8, width=2, in_channels=1), digits, TrainConfig(batch_size=500)))


def test_free_memory_is_that_of_the_machine_or_its_container():
    free = devices.free_memory(torch.device("cpu"))
    assert free is None or 2**20 < free < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert devices.free_memory(torch.device("meta")) is None


def test_large_images_are_evaluated_in_smaller_batches():
    seen = []

    class Counting(torch.nn.Module):
        def forward(self, images):
            seen.append(len(images))
            return images.mean((2, 3))

    for size, batches in ((32, [300]), (128, [256, 44])):
        data = synthetic(2, 2, size, train=2, test=300)
        evaluate(Counting(), data, data.test)
        assert seen == batches
        seen.clear()


def test_the_best_device_is_cuda_then_apples_then_the_cpu(monkeypatch):
    there = {"cuda": True, "mps": True}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there["mps"])
    assert best_device() == torch.device("cuda")
    there["cuda"] = False
    assert best_device() == torch.device("mps")
    assert doctor._gpu().found == "Apple GPU (MPS)" and doctor._gpu().ok
    there["mps"] = False
    assert best_device() == own_device() == torch.device("cpu")
    assert not doctor._gpu().ok
    assert device_name(torch.device("mps")) == "Apple GPU (MPS)" and device_name(torch.device("cpu")) == "CPU"


def test_networks_are_drawn_without_a_word_to_gpus_that_are_not_used(monkeypatch):
    def asked(*_):
        raise AssertionError("a GPU was asked")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("get_rng_state", "set_rng_state", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, asked)
    before = torch.default_generator.get_state()
    with devices.random_numbers(7):
        drawn = torch.rand(3)
    with devices.random_numbers():
        torch.rand(3)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(7)))
    assert torch.equal(torch.default_generator.get_state(), before)
    data = synthetic(train=20, test=10)
    weights = [Trial(8, "A", seed, width=2).build(data).fc.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    with_new_classifier(Trial(8, "A", width=2).build(data), 5)
