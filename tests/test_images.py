"""Folders of images: which are splits and classes, and pictures as a viewer shows them."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_edu.datasets import image_folder, pictures


def random_images(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_tree(root, counts, size=(6, 4), suffix="png"):
    """Write ``counts`` = {"train/cat": 3, ...} random images; return {path: array (H, W, 3)}."""
    written = {}
    for number, (folder, count) in enumerate(counts.items()):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            path = root / folder / f"{i}.{suffix}"
            written[str(path)] = random_images(100 * number + i, size[1], size[0], 3)
            Image.fromarray(written[str(path)]).save(path)
    return written


def test_a_folder_with_parts_is_read_as_torchvision_reads_it(tmp_path):
    from torchvision.datasets import ImageFolder

    write_tree(tmp_path, {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 2, "val/cat": 1, "val/dog": 1})
    data = image_folder(tmp_path)
    for split, part in ((data.train, "train"), (data.test, "test"), (data.validation, "val")):
        reference = ImageFolder(tmp_path / part)
        assert split.labels.tolist() == reference.targets and list(data.classes) == reference.classes
        expected = np.stack([np.asarray(image) for image, _ in reference]).transpose(0, 3, 1, 2)
        assert np.array_equal(split.images.numpy(), expected) and split.images.is_contiguous()
    assert data.name == tmp_path.name and data.flip and not image_folder(tmp_path, flip=False).flip


def test_val_is_the_test_set_where_there_is_no_other(tmp_path):
    written = write_tree(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1})
    data = image_folder(tmp_path)
    assert data.validation is None
    assert np.array_equal(data.test.images[0].permute(1, 2, 0), written[str(tmp_path / "val/a/0.png")])


def test_one_tree_is_split_by_the_fraction(tmp_path):
    written = write_tree(tmp_path, {"train": 40, "tram": 60})  # "train" may be a class, as in CIFAR-100
    data = image_folder(tmp_path, test_fraction=0.25)
    assert data.classes == ("train", "tram")
    assert data.train.labels.bincount().tolist() == [30, 45] and data.test.labels.bincount().tolist() == [10, 15]
    seen = {image.tobytes() for split in (data.train, data.test) for image in split.images.permute(0, 2, 3, 1).numpy()}
    assert seen == {image.tobytes() for image in written.values()}
    assert data.checksum == image_folder(tmp_path, test_fraction=0.25).checksum
    assert data.checksum != image_folder(tmp_path, test_fraction=0.25, seed=1).checksum


def test_hidden_files_and_folders_are_no_images(tmp_path):
    write_tree(tmp_path, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "train" / "a" / "._0.png").write_bytes(b"no image")
    (tmp_path / "train" / "a" / "notes.txt").write_text("no image")
    with pytest.warns(UserWarning, match="left out 1 .txt"):
        assert len(image_folder(tmp_path).train) == 4


def test_images_are_scaled_and_cropped_to_one_size(tmp_path):
    write_tree(tmp_path, {"a": 3})
    write_tree(tmp_path, {"b": 3}, size=(9, 9))
    with pytest.raises(ValueError, match=r"a/0\.png has 6x4 and .*b/0\.png has 9x9 .* for example size=4"):
        image_folder(tmp_path)
    assert image_folder(tmp_path, size=4).train.images.shape[1:] == (3, 4, 4)
    with pytest.raises(ValueError, match="size must be a number of pixels of at least 1, got 0"):
        image_folder(tmp_path, size=0)


def test_the_crop_is_the_centre_square_also_of_a_large_jpeg(tmp_path):
    # Wide images, green left and right, red in the middle square: only red may remain.
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(2):
            image = Image.new("RGB", (1600, 400), (0, 200, 0))
            image.paste((200 - 20 * i, 30 * i, 10 * i), (560, 0, 1040, 400))
            image.save(tmp_path / name / f"{i}.jpg")
    images = image_folder(tmp_path, size=40, test_fraction=0.5).train.images
    assert images.shape == (2, 3, 40, 40)
    assert images[:, 0].min() > 170 and images[:, 1].max() < 40


def test_grey_and_transparent_images_become_rgb(tmp_path):
    write_tree(tmp_path, {"a": 2, "b": 2})
    Image.fromarray(random_images(0, 4, 6)).save(tmp_path / "a" / "grey.png")
    Image.new("RGBA", (6, 4), (1, 2, 3, 4)).save(tmp_path / "b" / "clear.png")
    assert image_folder(tmp_path, test_fraction=0.4).train.images.shape[1:] == (3, 4, 6)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"there is no folder {tmp_path}/nowhere"):
        image_folder(tmp_path / "nowhere")


def test_an_empty_class_is_named(tmp_path):
    write_tree(tmp_path, {"train/a": 1, "train/b": 0, "test/a": 1, "test/b": 1})
    with pytest.raises(FileNotFoundError, match="train/b holds no image"):
        image_folder(tmp_path)


@pytest.mark.parametrize("counts", [{}, {"train/a": 1, "test/a": 1}, {"only": 3}])
def test_fewer_than_two_classes_is_an_error_that_shows_the_layout(tmp_path, counts):
    write_tree(tmp_path, counts)
    with pytest.raises(ValueError, match="at least 2 classes, found .*the layout is <class>/"):
        image_folder(tmp_path)


def test_parts_without_train_are_not_taken_for_classes(tmp_path):
    write_tree(tmp_path, {"val/a": 3, "test/a": 3})
    with pytest.raises(ValueError, match="has val and test but no train"):
        image_folder(tmp_path)


@pytest.mark.parametrize("test", [{"test/a": 1}, {"test/a": 1, "test/c": 1}, {"test/a": 1, "test/b": 1, "test/c": 1}])
def test_the_classes_of_all_parts_must_agree(tmp_path, test):
    write_tree(tmp_path, {"train/a": 1, "train/b": 1, **test})
    with pytest.raises(ValueError, match=r"at least 2 classes, found \['a'\]|only one of them has (b, )?c"):
        image_folder(tmp_path)


# --- splits -----------------------------------------------------------------------------------------------------------

NAMES = [
    ("train", "valid", None), ("train", "valid", "test"), ("train", "validation", None), ("Train", None, "Test"),
    ("Train", "Val", "Test"), ("training", None, "testing"), ("seg_train", None, "seg_test"), ("TRAIN", "DEV", "TEST"),
    ("training_set", None, "test_set"), ("trainingSet", None, "testSet"), ("chest-train", "chest-val", "chest-test"),
    ("train images", None, "test images"),
]  # fmt: skip


@pytest.mark.parametrize("names", NAMES)
def test_splits_are_recognised_by_any_usual_name(tmp_path, names):
    parts = {role: name for role, name in zip(("train", "val", "test"), names, strict=True) if name}
    counts = {"train": 5, "val": 3, "test": 2}
    written = write_tree(
        tmp_path, {f"{name}/{c}": counts[role] for role, name in parts.items() for c in ("cat", "dog")}
    )
    data = image_folder(tmp_path)
    tested = "test" if "test" in parts else "val"
    assert data.classes == ("cat", "dog")
    assert len(data.train) == 10 and len(data.test) == 2 * counts[tested]
    assert (data.validation and len(data.validation)) == (6 if "test" in parts and "val" in parts else None)
    assert data.test.labels.bincount().tolist() == [counts[tested]] * 2
    assert np.array_equal(
        data.test.images[0].permute(1, 2, 0), written[str(tmp_path / parts[tested] / "cat" / "0.png")]
    )


def test_what_unpacked_archives_wrap_around_is_looked_through(tmp_path):
    """Kaggle's archives hold seg_train/seg_train/<class> and, beside it, unlabelled images."""
    write_tree(tmp_path / "data", {f"seg_{s}/seg_{s}/{c}": 2 for s in ("train", "test") for c in ("cat", "dog")})
    write_tree(tmp_path / "data", {"seg_pred/seg_pred": 3})
    with pytest.warns(UserWarning, match="left out the folder seg_pred, which is no split"):
        data = image_folder(tmp_path)
    assert data.classes == ("cat", "dog") and len(data.train) == len(data.test) == 4
    assert data.name == tmp_path.name


