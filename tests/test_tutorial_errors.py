"""Errors that well-known tutorials and repositories make in blocks and networks: a test for each, so that ours cannot.

The numbers of the headings follow the list in the book's sources.
"""

import json
import os
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from reference import randomized
from torch import nn

from resnet_edu import paper
from resnet_edu.accounting import multiply_adds, parameter_count, shortcut_kinds
from resnet_edu.blocks import MIXINGS, SHORTCUTS, Bottleneck, PreActBasicBlock, PreActBottleneck
from resnet_edu.networks import IMAGENET_STAGES, PRESETS, cifar_resnet, imagenet_resnet, preset, weighted_layers


def data_free(build, *arguments, **options):
    with torch.device("meta"):
        return build(*arguments, **options)


def calls_of(network, x):
    """Run ``network(x)``; return its leaf modules in the order of the calls, and the outputs of its stages."""
    calls, hooks = [], []
    for module in network.modules():
        if not list(module.children()) and not isinstance(module, nn.Identity):
            hooks.append(module.register_forward_hook(lambda m, *_: calls.append(m)))
    _, stages = network(x, return_stages=True)
    for hook in hooks:
        hook.remove()
    return calls, stages


def every_network():
    """One of every kind: blocks, shortcuts, mixings, stems, normalisation, and the presets of small depth."""
    for block, depth in (("basic", 14), ("bottleneck", 20)):
        for activation in ("post", "pre"):
            for shortcut in SHORTCUTS:
                yield cifar_resnet(depth, block, activation=activation, shortcut=shortcut)
            for mixing in MIXINGS:
                yield cifar_resnet(depth, block, activation=activation, mixing=mixing, normalization="none")
            yield imagenet_resnet(50 if block == "bottleneck" else 18, activation=activation)
    for name in PRESETS:
        if name.rpartition("resnet")[2][:2] in ("18", "20", "50"):
            yield preset(name)


@pytest.fixture(scope="module")
def zoo():
    """(network, calls, stages) for every network, on images of 64×64 without data."""
    with torch.device("meta"):
        return [(net, *calls_of(net.eval(), torch.empty(1, net.in_channels, 64, 64))) for net in every_network()]


# 2. The ImageNet stem on small images.


def test_networks_for_small_images_keep_every_pixel_in_the_first_stage():
    names = [name for name in PRESETS if name.endswith("resnet18-small-stem") or name.startswith(("kuang", "weiai"))]
    small = [data_free(preset, name) for name in names if "18" in name]
    assert len(small) == 3
    for network in (data_free(cifar_resnet, 20), data_free(cifar_resnet, 11, "bottleneck", activation="pre"), *small):
        stages = calls_of(network, torch.empty(1, network.in_channels, 32, 32, device="meta"))[1]
        assert stages["conv1"].shape[2:] == stages["conv2_x"].shape[2:] == (32, 32)
    wrong = calls_of(data_free(imagenet_resnet, 18).eval(), torch.empty(1, 3, 32, 32, device="meta"))[1]
    assert wrong["conv2_x"].shape[2:] == (8, 8) and wrong["conv5_x"].shape[2:] == (1, 1)


# 3. The network of 11 million parameters taken for the paper's.


def test_the_papers_cifar_network_is_not_the_one_with_11_million_parameters():
    paper_net, popular = data_free(cifar_resnet, 20), data_free(preset, "kuangliu/resnet18")
    assert parameter_count(paper_net) / 1e6 == pytest.approx(paper.HE2015_TABLE_6_PARAMETERS[20].value, abs=0.005)
    assert parameter_count(popular) > 40 * parameter_count(paper_net)
    assert multiply_adds(popular) > 13 * multiply_adds(paper_net)
    assert [len(data_free(cifar_resnet, 20).stages), len(popular.stages)] == [3, 4]


