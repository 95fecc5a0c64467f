"""Figures of the chapters on depth and on the residual block: profiles over layers or steps, and maps of pixels."""

from collections.abc import Mapping, Sequence

import numpy as np

from resnet_edu.figures import Figure, is_narrow, legend, panels, styles_by_name


def profiles(
    groups: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    caption: str,
    alt: str,
    xlabel: str,
    ylabels: Sequence[str],
    log: bool = False,
    size: tuple[float, float] = (6.4, 4.4),
) -> Figure:
    """Return one panel a title, one line a label: ``groups[title][label]`` is ``(seeds, points)``.

    A line is the mean over seeds (the geometric mean if ``log``), its band the range. The labels are those of every
    panel; their legend stands below. "plain" and "residual" have their colours of the whole book.

    Raises ``ValueError`` if there is not one ``ylabel`` a panel.
    """
    if len(ylabels) != len(groups):
        raise ValueError(f"ylabels must have one label a panel, got {len(ylabels)} for {len(groups)} panels")

    def draw(canvas, ink):
        axes = panels(canvas, len(groups))
        labels = list(dict.fromkeys(label for lines in groups.values() for label in lines))
        looks = styles_by_name(labels)
        for ax, (title, lines), ylabel in zip(axes, groups.items(), ylabels, strict=True):
            for label, values in lines.items():
                values = np.asarray(values, dtype=float)  # (seeds, points)
                mean = np.exp(np.log(values).mean(0)) if log else values.mean(0)
                x = np.arange(1, len(mean) + 1)
                look = looks[label]
                ax.plot(x, mean, label=label, markevery=max(1, len(x) // 8), **look)
                ax.fill_between(x, values.min(0), values.max(0), color=look["color"], alpha=0.15, lw=0)
            if log:
                ax.set_yscale("log")
            else:
                ax.set_ylim(bottom=0)
            if len(groups) > 1:
                ax.set_title(title, fontsize=10.5)
            ax.set_xlabel(xlabel)
            ax.set_ylabel(ylabel)
        legend(canvas, *axes[0].get_legend_handles_labels(), loc="outside lower center")

    return Figure(draw, caption, alt, size=size, narrow=1.2 + 2.8 * len(groups))


def field_maps(maps: Mapping[str, np.ndarray], sides: Sequence[int], caption: str, alt: str) -> Figure:
    """Return how much each pixel counts, a map ``(H, W)`` a title; a square of ``sides`` pixels marks the full field.

    Each map is drawn from 0 to its own largest value, for their levels differ by orders of magnitude.
    """

    def draw(canvas, ink):
        from matplotlib.patches import Rectangle

        axes = panels(canvas, len(maps), stacked=2)
        for ax, (title, values), side in zip(axes, maps.items(), sides, strict=True):
            values = np.asarray(values)
            image = ax.imshow(values / values.max(), cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
            centre = (values.shape[0] - 1) / 2
            ax.add_patch(Rectangle((centre - side / 2, centre - side / 2), side, side, fill=False,
                                   ec="#E69F00", lw=1.8, ls="--", clip_on=False))  # fmt: skip
            ax.set_title(title, fontsize=10.5)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.grid(False)
        below = {"orientation": "horizontal", "aspect": 30} if is_narrow(canvas) else {}
        canvas.colorbar(image, ax=axes, shrink=0.75, label="share of the largest", **below)

    return Figure(draw, caption, alt, size=(6.4, 2.2), narrow=0.9 + 2.1 * -(-len(maps) // 2))


def channel_maps(rows: Mapping[str, np.ndarray], caption: str, alt: str) -> Figure:
    """Return the channels of tensors as images, a row a tensor ``(C, H, W)``, on one grey scale.

    White is 0 and black the largest value; an empty frame is a channel of zeros. The maps keep their relative size,
    so that a halved map looks half as wide.

    Raises ``ValueError`` if a tensor has negative values, which the scale cannot show.
    """
    rows = {title: np.asarray(tensor) for title, tensor in rows.items()}
    if min(tensor.min() for tensor in rows.values()) < 0:
        raise ValueError("channel_maps shows values of at least 0; apply a ReLU first")
    top = max(tensor.max() for tensor in rows.values())
    most = max(tensor.shape[0] for tensor in rows.values())
    widest = max(tensor.shape[2] for tensor in rows.values())

    def draw(canvas, ink):
        from matplotlib.patches import Rectangle

        ax = canvas.subplots()
        step, y = 1.25 * widest, 0.0  # everything is placed in pixels of the widest map
        for title, tensor in rows.items():
            channels, height, width = tensor.shape
            ax.text(0, y - 0.1 * widest, f"{title} ({channels}×{height}×{width})", fontsize=10)
            for left, channel in zip(step * np.arange(channels), tensor, strict=True):
                ax.imshow(channel, cmap="gray_r", vmin=0, vmax=top, extent=(left, left + width, y + height, y))
                ax.add_patch(Rectangle((left, y), width, height, fill=False, ec=ink["soft"], lw=1.2))
            y += height + 0.55 * widest
        ax.set_xlim(-0.5, most * step)
        ax.set_ylim(y - 0.5 * widest, -0.45 * widest)
        ax.axis("off")

    heights = sum(tensor.shape[1] / widest + 0.55 for tensor in rows.values())
    return Figure(draw, caption, alt, size=(6.4, 6.4 / (1.25 * most) * heights))
