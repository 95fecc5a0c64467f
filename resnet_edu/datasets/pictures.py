"""Picture files as a viewer shows them: upright, on a background, in 8-bit RGB."""

import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, features

# EXIF orientation -> what puts the picture upright (EXIF 2.32, tag 0x0112).
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras, scanners and microscopes give
# Formats that Pillow lists but cannot decode by itself: other programs or plug-ins must.
NO_PICTURES = ("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF")
OPTIONAL = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}  # parts that a build of Pillow may lack
HEIF = (".heic", ".heif", ".hif")
LARGE = 50_000_000  # pixels; such pictures are decoded one at a time, for each takes hundreds of megabytes
_one_large = threading.Lock()


@dataclass(frozen=True)
class Deep:
    """A picture with more than 8 bits a channel: values ``(H, W)`` float32, and the range of the whole file."""

    values: np.ndarray
    low: float
    high: float
    floating: bool


@cache
def endings() -> frozenset[str]:
    """Return the endings of names, in lower case with their dot, that Pillow can read here; HEIF with pillow-heif."""
    Image.init()
    left_out = {*NO_PICTURES, *(kind for kind, feature in OPTIONAL.items() if not features.check(feature))}
    known = Image.registered_extensions().items()
    found = {ending for ending, kind in known if kind in Image.OPEN and kind not in left_out}
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
        found.update(HEIF)
    except ImportError:
        pass
    return frozenset(found)


@contextmanager
def any_size() -> Iterator[None]:
    """Let Pillow open pictures of any size inside: a scan of 200 megapixels in one's own folder is no attack."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def read_picture(file: str | Path, size: int | None, background: tuple[int, int, int]) -> np.ndarray | Deep:
    """Return the picture as ``(H, W, 3)`` uint8, or as ``Deep`` where it has more than 8 bits a channel.

    With ``size`` the shorter side is scaled to so many pixels and the centre square cut out. The orientation in its
    EXIF data is followed, what is transparent lies on ``background``; of an animation or a stack of pages the first
    picture counts. Colour profiles are not applied.

    Raises what Pillow raises for a file that it cannot read, which is of many kinds.
    """
    with Image.open(file) as image:
        if image.width * image.height > LARGE:
            with _one_large:
                return _decode(image, size, background)
        return _decode(image, size, background)


def _decode(image: Image.Image, size: int | None, background: tuple[int, int, int]) -> np.ndarray | Deep:
    if size:
        image.draft(None, (size, size))  # JPEG decodes straight to a half, a quarter or an eighth
    image.load()  # Pillow turns a TIFF upright while it loads, and then its orientation is 1
    turn = UPRIGHT.get(_orientation(image))
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float32)
        low, high, floating = float(values.min()), float(values.max()), image.mode == "F"
        return Deep(np.asarray(_fit(Image.fromarray(values), size, turn)), low, high, floating)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colours.size, (*background, 255)), colours).convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")  # else its pixels would be picked, not averaged
    elif image.mode != "L":
        image = image.convert("RGB")
    return np.asarray(_fit(image, size, turn).convert("RGB"))


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF data; viewers then show the picture as it is stored
        return 1


def _fit(image: Image.Image, size: int | None, turn: Image.Transpose | None) -> Image.Image:
    if turn is not None:
        image = image.transpose(turn)
    return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR) if size else image


def to_8_bits(deep: Sequence[tuple[str, Deep]]) -> tuple[list[np.ndarray], list[str]]:
    """Return deep pictures as ``(H, W, 3)`` uint8, and what is wrong with those whose values no rule covers.

    The rule is one for all of them, so that their brightnesses stay comparable. Whole numbers: 0 is black, and white
    is the largest number of 8, 10, 12, 14 or 16 bits, whichever holds the brightest pixel of all; 12-bit pictures in
    16-bit files are thus no darker than they were meant. Floating-point numbers: 0 is black, 1 is white.
    """
    wrong = [f"{file} holds {_range(one)}" for file, one in deep if not _covered(one)]
    bright = max((one.high for _, one in deep if not one.floating and _covered(one)), default=0.0)
    white = next((2**bits - 1 for bits in DEPTHS if bright < 2**bits), 1)
    made = []
    for _, one in deep if not wrong else ():
        grey = (one.values * (255 / (1 if one.floating else white))).round().clip(0, 255).astype(np.uint8)
        made.append(np.stack([grey] * 3, 2))
    return made, wrong


def _covered(one: Deep) -> bool:
    return one.low >= 0 and one.high <= (1 if one.floating else 2 ** DEPTHS[-1] - 1)  # false for nan, too


def _range(one: Deep) -> str:
    kind = "floating-point values" if one.floating else "values"
    return f"{kind} from {one.low:g} to {one.high:g}"


def ending(file: str | Path) -> str:
    """Return the ending of a file's name in lower case with its dot; empty if there is none."""
    return os.path.splitext(os.fspath(file))[1].lower()
