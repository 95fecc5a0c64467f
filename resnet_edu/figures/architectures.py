"""Figures of the chapters on bottlenecks and on architectures: blocks, their costs, and whole networks."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn

from resnet_edu.accounting import layers, shortcut_kinds
from resnet_edu.figures import ON, OTHERS, Figure, _draw_block, _steps, is_narrow, panels
from resnet_edu.networks import ResNet


def block_pair(blocks: Mapping[str, nn.Module], caption: str) -> Figure:
    """Return drawings of blocks side by side, made from the blocks themselves; a title each."""

    def draw(canvas, ink):
        most = max(len(_steps(block)) for block in blocks.values())
        for ax, (title, block) in zip(panels(canvas, len(blocks), stacked=2), blocks.items(), strict=True):
            _draw_block(ax, block, ink)
            ax.set_ylim(-most - 0.95, 0.75)  # one scale for all, so that their lengths can be compared
            ax.set_title(title, fontsize=10.5)

    texts = (f"{title}: {' → '.join(text for _, text in _steps(block))}" for title, block in blocks.items())
    alt = f"Block diagrams from input x to output y. {'; '.join(texts)}. An arc leads from x to each addition."
    return Figure(draw, caption, alt, size=(6.4, 5.0))


def cost_bars(costs: Mapping[str, Mapping[str, float]], caption: str) -> Figure:
    """Return one panel a cost and one bar a block: ``costs[block][cost]``, the value written at each bar."""
    blocks = list(costs)
    names = list(costs[blocks[0]])

    def draw(canvas, ink):
        canvas.get_layout_engine().set(h_pad=0.12)
        columns = 1 if is_narrow(canvas) else (len(names) + 1) // 2
        axes = canvas.subplots(-(-len(names) // columns), columns, squeeze=False, sharey=True)
        for ax, name in zip(axes.flat, names, strict=False):
            values = [costs[block][name] for block in blocks]
            places = np.arange(len(blocks))
            ax.barh(places, values, height=0.62, color=[OTHERS[place] for place in places])
            for place, value in zip(places, values, strict=True):
                ax.annotate(f"{value:,.3g}" if value < 1000 else f"{value:,.0f}", (value, place), xytext=(4, 0),
                            textcoords="offset points", va="center", fontsize=9.5)  # fmt: skip
            ax.set_yticks(places, blocks)
            ax.invert_yaxis() if ax is axes.flat[0] else None  # shared: once is enough
            ax.set_xlim(0, 1.3 * max(values))
            ax.set_title(name, fontsize=10.5)
            ax.xaxis.set_major_locator(_few_ticks())
            ax.grid(axis="y", visible=False)

    parts = (f"{name}: {', '.join(f'{b} {costs[b][name]:,.3g}' for b in blocks)}" for name in names)
    return Figure(
        draw, caption, f"Bar charts, one for each cost. {'. '.join(parts)}.", size=(6.4, 4.2), narrow=1.6 * len(names)
    )


def _few_ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3)


def pixels_read(maps: Mapping[str, Tensor], caption: str, alt: str) -> Figure:
    """Return maps ``(H, W)`` of truth values as grids of squares: full where a block reads the pixel."""

    def draw(canvas, ink):
        for ax, (title, read) in zip(panels(canvas, len(maps), stacked=2), maps.items(), strict=True):
            read = np.asarray(read)
            height, width = read.shape
            for y, x in np.ndindex(read.shape):
                _square(ax, x, y, ON if read[y, x] else "none", ink["soft"])
            ax.set_xlim(-0.1, width + 0.1)
            ax.set_ylim(height + 0.1, -0.1)
            ax.set_aspect("equal")
            ax.axis("off")
            ax.set_title(title, fontsize=10.5)

    return Figure(draw, caption, alt, size=(6.4, 2.9))


def _square(ax, x: float, y: float, face: str, edge: str) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x + 0.08, y + 0.08), 0.84, 0.84, fc=face, ec=edge, lw=0.9))


def network_diagram(network: ResNet, input_shape: tuple[int, int, int], caption: str, unit: str = "layer") -> Figure:
    """Return a network of ``resnet_edu.networks`` as He et al. 2015 draw it (Fig. 3), one column a stage.

    A box is a convolution (``unit="layer"``) or a whole block (``unit="block"``). A solid line around a block is an
    identity shortcut, a dashed one a shortcut that changes the shape. Everything is read off the live modules;
    ``input_shape`` is one image's ``(C, H, W)``.
    """
    shapes = {layer.name: layer.output_shape for layer in layers(network, input_shape)}
    kinds = shortcut_kinds(network)
    stem = [f"{_kernel(network.conv1)}, {network.conv1.out_channels}{_stride(network.conv1)}"]
    stem += ["max pool, /2"] if isinstance(network.maxpool, nn.MaxPool2d) else []
    columns = []
    for number, stage in enumerate(network.stages, start=1):
        last = [name for name in shapes if name.startswith(f"layer{number}.")][-1]
        blocks = [(_labels(block, unit), kinds[f"layer{number}.{index}"]) for index, block in enumerate(stage)]
        title, size = f"conv{number + 1}_x", "×".join(map(str, shapes[last][1:]))
        if number == 1:
            title, size = f"conv1, {title}", f"{'×'.join(map(str, shapes['conv1'][1:]))}, {size}"
        columns.append((f"{title}\n{size}", blocks))
    tail = ["average pool", f"linear, {network.fc.out_features}"]
    rows = [sum(len(labels) for labels, _ in blocks) for _, blocks in columns]
    height = max(rows[0] + len(stem), *rows[1:-1], rows[-1] + len(tail))

    def draw(canvas, ink):
        ax = canvas.subplots()
        ax.axis("off")
        ax.set_xlim(-0.42, len(columns) - 0.42)
        small = is_narrow(canvas)
        ax.set_ylim(height + 0.65, -2.4 if small else -1.35)
        for x, (title, blocks) in enumerate(columns):
            title = title.replace(", ", "\n") if small else title
            ax.text(x, -0.55, title, ha="center", va="bottom", fontsize=10)
            row = _boxes(ax, x, 0, stem, "#59636e", ink) if x == 0 else 0
            for labels, kind in blocks:
                end = _boxes(ax, x, row, labels, OTHERS[x % len(OTHERS)], ink)
                if kind != "none":
                    _around(ax, x, row, end, kind)
                row = end
            if x + 1 < len(columns):
                gap = x + 0.535
                ax.plot([x, x, gap, gap, x + 1, x + 1], [row - 0.12, row + 0.25, row + 0.25, -0.3, -0.3, 0],
                        color=ink["soft"], lw=1.2)  # fmt: skip
            else:
                _boxes(ax, x, row, tail, "#59636e", ink)

    def sentence(title: str, blocks: list) -> str:
        others = ", ".join(dict.fromkeys(kind for _, kind in blocks[1:])) or "none"
        return f"{title.replace(chr(10), ' at ')}: blocks {len(blocks)}, first shortcut {blocks[0][1]}, others {others}"

    text = "; ".join(sentence(*column) for column in columns)
    alt = f"The network in {len(columns)} columns, one for each stage. {text}. Only identity shortcuts are solid lines."
    return Figure(draw, caption, alt, size=(6.4, 0.36 * height + 0.9), narrow=0.36 * height + 1.3)


def _labels(block: nn.Module, unit: str) -> list[str]:
    convolutions = block.convolutions
    if unit == "block":
        stride = max(conv.stride[0] for conv in convolutions)
        channels = dict.fromkeys(str(conv.out_channels) for conv in convolutions)  # inside, and put out
        return ["–".join(channels) + (f", /{stride}" if stride > 1 else "")]
    return [f"{_kernel(conv)}, {conv.out_channels}{_stride(conv)}" for conv in convolutions]


def _kernel(conv: nn.Conv2d) -> str:
    return "×".join(map(str, conv.kernel_size))


def _stride(conv: nn.Conv2d) -> str:
    return f", /{conv.stride[0]}" if conv.stride[0] > 1 else ""


def _boxes(ax, x: float, row: int, labels: list[str], colour: str, ink: Mapping[str, str]) -> int:
    """Draw a box a row under each other and return the next free row."""
    from matplotlib.patches import FancyBboxPatch

    for index, label in enumerate(labels, start=row):
        ax.plot([x, x], [index - 0.1, index + 0.2], color=ink["soft"], lw=1.2, zorder=0)
        half = 0.42 if is_narrow(ax.figure) else 0.36
        box = FancyBboxPatch((x - half, index + 0.2), 2 * half, 0.62, fc=colour + "33", ec=colour, lw=1.1,
                             boxstyle="round,pad=0,rounding_size=0.06")  # fmt: skip
        ax.add_patch(box)
        ax.text(x, index + 0.51, label, ha="center", va="center", fontsize=9.2)
    return row + len(labels)


def _around(ax, x: float, start: int, end: int, kind: str) -> None:
    """Draw the shortcut of a block that fills the rows from ``start`` to ``end``."""
    top, bottom, side = start + 0.06, end - 0.06, x + 0.455
    dash = "-" if kind == "identity" else (0, (3, 1.5))
    ax.plot([x, side, side, x + 0.03], [top, top, bottom, bottom], color=ON, lw=1.9, ls=dash)
    ax.annotate("", (x, bottom), (x + 0.14, bottom),
                arrowprops={"arrowstyle": "-|>", "color": ON, "lw": 1.2, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
