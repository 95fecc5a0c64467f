"""Data sets as tensors: whole sets of uint8 images that move to a device at once.

Images are ``(N, C, H, W)`` uint8, labels ``(N,)`` int64. Augmentation and normalisation happen where the images are.

``digits`` needs no download. ``fashion_mnist``, ``cifar10`` and ``cifar100`` are downloaded once to ``root``, which is
the folder named by the environment variable ``RESNET_EDU_DATA`` or else ``~/.cache/resnet_edu``. ``image_folder``
reads images of your own, ``synthetic`` draws a problem of any size. ``load`` calls any of them by its name.
"""

import hashlib
import http.client
import inspect
import math
import operator
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_edu.blocks import choose

# Where torchvision unpacks what it downloads, below the root.
FOLDERS = {"fashion_mnist": "FashionMNIST/raw", "cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}

STALLED = 60.0  # seconds without a byte after which a download is given up; urllib alone would wait for ever


class DownloadError(RuntimeError):
    """A data set is not there and could not be downloaded; the message says what to put where by hand."""


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
        """Where the tensors are."""
        return self.train.images.device

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

        Raises ``ValueError`` for a device that PyTorch does not know.
        """
        try:
            device = torch.device(device)
        except RuntimeError as error:
            raise ValueError(f'device must be "cpu", "cuda", "cuda:1", "mps" …, got {device!r}') from error
        validation = self.validation and self.validation.to(device)
        return replace(self, train=self.train.to(device), test=self.test.to(device), validation=validation)

    def hold_out(self, amount: float | int, seed: int = 0) -> "Dataset":
        """Return the data set with a part of ``train`` moved to ``validation``; the test set stays untouched.

        ``amount`` is a fraction (0.1) or a number of images (5000: He et al. 2015, section 4.2, train on 45,000 images
        of CIFAR-10 and choose on 5,000). Classes keep their proportions; the choice depends on ``seed`` alone.
        ``mean`` and ``std`` stay, so that networks trained with and without the held-out part see the same numbers.

        Raises ``ValueError`` if there is a validation split already, or if a part would be too small for the classes.
        """
        if self.validation is not None:
            raise ValueError(f"{self.name} already has a validation split; call hold_out once, on the whole set")
        count = _count("amount", amount, len(self.train)) if isinstance(amount, float) else operator.index(amount)
        kept, held = _stratified(self.train.labels.cpu().numpy(), count, seed, self.classes)
        return replace(self, train=_take(self.train, kept), validation=_take(self.train, held))

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
        """Return uint8 images ``(N, C, H, W)`` as float32 with the training set's mean 0 and deviation 1."""
        mean = _per_channel(self.mean, torch.float32, images.device)
        return (images - mean) / _per_channel(self.std, torch.float32, images.device)


@lru_cache(maxsize=64)
def _per_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return one value a channel as ``(1, C, 1, 1)``; kept, for a copy to the device in each step makes it wait."""
    with torch.inference_mode(False):  # a kept inference tensor could never take part in a backward pass
        return torch.tensor(values, dtype=dtype, device=device).view(1, -1, 1, 1)


def best_device() -> torch.device:
    """Return the CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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
    train, test = _split(whole, test_fraction, seed, classes)
    return _dataset("digits", train, test, classes, pad=1, background=0)


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
    return _dataset("fashion_mnist", *splits, train.classes, pad=2, flip=True, background=0)


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
    return _dataset(name, *splits, train.classes, pad=4, flip=True)


def image_folder(
    path: str | Path, size: int | None = None, test_fraction: float = 0.2, seed: int = 0, flip: bool = True
) -> Dataset:
    """Return the images of a folder in the layout of ``torchvision.datasets.ImageFolder``, as RGB.

    Either ``path/train/<class>/*.jpg`` with ``path/test/<class>/*.jpg``, or one tree ``path/<class>/*.jpg``, of which
    ``test_fraction`` becomes the test set, class proportions kept. With ``train``, ``val`` and ``test``, ``val`` is
    the validation split; with ``train`` and ``val`` alone, ``val`` is the test set, as is usual for ImageNet.

    With ``size`` every image is scaled until its shorter side has that many pixels and cropped to the centre square;
    it may be left out if all images have one size. The whole set lies in memory: 3 bytes a pixel. Augmentation pads
    an eighth of the height, the paper's 4 of 32; ``flip=False`` where mirroring changes the class, as with letters.

    Raises ``FileNotFoundError`` for a missing folder or a class without images, and ``ValueError`` for fewer than two
    classes, parts with different classes, an unreadable image, images of different sizes without ``size``, or a
    ``size`` below 1.
    """
    if size is not None and size < 1:
        raise ValueError(f"size must be a number of pixels of at least 1, got {size!r}")
    path = Path(path).expanduser()
    if not path.is_dir():
        raise FileNotFoundError(
            f"there is no folder {path}; give one with <class>/*.jpg, or with train/<class>/*.jpg and "
            "test/<class>/*.jpg"
        )
    folders = {part: path / part for part in ("train", "val", "test") if (path / part).is_dir()}
    if [*folders] == ["val", "test"]:
        raise ValueError(f"{path} has val and test but no train; put the training images into {path / 'train'}/<class>")
    if "train" not in folders or len(folders) == 1:
        folders = {"train": path}  # one tree; a class may be called "train", as one of CIFAR-100's
    found = {part: _list_images(folder) for part, folder in folders.items()}  # {part: {class: files}}
    classes = tuple(found["train"])
    for part, files in found.items():
        if tuple(files) != classes:
            odd = ", ".join(sorted(set(files) ^ set(classes)))
            raise ValueError(f"{folders[part]} must have the classes of {folders['train']}; only one of them has {odd}")
    images = _read_images([file for files in found.values() for name in classes for file in files[name]], size)
    labels = [
        torch.arange(len(classes)).repeat_interleave(torch.tensor([*map(len, f.values())])) for f in found.values()
    ]
    splits = map(Split, images.split([*map(len, labels)]), labels)
    parts = dict(zip(found, splits, strict=True))
    train, test, validation = parts["train"], parts.get("test"), parts.get("val")
    if len(parts) == 1:
        train, test = _split(train, test_fraction, seed, classes)
    elif test is None:
        test, validation = validation, None
    pad = images.shape[2] // 8
    return _dataset(path.resolve().name, train, test, classes, validation=validation, pad=pad, flip=flip)


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

    return _dataset("synthetic", draw(train), draw(test), tuple(map(str, range(num_classes))))


DATASETS: dict[str, Callable[..., Dataset]] = {
    function.__name__: function for function in (digits, fashion_mnist, cifar10, cifar100, image_folder, synthetic)
}


def load(name: str, **options: object) -> Dataset:
    """Return the data set ``name`` of ``DATASETS``; ``options`` are the arguments of the function of that name.

    Raises ``ValueError`` for an unknown name, and for an option that is unknown or missing.
    """
    function = DATASETS[choose("name of a data set", name, tuple(DATASETS))]
    signature = inspect.signature(function)
    try:
        signature.bind(**options)
    except TypeError as error:
        allowed = ", ".join(signature.parameters)
        raise ValueError(f"{name}: {error}; its options are {allowed}") from None
    return function(**options)


def _dataset(name: str, train: Split, test: Split, classes: Sequence[str], **settings: object) -> Dataset:
    mean, std = _statistics(name, train.images)
    return Dataset(name, train, test, tuple(classes), mean, std, **settings)


def _statistics(name: str, images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
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


def _take(split: Split, indices: np.ndarray) -> Split:
    chosen = torch.from_numpy(indices).to(split.labels.device)
    return Split(split.images[chosen], split.labels[chosen])


def _split(whole: Split, test_fraction: float, seed: int, classes: Sequence[str]) -> tuple[Split, Split]:
    count = _count("test_fraction", test_fraction, len(whole))
    train, test = _stratified(whole.labels.numpy(), count, seed, classes)
    return _take(whole, train), _take(whole, test)


def _count(name: str, fraction: float, total: int) -> int:
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"{name} must lie between 0 and 1, got {fraction!r}; 0.2 is usual")
    return math.ceil(fraction * total)


def _stratified(labels: np.ndarray, count: int, seed: int, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
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


def _list_images(folder: Path) -> dict[str, list[str]]:
    """Return the image files by class, both in alphabetical order; names that begin with a dot are left out."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    def is_image(file: str) -> bool:  # "._1.jpg" is what macOS puts into archives
        return file.lower().endswith(IMG_EXTENSIONS) and not os.path.basename(file).startswith(".")

    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(classes) < 2:
        raise ValueError(
            f"{folder} must hold a folder of images for each of at least 2 classes, found {classes}; "
            "the layout is <class>/*.jpg, or train/<class>/*.jpg and test/<class>/*.jpg"
        )
    files: dict[str, list[str]] = {name: [] for name in classes}
    numbers = {name: number for number, name in enumerate(classes)}
    for file, number in make_dataset(folder, numbers, is_valid_file=is_image, allow_empty=True):
        files[classes[number]].append(file)
    for name in classes:
        if not files[name]:
            raise FileNotFoundError(
                f"{folder / name} holds no image ({' '.join(IMG_EXTENSIONS)}); add some, or remove the folder"
            )
    return files


def _read_images(files: Sequence[str], size: int | None) -> Tensor:
    """Return the images as ``(N, 3, H, W)`` uint8, decoded in threads with a progress bar."""
    from PIL import Image, ImageOps
    from tqdm import tqdm

    def read(file: str) -> np.ndarray:
        try:
            with Image.open(file) as image:
                if size:
                    image.draft(None, (size, size))  # JPEG decodes straight to a half, a quarter or an eighth
                picture = image.convert("RGB")
        except Exception as error:  # Pillow raises many kinds for damaged files
            raise ValueError(f"cannot read the image {file}: {error}; replace or remove it") from error
        return np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR) if size else picture)

    first = read(files[0])
    images = np.empty((len(files), *first.shape), np.uint8)  # (N, H, W, 3)

    def place(numbers: range) -> None:
        for number in numbers:
            image = read(files[number])
            if image.shape != first.shape:
                (h, w), (height, width) = image.shape[:2], first.shape[:2]
                raise ValueError(
                    f"images must have one size, but {files[0]} has {width}x{height} and {files[number]} has {w}x{h} "
                    f"(width x height); give a size, for example size={min(h, w, height, width)}"
                )
            images[number] = image

    with ThreadPoolExecutor() as pool, tqdm(total=len(files), desc="images read", unit=" images") as bar:
        # Many images a task: for small ones a task costs as much as an image.
        tasks = [pool.submit(place, range(len(files))[start : start + 32]) for start in range(0, len(files), 32)]
        try:
            for start, task in enumerate(tasks):
                task.result()
                bar.update(min(32, len(files) - 32 * start))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the pool would read the rest first
            raise
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
