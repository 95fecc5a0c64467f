"""Residual blocks: the shortcut apart from the block, so that a plain network is the same block without it.

Shapes are ``(N, C, H, W)``: images in the batch, channels, height, width.
No operation works in place: a hook that keeps a tensor must find it unchanged later.
Every place has its own ReLU module: a shared one could not be hooked apart. In the blocks that torchvision has, too,
they are called as its one ReLU is in a traced graph (``relu``, ``relu_1``, ``relu_2``), so that
``create_feature_extractor`` takes the same names for both. ``torch.fx`` and ``torch.jit.script`` work on all blocks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

SHORTCUTS = ("none", "A", "B", "C")
NORMALIZATIONS = ("batch", "none")
MIXINGS = ("add", "scaled-shortcut", "scaled-both", "exclusive-gating", "shortcut-gating", "dropout")
STRIDE_PLACES = ("1x1", "3x3")


def choose(name: str, value: object, allowed: tuple) -> object:
    """Return ``value`` if it is one of ``allowed``; raise ``ValueError`` with the rule otherwise."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def check_images(x: Tensor, channels: int) -> None:
    """Raise if ``x`` is not a floating-point image batch ``(N, channels, H, W)``; what traces is let through."""
    if isinstance(x, fx.Proxy):
        return
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
    (``downsample.0.weight``, ``downsample.1.weight`` …). ``bias`` gives the projection a bias; by default it
    has one where no normalisation follows.

    Raises ``ValueError`` for an unknown kind, or if ``"A"`` would have to drop channels.
    """

    def __init__(
        self,
        kind: str,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        normalization: str = "batch",
        bias: bool | None = None,
    ):
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
                conv1x1(in_channels, out_channels, stride, normalization == "none" if bias is None else bias),
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
            for module in self:
                x = module(x)
            return x
        if self.is_identity:
            return x
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]  # (N, C_in, ceil(H/s), ceil(W/s))
        if self.kind == "none":
            return x.new_zeros([x.shape[0], self.out_channels, x.shape[2], x.shape[3]])
        extra = self.out_channels - self.in_channels
        return F.pad(x, [0, 0, 0, 0, extra // 2, extra - extra // 2])  # (N, C_out, ceil(H/s), ceil(W/s))

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


def conv1x1(in_channels: int, out_channels: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """Return a 1x1 convolution; at stride 2 it reads one pixel in four."""
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=bias)


class Mixing(nn.Module):
    """How a block joins branch ``F`` and shortcut ``h``: plain addition, or what He et al. 2016 tried instead.

    Their Table 1 (``g`` is the gate, computed from the block's input ``x``):

    * ``"add"``: ``F + h``.
    * ``"scaled-shortcut"``: ``F + h/2``. ``"scaled-both"``: ``F/2 + h/2``.
    * ``"exclusive-gating"``: ``g F + (1 - g) h``. ``"shortcut-gating"``: ``F + (1 - g) h``.
    * ``"dropout"``: ``F + dropout(h)`` with ratio 0.5.

    The remaining row, a 1x1 convolution as shortcut, is ``Shortcut("C")``. The gate is
    ``sigmoid(conv1x1(x) + bias)``, ``(N, C_in, H, W) -> (N, C_out, H/stride, W/stride)``; its bias starts at
    ``gate_bias`` (−6 was their best: the shortcut starts almost open).

    Raises ``ValueError`` for an unknown kind.
    """

    def __init__(self, kind: str, in_channels: int, out_channels: int, stride: int = 1, gate_bias: float = -6.0):
        super().__init__()
        self.kind = choose("mixing", kind, MIXINGS)
        if kind in ("exclusive-gating", "shortcut-gating"):
            self.conv = conv1x1(in_channels, out_channels, stride)
            self.bias = nn.Parameter(torch.full((out_channels, 1, 1), float(gate_bias)))
        if kind == "dropout":
            self.dropout = nn.Dropout(0.5)

    def gate(self, x: Tensor) -> Tensor | None:
        """Return ``g(x)`` between 0 and 1, or ``None`` where there is no gate."""
        return torch.sigmoid(self.conv(x) + self.bias) if hasattr(self, "conv") else None

    def branch(self, y: Tensor, gate: Tensor | None) -> Tensor:
        """Weight the branch's output ``y``."""
        if self.kind == "scaled-both":
            return 0.5 * y
        return gate * y if gate is not None and self.kind == "exclusive-gating" else y

    def shortcut(self, y: Tensor, gate: Tensor | None) -> Tensor:
        """Weight the shortcut's output ``y``."""
        if self.kind in ("scaled-shortcut", "scaled-both"):
            return 0.5 * y
        if gate is not None:
            return (1 - gate) * y
        return self.dropout(y) if hasattr(self, "dropout") else y

    def forward(self, x: Tensor, branch: Tensor, shortcut: Tensor) -> Tensor:
        """Return the sum for the block's input ``x`` and the outputs of its two paths, ``(N, C_out, H/s, W/s)``."""
        gate = self.gate(x)  # once for both paths
        return self.branch(branch, gate) + self.shortcut(shortcut, gate)

    def extra_repr(self) -> str:
        """Name the kind in the printed network."""
        return f"kind={self.kind!r}"


@dataclass(frozen=True)
class BlockOptions:
    """What every block can be told, by keyword. Raises ``ValueError`` for an unknown choice.

    * ``shortcut``: ``"none"``, ``"A"``, ``"B"`` or ``"C"``, see ``Shortcut``.
    * ``normalization``: ``"batch"`` or ``"none"``; without it every convolution has a bias.
    * ``mixing``, ``gate_bias``: see ``Mixing``.
    * ``conv_bias``: biases in spite of batch normalisation, which subtracts them again. d2l has them.
    * ``projection_normalization``: what follows a projection; by default as in the branch (post-activation)
      or none (pre-activation).
    """

    shortcut: str = "A"
    normalization: str = "batch"
    mixing: str = "add"
    gate_bias: float = -6.0
    conv_bias: bool = False
    projection_normalization: str | None = None

    def __post_init__(self):
        choose("shortcut", self.shortcut, SHORTCUTS)
        choose("normalization", self.normalization, NORMALIZATIONS)
        choose("mixing", self.mixing, MIXINGS)
        choose("projection_normalization", self.projection_normalization, (None, *NORMALIZATIONS))

    @property
    def bias(self) -> bool:
        """Whether the convolutions have biases."""
        return self.conv_bias or self.normalization == "none"


class ResidualBlock(nn.Module):
    """What all blocks share: ``finish(branch(x) + shortcut(x))``, with nothing added in a plain block.

    ``(N, C_in, H, W) -> (N, C_out, ceil(H/stride), ceil(W/stride))`` with ``C_out = expansion * channels``.
    A subclass makes the layers and says what its branch computes. Options: ``BlockOptions``.
    """

    __jit_unused_properties__ = ("branch_end", "convolutions")
    expansion = 1
    ends_with_convolution = False  # whether a convolution, not its normalisation, ends the branch
    starts_activated = False  # whether the network's first unit leaves its first activation to the stem

    def add_shortcut(self, in_channels: int, out_channels: int, stride: int, options: BlockOptions) -> None:
        """Make the path around the branch, under torchvision's name ``downsample``, and the way they join."""
        normalization = options.projection_normalization or options.normalization
        self.downsample = Shortcut(options.shortcut, in_channels, out_channels, stride, normalization, options.bias)
        kind = "add" if options.shortcut == "none" else options.mixing
        self.mixing = Mixing(kind, in_channels, out_channels, stride, options.gate_bias)

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """The branch's convolutions, input first."""
        return [module for name, module in self.named_children() if name.startswith("conv")]

    @property
    def branch_end(self) -> nn.Module:
        """The module that ends the branch: the last normalisation, or the last convolution where none follows it."""
        count = len(self.convolutions)
        return getattr(self, f"conv{count}" if self.ends_with_convolution else f"bn{count}")

    def residual(self, activated: Tensor) -> Tensor:
        """Return the branch's output, before any gate."""
        raise NotImplementedError

    def activate(self, x: Tensor) -> Tensor:
        """Return what enters the first convolution: ``x`` itself, or normalised and rectified (pre-activation)."""
        return x

    def carried(self, x: Tensor, activated: Tensor) -> Tensor:
        """Return what the path brings to the addition, before any gate."""
        return self.downsample(x)

    def finish(self, y: Tensor) -> Tensor:
        """Return what the block makes of the sum."""
        return y

    def branch(self, x: Tensor) -> Tensor:
        """Return the residual branch ``F(x)`` as it is added. In training mode this moves running statistics."""
        return self.mixing.branch(self.residual(self.activate(x)), self.mixing.gate(x))

    def shortcut(self, x: Tensor) -> Tensor:
        """Return what is added to the branch (zeros for a plain block)."""
        return self.mixing.shortcut(self.carried(x, self.activate(x)), self.mixing.gate(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``finish(branch(x) + shortcut(x))``."""
        activated = self.activate(x)  # once: in training mode a second call would move the statistics twice
        y = self.residual(activated)
        if self.downsample.kind != "none":
            carried = self.carried(x, activated)
            y = y + carried if self.mixing.kind == "add" else self.mixing(x, y, carried)
        return self.finish(y)

    @torch.no_grad()
    def zero_init_last(self) -> None:
        """Make the branch zero, so that the block starts as its shortcut (Goyal et al. 2017, section 5.1).

        The last normalisation's scale becomes 0, or the last convolution where no normalisation ends the branch.
        """
        last = self.branch_end
        if isinstance(last, nn.Identity):
            last = self.convolutions[-1]
        last.weight.zero_()
        if isinstance(last, nn.Conv2d) and last.bias is not None:
            last.bias.zero_()


class PostActivationBlock(ResidualBlock):
    """What the blocks of He et al. 2015 share: the last ReLU stands after the addition.

    A subclass says what its convolutions compute and which ReLU is the last. The orders of He et al. 2016, Fig. 4(b)
    and (c), move the parts; they call them by name and not by ``super()``, which ``torch.jit.script`` does not know.
    """

    def convolve(self, activated: Tensor) -> Tensor:
        """Return what the convolutions make of the block's input."""
        raise NotImplementedError

    def rectify(self, y: Tensor) -> Tensor:
        """Apply the last ReLU."""
        raise NotImplementedError

    def residual(self, activated: Tensor) -> Tensor:
        """Return the branch's output."""
        return self.convolve(activated)

    def finish(self, y: Tensor) -> Tensor:
        """Apply the ReLU after the addition."""
        return self.rectify(y)


class BasicBlock(PostActivationBlock):
    """Two 3x3 convolutions and a shortcut: ``y = relu(branch(x) + shortcut(x))``.

    He et al. 2015, Fig. 2 and Fig. 5 left; each convolution is followed by batch normalisation, and the
    second ReLU stands after the addition. ``(N, C_in, H, W) -> (N, C_out, ceil(H/stride), ceil(W/stride))``.

    With ``shortcut="none"`` the block is plain: ``y = relu(branch(x))``, same weights as with ``"A"``.
    Options and errors: ``BlockOptions``.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1, **options):
        super().__init__()
        options = BlockOptions(**options)
        self.conv1 = conv3x3(in_channels, channels, stride, options.bias)
        self.bn1 = normalizer(options.normalization, channels)
        self.relu = nn.ReLU()
        self.conv2 = conv3x3(channels, channels, bias=options.bias)
        self.bn2 = normalizer(options.normalization, channels)
        self.add_shortcut(in_channels, channels, stride, options)
        self.relu_1 = nn.ReLU()

    def convolve(self, activated: Tensor) -> Tensor:
        """Return ``F(x)``."""
        x = self.relu(self.bn1(self.conv1(activated)))  # (N, C_out, H/s, W/s)
        return self.bn2(self.conv2(x))  # (N, C_out, H/s, W/s)

    def rectify(self, y: Tensor) -> Tensor:
        """Apply the last ReLU."""
        return self.relu_1(y)


class Bottleneck(PostActivationBlock):
    """A 1x1, a 3x3 and a 1x1 convolution that first narrow, then widen fourfold, and a shortcut.

    He et al. 2015, Fig. 5 right: ``(N, C_in, H, W) -> (N, 4 channels, ceil(H/stride), ceil(W/stride))``.
    ``stride_on="3x3"`` is the variant called v1.5 (fb.resnet.torch, torchvision); ``"1x1"`` is the paper's own,
    v1, with fewer multiply-adds (Table 1). Further options and errors: ``BlockOptions``.
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1, *, stride_on: str = "3x3", **options):
        super().__init__()
        options = BlockOptions(**options)
        first, second = _strides(stride, stride_on)
        self.conv1 = conv1x1(in_channels, channels, first, options.bias)
        self.bn1 = normalizer(options.normalization, channels)
        self.relu = nn.ReLU()
        self.conv2 = conv3x3(channels, channels, second, options.bias)
        self.bn2 = normalizer(options.normalization, channels)
        self.relu_1 = nn.ReLU()
        self.conv3 = conv1x1(channels, 4 * channels, bias=options.bias)
        self.bn3 = normalizer(options.normalization, 4 * channels)
        self.add_shortcut(in_channels, 4 * channels, stride, options)
        self.relu_2 = nn.ReLU()

    def convolve(self, activated: Tensor) -> Tensor:
        """Return ``F(x)``."""
        x = self.relu(self.bn1(self.conv1(activated)))  # (N, channels, H, W), or H/s with the stride here
        x = self.relu_1(self.bn2(self.conv2(x)))  # (N, channels, H/s, W/s)
        return self.bn3(self.conv3(x))  # (N, 4 channels, H/s, W/s)

    def rectify(self, y: Tensor) -> Tensor:
        """Apply the last ReLU."""
        return self.relu_2(y)


class PreActivationBlock(ResidualBlock):
    """What the pre-activation twins share: BN–ReLU before each convolution, ``y = x + F(x)``, nothing after.

    He et al. 2016, Fig. 4(e). An identity carries the raw input. A projection takes the activated input and has
    no normalisation, as in the authors' code. The network's first unit is made with ``after_activation=True``:
    its activation is the stem's, "right after conv1 and before splitting into two paths" (their appendix).
    """

    ends_with_convolution = True
    starts_activated = True

    def add_first_activation(self, in_channels: int, after_activation: bool, normalization: str) -> None:
        """Make the activation before the first convolution, or none after the stem's."""
        self.bn1 = nn.Identity() if after_activation else normalizer(normalization, in_channels)
        self.relu1 = nn.Identity() if after_activation else nn.ReLU()

    def activate(self, x: Tensor) -> Tensor:
        """Return the normalised and rectified input."""
        return self.relu1(self.bn1(x))

    def carried(self, x: Tensor, activated: Tensor) -> Tensor:
        """Return the raw input, or the projection of the activated one."""
        return self.downsample(activated if self.downsample.is_projection else x)


class PreActBasicBlock(PreActivationBlock):
    """The pre-activation twin of ``BasicBlock``: BN–ReLU–conv–BN–ReLU–conv, ``y = branch(x) + shortcut(x)``.

    ``(N, C_in, H, W) -> (N, C_out, ceil(H/stride), ceil(W/stride))``; see ``PreActivationBlock`` for where the
    paths part and for ``after_activation``, ``BlockOptions`` for the options and errors.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1, *, after_activation: bool = False, **options):
        super().__init__()
        options = BlockOptions(**{"projection_normalization": "none"} | options)
        self.add_first_activation(in_channels, after_activation, options.normalization)
        self.conv1 = conv3x3(in_channels, channels, stride, options.bias)
        self.bn2 = normalizer(options.normalization, channels)
        self.relu2 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels, bias=options.bias)
        self.add_shortcut(in_channels, channels, stride, options)

    def residual(self, activated: Tensor) -> Tensor:
        """Return ``F`` for the activated input."""
        x = self.conv1(activated)  # (N, C_out, H/s, W/s)
        return self.conv2(self.relu2(self.bn2(x)))  # (N, C_out, H/s, W/s)


class PreActBottleneck(PreActivationBlock):
    """The pre-activation twin of ``Bottleneck``: three times BN–ReLU–conv, ``y = branch(x) + shortcut(x)``.

    ``(N, C_in, H, W) -> (N, 4 channels, ceil(H/stride), ceil(W/stride))``; the unit of ResNet-164 and -1001
    (He et al. 2016, Table 2 and 3; their code strides on the first 1x1). See ``PreActivationBlock`` for where
    the paths part and for ``after_activation``, ``BlockOptions`` for the options and errors.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        stride_on: str = "3x3",
        after_activation: bool = False,
        **options,
    ):
        super().__init__()
        options = BlockOptions(**{"projection_normalization": "none"} | options)
        first, second = _strides(stride, stride_on)
        self.add_first_activation(in_channels, after_activation, options.normalization)
        self.conv1 = conv1x1(in_channels, channels, first, options.bias)
        self.bn2 = normalizer(options.normalization, channels)
        self.relu2 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels, second, options.bias)
        self.bn3 = normalizer(options.normalization, channels)
        self.relu3 = nn.ReLU()
        self.conv3 = conv1x1(channels, 4 * channels, bias=options.bias)
        self.add_shortcut(in_channels, 4 * channels, stride, options)

    def residual(self, activated: Tensor) -> Tensor:
        """Return ``F`` for the activated input."""
        x = self.conv1(activated)  # (N, channels, H, W), or H/s with the stride here
        x = self.conv2(self.relu2(self.bn2(x)))  # (N, channels, H/s, W/s)
        return self.conv3(self.relu3(self.bn3(x)))  # (N, 4 channels, H/s, W/s)


