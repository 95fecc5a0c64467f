"""One readable training loop for the notebooks, the command line, the run bank and the lab.

``train`` is a generator of records: whoever iterates decides how fast it goes, and when it pauses or stops.
"""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checkpoint as checkpoints
from resnet_edu import devices
from resnet_edu.accounting import activation_memory
from resnet_edu.blocks import choose
from resnet_edu.datasets import Dataset, Split
from resnet_edu.devices import default_generator
from resnet_edu.distributed import processes

SCHEDULES = ("one-cycle", "paper", "cosine", "constant")
EXTENDABLE = ("constant", "paper")  # schedules whose runs can be made longer: what was done stays right
PRECISIONS = ("float32", "bfloat16", "float16")

# A step this small (images x height x width x filters of the first layer) is faster on one thread; measured
# with `python -m benchmarks.training --threads`.
ONE_THREAD_BELOW = 50_000
EVALUATED_PIXELS = 2**22  # in one batch of evaluation: 1,024 images of 64x64


class DivergedError(RuntimeError):
    """The loss is no longer a finite number; the message names the step and what to try."""


def _option(default: object, meaning: str, source: str) -> object:
    return field(default=default, metadata={"meaning": meaning, "source": source})


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Every default says where it comes from (``option_table`` lists them).

    ``seed`` orders the batches and draws augmentation and dropout; the weights belong to the network, so seed
    those where it is built. ``TrainConfig.paper(depth)`` is the paper's recipe for CIFAR-10.

    Raises ``ValueError`` for an unknown choice or a number out of range.
    """

    epochs: int = _option(8, "passes over the training set", "enough for the bundled digits")
    batch_size: int = _option(64, "images in a step", "the paper's 128 leaves 12 steps an epoch on the digits")
    learning_rate: float = _option(0.1, "peak learning rate", "He et al. 2015, section 4.2")
    momentum: float = _option(0.9, "momentum of SGD", "He et al. 2015, section 4.2")
    weight_decay: float = _option(1e-4, "L2 weight decay on all parameters", "He et al. 2015, section 4.2")
    clip_norm: float = _option(0.0, "largest norm of a step's whole gradient, 0: no limit", "Pascanu et al. 2013")
    layer_step: float = _option(0.0, "each layer's gradient, relative to its weights; 0: as it is", "You et al. 2017")
    body_rate: float = _option(
        1.0, "factor of the rate for all but the last layer, fc", "0.1 for fine-tuning is common"
    )
    schedule: str = _option("one-cycle", "course of the learning rate", "Smith and Topin 2018, for a short budget")
    warmup_steps: int = _option(0, "steps at warmup_learning_rate first", "He et al. 2015: about 400 for 110 layers")
    warmup_learning_rate: float = _option(0.01, "learning rate of the warm-up", "He et al. 2015, section 4.2")
    augment: bool = _option(False, "shifted crops, and mirror images where they make sense", "digits need none")
    seed: int = _option(0, "order of the batches, augmentation, dropout", "any number is as good")
    precision: str = _option("float32", "number format of the activations", "half_precision(device) is faster on a GPU")
    channels_last: bool = _option(True, "memory order (N, H, W, C)", "measured faster on the CPU")
    compile: bool = _option(False, "torch.compile the network", "pays off after a minute or more")
    cuda_graph: bool = _option(False, "record a step once, replay it", "GPU only; small kernels wait for Python")
    sync_batch_norm: bool = _option(False, "statistics over all processes", "GPU only; the paper's were per GPU")

    def __post_init__(self):
        choose("schedule", self.schedule, SCHEDULES)
        choose("precision", self.precision, PRECISIONS)
        for name, least in (("epochs", 1), ("batch_size", 1), ("warmup_steps", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        for name in ("learning_rate", "warmup_learning_rate", "body_rate"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, got {value!r}")
        for name in ("clip_norm", "layer_step"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a positive number, or 0 to leave it out, got {value!r}")
        for name in ("momentum", "weight_decay"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 <= value < 1):
                raise ValueError(f"{name} must lie in 0 <= {name} < 1, got {value!r}")

    @classmethod
    def paper(cls, depth: int, **changes) -> "TrainConfig":
        """Return the recipe of He et al. 2015, section 4.2, for CIFAR-10: 64,000 steps of 128 images.

        164 epochs of 45,000 or 50,000 images; the learning rate falls tenfold after one half and three quarters
        (32k and 48k steps). From 110 layers on, 400 steps at 0.01 come first.
        """
        warmup = 400 if depth >= 110 else 0
        recipe = {"epochs": 164, "batch_size": 128, "schedule": "paper", "augment": True, "warmup_steps": warmup}
        return cls(**(recipe | changes))


def option_table() -> list[tuple[str, object, str, str]]:
    """Return name, default, meaning and source of every option of ``TrainConfig``."""
    return [(f.name, f.default, f.metadata["meaning"], f.metadata["source"]) for f in fields(TrainConfig)]


@dataclass(frozen=True)
class Record:
    """What one epoch of training showed. Losses are means in nats, errors are in percent.

    ``train_loss`` and ``train_error`` are means over the epoch's batches while the weights move, as in the
    paper's Fig. 6; the others are measured after the epoch in evaluation mode, ``validation_…`` where the data
    set holds images out. Choose by ``validation_error``; ``test_error`` is for reporting.
    """

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float
    seconds: float
    validation_loss: float | None = None
    validation_error: float | None = None


@dataclass(frozen=True)
class StepRecord:
    """Mean loss (nats) and error (percent) of the batches since the last record, while the weights move."""

    epoch: int
    step: int
    learning_rate: float
    loss: float
    error: float


def learning_rate_at(config: TrainConfig, step: int, steps: int) -> float:
    """Return the learning rate of ``step`` (0 is the first) in a run of ``steps``. One function, one authority.

    ``"paper"``: tenfold falls after 1/2 and 3/4 of the run (He et al. 2015: 32k and 48k of 64k).
    ``"one-cycle"``: up from 1/25 within the first quarter, then down to nearly 0, both along a cosine (Smith and
    Topin 2018, as in ``torch.optim.lr_scheduler.OneCycleLR``). ``"cosine"``: down to 0 (Loshchilov and Hutter
    2017, no restart). ``"constant"``: none of it. ``warmup_steps`` come first and count as steps of the run.
    """
    if step < config.warmup_steps:
        return config.warmup_learning_rate
    peak = config.learning_rate
    if config.schedule == "paper":
        return peak * 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))
    if config.schedule == "cosine":
        return _cosine(peak, 0.0, step / steps)
    if config.schedule == "one-cycle":
        top = 0.25 * (steps + 1) - 1
        if step < top:
            return _cosine(peak / 25, peak, step / top)
        return _cosine(peak, peak / 25 / 1e4, (step - top) / (steps - top))
    return peak


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def half_precision(device: torch.device | str) -> str:
    """Return the 16-bit format in which a device computes: ``"bfloat16"``, or ``"float16"`` on an older GPU.

    GPUs below compute capability 8.0 have no units for bfloat16: on a T4 (7.5), which Colab lends, PyTorch emulates
    it, slower than float32. float16 works on them; ``train`` scales its loss.
    """
    device = torch.device(device)
    old = device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)
    return "float16" if old else "bfloat16"


def train(
    network: nn.Module,
    data: Dataset,
    config: TrainConfig | None = None,
    *,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    log_every: int | None = None,
) -> Iterator[Record | StepRecord]:
    """Train ``network`` in place on ``data.train`` and yield a ``Record`` after every epoch.

    The network maps normalised images ``(N, C, H, W)`` to logits ``(N, classes)`` and must be on the data's
    device. SGD with momentum and weight decay on all parameters, as He et al. 2015, section 4.2.

    With ``log_every`` a ``StepRecord`` comes after every so many steps, too; the parameters then still hold the
    gradients of the last step. To pause, ask for no record; to stop, leave the loop: the network keeps the
    weights of that moment.

    With ``checkpoint`` the run's state is written to that file after every epoch, before its record is yielded.
    ``resume=True`` goes on from the file if it exists: the stored epochs' records come again, then the new ones,
    and on the CPU the weights end bit for bit as without the interruption, whenever it came. With a constant or
    ``"paper"`` schedule it may have more epochs than the file's run was to have; the learning rate then falls where it
    was to fall, and stays. The other schedules are planned over all epochs and cannot be made longer.

    Under ``torchrun`` every process calls this with the same arguments; ``batch_size`` counts the images of all.

    Raises ``DivergedError`` if the loss is not finite (seen at the next record), ``ValueError`` for options that
    do not fit together or a ``checkpoint`` in a place that cannot be written, ``FileExistsError`` if ``checkpoint``
    exists and ``resume`` is false, and ``CheckpointError`` if the checkpoint is of another run, or can no longer be
    written.
    """
    run = _Run(network, data, config or TrainConfig())
    if checkpoint is not None and run.processes.is_first:
        checkpoints.try_place(checkpoint)  # before the first epoch, not after it
    if checkpoint is not None and Path(checkpoint).exists():
        if not resume:
            raise FileExistsError(
                f"{checkpoint} exists; pass resume=True (--resume) to go on with it, or name another file"
            )
        run.restore(checkpoint)
        yield from run.records
    while len(run.records) < run.config.epochs:
        for steps in run.epoch(log_every):
            if log_every is not None:
                yield steps
        record = run.finish_epoch()
        if checkpoint is not None:
            run.save(checkpoint)
        yield record


class _Run:
    """The state of one training run and the work of one epoch."""

    def __init__(self, network: nn.Module, data: Dataset, config: TrainConfig):
        self.network, self.data, self.config = network, data, config
        self.processes = processes(data.device)
        self.count = len(data.train)
        self.steps = config.epochs * math.ceil(self.count / config.batch_size)
        self.records: list[Record] = []
        self.step = 0
        self.threads = _threads(network, data, config)
        self._check()
        # On Apple's GPUs batch normalisation computes wrong in this order (PyTorch's issues 134580 and 174345).
        self.channels_last = config.channels_last and data.device.type in ("cpu", "cuda")
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        self.stepper = _GraphStepper(self) if config.cuda_graph else _Stepper(self)

    def _check(self) -> None:
        config, device = self.config, self.data.device
        parameter = next(self.network.parameters())
        if parameter.device != device:
            raise ValueError(
                f"network and data must be on one device, got {parameter.device} and {device}; move one with .to"
            )
        _check_classes(self.network, self.data)
        for name in ("cuda_graph", "sync_batch_norm"):
            if getattr(config, name) and device.type != "cuda":
                raise ValueError(f"{name} needs a CUDA device, got {device}; leave it out")
        if config.precision == "float16" and device.type != "cuda":
            raise ValueError(f"precision 'float16' needs a CUDA device, got {device}; use 'bfloat16' or 'float32'")
        if config.precision == "bfloat16" and half_precision(device) != "bfloat16":
            raise ValueError(
                f"precision 'bfloat16' needs a GPU of compute capability 8.0 or higher, and {device} has less and "
                "would emulate it slowly; use 'float16'"
            )
        if config.cuda_graph and self.processes.count > 1:
            raise ValueError("cuda_graph works in one process alone; leave it out under torchrun")
        smallest = self._smallest(config.batch_size)
        if smallest < self.processes.count:
            raise ValueError(
                f"batch_size {config.batch_size} leaves a last batch of {smallest} for {self.processes.count} "
                "processes; choose another batch_size"
            )
        self._check_memory()
        if smallest // self.processes.count == 1:
            self._check_single_image(smallest)

    def _check_memory(self) -> None:
        """Raise if a step needs more memory than the device has free: the batch's activations, gradients, momentum."""
        network, config = self.network, self.config
        free, images = devices.free_memory(self.data.device), self.data.train.images
        shares = -(-min(config.batch_size, self.count) // self.processes.count)
        filters = sum(conv.out_channels for conv in network.modules() if isinstance(conv, nn.Conv2d))
        if free is None or 16 * shares * images[0, 0].numel() * filters < free // 2:
            return  # no map is larger than an image, and no layer keeps it four times: the usual case takes no time
        own = 2 * sum(parameter.nbytes for parameter in network.parameters())  # gradients and momentum
        kept = activation_memory(network, tuple(images.shape[1:]), shares) // (
            1 if config.precision == "float32" else 2
        )
        if own + kept <= free:
            return
        fits = int(0.9 * (free - own) / (kept / shares)) * self.processes.count
        mend = f"choose batch_size={fits} (--batch-size {fits})" if fits > 0 else "choose smaller images"
        whole, batch, momentum, there, left = map(devices.in_gib, (own + kept, kept, own, images.nbytes, free))
        raise ValueError(
            f"a step needs about {whole} on {self.data.device} beside the images ({there}) and the weights: {batch} "
            f"for a batch of {shares} images, {momentum} for gradients and momentum; {left} are free; {mend}, or a "
            "smaller network"
        )

    @torch.no_grad()
    def _check_single_image(self, smallest: int) -> None:
        """Raise if batch normalisation would get one number a channel: the last batch's one image, on a map of 1x1."""
        config, network = self.config, self.network
        single: list[str] = []
        hooks = [
            norm.register_forward_pre_hook(
                lambda _, args, name=name: single.append(name) if args[0].numel() == args[0].shape[1] else None
            )
            for name, norm in network.named_modules()
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        ]
        was_training = network.training
        try:
            network.eval()(self.data.normalize(self.data.train.images[:1]))
        finally:
            network.train(was_training)
            for hook in hooks:
                hook.remove()
        if not single or (config.sync_batch_norm and smallest > 1):
            return
        sizes = [size for size in range(2, 2 * config.batch_size + 2) if self._smallest(size) > self.processes.count]
        nearest = min(sizes, key=lambda size: abs(size - config.batch_size), default=None)
        mend = f"choose batch_size={nearest} (--batch-size {nearest}), or larger images" if nearest else "add images"
        raise ValueError(
            f"batch_size {config.batch_size} leaves one image in a last batch of {self.count} images, but {single[0]} "
            f"has maps of 1x1 there, and normalises one number to 0; {mend}"
        )

    def _smallest(self, batch_size: int) -> int:
        return self.count % batch_size or min(batch_size, self.count)

    def epoch(self, log_every: int | None) -> Iterator[StepRecord]:
        """Make one epoch's steps, yielding after every ``log_every`` of them."""
        config, data, number = self.config, self.data, len(self.records) + 1
        labels = data.train.labels
        # Generators of this epoch's own: a run can go on at any epoch without their state.
        order = torch.Generator().manual_seed(_seed(config.seed, number, 0))
        augmentation = torch.Generator(data.device).manual_seed(_seed(config.seed, number, 1))
        dropout_state = _seed(config.seed, number, 2 + self.processes.rank)
        # Numbers are where the images are, which may be the host.
        batches = torch.randperm(self.count, generator=order).to(data.train.images.device).split(config.batch_size)
        self.totals = torch.zeros(2, device=data.device)  # loss and errors, read once: no wait for the device inside
        self.started = time.perf_counter()
        since = torch.zeros_like(self.totals)
        images_since = 0
        for chunk in _chunks(batches, log_every):
            with _compute(self.threads, data.device, dropout_state) as random:
                self.network.train()
                for batch in chunk:
                    images = data.train.take_images(batch)  # (B, C, H, W) uint8
                    if config.augment:
                        images = data.augment(images, augmentation)
                    images, targets = (
                        self.processes.share(images),
                        self.processes.share(labels[batch.to(labels.device)]),
                    )
                    images = data.normalize(images)  # (B / processes, C, H, W) float32
                    if self.channels_last:
                        images = images.contiguous(memory_format=torch.channels_last)
                    rate = learning_rate_at(config, self.step, self.steps)
                    since = since + self.stepper(images, targets, len(batch), rate)
                    self.step += 1
                    images_since += len(batch)
                dropout_state = random()
            self.totals += since
            if log_every is not None:
                loss, wrong = self.processes.total(since).tolist()
                self._require_finite(loss)
                yield StepRecord(number, self.step, rate, loss / images_since, 100 * wrong / images_since)
            since, images_since = torch.zeros_like(self.totals), 0

    def finish_epoch(self) -> Record:
        """Measure after an epoch and keep its record."""
        loss, wrong = self.processes.total(self.totals).tolist()
        self._require_finite(loss)
        self.processes.copy_buffers(self.network)
        with _compute(self.threads, self.data.device):
            test = self._evaluate(self.data.test)
            held_out = self._evaluate(self.data.validation) if self.data.validation is not None else (None, None)
        record = Record(
            epoch=len(self.records) + 1,
            step=self.step,
            learning_rate=learning_rate_at(self.config, self.step - 1, self.steps),
            train_loss=loss / self.count,
            train_error=100 * wrong / self.count,
            test_loss=test[0],
            test_error=test[1],
            seconds=time.perf_counter() - self.started + (self.records[-1].seconds if self.records else 0.0),
            validation_loss=held_out[0],
            validation_error=held_out[1],
        )
        self.records.append(record)
        return record

    def _evaluate(self, split: Split) -> tuple[float, float]:
        part = Split(self.processes.share(split.images), self.processes.share(split.labels))
        means = evaluate(self.network, self.data, part)
        sums = len(part) * torch.tensor([*means, 1.0], dtype=torch.float64)
        totals = self.processes.total(sums.to(split.labels.device) if self.processes.count > 1 else sums)
        return (totals[0] / totals[2]).item(), (totals[1] / totals[2]).item()

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss} within epoch {len(self.records) + 1} (by step {self.step}) at a peak "
                f"learning rate of {self.config.learning_rate}; try a smaller learning_rate, or batch normalisation"
            )

    def _identity(self) -> dict:
        return {"config": asdict(self.config), "data": self.data.checksum}

    def save(self, path: str | Path) -> None:
        """Write the state after an epoch."""
        if self.processes.is_first:
            state = {
                **self._identity(),
                "network": self.network.state_dict(),
                "optimizer": self.stepper.optimizer.state_dict(),
                "scaler": self.stepper.scaler.state_dict(),
                "step": self.step,
                "steps": self.steps,
                "threads": self.threads,
                "records": [asdict(record) for record in self.records],
            }
            checkpoints.save(path, state)
        self.processes.wait()

    def restore(self, path: str | Path) -> None:
        """Go back to the state in the file."""
        state = checkpoints.load(path, self.data.device)
        stored = asdict(TrainConfig()) | state["config"]  # written before an option existed: it had the default
        mine = asdict(self.config)
        epochs, done = stored["epochs"], len(state["records"])
        changed = [key for key in mine if key != "epochs" and stored.get(key) != mine[key]]
        if changed or state["data"] != self.data.checksum:
            differences = ", ".join(f"{key} {stored.get(key)!r} (now {mine[key]!r})" for key in changed)
            raise checkpoints.CheckpointError(
                f"{path} is of another run: it had {differences or 'other images'}; use the same, or start a new run"
            )
        if self.config.epochs < done:
            raise checkpoints.CheckpointError(f"{path} holds {done} epochs already; ask for as many or more")
        if self.config.epochs != epochs and self.config.schedule not in EXTENDABLE:
            raise checkpoints.CheckpointError(
                f"{path} is of a run of {epochs} epochs (now {self.config.epochs}), and schedule "
                f"{self.config.schedule!r} plans the learning rate over all of them: its {done} epochs done would "
                f"have had other rates; start a new run (those of schedule "
                f"{' and '.join(map(repr, EXTENDABLE))} can be made longer)"
            )
        self.steps = state.get("steps", epochs * self.steps // self.config.epochs)  # the schedule stays as planned
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise checkpoints.CheckpointError(f"{path} is of another network: {error}") from error
        self.stepper.restore(state["optimizer"], state["scaler"])
        self.step, self.threads = state["step"], state["threads"]
        self.records = [Record(**record) for record in state["records"]]


def _rate_groups(network: nn.Module, config: TrainConfig) -> list[dict]:
    """Return the parameters in groups with a factor of the learning rate each: one group, or head and body."""
    if config.body_rate == 1:
        return [{"params": list(network.parameters()), "factor": 1.0}]
    head = list(network.fc.parameters()) if isinstance(getattr(network, "fc", None), nn.Module) else []
    if not head:
        raise ValueError(
            f"body_rate {config.body_rate} needs a network whose last layer is called fc, got "
            f"{type(network).__name__} without one; use body_rate=1"
        )
    known = {id(weight) for weight in head}
    body = [weight for weight in network.parameters() if id(weight) not in known]
    groups = [{"params": body, "factor": config.body_rate}, {"params": head, "factor": 1.0}]
    if config.cuda_graph:  # a rate on the device of its own for each group
        for group in groups:
            group["lr"] = torch.tensor(config.learning_rate, device=head[0].device)
    return groups


class _Stepper:
    """One step of SGD: forward, backward, update."""

    def __init__(self, run: _Run):
        config, device = run.config, run.data.device
        self.processes, self.device, self.config = run.processes, device, config
        model = nn.SyncBatchNorm.convert_sync_batchnorm(run.network) if config.sync_batch_norm else run.network
        model = self.processes.wrap(model)
        self.model = torch.compile(model, dynamic=False) if config.compile else model  # one graph a batch size
        reduced = config.precision != "float32"
        self.autocast = torch.autocast(device.type, getattr(torch, config.precision)) if reduced else nullcontext()
        # float16 gradients underflow without a scale; for the other formats the scaler does nothing.
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        # The fused update is the fastest where there is one; a rate held on the device can change under a CUDA graph.
        rate = torch.tensor(config.learning_rate, device=device) if config.cuda_graph else config.learning_rate
        fused = True if device.type in ("cpu", "cuda") else None
        self.optimizer = torch.optim.SGD(
            _rate_groups(run.network, config), rate, config.momentum, weight_decay=config.weight_decay, fused=fused
        )

        if config.momentum:
            # At 0 from the start: in float16 a first step that overflows is left out, and the fused update would
            # take what then lies in the memory of a buffer that it has just made for a momentum.
            for group in self.optimizer.param_groups:
                for parameter in filter(lambda one: one.requires_grad, group["params"]):
                    self.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def __call__(self, images: Tensor, labels: Tensor, batch: int, rate: float) -> Tensor:
        """Return the sums of loss and errors over this process's images; ``batch`` counts those of all."""
        self.set_rate(rate)
        return self.update(images, labels, batch)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            own = rate * group["factor"]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(own)
            else:
                group["lr"] = own

    def update(self, images: Tensor, labels: Tensor, batch: int) -> Tensor:
        """Make the step."""
        with self.autocast:
            logits = self.model(images)  # (B, classes)
            loss = F.cross_entropy(logits.float(), labels, reduction="sum")
        self.optimizer.zero_grad()
        # The processes' gradients are averaged, so the mean over all images takes their number as a factor.
        self.scaler.scale(loss * (self.processes.count / batch)).backward()
        self.limit_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            return torch.stack([loss.detach(), (logits.argmax(1) != labels).sum().float()])

    def limit_gradients(self) -> None:
        """Change the gradients as ``clip_norm`` and ``layer_step`` ask; weight decay is added after it."""
        if self.config.clip_norm or self.config.layer_step:
            self.scaler.unscale_(self.optimizer)
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            if self.config.layer_step:
                normalize_layers(parameters, self.config.layer_step)
            if self.config.clip_norm:
                nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)

    def restore(self, optimizer: dict, scaler: dict) -> None:
        """Go back to a stored state."""
        for group in optimizer["param_groups"]:
            group.setdefault("factor", 1.0)  # written before factors existed
        self.optimizer.load_state_dict(optimizer)
        self.scaler.load_state_dict(scaler)


