"""Many paths: solutions."""

import numpy as np
import torch
from torch.nn import functional as F

from resnet_edu import runs
from resnet_edu.blocks import PreActBasicBlock
from resnet_edu.datasets import digits
from resnet_edu.interventions import random_cuts, repeat_block, vote
from resnet_edu.probes import PathTape
from resnet_edu.solutions import seeds
from resnet_edu.training import TrainConfig, evaluate, train
from resnet_edu.trials import Trial


@seeds(5)
def exercise_1(seed):
    """T."""
    found = {}
    for depth in (20, 56):
        for name, shortcut, activation in (
            ("plain", "none", "post"),
            ("residual", "A", "post"),
            ("pre", "A", "pre"),
        ):
            cell = runs.load("lesions").select(
                depth=depth,
                shortcut=shortcut,
                activation=activation,
                seed=seed,
            )
            for key in ("intact", "mean", "recalibrated"):
                value = cell.last(f"lesions.{key}").mean
                found[f"{name}{depth}_{key}"] = value
    return found


def exercise_2():
    """T."""
    data = digits()
    network = Trial(20, "A", 0).build(data)
    list(train(network, data, TrainConfig(epochs=8)))
    network.eval()
    images = data.normalize(data.train.images[:8])
    labels = data.train.labels[:8]
    tape = PathTape(network, images, labels)
    total = sum(
        tape.gradient({block for block in range(9) if mask >> block & 1})
        for mask in range(512)
    )
    leaf = images.clone().requires_grad_()
    loss = F.cross_entropy(network(leaf), labels, reduction="sum")
    (whole,) = torch.autograd.grad(loss, leaf)
    return {
        "largest": whole.abs().max().item(),
        "apart": (total - whole).abs().max().item(),
    }


class Dropping(PreActBasicBlock):
    def forward(self, x):
        keep = not self.training or torch.rand(()) > 1 / 3
        if keep or not self.downsample.is_identity:
            return super().forward(x)
        return x  # this step goes past the branch


def exercise_3(seed):
    """T."""
    data, found = digits(), {}
    calibration = data.normalize(data.train.images[:512])
    for name, epochs in (("usual", 8), ("dropping", 8), ("longer", 24)):
        options = {"activation": "pre"}
        network = Trial(20, "A", seed, options=options).build(data)
        if name != "usual":
            for block in network.blocks:
                block.__class__ = Dropping
        torch.manual_seed(seed)
        *_, last = train(network, data, TrainConfig(epochs=epochs, seed=seed))
        network.eval()
        first = [i for i, b in enumerate(network.blocks) if i % 3 == 0]
        cuts = random_cuts(network, 40, spared=first, seed=seed)
        fresh = vote(network, data, data.test, cuts, calibration)
        stored = vote(network, data, data.test, cuts)
        found[f"{name}_train"] = last.train_error
        found[f"{name}_intact"] = evaluate(network, data, data.test)[1]
        found[f"{name}_member"] = np.median(fresh.members)
        found[f"{name}_fresh"] = fresh.together
        found[f"{name}_member_stored"] = np.median(stored.members)
        found[f"{name}_stored"] = stored.together
    return found


def exercise_4(seed):
    """T."""
    data, found = digits(), {}
    for name, activation in (("residual", "post"), ("pre", "pre")):
        options = {"activation": activation}
        network = Trial(20, "A", seed, options=options).build(data)
        list(train(network, data, TrainConfig(epochs=8, seed=seed)))
        network.eval()
        found[f"{name}_intact"] = evaluate(network, data, data.test)[1]
        for block in (0, 1, 2, 4, 5, 7, 8):
            for times in (2, 3):
                again = repeat_block(network, block, times)
                error = evaluate(again, data, data.test)[1]
                found[f"{name}_{block + 1}_{times}"] = error
    return found