def _strides(stride: int, stride_on: str) -> tuple[int, int]:
    choose("stride_on", stride_on, STRIDE_PLACES)
    return (stride, 1) if stride_on == "1x1" else (1, stride)


class _BNAfterAddition:
    """The last normalisation moves behind the addition: ``y = relu(bn(branch(x) + shortcut(x)))``."""

    ends_with_convolution = True

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        last = f"bn{len(self.convolutions)}"
        self.bn_sum = getattr(self, last)
        setattr(self, last, nn.Identity())

    def finish(self, y: Tensor) -> Tensor:
        """Normalise the sum, then apply the ReLU."""
        return self.rectify(self.bn_sum(y))


class _ReLUBeforeAddition:
    """The last ReLU moves into the branch, which then can only add: ``y = relu(branch(x)) + shortcut(x)``."""

    def residual(self, activated: Tensor) -> Tensor:
        """Return the rectified branch."""
        return self.rectify(self.convolve(activated))

    def finish(self, y: Tensor) -> Tensor:
        """Return the sum as it is."""
        return y


class _ReLUOnlyPre:
    """The last ReLU moves before the first convolution: ``y = branch(relu(x)) + shortcut(x)``.

    As with full pre-activation, a projection takes the activated input, and the network's first unit is made with
    ``after_activation=True``.
    """

    starts_activated = True

    def __init__(self, *args, after_activation: bool = False, **options):
        super().__init__(*args, **options)
        setattr(self, f"relu_{len(self.convolutions) - 1}", nn.Identity())
        self.relu0 = nn.Identity() if after_activation else nn.ReLU()

    def activate(self, x: Tensor) -> Tensor:
        """Return the rectified input."""
        return self.relu0(x)

    def carried(self, x: Tensor, activated: Tensor) -> Tensor:
        """Return the raw input, or the projection of the activated one."""
        return self.downsample(activated if self.downsample.is_projection else x)

    def finish(self, y: Tensor) -> Tensor:
        """Return the sum as it is."""
        return y