def test_a_training_part_alone_is_one_tree(tmp_path):
    write_tree(tmp_path, {"train/a": 5, "train/b": 5})
    data = image_folder(tmp_path)
    assert data.classes == ("a", "b") and (len(data.train), len(data.test)) == (8, 2)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ("A/cat", "A/dog", "B/cat", "B/dog"),
            "hold the same folders cat, dog, so they are splits .* name them train and",
        ),
        (("fold1/cat", "fold1/dog", "fold1/cow", "fold2/cat", "fold2/dog"), "fold1 and .*fold2 hold the same folders"),
        (("train/cat", "train/dog", "extra/cat", "extra/dog"), "hold the same folders cat, dog"),
        (("cat/train", "cat/test", "dog/train", "dog/test"), "splits come first: test/cat, test/dog, train/cat"),
        (
            ("train/cat", "train/dog", "unlabelled"),
            "train holds folders of its own .* give .*train alone, or rename unl",
        ),
        (("train/a", "train/b", "val/a", "val/b", "valid/a", "valid/b"), "val, valid, which all mean val; keep one"),
    ],
)
def test_splits_that_are_not_named_so_never_become_classes(tmp_path, folders, message):
    write_tree(tmp_path, dict.fromkeys(folders, 3))
    with pytest.raises(ValueError, match=message):
        image_folder(tmp_path)


