"""Measurements on a network: pure functions from a network and data to numbers.

The network, its mode, its gradients and its running statistics stay as they are: every probe works on a copy.

Batch normalisation makes a probe's answer depend on whose mean and variance it uses, so every probe says which:

* ``"batch"``: those of the batch at hand, as in training. The only sensible choice for a new network, whose
  running statistics (0 and 1) normalise nothing. Samples then influence each other.
* ``"running"``: the stored ones, as in evaluation. Each sample is on its own, which a Jacobian needs.
  ``recalibrate`` gives a new network stored statistics that fit.

Dropout, where a network has any, is off, except in ``gradient_norms`` of a given batch. Products have float32's whole
precision, on GPUs that would round to TF32 as well.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_edu.blocks import PreActivationBlock, choose
from resnet_edu.devices import full_precision, to_float64
from resnet_edu.networks import weighted_layers

STATISTICS = ("batch", "running")
DENSE_LIMIT = 8192  # the larger side of a dense Jacobian; 8192 x 8192 float32 numbers are 256 MiB


@full_precision()
def recalibrate(network: nn.Module, images: Tensor, batch_size: int | None = None) -> nn.Module:
    """Return a copy, in evaluation mode, whose running statistics are those of ``images`` ``(N, C, H, W)``.

    One pass in training mode; with several batches the average of their means and variances, as the authors of
    ResNet published theirs ("strictly computed using average", KaimingHe/deep-residual-networks). By default all
    images are one batch; on them the copy then computes what the network computes in training mode, up to
    PyTorch's N / (N - 1) in the stored variance.
    """
    network = copy.deepcopy(network).eval()
    norms = {norm: norm.momentum for norm in _norms(network)}
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # a plain average over the batches
    with torch.no_grad():
        for batch in images.split(batch_size or len(images)):
            network(batch)
    for norm, momentum in norms.items():
        norm.momentum = momentum
    return network.eval()


@full_precision()
def gradient_norms(network: nn.Module, images: Tensor | None = None, labels: Tensor | None = None) -> dict[str, float]:
    """Return the norm of the loss gradient with respect to each layer's weights, input first.

    ``images`` ``(N, C, H, W)`` are normalised floats, ``labels`` ``(N,)`` class numbers. The layers are those
    that the paper counts (convolutions and the linear layer, no projections). Batch normalisation uses the
    batch's statistics, as in training.

    Without a batch: the norms of the gradients that the parameters hold. During training they are the last
    step's, and reading them costs no pass through the network.

    He et al. 2015, section 4.1, report "healthy norms" for plain networks with batch normalisation. At
    initialisation they grow towards the input, exponentially in depth (Yang et al. 2019): they do not vanish.

    Raises ``ValueError`` for images without labels, or if neither a batch nor gradients are there.
    """
    if (images is None) != (labels is None):
        raise ValueError("images and labels must be given together; give both, or neither to read stored gradients")
    if images is not None:
        network = copy.deepcopy(network).train()
        network.zero_grad()
        with torch.enable_grad():
            F.cross_entropy(network(images), labels).backward()
    layers = weighted_layers(network)
    for name, layer in layers.items():
        if layer.weight.grad is None:
            raise ValueError(f"{name}.weight holds no gradient; give images and labels, or call backward() first")
    norms = torch.stack([layer.weight.grad.detach().norm() for layer in layers.values()])
    return dict(zip(layers, norms.tolist(), strict=True))  # one wait for the device


@full_precision()
def activation_gradients(network: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    """Return the norm of the loss gradient with respect to what enters each block, input first, and leaves the last.

    The gradient of the batch's mean loss with respect to the activations ``(N, C, H, W)``; ``blocks + 1`` numbers.
    This is what travels down the chain rule, and what vanishes or explodes there. A weight's gradient is that times
    the layer's input, so it can look healthy where a small gradient meets a large input, and the other way round.

    ``images`` ``(N, C, H, W)`` are normalised; batch normalisation uses the batch's statistics, as in training.
    """
    network = copy.deepcopy(network).train().requires_grad_(False)
    passed: list[Tensor] = []

    def record(block: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        passed.append(inputs[0] if inputs[0].requires_grad else inputs[0].requires_grad_())
        return (passed[-1],)

    handles = [block.register_forward_pre_hook(record) for block in network.blocks]
    handles.append(network.blocks[-1].register_forward_hook(lambda block, inputs, output: passed.append(output)))
    with torch.enable_grad():
        gradients = torch.autograd.grad(F.cross_entropy(network(images), labels), passed)
    for handle in handles:
        handle.remove()
    return [gradient.norm().item() for gradient in gradients]


@full_precision()
def response_std(network: nn.Module, images: Tensor, statistics: str = "batch") -> dict[str, float]:
    """Return the standard deviation of each convolution's response to ``images`` ``(N, C, H, W)``, input first.

    The response is the output after batch normalisation and before the nonlinearity or addition that follows
    (He et al. 2015, Fig. 7), over all images, channels and positions. The layers are the counted convolutions. In
    a pre-activation block, the last convolution has no normalisation after it: its response is what is added.

    With ``statistics="batch"`` every normalised response of a new network has 1, for the scales start at 1.
    The numbers are taken the moment a layer has computed: a kept reference would show what a later in-place
    operation made of it.
    """
    network = _copy(network, statistics)
    stds: dict[str, Tensor] = {}

    def record(name: str) -> Callable:
        return lambda module, inputs, output: stds.__setitem__(name, output.detach().std(correction=0))

    modules = dict(network.named_modules())
    for name, layer in weighted_layers(network).items():
        if isinstance(layer, nn.Conv2d):
            modules[_response_of(name, modules)].register_forward_hook(record(name))
    with torch.no_grad():
        network(images)
    return dict(zip(stds, torch.stack(list(stds.values())).tolist(), strict=True))


class BlockVariance(NamedTuple):
    """Variances at one block: its input, the two summands, and its output."""

    input: float
    branch: float
    shortcut: float
    output: float


@full_precision()
def activation_variance(network: nn.Module, images: Tensor, statistics: str = "batch") -> dict[str, BlockVariance]:
    """Return the variances of each block's input, branch, shortcut and output for ``images`` ``(N, C, H, W)``.

    Each is over all images, channels and positions. De and Smith 2020: in a new pre-activation network with batch
    normalisation the branches have a variance that stays, while that of the shortcut grows by it from block to
    block; a late branch is small beside its shortcut. In a plain block the shortcut's is 0.
    """
    network = _copy(network, statistics)
    found: dict[str, Tensor] = {}

    def record(name: str) -> Callable:
        def hook(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            (x,) = inputs
            parts = (x, block.branch(x), block.shortcut(x), output)
            found[name] = torch.stack([part.var(correction=0) for part in parts])

        return hook

    names = {block: name for name, block in network.named_modules()}
    for block in network.blocks:
        block.register_forward_hook(record(names[block]))
    with torch.no_grad():
        network(images)
    values = torch.stack(list(found.values())).tolist()
    return {name: BlockVariance(*row) for name, row in zip(found, values, strict=True)}


@full_precision()
def jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the dense Jacobian of ``function`` at one sample ``x`` ``(1, …)``: ``(outputs, inputs)``.

    Row and column numbers count the flattened output and input. A module is copied and put in evaluation mode, so
    that its batch normalisation is a fixed affine map (running statistics).

    Raises ``ValueError`` if ``x`` is not one sample, or for more than 8192 inputs or outputs.
    """
    function = _frozen(function)
    _check_one_sample(x)
    with torch.no_grad():
        outputs = function(x).numel()
    if max(outputs, x.numel()) > DENSE_LIMIT:
        raise ValueError(
            f"a dense Jacobian must have at most {DENSE_LIMIT} inputs and outputs, got {x.numel()} and {outputs}; "
            "use top_singular_value, or a smaller map"
        )
    return torch.func.jacrev(function, chunk_size=1024)(x.detach()).detach().reshape(outputs, x.numel())


