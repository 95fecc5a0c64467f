import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import paths, randomized
from torch import nn

from resnet_edu.blocks import (
    BLOCKS,
    MIXINGS,
    NORMALIZATIONS,
    SHORTCUTS,
    BasicBlock,
    Bottleneck,
    Mixing,
    PreActBasicBlock,
    PreActBottleneck,
    Shortcut,
    make_identity,
)

CLASSES = list(BLOCKS.values())
USUAL = (BasicBlock, Bottleneck, PreActBasicBlock, PreActBottleneck)  # those that tests/reference.py computes
GATED = ("exclusive-gating", "shortcut-gating")


@dataclass
class Case:
    """A block, how it was made, and images for it."""

    kind: type
    in_channels: int
    channels: int
    stride: int
    options: dict
    side: int

    def build(self, seed=0, **changes):
        torch.manual_seed(seed)
        block = self.kind(self.in_channels, self.channels, self.stride, **self.options | changes)
        return randomized(block, seed).eval()

    @property
    def pre(self):
        return self.kind in (PreActBasicBlock, PreActBottleneck)

    @property
    def out_channels(self):
        return self.kind.expansion * self.channels

    @property
    def images(self):
        generator = torch.Generator().manual_seed(1)
        return torch.randn(2, self.in_channels, self.side, self.side + 1, generator=generator)

    @property
    def strides(self):
        if self.kind.expansion == 1:
            return (self.stride, 1)
        return (self.stride, 1, 1) if self.options["stride_on"] == "1x1" else (1, self.stride, 1)


@st.composite
def cases(draw, shortcuts=SHORTCUTS, mixings=MIXINGS, keeps_shape=False, kinds=USUAL):
    kind = draw(st.sampled_from(kinds))
    channels = draw(st.integers(1, 4))
    shortcut = draw(st.sampled_from(shortcuts))
    most = kind.expansion * channels
    inside = most if keeps_shape else draw(st.integers(1, most if shortcut == "A" else most + 2))
    options = {
        "shortcut": shortcut,
        "normalization": draw(st.sampled_from(NORMALIZATIONS)),
        "mixing": draw(st.sampled_from(mixings)),
        "gate_bias": draw(st.sampled_from((-6.0, 0.5))),
        "conv_bias": draw(st.booleans()),
    }
    if kind.expansion == 4:
        options["stride_on"] = draw(st.sampled_from(("1x1", "3x3")))
    if kind.starts_activated:
        options["after_activation"] = draw(st.booleans())
    stride = 1 if keeps_shape else draw(st.integers(1, 2))
    return Case(kind, inside, channels, stride, options, draw(st.integers(1, 7)))


many = settings(max_examples=80, deadline=None)
some = settings(max_examples=40, deadline=None)


def watch(module):
    """Keep by reference and by copy what every submodule puts out."""
    seen, copies = [], []

    def hook(_, __, output):
        seen.append(output)
        copies.append(output.detach().clone())

    for part in module.modules():
        part.register_forward_hook(hook)
    return seen, copies


@given(case=cases(kinds=CLASSES))
@many
def test_a_block_has_the_stated_shape_and_adds_its_two_paths(case):
    block, x = case.build(), case.images
    kept = x.clone()
    y = block(x)
    sides = (math.ceil(case.side / case.stride), math.ceil((case.side + 1) / case.stride))
    assert y.shape == (2, case.out_channels, *sides)
    assert block.branch(x).shape == block.shortcut(x).shape == y.shape
    assert torch.equal(y, block.finish(block.branch(x) + block.shortcut(x)))
    assert torch.equal(x, kept)