def test_classes_may_be_called_like_splits_and_hold_folders(tmp_path):
    write_tree(tmp_path / "one", {"train_station": 4, "test_tube": 4})
    assert image_folder(tmp_path / "one").classes == ("test_tube", "train_station")
    write_tree(tmp_path / "two", {"cat/2023": 4, "dog/2023": 2, "dog/2024": 2})
    data = image_folder(tmp_path / "two", test_fraction=0.5)
    assert data.classes == ("cat", "dog") and len(data.train) + len(data.test) == 8


# --- what is read and what is not -------------------------------------------------------------------------------------


def test_what_is_left_out_is_counted_by_its_ending(tmp_path):
    write_tree(tmp_path, {"a": 3, "b": 3})
    for name in ("a/1.svg", "a/2.SVG", "b/notes.txt", "b/README", "labels.csv", "a/Thumbs.db", "b/.hidden.txt"):
        (tmp_path / name).write_bytes(b"x")
    Image.new("RGB", (6, 4)).save(tmp_path / "beside.png")
    with pytest.warns(UserWarning) as caught:
        assert sum(map(len, (data := image_folder(tmp_path)) and (data.train, data.test))) == 6
    (note,) = map(str, (one.message for one in caught))
    assert note == (
        f"{tmp_path}: left out 1 .csv, 2 .svg, 1 .txt, 1 image(s) directly in {tmp_path}, 1 without an ending"
    )


@pytest.mark.parametrize(
    "suffix", ["jfif", "gif", "avif", "jp2", "webp", "bmp", "tif", "ppm", "tga", "JPG", "jpe", "ico"]
)
def test_every_kind_that_pillow_opens_is_read(tmp_path, suffix):
    if f".{suffix.lower()}" not in pictures.endings():
        pytest.skip(f"this Pillow has no .{suffix}")
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(2):
            colours = Image.new("RGB", (32, 32), (200, 100, 50 + 100 * (name == "b")))
            colours.paste((100, 20 + 60 * number, 200), (0, 0, 8, 32))
            colours.save(tmp_path / name / f"{number}.{suffix}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = image_folder(tmp_path, test_fraction=0.5)
    assert data.train.images.shape == (2, 3, 32, 32)
    assert (data.train.images[:, 0, :, 12:].float() - 200).abs().max() < 12
    assert (data.train.images[:, 2, :, 12:].float().mean((1, 2)) - torch.tensor([50, 150])).abs().max() < 12


def test_heic_is_counted_or_read_with_the_plug_in(tmp_path, monkeypatch):
    import types

    write_tree(tmp_path, {"a": 2, "b": 2})
    with Image.open(tmp_path / "a" / "0.png") as image:
        image.save(tmp_path / "a" / "9.png")
    (tmp_path / "a" / "9.png").rename(tmp_path / "a" / "9.heic")  # Pillow goes by the content
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    pictures.endings.cache_clear()
    with pytest.warns(UserWarning, match=r"left out 1 \.heic; pip install pillow-heif reads \.heic"):
        data = image_folder(tmp_path, test_fraction=0.5)
    assert len(data.train) + len(data.test) == 4
    monkeypatch.setitem(sys.modules, "pillow_heif", types.SimpleNamespace(register_heif_opener=lambda: None))
    pictures.endings.cache_clear()
    data = image_folder(tmp_path, test_fraction=0.5)
    assert len(data.train) + len(data.test) == 5
    pictures.endings.cache_clear()


@pytest.mark.parametrize("content", [b"", b"not an image", "half"])
def test_all_damaged_images_are_named_at_once_or_left_out(tmp_path, content):
    written = write_tree(tmp_path, {"a": 3, "b": 40}, size=(50, 50))
    bad = [tmp_path / "a" / "0.png", tmp_path / "b" / "7.png", tmp_path / "b" / "39.png"]
    for file in bad:
        file.write_bytes(file.read_bytes()[:800] if content == "half" else content)
    with pytest.raises(ValueError, match=r"cannot read 3 images:(?s:.*)skip_damaged=True \(--skip-damaged\)") as caught:
        image_folder(tmp_path)
    assert all(f"  {file}: " in str(caught.value) for file in bad)
    with pytest.warns(UserWarning, match="left out 3 images that cannot be read: .*0.png, .*39.png, .*7.png"):
        data = image_folder(tmp_path, test_fraction=0.1, skip_damaged=True)
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert np.bincount(labels).tolist() == [2, 38]
    seen = {image.tobytes(): int(label) for split in (data.train, data.test)
            for image, label in zip(split.images.permute(0, 2, 3, 1).numpy(), split.labels, strict=True)}  # fmt: skip
    expected = {array.tobytes(): int("/b/" in file) for file, array in written.items() if Path(file) not in bad}
    assert seen == expected  # no label has moved


def test_a_class_of_damaged_images_is_named(tmp_path):
    write_tree(tmp_path, {"a": 3, "b": 2})
    for number in range(2):
        (tmp_path / "b" / f"{number}.png").write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(FileNotFoundError, match="b holds no image that can be read"):
        image_folder(tmp_path, skip_damaged=True)


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path, monkeypatch):
    import os

    write_tree(tmp_path, {"a/inner": 2, "a/other": 2, "b": 2})
    scandir = os.scandir

    def refusing(place):
        if os.fspath(place).endswith("inner"):
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(PermissionError, match="inner"):
        image_folder(tmp_path)


