"""The gradient explorer in a page without a kernel."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import problems_of

from resnet_edu import lab
from resnet_edu.lab.explorer import load_spectra, spectra

KINDS = ("explorer",)
COLOURS = {"light": ("#222", "#fff", "#f4f6f8", "#555"), "dark": ("#eee", "#121212", "#222", "#bbb")}


@pytest.fixture
def open_cards(browser, tmp_path):
    contexts = []

    def opened(*cards, scheme="light", **options):
        body = "".join(map(str, cards)) or "".join(str(lab.instrument(kind)) for kind in KINDS)
        scripts = lab.page_scripts()
        ink, paper, surface, muted = COLOURS[scheme]
        style = (
            f"html{{color:{ink};background:{paper};--pst-color-text-base:{ink};--pst-color-background:{paper};"
            f"--pst-color-surface:{surface};--pst-color-text-muted:{muted}}}"
        )
        (tmp_path / "page.html").write_text(
            f'<!doctype html><html lang="en" data-theme="{scheme}"><meta charset="utf-8"><title>Cards</title>'
            f"<style>{style}{lab.style()}</style><main><h1>Cards</h1>{body}</main>"
            f"<script>{scripts['lab.js']}</script><script>{scripts['lab-parts.js']}</script>"
            f"{''.join('<script>' + scripts[f'lab-{kind}.js'] + '</script>' for kind in KINDS)}</html>"
        )
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        problems = problems_of(page)
        page.goto((tmp_path / "page.html").as_uri())
        return page, problems

    yield opened
    for context in contexts:
        context.close()


def test_choosing_a_network_shows_its_recorded_spectra(open_cards):
    page, problems = open_cards()
    explorer = page.get_by_role("region", name="Explore the gradient")
    with_shortcuts = explorer.get_by_role("status").inner_text()
    explorer.get_by_label("Shortcut").select_option(label="none (plain)")
    without = explorer.get_by_role("status").inner_text()
    kept = [
        int(re.search(r"keeps (\d+) % of the directions .* at step 0", text)[1]) for text in (with_shortcuts, without)
    ]
    assert kept[0] > kept[1] + 10
    explorer.get_by_label("Batch norm").select_option(label="off")
    explorer.get_by_label("Shortcut").select_option(label="A: identity, zeros")
    explorer.get_by_label("Depth").select_option(label="56 layers")
    assert "Training diverged after step 0" in explorer.get_by_role("status").inner_text()
    assert explorer.locator("svg path").count() > 2 and problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_cards_have_no_accessibility_violation_and_fit_a_phone(open_cards, scheme):
    page, _ = open_cards(scheme=scheme, viewport={"width": 390, "height": 800})
    violations = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:120]) for one in violations] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_moment_of_the_explorer_stands_out_from_the_paper(open_cards, scheme):
    page, _ = open_cards(scheme=scheme)
    paper, *strokes = page.get_by_role("region", name="Explore the gradient").evaluate(
        """(card) => [getComputedStyle(card).backgroundColor,
          ...[...card.querySelectorAll(".rl-moment:not(.rl-median)")].map((one) => getComputedStyle(one).stroke)]"""
    )

    def luminance(colour):  # WCAG 2.2, relative luminance
        shares = [int(part) / 255 for part in re.findall(r"\d+", colour)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    assert len(set(strokes)) == 5
    for stroke in strokes:
        dark, light = sorted((luminance(stroke), luminance(paper)))
        assert (light + 0.05) / (dark + 0.05) >= 3, (stroke, paper)


def test_without_javascript_a_figure_stands_there(open_cards):
    page, _ = open_cards(java_script_enabled=False)
    assert page.locator("figure img").first.is_visible()


def test_a_broken_card_says_so_and_the_other_works(open_cards):
    broken = (
        '<div class="resnet-lab" data-instrument="explorer"><script type="application/json">{"runs":</script></div>'
    )
    page, problems = open_cards(broken, lab.instrument("explorer"))
    assert "could not start" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("region", name="Explore the gradient").is_visible() and problems == []


def test_recorded_spectra_can_be_computed_again():
    record = load_spectra()
    assert len(record["runs"]) == 36 and len(json.dumps(record)) < 60_000
    run = next(run for run in record["runs"] if (run["depth"], run["shortcut"], run["activation"]) == (8, "A", "pre"))
    (fresh,) = spectra(8, "A", activation="pre", steps=(0,))
    assert fresh.largest == pytest.approx(run["spectra"][0]["largest"], rel=0.02)
    assert fresh.product[:6] == pytest.approx(run["spectra"][0]["product"][:6], rel=0.02)
