"""Training for real: solutions."""

import time

import torch

from resnet_edu import runs
from resnet_edu.datasets import digits
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig, train
from resnet_edu.trials import Trial, run_trial


def exercise_1(seed):
    """T."""
    data, found = digits(), {}
    config = TrainConfig(schedule="constant", learning_rate=0.03)
    outcome = run_trial(Trial(56, "none", seed, config=config), data)
    found["constant"] = outcome.last.train_error
    for name, experiment, cell in (
        ("usual", "depth", {}),
        ("low", "learning-rate", {"learning_rate": 0.03}),
        ("long", "longer", {"epochs": 48}),
        ("shortcuts", "depth", {"shortcut": "A"}),
    ):
        settings = {"depth": 56, "shortcut": "none"} | cell
        cells = runs.load(experiment).select(seed=seed, **settings)
        found[name] = cells.last("train_error").mean
    return found


def milliseconds(data, width, **options):
    network = cifar_resnet(20, width=width, in_channels=1)
    config = TrainConfig(epochs=1, **options)
    run = train(network, data, config, log_every=4)
    at = [time.perf_counter() for _ in run]
    return 1000 * (at[4] - at[0]) / 16


def exercise_2():
    """T."""
    data, found = digits(), {}
    variants = {
        "usual": {"channels_last": False},
        "last": {},
        "half": {"precision": "bfloat16"},
    }
    for width in (8, 32):
        fastest = {name: float("inf") for name in variants}
        for _ in range(5):
            for name, options in variants.items():
                took = milliseconds(data, width, **options)
                fastest[name] = min(fastest[name], took)
        found |= {f"{name}_{width}": ms for name, ms in fastest.items()}
        found[f"order_{width}"] = fastest["last"] / fastest["usual"]
        found[f"format_{width}"] = fastest["half"] / fastest["last"]
    found["growth"] = found["last_32"] / found["last_8"]
    return found


def exercise_3():
    """T."""


def exercise_4():
    """T."""
    torch.manual_seed(0)
    x = torch.randn(128, dtype=torch.float64) ** 3
    shares = x.split([64, 40, 24])
    part = [len(one) / len(x) for one in shares]
    within = sum(
        p * one.var(correction=0) for p, one in zip(part, shares, strict=True)
    )
    between = sum(
        p * (one.mean() - x.mean()) ** 2
        for p, one in zip(part, shares, strict=True)
    )
    whole = x.var(correction=0)
    return {
        "whole": whole.item(),
        "within": within.item(),
        "between": between.item(),
        "apart": abs(within + between - whole).item(),
    }


def exercise_5():
    """T."""
