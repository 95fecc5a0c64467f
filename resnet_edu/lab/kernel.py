"""The lab's kernel source: a training thread that a widget asks for frames.

The thread makes no widget, print or display call: Colab does not deliver those from a thread, and a late thread's
messages would belong to a finished cell. Requests may come on the main thread or on a subshell's, so what both
sides touch is behind one lock, and a request never waits for a step.
"""

import math
import threading
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from resnet_edu.blocks import ResidualBlock, Shortcut
from resnet_edu.datasets import Dataset, Split
from resnet_edu.devices import device_name, random_numbers
from resnet_edu.networks import cifar_resnet, weighted_layers
from resnet_edu.training import DivergedError, StepRecord, TrainConfig, evaluate, train

TEST_IMAGES = 1024  # of a larger test set the first ones, balanced or not as the set has them


def connect(block: ResidualBlock, connected: bool) -> None:
    """Cut or restore the shortcut of ``block`` in place; weights stay as they are.

    A block that was built plain gets option A's path, and forgets it again when cut.
    """
    built = block.__dict__.setdefault("_built_downsample", block.downsample)
    if not connected:
        kind = "none"
    elif built.kind == "none":
        kind = "A"
    else:
        block.downsample = built
        return
    block.downsample = Shortcut(kind, built.in_channels, built.out_channels, built.stride)


class Experiment:
    """One run as the lab configures it: a network, and frames of figures, one a step.

    ``config`` has the keys of ``resnet_edu.lab``; ``data`` is any data set. The loop is ``training.train`` with a
    constant learning rate. Raises ``ValueError`` for a configuration that does not fit.
    """

    def __init__(self, config: dict, data: Dataset):
        self.config, self.data = config, data
        self.steps = 0  # done
        self.switches = [list(one) for one in config["switches"]]  # [step, block, connected]; may grow
        self._switched: set[int] = set()  # which of them have been applied
        with random_numbers(config["seed"]):
            network = cifar_resnet(
                config["depth"],
                activation=config["activation"],
                shortcut=config["shortcut"],
                normalization=config["normalization"],
                width=config["width"],
                in_channels=data.in_channels,
                num_classes=data.num_classes,
            )
        self.network = network.to(data.device)
        self.layers = list(weighted_layers(network).values())
        self.responses: list[Tensor] = [torch.zeros(())] * len(network.blocks)
        for number, block in enumerate(network.blocks):
            block.branch_end.register_forward_hook(lambda _, __, out, n=number: self._respond(n, out))
        self.test = Split(data.test.images[:TEST_IMAGES], data.test.labels[:TEST_IMAGES])
        steps_per_epoch = math.ceil(len(data.train) / config["batch_size"])
        self.records = train(
            self.network,
            data,
            TrainConfig(
                epochs=math.ceil(config["steps"] / steps_per_epoch),
                batch_size=config["batch_size"],
                learning_rate=config["learning_rate"],
                momentum=config["momentum"],
                weight_decay=config["weight_decay"],
                schedule="constant",
                seed=config["seed"],
            ),
            log_every=1,
        )

    def _respond(self, number: int, output: Tensor) -> None:
        if self.network.training:
            self.responses[number] = output.detach().std(correction=0)

    def frames(self) -> Iterator[dict]:
        """Yield what each step showed (``resnet_edu.lab`` lists the keys).

        Raises ``DivergedError`` if the loss is no longer finite.
        """
        config = self.config
        while self.steps < config["steps"]:
            self._apply_switches()
            record = next(record for record in self.records if isinstance(record, StepRecord))
            self.steps = record.step
            squares = torch.stack([layer.weight.grad.float().square().sum() for layer in self.layers])
            frame = {
                "step": record.step,
                "loss": record.loss,
                "error": record.error,
                "norms": squares.sqrt().tolist(),
                "responses": torch.stack(self.responses).tolist(),
            }
            if record.step % config["test_every"] == 0 or record.step == config["steps"]:
                frame["test_loss"], frame["test_error"] = evaluate(self.network, self.data, self.test)
            yield frame

    def _apply_switches(self) -> None:
        """Cut and restore the shortcuts whose time has come."""
        for number, (step, block, connected) in enumerate(self.switches):
            if step <= self.steps and number not in self._switched:
                connect(self.network.blocks[block - 1], bool(connected))
                self._switched.add(number)


class Frames(list):
    """The frames of a run, a dictionary a step; as a cell's last expression they show themselves in a line."""

    def __repr__(self) -> str:
        if not self:
            return "no frames"
        last = self[-1]
        tested = next((f", test error {one['test_error']:.1f} %" for one in reversed(self) if "test_error" in one), "")
        return f"{len(self)} frames; step {last['step']}: loss {last['loss']:.3f}{tested}"


