"""What the lab's engine can be asked, against PyTorch: a file carries the network, and the package measures it, too."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from resnet_edu import interventions, lab, landscape, probes
from resnet_edu.blocks import BasicBlock
from resnet_edu.lab.assets import page_script
from resnet_edu.lab.packing import pack_images
from resnet_edu.lab.recording import DEFAULTS
from resnet_edu.training import evaluate

EXPORTS = (
    *("answer", "buildNet", "finish", "generator", "packNetwork", "randomDirection", "readNetwork", "serve"),
    *("showImages", "singularValues", "startTraining", "unpackDigits", "unpackImages"),
)
# Train a little, then ask one question after the other; typed arrays come as lists, files in base64.
ASK = """([config, steps, asked, file]) => {
  const run = engine.startTraining(config, digits, file ? { file: bytes(file) } : {});
  while (run.step < steps) run.next();
  return asked.map(([question, settings]) => plain(engine.finish(engine.answer(run, question, settings ?? {}))));
}"""
HELP = """
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const plain = (value) => {
  const letters = (buffer) => Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  if (value instanceof ArrayBuffer) return btoa(letters(value));
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (!value || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
};
"""
SMALL = {**DEFAULTS, "depth": 20, "batch_size": 16, "learning_rate": 0.02}
KINDS = [
    {"shortcut": "A"},
    {"shortcut": "B", "activation": "pre"},
    {"shortcut": "C", "depth": 8},
    {"shortcut": "none"},
    {"shortcut": "B", "normalization": "none", "depth": 8},
    {"shortcut": "A", "normalization": "none", "activation": "pre", "depth": 8},
    {"shortcut": "B", "activation": "bn-after-addition", "depth": 8},
    {"shortcut": "A", "activation": "relu-before-addition", "depth": 14},
    {"shortcut": "C", "activation": "relu-only-pre", "depth": 14},
    {"shortcut": "A", "activation": "relu-only-pre", "normalization": "none", "depth": 8},
]


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    page.add_script_tag(content=f"globalThis.engine = ({lab.engine_script(EXPORTS)})();{HELP}")
    page.add_script_tag(content=f"globalThis.front = ({page_script(('browserSource',))})();")
    page.evaluate("(data) => { globalThis.digits = engine.unpackDigits(data); }", lab.digits_data())
    return page


@pytest.fixture(scope="module")
def ask(page):
    """Train, then ask in order; ``ask(config, steps, name=("question", settings) …).name`` is an answer."""

    def asked(config, steps, begin=None, **questions):
        listed = [(one, {}) if isinstance(one, str) else one for one in questions.values()]
        begin = begin and base64.b64encode(begin).decode()
        return SimpleNamespace(
            **dict(zip(questions, page.evaluate(ASK, [{**SMALL, **config}, steps, listed, begin]), strict=True))
        )

    return asked


def network_of(file):
    return lab.load_network(base64.b64decode(file))


@pytest.fixture(scope="module")
def images(digits):
    return digits.normalize(digits.test.images)


def test_the_packed_digits_are_the_data_set(page, digits, images):
    made = page.evaluate("() => ({ values: Array.from(digits.values), labels: Array.from(digits.labels) })")
    whole = torch.cat([digits.normalize(digits.train.images), images]).flatten()
    assert torch.allclose(torch.tensor(made["values"]), whole, atol=1e-6)
    assert made["labels"] == torch.cat([digits.train.labels, digits.test.labels]).tolist()
    rng = np.random.default_rng(0)
    for values in (
        [],
        [16] * 300,
        [0] * 300,
        rng.integers(0, 17, 600).tolist(),
        (16 * rng.integers(0, 2, 900)).tolist(),
    ):
        packed = pack_images(values, 3)
        assert (
            page.evaluate("([t, n]) => Array.from(engine.unpackImages(t, n, 3))", [packed, len(values) // 3]) == values
        )


FEW = ("logits", {"images": 64})  # of the test set


@torch.no_grad()
def same(answer, network, images, tolerance=1e-5):
    """Whether the page's logits are PyTorch's, to 1e-5 of their size."""
    theirs = network(images[:64])
    return (logits_of(answer) - theirs).abs().max() < tolerance * max(1, theirs.abs().max())


def logits_of(answer):
    return torch.tensor(answer["logits"]).view(-1, 10)


@pytest.mark.parametrize("config", KINDS, ids=str)
def test_a_network_goes_to_pytorch_and_back(ask, images, tmp_path, config):
    cut = {
        "factors": ("set", {"block": 2, "shortcut": 0.5, "branch": -0.7}),
        "cut": ("set", {"block": 3, "connected": False}),
    }
    for change in ({}, cut):
        seen = ask(config, 6, **change, file=("export", {"facts": {"name": "mine"}}), logits=FEW)
        network = network_of(seen.file)
        assert network.lab["name"] == "mine" and network.lab["step"] == 6 and not network.training
        assert same(seen.logits, network, images)
        lab.save_network(network, tmp_path / "back.safetensors", test_error=3.5)
        back = ask({}, 0, begin=(tmp_path / "back.safetensors").read_bytes(), logits=FEW)
        assert back.logits == seen.logits
        assert lab.load_network(tmp_path / "back.safetensors").lab["test_error"] == 3.5


@pytest.mark.parametrize(
    "config", [{"shortcut": "A"}, {"shortcut": "none"}, {"shortcut": "B", "activation": "pre"}], ids=str
)
def test_lesions_swaps_factors_and_statistics_are_the_packages(ask, images, digits, config):
    training = digits.normalize(digits.train.images[:512])
    count = 15
    first, second = (7, 8)  # two blocks of the second stage that keep the shape
    swap = ("swap", {"first": first, "second": second})
    seen = ask(
        {**config, "depth": 32}, 40, file="export", intact=FEW, keep="keep",
        off1=("set", {"block": 2, "branch": 0}), off2=("set", {"block": 6, "branch": 0}), off=FEW,
        restore="restore", swap=swap, swapped=FEW, back=swap, same=FEW,
        branches=("set", {"all": True, "branch": 0.9}), scaled=FEW,
        shortcuts=("set", {"all": True, "branch": 1, "shortcut": 0.8}), leaky=FEW, restore2="restore",
        fresh=("logits", {"images": 64, "fresh": True}), same2=FEW,
        recalibrate="recalibrate", anew="export", fresh2=FEW,
        evaluated=("evaluate", {"split": "train", "images": 100}), lesions=("lesions", {"images": 64}),
    )  # fmt: skip
    network = network_of(seen.file)
    assert same(seen.intact, network, images)
    assert same(seen.off, interventions.delete_blocks(network, [1, 5]), images)
    order = list(range(count))
    order[first - 1], order[second - 1] = order[second - 1], order[first - 1]
    assert [one - 1 for one in seen.swap["order"]] == order and seen.swapped != seen.intact
    assert same(seen.swapped, interventions.reorder_blocks(network, order), images)
    assert seen.same == seen.same2 == seen.intact
    assert same(seen.scaled, interventions.scale_branch(network, 0.9), images)
    if config["shortcut"] != "none":
        assert same(seen.leaky, interventions.scale_shortcut(network, 0.8), images)
    anew = probes.recalibrate(network, training, 16)
    for name, theirs in anew.state_dict().items():
        if "running" in name:
            assert torch.allclose(network_of(seen.anew).state_dict()[name], theirs, rtol=1e-4, atol=1e-5), name
    assert seen.fresh == seen.fresh2 and same(seen.fresh, anew, images, 1e-4)
    loss, error = evaluate(anew, digits, type(digits.train)(digits.train.images[:100], digits.train.labels[:100]))
    assert seen.evaluated == {"loss": pytest.approx(loss, rel=1e-4), "error": pytest.approx(error), "count": 100}
    test = type(digits.test)(digits.test.images[:64], digits.test.labels[:64])
    assert seen.lesions["intact"] == pytest.approx(evaluate(anew, digits, test)[1])
    theirs = [evaluate(interventions.delete_blocks(anew, block), digits, test)[1] for block in range(count)]
    # an image on the border between two digits may fall to either side
    assert np.abs(np.array(seen.lesions["errors"]) - theirs).max() <= 100 / 64 + 1e-9


@pytest.mark.parametrize(
    "config", [*KINDS, {"shortcut": "A", "depth": 56, "branch_gain": 0.5, "shortcut_gain": 0.9}], ids=str
)
def test_sizes_forwards_and_backwards_are_pytorchs(ask, digits, config):
    seen = ask(config, 3, file="export", sizes="sizes", again="export")
    assert seen.file == seen.again  # the statistics stay as they were
    network = network_of(seen.file).double().train()
    data = digits.normalize(digits.train.images[:16]).double()
    labels = digits.train.labels[:16]
    kept = {}

    def keep(name):
        def hook(module, inputs, output):
            if output.requires_grad:
                output.retain_grad()
                kept[name] = (inputs[0], output)

        return hook

    layers = probes.weighted_layers(network)
    blocks = dict(enumerate(network.blocks))
    for name, module in {**layers, **blocks}.items():
        module.register_forward_hook(keep(name))
    loss = F.cross_entropy(network(data), labels)
    loss.backward()
    assert seen.sizes["loss"] == pytest.approx(loss.item(), rel=1e-5)
    responses = probes.response_std(network, data) if not config.get("branch_gain") else {}
    theirs = list(layers.items())
    assert [len(seen.sizes["layers"]), len(seen.sizes["blocks"])] == [len(theirs), len(blocks)]
    for ours, (name, layer) in zip(seen.sizes["layers"], theirs, strict=True):
        # a unit near zero may fall to the other side of its ReLU
        assert ours["weight"] == pytest.approx(layer.weight.norm().item(), rel=1e-5), name
        assert ours["weight_gradient"] == pytest.approx(layer.weight.grad.norm().item(), rel=2e-3), name
        assert ours["gradient"] == pytest.approx(kept[name][1].grad.norm().item(), rel=2e-3), name
        if name in responses:
            assert ours["response"] == pytest.approx(responses[name], rel=1e-4), name

    def size(tensor):
        return tensor.square().mean().sqrt().item()

    probe = network_of(seen.file).double().train()
    for number, ours in enumerate(seen.sizes["blocks"]):
        x, y = kept[number]
        with torch.no_grad():
            block = probe.blocks[number]
            expected = {
                "input": size(x),
                "branch": size(block.branch(x)),
                "shortcut": size(block.shortcut(x)),
                "output": size(y),
            }
        assert {name: ours[name] for name in expected} == pytest.approx(expected, rel=1e-4), number
        assert ours["gradient"] == pytest.approx(y.grad.norm().item(), rel=2e-3), number
        assert seen.sizes["layers"][2 * number + 2]["activation"] == pytest.approx(ours["output"]), number


@pytest.mark.parametrize("config", KINDS, ids=str)
def test_jacobians_and_their_singular_values_are_the_packages(ask, images, digits, config):
    start = 1437  # the first test image
    seen = ask(
        config, 20, recalibrate="recalibrate", file="export", block=("jacobian", {"image": start, "from": 2}),
        chain=("jacobian", {"image": start, "from": 1, "to": ({**SMALL, **config}["depth"] - 2) // 2}),
        drawn=("jacobian", {"image": [float(n % 17) for n in range(64)], "from": 3}),
        one=("spectra", {"images": [start]}), other=("spectra", {"images": [start + 1]}),
        two=("spectra", {"images": [start, start + 1]}),
    )  # fmt: skip
    network = network_of(seen.file).double()
    cases = [(seen.block, (1, 2)), (seen.chain, (0, None))]
    for ours, span in cases:
        theirs = probes.chain_jacobian(network, images[:1].double(), *span)
        matrix = torch.tensor(ours["matrix"], dtype=torch.float64).view(ours["rows"], ours["columns"])
        assert matrix.shape == theirs.shape and torch.allclose(
            matrix, theirs, atol=2e-5 * float(theirs.abs().max()), rtol=1e-4
        )
        values = probes.singular_values(theirs)
        assert np.allclose(ours["values"], values, atol=1e-5 * values[0], rtol=1e-4)
    drawn = digits.normalize(torch.arange(64).remainder(17).view(1, 1, 8, 8).to(digits.test.images.dtype)).double()
    theirs = probes.singular_values(probes.chain_jacobian(network, drawn, 2, 3))
    assert np.allclose(seen.drawn["values"], theirs, atol=1e-5 * theirs[0], rtol=1e-4)
    # What single precision leaves of an exact zero is below 1e-6 of the largest; the means over two images agree.
    for ours, theirs in zip(
        seen.one.values(), probes.block_spectra(network, images[:1].double(), "nearest"), strict=True
    ):
        floor = 1e-6 * max(1, *seen.one["largest"])
        assert np.allclose(np.maximum(ours, floor), np.maximum(theirs, floor), rtol=2e-3, atol=floor)
    for both, one, two in zip(seen.two.values(), seen.one.values(), seen.other.values(), strict=True):
        middle = np.mean([one, two]) if isinstance(one, float | int) else np.sqrt(np.multiply(one, two))
        assert np.allclose(both, middle, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (5, 9), (64, 256)])
def test_singular_values_of_any_matrix_are_numpys(page, shape):
    rng = np.random.default_rng(shape[1])
    low = rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1]))  # all others are zero
    for matrix in (
        rng.normal(size=shape),
        low,
        np.zeros(shape),
        np.eye(*shape),
        np.diag(10.0 ** -np.arange(0, 5 * min(shape), 5)),
    ):
        ours = page.evaluate(
            "([flat, rows, columns]) => Array.from(engine.singularValues(flat, rows, columns))",
            [matrix.flatten().tolist(), *matrix.shape],
        )
        theirs = np.linalg.svd(matrix, compute_uv=False)
        worst = np.abs(np.array(ours) - theirs).max() / max(theirs.max(), 1e-300)
        assert worst < 1e-13, (matrix.shape, worst)


@pytest.mark.parametrize("config", [*KINDS, {"shortcut": "A", "branch_gain": 0.5}], ids=str)
def test_answers_behind_each_block_and_feature_maps_are_pytorchs(ask, images, config):
    image = 1439
    seen = ask(
        config,
        30,
        file="export",
        lens=("lens", {"image": image}),
        maps=("maps", {"image": image}),
        logits=("logits", {"image": image}),
    )
    network = network_of(seen.file)
    x = images[2:3]
    count = len(network.blocks)
    ours = torch.tensor(seen.lens["logits"]).view(count + 1, 10)
    assert ours[-1].tolist() == seen.logits["logits"]
    with torch.no_grad():
        for row in range(count + 1):
            theirs = interventions.delete_blocks(network, range(row, count))(x)[0]
            assert (ours[row] - theirs).abs().max() < 1e-5 * max(1, theirs.abs().max()), row
        assert torch.allclose(torch.tensor(seen.lens["probabilities"]).view(-1, 10), ours.softmax(1), atol=1e-6)
        y = network.relu(network.bn1(network.conv1(x)))
        expected = {"conv1": y}
        for number, block in enumerate(network.blocks, 1):
            expected |= {f"block{number}.branch": block.branch(y), f"block{number}.shortcut": block.shortcut(y)}
            expected[f"block{number}.output"] = y = block(y)
    assert [one["name"] for one in seen.maps["maps"]] == list(expected)
    for one, theirs in zip(seen.maps["maps"], expected.values(), strict=True):
        values = torch.tensor(one["values"], dtype=torch.float32).view(one["channels"], one["size"], one["size"])
        assert torch.allclose(values, theirs[0], atol=1e-5 * max(1, float(theirs.abs().max())), rtol=1e-4), one["name"]


def test_the_loss_along_directions_is_the_packages(ask, page, digits):
    alphas = [-0.5, 0.0, 0.5]
    lines = {
        kind: ("line", {"seed": 3, "normalization": kind, "alphas": alphas, "images": 64})
        for kind in ("filter", "none")
    }
    seen = ask(
        {"depth": 8}, 40, fit="recalibrate", file="export", filter=lines["filter"], none=lines["none"],
        surface=("surface", {"seeds": [3, 4], "alphas": alphas, "betas": [0.0, 0.25], "images": 64}),
        same="export", intact=FEW, scale=("scale", {"factor": 4}), function=("logits", {"images": 64, "fresh": True}),
        recalibrate="recalibrate", filter2=lines["filter"], none2=lines["none"],
    )  # fmt: skip
    assert seen.same == seen.file
    network = network_of(seen.file)
    split = type(digits.test)(digits.test.images[:64], digits.test.labels[:64])
    # A direction as a file: the numbers in place of the weights.
    drawn = {}
    for kind in ("filter", "none"):
        for seed in (3, 4):
            text = page.evaluate(
                """([file, seed, kind]) => {
                  const { settings, metadata } = engine.readNetwork(bytes(file));
                  const config = { ...metadata.config, ...settings };
                  const { net } = engine.startTraining(config, digits, { file: bytes(file) });
                  const direction = engine.randomDirection(net, seed, kind);
                  net.parameters.forEach(({ data }, index) => data.set(direction[index]));
                  return plain(engine.packNetwork(net));
                }""",
                [seen.file, seed, kind],
            )
            drawn[kind, seed] = {name: one.detach() for name, one in network_of(text).named_parameters()}
    for name, weight in network.named_parameters():
        if weight.dim() < 2:
            assert not drawn["filter", 3][name].any()
            continue
        ours, raw = drawn["filter", 3][name].flatten(1), drawn["none", 3][name].flatten(1)
        assert torch.allclose(ours.norm(dim=1), weight.flatten(1).norm(dim=1), rtol=1e-5)
        assert torch.allclose(F.cosine_similarity(ours, raw), torch.ones(len(ours)), atol=1e-5)
        assert abs(raw.std() - 1) < 0.2 and not torch.equal(raw, drawn["none", 4][name].flatten(1))
    for kind in ("filter", "none"):
        theirs = landscape.loss_line(network, digits, split, drawn[kind, 3], alphas, progress=False)
        assert np.allclose(getattr(seen, kind)["loss"], theirs.loss, rtol=1e-4)
    pair = drawn["filter", 3], drawn["filter", 4]
    theirs = landscape.loss_surface(network, digits, split, pair, alphas, [0.0, 0.25], progress=False)
    assert np.allclose(seen.surface["loss"], theirs.loss.flatten(), rtol=1e-4)
    # Filters four times as large: the same function, the same filter-normalised curve, a flatter raw one.
    first, last = logits_of(seen.intact), logits_of(seen.function)
    assert torch.allclose(first, last, atol=0.02 * float(first.abs().max()))  # up to the ε of the normalisation
    bend = {
        name: getattr(seen, name)["loss"][0] + getattr(seen, name)["loss"][2] - 2 * getattr(seen, name)["loss"][1]
        for name in ("none", "none2")
    }
    assert abs(bend["none2"]) < abs(bend["none"])


def test_frozen_layers_and_a_new_head(ask, page, digits):
    seen = ask({"depth": 8}, 20, file="export")
    body = network_of(seen.file)
    file = base64.b64decode(seen.file)
    tuned = ask(
        {"frozen": "body", "head": "new", "seed": 5, "data": {"turn": 180, "per_class": 2}},
        12,
        begin=file,
        file2="export",
        why="describe",
    )
    moved = ask({"frozen": "body", "head": "new", "seed": 5, "moving_statistics": True}, 12, begin=file, file2="export")
    some = ask({"frozen": ["conv1", "bn1", "block1"]}, 12, begin=file, file2="export")
    before = body.state_dict()
    for made, frozen, statistics in (
        (tuned, lambda n: n[:2] != "fc", True),
        (moved, lambda n: n[:2] != "fc", False),
        (some, lambda n: n.startswith(("conv1", "bn1", "layer1.0")), True),
    ):
        for name, tensor in network_of(made.file2).state_dict().items():
            if name.endswith("tracked"):
                continue
            stays = frozen(name) and (statistics or "running" not in name)
            assert torch.equal(tensor, before[name]) == stays, name
    # The head's own training, in PyTorch: the body is a fixed function of the chosen images.
    script = """([config, file]) => {
      const run = engine.startTraining(config, digits, { file: bytes(file) });
      const seen = [];
      const parameters = run.net.parameters.filter(({ name }) => name.startsWith("fc."));
      const head = () => parameters.map(({ data }) => Array.from(data));
      const start = head();
      while (run.step < 12) {
        const { loss } = run.next();
        seen.push([Array.from(run.net.images.data), Array.from(run.net.labels), loss]);
      }
      return { start, seen, end: head() };
    }"""
    config = {
        **SMALL,
        "steps": 99,
        "test_every": 99,
        "frozen": "body",
        "head": "new",
        "seed": 5,
        "data": {"turn": 180, "per_class": 2},
    }
    made = page.evaluate(script, [config, seen.file])
    weight, bias = (
        torch.tensor(one, dtype=torch.float64).view(shape).requires_grad_()
        for one, shape in zip(made["start"], ((10, 16), (10,)), strict=True)
    )
    optimizer = torch.optim.SGD(
        [weight, bias], config["learning_rate"], config["momentum"], weight_decay=config["weight_decay"]
    )
    body.fc = nn.Identity()
    chosen = set()
    for pixels, labels, loss in made["seen"]:
        x = torch.tensor(pixels).view(1, 8, 8, -1).permute(3, 0, 1, 2)
        chosen |= {tuple(one.flatten().mul(100).round().tolist()) for one in x}
        with torch.no_grad():
            features = body(x).double()
        theirs = F.cross_entropy(F.linear(features, weight, bias), torch.tensor(labels))
        assert loss == pytest.approx(theirs.item(), rel=1e-4)
        optimizer.zero_grad()
        theirs.backward()
        optimizer.step()
    assert torch.allclose(torch.tensor(made["end"][0], dtype=torch.float64).view(10, 16), weight, atol=1e-5)
    upright = {
        tuple(one.flip(1, 2).flatten().mul(100).round().tolist()) for one in digits.normalize(digits.train.images)
    }
    assert len(chosen) <= 20 and chosen <= upright


@pytest.mark.parametrize("shortcut", ["A", "none"])
@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_a_stack_learns_a_map_as_pytorchs_does(page, shortcut, normalization):
    config = {
        **SMALL, "task": "stack", "shortcut": shortcut, "normalization": normalization, "width": 8, "size": 6,
        "target": "move on", "weight_decay": 0, "last_scale": 0.5, "learning_rate": 0.1, "steps": 9,
    }  # fmt: skip
    made = page.evaluate(
        """(config) => {
          const run = engine.startTraining(config, digits);
          const numbers = ({ name, k, data }) => ({ name, k, data: Array.from(data) });
          const before = run.net.parameters.map(numbers);
          const seen = [];
          while (run.step < 3) {
            const { loss } = run.next();
            seen.push({ loss, images: Array.from(run.net.images.data) });
          }
          const { blocks } = engine.finish(engine.answer(run, "describe"));
          return { before, seen, after: run.net.parameters.map(numbers), blocks };
        }""",
        config,
    )
    assert len(made["blocks"]) == 3
    modules = nn.Sequential(
        *[BasicBlock(8, 8, shortcut=shortcut, normalization=normalization) for _ in range(3)]
    ).double()
    parameters = dict(modules.named_parameters())

    def tensor(one):
        flat = torch.tensor(one["data"], dtype=torch.float64)
        return flat.view(3, 3, 8, 8).permute(3, 2, 0, 1) if one.get("k") else flat

    def name_of(name):
        return f"{int(name[5]) - 1}{name[6:]}"

    for one in made["before"]:
        parameters[name_of(one["name"])].data.copy_(tensor(one))
    last = "bn2" if normalization == "batch" else "conv2"
    start = parameters[f"0.{last}.weight"]
    assert start.detach().std(correction=0).item() == pytest.approx(
        0 if normalization == "batch" else 0.5 * (2 / 72) ** 0.5, rel=0.1
    )
    optimizer = torch.optim.SGD(parameters.values(), 0.1, momentum=0.9)
    for one in made["seen"]:
        x = torch.tensor(one["images"], dtype=torch.float64).view(8, 6, 6, 16).permute(3, 0, 1, 2)
        assert (x >= 0).all() and 0.45 < (x > 0).double().mean() < 0.55
        wanted = x.roll(1, dims=1)
        error = (modules(x) - wanted).square().mean() / wanted.square().mean()
        assert one["loss"] == pytest.approx(error.item(), rel=1e-4)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    for one in made["after"]:
        assert torch.allclose(tensor(one), parameters[name_of(one["name"])].data, atol=1e-4, rtol=1e-3), one["name"]


@pytest.mark.parametrize("normalization", ["batch", "none"])
@pytest.mark.parametrize("border", ["circular", "zeros"])
def test_a_chain_is_pytorchs_forwards_and_backwards(page, border, normalization):
    config = {
        **SMALL, "task": "chain", "depth": 11, "width": 8, "size": 6, "batch_size": 8, "border": border,
        "normalization": normalization, "weight_scale": 1.1,
    }  # fmt: skip
    made = page.evaluate(
        """(config) => {
          const run = engine.startTraining(config, digits);
          const asked = () => engine.finish(engine.answer(run, "sizes", {}));
          const [first, again] = [asked(), asked()];
          const { net } = run;
          const [images, wanted] = [plain(net.images.data), plain(net.wanted)];
          return { first, again, weights: net.layers.map(({ data }) => plain(data)), images, wanted };
        }""",
        config,
    )
    assert made["first"] == made["again"]  # the noise is the same each time

    def tensor(numbers, *shape):
        return torch.tensor(numbers, dtype=torch.float64).view(*shape)

    x = tensor(made["images"], 8, 6, 6, 8).permute(3, 0, 1, 2).requires_grad_()
    assert x.std().item() == pytest.approx(1, abs=0.1)
    seen = []
    for numbers in made["weights"]:
        conv = nn.Conv2d(8, 8, 3, padding=1, padding_mode=border, bias=False, dtype=torch.float64)
        conv.weight.data = tensor(numbers, 3, 3, 8, 8).permute(3, 2, 0, 1)
        assert conv.weight.std().item() == pytest.approx(1.1 * (2 / 72) ** 0.5, rel=0.2)
        norm = nn.BatchNorm2d(8, dtype=torch.float64) if normalization == "batch" else nn.Identity()
        output = conv(x)
        x = norm(output).relu()
        seen.append((output, x))
        for one in seen[-1]:
            one.retain_grad()
    x.backward(tensor(made["wanted"], 8, 6, 6, 8).permute(3, 0, 1, 2))
    assert len(made["first"]["layers"]) == 11
    for ours, (output, after) in zip(made["first"]["layers"], seen, strict=True):
        assert ours["activation"] == pytest.approx(after.square().mean().sqrt().item(), rel=1e-5), ours["name"]
        assert ours["activation_gradient"] == pytest.approx(after.grad.norm().item(), rel=1e-4), ours["name"]
        assert ours["gradient"] == pytest.approx(output.grad.norm().item(), rel=1e-4), ours["name"]


def test_a_branch_that_copies_its_input_and_is_taken_away_passes_nothing(ask, images):
    config = {"shortcut": "A", "normalization": "none"}
    copied = ("copy", {"block": 3})
    seen = ask(
        config, 0, keep="keep", sizes0="sizes", copy=copied, whole=("set", {"block": 3, "branch": 1}), file="export",
        logits=FEW, sizes1="sizes", half=("set", {"block": 3, "branch": -0.5}), sizes2="sizes",
        off=("set", {"block": 3, "branch": -1}), sizes3="sizes", chain=("jacobian", {"image": 0, "from": 1, "to": 9}),
        restore="restore", sizes4="sizes",
    )  # fmt: skip
    doubled, halved, gone = (one["blocks"][2] for one in (seen.sizes1, seen.sizes2, seen.sizes3))
    assert doubled["branch"] == doubled["shortcut"] and doubled["output"] == pytest.approx(2 * doubled["input"])
    assert halved["output"] == pytest.approx(halved["input"] / 2) and gone["output"] == 0 < gone["input"]
    assert max(layer["weight_gradient"] for layer in seen.sizes3["layers"]) == 0 == max(seen.chain["values"])
    assert seen.sizes4 == seen.sizes0
    network = network_of(seen.file)
    x = torch.rand(2, 4, 8, 8)
    assert torch.equal(network.blocks[2].branch(x), x) and same(seen.logits, network, images)


def test_factors_of_a_run_are_in_its_gradients_and_first_weights(ask, page, digits):
    """λ, α and a scale on first weights, in training mode; the gradients travel in place of the weights."""
    for config in (
        {"shortcut": "A"},
        {"shortcut": "B", "activation": "pre"},
        {"shortcut": "C", "normalization": "none", "depth": 8},
    ):
        config = {**SMALL, **config, "weight_scale": 0.9, "branch_gain": 0.7, "shortcut_gain": 0.8}
        made = page.evaluate(
            """(config) => {
              const twin = engine.startTraining({ ...config, weight_scale: 1 }, digits).net.parameters;
              const { net, data } = engine.startTraining(config, digits);
              const each = net.parameters.map(({ data: own, k }, n) => k && own[0] / twin[n].data[0]);
              const ratios = each.filter(Boolean);
              const weights = plain(engine.packNetwork(net));
              engine.showImages(net, data, Array.from({ length: net.batch }, (_, n) => n));
              net.forward(true);
              net.backward();
              for (const { data: numbers, grad } of net.parameters) numbers.set(grad);
              return { ratios, weights, gradients: plain(engine.packNetwork(net)) };
            }""",
            config,
        )
        assert made["ratios"] == pytest.approx([0.9] * len(made["ratios"]), rel=1e-5)
        network = network_of(made["weights"]).double().train()
        loss = F.cross_entropy(network(digits.normalize(digits.train.images[:16]).double()), digits.train.labels[:16])
        loss.backward()
        ours = dict(network_of(made["gradients"]).named_parameters())
        whole = torch.cat([one.grad.flatten() for one in network.parameters()]).norm()
        for name, one in network.named_parameters():
            # a unit near zero may fall to the other side of its ReLU
            assert (ours[name] - one.grad).norm() < 1e-3 * one.grad.norm() + 1e-5 * whole, name


@pytest.mark.parametrize(("shortcut", "fresh"), [("A", False), ("A", True), ("none", True)])
def test_sub_networks_vote_as_the_packages_do(ask, digits, shortcut, fresh):
    asked = {"members": 7, "seed": 4, "fresh": fresh, "images": 100, "spared": [1, 4]}
    seen = ask(
        {"shortcut": shortcut}, 60, file="export", vote=("vote", asked), again="export",
        two=("vote", {**asked, "members": 2}), other=("vote", {**asked, "members": 2, "seed": 5}),
    )  # fmt: skip
    assert seen.file == seen.again  # factors and statistics are put back
    cuts = seen.vote["cuts"]
    assert seen.two["cuts"] == cuts[:2] != seen.other["cuts"]
    assert {number for cut in cuts for number in cut} == {2, 3, 5, 6, 7, 8, 9}
    network = network_of(seen.file)
    calibration = digits.normalize(digits.train.images[:512])
    images, labels = digits.normalize(digits.test.images[:100]), digits.test.labels[:100]
    total = torch.zeros(100, 10)
    for number, cut in enumerate(cuts):
        member = interventions.delete_blocks(network, [block - 1 for block in cut])
        member = probes.recalibrate(member, calibration, 16) if fresh else member.eval()
        with torch.no_grad():
            answers = member(images).softmax(1)
        total += answers
        # an image on the border between two digits may fall to either side
        assert abs(seen.vote["errors"][number] - 100 * (answers.argmax(1) != labels).float().mean()) <= 1.01
        assert abs(seen.vote["together"][number] - 100 * (total.argmax(1) != labels).float().mean()) <= 1.01


def test_a_start_near_the_identity_is_the_packages(page, digits):
    from resnet_edu.networks import start_near_identity

    script = """([config, file]) => {
      const { net } = engine.startTraining(config, digits, file ? { file: bytes(file) } : {});
      return plain(engine.packNetwork(net));
    }"""
    for config in KINDS:
        usual = page.evaluate(script, [{**SMALL, **config}, None])
        ours = page.evaluate(script, [{**SMALL, **config, "identity_start": 0.1}, None])
        network = network_of(usual)
        start_near_identity(network, 0.1)
        for name, one in network.state_dict().items():
            assert torch.allclose(network_of(ours).state_dict()[name], one, atol=1e-6), name
        # whoever goes on from a file goes on from its weights
        kept = network_of(page.evaluate(script, [{**SMALL, "identity_start": 0.5}, ours])).state_dict()
        assert all(torch.equal(kept[name], one) for name, one in network_of(ours).state_dict().items())
    with pytest.raises(Exception, match="identity_start must be a number of at least 0"):
        page.evaluate(script, [{**SMALL, "identity_start": -1}, None])


@pytest.mark.parametrize("limit", [0.05, 1000.0])
def test_clipping_a_step_is_pytorchs(page, digits, limit):
    """Two steps; the second one shows that the momentum took in the clipped gradient."""
    script = """([config]) => {
      const run = engine.startTraining(config, digits);
      const files = [plain(engine.packNetwork(run.net))];
      const seen = [1, 2].map(() => {
        const { norms } = run.next();
        files.push(plain(engine.packNetwork(run.net)));
        return { norms, images: Array.from(run.net.images.data), labels: Array.from(run.net.labels) };
      });
      return { files, seen };
    }"""
    config = {**SMALL, "depth": 8, "clip_norm": limit, "frozen": ["conv1"], "steps": 99, "test_every": 99}
    made = page.evaluate(script, [config])
    network = network_of(made["files"][0]).double().train()
    trained = [one for name, one in network.named_parameters() if not name.startswith("conv1")]
    optimizer = torch.optim.SGD(
        trained, config["learning_rate"], config["momentum"], weight_decay=config["weight_decay"]
    )
    for seen in made["seen"]:
        images = torch.tensor(seen["images"], dtype=torch.float64).view(1, 8, 8, -1).permute(3, 0, 1, 2)
        optimizer.zero_grad()
        F.cross_entropy(network(images), torch.tensor(seen["labels"])).backward()
        whole = nn.utils.clip_grad_norm_(trained, limit)
        assert (whole > limit) == (limit < 1)
        optimizer.step()
        # the frame tells the gradient before it is clipped
        assert sum(value**2 for value in seen["norms"]) ** 0.5 > limit or limit > 1
    for name, one in network.named_parameters():
        after = network_of(made["files"][-1]).get_parameter(name).double()
        assert (after - one).norm() < 1e-4 * one.norm() + 1e-6, name


def test_mistakes_are_told_and_change_nothing(page):
    said = page.evaluate(
        """(config) => {
          const run = engine.startTraining(config, digits);
          const asked = [
            ["lesion"], ["set", { block: 4, branch: 0 }], ["set", { block: 1, branch: "x" }],
            ["swap", { first: 1, second: 2 }], ["evaluate", { split: "valid" }], ["lens", { image: 1797 }],
            ["maps", { image: [1, 2] }], ["jacobian", { image: 0, from: 2, to: 1 }],
            ["line", { normalization: "layer" }], ["line", { alphas: [] }], ["restore"],
            ["recalibrate", { images: 8 }], ["scale", {}], ["copy", { block: 2 }]];
          const before = plain(engine.packNetwork(run.net));
          const told = asked.map(([question, settings]) => {
            try {
              engine.finish(engine.answer(run, question, settings));
              return "nothing";
            } catch (error) { return error.message; }
          });
          return { told, same: before === plain(engine.packNetwork(run.net)) };
        }""",
        {**SMALL, "depth": 8},
    )
    assert said["same"]
    parts = [
        'no question "lesion"; there are describe, set', "block must be a whole number from 1 to 3, got 4",
        "branch must be a number, got x", "blocks 1 and 2 cannot change places",
        'split must be "test" or "train", got "valid"', "from 0 to 1796, got 1797", "64 numbers from 0 to 16, got 2",
        "from must not lie behind to", "normalization must be", "alphas must be a list of numbers", "ask keep first",
        "at least one batch of 16", "factor must be a number", "block 2 changes the shape",
    ]  # fmt: skip
    for text, part in zip(said["told"], parts, strict=True):
        assert part in text


def test_damaged_files_are_refused_in_page_and_python(ask, page):
    """Every cut and every changed byte is either refused with a sentence, or leaves a network that can be opened."""
    file = base64.b64decode(ask({"depth": 8}, 0, file="export").file)
    rng = np.random.default_rng(0)
    length = int.from_bytes(file[:8], "little") + 8
    damaged = [
        b"",
        b"x" * 40,
        file[:-4],
        file[:length],
        file + b"1234",
        file.replace(b"F32", b"F16", 1),
        file.replace(b'"depth\\":8', b'"depth\\":9'),
    ]
    damaged.append(file[:-4] + np.float32("nan").tobytes())
    for _ in range(40):
        changed = bytearray(file)
        changed[rng.integers(0, length)] = rng.integers(0, 256)
        damaged.append(bytes(changed))
    told = page.evaluate(
        """(files) => files.map((text) => {
          try { const { metadata } = engine.readNetwork(bytes(text));
            engine.startTraining({ ...metadata.config, switches: [] }, digits, { file: bytes(text) }); return null;
          } catch (error) { return error.message; }
        })""",
        [base64.b64encode(one).decode() for one in damaged],
    )
    sure = 8
    for number, (text, one) in enumerate(zip(told, damaged, strict=True)):
        assert text is None or text.startswith("This is not a network of the lab: "), text
        assert number >= sure or number == 4 or text, number
        try:
            lab.load_network(one)
            assert number >= sure, number
        except ValueError as error:
            assert "this is not a network of the lab: " in str(error)


def test_networks_that_the_lab_cannot_be_are_refused(tmp_path):
    from resnet_edu.networks import cifar_resnet

    for network, why in (
        (cifar_resnet(20), "its images must have one channel"),
        (cifar_resnet(11, "bottleneck", in_channels=1), "its blocks must be BasicBlock"),
        (cifar_resnet(20, in_channels=1, width=6), "its width must be 4, 8, 16 or 32"),
        (cifar_resnet(20, in_channels=1, num_classes=5), "it must tell ten classes"),
        (cifar_resnet(20, in_channels=1, mixing="scaled-both"), "its blocks must add plainly"),
    ):
        with pytest.raises(ValueError, match=why):
            lab.save_network(network, tmp_path / "no.safetensors")
    with pytest.raises(ValueError, match="facts must be what JSON can hold"):
        lab.save_network(cifar_resnet(8, in_channels=1, width=4), tmp_path / "no.safetensors", when=object())
    assert not list(tmp_path.iterdir())


WORKER = """async ([engineText, digits, config]) => {
  const port = front.browserSource(engineText, digits);
  const fails = (promise) => promise.then(() => "nothing", (error) => `${error.name}: ${error.message}`);
  const seen = { early: await fails(port.question("evaluate")) };
  await port.ask({ kind: "start", config, play: true });
  const parts = [];
  seen.first = await port.question("lesions", {}, { progress: ({ part }) => part && parts.push(part.block) });
  seen.parts = parts;
  const control = new AbortController();
  const many = { alphas: Array(40).fill(0.1), betas: Array(40).fill(0.1) };
  const long = fails(port.question("surface", many, { signal: control.signal }));
  const waiting = port.question("export");
  const steps = (await port.ask({ kind: "poll" })).frames.length;
  seen.stoodStill = (await port.ask({ kind: "poll" })).frames.length === steps;
  control.abort();
  seen.long = await long;
  const file = await waiting;
  seen.wrong = await fails(port.question("swap", { first: 1, second: 9 }));
  while ((await port.ask({ kind: "poll" })).state === "running") await new Promise((done) => setTimeout(done, 20));
  seen.end = (await port.ask({ kind: "poll" })).frames.length;
  const other = front.browserSource(engineText, digits);
  const opened = await other.question("open", { file });
  seen.opened = opened.facts.step <= seen.end && opened.blocks.length;
  seen.bad = await fails(other.question("open", { file: file.slice(0, 99) }));
  seen.kept = (await other.question("evaluate")).count;
  const left = fails(other.question("lesions"));
  other.close();
  seen.left = await left;
  port.close();
  return seen;
}"""


def test_a_worker_answers_in_line_reports_stops_and_trains_on(page):
    config = {**SMALL, "depth": 8, "steps": 400, "test_every": 100}
    seen = page.evaluate(WORKER, [lab.engine_script(), lab.digits_data(), config])
    assert seen["early"].startswith("Error: there is no network yet")
    assert seen["parts"] == [1, 2, 3] and len(seen["first"]["errors"]) == 3
    assert seen["long"].startswith("AbortError") and seen["stoodStill"]
    assert seen["wrong"].startswith("Error: block must be a whole number from 1 to 3")
    assert seen["end"] == 400 and seen["opened"] == 3 and seen["kept"] == 360
    assert seen["bad"].startswith("Error: This is not a network of the lab") and seen["left"] == "Error: closed"
