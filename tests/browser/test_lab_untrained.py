"""The instruments that measure untrained networks: each is operated, and its claim is read."""

import re

import numpy as np
import pytest
import torch
from lab_page import faults, open_lab, static, summary  # noqa: F401

from resnet_edu import lab, paper
from resnet_edu.figures.orders import NAMES

NAMES_HERE = ("depth", "signal-and-normalization", "gradient-plus-one", "identity-mappings")
NUMBER = r"(−?\d+(?:\.\d+)?(?:e−?\d+)?)"


def settle(page, words):
    """Wait until the summary holds ``words``, and return it."""
    page.wait_for_function("(words) => document.querySelector('.rl-summary').textContent.includes(words)", arg=words)
    return summary(page)


def numbers(text, pattern):
    """Return the numbers of a sentence, whose places ``pattern`` marks with #."""
    found = re.search(re.escape(pattern).replace(r"\#", NUMBER), text)
    assert found, (pattern, text)
    return [float(one.replace("−", "-")) for one in found.groups()]


def slide(page, label, value):
    page.get_by_role("slider", name=label).fill(str(value))


# Keep the signal alive


def ends(page):
    return numbers(summary(page), "the signal ends at # times its size (formula #")


def test_ten_percent_off_is_a_factor_of_seventeen_and_its_square_three_hundred(open_lab):
    page = open_lab(lab.instrument("depth"))
    settle(page, "30 layers, first weights 1.10")
    _, there, squared = numbers(summary(page), "the signal ends at # times its size (formula #, its mean square #)")
    assert there == pytest.approx(1.1**30, rel=0.01) and squared == pytest.approx(1.1**60, rel=0.01)
    (_, back) = numbers(summary(page), "the gradient arrives at # times its size (formula #)")
    assert back == pytest.approx(1.1**29, rel=0.01)
    off, _ = ends(page)
    page.get_by_role("button", name="He, 2/n").click()
    settle(page, "first weights 1.00")
    he, there = ends(page)
    assert there == 1 and off / he == pytest.approx(1.1**30, rel=0.05)  # the same draws, scaled; two digits are shown


def test_with_batch_norm_the_scale_no_longer_matters_forwards_but_the_gradient_grows(open_lab):
    page = open_lab(lab.instrument("depth"))
    settle(page, "30 layers")
    page.get_by_role("switch", name="Batch norm").click()
    first = settle(page, "1.10 times He's rule, batch norm")
    slide(page, "First weights", 0.3)
    second = settle(page, "0.30 times He's rule, batch norm")
    for text in (first, second):
        (end, formula) = numbers(text, "the signal ends at # times its size (formula #)")
        assert end == pytest.approx(0.5**0.5, abs=0.03) and formula == pytest.approx(0.71)
        (start, growth) = numbers(text, "the gradient arrives at # times its size (formula #)")
        assert 30 < start < 2000 and growth == pytest.approx((np.pi / (np.pi - 1)) ** 14.5, rel=0.01)


def test_a_border_of_zeros_and_further_layers_lose_signal(open_lab):
    page = open_lab(lab.instrument("depth"))
    page.get_by_role("button", name="He, 2/n").click()
    settle(page, "first weights 1.00")
    closed, _ = ends(page)
    page.get_by_role("switch", name="Zeros at the border").click()
    page.wait_for_function("!document.querySelector('.rl-summary').textContent.includes('(formula 1.00, its')")
    zeros, there = ends(page)
    border = (np.eye(8) + np.eye(8, k=1) + np.eye(8, k=-1)) / 3
    expected = np.linalg.matrix_power(border, 30).sum() / 8
    assert there == pytest.approx(expected, rel=0.02) and zeros < 0.7 * closed
    slide(page, "Layers", 60)
    settle(page, "60 layers")
    assert ends(page)[0] < zeros
    page.get_by_text("Figures as a table").click()
    page.wait_for_function("document.querySelectorAll('.rl-tables tbody tr').length === 60")


