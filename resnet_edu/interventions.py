"""Surgery on trained networks: delete, reorder, repeat and scale blocks, then measure again.

The lesion studies of Veit et al. 2016, section 4, for residual networks and their plain twins. Blocks are numbered
from 0 in the order of ``network.blocks``. Every function returns a changed copy; the network stays as it is.

Normalisation: a copy keeps the running statistics of the intact network, as Veit et al. do, although its layers
now see other inputs than those were taken from. To see what remains once they are mended, pass the copy through
``probes.recalibrate``, or give ``lesion_study`` a ``calibration``.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from resnet_edu.blocks import Shortcut
from resnet_edu.datasets import Dataset, Split
from resnet_edu.devices import to_float64
from resnet_edu.probes import recalibrate
from resnet_edu.training import evaluate


class AlteredBlock(nn.Module):
    """A block with its two paths scaled: ``finish(b · branch(x) + s · shortcut(x))``, in and out as the block.

    ``b = 0`` deletes the branch: it is not computed. A plain block has no path to fall back on, so option A's
    takes its place: the identity where the shape stays, else every ``stride``-th pixel and zeros in new channels.
    """

    def __init__(self, block: nn.Module, branch_factor: float = 1.0, shortcut_factor: float = 1.0):
        super().__init__()
        self.block = block
        self.branch_factor, self.shortcut_factor = branch_factor, shortcut_factor
        path = block.downsample
        plain = path.kind == "none" and branch_factor == 0
        self.substitute = Shortcut("A", path.in_channels, path.out_channels, path.stride) if plain else None

    @property
    def downsample(self) -> Shortcut:
        """The path around the branch."""
        return self.block.downsample if self.substitute is None else self.substitute

    def branch(self, x: Tensor) -> Tensor:
        """Return the scaled branch; zeros if it is deleted."""
        if self.branch_factor == 0:
            return torch.zeros_like(self.shortcut(x))
        return self.branch_factor * self.block.branch(x)

    def shortcut(self, x: Tensor) -> Tensor:
        """Return the scaled shortcut."""
        path = self.block.shortcut if self.substitute is None else self.substitute
        return self.shortcut_factor * path(x)

    def finish(self, y: Tensor) -> Tensor:
        """Apply what the block has after the addition."""
        return self.block.finish(y)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``finish(branch(x) + shortcut(x))``, ``(N, C, H, W) -> (N, C_out, H', W')``."""
        if self.branch_factor == 0:
            return self.finish(self.shortcut(x))
        return self.finish(self.branch(x) + self.shortcut(x))


def delete_blocks(network: nn.Module, blocks: int | Iterable[int]) -> nn.Module:
    """Return a copy without these blocks' branches (Veit et al. 2016, sections 4.1 and 4.2).

    One rule for both kinds of network. Residual: the branch goes, the shortcut (or projection) and the ReLU after
    the addition stay. Plain: the whole block goes, the identity takes its place; where the shape changes, every
    second pixel and zeros in the new channels, as option A's shortcut.

    Veit et al. compare with VGG, where deleting a layer brings the error to chance. Their reviewers called that
    unfair, for VGG has no batch normalisation. The plain twins have it; still, a plain block's deletion takes away
    all that the block passes on, a residual block's only a part. Compare with this in mind.

    Raises ``IndexError`` for a block that is not there.
    """
    return _altered(network, blocks, branch_factor=0.0)


def scale_branch(network: nn.Module, factor: float, blocks: int | Iterable[int] | None = None) -> nn.Module:
    """Return a copy in which ``factor · branch(x)`` is added in these blocks (all by default).

    A factor of 0 deletes the branch, see ``delete_blocks``. Raises ``IndexError`` for a block that is not there.
    """
    return _altered(network, blocks, branch_factor=factor)


def scale_shortcut(network: nn.Module, factor: float, blocks: int | Iterable[int] | None = None) -> nn.Module:
    """Return a copy in which ``factor · shortcut(x)`` is added in these blocks (all by default).

    Over n identity shortcuts the factors multiply to ``factor ** n`` (He et al. 2016, Eq. 6 to 8). There the
    scaled networks are also trained; here a trained one is changed.

    Raises ``ValueError`` for a plain block, ``IndexError`` for a block that is not there.
    """
    for index in _indices(network, blocks):
        if network.blocks[index].downsample.kind == "none":
            raise ValueError(f"block {index} is plain and has no shortcut to scale; use a network with shortcuts")
    return _altered(network, blocks, shortcut_factor=factor)


