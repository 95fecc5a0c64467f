"""What a data set is: splits of uint8 images and labels, the training set's statistics, how to augment."""

import hashlib
import math
import operator
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from resnet_edu import devices


@dataclass(frozen=True)
class Split:
    """Images ``(N, C, H, W)`` uint8 and labels ``(N,)`` int64 of one part of a data set."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str, images: torch.device | str | None = None) -> "Split":
        """Return the split on ``device``; its images on another one if ``images`` names it."""
        return Split(self.images.to(images or device), self.labels.to(device))

    def take_images(self, numbers: Tensor) -> Tensor:
        """Return the images of these numbers ``(B,)`` as ``(B, C, H, W)`` uint8, where the labels are.

        ``numbers`` are where the images are kept.
        """
        chosen = self.images.index_select(0, numbers)  # images[numbers] takes twenty times as long
        if self.images.is_pinned():
            chosen = chosen.pin_memory()  # so that the copy goes on while the device computes
        return chosen.to(self.labels.device, non_blocking=True)


@dataclass(frozen=True)
class Dataset:
    """A named data set: its splits, class names, the training images' mean and deviation, and how to augment.

    ``mean`` and ``std`` have one entry per channel, in units of the uint8 values, over all pixels of all training
    images. ``validation`` is for choices (depth, learning rate, when to stop); ``test`` is looked at once, at the end.

    ``pad``, ``flip`` and ``background`` set what ``augment`` does: pixels of padding on each side, whether mirroring
    keeps an image's class, and the uint8 value of the padding (``None``: the mean, rounded).
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    validation: Split | None = None
    pad: int = 0
    flip: bool = False
    background: int | None = None

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return self.train.images.shape[1]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def device(self) -> torch.device:
        """Where networks for these images compute: where the labels are, and the images unless they do not fit."""
        return self.train.labels.device

    @cached_property  # the images do not change, and a run names them in every checkpoint
    def checksum(self) -> str:
        """The first 16 hex digits of the SHA-256 of all images and labels: training, test, validation if any."""
        digest = hashlib.sha256()
        for split in (self.train, self.test, self.validation):
            if split is not None:
                for tensor in (split.images, split.labels):
                    digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
        return digest.hexdigest()[:16]

    def to(self, device: torch.device | str) -> "Dataset":
        """Return the data set on ``device`` ("cpu", "cuda", "mps" …; ``best_device()`` picks one).

        Images that would take more than half of what is free there stay in the host's memory, pinned for CUDA, and a
        warning says so; ``normalize`` and ``Split.take_images`` then bring a batch at a time to the device.

        Raises ``ValueError`` for a device that PyTorch does not know.
        """
        try:
            device = torch.device(device)
        except RuntimeError as error:
            raise ValueError(f'device must be "cpu", "cuda", "cuda:1", "mps" …, got {device!r}') from error
        splits = {"train": self.train, "test": self.test, "validation": self.validation}
        splits = {name: split for name, split in splits.items() if split is not None}
        size = sum(split.images.nbytes for split in splits.values())
        free = devices.free_memory(device) if device.type != self.train.images.device.type else None
        if free is None or 2 * size <= free:
            return replace(self, **{name: split.to(device) for name, split in splits.items()})
        warnings.warn(
            f"the images of {self.name} take {devices.in_gib(size)} and stay in the host's memory: {device} has "
            f"{devices.in_gib(free)} free",
            stacklevel=2,
        )
        moved = {name: split.to(device, images="cpu") for name, split in splits.items()}
        if device.type == "cuda":
            moved = {name: Split(split.images.pin_memory(), split.labels) for name, split in moved.items()}
        return replace(self, **moved)

    def hold_out(self, amount: float | int, seed: int = 0) -> "Dataset":
        """Return the data set with a part of ``train`` moved to ``validation``; the test set stays untouched.

        ``amount`` is a fraction (0.1) or a number of images (5000: He et al. 2015, section 4.2, train on 45,000 images
        of CIFAR-10 and choose on 5,000). Classes keep their proportions; the choice depends on ``seed`` alone.
        ``mean`` and ``std`` stay, so that networks trained with and without the held-out part see the same numbers.

        Raises ``ValueError`` if there is a validation split already, or if a part would be too small for the classes.
        """
        if self.validation is not None:
            raise ValueError(f"{self.name} already has a validation split; call hold_out once, on the whole set")
        count = count_of("amount", amount, len(self.train)) if isinstance(amount, float) else operator.index(amount)
        kept, held = stratified(self.train.labels.cpu().numpy(), count, seed, self.classes)
        return replace(self, train=take(self.train, kept), validation=take(self.train, held))

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return a random crop of every padded image ``(N, C, H, W)`` uint8, mirrored with probability 1/2.

        As He et al. 2015, section 4.2: pad, then crop back to the old size "from the padded image or its horizontal
        flip". They subtract the mean from their images, so their padding of zeros is the mean; here it is the mean
        rounded to uint8 (after ``normalize`` at most 0.5 / ``std`` away from 0), unless ``background`` says otherwise.

        All randomness comes from ``generator``: one on the images' device costs no transfer, one on the CPU draws the
        same crops on every device. The input is not changed.

        Raises ``TypeError`` if the images are not uint8: augment first, normalise afterwards.
        """
        if images.dtype != torch.uint8:
            raise TypeError(f"images to augment must be uint8, got {images.dtype}; call augment before normalize")
        if not self.pad and not self.flip:
            return images
        count, channels, height, width = images.shape
        offsets = 2 * self.pad + 1  # in either direction
        draw = torch.randint(2 * offsets**2, (count,), generator=generator, device=generator.device).to(images.device)
        number = torch.arange(count, device=images.device)
        if self.flip:
            both = torch.cat([images, images.flip(3)])  # (2N, C, H, W)
            images = both.index_select(0, number + count * (draw % 2))  # (N, C, H, W)
        if not self.pad:
            return images
        colours = self.mean if self.background is None else (self.background,) * channels
        fill = _per_channel(tuple(map(round, colours)), torch.uint8, images.device)
        padded = fill.expand(count, -1, height + 2 * self.pad, width + 2 * self.pad).contiguous()
        padded[:, :, self.pad : self.pad + height, self.pad : self.pad + width] = images
        # A view in which a crop begins at every byte of the batch: picking rows of it copies whole crops at once,
        # where indices for every pixel would cost twice the time.
        crop, strides = (channels, height, width), padded.stride()[1:]
        last = sum((size - 1) * stride for size, stride in zip(crop, strides, strict=True))
        crops = padded.as_strided((padded.numel() - last, *crop), (1, *strides))
        top, left = draw // 2 // offsets, draw // 2 % offsets
        return crops.index_select(0, number * padded.stride(0) + top * padded.stride(2) + left)  # (N, C, H, W)

    def normalize(self, images: Tensor) -> Tensor:
        """Return uint8 images ``(N, C, H, W)`` as float32 with the training set's mean 0 and deviation 1.

        They come out where they are, or on the data set's device if they were kept by the host.
        """
        if images.device == self.train.images.device != self.device:  # kept by the host; see to
            images = images.to(self.device, non_blocking=True)
        mean = _per_channel(self.mean, torch.float32, images.device)
        return (images - mean) / _per_channel(self.std, torch.float32, images.device)


@lru_cache(maxsize=64)
def _per_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return one value a channel as ``(1, C, 1, 1)``; kept, for a copy to the device in each step makes it wait."""
    with torch.inference_mode(False):  # a kept inference tensor could never take part in a backward pass
        return torch.tensor(values, dtype=dtype, device=device).view(1, -1, 1, 1)


