"""Pictures and small helpers of the chapters on practice: training, pretrained networks, myths and bugs.

What is compared here is not shortcuts on and off, so blue and orange are left out of the colours.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from resnet_edu.datasets import Dataset, Split
from resnet_edu.figures import DASHES, MARKERS, OTHERS, Figure, bars_above_zero, legend, number_axis, panels
from resnet_edu.training import TrainConfig, evaluate, train


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
    """Return a horizontal bar a row: the median of ``times[row]``, with a thin line from the lowest to the highest."""

    def draw(canvas, ink):
        ax = canvas.subplots()
        rows = np.arange(len(times))[::-1]
        for index, (row, values) in enumerate(zip(rows, times.values(), strict=True)):
            middle = float(np.median(values))
            ax.barh(row, middle, 0.6, color=OTHERS[index % 5], hatch="" if index else "//", edgecolor=ink["paper"])
            ax.plot([min(values), max(values)], [row, row], color=ink["ink"], lw=1.2, marker="|", ms=7)
            ax.annotate(f"{middle:.3g}", (max(values), row), xytext=(6, 0), textcoords="offset points", va="center")
        ax.set_yticks(rows, list(times))
        ax.set_xlabel(xlabel)
        ax.set_xlim(0, 1.15 * max(max(values) for values in times.values()))
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


def only_classes(data: Dataset, classes: Sequence[int], per_class: int | None = None, seed: int = 0) -> Dataset:
    """Return the data set of these classes alone, numbered anew from 0, with their names.

    With ``per_class`` only so many training images of each class stay, drawn from ``seed``; the test set is whole.
    ``mean`` and ``std`` stay those of the whole set, so that a network sees the same numbers in both.

    Raises ``ValueError`` if a class has fewer training images than that.
    """
    generator = torch.Generator().manual_seed(seed)

    def pick(split: Split, limit: int | None) -> Split:
        images, labels = [], []
        for number, original in enumerate(classes):
            found = (split.labels == original).nonzero().flatten()
            if limit is not None:
                if len(found) < limit:
                    raise ValueError(f"class {original} has {len(found)} training images; per_class must not exceed it")
                found = found[torch.randperm(len(found), generator=generator)[:limit].to(found.device)]
            images.append(split.images[found])
            labels.append(torch.full((len(found),), number, dtype=torch.long, device=split.labels.device))
        return Split(torch.cat(images), torch.cat(labels))

    names = tuple(data.classes[one] for one in classes)
    return replace(data, train=pick(data.train, per_class), test=pick(data.test, None), classes=names)


@torch.no_grad()
def pooled_features(network: nn.Module, images: Tensor) -> Tensor:
    """Return what enters the linear layer of ``network`` for normalised ``images`` ``(N, C, H, W)``: ``(N, features)``.

    In evaluation mode; the network's mode is restored afterwards.
    """
    found: list[Tensor] = []
    hook = network.fc.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    mode = network.training
    try:
        network.eval()(images)
    finally:
        hook.remove()
        network.train(mode)
    return found[0]


def linear_probe(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """Return the test error in percent of logistic regression on features ``(N, D)`` with labels ``(N,)``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    (x, y), (x_test, y_test) = ([part.cpu().numpy() for part in pair] for pair in (train, test))
    with threadpool_limits(1):  # the matrices are tiny: threads would cost twenty times the work
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y)
    return 100 * float((model.predict(x_test) != y_test).mean())


def transfer(
    pretrained: nn.Module, untrained: nn.Module, target: Dataset, seed: int = 0, steps: int = 30
) -> dict[str, float]:
    """Return the test error in percent on ``target`` by what was done with the network.

    Frozen networks hand their features to a linear probe; the other two are trained as a whole, with one recipe: about
    ``steps`` steps of up to 50 images, peak learning rate 0.05. All get a new linear layer. Pixels with a linear probe
    are the baseline that needs no network. The networks given are not changed.
    """
    images = target.normalize(target.train.images), target.normalize(target.test.images)
    labels = target.train.labels, target.test.labels

    def probe(features: Callable[[Tensor], Tensor]) -> float:
        train_set, test_set = zip(map(features, images), labels, strict=True)
        return linear_probe(train_set, test_set)

    batch = min(50, len(target.train))
    epochs = max(1, round(steps / -(-len(target.train) // batch)))
    config = TrainConfig(epochs=epochs, batch_size=batch, learning_rate=0.05, seed=seed)

    def trained(start: nn.Module) -> float:
        network = with_new_classifier(start, target.num_classes, seed)
        for _ in train(network, replace(target, test=target.train), config):
            pass
        return evaluate(network, target, target.test)[1]  # once, at the end

    return {
        "pixels, linear": probe(lambda x: x.flatten(1)),
        "untrained, frozen": probe(lambda x: pooled_features(untrained, x)),
        "pretrained, frozen": probe(lambda x: pooled_features(pretrained, x)),
        "from scratch": trained(untrained),
        "fine-tuned": trained(pretrained),
    }


def with_new_classifier(network: nn.Module, num_classes: int, seed: int = 0) -> nn.Module:
    """Return a copy of ``network`` with a new linear layer for ``num_classes``, drawn from ``seed``."""
    network = copy.deepcopy(network)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network.fc = nn.Linear(network.fc.in_features, num_classes)
    return network.to(next(network.parameters()).device)


def upside_down(data: Dataset, train: Split) -> Dataset:
    """Return ``data`` with ``train`` as its training images, and all images turned by 180 degrees."""

    def turn(split: Split) -> Split:
        return Split(split.images.flip(2, 3), split.labels)

    return replace(data, train=turn(train), test=turn(data.test), validation=None)


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


def cached_network(candidates: Sequence[tuple[str, str]], say: Callable[[str], None] = print) -> nn.Module | None:
    """Return the first of the networks ``(name, weights)`` whose weights are in torch's cache, or ``None``.

    Nothing is downloaded. ``say`` is told which it is, or what to call to fetch one.
    """
    from resnet_edu.networks import pretrained

    for name, weights in candidates:
        if weights_file(name, weights).exists():
            say(f"{name} ({weights}) is in the cache: the cells below use it.")
            return pretrained(name, weights)
    name, weights = candidates[0]
    say(
        f"No published weights are in torch's cache, and this page downloads nothing. Call "
        f"`resnet_edu.networks.pretrained({name!r}, {weights!r})` once with a connection (about "
        f"{_megabytes(name, weights):.0f} MB), then run the page again; until then the cells that need them say so."
    )
    return None


def _megabytes(name: str, weights: str) -> float:
    from torchvision.models import get_model_weights

    entry = {one.name.removeprefix("IMAGENET1K_"): one for one in get_model_weights(name)}[weights]
    return entry.meta["_file_size"]
