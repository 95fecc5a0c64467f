"""The lab in a static page, in a real browser: each test opens a small page that holds the island alone."""

import base64
import gzip
import json
import re

import pytest
from lab_island import shrink
from lab_page import SHORT, faults, hide, island, open_lab, press_at, static, summary, train  # noqa: F401
from serve import served

from resnet_edu import lab


def test_error(page):
    return float(summary(page).split("test error ")[1].split(" %")[0])


test_error.__test__ = False


def test_the_page_tells_the_story_before_a_click(open_lab):
    page = open_lab()
    assert "56 layers, shortcuts A: test error" in summary(page)
    assert "Recording of" in summary(page)
    assert "seed 1" in summary(page)
    assert page.locator(".rl-curves .rl-run.rl-on").count() == 2
    assert page.locator(".rl-curves .rl-run.rl-off").count() == 2
    assert not page.locator(".resnet-lab-figure").is_visible()
    assert page.evaluate("location.hash") == ""


def test_the_switch_changes_curve_and_text(open_lab):
    page = open_lab()
    switch = page.get_by_role("switch", name="Shortcuts", exact=True)
    with_shortcuts, front = test_error(page), page.locator(".rl-curves .rl-front.rl-run").first
    curve = front.locator("path").last.get_attribute("d")
    switch.click()
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('no shortcuts')")
    assert switch.get_attribute("aria-checked") == "false"
    assert front.locator("path").last.get_attribute("d") != curve
    assert test_error(page) > with_shortcuts + 40
    assert "Shortcuts off" in page.locator("[aria-live=polite]").inner_text()


def test_fifty_six_layers_trained_in_the_page_need_their_shortcuts(open_lab):
    page = open_lab(island(config={"steps": 120}))
    train(page, 120)
    assert "Trained in this browser (WebAssembly SIMD)" in summary(page)
    with_shortcuts = test_error(page)
    page.get_by_role("switch", name="Shortcuts", exact=True).click()
    train(page, 120)
    assert test_error(page) > with_shortcuts + 40
    assert page.workers  # nothing trains on the page's own thread; benchmarks/lab.py measures how long that is held up
    assert page.locator(".rl-runs li").count() == 4  # two recordings and two of the reader's own


def test_recording_and_browser_agree_to_the_last_digit(open_lab):
    page = open_lab(island(config={"depth": 8}, shown=("residual-8",)))
    recorded = summary(page).split(".  ")[0].split("Recording")[0]
    train(page, 300)
    assert summary(page).split("Trained")[0] == recorded


def test_cutting_a_block_changes_the_trained_result(open_lab):
    page = open_lab(island(config={"depth": 20, "steps": 60}))
    train(page, 60)
    whole = page.locator(".rl-curves .rl-front .rl-test").first.get_attribute("d")
    block = page.get_by_role("switch", name="Shortcut of block 5", exact=True)
    block.click()  # the run has ended, so the cut belongs to a new one
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('8 of 9 blocks')")
    assert block.get_attribute("aria-checked") == "false"
    train(page, 60)
    assert "shortcuts A in 8 of 9 blocks" in summary(page)
    assert page.locator(".rl-curves .rl-front .rl-test").first.get_attribute("d") != whole
    assert page.evaluate("location.hash") == "#lab?depth=20&steps=60&cut=5"


def test_a_cut_while_paused_holds_from_the_next_step(open_lab):
    page = open_lab(island(config=SHORT))
    for step in (1, 2, 3):
        page.get_by_role("button", name="Step").click()
        page.wait_for_function("n => document.querySelector('.rl-at').textContent === `${n} / 60`", arg=step)
    page.get_by_role("switch", name="Shortcut of block 2", exact=True).click()
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('2 of 3 blocks')")
    train(page, 60)
    assert page.evaluate("location.hash") == "#lab?depth=8&steps=60&cut=2@3"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    record = lab.check_record(json.loads(download.value.path().read_text()))
    assert record["config"]["switches"] == [[3, 2, 0]]
    # the address alone repeats the run
    again = open_lab(island(config=SHORT), at="#lab?depth=8&steps=60&cut=2@3", name="again.html")
    train(again, 60)
    assert summary(again).split("Trained")[0] == summary(page).split("Trained")[0]
    with again.expect_download() as download:
        again.get_by_role("button", name="Download JSON").click()
    repeated = json.loads(download.value.path().read_text())
    assert all(repeated[key] == record[key] for key in ("loss", "error", "test_error", "norms", "responses"))


