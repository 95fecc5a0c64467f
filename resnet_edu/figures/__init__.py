"""Every figure of the book: light and dark, wide and narrow, with a caption and a text for those who do not see it.

A figure is an object that a notebook shows as its last expression. Colours are Okabe and Ito's; a second cue
(dash, marker, label) always goes with the colour. Shortcut on is blue and solid, shortcut off orange and dashed.
"""

import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import fill
from urllib.parse import quote

import numpy as np
from torch import nn

from resnet_edu.datasets import Dataset
from resnet_edu.trials import Outcome

ON, OFF = "#0072B2", "#D55E00"
MARKERS = ("o", "s", "^", "D", "v", "P")
NAMES = {"none": "plain", "A": "residual", "B": "residual, option B", "C": "residual, option C"}

_INK = {
    "light": {"ink": "#1f2328", "soft": "#59636e", "grid": "#d5dae0", "paper": "#ffffff"},
    "dark": {"ink": "#e6e9ed", "soft": "#a5aeb8", "grid": "#3a424c", "paper": "#121212"},
}

# Book pages, Colab and JupyterLab say "dark" in different ways; without any of them the light one shows.
_DARK = ":is(html[data-theme=dark],html[theme=dark],body[data-jp-theme-light=false])"
_STYLE = (
    ".rf{margin:1.25rem 0;width:100%;container-type:inline-size}"
    ".rf img{display:none;width:100%;max-width:var(--rf-width);height:auto;margin:0 auto}"
    ".rf figcaption{font-size:.9em;line-height:1.45;margin:.5rem auto 0;max-width:42rem}"
    f".rf .rf-light,{_DARK} .rf .rf-dark{{display:block}}{_DARK} .rf .rf-light{{display:none}}"
    "@container (max-width:36rem){.rf .rf-wide{display:none!important}.rf img{max-width:29rem}"
    f".rf .rf-narrow-light,{_DARK} .rf .rf-narrow-dark{{display:block}}{_DARK} .rf .rf-narrow-light{{display:none}}}}"
)
NARROW = 4.2  # inches: what a figure measures across in a column as narrow as a phone's (some 360 pixels)
_LEAST = 2.05 * NARROW  # points: there, letters of this size are 10 pixels high


def style_of(shortcut: str) -> dict:
    """Return the line style for a kind of shortcut: colour and dash, the same in the whole book."""
    return {"color": OFF, "linestyle": "--"} if shortcut == "none" else {"color": ON, "linestyle": "-"}


# Okabe and Ito's colours for what is neither plain nor residual, each with a dash.
OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6D00")
DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))


def styles_by_name(labels: Iterable[str]) -> dict[str, dict]:
    """Return colour, dash and marker for each label: "plain…" orange, "residual…" blue, the others in order."""
    known = {"plain": (OFF, "--"), "residual": (ON, "-")}
    found, other = {}, 0
    for index, label in enumerate(labels):
        pair = next((pair for name, pair in known.items() if label.startswith(name)), None)
        if pair is None:
            pair, other = (OTHERS[other % len(OTHERS)], DASHES[other % len(DASHES)]), other + 1
        found[label] = {"color": pair[0], "linestyle": pair[1], "marker": MARKERS[index % len(MARKERS)]}
    return found


