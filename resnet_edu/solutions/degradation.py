"""The degradation problem: solutions."""

from resnet_edu import runs
from resnet_edu.accounting import parameter_count
from resnet_edu.datasets import digits
from resnet_edu.networks import deepened
from resnet_edu.solutions import seeds
from resnet_edu.training import TrainConfig, evaluate, train
from resnet_edu.trials import Trial, run_trial


@seeds(5)
def exercise_1(seed):
    """Two shortcuts change the shape, so at each depth {extra} parameters come
    in: 8 · 16 + 16 · 32 weights and a scale and a shift for each new channel.
    The picture does not change.

    | layers | option A | option B |
    |---|---|---|
    | 8 | {error_a_8:.2f} | {error_b_8:.2f} |
    | 20 | {error_a_20:.2f} | {error_b_20:.2f} |
    | 32 | {error_a_32:.2f} | {error_b_32:.2f} |
    | 56 | {error_a_56:.2f} | {error_b_56:.2f} |

    Training error in percent after eight epochs, read from the run bank. If
    anything, B is a little worse at 56 layers.
    """
    data, found = digits(), {}
    for kind in ("A", "B"):
        for depth in (8, 20, 32, 56):
            network = Trial(depth, kind, seed).build(data)
            found[f"count_{kind.lower()}_{depth}"] = parameter_count(network)
            cell = runs.load("depth").select(
                shortcut=kind, depth=depth, seed=seed
            )
            error = cell.last("train_error").mean
            found[f"error_{kind.lower()}_{depth}"] = error
    found["extra"] = found["count_b_56"] - found["count_a_56"]
    return found


def exercise_2(seed):
    """Plain-20 was, plain-56 not only. Training error in percent, with the
    schedule stretched over 24 epochs:

    | network | after 8 of 24 | 16 of 24 | 24 | all in 8 epochs |
    |---|---|---|---|---|
    | plain-20 | {plain20_8:.1f} | {plain20_16:.1f} | {plain20_24:.1f} | {plain20_short:.1f} |
    | plain-56 | {plain56_8:.1f} | {plain56_16:.1f} | {plain56_24:.1f} | {plain56_short:.1f} |

    With three times the epochs plain-20 fits nearly all of its images.
    Plain-56 gains, too, and still misreads a large part of them. (The bank's
    48 epochs say the same once more.)
    """
    data, found = digits(), {}
    for depth in (20, 56):
        trial = Trial(depth, "none", seed, config=TrainConfig(epochs=24))
        outcome = run_trial(trial, data)
        for epoch in (8, 16, 24):
            error = outcome.records[epoch - 1].train_error
            found[f"plain{depth}_{epoch}"] = error
        short = runs.load("depth").select(
            shortcut="none", depth=depth, seed=seed
        )
        found[f"plain{depth}_short"] = short.last("train_error").mean
    return found


def exercise_3(seed):
    """The deep plain network, and to a smaller degree all the others. Error in
    percent after eight epochs at a constant rate of 0.1, and after the
    one-cycle schedule of the page with the same seeds:

    | network | training, constant | training, one-cycle | test, constant | test, one-cycle |
    |---|---|---|---|---|
    | plain-8 | {plain8_train:.1f} | {plain8_train_usual:.1f} | {plain8_test:.1f} | {plain8_test_usual:.1f} |
    | plain-20 | {plain20_train:.1f} | {plain20_train_usual:.1f} | {plain20_test:.1f} | {plain20_test_usual:.1f} |
    | plain-56 | {plain56_train:.1f} | {plain56_train_usual:.1f} | {plain56_test:.1f} | {plain56_test_usual:.1f} |
    | residual-8 | {residual8_train:.1f} | {residual8_train_usual:.1f} | {residual8_test:.1f} | {residual8_test_usual:.1f} |
    | residual-20 | {residual20_train:.1f} | {residual20_train_usual:.1f} | {residual20_test:.1f} | {residual20_test_usual:.1f} |
    | residual-56 | {residual56_train:.1f} | {residual56_train_usual:.1f} | {residual56_test:.1f} | {residual56_test_usual:.1f} |

    Each network fits its training images worse without the fall. The order is
    the same: a constant rate does not make the degradation, and taking it
    away does not remove it.
    """
    data, found = digits(), {}
    for kind, name in (("none", "plain"), ("A", "residual")):
        for depth in (8, 20, 56):
            config = TrainConfig(schedule="constant")
            outcome = run_trial(Trial(depth, kind, seed, config=config), data)
            found[f"{name}{depth}_train"] = outcome.last.train_error
            found[f"{name}{depth}_test"] = outcome.last.test_error
            usual = runs.load("depth").select(
                shortcut=kind, depth=depth, seed=seed
            )
            for part in ("train", "test"):
                error = usual.last(f"{part}_error").mean
                found[f"{name}{depth}_{part}_usual"] = error
    return found


def exercise_4(seed):
    """No. Before the first step it errs on {before} % of its training images,
    like the shallow network. In the first epoch of training on, counted while
    the weights move, it errs on {fast_first:.0f} % at a peak rate of 0.1, and
    on {slow_first:.0f} % at a hundredth of it; after eight epochs it is back
    at {fast_last:.0f} % and {slow_last:.0f} %. In training mode the network
    is another function: each batch normalisation takes the batch's
    statistics, and forty-eight layers of small differences in a row add up.
    The good weights are there, but this training does not stay at them. It
    ends far better than plain-56 from its usual start, though: a start near
    the identity helps.
    """
    data, found = digits(), {}
    for rate, name in ((0.1, "fast"), (0.001, "slow")):
        shallow = Trial(8, "none", seed).build(data)
        list(train(shallow, data, TrainConfig(seed=seed)))
        deep = deepened(shallow, 56)
        found["before"] = evaluate(deep, data, data.train)[1]
        config = TrainConfig(learning_rate=rate, seed=seed)
        records = list(train(deep, data, config))
        found[f"{name}_worst"] = max(one.train_error for one in records)
        found[f"{name}_first"] = records[0].train_error
        found[f"{name}_last"] = records[-1].train_error
    return found
