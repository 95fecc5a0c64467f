"""Train many networks that differ in one thing, and keep what happened to each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from resnet_edu.datasets import Dataset
from resnet_edu.devices import random_numbers
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import DivergedError, Record, TrainConfig, cpu_threads, train


@dataclass(frozen=True)
class Trial:
    """One network of ``cifar_resnet`` and how to train it. ``seed`` draws the weights and orders the batches.

    ``options`` are further options of ``cifar_resnet`` (``block``, ``activation``, ``mixing`` …).
    """

    depth: int
    shortcut: str
    seed: int = 0
    width: int = 8
    normalization: str = "batch"
    config: TrainConfig = field(default_factory=TrainConfig)
    options: Mapping[str, object] = field(default_factory=dict)

    def build(self, data: Dataset) -> nn.Module:
        """Return the untrained network for ``data``, its weights drawn from ``seed``."""
        with random_numbers(self.seed):
            network = cifar_resnet(
                self.depth,
                shortcut=self.shortcut,
                width=self.width,
                in_channels=data.in_channels,
                num_classes=data.num_classes,
                normalization=self.normalization,
                **self.options,
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


def run_trial(trial: Trial, data: Dataset) -> Outcome:
    """Train one trial to its end and return what happened; a diverged run is an outcome, not an error."""
    records: list[Record] = []
    diverged = None
    with cpu_threads(1):  # trials share the cores, and their results must not depend on how
        try:
            records.extend(train(trial.build(data), data, replace(trial.config, seed=trial.seed)))
        except DivergedError as error:
            diverged = str(error)
    return Outcome(trial, tuple(records), diverged)


def run_trials(trials: Iterable[Trial], data: Dataset, jobs: int | None = None) -> list[Outcome]:
    """Train all trials, deepest first, with a progress bar; return the outcomes in the order of ``trials``.

    On the CPU ``jobs`` processes share the work (default: one for each core that this process may use, or as many as
    the environment's ``LOKY_MAX_CPU_COUNT`` says), on a GPU one does it. The outcome of a trial does not depend on
    ``jobs``.
    """
    from joblib import Parallel, cpu_count, delayed
    from tqdm import tqdm

    trials = list(trials)
    if jobs is None:
        jobs = min(cpu_count(), len(trials)) if data.device.type == "cpu" else 1
    # Several seeds as one network of grouped convolutions take half the processor time (`python -m benchmarks.seeds`:
    # 1.9 to 2.3 times less for each), but add in another order: equal in double precision, in single precision the
    # weights differ by 1e-4 after a step and by 1e-2 and more after eight. Alone, a seed would give other numbers.
    order = sorted(range(len(trials)), key=lambda i: -trials[i].depth)  # the longest first: no late straggler
    # joblib keeps its workers between calls and needs no `if __name__ == "__main__"` in the caller.
    parallel = Parallel(n_jobs=jobs, return_as="generator")
    done = parallel(delayed(run_trial)(trials[i], data) for i in order)
    outcomes = dict(zip(order, tqdm(done, total=len(trials), desc="networks trained"), strict=True))
    return [outcomes[i] for i in range(len(trials))]
