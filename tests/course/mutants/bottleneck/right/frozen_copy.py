"""Copies of the module where it is measured, closed forms elsewhere."""


# %% conv_parameters
def conv_parameters(in_channels, out_channels, kernel, groups=1):
    per_group = (in_channels // groups) * (out_channels // groups) * kernel * kernel
    return groups * per_group


# %% bottleneck_parameters
def bottleneck_parameters(in_channels, channels, stride):
    weights = channels * (in_channels + 13 * channels) + 12 * channels
    projection = 4 * channels * (in_channels + 2)
    return weights + (0 if (in_channels == 4 * channels and stride == 1) else projection)


# %% share_read
import copy


def share_read(module, channels, height, width):
    module = copy.deepcopy(module).double()
    x = torch.randn(1, channels, height, width, dtype=torch.float64, requires_grad=True)
    module(x).square().sum().backward()
    return (x.grad.abs().sum(1) > 0).sum().item() / (height * width)


# %% blocks_per_stage
def blocks_per_stage(depth, block):
    n = 0
    while True:
        n += 1
        layers = 2 + 3 * n * (2 if block == "basic" else 3)
        if layers == depth:
            return n
        if layers > depth:
            raise ValueError(f"{depth}: no such {block} network")