@given(case=cases(mixings=("add",)))
@many
def test_a_block_computes_what_the_papers_draw(case):
    block, x = case.build(), case.images
    first = case.options.get("after_activation", False)
    branch, shortcut = paths(
        block.state_dict(), x, shortcut=case.options["shortcut"], channels=case.out_channels,
        strides=case.strides, pre=case.pre, first=first,
    )  # fmt: skip
    y = branch + shortcut
    torch.testing.assert_close(block(x), y if case.pre else y.clamp(min=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(block.branch(x), branch, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
@pytest.mark.parametrize("order", ["bn-after-addition", "relu-before-addition", "relu-only-pre"])
@pytest.mark.parametrize("shortcut", ["none", "A", "B"])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_other_orders_of_activation_follow_their_drawings(kind, order, shortcut, stride):
    """He et al. 2016, Fig. 4(b) to (d), composed by hand from the block's own layers."""
    torch.manual_seed(0)
    cell = BLOCKS[kind, order]
    block = randomized(cell(4, 4 if kind == "basic" else 1, stride, shortcut=shortcut)).eval()
    x = torch.randn(2, 4, 6, 6)
    entered = torch.relu(x) if order == "relu-only-pre" else x
    projected = entered if stride == 2 and shortcut == "B" else x
    path = torch.zeros(()) if shortcut == "none" else block.downsample(projected)
    convs = [getattr(block, f"conv{i}") for i in range(1, len(block.convolutions) + 1)]
    f = entered
    for number, conv in enumerate(convs[:-1], start=1):
        f = torch.relu(getattr(block, f"bn{number}")(conv(f)))
    f = convs[-1](f)
    norm = block.bn_sum if order == "bn-after-addition" else getattr(block, f"bn{len(convs)}")
    expected = {
        "bn-after-addition": lambda: torch.relu(norm(f + path)),
        "relu-before-addition": lambda: torch.relu(norm(f)) + path,
        "relu-only-pre": lambda: norm(f) + path,
    }[order]()
    torch.testing.assert_close(block(x), expected)
    assert (block(x) < 0).any() == (
        order == "relu-only-pre" or (order == "relu-before-addition" and shortcut != "none")
    )


@given(case=cases(shortcuts=("A", "B", "C"), mixings=MIXINGS[1:]))
@many
def test_mixings_follow_their_closed_forms(case):
    """He et al. 2016, Table 1: the two paths of plain addition, weighted by hand."""
    block, added, x = case.build(), case.build(mixing="add"), case.images
    weights = block.state_dict()
    added.load_state_dict({name: value for name, value in weights.items() if not name.startswith("mixing.")})
    mixing = case.options["mixing"]
    f, h = added.branch(x), added.shortcut(x)
    g = None
    if mixing in GATED:
        kernel = weights["mixing.conv.weight"][:, :, 0, 0]  # (C_out, C_in)
        picked = x[:, :, :: case.stride, :: case.stride]
        score = torch.einsum("oc,nchw->nohw", kernel, picked) + weights["mixing.bias"]
        assert (weights["mixing.bias"] == case.options["gate_bias"]).all()
        g = 1 / (1 + torch.exp(-score))
    y = {
        "scaled-shortcut": lambda: f + 0.5 * h,
        "scaled-both": lambda: 0.5 * f + 0.5 * h,
        "exclusive-gating": lambda: g * f + (1 - g) * h,
        "shortcut-gating": lambda: f + (1 - g) * h,
        "dropout": lambda: f + h,  # evaluation mode
    }[mixing]()
    torch.testing.assert_close(block(x), y if case.pre else torch.relu(y), atol=1e-5, rtol=1e-4)


def test_shortcut_dropout_drops_half_of_the_shortcut_and_nothing_of_the_branch():
    torch.manual_seed(0)
    mixing = Mixing("dropout", 4, 4).train()
    branch, shortcut = torch.full((8, 4, 9, 9), 5.0), torch.ones(8, 4, 9, 9)
    y = mixing(shortcut, branch, shortcut)
    assert set(y.unique().tolist()) == {5.0, 7.0}
    assert (y == 5.0).float().mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("mixing", GATED)
def test_a_gate_is_computed_once_and_starts_with_the_shortcut_open(mixing):
    block = BasicBlock(4, 4, mixing=mixing)
    calls = []
    block.mixing.conv.register_forward_hook(lambda *call: calls.append(call))
    block(torch.randn(2, 4, 5, 5))
    assert len(calls) == 1
    assert (block.mixing.bias == -6).all() and (block.mixing.gate(torch.zeros(1, 4, 1, 1)) < 0.003).all()


@given(case=cases(mixings=("add",), kinds=CLASSES))
@some
def test_plain_and_option_a_have_equal_weights(case):
    if case.in_channels > case.out_channels:
        return
    plain, residual = (case.build(shortcut=kind).state_dict() for kind in ("none", "A"))
    assert plain.keys() == residual.keys()
    assert all(torch.equal(plain[name], residual[name]) for name in plain)


@given(case=cases(shortcuts=("A", "B"), mixings=("add",), keeps_shape=True))
@some
def test_a_zero_branch_leaves_the_identity(case):
    block, x = case.build(), case.images
    block.zero_init_last()
    if not case.pre and case.options["normalization"] == "batch":
        getattr(block, f"bn{len(case.strides)}").bias.data.zero_()  # 0 in a new block
    assert torch.equal(block(x), x if case.pre else torch.relu(x))


@given(case=cases(mixings=("add", *GATED), kinds=CLASSES))
@some
def test_weights_survive_a_round_trip_and_follow_the_seed(case):
    block, other, x = case.build(seed=0), case.build(seed=1), case.images
    assert not torch.equal(block.conv1.weight, other.conv1.weight)
    other.load_state_dict(block.state_dict())
    assert torch.equal(block(x), other(x))
    assert all(map(torch.equal, case.build(seed=0).state_dict().values(), block.state_dict().values()))


@given(case=cases(kinds=CLASSES))
@some
def test_nothing_that_a_hook_holds_is_changed(case):
    if case.options["normalization"] == "batch" and case.side < 3:
        return  # too few pixels to normalise in training mode
    block, x = case.build().train(), case.images.requires_grad_()
    seen, copies = watch(block)
    block(x).sum().backward()
    assert len(seen) > 4 and all(map(torch.equal, seen, copies))
    assert all(tensor._version == 0 for tensor in (x, *seen))
    assert torch.isfinite(x.grad).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in block.parameters())


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("shortcut", SHORTCUTS)
@pytest.mark.parametrize("mixing", ["add", "scaled-both", *GATED])
def test_gradients_agree_with_finite_differences(kind, shortcut, mixing):
    if shortcut == "none" and mixing != "add":
        return
    torch.manual_seed(0)
    channels = 2 if kind.expansion == 1 else 1
    block = kind(2, channels, 2, shortcut=shortcut, mixing=mixing, gate_bias=0.3).double()
    names, values = zip(*randomized(block).eval().named_parameters(), strict=True)

    def function(x, *parameters):
        return torch.func.functional_call(block, dict(zip(names, parameters, strict=True)), x)

    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x, *values), fast_mode=True)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_running_statistics_move_once_for_each_training_forward(kind, shortcut):
    torch.manual_seed(0)
    block = kind(4, 4 if kind.expansion == 1 else 1, 2, shortcut=shortcut)
    x = torch.randn(8, 4, 6, 6)
    with torch.no_grad():
        for expected in (1, 2):
            block(x)
            norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
            assert norms and all(norm.num_batches_tracked == expected for norm in norms)
    if kind in (PreActBasicBlock, PreActBottleneck):
        mean = x.mean((0, 2, 3))
        torch.testing.assert_close(block.bn1.running_mean, (0.1 + 0.9 * 0.1) * mean)