# 4. Projections on CIFAR, where the paper has identities in all cases.


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_on_cifar_all_shortcuts_are_free_of_parameters(depth):
    network = data_free(cifar_resnet, depth)
    kinds = shortcut_kinds(network)
    assert len(kinds) == (depth - 2) // 2 and list(kinds.values()).count("padding") == 2  # 3n shortcuts
    assert set(kinds.values()) == {"identity", "padding"}
    assert sum(parameter_count(block.downsample) for block in network.blocks) == 0
    assert parameter_count(network) == parameter_count(data_free(cifar_resnet, depth, shortcut="none"))
    assert parameter_count(data_free(cifar_resnet, depth, shortcut="B")) - parameter_count(network) == 2_752


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_a_printed_network_names_its_shortcuts(kind):
    """An empty ``Sequential`` in the printout says nothing."""
    assert f"kind='{kind}'" in repr(cifar_resnet(8, shortcut=kind))


# 5. Strides and the stem's ReLU.


def test_the_first_stage_has_stride_1_and_every_other_one_stride_2(zoo):
    for network, _, stages in zoo:
        strides = [block.downsample.stride for block in network.blocks]
        firsts = [stage[0].downsample.stride for stage in network.stages]
        assert firsts == [1] + [2] * (network.num_stages - 1)
        assert strides.count(2) == network.num_stages - 1
        sides = [y.shape[-1] for y in list(stages.values())[1:]]
        assert all(2 * after == before for before, after in pairwise(sides))


def test_the_stem_ends_with_a_relu():
    for activation in ("post", "pre"):
        network = randomized(cifar_resnet(8, activation=activation)).eval()
        conv1 = network(torch.randn(2, 3, 8, 8), return_stages=True)[1]["conv1"]
        assert (conv1 >= 0).all() and (conv1 == 0).any()


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_v1_has_less_work_and_the_same_weights(depth):
    v1, later = (data_free(imagenet_resnet, depth, variant=variant) for variant in ("v1", "v1.5"))
    assert {k: v.shape for k, v in v1.state_dict().items()} == {k: v.shape for k, v in later.state_dict().items()}
    assert 0.2e9 < multiply_adds(later, (3, 224, 224)) - multiply_adds(v1, (3, 224, 224)) < 0.25e9
    for network, place in ((v1, "conv1"), (later, "conv2")):
        assert [getattr(stage[0], place).stride[0] for stage in network.stages] == [1, 2, 2, 2]


# 6. Depth.


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_projections_do_not_count_as_depth(shortcut):
    for depth in (20, 110):
        assert len(weighted_layers(data_free(cifar_resnet, depth, shortcut=shortcut))) == depth
    for depth in IMAGENET_STAGES:
        assert len(weighted_layers(data_free(imagenet_resnet, depth, shortcut=shortcut))) == depth


@pytest.mark.parametrize("mixing", MIXINGS)
def test_gates_do_not_count_as_depth(mixing):
    assert len(weighted_layers(data_free(cifar_resnet, 110, mixing=mixing))) == 110


def test_bottlenecks_count_three_layers():
    """With 6n+2 a "110" of bottlenecks would have 18 blocks a stage: 164 layers."""
    assert len(data_free(cifar_resnet, 164, "bottleneck").layer1) == 18 == len(data_free(cifar_resnet, 110).layer1)
    assert len(weighted_layers(data_free(cifar_resnet, 110, "bottleneck"))) == 110
    with pytest.raises(ValueError, match=r"9n\+2"):
        cifar_resnet(44, "bottleneck")


# 7. Pre-activation.


@pytest.fixture(params=["basic", "bottleneck"])
def pre_activation(request):
    torch.manual_seed(0)
    depth = 14 if request.param == "basic" else 20
    return randomized(cifar_resnet(depth, request.param, activation="pre", shortcut="B", width=4)).eval()