def repeat_block(network: nn.Module, block: int, times: int = 2) -> nn.Module:
    """Return a copy that applies one block ``times`` times in a row, with the same weights.

    If blocks refine a representation step by step, another step should do little harm (Greff et al. 2017;
    Jastrzębski et al. 2018).

    Raises ``ValueError`` if the block changes the shape or ``times`` is below 1, ``IndexError`` for a block that is
    not there.
    """
    if times < 1:
        raise ValueError(f"times must be at least 1, got {times}; delete_blocks removes a block")
    (index,) = _indices(network, block)
    path = network.blocks[index].downsample
    if not _keeps_shape(path):
        raise ValueError(
            f"block {index} changes the shape ({path.in_channels} -> {path.out_channels} channels, stride "
            f"{path.stride}) and cannot follow itself; choose a later block of its stage"
        )
    network = copy.deepcopy(network)
    stage, place = _place(network, index)
    for _ in range(times - 1):
        stage.insert(place, stage[place])
    return network


def reorder_blocks(network: nn.Module, order: Sequence[int]) -> nn.Module:
    """Return a copy with block ``order[i]`` at place i.

    Raises ``ValueError`` if ``order`` is no permutation, or moves a block to where another kind of block stood:
    blocks are interchangeable within a stage if they keep the shape and have the same layers.
    """
    order = [int(index) for index in order]
    kinds = _kinds(network)
    if sorted(order) != list(range(len(kinds))):
        raise ValueError(f"order must hold each of 0 … {len(kinds) - 1} once, got {order}")
    for place, index in enumerate(order):
        if kinds[place] != kinds[index]:
            raise ValueError(
                f"block {index} cannot stand at place {place}: only blocks of one stage with the same shapes and "
                "layers can change places; shuffle_blocks chooses among those"
            )
    network = copy.deepcopy(network)
    blocks = network.blocks
    for place, index in enumerate(order):
        stage, within = _place(network, place)
        stage[within] = blocks[index]
    return network


def random_order(network: nn.Module, swaps: int, seed: int = 0) -> list[int]:
    """Return an order of the blocks after ``swaps`` random swaps of two interchangeable blocks.

    Veit et al. 2016, section 4.3: pairs of blocks of equal dimensions are swapped, blocks that down-sample stay.
    The pairs are drawn one after the other, so a block can move twice. See ``reorder_blocks``.

    Raises ``ValueError`` if no two blocks are interchangeable.
    """
    kinds = _kinds(network)
    pairs = [(i, j) for j in range(len(kinds)) for i in range(j) if kinds[i] == kinds[j]]
    if not pairs:
        raise ValueError("no two blocks of the network are interchangeable; use a deeper network")
    order = list(range(len(kinds)))
    for i, j in np.random.default_rng(seed).choice(pairs, swaps):
        order[i], order[j] = order[j], order[i]
    return order


def kendall_tau(order: Sequence[int]) -> float:
    """Return Kendall's rank correlation of an order of 0 … n-1 with the sorted one: 1 as sorted, -1 reversed.

    The share of pairs in the right order minus that of pairs in the wrong one (Veit et al. 2016, section 4.3).
    """
    order = np.asarray(order)
    first, second = np.triu_indices(len(order), 1)
    return float(np.sign(order[second] - order[first]).mean())


def shuffle_blocks(network: nn.Module, swaps: int, seed: int = 0) -> tuple[nn.Module, float]:
    """Return a copy with random pairs of blocks swapped, and Kendall's tau of its order over all blocks.

    See ``random_order``. Since blocks keep their stage, tau stays well above -1.
    """
    order = random_order(network, swaps, seed)
    return reorder_blocks(network, order), kendall_tau(order)


@dataclass(frozen=True)
class LesionStudy:
    """Errors in percent: of the intact network, and with each block deleted ``(blocks,)``.

    ``names`` are the blocks' module names, ``changes_shape`` ``(blocks,)`` says where the shape changes.
    """

    intact: float
    errors: np.ndarray
    names: tuple[str, ...]
    changes_shape: np.ndarray


