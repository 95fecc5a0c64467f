import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from resnet_edu import probes
from resnet_edu.blocks import BasicBlock, Bottleneck, PreActBasicBlock, PreActBottleneck
from resnet_edu.networks import ResNet, cifar_resnet, weighted_layers
from resnet_edu.training import TrainConfig, train

pytestmark = pytest.mark.usefixtures("one_thread")

BATCH = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LABELS = torch.arange(12) % 10


def small(depth=14, width=4, seed=0, **options):
    """A float64 network whose normalisation has scales, shifts and statistics of its own."""
    torch.manual_seed(seed)
    network = cifar_resnet(depth, width=width, in_channels=1, **options).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return probes.recalibrate(network, BATCH).train()


def state(network):
    values = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    return values, gradients, [m.training for m in network.modules()], [p.requires_grad for p in network.parameters()]


def same(a, b):
    gradients = all(x is y is None or torch.equal(x, y) for x, y in zip(a[1], b[1], strict=True))
    return all(torch.equal(a[0][name], b[0][name]) for name in a[0] | b[0]) and gradients and a[2:] == b[2:]


PROBES = {
    "recalibrate": lambda n: probes.recalibrate(n, BATCH),
    "gradient_norms": lambda n: probes.gradient_norms(n, BATCH, LABELS),
    "stored gradient_norms": lambda n: probes.gradient_norms(n),
    "response_std": lambda n: probes.response_std(n, BATCH),
    "activation_variance": lambda n: probes.activation_variance(n, BATCH),
    "block_jacobian": lambda n: probes.block_jacobian(n.blocks[1], torch.rand(1, 4, 3, 3).double()),
    "chain_jacobian": lambda n: probes.chain_jacobian(n, BATCH[:1], 3, 5),
    "top_singular_value": lambda n: probes.top_singular_value(n, BATCH[:1], 3),
    "gradient_correlation": lambda n: probes.gradient_correlation(n, BATCH, 3, statistics="batch"),
    "path_gradients": lambda n: probes.path_gradients(n, BATCH, LABELS, [1], 1, statistics="batch"),
}


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("training", [True, False])
def test_a_probe_leaves_the_network_and_the_random_state_alone(name, training):
    network = small().train(training)
    network.bn1.train(not training)  # a mixed mode is to be kept, too
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    before, images, random = state(network), BATCH.clone(), torch.get_rng_state()
    with torch.random.fork_rng(enabled=name == "block_jacobian"):  # this one draws its input
        PROBES[name](network)
    assert same(state(network), before)
    assert torch.equal(BATCH, images) and torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_works_where_gradients_are_off(name):
    network = small()
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    with torch.no_grad():
        PROBES[name](network)


# Running statistics


def test_a_recalibrated_network_computes_in_evaluation_what_training_mode_does():
    torch.manual_seed(0)
    network = cifar_resnet(20, width=4, in_channels=1).double()
    images = torch.randn(200, 1, 8, 8, dtype=torch.float64)
    expected = copy.deepcopy(network).train()(images)
    got = probes.recalibrate(network, images)(images)
    assert torch.allclose(got, expected, atol=1e-2 * expected.abs().max().item())  # N / (N - 1) apart
    assert not torch.allclose(copy.deepcopy(network).eval()(images), expected, rtol=0.5)


def test_recalibration_averages_over_the_batches():
    network = small(8)  # has statistics from before
    recalibrated = probes.recalibrate(network, BATCH, batch_size=6)
    responses = network.conv1(BATCH).detach()  # (12, 16, 8, 8)
    mean = torch.stack([half.mean((0, 2, 3)) for half in responses.split(6)]).mean(0)
    variance = torch.stack([half.var((0, 2, 3)) for half in responses.split(6)]).mean(0)
    assert torch.allclose(recalibrated.bn1.running_mean, mean)
    assert torch.allclose(recalibrated.bn1.running_var, variance)
    assert recalibrated.bn1.momentum == network.bn1.momentum and not recalibrated.training


# Gradient norms


