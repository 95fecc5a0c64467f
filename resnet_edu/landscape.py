"""Loss surfaces around a trained network along filter-normalised random directions (Li et al. 2018).

At every point the network is in evaluation mode, with the running statistics of the centre, as in the authors'
code for directions in weight space. Images are not augmented. The network stays as it is.

A surface shows two of very many dimensions, and its scale is set by the normalisation: compare surfaces drawn
with the same one, and take bumps as shown, but flatness elsewhere as unseen.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from resnet_edu.datasets import Dataset, Split
from resnet_edu.training import evaluate

Direction = dict[str, Tensor]


def random_direction(network: nn.Module, seed: int = 0) -> Direction:
    """Return a random direction: for each parameter's name a tensor of its shape (Li et al. 2018, section 4).

    Gaussian entries, then every filter is scaled to the norm of the network's own: ``d_i · |w_i| / |d_i|``, where
    a filter is a slice ``w[i]`` along the first axis, all weights of one output (of a linear layer: a row). Biases
    and normalisation parameters get 0. The draw depends on ``seed`` and the shapes alone, not on the device.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = {}
    for name, weight in network.named_parameters():
        if weight.dim() < 2 or name.rpartition(".")[2] == "bias":
            direction[name] = torch.zeros_like(weight)
            continue
        draw = torch.randn(weight.shape, generator=generator).to(weight).flatten(1)
        norms = weight.detach().flatten(1).norm(dim=1, keepdim=True)
        direction[name] = (draw * (norms / draw.norm(dim=1, keepdim=True))).view_as(weight)
    return direction


@dataclass(frozen=True)
class LossLine:
    """Mean loss in nats and error in percent, both ``(A,)``, at the steps ``alphas`` ``(A,)`` along a direction."""

    alphas: np.ndarray
    loss: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class LossSurface:
    """Mean loss in nats and error in percent, both ``(A, B)``: row a, column b is at ``alphas[a]``, ``betas[b]``."""

    alphas: np.ndarray
    betas: np.ndarray
    loss: np.ndarray
    error: np.ndarray


def loss_line(
    network: nn.Module,
    data: Dataset,
    split: Split,
    direction: Direction,
    alphas: Sequence[float] | np.ndarray | None = None,
    progress: bool = True,
) -> LossLine:
    """Return loss and error on ``split`` at ``weights + alpha · direction``.

    ``alphas`` are 21 steps from -1 to 1 by default. Far out the loss may be infinite or not a number; it is
    returned as it is. Raises ``ValueError`` if the direction does not fit the network.
    """
    alphas = _steps(alphas)
    points = [(alpha,) for alpha in alphas]
    loss, error = _measure(network, data, split, [direction], points, progress).T
    return LossLine(alphas, loss, error)


def loss_surface(
    network: nn.Module,
    data: Dataset,
    split: Split,
    directions: tuple[Direction, Direction],
    alphas: Sequence[float] | np.ndarray | None = None,
    betas: Sequence[float] | np.ndarray | None = None,
    progress: bool = True,
) -> LossSurface:
    """Return loss and error on ``split`` at ``weights + alpha · directions[0] + beta · directions[1]``.

    ``alphas`` and ``betas`` are 21 steps from -1 to 1 by default (441 evaluations of the split); Li et al. 2018
    show 51 on the training set of CIFAR-10. Two random directions are nearly at right angles, for they have very
    many entries. See ``loss_line`` for the rest.
    """
    alphas, betas = _steps(alphas), _steps(betas)
    points = [(alpha, beta) for alpha in alphas for beta in betas]
    measured = _measure(network, data, split, list(directions), points, progress)
    loss, error = measured.T.reshape(2, len(alphas), len(betas))
    return LossSurface(alphas, betas, loss, error)


def _steps(values: Sequence[float] | np.ndarray | None) -> np.ndarray:
    return np.linspace(-1, 1, 21) if values is None else np.asarray(values, dtype=float)


def _measure(
    network: nn.Module,
    data: Dataset,
    split: Split,
    directions: list[Direction],
    points: list[tuple[float, ...]],
    progress: bool,
) -> np.ndarray:
    """Return loss and error ``(P, 2)`` at the points, each a step along every direction."""
    from tqdm import tqdm

    network = copy.deepcopy(network).eval().requires_grad_(False)
    weights = dict(network.named_parameters())
    centre = {name: weight.clone() for name, weight in weights.items()}
    for direction in directions:
        _check(direction, centre)
    results = []
    for steps in tqdm(points, desc="points", leave=False, disable=not progress):
        for name, weight in weights.items():
            weight.copy_(centre[name])
            for step, direction in zip(steps, directions, strict=True):
                weight.add_(direction[name], alpha=float(step))
        results.append(evaluate(network, data, split))
    return np.array(results)


def _check(direction: Direction, weights: dict[str, Tensor]) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if {name: tuple(tensor.shape) for name, tensor in direction.items()} != shapes:
        raise ValueError("a direction must have the network's parameters and shapes; make it with random_direction")
