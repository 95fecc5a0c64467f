"""Parts that instruments share: the network at hand, many trainings, several seeds; each on a page of its own."""
# ruff: noqa: E501 (the JavaScript keeps its lines)

import statistics as reference

import pytest
from conftest import problems_of

from resnet_edu import lab
from resnet_edu.lab.assets import page_script

EXPORTS = (
    *("Bench", "Field", "Messages", "browserSource", "dots", "html", "measured", "nextSeeds", "sayMean", "sayRange"),
    *("secondsFor", "show", "statistics", "trainAll", "endError"),
)
TINY = {"depth": 8, "steps": 30, "test_every": 30}
HOLD = """
Object.assign(globalThis, parts, { tools: { engine: async () => ({ engine, digits }) } });
globalThis.messages = new Messages(() => {});
globalThis.wait = async (done) => { while (!done()) await new Promise((next) => setTimeout(next, 20)); };
"""


@pytest.fixture(scope="module")
def start(browser, tmp_path_factory):
    """Open a page that has the parts as globals; it comes from a file, since a blank page has no storage."""
    path = tmp_path_factory.mktemp("parts") / "page.html"
    path.write_text('<!doctype html><html lang="en"><title>Parts</title><main></main>')
    script = f"globalThis.parts = ({page_script(EXPORTS)})();\nglobalThis.engine = ({lab.engine_script()});\n{HOLD}"

    def started(before="", keep=None):
        page = (keep.context if keep else browser.new_context()).new_page()
        page.problems = problems_of(page)
        if before:
            page.add_init_script(before)
        page.goto(path.as_uri())
        page.evaluate("(data) => { globalThis.digits = data; }", lab.digits_data())
        page.add_script_tag(content=script)
        return page

    return started


@pytest.fixture(scope="module")
def page(start):
    page = start()
    yield page
    assert page.problems == []


def test_many_trainings_are_those_of_one_worker_alone_and_come_in_order(page):
    """Whichever Worker takes a job, its figures are the same; each network can be asked before the next one comes."""
    seen = page.evaluate(
        """async (tiny) => {
          const jobs = ["A", "none", "A", "none"].map((shortcut, n) => ({ key: n, config: { ...tiny, shortcut, seed: 1 + (n >> 1) } }));
          const [reports, drawn] = [[], new Set()];
          const options = { progress: (at) => reports.push(at), frames: (run) => drawn.add(run.key), after: (ask, run) => ask("evaluate") };
          const runs = await trainAll(tools, jobs, { ...options, workers: 3 });
          const alone = await trainAll(tools, jobs, { workers: 1 });
          const none = await trainAll(tools, [{ key: "u", config: { ...tiny, steps: 0 } }], { after: (ask) => ask("describe") });
          return {
            keys: runs.map(({ key }) => key), states: runs.map(({ state }) => state), drawn: drawn.size, last: reports.at(-1),
            error: runs.map((run) => [endError(run), run.result.error]), same: runs.map((run, n) => JSON.stringify(run.frames) === JSON.stringify(alone[n].frames)),
            untrained: [none[0].state, none[0].frames.length, none[0].result.step],
          };
        }""",
        TINY,
    )
    assert seen["keys"] == [0, 1, 2, 3] and set(seen["states"]) == {"done"} and seen["drawn"] == 4
    assert seen["last"] == {"done": 4, "total": 4, "steps": 120, "of": 120, "left": 0}
    assert all(end == asked for end, asked in seen["error"]) and all(seen["same"])
    assert len({end for end, _ in seen["error"]}) > 1
    assert seen["untrained"] == ["done", 0, 0]


def test_trainings_stop_at_once_and_faults_stay_with_their_run(page):
    seen = page.evaluate(
        """async (tiny) => {
          const control = new AbortController();
          const jobs = [1, 2, 3].map((seed) => ({ key: seed, config: { ...tiny, depth: 56, steps: 2000, seed } }));
          const runs = trainAll(tools, jobs, { signal: control.signal, workers: 2, frames: ({ frames }) => frames.length && control.abort() });
          const stopped = (await runs).map(({ state, frames }) => [state, frames.length < 2000]);
          const hot = [{ key: "hot", config: { ...tiny, normalization: "none", depth: 56, learning_rate: 10 } }, { key: "good", config: tiny }];
          const asked = { after: (ask, run) => ask(run.key === "good" ? "nonsense" : "describe") };
          const faults = (await trainAll(tools, hot, { workers: 1, ...asked })).map(({ state, message }) => [state, message]);
          return { stopped, faults };
        }""",
        TINY,
    )
    assert seen["stopped"] == [["stopped", True]] * 3
    assert seen["faults"][0][0] == seen["faults"][1][0] == "failed"
    assert "no longer a number" in seen["faults"][0][1] and "there is no question" in seen["faults"][1][1]


