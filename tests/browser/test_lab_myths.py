"""The game that hides a bug: each planted bug is what the package shows of it, and its probe convicts it."""

import re

import pytest
import torch
from lab_page import faults, open_lab, static  # noqa: F401
from torch import nn
from torch.nn import functional as F

from resnet_edu import lab
from resnet_edu.lab.recording import DEFAULTS
from resnet_edu.networks import cifar_resnet

EXPORTS = ("BUGS", "answer", "finish", "packNetwork", "startTraining", "unpackDigits")
# Train a little with a bug, then take the weights out as if there were none, and a batch's logits and loss.
TRAIN = """([config, steps]) => {
  const run = engine.startTraining(config, digits);
  const losses = [];
  while (run.step < steps) losses.push(run.next().loss);
  const ask = (question, settings = {}) => engine.finish(engine.answer(run, question, settings));
  const found = {
    losses, blocks: ask("describe").blocks, logits: Array.from(ask("logits", { images: 64 }).logits),
    evaluated: ask("evaluate", { images: 352 }), again: ask("evaluate", { images: 352, by_class: true }),
    maps: ask("maps", { image: 1500 }).maps.map(({ name, values }) => [name, Array.from(values)]),
    sizes: ask("sizes"),
  };
  let refused = null;
  try { ask("export"); } catch (error) { refused = error.message; }
  run.net.config.bug = "none";
  const letters = Array.from(new Uint8Array(engine.packNetwork(run.net)), (byte) => String.fromCharCode(byte)).join("");
  return { ...found, refused, file: btoa(letters) };
}"""
SMALL = {**DEFAULTS, "depth": 20, "batch_size": 32, "learning_rate": 0.03}


@pytest.fixture(scope="module")
def train(browser):
    page = browser.new_page()
    page.add_script_tag(content=f"globalThis.engine = ({lab.engine_script(EXPORTS)})();")
    page.evaluate("(data) => { globalThis.digits = engine.unpackDigits(data); }", lab.digits_data())
    made = {}

    def trained(bug, steps=20, **config):
        key = (bug, steps, *sorted(config.items()))
        if key not in made:
            made[key] = page.evaluate(TRAIN, [{**SMALL, **config, "bug": bug}, steps])
        return made[key]

    trained.page = page
    return trained


def twin(found, **options):
    """Return PyTorch's network with the bug, made of options and the weights of the page's."""
    from base64 import b64decode

    from safetensors.torch import load

    network = cifar_resnet(20, width=4, in_channels=1, **options)
    return network, load(b64decode(found["file"]))


def fill(network, weights):
    missing, unexpected = network.load_state_dict(weights, strict=False)
    assert unexpected == [] and all(name.endswith("num_batches_tracked") for name in missing)
    return network.eval()


@pytest.mark.parametrize(
    ("bug", "config", "options"),
    [
        ("relu before addition", {}, {"activation": "relu-before-addition"}),
        ("bare projection", {"shortcut": "B"}, {"shortcut": "B", "projection_normalization": "none"}),
        ("no last norm", {"activation": "pre"}, {"activation": "pre"}),
        ("early stride", {}, {}),
        ("softmax twice", {}, {}),
    ],
)
def test_a_planted_bug_computes_what_the_package_computes_with_it(train, digits, bug, config, options):
    found = train(bug, **config)
    network, weights = twin(found, **options)
    if bug == "no last norm":
        network.final_bn, network.final_relu = nn.Identity(), nn.Identity()
    if bug == "early stride":
        for stage, stride in zip(network.stages, (2, 1, 1), strict=True):
            stage[0].conv1.stride = (stride, stride)
            stage[0].downsample.stride = stride
            stage[0].downsample.is_identity = False
        assert [one["size"] for one in found["blocks"]] == [4] * 9
    fill(network, weights)
    with torch.no_grad():
        theirs = network(digits.normalize(digits.test.images[:64]))
        if bug == "softmax twice":
            theirs = theirs.softmax(1)
        loss = F.cross_entropy(theirs, digits.test.labels[:64])
    ours = torch.tensor(found["logits"]).view(64, 10)
    assert (ours - theirs).abs().max() < 1e-4 * max(1, theirs.abs().max())
    assert loss.isfinite() and "cannot be stored" in found["refused"]


