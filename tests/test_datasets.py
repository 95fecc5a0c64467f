import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import CIFAR10, CIFAR100, FashionMNIST

from resnet_edu import datasets
from resnet_edu.datasets import DATASETS, Dataset, DownloadError, Split, base, downloads, load, synthetic


def random_images(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def same(a, b):
    return torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)


# --- digits and normalisation -----------------------------------------------------------------------------------------


def test_digits_are_real_balanced_and_apart(digits):
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.train.images.shape[1:] == (1, 8, 8) and digits.train.images.dtype == torch.uint8
    everything = torch.cat([digits.train.images, digits.test.images]).float()
    assert len(everything) == 1797 and everything.max() == 16
    assert digits.test.labels.bincount().min() >= 34
    assert digits.checksum == "6a812af8365b27b7" != datasets.digits(seed=1).checksum  # recorded runs name it
    images = digits.normalize(digits.train.images)
    assert abs(images.mean()) < 1e-4 and abs(images.std() - 1) < 1e-3


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_test_fraction_rule(fraction):
    with pytest.raises(ValueError, match="test_fraction must lie between 0 and 1"):
        datasets.digits(test_fraction=fraction)


def test_normalize_is_exact_and_can_take_part_in_a_backward_pass(digits):
    data = replace(digits, mean=(3.25,), std=(7.5,))  # values that nothing else has put into the cache
    with torch.inference_mode():
        data.normalize(data.test.images)
    pixels = data.test.images.float().requires_grad_()
    data.normalize(pixels).sum().backward()
    assert torch.allclose(pixels.grad, torch.full_like(pixels, 1 / 7.5))
    assert torch.equal(data.normalize(data.test.images), (data.test.images.float() - 3.25) / 7.5)


def test_statistics_are_over_all_pixels_and_not_means_over_images():
    # Each image has one colour: within an image nothing varies, over all pixels a lot does.
    images = torch.tensor([0, 10, 200, 90], dtype=torch.uint8).view(4, 1, 1, 1).repeat(1, 2, 3, 3)
    images[:, 1] = torch.from_numpy(random_images(0, 4, 3, 3))
    mean, std = base.statistics("x", images)
    channels = images.double().transpose(0, 1).flatten(1)  # (C, N * H * W)
    assert mean == pytest.approx(channels.mean(1).tolist(), abs=1e-9)
    assert std == pytest.approx(channels.std(1, correction=0).tolist(), abs=1e-9)
    assert images[:, 0].double().std((1, 2)).mean() == 0 < std[0]


def test_a_constant_channel_is_an_error():
    with pytest.raises(ValueError, match="channel 1 of night has one value in all training images"):
        base.statistics("night", torch.tensor([[[[1, 2]], [[0, 0]]]], dtype=torch.uint8))


# --- a validation split -----------------------------------------------------------------------------------------------


def numbered(per_class):
    """Return a data set in which every training image shows its own number, so that it can be followed."""
    labels = torch.arange(len(per_class)).repeat_interleave(torch.tensor(per_class))
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    train = Split(images, labels)
    return Dataset("numbered", train, Split(images[:3], labels[:3]), tuple("abc"[: len(per_class)]), (5.0,), (2.0,))


