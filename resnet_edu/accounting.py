"""What a network costs, read off the live modules: parameters, multiply-adds, shapes and memory.

Counting runs a copy without data (PyTorch's ``meta`` device): nothing is computed, the network itself is not
touched, and ResNet-1202 takes seconds. Shapes are ``(N, C, H, W)``; an ``input_shape`` is that of one image,
``(C, H, W)``.
"""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnet_edu.blocks import ResidualBlock, Shortcut
from resnet_edu.networks import IMAGENET_STAGES, imagenet_resnet, weighted_layers


@dataclass(frozen=True)
class Layer:
    """One call of one module, for one image.

    * ``parameters``: 0 from a module's second call on, so that a sum over layers is right.
    * ``multiply_adds``: of a convolution or a linear layer, biases left out, else 0.
    * ``output_bytes``: the size of the output. This is no sum of what training keeps: ``activation_memory``.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    output_bytes: int


@dataclass(frozen=True, repr=False)
class TextTable:
    """Header and rows of text; prints as aligned columns, and ``figures.Table(header, rows, caption)`` shows it."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        columns = []
        for name, *cells in zip(self.header, *self.rows, strict=True):
            width = max(map(len, (name, *cells)))
            numbers = all(cell.replace(",", "").isdigit() for cell in cells)
            columns.append([f"{cell:>{width}}" if numbers else f"{cell:<{width}}" for cell in (name, *cells)])
        return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def layers(network: nn.Module, input_shape: tuple[int, int, int] = (3, 32, 32)) -> list[Layer]:
    """Return every module call that computes something or owns parameters, in order, in evaluation mode.

    Works on any image network. Containers and ``Identity`` modules are left out, and what is not a module
    (torchvision's ``out += identity``) is not seen.

    Raises ``TypeError`` or ``ValueError`` if ``network`` is no module, ``input_shape`` is not three positive whole
    numbers, or the network does not take such images.
    """
    found: list[Layer] = []
    counted = set()

    def record(name: str, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        own = 0 if name in counted else sum(p.numel() for p in module.parameters(recurse=False))
        counted.add(name)
        shape = tuple(output.shape[1:])  # without N
        size = output.element_size() * output[0].numel()
        found.append(Layer(name, type(module).__name__, shape, own, _multiply_adds(module, output[0].numel()), size))

    twin = _data_free(network).eval()
    for name, module in twin.named_modules():
        leaf = next(module.children(), None) is None and not isinstance(module, nn.Identity)
        if leaf or next(module.parameters(recurse=False), None) is not None:
            module.register_forward_hook(lambda *call, name=name: record(name, *call))
    with torch.no_grad():
        twin(_images(twin, input_shape, 1))
    return found


def _multiply_adds(module: nn.Module, outputs: int) -> int:
    """Return the multiplications of one call with ``outputs`` numbers in its output: one per weight that meets each."""
    if isinstance(module, nn.Conv2d):
        return outputs * module.weight[0].numel()  # (C_in / groups) * k * k for each output
    return outputs * module.in_features if isinstance(module, nn.Linear) else 0


def parameter_count(network: nn.Module) -> int:
    """Return the number of learned numbers; running statistics of batch normalisation are not learned."""
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network: nn.Module, input_shape: tuple[int, int, int] = (3, 32, 32)) -> int:
    """Return the multiply-adds of one forward pass of one image: what He et al. 2015, Table 1, call FLOPs.

    Convolutions (projections and gates too) and linear layers. Errors: ``layers``.
    """
    return sum(layer.multiply_adds for layer in layers(network, input_shape))


def activation_memory(network: nn.Module, input_shape: tuple[int, int, int] = (3, 32, 32), batch: int = 128) -> int:
    """Return the bytes that autograd keeps between forward and backward pass of one training step.

    Every tensor that an operation saves for its gradient, each storage once: parameters and buffers left out, the
    batch of images included. The layers decide it: a ReLU keeps its output, a convolution and a batch
    normalisation their input, an addition nothing. The loss, the gradients and the optimizer come on top.

    Raises ``ValueError`` if ``batch`` is not a positive whole number, and as ``layers``.
    """
    if not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be a whole number of at least 1, got {batch!r}")
    twin = _data_free(network).train()
    return saved_bytes(twin, _images(twin, input_shape, batch))


def saved_bytes(network: nn.Module, images: Tensor) -> int:
    """Run ``network(images)`` as it stands and return the bytes that autograd saved, as ``activation_memory`` counts.

    In training mode this moves the running statistics, as every forward pass does.
    """
    # The dictionaries keep the storages alive, so that no identity is used twice.
    own = {id(s): s for s in (t.untyped_storage() for t in (*network.parameters(), *network.buffers()))}
    saved = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in own:
            saved[id(storage)] = storage
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(images)
    return sum(storage.nbytes() for storage in saved.values())