def block_jacobian(block: nn.Module, x: Tensor, path: str = "block") -> Tensor:
    """Return the Jacobian of a block, or of one of its paths, at its input ``x`` ``(1, C, H, W)``.

    The shape is ``(C_out·H'·W', C·H·W)``, the normalisation uses running statistics. ``path`` is ``"block"``,
    ``"branch"`` or ``"shortcut"``. With an identity shortcut (He et al. 2016, Eq. 1 to 5):

    * pre-activation: ``J_block = I + J_branch``, the "1 +" through which a gradient passes unchanged;
    * post-activation: ``J_block = D (I + J_branch)``, D diagonal with 1 where the last ReLU is open and 0 elsewhere;
    * plain, post-activation: ``J_block = D J_branch``.

    Raises ``ValueError`` as ``jacobian`` does, and for an unknown path.
    """
    choose("path", path, ("block", "branch", "shortcut"))
    block = copy.deepcopy(block).eval()
    return jacobian(block if path == "block" else getattr(block, path), x)


@full_precision()
def block_jacobians(network: nn.Module, x: Tensor, start: int = 0, stop: int | None = None) -> list[Tensor]:
    """Return the Jacobians of ``network.blocks[start:stop]`` at what one image ``x`` ``(1, C, H, W)`` makes of them.

    Running statistics. Raises ``ValueError`` as ``jacobian`` does, and for an empty range.
    """
    _check_one_sample(x)
    network = copy.deepcopy(network).eval()
    wanted = range(len(network.blocks))[start:stop]
    if not wanted:
        raise ValueError(f"blocks[{start}:{stop}] must hold a block; the network has {len(network.blocks)}")
    entering: list[Tensor] = []
    hook = network.blocks[0].register_forward_pre_hook(lambda _, args: entering.append(args[0].clone()))
    jacobians = []
    with torch.no_grad():
        network(x)
        hook.remove()
        y = entering[0]
        for number, block in enumerate(network.blocks):
            if number in wanted:
                jacobians.append(jacobian(block, y))
            y = block(y)
    return jacobians


