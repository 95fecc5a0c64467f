"""What depth buys: solutions."""

import torch
from torch import nn

from resnet_edu.datasets import digits
from resnet_edu.networks import cifar_resnet
from resnet_edu.probes import recalibrate
from resnet_edu.training import DivergedError, TrainConfig, train
from resnet_edu.trials import Trial


def exercise_1(seed):
    """The rule that asks for 1/n. For small inputs tanh is nearly the identity
    and takes nothing away, so the ½ in the derivation is gone, and with it
    the need for a 2.

    | start | signal, layer 1 | signal, layer 30 | gradient back at layer 1 |
    |---|---|---|---|
    | s = 0.01 | {small_first:.2f} | {small_last:s} | {small_back:s} |
    | s² = 1/n | {glorot_first:.2f} | {glorot_last:.2f} | {glorot_back:.2f} |
    | s² = 2/n | {he_first:.2f} | {he_last:.2f} | {he_back:.2f} |

    (Root mean squares; noise of size 1 is sent back.) With 1/n the signal
    does shrink, but slowly and ever more slowly: the smaller it is, the less
    tanh bends it. With He's 2/n it stays higher, where the flat ends of tanh
    hold it, and the gradient grows on its way back.
    """
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
    """The stem sees {stem} pixels. Each of the six convolutions of the first
    stage adds 2: {stage1}. The first convolution of the second stage still
    adds 2, for the stride widens only what comes after it; the other five add
    4 each, which makes {stage2}. In the third stage it is 4 and five times 8:
    {stage3} pixels, far more than the 32 of a CIFAR image. The count on the
    live network agrees.
    """
    fields = receptive_field(cifar_resnet(20))
    return {
        "stem": fields[0],
        "stage1": fields[6],
        "stage2": fields[12],
        "stage3": fields[18],
    }


def exercise_3(seed):
    """Not one of these six, in four epochs: training error in percent.

    | peak rate | 20 layers, no normalisation |
    |---|---|
    | 0.001 | {rate_0_001:.1f} |
    | 0.003 | {rate_0_003:.1f} |
    | 0.01 | {rate_0_01:.1f} |
    | 0.03 | {rate_0_03:.1f} |
    | 0.1 | {rate_0_1:.1f} |
    | 0.3 | {rate_0_3:.1f} |

    The small rates move nothing, since with the signal the gradients are
    tiny; at the largest one run of three diverged. One of three seeds just
    begins to learn at 0.1.
    """
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
    """A linear classifier on the *whole map* behind the first block errs rarely,
    trained or not:

    | after block | trained, averaged | trained, whole map | untrained, averaged | untrained, whole map |
    |---|---|---|---|---|
    | 1 | {trained_pooled_1:.0f} | {trained_flat_1:.1f} | {untrained_pooled_1:.0f} | {untrained_flat_1:.1f} |
    | 3 | {trained_pooled_3:.0f} | {trained_flat_3:.1f} | {untrained_pooled_3:.0f} | {untrained_flat_3:.1f} |
    | 4 | {trained_pooled_4:.0f} | {trained_flat_4:.1f} | {untrained_pooled_4:.0f} | {untrained_flat_4:.1f} |
    | 6 | {trained_pooled_6:.0f} | {trained_flat_6:.1f} | {untrained_pooled_6:.0f} | {untrained_flat_6:.1f} |
    | 7 | {trained_pooled_7:.0f} | {trained_flat_7:.1f} | {untrained_pooled_7:.0f} | {untrained_flat_7:.1f} |
    | 9 | {trained_pooled_9:.0f} | {trained_flat_9:.1f} | {untrained_pooled_9:.0f} | {untrained_flat_9:.1f} |

    (Test error of the probe in percent.) So the pooled probe does not say
    that the classes could not be told apart early: it says that they could
    not be told apart by *averages over the map*. Places tell digits apart,
    too, and the early maps have 512 numbers. What training builds is features
    that no longer need the place. In the untrained network even the whole map
    gets worse from block to block.
    """
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
