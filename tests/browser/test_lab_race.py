"""The race: twins train side by side, in two Workers of the page."""

import re

import pytest
from lab_page import faults, hide, open_lab, press_at, static, summary, train  # noqa: F401

from resnet_edu import lab

SHORT = {"depth": 8, "steps": 40}
DONE = "document.querySelector('[aria-live=polite]').textContent.startsWith('Finished')"


def race(config=None, **settings):
    return lab.instrument("race", config=config, **settings)


def errors(page):
    """Return the test errors that the summary names: with shortcuts, without."""
    return [float(text) for text in re.findall(r"([\d.]+) %", summary(page))]


def test_one_press_trains_both_twins_and_their_curves_part(open_lab):
    page = open_lab(race({"steps": 120}))
    assert "Press Train" in summary(page) or "Recording of" in summary(page)
    train(page, 120)
    with_, without = errors(page)
    assert without > with_ + 20
    assert "Trained in this browser (WebAssembly SIMD)" in summary(page)
    front = page.locator(".rl-curves .rl-panel").first.locator(".rl-run.rl-front")
    assert [
        ("rl-on" in kind, "rl-off" in kind)
        for kind in front.evaluate_all("(all) => all.map((one) => one.className.baseVal)")
    ] == [(False, True), (True, False)]


def test_the_press_is_answered_before_anything_is_loaded(open_lab):
    page = open_lab(race(SHORT))
    said = page.evaluate(
        """async () => {
          document.querySelector(".rl-primary").click();
          await null; // drawn in the same task: no timer, no frame in between
          return [document.querySelector(".rl-primary").textContent];
        }"""
    )
    assert "Pause" in said[0]
    page.wait_for_function(DONE)


def test_the_twins_are_the_runs_of_the_single_lab(open_lab):
    """Same weights, same batches: each lane repeats the recording of its own configuration to the last digit."""
    page = open_lab(race({"depth": 8}))
    recorded = summary(page).split("Recording")[0]
    assert len(errors(page)) == 2
    train(page, 300)
    assert summary(page).split("Trained")[0] == recorded


def test_more_seeds_add_thin_lines_and_a_band(open_lab):
    page = open_lab(race(SHORT))
    page.get_by_role("button", name="Three more seeds").click()
    page.wait_for_function(DONE, timeout=60_000)
    assert "(4 seeds)" in summary(page) and " to " in summary(page)
    chart = page.locator(".rl-curves .rl-panel").first
    assert chart.locator(".rl-thin").count() == 6 and chart.locator(".rl-band").count() == 2
    page.get_by_text("Figures as tables").click()
    page.locator(".rl-tables table").first.wait_for(state="attached")  # drawn in the next task
    heads = page.locator(".rl-tables th[scope=col]").all_inner_texts()
    assert sorted(heads[1:]) == sorted(
        f"{kind}-8, seed {seed}" for kind in ("plain", "residual") for seed in range(1, 5)
    )
    values = [
        [float(cell) for cell in row]
        for row in page.locator(".rl-tables tbody tr").evaluate_all(
            "(all) => all.map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
    ]
    assert len(values) == 4 and len({tuple(one) for one in zip(*values, strict=True)}) == 9  # no two runs are equal


def test_pause_step_and_scrub_hold_for_both(open_lab):
    page = open_lab(race({"steps": 2000, "depth": 56}))
    page.locator(".rl-primary").click()
    press_at(page, 12, "Pause both")
    held = "() => [...document.querySelectorAll('.rl-curves .rl-train')].map((one) => one.getAttribute('d').length)"
    page.wait_for_function(  # what was under way has come
        f"""async () => {{
          const look = {held}, before = look();
          await new Promise((later) => setTimeout(later, 600));
          return String(look()) === String(before);
        }}"""
    )
    before = page.evaluate(held)
    assert int(page.locator(".rl-at").inner_text().split()[0]) < 2000  # and they are not at their end
    page.get_by_role("button", name="Step").click()
    page.wait_for_function(f"(before) => ({held})().every((length, n) => length > before[n])", arg=before)
    page.get_by_label("Step shown").fill("10")
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('after 10 steps')")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_function("parseInt(document.querySelector('.rl-at').textContent) === 10")
    page.get_by_role("button", name="Pause both").wait_for()


def test_the_address_repeats_a_race_and_a_bad_one_is_explained(open_lab):
    page = open_lab(race(SHORT), at="#race?depth=20&seed=7&colour=red")
    assert "there is no such setting" in page.locator(".rl-message").inner_text()
    assert page.get_by_label("Seed").input_value() == "7"
    page.get_by_label("Seed").fill("8")
    page.get_by_label("Seed").press("Enter")
    page.wait_for_function("location.hash === '#race?depth=20&seed=8&steps=40'")


def test_the_single_lab_takes_the_place(open_lab):
    page = open_lab(race(SHORT))
    page.get_by_role("button", name="One network, block by block").click()
    page.get_by_role("switch", name="Shortcut of block 1", exact=True).wait_for()
    train(page, 40)
    assert "8 layers, shortcuts A: test error" in summary(page)


def test_a_page_that_may_not_start_workers_says_so(open_lab):
    page = open_lab(
        race(SHORT), start="window.Worker = class { constructor() { throw new Error('no workers here'); } };"
    )
    page.locator(".rl-primary").click()
    page.wait_for_function("document.querySelector('.rl-message').textContent.includes('no workers here')")


def test_a_hidden_tab_waits(open_lab):
    page = open_lab(race({"depth": 110, "steps": 2000}))
    page.locator(".rl-primary").click()
    page.wait_for_function("parseInt(document.querySelector('.rl-at').textContent) > 5")
    hide(page, True)
    page.wait_for_timeout(400)
    held = page.locator(".rl-at").inner_text()
    page.wait_for_timeout(400)
    assert page.locator(".rl-at").inner_text() == held
    hide(page, False)
    page.wait_for_function("n => parseInt(document.querySelector('.rl-at').textContent) > n", arg=int(held.split()[0]))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_accessibility_violation_and_fits_a_phone(open_lab, theme):
    page = open_lab(race(), theme=theme, width=390, has_touch=True)
    page.locator(".rl details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    page.wait_for_timeout(200)
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Train both twins").tap()
    page.get_by_role("button", name="Pause both").wait_for()