def test_images_that_do_not_fit_into_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    write_tree(tmp_path, {"a": 5, "b": 5}, size=(40, 30))
    monkeypatch.setattr("resnet_edu.devices.free_memory", lambda device: 10 * 3 * 200)
    with pytest.raises(ValueError, match=r"10 images of 40x30 take .* are free; give .*size=10 \(--size 10\)"):
        image_folder(tmp_path)
    assert image_folder(tmp_path, size=10).train.images.shape[2:] == (10, 10)


# --- pictures as a viewer shows them ----------------------------------------------------------------------------------


def read(file, size=None, background=(255, 255, 255)):
    with pictures.any_size():
        return pictures.read_picture(file, size, background)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path, orientation, suffix):
    """What a camera held in any way stores, and the eight numbers say how to hold it: EXIF 2.32, tag 0x0112."""
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:10, :15] = 250, 20, 20  # red above left
    upright[10:, :15] = 20, 20, 250  # blue below left
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright, 1), 7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = orientation
    file = tmp_path / f"x.{suffix}"
    options = {"webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}}.get(suffix, {})
    image.save(file, exif=exif, **options)
    seen = read(file).astype(int)
    assert seen.shape == upright.shape
    assert abs(seen - upright).mean() < (4 if suffix == "jpg" else 0.01)
    small = read(file, 10).astype(int)  # the centre square, 20 pixels wide, of the upright picture
    assert abs(small[2, 2] - (250, 20, 20)).max() < 12 and abs(small[7, 2] - (20, 20, 250)).max() < 12


def test_damaged_exif_data_leaves_the_picture_as_it_is_stored(tmp_path):
    image = Image.fromarray(random_images(0, 8, 6, 3))
    image.save(tmp_path / "x.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(read(tmp_path / "x.png"), np.asarray(image))


def ramp(top, dtype):
    return np.tile(np.linspace(0, top, 32), (32, 1)).astype(dtype)


@pytest.mark.parametrize(
    ("array", "suffix"),
    [
        (ramp(65535, np.uint16), "png"), (ramp(65535, np.uint16), "tif"), (ramp(65535, np.int32), "tif"),
        (ramp(4095, np.uint16), "tif"), (ramp(1023, np.uint16), "png"), (ramp(255, np.uint16), "tif"),
        (ramp(1, np.float32), "tif"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [None, 32])
def test_pictures_of_more_than_8_bits_are_scaled_by_the_stated_rule(tmp_path, array, suffix, size):
    write_tree(tmp_path, {"a": 3, "b": 3}, size=(32, 32))
    for name in "ab":
        Image.fromarray(array).save(tmp_path / name / f"9.{suffix}")
    data = image_folder(tmp_path, size=size)
    expected = (array.astype(float) / array.max() * 255).round()
    close = [abs(image.numpy() - expected).max() <= 1 for split in (data.train, data.test) for image in split.images]
    assert sum(close) == 2


def test_deep_pictures_share_one_scale(tmp_path):
    """A dark picture stays darker than a bright one of the same camera, whichever split it is in."""
    for part in ("train", "test"):
        for name, value in (("dark", 400), ("light", 3000)):
            (tmp_path / part / name).mkdir(parents=True)
            shade = np.full((4, 4), value if part == "train" else value + 500, np.uint16)
            shade[0, 0] = 0
            Image.fromarray(shade).save(tmp_path / part / name / "x.png")
    data = image_folder(tmp_path)  # 3500 is the brightest: 12 bits
    assert data.train.images[:, 0, 1, 1].tolist() == [round(400 / 4095 * 255), round(3000 / 4095 * 255)]
    assert data.test.images[:, 0, 1, 1].tolist() == [round(900 / 4095 * 255), round(3500 / 4095 * 255)]


@pytest.mark.parametrize(
    "array",
    [ramp(1.5, np.float32), ramp(255, np.float32), ramp(1, np.float32) - 0.5, np.full((32, 32), np.nan, np.float32),
     ramp(70000, np.int32), ramp(100, np.int32) - 50],
)  # fmt: skip
def test_values_that_no_rule_covers_are_refused(tmp_path, array):
    write_tree(tmp_path, {"a": 3, "b": 3}, size=(32, 32))
    Image.fromarray(array).save(tmp_path / "a" / "9.tif")
    with pytest.raises(ValueError, match=r"scale them to 0 … 1 .*:\n  .*9\.tif holds (floating-point )?values from"):
        image_folder(tmp_path)


def transparent(mode):
    """Return a picture of one colour whose left half is transparent and hides noise, in this mode."""
    array = np.zeros((8, 8, 4), np.uint8)
    array[:, :4, :3] = random_images(1, 8, 4, 3)
    array[:, 4:] = 90, 90, 90, 255
    image = Image.fromarray(array)
    if mode == "RGBA":
        return image, {}
    if mode == "LA":
        return image.convert("LA"), {}
    paletted = Image.new("P", (8, 8), 1)
    paletted.putpalette([200, 10, 10, 90, 90, 90])
    paletted.paste(0, (0, 0, 4, 8))
    if mode == "P":
        return paletted, {"transparency": 0}
    if mode == "P bytes":
        return paletted, {"transparency": bytes([0, 255])}
    keyed = paletted.convert("RGB" if mode == "RGB key" else "L")
    return keyed, {"transparency": keyed.getpixel((0, 0))}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "P bytes", "RGB key", "L key"])
@pytest.mark.parametrize(("name", "colour"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48))])
def test_colours_under_transparency_are_not_seen(tmp_path, mode, name, colour):
    write_tree(tmp_path, {"a": 3, "b": 3}, size=(8, 8))
    image, options = transparent(mode)
    image.save(tmp_path / "a" / "9.png", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = image_folder(tmp_path, test_fraction=0.5, background=name)
    images = np.concatenate([split.images.permute(0, 2, 3, 1).numpy() for split in (data.train, data.test)])
    expected = np.full((8, 8, 3), 90, np.uint8)
    expected[:, :4] = colour
    assert sum(np.array_equal(image, expected) for image in images) == 1


def test_half_transparent_pixels_are_mixed_with_the_background(tmp_path):
    Image.new("RGBA", (2, 2), (0, 0, 200, 51)).save(tmp_path / "x.png")
    assert abs(read(tmp_path / "x.png")[0, 0].astype(int) - (204, 204, 244)).max() <= 1


def test_an_unknown_background_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="background must be a colour such as 'white'.*got 'whitish'"):
        image_folder(tmp_path, background="whitish")