def test_a_field_has_a_button_a_stop_and_trains_only_what_is_missing(page):
    page.evaluate(
        """(tiny) => {
          const redraw = () => globalThis.screen_?.redraw();
          globalThis.field = new Field({ tools, messages: new Messages(redraw), redraw });
          globalThis.jobs = [1, 2].map((seed) => ({ key: seed, config: { ...tiny, seed, depth: 20, steps: 1000 } }));
          globalThis.screen_ = show(document.querySelector("main"), () => html`<div class="rl">${field.bar("Train two", jobs)}</div>`);
        }""",
        TINY,
    )
    page.get_by_role("button", name="Train two (about").click()
    page.get_by_role("progressbar").wait_for()
    page.wait_for_function("[...field.runs.values()].some(({ frames }) => frames.length)")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Train two (about").wait_for()
    assert page.evaluate("[...field.runs.values()].map(({ state }) => state)") == ["stopped"] * 2
    page.evaluate("(tiny) => { jobs.splice(0, 2, { key: 3, config: tiny }); screen_.redraw(); }", TINY)
    page.get_by_role("button", name="Train two (about 1 s").click()
    page.wait_for_function("field.runs.get(3)?.state === 'done' && !field.running")
    assert page.get_by_role("button", name="Train two", exact=True).is_disabled()
    page.evaluate("field.close(), screen_.close()")


def test_a_worker_that_is_lost_is_one_failed_run(start):
    page = start()
    states = page.evaluate(
        """async (tiny) => {
          const jobs = [1, 2].map((seed) => ({ key: seed, config: { ...tiny, depth: 56, steps: 300, seed } }));
          const Real = Worker;
          let first = null;
          globalThis.Worker = class extends Real { constructor(...given) { super(...given); first ??= this; } };
          const lose = ({ key, frames }) => key === 1 && frames.length && first.onerror(new ErrorEvent("error", { message: "out of memory" }));
          return (await trainAll(tools, jobs, { workers: 1, frames: lose })).map(({ state, message }) => [state, message]);
        }""",
        TINY,
    )
    assert states[0][0] == "failed" and "stopped answering" in states[0][1] and states[1] == ["done", None]
    page = start(before="window.Worker = class { constructor() { throw new Error('no workers here'); } };")
    states = page.evaluate(
        "async (tiny) => (await trainAll(tools, [{ config: tiny }])).map((run) => run.message)", TINY
    )
    assert "no workers here" in states[0]


def test_a_question_reports_and_can_be_given_up(page):
    seen = page.evaluate(
        """async (tiny) => {
          let [parts, control] = [0, new AbortController()];
          const after = async (ask) => {
            await ask("lesions", {}, { progress: ({ part }) => { parts += Boolean(part); } });
            const long = ask("surface", { alphas: Array(60).fill(0.1), betas: Array(60).fill(0.1) }, { signal: control.signal });
            control.abort();
            const given = await long.catch(({ name }) => name);
            const early = await ask("evaluate", {}, { signal: control.signal }).catch(({ name }) => name);
            return [parts, given, early, (await ask("evaluate")).count];
          };
          return (await trainAll(tools, [{ config: tiny }], { after }))[0].result;
        }""",
        TINY,
    )
    assert seen == [3, "AbortError", "AbortError", 360]


BENCH = """(tiny) => {
  globalThis.seen = [];
  const redraw = () => globalThis.screen_?.redraw();
  globalThis.messages = new Messages(redraw);
  globalThis.bench = new Bench({ tools, messages, redraw, changed: ({ name }) => seen.push(name), fits: ({ depth }) => depth === 8, ...globalThis.more,
    offers: [{ name: "on", label: "residual-8", config: tiny }, { name: "off", label: "plain-8", config: { ...tiny, shortcut: "none" } },
      { name: "new", label: "untrained-8", config: { ...tiny, steps: 0 } }].slice(0, globalThis.few ?? 3) });
  globalThis.screen_ = show(document.querySelector("main"), () => html`<div class="rl">${messages.view()}${bench.view()}${bench.networks.view()}</div>`);
}"""


def test_the_network_at_hand_is_trained_asked_kept_and_opened_on_another_page(start):
    page = start()
    page.evaluate(BENCH, TINY)
    line = page.locator(".rl-holder")
    assert "residual-8, seed 1: not trained yet" in line.inner_text()
    assert "not trained yet" in page.evaluate("bench.ask('evaluate').catch((error) => error.message)")
    page.get_by_role("button", name="Train this network (about").click()
    page.wait_for_function("bench.holder.state === 'ready'")
    end = page.evaluate("bench.ask('evaluate')")["error"]
    assert f"residual-8: 8 layers, shortcuts A, test error {end:.1f} % after 30 steps." in line.inner_text()
    assert "seed 1" in line.inner_text() and "Trained in this browser" in line.inner_text()
    page.get_by_label("Network").select_option("untrained-8")
    page.wait_for_function("bench.holder.state === 'ready'")
    assert page.evaluate("bench.ask('describe')")["step"] == 0 and "untrained, seed 1" in line.inner_text()
    page.get_by_label("Network").select_option("residual-8")
    page.get_by_role("button", name="Train another seed").click()
    page.wait_for_function("bench.holder.state === 'ready' && bench.holder.config.seed === 2")
    assert page.evaluate("seen") == ["on", "new", "on", "on"]
    file = page.evaluate("bench.ask('export').then((file) => Array.from(new Uint8Array(file)))")
    assert lab.load_network(bytes(file)).lab["config"]["seed"] == 2

    other = start(keep=page)
    other.evaluate(BENCH, TINY)
    option = "yours: 8 layers, shortcuts A, seed 1"
    other.wait_for_function("bench.networks.entries.length === 2")
    other.get_by_label("Network").select_option(option)
    other.wait_for_function("bench.holder.state === 'ready'")
    assert other.evaluate("bench.ask('evaluate')")["error"] == end
    assert f"test error {end:.1f} %" in other.locator(".rl-holder").inner_text()
    assert "Your network" in other.locator(".rl-holder").inner_text() and other.evaluate("seen") == ["own:1"]
    other.evaluate("bench.fits = () => false, screen_.redraw()")
    other.get_by_text("Your networks", exact=True).click()
    other.get_by_role("button", name="Open: 8 layers, shortcuts A, seed 2").click()
    other.wait_for_function("document.querySelector('.rl-message').textContent.includes('cannot use 8 layers')")
    assert page.problems == other.problems == []


def test_twins_are_trained_at_one_press_and_a_stop_keeps_what_has_begun_to_learn(start):
    page = start(before="Object.defineProperty(window, 'indexedDB', { value: undefined });")
    page.evaluate("globalThis.more = { together: true }; globalThis.few = 2;")
    page.evaluate(BENCH, {**TINY, "steps": 2000})
    assert page.evaluate("messages.complaint") == ""  # storage is blocked, and nobody asked for it
    page.get_by_role("button", name="Train both (about").click()
    page.wait_for_function("[...bench.holders.values()].every(({ run }) => run?.frames.length)")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function("!bench.running")
    assert page.evaluate("[...bench.holders.values()].map(({ state }) => state)") == ["ready", "ready"]
    assert "of 2000, stopped" in page.locator(".rl-holder").first.inner_text()
    steps = page.evaluate(
        "Promise.all(['on', 'off'].map(async (of) => (await bench.ask('describe', {}, { of })).step))"
    )
    assert all(0 < step < 2000 for step in steps)
    page.evaluate("bench.close()")


def test_statistics_of_seeds_and_the_time_before_a_press(page):
    values = [3.125, 2.5, 5.625, 4.0]
    made = page.evaluate("(values) => statistics(values)", values)
    assert made["n"] == 4 and made["mean"] == pytest.approx(reference.mean(values))
    assert made["sd"] == pytest.approx(reference.stdev(values)) and (made["least"], made["most"]) == (2.5, 5.625)
    assert page.evaluate("(values) => [sayRange(values), sayRange([2]), sayMean(values), sayMean([2])]", values) == [
        "2.5 to 5.6 %", "2.0 %", "3.8 ± 1.4 % (n = 4)", "2.0 % (n = 1)",
    ]  # fmt: skip
    assert page.evaluate("nextSeeds({ seed: 7 }, 2).map(({ seed }) => seed)") == [9, 10, 11]
    config = {"depth": 20, "steps": 300, "width": 4, "batch_size": 32, "test_every": 10}
    one, four, two = page.evaluate(
        """(config) => {
          for (let n = 0; n < 50; n++) measured(config, 100); // 100 steps a second: 3 s
          return [secondsFor([config], 2), secondsFor(Array(4).fill(config), 2), secondsFor([{ ...config, steps: 600 }], 2)];
        }""",
        config,
    )
    assert (one, four, two) == (pytest.approx(3, rel=0.01), pytest.approx(6, rel=0.01), pytest.approx(6, rel=0.01))


def test_every_seed_is_a_point_and_the_mean_a_stroke(page):
    page.evaluate(
        """() => show(document.querySelector("main"), () => dots("Errors", [{ name: "with", values: [2, 3, 4], style: "on" },
          { name: "without", values: [40], style: "off" }])).close()"""
    )
    chart = page.get_by_role("img", name="Errors. with: 2.0, 3.0, 4.0; without: 40.0.")
    assert [chart.locator(kind).count() for kind in ("circle", "rect", "path")] == [3, 1, 1]
