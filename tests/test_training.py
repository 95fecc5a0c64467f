import pytest
import torch

from resnet_edu import datasets
from resnet_edu.networks import cifar_resnet
from resnet_edu.probes import gradient_norms
from resnet_edu.training import DivergedError, TrainConfig, Trial, evaluate, run_trial, run_trials, train


def test_digits_are_real_balanced_and_apart(digits):
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.train.images.shape[1:] == (1, 8, 8) and digits.train.images.dtype == torch.uint8
    everything = torch.cat([digits.train.images, digits.test.images]).float()
    assert len(everything) == 1797 and everything.max() == 16
    assert digits.test.labels.bincount().min() >= 34
    assert digits.checksum == datasets.digits().checksum != datasets.digits(seed=1).checksum
    images = digits.normalize(digits.train.images)
    assert abs(images.mean()) < 1e-4 and abs(images.std() - 1) < 1e-3


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_test_fraction_rule(fraction):
    with pytest.raises(ValueError, match="test_fraction must lie between 0 and 1"):
        datasets.digits(test_fraction=fraction)


def test_training_learns_and_records_every_epoch(digits):
    outcome = run_trial(Trial(8, "A", config=TrainConfig(epochs=4)), digits)
    assert [record.epoch for record in outcome.records] == [1, 2, 3, 4]
    assert [record.step for record in outcome.records] == [23, 46, 69, 92]
    assert outcome.last.train_error < 10 < outcome.records[0].train_error
    assert outcome.last.learning_rate < 1e-3  # the cycle ended


def test_a_trial_depends_on_its_seed_alone(digits):
    trials = [Trial(8, "none", seed, width=4, config=TrainConfig(epochs=1)) for seed in (0, 1)]

    def losses(outcomes):
        return [outcome.last.train_loss for outcome in outcomes]

    in_processes = losses(run_trials(trials, digits, jobs=2))
    torch.manual_seed(99)
    assert losses(run_trials(trials, digits, jobs=1)) == in_processes
    assert in_processes[0] != in_processes[1]


def test_one_step_agrees_with_sgd_by_hand(digits):
    config = TrainConfig(epochs=1, batch_size=2000, schedule="constant", learning_rate=0.05)
    torch.manual_seed(0)
    network = cifar_resnet(8, width=4, in_channels=1)
    before = network.fc.weight.detach().clone()
    loss = torch.nn.functional.cross_entropy(network(digits.normalize(digits.train.images)), digits.train.labels)
    (gradient,) = torch.autograd.grad(loss, network.fc.weight)
    (record,) = train(network, digits, config)
    assert torch.allclose(network.fc.weight, before - 0.05 * (gradient + 1e-4 * before), atol=1e-5)
    assert record.train_loss == pytest.approx(loss.item(), rel=1e-4)


def test_evaluation_changes_nothing(digits):
    network = cifar_resnet(8, width=4, in_channels=1).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loss, error = evaluate(network, digits, digits.test)
    assert 0 <= error <= 100 and loss > 0 and network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_divergence_is_explained_and_kept_as_an_outcome(digits):
    trial = Trial(20, "A", normalization="none", config=TrainConfig(epochs=1, learning_rate=1e4))
    with pytest.raises(DivergedError, match=r"within epoch 1 .* try a smaller learning_rate"):
        list(train(trial.build(digits), digits, trial.config))
    assert "smaller learning_rate" in run_trial(trial, digits).diverged


@pytest.mark.parametrize(
    "option", [{"epochs": 0}, {"batch_size": 1.5}, {"schedule": "steps"}, {"learning_rate": float("nan")}]
)
def test_config_rules(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"{name} must be"):
        TrainConfig(**option)


def test_gradient_norms_are_the_gradients_and_leave_the_network_alone(digits):
    network = cifar_resnet(8, width=4, in_channels=1)
    images, labels = digits.normalize(digits.train.images[:32]), digits.train.labels[:32]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    norms = gradient_norms(network, images, labels)
    assert len(norms) == 8 and next(iter(norms)) == "conv1" and list(norms)[-1] == "fc"
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.conv1.weight.grad is None
    torch.nn.functional.cross_entropy(network(images), labels).backward()
    assert norms["conv1"] == pytest.approx(network.conv1.weight.grad.norm().item(), rel=1e-5)


def test_deep_plain_networks_have_growing_gradients_and_residual_ones_do_not(digits):
    images, labels = digits.normalize(digits.train.images[:128]), digits.train.labels[:128]

    def ratio(kind):
        norms = list(gradient_norms(Trial(56, kind).build(digits), images, labels).values())
        return norms[1] / norms[-2]

    assert ratio("none") > 100 and ratio("A") < 20


def test_a_trials_seed_orders_the_batches_too(digits):
    trial = Trial(8, "A", seed=1, width=4, config=TrainConfig(epochs=1))
    by_hand = {
        seed: next(train(trial.build(digits), digits, TrainConfig(epochs=1, seed=seed))).train_loss for seed in (0, 1)
    }
    assert by_hand[0] != pytest.approx(by_hand[1], rel=1e-6)
    assert run_trial(trial, digits).last.train_loss == pytest.approx(by_hand[1], rel=1e-4)
