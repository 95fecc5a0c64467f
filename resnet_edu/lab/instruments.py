"""Instruments by name: the figure that stands in place of each without JavaScript, and the data from which it starts.

``INSTRUMENTS`` is the list; an instrument is a file ``front/instruments/NAME.mjs`` and a line there. A maker takes the
settings that a cell may give and returns the still picture as HTML and the data (JSON) for the file's ``mount``.
"""

import base64
import html
import inspect
import json
from functools import partial

from resnet_edu.lab import assets, claims, untrained
from resnet_edu.lab.recording import check_config, load_records

TWINS = ("plain-56", "residual-56")


def _errors(text: str) -> list[float]:
    """Unpack errors, 16-bit numbers in hundredths of a percent (``packNumbers`` in ``record.mjs``)."""
    import numpy as np

    words = np.frombuffer(base64.b64decode(text), dtype="<u2")
    return np.where(words == 65535, np.nan, words / 100).tolist()


def figure(records: list[dict]):
    """Return the test error of recorded runs over the steps, as a ``resnet_edu.figures.Figure``."""
    from resnet_edu.figures import NAMES, Figure, label_end, style_of

    curves = [(made, made["tested_steps"], _errors(made["test_error"])) for made in records]

    def draw(canvas, ink):
        axes = canvas.subplots()
        for made, steps, errors in curves:
            config = made["config"]
            axes.plot(steps, errors, marker=".", **style_of(config["shortcut"]))
            label_end(axes, f"{NAMES[config['shortcut']]}-{config['depth']}", steps[-1], errors[-1])
        axes.set(xlabel="step", ylabel="test error (%)", ylim=(0, 100))

    ends = " and ".join(
        f"{errors[-1]:.0f} % {'without' if made['config']['shortcut'] == 'none' else 'with'} shortcuts"
        for made, _, errors in curves
    )
    made = records[0]
    caption = (
        f"Two networks of {made['config']['depth']} layers learn to read digits: the test error after "
        f"{made['steps']} steps is {ends} (recorded {made['date'][:10]}, {made['device']}, seed "
        f"{made['config']['seed']}). With JavaScript, this figure is a lab that trains such networks in the page."
    )
    return Figure(draw, caption, f"Test error against training step: at the end it is {ends}.")


def _training(id: str = "lab", config: dict | None = None, shown: tuple[str, ...] = TWINS, guess: bool = False):
    """Train one network: ``config`` is what differs from the defaults (``resnet_edu.lab`` lists the keys).

    ``shown`` names the recorded runs that are drawn from the start; ``guess`` starts in guess-first mode.
    """
    check_config(config or {})
    if not shown:
        raise ValueError("shown must name at least one recorded run: the figure without JavaScript is drawn from it")
    data = {"id": id, "config": config or {}, "records": load_records(), "shown": list(shown), "guess": guess}
    return figure(load_records(*shown))._repr_html_(), data


def _race(id: str = "race", config: dict | None = None):
    """Train twins with and without shortcuts side by side; ``config`` is what differs from the defaults."""
    depth = check_config(config or {})["depth"]
    data = {"id": id, "config": config or {}, "records": load_records(), "shown": list(TWINS)}
    return figure(load_records(f"plain-{depth}", f"residual-{depth}"))._repr_html_(), data


def _bottleneck(id: str = "bottleneck"):
    """Design two blocks: what each costs, how long it took where it was recorded, and how long it takes here."""
    from resnet_edu.figures import Table
    from resnet_edu.lab.designer import SIDE, BlockCost, load_costs, rows

    data = load_costs()
    costs = {"/".join(str(one[key]) for key in data["choices"]): BlockCost(**one) for one in data["costs"]}
    pair = [costs["basic/64/A/1/v1.5"], costs["bottleneck/256/A/1/v1.5"]]
    caption = (
        f"Two blocks of {SIDE}×{SIDE} maps, one image; median and range of {data['passes']} passes: {data['device']}, "
        f"{data['date']}. With JavaScript, this table is an instrument that also times both blocks on your device."
    )
    table = Table(("cost", "basic-64", "bottleneck-256"), rows(*pair), caption)
    times = {key: (one.milliseconds, one.fastest, one.slowest) for key, one in costs.items()}
    kept = {key: data[key] for key in ("device", "date", "versions", "choices", "passes")}
    return table._repr_html_(), {"id": id, "side": SIDE, "times": times, **kept}


