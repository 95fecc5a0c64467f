"""The loss landscape: solutions."""

import numpy as np

from resnet_edu.datasets import Split, digits
from resnet_edu.figures.landscape import not_convex
from resnet_edu.landscape import (
    loss_line,
    loss_surface,
    moved,
    random_direction,
)
from resnet_edu.probes import recalibrate
from resnet_edu.solutions import seeds
from resnet_edu.training import TrainConfig, evaluate, train
from resnet_edu.trials import Trial


def some(split, count=256):
    return Split(split.images[:count], split.labels[:count])


def trained(data, shortcut, seed=0, depth=20, epochs=8):
    network = Trial(depth, shortcut, seed).build(data)
    for record in train(network, data, TrainConfig(seed=seed)):
        if record.epoch == epochs:
            break
    return network.eval()


def surface(network, data, split, first):
    steps = np.linspace(-1, 1, 11)
    directions = [random_direction(network, first + i) for i in (0, 1)]
    return loss_surface(
        network, data, split, directions, steps, steps, progress=False
    )


@seeds(5)
def exercise_1(seed):
    """Five other pairs of directions around one network of each kind:

    | | plain-20 | residual-20 |
    |---|---|---|
    | not convex within ½ (%) | {plain_near:.0f} | {residual_near:.0f} |
    | not convex (%) | {plain_all:.0f} | {residual_all:.0f} |
    | below guessing (%) | {plain_low:.0f} | {residual_low:.0f} |
    | highest loss (nats) | {plain_highest:.0f} | {residual_highest:.0f} |

    What stays: nearly a bowl within half a step, and farther out more bending
    down without shortcuts. What does not: the height of the highest point
    differs several times over between pairs of directions around the very
    same network. So do not read a height off one map.
    """
    data, found = digits(), {}
    for name, shortcut in (("plain", "none"), ("residual", "A")):
        network = trained(data, shortcut)  # one network, five pairs
        one = surface(network, data, some(data.train), 100 + 2 * seed)
        found[f"{name}_near"] = not_convex(one, 0.5)
        found[f"{name}_all"] = not_convex(one)
        found[f"{name}_low"] = 100 * (one.loss < np.log(10)).mean()
        found[f"{name}_highest"] = one.loss.max()
    return found


def exercise_2(seed):
    """At the centre. There the training images are nearly fitted, and the loss
    on test images is several times as high: {plain_centre_test:.2f} against
    {plain_centre_train:.2f} nats for plain-20, {residual_centre_test:.2f}
    against {residual_centre_train:.3f} for residual-20. Everywhere else the
    two maps are nearly one: their logarithms correlate with {plain_rank:.3f}
    and {residual_rank:.3f}, and at the corners the median of test over
    training loss is {plain_corners:.2f} and {residual_corners:.2f}. Far from
    the centre the network has forgotten its training images like all others.
    """
    data, found = digits(), {}
    for name, shortcut in (("plain", "none"), ("residual", "A")):
        network = trained(data, shortcut, seed)
        fitted = surface(network, data, some(data.train), 0).loss
        test = surface(network, data, some(data.test), 0).loss
        ratio = test / fitted
        middle = (5, 5)
        found[f"{name}_centre_train"] = fitted[middle]
        found[f"{name}_centre_test"] = test[middle]
        found[f"{name}_corners"] = np.median(ratio[::10, ::10])
        found[f"{name}_rank"] = np.corrcoef(
            np.log(fitted).ravel(), np.log(test).ravel()
        )[0, 1]
    return found


def exercise_3(seed):
    """Yes, in the middle of the line, with either. With stored statistics the
    highest loss on the way is {stored_top:.1f} nats; they belong to one end
    and fit nothing else. With fresh ones it is {fresh_top:.1f}, and
    {fresh_error:.0f} % of the images are misread there; at the ends it is at
    most {fresh_ends:.3f}. The highest point lies at {fresh_place:.1f} of the
    way, in each of the pairs. (Two networks may be one and the same with
    their channels in another order, so a barrier on this line need not be one
    on another.)
    """
    data, found = digits(), {}
    few, images = some(data.train), data.normalize(data.train.images[:512])
    one = trained(data, "A", 2 * seed)
    other = trained(data, "A", 2 * seed + 1)
    end = dict(other.named_parameters())
    way = {
        name: (end[name] - start).detach()
        for name, start in one.named_parameters()
    }
    steps = np.linspace(0, 1, 11)
    stored = loss_line(one, data, few, way, steps, progress=False)
    found["stored_top"] = stored.loss[1:].max()
    fresh = []
    for step in steps:
        network = recalibrate(moved(one, way, step), images)
        fresh.append(evaluate(network, data, few))
    losses, errors = np.array(fresh).T
    found["fresh_top"], found["fresh_error"] = losses.max(), errors.max()
    found["fresh_ends"] = max(losses[0], losses[-1])
    found["fresh_place"] = steps[losses.argmax()]
    return found


def exercise_4(seed):
    """Yes, it is irregular half-way. After four of the eight epochs, and at
    their end, 56 layers:

    | | loss at the centre | below guessing (%) | not convex within ½ (%) |
    |---|---|---|---|
    | plain, half-way | {plain_half_centre:.1f} | {plain_half_low:.1f} | {plain_half_near:.0f} |
    | plain, at the end | {plain_end_centre:.1f} | {plain_end_low:.1f} | {plain_end_near:.0f} |
    | residual, half-way | {residual_half_centre:.2f} | {residual_half_low:.0f} | {residual_half_near:.0f} |
    | residual, at the end | {residual_end_centre:.3f} | {residual_end_low:.0f} | {residual_end_near:.0f} |

    The residual map, too, bends downward at some points half-way, when the
    learning rate is still high, and is nearly a bowl at the end. The plain
    one hardly changes its shape: it lies high and bends downward at more than
    half of the points, early and late. On a grid of 11 × 11 points the share
    within ½ counts 21 points, so each point is much of it.
    """
    data, found = digits(), {}
    for name, shortcut in (("plain", "none"), ("residual", "A")):
        for epochs, when in ((4, "half"), (8, "end")):
            network = trained(data, shortcut, seed, 56, epochs)
            one = surface(network, data, some(data.train), 0)
            loss = np.nan_to_num(one.loss, nan=np.inf)
            found[f"{name}_{when}_centre"] = loss[5, 5]
            found[f"{name}_{when}_near"] = not_convex(one, 0.5)
            found[f"{name}_{when}_low"] = 100 * (loss < np.log(10)).mean()
    return found
