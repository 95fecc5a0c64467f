import pytest
import torch

from resnet_edu.networks import cifar_resnet, deepened, weighted_layers


def parameters(network):
    return sum(p.numel() for p in network.parameters())


# Counted independently; the first column is He et al. 2015, Table 6 (0.27M … 1.7M).
COUNTS = {
    20: (269_722, 272_474, 283_962),
    32: (464_154, 466_906, 489_594),
    44: (658_586, 661_338, 695_226),
    56: (853_018, 855_770, 900_858),
    110: (1_727_962, 1_730_714, 1_826_202),
}


@pytest.mark.parametrize("depth", COUNTS)
def test_parameter_counts_and_depth(depth):
    plain, *others = (cifar_resnet(depth, shortcut=kind) for kind in ("none", "A", "B", "C"))
    assert tuple(map(parameters, others)) == COUNTS[depth]
    assert parameters(plain) == COUNTS[depth][0]
    for network in (plain, *others):
        assert len(weighted_layers(network)) == depth


def test_stages_halve_the_map_and_double_the_channels():
    network = cifar_resnet(14)
    shapes = []
    for stage in network.stages:
        stage.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape)))
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert shapes == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
    assert [block.conv1.stride[0] for block in network.blocks] == [1, 1, 2, 1, 2, 1]


def test_a_plain_twin_has_the_same_weights_from_the_same_seed():
    networks = []
    for kind in ("none", "A"):
        torch.manual_seed(3)
        networks.append(cifar_resnet(8, shortcut=kind, width=4))
    plain, residual = (network.state_dict() for network in networks)
    assert plain.keys() == residual.keys()
    assert all(torch.equal(plain[name], residual[name]) for name in plain)


@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_identity_blocks_make_a_deeper_network_that_computes_the_same(normalization):
    torch.manual_seed(0)
    network = cifar_resnet(8, shortcut="none", width=4, in_channels=1, normalization=normalization)
    for _ in range(3):  # running statistics that are not the initial ones
        network(torch.randn(16, 1, 8, 8))
    deeper = deepened(network.eval(), 32)
    x = torch.randn(8, 1, 8, 8)
    assert len(weighted_layers(deeper)) == 32
    assert torch.allclose(network(x), deeper(x), atol=1e-5)


@pytest.mark.parametrize("depth", [-4, 2, 7, 9, 21, 54, 20.0, "20"])
def test_depth_rule(depth):
    with pytest.raises(ValueError, match=r"depth must be 6n\+2 with n >= 1 .* got"):
        cifar_resnet(depth)


@pytest.mark.parametrize("option", [{"width": 0}, {"in_channels": -1}, {"num_classes": 0}, {"width": 1.5}])
def test_sizes_must_be_positive_whole_numbers(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        cifar_resnet(8, **option)


def test_unknown_options():
    with pytest.raises(ValueError, match="shortcut must be one of"):
        cifar_resnet(8, shortcut="identity")
    with pytest.raises(ValueError, match="normalization must be one of"):
        cifar_resnet(8, normalization="group")


def test_deepened_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="larger than the network's 14"):
        deepened(cifar_resnet(14, shortcut="none"), 8)
    with pytest.raises(ValueError, match="only a plain network"):
        deepened(cifar_resnet(8, shortcut="A"), 14)


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
