"""Residual blocks: the shortcut apart from the block, so that a plain network is the same block without it.

Shapes are ``(N, C, H, W)``: images in the batch, channels, height, width.
No operation works in place: a hook that keeps a tensor must find it unchanged later.
Every place has its own ReLU module: a shared one could not be hooked apart.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHORTCUTS = ("none", "A", "B", "C")
NORMALIZATIONS = ("batch", "none")


def choose(name: str, value: object, allowed: tuple) -> object:
    """Return ``value`` if it is one of ``allowed``; raise ``ValueError`` with the rule otherwise."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def check_images(x: Tensor, channels: int) -> None:
    """Raise if ``x`` is not a floating-point image batch ``(N, channels, H, W)``."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"images must be a torch.Tensor of shape (N, {channels}, H, W), got {type(x).__name__}; "
            "convert with torch.as_tensor(images)"
        )
    if x.dim() != 4 or x.shape[1] != channels:
        hints = {
            3: "add the batch dimension with images.unsqueeze(0)",
            4: f"build the network with in_channels={x.shape[1] if x.dim() > 1 else 1}",
        }
        hint = hints.get(x.dim(), "reshape the batch")
        raise ValueError(f"images must have shape (N, {channels}, H, W), got {tuple(x.shape)}; {hint}")
    if not x.is_floating_point():
        raise TypeError(
            f"images must be floating point, got {x.dtype}; scale them first, "
            "for example with Dataset.normalize(images) or images.float() / 255"
        )


class Shortcut(nn.Sequential):
    """The path around a residual branch, ``(N, C_in, H, W) -> (N, C_out, ceil(H/s), ceil(W/s))``.

    Kinds (He et al. 2015, section 3.3 and Table 3):

    * ``"none"``: no path at all. The block is then *plain*. Called, it returns zeros.
    * ``"A"``: identity; where the shape changes, take every ``stride``-th pixel and pad new channels with
      zeros, half of them on each side. No parameters.
    * ``"B"``: identity where the shape stays, 1x1 convolution and normalisation where it changes.
    * ``"C"``: 1x1 convolution and normalisation in every block.

    It is a ``Sequential`` so that a projection's weights have the names that torchvision gives them
    (``downsample.0.weight``, ``downsample.1.weight`` …).

    Raises ``ValueError`` for an unknown kind, or if ``"A"`` would have to drop channels.
    """

    def __init__(self, kind: str, in_channels: int, out_channels: int, stride: int = 1, normalization: str = "batch"):
        choose("shortcut", kind, SHORTCUTS)
        keeps_shape = in_channels == out_channels and stride == 1
        projects = kind == "C" or (kind == "B" and not keeps_shape)
        if kind == "A" and out_channels < in_channels:
            raise ValueError(
                f"shortcut 'A' pads channels and cannot drop any, got {in_channels} -> {out_channels}; use 'B'"
            )
        layers = []
        if projects:
            layers = [
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=normalization == "none"),
                normalizer(normalization, out_channels),
            ]
        super().__init__(*layers)
        self.kind, self.stride = kind, stride
        self.in_channels, self.out_channels = in_channels, out_channels
        self.is_projection = projects
        self.is_identity = kind != "none" and not projects and keeps_shape

    def forward(self, x: Tensor) -> Tensor:
        """Carry ``x`` past the branch; see the class for the shapes."""
        if self.is_projection:
            return super().forward(x)
        if self.is_identity:
            return x
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]  # (N, C_in, ceil(H/s), ceil(W/s))
        if self.kind == "none":
            return x.new_zeros(x.shape[0], self.out_channels, *x.shape[2:])
        extra = self.out_channels - self.in_channels
        return F.pad(x, (0, 0, 0, 0, extra // 2, extra - extra // 2))  # (N, C_out, ceil(H/s), ceil(W/s))

    def extra_repr(self) -> str:
        """Describe the path in one line of the printed network."""
        return f"kind={self.kind!r}, {self.in_channels} -> {self.out_channels}, stride={self.stride}"


def normalizer(kind: str, channels: int) -> nn.Module:
    """Return batch normalisation over ``channels``, or the identity for ``"none"``."""
    choose("normalization", kind, NORMALIZATIONS)
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.Identity()


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size at stride 1 (padding 1)."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=bias)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: ``y = relu(branch(x) + shortcut(x))``.

    He et al. 2015, Fig. 2 and Fig. 5 left; each convolution is followed by batch normalisation, and the
    second ReLU stands after the addition. ``(N, C_in, H, W) -> (N, C_out, ceil(H/stride), ceil(W/stride))``.

    With ``shortcut="none"`` the block is plain: ``y = relu(branch(x))``, same weights as with ``"A"``.

    Raises ``ValueError`` for an unknown shortcut or normalisation.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        shortcut: str = "A",
        normalization: str = "batch",
    ):
        super().__init__()
        bias = normalization == "none"  # batch normalisation subtracts any bias again
        self.conv1 = conv3x3(in_channels, channels, stride, bias)
        self.bn1 = normalizer(normalization, channels)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels, bias=bias)
        self.bn2 = normalizer(normalization, channels)
        self.downsample = Shortcut(shortcut, in_channels, channels, stride, normalization)
        self.relu2 = nn.ReLU()

    def branch(self, x: Tensor) -> Tensor:
        """Return the residual branch ``F(x)``, before the addition."""
        x = self.relu1(self.bn1(self.conv1(x)))  # (N, C_out, H/s, W/s)
        return self.bn2(self.conv2(x))  # (N, C_out, H/s, W/s)

    def shortcut(self, x: Tensor) -> Tensor:
        """Return what the shortcut adds to the branch (zeros for a plain block)."""
        return self.downsample(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``relu(branch(x) + shortcut(x))``."""
        y = self.branch(x)
        if self.downsample.kind != "none":
            y = y + self.shortcut(x)
        return self.relu2(y)


@torch.no_grad()
def make_identity(block: nn.Module) -> None:
    """Set a plain ``BasicBlock`` so that in evaluation mode it returns its non-negative input.

    The construction of He et al. 2015, section 1: an added layer *can* be the identity. Each convolution
    becomes a delta, each normalisation undoes its own statistics; the ReLUs do nothing to ``x >= 0``.

    Raises ``ValueError`` if the block changes the shape or has a shortcut.
    """
    path = block.downsample
    if path.kind != "none" or path.stride != 1 or path.in_channels != path.out_channels:
        raise ValueError(
            "make_identity needs a plain block that keeps its shape, got "
            f"shortcut={path.kind!r}, {path.in_channels} -> {path.out_channels} channels, stride {path.stride}"
        )
    for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
        nn.init.dirac_(conv.weight)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0)
            norm.weight.fill_((1.0 + norm.eps) ** 0.5)
            norm.bias.zero_()
