"""Two stacks learn a map in the page: their ends are PyTorch's within the spread of seeds, and the claim is read."""

import re

import numpy as np
import pytest
import torch
from lab_page import faults, open_lab, static  # noqa: F401
from torch import nn

from resnet_edu import lab
from resnet_edu.blocks import BasicBlock
from resnet_edu.networks import initialize
from resnet_edu.training import cpu_threads

STEPS = 150


def fit(shortcut, move, seed):
    """Return the logarithm of the relative error of the last ten steps, as the chapter trains."""
    torch.manual_seed(seed)
    stack = nn.Sequential(*[BasicBlock(8, 8, shortcut=shortcut) for _ in range(3)])
    initialize(stack)
    optimizer, errors = torch.optim.SGD(stack.parameters(), 0.1, momentum=0.9), []
    for _ in range(STEPS):
        x = torch.randn(16, 8, 6, 6).relu()
        wanted = x.roll(move, 1)
        error = (stack(x) - wanted).square().mean() / wanted.square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    return np.log(errors[-10:]).mean()


def results(page):
    """Return the errors that the page names: {target: [with shortcuts, without]}, each a list of lowest and highest."""
    text = page.get_by_role("group", name="Two stacks learn a map").inner_text()
    found = {}
    for target in ("Stay", "Move on"):
        with_, without = re.search(rf"{target}: error (.*?) with shortcuts, (.*?) without", text).groups()
        found[target] = [
            [float(one.replace("−", "-")) for one in re.findall(r"[\d.]+(?:e−?\d+)?", part)]
            for part in (with_, without)
        ]
    return found


def trained(page, seeds):
    page.wait_for_function(
        "n => document.body.innerText.split(`(n = ${n})`).length >= 3 && !document.body.innerText.includes('Stop')",
        arg=seeds,
        timeout=90_000,
    )


def test_staying_is_easy_with_a_shortcut_and_moving_on_is_not(open_lab):
    page = open_lab(lab.instrument("residual-block"))
    trained(page, 1)  # seed 1, trained when the page opened
    page.get_by_role("button", name=re.compile("Three more seeds")).click()
    trained(page, 4)
    seen = results(page)
    with_, without = seen["Stay"]
    assert max(with_) < min(without) / 100
    with_, without = seen["Move on"]
    assert min(with_) > max(without)  # there the shortcut stands in the way
    with cpu_threads(1):
        for target, move in (("Stay", 0), ("Move on", 1)):
            for shortcut, ours in zip(("A", "none"), seen[target], strict=True):
                theirs = [fit(shortcut, move, seed) for seed in range(3)]
                room = max(np.ptp(theirs), np.ptp(np.log(ours)), 0.15)
                low, high = min(theirs) - room, max(theirs) + room
                assert low < np.log(min(ours)) <= np.log(max(ours)) < high, (target, shortcut, theirs, ours)


def test_a_silent_branch_stays_at_once_and_a_wrong_rate_is_explained(open_lab):
    page = open_lab(lab.instrument("residual-block"))
    trained(page, 1)
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("Home")  # the branch is zero: the residual stack is the identity, the plain one is silent
    page.wait_for_function("document.body.innerText.includes('Stay: error 0 with shortcuts, 1.00 without')")
    rate = page.get_by_label("Learning rate")
    rate.fill("-1")
    rate.press("Enter")
    assert (
        "“Learning rate” must be a number from 0.0001 to 10. It stays at 0.1."
        in page.locator(".rl-message").inner_text()
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(open_lab, theme):
    page = open_lab(lab.instrument("residual-block"), theme=theme, width=390)
    trained(page, 1)
    page.get_by_text("Figures as a table").click()
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_javascript_the_blocks_are_drawn_and_without_a_worker_it_says_so(open_lab):
    page = open_lab(lab.instrument("residual-block"), java_script_enabled=False)
    assert page.locator("figure").first.is_visible()
    page = open_lab(lab.instrument("residual-block"), start="globalThis.Worker = undefined;", name="broken.html")
    page.locator(".rl-message").wait_for()
    assert "Training in this page is not possible" in page.locator(".rl-message").inner_text()
