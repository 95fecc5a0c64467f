"""The gradient and its "+1": solutions."""

import torch

from resnet_edu import probes
from resnet_edu.datasets import digits
from resnet_edu.solutions import seeds
from resnet_edu.training import TrainConfig, train
from resnet_edu.trials import Trial


def fresh(data, kind, depth, seed, **options):
    network = Trial(depth, kind, seed, **options).build(data)
    return probes.recalibrate(network, data.normalize(data.train.images[:512]))


def exercise_1(seed):
    """T."""
    data, found = digits(), {}
    image = data.normalize(data.train.images[:1])
    for name, kind, activation in (
        ("plain", "none", "post"),
        ("residual", "A", "post"),
        ("pre", "A", "pre"),
    ):
        options = {"activation": activation}
        network = fresh(data, kind, 110, seed, options=options)
        values = probes.singular_values(probes.chain_jacobian(network, image))
        found[f"{name}_kept"] = 100 * (values > 0.01).mean()
        found[f"{name}_top"] = values[0]
    return found


def exercise_2():
    """T."""
    data, found = digits(), {}
    image = data.normalize(data.train.images[:1])
    identity = torch.eye(512, dtype=torch.float64)
    for name, zeroed in (("usual", False), ("zeroed", True)):
        options = {"activation": "pre", "zero_init_last": zeroed}
        network = fresh(data, "A", 56, 0, options=options)
        orders = [identity]  # orders[k]: the sum of all terms with k branches
        for one in probes.block_jacobians(network, image, 0, 9):
            branch = one.double() - identity
            through = [branch @ total for total in orders]
            shifted = [a + b for a, b in zip(orders[1:], through, strict=False)]
            orders = [identity, *shifted, through[-1]]
        sizes = [probes.singular_values(one)[0] for one in orders]
        found[f"{name}_largest"] = max(sizes)
        found[f"{name}_others"] = max(sizes[1:])
    return found


@seeds(5)
def exercise_3(seed):
    """T."""
    data, found = digits(), {}
    first, last = data.normalize(data.test.images[[seed, seed + 32]])
    networks = {
        "plain20": fresh(data, "none", 20, seed),
        "plain56": fresh(data, "none", 56, seed),
        "residual56": fresh(data, "A", 56, seed),
    }
    for name, network in networks.items():
        for points in (64, 256, 1024):
            line = probes.interpolate(first, last, points)
            walk = probes.gradient_correlation(network, line)
            found[f"{name}_{points}"] = walk.autocorrelation[1]
    return found


def cancelling(data, seed):
    network = Trial(20, "A", seed, normalization="none").build(data)
    block = network.blocks[2]
    with torch.no_grad():
        torch.nn.init.dirac_(block.conv1.weight)
        torch.nn.init.dirac_(block.conv2.weight)
        block.conv2.weight.neg_()
        block.conv2.bias.fill_(1.0)  # F(x) = 1 - x wherever x >= 0
    return network


def exercise_4(seed):
    """T."""
    data, found = digits(), {}
    network = cancelling(data, seed)
    layers = list(probes.weighted_layers(network).values())
    start = [layer.weight.detach().clone() for layer in layers]
    config = TrainConfig(epochs=4, learning_rate=0.01, seed=seed)
    when = {1: "step_1", 2: "step_2", 5: "step_5", 23: "epoch_1"}
    for record in train(network, data, config, log_every=1):
        if hasattr(record, "train_error"):
            found[f"error_{record.epoch}"] = record.train_error
        elif record.step in when:
            moved = [
                ((layer.weight.detach() - old).norm() / old.norm()).item()
                for layer, old in zip(layers, start, strict=True)
            ]
            name = when[record.step]
            found[f"{name}_before"] = max(moved[:5])
            found[f"{name}_block"] = max(moved[5:7])
            found[f"{name}_after"] = max(moved[7:-1])
            found[f"{name}_last"] = moved[-1]
    usual = Trial(20, "A", seed, normalization="none").build(data)
    *_, last = train(usual, data, config)
    found["usual_4"] = last.train_error
    return found