def test_the_softmax_too_many_bounds_the_loss_and_its_gradient_is_pytorchs(train, digits):
    found = train("softmax twice", steps=60)
    assert min(found["losses"]) > 1.461 and found["losses"][-1] < found["losses"][0]
    assert min(train("none", steps=60)["losses"]) < 1.461
    network, weights = twin(found)
    fill(network, weights).train()
    images, labels = digits.normalize(digits.train.images[:32]), digits.train.labels[:32]
    F.cross_entropy(network(images).softmax(1), labels).backward()
    assert found["sizes"]["layers"][0]["weight_gradient"] == pytest.approx(
        network.conv1.weight.grad.norm().item(), rel=1e-3
    )


def test_each_symptom_shows_where_the_game_says_and_not_without_the_bug(train):
    def lowered(found):
        maps = dict(found["maps"])
        shares = []
        for one in found["blocks"]:
            if one["identity"]:
                shortcut, output = (maps[f"block{one['number']}.{part}"] for part in ("shortcut", "output"))
                shares.append(sum(b < a - 1e-6 for a, b in zip(shortcut, output, strict=True)) / len(output))
        return shares

    assert max(lowered(train("relu before addition"))) == 0 < min(lowered(train("none")))
    bare, sound = (train(bug, 0, shortcut="B")["sizes"]["blocks"] for bug in ("bare projection", "none"))
    assert all(sound[block]["shortcut"] == pytest.approx(1, abs=0.1) for block in (3, 6))
    assert all(bare[block]["shortcut"] > 1.3 or bare[block]["shortcut"] < 0.7 for block in (3, 6))
    loud, calm = (train(bug, 0, activation="pre")["sizes"]["features"] for bug in ("no last norm", "none"))
    assert loud > 2 * calm
    forgotten, right = train("no eval", 100), train("none", 100)
    assert forgotten["again"]["error"] > forgotten["evaluated"]["error"] + 10
    assert right["again"]["error"] == right["evaluated"]["error"]


def test_an_unknown_bug_is_refused(train):
    with pytest.raises(Exception, match="bug must be one of none, early stride"):
        train("off by one")


def play(page):
    page.get_by_role("button", name=re.compile("Train case")).click()
    page.get_by_role("button", name=re.compile("Loss: 1 coin")).wait_for(timeout=60_000)


def test_a_reader_buys_probes_names_the_bug_and_reads_why(open_lab):
    page = open_lab(lab.instrument("myths-and-bugs", case=4))
    game = page.get_by_role("group", name="Find the bug")
    game.get_by_text("What reaches the pooling:").wait_for()  # the example is measured at once
    assert "An example, solved" in game.inner_text()
    play(page)
    assert "case 4" in game.inner_text() and game.get_by_role("region").count() == 0
    for probe in ("Shapes", "Sizes", "Loss", "Orders"):
        game.get_by_role("button", name=f"{probe}: 1 coin").click()
    assert game.get_by_role("region", name="Evidence: Orders").is_visible()
    assert "1 coin left" in game.inner_text() and game.get_by_role("button", name="Name it").is_disabled()
    options = game.get_by_role("combobox", name="It is").locator("option").all_inner_texts()[1:]
    game.get_by_role("combobox", name="It is").select_option(label=options[0])
    game.get_by_role("button", name="Name it").click()
    text = game.inner_text()
    assert re.search(r"Right, with 1 coin left\.|No\. It was: ", text) and re.search(r"[01] of 1 right", text)
    assert game.get_by_role("button", name=re.compile("Train case 5")).is_visible()


def test_a_case_can_be_stopped_and_the_next_begins_anew(open_lab):
    page = open_lab(lab.instrument("myths-and-bugs", case=9))
    page.get_by_text("What reaches the pooling:").wait_for()
    page.get_by_role("button", name=re.compile("Train case 9")).click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name=re.compile("Train case 9")).wait_for(timeout=20_000)
    play(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(open_lab, theme):
    page = open_lab(lab.instrument("myths-and-bugs", case=2), theme=theme, width=390)
    page.get_by_text("What reaches the pooling:").wait_for()
    play(page)
    for probe in ("Sizes", "Gradients", "Loss"):
        page.get_by_role("button", name=f"{probe}: 1 coin").click()
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_javascript_a_table_stands_there(open_lab):
    page = open_lab(lab.instrument("myths-and-bugs"), java_script_enabled=False)
    assert "eval() forgotten" in page.locator("table").inner_text()