@given(st.lists(st.integers(8, 40), min_size=2, max_size=3), st.integers(0, 9), st.sampled_from([0.2, 0.5, 5, 9]))
@settings(max_examples=30, deadline=None)
def test_hold_out_is_disjoint_complete_and_stratified(per_class, seed, amount):
    data = numbered(per_class)
    held = data.hold_out(amount, seed)
    numbers = torch.cat([held.train.images, held.validation.images]).flatten()
    assert numbers.sort().values.tolist() == list(range(len(data.train)))
    for split in (held.train, held.validation):
        assert torch.equal(split.labels, data.train.labels[split.images.flatten().long()])
    total = len(data.train)
    count = amount if amount >= 1 else -int(-amount * total // 1)
    assert len(held.validation) == count
    expected = torch.tensor(per_class) * count / total
    assert (held.validation.labels.bincount(minlength=len(per_class)) - expected).abs().max() <= 1
    assert same(held.test, data.test) and (held.mean, held.std) == (data.mean, data.std)
    assert same(held.validation, data.hold_out(amount, seed).validation)


def test_hold_out_as_in_the_paper_keeps_every_class_equal():
    held = synthetic(10, 1, 1, train=50_000).hold_out(5000)
    assert held.train.labels.bincount().tolist() == [4500] * 10
    assert held.validation.labels.bincount().tolist() == [500] * 10
    assert not same(held.validation, synthetic(10, 1, 1, train=50_000).hold_out(5000, seed=1).validation)


def test_a_device_that_does_not_exist_is_named_with_those_that_do(digits):
    with pytest.raises(ValueError, match='device must be "cpu", "cuda", .* got \'gpu\''):
        digits.to("gpu")


def test_the_checksum_covers_the_validation_split_and_the_device_move_takes_it_along(digits):
    held = digits.hold_out(0.1)
    assert len({digits.checksum, held.checksum, digits.hold_out(0.1, seed=1).checksum}) == 3
    assert replace(held, validation=None).checksum != held.checksum
    moved = held.to("meta")
    assert {split.images.device.type for split in (moved.train, moved.test, moved.validation)} == {"meta"}
    assert digits.to("cpu").validation is None


@pytest.mark.parametrize(
    ("amount", "message"),
    [(0.0, "between 0 and 1"), (1.0, "between 0 and 1"), (2, "each of the 3 classes"), (28, "each of the 3 classes")],
)
def test_hold_out_rules(amount, message):
    with pytest.raises(ValueError, match=message):
        numbered([10, 10, 10]).hold_out(amount)


def test_hold_out_needs_two_of_every_class_and_happens_once():
    with pytest.raises(ValueError, match=r"class 'b' has 1 image\(s\)"):
        numbered([10, 1]).hold_out(3)
    with pytest.raises(ValueError, match="already has a validation split"):
        numbered([10, 10]).hold_out(3).hold_out(3)


# --- augmentation -----------------------------------------------------------------------------------------------------


def set_for(images, pad, flip, background=None):
    split = Split(images, torch.zeros(len(images), dtype=torch.long))
    mean = tuple(30.4 + 10 * c for c in range(images.shape[1]))
    return Dataset("x", split, split, ("a",), mean, mean, pad=pad, flip=flip, background=background)


def crops_of(image, pad, flip, fill):
    """Return every crop of the padded image ``(C, H, W)``, by plain slices: {(mirrored, top, left): bytes}."""
    channels, height, width = image.shape
    padded = np.stack([np.pad(image[c], pad, constant_values=fill[c]) for c in range(channels)])
    return {
        (mirrored, top, left): version[:, top : top + height, left : left + width].tobytes()
        for mirrored, version in enumerate([padded, padded[:, :, ::-1]][: 1 + flip])
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
    }


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    pad=st.integers(0, 3),
    flip=st.booleans(),
    background=st.sampled_from([None, 0, 255]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=100, deadline=None)
def test_every_augmented_image_is_a_crop_of_its_own_padded_image(shape, pad, flip, background, seed):
    array = random_images(seed, *shape)
    images = torch.from_numpy(array.copy())
    data = set_for(images, pad, flip, background)
    output = data.augment(images, torch.Generator().manual_seed(seed))
    assert output.shape == images.shape and output.dtype == torch.uint8
    assert np.array_equal(images.numpy(), array)  # the input is untouched
    fill = [30, 40, 50] if background is None else [background] * 3  # the mean, rounded
    for before, after in zip(array, output.numpy(), strict=True):
        assert after.tobytes() in crops_of(before, pad, flip, fill).values()
    assert torch.equal(output, data.augment(images, torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("flip", [False, True])
def test_each_offset_occurs_equally_often(flip):
    pad, repeats = 2, 8000
    image = random_images(3, 2, 5, 4)
    images = torch.from_numpy(image).expand(repeats, -1, -1, -1)
    output = set_for(images, pad, flip).augment(images, torch.Generator().manual_seed(0))
    place_of = {crop: place for place, crop in crops_of(image, pad, flip, [30, 40]).items()}
    counts = dict.fromkeys(place_of.values(), 0)
    for after in output.numpy():
        counts[place_of[after.tobytes()]] += 1
    places = 25 * (1 + flip)
    assert len(counts) == places
    expected = repeats / places
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < places - 1 + 5 * (2 * (places - 1)) ** 0.5  # five deviations above its mean


def test_augmentation_takes_randomness_from_the_generator_alone(digits):
    images = digits.train.images[:64]
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    generator = torch.Generator().manual_seed(1)
    first, second = digits.augment(images, generator), digits.augment(images, generator)
    assert not torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_augmentation_takes_images_of_any_memory_layout():
    images = torch.from_numpy(random_images(0, 16, 3, 6, 5))
    data = set_for(images, 2, True)
    outputs = [
        data.augment(version, torch.Generator().manual_seed(0))
        for version in (images, images.contiguous(memory_format=torch.channels_last), images.flip(0).flip(0))
    ]
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])


def test_augmenting_normalised_images_is_an_error(digits):
    with pytest.raises(TypeError, match="call augment before normalize"):
        digits.augment(digits.normalize(digits.train.images[:2]), torch.Generator())


def test_padding_with_the_mean_is_zero_to_the_network_within_rounding():
    data = synthetic(2, train=50, test=10)
    data = replace(data, pad=40, flip=True)  # so much that most of a crop is padding
    values = data.normalize(data.augment(data.train.images, torch.Generator().manual_seed(0)))
    corner = values[:, :, 0, 0].abs().amin(0)  # (C,): some image shows padding there
    assert (corner <= 0.5 / torch.tensor(data.std) + 1e-6).all()


# --- data sets that are downloaded ------------------------------------------------------------------------------------


def md5(data):
    return hashlib.md5(data).hexdigest()


def tar(folder, files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def cifar_files(loader, key, classes):
    """Return the files of a tiny CIFAR in the original format: pickled batches, an image a row, channel by channel."""
    files, images = {}, {}
    for number, (name, _) in enumerate(loader.train_list + loader.test_list):
        images[name] = random_images(number, 4, 3072)
        labels = [(number + i) % len(classes) for i in range(4)]
        files[name] = pickle.dumps({"data": images[name], key: labels, "coarse_labels": [0] * 4}, protocol=2)
    files[loader.meta["filename"]] = pickle.dumps({loader.meta["key"]: classes}, protocol=2)
    return files, images


def install_cifar(monkeypatch, loader, key="labels", classes=("cat", "dog")):
    """Make torchvision expect a tiny CIFAR; return its archive and images."""
    files, images = cifar_files(loader, key, list(classes))
    archive = tar(loader.base_folder, files)
    monkeypatch.setattr(loader, "tgz_md5", md5(archive))
    for name in ("train_list", "test_list"):
        monkeypatch.setattr(loader, name, [[file, md5(files[file])] for file, _ in getattr(loader, name)])
    monkeypatch.setattr(loader, "meta", loader.meta | {"md5": md5(files[loader.meta["filename"]])})
    return archive, images


def install_fashion(monkeypatch):
    """Make torchvision expect a tiny Fashion-MNIST; return its archives by name, and images and labels by part."""
    archives, arrays = {}, {}
    for part, count in (("train", 6), ("t10k", 4)):
        images, labels = random_images(count, count, 28, 28), (np.arange(count) % 10).astype(np.uint8)
        arrays[part] = images, labels
        archives[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(
            struct.pack(">4i", 0x803, count, 28, 28) + images.tobytes()
        )
        archives[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(struct.pack(">2i", 0x801, count) + labels.tobytes())
    monkeypatch.setattr(FashionMNIST, "resources", [(name, md5(data)) for name, data in archives.items()])
    return archives, arrays


@contextmanager
def server(files, cut=()):
    """Serve ``files`` on this machine; break each connection in ``cut``, a list of numbers of requests, half-way."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            content = files[self.path.lstrip("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if len(requests) - 1 in cut else content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=partial(httpd.serve_forever, poll_interval=0.01), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}/", requests
        finally:
            httpd.shutdown()


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test reaches the network: every address is one of this machine where nobody listens."""
    monkeypatch.setenv("no_proxy", "*")
    nobody = "http://127.0.0.1:9/"
    for loader in (CIFAR10, CIFAR100):
        monkeypatch.setattr(loader, "url", nobody + loader.filename)
    monkeypatch.setattr(FashionMNIST, "mirrors", [nobody])


@pytest.mark.parametrize(
    ("name", "loader", "key", "train_files"),
    [("cifar10", CIFAR10, "labels", 5), ("cifar100", CIFAR100, "fine_labels", 1)],
)
def test_cifar_is_read_from_an_archive_put_there_by_hand(monkeypatch, tmp_path, name, loader, key, train_files):
    archive, images = install_cifar(monkeypatch, loader, key)
    (tmp_path / loader.filename).write_bytes(archive)
    data = load(name, root=tmp_path)
    rows = np.concatenate([images[file] for file, _ in loader.train_list])
    assert np.array_equal(data.train.images.numpy(), rows.reshape(-1, 3, 32, 32))
    assert data.train.images.is_contiguous() and data.train.images.dtype == torch.uint8
    assert np.array_equal(data.test.images.numpy(), images[loader.test_list[0][0]].reshape(-1, 3, 32, 32))
    assert data.train.labels.tolist() == [(n + i) % 2 for n in range(train_files) for i in range(4)]
    assert data.train.labels.dtype == torch.int64
    assert (data.name, data.classes, data.pad, data.flip) == (name, ("cat", "dog"), 4, True)
    channels = rows.reshape(-1, 3, 1024).swapaxes(0, 1).reshape(3, -1).astype(float)
    assert data.std == pytest.approx(channels.std(1)) and data.mean == pytest.approx(channels.mean(1))


def test_fashion_mnist_is_read_from_archives_put_there_by_hand(monkeypatch, tmp_path):
    archives, arrays = install_fashion(monkeypatch)
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in archives.items():
        (folder / name).write_bytes(content)
    data = load("fashion_mnist", root=tmp_path)
    for split, part in ((data.train, "train"), (data.test, "t10k")):
        assert np.array_equal(split.images[:, 0].numpy(), arrays[part][0])
        assert split.images.shape[1:] == (1, 28, 28) and split.labels.tolist() == arrays[part][1].tolist()
    assert data.classes[9] == "Ankle boot" and (data.pad, data.flip, data.background) == (2, True, 0)


def test_the_default_root_is_in_the_environment(monkeypatch, tmp_path):
    archive, _ = install_cifar(monkeypatch, CIFAR10)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / CIFAR10.filename).write_bytes(archive)
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "here"))
    assert len(datasets.cifar10().train) == 20
    monkeypatch.delenv("RESNET_EDU_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DownloadError, match=f"{tmp_path}/.cache/resnet_edu"):
        datasets.cifar10()


def test_a_download_that_was_cut_starts_afresh(monkeypatch, tmp_path, capsys):
    archive, _ = install_cifar(monkeypatch, CIFAR10)
    with server({CIFAR10.filename: archive}, cut=[1]) as (url, requests):  # 0 only asks where the file is
        monkeypatch.setattr(CIFAR10, "url", url + CIFAR10.filename)
        with pytest.raises(DownloadError, match="a download that was cut starts afresh"):
            datasets.cifar10(tmp_path)
        assert 0 < (tmp_path / CIFAR10.filename).stat().st_size < len(archive)
        assert len(datasets.cifar10(tmp_path).train) == 20
        assert "%" in capsys.readouterr().err  # a progress bar
        made = len(requests)
        datasets.cifar10(tmp_path)
        assert len(requests) == made  # not downloaded twice


def test_programs_started_together_download_once(monkeypatch, tmp_path):
    archive, _ = install_cifar(monkeypatch, CIFAR10)
    with server({CIFAR10.filename: archive}) as (url, requests), ThreadPoolExecutor(4) as pool:
        monkeypatch.setattr(CIFAR10, "url", url + CIFAR10.filename)
        found = list(pool.map(datasets.cifar10, [tmp_path] * 4))
    assert len({data.checksum for data in found}) == 1
    assert len(requests) == 2  # where is it, and the file


def test_an_unpacking_that_was_cut_is_made_good_without_a_download(monkeypatch, tmp_path):
    archive, _ = install_cifar(monkeypatch, CIFAR10)
    (tmp_path / CIFAR10.filename).write_bytes(archive)
    whole = datasets.cifar10(tmp_path)
    batch = tmp_path / CIFAR10.base_folder / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:100])
    assert datasets.cifar10(tmp_path).checksum == whole.checksum