def chain_jacobian(network: nn.Module, x: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
    """Return the Jacobian of ``network.blocks[start:stop]`` together: the product of theirs, the last one leftmost.

    The shape is ``(outputs of the last, inputs of the first)``, in float64. See ``block_jacobians``.
    """
    return product(block_jacobians(network, x, start, stop))


def product(jacobians: Sequence[Tensor]) -> Tensor:
    """Return the Jacobian of a chain from those of its links, first link first, in float64 (the chain rule)."""
    whole, *rest = map(to_float64, jacobians)
    for matrix in rest:
        whole = matrix @ whole
    return whole


def singular_values(matrix: Tensor) -> np.ndarray:
    """Return the singular values of a ``(m, n)`` matrix, largest first: ``(min(m, n),)``, computed in float64."""
    return torch.linalg.svdvals(to_float64(matrix.detach())).cpu().numpy()


SMALLEST = 1e-12  # singular values below it count as this: a closed ReLU makes exact zeros, which have no logarithm
KEPT = 0.01  # a direction whose singular value is not above this counts as lost


def kept_share(matrix: Tensor, threshold: float = KEPT) -> float:
    """Return the share, 0 to 1, of the ``min(m, n)`` singular directions of a ``(m, n)`` matrix above ``threshold``.

    A median jumps by decades where just about half of the directions are lost; this share moves smoothly there.
    Its threshold is absolute: a direction above it passes more than that part of a gradient.
    """
    return float((singular_values(matrix) > threshold).mean())


class Spectra(NamedTuple):
    """Singular values of the blocks' Jacobians and of their product, means over images; see ``block_spectra``.

    ``largest`` and ``median`` of each block, input first, ``(blocks,)`` each; ``product`` eleven quantiles of the
    product from the largest to the smallest; ``kept`` the share of the product's directions above ``KEPT``.
    """

    largest: np.ndarray
    median: np.ndarray
    product: np.ndarray
    kept: float


def block_spectra(network: nn.Module, images: Tensor, method: str = "linear") -> Spectra:
    """Return the spectra of a network's blocks at ``images`` ``(N, C, H, W)``.

    Singular values are geometric means over the images, shares ordinary means; ``method`` is ``numpy.quantile``'s.
    Running statistics: ``recalibrate`` a new network first.
    """
    logs, kept = [], []
    for image in images.split(1):
        matrices = block_jacobians(network, image)
        values = [singular_values(matrix) for matrix in matrices]
        whole = singular_values(product(matrices))
        quantiles = np.quantile(whole, np.linspace(1, 0, 11), method=method)
        numbers = ([v[0] for v in values], [np.median(v) for v in values], quantiles)
        logs.append([np.log(np.maximum(one, SMALLEST)) for one in numbers])
        kept.append((whole > KEPT).mean())
    means = (np.exp(np.mean(one, axis=0)) for one in zip(*logs, strict=True))
    return Spectra(*means, kept=float(np.mean(kept)))


@full_precision()
def top_singular_value(
    function: Callable[[Tensor], Tensor], x: Tensor, iterations: int = 100, tolerance: float = 1e-4, seed: int = 0
) -> float:
    """Return the largest singular value of the Jacobian at one sample ``x`` ``(1, …)`` without forming the matrix.

    Power iteration on ``JᵀJ`` from a random start; each step is one product with J and one with its transpose, so
    maps of any size will do. It ends after ``iterations``, or once a step changes the value by less than
    ``tolerance`` of it. The value is never above the true one, up to rounding, and close where the first two
    singular values differ. A module is copied and put in evaluation mode (running statistics).

    Raises ``ValueError`` if ``x`` is not one sample.
    """
    _check_one_sample(x)
    output, pull = torch.func.vjp(_frozen(function), x.detach())  # pull(u) = Jᵀu
    # u -> Jᵀu is linear, so its own transpose is v -> Jv: no second pass forward, no forward-mode derivatives.
    _, push = torch.func.vjp(lambda u: pull(u)[0], torch.zeros_like(output))
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.dtype).to(x.device)
    value = 0.0
    for _ in range(iterations):
        (image,) = push(v / v.norm())
        before, value = value, image.norm().item()
        if value == 0.0 or abs(value - before) < tolerance * value:
            break
        (v,) = pull(image)
    return value