@pytest.mark.parametrize("kind", [Bottleneck, PreActBottleneck])
@pytest.mark.parametrize(("stride_on", "sides"), [("1x1", [4, 4, 4]), ("3x3", [8, 4, 4])])
def test_v1_strides_on_the_first_1x1_and_v1_5_on_the_3x3(kind, stride_on, sides):
    block = kind(4, 2, 2, stride_on=stride_on)
    found = []
    for conv in (block.conv1, block.conv2, block.conv3):
        conv.register_forward_hook(lambda _, __, y: found.append(y.shape[-1]))
    block(torch.randn(2, 4, 8, 8))
    assert found == sides


@pytest.mark.parametrize("kind", [PreActBasicBlock, PreActBottleneck])
def test_an_identity_before_activation_carries_the_raw_input(kind):
    torch.manual_seed(0)
    block = randomized(kind(kind.expansion * 2, 2)).eval()
    x = torch.randn(2, kind.expansion * 2, 5, 5)
    assert (x < 0).any() and torch.equal(block.shortcut(x), x)
    torch.testing.assert_close(block(x) - block.branch(x), x)
    assert not torch.equal(block.activate(x), x)


@pytest.mark.parametrize("stride_on", ["3x3", None])
def test_blocks_equal_torchvisions_with_the_same_weights(stride_on):
    from torchvision.models import resnet

    theirs, ours = (resnet.Bottleneck, Bottleneck) if stride_on else (resnet.BasicBlock, BasicBlock)
    out = ours.expansion * 4
    reference = randomized(theirs(3, 4, 2, nn.Sequential(nn.Conv2d(3, out, 1, 2, bias=False), nn.BatchNorm2d(out))))
    block = ours(3, 4, 2, shortcut="B")
    assert block.load_state_dict(reference.state_dict()) and list(block.state_dict()) == list(reference.state_dict())
    x = torch.randn(2, 3, 7, 7)
    torch.testing.assert_close(block.eval()(x), reference.eval()(x))


shapes = {
    "channels": st.integers(1, 6),
    "more": st.integers(0, 5),
    "stride": st.integers(1, 2),
    "side": st.integers(1, 9),
}


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


@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_identity_block_returns_its_non_negative_input(normalization):
    block = BasicBlock(4, 4, shortcut="none", normalization=normalization).eval()
    make_identity(block)
    x = torch.rand(2, 4, 5, 5)
    torch.testing.assert_close(block(x), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BasicBlock(4, 4, shortcut="D"), r"shortcut must be one of 'none', 'A', 'B', 'C', got 'D'"),
        (lambda: PreActBasicBlock(4, 4, normalization="layer"), "normalization must be one of"),
        (lambda: Bottleneck(4, 4, mixing="sum"), "mixing must be one of"),
        (lambda: Bottleneck(4, 4, stride_on="first"), "stride_on must be one of '1x1', '3x3', got 'first'"),
        (lambda: BasicBlock(4, 4, projection_normalization="group"), "projection_normalization must be one of"),
        (lambda: Shortcut("A", 8, 4), "8 -> 4; use 'B'"),
        (lambda: make_identity(BasicBlock(4, 4, shortcut="A")), "plain block that keeps its shape"),
        (lambda: make_identity(Bottleneck(4, 1, shortcut="none")), "needs a plain BasicBlock, got Bottleneck"),
    ],
)
def test_bad_input_names_value_rule_and_mend(build, message):
    with pytest.raises(ValueError, match=message):
        build()
