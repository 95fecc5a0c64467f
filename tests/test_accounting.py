"""Counts against the papers' tables, torchvision's records, PyTorch's own counters and sums written out by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resnet_edu import paper
from resnet_edu.accounting import (
    activation_memory,
    architecture_table,
    layers,
    multiply_adds,
    parameter_count,
    saved_bytes,
    shape_table,
    shortcut_kinds,
)
from resnet_edu.blocks import MIXINGS, BasicBlock, Bottleneck
from resnet_edu.networks import IMAGENET_STAGES, ResNet, cifar_resnet, imagenet_resnet, preset


def data_free(build, *arguments, **options):
    with torch.device("meta"):
        return build(*arguments, **options)


# depth: parameters with option A (and plain), B and C; multiply-adds with A, in millions.
CIFAR = {
    20: (269_722, 272_474, 283_962, 40.55),
    32: (464_154, 466_906, 489_594, 68.86),
    44: (658_586, 661_338, 695_226, 97.17),
    56: (853_018, 855_770, 900_858, 125.49),
    110: (1_727_962, 1_730_714, 1_826_202, 252.89),
    1202: (19_421_274, 19_424_026, 20_538_714, 2829.2),
}


@pytest.mark.parametrize("depth", CIFAR)
def test_cifar_networks(depth):
    *parameters, millions = CIFAR[depth]
    by_kind = [data_free(cifar_resnet, depth, shortcut=kind) for kind in ("A", "B", "C")]
    assert list(map(parameter_count, by_kind)) == parameters
    assert parameter_count(data_free(cifar_resnet, depth, shortcut="none")) == parameters[0]
    assert multiply_adds(by_kind[0]) / 1e6 == pytest.approx(millions, abs=0.05 if depth == 1202 else 0.005)
    printed = paper.HE2015_TABLE_6_PARAMETERS[depth].value
    assert parameters[0] / 1e6 == pytest.approx(printed, abs=0.05 if printed > 1 else 0.005)


@pytest.mark.parametrize("depth", [d for d in CIFAR if d < 1202])
def test_before_activation_option_a_has_the_same_count(depth):
    pre = data_free(cifar_resnet, depth, activation="pre")
    assert parameter_count(pre) == CIFAR[depth][0]
    assert multiply_adds(pre) == multiply_adds(data_free(cifar_resnet, depth))


def test_count_of_a_network_written_out():
    """ResNet-8, by hand: a stem, three stages of one block, a linear layer; each convolution with its BN."""
    weights, work = [3 * 9 * 16], [3 * 9 * 16 * 32 * 32]
    for inside, channels, side in ((16, 16, 32), (16, 32, 16), (32, 64, 8)):
        weights += [inside * channels * 9, channels * channels * 9]
        work += [weights[-2] * side**2, weights[-1] * side**2]
    scales = 2 * (16 + 2 * (16 + 32 + 64))
    network = cifar_resnet(8)
    assert parameter_count(network) == sum(weights) + scales + 64 * 10 + 10
    assert multiply_adds(network) == sum(work) + 64 * 10


@pytest.mark.parametrize(
    ("depth", "option_a", "option_c"),
    [(18, 11_515_688, 12_043_816), (34, 21_623_848, 22_716_840), (50, 22_780_456, 40_128_552)],
)
def test_imagenet_networks_with_other_shortcuts(depth, option_a, option_c):
    for shortcut, expected in (("A", option_a), ("none", option_a), ("C", option_c)):
        assert parameter_count(data_free(imagenet_resnet, depth, shortcut=shortcut)) == expected


@pytest.mark.parametrize("depth", IMAGENET_STAGES)
def test_torchvision_records_the_same(depth):
    from torchvision.models import get_model_weights

    recorded = get_model_weights(f"resnet{depth}").IMAGENET1K_V1.meta
    network = data_free(imagenet_resnet, depth)
    assert parameter_count(network) == recorded["num_params"]
    assert multiply_adds(network, (3, 224, 224)) / 1e9 == pytest.approx(recorded["_ops"], abs=0.0005)
    for weights in get_model_weights(f"resnet{depth}"):
        quoted = paper.TORCHVISION[f"ResNet-{depth}", weights.name.removeprefix("IMAGENET1K_")].value
        assert weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] == quoted


@pytest.mark.parametrize(
    ("variant", "giga"),
    [("v1", (1.814, 3.664, 3.858, 7.570, 11.282)), ("v1.5", (1.814, 3.664, 4.089, 7.801, 11.514))],
)
def test_the_place_of_the_stride_explains_3_8_against_4_1(variant, giga):
    table = architecture_table(variant=variant)
    assert tuple(round(count / 1e9, 3) for count in table.multiply_adds.values()) == giga
    assert table.parameters == {
        18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808,
    }  # fmt: skip


def test_architecture_table_agrees_with_the_papers():
    """18 and 34 have option A there; the paper's 3.8 for 50 layers is 3.858, cut and not rounded."""
    small = architecture_table((18, 34), "v1", shortcut="A").multiply_adds
    large = architecture_table((50, 101, 152), "v1").multiply_adds
    for depth, count in (small | large).items():
        printed = paper.HE2015_TABLE_1[depth].value
        assert count / 1e9 == pytest.approx(printed, abs=0.06 if depth == 50 else 0.05)
    later = architecture_table((50, 101, 152), "v1.5").multiply_adds
    assert all(abs(count / 1e9 - paper.HE2015_TABLE_1[depth].value) > 0.19 for depth, count in later.items())


