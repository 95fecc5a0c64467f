"""A digit on its way through a network: what is drawn, what is seen of it, what each block adds to the answer."""

import re

import numpy as np
import pytest
from lab_page import faults, open_lab, static, summary  # noqa: F401

from resnet_edu import lab
from resnet_edu.lab.assets import page_script

SAYS = "document.querySelector('.rl-summary').textContent.includes('It says')"
COUNTED = "(table => table && !table.textContent.includes('…'))(document.querySelector('.rl-answers'))"


def cells_of(strokes):
    """Crop, scale to 32 rows (24 columns at most), centre, draw with a pen of radius 2.4, count cells of 4x4."""
    points = np.array([point for stroke in strokes for point in stroke], float)
    low, high = points.min(0), points.max(0)
    with np.errstate(divide="ignore"):
        room = np.array([19.2, 27.2]) / (high - low)
    scale = np.array([room.min(), min(room[1], 2 * room.min())]) if np.isfinite(room.min()) else np.ones(2)
    pixels = np.stack(np.meshgrid(np.arange(32) + 0.5, np.arange(32) + 0.5), -1)  # (row, column, (x, y))
    inked = np.zeros((32, 32), bool)
    for stroke in strokes:
        placed = [16 + (np.array(point) - (low + high) / 2) * scale for point in stroke]
        for start, end in zip(placed, placed[1:] or placed, strict=False):
            way = end - start
            along = ((pixels - start) @ way / (way @ way)).clip(0, 1) if way.any() else np.zeros((32, 32))
            inked |= ((pixels - start - along[..., None] * way) ** 2).sum(-1) <= 2.4**2
    return inked.reshape(8, 4, 8, 4).sum((1, 3)).ravel().tolist()


STROKES = {
    "one": [[[0.5, 0.1], [0.5, 0.9]]],
    "seven": [[[0.1, 0.2], [0.6, 0.2], [0.3, 0.8]]],
    "corner": [[[0.01, 0.01], [0.05, 0.03], [0.02, 0.08]]],
    "wide": [[[0.0, 0.5], [1.0, 0.55]], [[0.2, 0.5]]],
    "dot": [[[0.3, 0.3]]],
}


@pytest.mark.parametrize("name", STROKES)
def test_a_drawing_becomes_a_picture_as_the_data_set_was_made(browser, name):
    page = browser.new_page()
    page.add_script_tag(content=f"globalThis.parts = ({page_script(('cellsOf',))})();")
    found = page.evaluate("(strokes) => parts.cellsOf(strokes)", STROKES[name])
    assert (
        np.abs(np.subtract(found, cells_of(STROKES[name]))).max() <= 1
    )  # a pixel on the pen's very edge may fall either way
    assert sum(found) > 0
    if name != "dot":
        rows = np.array(found).reshape(8, 8).any(1)
        assert rows[0] or name == "wide"
    moved = [[[x / 2 + 0.3, y / 2 + 0.1] for x, y in stroke] for stroke in STROKES[name]]
    again = page.evaluate("(strokes) => parts.cellsOf(strokes)", moved)
    assert np.abs(np.subtract(found, again)).max() <= 1  # wherever and however large it is drawn
    assert page.evaluate("() => parts.cellsOf([])") is None


def draw(page, strokes):
    box = page.locator(".rl-pad").bounding_box()
    for stroke in strokes:
        for n, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4 if n else 1)
            if not n:
                page.mouse.down()
        page.mouse.up()


def answers(page):
    """Return what is said behind each block, in percent a class, and the shares of the last column."""
    page.wait_for_function(COUNTED)
    rows = page.locator(".rl-answers tbody tr").evaluate_all(
        """(all) => all.map((row) => [...row.cells].slice(1)
          .map((cell) => parseInt(cell.textContent.replace(/[✓✗]/, ""))))"""
    )
    table = np.array(rows)
    return table[:, :10], table[:, 10]


