"""How fast the lab trains: steps per second and GFLOP/s, beside what this machine could do and TensorFlow.js.

python -m benchmarks.lab [--against COMMIT]    needs npm (TensorFlow.js goes into build/, once) and a Chromium

All train residual networks with option A, batch normalisation, width 4 and batch 32 on 8x8 images, with SGD and
momentum, in one headless Chromium, alternately; figures are medians of the rounds, with their range. GFLOP/s counts the
multiplications and additions of the convolutions alone, forwards and backwards, without those that a border saves.
The peak is that of one thread: multiply-adds on registers in WebAssembly SIMD, with and without fusing, the faster one.
``--against`` measures the engine of another commit in the same rounds.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from resnet_edu import lab
from resnet_edu.lab.recording import DEFAULTS

ROOT = Path(__file__).parents[1]
VERSION = "4.22.0"
FOLDER = ROOT / "build" / "tfjs"
SCRIPT = FOLDER / "node_modules" / "@tensorflow" / "tfjs" / "dist" / "tf.min.js"
SIZES = ((7, 8), (19, 20), (55, 56))  # convolutions, depth
NEEDED = ("buildNet", "generator")
PARTS = (*NEEDED, "assemble", "define", "loop", "splat", "storeSum", "madd4", "fusedMadd4", "hasFused")

OURS = """([name, config, count, options]) => {
  const engine = globalThis[name];
  const net = engine.buildNet(config, options);
  const random = engine.generator(1);
  for (let n = 0; n < net.images.data.length; n++) net.images.data[n] = random.normal();
  const run = (steps) => { for (let n = 0; n < steps; n++) { net.forward(true); net.backward(); net.update(); } };
  run(count > 10 ? 30 : 1); // browsers compile what has run for a while once more
  const start = performance.now();
  run(count);
  return (1000 * count) / (performance.now() - start);
}"""
# Additions and multiplications of a step's convolutions: forwards, to the weights and (not at the input) to the input.
WORK = """(config) => {
  const { outputs, layers, blocks, images } = engine.buildNet(config);
  let sum = 0;
  outputs.forEach(({ size, channels }, index) => {
    const { k, inputs } = layers[index];
    const before = index ? outputs[index - 1].size : images.size;
    const inside = (p, tap) => p * (before / size) + tap - 1 >= 0 && p * (before / size) + tap - 1 < before;
    let taps = 0;
    for (let p = 0; p < size; p++) for (let tap = 0; tap < k; tap++) taps += inside(p, tap);
    sum += (index ? 6 : 4) * taps * taps * inputs * channels * config.batch_size;
  });
  return sum;
}"""
# GFLOP/s of ten independent chains of multiply-adds on registers.
PEAK = """(rounds) => {
  const { assemble, define, loop, splat, storeSum, madd4, fusedMadd4, hasFused } = engine;
  const chains = (madd) => define(2, ([at, count], local) => {
    const n = local.int();
    const [factor, ...sums] = Array.from({ length: 11 }, local.float4);
    const once = sums.map((sum) => sum.set(madd(factor, sum, factor)));
    return [factor.set(splat(at)), sums.map((sum) => sum.set(splat(at))), loop(n, count, 1, once, once, once, once),
      sums.map((sum) => storeSum(at, sum))];
  });
  const time = (madd) => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const module = new WebAssembly.Module(assemble({ run: chains(madd) }));
    const { run } = new WebAssembly.Instance(module, { env: { memory } }).exports;
    new Float32Array(memory.buffer)[0] = 1e-3;
    run(0, 300000);
    const start = performance.now();
    run(0, rounds);
    return (rounds * 4 * 10 * 8) / (performance.now() - start) / 1e6;
  };
  return { plain: time(madd4), fused: hasFused() ? time(fusedMadd4) : 0 };
}"""
# Steps a second of `count` Workers that train at once, all together.
WORKERS = """async ([text, config, count, steps]) => {
  const code = `const engine = (${text})(); const train = (${globalThis.trainText}); onmessage = ({ data }) => {
    globalThis.engine = engine; postMessage(train(data)); };`;
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const workers = Array.from({ length: count }, () => new Worker(url));
  const ask = (worker, some) => new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.postMessage(["engine", config, some, {}]);
  });
  await Promise.all(workers.map((worker) => ask(worker, 40)));
  const rates = await Promise.all(workers.map((worker) => ask(worker, steps)));
  workers.forEach((worker) => worker.terminate());
  return rates.reduce((sum, rate) => sum + rate, 0);
}"""
# Press Train and watch: milliseconds until the button says Pause in a drawn frame, seconds until the test errors of the
# twins are 20 points apart, and the longest task of the page's own thread meanwhile, in milliseconds.
RACE = """async () => {
  const tasks = [];
  const note = (list) => list.getEntries().forEach(({ duration }) => tasks.push(duration));
  new PerformanceObserver(note).observe({ type: "longtask" });
  const button = document.querySelector(".rl-primary"), summary = document.querySelector(".rl-summary");
  const start = performance.now();
  button.click();
  await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
  if (!button.textContent.includes("Pause")) throw new Error(`the press was not answered: ${button.textContent}`);
  const answered = performance.now() - start;
  const gap = await new Promise((reached) => {
    const look = () => {
      const found = /([\\d.]+) % with shortcuts, ([\\d.]+) % without/.exec(summary.textContent);
      const live = summary.textContent.includes("Training in");
      if (live && found && found[2] - found[1] >= 20) reached(performance.now() - start);
      else setTimeout(look, 20);
    };
    look();
  });
  const said = document.querySelector("[aria-live=polite]");
  while (!said.textContent.startsWith("Finished")) await new Promise((on) => setTimeout(on, 50));
  return [answered, gap / 1000, Math.max(0, ...tasks)];
}"""
TFJS = """async ([config, count]) => {
  await tf.setBackend("cpu");
  const { depth, width, batch_size: batch } = config;
  const weight = (shape) => tf.variable(tf.randomNormal(shape, 0, Math.sqrt(2 / (9 * shape.at(-1)))));
  const layers = [];
  const conv = (inputs, channels, stride) => {
    const w = weight([3, 3, inputs, channels]);
    const [gain, bias] = [tf.variable(tf.ones([channels])), tf.variable(tf.zeros([channels]))];
    return (x) => {
      const y = tf.conv2d(x, w, stride, "same");
      const { mean, variance } = tf.moments(y, [0, 1, 2]);
      return tf.batchNorm(y, mean, variance, bias, gain, 1e-5);
    };
  };
  const stem = conv(1, width, 1);
  let inputs = width;
  for (let stage = 0; stage < 3; stage++) for (let index = 0; index < (depth - 2) / 6; index++) {
    const [channels, stride] = [width << stage, stage && !index ? 2 : 1];
    const [one, two, extra] = [conv(inputs, channels, stride), conv(channels, channels, 1), (channels - inputs) / 2];
    layers.push((x) => {
      let side = x;
      if (stride > 1) side = tf.pad(tf.avgPool(x, 1, 2, "valid"), [[0, 0], [0, 0], [0, 0], [extra, extra]]);
      return tf.relu(tf.add(two(tf.relu(one(x))), side));
    });
    inputs = channels;
  } // (pooling over 1x1 takes every second pixel: strided slices have no gradient there)
  const [fc, bias] = [weight([inputs, 10]), tf.variable(tf.zeros([10]))];
  const images = tf.randomNormal([batch, 8, 8, 1]);
  const labels = tf.oneHot(tf.range(0, batch, 1, "int32").mod(tf.scalar(10, "int32")), 10);
  const optimizer = tf.train.momentum(config.learning_rate, config.momentum);
  const run = async (steps) => {
    let loss;
    for (let n = 0; n < steps; n++) loss = optimizer.minimize(() => {
      let x = tf.relu(stem(images));
      for (const layer of layers) x = layer(x);
      return tf.losses.softmaxCrossEntropy(labels, tf.add(tf.matMul(tf.mean(x, [1, 2]), fc), bias));
    }, true);
    return (await loss.data())[0];
  };
  await run(1);
  const start = performance.now();
  const loss = await run(count);
  if (!Number.isFinite(loss)) throw new Error(`TensorFlow.js computed the loss ${loss}`);
  tf.disposeVariables();
  return (1000 * count) / (performance.now() - start);
}"""


def get_tfjs() -> None:
    """Install TensorFlow.js into the ignored build folder if it is not there."""
    if SCRIPT.exists():
        return
    if not (npm := shutil.which("npm")):
        sys.exit("TensorFlow.js is not installed and there is no npm to get it; install Node.js first")
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--silent", "--no-save", "--ignore-scripts", f"@tensorflow/tfjs@{VERSION}"]
    if subprocess.run(command, cwd=FOLDER).returncode:
        sys.exit("npm could not install TensorFlow.js: see its messages above")


def engine_of(commit: str) -> str:
    """Return the engine's script as it was at a commit."""
    archive = subprocess.run(["git", "archive", commit, "resnet_edu"], cwd=ROOT, capture_output=True)
    if archive.returncode:
        sys.exit(f"there is no commit {commit!r} with a resnet_edu: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as packed:
            packed.extractall(folder, filter="data")
        code = f"from resnet_edu import lab; print(lab.engine_script({NEEDED!r}))"
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the engine of {commit} cannot be put together: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def middle(values: list[float], digits: int = 1) -> str:
    """Return the median of some measurements, and their range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def measure(page: Page, rounds: int, against: bool) -> None:
    """Print the table, a line for each size as soon as it is there."""
    head = ["lab, steps/s", *(["before, steps/s", "ratio"] if against else [])]
    head += ["GFLOP/s", "peak", "share", "without SIMD", "TensorFlow.js"]
    print(f"{'convolutions':>12}" + "".join(f"{name:>22}" for name in head))
    for convolutions, depth in SIZES:
        config = {**DEFAULTS, "depth": depth}
        count = 6000 // depth
        seen: dict[str, list[float]] = {name: [] for name in ("ours", "before", "peak", "script", "tfjs")}
        for _ in range(rounds):
            seen["ours"].append(page.evaluate(OURS, ["engine", config, count, {}]))
            if against:
                seen["before"].append(page.evaluate(OURS, ["before", config, count // 2, {}]))
            seen["peak"].append(max(page.evaluate(PEAK, 4_000_000).values()))
            seen["script"].append(page.evaluate(OURS, ["engine", config, 4, {"simd": False}]))
            seen["tfjs"].append(page.evaluate(TFJS, [config, 3]))
        work = page.evaluate(WORK, config) / 1e9
        ratio = [ours / before for ours, before in zip(seen["ours"], seen["before"], strict=False)]
        share = [100 * work * ours / peak for ours, peak in zip(seen["ours"], seen["peak"], strict=True)]
        cells = [middle(seen["ours"]), *([middle(seen["before"]), middle(ratio, 2)] if against else [])]
        cells += [f"{work * statistics.median(seen['ours']):.1f}", middle(seen["peak"]), f"{middle(share, 0)} %"]
        cells += [middle(seen["script"]), middle(seen["tfjs"], 2)]
        print(f"{convolutions:12}" + "".join(f"{cell:>22}" for cell in cells), flush=True)


def measure_race(browser: Browser, rounds: int) -> None:
    """Print how soon the race answers and parts, and the longest task of the page's own thread."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**lab.page_scripts(), "lab.css": lab.style()}.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        place = Path(folder) / "page.html"
        head = '<meta charset="utf-8"><link rel="stylesheet" href="lab.css"><script defer src="lab.js"></script>'
        place.write_text(f"<!doctype html>{head}{lab.instrument('race')}", encoding="utf-8")
        seen = []
        for _ in range(rounds):
            page = browser.new_page()
            page.goto(place.as_uri())
            page.locator(".rl-primary").wait_for()
            seen.append(page.evaluate(RACE))
            page.close()
    answered, parted, longest = (middle(values) for values in zip(*seen, strict=True))
    print(
        f"race of 56 layers, from the press: answered in a frame after {answered} ms, 20 points apart after {parted} s"
    )
    print(f"longest task of the page's own thread in a race: {longest} ms (0: none over 50 ms)")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default 5)")
    parser.add_argument("--against", metavar="COMMIT", help="measure the engine of this commit, too")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {arguments.rounds}")
    before = engine_of(arguments.against) if arguments.against else None
    get_tfjs()
    sys.path.insert(0, str(ROOT / "tools"))
    from get_browser import find

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=f"globalThis.engine = ({lab.engine_script(PARTS)})()")
        if before:
            page.add_script_tag(content=f"globalThis.before = ({before})()")
        page.add_script_tag(path=SCRIPT)
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"width 4, batch 32, Chromium {browser.version}, TensorFlow.js {VERSION} (cpu), {os.cpu_count()} cores")
        print(f"load average at the start: {load} (on a busy machine all figures are too low); median (range)")
        page.evaluate("(text) => { globalThis.trainText = text; }", OURS)
        measure(page, arguments.rounds, bool(before))
        ratios = []
        for _ in range(arguments.rounds):
            one, two = (
                page.evaluate(WORKERS, [lab.engine_script(NEEDED), {**DEFAULTS, "depth": 56}, count, 150])
                for count in (1, 2)
            )
            ratios.append(two / one)
        print(f"two Workers together train {middle(ratios, 2)} times as fast as one")
        measure_race(browser, arguments.rounds)
        browser.close()


if __name__ == "__main__":
    main()
