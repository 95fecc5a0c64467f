"""Instruments at a chapter's claim: each is operated and its claim read, and the same is computed in PyTorch."""

import base64
import re
import statistics

import numpy as np
import pytest
import torch
from lab_page import faults, open_lab, static  # noqa: F401
from torch.nn import functional as F

from resnet_edu import interventions, lab, probes
from resnet_edu.lab import claims
from resnet_edu.lab.recording import DEFAULTS

NAMES = ("degradation", "many-paths", "reproducing-the-paper", "training-lab")
SHORT = {"steps": 60}
LIVE = "document.querySelector('[aria-live=polite]').textContent"


def said(page, words, timeout=120_000):
    """Wait until the live region says something with these words."""
    page.wait_for_function(f"(words) => {LIVE}.includes(words)", arg=words, timeout=timeout)


def summary(page):
    return page.locator("output.rl-summary").first.inner_text()


def press(page, name):
    page.get_by_role("button", name=name).click()


def idle(page):
    """Wait until nothing is trained or measured."""
    page.wait_for_function(
        "![...document.querySelectorAll('button')].some((one) => one.textContent.includes('Stop'))", timeout=120_000
    )


def rows(page, caption):
    """Return a table by its caption: a dictionary from the first cell of a row to the others."""
    table = page.locator("table").filter(has_text=caption).first
    table.wait_for()
    text = table.locator("tbody tr").all_inner_texts()
    return {one.split("\t")[0]: one.split("\t")[1:] for one in text}


def numbers(text):
    return [float(one) for one in re.findall(r"\d+(?:\.\d+)?", text)]


# --- the same in PyTorch


TRAIN = """([config, digits]) => {
  const run = engine.startTraining(config, engine.unpackDigits(digits));
  const file = new Uint8Array(engine.packNetwork(run.net));
  const text = btoa(Array.from(file, (byte) => String.fromCharCode(byte)).join(""));
  const seen = [];
  while (run.step < config.steps) {
    const { loss, error, norms } = run.next();
    seen.push({ loss, error, norms, images: Array.from(run.net.images.data), labels: Array.from(run.net.labels) });
  }
  return { file: text, seen };
}"""


