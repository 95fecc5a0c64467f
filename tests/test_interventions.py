import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from torch import nn

from resnet_edu import interventions, probes
from resnet_edu.networks import ResNet, cifar_resnet
from resnet_edu.training import TrainConfig, evaluate, train

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def small(depth=20, seed=0, **options):
    torch.manual_seed(seed)
    return probes.recalibrate(cifar_resnet(depth, width=4, in_channels=1, **options), IMAGES)


@pytest.fixture(scope="module")
def trained(digits):
    networks = {}
    for shortcut in ("A", "none"):
        torch.manual_seed(0)
        networks[shortcut] = cifar_resnet(20, width=8, in_channels=1, shortcut=shortcut)
        list(train(networks[shortcut], digits, TrainConfig(epochs=3)))
    return networks


INTERVENTIONS = {
    "delete_blocks": lambda n: interventions.delete_blocks(n, [1, 3]),
    "scale_branch": lambda n: interventions.scale_branch(n, 0.5),
    "scale_shortcut": lambda n: interventions.scale_shortcut(n, 0.5, 4),
    "repeat_block": lambda n: interventions.repeat_block(n, 2),
    "shuffle_blocks": lambda n: interventions.shuffle_blocks(n, 3)[0],
}


@pytest.mark.parametrize("name", INTERVENTIONS)
@pytest.mark.parametrize("activation", ["post", "pre"])
def test_an_intervention_changes_a_copy_and_only_that(name, activation):
    network = small(activation=activation)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    output = network(IMAGES)
    altered = INTERVENTIONS[name](network)
    assert not torch.allclose(altered(IMAGES), output, atol=1e-3)
    for parameter in altered.parameters():
        parameter.data.zero_()
    altered.train()(IMAGES)
    assert network.state_dict().keys() == before.keys() and not network.training
    assert all(torch.equal(network.state_dict()[key], before[key]) for key in before)
    assert torch.equal(network(IMAGES), output)


@pytest.mark.parametrize("activation", ["post", "pre"])
def test_interventions_that_change_nothing(activation):
    network = small(activation=activation)
    output = network(IMAGES)
    neutral = [
        interventions.delete_blocks(network, []),
        interventions.scale_branch(network, 1.0),
        interventions.scale_shortcut(network, 1.0),
        interventions.repeat_block(network, 1, times=1),
        interventions.reorder_blocks(network, range(9)),
        interventions.shuffle_blocks(network, 0)[0],
    ]
    for altered in neutral:
        assert torch.equal(altered(IMAGES), output)
    for block in network.blocks:
        block.zero_init_last()
    output = network(IMAGES)
    for index in range(9):  # a branch of zeros can go
        assert torch.equal(interventions.delete_blocks(network, index)(IMAGES), output)


@pytest.mark.parametrize("index", [1, 3])  # keeps the shape, changes it
@pytest.mark.parametrize(
    "options", [{}, {"shortcut": "B"}, {"activation": "pre"}, {"activation": "pre", "shortcut": "B"}]
)
def test_deletion_leaves_the_shortcut_and_the_last_relu(index, options):
    network = small(**options)
    block = network.blocks[index]
    x = torch.randn(2, block.downsample.in_channels, 6, 6)
    expected = block.shortcut(x)
    if options.get("activation") != "pre":
        expected = torch.relu(expected)
    assert torch.equal(interventions.delete_blocks(network, index).blocks[index](x), expected)


@pytest.mark.parametrize("activation", ["post", "pre"])
def test_deletion_in_a_plain_network_leaves_the_identity_or_subsampling(activation):
    network = interventions.delete_blocks(small(shortcut="none", activation=activation), [1, 3])
    x = torch.rand(2, 4, 6, 6)
    assert torch.equal(network.blocks[1](x), x)
    y = network.blocks[3](x)  # (2, 8, 3, 3)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2]) and y[:, :2].abs().sum() == y[:, 6:].abs().sum() == 0
    twin = interventions.delete_blocks(small(activation=activation), 3)
    assert torch.equal(twin.blocks[3](x), y)  # one rule for both


