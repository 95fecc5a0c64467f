"""How fast the lab trains, beside TensorFlow.js on its CPU backend: steps per second of the same network.

python -m benchmarks.lab    needs npm (TensorFlow.js goes into build/, once) and a Chromium

Both train residual networks with option A, batch normalisation, width 4 and batch 32 on 8x8 images, with SGD and
momentum, in one headless Chromium, alternately; the figure is the median of the rounds.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from resnet_edu import lab
from resnet_edu.lab.recording import DEFAULTS

ROOT = Path(__file__).parents[1]
VERSION = "4.22.0"
FOLDER = ROOT / "build" / "tfjs"
SCRIPT = FOLDER / "node_modules" / "@tensorflow" / "tfjs" / "dist" / "tf.min.js"
SIZES = ((7, 8), (19, 20), (55, 56))  # convolutions, depth

OURS = """([config, count, simd]) => {
  const net = engine.buildNet(config, { simd });
  const random = engine.generator(1);
  for (let n = 0; n < net.images.data.length; n++) net.images.data[n] = random.normal();
  const run = (steps) => { for (let n = 0; n < steps; n++) { net.forward(true); net.backward(); net.update(); } };
  run(2);
  const start = performance.now();
  run(count);
  return (1000 * count) / (performance.now() - start);
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


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (default 3)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {arguments.rounds}")
    get_tfjs()
    sys.path.insert(0, str(ROOT / "tools"))
    from get_browser import find

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=f"globalThis.engine = ({lab.engine_script(('buildNet', 'generator'))})()")
        page.add_script_tag(path=SCRIPT)
        print(f"steps per second, width 4, batch 32, Chromium {browser.version}, TensorFlow.js {VERSION} (cpu)")
        print(f"{'convolutions':>12} {'lab':>8} {'without SIMD':>13} {'TensorFlow.js':>14} {'lab / TensorFlow.js':>20}")
        for convolutions, depth in SIZES:
            config = {**DEFAULTS, "depth": depth}
            rounds = [
                (
                    page.evaluate(OURS, [config, 40, True]),
                    page.evaluate(OURS, [config, 4, False]),
                    page.evaluate(TFJS, [config, 3]),
                )
                for _ in range(arguments.rounds)
            ]
            ours, script, theirs = map(statistics.median, zip(*rounds, strict=True))
            print(f"{convolutions:12} {ours:8.1f} {script:13.1f} {theirs:14.2f} {ours / theirs:19.0f}x")
        browser.close()


if __name__ == "__main__":
    main()
