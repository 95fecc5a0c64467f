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
    """At 110 layers plain networks keep {plain_kept:.0f} % of the directions,
    residual ones {residual_kept:.0f} % and pre-activation ones {pre_kept:.0f}
    %: about what they keep at 56. What grows with the depth is the largest
    singular value: {plain_top:s} in the plain networks, {residual_top:s} and
    {pre_top:s} in the other two. So the plain network stretches the few
    directions that it keeps more and more.
    """
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
    """With `zero_init_last` each branch starts as zero, and so do its Jacobian
    and every product in which it stands. Of the 512 terms one is left, the I:
    the sums of all other orders are {zeroed_others}, and the chain's largest
    singular value is {zeroed_largest}. In the usual start the largest of
    these sums has a singular value of {usual_largest:.0f}.
    """
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
    """With more points, neighbours are closer, and nearby gradients are more
    alike.

    | points | plain-20 | plain-56 | residual-56 |
    |---|---|---|---|
    | 64 | {plain20_64:.2f} | {plain56_64:.2f} | {residual56_64:.2f} |
    | 256 | {plain20_256:.2f} | {plain56_256:.2f} | {residual56_256:.2f} |
    | 1,024 | {plain20_1024:.2f} | {plain56_1024:.2f} | {residual56_1024:.2f} |

    Plain-20 and residual-56 go towards 1. Plain-56 stays at 0: its gradient
    changes on a scale finer than a thousandth of the way. So R(1) says
    nothing without the distance of the points.
    """
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
    """The linear layer moves first, then the cancelling block and what stands
    behind it. The layers before it get no gradient in the first step: they
    move by weight decay alone. From the second step on the branch is no
    longer −x, and a little gets through.

    | relative change of the weights, most of any layer | after 1 step | 5 steps | an epoch |
    |---|---|---|---|
    | before the block | {step_1_before:s} | {step_5_before:s} | {epoch_1_before:s} |
    | the block | {step_1_block:s} | {step_5_block:s} | {epoch_1_block:s} |
    | behind it | {step_1_after:s} | {step_5_after:s} | {epoch_1_after:s} |
    | linear layer | {step_1_last:s} | {step_5_last:s} | {epoch_1_last:s} |

    The block heals: after four epochs at a rate of 0.01 the training error is
    {error_4:.0f} %. (Without the block's special weights it is {usual_4:.0f}
    %; three seeds without normalisation scatter too widely to say which is
    better.)
    """
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