def test_a_drawn_digit_is_read_and_a_wrong_answer_is_shown_as_such(open_lab):
    page = open_lab(lab.instrument("drawing"))
    page.wait_for_function(SAYS)
    assert re.search(r"That is (right|wrong: it is a \d)\.", summary(page))  # an example, whose label is known
    draw(page, [[[0.3, 0.15], [0.3, 0.85]], [[0.28, 0.15], [0.32, 0.85]]])
    page.wait_for_function("!document.querySelector('.rl-summary').textContent.includes('That is')")
    said = re.search(r"It says (\d)", summary(page))[1]
    page.get_by_role("combobox", name="I drew a").select_option(said)
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('That is right')")
    other = str((int(said) + 1) % 10)
    page.get_by_role("combobox", name="I drew a").select_option(other)
    page.wait_for_function(
        f"document.querySelector('.rl-summary').textContent.includes('That is wrong: it is a {other}')"
    )
    rows, _ = answers(page)
    assert "✗" in page.locator(".rl-answers tr").last.inner_text() and abs(rows.sum(1) - 100).max() <= 5


def test_with_shortcuts_the_answer_forms_step_by_step(open_lab):
    """Over forty pictures: behind the middle of the network more answers stand with shortcuts than without."""
    page = open_lab(lab.instrument("drawing"))
    page.wait_for_function(SAYS)
    page.evaluate("document.querySelector('.rl-bench select').scrollIntoView()")
    agreed = {}
    for name in ("residual-20", "plain-20"):
        page.locator(".rl-bench select").select_option(name)
        page.get_by_role("button", name="Train this network").click()
        page.wait_for_function("document.querySelectorAll('.rl-answers tbody tr').length === 10", timeout=60_000)
        page.wait_for_function(f"document.querySelector('.rl-holder').textContent.startsWith('{name}: 20 layers')")
        _, agreed[name] = answers(page)
    assert agreed["residual-20"][-1] == agreed["plain-20"][-1] == 100
    assert agreed["residual-20"][-3:-1].mean() > agreed["plain-20"][-3:-1].mean() + 10


def test_shortcuts_are_cut_under_the_pen_and_the_maps_follow(open_lab):
    page = open_lab(lab.instrument("drawing"))
    page.wait_for_function(SAYS)
    before, _ = answers(page)
    page.get_by_role("switch", name="Shortcut of block 2", exact=True).click()
    page.wait_for_function("document.querySelector('.rl-block[aria-checked=false]')")
    page.get_by_label("Block shown").fill("2")
    page.wait_for_function("document.querySelector('.rl-passage').textContent.includes('cut: nothing passes by')")
    page.wait_for_function(
        """() => { const canvas = document.querySelectorAll('.rl-passage canvas')[1];
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.every((value, n) => n % 4 === 3 || !data[n - (n % 4) + 3] || value === [68, 1, 84][n % 4]); }"""
    )  # the shortcut's maps are zeros, the first colour of viridis
    after, _ = answers(page)
    assert not np.array_equal(before[-1], after[-1])


def test_the_keyboard_draws_and_the_other_keys_are_left_alone(open_lab):
    page = open_lab(lab.instrument("drawing"))
    page.wait_for_function(SAYS)
    pad = page.locator(".rl-pad")
    pad.focus()
    for key in (" ", *["ArrowDown"] * 6, " ", "ArrowRight"):
        pad.press(key)
    page.get_by_text("Your drawing").wait_for()
    assert "pen is up" in pad.get_attribute("aria-label")
    pad.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Clear"
    page.get_by_role("button", name="Another example").click()
    page.get_by_text("Picture 1 of the test set").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_accessibility_violation_and_a_thumb_draws_without_scrolling(open_lab, theme):
    page = open_lab(lab.instrument("drawing"), theme=theme, width=390, has_touch=True)
    page.wait_for_function(SAYS)
    page.wait_for_function(COUNTED)
    page.locator(".rl details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".rl-pad").evaluate("(pad) => getComputedStyle(pad).touchAction") == "none"
    page.locator(".rl-pad").tap()
    page.get_by_text("Your drawing").wait_for()