def _explorer(id: str = "explorer"):
    """Explore the singular values of blocks and of their product while a network learns."""
    from resnet_edu.lab.explorer import STEPS, Spectrum, load_spectra, title
    from resnet_edu.lab.explorer import figure as spectra_figure

    data = load_spectra()
    chosen = {"depth": 20, "shortcut": "A", "normalization": "batch", "activation": "post"}
    run = next(run for run in data["runs"] if all(run[key] == value for key, value in chosen.items()))
    found = [Spectrum(**one) for one in run["spectra"]]
    return spectra_figure(found, title(chosen))._repr_html_(), {"id": id, **data, "steps": STEPS}


def _loss_landscape(id: str = "loss-landscape"):
    """Cut and map the loss around a network; recorded maps of 20 and 56 layers stand beside."""
    import numpy as np

    from resnet_edu import runs
    from resnet_edu.figures import Table, bank, landscape, mean_sd

    records = runs.load("loss-surface")
    cells = {
        f"{kind}-{depth}": records.select(depth=depth, shortcut=shortcut)
        for depth in (20, 56)
        for kind, shortcut in {"residual": "A", "plain": "none"}.items()
    }
    maps, rows = [], []
    for name, cell in cells.items():
        first, *_ = found = list(cell)
        surfaces = [landscape.recorded(record) for record in found]
        loss = surfaces[0].loss[::2, ::2]
        steps = np.round(25 * (np.log10(np.clip(loss, 1e-3, 1e7)) + 3)).astype(np.uint8)
        text = base64.b64encode(steps.tobytes()).decode()
        maps.append({"name": name, "side": len(loss), "seed": first["seed"], "loss": text})
        near = mean_sd([landscape.not_convex(one, within=0.5) for one in surfaces])
        rows.append((name, mean_sd(cell.last("surface.low").values), near, len(cell)))
    note = f"every second point of the map that was recorded {first['started'][:10]}, {first['device']}."
    table = Table(
        ("network", "below guessing (%)", "not convex within ½ (%)", "seeds"), rows,
        f"Maps of the training loss around recorded networks, mean ± standard deviation. {bank.source(cells)}",
    )  # fmt: skip
    return table._repr_html_(), {"id": id, "recorded": maps, "note": note}


def _drawing(id: str = "drawing"):
    """Draw a digit and watch it pass through a network, block by block; shortcuts can be cut under the pen."""
    from resnet_edu.datasets import digits
    from resnet_edu.figures import Figure

    test = digits().test
    count = 24
    pixels = test.images[:count, 0].int().tolist()  # (N, 8, 8), 0 to 16
    labels = test.labels[:count].tolist()
    examples = [
        {"label": label, "pixels": "".join("0123456789abcdefg"[value] for row in image for value in row)}
        for image, label in zip(pixels, labels, strict=True)
    ]

    def draw(canvas, ink):
        for axes, image, label in zip(canvas.subplots(1, 6), pixels, labels, strict=False):
            axes.imshow(image, cmap="viridis", vmin=0, vmax=16)
            axes.set(xticks=[], yticks=[], title=str(label))

    caption = (
        "Six digits of the test set as the networks see them: 8×8 numbers from 0 to 16, counted in cells of 4×4 of a "
        "picture of 32×32. With JavaScript, this figure is a field to draw in, and shows what a network makes of it."
    )
    names = ", ".join(map(str, labels[:6]))
    still = Figure(draw, caption, f"Six small pictures of handwritten digits: {names}.", size=(5, 1.1))
    return still._repr_html_(), {"id": id, "examples": examples}


