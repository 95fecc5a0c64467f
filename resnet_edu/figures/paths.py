"""Pictures of a residual network as many paths: which there are, what blocks do, how long the paths are that count."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from resnet_edu.figures import (
    DASHES,
    MARKERS,
    OFF,
    ON,
    OTHERS,
    Figure,
    bars_above_zero,
    is_narrow,
    legend,
    panels,
)
from resnet_edu.figures.bank import source
from resnet_edu.runs import Runs


def _style(label: str, index: int) -> dict:
    """Return a line style by a network's name; anything else gets the colour and dash of its place."""
    known = {"plain": (OFF, "--", "o"), "residual": (ON, "-", "s"), "pre": (OTHERS[0], ":", "^")}
    other = (OTHERS[1 + index % 4], DASHES[index % len(DASHES)], MARKERS[3 + index % 3])
    colour, dash, marker = known.get(label.partition("-")[0], other)
    return {"color": colour, "ls": dash, "marker": marker}


def unravelled(blocks: int, caption: str, alt: str) -> Figure:
    """Return every path through ``blocks`` residual blocks, a row each, the shortest on top.

    Raises ``ValueError`` for more than four blocks: there are 2ⁿ rows.
    """
    paths = _paths(blocks)

    def draw(canvas, ink):
        ax = _path_axes(canvas.subplots(), blocks, len(paths))
        for row, path in enumerate(paths):
            _draw_path(ax, ink, row, path, blocks, ON)
            if row and len(path) != len(paths[row - 1]):
                ax.axhline(-row + 0.5, color=ink["grid"], lw=0.8)

    return Figure(draw, caption, alt, size=(6.4, 0.5 + 0.38 * len(paths)))


def lesion(blocks: int, deleted: int, caption: str, alt: str) -> Figure:
    """Return what a deleted block leaves of the paths of a residual network, and of the one path of a plain network.

    ``deleted`` counts from 1. A path that is lost is grey, dashed and crossed out where the block was. Raises
    ``ValueError`` for a block that is not there, or for more than four blocks.
    """
    paths = _paths(blocks)
    if not 1 <= deleted <= blocks:
        raise ValueError(f"deleted must lie in 1 … {blocks}, got {deleted}")

    def draw(canvas, ink):
        ax = _path_axes(canvas.subplots(), blocks, len(paths) + 2.4)
        gone = deleted - 1
        for row, path in enumerate(paths):
            lost = gone in path
            _draw_path(ax, ink, row, path, blocks, ON, cross=gone if lost else None)
        ax.axhline(-len(paths) + 0.5, color=ink["grid"], lw=0.8)
        ax.text(-0.4, -len(paths) - 0.1, "the plain network", va="center", fontsize=10)
        _draw_path(ax, ink, len(paths) + 1, set(range(blocks)), blocks, OFF, cross=gone, name="layers")

    return Figure(draw, caption, alt, size=(6.4, 0.5 + 0.38 * (len(paths) + 2)))


def _paths(blocks: int) -> list[set[int]]:
    if not 1 <= blocks <= 4:
        raise ValueError(f"blocks must lie in 1 … 4 to be drawn path by path, got {blocks}")
    return [set(chosen) for length in range(blocks + 1) for chosen in combinations(range(blocks), length)]


def _path_axes(ax, blocks: int, rows: float):
    ax.axis("off")
    ax.set_xlim(-0.55, blocks + 1.75)
    ax.set_ylim(-rows + 0.4, 0.6)
    return ax


def _draw_path(ax, ink, row, path, blocks, colour, cross=None, name="branch") -> None:
    """Draw one path from x: a box for each branch on it; ``cross`` is the block at which it ends."""
    from matplotlib.patches import FancyBboxPatch

    lost = cross is not None
    edge = ink["soft"] if lost else colour
    line = {"color": ink["soft"] if path or lost else colour, "ls": "--" if lost else "-", "lw": 1.4, "zorder": 1}
    ax.plot([-0.25, blocks + 0.25], [-row, -row], **line)
    ax.text(-0.4, -row, "x", ha="center", va="center", style="italic")
    for block in sorted(path):
        box = FancyBboxPatch((block + 0.2, -row - 0.24), 0.5, 0.48, fc=ink["paper"], ec=edge, lw=1.4,
                             ls=line["ls"], boxstyle="round,pad=0.02,rounding_size=0.1", zorder=2)  # fmt: skip
        ax.add_patch(box)
        short = ("F" if name == "branch" else "f") + "₁₂₃₄"[block]
        text = short if is_narrow(ax.figure) else f"{name} {block + 1}"
        ax.text(block + 0.45, -row, text, ha="center", va="center", fontsize=9.5,
                color=ink["soft"] if lost else ink["ink"])  # fmt: skip
    if lost:
        ax.plot([cross + 0.45], [-row], marker="x", ms=17, mew=2.2, color=OFF, zorder=3)
    ax.text(blocks + 0.4, -row, "lost" if lost else f"length {len(path)}", va="center", fontsize=10)