def test_pause_holds_and_continue_goes_on(open_lab):
    page = open_lab(island(config={"steps": 2000}))
    page.locator(".rl-primary").first.click()
    press_at(page, 5, "Pause")
    page.wait_for_timeout(300)
    held = page.locator(".rl-at").inner_text()
    page.wait_for_timeout(400)
    assert page.locator(".rl-at").inner_text() == held
    page.get_by_role("button", name="Continue").click()
    page.wait_for_function("n => parseInt(document.querySelector('.rl-at').textContent) > n", arg=int(held.split()[0]))


def test_a_hundred_and_ten_layers_are_recorded_and_train_in_the_page(open_lab):
    page = open_lab(at="#lab?depth=110", width=390)
    assert "110 layers, shortcuts A: test error" in summary(page)
    assert "Recording of" in summary(page)
    widths = page.locator(".rl-block").evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().width)")
    assert len(widths) == 54
    assert min(widths) >= 24  # a finger's target: WCAG 2.2, 2.5.8
    page.get_by_role("button", name="Step").click()
    page.wait_for_function("document.querySelector('.rl-at').textContent === '1 / 300'")
    assert "after 1 step." in summary(page)


def test_scrubbing_moves_every_view(open_lab):
    page = open_lab()
    before = (summary(page), page.locator(".rl-block span").first.get_attribute("style"))
    page.get_by_label("Step shown").fill("40")
    page.wait_for_function("document.querySelector('.rl-at').textContent === '40 / 300'")
    assert (summary(page), page.locator(".rl-block span").first.get_attribute("style")) != before
    assert "after 40 steps" in summary(page)
    assert page.get_by_label("Step shown").get_attribute("aria-valuetext") == "step 40 of 300"
    assert page.get_by_text("At step 40: smallest").is_visible()


def test_guess_first_hides_the_answer_and_compares(open_lab):
    page = open_lab(island(config=SHORT, shown=("residual-8",), guess=True))
    assert "test error" not in summary(page)
    assert page.locator(".rl-curves .rl-run").count() == 0
    handle = page.get_by_role("slider", name="Expected test error at step 60")
    handle.focus()
    for _ in range(4):
        page.keyboard.press("PageDown")
    page.wait_for_function("document.activeElement.getAttribute('aria-valuetext') === '10 percent'")
    area = page.locator(".rl-area").bounding_box()
    page.mouse.click(area["x"] + area["width"] * 0.25, area["y"] + 40)  # drawing with the pointer sets the nearest
    first = page.get_by_role("slider", name="Expected test error at step 12")
    page.wait_for_function(
        "document.querySelector('.rl-handle').getAttribute('aria-valuenow') !== '50'"
        " || document.querySelectorAll('.rl-handle')[1].getAttribute('aria-valuenow') !== '50'"
    )
    assert first.is_visible()
    page.get_by_role("button", name="Show me").click()
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('You guessed 10 %')")
    assert "points away" in summary(page)
    assert page.locator(".rl-guess").count() == 1