def test_before_activation_the_last_block_is_followed_by_bn_and_relu(pre_activation):
    calls, _ = calls_of(pre_activation, torch.randn(2, 3, 8, 8))
    assert [type(m) for m in calls[-4:]] == [nn.BatchNorm2d, nn.ReLU, nn.AdaptiveAvgPool2d, nn.Linear]
    assert calls[-4].num_features == pre_activation.fc.in_features


def test_before_activation_bn_and_relu_do_not_follow_each_other_twice(pre_activation):
    calls, _ = calls_of(pre_activation, torch.randn(2, 3, 8, 8))
    kinds = [type(m) for m in calls if isinstance(m, nn.BatchNorm2d | nn.ReLU | nn.Conv2d)]
    assert kinds[:4] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d]
    assert (nn.ReLU, nn.BatchNorm2d) not in pairwise(kinds)
    assert kinds.count(nn.BatchNorm2d) == len(weighted_layers(pre_activation)) - 1  # one for every counted convolution


def test_before_activation_no_convolution_has_a_bias(pre_activation):
    assert all(m.bias is None for m in pre_activation.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("kind", [PreActBasicBlock, PreActBottleneck])
def test_before_activation_a_projection_takes_the_activated_input(kind):
    torch.manual_seed(0)
    block = randomized(kind(4, 4, 2, shortcut="B")).eval()
    entered = {}
    for name in ("conv1", "downsample"):
        getattr(block, name).register_forward_hook(lambda _, inputs, __, name=name: entered.update({name: inputs[0]}))
    x = torch.randn(2, 4, 6, 6)
    block(x)
    assert torch.equal(entered["conv1"], entered["downsample"]) and (entered["downsample"] >= 0).all()


# 8. In-place operations and shared modules.


def test_nothing_works_in_place_and_no_module_stands_in_two_places(zoo):
    for network, _, _ in zoo:
        assert not any(getattr(module, "inplace", False) for module in network.modules())
        names = [name for name, _ in network.named_modules(remove_duplicate=False)]
        assert len(names) == len(list(network.modules()))


def test_every_relu_is_a_module_that_is_called_once(zoo):
    """A functional ReLU is invisible to hooks; a shared one is called many times."""
    for network, calls, _ in zoo:
        relus = [module for module in calls if isinstance(module, nn.ReLU)]
        assert len(relus) == len(set(relus)) == len(weighted_layers(network)) - 1  # one for every convolution


@pytest.mark.parametrize("activation", ["post", "pre"])
@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_responses_kept_by_reference_are_still_those_of_the_layer(activation, shortcut):
    """Fig. 7 of He et al. 2015 with a naive hook: ``out += shortcut`` would change what it kept."""
    torch.manual_seed(0)
    network = cifar_resnet(14, activation=activation, shortcut=shortcut, width=4)
    kept, deviations = [], []

    def hook(_, __, y):
        kept.append(y)
        deviations.append(y.detach().std())

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.Conv2d):
            module.register_forward_hook(hook)
    network(torch.randn(4, 3, 16, 16)).sum().backward()
    assert [y.detach().std() for y in kept] == deviations


@pytest.mark.parametrize("activation", ["post", "pre"])
def test_full_backward_hooks_work_on_every_module(activation):
    network = cifar_resnet(8, activation=activation, shortcut="B", width=4)
    seen = set()
    for name, module in network.named_modules():
        module.register_full_backward_hook(lambda *_, name=name: seen.add(name))
    network(torch.randn(4, 3, 8, 8, requires_grad=True)).sum().backward()
    assert {
        "layer1.0.bn2",
        "layer1.0.relu_1" if activation == "post" else "layer1.0.relu2",
        "layer3.0.downsample",
        "layer3.0.conv2",
        "fc",
    } <= seen


# 15. Work at import: a terminal that is asked for its size, libraries that are not needed.


def run_python(code):
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "TERM")}
    return subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment
    )


