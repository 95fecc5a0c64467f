"""Training for real: solutions."""

import time

import torch

from resnet_edu import runs
from resnet_edu.datasets import digits
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig, train
from resnet_edu.trials import Trial, run_trial


def exercise_1(seed):
    """No lever at all: it ends at {constant:.1f} % training error. The same
    seeds have {usual:.1f} % with the recipe of the page, {low:.1f} % with a
    one-cycle schedule that peaks at 0.03, {long:.1f} % with six times the
    epochs, and {shortcuts:.1f} % with shortcuts. So it resembles the learning
    rate, the lever that does nothing for plain-56.
    """
    data, found = digits(), {}
    config = TrainConfig(schedule="constant", learning_rate=0.03)
    outcome = run_trial(Trial(56, "none", seed, config=config), data)
    found["constant"] = outcome.last.train_error
    for name, experiment, cell in (
        ("usual", "depth", {}),
        ("low", "learning-rate", {"learning_rate": 0.03}),
        ("long", "longer", {"epochs": 48}),
        ("shortcuts", "depth", {"shortcut": "A"}),
    ):
        settings = {"depth": 56, "shortcut": "none"} | cell
        cells = runs.load(experiment).select(seed=seed, **settings)
        found[name] = cells.last("train_error").mean
    return found


def milliseconds(data, width, **options):
    network = cifar_resnet(20, width=width, in_channels=1)
    config = TrainConfig(epochs=1, **options)
    run = train(network, data, config, log_every=4)
    at = [time.perf_counter() for _ in run]
    return 1000 * (at[4] - at[0]) / 16


def exercise_2():
    """On one thread of the machine named below, which was not idle: milliseconds
    a step, the fastest of five.

    | width | usual order | channels last | bfloat16, channels last |
    |---|---|---|---|
    | 8 | {usual_8:.1f} | {last_8:.1f} | {half_8:.1f} |
    | 32 | {usual_32:.1f} | {last_32:.1f} | {half_32:.1f} |

    Channels last takes {order_8:.2f} times as long as the usual order at
    width 8 and {order_32:.2f} times at 32; bfloat16 takes {format_8:.2f} and
    {format_32:.2f} times as long as float32. Four times the channels are
    sixteen times the arithmetic, and a step takes only {growth:.1f} times as
    long: at width 8 the launches and the traffic are most of it, K τ and B/β,
    and a number format that speeds up arithmetic has nothing to speed up.
    """
    data, found = digits(), {}
    variants = {
        "usual": {"channels_last": False},
        "last": {},
        "half": {"precision": "bfloat16"},
    }
    for width in (8, 32):
        fastest = {name: float("inf") for name in variants}
        for _ in range(5):
            for name, options in variants.items():
                took = milliseconds(data, width, **options)
                fastest[name] = min(fastest[name], took)
        found |= {f"{name}_{width}": ms for name, ms in fastest.items()}
        found[f"order_{width}"] = fastest["last"] / fastest["usual"]
        found[f"format_{width}"] = fastest["half"] / fastest["last"]
    found["growth"] = found["last_32"] / found["last_8"]
    return found


def exercise_3():
    """Split by what must be new when the network is used. Pictures of one scene,
    one object or one day belong to one side: if you took twenty of your cup,
    all twenty go to training or all to the test. Put the two sides into
    folders `train` and `test`, and `image_folder` takes them as they are.
    Expect a test error that is higher than with a random split, and nearer to
    what the next photograph will give.
    """


def exercise_4():
    r"""Let a share p hold the part $w_p$ of the images. The variance is the mean
    of squares less the square of the mean. The mean of squares over all
    images is $\sum_p w_p (s_p^2 + \mu_p^2)$, and the mean is $\mu = \sum_p
    w_p \mu_p$. So

    $$s^2 = \sum_p w_p s_p^2 + \sum_p w_p \mu_p^2 - \mu^2 = \sum_p w_p s_p^2 +
    \sum_p w_p (\mu_p - \mu)^2 .$$

    For equal shares $w_p = 1/P$, and this is the equation of the page. For
    shares of 64, 40 and 24 numbers the two parts are {within:.2f} and
    {between:.2f}, and their sum is the variance, {whole:.2f}, up to
    {apart:s}.
    """
    torch.manual_seed(0)
    x = torch.randn(128, dtype=torch.float64) ** 3
    shares = x.split([64, 40, 24])
    part = [len(one) / len(x) for one in shares]
    within = sum(
        p * one.var(correction=0) for p, one in zip(part, shares, strict=True)
    )
    between = sum(
        p * (one.mean() - x.mean()) ** 2
        for p, one in zip(part, shares, strict=True)
    )
    whole = x.var(correction=0)
    return {
        "whole": whole.item(),
        "within": within.item(),
        "between": between.item(),
        "apart": abs(within + between - whole).item(),
    }


def exercise_5():
    """The bound of a step says what to expect: replaying a graph takes the
    launches, K τ, out of it. Where launches are the largest term, the gain is
    large; ResNet-110 launches more than five times as many operations as
    ResNet-20, each as small. So its time should fall by about as large a
    factor, and by more milliseconds. Where a GPU is fast and the batch small,
    both gain; with a batch of 1,024 the arithmetic catches up, and the gain
    should shrink. (This book's numbers are of a CPU, so none stands here.)
    """