def by_block(
    series: Mapping[str, np.ndarray],
    caption: str,
    alt: str,
    levels: Mapping[str, float] | None = None,
    marked: Sequence[int] = (),
    ylabel: str = "test error (%)",
    ceiling: float | None = 100,
) -> Figure:
    """Return a number for every block, input left: a line a network, through the mean where there are several runs.

    ``series`` values are ``(blocks,)`` or ``(runs, blocks)``; with several runs the band is one standard deviation.
    ``levels`` are horizontal lines (the intact networks), ``marked`` the blocks that change the shape.
    """

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, (label, values) in enumerate(series.items()):
            values = np.atleast_2d(values)
            style = _style(label, index)
            places = np.arange(1, values.shape[1] + 1)
            ax.plot(places, values.mean(0), label=label, **style)
            if len(values) > 1:
                mean = values.mean(0)
                down, up = bars_above_zero(mean, values.std(0, ddof=1))
                ax.fill_between(places, mean - down, mean + up, color=style["color"], alpha=0.15, lw=0)
            if levels and label in levels:
                ax.axhline(levels[label], color=style["color"], ls=style["ls"], lw=0.9)
        for number, block in enumerate(marked):
            name = "changes the shape" if number == 0 else None
            ax.axvline(block + 1, color=ink["soft"], lw=5, alpha=0.25, label=name)
        step = max(1, round(places[-1] / 10))
        ax.set_xticks([place for place in places if (place - 1) % step == 0])
        ax.set_xlabel("block, from the input (left) to the output (right)")
        ax.set_ylabel(ylabel)
        ax.set_ylim(0, ceiling)
        legend(canvas, *ax.get_legend_handles_labels())

    return Figure(draw, caption, alt, size=(6.4, 4.2))


def against_count(
    series: Mapping[str, np.ndarray], caption: str, alt: str, xlabel: str = "blocks deleted", guessing: float = 90.0
) -> Figure:
    """Return test error against a count: a line a network; the dotted line is guessing.

    ``series`` values are ``(points, 2)``, rows of (count, error), or ``(runs, points, 2)``; the band is one deviation.
    """

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, (label, rows) in enumerate(series.items()):
            rows = np.asarray(rows, dtype=float).reshape(-1, *np.shape(rows)[-2:])  # (runs, points, 2)
            style = _style(label, index)
            x, mean = rows[0, :, 0], rows[:, :, 1].mean(0)
            ax.plot(x, mean, label=label, **style)
            if len(rows) > 1:
                down, up = bars_above_zero(mean, rows[:, :, 1].std(0, ddof=1))
                ax.fill_between(x, mean - down, mean + up, color=style["color"], alpha=0.15, lw=0)
        ax.axhline(guessing, color=ink["soft"], ls=":", lw=1.2)
        ax.annotate("guessing", (1, guessing), xycoords=("axes fraction", "data"), xytext=(4, 0), va="center",
                    textcoords="offset points", fontsize=9.5, annotation_clip=False)  # fmt: skip
        ax.set_xlabel(xlabel)
        ax.set_ylabel("test error (%)")
        ax.set_ylim(0, 100)
        legend(canvas, *ax.get_legend_handles_labels())

    return Figure(draw, caption, alt, size=(6.4, 4.0))


def shuffles(groups: Mapping[str, Runs], caption: str, alt: str) -> Figure:
    """Return recorded test error against Kendall's tau of the shuffled blocks: a mark for every shuffled network."""

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, (label, runs) in enumerate(groups.items()):
            rows = runs.measured("shuffles", "rows").reshape(-1, 3)  # (swaps, tau, error)
            ax.plot(rows[:, 1], rows[:, 2], ms=5, mfc="none", label=label, **_style(label, index) | {"ls": ""})
        ax.set_xlabel("Kendall's tau of the order of blocks (1: untouched)")
        ax.set_ylabel("test error (%)")
        ax.set_ylim(0, 100)
        ax.invert_xaxis()
        legend(canvas, *ax.get_legend_handles_labels(), columns=3)

    return Figure(draw, f"{caption} {source(groups)}", alt, size=(6.4, 4.0))


