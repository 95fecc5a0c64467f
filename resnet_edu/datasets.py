"""Data sets as tensors: whole sets of uint8 images that move to a device at once.

Images are ``(N, C, H, W)`` uint8, labels ``(N,)`` int64; normalisation happens where the images are.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Images ``(N, C, H, W)`` uint8 and labels ``(N,)`` int64 of one part of a data set."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "Split":
        """Return the split on ``device``."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A named data set: training and test split, class names, and the training set's mean and deviation.

    ``mean`` and ``std`` have one entry per channel, in units of the uint8 values.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

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
        """Where the tensors are."""
        return self.train.images.device

    @property
    def checksum(self) -> str:
        """The first 16 hex digits of the SHA-256 of all images and labels, training split first."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            for tensor in (split.images, split.labels):
                digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
        return digest.hexdigest()[:16]

    def to(self, device: torch.device | str) -> "Dataset":
        """Return the data set on ``device``."""
        return replace(self, train=self.train.to(device), test=self.test.to(device))

    def normalize(self, images: Tensor) -> Tensor:
        """Return uint8 images ``(N, C, H, W)`` as float32 with the training set's mean 0 and deviation 1."""
        shape = (1, -1, 1, 1)
        mean = torch.tensor(self.mean, device=images.device).view(shape)
        std = torch.tensor(self.std, device=images.device).view(shape)
        return (images.float() - mean) / std


def best_device() -> torch.device:
    """Return the CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def digits(test_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """Return the 1,797 handwritten digits that scikit-learn bundles: 8x8 pixels, values 0 to 16, 10 classes.

    Real handwriting with no download (Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits,
    its test part). The split keeps the class proportions and depends on ``seed`` alone.

    Raises ``ValueError`` if ``test_fraction`` is not between 0 and 1.
    """
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(f"test_fraction must lie between 0 and 1, got {test_fraction!r}; 0.2 is usual")
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bundle = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        bundle.images.astype(np.uint8),
        bundle.target.astype(np.int64),
        test_size=test_fraction,
        random_state=seed,
        stratify=bundle.target,
    )
    return Dataset(
        name="digits",
        train=Split(torch.from_numpy(train_x)[:, None], torch.from_numpy(train_y)),  # (N, 1, 8, 8), (N,)
        test=Split(torch.from_numpy(test_x)[:, None], torch.from_numpy(test_y)),
        classes=tuple(str(name) for name in bundle.target_names),
        mean=(float(train_x.mean()),),
        std=(float(train_x.std()),),
    )