def test_gradient_norms_agree_with_finite_differences():
    network = small(8)
    norms = probes.gradient_norms(network, BATCH, LABELS)
    weight = network.fc.weight.data
    differences = torch.zeros_like(weight)
    for index in itertools.product(*map(range, weight.shape)):
        losses = []
        for step in (1e-5, -1e-5):
            moved = copy.deepcopy(network).train()
            moved.fc.weight.data[index] += step
            losses.append(F.cross_entropy(moved(BATCH), LABELS).item())
        differences[index] = (losses[0] - losses[1]) / 2e-5
    assert norms["fc"] == pytest.approx(differences.norm().item(), rel=1e-6)
    assert list(norms) == list(weighted_layers(network)) and len(norms) == 8


def test_stored_gradients_can_be_read_in_the_middle_of_training(digits):
    network = cifar_resnet(8, width=4, in_channels=1)
    with pytest.raises(ValueError, match=r"conv1.weight holds no gradient; give images and labels, or call backward"):
        probes.gradient_norms(network)
    with pytest.raises(ValueError, match="must be given together"):
        probes.gradient_norms(network, BATCH)
    seen = []
    for _ in train(network, digits, TrainConfig(epochs=1, batch_size=256), log_every=2):
        seen.append(probes.gradient_norms(network))
    by_hand = [layer.weight.grad.norm().item() for layer in weighted_layers(network).values()]
    assert list(seen[-1].values()) == pytest.approx(by_hand)
    assert seen[0] != seen[1] and seen[-2] == seen[-1]  # the epoch's record comes after no further step


def growth(depth, shortcut, seed):
    """The factor per layer by which the gradient grows from the last convolution back to the second."""
    torch.manual_seed(seed)
    network = cifar_resnet(depth, shortcut=shortcut)
    images, labels = torch.randn(16, 3, 8, 8), torch.randint(10, (16,))
    norms = list(probes.gradient_norms(network, images, labels).values())[1:-1]
    return (norms[0] / norms[-1]) ** (1 / (len(norms) - 1))


def test_at_initialisation_the_gradient_of_a_plain_network_explodes_and_does_not_vanish():
    plain = [growth(56, "none", seed) for seed in range(3)]
    residual = [growth(56, "A", seed) for seed in range(3)]
    assert min(plain) > 1.1  # over 54 layers a factor of more than 100
    assert max(plain) < 1.3
    assert min(residual) > 0.99 and max(residual) < 1.08


# Responses


