"""What a recorded run can be asked: each measure takes a network and its data and returns numbers for the record.

Lists go from the input to the output. Numbers that pages quote have names of their own.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from resnet_edu.datasets import Dataset, Split
from resnet_edu.interventions import delete_blocks, lesion_study, random_cuts, shuffle_blocks, vote
from resnet_edu.landscape import loss_surface, random_direction
from resnet_edu.probes import (
    block_spectra,
    gradient_correlation,
    gradient_norms,
    interpolate,
    recalibrate,
    response_std,
)
from resnet_edu.training import TrainConfig, evaluate, train
from resnet_edu.transfer import (
    calibrated,
    fine_tune,
    frozen_errors,
    only_classes,
    stage_errors,
    upside_down,
    with_new_classifier,
)

BATCH = 128  # training images of one gradient or response
CALIBRATION = 512  # training images from which statistics are taken anew
POINTS = 256  # on the line between two images
DRAWS = 5  # random choices of blocks for each number of them
MEMBERS = 40  # random sub-networks that vote
STEPS = (30, 100, 300)  # of fine-tuning
SIDE = 41  # points along each direction of a loss surface
SURFACE_IMAGES = 256


def gradients(network: nn.Module, data: Dataset, seed: int) -> dict:
    """Return ``layers``, the norm of each layer's weight gradient, and ``ratio``: second convolution to last one.

    The ratio is nan where the last convolution's gradient is exactly zero: all its ReLUs are closed.
    """
    norms = list(gradient_norms(network, *_batch(data)).values())
    return {"layers": norms, "ratio": norms[1] / norms[-2] if norms[-2] else math.nan}


def responses(network: nn.Module, data: Dataset, seed: int) -> dict:
    """Return ``layers``, the deviation of each convolution's response (He et al. 2015, Fig. 7), and their ``mean``."""
    stds = list(response_std(network, _batch(data)[0]).values())
    return {"layers": stds, "mean": float(np.mean(stds))}


def jacobians(network: nn.Module, data: Dataset, seed: int) -> dict:
    """Return singular values of the blocks' Jacobians and of their product, geometric means over four test images.

    ``largest`` and ``median`` have one number a block, ``product`` eleven quantiles from the largest to the smallest;
    ``product_largest`` and ``product_median`` are two of them. Values below 1e-12 count as that. ``kept`` is the share
    of the product's directions above 0.01, from 0 to 1, a mean over the images.
    """
    network = recalibrate(network, _calibration(data))
    largest, median, whole, kept = block_spectra(network, data.normalize(_some(data.test, 4).images))
    return {
        "largest": largest, "median": median, "product": whole,
        "product_largest": whole[0], "product_median": whole[5], "kept": kept,
    }  # fmt: skip


def correlation(network: nn.Module, data: Dataset, seed: int) -> dict:
    """Return how the input gradient changes between two test images (Balduzzi et al. 2017).

    ``autocorrelation`` is by lag, in steps of 1/255 of the way; ``lag1`` is its second entry, ``cosine`` the mean
    cosine of all pairs of points.
    """
    network = recalibrate(network, _calibration(data))
    first, last = data.normalize(_some(data.test, 64).images)[[seed, seed + 32]]  # another pair for each seed
    found = gradient_correlation(network, interpolate(first, last, POINTS))
    return {
        "autocorrelation": found.autocorrelation,
        "lag1": found.autocorrelation[1],
        "cosine": found.mean_cosine,
    }


def lesions(network: nn.Module, data: Dataset, seed: int) -> dict:
    """Return test errors (percent) after deleting blocks (Veit et al. 2016, sections 4.1 and 4.2).

    ``errors`` has each block's, ``mean`` is over the blocks that keep the shape, ``recalibrated`` the same mean with
    statistics taken anew; ``several`` has rows of (blocks deleted, mean error over five random choices of those).
    """
    calibration = _calibration(data)
    study = lesion_study(network, data, data.test)
    mended = lesion_study(network, data, data.test, calibration)
    keep = ~study.changes_shape
    generator = np.random.default_rng(seed)
    inner = np.flatnonzero(keep)
    several = []
    for count in sorted({1, 2, 3, 5, 8, 12, len(inner)} & set(range(len(inner) + 1))):
        choices = [generator.choice(inner, count, replace=False).tolist() for _ in range(DRAWS)]
        errors = [evaluate(delete_blocks(network, choice), data, data.test)[1] for choice in choices]
        several.append([count, float(np.mean(errors))])
    return {
        "intact": study.intact,
        "errors": study.errors,
        "changes_shape": [int(change) for change in study.changes_shape],
        "mean": float(study.errors[keep].mean()),
        "worst": float(study.errors[keep].max()),
        "recalibrated": float(mended.errors[keep].mean()),
        "several": several,
    }


def shuffles(network: nn.Module, data: Dataset, seed: int) -> dict:
    """Return test errors (percent) after swapping random pairs of like blocks (Veit et al. 2016, section 4.3).

    ``rows`` has (swaps, Kendall's tau, error), five draws for each number of swaps; ``once`` is the mean error after
    one swap.
    """
    rows = []
    for swaps in (1, 2, 4, 8, 16):
        for draw in range(DRAWS):
            shuffled, tau = shuffle_blocks(network, swaps, seed=1000 * seed + 10 * swaps + draw)
            rows.append([swaps, tau, evaluate(shuffled, data, data.test)[1]])
    return {"rows": rows, "once": float(np.mean([error for swaps, _, error in rows if swaps == 1]))}


