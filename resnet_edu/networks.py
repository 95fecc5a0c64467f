"""Residual networks, their plain twins, and presets that agree with well-known code.

A plain twin is the same network with ``shortcut="none"``: same layers, same parameters as with option A.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from resnet_edu.blocks import (
    BLOCKS,
    BasicBlock,
    PreActivationBlock,
    check_images,
    choose,
    conv3x3,
    make_identity,
    normalizer,
)

STEMS = ("cifar", "imagenet")
VARIANTS = ("v1", "v1.5")
# He et al. 2016, Fig. 4(a) to (e) and Table 2; "pre" is their full pre-activation.
ACTIVATIONS = ("post", "bn-after-addition", "relu-before-addition", "relu-only-pre", "pre")

# He et al. 2015, Table 1: the block and how many of it in conv2_x … conv5_x.
IMAGENET_STAGES = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """A stem, stages of blocks, global average pooling and one linear layer: ``(N, C, H, W) -> (N, classes)``.

    ``blocks_per_stage`` gives the number of blocks in each stage, ``widths`` the channels inside them; the stage
    puts out ``block.expansion`` times as many. The first block of every stage but the first has stride 2.
    Modules carry torchvision's names (``conv1, bn1, relu, maxpool, layer1 … layerK, avgpool, fc``), so that its
    weights can be loaded.

    * ``stem="cifar"``: a 3x3 convolution. ``"imagenet"``: a 7x7 convolution of stride 2 and a 3x3 max pooling of
      stride 2, which leaves 8x8 of a 32x32 image: do not use it there.
    * ``block``: a class of ``resnet_edu.blocks``. With a pre-activation block the last stage is followed by
      ``final_bn`` and ``final_relu`` (He et al. 2016, appendix), with ReLU-only pre-activation by the latter.
    * ``zero_init_last``: see ``ResidualBlock.zero_init_last``. ``identity_start``: see ``start_near_identity``.
    * ``block_options``: see ``BlockOptions``.

    Raises ``ValueError`` for an unknown choice or a size that is not a positive whole number.
    """

    __jit_unused_properties__ = ("blocks", "stages")

    def __init__(
        self,
        blocks_per_stage: tuple[int, ...],
        widths: tuple[int, ...],
        *,
        block: type[nn.Module] = BasicBlock,
        stem: str = "cifar",
        in_channels: int = 3,
        num_classes: int = 10,
        zero_init_last: bool = False,
        identity_start: float | None = None,
        **block_options,
    ):
        super().__init__()
        choose("stem", stem, STEMS)
        for name, value in (("width", widths[0]), ("in_channels", in_channels), ("num_classes", num_classes)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        normalization = block_options.get("normalization", "batch")
        bias = block_options.get("conv_bias", False) or normalization == "none"
        self.in_channels = in_channels
        if stem == "cifar":
            self.conv1 = conv3x3(in_channels, widths[0], bias=bias)
        else:
            self.conv1 = nn.Conv2d(in_channels, widths[0], 7, stride=2, padding=3, bias=bias)
        self.bn1 = normalizer(normalization, widths[0])
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()
        self.num_stages = len(widths)
        normalizes_last = issubclass(block, PreActivationBlock)
        channels = widths[0]
        for stage, (count, width) in enumerate(zip(blocks_per_stage, widths, strict=True)):
            blocks = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                first = {"after_activation": True} if block.starts_activated and stage == index == 0 else {}
                blocks.append(block(channels, width, stride, **first, **block_options))
                channels = block.expansion * width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.final_bn = normalizer(normalization, channels) if normalizes_last else nn.Identity()
        self.final_relu = nn.ReLU() if block.starts_activated else nn.Identity()
        self.starts_activated = block.starts_activated
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        initialize(self)
        if identity_start is not None:
            start_near_identity(self, identity_start)
        if zero_init_last:
            for residual_block in self.blocks:
                residual_block.zero_init_last()

    @property
    def stages(self) -> list[nn.Sequential]:
        """The stages in order, each a sequence of blocks."""
        return [getattr(self, f"layer{stage + 1}") for stage in range(self.num_stages)]

    @property
    def blocks(self) -> list[nn.Module]:
        """All blocks in the order in which a signal meets them."""
        return [block for stage in self.stages for block in stage]

    def __call__(self, x: Tensor, return_stages: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Return the logits ``(N, classes)`` of images ``(N, C, H, W)``.

        With ``return_stages`` return also the outputs of the stages by the paper's names (He et al. 2015,
        Table 1): ``conv1`` (after its ReLU, before the pooling) and ``conv2_x``, ``conv3_x`` …

        Raises ``TypeError`` or ``ValueError`` if ``x`` is not such a floating-point batch.
        """
        if not return_stages:
            return super().__call__(x)
        outputs: dict[str, Tensor] = {}
        names = {self.relu: "conv1"} | {stage: f"conv{number}_x" for number, stage in enumerate(self.stages, start=2)}
        hooks = [
            module.register_forward_hook(lambda *call, name=name: outputs.update({name: call[-1]}))
            for module, name in names.items()
        ]
        try:
            return super().__call__(x), outputs
        finally:
            for hook in hooks:
                hook.remove()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits; of one argument alone, for tools that trace it (``torch.fx``, ``torch.jit.script``)."""
        if not torch.jit.is_scripting():
            check_images(x, self.in_channels)
        x = self.relu(self.bn1(self.conv1(x)))  # (N, width, H, W), or half of it with the ImageNet stem
        x = self.maxpool(x)
        for name, stage in self.named_children():
            if name.startswith("layer"):
                x = stage(x)  # (N, expansion * width_k, H_1 / 2^(k-1), W_1 / 2^(k-1)) after stage k
        if self.starts_activated:
            x = self.final_relu(self.final_bn(x))
        return self.fc(self.avgpool(x).flatten(1))  # (N, classes)


def initialize(network: nn.Module) -> None:
    """Draw weights as He et al. 2015 did (their reference [12]): normal, variance 2 / fan_out, biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def start_near_identity(network: nn.Module, noise: float) -> None:
    """Make each convolution of the blocks that keeps the shape a delta kernel plus ``noise`` times what it was.

    Such a convolution ``(N, C, H, W) -> (N, C, H, W)`` hands each channel on, with a little of the others. What
    follows it (normalisation, ReLU) stays, and so do convolutions that change the shape. DiracNets (Zagoruyko and
    Komodakis 2017) keep such a sum throughout training; here it is the start alone.

    Raises ``ValueError`` if ``noise`` is negative or not finite.
    """
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"identity_start must be a number of at least 0 (0.1: a tenth of the noise), got {noise!r}")
    for conv in (conv for block in network.blocks for conv in block.convolutions):
        if conv.in_channels == conv.out_channels and conv.stride == (1, 1):
            conv.weight.copy_(noise * conv.weight + nn.init.dirac_(torch.empty_like(conv.weight)))


