"""Independent references: what a network computes, written again as functions of its weights."""

import torch
from torch import nn
from torch.nn import functional as F


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every normalisation statistics, scale and shift of its own, so that an exchange of two shows."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.running_mean, -0.5), (module.running_var, 0.5), (module.bias, -0.5)):
                values.data = low + torch.rand(values.shape, generator=generator).to(values)
            module.weight.data = 0.5 + torch.rand(module.weight.shape, generator=generator).to(module.weight)
    return network


def normalized(weights: dict, name: str, x: torch.Tensor) -> torch.Tensor:
    """Batch normalisation in evaluation mode, from the formula; nothing where there are no such weights."""
    if f"{name}.running_mean" not in weights:
        return x

    def shaped(key):
        return weights[f"{name}.{key}"].view(1, -1, 1, 1)

    scale = shaped("weight") / (shaped("running_var") + 1e-5).sqrt()
    return (x - shaped("running_mean")) * scale + shaped("bias")


def convolved(weights: dict, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    kernel = weights[f"{name}.weight"]
    return F.conv2d(x, kernel, weights.get(f"{name}.bias"), stride, padding=kernel.shape[-1] // 2)


def way_around(weights: dict, shortcut: str, x: torch.Tensor, channels: int, stride: int) -> torch.Tensor:
    """A shortcut by its definition in He et al. 2015, section 3.3."""
    same = x.shape[1] == channels and stride == 1
    if shortcut == "none":
        return torch.zeros(())
    if shortcut == "C" or (shortcut == "B" and not same):
        return normalized(weights, "downsample.1", convolved(weights, "downsample.0", x, stride))
    carried = torch.zeros(x.shape[0], channels, *x[:, :, ::stride, ::stride].shape[2:], dtype=x.dtype)
    front = (channels - x.shape[1]) // 2
    carried[:, front : front + x.shape[1]] = x[:, :, ::stride, ::stride]
    return carried


def paths(
    weights: dict, x: torch.Tensor, *, shortcut: str, channels: int, strides: tuple[int, ...], pre: bool, first: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return branch and shortcut of a block in evaluation mode: He et al. 2015, Fig. 5; He et al. 2016, Fig. 4(e)."""
    stride = max(strides)
    if not pre:
        y = x
        for number, step in enumerate(strides, start=1):
            y = normalized(weights, f"bn{number}", convolved(weights, f"conv{number}", y, step))
            y = y if number == len(strides) else y.clamp(min=0)
        return y, way_around(weights, shortcut, x, channels, stride)
    y = activated = x if first else normalized(weights, "bn1", x).clamp(min=0)
    for number, step in enumerate(strides, start=1):
        if number > 1:
            y = normalized(weights, f"bn{number}", y).clamp(min=0)
        y = convolved(weights, f"conv{number}", y, step)
    projects = "downsample.0.weight" in weights
    return y, way_around(weights, shortcut, activated if projects else x, channels, stride)