def _pretrained(id: str = "pretrained"):
    """Fine-tune a network on turned digits with few labels, beside one from scratch; several seeds."""
    from resnet_edu import runs
    from resnet_edu.figures import Table, bank, mean_sd

    worth = runs.load("transfer")
    rows = [
        (f"{name}, {steps} steps", mean_sd(worth.last(f"transfer.turned_{key}_{steps}").values), len(worth))
        for name, key in (("from scratch", "scratch"), ("fine-tuned", "tuned"))
        for steps in (30, 100, 300)
    ]
    caption = f"Upside-down digits, two labels a class: mean ± standard deviation. {bank.source({'': worth})}"
    return Table(("method", "test error (%)", "seeds"), rows, caption)._repr_html_(), {"id": id}


def _recall(name: str, numbers: dict | None = None, id: str | None = None):
    """Ask a chapter's recall questions (``lab.recall``)."""
    from resnet_edu.lab.asking import recall_figure

    still, data = recall_figure(name, numbers or {})
    return still, {"id": id or f"recall-{name.replace('/', '-')}", **data}


def _predict(
    chapter: str, measured: dict | None = None, guess: dict | None = None, numbers: dict | None = None,
    id: str | None = None,
):  # fmt: skip
    """Ask for a guess (``lab.predict``), or show what was ``measured`` beside it (``lab.measured``)."""
    from resnet_edu.lab.asking import predict_figure

    still, data = predict_figure(chapter, measured, guess, numbers or {})
    kind = "predict" if measured is None else "measured"
    return still, {**data, "question": data["id"], "id": id or f"{kind}-{chapter}"}


def _progress(id: str = "progress"):
    """Show what the reader has worked through, and ask again what was missed."""
    from resnet_edu.lab.asking import progress_figure

    still, data = progress_figure()
    return still, {"id": id, **data}


def _architectures(id: str = "architectures"):
    """Choose a network's parts: it is counted, named if it is a known one, and compared."""
    import torch

    from resnet_edu import accounting, networks
    from resnet_edu.figures import Table

    makers = {
        "ResNet-18, 224×224": (networks.resnet18, 224),
        "ResNet-34, 224×224": (networks.resnet34, 224),
        "ResNet-50 (v1.5), 224×224": (networks.resnet50, 224),
        "kuangliu's ResNet-18, 32×32": (partial(networks.preset, "kuangliu/resnet18"), 32),
        "the paper's ResNet-20, 32×32": (partial(networks.cifar_resnet, 20), 32),
        "the paper's ResNet-110, 32×32": (partial(networks.cifar_resnet, 110), 32),
    }
    rows = []
    for name, (make, side) in makers.items():
        with torch.device("meta"):
            network = make()
        work = accounting.multiply_adds(network, (3, side, side)) / 1e6
        layers = len(networks.weighted_layers(network))
        rows.append((name, layers, f"{accounting.parameter_count(network):,}", f"{work:,.0f}"))
    caption = (
        "Six networks, counted. The CIFAR network of 110 layers holds fewer weights than any ResNet-18. With "
        "JavaScript, this table is an instrument that counts and names the network that you choose."
    )
    table = Table(("network", "weighted layers", "parameters", "10⁶ multiply-adds"), rows, caption)
    return table._repr_html_(), {"id": id}


def _residual_block(id: str = "residual-block"):
    """Two stacks of blocks learn a map, to stay or to move on, with and without shortcuts."""
    from resnet_edu import blocks
    from resnet_edu.figures import block_diagrams

    pair = {name: blocks.BasicBlock(8, 8, shortcut=kind) for name, kind in (("plain", "none"), ("residual", "A"))}
    return block_diagrams(pair)._repr_html_(), {"id": id}


