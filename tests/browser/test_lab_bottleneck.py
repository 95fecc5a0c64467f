"""The instrument that designs two blocks: its counts are the package's, and the engine times what was counted."""

import json
import re

import pytest
from lab_page import faults, open_lab, static  # noqa: F401

from resnet_edu import lab
from resnet_edu.lab import assets
from resnet_edu.lab.designer import all_choices, cost, load_costs

THEMES = ("light", "dark")


def test_recorded_costs_are_the_blocks_with_the_scatter_of_their_times():
    record = load_costs()
    assert len(record["costs"]) == len(all_choices()) == 80 and record["device"] and record["passes"] > 8
    for recorded in record["costs"]:
        assert 0 < recorded["fastest"] <= recorded["milliseconds"] <= recorded["slowest"]
    for recorded in record["costs"][::19]:
        fresh = cost(**{key: recorded[key] for key in record["choices"]}, passes=1)
        for name in ("parameters", "multiply_adds", "memory"):
            assert getattr(fresh, name) == recorded[name], recorded
    with pytest.raises(ValueError, match="channels must be one of"):
        cost("basic", 65, "A", 1)


def test_the_engine_times_the_blocks_that_are_counted(browser):
    page = browser.new_page()
    page.add_script_tag(content=f"globalThis.engine = ({lab.engine_script(('answer', 'finish'))})();")
    blocks = [
        {"block": block, "inputs": 16, "channels": 16 * stride // (4 if block == "bottleneck" else 1), "side": 8}
        | {"stride": stride, "shortcut": shortcut, "variant": variant}
        for block in ("basic", "bottleneck") for stride in (1, 2) for shortcut in "ABC" for variant in ("v1", "v1.5")
    ]  # fmt: skip
    page.add_script_tag(content=f"globalThis.parts = ({assets.page_script(('countBlock',))})();")
    timed, counted = page.evaluate(
        "(blocks) => [engine.finish(engine.answer(null, 'time', { blocks, passes: 3 })), blocks.map(parts.countBlock)]",
        blocks,
    )
    assert timed["multiply_adds"] == [one["multiply_adds"] for one in counted]
    assert [len(times) for times in timed["times"]] == [3] * len(blocks) and timed["images"] == 8


def test_the_ratio_of_multiply_adds_stands_beside_that_of_times_recorded_and_measured_here(open_lab):
    page = open_lab(lab.instrument("bottleneck"))
    region = page.get_by_role("region", name="Design two blocks")
    summary = region.get_by_role("status")
    small, neck = (cost("basic", 64, "A", 1, passes=1), cost("bottleneck", 256, "A", 1, passes=1))
    assert f"× {small.multiply_adds / neck.multiply_adds:.2f} the multiply-adds" in summary.inner_text()
    assert f"× {small.memory / neck.memory:.2f}"[:6] in summary.inner_text()
    assert "not timed on this device yet" in summary.inner_text() and "73,984" in region.inner_text()
    for index, label in ((0, "bottleneck: 1×1, 3×3, 1×1"), (1, "bottleneck: 1×1, 3×3, 1×1")):  # small ones: quick
        region.get_by_role("combobox", name="Block", exact=True).nth(index).select_option(label=label)
        region.get_by_role("combobox", name="Input channels", exact=True).nth(index).select_option("64")
    region.get_by_role("combobox", name="Stride", exact=True).nth(1).select_option(index=1)
    assert (
        region.get_by_role("combobox", name="Stride on", exact=True).nth(0).is_disabled()
        and region.get_by_role("combobox", name="Stride on", exact=True).nth(1).is_enabled()
    )
    region.get_by_role("button", name=re.compile("Time both here")).click()
    page.get_by_text("Forward pass here").wait_for(timeout=60_000)
    assert re.search(r"× [\d.]+ the time on this device", summary.inner_text())
    assert "n = 9, 9" in region.inner_text() and "WebAssembly SIMD" in region.inner_text()


def test_timing_can_be_stopped_and_a_worker_that_fails_says_so(open_lab):
    page = open_lab(lab.instrument("bottleneck"))
    for index in (0, 1):
        page.get_by_role("combobox", name="Block", exact=True).nth(index).select_option(index=0)
        page.get_by_role("combobox", name="Input channels", exact=True).nth(index).select_option("256")
    page.get_by_role("button", name=re.compile("Time both here")).click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name=re.compile("Time both here")).wait_for()
    assert "not timed on this device yet" in page.get_by_role("status").inner_text()
    page = open_lab(lab.instrument("bottleneck"), start="globalThis.Worker = undefined;", name="broken.html")
    page.get_by_role("button", name=re.compile("Time both here")).click()
    page.get_by_text("The blocks could not be timed").wait_for()


@pytest.mark.parametrize("theme", THEMES)
def test_it_is_accessible_and_fits_a_phone(open_lab, theme):
    page = open_lab(lab.instrument("bottleneck"), theme=theme, width=390)
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_javascript_a_table_stands_there_and_the_data_is_small(open_lab):
    page = open_lab(lab.instrument("bottleneck"), java_script_enabled=False)
    assert "73,984" in page.locator("table").inner_text()
    assert len(json.dumps(lab.instrument("bottleneck").data)) < 8_000