def test_architecture_table_reads_as_the_papers():
    table = architecture_table((34, 152), "v1")
    assert table.header == ("layer name", "output size", "34-layer", "152-layer")
    assert table.rows == (
        ("conv1", "112×112", "7×7, 64, stride 2", "7×7, 64, stride 2"),
        ("max pool", "56×56", "3×3, stride 2", "3×3, stride 2"),
        ("conv2_x", "56×56", "[3×3, 64; 3×3, 64] × 3", "[1×1, 64; 3×3, 64; 1×1, 256] × 3"),
        ("conv3_x", "28×28", "[3×3, 128; 3×3, 128] × 4", "[1×1, 128; 3×3, 128; 1×1, 512] × 8"),
        ("conv4_x", "14×14", "[3×3, 256; 3×3, 256] × 6", "[1×1, 256; 3×3, 256; 1×1, 1024] × 36"),
        ("conv5_x", "7×7", "[3×3, 512; 3×3, 512] × 3", "[1×1, 512; 3×3, 512; 1×1, 2048] × 3"),
        ("head", "1×1", "average pool, 1000-d fc", "average pool, 1000-d fc"),
        ("FLOPs", "", "3.7×10⁹", "11.3×10⁹"),
    )
    assert repr(table).splitlines()[2].startswith("max pool    56×56        3×3, stride 2")


def test_architecture_table_follows_the_modules(monkeypatch):
    """A table of constants would not notice other modules."""
    changed = ResNet((1, 2, 1, 1), (8, 8, 16, 16), block=Bottleneck, stem="imagenet", shortcut="B", num_classes=7)
    monkeypatch.setattr("resnet_edu.accounting.imagenet_resnet", lambda depth, **_: changed)
    rows = architecture_table((18,)).rows
    assert [row[2] for row in rows][2:4] == ["[1×1, 8; 3×3, 8; 1×1, 32] × 1", "[1×1, 8; 3×3, 8; 1×1, 32] × 2"]
    assert rows[0][2] == "7×7, 8, stride 2" and rows[-2][2] == "average pool, 7-d fc"


def test_bottleneck_against_two_3x3():
    wide, narrow = BasicBlock(256, 256), Bottleneck(256, 64)
    weights = [sum(m.weight.numel() for m in b.modules() if isinstance(m, nn.Conv2d)) for b in (wide, narrow)]
    assert weights == [1_179_648, 69_632]
    assert [parameter_count(wide), parameter_count(narrow)] == [1_180_672, 70_400]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kuangliu/resnet18", 11_173_962),
        ("kuangliu/resnet50", 23_520_842),
        ("weiaicunzai/resnet18", 11_220_132),
        ("d2l/resnet18", 11_178_378),
        ("loss-landscape/resnet20", 272_474),
        ("loss-landscape/resnet56", 855_770),
        ("loss-landscape/resnet56-noshort", 853_018),
    ],
)
def test_presets(name, expected):
    assert parameter_count(data_free(preset, name)) == expected


def test_multiply_adds_of_the_popular_cifar_network():
    assert round(multiply_adds(data_free(preset, "kuangliu/resnet18")) / 1e6) == 555


def test_pre_activation_counts_of_other_code_and_what_is_wrong_there():
    ours = data_free(imagenet_resnet, 18, activation="pre", stem="cifar", num_classes=10)
    final_norm = parameter_count(ours.final_bn)
    assert final_norm == 1_024
    assert parameter_count(ours) - final_norm == 11_171_146  # kuangliu's PreActResNet18: no final BN

    ours = data_free(imagenet_resnet, 18, activation="pre", stem="cifar", num_classes=100)
    biases = sum(m.out_channels for m in ours.modules() if isinstance(m, nn.Conv2d))
    second_norm = parameter_count(ours.bn1)  # BN twice after the stem
    assert parameter_count(ours) - final_norm + second_norm + biases == 11_222_244  # weiaicunzai's


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("activation", ["post", "pre"])
@pytest.mark.parametrize("mixing", MIXINGS)
def test_multiply_adds_agree_with_pytorchs_counter(block, activation, mixing):
    network = cifar_resnet(20, block, activation=activation, mixing=mixing, shortcut="B", width=4).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.randn(1, 3, 19, 16))
    assert counter.get_total_flops() == 2 * multiply_adds(network, (3, 19, 16))