@pytest.mark.parametrize(
    "state",
    [
        "depth=20&shortcut=B&normalization=none&activation=pre&learning_rate=0.01&seed=7&cut=2,4@10&restore=4@20",
        "shortcut=none&restore=3",
        "source=recording&at=40",
        "depth=8&guess=1",
    ],
)
def test_the_address_holds_the_whole_state(open_lab, state):
    page = open_lab(at=f"#lab?{state}")
    assert not page.locator(".rl-message").is_visible()
    page.evaluate("navigator.clipboard && (navigator.clipboard.writeText = async (text) => { window.copied = text; })")
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_function("window.copied")
    assert page.evaluate("copied").split("#")[1] == f"lab?{state}"
    assert page.evaluate("location.hash") == f"#lab?{state}"


def test_changing_a_setting_changes_the_address_and_the_network(open_lab):
    page = open_lab()
    page.get_by_role("combobox", name="Depth").select_option("20")
    page.get_by_role("spinbutton", name="Seed").fill("12")
    page.get_by_role("spinbutton", name="Seed").press("Enter")
    page.wait_for_function("location.hash === '#lab?depth=20&seed=12'")
    assert page.locator(".rl-block").count() == 9
    assert "not trained yet" in summary(page)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("depth=57", "depth must be one of 8, 20, 32, 56, 110"),
        ("learning_rate=abc", "learning_rate must be a number from 0.0001 to 10"),
        ("learning_rate=1e9", "learning_rate must be a number from 0.0001 to 10"),
        ("seed=1.5", "seed must be a whole number from 0 to 99999"),
        ("cut=99", "a network of depth 56 has blocks 1 to 27"),
        ("cut=x@y", "blocks are written as 5 or 5@40"),
        ("colour=red", "there is no such setting"),
        ("source=kernel", "source must be one of browser, recording"),
        ("%E0%A4%A", "there is no such setting"),
        ("<img src=x onerror=alert(1)>", "there is no such setting"),
    ],
)
def test_a_bad_address_is_explained_and_the_lab_lives(open_lab, state, said):
    page = open_lab(at=f"#lab?{state}&seed=3")
    assert said in page.locator(".rl-message").inner_text()
    assert page.locator(".rl-message img").count() == 0
    assert page.get_by_role("spinbutton", name="Seed").input_value() == "3"


def test_a_bad_number_in_a_field_is_explained(open_lab):
    page = open_lab()
    page.get_by_role("spinbutton", name="Learning rate").fill("-1")
    page.get_by_role("spinbutton", name="Learning rate").press("Enter")
    assert "must be a number from 0.0001 to 10. It stays at 0.03" in page.locator(".rl-message").inner_text()


def test_a_changed_recording_is_refused_and_the_others_are_shown(open_lab):
    text = island()
    record = lab.load_records("plain-56")[0]
    changed = record["loss"][:-4] + ("AAAA" if record["loss"][-4:] != "AAAA" else "BBBB")
    page = open_lab(text.replace(record["loss"], changed))
    assert "A recorded run cannot be shown: its checksum is" in page.locator(".rl-message").inner_text()
    assert page.locator(".rl-runs li").count() == 1


def test_a_loss_that_is_no_number_is_reported_and_the_lab_goes_on(open_lab):
    page = open_lab(at="#lab?normalization=none&learning_rate=10&depth=20")
    page.locator(".rl-primary").first.click()
    page.wait_for_function("document.querySelector('.rl-message').textContent.includes('no longer a number at step')")
    page.get_by_role("combobox", name="Batch norm").select_option("batch")
    assert not page.locator(".rl-message").is_visible()
    page.get_by_role("button", name="Step").click()
    page.wait_for_function("document.querySelector('.rl-at').textContent === '1 / 300'")


KEEP_WORKERS = """window.workers = [];
window.Worker = class extends Worker { constructor(...rest) { super(...rest); window.workers.push(this); } };"""


def test_a_worker_that_dies_is_reported_and_replaced(open_lab):
    page = open_lab(island(config=SHORT), start=KEEP_WORKERS)
    page.get_by_role("button", name="Step").click()
    page.wait_for_function("document.querySelector('.rl-at').textContent === '1 / 60'")
    page.evaluate("workers[0].terminate()")
    page.get_by_role("button", name="Step").click()
    page.wait_for_function(
        "document.querySelector('.rl-message').textContent.includes('stopped answering')", timeout=15_000
    )
    page.get_by_role("button", name="Reset").click()
    assert not page.locator(".rl-message").is_visible()
    train(page, 60)