class InPlaceBlock(BasicBlock):
    """The block as many repositories write it."""

    def forward(self, x):
        y = F.relu_(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.downsample(x)
        return F.relu_(y)


def test_response_std_is_right_in_spite_of_operations_in_place():
    torch.manual_seed(0)
    pure = ResNet((2, 2), (4, 8), in_channels=1, block=BasicBlock)
    impure = ResNet((2, 2), (4, 8), in_channels=1, block=InPlaceBlock)
    impure.load_state_dict(pure.state_dict())
    images = BATCH.float()
    assert probes.response_std(impure, images) == pytest.approx(probes.response_std(pure, images), rel=1e-5)

    kept = []  # what a hook that keeps the tensor shows instead
    naive = copy.deepcopy(impure).train()
    naive.layer1[0].bn1.register_forward_hook(lambda module, inputs, output: kept.append(output))
    naive(images)
    assert abs(kept[0].std().item() - 1) > 0.3


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_normalised_responses_of_a_new_network_have_deviation_one(block):
    network = cifar_resnet(11 if block == "bottleneck" else 8, block, in_channels=1).double()
    stds = probes.response_std(network, BATCH)
    assert list(stds) == [name for name in weighted_layers(network) if name != "fc"]
    assert list(stds.values()) == pytest.approx([1.0] * len(stds), abs=1e-3)


def test_response_std_by_hand_for_both_kinds_of_statistics():
    network = small(8)
    norm = network.layer1[0].bn2
    for statistics in ("batch", "running"):
        reference = copy.deepcopy(network).train(statistics == "batch")
        x = reference.relu(reference.bn1(reference.conv1(BATCH)))
        x = reference.layer1[0].branch(x)
        assert probes.response_std(network, BATCH, statistics)["layer1.0.conv2"] == pytest.approx(
            x.std(correction=0).item()
        )
    with pytest.raises(ValueError, match="statistics must be one of 'batch', 'running', got 'test'"):
        probes.response_std(network, BATCH, "test")
    assert norm.weight.grad is None


def test_the_response_in_a_pre_activation_block_is_the_next_normalisation_or_what_is_added():
    network = small(8, activation="pre")
    stds = probes.response_std(network, BATCH)
    reference = copy.deepcopy(network).train()
    x = reference.relu(reference.bn1(reference.conv1(BATCH)))
    block = reference.layer1[0]
    assert stds["conv1"] == pytest.approx(reference.bn1(reference.conv1(BATCH)).std(correction=0).item())
    assert stds["layer1.0.conv1"] == pytest.approx(block.bn2(block.conv1(x)).std(correction=0).item())
    assert stds["layer1.0.conv2"] == pytest.approx(block.branch(x).std(correction=0).item())


# Branch against shortcut


@pytest.mark.parametrize("activation", ["post", "pre"])
def test_activation_variance_by_hand(activation):
    network = small(8, activation=activation)
    found = probes.activation_variance(network, BATCH, "running")
    reference = copy.deepcopy(network).eval()
    x = reference.relu(reference.bn1(reference.conv1(BATCH)))
    for name, block in zip(found, reference.blocks, strict=True):
        expected = [v.var(correction=0).item() for v in (x, block.branch(x), block.shortcut(x), block(x))]
        assert list(found[name]) == pytest.approx(expected)
        x = block(x)
    assert list(found) == ["layer1.0", "layer2.0", "layer3.0"]


def test_normalised_branches_shrink_against_the_shortcut_with_depth_and_others_do_not():
    torch.manual_seed(0)
    images = torch.randn(32, 3, 8, 8)

    def ratios(normalization):
        network = ResNet((16,), (16,), block=PreActBasicBlock, normalization=normalization)
        return [v.branch / v.shortcut for v in probes.activation_variance(network, images).values()]

    normalised, other = ratios("batch"), ratios("none")
    # De and Smith 2020: the shortcut's variance grows linearly, so the ratio of block l falls as 1 / l …
    slope = np.polyfit(np.log(np.arange(2, 17)), np.log(normalised[1:]), 1)[0]
    assert -1.3 < slope < -0.7
    # … and without normalisation both grow alike.
    slope = np.polyfit(np.log(np.arange(2, 17)), np.log(other[1:]), 1)[0]
    assert abs(slope) < 0.4
    assert all(v.shortcut == 0 for v in probes.activation_variance(cifar_resnet(8, shortcut="none"), images).values())


# Jacobians


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    linear = nn.Linear(5, 3)
    assert torch.equal(probes.jacobian(linear, torch.randn(1, 5)), linear.weight)


def test_a_jacobian_agrees_with_finite_differences():
    network = small(8)
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64)
    matrix = probes.jacobian(network, x)
    frozen = copy.deepcopy(network).eval()
    for number in range(16):
        step = torch.zeros(16, dtype=torch.float64)
        step[number] = 1e-6
        step = step.view_as(x)
        column = (frozen(x + step) - frozen(x - step)).flatten() / 2e-6
        assert torch.allclose(matrix[:, number], column, atol=1e-7)


CELLS = {"post": (BasicBlock, Bottleneck), "pre": (PreActBasicBlock, PreActBottleneck)}


def noisy(block):
    """A float64 block with random scales, shifts and statistics."""
    block = block.double()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, (low, high) in (
                (module.weight.data, (0.5, 1.5)), (module.bias.data, (-0.5, 0.5)),
                (module.running_mean, (-0.5, 0.5)), (module.running_var, (0.5, 2.0)),
            ):  # fmt: skip
                value.uniform_(low, high)
    return block


@pytest.mark.parametrize("kind", [0, 1], ids=["basic", "bottleneck"])
def test_a_pre_activation_block_has_the_identity_plus_the_branch(kind):
    torch.manual_seed(0)
    block = noisy(CELLS["pre"][kind](32, 32 if kind == 0 else 8))
    x = torch.randn(1, 32, 2, 2, dtype=torch.float64)
    branch = probes.block_jacobian(block, x, "branch")
    eye = torch.eye(128, dtype=torch.float64)
    assert torch.equal(probes.block_jacobian(block, x, "shortcut"), eye)
    assert torch.allclose(probes.block_jacobian(block, x), eye + branch, atol=1e-12)
    assert branch.norm() > 0.1