@pytest.mark.parametrize("name", ["resnet50", "resnext50_32x4d", "mobilenet_v2"])
def test_any_image_network_is_counted(name):
    """Grouped convolutions too; a module that is called twice is two rows and owns its parameters once."""
    import torchvision

    network = data_free(getattr(torchvision.models, name))
    with FlopCounterMode(display=False) as counter:
        copy.deepcopy(network).eval()(torch.empty(1, 3, 64, 64, device="meta"))
    found = layers(network, (3, 64, 64))
    assert counter.get_total_flops() == 2 * sum(layer.multiply_adds for layer in found)
    assert sum(layer.parameters for layer in found) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("mixing", ["add", "exclusive-gating"])
def test_layers_add_up_and_hold_the_shapes_of_a_real_pass(mixing):
    network = cifar_resnet(14, shortcut="B", mixing=mixing, width=4).eval()
    real = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda _, __, y, name=name: real.update({name: y}))
    x = torch.randn(1, 3, 17, 12)
    network(x)
    found = layers(network, (3, 17, 12))
    assert sum(layer.parameters for layer in found) == parameter_count(network)
    for layer in found:
        assert layer.output_shape == real[layer.name].shape[1:]
        assert layer.output_bytes == real[layer.name].nbytes
        assert layer.kind == type(network.get_submodule(layer.name)).__name__
    assert [layer.name for layer in found][:3] == ["conv1", "bn1", "relu"] and found[-1].name == "fc"
    halves = layers(copy.deepcopy(network).half(), (3, 17, 12))
    assert [2 * layer.output_bytes for layer in halves] == [layer.output_bytes for layer in found]


def test_memory_of_a_chain_written_out():
    """Image and the convolution's output for their layers, the batch's mean and deviation, the ReLU's output."""
    chain = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU())
    batch, pixels = 4, 6 * 7
    expected = 4 * (batch * pixels * (3 + 5 + 5) + 2 * 5)
    assert activation_memory(chain, (3, 6, 7), batch) == expected


@pytest.mark.parametrize(
    "options",
    [{}, {"shortcut": "none"}, {"shortcut": "B", "activation": "pre"}, {"shortcut": "C", "mixing": "exclusive-gating"}],
)
def test_memory_is_what_a_real_forward_pass_keeps(options):
    """Against the hooks of a run on real numbers, and against what PyTorch's allocator still holds after it."""
    from torch.profiler import ProfilerActivity, profile

    network, x = cifar_resnet(14, width=4, **options), torch.randn(4, 3, 16, 16)
    expected = activation_memory(network, (3, 16, 16), 4)
    assert saved_bytes(network, x) == expected
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        logits = network(x)
    held = sum(event.self_cpu_memory_usage for event in profiler.key_averages())
    assert held - logits.nbytes + x.nbytes == expected


def test_memory_grows_with_depth_and_batch_and_an_addition_keeps_nothing():
    residual, plain = (data_free(cifar_resnet, 20, shortcut=kind) for kind in ("A", "none"))
    assert activation_memory(plain) == activation_memory(residual)
    assert 2.5 * activation_memory(residual) < activation_memory(data_free(cifar_resnet, 56))
    one, two, five = (activation_memory(residual, batch=batch) for batch in (1, 2, 5))
    assert five - one == 4 * (two - one) > 0


def test_counting_leaves_the_network_alone():
    network = cifar_resnet(8, mixing="dropout").train()
    called, not_copied = [], torch.ones(1, requires_grad=True) * 2
    for module in network.modules():
        module.register_forward_hook(lambda *call, t=not_copied: called.append((call, t)))
    network.fc.register_full_backward_hook(lambda *call: called.append(call))
    before, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    for count in (layers, shape_table, multiply_adds, parameter_count, activation_memory, shortcut_kinds):
        count(network)
    architecture_table((18,))
    assert not called and network.training and torch.equal(random, torch.get_rng_state())
    assert all(map(torch.equal, before.values(), network.state_dict().values()))
    assert all(p.grad is None and p.device.type == "cpu" for p in network.parameters())
    network(torch.randn(2, 3, 8, 8))
    assert called