def _data_free(network: nn.Module) -> nn.Module:
    """Return a copy on the ``meta`` device, without copying a weight and without the network's hooks."""
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module, got {type(network).__name__}")
    replaced = {}
    for parameter in network.parameters():
        replaced[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
    for buffer in network.buffers():
        replaced[id(buffer)] = buffer.to("meta")
    for module in network.modules():  # a hook would be called, and may hold what cannot be copied
        for kind in ("forward", "forward_pre", "backward", "backward_pre"):
            hooks = getattr(module, f"_{kind}_hooks")
            replaced[id(hooks)] = type(hooks)()
    return copy.deepcopy(network, replaced)


def _images(network: nn.Module, input_shape: tuple[int, int, int], batch: int) -> Tensor:
    """Return ``batch`` data-free images ``(N, C, H, W)`` of the network's type."""
    shape = tuple(input_shape) if isinstance(input_shape, tuple | list | torch.Size) else (input_shape,)
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        hint = "; leave out the batch" if len(shape) == 4 else ""
        raise ValueError(f"input_shape must be one image's (C, H, W), such as (3, 32, 32), got {input_shape!r}{hint}")
    dtypes = (p.dtype for p in network.parameters() if p.is_floating_point())
    return torch.empty(batch, *shape, dtype=next(dtypes, torch.get_default_dtype()), device="meta")


def shape_table(network: nn.Module, input_shape: tuple[int, int, int] = (3, 32, 32)) -> TextTable:
    """Return ``layers`` as a table of name, kind, output shape (C×H×W), parameters and multiply-adds, with a sum.

    Errors: ``layers``.
    """
    found = layers(network, input_shape)
    rows = [
        (
            layer.name,
            layer.kind,
            "×".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}",
            f"{layer.multiply_adds:,}",
        )
        for layer in found
    ]
    totals = (sum(layer.parameters for layer in found), sum(layer.multiply_adds for layer in found))
    rows.append(("total", "", "", *(f"{total:,}" for total in totals)))
    return TextTable(("layer", "kind", "output shape", "parameters", "multiply-adds"), tuple(rows))


@dataclass(frozen=True, repr=False)
class ArchitectureTable(TextTable):
    """He et al. 2015, Table 1, of live networks; ``multiply_adds`` and ``parameters`` give the counts by depth."""

    multiply_adds: dict[int, int]
    parameters: dict[int, int]


def architecture_table(
    depths: tuple[int, ...] = tuple(IMAGENET_STAGES), variant: str = "v1.5", shortcut: str = "B"
) -> ArchitectureTable:
    """Rebuild He et al. 2015, Table 1, from the modules of ``imagenet_resnet``: 224×224 images, 1000 classes.

    A row a layer group (the paper's name, output size, one cell a depth), and the multiply-adds last. A cell
    such as ``[3×3, 64; 3×3, 64] × 2`` lists the convolutions of a block and how many such blocks follow each other.

    ``variant="v1"`` has the stride where the paper has it and agrees with its FLOPs (its 3.6×10⁹ for 34 layers is
    option A's); ``"v1.5"`` agrees with torchvision's. Options and errors: ``imagenet_resnet``.
    """
    if not depths:
        raise ValueError(f"depths must name at least one of {', '.join(map(str, IMAGENET_STAGES))}, got {depths!r}")
    columns, work, parameters = [], {}, {}
    for depth in depths:
        with torch.device("meta"):
            network = imagenet_resnet(depth, variant=variant, shortcut=shortcut)
        found = layers(network, (3, 224, 224))
        work[depth] = sum(layer.multiply_adds for layer in found)
        parameters[depth] = parameter_count(network)
        columns.append([*_groups(network, found), ("FLOPs", "", f"{work[depth] / 1e9:.1f}×10⁹")])
    rows = [(*cells[0][:2], *(contents for _, _, contents in cells)) for cells in zip(*columns, strict=True)]
    header = ("layer name", "output size", *(f"{depth}-layer" for depth in depths))
    return ArchitectureTable(header, tuple(rows), work, parameters)


def _groups(network: nn.Module, found: list[Layer]) -> Iterator[tuple[str, str, str]]:
    """Yield (name, output size, contents) of the stem, the pooling, each stage and the head."""
    shapes = {layer.name: layer.output_shape for layer in found}

    def size(name: str) -> str:
        return "×".join(map(str, shapes[name][1:]))

    stem, pool = network.conv1, network.maxpool
    yield "conv1", size("conv1"), f"{_kernel(stem)}, {stem.out_channels}, stride {stem.stride[0]}"
    yield "max pool", size("maxpool"), f"{pool.kernel_size}×{pool.kernel_size}, stride {pool.stride}"
    for number, stage in enumerate(network.stages, start=2):
        contents = [
            "; ".join(f"{_kernel(conv)}, {conv.out_channels}" for conv in weighted_layers(block).values())
            for block in stage
        ]
        runs = [(text, len(list(same))) for text, same in itertools.groupby(contents)]
        last = [name for name in shapes if name.startswith(f"layer{number - 1}.")][-1]
        yield f"conv{number}_x", size(last), ", ".join(f"[{text}] × {count}" for text, count in runs)
    yield "head", size("avgpool"), f"average pool, {network.fc.out_features}-d fc"


def _kernel(conv: nn.Conv2d) -> str:
    return "×".join(map(str, conv.kernel_size))


def shortcut_kinds(network: nn.Module) -> dict[str, str]:
    """Return what the path around each residual block is, by the block's name, input first.

    * ``"identity"``: the input itself; the solid line of He et al. 2015, Fig. 3.
    * ``"padding"``: option A where the shape changes, every other pixel and zeros for the new channels; dashed.
    * ``"projection"``: a 1x1 convolution, with option B where the shape changes (dashed), with C everywhere.
    * ``"none"``: a plain block.

    Raises ``ValueError`` if the network has no block of ``resnet_edu.blocks``.
    """

    def kind(path: Shortcut) -> str:
        if path.kind == "none":
            return "none"
        if path.is_projection:
            return "projection"
        return "identity" if path.is_identity else "padding"

    kinds = {n: kind(block.downsample) for n, block in network.named_modules() if isinstance(block, ResidualBlock)}
    if not kinds:
        raise ValueError(
            f"{type(network).__name__} has no residual block of resnet_edu.blocks; build it with resnet_edu.networks"
        )
    return kinds