@pytest.mark.parametrize(
    "settings",
    [
        {"shortcut": "none"},
        {"shortcut": "A"},
        {"shortcut": "none", "identity_start": 0.1},
        {"shortcut": "none", "clip_norm": 1.0},
    ],
    ids=str,
)
def test_the_same_weights_and_batches_learn_the_same_in_pytorch(browser, settings):
    """The first losses agree; later the two part by rounding, and their errors stay near each other."""
    page = browser.new_page()
    page.add_script_tag(
        content=f"globalThis.engine = ({lab.engine_script(('startTraining', 'packNetwork', 'unpackDigits'))})()"
    )
    config = {**DEFAULTS, **settings, "depth": 20, "steps": 60, "test_every": 60}
    made = page.evaluate(TRAIN, [config, lab.digits_data()])
    network = lab.load_network(base64.b64decode(made["file"])).train()
    rate, momentum, decay = config["learning_rate"], config["momentum"], config["weight_decay"]
    optimizer = torch.optim.SGD(network.parameters(), rate, momentum, weight_decay=decay)
    errors, losses, norms = [], [], []
    for seen in made["seen"]:
        images = torch.tensor(seen["images"]).view(1, 8, 8, -1).permute(3, 0, 1, 2)
        labels = torch.tensor(seen["labels"])
        logits = network(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        norms.append([layer.weight.grad.norm().item() for layer in probes.weighted_layers(network).values()])
        if config.get("clip_norm"):
            torch.nn.utils.clip_grad_norm_(network.parameters(), config["clip_norm"])
        optimizer.step()
        losses.append(loss.item())
        errors.append(100 * (logits.argmax(1) != labels).float().mean().item())
    ours = made["seen"]
    assert [one["loss"] for one in ours[:2]] == pytest.approx(losses[:2], rel=1e-3)
    assert ours[0]["norms"] == pytest.approx(norms[0], rel=1e-3)
    for part in (slice(0, 30), slice(30, 60)):
        assert abs(np.mean([one["error"] for one in ours[part]]) - np.mean(errors[part])) < 10


def test_a_recorded_run_tells_its_ratio_of_gradients():
    """Packed sizes come back within their 8 %, whatever they are; zero stays zero."""
    sizes = np.array([[0.0, 1e-9, 3.3], [1e4, 0.02, 1.0]])
    steps = np.where(sizes == 0, 0, np.round(16 * (np.log10(np.where(sizes == 0, 1, sizes)) + 10)))
    text = base64.b64encode(steps.astype(np.uint8).tobytes()).decode()
    assert np.allclose(claims.unpack_sizes(text, 3), sizes, rtol=0.08, atol=0)
    plain, residual = (claims.gradient_ratios(one)[1] for one in lab.load_records("plain-56", "residual-56"))
    assert plain[0] > 30 > residual[0]  # before the first step
    assert statistics.median(plain[5:]) < plain[0] / 30


# --- degradation


def test_guess_race_and_step_from_explosion_to_starvation(open_lab):
    page = open_lab(lab.instrument("degradation"))
    handle = page.get_by_role("slider", name="Expected training error of plain-56")
    handle.press("End")
    assert handle.get_attribute("aria-valuenow") == "100"
    box = page.get_by_role("slider", name="Expected training error of residual-8").bounding_box()
    page.mouse.move(box["x"] + 13, box["y"] + 13)
    page.mouse.down()
    page.mouse.move(box["x"] + 13, box["y"] + 73, steps=3)
    page.mouse.up()
    guess = int(page.get_by_role("slider", name="residual-8").get_attribute("aria-valuenow"))
    assert 10 < guess < 45
    # The recorded plain-56 is there before anything is trained.
    words = page.locator(".rl-ends")
    start = words.inner_text()
    assert "at step 1 (it grows towards the input)" in start and numbers(start)[0] > 30
    press(page, "Race all eight")
    said(page, "Training error at 8, 20, 32 and 56 layers")
    idle(page)
    page.get_by_text("Figures as tables").click()
    found = rows(page, "Training error in percent")
    assert found["residual-8"][0] == str(guess) and found["plain-56"][0] == "100"
    plain, residual = ([float(found[f"{kind}-{d}"][2]) for d in (8, 20, 32, 56)] for kind in ("plain", "residual"))
    assert plain[3] > 40 > 20 > max(residual) and plain[3] > plain[0] + 30
    distance = np.mean([abs(float(one[0]) - float(one[2])) for one in found.values()])
    assert f"Your guesses were {distance:.0f} points off" in summary(page) and "1 seed" in summary(page)
    assert page.locator(".rl-grip[role=slider]").first.is_hidden()
    # The strip follows this page's plain-56 now.
    assert "Trained in this browser" in words.inner_text()
    page.get_by_label("Step shown").fill("1")
    exploded = numbers(words.inner_text())[0]
    ratios = []
    for step in range(100, 301, 20):
        page.get_by_label("Step shown").fill(str(step))
        page.wait_for_function(
            "(text) => document.querySelector('.rl-ends').textContent.includes(text)", arg=f"step {step} "
        )
        ratios.append(float(re.search(r", ([\d.e−]+) at step", words.inner_text())[1].replace("−", "-")))
    assert exploded > 30 and statistics.median(ratios) < 1
    page.get_by_label("Gradients of").select_option("residual-56")


def test_three_more_seeds_of_all_eight_come_with_n_and_spread(open_lab):
    page = open_lab(lab.instrument("degradation", config={"steps": 30}))
    press(page, "Race all eight")
    said(page, "1 seed")
    idle(page)
    page.get_by_text("Figures as tables").click()
    press(page, "Three more seeds")
    page.wait_for_function(
        "document.querySelector('output.rl-summary').textContent.includes('4 seeds')", timeout=120_000
    )
    found = rows(page, "Training error in percent")
    values = [float(one) for one in found["plain-32"][2].split(", ")]
    mean, spread, n = numbers(found["plain-32"][1])
    assert n == len(values) == 4 and len(set(values)) > 1
    assert [mean, spread] == pytest.approx([np.mean(values), np.std(values, ddof=1)], abs=0.11)


def test_a_race_can_be_stopped_and_begun_anew(open_lab):
    page = open_lab(lab.instrument("degradation", config={"steps": 2000}))
    press(page, "Race all eight")
    press(page, "Stop")
    idle(page)
    press(page, "Guess anew")
    assert page.get_by_role("slider", name="plain-8").is_visible()
    assert page.get_by_role("button", name="Race all eight").is_enabled()


# --- many paths


@pytest.fixture
def bench(open_lab):
    page = open_lab(lab.instrument("many-paths"))
    assert "Recorded, 5 seeds" in summary(page)
    press(page, "Train both")
    page.wait_for_function(
        "document.querySelector('output.rl-summary').textContent.startsWith('One branch out')", timeout=120_000
    )
    page.wait_for_function(
        "(document.querySelector('output.rl-summary').textContent.match(/fresh/g) ?? []).length === 2", timeout=120_000
    )
    idle(page)
    return page


def network_of(page, name):
    """Export one of the reader's networks and open it in PyTorch."""
    page.locator("details").filter(has_text="Your networks").locator("summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Export: {name}").click()
    network = lab.load_network(download.value.path())
    page.locator("details").filter(has_text="Your networks").locator("summary").click()
    return network


def error_of(page, name):
    return float(
        re.search(r"([\d.]+) % test error", page.get_by_role("region", name=name).locator("small").first.inner_text())[
            1
        ]
    )


def settle(page, name, before):
    page.wait_for_function(
        "([name, before]) => !document.querySelector(`[aria-label='${name}'] small`).textContent.startsWith(before)",
        arg=[name, f"{before:.1f} "],
    )


def test_lesions_swaps_and_votes_are_the_packages(bench, digits):
    page = bench
    study = {}
    for name, label in (
        ("plain-20", "20 layers, no shortcuts, seed 1"),
        ("residual-20", "20 layers, shortcuts A, seed 1"),
    ):
        network = network_of(page, label)
        study[name] = interventions.lesion_study(network, digits, digits.test)
        shown = re.search(rf"{name} from ([\d.]+) to ([\d.]+) %", summary(page))
        # an image on the border between two digits may fall to either side
        assert (
            abs(float(shown[1]) - study[name].intact) < 0.6 and abs(float(shown[2]) - study[name].errors.mean()) < 0.6
        )
        lane = page.get_by_role("region", name=name)
        intact = error_of(page, name)
        lane.get_by_role("switch", name="Branch of block 5").click()
        settle(page, name, intact)
        assert lane.get_by_role("switch", name="Branch of block 5").get_attribute("aria-checked") == "false"
        assert abs(error_of(page, name) - study[name].errors[4]) < 0.6
        press(page, "Put all back")
        page.wait_for_function("!document.querySelector('.rl-lesion[aria-checked=false]')")
        press(page, "Swap two")
        lane.get_by_role("switch", name="Branch of block 2").click()
        lane.get_by_role("switch", name="Branch of block 3").click()
        page.wait_for_function(
            "(name) => document.querySelector(`[aria-label='${name}'] .rl-lesion:nth-child(2)`).textContent === '3'",
            arg=name,
        )
        swapped = interventions.reorder_blocks(network, [0, 2, 1, *range(3, 9)])
        theirs = (
            100 * (swapped(digits.normalize(digits.test.images)).argmax(1) != digits.test.labels).float().mean().item()
        )
        page.wait_for_timeout(300)
        assert abs(error_of(page, name) - theirs) < 0.6
        press(page, "Swap two")
        press(page, "Put all back")
        page.wait_for_timeout(300)
    # The claim of the chapter.
    assert study["plain-20"].errors.mean() > study["residual-20"].errors.mean() + 40


def test_the_vote_needs_fresh_statistics(bench):
    page = bench
    press(page, "Let 40 vote")
    said(page, "The votes are counted")
    page.get_by_role("switch", name="Fresh statistics").click()
    press(page, "Let 40 vote")
    page.wait_for_function("document.querySelectorAll('table tbody tr').length >= 4", timeout=120_000)
    idle(page)
    found = rows(page, "a vote of 40")
    whole, alone, vote = (float(one) for one in found["residual-20, fresh statistics"])
    stored = float(found["residual-20, stored statistics"][2])
    assert vote < alone and vote < stored and vote - whole < 0.5 * (alone - whole) + 5
    assert float(found["plain-20, fresh statistics"][2]) > vote + 20
    press(page, "Three more seeds")
    idle(page)
    shown = page.locator(".rl-key").filter(has_text="plain, stored").inner_text()
    assert shown.count("n = 4") == 4


def test_a_network_of_the_readers_is_cut_too_and_a_bad_swap_is_explained(bench):
    page = bench
    page.locator("details").filter(has_text="Your networks").locator("summary").click()
    page.get_by_role("button", name="Open: 20 layers, shortcuts A, seed 1").click()
    page.get_by_role("region", name="20 layers, shortcuts A, seed 1").wait_for()
    page.wait_for_function(
        "(document.querySelector('output.rl-summary').textContent.match(/fresh/g) ?? []).length === 3"
    )
    press(page, "Swap two")
    lane = page.get_by_role("region", name="residual-20")
    lane.get_by_role("switch", name="Branch of block 3").click()
    lane.get_by_role("switch", name="Branch of block 4").click()
    page.wait_for_function("document.querySelector('.rl-message').textContent.includes('cannot change places')")


# --- the lottery


def test_six_seeds_scatter_and_the_best_step_flatters(open_lab):
    page = open_lab(lab.instrument("reproducing-the-paper"))
    assert "One recorded run of residual-20 ends at" in summary(page)
    page.get_by_role("slider", name="Guessed distance").fill("1.5")
    press(page, "Train 6 seeds")
    said(page, "Last step, 6 seeds")
    idle(page)
    page.get_by_text("Figures as tables").click()
    found = {seed: [float(one) for one in cells] for seed, cells in rows(page, "Test error in percent").items()}
    assert sorted(found) == list("123456")
    last, best = ([cells[n] for cells in found.values()] for n in (0, 1))
    assert f"test error {min(last):.1f} to {max(last):.1f} %" in summary(page) and "(your guess: 1.5)" in summary(page)
    assert max(last) - min(last) > 0.5  # points
    assert all(one <= other for one, other in zip(best, last, strict=True)) and np.mean(last) - np.mean(best) > 0.3
    page.get_by_role("switch", name="Report the best step").click()
    said(page, "Best step, 6 seeds")
    flattery = float(re.search(r"looks ([\d.]+) points better", summary(page))[1])
    assert flattery == pytest.approx(np.mean(last) - np.mean(best), abs=0.11)
    press(page, "Three more seeds")
    said(page, "Best step, 9 seeds")


# --- beat the shortcut


def test_three_tries_and_a_score_that_stays(open_lab):
    page = open_lab(lab.instrument("training-lab"))
    assert "You have 3 tries" in summary(page) and "No score yet." in summary(page)
    target = float(re.search(r"it reaches ([\d.]+) %", summary(page))[1])
    press(page, "Try 1 of 3")
    said(page, "Try 1")
    page.get_by_label("First weights").select_option("identity + 0.1 of He’s")
    page.get_by_label("Learning rate").select_option("0.01")
    press(page, "Try 2 of 3")
    said(page, "Try 2")
    page.get_by_label("First weights").select_option("He’s")
    page.get_by_label("Clip the gradient").select_option("at norm 1")
    press(page, "Try 3 of 3")
    said(page, "Try 3")
    idle(page)
    found = rows(page, "Your tries")
    plain, near, clipped = (float(found[n][1]) for n in "123")
    assert plain > target + 30 and near < plain - 15 and clipped > near  # what helped in the degradation chapter
    assert "The shortcut is not beaten" in summary(page) or near <= target
    assert f"Your best so far: {min(plain, near, clipped):.1f} %" in summary(page)
    page.reload()
    assert f"Your best so far: {min(plain, near, clipped):.1f} %" in summary(page)


def test_further_seeds_of_the_best_try_and_of_both_twins(open_lab):
    page = open_lab(lab.instrument("training-lab", config={"depth": 8, **SHORT}))
    for number in (1, 2, 3):
        press(page, f"Try {number} of 3")
        said(page, f"Try {number}")
    idle(page)
    press(page, "Three more seeds")
    page.wait_for_function("document.querySelectorAll('.rl-dots').length === 3", timeout=120_000)
    idle(page)
    shown = page.locator(".rl-key").filter(has_text="your best try").inner_text()
    assert shown.count("n = 4") == 3
    assert re.search(r"The shortcut is (not )?beaten: .*\(n = 4\) against .*\(n = 4\)", summary(page))


def test_blocked_storage_keeps_the_score_for_the_visit(open_lab):
    blocked = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"
    )
    page = open_lab(lab.instrument("training-lab", config={"depth": 8, **SHORT}), start=blocked)
    press(page, "Try 1 of 3")
    said(page, "Try 1")
    assert "this browser blocks storage, so it is kept for this visit only" in summary(page)


