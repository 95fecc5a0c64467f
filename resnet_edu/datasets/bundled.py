"""Data sets that need no file: the digits that scikit-learn bundles, and generated images."""

import numpy as np
import torch
from torch.nn import functional as F

from resnet_edu.datasets.base import Dataset, Split, assemble, split_off


def digits(test_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """Return the 1,797 handwritten digits that scikit-learn bundles: 8x8 pixels, values 0 to 16, 10 classes.

    Real handwriting with no download (Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits,
    its test part). The split keeps the class proportions and depends on ``seed`` alone. Augmentation moves an image
    by up to 1 pixel, the paper's 4 of 32; it does not mirror, for a mirrored 3 is no digit.

    Raises ``ValueError`` if ``test_fraction`` is not between 0 and 1.
    """
    from sklearn.datasets import load_digits

    bundle = load_digits()
    whole = Split(torch.from_numpy(bundle.images.astype(np.uint8))[:, None], torch.from_numpy(bundle.target).long())
    classes = tuple(map(str, bundle.target_names))
    train, test = split_off(whole, test_fraction, seed, classes)
    return assemble("digits", train, test, classes, pad=1, background=0)


def synthetic(
    num_classes: int = 10,
    channels: int = 3,
    size: int = 32,
    train: int = 2000,
    test: int = 500,
    noise: float = 1.0,
    seed: int = 0,
) -> Dataset:
    """Return a generated problem: each class is a random smooth pattern, each image its pattern plus pixel noise.

    For checks and benchmarks of any shape without real images. A pattern is Gaussian noise on a 4x4 grid, enlarged to
    ``size``; ``noise`` is the pixel noise in units of the grid's deviation. Classes are balanced. Everything depends
    on the arguments alone.

    Raises ``ValueError`` for fewer than two classes, or fewer images in a split than classes.
    """
    if num_classes < 2 or channels < 1 or size < 1:
        raise ValueError(
            f"synthetic needs num_classes >= 2, channels >= 1 and size >= 1, got {num_classes}, {channels} and {size}"
        )
    if min(train, test) < num_classes:
        raise ValueError(f"train and test must be at least num_classes = {num_classes}, got {train} and {test}")
    generator = torch.Generator().manual_seed(seed)
    grid = torch.randn(num_classes, channels, 4, 4, generator=generator)
    patterns = F.interpolate(grid, (size, size), mode="bilinear", align_corners=False)  # (K, C, H, W)

    def draw(count: int) -> Split:
        labels = torch.arange(count)[torch.randperm(count, generator=generator)] % num_classes
        images = torch.empty(count, channels, size, size, dtype=torch.uint8)
        # By blocks, for as floats the whole set would take four times the memory.
        for block, chosen in zip(images.split(1024), labels.split(1024), strict=True):
            values = patterns[chosen] + noise * torch.randn(block.shape, generator=generator)
            block.copy_((127.5 + 40 * values).clamp(0, 255))
        return Split(images, labels)

    return assemble("synthetic", draw(train), draw(test), tuple(map(str, range(num_classes))))