def _recorded_results(id: str = "recorded-results"):
    """Look through the run bank: experiment, number, axes; a point a seed, and a record a point."""
    from resnet_edu import runs
    from resnet_edu.figures import bank

    found = runs.load("depth")
    groups = {name: found.where(shortcut=kind) for name, kind in (("plain", "none"), ("residual", "A"))}
    shown = bank.by_setting(
        {name: one for name, one in groups.items() if len(one)},
        "depth",
        "train_error",
        "Training error on the digits, by depth: one experiment of the bank. With JavaScript, this figure shows all.",
        "The training error of plain networks climbs with depth; that of residual networks stays low.",
    )
    return shown._repr_html_(), {"id": id}


def _myths_and_bugs(id: str = "myths-and-bugs", case: int | None = None):
    """Find the hidden bug of a network that runs; ``case`` is the number of the first case (default: drawn by lot)."""
    from resnet_edu.figures import Table

    rows = [
        ("shapes", "a stride in the wrong stage"),
        ("sizes", "a ReLU before the addition, a bare projection, a missing last batch norm"),
        ("loss", "a softmax before the cross-entropy"),
        ("the test error in two orders", "eval() forgotten"),
    ]
    caption = "Where six bugs show that crash nothing. With JavaScript, this table is a game that hides one of them."
    return Table(("probe", "what it convicts"), rows, caption)._repr_html_(), {"id": id, "case": case}


INSTRUMENTS = {
    "training": _training,
    "race": _race,
    "bottleneck": _bottleneck,
    "explorer": _explorer,
    "loss-landscape": _loss_landscape,
    "drawing": _drawing,
    "pretrained": _pretrained,
    "degradation": claims.degradation,
    "many-paths": claims.many_paths,
    "reproducing-the-paper": claims.reproducing,
    "training-lab": claims.training_lab,
    "predict": _predict,
    "recall": _recall,
    "progress": _progress,
    "depth": untrained.depth,
    "signal-and-normalization": untrained.signal_and_normalization,
    "gradient-plus-one": untrained.gradient_plus_one,
    "identity-mappings": untrained.identity_mappings,
    "architectures": _architectures,
    "residual-block": _residual_block,
    "recorded-results": _recorded_results,
    "myths-and-bugs": _myths_and_bugs,
}


class Instrument:
    """An instrument as a cell's last expression: live in the reader's browser, in a page, a notebook or an export.

    HTML and not a widget, since it needs no kernel: a widget turns into an error message once its kernel is restarted
    or a saved notebook is opened again, and an export leaves it out. ``island`` is the HTML for a page that loads
    the scripts itself (``resnet_edu.lab.assets.page_scripts``); a notebook's output carries them.
    """

    def __init__(self, name: str, still: str, data: dict, behind: bool = False):
        self.name, self.data, self._still = name, data, still
        self.island = (
            f'<div class="resnet-lab" id="{html.escape(data["id"], quote=True)}" data-instrument="{name}"'
            f"{' data-behind' if behind else ''}>"
            f'<div class="resnet-lab-figure">{still}</div>{data_script(data)}</div>'
        )

    def behind_widget(self) -> "Instrument":
        """Return the same instrument, which in a notebook shows itself only if the widget below it does not come."""
        return Instrument(self.name, self._still, self.data, behind=True)

    def __str__(self) -> str:
        return self.island

    def _repr_html_(self) -> str:
        return f"{self.island}{assets.inline(self.name)}"


def instrument(name: str, /, **settings: object) -> Instrument:
    """Return the instrument ``name`` with these settings, to stand as a cell's last expression.

    Every instrument takes ``id``, its name in the page's address, unique in the page. Raises ``ValueError`` for an
    unknown instrument or setting, and for a value that the instrument does not offer.
    """
    from resnet_edu.blocks import choose

    make = INSTRUMENTS[choose("instrument", name, tuple(INSTRUMENTS))]
    known = tuple(inspect.signature(make).parameters)
    for setting in settings:
        choose(f"a setting of {name!r}", setting, known)
    return Instrument(name, *make(**settings))


def data_script(data: dict) -> str:
    """Return ``data`` as a script element that a page's script reads; nothing in it can end the element."""
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return f'<script type="application/json">{text}</script>'