@dataclass(frozen=True)
class _Graph:
    """A recorded step: where its images and labels go in, and where its sums and gradients come out."""

    graph: "torch.cuda.CUDAGraph"
    images: Tensor
    labels: Tensor
    sums: Tensor
    gradients: list[Tensor | None]


class _GraphStepper(_Stepper):
    """A step recorded once as a CUDA graph and then replayed: one launch instead of hundreds.

    Each size of batch has a graph of its own: an epoch's last batch is often smaller.
    """

    def __init__(self, run: _Run):
        super().__init__(run)
        self.network, self.graphs = run.network, {}

    def __call__(self, images: Tensor, labels: Tensor, batch: int, rate: float) -> Tensor:
        """Replay the step for these images."""
        self.set_rate(rate)
        if images.shape not in self.graphs:
            self.graphs[images.shape] = self._record(images, labels, batch)
        one = self.graphs[images.shape]
        one.images.copy_(images)
        one.labels.copy_(labels)
        one.graph.replay()
        for parameter, gradient in zip(self.network.parameters(), one.gradients, strict=True):
            parameter.grad = gradient  # whoever reads gradients reads those of this step
        return one.sums.clone()

    def _record(self, images: Tensor, labels: Tensor, batch: int) -> _Graph:
        images, labels = images.clone(), labels.clone()
        weights = {name: value.clone() for name, value in self.network.state_dict().items()}
        # The momenta are there from the start; without momentum, or for a frozen parameter, there are none.
        momenta = [(buffer, buffer.clone()) for state in self.optimizer.state.values() for buffer in state.values()]
        # What dropout draws and what the scaler learns while warming up must not count either.
        generator, scaler = default_generator(self.device), self.scaler.state_dict()
        drawn = generator.get_state()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # lets libraries choose their kernels before the recording
            for _ in range(3):
                self.update(images, labels, batch)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad()
        with torch.cuda.graph(graph):
            sums = self.update(images, labels, batch)
        sums.fill_(math.nan)
        graph.replay()
        if sums[1].isnan():  # the number of errors, which a step always sets
            raise RuntimeError(
                f"the CUDA graph of a step is empty: the network computes on {images.device} and not where it was "
                "recorded; leave out cuda_graph"
            )
        with torch.no_grad():  # undo the warm-up in place: the graph keeps the addresses
            for name, value in self.network.state_dict().items():
                value.copy_(weights[name])
            for buffer, before in momenta:
                buffer.copy_(before)
        self.scaler.load_state_dict(scaler)
        generator.set_state(drawn)
        return _Graph(graph, images, labels, sums, [parameter.grad for parameter in self.network.parameters()])


