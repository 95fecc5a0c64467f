import html
import re
import xml.etree.ElementTree as ET

import pytest
from matplotlib.figure import Figure

from resnet_edu import blocks, figures, paper, runs
from resnet_edu.figures import bank
from resnet_edu.training import Record
from resnet_edu.trials import Outcome, Trial


def outcome(kind, depth, seed, error):
    records = tuple(Record(e, e, 0.1, 1.0, error + 5 - e, 1.0, error, 1.0) for e in (1, 2, 3, 4, 5))
    return Outcome(Trial(depth, kind, seed), records)


OUTCOMES = [outcome(k, d, s, d * (k == "none") + s) for k in ("none", "A") for d in (8, 20) for s in (0, 1, 2)]


def every_figure(digits):
    norms = {("none", 8): [{"a": 1.0, "b": 0.1, "fc": 1.0}] * 2}
    yield figures.digit_samples(digits)
    yield figures.block_diagrams(
        {"plain": blocks.BasicBlock(4, 4, shortcut="none"), "B": blocks.BasicBlock(4, 8, 2, shortcut="B")}
    )
    yield figures.error_curves(OUTCOMES, "A caption.", "An alt text.")
    yield figures.error_by_depth(OUTCOMES, "A caption.", "An alt text.")
    yield figures.gradient_profile(norms, "A caption.", "An alt text.")


def test_every_figure_has_both_versions_caption_and_alt(digits):
    for figure in every_figure(digits):
        light, dark = figure.svg("light"), figure.svg("dark")
        assert ET.fromstring(light).tag.endswith("svg") and light != dark
        assert figure.svg("light") == light, "a figure must come out the same twice"
        page = figure._repr_html_()
        assert page.count("<img") == 4 == page.count(f'alt="{figure.alt}"') and figure.caption in page