class Figure:
    """A drawing with a caption and an alternative text, shown in the version that fits the page: light or dark, wide
    or narrow.

    ``draw(canvas, ink)`` puts the drawing on a matplotlib figure of ``size`` inches; ``ink`` has the colours
    ``ink``, ``soft``, ``grid`` and ``paper`` of the version being drawn. For a phone it is called again with a canvas
    4.2 inches wide and ``narrow`` high, which ``is_narrow`` and ``panels`` know.

    Raises ``ValueError`` if caption or alternative text is empty.
    """

    def __init__(
        self,
        draw: Callable,
        caption: str,
        alt: str,
        size: tuple[float, float] = (6.4, 3.6),
        narrow: float | None = None,
    ):
        for name, text in (("caption", caption), ("alt", alt)):
            if not text.strip():
                raise ValueError(f"{name} must not be empty: every figure needs a caption and an alt text")
        self.draw, self.caption, self.alt, self.size = draw, caption, alt, size
        self.narrow = (NARROW, size[1] if narrow is None else narrow)

    def svg(self, theme: str, narrow: bool = False) -> bytes:
        """Return the drawing as SVG for ``theme`` ``"light"`` or ``"dark"``, ``narrow`` for a column of a phone."""
        import matplotlib
        from matplotlib.figure import Figure as Canvas

        ink = _INK[theme]
        settings = {
            "font.family": "DejaVu Sans", "font.size": 10.5, "svg.hashsalt": "resnet_edu",
            "text.color": ink["ink"], "axes.labelcolor": ink["ink"], "axes.edgecolor": ink["soft"],
            "xtick.color": ink["soft"], "ytick.color": ink["soft"],
            "xtick.labelcolor": ink["ink"], "ytick.labelcolor": ink["ink"],
            "axes.facecolor": ink["paper"], "figure.facecolor": ink["paper"], "savefig.facecolor": ink["paper"],
            "axes.grid": True, "grid.color": ink["grid"], "grid.linewidth": 0.7, "axes.axisbelow": True,
            "axes.spines.top": False, "axes.spines.right": False,
            "lines.linewidth": 1.8, "lines.markersize": 5, "legend.frameon": False,
        }  # fmt: skip
        with matplotlib.rc_context(settings):
            canvas = Canvas(figsize=self.narrow if narrow else self.size, layout="constrained")
            self.draw(canvas, ink)
            if narrow:
                _fit(canvas)
            buffer = io.BytesIO()
            canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return _shorter(buffer.getvalue())

    def _image(self, theme: str, narrow: bool) -> str:
        data = quote(self.svg(theme, narrow), safe=" =:/;,()-_.*+!'")  # compresses to two thirds of base64
        alt = html.escape(self.alt, quote=True)
        look = f"rf-narrow-{theme}" if narrow else f"rf-wide rf-{theme}"
        # "dark-light" keeps the theme of the book from putting a white box behind it.
        return f'<img class="{look} dark-light" alt="{alt}" src="data:image/svg+xml,{data}">'

    def _repr_html_(self) -> str:
        width = f"--rf-width:{self.size[0] / 6.4 * 44:.1f}rem"
        images = "".join(self._image(theme, narrow) for narrow in (False, True) for theme in ("light", "dark"))
        return (
            f'<figure class="rf" style="{width}"><style>{_STYLE}</style>{images}'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )

    def __repr__(self) -> str:
        return f"Figure: {self.caption}\n{self.alt}"


def is_narrow(canvas) -> bool:
    """Return whether a canvas is that of a phone."""
    return canvas.get_figwidth() <= NARROW


