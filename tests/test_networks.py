import hashlib
import io
import urllib.error
import warnings

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import convolved, normalized, paths, randomized
from torch import nn

from resnet_edu.blocks import BLOCKS, MIXINGS, NORMALIZATIONS, SHORTCUTS, BasicBlock
from resnet_edu.networks import (
    ACTIVATIONS,
    IMAGENET_STAGES,
    PRESETS,
    ResNet,
    cifar_resnet,
    deepened,
    imagenet_resnet,
    preset,
    pretrained,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    weighted_layers,
)

DEPTHS = {"basic": (8, 14), "bottleneck": (11, 20)}

networks = st.fixed_dictionaries(
    {
        "block": st.sampled_from(("basic", "bottleneck")),
        "activation": st.sampled_from(("post", "pre")),
        "shortcut": st.sampled_from(SHORTCUTS),
        "stem": st.sampled_from(("cifar", "imagenet")),
        "normalization": st.sampled_from(NORMALIZATIONS),
        "mixing": st.sampled_from(MIXINGS),
        "width": st.integers(1, 4),
        "in_channels": st.integers(1, 3),
        "num_classes": st.integers(1, 5),
    }
)


@given(options=networks, deeper=st.booleans(), side=st.integers(9, 21))
@settings(max_examples=50, deadline=None)
def test_stages_have_the_papers_names_and_shapes(options, deeper, side):
    depth = DEPTHS[options["block"]][deeper]
    network = randomized(cifar_resnet(depth, **options)).eval()
    x = torch.randn(2, options["in_channels"], side, side + 3)
    logits, stages = network(x, return_stages=True)
    assert torch.equal(logits, network(x)) and logits.shape == (2, options["num_classes"])
    assert len(weighted_layers(network)) == depth

    def halved(size, times):
        for _ in range(times):
            size = (size + 1) // 2
        return size

    large = options["stem"] == "imagenet"
    width, expansion = options["width"], 4 if options["block"] == "bottleneck" else 1
    expected = {"conv1": (2, width, halved(side, large), halved(side + 3, large))}
    for stage in range(3):
        times = 2 * large + stage
        sides = (halved(side, times), halved(side + 3, times))
        expected[f"conv{stage + 2}_x"] = (2, expansion * width * 2**stage, *sides)
    assert {name: tuple(y.shape) for name, y in stages.items()} == expected
    assert list(stages) == list(expected)
    assert (stages["conv1"] >= 0).all()


