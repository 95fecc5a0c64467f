"""Pictures of loss surfaces, and what can be counted on them."""

from collections.abc import Mapping

import numpy as np

from resnet_edu.figures import DASHES, MARKERS, OFF, ON, OTHERS, Figure, is_narrow, legend, panels
from resnet_edu.landscape import LossSurface

LEVELS = (0.01, 0.1, 0.5, 1, 2.3, 5, 20, 100, 1000)  # nats; 2.3 is guessing among ten classes


def recorded(record: Mapping) -> LossSurface:
    """Return the surface of a record of the experiment ``loss-surface``; what was not finite is infinite.

    Raises ``LookupError`` if the record has none.
    """
    from resnet_edu.runs import Runs

    found = Runs(record["experiment"], [record])
    loss, error = (found.measured("surface", key)[0] for key in ("loss", "error"))
    steps = np.linspace(-1, 1, len(loss))
    return LossSurface(steps, steps, np.nan_to_num(np.asarray(loss, float), nan=np.inf), np.asarray(error, float))


def not_convex(surface: LossSurface, within: float = np.inf) -> float:
    """Return the share (percent) of inner grid points where the surface bends downward in some direction.

    There the Hessian of finite differences (of its two dimensions alone) has a negative eigenvalue. A convex
    function has 0. Points beside a loss that is not finite count as bending downward. Only points that are at most
    ``within`` from the centre are counted.
    """
    z = np.asarray(surface.loss, dtype=float)
    with np.errstate(invalid="ignore", over="ignore"):
        aa = z[2:, 1:-1] - 2 * z[1:-1, 1:-1] + z[:-2, 1:-1]
        bb = z[1:-1, 2:] - 2 * z[1:-1, 1:-1] + z[1:-1, :-2]
        ab = (z[2:, 2:] - z[2:, :-2] - z[:-2, 2:] + z[:-2, :-2]) / 4
        convex = (aa * bb - ab**2 >= 0) & (aa + bb >= 0) & np.isfinite(aa + bb + ab)
    distance = np.hypot(surface.alphas[1:-1, None], surface.betas[None, 1:-1])
    return float(100 * (1 - convex[distance <= within + 1e-9].mean()))