def canvas_of(figure, narrow=False):
    """Return the matplotlib figure that a figure draws."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=figure.narrow if narrow else figure.size)
    figure.draw(canvas, figures._INK["light"])
    return canvas


def test_letters_are_legible_on_a_phone(digits):
    for figure in every_figure(digits):
        svg = figure.svg("light", narrow=True).decode()
        points = [100 * float(scale) for scale in re.findall(r"scale\(([\d.]+) -", svg)]
        across = float(re.search(r"viewBox='0 0 ([\d.]+)", svg)[1])
        assert not points or min(points) * 358 / across >= 10, figure.alt  # 390 pixels less the page's margins


def test_panels_stack_on_a_phone():
    figure = figures.error_curves(OUTCOMES, "A caption.", "An alt text.")
    for narrow, places in ((False, (2, 1)), (True, (1, 2))):
        corners = [ax.get_position().get_points()[0] for ax in canvas_of(figure, narrow).axes]
        assert tuple(len({round(corner[i], 3) for corner in corners}) for i in (0, 1)) == places


def test_depth_stands_on_a_logarithmic_axis_whose_names_do_not_touch(cells):
    for figure in (
        figures.error_by_depth(OUTCOMES, "A caption.", "An alt text."),
        bank.by_setting(cells, "depth", "train_error", "A caption.", "An alt text."),
    ):
        (ax,) = canvas_of(figure).axes
        assert ax.get_xscale() == "log" and [text.get_text() for text in ax.get_xticklabels()] == ["8", "20"]
    from matplotlib.figure import Figure

    ax = Figure(figsize=(4.2, 3)).subplots()
    figures.number_axis(ax, [8, 14, 20, 26, 32, 38, 44, 50, 56, 110])
    assert list(ax.get_xticks()) == [8, 14, 20, 26, 32, 38, 44, 50, 56, 110]
    named = [float(text.get_text()) for text in ax.get_xticklabels() if text.get_text()]
    assert {8, 56, 110} <= set(named) and 50 not in named


def test_no_bar_goes_below_zero():
    assert figures.bars_above_zero([1.0, 8.4], [0.5, 11.6]) == [[0.5, 8.4], [0.5, 11.6]]
    assert figures.bars_above_zero([-1.0, 1.0], [2.0, 2.0]) == [[2.0, 2.0], [2.0, 2.0]]


def test_a_figure_without_words_is_refused():
    with pytest.raises(ValueError, match="alt must not be empty"):
        figures.Figure(lambda canvas, ink: None, "A caption.", " ")


def test_results_table_shows_mean_deviation_and_n():
    text = repr(figures.results_table(OUTCOMES, "Results."))
    assert "plain-20" in text and "21.0\u00a0±\u00a01.0" in text and " 3" in text
    assert '<th scope="row"' in figures.results_table(OUTCOMES, "Results.")._repr_html_()


def test_the_drawing_follows_the_block():
    labels = [label for _, label in figures._steps(blocks.BasicBlock(4, 16, 2, shortcut="B"))]
    assert labels == ["3×3 conv, 16", "batch norm", "ReLU", "3×3 conv, 16", "batch norm", "+", "ReLU"]
    assert "+" not in [label for _, label in figures._steps(blocks.BasicBlock(4, 4, shortcut="none"))]


def test_quoted_figures_name_their_place():
    for quoted in (*paper.HE2015_TABLE_2.values(), *paper.HE2015_TABLE_6.values()):
        assert quoted.place.startswith("Table") and quoted.key == "he2015" and 0 < quoted.value < 100


def recorded(depth, seed, error, shortcut="A", diverged=None):
    return {
        "experiment": "one", "run": f"{depth}-{seed}", "seed": seed, "settings": {"depth": depth, "shortcut": shortcut},
        "data": {"label": "digits"}, "versions": {"torch": "2.0+cpu"}, "device": "CPU",
        "started": "2026-01-02T00:00:00Z",
        "epochs": {"train_error": [90.0, error]}, "measured": {}, "diverged": diverged,
    }  # fmt: skip


@pytest.fixture
def cells():
    records = [recorded(d, s, d + s, k) for d in (8, 20) for s in (0, 1, 2) for k in ("A", "none")]
    every = runs.Runs("one", [*records, recorded(20, 3, 0.0, "A", "the loss became nan")])
    return {"plain": every.select(shortcut="none"), "residual": every.select(shortcut="A")}


def test_figures_of_records_say_spread_and_source(cells):
    for figure in (
        bank.curves(cells, "A caption.", "An alt text."),
        bank.curves(cells, "A caption.", "An alt text.", log=True),
        bank.by_setting(cells, "depth", "train_error", "A caption.", "An alt text."),
    ):
        assert figure.svg("light") != figure.svg("dark")
        assert "one standard deviation over 3 to 4 seeds" in figure.caption
        assert "digits; CPU; PyTorch 2.0; 2026-01-02; resnet-edu runs record one." in figure.caption


def test_a_table_of_records_counts_what_diverged(cells):
    rows = {name: of.select(depth=20) for name, of in cells.items()}
    table = bank.table(rows, {"training error (%)": "train_error"}, "A caption.")
    assert table.rows == [
        ["plain", "21.0\u00a0±\u00a01.0", "3"],
        ["residual", "21.0\u00a0±\u00a01.0", "3 (1 more diverged)"],
    ]


def test_a_quote_can_be_taken_again_from_its_source(cells, monkeypatch):
    monkeypatch.setattr(bank, "load", lambda name: runs.Runs(name, [*cells["plain"], *cells["residual"]]))
    quote = bank.Quote(cells["plain"].select(depth=8), "train_error", 2, " %")
    assert str(quote) == "9.00\u00a0±\u00a01.00 %"
    (source, shown) = re.fullmatch('<data value="(.+)">(.+)</data>', f"{quote}").groups()
    assert html.unescape(shown) == str(quote) == str(bank.Quote.again(html.unescape(source)))


def test_line_styles_tell_groups_apart(cells):
    styles = bank.styles(cells | {f"other {n}": cells["residual"] for n in range(3)})
    assert styles["plain"]["color"] == figures.OFF and styles["residual"]["color"] == figures.ON
    assert len({(one["color"], str(one["linestyle"])) for one in styles.values()}) == len(styles)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([39.0, 32.8, 31.3, 31.0], [41.0, 36.0, 31.0, 26.0]),  # about their mean, 33.5
        ([80.0, 50.0, 10.0], [80.0, 50.0, 10.0]),  # far enough apart
        ([50.0, 2.0, 1.0, 1.0], [50.0, 12.5, 2.5, 7.5]),  # not below the axis
        ([99.0, 99.0], [95.0, 100.0]),  # nor above the top
    ],
)
def test_labels_of_lines_stand_apart_and_near_their_ends(ends, expected):
    ax = Figure().subplots()
    ax.set_ylim(0, 100)
    figures._label_ends(ax, 4, [(y, f"line {number}") for number, y in enumerate(ends)], gap=5)
    places = {text.get_text(): text.xy[1] for text in ax.texts}
    assert [places[f"line {number}"] for number in range(len(ends))] == pytest.approx(expected, abs=0.05)
