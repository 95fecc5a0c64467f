"""Residual networks and their plain twins, assembled from the blocks.

A plain twin is the same network with ``shortcut="none"``: same layers, same parameters as with option A.
"""

from torch import Tensor, nn

from resnet_edu.blocks import (
    NORMALIZATIONS,
    SHORTCUTS,
    BasicBlock,
    check_images,
    choose,
    conv3x3,
    make_identity,
    normalizer,
)


class ResNet(nn.Module):
    """A stem, stages of blocks, global average pooling and one linear layer: ``(N, C, H, W) -> (N, classes)``.

    ``blocks_per_stage`` gives the number of blocks in each stage, ``widths`` the channels inside them. The
    first block of every stage but the first has stride 2. Modules carry torchvision's names
    (``conv1, bn1, relu, layer1 … layerK, avgpool, fc``).
    """

    def __init__(
        self,
        blocks_per_stage: tuple[int, ...],
        widths: tuple[int, ...],
        *,
        shortcut: str = "A",
        in_channels: int = 3,
        num_classes: int = 10,
        normalization: str = "batch",
    ):
        super().__init__()
        choose("shortcut", shortcut, SHORTCUTS)
        choose("normalization", normalization, NORMALIZATIONS)
        self.in_channels = in_channels
        self.conv1 = conv3x3(in_channels, widths[0], bias=normalization == "none")
        self.bn1 = normalizer(normalization, widths[0])
        self.relu = nn.ReLU()
        self.num_stages = len(widths)
        channels = widths[0]
        for stage, (count, width) in enumerate(zip(blocks_per_stage, widths, strict=True)):
            blocks = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(BasicBlock(channels, width, stride, shortcut, normalization))
                channels = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        initialize(self)

    @property
    def stages(self) -> list[nn.Sequential]:
        """The stages in order, each a sequence of blocks."""
        return [getattr(self, f"layer{stage + 1}") for stage in range(self.num_stages)]

    @property
    def blocks(self) -> list[nn.Module]:
        """All blocks in the order in which a signal meets them."""
        return [block for stage in self.stages for block in stage]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(N, classes)`` of images ``(N, C, H, W)``.

        Raises ``TypeError`` or ``ValueError`` if ``x`` is not such a floating-point batch.
        """
        check_images(x, self.in_channels)
        x = self.relu(self.bn1(self.conv1(x)))  # (N, width, H, W)
        for stage in self.stages:
            x = stage(x)  # stage k: (N, width_k, H / 2^(k-1), W / 2^(k-1))
        x = self.avgpool(x).flatten(1)  # (N, width_last)
        return self.fc(x)  # (N, classes)


def initialize(network: nn.Module) -> None:
    """Draw weights as He et al. 2015 did (their reference [12]): normal, variance 2 / fan_out, biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def cifar_resnet(
    depth: int,
    *,
    shortcut: str = "A",
    width: int = 16,
    in_channels: int = 3,
    num_classes: int = 10,
    normalization: str = "batch",
) -> ResNet:
    """Build the network of He et al. 2015, section 4.2: ``6n+2`` weighted layers in three stages.

    A 3x3 convolution, then ``2n`` 3x3 convolutions on each of three map sizes with ``width``, ``2·width`` and
    ``4·width`` filters, global average pooling, one linear layer. ``(N, in_channels, H, W) -> (N, num_classes)``.
    ``shortcut="none"`` gives the plain twin, with exactly the parameters of ``"A"`` (the paper's choice here).

    Example: ``depth=20`` has n = 3: three blocks of two convolutions in each stage, 1 + 18 + 1 layers.

    Raises ``ValueError`` if the depth is not 6n+2, if a size is not positive, or for an unknown option.
    """
    if not isinstance(depth, int) or depth < 8 or (depth - 2) % 6:
        raise ValueError(
            f"depth must be 6n+2 with n >= 1 for basic blocks (8, 14, 20, 32, 44, 56, 110 …), got {depth!r}"
        )
    for name, value in (("width", width), ("in_channels", in_channels), ("num_classes", num_classes)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    n = (depth - 2) // 6
    return ResNet(
        (n, n, n),
        (width, 2 * width, 4 * width),
        shortcut=shortcut,
        in_channels=in_channels,
        num_classes=num_classes,
        normalization=normalization,
    )


def weighted_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that the paper counts, input first: convolutions and the linear layer.

    Projections on shortcuts are not counted (He et al. 2015, Table 1 and section 3.3).
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and ".downsample." not in name
    }


def deepened(network: ResNet, depth: int) -> ResNet:
    """Return a copy of a plain network, made ``depth`` layers deep by blocks that are the identity.

    The construction of He et al. 2015, section 1: the added blocks stand at the end of each stage, and in
    evaluation mode the deeper network computes the same function, so a solution at least as good exists.

    Raises ``ValueError`` if the depth is not 6n+2, not larger, or if the network has shortcuts.
    """
    old_depth = len(weighted_layers(network))
    if depth <= old_depth:
        raise ValueError(f"depth must be larger than the network's {old_depth}, got {depth}")
    first = network.blocks[0]
    if first.downsample.kind != "none":
        raise ValueError(
            f"only a plain network can be deepened by identity layers, got shortcut={first.downsample.kind!r}; "
            'build it with shortcut="none"'
        )
    deeper = cifar_resnet(
        depth,
        shortcut="none",
        width=network.conv1.out_channels,
        in_channels=network.in_channels,
        num_classes=network.fc.out_features,
        normalization="batch" if isinstance(first.bn1, nn.BatchNorm2d) else "none",
    ).to(next(network.parameters()).device)
    deeper.load_state_dict(deeper.state_dict() | network.state_dict())
    for old, new in zip(network.stages, deeper.stages, strict=True):
        for block in new[len(old) :]:
            make_identity(block)
    return deeper.train(network.training)