def surfaces(maps: Mapping[str, LossSurface], caption: str, alt: str, levels: tuple = LEVELS) -> Figure:
    """Return filled contours of losses, a panel each, all with the same levels and colours; lines carry their level.

    Colours and levels are on a logarithmic scale; what lies below or above them has the end colours.
    """
    rows = -(-len(maps) // 2)

    def draw(canvas, ink):
        from matplotlib import colormaps
        from matplotlib.colors import BoundaryNorm

        colours = colormaps["viridis"]
        norm = BoundaryNorm(levels, colours.N, extend="both")
        shape = (len(maps), 1) if is_narrow(canvas) else (rows, min(2, len(maps)))
        axes = canvas.subplots(*shape, sharex=True, sharey=True, squeeze=False)
        for ax, (label, surface) in zip(axes.flat, maps.items(), strict=False):
            loss = np.nan_to_num(surface.loss, nan=1e9, posinf=1e9).clip(levels[0] / 10, 1e9).T  # x: alpha
            filled = ax.contourf(surface.alphas, surface.betas, loss, levels, norm=norm, cmap=colours, extend="both")
            lines = ax.contour(surface.alphas, surface.betas, loss, levels, colors="white", linewidths=0.6)
            for text in ax.clabel(lines, levels[1::2] if len(levels) > 5 else levels, fmt="%g", fontsize=9):
                text.set_bbox({"facecolor": "#000000", "alpha": 0.55, "pad": 0.8, "edgecolor": "none"})
            ax.plot(0, 0, marker="+", ms=9, mew=1.8, color="white")
            ax.set_title(label, fontsize=11)
            ax.set_aspect("equal")
            ax.grid(False)
            ax.set_xticks([-1, 0, 1])
            ax.set_yticks([-1, 0, 1])
        for ax in axes[-1]:
            ax.set_xlabel("step along $d_1$")
        for ax in axes[:, 0]:
            ax.set_ylabel("step along $d_2$")
        bar = canvas.colorbar(filled, ax=axes, ticks=levels, shrink=0.9, aspect=25, pad=0.02)
        bar.ax.set_yticklabels([f"{level:g}" for level in levels])
        bar.set_label("training loss (nats)")

    return Figure(draw, caption, alt, size=(6.4, 2.7 * rows + 0.35), narrow=3.0 * len(maps) + 0.35)


def lines(
    series: Mapping[str, np.ndarray],
    x: np.ndarray,
    caption: str,
    alt: str,
    xlabel: str = "step along a filter-normalised direction",
    guessing: float | None = None,
    marked: Mapping[float, str] | None = None,
) -> Figure:
    """Return losses (log scale) along a line: ``series`` values are ``(points,)`` or ``(directions, points)``.

    Several directions are drawn as thin lines. Names that begin with "plain" are orange and dashed, with "residual"
    blue and solid. ``guessing`` adds a level, ``marked`` names places on the line.
    """

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, (label, values) in enumerate(series.items()):
            kind = label.partition("-")[0].partition(" ")[0]
            first = {"plain": (OFF, "--"), "residual": (ON, "-")}.get(kind)
            taken = [other.partition("-")[0].partition(" ")[0] for other in list(series)[:index]]
            colour, dash = first if first and kind not in taken else (OTHERS[index % 5], DASHES[1 + index % 4])
            values = np.atleast_2d(values)
            for number, row in enumerate(values):
                ax.plot(x, row, color=colour, ls=dash, lw=1.8 if len(values) == 1 else 1.1, marker=MARKERS[index],
                        ms=4, markevery=max(1, len(x) // 10), label=None if number else label)  # fmt: skip
        if guessing:
            ax.axhline(guessing, color=ink["soft"], ls=":", lw=1.2)
            ax.annotate("guessing", (1, guessing), xycoords=("axes fraction", "data"), xytext=(4, 0), va="center",
                        textcoords="offset points", fontsize=9.5, annotation_clip=False)  # fmt: skip
        for place, name in (marked or {}).items():
            ax.axvline(place, color=ink["soft"], lw=1)
            ax.annotate(name, (place, 1), xycoords=("data", "axes fraction"), xytext=(4, -3), va="top",
                        textcoords="offset points", fontsize=9.5)  # fmt: skip
        ax.set_yscale("log")
        ax.set_xlabel(xlabel)
        ax.set_ylabel("training loss (nats)")
        legend(canvas, *ax.get_legend_handles_labels())

    return Figure(draw, caption, alt, size=(6.4, 4.0))


def ways(maps: Mapping[str, tuple[LossSurface, np.ndarray]], caption: str, alt: str, levels=LEVELS) -> Figure:
    """Return maps of the plane of a training run with the way that it took: ``(surface, places)`` a panel.

    ``places`` ``(checkpoints, 2)`` are the run's points in the plane, the start first.
    """

    def draw(canvas, ink):
        from matplotlib import colormaps
        from matplotlib.colors import BoundaryNorm

        colours = colormaps["viridis"]
        norm = BoundaryNorm(levels, colours.N, extend="both")
        axes = panels(canvas, len(maps))
        for ax, (label, (surface, places)) in zip(axes, maps.items(), strict=True):
            loss = np.nan_to_num(surface.loss, nan=1e9, posinf=1e9).clip(levels[0] / 10, 1e9).T  # x: alpha
            filled = ax.contourf(surface.alphas, surface.betas, loss, levels, norm=norm, cmap=colours, extend="both")
            ax.contour(surface.alphas, surface.betas, loss, levels, colors="white", linewidths=0.6)
            ax.plot(places[:, 0], places[:, 1], color="white", lw=3)
            ax.plot(places[:, 0], places[:, 1], color="black", lw=1.4, marker="o", ms=4, mec="white", mew=0.8)
            for place, name, side in ((places[0], "start", "left"), (places[-1], "trained", "right")):
                note = ax.annotate(name, place, xytext=(6 if side == "left" else -2, 8), textcoords="offset points",
                                   color="white", fontsize=10, ha=side)  # fmt: skip
                note.set_bbox({"facecolor": "#000000", "alpha": 0.55, "pad": 1.2, "edgecolor": "none"})
            ax.set_title(label, fontsize=11)
            ax.grid(False)
            ax.set_xlabel("1st component")
            if ax is axes[0] or is_narrow(canvas):
                ax.set_ylabel("2nd component")
        bar = canvas.colorbar(filled, ax=axes, ticks=levels, shrink=0.9, aspect=25, pad=0.02)
        bar.ax.set_yticklabels([f"{level:g}" for level in levels])
        bar.set_label("training loss (nats)")

    return Figure(draw, caption, alt, size=(6.4, 3.4), narrow=3.2 * len(maps))
