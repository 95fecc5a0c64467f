"""Networks of the lab as files: from the page into PyTorch, and back.

A file is in the safetensors format, with the names and shapes of ``cifar_resnet``'s own state; its header says how the
network was made (``front/engine/weights.mjs`` writes and reads the same).
"""

import datetime
import json
import os
from pathlib import Path
from typing import IO

import torch
from torch import Tensor, nn

from resnet_edu.blocks import BLOCKS
from resnet_edu.devices import random_numbers
from resnet_edu.files import replacing
from resnet_edu.interventions import AlteredBlock
from resnet_edu.lab.kernel import connect
from resnet_edu.lab.recording import CHOICES, DEFAULTS
from resnet_edu.networks import ACTIVATIONS, ResNet, cifar_resnet

VERSION = 1
ARCHITECTURE = ("depth", "shortcut", "normalization", "activation", "width")
COUNTED = ".num_batches_tracked"  # PyTorch's counter, which the lab has no use for


def load_network(file: str | os.PathLike | bytes | IO[bytes]) -> ResNet:
    """Return the network that the lab stored in ``file`` (a path, its bytes, or an open binary file).

    ``(N, 1, 8, 8) -> (N, 10)``, in evaluation mode, on the CPU; images are normalised as ``digits().normalize`` does.
    The logits are those of the page to single precision. Blocks that were cut or scaled in the page are so here.
    ``network.lab`` holds the file's header: ``config``, ``step`` and what the page wrote (``name``, ``date`` …).

    Raises ``ValueError`` if it is no file of the lab, or damaged, ``OSError`` if it cannot be read.
    """
    import safetensors
    from safetensors.torch import load

    content = file if isinstance(file, bytes) else file.read() if hasattr(file, "read") else Path(file).read_bytes()
    try:
        tensors = load(content)
        about = json.loads(_metadata(content)["resnet_edu"])
        version, config, blocks = about["version"], about["config"], about["blocks"]
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _not_ours(f"it cannot be read ({type(error).__name__}: {error})") from error
    if version != VERSION:
        raise _not_ours(f"it is of version {version!r}, and this package reads version {VERSION}")
    network = _build(config)
    try:
        missing, unexpected = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise _not_ours(f"its weights do not fit its settings ({error})") from error
    missing = [name for name in missing if not name.endswith(COUNTED)]
    if missing or unexpected:
        raise _not_ours(f"{(missing + unexpected)[0]} is {'missing' if missing else 'not a part of the network'}")
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise _not_ours(f"{broken[0]} holds numbers that are not finite")
    _apply(network, blocks)
    network.lab = about
    return network.eval()


def save_network(network: ResNet, file: str | os.PathLike, **facts: object) -> None:
    """Store a network so that the lab in a page can open it (``load_network`` reads it, too).

    ``network`` is one of ``cifar_resnet(…, in_channels=1)`` for ten classes, or came from ``load_network``; ``facts``
    go into the header (``name``, ``test_error`` …, what JSON can hold). Raises ``ValueError`` for a network that the
    lab cannot be, and for facts that JSON cannot hold.
    """
    from safetensors.torch import save

    blocks, pairs = [], []
    for block in network.blocks:
        inner = block.block if isinstance(block, AlteredBlock) else block
        factors = (block.branch_factor, block.shortcut_factor) if inner is not block else (1.0, 1.0)
        connected = inner.downsample.kind != "none"
        blocks.append({"connected": connected, "branch": factors[0], "shortcut": factors[1]})
        pairs.append((inner, inner.__dict__.get("_built_downsample", inner.downsample)))
    config = _config_of(network, pairs)
    tensors = _tensors_of(network, [built for _, built in pairs], _build(config))
    about = {
        "version": VERSION, "step": 0, "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "versions": {"torch": torch.__version__}, **getattr(network, "lab", {}), **facts,
        "config": {**DEFAULTS, **getattr(network, "lab", {}).get("config", {}), **config}, "blocks": blocks,
    }  # fmt: skip
    try:
        text = json.dumps(about, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"facts must be what JSON can hold, got {facts!r} ({error})") from error
    with replacing(Path(file)) as opened:
        opened.write(save(tensors, {"format": "pt", "resnet_edu": text}))


