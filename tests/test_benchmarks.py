"""What the benchmarks count, with right values; their times are taken on quiet machines."""

import sys
from dataclasses import replace

import pytest
from conftest import ROOT
from other_device import other_device

from resnet_edu.datasets import Split
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig

sys.path.append(str(ROOT))
from benchmarks import training as benchmark


def test_people_s_loaders_take_data_that_is_on_a_gpu(digits):
    few = replace(digits, train=Split(digits.train.images[:3], digits.train.labels[:3]))
    expected = benchmark.Pictures(few, few.train, augment=False)
    with other_device() as device:
        moved = few.to(device)
        pictures = benchmark.Pictures(moved, moved.train, augment=False)
    assert [image.tobytes() for image in pictures.images] == [image.tobytes() for image in expected.images]
    assert pictures.labels == expected.labels


@pytest.mark.parametrize(
    ("ends", "rate"),
    [
        ([[0, 1, 2, 3]], 100),  # alone
        ([[0, 2, 4, 6], [0, 2, 4, 6]], 100),  # taking turns: no gain
        ([[0, 1, 2, 3], [0, 1, 2, 3]], 200),  # side by side
        ([[0, 1, 2, 3], [0, 2, 4, 6]], 150),  # the slower one's last half, alone, does not count
        ([[0, 2, 4, 6], [1, 3, 5, 7]], 100),  # one epoch apart, in the shared window only
    ],
)
def test_the_rate_is_that_of_the_shared_window(ends, rate):
    assert benchmark.shared_rate(ends, 100) == pytest.approx(rate)


def test_processes_one_after_the_other_are_no_measurement():
    """Two processes that take 1 s an image each, and overlap by a little: 1.05 times as fast, and not twice."""
    with pytest.raises(RuntimeError, match="side by side for less than half the time"):
        benchmark.shared_rate([[0, 5, 10], [9.5, 14.5, 19.5]], 100)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_bound_counts_what_moves(digits, precision):
    moved = {
        shortcut: benchmark.moved_bytes(
            cifar_resnet(8, width=4, in_channels=1, shortcut=shortcut), digits, TrainConfig(precision=precision)
        )
        for shortcut in ("none", "A")
    }
    # Option A adds two shortcuts that change the shape, (8, 4, 4) and (16, 2, 2), and an identity, which moves nothing.
    training = 3 * (4 if precision == "float32" else 2)
    per_number = 2 * (training + 4 * len(digits.test) / len(digits.train))
    assert moved["A"] - moved["none"] == pytest.approx((8 * 16 + 16 * 4) * per_number)
