"""Makers of instruments that stand at a chapter's claim: degradation, lesions, the lottery, "beat the shortcut".

A maker returns the figure or table that stands there without JavaScript, and the data from which the instrument starts
(``instruments.py`` lists them).
"""

import base64

from resnet_edu.lab.recording import check_config, load_records


def unpack_sizes(text: str, width: int):
    """Return sizes ``(rows, width)`` as ``packSizes`` of ``record.mjs`` wrote them: bytes, 16 to the decade from 1e-10.

    Zero stays zero; the rest is exact to 8 %.
    """
    import numpy as np

    steps = np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(-1, width).astype(float)
    return np.where(steps == 0, 0.0, 10 ** (steps / 16 - 10))


def gradient_ratios(record: dict) -> tuple[list[int], list[float]]:
    """Return the sampled steps of a recorded run, and there the gradient norm of the second convolution's weights
    divided by that of the last one's."""
    norms = unpack_sizes(record["norms"], record["layers"])  # (sampled steps, layers), input first, classifier last
    return record["sampled_steps"], (norms[:, 1] / norms[:, -2]).tolist()


def ratio_figure(records: list[dict]):
    """Return the ratio of gradient norms, second convolution to last, over the steps of recorded runs."""
    from resnet_edu.figures import NAMES, Figure, label_end, style_of
    from resnet_edu.figures.signals import number

    curves = [(made, *gradient_ratios(made)) for made in records]

    def draw(canvas, ink):
        axes = canvas.subplots()
        for made, steps, ratios in curves:
            config = made["config"]
            axes.semilogy(steps, ratios, **style_of(config["shortcut"]))
            label_end(axes, f"{NAMES[config['shortcut']]}-{config['depth']}", steps[-1], ratios[-1])
        axes.axhline(1, color=ink["soft"], lw=0.9, ls=":")
        axes.set(xlabel="step", ylabel="gradient, second / last")

    made = records[0]
    found = "; ".join(
        f"{NAMES[one['config']['shortcut']]}-{one['config']['depth']}: {number(ratios[0])} at step 1, "
        f"{number(ratios[-1])} at step {steps[-1]}"
        for one, steps, ratios in curves
    )
    caption = (
        "Norm of the weights' gradient, second convolution divided by last, while two networks learn the digits "
        f"(recorded {made['date'][:10]}, {made['device']}, seed {made['config']['seed']}). {found}. With JavaScript, "
        "eight networks race here."
    )
    return Figure(draw, caption, f"Ratio of gradient norms on a logarithmic axis against the step. {found}.")


def degradation(id: str = "race-eight", config: dict | None = None):
    """Guess eight training errors, race the eight networks; ``config`` is what differs from the defaults."""
    check_config(config or {})
    records = load_records("plain-56", "residual-56")
    return ratio_figure(records)._repr_html_(), {"id": id, "config": config or {}, "records": records}


def many_paths(id: str = "lesions", config: dict | None = None):
    """Take branches out of twins of 20 layers; ``config`` is what differs from the defaults (``depth`` from 20)."""
    from resnet_edu import runs
    from resnet_edu.figures import bank, paths

    check_config(config or {})
    records = runs.load("lesions").select(depth=20, activation="post")
    twins = {"plain": records.select(shortcut="none"), "residual": records.select(shortcut="A")}
    errors = {name: cell.measured("lesions", "errors") for name, cell in twins.items()}  # (seeds, blocks)
    intact = {name: cell.measured("lesions", "intact") for name, cell in twins.items()}  # (seeds,)
    from_ = bank.source(twins)
    still = paths.by_block(
        {f"{name}-20": values for name, values in errors.items()},
        f"Test error after deleting one block of nine. {bank.spread(twins)} With JavaScript, you delete them here.",
        "; ".join(f"{name}-20: {values.mean():.0f} % on average" for name, values in errors.items()),
        {f"{name}-20": values.mean() for name, values in intact.items()},
    )
    recorded = {
        name: {"errors": errors[name].round(1).tolist(), "intact": intact[name].round(1).tolist()} for name in twins
    }
    data = {"id": id, "config": config or {}, "recorded": recorded, "from": f"Networks of width 8. {from_}"}
    return still._repr_html_(), data


def reproducing(id: str = "lottery", config: dict | None = None):
    """Train one network with six seeds; ``config`` is what differs from the defaults (``depth`` from 20)."""
    from resnet_edu import runs
    from resnet_edu.figures import ON, Figure
    from resnet_edu.figures.bank import source

    depth = check_config({"depth": 20} | (config or {}))["depth"]
    cell = runs.load("depth").select(shortcut="A", depth=20)
    errors = cell.series("test_error")  # (seeds, epochs)
    rows = {"last epoch": errors[:, -1], "best epoch": errors.min(1)}

    def draw(canvas, ink):
        axes = canvas.subplots()
        for place, (values, marker) in enumerate(zip(rows.values(), "os", strict=True)):
            axes.plot(values, [-place] * len(values), marker, color=ON, mfc="none" if place else ON, ls="")
        axes.set_yticks([-place for place in range(len(rows))], list(rows))
        axes.set(xlabel="test error (%)", ylim=(-1.5, 0.5), xlim=(0, None))

    found = "; ".join(f"{name}: {min(values):.1f} to {max(values):.1f} %" for name, values in rows.items())
    still = Figure(
        draw,
        f"Residual-20 on the digits with {len(errors)} seeds, one mark each, by its last and by its best epoch. "
        f"{found}. {source({'': cell})} With JavaScript, you draw the seeds yourself.",
        f"Marks in two rows. {found}.",
        size=(6.4, 2.2),
    )
    records = load_records(f"residual-{depth}")
    return still._repr_html_(), {"id": id, "config": config or {}, "records": records}


def training_lab(id: str = "beat", config: dict | None = None):
    """Three tries to make plain-56 learn; ``config`` is what differs from the defaults."""
    from resnet_edu import runs
    from resnet_edu.figures import Table, bank

    depth = check_config(config or {})["depth"]
    plain = {"depth": 56, "shortcut": "none"}
    remedies = runs.load("gradient-remedies")
    cells = {
        "none": runs.load("depth").select(**plain),
        "learning rate 0.01": runs.load("learning-rate").select(**plain, learning_rate=0.01),
        "six times the epochs": runs.load("longer").select(depth=56),
        "gradient clipped at norm 1": remedies.where(**plain, clip_norm=1.0),
        "start near the identity": remedies.where(**plain, identity_start=0.1),
        "shortcuts": runs.load("depth").select(depth=56, shortcut="A"),
    }
    rows = [(name, bank.Quote(cell, "train_error"), str(len(cell))) for name, cell in cells.items()]
    caption = f"Plain-56 with one lever at a time. {bank.source(cells)} With JavaScript, you try them here."
    still = Table(["lever", "training error (%)", "seeds"], rows, caption)
    records = load_records(f"plain-{depth}", f"residual-{depth}")
    return still._repr_html_(), {"id": id, "config": config or {}, "records": records}
