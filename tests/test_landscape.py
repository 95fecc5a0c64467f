import copy

import numpy as np
import pytest
import torch
from torch import nn

from resnet_edu import landscape
from resnet_edu.datasets import Split
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig, evaluate, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network(digits):
    torch.manual_seed(0)
    network = cifar_resnet(8, width=8, in_channels=1, shortcut="B")
    list(train(network, digits, TrainConfig(epochs=2)))
    return network.train()


@pytest.fixture(scope="module")
def split(digits):
    return Split(digits.train.images[:200], digits.train.labels[:200])


def test_every_filter_of_a_direction_has_the_norm_of_the_networks(network):
    direction = landscape.random_direction(network)
    modules = dict(network.named_modules())
    assert direction.keys() == dict(network.named_parameters()).keys()
    for name, weight in network.named_parameters():
        owner, _, kind = name.rpartition(".")
        if kind == "bias" or isinstance(modules[owner], nn.BatchNorm2d):
            assert direction[name].count_nonzero() == 0
            continue
        for mine, theirs in zip(direction[name], weight.detach(), strict=True):  # one filter, or one row
            assert mine.norm() == pytest.approx(theirs.norm().item(), rel=1e-5)
            assert not torch.allclose(mine, theirs)


def test_directions_are_gaussian_repeatable_and_nearly_orthogonal(network):
    first, again, other = (landscape.random_direction(network, seed) for seed in (0, 0, 1))
    a, b, c = (torch.cat([t.flatten() for t in d.values()]) for d in (first, again, other))
    assert torch.equal(a, b) and abs(torch.cosine_similarity(a, c, dim=0)) < 0.05
    big = first["layer3.0.conv2.weight"]
    z = (big / big.flatten(1).std(dim=1).view(-1, 1, 1, 1)).flatten()
    assert z.pow(4).mean() == pytest.approx(3, abs=0.2)  # 1.8 for uniform entries, 1 for signs


def test_a_filter_of_zeros_and_a_gates_bias_do_not_move():
    network = cifar_resnet(8, in_channels=1, mixing="shortcut-gating", zero_init_last=True)
    network.conv1.weight.data[3] = 0
    direction = landscape.random_direction(network)
    assert direction["conv1.weight"][3].count_nonzero() == 0
    assert direction["layer1.0.mixing.bias"].count_nonzero() == 0
    assert all(tensor.isfinite().all() for tensor in direction.values())


def test_the_centre_is_the_network_in_evaluation_mode(network, digits, split):
    directions = landscape.random_direction(network, 0), landscape.random_direction(network, 1)
    loss, error = evaluate(network, digits, split)
    line = landscape.loss_line(network, digits, split, directions[0], [-0.5, 0, 0.5], progress=False)
    surface = landscape.loss_surface(network, digits, split, directions, [0, 0.4], [-0.3, 0], progress=False)
    assert (line.loss[1], line.error[1]) == (loss, error)
    assert (surface.loss[0, 1], surface.error[0, 1]) == (loss, error)
    assert line.loss[0] != line.loss[2] and line.loss.max() > loss


def test_every_point_is_the_network_with_moved_weights(network, digits, split):
    directions = landscape.random_direction(network, 0), landscape.random_direction(network, 1)
    alphas, betas = [-0.7, 0.2, 0.9], [0.1, 0.5]
    surface = landscape.loss_surface(network, digits, split, directions, alphas, betas, progress=False)
    assert surface.loss.shape == surface.error.shape == (3, 2)
    for row, alpha in enumerate(alphas):
        for column, beta in enumerate(betas):
            moved = copy.deepcopy(network)
            for name, weight in moved.named_parameters():
                weight.data += alpha * directions[0][name] + beta * directions[1][name]
            expected = evaluate(moved, digits, split)
            assert (surface.loss[row, column], surface.error[row, column]) == pytest.approx(expected, rel=1e-4)
    line = landscape.loss_line(network, digits, split, directions[0], alphas, progress=False)
    edge = landscape.loss_surface(network, digits, split, directions, alphas, [0.0], progress=False)
    assert np.array_equal(line.loss, edge.loss[:, 0])


def test_the_loss_of_a_linear_softmax_model_is_convex_along_every_line(digits, split):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    line = landscape.loss_line(model, digits, split, landscape.random_direction(model), progress=False)
    assert line.alphas == pytest.approx(np.linspace(-1, 1, 21))
    assert (np.diff(line.loss, 2) > 0).all()


def test_the_network_stays_as_it_is(network, digits, split):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    direction, random = landscape.random_direction(network), torch.get_rng_state()
    kept = {name: tensor.clone() for name, tensor in direction.items()}
    landscape.loss_line(network, digits, split, direction, [-1, 1], progress=False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(torch.equal(tensor, kept[name]) for name, tensor in direction.items())
    assert network.training and all(p.requires_grad for p in network.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_direction_of_another_network_is_refused(network, digits, split):
    other = landscape.random_direction(cifar_resnet(8, in_channels=1))
    with pytest.raises(ValueError, match="must have the network's parameters and shapes; make it with random_dir"):
        landscape.loss_line(network, digits, split, other, progress=False)


def test_a_moved_network_stands_at_the_point_of_the_map(network, digits, split):
    direction = landscape.random_direction(network)
    line = landscape.loss_line(network, digits, split, direction, [0.25], progress=False)
    moved = landscape.moved(network, direction, 0.25)
    assert evaluate(moved, digits, split)[0] == pytest.approx(line.loss[0], rel=1e-5)
    with pytest.raises(ValueError, match="random_direction"):
        landscape.moved(network, {"fc.weight": torch.zeros(1)}, 1)


def test_a_way_in_a_plane_is_found_whole():
    torch.manual_seed(0)
    one, other, end = torch.randn(3, 40).unbind()
    steps = [(3.0, 0.0), (2.0, 1.0), (1.0, 0.5), (0.0, 0.0)]
    flat = [end + a * one + b * other for a, b in steps]
    checkpoints = [{"w": vector[:30].view(5, 6), "b": vector[30:]} for vector in flat]
    way = landscape.trajectory(checkpoints)
    assert way.share == pytest.approx(1) and way.places.shape == (4, 2) and not way.places[-1].any()
    for place, kept in zip(way.places, checkpoints, strict=True):
        for key in ("w", "b"):
            first, second = (direction[key] for direction in way.directions)
            again = checkpoints[-1][key] + place[0] * first + place[1] * second
            assert torch.allclose(again, kept[key], atol=1e-4)
    with pytest.raises(ValueError, match="three"):
        landscape.trajectory(checkpoints[:2])


def test_curvature_agrees_with_the_dense_hessian(digits):
    torch.manual_seed(1)
    network = cifar_resnet(8, width=1, in_channels=1)
    list(train(network, digits, TrainConfig(epochs=1)))
    split = Split(digits.train.images[:32], digits.train.labels[:32])
    weights = [weight for weight in network.eval().parameters() if weight.dim() > 1]
    loss = nn.functional.cross_entropy(network(digits.normalize(split.images)), split.labels)
    gradient = torch.autograd.grad(loss, weights, create_graph=True)
    flat = torch.cat([one.flatten() for one in gradient])
    rows = [torch.autograd.grad(entry, weights, retain_graph=True) for entry in flat]
    dense = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).double()
    values = torch.linalg.eigvalsh((dense + dense.T) / 2)
    found = landscape.curvature(network, digits, split, iterations=60)
    assert found == pytest.approx((values[0].item(), values[-1].item()), rel=1e-3, abs=1e-4)
