"""Our training loop against the usual ones: same network, data and batch, taking turns in one run.

    python -m benchmarks.training                 digits-sized and CIFAR-sized
    python -m benchmarks.training --device cuda   on a GPU: ResNet-20, 56 and 110 at the size of CIFAR-10
    python -m benchmarks.training --beside 4      one network at a time, and four in processes of their own
    python -m benchmarks.training --threads       when one CPU thread is faster than all

* ``resnet_edu``: on a GPU in 16 bits, a step recorded as a CUDA graph; ``eager``: the same without the graph.
* ``usual``: a DataLoader over PIL images with ToTensor and Normalize, ``.item()`` after every step. With worker
  processes (kept alive: their start is not counted) and with none.
* ``d2l``: ``d2l.train_ch6`` as a notebook runs it, its plot included; ``d2l, steps``: its own count, which leaves
  plot and evaluation out. It is left out where d2l is not installed.

A turn is one epoch with the evaluation on the test set that each loop makes. Images per second are of the
training set. The ratio is ours to theirs within a turn: median, and least to most.
"""

import argparse
import contextlib
import importlib.util
import io
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from resnet_edu.accounting import layers
from resnet_edu.blocks import Shortcut
from resnet_edu.datasets import Dataset, Split, best_device, digits, synthetic
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import ONE_THREAD_BELOW, TrainConfig, cpu_threads, half_precision, train
from resnet_edu.trials import Trial

PATIENCE = 600  # seconds for which processes wait for each other