class BNAfterAdditionBasicBlock(_BNAfterAddition, BasicBlock):
    """He et al. 2016, Fig. 4(b): normalisation after the addition. Shapes and options: ``BasicBlock``."""


class BNAfterAdditionBottleneck(_BNAfterAddition, Bottleneck):
    """He et al. 2016, Fig. 4(b): normalisation after the addition. Shapes and options: ``Bottleneck``."""


class ReLUBeforeAdditionBasicBlock(_ReLUBeforeAddition, BasicBlock):
    """He et al. 2016, Fig. 4(c): the branch is rectified. Shapes and options: ``BasicBlock``."""


class ReLUBeforeAdditionBottleneck(_ReLUBeforeAddition, Bottleneck):
    """He et al. 2016, Fig. 4(c): the branch is rectified. Shapes and options: ``Bottleneck``."""


class ReLUOnlyPreBasicBlock(_ReLUOnlyPre, BasicBlock):
    """He et al. 2016, Fig. 4(d): ReLU alone stands before the convolutions. Shapes and options: ``BasicBlock``."""


class ReLUOnlyPreBottleneck(_ReLUOnlyPre, Bottleneck):
    """He et al. 2016, Fig. 4(d): ReLU alone stands before the convolutions. Shapes and options: ``Bottleneck``."""


