"""Pictures of where the activation stands in a residual block (He et al. 2016, Fig. 4 and Table 2)."""

import operator
from collections.abc import Mapping

import numpy as np
from torch import fx, nn

from resnet_edu.blocks import Mixing
from resnet_edu.figures import DASHES, MARKERS, ON, OTHERS, Figure, legend, panels

# Our names (``cifar_resnet(activation=...)``) to those of Table 2, in its order.
NAMES = {
    "post": "original",
    "bn-after-addition": "BN after addition",
    "relu-before-addition": "ReLU before addition",
    "relu-only-pre": "ReLU-only pre-activation",
    "pre": "full pre-activation",
}
_LETTERS = {nn.BatchNorm2d: "BN", nn.ReLU: "ReLU"}
_FILL = {"conv": ON, "BN": "#009E73", "ReLU": "#CC79A7"}


class _Trace(fx.Tracer):
    """Keeps whole what joins the paths: its gates are no steps of the branch."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, Mixing) or super().is_leaf_module(module, name)


def steps(block: nn.Module) -> list[str]:
    """Return what a block does, in the order in which it does it: ``"3×3 conv"``, ``"BN"``, ``"ReLU"``, ``"+"``.

    Read from a trace of the live module, so a drawing cannot differ from the code.
    """
    graph = _Trace().trace(block)
    found = []
    for node in graph.nodes:
        module = block.get_submodule(node.target) if node.op == "call_module" else None
        if node.target is operator.add or isinstance(module, Mixing):
            found.append("+")
        elif isinstance(module, nn.Conv2d) and "." not in node.target:  # the shortcut's own lie in a module below
            found.append(f"{module.kernel_size[0]}×{module.kernel_size[1]} conv")
        elif type(module) in _LETTERS and "." not in node.target:
            found.append(_LETTERS[type(module)])
    return found


def diagrams(blocks: Mapping[str, nn.Module]) -> Figure:
    """Return the blocks side by side, drawn from the live modules; the arc is the shortcut (solid: identity)."""
    sequences = {title: steps(block) for title, block in blocks.items()}

    def draw(canvas, ink):
        axes = panels(canvas, len(blocks), stacked=2)
        for ax, (title, block) in zip(axes, blocks.items(), strict=True):
            _draw(ax, sequences[title], "-" if block.downsample.is_identity else "--", ink)
            head, _, tail = title.rpartition(" ")
            ax.set_title(f"{head}\n{tail}".replace(" addition", "\naddition"), fontsize=9.5)

    order = "; ".join(f"{title}: {' → '.join(sequence)}" for title, sequence in sequences.items())
    return Figure(
        draw,
        "The orders of He et al. 2016, Table 2, drawn from the live modules: x enters at the top.",
        f"Block diagrams with an arc from x to the addition. {order}.",
        size=(7.2, 4.6),
        narrow=4.2 * -(-len(blocks) // 2),
    )


def _draw(ax, sequence: list[str], dash: str, ink: Mapping[str, str]) -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    ax.axis("off")
    ax.set_xlim(-1.15, 1.75)
    ax.set_ylim(-len(sequence) - 1.0, 0.6)

    def arrow(start: float, end: float) -> None:
        ax.add_patch(FancyArrowPatch((0, start), (0, end), arrowstyle="-|>", mutation_scale=8, lw=1,
                                     color=ink["soft"], shrinkA=0, shrinkB=0))  # fmt: skip

    ax.text(0, 0.35, "x", ha="center", va="center", style="italic")
    arrow(0.15, -0.7)
    for index, label in enumerate(sequence, start=1):
        adds = label == "+"
        half, width = (0.27, 0.28) if adds else (0.3, 1.0)
        colour = _FILL.get(label.rpartition(" ")[2], ink["ink"])
        box = FancyBboxPatch((-width, 0.05 - index - half), 2 * width, 2 * half - 0.1, lw=1.2,
                             fc=ink["paper"] if adds else colour + "33", ec=ink["ink"] if adds else colour,
                             boxstyle="round,pad=0.03,rounding_size=0.12")  # fmt: skip
        ax.add_patch(box)
        ax.text(0, -index, label, ha="center", va="center", fontsize=9)
        arrow(-index - half, -index - 1 + (0.3 if index < len(sequence) else 0.35))
        if adds:
            ax.plot([0.08, 1.5, 1.5], [0, 0, -index], color=ON, lw=1.8, ls=dash)
            ax.add_patch(FancyArrowPatch((1.5, -index), (0.32, -index), arrowstyle="-|>", color=ON, lw=1.8, ls=dash,
                                         mutation_scale=9, shrinkA=0, shrinkB=0))  # fmt: skip
    ax.text(0, -len(sequence) - 0.85, "y", ha="center", va="center", style="italic")


def along_blocks(
    series: Mapping[str, np.ndarray], caption: str, alt: str, ylabel: str, xlabel: str = "block, input left", log=True
) -> Figure:
    """Return a number along the network, a line each; ``series`` values are ``(points,)``."""

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, (label, values) in enumerate(series.items()):
            colour, dash = (ON, "-") if index == 0 else (OTHERS[(index - 1) % 5], DASHES[(index - 1) % 5])
            places = np.arange(1, len(values) + 1)
            ax.plot(places, values, color=colour, ls=dash, marker=MARKERS[index], markevery=max(1, len(values) // 9),
                    label=label)  # fmt: skip
        if log:
            ax.set_yscale("log")
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        legend(canvas, *ax.get_legend_handles_labels())

    return Figure(draw, caption, alt, size=(6.4, 4.3))