def interpolate(first: Tensor, last: Tensor, count: int) -> Tensor:
    """Return ``count`` points on the line from ``first`` to ``last`` ``(…)``, both ends included: ``(count, …)``."""
    if count < 2:
        raise ValueError(f"count must be at least 2, got {count}")
    steps = torch.linspace(0, 1, count, device=first.device, dtype=first.dtype)
    return torch.lerp(first, last, steps.view(-1, *[1] * first.dim()))


@dataclass(frozen=True)
class GradientCorrelation:
    """How gradients at neighbouring inputs resemble each other.

    ``gradients`` ``(L, D)`` are those of one output at L inputs, ``autocorrelation`` ``(max_lag + 1,)`` begins with
    1 at lag 0, ``mean_cosine`` is the mean cosine over all pairs of inputs.
    """

    gradients: np.ndarray
    autocorrelation: np.ndarray
    mean_cosine: float


@full_precision()
def gradient_correlation(
    network: nn.Module, inputs: Tensor, max_lag: int = 15, output: int = 0, statistics: str = "running"
) -> GradientCorrelation:
    """Return how the gradient of one output with respect to the input changes along a path of inputs.

    ``inputs`` ``(L, …)`` are equally spaced points: a grid of numbers ``(L, 1)`` for a network of one input, or
    images ``(L, C, H, W)`` on a line (``interpolate``). ``network`` maps them to ``(L, K)``; ``output`` says which
    column. The autocorrelation at lag k is ``Σ (g_i - ḡ)·(g_{i+k} - ḡ) / Σ |g_i - ḡ|²`` over the L - k pairs that
    the path has; nan if the gradient is the same everywhere. It falls to 0 at once for white noise and slowly for
    a random walk.

    Balduzzi et al. 2017: in a plain network the correlation decays exponentially with depth ("shattered
    gradients"), with skip connections far more slowly. With ``statistics="batch"`` a gradient includes what an
    input does to the other outputs' normalisation; ``recalibrate`` a new network first and use ``"running"``.

    Raises ``ValueError`` if there are not more inputs than lags.
    """
    if not 0 < max_lag < len(inputs):
        raise ValueError(f"max_lag must lie in 1 … {len(inputs) - 1} for {len(inputs)} inputs, got {max_lag}")
    network = _copy(network, statistics)
    inputs = inputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        total = network(inputs)[:, output].sum()  # one sum, for an output depends on its own input alone
        (gradient,) = torch.autograd.grad(total, inputs)
    g = to_float64(gradient.flatten(1))  # (L, D)
    centred = g - g.mean(0)
    power = centred.square().sum()
    products = [(centred[: len(g) - lag] * centred[lag:]).sum() for lag in range(max_lag + 1)]
    autocorrelation = torch.stack(products) / power
    if power <= ((16 * torch.finfo(gradient.dtype).eps) ** 2) * g.square().sum():  # only rounding differs
        autocorrelation = torch.full_like(autocorrelation, math.nan)
    units = F.normalize(g, dim=1)
    count = (units.norm(dim=1) > 0).sum()
    pairs = len(g) * (len(g) - 1)
    cosine = (units.sum(0).square().sum() - count) / pairs  # |Σu|² counts each pair twice, and the diagonal
    return GradientCorrelation(g.cpu().numpy(), autocorrelation.cpu().numpy(), cosine.item())