@pytest.mark.parametrize("kind", [0, 1], ids=["basic", "bottleneck"])
@pytest.mark.parametrize("shortcut", ["A", "none"])
def test_a_post_activation_block_has_an_open_or_shut_relu_before_that(kind, shortcut):
    torch.manual_seed(0)
    block = noisy(CELLS["post"][kind](32, 32 if kind == 0 else 8, shortcut=shortcut))
    x = torch.randn(1, 32, 2, 2, dtype=torch.float64)
    branch = probes.block_jacobian(block, x, "branch")
    eye = torch.eye(128, dtype=torch.float64) * (shortcut == "A")
    is_open = (copy.deepcopy(block).eval()(x) > 0).flatten().double()
    assert 0 < is_open.mean() < 1
    assert torch.allclose(probes.block_jacobian(block, x), is_open[:, None] * (eye + branch), atol=1e-12)


@pytest.mark.parametrize("activation", ["post", "pre"])
@pytest.mark.parametrize("shortcut", ["A", "B", "none"])
def test_the_chain_is_the_jacobian_of_the_blocks_together(activation, shortcut):
    network = small(20, activation=activation, shortcut=shortcut)
    chain = probes.chain_jacobian(network, BATCH[:1], 1, 7)
    frozen = copy.deepcopy(network).eval()
    x = frozen.blocks[0](frozen.relu(frozen.bn1(frozen.conv1(BATCH[:1])))).detach()
    reference = torch.autograd.functional.jacobian(nn.Sequential(*frozen.blocks[1:7]), x)
    assert chain.shape == (16 * 2 * 2, 4 * 8 * 8)
    assert torch.allclose(chain, reference.reshape(chain.shape), atol=1e-10)


def test_the_gradient_of_the_whole_network_goes_through_the_chain():
    network = small(8)
    frozen = copy.deepcopy(network).eval()
    image = BATCH[:1].clone().requires_grad_()
    stem = frozen.relu(frozen.bn1(frozen.conv1(image)))
    stem.retain_grad()
    features = nn.Sequential(*frozen.blocks)(stem)
    features.retain_grad()
    F.cross_entropy(frozen.fc(frozen.avgpool(features).flatten(1)), LABELS[:1]).backward()
    chain = probes.chain_jacobian(network, BATCH[:1])
    assert torch.allclose(features.grad.flatten() @ chain, stem.grad.flatten(), atol=1e-12)


def test_singular_values_of_known_matrices():
    assert probes.singular_values(torch.diag(torch.tensor([1.0, -3.0, 2.0]))) == pytest.approx([3, 2, 1])
    matrix = torch.randn(4, 6)
    assert probes.singular_values(matrix) == pytest.approx(np.linalg.svd(matrix.double().numpy())[1])


def test_the_share_of_directions_kept_counts_those_above_the_threshold():
    matrix = torch.zeros(5, 4)
    matrix[range(4), range(4)] = torch.tensor([2.0, -0.02, 0.005, 0.0])
    assert probes.kept_share(matrix) == 0.5 and probes.kept_share(matrix.T) == 0.5
    assert probes.kept_share(matrix, 0.001) == 0.75 and probes.kept_share(torch.eye(3)) == 1


def test_block_spectra_are_means_over_single_images():
    network, images = small(), torch.rand(3, 1, 8, 8, dtype=torch.float64)
    found = probes.block_spectra(network, images)
    chains = [probes.chain_jacobian(network, image) for image in images.split(1)]
    assert found.kept == pytest.approx(np.mean([probes.kept_share(chain) for chain in chains])) and 0 < found.kept < 1
    assert found.product[0] == pytest.approx(np.exp(np.mean(np.log([probes.singular_values(c)[0] for c in chains]))))


@pytest.mark.parametrize("activation", ["post", "pre"])
def test_power_iteration_finds_the_largest_singular_value(activation):
    network = small(activation=activation)
    x = torch.rand(1, 4, 6, 6, dtype=torch.float64)
    expected = probes.singular_values(probes.block_jacobian(network.blocks[1], x))[0]
    got = probes.top_singular_value(network.blocks[1], x, iterations=500, tolerance=1e-7)
    assert got == pytest.approx(expected, rel=1e-3) and got <= expected * (1 + 1e-9)
    coarse = probes.top_singular_value(network.blocks[1], x, iterations=2)
    assert coarse < got


def test_power_iteration_on_a_known_map_and_on_a_constant():
    matrix = torch.diag(torch.tensor([5.0, 1.0, 0.5]))
    assert probes.top_singular_value(lambda x: x @ matrix, torch.zeros(1, 3)) == pytest.approx(5, rel=1e-4)
    assert probes.top_singular_value(lambda x: x * 0, torch.zeros(1, 3)) == 0


