"""Reproducing the paper: solutions."""

import json
import tempfile
from pathlib import Path

import numpy as np

from resnet_edu import experiments, runs


def exercise_1():
    """T."""
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
    """T."""
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
    """T."""
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