@dataclass(frozen=True)
class PathGradients:
    """Gradients through paths of given lengths.

    ``lengths`` ``(K,)`` count the residual branches on a path, ``norms`` ``(K, samples)`` are the gradients' norms
    at the network's input, ``counts`` ``(K,)`` the number of paths of each length, n! / (k! (n - k)!).
    """

    lengths: np.ndarray
    norms: np.ndarray
    counts: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """The part ``(K,)`` of each length in count times mean norm; sums to 1 over the lengths measured.

        Norms add up as if all paths pointed the same way. Veit et al. 2016, Fig. 6(c), do the same.
        """
        total = self.counts * self.norms.mean(1)
        return total / total.sum()


def path_gradients(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    lengths: list[int] | None = None,
    samples: int = 10,
    seed: int = 0,
    statistics: str = "running",
) -> PathGradients:
    """Return how much gradient reaches the input through paths of each length (Veit et al. 2016, section 5).

    A network of n residual blocks has 2ⁿ paths, each entering some branches and passing the others by the
    shortcut. As they do: the batch runs forward through the whole network; backward, ``length`` blocks chosen at
    random pass the gradient through their branch alone and all others through their shortcut alone. Measured is
    the norm of the gradient of an image's cross-entropy with respect to that image ``(C, H, W)``, averaged over
    the batch ``(N, C, H, W)``. The 2ⁿ gradients of an image add up to its ordinary gradient.

    ``lengths`` are those to measure (all from 0 to n by default), each for ``samples`` random paths. They take a
    new random batch for each of their 1,000 samples; call this with several batches for the same.

    Raises ``ValueError`` for a plain network, or a length outside 0 … n.
    """
    blocks = len(network.blocks)
    lengths = list(range(blocks + 1)) if lengths is None else [int(length) for length in lengths]
    for length in lengths:
        if not 0 <= length <= blocks:
            raise ValueError(f"a path's length must lie in 0 … {blocks}, the number of blocks, got {length}")
    tape = PathTape(network, images, labels, statistics)
    rng = np.random.default_rng(seed)
    norms = np.empty((len(lengths), samples))
    for row, length in enumerate(lengths):
        for column in range(samples):
            chosen = rng.permutation(blocks)[:length]
            norms[row, column] = tape.gradient(set(chosen.tolist())).flatten(1).norm(dim=1).mean().item()
    counts = np.array([float(math.comb(blocks, length)) for length in lengths])
    return PathGradients(np.array(lengths), norms, counts)