def test_scaling_by_hand():
    network = small()
    block, x = network.blocks[2], torch.randn(2, 4, 6, 6)
    branch = interventions.scale_branch(network, 0.3, 2).blocks[2](x)
    assert torch.allclose(branch, torch.relu(0.3 * block.branch(x) + x))
    both = interventions.scale_shortcut(interventions.scale_branch(network, 0.3, [2]), 2.0, [2]).blocks[2](x)
    assert torch.allclose(both, torch.relu(0.3 * block.branch(x) + 2 * x))
    gone = interventions.scale_branch(network, 0)
    assert torch.equal(gone(IMAGES), interventions.delete_blocks(network, range(9))(IMAGES))
    assert type(network.blocks[1]) is type(interventions.scale_branch(network, 0.3, 2).blocks[1])


def test_probes_see_the_altered_network():
    network = small()
    altered = interventions.scale_branch(network, 0.5, [0])
    before, after = (probes.activation_variance(n, IMAGES, "running")["layer1.0"] for n in (network, altered))
    assert after.branch == pytest.approx(before.branch / 4) and after.shortcut == before.shortcut
    deleted = interventions.delete_blocks(network, 1)
    paths = probes.path_gradients(deleted, IMAGES, torch.zeros(16, dtype=torch.long), [0, 9], 2)
    assert (paths.norms[0] > 0).all() and (paths.norms[1] == 0).all()
    assert "layer1.0.conv2" in probes.response_std(deleted, IMAGES)
    assert "layer1.1.block.conv2" not in probes.response_std(deleted, IMAGES)  # it is not computed
    assert len(probes.gradient_norms(altered, IMAGES, torch.zeros(16, dtype=torch.long))) == 20


def test_a_repeated_block_shares_its_weights():
    network = small()
    altered = interventions.repeat_block(network, 4, times=3)
    assert len(altered.blocks) == 11 and altered.blocks[4] is altered.blocks[5] is altered.blocks[6]
    assert sum(p.numel() for p in altered.parameters()) == sum(p.numel() for p in network.parameters())
    x = torch.rand(2, 4, 4, 4)
    first, second, third = network.stages[1]
    stage = nn.Sequential(first, second, second, second, third)
    assert torch.equal(altered.stages[1](x), stage(x))


def test_order_of_blocks():
    network = small()
    order = [0, 2, 1, 3, 5, 4, 6, 7, 8]
    altered = interventions.reorder_blocks(network, order)
    for place, index in enumerate(order):
        assert torch.equal(altered.blocks[place].conv1.weight, network.blocks[index].conv1.weight)
    x = torch.rand(2, 4, 6, 6)
    blocks = network.blocks
    assert torch.equal(altered.stages[0](x), blocks[1](blocks[2](blocks[0](x))))


def test_random_orders_keep_what_cannot_move_and_fall_in_tau_with_more_swaps():
    network = small(32)  # stages of 5 blocks
    orders = [interventions.random_order(network, swaps, seed) for swaps in (1, 20) for seed in range(20)]
    for order in orders:
        assert sorted(order) == list(range(15)) and order[5] == 5 and order[10] == 10
        assert all(index // 5 == place // 5 for place, index in enumerate(order))
    few, many = (np.mean([interventions.kendall_tau(o) for o in part]) for part in (orders[:20], orders[20:]))
    assert 1 > few > many > 0
    assert any(order[0] != 0 for order in orders)
    assert interventions.random_order(network, 5, 1) == interventions.random_order(network, 5, 1)
    # Where all stages have one width, a stage and its first block still keep their places.
    even = ResNet((3, 3), (4, 4), in_channels=1)
    orders = [interventions.random_order(even, 20, seed) for seed in range(5)]
    assert all(order[3] == 3 and sorted(order[:3]) == [0, 1, 2] for order in orders)
    # The first pre-activation unit has no activation of its own and stays, too.
    assert all(interventions.random_order(small(activation="pre"), 20, seed)[0] == 0 for seed in range(5))


def test_kendall_tau_is_scipys():
    rng = np.random.default_rng(0)
    for n in (2, 3, 9, 20):
        order = rng.permutation(n)
        assert interventions.kendall_tau(order) == pytest.approx(kendalltau(np.arange(n), order).statistic)
    assert interventions.kendall_tau(range(5)) == 1 and interventions.kendall_tau([4, 3, 2, 1, 0]) == -1
    network, tau = interventions.shuffle_blocks(small(), 4, seed=3)
    order = interventions.random_order(small(), 4, seed=3)
    assert tau == interventions.kendall_tau(order) < 1
    assert torch.equal(network(IMAGES), interventions.reorder_blocks(small(), order)(IMAGES))


def test_lesion_study_measures_every_deletion(trained, digits):
    network = trained["A"].train()
    study = interventions.lesion_study(network, digits, digits.test)
    assert network.training and study.intact == evaluate(network, digits, digits.test)[1]
    for index in (2, 6):
        lesioned = interventions.delete_blocks(network, index)
        assert study.errors[index] == evaluate(lesioned, digits, digits.test)[1]
    assert study.names == tuple(f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3))
    assert study.changes_shape.tolist() == [False] * 3 + [True, False, False] * 2
    mended = interventions.lesion_study(network, digits, digits.test, digits.normalize(digits.train.images[:512]))
    assert not np.array_equal(mended.errors, study.errors)


