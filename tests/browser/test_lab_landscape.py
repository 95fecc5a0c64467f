"""The loss around a network: cuts under a factor on all filters, and a map, in the page and in PyTorch."""

import re

import numpy as np
import pytest
import torch
from lab_page import faults, open_lab, press_and_stop, static, summary  # noqa: F401

from resnet_edu import lab
from resnet_edu.datasets import Split
from resnet_edu.figures.landscape import not_convex
from resnet_edu.lab.assets import page_script
from resnet_edu.landscape import LossSurface, loss_surface, random_direction

READY = "document.querySelector('.rl-summary').textContent.includes('Move the slider')"
SLIDER = "Multiply all filters by"


def numbers(text):
    return [float(one.replace("−", "-")) for one in re.findall(r"\d+(?:\.\d+)?(?:e−?\d+)?", text)]


def scaled(page, power):
    page.get_by_label(SLIDER).fill(str(power))
    page.wait_for_function(f"document.querySelector('.rl-summary').textContent.includes('× {2**power}:')")
    return re.search(r"went from (\S+) to (\S+), of the .* from (\S+) to (\S+)\. .* more than (\S+)\.", summary(page))


def test_a_factor_on_all_filters_flattens_the_plain_cut_alone(open_lab):
    page = open_lab(lab.instrument("loss-landscape"))
    page.wait_for_function(READY)  # the smallest network is trained as soon as it is in sight
    for power, wider in ((2, False), (-2, True)):
        before, plain, fixed, filtered, logit = (numbers(text)[0] for text in scaled(page, power).groups())
        assert (plain > 1.5 * before) if wider else (plain < 0.7 * before)
        assert filtered == pytest.approx(fixed, rel=0.02)
        assert logit < 0.05  # the small constant under the root of batch normalisation is not scaled
    page.get_by_text("Figures as tables").click()
    page.locator(".rl-tables table").first.wait_for(state="attached")  # drawn in the next task
    rows = page.locator(".rl-tables tbody tr").evaluate_all(
        "(all) => all.map((row) => [...row.cells].slice(1).map((cell) => Number(cell.textContent.replace('−', '-'))))"
    )
    plain, plain_now, filtered, filtered_now = np.array(rows).T
    assert np.allclose(filtered, filtered_now, rtol=0.02, atol=0.005) and abs(plain[10] - plain_now[10]) < 0.01


def test_a_map_is_drawn_as_it_is_computed_and_can_be_stopped(open_lab):
    page = open_lab(lab.instrument("loss-landscape"))
    page.wait_for_function(READY)
    page.evaluate(
        """() => {
          globalThis.seen = new Set();
          const look = () => seen.add(document.querySelector(".rl-progress")?.textContent);
          new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )
    page.get_by_role("button", name="Draw the map of this network (about").click()
    page.wait_for_function("document.querySelector('[aria-live=polite]').textContent.startsWith('The map is complete')")
    assert page.evaluate("seen.size") > 3
    words = page.get_by_role("region", name="residual-8, here").inner_text()
    centre, _, points, _, highest = numbers(words.split("Centre")[1])[:5]
    assert points == 289 and centre < 2.3 < highest
    press_and_stop(page, "Another pair of directions")
    page.get_by_role("button", name="Another pair of directions").wait_for()
    page.wait_for_function("!document.querySelector('.rl-progress')")
    assert "289 points" not in page.get_by_role("region", name="residual-8, here").inner_text()
    page.get_by_label("Beside it, recorded").select_option("residual-20, width 8")
    assert "below guessing" in page.get_by_role("region", name="residual-20, recorded").inner_text()


def test_what_is_counted_on_a_map_is_what_the_package_counts(browser):
    rng = np.random.default_rng(1)
    loss = np.exp(rng.normal(size=(17, 17)) + 2 * np.hypot(*np.meshgrid(*2 * [np.linspace(-1, 1, 17)])))
    page = browser.new_page()
    page.add_script_tag(content=f"globalThis.parts = ({page_script(('notConvex',))})();")
    steps = np.linspace(-1, 1, 17)
    for within in (0.5, 9):
        found = page.evaluate("([loss, within]) => parts.notConvex(loss, 17, within)", [loss.ravel().tolist(), within])
        assert found == pytest.approx(not_convex(LossSurface(steps, steps, loss, loss), within), abs=1e-9)


def test_the_cuts_of_pytorch_flatten_as_the_pages_do(digits):
    """Filters times 4 with statistics taken anew: filter-normalised losses stay, plain ones shrink."""
    from resnet_edu.networks import cifar_resnet
    from resnet_edu.probes import recalibrate

    few = Split(digits.train.images[:128], digits.train.labels[:128])
    calibration = digits.normalize(digits.train.images[:512])
    losses = {}
    for factor in (1, 4):
        torch.manual_seed(1)
        network = cifar_resnet(8, shortcut="A", width=4, in_channels=1)
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, torch.nn.Conv2d):
                    module.weight *= factor
        network = recalibrate(network, calibration)
        raw = {
            name: torch.randn(p.shape, generator=torch.Generator().manual_seed(n)) * 0.2 * (p.dim() > 1)
            for n, (name, p) in enumerate(network.named_parameters())
        }
        none = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
        for kind, direction in (("plain", raw), ("filter", random_direction(network, 1))):
            losses[kind, factor] = loss_surface(
                network, digits, few, (direction, none), (0, 1), (0,), progress=False
            ).loss.ravel()
    assert losses["filter", 1] == pytest.approx(losses["filter", 4], rel=0.01)
    change = {factor: abs(losses["plain", factor][1] - losses["plain", factor][0]) for factor in (1, 4)}
    assert change[4] < 0.7 * change[1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_accessibility_violation_and_fits_a_phone(open_lab, theme):
    page = open_lab(lab.instrument("loss-landscape"), theme=theme, width=390, has_touch=True)
    page.wait_for_function(READY)
    page.locator(".rl details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    page.get_by_label(SLIDER).press("ArrowRight")
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