@pytest.mark.parametrize("left", [0, 1, 6, 16, 500])
def test_fashion_mnist_files_that_were_cut_are_unpacked_again(monkeypatch, tmp_path, left):
    archives, _ = install_fashion(monkeypatch)
    with server(archives) as (url, requests):
        monkeypatch.setattr(FashionMNIST, "mirrors", [url])
        whole = datasets.fashion_mnist(tmp_path)
    made = len(requests)
    cut = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    cut.write_bytes(cut.read_bytes()[:left])
    assert datasets.fashion_mnist(tmp_path).checksum == whole.checksum
    assert len(requests) == made == 8  # where is it, and the file: four times


def test_a_cut_archive_of_fashion_mnist_is_downloaded_again(monkeypatch, tmp_path):
    archives, _ = install_fashion(monkeypatch)
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in archives.items():
        (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DownloadError, match="Fashion-MNIST"):
        datasets.fashion_mnist(tmp_path)
    with server(archives) as (url, _):
        monkeypatch.setattr(FashionMNIST, "mirrors", [url])
        assert len(datasets.fashion_mnist(tmp_path).train) == 6


@pytest.mark.parametrize(
    ("name", "title", "folder", "files"),
    [
        ("cifar10", "CIFAR-10", "", ["cifar-10-python.tar.gz"]),
        ("cifar100", "CIFAR-100", "", ["cifar-100-python.tar.gz"]),
        ("fashion_mnist", "Fashion-MNIST", "FashionMNIST/raw", [name for name, _ in FashionMNIST.resources]),
    ],
)
def test_offline_the_message_says_what_to_put_where(tmp_path, name, title, folder, files):
    with pytest.raises(DownloadError) as caught:
        load(name, root=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{title} is not in {tmp_path} and could not be downloaded: ")
    assert f"into {tmp_path / folder} by hand: " in message and "digits() works without a download" in message
    assert all(f"http://127.0.0.1:9/{file}" in message for file in files)
    assert isinstance(caught.value, RuntimeError)


def test_a_stalled_download_ends(monkeypatch, tmp_path):
    release = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self):
            release.wait(5)

    monkeypatch.setattr(downloads, "STALLED", 0.1)
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as httpd:
        threading.Thread(target=partial(httpd.serve_forever, poll_interval=0.01), daemon=True).start()
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{httpd.server_port}/x")
        with pytest.raises(DownloadError, match="timed out"):
            datasets.cifar10(tmp_path)
        release.set()
        httpd.shutdown()