class KernelSource:
    """Answers the lab's requests (``answer``) and trains in a thread of its own.

    ``data`` is a data set, or several by name, each a ``Dataset`` or a function that returns one when it is first
    chosen (``data`` in a request's configuration; else the first). ``defaults`` fill in what it leaves out.
    """

    def __init__(self, data: Dataset | dict[str, Dataset | Callable[[], Dataset]], defaults: dict):
        self.choices = dict(data) if isinstance(data, dict) else {data.name: data}
        self.defaults = defaults
        self.data = self._choose(next(iter(self.choices)))
        self.device = device_name(self.data.device)
        self._lock = threading.Condition()
        self._run = 0  # number of the run; a thread that serves another one ends
        self._experiment: Experiment | None = None
        self._warm_up()
        self._reset()

    def _choose(self, name: str) -> Dataset:
        if name not in self.choices:
            raise ValueError(f"there is no data set {name!r} here; there are {', '.join(self.choices)}")
        if not isinstance(self.choices[name], Dataset):
            self.choices[name] = self.choices[name]()
        return self.choices[name]

    def _warm_up(self) -> None:
        """Make two steps: the first ones in a process import a lot, seconds in which nothing else could run."""
        for _ in Experiment({**self.defaults, "steps": 2, "depth": 8, "test_every": 2}, self.data).frames():
            pass

    def _reset(self) -> None:
        self._frames = Frames()
        self._state, self._message, self._single = "paused", None, 0

    def answer(self, request: dict) -> dict:
        """Return the reply to one request; never waits for a step, and never raises."""
        try:
            getattr(self, f"_on_{request['kind']}", self._on_unknown)(request)
        except (KeyError, TypeError, ValueError, OSError) as error:
            with self._lock:
                self._state, self._message = "failed", f"{type(error).__name__}: {error}"
        with self._lock:
            return {
                "id": request.get("id"),
                "state": self._state,
                "message": self._message,
                "device": self.device,
                "switches": list(self._experiment.switches) if self._experiment else [],
                "frames": [_finite(frame) for frame in self._frames[request.get("since") or 0 :]],
            }

    def close(self) -> None:
        """End the thread after its present step."""
        with self._lock:
            self._run += 1
            self._lock.notify_all()

    def run(self, config: dict | None = None) -> list[dict]:
        """Train in the foreground and return the frames; the kernel's interrupt stops it, and keeps what was done.

        For front ends whose messages are blocked while a cell runs.
        """
        self.close()
        experiment = self._prepare(config or {})
        try:
            for frame in experiment.frames():
                with self._lock:
                    self._frames.append(frame)
            self._state = "done"
        except DivergedError as error:
            self._state, self._message = "failed", str(error)
        except KeyboardInterrupt:
            self._state = "paused"
        return Frames(self._frames)

    def _prepare(self, config: dict) -> Experiment:
        if "data" in config:
            self.data = self._choose(config["data"])
            self.device = device_name(self.data.device)
        experiment = Experiment({**self.defaults, **config}, self.data)
        with self._lock:
            self._reset()
            self._experiment = experiment
        return experiment

    def _on_start(self, request: dict) -> None:
        self.close()
        experiment = self._prepare(request["config"])
        with self._lock:
            if request.get("play"):
                self._state = "running"
            thread = threading.Thread(target=self._train, args=(experiment, self._run), daemon=True)
        thread.start()

    def _on_play(self, request: dict) -> None:
        with self._lock:
            if self._state == "paused" and self._experiment is not None:
                self._state = "running"
                self._lock.notify_all()

    def _on_pause(self, request: dict) -> None:
        with self._lock:
            if self._state == "running":
                self._state = "paused"

    def _on_step(self, request: dict) -> None:
        with self._lock:
            if self._state == "paused":
                self._single += 1
                self._lock.notify_all()

    def _on_switch(self, request: dict) -> None:
        block, connected = int(request["block"]), bool(request["connected"])
        with self._lock:
            if self._experiment is None or not 1 <= block <= len(self._experiment.network.blocks):
                raise ValueError(f"there is no block {block}; start a run, then name one of its blocks from 1")
            self._experiment.switches.append([len(self._frames), block, int(connected)])

    def _on_poll(self, request: dict) -> None:
        pass

    def _on_unknown(self, request: dict) -> None:
        raise ValueError(f"kind must be start, play, pause, step, switch or poll, got {request['kind']!r}")

    def _train(self, experiment: Experiment, number: int) -> None:
        frames = experiment.frames()
        try:
            while True:
                with self._lock:
                    self._lock.wait_for(lambda: self._run != number or self._state == "running" or self._single)
                    if self._run != number:
                        return
                    if self._state != "running":
                        self._single -= 1
                frame = next(frames, None)
                with self._lock:
                    if self._run != number:
                        return
                    if frame is not None:
                        self._frames.append(frame)
                    if frame is None or frame["step"] == experiment.config["steps"]:
                        self._state = "done"
                        return
        except DivergedError as error:
            self._fail(number, str(error))
        except Exception as error:  # the reader must hear of it: nobody reads a thread's traceback
            self._fail(number, f"{type(error).__name__}: {error}")

    def _fail(self, number: int, message: str) -> None:
        with self._lock:
            if self._run == number:
                self._state, self._message = "failed", message


def _finite(value: object) -> object:
    """Return ``value`` with ``None`` for numbers that JSON cannot write."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