def panels(canvas, count: int, stacked: int = 1, **options) -> list:
    """Return ``count`` axes side by side, or on a narrow canvas below each other, ``stacked`` in a row.

    ``options`` go to matplotlib's ``subplots``.
    """
    columns = stacked if is_narrow(canvas) else count
    axes = canvas.subplots(-(-count // columns), columns, squeeze=False, **options).ravel()
    for empty in axes[count:]:
        empty.remove()
    return list(axes[:count])


def legend(canvas, handles: Sequence, labels: Sequence[str], columns: int = 2, **options) -> None:
    """Write a legend outside the axes, by default above them, with as many columns as fit."""
    if is_narrow(canvas):
        longest = max(map(len, labels), default=1)
        columns = max(1, min(columns, 50 // (longest + 8)))
    options = {"loc": "outside upper center", "handlelength": 3} | options
    canvas.legend(handles, labels, ncols=columns, **options)


def number_axis(ax, values: Iterable[float], names: Iterable[str] | None = None) -> None:
    """Make the x axis logarithmic, with a tick at each of these positive numbers, such as depths.

    What would touch the name of a larger number stays without a name.
    """
    values = sorted(values)
    names = [f"{value:g}" for value in values] if names is None else list(names)
    ax.set_xscale("log")
    margin = (values[-1] / values[0]) ** 0.04 if len(values) > 1 else 1.5
    ax.set_xlim(values[0] / margin, values[-1] * margin)
    room = 0.013 * (6.4 / ax.figure.get_figwidth()) * np.log(values[-1] / values[0])  # a digit's width
    shown, edge = [], np.inf
    for value, name in zip(reversed(values), reversed(names), strict=True):
        half = room * (len(name) + 1) / 2
        fits = np.log(value) + half <= edge
        shown.append(name if fits else "")
        edge = np.log(value) - half if fits else edge
    ax.set_xticks(values, shown[::-1])
    ax.minorticks_off()


def bars_above_zero(means: Sequence[float], deviations: Sequence[float]) -> list[list[float]]:
    """Return the lengths of error bars, downward and upward, that end at 0 where all means are at least 0."""
    means, deviations = np.asarray(means, dtype=float), np.asarray(deviations, dtype=float)
    down = np.minimum(deviations, means) if (means >= 0).all() else deviations
    return [down.tolist(), deviations.tolist()]


def _fit(canvas) -> None:
    """Raise what is written too small for a phone, and break what is too long for it."""
    from matplotlib.text import Text

    across = int(NARROW / 0.093)  # letters
    for ax in canvas.axes:
        ax.set_xlabel(fill(ax.get_xlabel(), across))
        ax.set_ylabel(fill(ax.get_ylabel(), max(12, int(ax.get_position().height * canvas.get_figheight() / 0.1))))
        words = [label.get_text() for label in ax.get_yticklabels()]
        if any(len(word) > 14 and not word.startswith("$") for word in words):
            ax.set_yticks(ax.get_yticks(), [fill(word, 14) for word in words])
    if canvas._supxlabel is not None:
        canvas.supxlabel(fill(canvas._supxlabel.get_text(), across), fontsize=10.5)
    for text in canvas.findobj(Text):
        text.set_fontsize(max(_LEAST, text.get_fontsize()))


def _shorter(svg: bytes) -> bytes:
    """Return an SVG without comments and empty space, places with two decimals (a seventieth of a pixel)."""

    def rounded(match: re.Match) -> bytes:
        short = re.sub(rb"-?\d+\.\d{3,}", lambda number: b"%.2f" % float(number[0]), match[0])
        return b" " + b" ".join(short.split())

    svg = re.sub(rb"<!--.*?-->|<metadata>.*?</metadata>|<\?xml.*?>|<!DOCTYPE.*?>", b"", svg, flags=re.DOTALL)
    svg = re.sub(rb' (?:d|x|y)="[^"]*"', rounded, svg)
    svg = re.sub(rb'style="[^"]*"', lambda match: re.sub(rb"(?<=[:;]) ", b"", match[0]), svg)
    return re.sub(rb">\s+<", b"><", svg).replace(b'"', b"'")


class Table:
    """A table with a caption, shown as HTML with real header cells; first column left, the others right.

    A cell may be a ``bank.Quote``, which brings its own HTML.
    """

    def __init__(self, header: Sequence[str], rows: Iterable[Sequence[object]], caption: str):
        self.header, self.caption = list(header), caption
        self.cells = [list(row) for row in rows]
        self.rows = [[str(cell) for cell in row] for row in self.cells]

    def _repr_html_(self) -> str:
        def text(cell: object) -> str:
            return cell.html if hasattr(cell, "html") else html.escape(str(cell))

        def cells(first: object, *others: object) -> str:
            rest = "".join(f'<td style="text-align:right">{text(cell)}</td>' for cell in others)
            return f'<tr><th scope="row" style="text-align:left">{text(first)}</th>{rest}</tr>'

        head = "".join(
            f'<th scope="col" style="text-align:{"right" if i else "left"}">{html.escape(name)}</th>'
            for i, name in enumerate(self.header)
        )
        body = "".join(cells(*row) for row in self.cells)
        return (
            f'<div class="rf-table" style="overflow-x:auto" tabindex="0" role="region" '
            f'aria-label="{html.escape(self.caption, quote=True)}"><table class="table">'
            f"<caption>{html.escape(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = ["  ".join(map(str.rjust, row, widths)) for row in (self.header, *self.rows)]
        return "\n".join([*lines, self.caption])


def glue(name: str, figure: Figure) -> None:
    """Show a figure and let other pages of the book paste it under ``name`` (myst-nb's glue)."""
    from IPython.display import display

    bundle = {"text/html": figure._repr_html_(), "text/plain": repr(figure)}
    display(bundle, raw=True, metadata={"scrapbook": {"name": name, "mime_prefix": ""}})


def say(text: str) -> None:
    """Show a sentence of Markdown that holds this run's numbers."""
    from IPython.display import Markdown, display

    display(Markdown(text.replace(" %", "\u00a0%")))  # no line ends between a number and its sign


def counted(number: int, noun: str) -> str:
    """Return ``"one seed"``, ``"eight epochs"``, ``"48 epochs"``: a count that follows what the reader has set."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    word = words[number] if 0 <= number < len(words) else f"{number:,}"
    return f"{word} {noun}{'' if number == 1 else 's'}"


def results_table(outcomes: Iterable[Outcome], caption: str) -> Table:
    """Return the errors after the last epoch, mean ± standard deviation over seeds, a row a network."""
    rows = []
    for (kind, depth), runs in group(outcomes).items():
        ended = [run for run in runs if not run.diverged]
        train = [run.last.train_error for run in ended]
        test = [run.last.test_error for run in ended]
        rows.append((f"{NAMES[kind]}-{depth}", mean_sd(train), mean_sd(test), len(ended)))
    return Table(["network", "training error (%)", "test error (%)", "seeds"], rows, caption)


def group(outcomes: Iterable[Outcome]) -> dict[tuple[str, int], list[Outcome]]:
    """Return the outcomes by (shortcut, depth), in the order in which they first appear."""
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.trial.shortcut, outcome.trial.depth), []).append(outcome)
    return groups


def mean_sd(values: Sequence[float], digits: int = 1) -> str:
    """Return ``mean ± standard deviation`` of a sample (n - 1), as text that no line breaks; a single value alone."""
    values = np.asarray(values, dtype=float)
    if not len(values):
        return "–"
    spread = f"\u00a0±\u00a0{values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def digit_samples(data: Dataset) -> Figure:
    """Return one training image of every class, in a row."""

    def draw(canvas, ink):
        axes = panels(canvas, data.num_classes, stacked=5)
        for label, ax in enumerate(axes):
            image = data.train.images[data.train.labels == label][0, 0]  # (H, W)
            ax.imshow(image.cpu().numpy(), cmap="gray", interpolation="nearest")
            ax.set_title(data.classes[label], fontsize=10)
            ax.axis("off")

    height, width = data.train.images.shape[2:]
    return Figure(
        draw,
        f"One training image of each class: real handwriting, {width} × {height} pixels.",
        f"A row of {data.num_classes} small grey-scale images of the handwritten digits 0 to 9.",
        size=(6.4, 1.05),
        narrow=2.2,
    )


def error_curves(outcomes: Sequence[Outcome], caption: str, alt: str) -> Figure:
    """Return training error by epoch: a panel for each kind of shortcut, a line for each depth.

    A line is the mean over seeds, its band reaches from the lowest to the highest seed.
    """
    groups = group(outcomes)
    kinds = list(dict.fromkeys(kind for kind, _ in groups))

    def draw(canvas, ink):
        axes = panels(canvas, len(kinds), sharey=True)
        for ax, kind in zip(axes, kinds, strict=True):
            ends = []
            for index, ((_, depth), runs) in enumerate((k, v) for k, v in groups.items() if k[0] == kind):
                errors = np.array([[record.train_error for record in run.records] for run in runs])
                epochs = np.arange(1, errors.shape[1] + 1)
                line = dict(style_of(kind), marker=MARKERS[index % len(MARKERS)])
                ax.plot(epochs, errors.mean(0), **line)
                ax.fill_between(epochs, errors.min(0), errors.max(0), color=line["color"], alpha=0.15, lw=0)
                ends.append((errors[:, -1].mean(), f"{NAMES[kind]}-{depth}"))
            ax.set_title(NAMES[kind])
            ax.set_xlabel("epoch")
            ax.set_ylim(0, 100)
            _label_ends(ax, epochs[-1], ends, gap=7)
            ax.set_xlim(0.7, epochs[-1] + 0.1)
            if ax is axes[0] or is_narrow(canvas):
                ax.set_ylabel("training error (%)")

    size = (6.4, 3.8) if len(kinds) == 1 else (7.6, 4.0)
    return Figure(draw, caption, alt, size=size, narrow=3.4 * len(kinds))


def label_end(ax, text: str, x: float, y: float, gap: float = 6, **style: object) -> None:
    """Write a label ``gap`` points beside a line's last point, outside of the axes if need be."""
    place = {"xytext": (gap, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False}
    ax.annotate(text, (x, y), **place, **style)


def _label_ends(ax, x: float, ends: list[tuple[float, str]], gap: float) -> None:
    """Write each label beside its line's last point: ``gap`` apart, and together as near to their points as can be.

    The axes have their limits already: no label stands on the axis below or over the top.
    """
    from sklearn.isotonic import isotonic_regression

    ends = sorted(ends)
    steps = gap * np.arange(len(ends))
    # Least squares under the condition that no label comes nearer to the one below than a step.
    places = isotonic_regression([y for y, _ in ends] - steps)
    low, high = ax.get_ylim()
    for y, (_, text) in zip(np.clip(places, low + gap / 2, high - steps[-1]) + steps, ends, strict=True):
        label_end(ax, text, x, y, gap=7, fontsize=9.5)


def error_by_depth(outcomes: Sequence[Outcome], caption: str, alt: str) -> Figure:
    """Return the last epoch's training error against depth: a line through the means, a mark for every seed."""
    groups = group(outcomes)

    def draw(canvas, ink):
        ax = canvas.subplots()
        depths = sorted({depth for _, depth in groups})
        kinds = list(dict.fromkeys(kind for kind, _ in groups))
        ends = []
        for index, kind in enumerate(kinds):
            own = [depth for depth in depths if (kind, depth) in groups]
            last = [[run.last.train_error for run in groups[kind, depth]] for depth in own]
            means = [np.mean(values) for values in last]
            ax.plot(own, means, **style_of(kind), marker=MARKERS[index])
            for depth, values in zip(own, last, strict=True):
                ax.plot(
                    [depth] * len(values),
                    values,
                    ls="",
                    marker="_",
                    ms=9,
                    color=style_of(kind)["color"],
                )
            ends.append((means[-1], NAMES[kind]))
        number_axis(ax, depths)
        ax.set_xlabel("depth (weighted layers)")
        ax.set_ylabel("training error (%)")
        ax.set_ylim(-2, 100)
        _label_ends(ax, depths[-1], ends, gap=6)

    return Figure(draw, caption, alt)


def gradient_profile(norms: Mapping[tuple[str, int], Sequence[Mapping[str, float]]], caption: str, alt: str) -> Figure:
    """Return gradient norms (log scale) along the convolutions, input left: one line a network.

    ``norms[shortcut, depth]`` lists one ``probes.gradient_norms`` result per seed; a line is the geometric
    mean, its band the range over seeds. The linear layer at the end is left out.
    """

    def draw(canvas, ink):
        ax = canvas.subplots()
        for index, ((kind, depth), seeds) in enumerate(norms.items()):
            logs = np.log10([list(seed.values())[:-1] for seed in seeds])  # (seeds, convolutions)
            layers = np.arange(1, logs.shape[1] + 1)
            line = dict(style_of(kind), label=f"{NAMES[kind]}-{depth}")
            ax.plot(layers, 10 ** logs.mean(0), marker=MARKERS[index], markevery=max(1, depth // 8), **line)
            ax.fill_between(layers, 10 ** logs.min(0), 10 ** logs.max(0), color=line["color"], alpha=0.15, lw=0)
        ax.set_yscale("log")
        ax.set_xlabel("convolution, from the input (left) to the output (right)")
        ax.set_ylabel("norm of the weight gradient")
        ax.legend(handlelength=3)

    return Figure(draw, caption, alt, size=(6.4, 4.0))


def block_diagrams(blocks: Mapping[str, nn.Module]) -> Figure:
    """Return a drawing of basic blocks, made from the blocks themselves.

    A solid arc is an identity shortcut, a dashed one a shortcut that changes the shape (He et al. 2015, Fig. 3).
    """

    def draw(canvas, ink):
        for ax, (title, block) in zip(panels(canvas, len(blocks), stacked=2), blocks.items(), strict=True):
            _draw_block(ax, block, ink)
            ax.set_title(title, fontsize=11)

    names = "; ".join(f"{title}: {' → '.join(text for _, text in _steps(block))}" for title, block in blocks.items())
    return Figure(
        draw,
        "The blocks compared here, drawn from the live modules. Both hold as many weights; only the shortcut differs.",
        f"Block diagrams from input x to output y. {names}. The residual block has an arc from x to the addition.",
        size=(6.4, 4.3),
    )


def _steps(block: nn.Module) -> list[tuple[str, str]]:
    """Return (kind, label) for every operation of a basic block, in order."""
    steps = []
    for name, module in block.named_children():
        if isinstance(module, nn.Conv2d):
            steps.append(("conv", f"{module.kernel_size[0]}×{module.kernel_size[1]} conv, {module.out_channels}"))
        elif isinstance(module, nn.BatchNorm2d):
            steps.append(("norm", "batch norm"))
        elif isinstance(module, nn.ReLU):
            steps.append(("relu", "ReLU"))
        elif name == "downsample" and module.kind != "none":
            steps.append(("add", "+"))
    return steps


def _draw_block(ax, block: nn.Module, ink: Mapping[str, str]) -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    ax.axis("off")
    ax.set_xlim(-1.6, 2.0)
    steps = _steps(block)
    ax.set_ylim(-len(steps) - 0.95, 0.75)
    fill = {"conv": ON, "norm": "#009E73", "relu": "#CC79A7"}

    def arrow(start: float, end: float) -> None:
        ax.add_patch(FancyArrowPatch((0, start), (0, end), arrowstyle="-|>", mutation_scale=9, lw=1.1,
                                     color=ink["soft"], shrinkA=0, shrinkB=0))  # fmt: skip

    ax.text(0, 0.35, "x", ha="center", va="center", style="italic")
    arrow(0.15, -0.7)
    for index, (kind, label) in enumerate(steps, start=1):
        adds = kind == "add"
        half, width = (0.27, 0.2) if adds else (0.3, 1.0)
        face, edge = (ink["paper"], ink["ink"]) if adds else (fill[kind] + "33", fill[kind])
        box = FancyBboxPatch((-width, 0.05 - index - half), 2 * width, 2 * half - 0.1, fc=face, ec=edge, lw=1.2,
                             boxstyle="round,pad=0.03,rounding_size=0.12")  # fmt: skip
        ax.add_patch(box)
        ax.text(0, -index, label, ha="center", va="center", fontsize=10)
        arrow(-index - half, -index - 1 + (0.3 if index < len(steps) else 0.45))
        if adds:
            dash = "-" if block.downsample.is_identity else "--"
            ax.plot([0.1, 1.5, 1.5], [0, 0, -index], color=ON, lw=2, ls=dash, solid_joinstyle="round")
            ax.add_patch(FancyArrowPatch((1.5, -index), (0.27, -index), arrowstyle="-|>", color=ON, lw=2, ls=dash,
                                         mutation_scale=10, shrinkA=0, shrinkB=0))  # fmt: skip
            ax.text(1.76, -index / 2, "shortcut", rotation=-90, ha="center", va="center", fontsize=9.5)
    ax.text(0, -len(steps) - 0.72, "y", ha="center", va="center", style="italic")