def test_import_needs_no_terminal_and_no_heavy_library():
    code = """
import os, shutil, subprocess, sys, json
import torch, numpy
before = {name.partition(".")[0] for name in sys.modules}
def asked(*arguments, **options):
    raise OSError("Inappropriate ioctl for device")
os.popen = os.get_terminal_size = shutil.get_terminal_size = subprocess.Popen = asked
import resnet_edu.accounting, resnet_edu.blocks, resnet_edu.networks, resnet_edu.paper
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - before - set(sys.stdlib_module_names))))
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["resnet_edu"]


# 16. No normalisation after the projection; a softmax before the cross-entropy.


def test_projections_are_normalised_except_where_the_model_is_not():
    for depth in IMAGENET_STAGES:
        for block in data_free(imagenet_resnet, depth).blocks:
            kinds = [type(m) for m in block.downsample.children()]
            assert kinds == ([nn.Conv2d, nn.BatchNorm2d] if block.downsample.is_projection else [])
    for block in data_free(preset, "d2l/resnet18").blocks:  # as its chapter
        assert not any(isinstance(m, nn.BatchNorm2d) for m in block.downsample.modules())


def test_networks_return_logits(zoo):
    """Twice the last layer's weights give twice the logits; a softmax would not."""
    torch.manual_seed(0)
    network = randomized(cifar_resnet(8, width=4)).eval()
    x = torch.randn(5, 3, 8, 8)
    once = network(x).detach()
    with torch.no_grad():
        network.fc.weight *= 2
        network.fc.bias *= 2
    assert torch.equal(network(x), 2 * once) and (once < 0).any()
    assert all(calls[-1] is other.fc and type(other.fc) is nn.Linear for other, calls, _ in zoo)


# 17. The initial weights: variance 2 / fan_out, not 2 / fan_in.


@pytest.mark.parametrize("build", [lambda: cifar_resnet(20, shortcut="C"), lambda: imagenet_resnet(18, num_classes=10)])
def test_convolutions_start_with_variance_2_over_fan_out(build):
    torch.manual_seed(0)
    network, told_apart = build(), 0
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            weights = module.weight.detach()
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            tolerance = 5 / (2 * weights.numel()) ** 0.5  # five standard errors of a standard deviation
            assert weights.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=tolerance)
            assert abs(weights.mean()) < 5 * (2 / fan_out / weights.numel()) ** 0.5
            told_apart += module.in_channels != module.out_channels and tolerance < 0.2
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
    assert told_apart >= 3


def test_convolution_biases_start_at_zero():
    network = cifar_resnet(8, normalization="none", shortcut="B")
    biases = [m.bias for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(biases) == 9 and all((bias == 0).all() for bias in biases)


# 18. "C is better than B and B better than A": true at 34 layers of the paper, not at 110.


def test_the_quoted_tables_keep_both_halves_of_the_story_of_option_c():
    by_option = [paper.HE2015_TABLE_3[f"ResNet-34 {option}", "top-1"].value for option in "ABC"]
    assert by_option == sorted(by_option, reverse=True)
    assert paper.HE2016_TABLE_1["C", None].value > 1.8 * paper.HE2016_TABLE_1["add", None].value


# 19. A 1x1 convolution of stride 2 reads one pixel in four.


@pytest.mark.parametrize(("stride_on", "share"), [("1x1", 1 / 4), ("3x3", 1)])
def test_what_a_strided_bottleneck_reads(stride_on, share):
    torch.manual_seed(0)
    block = Bottleneck(8, 8, 2, stride_on=stride_on, shortcut="B").double().eval()
    for path, expected in ((block.branch, share), (block.shortcut, 1 / 4)):
        x = torch.rand(1, 8, 8, 8, dtype=torch.float64, requires_grad=True)
        path(x).square().sum().backward()
        read = (x.grad.abs().sum(1) > 0).double().mean()
        assert read == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("kind", [Bottleneck, PreActBottleneck])
def test_bottlenecks_stride_where_torchvision_does_unless_told(kind):
    block = kind(4, 4, 2)
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))
