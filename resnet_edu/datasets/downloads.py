"""Data sets that torchvision downloads: Fashion-MNIST, CIFAR-10 and CIFAR-100."""

import http.client
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from resnet_edu.datasets.base import Dataset, Split, assemble

# Where torchvision unpacks what it downloads, below the root.
FOLDERS = {"fashion_mnist": "FashionMNIST/raw", "cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}

STALLED = 60.0  # seconds without a byte after which a download is given up; urllib alone would wait for ever


class DownloadError(RuntimeError):
    """A data set is not there and could not be downloaded; the message says what to put where by hand."""


def fashion_mnist(root: str | Path | None = None) -> Dataset:
    """Return Fashion-MNIST: 60,000 + 10,000 grey images of clothes, 28x28, 10 classes (Xiao et al. 2017).

    Augmentation pads 2 pixels, not 4: every article fills its frame along its longer side (their section 2), so a
    larger shift would cut it. It mirrors, for a mirrored shoe is still a shoe.

    Raises ``DownloadError`` if the files are not in ``root`` and cannot be downloaded (30 MB).
    """
    from torchvision.datasets import FashionMNIST

    folder = data_root(root) / FOLDERS["fashion_mnist"]
    urls = [FashionMNIST.mirrors[0] + file for file, _ in FashionMNIST.resources]
    train, test = _through_torchvision("Fashion-MNIST", FashionMNIST, root, urls, folder)
    splits = [Split(part.data[:, None], part.targets) for part in (train, test)]  # (N, 1, 28, 28), (N,)
    return assemble("fashion_mnist", *splits, train.classes, pad=2, flip=True, background=0)


def cifar10(root: str | Path | None = None) -> Dataset:
    """Return CIFAR-10: 50,000 + 10,000 colour images, 32x32, 10 classes (Krizhevsky 2009).

    Augmentation pads 4 pixels and mirrors (He et al. 2015, section 4.2). ``mean`` and ``std`` are computed from the
    training images: 255 times (0.4914, 0.4822, 0.4465) and (0.2470, 0.2435, 0.2616). The widely copied deviation
    (0.2023, 0.1994, 0.2010) is another quantity: the mean over the images of each image's own deviation.

    Raises ``DownloadError`` if the files are not in ``root`` and cannot be downloaded (170 MB).
    """
    from torchvision.datasets import CIFAR10

    return _cifar("cifar10", "CIFAR-10", CIFAR10, root)


def cifar100(root: str | Path | None = None) -> Dataset:
    """Return CIFAR-100: as CIFAR-10, with 100 classes of 500 + 100 images (Krizhevsky 2009).

    Raises ``DownloadError`` if the files are not in ``root`` and cannot be downloaded (169 MB).
    """
    from torchvision.datasets import CIFAR100

    return _cifar("cifar100", "CIFAR-100", CIFAR100, root)


def _cifar(name: str, title: str, loader: type, root: str | Path | None) -> Dataset:
    train, test = _through_torchvision(title, loader, root, [loader.url], data_root(root))
    splits = [  # torchvision keeps (N, H, W, C)
        Split(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))
        for part in (train, test)
    ]
    return assemble(name, *splits, train.classes, pad=4, flip=True)


def data_root(root: str | Path | None = None) -> Path:
    """Return where downloaded data sets are kept; see the head of the module."""
    return Path(root or os.environ.get("RESNET_EDU_DATA") or "~/.cache/resnet_edu").expanduser()


def _through_torchvision(title: str, loader: type, root: str | Path | None, urls: Sequence[str], folder: Path) -> list:
    """Return torchvision's training and test part, downloaded if they are not there whole.

    torchvision compares the archive with its MD5 and overwrites one that was cut. Three things are added: a lock, so
    that processes started together download once; an end to a stalled download; and a look at Fashion-MNIST's
    unpacked files, which torchvision trusts however short they are.
    """
    from filelock import FileLock  # torch depends on it

    root = data_root(root)

    def read(download: bool) -> list:
        return [loader(root, train=train, download=download) for train in (True, False)]

    try:
        return read(download=False)  # first, for a shared folder may be read-only
    except (RuntimeError, ValueError, AssertionError):  # missing; or unpacked files that were cut
        pass
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{loader.__name__}.lock"), _stall_limit():
            _remove_cut_files(folder)
            return read(download=True)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise DownloadError(
            f"{title} is not in {root} and could not be downloaded: {error}\n"
            "Call again when you are connected (a download that was cut starts afresh), or put these files into "
            f"{folder} by hand: {' '.join(urls)}\n"
            "digits() works without a download."
        ) from error


@contextmanager
def _stall_limit() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _remove_cut_files(folder: Path) -> None:
    """Remove unpacked IDX files that do not hold what their header promises; their archives are unpacked again."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    for file in folder.glob("*-ubyte"):
        try:
            read_sn3_pascalvincent_tensor(str(file), strict=False)
        except (RuntimeError, ValueError, AssertionError):
            file.unlink()
