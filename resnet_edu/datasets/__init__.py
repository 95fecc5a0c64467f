"""Data sets as tensors: whole sets of uint8 images that move to a device at once.

Images are ``(N, C, H, W)`` uint8, labels ``(N,)`` int64. Augmentation and normalisation happen where the images are.

``digits`` needs no download. ``fashion_mnist``, ``cifar10`` and ``cifar100`` are downloaded once to ``root``, which is
the folder named by the environment variable ``RESNET_EDU_DATA`` or else ``~/.cache/resnet_edu``. ``image_folder``
reads images of your own, ``synthetic`` draws a problem of any size. ``load`` calls any of them by its name.
"""

import inspect
from collections.abc import Callable

from resnet_edu.blocks import choose
from resnet_edu.datasets.base import Dataset, Split
from resnet_edu.datasets.bundled import digits, synthetic
from resnet_edu.datasets.downloads import FOLDERS, DownloadError, cifar10, cifar100, data_root, fashion_mnist
from resnet_edu.datasets.images import image_folder
from resnet_edu.devices import best_device

__all__ = [
    "DATASETS",
    "FOLDERS",
    "Dataset",
    "DownloadError",
    "Split",
    "best_device",
    "cifar10",
    "cifar100",
    "data_root",
    "digits",
    "fashion_mnist",
    "image_folder",
    "load",
    "synthetic",
]


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
