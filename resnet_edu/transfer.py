"""What a trained network is worth for another task: frozen features, fine-tuning, and their controls."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from resnet_edu.datasets import Dataset, Split
from resnet_edu.devices import random_numbers
from resnet_edu.probes import recalibrate
from resnet_edu.training import TrainConfig, evaluate, train


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


def upside_down(data: Dataset, train: Split) -> Dataset:
    """Return ``data`` with ``train`` as its training images, and all images turned by 180 degrees."""

    def turn(split: Split) -> Split:
        return Split(split.images.flip(2, 3), split.labels)

    return replace(data, train=turn(train), test=turn(data.test), validation=None)


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


def with_new_classifier(network: nn.Module, num_classes: int, seed: int = 0) -> nn.Module:
    """Return a copy of ``network`` with a new linear layer for ``num_classes``, drawn from ``seed``."""
    network = copy.deepcopy(network)
    with random_numbers(seed):
        network.fc = nn.Linear(network.fc.in_features, num_classes)
    return network.to(next(network.parameters()).device)


def frozen_errors(networks: Mapping[str, nn.Module], target: Dataset) -> dict[str, float]:
    """Return the test error in percent of a linear probe on what each frozen network makes of the target's images.

    ``"pixels"`` is the probe on the pixels themselves: the baseline that needs no network.
    """
    images = target.normalize(target.train.images), target.normalize(target.test.images)
    labels = target.train.labels, target.test.labels

    def probe(features: Callable[[Tensor], Tensor]) -> float:
        train_set, test_set = zip(map(features, images), labels, strict=True)
        return linear_probe(train_set, test_set)

    found = {"pixels": probe(lambda x: x.flatten(1))}
    for name, network in networks.items():
        found[name] = probe(lambda x, network=network: pooled_features(network, x))
    return found


def fine_tune(start: nn.Module, target: Dataset, steps: int, seed: int = 0, learning_rate: float = 0.05) -> float:
    """Return the test error in percent after training a copy of ``start``, with a new linear layer, on the target.

    About ``steps`` steps of up to 50 images, the whole one-cycle schedule in them; an untrained ``start`` makes this
    training from scratch by the same recipe. The test images are looked at once, at the end.
    """
    batch = min(50, len(target.train))
    epochs = max(1, round(steps / -(-len(target.train) // batch)))
    config = TrainConfig(epochs=epochs, batch_size=batch, learning_rate=learning_rate, seed=seed)
    network = with_new_classifier(start, target.num_classes, seed)
    for _ in train(network, replace(target, test=target.train), config):
        pass
    return evaluate(network, target, target.test)[1]


def calibrated(network: nn.Module, source: Dataset) -> nn.Module:
    """Return a copy of an untrained network whose batch normalisation knows the source's images, and nothing else does.

    The control for "what was learned": a trained network differs from a new one in its weights, and in running
    statistics that no training is needed for.
    """
    return recalibrate(network, source.normalize(source.train.images[:512]))


def stage_errors(network: nn.Module, target: Dataset) -> dict[str, float]:
    """Return the test error in percent of a linear probe on the maps, unpooled, that each stage puts out."""
    with torch.no_grad():
        known, new = (
            network.eval()(target.normalize(split.images), return_stages=True)[1]
            for split in (target.train, target.test)
        )
    labels = target.train.labels, target.test.labels
    return {
        stage: linear_probe((known[stage].flatten(1), labels[0]), (new[stage].flatten(1), labels[1])) for stage in known
    }