def lesion_study(network: nn.Module, data: Dataset, split: Split, calibration: Tensor | None = None) -> LesionStudy:
    """Return the error on ``split`` with each block deleted in turn (Veit et al. 2016, Fig. 3 and 4).

    See ``delete_blocks`` for what that means in a plain network. Evaluation mode, with the running statistics of
    the intact network. With ``calibration``, normalised training images ``(N, C, H, W)``, each network measured,
    the intact one included, first takes its statistics from those.
    """

    def error(altered: nn.Module) -> float:
        if calibration is not None:
            altered = recalibrate(altered, calibration)
        return evaluate(altered, data, split)[1]

    blocks = network.blocks
    names = {module: name for name, module in network.named_modules()}
    return LesionStudy(
        intact=error(copy.deepcopy(network)),
        errors=np.array([error(delete_blocks(network, index)) for index in range(len(blocks))]),
        names=tuple(names[block] for block in blocks),
        changes_shape=np.array([not _keeps_shape(block.downsample) for block in blocks]),
    )


def random_cuts(network: nn.Module, members: int = 40, spared: Iterable[int] = (), seed: int = 0) -> list[list[int]]:
    """Return for each of ``members`` sub-networks the blocks to delete: a fair coin for every block not ``spared``."""
    coin, spared = np.random.default_rng(seed), set(spared)
    free = [index for index in range(len(network.blocks)) if index not in spared]
    return [[index for index in free if coin.random() < 0.5] for _ in range(members)]


@dataclass(frozen=True)
class Vote:
    """Errors in percent: of each sub-network alone ``(members,)``, and of their averaged answers."""

    members: np.ndarray
    together: float


@torch.no_grad()
def vote(
    network: nn.Module,
    data: Dataset,
    split: Split,
    cuts: Sequence[Sequence[int]],
    calibration: Tensor | None = None,
) -> Vote:
    """Return how sub-networks, each without the blocks of one of ``cuts``, err alone and by a vote on ``split``.

    The vote averages their softmax outputs. That is what an ensemble does; the unravelled view of Veit et al. 2016
    sums features inside one network instead. Evaluation mode with the running statistics of the intact network, or,
    with ``calibration`` (normalised training images ``(N, C, H, W)``), each sub-network with its own.
    """
    images, answers = data.normalize(split.images), []
    for cut in cuts:
        member = delete_blocks(network, cut).eval()
        if calibration is not None:
            member = recalibrate(member, calibration)
        answers.append(member(images).softmax(1))
    stacked = torch.stack(answers)  # (members, N, classes)
    wrong = to_float64(stacked.argmax(2) != split.labels).mean(1)
    together = to_float64(stacked.mean(0).argmax(1) != split.labels).mean()
    return Vote(100 * wrong.cpu().numpy(), 100 * together.item())


def _altered(network: nn.Module, blocks: int | Iterable[int] | None, **factors: float) -> nn.Module:
    indices = _indices(network, blocks)
    network = copy.deepcopy(network)
    for index in indices:
        stage, place = _place(network, index)
        stage[place] = AlteredBlock(stage[place], **factors).train(network.training)
    return network


def _indices(network: nn.Module, blocks: int | Iterable[int] | None) -> list[int]:
    count = len(network.blocks)
    if blocks is None:
        return list(range(count))
    indices = [blocks] if isinstance(blocks, int) else sorted({int(index) for index in blocks})
    for index in indices:
        if not 0 <= index < count:
            raise IndexError(f"a block's number must lie in 0 … {count - 1}, got {index}")
    return indices


def _place(network: nn.Module, index: int) -> tuple[nn.Sequential, int]:
    """Return the stage of a block and its place there."""
    for stage in network.stages:
        if index < len(stage):
            return stage, index
        index -= len(stage)
    raise IndexError(index)


def _keeps_shape(path: Shortcut) -> bool:
    return path.stride == 1 and path.in_channels == path.out_channels


def _kinds(network: nn.Module) -> list[tuple]:
    """Return a key for each block; blocks with equal keys can change places."""
    keys: list[tuple] = []
    for number, stage in enumerate(network.stages):
        for block in stage:
            layers = tuple((name, tuple(tensor.shape)) for name, tensor in block.state_dict().items())
            alone = None if _keeps_shape(block.downsample) else len(keys)
            keys.append((number, alone, type(block), layers))
    return keys