def cifar_resnet(
    depth: int,
    block: str = "basic",
    *,
    activation: str = "post",
    shortcut: str = "A",
    width: int = 16,
    **options,
) -> ResNet:
    """Build the network of He et al. 2015, section 4.2, for small images: three stages after a 3x3 convolution.

    ``(N, in_channels, H, W) -> (N, num_classes)``; the stages have ``width``, ``2·width`` and ``4·width`` filters
    on maps of full, half and quarter size. ``shortcut="none"`` gives the plain twin, with exactly the parameters
    of ``"A"`` (the paper's choice here). Further options: ``ResNet`` (``in_channels=3``, ``num_classes=10``, …).

    * ``block="basic"``: depth ``6n+2``. Example: 20 has n = 3, three blocks of two convolutions in each stage,
      1 + 18 + 1 weighted layers.
    * ``block="bottleneck"``: depth ``9n+2``, as in He et al. 2016. Example: 164 has n = 18. (With the rule of the
      basic block, "110" would build 164 layers.) Their code uses ``shortcut="B"`` and ``stride_on="1x1"`` here.

    Raises ``ValueError`` if the depth does not follow the rule, if a size is not positive, or for an unknown
    option.
    """
    cell = BLOCKS[choose("block", block, ("basic", "bottleneck")), choose("activation", activation, ACTIVATIONS)]
    layers, examples = {
        "basic": (6, "8, 14, 20, 32, 44, 56, 110 …"),
        "bottleneck": (9, "11, 20, 29, 47, 56, 110, 164, 1001 …"),
    }[block]
    if not isinstance(depth, int) or depth < layers + 2 or (depth - 2) % layers:
        raise ValueError(f"depth must be {layers}n+2 with n >= 1 for {block} blocks ({examples}), got {depth!r}")
    if not isinstance(width, int) or width < 1:
        raise ValueError(f"width must be a whole number of at least 1, got {width!r}")
    n = (depth - 2) // layers
    return ResNet((n, n, n), (width, 2 * width, 4 * width), block=cell, shortcut=shortcut, **options)


