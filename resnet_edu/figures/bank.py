"""Pictures and tables of recorded runs: every one shows mean and spread over seeds, and says where it is from."""

import json
import re
from collections.abc import Mapping
from html import escape

import numpy as np

from resnet_edu.figures import (
    DASHES,
    MARKERS,
    OFF,
    ON,
    OTHERS,
    Figure,
    Table,
    _label_ends,
    bars_above_zero,
    number_axis,
)
from resnet_edu.runs import Runs, load, outcome, scatters

# What a caption adds where a cell of its table shows a sample that scatters.
SCATTERED = " Where the seeds scatter widely: median (lowest to highest)."


def styles(groups: Mapping[str, Runs]) -> dict[str, dict]:
    """Return a line style for each group: plain orange and dashed, residual blue and solid, others in order.

    Groups such as plain-20 and plain-56 share a colour and differ in the marker.
    """
    found, other = {}, 0
    for label, runs in groups.items():
        kinds = {record["settings"].get("shortcut") for record in runs}
        colour = {frozenset(["none"]): OFF, frozenset(["A"]): ON}.get(frozenset(kinds))
        is_depth = re.fullmatch(r"(plain|residual)-\d+", label)
        if colour is None or (any(one["color"] == colour for one in found.values()) and not is_depth):
            colour, dash = OTHERS[other % len(OTHERS)], DASHES[other % len(DASHES)]
            other += 1
        else:
            dash = "--" if colour == OFF else "-"
        found[label] = {"color": colour, "linestyle": dash, "marker": MARKERS[len(found) % len(MARKERS)]}
    return found


