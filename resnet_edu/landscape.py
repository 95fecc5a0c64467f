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
from torch.nn import functional as F

from resnet_edu.datasets import Dataset, Split
from resnet_edu.devices import to_float64
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
        if not _moves(name, weight):
            direction[name] = torch.zeros_like(weight)
            continue
        draw = torch.randn(weight.shape, generator=generator).to(weight).flatten(1)
        norms = weight.detach().flatten(1).norm(dim=1, keepdim=True)
        direction[name] = (draw * (norms / draw.norm(dim=1, keepdim=True))).view_as(weight)
    return direction


@torch.no_grad()
def moved(network: nn.Module, direction: Direction, step: float) -> nn.Module:
    """Return a copy of the network at ``weights + step · direction``. Raises ``ValueError`` if they do not fit."""
    network = copy.deepcopy(network)
    weights = dict(network.named_parameters())
    _check(direction, weights)
    for name, weight in weights.items():
        weight.add_(direction[name], alpha=float(step))
    return network


def _moves(name: str, weight: Tensor) -> bool:
    return weight.dim() >= 2 and name.rpartition(".")[2] != "bias"


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


@dataclass(frozen=True)
class Trajectory:
    """The way of training, seen in the plane that holds most of it.

    ``directions`` are the plane's two, of length 1 and at right angles; ``places`` ``(checkpoints, 2)`` are steps along
    them from the last checkpoint, which is at 0, 0; ``share`` is the part, 0 to 1, of the squared distances from the
    last checkpoint that lies in the plane.
    """

    directions: tuple[Direction, Direction]
    places: np.ndarray
    share: float


def trajectory(checkpoints: Sequence[Direction]) -> Trajectory:
    """Return the plane of the two principal components of a run's checkpoints (Li et al. 2018, section 7).

    A checkpoint has every parameter of the network by name, the first is the start. As theirs the components are those
    of the differences from the last one. Raises ``ValueError`` for fewer than three checkpoints.
    """
    if len(checkpoints) < 3:
        raise ValueError(f"a plane needs three checkpoints, got {len(checkpoints)}")
    rows = [to_float64(torch.cat([weight.detach().flatten() for weight in one.values()])) for one in checkpoints]
    ways = torch.stack(rows[:-1]) - rows[-1]  # (checkpoints - 1, D)
    _, sizes, components = torch.linalg.svd(ways, full_matrices=False)
    places = torch.cat([ways @ components[:2].T, torch.zeros(1, 2).to(ways)])
    last = checkpoints[-1]
    counts = [weight.numel() for weight in last.values()]
    directions = tuple(
        {
            name: part.view_as(weight).to(weight.dtype).to(weight.device)
            for (name, weight), part in zip(last.items(), component.split(counts), strict=True)
        }
        for component in components[:2]
    )
    share = (sizes[:2].square().sum() / sizes.square().sum()).item()
    return Trajectory(directions, places.cpu().numpy(), share)


def curvature(network: nn.Module, data: Dataset, split: Split, iterations: int = 30) -> tuple[float, float]:
    """Return the smallest and the largest eigenvalue of the loss's Hessian at the network's weights.

    Over the weights that a ``random_direction`` moves; evaluation mode, running statistics. Lanczos iteration: each
    step is one product of the Hessian with a vector; the extremes are approached from within the spectrum. Li et al.
    2018, section 6.2, map the absolute ratio of the two: 0 where the loss is convex, near 1 where it bends down as
    sharply as up. (With ReLU the Hessian is that of the smooth piece around the point.)
    """
    network = copy.deepcopy(network).eval()
    weights = [weight for name, weight in network.named_parameters() if _moves(name, weight)]
    images, labels = data.normalize(split.images), split.labels
    with torch.enable_grad():
        gradient = torch.autograd.grad(F.cross_entropy(network(images), labels), weights, create_graph=True)
    flat = torch.cat([one.flatten() for one in gradient])
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(len(flat), generator=generator).to(flat)
    basis, diagonal, beside = [vector / vector.norm()], [], []
    for _ in range(min(iterations, len(flat))):
        product = torch.autograd.grad(flat, weights, basis[-1], retain_graph=True)
        image = torch.cat([one.flatten() for one in product])
        diagonal.append((image @ basis[-1]).item())
        for _ in range(2):  # Gram and Schmidt, twice: in float32 once is not enough
            for known in basis:
                image = image - (image @ known) * known
        norm = image.norm().item()
        if norm < 1e-6 * max(map(abs, diagonal)):
            break
        beside.append(norm)
        basis.append(image / norm)
    off = beside[: len(diagonal) - 1]
    values = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return float(values[0]), float(values[-1])
