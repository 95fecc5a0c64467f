"""The gradient explorer: singular values of blocks' Jacobians and of their product, from new to trained.

Everything is computed (``resnet_edu.probes``), nothing drawn from a formula. In a published page spectra recorded
with ``python -m resnet_edu.lab.explorer`` stand in for the kernel.
"""

import argparse
import datetime
import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from resnet_edu.datasets import Dataset, digits
from resnet_edu.lab.kernel import Experiment
from resnet_edu.probes import block_spectra, recalibrate
from resnet_edu.training import DivergedError, evaluate

RECORDED = Path(__file__).parent / "recorded" / "explorer.json"
COMMAND = "python -m resnet_edu.lab.explorer"
CHOICES = {
    "depth": (8, 20, 56),
    "shortcut": ("A", "B", "none"),
    "normalization": ("batch", "none"),
    "activation": ("post", "pre"),
}
STEPS = (0, 10, 30, 100, 300)  # when to look
IMAGES = 4  # the first test images; figures are geometric means over them
TRAINING = {
    "learning_rate": 0.05, "seed": 1, "width": 4, "batch_size": 32, "momentum": 0.9, "weight_decay": 1e-4,
    "test_every": 300, "switches": [],
}  # fmt: skip


@dataclass(frozen=True)
class Spectrum:
    """Singular values at one moment of training, geometric means over the images.

    ``largest`` and ``middle`` list the largest and the median singular value of each block's Jacobian, input
    first; ``product`` those of the product of all blocks, eleven quantiles from the largest to the smallest; ``kept``
    is the share of the product's directions above 0.01. ``test_error`` is in percent.
    """

    step: int
    largest: list[float]
    middle: list[float]
    product: list[float]
    kept: float
    test_error: float


def spectra(
    depth: int,
    shortcut: str,
    normalization: str = "batch",
    activation: str = "post",
    *,
    steps: tuple[int, ...] = STEPS,
    data: Dataset | None = None,
) -> list[Spectrum]:
    """Train a network of width 4 and return its spectra after each of ``steps``; a diverged run ends early.

    A Jacobian needs normalisation that treats each image by itself: the running statistics are first set to those
    of 512 training images (``probes.recalibrate``). With an identity shortcut a pre-activation block has the
    Jacobian I + J_branch (He et al. 2016, Eq. 5). Raises ``ValueError`` as ``cifar_resnet``.
    """
    data = data or digits()
    config = {
        **TRAINING, "depth": depth, "shortcut": shortcut, "normalization": normalization, "activation": activation,
        "steps": max(*steps, 1),
    }  # fmt: skip
    experiment = Experiment(config, data)
    frames, found, done = experiment.frames(), [], 0
    calibration = data.normalize(data.train.images[:512])
    images = data.normalize(data.test.images[:IMAGES])
    for step in steps:
        try:
            while done < step:
                next(frames)
                done += 1
        except DivergedError:
            break
        network = recalibrate(experiment.network, calibration)
        found.append(_spectrum(network, images, step, evaluate(network, data, data.test)[1]))
    return found


def _spectrum(network: torch.nn.Module, images: torch.Tensor, step: int, error: float) -> Spectrum:
    *means, kept = block_spectra(network, images, method="nearest")
    rounded = [[float(f"{value:.3g}") for value in one] for one in means]
    return Spectrum(step, *rounded, kept=round(kept, 4), test_error=round(error, 1))


def load_spectra() -> dict:
    """Return the recorded spectra: ``runs`` (choices, ``spectra``), ``device``, ``date``, ``versions``, ``command``."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def figure(found: list[Spectrum], title: str):
    """Return the spectra as a ``resnet_edu.figures.Figure``: blocks on the left, their product on the right."""
    from matplotlib import colormaps

    from resnet_edu.figures import Figure, panels

    first, last = found[0], found[-1]

    def draw(canvas, ink):
        left, right = panels(canvas, 2)
        low, high = (0.0, 0.55) if ink["paper"] == "#ffffff" else (0.4, 1.0)  # at least 3:1 against the paper
        for number, one in enumerate(found):
            colour = colormaps["viridis"](low + (high - low) * number / max(1, len(found) - 1))
            blocks = range(1, len(one.largest) + 1)
            left.semilogy(blocks, one.largest, color=colour, marker="o", label=f"step {one.step}")
            left.semilogy(blocks, one.middle, color=colour, linestyle=":")
            right.semilogy(np.linspace(0, 100, 11), np.maximum(one.product, 1e-8), color=colour, marker="o")
        left.axhline(1, color=ink["soft"], linewidth=1)
        right.axhline(1, color=ink["soft"], linewidth=1)
        left.set(xlabel="block", ylabel="singular value", title="each block")
        right.set(xlabel="percentile, largest first", title="product of all blocks")
        left.legend(fontsize=8)

    caption = (
        f"{title}: largest (solid) and median (dotted) singular value of each block's Jacobian, and the singular "
        f"values of their product, at step {', '.join(str(one.step) for one in found)} of training on the digits "
        f"({IMAGES} test images, geometric mean; values below 1e-8 are drawn there)."
    )
    alt = (
        f"Singular values of the product: the largest is {first.product[0]:.3g} at step {first.step} and "
        f"{last.product[0]:.3g} at step {last.step}. It keeps {100 * first.kept:.0f} % of the directions, then "
        f"{100 * last.kept:.0f} %."
    )
    return Figure(draw, caption, alt, size=(7.2, 3.4), narrow=6.4)


def explorer():
    """Return the explorer as a Jupyter widget: choose a network, train it, and see the spectra."""
    import ipywidgets as widgets

    from resnet_edu.lab.instruments import instrument
    from resnet_edu.lab.widget import Panel

    controls = {name: widgets.Dropdown(options=values, description=name) for name, values in CHOICES.items()}
    button = widgets.Button(description="Train and measure", button_style="primary")
    output = widgets.HTML()

    def show(_: object = None) -> None:
        chosen = {name: control.value for name, control in controls.items()}
        button.disabled, button.description = True, "Training …"
        try:
            output.value = figure(spectra(**chosen), title(chosen))._repr_html_()
        finally:
            button.disabled, button.description = False, "Train and measure"

    button.on_click(show)
    return Panel(*controls.values(), button, output, still=instrument("explorer"))


def title(chosen: dict) -> str:
    """Return the network in words."""
    kind = "plain" if chosen["shortcut"] == "none" else f"residual (option {chosen['shortcut']})"
    norm = "" if chosen["normalization"] == "batch" else ", no batch normalisation"
    pre = ", pre-activation" if chosen["activation"] == "pre" else ""
    return f"{chosen['depth']} layers, {kind}{norm}{pre}"


def main() -> None:
    """Record the spectra of every choice, with a progress bar."""
    from tqdm import tqdm

    argparse.ArgumentParser(prog=COMMAND, description=main.__doc__.split(",")[0]).parse_args()
    torch.set_num_threads(1)
    data = digits()
    every = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]
    record = {
        "device": "CPU",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "versions": {"torch": torch.__version__},
        "command": COMMAND,
        "data": f"digits {data.checksum}",
        "training": TRAINING,
        "choices": CHOICES,
        "runs": [
            {**chosen, "spectra": [asdict(one) for one in spectra(**chosen, data=data)]} for chosen in tqdm(every)
        ],
    }
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{len(every)} networks recorded in {RECORDED.name}")


if __name__ == "__main__":
    main()
