import pytest
import torch

from resnet_edu.training import TrainConfig, train
from resnet_edu.trials import Trial, run_trial, run_trials


def test_a_trial_depends_on_its_seed_alone(digits):
    trials = [Trial(8, "none", seed, width=4, config=TrainConfig(epochs=1)) for seed in (0, 1)]

    def losses(outcomes):
        return [outcome.last.train_loss for outcome in outcomes]

    in_processes = losses(run_trials(trials, digits, jobs=2))
    torch.manual_seed(99)
    assert losses(run_trials(trials, digits, jobs=1)) == in_processes
    assert in_processes[0] != in_processes[1]


def test_a_trials_seed_orders_the_batches_too(digits):
    trial = Trial(8, "A", seed=1, width=4, config=TrainConfig(epochs=1))
    by_hand = {
        seed: next(train(trial.build(digits), digits, TrainConfig(epochs=1, seed=seed))).train_loss for seed in (0, 1)
    }
    assert by_hand[0] != pytest.approx(by_hand[1], rel=1e-6)
    assert run_trial(trial, digits).last.train_loss == pytest.approx(by_hand[1], rel=1e-4)


def test_a_diverged_run_is_an_outcome(digits):
    trial = Trial(20, "A", normalization="none", config=TrainConfig(epochs=1, learning_rate=1e4))
    outcome = run_trial(trial, digits)
    assert "smaller learning_rate" in outcome.diverged and outcome.records == ()


def test_options_reach_the_network(digits):
    network = Trial(8, "A", options={"activation": "pre"}).build(digits)
    assert type(network.blocks[0]).__name__ == "PreActBasicBlock"
