"""The command line ``resnet-edu train``: train a network and print its errors after every epoch."""

import argparse
import json
import sys
import warnings
from dataclasses import asdict, fields, replace

from resnet_edu import __version__
from resnet_edu.blocks import MIXINGS, NORMALIZATIONS, SHORTCUTS
from resnet_edu.cli.errors import Failed

DATA_OPTIONS = ("size", "test_fraction", "flip", "background", "skip_damaged")  # handed on if they are given
CHOICES = {"schedule": "SCHEDULES", "precision": "PRECISIONS"}


def add_train(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    from resnet_edu import training
    from resnet_edu.datasets import DATASETS
    from resnet_edu.networks import ACTIVATIONS, PRESETS

    train = commands.add_parser(
        "train",
        help="train a network and print its errors after every epoch",
        description="Train a network on a data set and print training and test error after every epoch.",
        epilog="Example: resnet-edu train --data digits --depth 56 --shortcut none",
    )
    group = train.add_argument_group("data")
    group.add_argument("--data", default="digits", choices=DATASETS, help="data set (default: digits, bundled)")
    group.add_argument("--path", help="folder of image_folder, or where a downloaded data set is kept")
    group.add_argument("--size", type=int, metavar="PIXELS", help="image_folder: scale and crop to this square")
    group.add_argument("--test-fraction", type=float, metavar="PART", help="part that becomes the test set (0.2)")
    group.add_argument("--split-seed", type=int, metavar="N", help="which images become the test set (default: 0)")
    group.add_argument("--flip", action=argparse.BooleanOptionalAction, help="image_folder: may --augment mirror?")
    group.add_argument("--background", metavar="COLOUR", help="image_folder: under what is transparent (white)")
    group.add_argument("--skip-damaged", action="store_true", default=None, help="image_folder: go on without them")
    group.add_argument("--validation", type=_amount, help="images, or part, of the training set to hold out")
    group.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: the GPU if there is one)")
    group = train.add_argument_group("network")
    group.add_argument("--preset", choices=PRESETS, metavar="NAME", help=f"instead of a depth: {', '.join(PRESETS)}")
    group.add_argument("--depth", type=int, default=20, help="weighted layers, 6n+2 or 9n+2 (default: 20)")
    group.add_argument("--block", default="basic", choices=("basic", "bottleneck"), help="(default: basic)")
    group.add_argument("--activation", default="post", choices=ACTIVATIONS, help="(default: post)")
    group.add_argument("--shortcut", default="A", choices=SHORTCUTS, help="none is the plain twin (default: A)")
    group.add_argument("--normalization", default="batch", choices=NORMALIZATIONS, help="(default: batch)")
    group.add_argument("--mixing", default="add", choices=MIXINGS, help="how the paths join (default: add)")
    group.add_argument("--width", type=int, help="filters of the first stage (default: 8 on the digits, else 16)")
    group = train.add_argument_group("training")
    group.add_argument("--paper", action="store_true", help="start from the recipe of He et al. 2015 for CIFAR-10")
    for name, default, meaning, source in training.option_table():
        flag = "--" + name.replace("_", "-")
        text = f"{meaning} (default: {default}; {source})".replace("%", "%%")
        if isinstance(default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        else:
            choices = getattr(training, CHOICES[name]) if name in CHOICES else None
            group.add_argument(flag, type=type(default), choices=choices, help=text)
    group = train.add_argument_group("run")
    group.add_argument("--checkpoint", metavar="FILE", help="keep the run's state there after every epoch")
    group.add_argument("--resume", action="store_true", help="go on from the checkpoint if it exists")
    group.add_argument("--dry-run", action="store_true", help="one batch, to see that everything fits")
    group.add_argument("--json", action="store_true", help="print one JSON object a line")
    train.set_defaults(run=_train)


def _amount(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _train(options: argparse.Namespace) -> int:
    import torch

    from resnet_edu.checkpoint import CheckpointError
    from resnet_edu.datasets import DownloadError
    from resnet_edu.distributed import leave
    from resnet_edu.training import DivergedError, StepRecord, train

    if options.resume and not options.checkpoint:
        raise ValueError("--resume needs --checkpoint FILE")
    config = _config(options)
    try:
        data = _data(options)
        if options.dry_run:
            data, config = _one_batch(data, config)
        torch.manual_seed(config.seed)
        network = _network(options, data).to(data.device)
        show = _Display(options, network, data, config)
        log_every = max(1, show.steps_per_epoch // 20)
        run = train(
            network,
            data,
            config,
            checkpoint=None if options.dry_run else options.checkpoint,
            resume=options.resume,
            log_every=log_every,
        )
        with show:
            for record in run:
                (show.step if isinstance(record, StepRecord) else show.epoch)(record)
        leave()
    except (CheckpointError, DivergedError, DownloadError) as error:
        raise Failed(error) from None
    return 0


def _config(options: argparse.Namespace):
    from resnet_edu.training import TrainConfig

    given = {f.name: getattr(options, f.name) for f in fields(TrainConfig) if getattr(options, f.name) is not None}
    return TrainConfig.paper(options.depth, **given) if options.paper else TrainConfig(**given)


def _data(options: argparse.Namespace):
    from resnet_edu.datasets import load
    from resnet_edu.distributed import own_device

    settings = {name: getattr(options, name) for name in DATA_OPTIONS}
    settings["seed"] = options.split_seed
    settings["path" if options.data == "image_folder" else "root"] = options.path
    if options.data == "image_folder" and options.path is None:
        raise ValueError("image_folder needs the folder of the images: --path FOLDER")
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        data = load(options.data, **{name: value for name, value in settings.items() if value is not None})
        if options.validation is not None:
            data = data.hold_out(options.validation)
        data = data.to(own_device(options.device))
    for note in notes:
        print(f"resnet-edu train: note: {note.message}", file=sys.stderr)
    return data


def _network(options: argparse.Namespace, data):
    from resnet_edu.networks import cifar_resnet, preset

    if options.preset:
        return preset(options.preset, in_channels=data.in_channels, num_classes=data.num_classes)
    return cifar_resnet(
        options.depth,
        options.block,
        activation=options.activation,
        shortcut=options.shortcut,
        width=options.width or (8 if options.data == "digits" else 16),
        in_channels=data.in_channels,
        num_classes=data.num_classes,
        normalization=options.normalization,
        mixing=options.mixing,
    )


def _one_batch(data, config):
    from resnet_edu.datasets import Split

    def first(split):
        return split and Split(split.images[: config.batch_size], split.labels[: config.batch_size])

    small = replace(data, train=first(data.train), test=first(data.test), validation=first(data.validation))
    return small, replace(config, epochs=1)


class _Display:
    """Prints a run: what it is, a bar while it works, a line after every epoch; or JSON lines."""

    def __init__(self, options: argparse.Namespace, network, data, config):
        import torch

        from resnet_edu.distributed import processes

        self.json, self.quiet = options.json, not processes(data.device).is_first
        self.epochs, self.bar = config.epochs, None
        self.steps_per_epoch = -(-len(data.train) // config.batch_size)
        self.facts = {
            "network": options.preset or f"{options.block}, depth {options.depth}, shortcut {options.shortcut}",
            "parameters": sum(p.numel() for p in network.parameters()),
            "data": data.name,
            "checksum": data.checksum,
            "images": {"train": len(data.train), "test": len(data.test), "validation": len(data.validation or ())},
            "device": str(data.device),
            "torch": torch.__version__,
            "resnet_edu": __version__,
            "dry_run": options.dry_run,
            "config": asdict(config),
        }

    def __enter__(self):
        from tqdm import tqdm

        if self.json:
            self._say({"kind": "run", **self.facts})
        else:
            facts = self.facts
            self._say(
                f"{facts['network']}: {facts['parameters']:,} parameters, on {facts['data']} "
                f"({facts['images']['train']:,} training images), {facts['device']}"
            )
        self.bar = tqdm(total=self.epochs * self.steps_per_epoch, unit="step", leave=False, disable=self.quiet or None)
        return self

    def __exit__(self, *_):
        self.bar.close()

    def _say(self, message: str | dict) -> None:
        from tqdm import tqdm

        if not self.quiet:
            tqdm.write(json.dumps(message) if isinstance(message, dict) else message, file=sys.stdout)
            sys.stdout.flush()

    def step(self, record) -> None:
        self.bar.update(record.step - self.bar.n)
        self.bar.set_postfix(loss=f"{record.loss:.3f}", error=f"{record.error:.1f} %")

    def epoch(self, record) -> None:
        self.bar.update(record.step - self.bar.n)
        if self.json:
            self._say({"kind": "epoch", **asdict(record)})
            return
        validation = "" if record.validation_error is None else f"  validation error {record.validation_error:6.2f} %"
        self._say(
            f"epoch {record.epoch:3d}/{self.epochs}  training error {record.train_error:6.2f} %{validation}"
            f"  test error {record.test_error:6.2f} %  {record.seconds:7.1f} s"
        )
