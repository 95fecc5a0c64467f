"""Methods replaced on the copy, order lists, exact fractions."""


# %% error
@torch.no_grad()
def error(network, images, labels):
    network = copy.deepcopy(network).eval()
    right = sum((network(image[None]).argmax() == label).item() for image, label in zip(images, labels, strict=True))
    return 100.0 * (len(labels) - right) / len(labels)


# %% delete_block
def delete_block(network, index):
    network = copy.deepcopy(network)
    block = network.blocks[index]
    if block.downsample.kind == "none":
        old = block.downsample
        path = blocks.Shortcut("A", old.in_channels, old.out_channels, old.stride)
    else:
        path = block.shortcut
    block.forward = lambda x: block.finish(path(x))
    return network


# %% lesion_curve
def lesion_curve(network, delete, measure):
    rises = []
    for index, _ in enumerate(network.blocks):
        rises.append(measure(delete(network, index)) - measure(network))
    return rises


# %% swap_blocks
def swap_blocks(network, i, j):
    result = copy.deepcopy(network)
    i, j = min(i, j), max(i, j)
    start = 0
    for number, stage in enumerate(result.stages):
        stop = start + len(stage)
        first = start + (number > 0)
        if first <= i and j < stop:
            one, two = stage[i - start], stage[j - start]
            stage[i - start], stage[j - start] = two, one
            return result
        start = stop
    raise ValueError("not exchangeable")


# %% pre_act_block
class PreActBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        for n in "12":
            setattr(self, "bn" + n, nn.BatchNorm2d(channels))
            setattr(self, "conv" + n, nn.Conv2d(channels, channels, kernel_size=3, padding="same", bias=False))
        self.relu = nn.ReLU()

    def forward(self, x):
        out = x
        for bn, conv in ((self.bn1, self.conv1), (self.bn2, self.conv2)):
            out = conv(self.relu(bn(out)))
        return out + x


# %% recalibrate
@torch.no_grad()
def recalibrate(network, images):
    network = copy.deepcopy(network)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    old = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.train()
    network(images)
    for norm, momentum in zip(norms, old, strict=True):
        norm.momentum = momentum
    network.eval()
    return network


# %% share_of_paths
from fractions import Fraction
from math import comb


def share_of_paths(blocks, shortest, longest):
    return float(sum(Fraction(comb(blocks, k), 2**blocks) for k in range(shortest, longest + 1)))
