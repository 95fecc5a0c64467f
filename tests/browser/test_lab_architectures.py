"""The instrument that counts and names a network, against the package."""

import itertools
import random

import pytest
import torch
from lab_page import faults, open_lab, static  # noqa: F401

from resnet_edu import accounting, lab, networks
from resnet_edu.blocks import BasicBlock, Bottleneck
from resnet_edu.lab import assets
from resnet_edu.lab.designer import all_choices, load_costs

BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}


@pytest.fixture(scope="module")
def count(browser):
    page = browser.new_page()
    page.add_script_tag(content=f"globalThis.parts = ({assets.page_script(('countNetwork', 'countBlock'))})();")
    return lambda name, settings: page.evaluate("([name, list]) => list.map(parts[name])", [name, settings])


def build(block, counts, stem, width, shortcut, variant, colours, classes, bias, bare, side):
    counts = [one for one in counts if one]
    options = {"stride_on": "1x1" if variant == "v1" else "3x3"} if block == "bottleneck" else {}
    with torch.device("meta"):
        return networks.ResNet(
            tuple(counts), tuple(width << stage for stage in range(len(counts))), block=BLOCKS[block], stem=stem,
            shortcut=shortcut, in_channels=colours, num_classes=classes, conv_bias=bias,
            projection_normalization="none" if bare else None, **options,
        )  # fmt: skip


def test_counts_are_the_packages_for_every_choice(count):
    rng = random.Random(0)
    kinds = itertools.product(
        BLOCKS, ("cifar", "imagenet"), ("none", "A", "B", "C"), ("v1", "v1.5"), (False, True), (False, True)
    )
    chosen = [
        {
            "block": block, "stem": stem, "shortcut": shortcut, "variant": variant, "bias": bias, "bare": bare,
            "counts": [rng.randint(1, 3) for _ in range(3)] + [rng.randint(0, 2)], "width": rng.choice((1, 3, 16, 64)),
            "side": rng.choice((8, 28, 32, 96, 225)), "colours": rng.choice((1, 3)), "classes": rng.choice((10, 1000)),
        }
        for block, stem, shortcut, variant, bias, bare in kinds
    ]  # fmt: skip
    for spec, made in zip(chosen, count("countNetwork", chosen), strict=True):
        network = build(**spec)
        found = accounting.layers(network, (spec["colours"], spec["side"], spec["side"]))
        assert made["parameters"] == accounting.parameter_count(network), spec
        assert made["multiply_adds"] == sum(layer.multiply_adds for layer in found), spec
        assert made["layers"] == len(networks.weighted_layers(network)), spec
        assert made["projections"] == list(accounting.shortcut_kinds(network).values()).count("projection"), spec
        for number, stage in enumerate(made["stages"][1:-1], start=1):
            last = [layer for layer in found if layer.name.startswith(f"layer{number}.")][-1]
            assert (stage["channels"], stage["side"], stage["side"]) == last.output_shape, spec


def test_a_blocks_memory_too_is_the_packages_for_every_choice(count):
    recorded = load_costs()["costs"]
    assert len(recorded) == len(all_choices())
    asked = [
        {
            "block": one["block"], "inputs": one["channels"], "stride": one["stride"], "shortcut": one["shortcut"],
            "channels": one["stride"] * one["channels"] // (4 if one["block"] == "bottleneck" else 1),
            "variant": one["variant"], "side": 28,
        }
        for one in recorded
    ]  # fmt: skip
    for one, made in zip(recorded, count("countBlock", asked), strict=True):
        for key in ("parameters", "multiply_adds", "memory"):
            assert made[key] == one[key], (key, one)


def choose(page, label, text):
    page.get_by_role("combobox", name=label, exact=True).select_option(label=text)


def test_110_layers_hold_fewer_weights_than_resnet_18_and_known_networks_have_names(open_lab):
    page = open_lab(lab.instrument("architectures"))
    summary = page.get_by_role("status")
    assert "110 layers with weights: the paper’s ResNet-110 for CIFAR-10." in summary.inner_text()
    with torch.device("meta"):
        deep, wide = networks.cifar_resnet(110), networks.preset("kuangliu/resnet18")
    ours, theirs = accounting.parameter_count(deep), accounting.parameter_count(wide)
    assert f"{ours:,} parameters" in summary.inner_text() and "No projection" in summary.inner_text()
    assert ours < theirs and f"Parameters × {ours / theirs:.2g}" in page.locator(".rl-ratios").inner_text().replace(
        "\n", " "
    )
    for name in page.get_by_role("combobox", name="Start from").locator("option").all_inner_texts()[1:]:
        choose(page, "Start from", name)
        assert f"weights: {name}." in summary.inner_text()
    choose(page, "Start from", "torchvision’s ResNet-50 (v1.5)")
    assert "50 layers" in summary.inner_text() and "25,557,032 parameters" in summary.inner_text()
    assert "4 projections on shortcuts, not counted as layers" in summary.inner_text()
    choose(page, "Shortcut", "none (plain)")
    assert "the plain twin of torchvision’s ResNet-50" in summary.inner_text()
    choose(page, "Start from", "the paper’s ResNet-110 for CIFAR-10")
    choose(page, "Block", "bottleneck: 1×1, 3×3, 1×1")
    assert "164 layers with weights" in summary.inner_text()  # the trap of the 110 layers
    page.get_by_label("Blocks in stage 4").fill("2")
    page.get_by_label("Blocks in stage 4").press("Enter")
    assert "170 layers" in summary.inner_text()
    page.get_by_label("Width").fill("0")
    page.get_by_label("Width").press("Enter")
    assert "“Width” must be a whole number from 1 to 512. It stays at 16." in page.locator(".rl-message").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(open_lab, theme):
    page = open_lab(lab.instrument("architectures"), theme=theme, width=390)
    page.get_by_text("Image, classes and details").click()
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_javascript_a_counted_table_stands_there(open_lab):
    page = open_lab(lab.instrument("architectures"), java_script_enabled=False)
    assert "1,727,962" in page.locator("table").inner_text()