BLOCKS = {
    ("basic", "post"): BasicBlock,
    ("bottleneck", "post"): Bottleneck,
    ("basic", "bn-after-addition"): BNAfterAdditionBasicBlock,
    ("bottleneck", "bn-after-addition"): BNAfterAdditionBottleneck,
    ("basic", "relu-before-addition"): ReLUBeforeAdditionBasicBlock,
    ("bottleneck", "relu-before-addition"): ReLUBeforeAdditionBottleneck,
    ("basic", "relu-only-pre"): ReLUOnlyPreBasicBlock,
    ("bottleneck", "relu-only-pre"): ReLUOnlyPreBottleneck,
    ("basic", "pre"): PreActBasicBlock,
    ("bottleneck", "pre"): PreActBottleneck,
}


@torch.no_grad()
def make_identity(block: nn.Module) -> None:
    """Set a plain ``BasicBlock`` so that in evaluation mode it returns its non-negative input.

    The construction of He et al. 2015, section 1: an added layer *can* be the identity. Each convolution
    becomes a delta, each normalisation undoes its own statistics; the ReLUs do nothing to ``x >= 0``.

    Raises ``ValueError`` if the block is no ``BasicBlock``, changes the shape or has a shortcut.
    """
    if not isinstance(block, BasicBlock):
        raise ValueError(f"make_identity needs a plain BasicBlock, got {type(block).__name__}")
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