def path_lengths(norms: Mapping[str, np.ndarray], counts: np.ndarray, caption: str, alt: str) -> Figure:
    """Return two panels against path length: the gradient through one path (log), and the share of each length.

    ``norms`` values are ``(lengths, samples)``, ``counts`` ``(lengths,)`` are how many paths there are of each length.
    Left the mean, its band from the lowest to the highest sample; right counts times mean norms, as shares, with the
    standard error of the mean.
    """

    def draw(canvas, ink):
        left, right = panels(canvas, 2)
        lengths = np.arange(len(counts))
        for index, (label, values) in enumerate(norms.items()):
            mean, error = values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1])
            style = dict(color=(OTHERS[1], ON)[index % 2], ls=("-.", "-")[index % 2], marker=MARKERS[index],
                         markevery=max(1, len(lengths) // 9))  # fmt: skip
            band = {"color": style["color"], "alpha": 0.2, "lw": 0}
            left.plot(lengths, mean, **style)
            left.fill_between(lengths, np.maximum(values.min(1), 1e-12 * mean.max()), values.max(1), **band)
            share = 100 * counts / (counts * mean).sum()
            right.plot(lengths, share * mean, label=label, **style)
            right.fill_between(lengths, share * (mean - error), share * (mean + error), **band)
        right.plot(lengths, 100 * counts / counts.sum(), color=ink["soft"], ls=":", marker="x", label="number of paths",
                   markevery=max(1, len(lengths) // 9))  # fmt: skip
        left.set_yscale("log")
        left.set_title("one path", fontsize=11)
        left.set_ylabel("gradient norm at the image")
        right.set_title("all paths of a length", fontsize=11)
        right.set_ylabel("share (%)")
        right.set_ylim(bottom=0)
        for ax in (left, right):
            ax.set_xlabel("length (branches on the path)")
        legend(canvas, *right.get_legend_handles_labels(), columns=3)

    return Figure(draw, caption, alt, size=(7.0, 3.8), narrow=6.4)


def spectra(series: Mapping[str, np.ndarray], threshold: float, caption: str, alt: str) -> Figure:
    """Return singular values ``(seeds, directions)``, largest first, on a logarithmic axis: a thin line a seed.

    Directions are shown as shares; the dotted line is the threshold below which one counts as lost.
    """

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, (label, rows) in enumerate(series.items()):
            share = 100 * np.arange(1, rows.shape[1] + 1) / rows.shape[1]
            style = _style(label, index)
            style["markevery"] = max(1, rows.shape[1] // 8)
            for number, row in enumerate(np.maximum(rows, 1e-9)):
                ax.plot(share, row, lw=1.2, ms=4, label=None if number else label, **style)
        ax.axhline(threshold, color=ink["soft"], ls=":", lw=1.4)
        ax.annotate("lost below", (0, threshold), xytext=(0, -5), textcoords="offset points", va="top", fontsize=10)
        ax.set_yscale("log")
        ax.set_ylim(bottom=1e-6)
        ax.set_xlabel("direction, in order of size (%)")
        ax.set_ylabel("singular value of the product")
        legend(canvas, *ax.get_legend_handles_labels(), columns=3)

    return Figure(draw, caption, alt, size=(6.4, 4.0))


def branch_sizes(network, images) -> np.ndarray:
    """Return ``|branch(x)| / |shortcut(x)|`` for every block, a mean over ``images`` ``(N, C, H, W)``: ``(blocks,)``.

    Evaluation mode, running statistics; the network is put into that mode for the pass and back after it.
    """
    import torch

    found, mode = [], network.training

    def hook(block, inputs, output):
        norms = [part.flatten(1).norm(dim=1) for part in (block.branch(inputs[0]), block.shortcut(inputs[0]))]
        found.append((norms[0] / norms[1]).mean().item())

    handles = [block.register_forward_hook(hook) for block in network.blocks]
    with torch.no_grad():
        network.eval()(images)
    for handle in handles:
        handle.remove()
    network.train(mode)
    return np.array(found)