def test_bad_input_to_jacobians_is_explained():
    network = small(8)
    with pytest.raises(ValueError, match=r"one sample with a batch dimension, \(1, …\), got \(12, 1, 8, 8\); take"):
        probes.chain_jacobian(network, BATCH)
    with pytest.raises(ValueError, match="at most 8192 inputs and outputs, got 16384 and 16384; use top_singular"):
        probes.block_jacobian(network.blocks[0], torch.zeros(1, 4, 64, 64).double())
    with pytest.raises(ValueError, match=r"blocks\[3:None\] must hold a block; the network has 3"):
        probes.block_jacobians(network, BATCH[:1], 3)
    with pytest.raises(ValueError, match="path must be one of 'block', 'branch', 'shortcut'"):
        probes.block_jacobian(network.blocks[0], BATCH[:1], "skip")


# Shattered gradients


class Perceptron(nn.Module):
    """Fully connected, of one input and one output, with and without skips (Balduzzi et al. 2017, Fig. 1)."""

    def __init__(self, depth, skip, width=64):
        super().__init__()
        self.first, self.last, self.skip = nn.Linear(1, width), nn.Linear(width, 1), skip
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(depth))
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, x):
        x = self.first(x)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            branch = layer(F.relu(norm(x)))
            x = x + branch if self.skip else branch
        return self.last(x)


def test_gradients_of_a_deep_plain_network_shatter_and_those_of_a_residual_one_less():
    grid = torch.linspace(-2, 2, 256)[:, None]

    def lag_one(depth, skip):
        values = []
        for seed in range(3):
            torch.manual_seed(seed)
            network = probes.recalibrate(Perceptron(depth, skip), grid)
            values.append(probes.gradient_correlation(network, grid).autocorrelation[1])
        return np.mean(values)

    assert lag_one(2, False) > 0.9  # a random walk
    assert abs(lag_one(24, False)) < 0.2  # white noise
    assert lag_one(24, True) > 0.5


def test_autocorrelation_and_cosine_of_known_gradients():
    class Known(nn.Module):
        """Its gradient at x is (cos x, sin x)."""

        def forward(self, x):
            return (torch.sin(x[:, :1]) - torch.cos(x[:, 1:])).double()

    grid = torch.linspace(0, 2 * math.pi, 65, dtype=torch.float64)[:-1]  # one full turn
    found = probes.gradient_correlation(Known(), torch.stack([grid, grid], 1), max_lag=32)
    lags = np.arange(33)
    # On the circle, g_i · g_{i+k} = cos(2πk/64) and the mean is 0; 64 - k of 64 pairs are there.
    assert found.autocorrelation == pytest.approx((64 - lags) / 64 * np.cos(2 * np.pi * lags / 64), abs=1e-12)
    assert found.mean_cosine == pytest.approx(-1 / 63)  # the 64 unit vectors add up to zero
    assert found.gradients.shape == (64, 2)
    assert found.gradients[16] == pytest.approx([0, 1], abs=1e-12)


def test_mean_cosine_is_that_of_all_pairs():
    found = probes.gradient_correlation(small(8), BATCH, max_lag=2, output=3)
    g = found.gradients
    cosines = [g[i] @ g[j] / np.linalg.norm(g[i]) / np.linalg.norm(g[j]) for i in range(12) for j in range(i)]
    assert found.mean_cosine == pytest.approx(np.mean(cosines))
    image = BATCH[5:6].clone().requires_grad_()
    small(8).eval()(image)[0, 3].backward()
    assert g[5] == pytest.approx(image.grad.flatten().numpy())


def test_a_gradient_that_never_changes_has_no_autocorrelation():
    class Rounded(nn.Module):
        """Its gradient is 3, but for the last digit."""

        def forward(self, x):
            return 3 * x + 3e-10 * torch.sin(1000 * x)

    for network, inputs in ((nn.Linear(3, 2), torch.randn(20, 3)), (Rounded(), torch.linspace(0, 1, 20)[:, None])):
        found = probes.gradient_correlation(network, inputs)
        assert np.isnan(found.autocorrelation).all() and found.mean_cosine == pytest.approx(1)
    assert found.gradients.std() > 0
    with pytest.raises(ValueError, match="max_lag must lie in 1 … 19 for 20 inputs, got 20"):
        probes.gradient_correlation(nn.Linear(3, 2), torch.randn(20, 3), max_lag=20)


