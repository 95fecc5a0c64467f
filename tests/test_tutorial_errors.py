"""The errors that tutorials and repositories on residual networks repeat, and that code can make: none is ours.

Others stand where they belong: hooks and in-place operations in test_blocks and test_probes, parameter counts of
popular code in test_accounting, statistics of CIFAR-10 in test_datasets, schedules, the test set and checkpoints in
test_training.
"""

import math
import subprocess
import sys
from collections import Counter

import pytest
import torch
from torch import nn

from resnet_edu.blocks import PreActivationBlock
from resnet_edu.networks import cifar_resnet, preset, resnet18, resnet50, weighted_layers

NETWORKS = {
    "CIFAR, post": lambda: cifar_resnet(14, shortcut="B", width=4),
    "CIFAR, pre": lambda: cifar_resnet(14, shortcut="B", width=4, activation="pre"),
    "bottleneck": lambda: cifar_resnet(20, "bottleneck", shortcut="B", width=4),
    "bottleneck, pre": lambda: cifar_resnet(20, "bottleneck", shortcut="B", width=4, activation="pre"),
    "ImageNet": lambda: resnet18(num_classes=10),
}


def every(test):
    return pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS.keys())(test)


def stages(network, side):
    with torch.no_grad():
        return {name: tuple(x.shape[1:]) for name, x in network.eval()(torch.randn(1, 3, side, side), True)[1].items()}


def test_a_small_image_is_not_shrunk_by_the_stem():
    """weiaicunzai#29, kuangliu#91, vision#573: the ImageNet stem leaves 8x8 of 32x32 before the first block."""
    assert stages(cifar_resnet(8), 32)["conv2_x"][1:] == (32, 32)
    assert stages(preset("kuangliu/resnet18"), 32)["conv2_x"][1:] == (32, 32)
    assert stages(resnet18(), 32)["conv2_x"][1:] == (8, 8)


def test_the_papers_network_for_cifar_is_a_small_one():
    """kuangliu#136: 11 million parameters are not the network of He et al. 2015, section 4.2."""
    count = {name: sum(p.numel() for p in preset(name).parameters()) for name in ("kuangliu/resnet18",)}
    assert sum(p.numel() for p in cifar_resnet(20).parameters()) < 0.03 * count["kuangliu/resnet18"]
    assert stages(cifar_resnet(20), 32)["conv4_x"] == (64, 8, 8)


def test_only_later_stages_halve_the_map():
    """vision#457, labml#83: conv2_x has stride 1, each later stage strides once, in its first block."""
    network = cifar_resnet(20)
    strides = [[block.downsample.stride for block in stage] for stage in network.stages]
    assert strides == [[1, 1, 1], [2, 1, 1], [2, 1, 1]]
    assert [shape[1] for shape in stages(resnet50(), 64).values()] == [32, 16, 8, 4, 2]


def test_there_is_a_relu_after_the_stem():
    """labml's network has none."""
    with torch.no_grad():
        _, outputs = cifar_resnet(8)(torch.randn(2, 3, 8, 8), return_stages=True)
    assert outputs["conv1"].min() == 0


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
def test_projections_are_not_counted_as_layers(shortcut):
    """ethanhe42#5."""
    assert len(weighted_layers(cifar_resnet(20, shortcut=shortcut))) == 20
    assert len(weighted_layers(resnet50(shortcut=shortcut))) == 50


def test_a_bottleneck_of_depth_110_has_110_layers():
    """bearpaw#8: with the rule of the basic block it has 164."""
    assert len(weighted_layers(cifar_resnet(110, "bottleneck", shortcut="B"))) == 110
    assert len(weighted_layers(cifar_resnet(164, "bottleneck", shortcut="B"))) == 164
    with pytest.raises(ValueError, match=r"9n\+2"):
        cifar_resnet(44, "bottleneck")


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_pre_activation_begins_and_ends_as_the_paper_says(block):
    """kuangliu#137, raghakot#26, weiaicunzai: no last BN and ReLU, twice BN and ReLU after the stem, biases."""
    depth = 14 if block == "basic" else 20
    network = cifar_resnet(depth, block, shortcut="B", width=4, activation="pre")
    assert isinstance(network.final_bn, nn.BatchNorm2d) and isinstance(network.final_relu, nn.ReLU)
    order = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.ReLU | nn.Linear):
            module.register_forward_hook(lambda m, *_: order.append(type(m).__name__))
    network(torch.randn(2, 3, 8, 8))
    assert order[:4] == ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]  # one activation, then the split
    assert order[-3:] == ["BatchNorm2d", "ReLU", "Linear"]
    assert all(m.bias is None for m in network.modules() if isinstance(m, nn.Conv2d))


def test_a_projection_before_activation_takes_the_activated_input():
    """weiaicunzai gives it the raw input; the authors' code shares the activation (kuangliu#9 asks why)."""
    block = cifar_resnet(14, shortcut="B", width=4, activation="pre").stages[1][0].eval()
    x = torch.randn(2, 4, 6, 6)
    assert isinstance(block, PreActivationBlock)
    assert torch.equal(block.shortcut(x), block.downsample(torch.relu(block.bn1(x))))


@every
def test_nothing_works_in_place_and_nothing_is_shared(build):
    """vision#6699, pytorch#61519, CLIP#239: hooks need tensors that stay, and one module for every place."""
    network = build()
    assert not [m for m in network.modules() if getattr(m, "inplace", False)]
    names = Counter(id(m) for _, m in network.named_modules(remove_duplicate=False))
    assert max(names.values()) == 1
    called = Counter()
    for module in network.modules():
        if isinstance(module, nn.ReLU | nn.BatchNorm2d | nn.Conv2d):
            module.register_forward_hook(lambda m, *_: called.update([m]))
    network(torch.randn(2, 3, 32, 32))
    assert set(called.values()) == {1}
    assert len([m for m in network.modules() if isinstance(m, nn.ReLU)]) == len(
        [m for m in called if isinstance(m, nn.ReLU)]
    )


@every
def test_full_backward_hooks_work_on_every_layer(build):
    """`out += shortcut` after a hooked layer raises "is a view and is being modified inplace"."""
    network, seen = build(), []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_full_backward_hook(lambda m, *_: seen.append(m))
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    assert len(seen) == len([m for m in network.modules() if isinstance(m, nn.BatchNorm2d)])


@every
def test_the_network_returns_logits(build):
    """kuangliu#132: a softmax before cross-entropy is one too many."""
    logits = build().eval()(torch.randn(4, 3, 32, 32))
    assert not torch.allclose(logits.sum(1), torch.ones(4)) and logits.min() < 0


def test_weights_start_with_the_variance_that_the_docstring_says():
    """vision#183: fan_out, variance 2 / (k·k·C_out)."""
    torch.manual_seed(0)
    conv = resnet18().layer4[1].conv2
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=0.01)


def test_weights_under_other_names_are_refused():
    """akamaster#22: with strict=False the weights of a wrapped network load as nothing, and the error is 90 %."""
    state = {f"module.{name}": value for name, value in cifar_resnet(8).state_dict().items()}
    with pytest.raises(RuntimeError, match="Missing key"):
        cifar_resnet(8).load_state_dict(state)


def test_import_asks_no_terminal():
    """kuangliu#44: `stty size` at import ends a program that runs without a terminal."""
    code = "import resnet_edu.training, resnet_edu.trials, resnet_edu.cli, resnet_edu.probes, resnet_edu.landscape"
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