def test_what_the_chain_shows_is_pytorchs(open_lab):
    """More draws in PyTorch, as the chapter's own cells make them: the page's factor per layer is one of theirs."""
    page = open_lab(lab.instrument("depth"))
    settle(page, "geometric mean of 4 draws")
    ours = ends(page)[0] ** (1 / 30)
    theirs = []
    for seed in range(12):
        random = torch.Generator().manual_seed(seed)
        x = torch.randn(8, 16, 8, 8, generator=random)
        for _ in range(30):
            weight = 1.1 * (2 / 144) ** 0.5 * torch.randn(16, 16, 3, 3, generator=random)
            x = torch.conv2d(torch.nn.functional.pad(x, (1, 1, 1, 1), mode="circular"), weight).relu()
        theirs.append(x.square().mean().sqrt().item() ** (1 / 30))
    assert min(theirs) < ours < max(theirs)


# The gain of the branches


def growth(text):
    return numbers(text, "mean square goes from # to #, #-fold")[2]


def test_the_size_doubles_in_every_block_and_a_small_gain_keeps_it(open_lab):
    page = open_lab(lab.instrument("signal-and-normalization"))
    whole = settle(page, "α = 1, no normalisation")
    assert growth(whole) > 1e3 and numbers(whole, "(1 + α²)^27 is #")[0] == pytest.approx(2**27, rel=0.05)
    slide(page, "α, on all", 0.2)
    small = settle(page, "α = 0.2, no normalisation")
    assert growth(small) < 10 < growth(whole)
    slide(page, "α, on all", 1)
    settle(page, "α = 1, no normalisation")
    page.get_by_role("switch", name="Batch norm").click()
    assert growth(settle(page, "α = 1, batch norm")) < 100
    assert page.locator(".rl-chart .rl-thin").count() == 4
    page.get_by_role("button", name="Three more draws").click()
    settle(page, "geometric mean of 7 draws")
    assert page.locator(".rl-chart .rl-thin").count() == 7


def test_a_small_gain_trains_and_a_whole_one_does_not(open_lab):
    page = open_lab(lab.instrument("signal-and-normalization"))
    settle(page, "α = 1, no normalisation")
    page.get_by_role("button", name=re.compile("Train with α = 1")).click()
    said = page.locator(".rl-key", has_text="Test error after")
    said.filter(has_text=re.compile(r"α = 1: .*\.")).wait_for(timeout=60_000)
    slide(page, "α, on all", 0.2)
    page.get_by_role("button", name=re.compile(r"Train with α = 0.2")).click()
    said.filter(has_text=re.compile(r"α = 0.2: .*\.")).wait_for(timeout=60_000)
    small = numbers(said.inner_text(), "α = 0.2: # % (n = 1)")[0]
    assert "α = 1: 1 of 1 run diverged" in said.inner_text() or numbers(said.inner_text(), "α = 1: # %")[0] > 80
    assert small < 50


# The gradient and its "+1"


def ratio(text):
    return numbers(text, "gradient of the second convolution is # times that of the last one")[0]


def revealed(page):
    settle(page, "20 layers, plain")
    page.get_by_role("button", name="Show me").click()
    return settle(page, "56 layers, plain")


def test_the_plain_networks_gradient_explodes_and_the_guess_stands_beside_it(open_lab):
    page = open_lab(lab.instrument("gradient-plus-one"))
    slide(page, "plain-56", -3)
    text = revealed(page)
    assert numbers(text, "you guessed # and #") == [0.001, 1]
    plain, residual = numbers(text, "Without any shortcut the ratio is #, with all #")
    assert plain == ratio(text) > 300 and 1 < residual < 40
    page.get_by_role("button", name="All shortcuts").click()
    assert ratio(settle(page, "56 layers, residual")) == residual
    page.get_by_role("switch", name="Shortcut of block 5", exact=True).click()
    settle(page, "56 layers, mixed")


def test_a_branch_that_says_minus_one_lets_nothing_pass(open_lab):
    page = open_lab(lab.instrument("gradient-plus-one"))
    revealed(page)
    page.get_by_role("combobox", name="Depth").select_option("20 layers")
    page.get_by_role("button", name="All shortcuts").click()
    page.get_by_role("switch", name="Batch norm").click()
    page.get_by_role("switch", name="Its branch copies its input").click()
    slide(page, "Gain of block 2", -0.5)
    settle(page, "20 layers, residual")
    slide(page, "Gain of block 2", -1)
    text = settle(page, "nothing arrives, every gradient is 0")
    assert "Of the directions 0 % are kept, the largest singular value is 0." in text
    slide(page, "Gain of block 2", 1)
    page.wait_for_function("!document.querySelector('.rl-summary').textContent.includes('nothing arrives')")


