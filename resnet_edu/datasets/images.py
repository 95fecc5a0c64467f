"""Folders of images of your own."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from resnet_edu import devices
from resnet_edu.datasets.base import Dataset, Split, assemble, split_off

if TYPE_CHECKING:
    from resnet_edu.datasets.layout import Layout
    from resnet_edu.datasets.pictures import Deep

TASK = 32  # images a task of a thread: for small images a task costs as much as an image


def image_folder(
    path: str | Path,
    size: int | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    flip: bool = True,
    skip_damaged: bool = False,
    background: str = "white",
) -> Dataset:
    """Return the images of a folder in the layout of ``torchvision.datasets.ImageFolder``, as RGB.

    Either ``path/train/<class>/*.jpg`` with ``path/test/<class>/*.jpg``, or one tree ``path/<class>/*.jpg``, of which
    ``test_fraction`` becomes the test set, class proportions kept. With ``train``, ``val`` and ``test``, ``val`` is
    the validation split; with ``train`` and ``val`` alone, ``val`` is the test set, as is usual for ImageNet. Splits
    may have other usual names (``valid``, ``Training``, ``seg_test``); folders that look like splits and are named
    otherwise are refused, for they would become classes.

    Pictures are read as a viewer shows them: upright by their EXIF orientation, what is transparent on the colour
    ``background`` (any that Pillow knows: ``"white"``, ``"#808080"``); of an animation the first picture. All that
    Pillow can open is read; what is left out is counted in a warning. Pictures of more than 8 bits share one rule:
    whole numbers run from 0 to the largest of 8, 10, 12, 14 or 16 bits, whichever holds the brightest pixel of all,
    floating-point numbers from 0 to 1. With ``skip_damaged`` files that cannot be read are left out, with a warning.

    With ``size`` every image is scaled until its shorter side has that many pixels and cropped to the centre square;
    it may be left out if all images have one size. The whole set lies in memory: 3 bytes a pixel. Augmentation pads
    an eighth of the height, the paper's 4 of 32; ``flip=False`` where mirroring changes the class, as with letters.

    Raises ``FileNotFoundError`` for a missing folder or a class without images, and ``ValueError`` for fewer than two
    classes, splits with different classes or without their usual names, unreadable images (all are named), pictures
    whose values no rule covers, images of different sizes without ``size``, or a ``size`` below 1.
    """
    from PIL import ImageColor

    from resnet_edu.datasets.layout import find_layout

    if size is not None and size < 1:
        raise ValueError(f"size must be a number of pixels of at least 1, got {size!r}")
    try:
        behind = ImageColor.getrgb(background)[:3]
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"background must be a colour such as 'white' or '#808080', got {background!r}") from None
    path = Path(path).expanduser()
    layout = find_layout(path)
    classes = tuple(layout.files["train"])
    files = [file for found in layout.files.values() for name in classes for file in found[name]]
    images, damaged = _read_images(files, size, behind)
    if damaged and not skip_damaged:
        raise ValueError(
            f"cannot read {_count_of(damaged)}:\n"
            + "\n".join(f"  {file}: {error}" for file, error in damaged.items())
            + "\nreplace or remove them, or go on without them: skip_damaged=True (--skip-damaged)"
        )
    notes = list(layout.notes)
    if damaged:
        notes.append(f"{path}: left out {_count_of(damaged)} that cannot be read: {', '.join(damaged)}")
    for note in notes:
        warnings.warn(note, stacklevel=2)
    parts = dict(zip(layout.files, _parts(images, layout, classes, damaged), strict=True))
    train, test, validation = parts["train"], parts.get("test"), parts.get("val")
    if len(parts) == 1:
        train, test = split_off(train, test_fraction, seed, classes)
    elif test is None:
        test, validation = validation, None
    pad = images.shape[2] // 8
    return assemble(path.resolve().name, train, test, classes, validation=validation, pad=pad, flip=flip)


def _count_of(files: dict[str, str]) -> str:
    return f"{len(files)} image{'s' if len(files) > 1 else ''}"


def _parts(images: Tensor, layout: "Layout", classes: Sequence[str], damaged: dict[str, str]) -> list[Split]:
    """Return the splits of the images, which come split by split and class by class."""
    labels = []
    for part, found in layout.files.items():
        counts = [sum(file not in damaged for file in found[name]) for name in classes]
        if 0 in counts:
            empty = layout.places[part] / classes[counts.index(0)]
            raise FileNotFoundError(f"{empty} holds no image that can be read; replace some, or remove the folder")
        labels.append(torch.arange(len(classes)).repeat_interleave(torch.tensor(counts)))
    return list(map(Split, images.split([*map(len, labels)]), labels))


def _read_images(
    files: Sequence[str], size: int | None, background: tuple[int, int, int]
) -> tuple[Tensor, dict[str, str]]:
    """Return the images that can be read as ``(N, 3, H, W)`` uint8, and what is wrong with each of the others.

    They are decoded in threads, with a progress bar.
    """
    from resnet_edu.datasets import pictures

    damaged: dict[str, str] = {}
    deep: dict[int, Deep] = {}
    first = None  # (file, (height, width)) of the first that can be read; the others must agree

    def read(file: str) -> "np.ndarray | Deep | None":
        try:
            return pictures.read_picture(file, size, background)
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises many kinds for damaged files
            damaged[file] = str(error) or type(error).__name__
            return None

    def place(number: int, picture: "np.ndarray | Deep | None") -> None:
        if picture is None:
            return
        is_deep = isinstance(picture, pictures.Deep)
        shape = (picture.values if is_deep else picture).shape[:2]
        if shape != first[1]:
            (h, w), (height, width) = shape, first[1]
            example = min(h, w, height, width)
            raise ValueError(
                f"images must have one size, but {first[0]} has {width}x{height} and {files[number]} has {w}x{h} "
                f"(width x height); give a size, for example size={example} (--size {example})"
            )
        if is_deep:
            deep[number] = picture
        else:
            pixels[number] = picture.transpose(2, 0, 1)

    with pictures.any_size():
        for file in files:
            picture = read(file)
            if picture is not None:
                first = file, (picture.values if isinstance(picture, pictures.Deep) else picture).shape[:2]
                break
        _check_memory(len(files), *(first[1] if first else (1, 1)))
        pixels = np.empty((len(files), 3, *(first[1] if first else (1, 1))), np.uint8)
        _in_threads(len(files), lambda number: place(number, read(files[number])))
    order = sorted(deep)
    made, wrong = pictures.to_8_bits([(files[number], deep[number]) for number in order])
    if wrong:
        raise ValueError(
            "these pictures have values that no rule covers; scale them to 0 … 1 (floating point) or to 0 … 65535 "
            "(whole numbers) first:\n  " + "\n  ".join(wrong)
        )
    for number, picture in zip(order, made, strict=True):
        pixels[number] = picture.transpose(2, 0, 1)
    if damaged:
        pixels = pixels[[number for number, file in enumerate(files) if file not in damaged]]
    return torch.from_numpy(pixels), {file: damaged[file] for file in files if file in damaged}


def _check_memory(count: int, height: int, width: int) -> None:
    free, needed = devices.free_memory(torch.device("cpu")), 3 * count * height * width
    if free is not None and needed > free:
        size = max(1, int((0.5 * free / (3 * count)) ** 0.5))
        raise ValueError(
            f"{count:,} images of {width}x{height} take {devices.in_gib(needed)}, and {devices.in_gib(free)} are free; "
            f"give a smaller size, for example size={size} (--size {size})"
        )


def _in_threads(count: int, work) -> None:
    """Call ``work`` with every number below ``count``, in threads, with a progress bar; the first error ends it."""
    from tqdm import tqdm

    def several(start: int) -> None:
        for number in range(start, min(start + TASK, count)):
            work(number)

    with ThreadPoolExecutor() as pool, tqdm(total=count, desc="images read", unit=" images") as bar:
        tasks = [pool.submit(several, start) for start in range(0, count, TASK)]
        try:
            for start, task in zip(range(0, count, TASK), tasks, strict=True):
                task.result()
                bar.update(min(TASK, count - start))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the pool would read the rest first
            raise
