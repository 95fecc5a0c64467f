"""Pictures of what passes through a network: gradients, Jacobians and variances, layer by layer and by depth."""

from collections.abc import Mapping, Sequence

import numpy as np

from resnet_edu import paper
from resnet_edu.figures import OFF, ON, Figure, Table, is_narrow, legend, number_axis, panels, styles_by_name
from resnet_edu.figures.bank import SCATTERED, seed_count, source, styles
from resnet_edu.runs import Runs, outcome, scatters
from resnet_edu.runs import short as number


def profiles(
    groups: Mapping[str, Mapping[str, np.ndarray]],
    caption: str,
    alt: str,
    xlabel: str,
    ylabel: str,
    *,
    log: bool = True,
    start: int = 1,
    percent: bool = False,
    guides: Mapping[str, np.ndarray] | None = None,
    floor: float | None = None,
) -> Figure:
    """Return a panel for each group of lines; a line is ``(points,)`` or ``(seeds, points)``.

    Several seeds show as their mean (geometric on a log axis) and a band from the lowest to the highest. Labels
    that begin with "plain" or "residual" take the book's colours. Points count from ``start``, or lie at equal steps
    from 0 to 100 with ``percent``; ``guides`` are dotted lines in every panel, ``floor`` the least value shown.
    """
    labels = list(dict.fromkeys(label for lines in groups.values() for label in lines))
    look = styles_by_name(labels)

    def draw(canvas, ink):
        axes = panels(canvas, len(groups), sharey=True)
        handles = {}
        for ax, (title, lines) in zip(axes, groups.items(), strict=True):
            for label, values in lines.items():
                values = np.atleast_2d(np.asarray(values, dtype=float))  # (seeds, points)
                if floor is not None:
                    values = np.maximum(values, floor)
                count = values.shape[1]
                x = np.linspace(0, 100, count) if percent else np.arange(start, start + count)
                middle = np.exp(np.log(values).mean(0)) if log else values.mean(0)
                every = max(1, count // 7)
                (handles[label],) = ax.plot(x, middle, markevery=every, label=label, **look[label])
                if len(values) > 1:
                    ax.fill_between(x, values.min(0), values.max(0), color=look[label]["color"], alpha=0.15, lw=0)
            for label, values in (guides or {}).items():
                x = np.arange(start, start + len(values))
                (handles[label],) = ax.plot(x, values, ls=":", lw=1.5, color=ink["soft"], label=label)
            ax.set_title(title, fontsize=10.5)
            if log:
                ax.set_yscale("log")
            if ax is axes[0] or is_narrow(canvas):
                ax.set_ylabel(ylabel)
        canvas.supxlabel(xlabel, fontsize=10.5)
        legend(canvas, list(handles.values()), list(handles))

    return Figure(draw, caption, alt, size=(6.4, 4.2), narrow=1.4 + 2.8 * len(groups))


def by_depth(
    groups: Mapping[str, Runs], metrics: Mapping[str, str], caption: str, alt: str, log: bool = True
) -> Figure:
    """Return recorded metrics against depth, a panel each (``{"largest": "jacobians.product_largest"}``).

    A line joins the means over seeds (geometric on a log axis), the band reaches from the lowest to the highest.
    """
    look = styles(groups)

    def draw(canvas, ink):
        handles = {}
        for ax, (title, metric) in zip(panels(canvas, len(metrics)), metrics.items(), strict=True):
            depths = sorted({depth for runs in groups.values() for depth in runs.values("depth")})
            for label, runs in groups.items():
                own = runs.values("depth")
                samples = [runs.select(depth=depth).last(metric).values for depth in own]
                means = [np.exp(np.log(s).mean()) if log else s.mean() for s in samples]
                (handles[label],) = ax.plot(own, means, label=label, **look[label])
                low, high = [s.min() for s in samples], [s.max() for s in samples]
                ax.fill_between(own, low, high, color=look[label]["color"], alpha=0.15, lw=0)
            number_axis(ax, depths)
            ax.set_title(title, fontsize=10.5)
            if log:
                ax.set_yscale("log")
        canvas.supxlabel("depth (weighted layers)", fontsize=10.5)
        legend(canvas, list(handles.values()), list(handles))

    kind = "Geometric mean" if log else "Mean"
    caption = f"{caption} {kind} and range of {seed_count(groups)} seeds. {source(groups)}"
    return Figure(draw, caption, alt, size=(6.4, 4.0), narrow=1.4 + 2.6 * len(metrics))


def ellipses(chains: Mapping[str, Mapping[str, np.ndarray]], caption: str, alt: str) -> Figure:
    """Return what matrices ``(2, 2)`` make of a circle, a row for each chain and a column for each of its matrices.

    Each ellipse is drawn in units of its longer half-axis, which is the first singular value; both are printed.
    """
    angles = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angles), np.sin(angles)])  # (2, points)

    def draw(canvas, ink):
        columns = len(next(iter(chains.values())))
        grid = canvas.subplots(len(chains), columns, squeeze=False)
        for row, (name, matrices), colour, dash in zip(grid, chains.items(), (OFF, ON), ("--", "-"), strict=False):
            for ax, (title, matrix) in zip(row, matrices.items(), strict=True):
                left, values, _ = np.linalg.svd(matrix)
                image = matrix @ circle / values[0]
                ax.plot(*circle, color=ink["soft"], lw=0.8, ls=":")
                ax.fill(*image, color=colour, alpha=0.15, lw=0)
                ax.plot(*image, color=colour, lw=2, ls=dash)
                for axis, value in zip(left.T, values, strict=True):
                    ax.plot(*np.outer(axis, (0, value / values[0])), color=colour, lw=1.2)
                between = "\n" if is_narrow(canvas) else ", "
                sizes = between.join(f"σ{sign} = {number(value)}" for sign, value in zip("₁₂", values, strict=True))
                ax.set_title(f"{title}\n{sizes}", fontsize=10)
                ax.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", xticks=[], yticks=[])
                ax.grid(False)
            row[0].set_ylabel(name)

    return Figure(draw, caption, alt, size=(6.4, 2.5 * len(chains)))