def test_imagenet_networks_have_four_stages():
    network = resnet18(num_classes=3).eval()
    assert {n: tuple(y.shape) for n, y in network(torch.randn(1, 3, 64, 64), return_stages=True)[1].items()} == {
        "conv1": (1, 64, 32, 32),
        "conv2_x": (1, 64, 16, 16),
        "conv3_x": (1, 128, 8, 8),
        "conv4_x": (1, 256, 4, 4),
        "conv5_x": (1, 512, 2, 2),
    }


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("activation", ["post", "pre"])
@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_a_network_computes_what_the_papers_draw(block, activation, shortcut):
    """The whole chain, written again: stem, blocks, for pre-activation BN–ReLU, mean over pixels, linear layer."""
    torch.manual_seed(0)
    pre = activation == "pre"
    network = cifar_resnet(DEPTHS[block][1], block, activation=activation, shortcut=shortcut, width=4)
    randomized(network).eval()
    weights, x = network.state_dict(), torch.randn(2, 3, 9, 8)
    y = normalized(weights, "bn1", convolved(weights, "conv1", x)).clamp(min=0)
    for stage in (1, 2, 3):
        for index in range(2):
            prefix = f"layer{stage}.{index}."
            stride = 2 if stage > 1 and index == 0 else 1
            branch, way = paths(
                {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)},
                y,
                shortcut=shortcut,
                channels=2 ** (stage + 1) * (4 if block == "bottleneck" else 1),
                strides=(stride, 1) if block == "basic" else (1, stride, 1),
                pre=pre,
                first=stage == 1 and index == 0,
            )
            y = branch + way if pre else (branch + way).clamp(min=0)
    if pre:
        y = normalized(weights, "final_bn", y).clamp(min=0)
    logits = y.mean((2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]
    torch.testing.assert_close(network(x), logits, atol=1e-4, rtol=1e-4)


def test_a_plain_twin_has_the_same_weights_from_the_same_seed():
    found = []
    for kind, seed in (("none", 3), ("A", 3), ("A", 4)):
        torch.manual_seed(seed)
        found.append(cifar_resnet(8, shortcut=kind, width=4).state_dict())
    plain, residual, other = found
    assert plain.keys() == residual.keys()
    assert all(torch.equal(plain[name], residual[name]) for name in plain)
    assert not torch.equal(residual["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize(("block", "activation"), BLOCKS)
def test_training_moves_statistics_once_and_gradients_are_finite(block, activation):
    torch.manual_seed(0)
    network = cifar_resnet(DEPTHS[block][0], block, activation=activation, shortcut="B", width=4)
    network(torch.randn(4, 3, 16, 16)).logsumexp(1).sum().backward()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(norm.num_batches_tracked == 1 for norm in norms)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert any(p.grad.abs().sum() > 0 for p in network.layer1.parameters())


@pytest.mark.parametrize(("block", "activation"), BLOCKS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_zero_initialised_branches_leave_a_chain_of_shortcuts(block, activation, normalization):
    torch.manual_seed(0)
    network = cifar_resnet(
        DEPTHS[block][0], block, activation=activation, normalization=normalization, width=4, zero_init_last=True
    ).eval()
    _, stages = network(torch.randn(2, 3, 8, 8), return_stages=True)
    x = stages["conv1"]
    for residual_block, y in zip(network.blocks, list(stages.values())[1:], strict=True):
        x = residual_block.finish(residual_block.downsample(x))
        assert torch.equal(x, y)


def test_a_start_near_the_identity_passes_channels_on_where_the_shape_stays():
    def kernels(**options):
        torch.manual_seed(0)
        return weighted_layers(cifar_resnet(14, shortcut="none", width=4, **options))

    drawn, started = kernels(), kernels(identity_start=0.1)
    for name, layer in started.items():
        noise = drawn[name].weight
        keeps_shape = name.startswith("layer") and layer.in_channels == layer.out_channels
        expected = nn.init.dirac_(torch.empty_like(noise)) + 0.1 * noise if keeps_shape else noise
        assert torch.equal(layer.weight, expected), name
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(cifar_resnet(8, shortcut="none", width=4, identity_start=0.0).layer1[0].conv1(x), x)
    with pytest.raises(ValueError, match="identity_start must be .* got -1"):
        cifar_resnet(8, identity_start=-1)


@pytest.mark.parametrize("depth", [-4, 2, 7, 9, 21, 54, 20.0, "20"])
def test_depth_rule(depth):
    with pytest.raises(ValueError, match=r"depth must be 6n\+2 with n >= 1 for basic blocks .* got"):
        cifar_resnet(depth)


def test_depth_rule_of_bottlenecks():
    for depth in (11, 20, 110, 164):
        with torch.device("meta"):
            assert len(weighted_layers(cifar_resnet(depth, "bottleneck"))) == depth
    with pytest.raises(ValueError, match=r"depth must be 9n\+2 with n >= 1 for bottleneck blocks .* got 32"):
        cifar_resnet(32, "bottleneck")


@pytest.mark.parametrize("option", [{"width": 0}, {"in_channels": -1}, {"num_classes": 0}, {"width": 1.5}])
def test_sizes_must_be_positive_whole_numbers(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        cifar_resnet(8, **option)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: cifar_resnet(8, shortcut="identity"), "shortcut must be one of"),
        (lambda: cifar_resnet(8, normalization="group"), "normalization must be one of"),
        (lambda: cifar_resnet(8, "wide"), "block must be one of 'basic', 'bottleneck', got 'wide'"),
        (lambda: cifar_resnet(8, activation="mid"), "activation must be one of"),
        (lambda: ResNet((1,), (4,), stem="patch"), "stem must be one of 'cifar', 'imagenet', got 'patch'"),
        (lambda: imagenet_resnet(20), "depth must be one of 18, 34, 50, 101, 152, got 20"),
        (lambda: imagenet_resnet(50, variant="v2"), "variant must be one of 'v1', 'v1.5', got 'v2'"),
        (lambda: imagenet_resnet(50, stride_on="1x1"), "follows from variant, got '1x1'; use variant='v1'"),
        (lambda: preset("timm/resnet18"), "preset must be one of 'torchvision/resnet18'"),
        (lambda: pretrained("resnet19"), "name must be one of 'resnet18', .* got 'resnet19'"),
        (lambda: pretrained("resnet18", "V2"), "weights must be one of 'V1', got 'V2'"),
        (lambda: deepened(cifar_resnet(14, shortcut="none"), 8), "larger than the network's 14"),
        (lambda: deepened(cifar_resnet(8, shortcut="A"), 14), "only a plain network"),
        (lambda: deepened(cifar_resnet(11, "bottleneck", shortcut="none"), 20), "only networks of BasicBlock"),
        (lambda: deepened(resnet18(shortcut="none"), 20), "got 4 stages after an ImageNet stem"),
    ],
)
def test_bad_choices_name_value_rule_and_mend(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_images_of_the_wrong_kind_are_explained():
    network = cifar_resnet(8)
    with pytest.raises(TypeError, match=r"torch.Tensor .* got ndarray"):
        network(torch.zeros(1, 3, 8, 8).numpy())
    with pytest.raises(TypeError, match="floating point, got torch.uint8"):
        network(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="unsqueeze"):
        network(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="in_channels=1"):
        network(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("options", [{}, {"normalization": "none"}, {"conv_bias": True}])
def test_identity_blocks_make_a_deeper_network_that_computes_the_same(options):
    torch.manual_seed(0)
    network = cifar_resnet(8, shortcut="none", width=4, in_channels=1, **options)
    for _ in range(3):  # running statistics that are not the initial ones
        network(torch.randn(16, 1, 8, 8))
    deeper = deepened(network.eval(), 32)
    x = torch.randn(8, 1, 8, 8)
    assert len(weighted_layers(deeper)) == 32
    torch.testing.assert_close(network(x), deeper(x), atol=1e-5, rtol=0)


# Presets against the code that they are named after.


@pytest.mark.parametrize("depth", IMAGENET_STAGES)
def test_torchvision_preset(depth):
    import torchvision

    with torch.device("meta"):
        reference, ours = getattr(torchvision.models, f"resnet{depth}")(), preset(f"torchvision/resnet{depth}")
        named = (resnet18, resnet34, resnet50, resnet101, resnet152)[list(IMAGENET_STAGES).index(depth)]()
    for network in (ours, named):
        assert [(k, v.shape) for k, v in network.state_dict().items()] == [
            (k, v.shape) for k, v in reference.state_dict().items()
        ]
    if depth > 50:
        return
    torch.manual_seed(0)
    reference = randomized(getattr(torchvision.models, f"resnet{depth}")(num_classes=7)).eval()
    ours = preset(f"torchvision/resnet{depth}", num_classes=7).eval()
    ours.load_state_dict(reference.state_dict())
    agree(ours, reference, torch.randn(2, 3, 40, 40))


def agree(ours, reference, x):
    """Logits agree to 1e-5 of their size; they differ between images, so that the comparison says something."""
    with torch.no_grad():
        expected, found = reference(x), ours(x)
    size = expected.abs().max()
    assert expected.std(0).max() > 1e-3 * size
    assert (found - expected).abs().max() <= 1e-5 * size


@pytest.mark.parametrize(
    ("name", "depth", "classes"),
    [("kuangliu/resnet18", 18, 10), ("kuangliu/resnet50", 50, 10), ("weiaicunzai/resnet18", 18, 100)],
)
def test_cifar_repositories_are_torchvisions_networks_with_a_small_stem(name, depth, classes):
    import torchvision

    torch.manual_seed(0)
    reference = getattr(torchvision.models, f"resnet{depth}")(num_classes=classes)
    reference.conv1, reference.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    randomized(reference).eval()
    ours = preset(name).eval()
    ours.load_state_dict(reference.state_dict())
    agree(ours, reference, torch.randn(2, 3, 16, 16))


def d2l_weights(reference):
    """Map the weights of a d2l network (stem, four groups of Residual, linear layer) to our names."""
    parts = [module for module in reference.modules() if not list(module.children())]
    convolutions = [m for m in parts if isinstance(m, nn.Conv2d)]
    norms = [m for m in parts if isinstance(m, nn.BatchNorm2d)]
    blocks = [m for m in reference.modules() if type(m).__name__ == "Residual"]
    owners = {"conv1": convolutions[0], "bn1": norms[0], "fc": parts[-1]}
    for index, block in enumerate(blocks):
        prefix = f"layer{index // 2 + 1}.{index % 2}."
        owners |= {prefix + name: getattr(block, name) for name in ("conv1", "bn1", "conv2", "bn2")}
        if block.conv3 is not None:
            owners[prefix + "downsample.0"] = block.conv3
    return {f"{name}.{key}": value for name, owner in owners.items() for key, value in owner.state_dict().items()}


@pytest.mark.parametrize("name", ["d2l/resnet18", "d2l/resnet18-small-stem"])
def test_d2l_preset(name):
    from d2l import torch as d2l

    torch.manual_seed(0)
    reference = d2l.resnet18(10)
    if name == "d2l/resnet18":  # the chapter's network: 7x7 convolution and pooling before the same groups
        stem = nn.Sequential(
            nn.Conv2d(1, 64, 7, stride=2, padding=3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)
        )
        reference = nn.Sequential(stem, *list(reference.children())[3:])
    randomized(reference).eval()
    ours = preset(name).eval()
    ours.load_state_dict(d2l_weights(reference))
    agree(ours, reference, torch.randn(2, 1, 33, 33))


def test_d2l_residual_is_a_basic_block_with_biases_and_a_bare_projection():
    from d2l import torch as d2l

    torch.manual_seed(0)
    reference = randomized(d2l.Residual(3, 6, use_1x1conv=True, strides=2)).eval()
    ours = BasicBlock(3, 6, 2, shortcut="B", conv_bias=True, projection_normalization="none").eval()
    ours.load_state_dict({k.replace("conv3", "downsample.0"): v for k, v in reference.state_dict().items()})
    x = torch.randn(2, 3, 7, 7)
    torch.testing.assert_close(ours(x), reference(x.clone()))


def test_every_preset_can_be_built_and_takes_options():
    for name in PRESETS:
        with torch.device("meta"):
            assert preset(name, num_classes=3).fc.out_features == 3


# Published weights, without a network connection.


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A torch cache of our own, and no connection."""

    def refused(*args, **kwargs):
        raise urllib.error.URLError("no connection in this test")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refused)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def published(name, weights):
    import torchvision

    return torchvision.models.get_model_weights(name)[f"IMAGENET1K_{weights}"].value


@pytest.mark.parametrize(("name", "weights"), [("resnet18", "V1"), ("resnet50", "V1"), ("resnet50", "V2")])
def test_pretrained_loads_the_file_in_the_cache(hub, monkeypatch, name, weights):
    import torchvision

    torch.manual_seed(0)
    reference = randomized(getattr(torchvision.models, name)()).eval()
    torch.save(reference.state_dict(), hub / "new.pth")
    digest = hashlib.sha256((hub / "new.pth").read_bytes()).hexdigest()
    (hub / "new.pth").rename(hub / f"{name}-{digest[:8]}.pth")
    monkeypatch.setattr(published(name, weights), "url", f"https://example.org/{name}-{digest[:8]}.pth")
    network = pretrained(name, weights)
    assert not network.training and len(network.categories) == 1000
    assert network.transforms(torch.zeros(3, 300, 280, dtype=torch.uint8)).shape == (3, 224, 224)
    agree(network, reference, torch.randn(2, 3, 40, 40))


@pytest.mark.parametrize(("name", "weights"), [("resnet18", "V1"), ("resnet50", "V1"), ("resnet152", "V2")])
def test_pretrained_offline_names_the_file(hub, name, weights):
    with pytest.raises(ConnectionError, match=rf"{name} \({weights}\) are not on this machine") as caught:
        pretrained(name, weights)
    url = published(name, weights).url
    assert f"put {url} at {hub / url.rpartition('/')[2]}" in str(caught.value)
    assert list(hub.iterdir()) == []


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_pretrained_says_that_a_file_is_cut(hub, keep):
    file = hub / "resnet18-f37072fd.pth"
    torch.save({"fc.weight": torch.ones(512, 1000)}, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(RuntimeError, match=r"resnet18-f37072fd.pth does not hold the weights .* delete it"):
        pretrained("resnet18")


def test_pretrained_does_not_keep_a_download_that_was_cut(hub, monkeypatch):
    class Reply(io.BytesIO):
        def info(self):
            return type("Headers", (), {"get_all": lambda *_: ["1000"]})()

    monkeypatch.setattr("torch.hub.urlopen", lambda *_, **__: Reply(b"half"))
    with pytest.raises(ConnectionError, match=r"could not be fetched \(invalid hash value"):
        pretrained("resnet18")
    assert list(hub.iterdir()) == []


# Tools that trace


@pytest.mark.parametrize("depth", [18, 50])
def test_traced_graphs_have_torchvisions_node_names(depth):
    from torchvision.models.feature_extraction import get_graph_node_names

    theirs = getattr(torchvision.models, f"resnet{depth}")()
    ours = get_graph_node_names(imagenet_resnet(depth))
    assert ours == get_graph_node_names(theirs)  # in training and in evaluation mode
    assert {"layer1.0.add", "layer4.1.relu_1", "layer2.0.downsample.0", "flatten", "fc"} <= set(ours[0])


def test_features_are_extracted_as_from_torchvisions_network():
    from torchvision.models.feature_extraction import create_feature_extractor

    theirs, ours = torchvision.models.resnet18().eval(), resnet18().eval()
    ours.load_state_dict(theirs.state_dict())
    nodes, x = ["relu", "layer1.1.add", "layer3.0.relu", "layer4", "flatten", "fc"], torch.randn(1, 3, 64, 64)
    found, expected = (create_feature_extractor(network, nodes)(x) for network in (ours, theirs))
    assert list(found) == nodes
    expected["layer1.1.add"], found["layer1.1.add"] = (  # torchvision's ReLU writes into the sum before it is returned
        one["layer1.1.add"].relu() for one in (expected, found)
    )
    for node in nodes:
        assert torch.allclose(found[node], expected[node], atol=1e-5), node


ORDERS = [
    *({"block": block, "activation": activation} for block in ("basic", "bottleneck") for activation in ACTIVATIONS),
    *({"shortcut": shortcut} for shortcut in SHORTCUTS),
    *({"mixing": mixing, "shortcut": "B"} for mixing in MIXINGS),
    {"normalization": "none"},
]


@pytest.mark.parametrize("options", ORDERS, ids=str)
def test_every_network_can_be_traced_and_scripted(options):
    depth = 11 if options.get("block") == "bottleneck" else 8
    network = randomized(cifar_resnet(depth, width=2, **options)).eval()
    x = torch.randn(2, 3, 9, 8)
    expected = network(x)
    assert torch.equal(torch.fx.symbolic_trace(network)(x), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather export
        scripted = torch.jit.script(network)
    assert torch.equal(scripted(x), expected)


def test_a_wrong_batch_is_still_refused_and_stages_are_read_through_hooks_that_go():
    network = cifar_resnet(8, width=2).eval()
    with pytest.raises(ValueError, match="build the network with in_channels=1"):
        network(torch.zeros(1, 1, 8, 8), return_stages=True)
    _, stages = network(torch.randn(1, 3, 8, 8), return_stages=True)
    kept = dict(stages)
    network(torch.randn(1, 3, 8, 8))
    assert stages == kept and not any(module._forward_hooks for module in network.modules())
