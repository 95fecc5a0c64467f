"""One readable training loop, and a way to run it for many networks.

``train`` is a generator: a notebook, a progress bar and a widget all consume the same records.
"""

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from joblib import Parallel, delayed
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from resnet_edu.blocks import choose
from resnet_edu.datasets import Dataset, Split
from resnet_edu.networks import cifar_resnet

SCHEDULES = ("one-cycle", "constant")


class DivergedError(RuntimeError):
    """The loss is no longer a finite number; the message names the step and what to try."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Every default says where it comes from.

    ``seed`` orders the batches; the weights belong to the network, so seed those where it is built.
    Raises ``ValueError`` for an unknown schedule or a number out of range.
    """

    epochs: int = 12  # enough for the bundled digits
    batch_size: int = 64  # the paper's 128 leaves 11 steps an epoch on 1,437 images
    learning_rate: float = 0.1  # He et al. 2015, section 4.2
    momentum: float = 0.9  # He et al. 2015, section 4.2
    weight_decay: float = 1e-4  # He et al. 2015, section 4.2
    schedule: str = "one-cycle"  # Smith and Topin 2018: a short budget replaces the paper's 64k steps
    seed: int = 0

    def __post_init__(self):
        choose("schedule", self.schedule, SCHEDULES)
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be a positive number, got {self.learning_rate!r}")


@dataclass(frozen=True)
class Record:
    """What one epoch of training showed. Losses are means in nats, errors are in percent.

    ``train_loss`` and ``train_error`` are means over the epoch's batches while the weights move, as in the
    paper's Fig. 6; ``test_loss`` and ``test_error`` are measured after the epoch in evaluation mode.
    """

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float
    seconds: float


def train(network: nn.Module, data: Dataset, config: TrainConfig | None = None) -> Iterator[Record]:
    """Train ``network`` in place on ``data.train`` and yield a ``Record`` after every epoch.

    The network maps normalised images ``(N, C, H, W)`` to logits ``(N, classes)`` and must be on the data's
    device. SGD with momentum and weight decay on all parameters, as He et al. 2015, section 4.2. Stop early by
    leaving the loop; the network keeps the weights of that moment.

    Raises ``DivergedError`` at the end of an epoch whose loss is not finite.
    """
    config = config or TrainConfig()
    images, labels = data.normalize(data.train.images), data.train.labels  # (N, C, H, W), (N,)
    order = torch.Generator().manual_seed(config.seed)
    steps_per_epoch = math.ceil(len(labels) / config.batch_size)
    optimizer = torch.optim.SGD(
        network.parameters(), config.learning_rate, config.momentum, weight_decay=config.weight_decay
    )
    schedule = _schedule(optimizer, config, config.epochs * steps_per_epoch)
    start, step = time.perf_counter(), 0
    for epoch in range(1, config.epochs + 1):
        network.train()
        total_loss = torch.zeros((), device=labels.device)  # read once an epoch: no wait for the device inside
        total_wrong = torch.zeros((), device=labels.device)
        for batch in torch.randperm(len(labels), generator=order).to(labels.device).split(config.batch_size):
            logits = network(images[batch])  # (B, classes)
            loss = F.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            total_loss += loss.detach() * len(batch)
            total_wrong += (logits.argmax(1) != labels[batch]).sum()
        train_loss = total_loss.item() / len(labels)
        if not math.isfinite(train_loss):
            raise DivergedError(
                f"the loss became {train_loss} within epoch {epoch} (step {step}) at a peak learning rate of "
                f"{config.learning_rate}; try a smaller learning_rate, or batch normalisation"
            )
        test_loss, test_error = evaluate(network, data, data.test)
        yield Record(
            epoch=epoch,
            step=step,
            learning_rate=schedule.get_last_lr()[0],
            train_loss=train_loss,
            train_error=100 * total_wrong.item() / len(labels),
            test_loss=test_loss,
            test_error=test_error,
            seconds=time.perf_counter() - start,
        )


def _schedule(
    optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if config.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=steps + 1, pct_start=0.25, cycle_momentum=False
    )


@torch.no_grad()
def evaluate(network: nn.Module, data: Dataset, split: Split, batch_size: int = 1024) -> tuple[float, float]:
    """Return mean loss in nats and error in percent on ``split``, in evaluation mode.

    Batch normalisation uses its running statistics. The network's mode is restored afterwards.
    """
    was_training = network.training
    network.eval()
    loss, wrong = 0.0, 0
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        logits: Tensor = network(data.normalize(images))  # (B, classes)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        wrong += (logits.argmax(1) != labels).sum().item()
    network.train(was_training)
    return loss / len(split), 100 * wrong / len(split)


@dataclass(frozen=True)
class Trial:
    """One network of ``cifar_resnet`` and how to train it. ``seed`` draws the weights and orders the batches."""

    depth: int
    shortcut: str
    seed: int = 0
    width: int = 8
    normalization: str = "batch"
    config: TrainConfig = field(default_factory=TrainConfig)

    def build(self, data: Dataset) -> nn.Module:
        """Return the untrained network for ``data``, its weights drawn from ``seed``."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = cifar_resnet(
                self.depth,
                shortcut=self.shortcut,
                width=self.width,
                in_channels=data.in_channels,
                num_classes=data.num_classes,
                normalization=self.normalization,
            )
        return network.to(data.device)


@dataclass(frozen=True)
class Outcome:
    """A trial and its records, one an epoch. ``diverged`` holds the explanation if the loss did not stay finite."""

    trial: Trial
    records: tuple[Record, ...]
    diverged: str | None = None

    @property
    def last(self) -> Record:
        """The record of the last epoch."""
        return self.records[-1]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one CPU thread inside: on 8x8 images a second one costs more than it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_trial(trial: Trial, data: Dataset) -> Outcome:
    """Train one trial to its end and return what happened; a diverged run is an outcome, not an error."""
    records: list[Record] = []
    diverged = None
    with one_thread():
        try:
            records.extend(train(trial.build(data), data, replace(trial.config, seed=trial.seed)))
        except DivergedError as error:
            diverged = str(error)
    return Outcome(trial, tuple(records), diverged)


def run_trials(trials: Iterable[Trial], data: Dataset, jobs: int | None = None) -> list[Outcome]:
    """Train all trials, deepest first, with a progress bar; return the outcomes in the order of ``trials``.

    On the CPU ``jobs`` processes share the work (default: one a core), on a GPU one does it. The outcome of a
    trial does not depend on ``jobs``.
    """
    trials = list(trials)
    if jobs is None:
        jobs = 1 if data.device.type == "cuda" else min(os.cpu_count() or 1, len(trials))
    order = sorted(range(len(trials)), key=lambda i: -trials[i].depth)  # the longest first: no late straggler
    # joblib keeps its workers between calls and needs no `if __name__ == "__main__"` in the caller.
    parallel = Parallel(n_jobs=jobs, return_as="generator")
    done = parallel(delayed(run_trial)(trials[i], data) for i in order)
    outcomes = dict(zip(order, tqdm(done, total=len(trials), desc="networks trained"), strict=True))
    return [outcomes[i] for i in range(len(trials))]