def test_a_network_of_the_readers_own_is_measured_as_it_was_trained(open_lab):
    page = open_lab(
        lab.instrument("gradient-plus-one"), lab.instrument("training", config={"depth": 8, "steps": 20, "seed": 5})
    )
    page.get_by_role("button", name="Show me").click()
    page.get_by_role("button", name=re.compile("^▶ Train")).click()
    page.get_by_role("combobox", name="Weights").wait_for(timeout=60_000)
    page.get_by_role("combobox", name="Weights").select_option(index=1)
    text = settle(page, "your network")
    assert text.startswith("8 layers, residual, your network") and "Without any shortcut" not in text
    before = ratio(text)
    page.get_by_role("button", name="No shortcut").click()
    assert ratio(settle(page, "8 layers, plain")) != before
    page.get_by_role("combobox", name="Weights").select_option("new, untrained")
    settle(page, "before training")


# The leak and the five orders


def leak(text):
    return numbers(text, "the whole gradient goes #-fold; λ^26, its direct path, is #")


def test_with_batch_norm_the_measured_gradient_rises_as_the_shortcut_leaks(open_lab):
    page = open_lab(lab.instrument("identity-mappings"))
    found = {}
    for value in (1, 0.8, 0.5):
        slide(page, "λ, on all", value)
        found[value] = leak(settle(page, f"original, λ = {value}:"))
        assert found[value][1] == pytest.approx(value**26, rel=0.02)
    whole = [found[value][0] for value in (1, 0.8, 0.5)]
    assert whole == sorted(whole) and whole[-1] > 10 * whole[0]


def test_batch_norm_and_relu_are_dragged_into_the_orders_of_the_paper(open_lab):
    page = open_lab(lab.instrument("identity-mappings"))
    slide(page, "λ, on all", 1)
    settle(page, "original, λ = 1:")
    token = {name: page.get_by_role("slider", name=f"Place of the outer {name}") for name in ("batch norm", "ReLU")}
    token["ReLU"].press("ArrowLeft")
    settle(page, "ReLU before addition")
    assert token["ReLU"].evaluate("(one) => one === document.activeElement")
    token["ReLU"].press("Home")
    settle(page, "ReLU-only pre-activation")
    target = page.locator("[data-place=first]").bounding_box()
    box = token["batch norm"].bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(target["x"] + target["width"] / 2, target["y"] + target["height"] / 2, steps=5)
    page.mouse.up()
    settle(page, "full pre-activation")
    printed = paper.HE2016_TABLE_2[NAMES["pre"], 110].value
    assert f"{printed:.2f} and" in page.locator(".rl-key").first.inner_text()
    token["ReLU"].press("End")
    settle(page, "the paper did not try this one")
    page.get_by_role("combobox", name="Order").select_option("BN after addition")
    grown = leak(settle(page, "BN after addition, λ = 1:"))[0]
    page.get_by_role("combobox", name="Order").select_option("original")
    assert grown > 2 * leak(settle(page, "original, λ = 1:"))[0]


# All of them


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES_HERE)
def test_no_accessibility_violation_and_fits_a_phone(open_lab, name, theme):
    page = open_lab(lab.instrument(name), theme=theme, width=390, has_touch=True)
    page.wait_for_function("!document.querySelector('.rl-summary').textContent.includes('being measured')")
    if name == "gradient-plus-one":
        page.get_by_role("button", name="Show me").tap()
        settle(page, "56 layers")
    page.locator(".rl details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    page.wait_for_timeout(100)
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".rl [aria-live=polite]").count() == 1


def test_a_page_without_workers_says_so_and_one_without_scripts_has_a_table(open_lab):
    broken = "window.Worker = class { constructor() { throw new Error('no workers here'); } };"
    page = open_lab(*(lab.instrument(name) for name in NAMES_HERE), start=broken)
    for number in range(len(NAMES_HERE)):
        page.locator(".rl").nth(number).scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('.rl')].every((one) => one.textContent.includes('no workers here'))"
    )
    for name in NAMES_HERE:
        still = lab.instrument(name).island
        assert "<caption>" in still and "With JavaScript" in still