def _tensors_of(network: ResNet, shortcuts: list[nn.Module], twin: ResNet) -> dict[str, Tensor]:
    """Return the network's weights and statistics by the names of its untouched ``twin``; a cut projection's, too."""
    found = {name.replace(".block.", "."): tensor for name, tensor in network.state_dict().items()}
    names = [f"layer{number}.{index}" for number, stage in enumerate(network.stages, 1) for index in range(len(stage))]
    for name, built in zip(names, shortcuts, strict=True):
        found |= {f"{name}.downsample.{key}": tensor for key, tensor in built.state_dict().items()}
    wanted = {name: tensor for name, tensor in twin.state_dict().items() if not name.endswith(COUNTED)}
    for name, tensor in wanted.items():
        if name not in found or found[name].shape != tensor.shape:
            raise ValueError(f"the lab has no such network: {name} should have the shape {tuple(tensor.shape)}")
    return {name: found[name].detach().float().cpu().contiguous() for name in wanted}


def _not_ours(why: str) -> ValueError:
    return ValueError(f"this is not a network of the lab: {why}; give a file that the lab or save_network has written")


def _metadata(content: bytes) -> dict:
    """Return the header's own entries; ``safetensors.torch.load`` has checked the file, but does not return them."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def _build(config: dict) -> ResNet:
    """Return an untrained network with the architecture of a lab's configuration."""
    try:
        chosen = {name: config[name] for name in ARCHITECTURE}
    except (KeyError, TypeError) as error:
        raise _not_ours(f"its settings are {config!r}") from error
    offered = {**CHOICES, "activation": ACTIVATIONS}  # the lab's Worker builds all five orders, its settings show two
    wrong = [name for name in ("shortcut", "normalization", "activation") if chosen[name] not in offered[name]]
    sizes = isinstance(chosen["depth"], int) and isinstance(chosen["width"], int)
    if wrong or not sizes or not 8 <= chosen["depth"] <= 200 or not 4 <= chosen["width"] <= 32:
        raise _not_ours(f"its settings are {chosen}")
    with random_numbers():  # the reader's own random numbers go on as if nothing had been drawn
        try:
            return cifar_resnet(**chosen, in_channels=1)
        except ValueError as error:
            raise _not_ours(str(error)) from error


def _apply(network: ResNet, blocks: list[dict]) -> None:
    """Cut and scale the blocks as the file says."""
    places = [(stage, index) for stage in network.stages for index in range(len(stage))]
    try:
        wanted = [(bool(one["connected"]), float(one["branch"]), float(one["shortcut"])) for one in blocks]
        for (stage, index), (connected, branch, shortcut) in zip(places, wanted, strict=True):
            if connected != (stage[index].downsample.kind != "none") and (connected or branch != 0):
                connect(stage[index], connected)  # without its branch, a block passes its shortcut on, cut or not
            if (branch, shortcut) != (1, 1):
                stage[index] = AlteredBlock(stage[index], branch, shortcut)
    except (KeyError, TypeError, ValueError) as error:
        raise _not_ours("its list of blocks is damaged") from error


def _config_of(network: ResNet, blocks: list[tuple[nn.Module, nn.Module]]) -> dict:
    """Return the settings of a network from its modules. Raises ``ValueError`` for what the lab does not have."""
    known = {BLOCKS["basic", order].__name__: order for order in ACTIVATIONS}
    kinds = {type(block).__name__ for block, _ in blocks}
    sizes = {len(stage) for stage in network.stages}
    shortcuts = {built.kind for _, built in blocks}
    reasons = {
        "its blocks must be BasicBlock or another order of it": len(kinds) != 1 or not kinds <= known.keys(),
        "it must have three stages of equally many blocks": network.num_stages != 3 or len(sizes) != 1,
        "its images must have one channel": network.in_channels != 1,
        "it must tell ten classes": network.fc.out_features != 10,
        "all its shortcuts must be of one kind": len(shortcuts) != 1,
        "its width must be 4, 8, 16 or 32": network.conv1.out_channels not in (4, 8, 16, 32),
        "its blocks must add plainly": any(block.mixing.kind != "add" for block, _ in blocks),
    }
    if wrong := [rule for rule, broken in reasons.items() if broken]:
        raise ValueError(f"the lab has no such network: {wrong[0]}; build it with cifar_resnet(…, in_channels=1)")
    return {
        "depth": 2 * len(blocks) + 2,
        "shortcut": shortcuts.pop(),
        "normalization": "none" if isinstance(network.bn1, nn.Identity) else "batch",
        "activation": known[kinds.pop()],
        "width": network.conv1.out_channels,
    }