def test_other_colour_modes_and_animations(tmp_path):
    red = np.full((8, 8, 3), (220, 30, 40), np.uint8)
    Image.fromarray(red).convert("CMYK").save(tmp_path / "x.tif")
    assert abs(read(tmp_path / "x.tif").astype(int) - red).max() <= 2
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((220, 30, 40), (0, 200, 0))]
    for suffix in ("gif", "png", "webp", "tif"):
        frames[0].save(tmp_path / f"y.{suffix}", save_all=True, append_images=frames[1:])
        assert abs(read(tmp_path / f"y.{suffix}").astype(int) - red).max() <= 12  # the first picture
    bits = np.tile([False, True], (8, 4))
    Image.fromarray(bits).save(tmp_path / "z.png")
    assert np.array_equal(read(tmp_path / "z.png")[..., 0], bits * np.uint8(255))
    assert abs(read(tmp_path / "z.png", 4).astype(int) - 127).max() < 30  # averaged, not picked


def test_a_large_scan_is_no_attack(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    write_tree(tmp_path, {"a": 2, "b": 2}, size=(16, 16))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "a" / "0.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(image_folder(tmp_path, test_fraction=0.5).train) == 2
    assert Image.MAX_IMAGE_PIXELS == 20


@pytest.mark.slow
def test_a_scan_of_two_hundred_megapixels_is_read(tmp_path):
    Image.new("L", (20_000, 10_100), 77).save(tmp_path / "scan.png", compress_level=1)
    seen = read(tmp_path / "scan.png", 32)
    assert seen.shape == (32, 32, 3) and (seen == 77).all()