def votes(network: nn.Module, data: Dataset, seed: int) -> dict:
    """Return test errors (percent) of 40 random sub-networks and of their votes (``interventions.vote``).

    ``member`` is the median of the sub-networks, ``vote`` the error of their averaged answers; ``fresh_…`` with
    statistics taken anew for each; ``…_inner`` if the first block and those that change the shape are never cut.
    """
    calibration, blocks = _calibration(data), network.blocks
    spared = [i for i, block in enumerate(blocks) if i == 0 or not block.downsample.is_identity]
    found = {"intact": evaluate(network, data, data.test)[1]}
    for suffix, kept in (("", ()), ("_inner", spared)):
        cuts = random_cuts(network, MEMBERS, kept, seed)
        for prefix, images in (("", None), ("fresh_", calibration)):
            one = vote(network, data, data.test, cuts, images)
            found[f"{prefix}member{suffix}"] = float(np.median(one.members))
            found[f"{prefix}vote{suffix}"] = one.together
    return found


def transfer(network: nn.Module, data: Dataset, seed: int) -> dict:
    """Return test errors (percent) of what a small network is worth for another task; ``network`` is a new one.

    ``turned``: pretrained on half of the training digits, two labels a class of the other half, turned by 180°, are
    the target. ``far``: pretrained on the digits 0 to 4, the target are 5 to 9, ten labels
    each. Each has ``pixels``, ``untrained``, ``calibrated`` (untrained, with statistics of the source) and
    ``pretrained`` (linear probes on frozen features), and by steps ``scratch_30``, ``tuned_30`` …; ``far`` also
    ``stages``: probes on the maps of each stage.
    """
    halves = data.hold_out(0.5)
    turned = upside_down(data, halves.validation)
    low = only_classes(data, range(5))
    whole, half = _pretrained(network, replace(halves, validation=None), seed), _pretrained(network, low, seed)
    target = only_classes(data, range(5, 10), 10, seed)
    found = _worth("turned", whole, only_classes(turned, range(10), 2, seed), seed) | _worth("far", half, target, seed)
    found["far_stages"] = {name: list(stage_errors(one, target).values()) for name, one in half.items()}
    return found


def _pretrained(network: nn.Module, source: Dataset, seed: int) -> dict[str, nn.Module]:
    """Return the network untrained, untrained with the source's statistics, and trained on the source."""
    new = with_new_classifier(network, source.num_classes, seed)
    trained = copy.deepcopy(new)
    for _ in train(trained, source, TrainConfig(epochs=8, seed=seed)):
        pass
    return {"untrained": new, "calibrated": calibrated(new, source), "pretrained": trained}


def _worth(prefix: str, bodies: dict[str, nn.Module], target: Dataset, seed: int) -> dict[str, float]:
    found = {f"{prefix}_{name}": error for name, error in frozen_errors(bodies, target).items()}
    for steps in STEPS:
        for name, start in (("scratch", "untrained"), ("tuned", "pretrained")):
            found[f"{prefix}_{name}_{steps}"] = fine_tune(bodies[start], target, steps, seed)
    return found


def surface(network: nn.Module, data: Dataset, seed: int) -> dict:
    """Return the training loss on a grid along two filter-normalised directions (Li et al. 2018).

    ``loss`` ``(41, 41)`` in nats and ``error`` in percent, over 256 training images, from -1 to 1 in both directions;
    ``centre`` is the loss in the middle, ``near`` the mean loss within a distance of 1/2, ``low`` the share of the
    grid (percent) whose loss is below that of guessing.
    """
    split = _some(data.train, SURFACE_IMAGES)
    directions = random_direction(network, 2 * seed), random_direction(network, 2 * seed + 1)
    steps = np.linspace(-1, 1, SIDE)
    found = loss_surface(network, data, split, directions, steps, steps, progress=False)
    loss = np.nan_to_num(found.loss, nan=np.inf)
    distance = np.hypot(steps[:, None], steps[None, :])
    return {
        "loss": found.loss,
        "error": found.error,
        "centre": loss[SIDE // 2, SIDE // 2],
        "near": float(loss[distance <= 0.5].mean()),
        "low": float(100 * (loss < np.log(data.num_classes)).mean()),
    }


def _batch(data: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    split = _some(data.train, BATCH)
    return data.normalize(split.images), split.labels


def _calibration(data: Dataset) -> torch.Tensor:
    return data.normalize(_some(data.train, CALIBRATION).images)


def _some(split: Split, count: int) -> Split:
    """Return ``count`` images spread evenly over the split: a folder's images come class by class."""
    chosen = torch.arange(count) * len(split) // count
    return Split(split.images[chosen.to(split.images.device)], split.labels[chosen.to(split.labels.device)])


MEASURES: dict[str, Callable[[nn.Module, Dataset, int], dict]] = {
    "gradients": gradients,
    "responses": responses,
    "jacobians": jacobians,
    "correlation": correlation,
    "lesions": lesions,
    "shuffles": shuffles,
    "votes": votes,
    "transfer": transfer,
    "surface": surface,
}