def test_a_try_without_batch_norm_that_diverges_is_a_try(open_lab):
    page = open_lab(lab.instrument("training-lab", config=SHORT))
    page.get_by_label("Batch norm").select_option("off")
    page.get_by_label("Learning rate").select_option("0.3")
    press(page, "Try 1 of 3")
    page.wait_for_function(
        "document.querySelector('output.rl-summary').textContent.startsWith('Try 1')", timeout=60_000
    )
    assert page.get_by_role("button", name="Try 2 of 3").is_visible()


# --- all of them


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_no_accessibility_violation_and_fits_a_phone(open_lab, name, theme):
    page = open_lab(lab.instrument(name), theme=theme, width=390, has_touch=True)
    page.locator(".rl details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    page.wait_for_timeout(200)
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", NAMES)
def test_a_page_that_may_not_start_workers_says_so(open_lab, name):
    blocked = "window.Worker = class { constructor() { throw new Error('no workers here'); } };"
    page = open_lab(lab.instrument(name, config=SHORT), start=blocked)
    page.locator(".rl-primary").first.click()
    page.wait_for_function("document.querySelector('.rl-message').textContent.includes('no workers here')")


@pytest.mark.parametrize("name", NAMES)
def test_without_javascript_a_figure_or_a_table_stands_there(open_lab, name):
    page = open_lab(lab.instrument(name), java_script_enabled=False)
    assert page.locator("figure img, table").first.is_visible()
    assert "With JavaScript" in page.locator(".resnet-lab-figure").inner_text()


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_no_one_offers_are_refused(name):
    with pytest.raises(ValueError, match="depth must be one of"):
        lab.instrument(name, config={"depth": 57})
