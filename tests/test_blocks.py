import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_edu.blocks import SHORTCUTS, BasicBlock, Shortcut, make_identity

shapes = {
    "channels": st.integers(1, 6),
    "more": st.integers(0, 5),
    "stride": st.integers(1, 2),
    "side": st.integers(1, 9),
}


@given(kind=st.sampled_from(SHORTCUTS), **shapes)
@settings(max_examples=60, deadline=None)
def test_block_has_the_stated_shape_and_leaves_its_input_alone(kind, channels, more, stride, side):
    block = BasicBlock(channels, channels + more, stride, shortcut=kind).eval()
    x = torch.randn(2, channels, side, side + 1)
    kept = x.clone()
    y = block(x)
    assert y.shape == (2, channels + more, math.ceil(side / stride), math.ceil((side + 1) / stride))
    assert block.shortcut(x).shape == y.shape
    assert torch.equal(y, torch.relu(block.branch(x) + block.shortcut(x)))
    assert torch.equal(x, kept)


@given(**shapes)
@settings(max_examples=30, deadline=None)
def test_option_a_picks_pixels_and_pads_zeros_on_both_sides(channels, more, stride, side):
    x = torch.randn(2, channels, side, side)
    y = Shortcut("A", channels, channels + more, stride)(x)
    front = more // 2
    assert torch.equal(y[:, front : front + channels], x[:, :, ::stride, ::stride])
    assert y[:, :front].abs().sum() == 0 and y[:, front + channels :].abs().sum() == 0


def test_which_shortcuts_have_weights():
    weights = {
        (kind, out): sum(p.numel() for p in Shortcut(kind, 4, out, 2 if out == 8 else 1).parameters())
        for kind in SHORTCUTS
        for out in (4, 8)
    }
    projection = {4: 4 * 4 + 2 * 4, 8: 4 * 8 + 2 * 8}  # 1x1 convolution, batch normalisation
    assert weights == {
        ("none", 4): 0, ("none", 8): 0, ("A", 4): 0, ("A", 8): 0,
        ("B", 4): 0, ("B", 8): projection[8], ("C", 4): projection[4], ("C", 8): projection[8],
    }  # fmt: skip


def test_projection_carries_batch_normalisation_and_torchvision_names():
    names = BasicBlock(4, 8, 2, shortcut="B").state_dict().keys()
    assert {"downsample.0.weight", "downsample.1.running_mean", "conv1.weight", "bn2.bias"} <= names


def test_block_equals_torchvisions_with_the_same_weights():
    from torch import nn
    from torchvision.models.resnet import BasicBlock as Reference

    reference = Reference(4, 8, 2, nn.Sequential(nn.Conv2d(4, 8, 1, 2, bias=False), nn.BatchNorm2d(8))).eval()
    ours = BasicBlock(4, 8, 2, shortcut="B").eval()
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(2, 4, 7, 7)
    assert torch.allclose(ours(x), reference(x), atol=1e-6)


def test_zero_branch_makes_a_residual_block_the_identity_up_to_relu():
    block = BasicBlock(4, 4).eval()
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), torch.relu(x))


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_hooks_see_what_the_layers_computed(kind):
    block = BasicBlock(4, 4, shortcut=kind)
    seen, copies = [], []
    for module in block.children():
        module.register_forward_hook(lambda _, __, out: (seen.append(out), copies.append(out.clone()), None)[-1])
    block(torch.randn(2, 4, 5, 5))
    assert seen and all(torch.equal(a, b) for a, b in zip(seen, copies, strict=True))
    assert block.relu1 is not block.relu2


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_gradients_agree_with_finite_differences(kind):
    torch.manual_seed(0)
    block = BasicBlock(2, 4, 2, shortcut=kind).double().eval()
    assert torch.autograd.gradcheck(block, torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_identity_block_returns_its_non_negative_input(normalization):
    block = BasicBlock(4, 4, shortcut="none", normalization=normalization).eval()
    make_identity(block)
    x = torch.rand(2, 4, 5, 5)
    assert torch.allclose(block(x), x, atol=1e-6)


def test_bad_input_names_value_rule_and_mend():
    with pytest.raises(ValueError, match=r"shortcut must be one of 'none', 'A', 'B', 'C', got 'D'"):
        BasicBlock(4, 4, shortcut="D")
    with pytest.raises(ValueError, match="normalization must be one of"):
        BasicBlock(4, 4, normalization="layer")
    with pytest.raises(ValueError, match="8 -> 4; use 'B'"):
        Shortcut("A", 8, 4)
    with pytest.raises(ValueError, match="plain block that keeps its shape"):
        make_identity(BasicBlock(4, 4, shortcut="A"))