@torch.no_grad()
def normalize_layers(parameters: Iterable[nn.Parameter], size: float) -> None:
    """Give every gradient the same length for its parameter: ``size`` times the parameter's norm.

    Vectors (scales, shifts, biases, many of which start at 0) count as if their entries were 1. A gradient of zeros
    stays. Only the direction of each layer's gradient is left, so gradients can neither explode nor vanish; this is
    the rule of LARS (You et al. 2017) for kernels, without its weight decay.
    """
    for parameter in parameters:
        if parameter.grad is not None:
            norm = parameter.norm() if parameter.ndim > 1 else math.sqrt(parameter.numel())
            parameter.grad.mul_(size * norm / parameter.grad.norm().clamp(min=torch.finfo(torch.float32).tiny))


def _check_classes(network: nn.Module, data: Dataset) -> None:
    classes = getattr(getattr(network, "fc", None), "out_features", data.num_classes)
    if classes < data.num_classes:
        raise ValueError(
            f"the network tells {classes} classes apart, {data.name} has {data.num_classes}; "
            f"build it with num_classes={data.num_classes}"
        )


@torch.no_grad()
def evaluate(network: nn.Module, data: Dataset, split: Split, batch_size: int | None = None) -> tuple[float, float]:
    """Return mean loss in nats and error in percent on ``split``, in evaluation mode.

    Batch normalisation uses its running statistics. The network's mode is restored afterwards. By default 1,024 images
    go at once, or fewer where they are large. Raises ``ValueError`` for a network of too few classes.
    """
    _check_classes(network, data)
    batch_size = batch_size or max(1, min(1024, EVALUATED_PIXELS // split.images[0, 0].numel()))
    was_training = network.training
    network.eval()
    sums = []  # a batch's loss and errors; read once, at the end, and added up in float64, which not all devices have
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        logits: Tensor = network(data.normalize(images))  # (B, classes)
        wrong = (logits.argmax(1) != labels).sum()
        sums.append(torch.stack([F.cross_entropy(logits, labels, reduction="sum"), wrong.float()]))
    network.train(was_training)
    loss, wrong = torch.stack(sums).cpu().double().sum(0).tolist()
    return loss / len(split), 100 * wrong / len(split)


def _seed(*numbers: int) -> int:
    """Return a seed for one stream: neighbours in any of ``numbers`` give unrelated streams."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _chunks(batches: tuple[Tensor, ...], size: int | None) -> Iterator[tuple[Tensor, ...]]:
    size = size or len(batches)
    return (batches[start : start + size] for start in range(0, len(batches), size))


def _threads(network: nn.Module, data: Dataset, config: TrainConfig) -> int:
    """Return how many CPU threads a step should use: one for tiny networks, else what torch has."""
    first = next((m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)), 1)
    height, width = data.train.images.shape[2:]
    tiny = config.batch_size * height * width * first < ONE_THREAD_BELOW
    return 1 if tiny else torch.get_num_threads()


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Compute on ``count`` CPU threads inside, and on as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _compute(threads: int, device: torch.device, random: int | Tensor | None = None) -> Iterator:
    """Compute with ``threads``, on the device and with the given random state inside; leave the caller's as they were.

    A GPU must be the current one for streams and graphs to be its own.
    Yields a function that returns the random state reached, to go on with.
    """
    current = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    with cpu_threads(threads), current, devices.random_numbers(random, device) as generator:
        yield generator.get_state
