"""Pictures and small helpers of the chapters on practice: training, pretrained networks, myths and bugs.

What is compared here is not shortcuts on and off, so blue and orange are left out of the colours.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from resnet_edu.figures import DASHES, MARKERS, OTHERS, Figure, bars_above_zero, legend, number_axis, panels


def lines(
    series: Mapping[str, Sequence[float]],
    caption: str,
    alt: str,
    xlabel: str = "epoch",
    ylabel: str = "training loss (nats)",
    *,
    x: Sequence[float] | None = None,
    log: bool = False,
    floor: Mapping[str, float] | None = None,
    marks: bool = True,
) -> Figure:
    """Return one line a series, told apart by colour, dash and marker; ``floor`` adds named horizontal lines.

    A series is ``(points,)``, or ``(seeds, points)`` for a mean with a band from the lowest seed to the highest.
    ``x`` ``(points,)`` counts from 1 by default.
    """

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, (label, values) in enumerate(series.items()):
            values = np.atleast_2d(values)
            places = np.arange(1, values.shape[1] + 1) if x is None else np.asarray(x)
            colour = OTHERS[index % 5]
            marker = {"marker": MARKERS[index % 6], "markevery": max(1, len(places) // 8)} if marks else {}
            ax.plot(places, values.mean(0), color=colour, ls=DASHES[index % 5], label=label, **marker)
            if len(values) > 1:
                ax.fill_between(places, values.min(0), values.max(0), color=colour, alpha=0.15, lw=0)
        for label, value in (floor or {}).items():
            ax.axhline(value, color=ink["soft"], lw=1)
            ax.annotate(label, (1, value), xycoords=("axes fraction", "data"), xytext=(0, -4), va="top", ha="right",
                        textcoords="offset points", fontsize=9.5)  # fmt: skip
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        if log:
            ax.set_yscale("log")
        else:
            ax.set_ylim(bottom=0)
        legend(canvas, *ax.get_legend_handles_labels())

    return Figure(draw, caption, alt, size=(6.4, 4.0))


def bars(
    times: Mapping[str, Sequence[float]], caption: str, alt: str, xlabel: str = "milliseconds a training step"
) -> Figure:
    """Return a horizontal bar a row: the fastest of ``times[row]``, and a tick at the median.

    Other work on the machine can only slow a step down, so the fastest says most about the step itself.
    """

    def draw(canvas, ink):
        ax = canvas.subplots()
        rows = np.arange(len(times))[::-1]
        for index, (row, values) in enumerate(zip(rows, times.values(), strict=True)):
            fastest, middle = float(min(values)), float(np.median(values))
            ax.barh(row, fastest, 0.6, color=OTHERS[index % 5], hatch="" if index else "//", edgecolor=ink["paper"])
            ax.plot([fastest, middle], [row, row], color=ink["ink"], lw=1.2, marker="|", ms=7)
            ax.annotate(f"{fastest:.3g}", (middle, row), xytext=(6, 0), textcoords="offset points", va="center")
        ax.set_yticks(rows, list(times))
        ax.set_xlabel(xlabel)
        ax.set_xlim(0, 1.15 * max(float(np.median(values)) for values in times.values()))
        ax.grid(axis="y", visible=False)

    return Figure(draw, caption, alt, size=(6.4, 0.9 + 0.45 * len(times)))


def label_curves(
    errors: Mapping[str, Mapping[int, Sequence[float]]], caption: str, alt: str, ylabel: str = "test error (%)"
) -> Figure:
    """Return error against labels a class (logarithmic): ``errors[method][labels]`` lists one value a seed."""

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, (method, by_labels) in enumerate(errors.items()):
            counts = sorted(by_labels)
            values = [np.asarray(by_labels[count], dtype=float) for count in counts]
            colour = OTHERS[index % 5]
            sd = [v.std(ddof=1) if len(v) > 1 else 0.0 for v in values]
            means = [v.mean() for v in values]
            ax.errorbar([c * 1.04 ** (index - 1) for c in counts], means, bars_above_zero(means, sd), color=colour,
                        ls=DASHES[index % 5], marker=MARKERS[index % 6], capsize=3, label=method)  # fmt: skip
        number_axis(ax, counts)
        ax.set_xlabel("labelled images a class")
        ax.set_ylabel(ylabel)
        ax.set_ylim(bottom=0)
        legend(canvas, *ax.get_legend_handles_labels())

    return Figure(draw, caption, alt, size=(6.4, 4.2))


def step_curves(
    trained: Mapping[str, Mapping[int, Sequence[float]]],
    frozen: Mapping[str, Sequence[float]],
    caption: str,
    alt: str,
) -> Figure:
    """Return test error against training steps (logarithmic): ``trained[method][steps]`` lists one value a seed.

    A line is the mean, its marks are the seeds. ``frozen`` methods take no steps: horizontal lines at their means.
    """

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, (method, by_steps) in enumerate(trained.items()):
            counts = sorted(by_steps)
            values = np.array([by_steps[count] for count in counts], dtype=float)  # (counts, seeds)
            style = {"color": OTHERS[index % 5], "marker": MARKERS[index % 6]}
            ax.plot(counts, values.mean(1), ls=DASHES[index % 5], label=method, **style)
            ax.plot(counts, values, ls="", ms=4, mfc="none", alpha=0.8, **style)
        for index, (method, values) in enumerate(frozen.items(), len(trained)):
            dash = DASHES[(index + 1) % 5]  # the sixth method has the first one's colour, and another dash
            ax.axhline(np.mean(values), color=OTHERS[index % 5], ls=dash, lw=1.4, label=method)
        ax.set_xscale("log")
        ax.set_xticks(counts, [str(count) for count in counts])
        ax.minorticks_off()
        ax.set_xlabel("training steps")
        ax.set_ylabel("test error (%)")
        ax.set_ylim(bottom=0)
        legend(canvas, *ax.get_legend_handles_labels())

    return Figure(draw, caption, alt, size=(6.4, 4.4))


def pictures(images: Mapping[str, np.ndarray], caption: str, alt: str) -> Figure:
    """Return pictures ``(H, W, 3)``, values 0 to 1 or uint8, side by side with their titles."""

    def draw(canvas, ink):
        axes = panels(canvas, len(images), stacked=2)
        for ax, (title, image) in zip(axes, images.items(), strict=True):
            ax.imshow(image)
            ax.set_title(title, fontsize=10)
            ax.axis("off")

    return Figure(draw, caption, alt, size=(6.4, 1.9), narrow=2.0 * -(-len(images) // 2))


def weights_file(name: str, weights: str = "V1") -> Path:
    """Return where torch keeps torchvision's file of weights (``networks.pretrained``), whether it is there or not."""
    from torchvision.models import get_model_weights

    entry = {one.name.removeprefix("IMAGENET1K_"): one for one in get_model_weights(name)}[weights]
    return Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rpartition("/")[2]


def cached_network(
    candidates: Sequence[tuple[str, str]], say: Callable[[str], None] = print, download: bool = False
) -> nn.Module | None:
    """Return the first of the networks ``(name, weights)`` whose weights are in torch's cache, or ``None``.

    Nothing is downloaded, unless ``download`` is true and none is there: then the first one is. ``say`` is told which
    it is, or how to fetch one.
    """
    from resnet_edu.networks import pretrained

    for name, weights in candidates:
        if weights_file(name, weights).exists():
            say(f"{name} ({weights}) is in the cache: the cells below use it.")
            return pretrained(name, weights)
    name, weights = candidates[0]
    if download:
        return pretrained(name, weights)
    say(
        f"No published weights are in torch's cache, and this page downloads nothing by itself. With "
        f"`DOWNLOAD = True` the cell calls `resnet_edu.networks.pretrained({name!r}, {weights!r})` once (about "
        f"{_megabytes(name, weights):.0f} MB); until then the cells that need them say so."
    )
    return None


def _megabytes(name: str, weights: str) -> float:
    from torchvision.models import get_model_weights

    entry = {one.name.removeprefix("IMAGENET1K_"): one for one in get_model_weights(name)}[weights]
    return entry.meta["_file_size"]
