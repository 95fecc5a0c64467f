"""GPUs without float64, such as Apple's: what runs on them, and what they are called."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from other_device import other_device

from resnet_edu import doctor, probes
from resnet_edu.datasets import Split, best_device
from resnet_edu.devices import device_name
from resnet_edu.distributed import own_device
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig, train


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
