"""Reproducing the paper: solutions."""

import json
import tempfile
from pathlib import Path

import numpy as np

from resnet_edu import experiments, runs


def exercise_1():
    """Neighbours, for instance. Residual-14 has a test error of {error_14},
    residual-20 of {error_20}: the paired test gives a difference of
    {difference_14_20:.2f} points, p = {p_14_20:.2f}. Residual-20 and
    residual-32 ({error_32}) differ by {difference_20_32:.2f}, p =
    {p_20_32:.2f}. Even 8 and 110 layers, {error_8} and {error_110}, cannot be
    told apart by five seeds in this way (p = {p_8_110:.2f}): one of them
    scatters too widely for a t-test. Errors in percent; `resnet-edu runs
    compare` prints such lines.
    """
    depth = runs.load("depth").select(shortcut="A")
    found = {}
    for one, other in ((14, 20), (20, 32), (8, 110)):
        first, second = (depth.select(depth=d) for d in (one, other))
        test = runs.compare(first, second, "test_error")
        found[f"error_{one}"] = f"{first.last('test_error'):.2f}"
        found[f"error_{other}"] = f"{second.last('test_error'):.2f}"
        found[f"difference_{one}_{other}"] = test.difference
        found[f"p_{one}_{other}"] = test.p
    return found


def exercise_2():
    """Paired by seed, residual-56 is {difference:.2f} points worse, and the
    differences have a standard deviation of {deviation:.2f}: an effect of
    {size:.2f} deviations. To find such an effect in four of five tries at p <
    0.05, a paired two-sided t-test needs about {needed:n} seeds; five find it
    in {power_5:.0f} % of tries. Both figures rest on an effect that was
    itself estimated from five seeds, so they are rough.
    """
    from scipy.stats import nct, t

    depth = runs.load("depth").select(shortcut="A")
    one, other = (
        depth.select(depth=d).last("test_error").values for d in (20, 56)
    )
    apart = other - one
    size = apart.mean() / apart.std(ddof=1)

    def power(n):
        limit = t.ppf(0.975, n - 1)
        centre = size * n**0.5
        return (
            1 - nct.cdf(limit, n - 1, centre) + nct.cdf(-limit, n - 1, centre)
        )

    needed = next(n for n in range(3, 1000) if power(n) >= 0.8)
    return {
        "difference": apart.mean(),
        "deviation": apart.std(ddof=1),
        "size": size,
        "needed": needed,
        "power_5": 100 * power(5),
    }


def exercise_3():
    """The fields that differ are {fields}: when it ran, how long it took, and
    the checksum of the modules behind it, which have been worked on since.
    The training losses of the two records differ by {apart}: with the same
    versions of everything, on one thread, a run gives the same numbers to the
    last bit. With another version of PyTorch or another processor expect
    other last digits at first, and other errors after some epochs.
    """
    name = "depth-8_shortcut-A_seed-0"
    run = next(r for r in experiments.load("depth").runs if r.name == name)
    old = json.loads((runs.BANK / "depth" / f"{name}.json").read_text())
    with tempfile.TemporaryDirectory() as bank:
        experiments.record(run, device="cpu", bank=Path(bank))
        file = Path(bank, "depth", f"{name}.json")
        new = json.loads(file.read_text())
    fields = [key for key in old if old[key] != new[key]]
    losses = [np.array(one["epochs"]["train_loss"]) for one in (old, new)]
    return {
        "fields": ", ".join(f"`{key}`" for key in fields),
        "apart": np.abs(losses[0] - losses[1]).max(),
    }