def test_a_page_that_may_not_start_workers_says_so(open_lab):
    page = open_lab(start="window.Worker = class { constructor() { throw new Error('workers are forbidden here'); } };")
    page.locator(".rl-primary").first.click()
    page.wait_for_function("document.querySelector('.rl-message').textContent.includes('workers are forbidden here')")
    page.get_by_role("combobox", name="Figures from").select_option("recording")
    assert "Recording of" in summary(page)


def test_a_hidden_tab_waits(open_lab):
    page = open_lab()
    page.locator(".rl-primary").first.click()
    page.wait_for_function("parseInt(document.querySelector('.rl-at').textContent) > 5")
    hide(page, True)
    page.wait_for_timeout(300)
    held = page.locator(".rl-at").inner_text()
    page.wait_for_timeout(300)
    assert page.locator(".rl-at").inner_text() == held
    hide(page, False)
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('while this tab was hidden')")
    page.wait_for_function("n => parseInt(document.querySelector('.rl-at').textContent) > n", arg=int(held.split()[0]))


def test_two_labs_on_a_page_do_not_meddle(open_lab):
    page = open_lab(island("first", SHORT), island("second", SHORT))
    first, second = page.locator("#first"), page.locator("#second")
    first.get_by_role("spinbutton", name="Seed").fill("5")
    first.get_by_role("spinbutton", name="Seed").press("Enter")
    second.get_by_role("spinbutton", name="Seed").fill("6")
    second.get_by_role("spinbutton", name="Seed").press("Enter")
    assert page.evaluate("location.hash") == "#first?depth=8&seed=5&steps=60;second?depth=8&seed=6&steps=60"
    for one in (first, second):
        one.locator(".rl-primary").first.click()
    for one in (first, second):
        one.locator(".rl-at", has_text="60 / 60").wait_for()
        assert "Trained in this browser" in one.locator(".rl-summary").inner_text()
    names = page.evaluate("[...document.querySelectorAll('.rl-runs input')].map((one) => one.name)")
    assert set(names) == {"first-run", "second-run"}


def test_a_broken_island_keeps_its_figure(open_lab):
    broken = island("broken").replace('application/json">{', 'application/json">{{')
    page = open_lab(broken, island("sound", SHORT))
    assert "The lab could not start" in page.locator("#broken").inner_text()
    assert page.locator("#broken figure").is_visible()
    assert page.locator("#sound .rl-primary").first.is_visible()


def test_everything_by_keyboard(open_lab):
    page = open_lab(island(config=SHORT))

    def tab_to(name):
        for _ in range(60):
            page.keyboard.press("Tab")
            label = page.evaluate(
                """() => {
                  const one = document.activeElement;
                  return one === document.body ? "" : one.getAttribute("aria-label") || one.textContent;
                }"""
            )
            if name in label:
                return
        raise AssertionError(f"{name} is not reached with Tab")

    tab_to("Train in this browser")
    page.keyboard.press("Enter")
    page.locator(".rl-at", has_text="60 / 60").wait_for()
    tab_to("Shortcuts")
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('no shortcuts')")
    page.keyboard.press("Space")
    tab_to("Step shown")
    page.keyboard.press("ArrowLeft")
    page.locator(".rl-at", has_text="59 / 60").wait_for()
    page.keyboard.press("End")
    tab_to("Shortcut of block 1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('2 of 3 blocks')")
    assert page.get_by_role("switch", name="Shortcut of block 2", exact=True).get_attribute("aria-checked") == "false"
    tab_to("Figures as tables")
    page.keyboard.press("Enter")
    page.locator(".rl-tables").wait_for()