def assemble(name: str, train: Split, test: Split, classes: Sequence[str], **settings: object) -> Dataset:
    """Return the data set of these splits, with the training images' statistics; ``settings`` are its other fields."""
    mean, std = statistics(name, train.images)
    return Dataset(name, train, test, tuple(classes), mean, std, **settings)


def statistics(name: str, images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of every channel of ``(N, C, H, W)`` uint8 over all pixels of all images.

    From the count of each of the 256 values, which is exact and needs no copy as floats.
    """
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)]).double()
    values = torch.arange(256, dtype=torch.double)
    pixels = counts.sum(1)  # (C,)
    mean = counts @ values / pixels
    std = (counts * (values - mean[:, None]) ** 2).sum(1).div(pixels).sqrt()
    if not std.all():
        raise ValueError(
            f"channel {int(std.argmin())} of {name} has one value in all training images; nothing to learn"
        )
    return tuple(mean.tolist()), tuple(std.tolist())


def take(split: Split, indices: np.ndarray) -> Split:
    """Return the split's images and labels of these numbers."""
    chosen = torch.from_numpy(indices)
    return Split(split.images[chosen.to(split.images.device)], split.labels[chosen.to(split.labels.device)])


def split_off(whole: Split, test_fraction: float, seed: int, classes: Sequence[str]) -> tuple[Split, Split]:
    """Return a training and a test split of ``whole``; classes keep their proportions."""
    count = count_of("test_fraction", test_fraction, len(whole))
    train, test = stratified(whole.labels.numpy(), count, seed, classes)
    return take(whole, train), take(whole, test)


def count_of(name: str, fraction: float, total: int) -> int:
    """Return how many of ``total`` images a fraction is, rounded up; ``name`` is the argument's, for the message."""
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"{name} must lie between 0 and 1, got {fraction!r}; 0.2 is usual")
    return math.ceil(fraction * total)


def stratified(labels: np.ndarray, count: int, seed: int, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the rest and of ``count`` labels ``(N,)``; both keep the class proportions."""
    from sklearn.model_selection import train_test_split

    per_class = np.bincount(labels, minlength=len(classes))
    if per_class.min() < 2:
        rare = classes[int(per_class.argmin())]
        raise ValueError(f"class {rare!r} has {per_class.min()} image(s); splitting needs at least 2 of every class")
    if not len(classes) <= count <= len(labels) - len(classes):
        raise ValueError(
            f"cannot split {len(labels)} images into {len(labels) - count} and {count}: "
            f"both parts need an image of each of the {len(classes)} classes"
        )
    return train_test_split(np.arange(len(labels)), test_size=count, random_state=seed, stratify=labels)