def test_shape_table_prints_aligned_with_a_total():
    table = shape_table(cifar_resnet(8, width=4), (3, 16, 16))
    first, *_, last = lines = repr(table).splitlines()
    assert first.split() == ["layer", "kind", "output", "shape", "parameters", "multiply-adds"]
    assert last.split() == ["total", "5,006", "212,128"]
    assert len({line.rindex(line.split()[-1]) + len(line.split()[-1]) for line in lines}) == 1
    assert lines[1].split() == ["conv1", "Conv2d", "4×16×16", "108", "27,648"]
    from resnet_edu.figures import Table

    assert "4×16×16" in Table(table.header, table.rows, "Shapes.")._repr_html_()


@pytest.mark.parametrize(
    ("shortcut", "first", "others"),
    [
        ("none", "none", "none"),
        ("A", "padding", "identity"),
        ("B", "projection", "identity"),
        ("C", "projection", "projection"),
    ],
)
def test_shortcut_kinds_are_the_papers_solid_and_dashed_lines(shortcut, first, others):
    assert shortcut_kinds(cifar_resnet(14, shortcut=shortcut)) == {
        "layer1.0": others, "layer1.1": others, "layer2.0": first, "layer2.1": others,
        "layer3.0": first, "layer3.1": others,
    }  # fmt: skip


def test_dashed_lines_of_resnet_34_and_50():
    """He et al. 2015, Fig. 3: three dashed lines; with bottlenecks the first block widens too."""
    dashed = {
        depth: [name for name, kind in shortcut_kinds(data_free(imagenet_resnet, depth)).items() if kind != "identity"]
        for depth in (34, 50)
    }
    assert dashed[34] == ["layer2.0", "layer3.0", "layer4.0"]
    assert dashed[50] == ["layer1.0", "layer2.0", "layer3.0", "layer4.0"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers(cifar_resnet(8), (1, 3, 32, 32)), ValueError, r"got \(1, 3, 32, 32\); leave out the batch"),
        (lambda: layers(cifar_resnet(8), 32), ValueError, r"must be one image's \(C, H, W\).* got 32"),
        (lambda: layers(cifar_resnet(8), (3, 0, 32)), ValueError, r"got \(3, 0, 32\)"),
        (lambda: multiply_adds(cifar_resnet(8), (1, 28, 28)), ValueError, "build the network with in_channels=1"),
        (lambda: shape_table("resnet20"), TypeError, "network must be a torch.nn.Module, got str"),
        (lambda: activation_memory(cifar_resnet(8), batch=0), ValueError, "batch must be a whole number .* got 0"),
        (lambda: architecture_table(variant="v2"), ValueError, "variant must be one of 'v1', 'v1.5', got 'v2'"),
        (lambda: architecture_table((20,)), ValueError, "depth must be one of 18, 34, 50, 101, 152, got 20"),
        (lambda: architecture_table(()), ValueError, "depths must name at least one of 18, 34"),
        (lambda: shortcut_kinds(nn.Linear(2, 2)), ValueError, "Linear has no residual block"),
    ],
)
def test_bad_input_names_value_rule_and_mend(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_every_quoted_figure_names_its_place():
    tables = {name: table for name, table in vars(paper).items() if name.isupper() or name.startswith(("HE", "LI"))}
    assert len(tables) >= 12
    for name, table in tables.items():
        for figure in table.values():
            assert figure.unit and figure.place and figure.key
            assert figure.value is None or 0 < figure.value < 100
            assert figure.secondary == (figure.key in ("li2018", "veit2016"))
            if "_TABLE_" in name:
                assert figure.place == "Table " + name.split("_TABLE_")[1][0] and name.startswith(figure.key.upper())


def test_quoted_tables_agree_where_they_say_the_same():
    assert paper.HE2015_TABLE_2["plain", 34].value == paper.HE2015_TABLE_3["plain-34", "top-1"].value
    assert paper.HE2015_TABLE_2["residual", 34].value == paper.HE2015_TABLE_3["ResNet-34 A", "top-1"].value
    assert paper.HE2016_TABLE_1["add", None].value == paper.HE2016_TABLE_2["original", 110].value
    for depth in (110, 164):
        for order, when in (("original", "post"), ("full pre-activation", "pre")):
            both = paper.HE2016_TABLE_2[order, depth], paper.HE2016_TABLE_3["CIFAR-10", f"ResNet-{depth}", when]
            assert both[0].value == both[1].value
    assert {mixing for mixing, _ in paper.HE2016_TABLE_1} == {*MIXINGS, "C"}