def test_a_root_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="Not a directory"):
        datasets.cifar10(tmp_path / "file" / "root")


# --- generated data and the registry ----------------------------------------------------------------------------------


def test_synthetic_depends_on_its_arguments_alone():
    torch.manual_seed(1)
    first = synthetic(3, 2, 5, train=30, test=9, seed=4)
    torch.manual_seed(2)
    assert first.checksum == synthetic(3, 2, 5, train=30, test=9, seed=4).checksum
    assert first.checksum != synthetic(3, 2, 5, train=30, test=9, seed=5).checksum
    assert first.train.images.shape == (30, 2, 5, 5) and first.num_classes == 3
    assert first.train.labels.bincount().tolist() == [10, 10, 10] and first.test.labels.bincount().tolist() == [3, 3, 3]
    assert first.train.labels.tolist() != sorted(first.train.labels.tolist())


@given(st.integers(2, 12), st.integers(1, 4), st.integers(4, 20), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_synthetic_can_be_learnt_from_the_training_split(classes, channels, size, seed):
    data = synthetic(classes, channels, size, train=20 * classes, test=10 * classes, noise=0.5, seed=seed)
    train, test = (data.normalize(split.images).flatten(1) for split in (data.train, data.test))
    means = torch.stack([train[data.train.labels == k].mean(0) for k in range(classes)])
    error = (torch.cdist(test, means).argmin(1) != data.test.labels).float().mean()
    assert error < 0.1 and not torch.equal(data.train.images[:1], data.test.images[:1])


@pytest.mark.parametrize("options", [{"num_classes": 1}, {"channels": 0}, {"size": 0}, {"test": 9}])
def test_synthetic_rules(options):
    with pytest.raises(ValueError, match="must be at least num_classes = 10|synthetic needs num_classes >= 2"):
        synthetic(**options)


def test_load_calls_by_name_and_names_the_choices(digits):
    assert list(DATASETS) == ["digits", "fashion_mnist", "cifar10", "cifar100", "image_folder", "synthetic"]
    assert load("digits").checksum == digits.checksum != load("digits", seed=1).checksum
    with pytest.raises(ValueError, match="must be one of 'digits', 'fashion_mnist', 'cifar10'.*got 'mnist'"):
        load("mnist")
    with pytest.raises(
        ValueError, match=r"image_folder: missing a required argument: 'path'; its options are path, size"
    ):
        load("image_folder")
    with pytest.raises(ValueError, match="digits: got an unexpected keyword argument 'root'"):
        load("digits", root="x")