def test_interpolation_goes_from_end_to_end():
    line = probes.interpolate(BATCH[0], BATCH[1], 5)
    assert line.shape == (5, 1, 8, 8)
    assert torch.equal(line[0], BATCH[0]) and torch.equal(line[-1], BATCH[1])
    assert torch.allclose(line[2], (BATCH[0] + BATCH[1]) / 2)


# Paths


@pytest.mark.parametrize("options", [{}, {"activation": "pre"}, {"shortcut": "B"}, {"mixing": "shortcut-gating"}])
@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_the_gradients_of_all_paths_add_up_to_the_gradient(options, statistics):
    network = small(**options)
    tape = probes.PathTape(network, BATCH, LABELS, statistics)
    subsets = [set(c) for k in range(7) for c in itertools.combinations(range(6), k)]
    total = sum(tape.gradient(subset) for subset in subsets)
    image = BATCH.clone().requires_grad_()
    F.cross_entropy(network.train(statistics == "batch")(image), LABELS, reduction="sum").backward()
    assert len(subsets) == 2**6
    assert torch.allclose(total, image.grad, atol=1e-12)
    assert (tape.gradient({0, 2}) - image.grad).norm() > 0.1 * image.grad.norm()


def test_path_norms_of_a_linear_network_have_a_closed_form():
    """Each branch is multiplication by c, so a path through k of n branches has c**k times the gradient of none."""
    network = ResNet((5,), (3,), in_channels=1, block=PreActBasicBlock, normalization="none").double()
    nn.init.dirac_(network.conv1.weight)
    for block in network.blocks:
        nn.init.dirac_(block.conv1.weight)
        nn.init.dirac_(block.conv2.weight)
        block.conv2.weight.data *= 0.3
        block.relu1 = block.relu2 = nn.Identity()
    network.relu = network.final_relu = nn.Identity()
    found = probes.path_gradients(network, BATCH, LABELS, samples=3)
    assert found.lengths.tolist() == [0, 1, 2, 3, 4, 5] and found.norms.shape == (6, 3)
    images = BATCH.clone().requires_grad_()
    F.cross_entropy(network(images), LABELS, reduction="sum").backward()  # 1.3**5 times that of the empty path
    expected = images.grad.flatten(1).norm(dim=1).mean().item() / 1.3**5
    assert found.norms[0] == pytest.approx([expected] * 3)
    assert found.norms / found.norms[:1] == pytest.approx(0.3 ** found.lengths[:, None] * np.ones((6, 3)))
    assert found.counts.tolist() == [1, 5, 10, 10, 5, 1]
    binomial = found.counts * 0.3**found.lengths
    assert found.share == pytest.approx(binomial / binomial.sum())


def test_paths_are_random_but_repeatable():
    network = small()
    first, again, other = (probes.path_gradients(network, BATCH, LABELS, [2], 4, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.norms, again.norms) and not np.array_equal(first.norms, other.norms)
    assert len(np.unique(first.norms)) > 1


def test_bad_paths_are_explained():
    with pytest.raises(ValueError, match="block 0 is plain; build with shortcut='A'"):
        probes.path_gradients(small(8, shortcut="none"), BATCH, LABELS)
    with pytest.raises(ValueError, match="a path's length must lie in 0 … 3, the number of blocks, got 4"):
        probes.path_gradients(small(8), BATCH, LABELS, [4])


@pytest.mark.parametrize("shortcut", ["none", "A"])
def test_the_gradient_at_the_activations_is_that_of_the_loss(shortcut):
    network = small(shortcut=shortcut)
    images, labels = torch.rand(6, 1, 8, 8, dtype=torch.float64), torch.arange(6)
    norms = probes.activation_gradients(network, images, labels)
    assert len(norms) == len(network.blocks) + 1
    network.train().requires_grad_(False)
    entering = network.relu(network.bn1(network.conv1(images))).requires_grad_()  # what the first block is given
    leaving = nn.Sequential(*network.blocks)(entering)
    loss = F.cross_entropy(network.fc(network.avgpool(leaving).flatten(1)), labels)
    expected = [one.norm().item() for one in torch.autograd.grad(loss, (entering, leaving))]
    assert [norms[0], norms[-1]] == pytest.approx(expected, rel=1e-6)