class Pictures(TorchDataset):
    """A split as people's code has it: PIL images, transformed one by one."""

    def __init__(self, data: Dataset, split: Split, augment: bool):
        from PIL import Image
        from torchvision import transforms

        top = 16 if data.name == "digits" else 255
        arrays = (split.images.float() * 255 / top).byte().permute(0, 2, 3, 1).cpu().numpy()  # (N, H, W, C)
        self.images = [Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array) for array in arrays]
        self.labels = split.labels.tolist()
        size = arrays.shape[1]
        moves = [transforms.RandomCrop(size, padding=data.pad), transforms.RandomHorizontalFlip()] if augment else []
        mean, std = np.array(data.mean) / top, np.array(data.std) / top
        self.transform = transforms.Compose(
            [*moves, transforms.ToTensor(), transforms.Normalize(mean.tolist(), std.tolist())]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple:
        return self.transform(self.images[index]), self.labels[index]


def usual(network: nn.Module, data: Dataset, config: TrainConfig, workers: int) -> Callable[[], None]:
    """Return a function that trains and evaluates one epoch as most repositories do."""
    options = {"batch_size": config.batch_size, "num_workers": workers, "persistent_workers": workers > 0}
    loader = DataLoader(Pictures(data, data.train, config.augment), shuffle=True, **options)
    test_loader = DataLoader(Pictures(data, data.test, False), **options)
    optimizer = torch.optim.SGD(network.parameters(), config.learning_rate, config.momentum, weight_decay=1e-4)
    criterion, device = nn.CrossEntropyLoss(), data.device

    def epoch() -> None:
        network.train()
        total, correct = 0.0, 0
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            logits = network(images)
            loss = criterion(logits, labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
            correct += logits.argmax(1).eq(labels).sum().item()
        network.eval()
        with torch.no_grad():
            for images, labels in test_loader:
                logits = network(images.to(device))
                correct += logits.argmax(1).eq(labels.to(device)).sum().item()

    return epoch


def ours(network: nn.Module, data: Dataset, config: TrainConfig) -> Callable[[], None]:
    """Return a function that trains and evaluates one epoch with ``resnet_edu.training.train``."""
    records = train(network, data, config)
    return lambda: next(records)


class D2L:
    """``d2l.train_ch6`` for one epoch; its own images per second are kept in ``steps``."""

    def __init__(self, network: nn.Module, data: Dataset, config: TrainConfig):
        import matplotlib

        matplotlib.use("Agg")
        import IPython.display
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        # Current IPython has moved what d2l 0.17 calls.
        IPython.display.set_matplotlib_formats = set_matplotlib_formats
        from d2l import torch as d2l

        self.steps: list[float] = []
        options = {"batch_size": config.batch_size, "num_workers": 4}  # d2l.get_dataloader_workers()
        train_iter = DataLoader(Pictures(data, data.train, config.augment), shuffle=True, **options)
        test_iter = DataLoader(Pictures(data, data.test, False), **options)
        self.run = lambda: d2l.train_ch6(network, train_iter, test_iter, 1, config.learning_rate, data.device)

    def __call__(self) -> None:
        """Train one epoch."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.run()
        self.steps.append(float(re.search(r"([\d.]+) examples/sec", printed.getvalue())[1]))


def compare(title: str, data: Dataset, depth: int, width: int, config: TrainConfig, rounds: int) -> None:
    """Let the loops take turns and print the table."""

    def network() -> nn.Module:
        return Trial(depth, "A", width=width).build(data)

    gpu = data.device.type == "cuda"
    workers = 8 if gpu else 2
    loops: dict[str, Callable[[], object]] = {"resnet_edu": ours(network(), data, config)}
    if gpu:
        loops["resnet_edu, eager"] = ours(network(), data, replace(config, cuda_graph=False))
    loops[f"usual, {workers} workers"] = usual(network(), data, config, workers)
    if not gpu:  # there it would take minutes, and nobody trains so
        loops["usual, no workers"] = usual(network(), data, config, 0)
    d2l = D2L(network(), data, config) if importlib.util.find_spec("d2l") else None
    if d2l:
        loops["d2l"] = d2l
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds + 1):
        for name in list(loops)[:: 1 if turn % 2 else -1]:
            if gpu:
                torch.cuda.synchronize(data.device)
            start = time.perf_counter()
            loops[name]()  # each ends by reading numbers from the device, so no work is left in flight
            if turn:  # the first turn warms up
                seconds[name].append(time.perf_counter() - start)
    count = len(data.train)
    rates = {name: [count / s for s in values] for name, values in seconds.items()}
    if d2l:
        rates["d2l, steps"] = d2l.steps[1:]
    print(f"\n{title}: ResNet-{depth}, width {width}, batch {config.batch_size}, {count:,} images, {rounds} turns")
    print(f"{'loop':<20}{'images/s':>10}   resnet_edu is … times as fast")
    for name, values in rates.items():
        ratios = sorted(a / b for a, b in zip(rates["resnet_edu"], values, strict=True))
        spread = "" if name == "resnet_edu" else f"{median(ratios):8.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:<20}{median(values):>10,.0f}{spread}")
    if gpu:
        with torch.cuda.device(data.device):  # events are of the current GPU
            _bound(network(), data, config, median(rates["resnet_edu"]))


def _bound(network: nn.Module, data: Dataset, config: TrainConfig, rate: float) -> None:
    """Print how near the measured rate comes to what the memory's bandwidth allows; see ``moved_bytes``."""
    large = torch.empty(2**28, device=data.device)  # 1 GiB
    copy = torch.empty_like(large)
    times = []
    for _ in range(10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        copy.copy_(large)
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    bandwidth = 2 * large.numel() * 4 / min(times)
    moved = moved_bytes(network, data, config)
    print(
        f"memory: {bandwidth / 1e9:,.0f} GB/s measured by copying; a step moves {moved / 1e6:.2f} MB an image, "
        f"so at most {bandwidth / moved:,.0f} images/s, evaluation included, if each layer reads and writes memory by "
        f"itself: {100 * rate * moved / bandwidth:.1f} % of it reached (fused layers move less)"
    )


def moved_bytes(network: nn.Module, data: Dataset, config: TrainConfig) -> float:
    """Return the bytes that an epoch moves for each training image if every layer goes through the memory by itself.

    Every layer reads its input and writes its output once, and the backward pass moves twice that, in the precision of
    the training; the epoch's evaluation of the test images is a forward pass in float32. Identities move nothing.
    """
    still = {n for n, m in network.named_modules() if isinstance(m, Shortcut) and (m.is_identity or m.kind == "none")}
    shape = tuple(data.train.images.shape[1:])
    outputs = sum(math.prod(one.output_shape) for one in layers(network, shape) if one.name not in still)
    size = 4 if config.precision == "float32" else 2
    return 2 * outputs * (3 * size + 4 * len(data.test) / len(data.train))


def beside(depth: int, width: int, data: Dataset, config: TrainConfig, count: int) -> None:
    """Print images per second of one network alone, and of ``count`` trained side by side, each in its own process."""
    from joblib import Parallel, delayed

    print(f"\nResNet-{depth}, width {width}, batch {config.batch_size}: networks side by side, images/s of all")
    for together in (1, count):
        with tempfile.TemporaryDirectory() as meeting:
            work = [
                delayed(_epoch_ends)(depth, width, data.to("cpu"), data.device, config, Path(meeting, str(n)), together)
                for n in range(together)
            ]
            rate = shared_rate(Parallel(n_jobs=together)(work), len(data.train))
        print(f"{together:>3} at a time{rate:>12,.0f}")


def shared_rate(ends: Sequence[Sequence[float]], images: int) -> float:
    """Return the images a second of all processes together while all of them ran.

    ``ends`` are the times at which each process began and ended its epochs of ``images``, on one clock. Raises
    ``RuntimeError`` if they ran together for less than half the time: one after the other would read as side by side.
    """
    start, end = max(one[0] for one in ends), min(one[-1] for one in ends)
    if end - start < 0.5 * max(one[-1] - one[0] for one in ends):
        raise RuntimeError("the processes ran side by side for less than half the time; give more --rounds")
    done = [np.interp([start, end], one, images * np.arange(len(one))) for one in ends]
    return float(sum(last - first for first, last in done) / (end - start))


def _epoch_ends(
    depth: int, width: int, data: Dataset, device: torch.device, config: TrainConfig, own: Path, together: int
) -> list[float]:
    """Return when the second epoch began and when each one since ended, on the clock that all processes share.

    After the first epoch, which warms up, a process makes its file ``own`` and waits for the others'.
    """
    data = data.to(device)
    times = []
    with cpu_threads(1 if data.device.type == "cpu" else torch.get_num_threads()):
        for _ in train(Trial(depth, "A", width=width).build(data), data, config):
            if not times:
                own.touch()
                last = time.time() + PATIENCE
                while len(list(own.parent.iterdir())) < together:
                    if time.time() > last:
                        raise RuntimeError(f"another process did not end its first epoch within {PATIENCE} s")
                    time.sleep(0.01)
            times.append(time.time())
    return times


def threads(rounds: int) -> None:
    """Print the time of a step on one thread and on all, for sizes around the rule's threshold."""
    everything = os.cpu_count() or 1
    print(f"\nMilliseconds a step of ResNet-20 on 1 and on {everything} threads; rule: 1 below {ONE_THREAD_BELOW:,}")
    print(f"{'images':>7}{'size':>6}{'width':>6}{'product':>10}{'1 thread':>10}{'all':>8}")
    for batch, size, width in ((32, 8, 8), (64, 8, 8), (64, 8, 16), (128, 8, 16), (64, 16, 16), (128, 32, 16)):
        times: dict[int, list[float]] = {1: [], everything: []}
        for _ in range(rounds):
            for count in times:
                times[count].append(_step_seconds(batch, size, width, count))
        one, many = (1e3 * median(times[count]) for count in (1, everything))
        print(f"{batch:>7}{size:>6}{width:>6}{batch * size * size * width:>10,}{one:>10.1f}{many:>8.1f}")


def _step_seconds(batch: int, size: int, width: int, count: int, steps: int = 8) -> float:
    network = cifar_resnet(20, width=width).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9, fused=True)
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))
    times = []
    with cpu_threads(count):
        for _ in range(steps):
            start = time.perf_counter()
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
            times.append(time.perf_counter() - start)
    return median(times[2:])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of every loop (default: 5)")
    parser.add_argument("--device", help="cpu, cuda … (default: the GPU if there is one)")
    parser.add_argument("--beside", type=int, metavar="K", help="train K networks side by side instead")
    parser.add_argument("--threads", action="store_true", help="compare thread counts instead")
    options = parser.parse_args()
    device = torch.device(options.device) if options.device else best_device()
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device; torch sees the CPU alone")
    gpu = {"precision": half_precision(device), "cuda_graph": True} if device.type == "cuda" else {}
    name = torch.cuda.get_device_name(device) if gpu else f"{os.cpu_count()} CPU cores"
    print(f"torch {torch.__version__}, {name}")
    if options.threads:
        threads(options.rounds)
        return
    epochs = options.rounds + 1
    images = {"train": 50_000, "test": 10_000} if gpu else {"train": 1280, "test": 256}
    data = synthetic(size=32, channels=3, num_classes=10, **images).to(device)
    config = TrainConfig(epochs=epochs, batch_size=128, augment=True, **gpu)
    if options.beside:
        beside(20, 16, data, config, options.beside)
        return
    if not gpu:
        compare("digits-sized", digits(), 20, 8, TrainConfig(epochs=epochs, batch_size=64), options.rounds)
    for depth in (20, 56, 110) if gpu else (20,):
        compare("CIFAR-sized", data, depth, 16, config, options.rounds)


if __name__ == "__main__":
    main()