def test_the_table_has_the_figures_of_the_charts(open_lab):
    page = open_lab()
    page.get_by_text("Figures as tables").click()
    page.locator(".rl-tables table").first.wait_for(state="attached")  # drawn in the next task
    rows = page.locator(".rl-tables table").first.locator("tbody tr")
    last = rows.last.locator("th, td").all_inner_texts()
    assert last[0] == "300"
    assert float(last[4]) == test_error(page)
    assert page.locator(".rl-tables table").last.locator("tbody tr").count() == 27


def test_downloads_hold_the_run(open_lab):
    page = open_lab()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 301
    assert len(lines[0].split(",")) == 5 + 56 + 27
    assert download.value.suggested_filename == "resnet-56-A-seed-1.csv"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    assert json.loads(download.value.path().read_text()) == lab.load_records("residual-56")[0]


def test_a_recording_replays_or_with_reduced_motion_jumps(open_lab):
    page = open_lab(at="#lab?source=recording")
    page.get_by_role("button", name="Replay the recording").click()
    page.wait_for_function("parseInt(document.querySelector('.rl-at').textContent) > 20")
    assert int(page.locator(".rl-at").inner_text().split()[0]) < 300
    page.get_by_role("switch", name="Shortcut of block 2", exact=True).click()
    assert "A recording cannot be changed" in page.locator(".rl-message").inner_text()
    calm = open_lab(at="#lab?source=recording", name="calm.html", reduced_motion="reduce")
    calm.get_by_role("button", name="Replay the recording").click()
    calm.wait_for_timeout(200)
    assert calm.locator(".rl-at").inner_text() == "300 / 300"
    assert calm.locator(".rl [aria-live='polite']").inner_text().startswith("Finished. 56 layers")