def imagenet_resnet(
    depth: int,
    *,
    variant: str = "v1.5",
    stem: str = "imagenet",
    activation: str = "post",
    shortcut: str = "B",
    num_classes: int = 1000,
    **options,
) -> ResNet:
    """Build a network of He et al. 2015, Table 1: 18, 34, 50, 101 or 152 weighted layers, widths 64 to 512.

    ``(N, in_channels, H, W) -> (N, num_classes)``. ``variant`` places the stride of a bottleneck: ``"v1"`` on its
    first 1x1 (the paper), ``"v1.5"`` on its 3x3 (torchvision); 18 and 34 have no bottleneck and are the same in
    both. ``stem="cifar"`` is the 3x3 stem of the popular CIFAR repositories. ``shortcut="none"`` gives the plain
    twin. Further options: ``ResNet``.

    Raises ``ValueError`` for an unknown depth or option.
    """
    choose("depth", depth, tuple(IMAGENET_STAGES))
    choose("variant", variant, VARIANTS)
    block, counts = IMAGENET_STAGES[depth]
    if "stride_on" in options:
        raise ValueError(f"stride_on follows from variant, got {options['stride_on']!r}; use variant='v1' or 'v1.5'")
    if block == "bottleneck":
        options["stride_on"] = "1x1" if variant == "v1" else "3x3"
    cell = BLOCKS[block, choose("activation", activation, ACTIVATIONS)]
    widths = (64, 128, 256, 512)
    return ResNet(counts, widths, block=cell, stem=stem, shortcut=shortcut, num_classes=num_classes, **options)


def resnet18(**options) -> ResNet:
    """Build ResNet-18, 11,689,512 parameters; options as in ``imagenet_resnet``."""
    return imagenet_resnet(18, **options)


def resnet34(**options) -> ResNet:
    """Build ResNet-34, 21,797,672 parameters; options as in ``imagenet_resnet``."""
    return imagenet_resnet(34, **options)


def resnet50(**options) -> ResNet:
    """Build ResNet-50, 25,557,032 parameters; options as in ``imagenet_resnet``."""
    return imagenet_resnet(50, **options)


def resnet101(**options) -> ResNet:
    """Build ResNet-101, 44,549,160 parameters; options as in ``imagenet_resnet``."""
    return imagenet_resnet(101, **options)


def resnet152(**options) -> ResNet:
    """Build ResNet-152, 60,192,808 parameters; options as in ``imagenet_resnet``."""
    return imagenet_resnet(152, **options)


# d2l keeps biases before batch normalisation and has none after its 1x1 shortcut convolution.
_D2L = {"conv_bias": True, "projection_normalization": "none", "in_channels": 1, "num_classes": 10}

PRESETS: dict[str, Callable[..., ResNet]] = {
    **{f"torchvision/resnet{depth}": partial(imagenet_resnet, depth) for depth in IMAGENET_STAGES},
    "d2l/resnet18": partial(imagenet_resnet, 18, **_D2L),  # the chapter's network
    "d2l/resnet18-small-stem": partial(imagenet_resnet, 18, stem="cifar", **_D2L),  # the function d2l.resnet18
    **{
        f"{repository}/resnet{depth}": partial(imagenet_resnet, depth, stem="cifar", num_classes=classes)
        for repository, classes in (("kuangliu", 10), ("weiaicunzai", 100))
        for depth in IMAGENET_STAGES
    },
    **{
        f"loss-landscape/resnet{depth}{suffix}": partial(cifar_resnet, depth, shortcut=shortcut)
        for depth in (20, 56, 110)
        for suffix, shortcut in (("", "B"), ("-noshort", "none"))
    },
}