def curves(
    groups: Mapping[str, Runs],
    caption: str,
    alt: str,
    column: str = "train_error",
    ylabel: str = "training error (%)",
    log: bool = False,
) -> Figure:
    """Return an epoch column against epochs: a line through the means, a band of one standard deviation."""

    def draw(canvas, ink):
        ax = canvas.subplots()
        ends = []
        for (label, runs), style in zip(groups.items(), styles(groups).values(), strict=True):
            values = runs.series(column)  # (runs, epochs)
            if not values.size:
                continue
            mean, sd = values.mean(0), _sd(values)
            epochs = np.arange(1, len(mean) + 1)
            ax.plot(epochs, mean, markevery=max(1, len(mean) // 8), label=label, **style)
            down, up = bars_above_zero(mean, sd)
            ax.fill_between(epochs, mean - down, mean + up, color=style["color"], alpha=0.15, lw=0)
            ends.append((mean[-1], label))
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_ylabel(ylabel)
        if log:
            ax.set_yscale("log")
            ax.legend(handlelength=3)
        else:
            ax.set_ylim(bottom=0)
            low, high = ax.get_ylim()
            _label_ends(ax, epochs[-1], ends, gap=(high - low) * 0.06)

    return Figure(draw, f"{caption} {spread(groups)}", alt, size=(6.4, 3.8))


def by_setting(
    groups: Mapping[str, Runs],
    setting: str,
    metric: str,
    caption: str,
    alt: str,
    xlabel: str = "depth (weighted layers)",
    ylabel: str = "training error (%)",
    log: bool = False,
) -> Figure:
    """Return a metric against a setting: mean with a bar of one standard deviation, and a dash for every seed.

    Numbers stand on a logarithmic axis, anything else at equal distances. No bar of what is never negative goes
    below 0. See ``runs.number`` for metrics.
    """

    def draw(canvas, ink):
        ax = canvas.subplots()
        places = sorted({value for runs in groups.values() for value in runs.values(setting)})
        numbers = all(isinstance(value, int | float) and value > 0 for value in places)
        for (label, runs), style in zip(groups.items(), styles(groups).values(), strict=True):
            own = [value for value in places if value in runs.values(setting)]
            samples = [runs.select(**{setting: value}).last(metric) for value in own]
            x = own if numbers else [places.index(value) for value in own]
            bars = bars_above_zero([s.mean for s in samples], [s.sd for s in samples])
            ax.errorbar(x, [s.mean for s in samples], bars, capsize=3, label=label, **style)
            for place, sample in zip(x, samples, strict=True):
                ax.plot([place] * sample.n, sample.values, ls="", marker="_", ms=8, color=style["color"], alpha=0.6)
        if numbers:
            number_axis(ax, places)
        else:
            ax.set_xticks(range(len(places)), [f"{value:g}" if value != str(value) else value for value in places])
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        if log:
            ax.set_yscale("log")
        else:
            ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
        if len(groups) > 1:
            ax.legend(handlelength=3)

    dashes = "" if seed_count(groups) == "1" else " A dash is one seed."
    return Figure(draw, f"{caption}{dashes} {spread(groups)}", alt, size=(6.4, 3.8))


class Quote:
    """A number from the bank as a page prints it: ``str`` is its text, in an f-string it is HTML that says its source.

    The tests read the sources in the built pages and compare the texts with the records.
    """

    def __init__(self, runs: Runs, metric: str, digits: int = 1, unit: str = ""):
        values = runs.last(metric).values
        self.scatters = scatters(values)
        self.text = outcome(values, f".{digits}f") + unit if len(values) else "diverged"
        self.source = {
            "experiment": runs.experiment,
            "cell": runs.cell,
            "metric": metric,
            "digits": digits,
            "unit": unit,
        }

    @classmethod
    def again(cls, source: str) -> "Quote":
        """Return the quote that this source, as in the HTML, gives now."""
        found = json.loads(source)
        runs = load(found.pop("experiment")).select(**found.pop("cell"))
        return cls(runs, **found)

    @property
    def html(self) -> str:
        """The text, with its source in the element's value."""
        return f'<data value="{escape(json.dumps(self.source), quote=True)}">{escape(self.text)}</data>'

    def __str__(self) -> str:
        return self.text

    def __format__(self, spec: str) -> str:
        return self.html


def table(
    groups: Mapping[str, Runs], metrics: Mapping[str, str], caption: str, digits: int = 1, first: str = "network"
) -> Table:
    """Return a row a group and a column a metric (``{"training error (%)": "train_error"}``): see ``runs.outcome``."""
    rows = []
    for label, runs in groups.items():
        sample = runs.last(next(iter(metrics.values())))
        lost = f" ({sample.diverged} more diverged)" if sample.diverged else ""
        rows.append((label, *(Quote(runs, metric, digits) for metric in metrics.values()), f"{sample.n}{lost}"))
    wide = SCATTERED if any(getattr(cell, "scatters", False) for row in rows for cell in row) else ""
    return Table([first, *metrics, "seeds"], rows, f"{caption}{wide} {source(groups)}")


def spread(groups: Mapping[str, Runs]) -> str:
    """Return what bands and bars mean, and where the records are from."""
    seeds = seed_count(groups)
    meaning = "One seed." if seeds == "1" else f"Mean and one standard deviation over {seeds} seeds."
    return f"{meaning} {source(groups)}"


def seed_count(groups: Mapping[str, Runs]) -> str:
    """Return how many seeds the groups have: "5", or "3 to 5" where they differ."""
    counts = sorted({len(set(runs.values("seed"))) for runs in groups.values()})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def source(groups: Mapping[str, Runs]) -> str:
    """Return where records are from: data, device, version, dates, and the command that makes them again."""
    records = [record for runs in groups.values() for record in runs]
    dates = sorted({record["started"][:10] for record in records})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    device = ", ".join(dict.fromkeys(record["device"] for record in records))
    label = ", ".join(dict.fromkeys(record["data"]["label"] for record in records))
    version = ", ".join(dict.fromkeys(record["versions"]["torch"].partition("+")[0] for record in records))
    names = " ".join(dict.fromkeys(runs.experiment for runs in groups.values()))
    return f"Recorded: {label}; {device}; PyTorch {version}; {when}; resnet-edu runs record {names}."


def _sd(values: np.ndarray) -> np.ndarray:
    return values.std(0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