def test_without_webassembly_the_time_that_is_left_is_said_and_that_rounding_differs(open_lab):
    without = """const Plain = Blob;
      globalThis.Blob = class extends Plain {
        constructor(parts, options) { super(["delete self.WebAssembly;", ...parts], options); }
      };"""
    page = open_lab(island(config={"depth": 20}), start=without)
    page.locator(".rl-primary").first.click()
    page.wait_for_function("/left, learning rate/.test(document.querySelector('.rl-summary').textContent)")
    said = summary(page)
    assert "plain JavaScript" in said and "rounding differs" in said
    assert re.search(r"steps/s, about \d+ (s|min) left", said), said


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("at", ["", "#lab?guess=1", "#lab?depth=9&shortcut=B&cut=3"])
def test_no_accessibility_violation(open_lab, theme, at):
    page = open_lab(theme=theme, at=at)
    page.locator(".rl details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    page.wait_for_timeout(200)
    # a page from disk may not read its own style sheet again, as axe-core tries to
    assert faults(page) == []


def test_nothing_is_announced_at_every_step(open_lab):
    page = open_lab(island(config=SHORT))
    page.evaluate(
        """() => {
          window.said = [];
          for (const one of document.querySelectorAll("[aria-live=polite]")) {
            new MutationObserver(() => window.said.push(one.textContent)).observe(one, { childList: true, characterData: true, subtree: true });
          }
        }"""  # noqa: E501
    )
    train(page, 60)
    assert len(page.evaluate("said")) == 2  # start and finish
    assert page.locator("[aria-live=polite], [role=alert], [role=status]").count() == 1


@pytest.mark.parametrize("width", [390, 700, 1000])
def test_it_fits_a_phone_and_touch(open_lab, width):
    page = open_lab(width=width, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """[...document.querySelectorAll(".rl button, .rl select, .rl input:not([type=radio])")].filter((one) => one.offsetParent)
          .filter((one) => one.getBoundingClientRect().height < 24 || one.getBoundingClientRect().width < 19).map((one) => one.outerHTML)"""  # noqa: E501
    )
    assert small == []
    page.get_by_role("switch", name="Shortcut of block 27", exact=True).tap()
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('26 of 27 blocks')")


def test_without_javascript_a_figure_with_its_caption(open_lab):
    page = open_lab(java_script_enabled=False)
    assert page.locator("figure.rf img.rf-light").is_visible()
    assert "Two networks of 56 layers" in page.locator("figcaption").inner_text()
    assert not page.locator(".rl").count()


def test_it_works_in_a_sub_folder_under_a_prefix_of_a_server(open_lab, static):
    with served(static.parent) as address:
        page = open_lab(island(config=SHORT), name="deep/down/page.html", address=f"{address}{static.name}/")
        train(page, 60)
        page.close()


def test_a_kernel_is_one_more_source(open_lab):
    """The module form in a page with a model that answers the protocol as a kernel would."""
    page = open_lab(body='<div id="cell"></div>')
    page.evaluate(
        """async (source) => {
          const { render } = (await import(source)).default;
          let listener, frames = [], state = "paused";
          window.requests = [];
          const model = {
            get: (name) => ({ kernel: true, config: { depth: 8, steps: 20 } })[name],
            on: (name, callback) => { if (name === "msg:custom") listener = callback; }, off() {},
            send: (request) => {
              window.requests.push(request);
              if (request.kind === "start" && request.play || request.kind === "play") state = "running";
              if (state === "running") for (let n = 0; n < 5 && frames.length < 20; n++) {
                frames.push({ step: frames.length + 1, loss: 1, error: 50, test_loss: 1, test_error: 40,
                  norms: Array(8).fill(0.1), responses: Array(3).fill(1) });
              }
              if (frames.length === 20) state = "done";
              const reply = () => listener({ id: request.id, state, message: null, device: "Tesla T4", switches: [],
                frames: frames.slice(request.since) });
              if (window.silent) window.held = reply;
              else setTimeout(reply, 5);
            },
          };
          render({ model, el: document.querySelector("#cell") });
        }""",
        f"data:text/javascript;base64,{base64.b64encode(lab.bundle('training').encode()).decode()}",
    )
    page.get_by_role("button", name="Train in the kernel").click()
    page.locator(".rl-at", has_text="20 / 20").wait_for()
    assert "test error 40.0 %" in summary(page)
    assert "Trained in the kernel (Tesla T4)" in summary(page)
    requests = page.evaluate("requests")
    assert [request["id"] for request in requests] == list(range(1, len(requests) + 1))
    assert requests[0]["kind"] == "start"
    assert requests[0]["config"]["depth"] == 8
    assert {request["kind"] for request in requests[1:]} == {"poll"}
    page.evaluate("window.silent = true")
    page.get_by_role("spinbutton", name="Seed").fill("9")
    page.get_by_role("spinbutton", name="Seed").press("Enter")
    page.get_by_role("button", name="Train in the kernel").click()
    page.wait_for_function(
        "document.querySelector('.rl-message').textContent.includes('busy with another cell')", timeout=15_000
    )
    assert "Training in the kernel" in summary(page) or "not trained yet" in summary(page)  # it waits, and says so
    page.evaluate("window.silent = false; window.held()")  # the other cell has ended
    page.locator(".rl-message").wait_for(state="hidden")
    page.locator(".rl-at", has_text="20 / 20").wait_for()
    assert "Trained in the kernel (Tesla T4)" in summary(page) and "seed 9" in summary(page)


def test_the_files_stay_small():
    files = {name: shrink(name, text) for name, text in lab.page_scripts().items()}
    size = {name: len(gzip.compress(text.encode(), 9)) / 1000 for name, text in files.items()}
    assert size.pop("lab.js") + size.pop("lab-training.js") < 30
    assert size.pop("lab-parts.js") < 15
    assert size.pop("lab-engine.js") < 60
    assert size.pop("lab-bank.js") < 80  # all recorded runs, on the page of recorded results alone
    assert max(size.values()) < 5, size
    assert len(gzip.compress(island().encode(), 9)) / 1000 < 60