def preset(name: str, **options) -> ResNet:
    """Build a network that agrees with well-known code: same layers, same parameter count, same function.

    * ``"torchvision/resnet18"`` … ``152``: the same ``state_dict`` keys too.
    * ``"d2l/resnet18"``: Dive into Deep Learning's ResNet-18 for one channel (7x7 stem; biases; projections
      without normalisation); ``"d2l/resnet18-small-stem"`` is what ``d2l.resnet18()`` builds.
    * ``"kuangliu/resnet18"`` …, ``"weiaicunzai/resnet18"`` …: 3x3 stem, width 64, for 10 and for 100 classes.
      (These 11 million parameters are not the paper's CIFAR network: that is ``cifar_resnet``.)
    * ``"loss-landscape/resnet20"``, ``56``, ``110``, and ``…-noshort``: the nets of Li et al. 2018, option B.

    ``options`` override the preset's. Raises ``ValueError`` for an unknown name.
    """
    return PRESETS[choose("preset", name, tuple(PRESETS))](**options)


def pretrained(name: str, weights: str = "V1") -> ResNet:
    """Return ``resnet18`` … ``resnet152`` in evaluation mode, with the weights that torchvision publishes.

    ``weights`` is ``"V1"`` or, for 50, 101 and 152, ``"V2"`` (the longer recipe). The file is looked up in torch's
    cache (``torch.hub.get_dir()/checkpoints``) and fetched once with a progress bar; a download that is cut is not
    kept. Images must be prepared as torchvision says (``network.transforms``).

    Raises ``ValueError`` for an unknown name or weights, ``ConnectionError`` if the file is not there and cannot
    be fetched (the message names the file to put in place), ``RuntimeError`` if the file there is damaged.
    """
    import hashlib
    from http.client import HTTPException
    from pathlib import Path
    from urllib.error import URLError

    from torchvision.models import get_model_weights

    depths = {f"resnet{depth}": depth for depth in IMAGENET_STAGES}
    published = {e.name.removeprefix("IMAGENET1K_"): e for e in get_model_weights(choose("name", name, tuple(depths)))}
    entry = published[choose("weights", weights, tuple(published))]
    file = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rpartition("/")[2]
    if file.exists():  # torch checks the hash of a download, not of what is in its cache
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if not digest.startswith(file.stem.rpartition("-")[2]):  # the name ends with the first digits of the hash
            raise RuntimeError(
                f"{file} does not hold the weights of {name} ({weights}): it was cut or damaged, or is another file "
                f"(its SHA-256 starts with {digest[:8]}); delete it and call again"
            )
    try:
        state = torch.hub.load_state_dict_from_url(entry.url, check_hash=True, map_location="cpu", weights_only=True)
    except (URLError, TimeoutError, ConnectionError, HTTPException, RuntimeError) as error:
        raise ConnectionError(
            f"the weights of {name} ({weights}) are not on this machine and could not be fetched ({error}); "
            f"connect and call again, or put {entry.url} at {file}"
        ) from error
    network = imagenet_resnet(depths[name])
    network.load_state_dict(state)
    network.categories, network.transforms = entry.meta["categories"], entry.transforms()
    return network.eval()


def weighted_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that the paper counts, input first: convolutions and the linear layer.

    Projections on shortcuts are not counted (He et al. 2015, Table 1 and section 3.3), nor are gates.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not {"downsample", "mixing"} & set(name.split("."))
    }


def deepened(network: ResNet, depth: int) -> ResNet:
    """Return a copy of a plain network, made ``depth`` layers deep by blocks that are the identity.

    The construction of He et al. 2015, section 1: the added blocks stand at the end of each stage, and in
    evaluation mode the deeper network computes the same function, so a solution at least as good exists.

    Raises ``ValueError`` if the depth is not 6n+2, not larger, or if the network is not a ``cifar_resnet`` of plain
    ``BasicBlock``.
    """
    old_depth = len(weighted_layers(network))
    if depth <= old_depth:
        raise ValueError(f"depth must be larger than the network's {old_depth}, got {depth}")
    if network.num_stages != 3 or not isinstance(network.maxpool, nn.Identity):
        raise ValueError(
            f"only networks of cifar_resnet can be deepened, got {network.num_stages} stages after "
            f"{'an ImageNet' if isinstance(network.maxpool, nn.MaxPool2d) else 'a CIFAR'} stem"
        )
    first = network.blocks[0]
    if not isinstance(first, BasicBlock):
        raise ValueError(f"only networks of BasicBlock can be deepened, got {type(first).__name__}")
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
        conv_bias=first.conv1.bias is not None,
    ).to(next(network.parameters()).device)
    deeper.load_state_dict(deeper.state_dict() | network.state_dict())
    for old, new in zip(network.stages, deeper.stages, strict=True):
        for block in new[len(old) :]:
            make_identity(block)
    return deeper.train(network.training)
