"""What a block costs, for every choice that the instrument ``bottleneck`` has.

Counted from the live block; the latency is measured on the machine at hand and recorded with
``python -m resnet_edu.lab.designer``, which names its device.
"""

import argparse
import datetime
import itertools
import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn

from resnet_edu.accounting import activation_memory, multiply_adds, parameter_count
from resnet_edu.blocks import SHORTCUTS, BasicBlock, Bottleneck, choose

RECORDED = Path(__file__).parent / "recorded" / "designer.json"
COMMAND = "python -m resnet_edu.lab.designer"
SIDE = 28  # height and width of the block's input, the same for all, so that all can be compared
PASSES = 25  # forward passes of a recorded time: enough for a median where something else is at work
CHOICES = {
    "block": ("basic", "bottleneck"),
    "channels": (64, 128, 256, 512),
    "shortcut": SHORTCUTS,
    "stride": (1, 2),
    "variant": ("v1", "v1.5"),
}


@dataclass(frozen=True)
class BlockCost:
    """One block and what it costs for one image of ``channels`` maps of 28x28.

    ``memory`` is what one image leaves behind for the backward pass, in bytes; ``milliseconds`` is the median
    time of a forward pass of one image, in evaluation mode, on the device that ``device`` names, ``fastest`` and
    ``slowest`` the range of the passes.
    """

    block: str
    channels: int
    shortcut: str
    stride: int
    variant: str
    parameters: int
    multiply_adds: int
    memory: int
    milliseconds: float
    fastest: float
    slowest: float


def build(block: str, channels: int, shortcut: str, stride: int, variant: str = "v1.5") -> nn.Module:
    """Return a block of ``channels`` input maps; stride 2 doubles the channels, as between the paper's stages.

    ``(N, channels, H, W) -> (N, stride · channels, H/stride, W/stride)``. A bottleneck has a quarter of its output
    channels inside (He et al. 2015, Fig. 5). Raises ``ValueError`` for a choice that is not in ``CHOICES``.
    """
    chosen = {"block": block, "channels": channels, "shortcut": shortcut, "stride": stride, "variant": variant}
    for name, value in chosen.items():
        choose(name, value, CHOICES[name])
    out = stride * channels
    if block == "basic":
        return BasicBlock(channels, out, stride, shortcut=shortcut)
    return Bottleneck(channels, out // 4, stride, shortcut=shortcut, stride_on="1x1" if variant == "v1" else "3x3")


def cost(
    block: str,
    channels: int,
    shortcut: str,
    stride: int,
    variant: str = "v1.5",
    device: str = "cpu",
    passes: int = PASSES,
) -> BlockCost:
    """Count one block and time ``passes`` of it on ``device``. Raises ``ValueError`` as ``build``."""
    module = build(block, channels, shortcut, stride, variant)
    shape = (channels, SIDE, SIDE)
    times = _latencies(module, shape, device, passes)
    return BlockCost(
        block,
        channels,
        shortcut,
        stride,
        variant,
        parameters=parameter_count(module),
        multiply_adds=multiply_adds(module, shape),
        memory=activation_memory(module, shape, batch=1),
        milliseconds=round(median(times), 3),
        fastest=round(min(times), 3),
        slowest=round(max(times), 3),
    )


@torch.inference_mode()
def _latencies(module: nn.Module, shape: tuple[int, int, int], device: str, repeats: int) -> list[float]:
    module = module.to(device).eval()
    x = torch.randn(1, *shape, device=device)
    times = []
    for _ in range(repeats + 2):
        if x.is_cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        module(x)
        if x.is_cuda:
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return times[2:]


def all_choices() -> list[dict]:
    """Return every distinct block; the variant matters where a bottleneck has a stride."""
    found = []
    for values in itertools.product(*CHOICES.values()):
        chosen = dict(zip(CHOICES, values, strict=True))
        if chosen["variant"] == "v1.5" or (chosen["block"] == "bottleneck" and chosen["stride"] == 2):
            found.append(chosen)
    return found


def load_costs() -> dict:
    """Return the recorded table: ``costs`` (rows of ``BlockCost``), ``passes``, ``device``, ``date`` and the rest."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def rows(one: BlockCost, other: BlockCost) -> list[tuple[str, str, str]]:
    """Return what two blocks cost as text: name, the one, the other."""
    cells = _text(one), _text(other)
    return [(name, *(cell[name] for cell in cells)) for name in cells[0]]


def _text(one: BlockCost) -> dict[str, str]:
    return {
        "parameters": f"{one.parameters:,}",
        "multiply-adds": f"{one.multiply_adds / 1e6:,.1f} million",
        "kept for the backward pass": f"{one.memory / 1e6:,.2f} MB",
        "forward pass": f"{one.milliseconds:,.2f} ms ({one.fastest:,.2f} to {one.slowest:,.2f})",
    }


def main() -> None:
    """Record the table on this machine's CPU."""
    argparse.ArgumentParser(prog=COMMAND, description=main.__doc__).parse_args()
    torch.set_num_threads(1)
    record = {
        "device": f"one thread of a CPU ({platform.machine()})",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "versions": {"torch": torch.__version__},
        "command": COMMAND,
        "passes": PASSES,
        "choices": CHOICES,
        "costs": [asdict(cost(**chosen)) for chosen in all_choices()],
    }
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{len(record['costs'])} blocks recorded in {RECORDED.name}")


if __name__ == "__main__":
    main()
