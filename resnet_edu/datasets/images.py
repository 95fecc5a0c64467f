"""Folders of images of your own."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resnet_edu.datasets.base import Dataset, Split, assemble, split_off


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
        train, test = split_off(train, test_fraction, seed, classes)
    elif test is None:
        test, validation = validation, None
    pad = images.shape[2] // 8
    return assemble(path.resolve().name, train, test, classes, validation=validation, pad=pad, flip=flip)


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