def test_a_lesion_hurts_a_plain_network_more(trained, digits):
    harm = {}
    for shortcut, network in trained.items():
        study = interventions.lesion_study(network, digits, digits.test)
        assert study.intact < 15
        harm[shortcut] = np.median(study.errors[~study.changes_shape]) - study.intact
    assert harm["none"] > 2 * harm["A"]


def test_lesioned_statistics_are_the_intact_networks(trained):
    network = trained["A"]
    lesioned = interventions.delete_blocks(network, 1)
    assert torch.equal(lesioned.blocks[4].bn1.running_mean, network.blocks[4].bn1.running_mean)
    assert lesioned.training == network.training and lesioned.blocks[1].training == network.training


def test_bad_input_is_explained():
    network = small()
    with pytest.raises(IndexError, match="a block's number must lie in 0 … 8, got 9"):
        interventions.delete_blocks(network, [1, 9])
    with pytest.raises(IndexError, match="got -1"):
        interventions.repeat_block(network, -1)
    with pytest.raises(ValueError, match="block 0 is plain and has no shortcut to scale"):
        interventions.scale_shortcut(small(shortcut="none"), 0.5)
    with pytest.raises(ValueError, match=r"block 3 changes the shape \(4 -> 8 channels, stride 2\)"):
        interventions.repeat_block(network, 3)
    with pytest.raises(ValueError, match="times must be at least 1, got 0"):
        interventions.repeat_block(network, 1, 0)
    with pytest.raises(ValueError, match="order must hold each of 0 … 8 once"):
        interventions.reorder_blocks(network, [0] * 9)
    with pytest.raises(ValueError, match="block 4 cannot stand at place 3"):
        interventions.reorder_blocks(network, [0, 1, 2, 4, 3, 5, 6, 7, 8])
    with pytest.raises(ValueError, match="no two blocks of the network are interchangeable; use a deeper network"):
        interventions.random_order(small(8), 1)


def test_cuts_are_fair_coins_that_spare_what_they_are_told():
    network = small()
    cuts = interventions.random_cuts(network, members=400, spared=[0, 3])
    counts = np.bincount([block for cut in cuts for block in cut], minlength=9)
    assert not counts[[0, 3]].any() and all(140 < count < 260 for count in counts[[1, 2, 4, 5, 6, 7, 8]])
    assert cuts == interventions.random_cuts(network, 400, [0, 3]) != interventions.random_cuts(network, 400, [0, 3], 1)


def test_a_vote_is_the_error_of_the_averaged_answers(trained, digits):
    network, cuts = trained["A"], [[1], [2, 4], []]
    found = interventions.vote(network, digits, digits.test, cuts)
    members = [interventions.delete_blocks(network, cut).eval() for cut in cuts]
    assert found.members == pytest.approx([evaluate(one, digits, digits.test)[1] for one in members])
    with torch.no_grad():
        answers = sum(one(digits.normalize(digits.test.images)).softmax(1) for one in members)
    wrong = (answers.argmax(1) != digits.test.labels).double().mean().item()
    assert found.together == pytest.approx(100 * wrong)


def test_members_with_statistics_of_their_own_are_recalibrated(trained, digits):
    network, images = trained["A"], digits.normalize(digits.train.images[:256])
    found = interventions.vote(network, digits, digits.test, [[1, 4]], images)
    one = probes.recalibrate(interventions.delete_blocks(network, [1, 4]), images)
    assert found.members[0] == found.together == pytest.approx(evaluate(one, digits, digits.test)[1])
