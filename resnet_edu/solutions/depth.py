"""What depth buys: solutions."""

import torch
from torch import nn

from resnet_edu.datasets import digits
from resnet_edu.networks import cifar_resnet
from resnet_edu.probes import recalibrate
from resnet_edu.training import DivergedError, TrainConfig, train
from resnet_edu.trials import Trial


def exercise_1(seed):
    """T."""
    found = {}
    for name, deviation in (
        ("small", 0.01),
        ("glorot", (1 / 144) ** 0.5),
        ("he", (2 / 144) ** 0.5),
    ):
        torch.manual_seed(seed)
        x = torch.randn(16, 16, 8, 8, requires_grad=True)
        signals = [x]
        for _ in range(30):
            conv = nn.Conv2d(
                16, 16, 3, padding=1, padding_mode="circular", bias=False
            )
            nn.init.normal_(conv.weight, std=deviation)
            signals.append(torch.tanh(conv(signals[-1])))
        last = signals[-1]
        (back,) = torch.autograd.grad(last, signals[1], torch.randn_like(last))
        for place, t in (("first", signals[1]), ("last", last), ("back", back)):
            size = t.detach().double().square().mean().sqrt().item()
            found[f"{name}_{place}"] = size
    return found


def receptive_field(network):
    field, step, fields = 1, 1, []
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and "downsample" not in name:
            field += (layer.kernel_size[0] - 1) * step
            step *= layer.stride[0]
            fields.append(field)
    return fields


def exercise_2():
    """T."""
    fields = receptive_field(cifar_resnet(20))
    return {
        "stem": fields[0],
        "stage1": fields[6],
        "stage2": fields[12],
        "stage3": fields[18],
    }


def exercise_3(seed):
    """T."""
    data, found = digits(), {}
    for rate in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3):
        network = Trial(20, "none", seed, normalization="none").build(data)
        config = TrainConfig(epochs=4, learning_rate=rate, seed=seed)
        try:
            *_, last = train(network, data, config)
            error = last.train_error
        except DivergedError:
            error = float("nan")
        found[f"rate_{rate}".replace(".", "_")] = error
    return found


def block_outputs(network, images):
    found = []
    hooks = [
        block.register_forward_hook(lambda _, __, y: found.append(y))
        for block in network.blocks
    ]
    with torch.no_grad():
        network.eval()(images)
    for hook in hooks:
        hook.remove()
    return found


def exercise_4(seed):
    """T."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data, found = digits(), {}
    images = data.normalize(data.train.images)
    network = Trial(20, "none", seed).build(data)
    for name in ("untrained", "trained"):
        if name == "trained":
            list(train(network, data, TrainConfig(epochs=4, seed=seed)))
        fitted = recalibrate(network, images)
        known = block_outputs(fitted, images)
        new = block_outputs(fitted, data.normalize(data.test.images))
        for block in (1, 3, 4, 6, 7, 9):
            for way in ("pooled", "flat"):
                x, x_test = (
                    one.mean((2, 3)) if way == "pooled" else one.flatten(1)
                    for one in (known[block - 1], new[block - 1])
                )
                probe = make_pipeline(StandardScaler(), RidgeClassifier())
                probe.fit(x, data.train.labels)
                error = 100 * (1 - probe.score(x_test, data.test.labels))
                found[f"{name}_{way}_{block}"] = error
    return found