class PathTape:
    """One recorded forward pass of a batch, to send gradients back along single paths.

    See ``path_gradients``. Raises ``ValueError`` for a plain network, which has but one path.
    """

    @full_precision()
    def __init__(self, network: nn.Module, images: Tensor, labels: Tensor, statistics: str = "running"):
        network = _copy(network, statistics)
        for number, block in enumerate(network.blocks):
            if block.downsample.kind == "none":
                raise ValueError(f"paths need shortcuts, but block {number} is plain; build with shortcut='A'")
        self.images = images.detach().clone().requires_grad_()
        # Each block is recorded on a piece of graph of its own that begins at a fresh leaf.
        self.pieces: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = []
        for block in network.blocks:
            block.forward = partial(self._record, block)
        with torch.enable_grad():
            loss = F.cross_entropy(network(self.images), labels, reduction="sum")
        (self.arriving,) = torch.autograd.grad(loss, self.blocks_output)

    def _record(self, block: nn.Module, x: Tensor) -> Tensor:
        if not self.pieces:
            self.stem_output = x
        leaf = x.detach().requires_grad_()
        branch, shortcut = block.branch(leaf), block.shortcut(leaf)
        total = (branch + shortcut).detach().requires_grad_()
        output = block.finish(total)
        self.pieces.append((leaf, branch, shortcut, total, output))
        self.blocks_output = output.detach().requires_grad_()
        return self.blocks_output

    @full_precision()
    def gradient(self, branches: set[int]) -> Tensor:
        """Return the gradient ``(N, C, H, W)`` through these blocks' branches and all others' shortcuts.

        It is the gradient of the sum of the images' cross-entropies with respect to the images.
        """
        gradient = self.arriving
        for number in reversed(range(len(self.pieces))):
            leaf, branch, shortcut, total, output = self.pieces[number]
            if output is not total:
                (gradient,) = torch.autograd.grad(output, total, gradient, retain_graph=True)
            path = branch if number in branches else shortcut
            if not path.requires_grad:  # a deleted branch
                return torch.zeros_like(self.images)
            if path is not leaf:
                (gradient,) = torch.autograd.grad(path, leaf, gradient, retain_graph=True)
        (gradient,) = torch.autograd.grad(self.stem_output, self.images, gradient, retain_graph=True)
        return gradient


def _norms(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def _copy(network: nn.Module, statistics: str) -> nn.Module:
    """Return a copy whose normalisation uses these statistics, with dropout off and no gradient for weights."""
    choose("statistics", statistics, STATISTICS)
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for norm in _norms(network):
        norm.train(statistics == "batch")
    return network


def _frozen(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    if isinstance(function, nn.Module):
        return copy.deepcopy(function).eval().requires_grad_(False)
    return function


def _check_one_sample(x: Tensor) -> None:
    if x.dim() < 2 or x.shape[0] != 1:
        raise ValueError(f"x must be one sample with a batch dimension, (1, …), got {tuple(x.shape)}; take x[:1]")


def _response_of(convolution: str, modules: dict[str, nn.Module]) -> str:
    """Return the name of the module whose output is the convolution's response: its normalisation, or itself."""
    parent, _, name = convolution.rpartition(".")
    number = int(name.removeprefix("conv"))
    if isinstance(modules[parent], PreActivationBlock):  # its normalisation bnK stands before convK
        number += 1
    norm = f"{parent}.bn{number}".removeprefix(".")
    return norm if norm in modules else convolution