def traces(series: Mapping[str, np.ndarray], caption: str, alt: str, xlabel: str) -> Figure:
    """Return curves ``(points,)`` one above the other, each divided by its own root mean square."""
    look = styles_by_name(series)

    def draw(canvas, ink):
        axes = canvas.subplots(len(series), 1, sharex=True, sharey=True)
        for ax, (label, values) in zip(axes, series.items(), strict=True):
            x = np.linspace(0, 1, len(values))
            ax.plot(x, values / np.sqrt(np.square(values).mean()), color=look[label]["color"], lw=1.1)
            ax.axhline(0, color=ink["soft"], lw=0.8)
            ax.set_title(label, fontsize=10, loc="left", pad=3)
        axes[-1].set_xlabel(xlabel)

    return Figure(draw, caption, alt, size=(6.4, 1.1 + 1.2 * len(series)))


# Rows of He et al. 2016, Table 1: name, key of paper.HE2016_TABLE_1, and the settings of the recorded cell.
SHORTCUT_ROWS = (
    ("identity: F + x", ("add", None), {"mixing": "add", "shortcut": "A"}),
    ("halved: F + x/2", ("scaled-shortcut", None), {"mixing": "scaled-shortcut"}),
    ("both halved: F/2 + x/2", ("scaled-both", None), {"mixing": "scaled-both"}),
    ("exclusive gate, bias 0", ("exclusive-gating", 0), {"mixing": "exclusive-gating", "gate_bias": 0}),
    ("exclusive gate, bias −6", ("exclusive-gating", -6), {"mixing": "exclusive-gating", "gate_bias": -6}),
    ("shortcut gate, bias 0", ("shortcut-gating", 0), {"mixing": "shortcut-gating", "gate_bias": 0}),
    ("shortcut gate, bias −6", ("shortcut-gating", -6), {"mixing": "shortcut-gating", "gate_bias": -6}),
    ("1×1 convolution (C)", ("C", None), {"mixing": "add", "shortcut": "C"}),
    ("dropout 0.5", ("dropout", None), {"mixing": "dropout"}),
)


def shortcut_table(runs: Runs, depths: Sequence[int], caption: str) -> Table:
    """Return the experiment ``shortcut-mixings`` beside He et al. 2016, Table 1: errors (percent), mean ± deviation."""
    rows, wide = [], False
    for name, key, settings in SHORTCUT_ROWS:
        printed = paper.HE2016_TABLE_1[key].value
        cells = ["fail" if printed is None else f"{printed:.2f}"]
        for depth in depths:
            for metric in ("train_error", "test_error"):
                sample = runs.where(depth=depth, **settings).last(metric)
                cells.append("diverged" if sample.diverged and not sample.n else outcome(sample.values))
                wide |= scatters(sample.values)
        rows.append((name, *cells))
    columns = [f"{kind}, {depth} layers" for depth in depths for kind in ("training", "test")]
    every = {"": runs}
    caption = f"{caption} Mean ± standard deviation of {seed_count(every)} seeds.{SCATTERED * wide} {source(every)}"
    return Table(["shortcut", "paper: test, 110 layers", *columns], rows, caption)
